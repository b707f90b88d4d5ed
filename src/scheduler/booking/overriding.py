"""Overriding: a visit that breaks rules of booking, each named, is decided on.

Owns: who may override, the decisions without the named rules, and which of them the visit breaks.
Holds: B8 (a broken rule that is not named refuses; rules that are not broken are refused).
Must not know: which rules there are (`core.overrides`), how they are checked.
"""

from dataclasses import replace
from datetime import datetime
from typing import Final, NamedTuple, Protocol

from sqlalchemy import text
from sqlmodel import Session

from scheduler.booking.errors import CapReachedError, NotOfferedError, OverrideNotNeededError, SlotTakenError
from scheduler.booking.people import Person
from scheduler.booking.searching import Search
from scheduler.booking.sought_visits import Sought
from scheduler.core.offers import VisitOffer
from scheduler.core.overrides import BookingRule, Override
from scheduler.core.spans import Span
from scheduler.core.zones import MICROSECOND
from scheduler.postgres.errors import NotAllowedError

_MAY: Final = text("""
select coalesce(own.role <> 'doctor' or exists (
    select from scheduling.doctors
    where tenant_id = own.tenant_id and id = :doctor and user_id = own.id
), false) as may_override
from identity.users own
where own.tenant_id = (select identity.current_tenant_id()) and own.id = (select identity.current_user_id())
""")
_REFUSALS: Final = (NotOfferedError, CapReachedError, SlotTakenError)
_ORDER: Final = (BookingRule.HOURS, *(rule for rule in BookingRule if rule is not BookingRule.HOURS))
"""A visit without a slot comes last: where the other rules are enough, the visit has a slot."""


class Decided(NamedTuple):
    """A visit that was decided on, the rules that it breaks, and the reason."""

    offer: VisitOffer
    broken: frozenset[BookingRule] = frozenset()
    reason: str | None = None


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


def decide_with(override: Override | None, decide: Decide) -> Decided:
    """Decide on a visit, with an override without those of its rules that the visit breaks, which are returned.

    With an override, the decision must be a careful one, since what is taken decides which rules are broken.

    Raises:
        OverrideNotNeededError: the visit breaks none of them.
        BookingError: as in the decision: a rule is broken that is not named.
    """
    if override is None:
        return Decided(decide())
    broken = frozenset(override.rules)
    for rule in filter(broken.__contains__, _ORDER):
        try:
            decide(relaxed=broken - {rule})
        except _REFUSALS:
            continue
        broken -= {rule}
    if not broken:
        raise OverrideNotNeededError("the visit breaks no rule that the override names: book it without one")
    return Decided(decide(relaxed=broken), broken, override.reason)


def offer_of(session: Session, sought: Sought, start_at: datetime) -> VisitOffer | None:
    """Return the visit of one offering that starts at an instant; one without a slot comes last."""
    instant = Span(start_at, start_at + MICROSECOND)
    with_slot = replace(sought, relaxed=sought.relaxed - {BookingRule.HOURS})
    for offer in Search(session, with_slot, instant).offers():
        return offer
    if BookingRule.HOURS not in sought.relaxed:
        return None
    return Search(session, sought, instant).without_slot(start_at)
