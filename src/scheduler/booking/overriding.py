"""Overriding: a visit that breaks rules of booking, each named, is decided on and written down.

Owns: who may override, the second decision without the named rules, and the columns that keep rules and reason.
Holds: B8 (a broken rule that is not named refuses; rules that are not broken are refused).
Must not know: which rules there are (`core.overrides`), how they are checked.
"""

from typing import Final, Protocol

from sqlalchemy import text
from sqlmodel import Session

from scheduler.booking.errors import CapReachedError, NotOfferedError, OverrideNotNeededError
from scheduler.booking.people import Person
from scheduler.core.offers import VisitOffer
from scheduler.core.overrides import BookingRule, Override
from scheduler.postgres.errors import NotAllowedError

_MAY: Final = text("""
select coalesce(own.role <> 'doctor' or exists (
    select from scheduling.doctors
    where tenant_id = own.tenant_id and id = :doctor and user_id = own.id
), false) as may_override
from identity.users own
where own.tenant_id = (select identity.current_tenant_id()) and own.id = (select identity.current_user_id())
""")
_KEEP: Final = text("""
update scheduling.appointments set override_rules = cast(:rules as text[]), override_reason = :reason
where tenant_id = (select identity.current_tenant_id()) and id = :visit
""")


class Decide(Protocol):
    """The decision about a visit."""

    def __call__(self, *, relaxed: frozenset[BookingRule] = ...) -> VisitOffer:
        """Decide, without the rules that the visit may break."""


def refuse_override(session: Session, by: Person, doctor_id: int) -> None:
    """Refuse the override of somebody who must not break rules for a doctor: ask as the user.

    Raises:
        NotAllowedError: the user is not staff, or is another doctor.
    """
    if by.user_id is None:
        return
    if not by.is_staff or not session.connection().execute(_MAY, {"doctor": doctor_id}).scalar():
        raise NotAllowedError("only staff override rules of booking, and a doctor those of the own schedule")


def decide_with(override: Override | None, decide: Decide) -> VisitOffer:
    """Decide on a visit, with an override without the rules that it names.

    Raises:
        OverrideNotNeededError: the visit breaks none of them.
        BookingError: as in the decision: a rule is broken that is not named.
    """
    if override is None:
        return decide()
    try:
        decide()
    except (NotOfferedError, CapReachedError):
        return decide(relaxed=frozenset(override.rules))
    raise OverrideNotNeededError("the visit breaks no rule that the override names: book it without one")


def keep_override(session: Session, visit_id: int, override: Override) -> None:
    """Keep with a visit which rules it may break, and why; the audit log has who and when."""
    values = {"visit": visit_id, "rules": sorted(override.rules), "reason": override.reason}
    session.connection().execute(_KEEP, values)
