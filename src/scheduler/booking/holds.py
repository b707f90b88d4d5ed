"""Holds: a visit kept for whoever has the token, until its end.

Owns: the hold as a value, its token, and holding, prolonging and releasing.
Holds: B2 (a hold ends by the clock of the database; only its token opens it, which is kept as a digest).
Must not know: patients, how a hold becomes a visit (`bookings`).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any, Final, NamedTuple

from sqlalchemy import text
from sqlmodel import Session

from scheduler.booking.deciding import Locked, decide, lock
from scheduler.booking.errors import HoldEndedError, UnknownHoldError
from scheduler.booking.people import Person
from scheduler.booking.policies import policy_of, refuse_more_holds
from scheduler.booking.visit_rows import PlannedVisit, planned_visit, write_hold
from scheduler.core.errors import InvalidInputError
from scheduler.core.offers import VisitOffer, WantedVisit
from scheduler.core.policies import LONGEST_HOLD
from scheduler.core.slots import SlotIdentity

_TOKEN_BYTES: Final = 32
_BY_TOKEN: Final = text("""
select id, ends_at, ends_at > scheduling.clock() as is_live, held_by, channel, steps,
    service_offering_id as offering_id, service_workflow_id as workflow_id, doctor_id, facility_id, start_at, end_at,
    slot_start_at, slot_end_at, slot_offering_id
from scheduling.holds
where tenant_id = (select identity.current_tenant_id()) and token_digest = :digest
""")
_BY_TOKEN_AWAITED: Final = text(_BY_TOKEN.text + "for no key update")
_PROLONG: Final = text("""
update scheduling.holds set ends_at = scheduling.clock() + :lasts
where tenant_id = (select identity.current_tenant_id()) and id = :hold and ends_at > scheduling.clock()
returning ends_at
""")
# Hours of resources have no fingerprint.
_TAKE: Final = text("""
with taken as (
    delete from scheduling.holds
    where tenant_id = (select identity.current_tenant_id()) and id = :hold and ends_at > scheduling.clock()
    returning doctor_id, facility_id, service_offering_id, schedule_fingerprint, start_at, channel
)
select coalesce(state.fingerprint = taken.schedule_fingerprint, false) and taken.start_at >= :now and exists (
    select from scheduling.service_offerings offering
    join scheduling.doctors doctor
        on doctor.tenant_id = offering.tenant_id and doctor.id = offering.doctor_id and doctor.deleted_at is null
    join scheduling.facilities facility
        on facility.tenant_id = offering.tenant_id and facility.id = offering.facility_id
        and facility.deleted_at is null
    join scheduling.facility_doctors post
        on post.tenant_id = offering.tenant_id and post.doctor_id = offering.doctor_id
        and post.facility_id = offering.facility_id and post.active
    where offering.tenant_id = (select identity.current_tenant_id()) and offering.id = taken.service_offering_id
      and offering.active and (offering.visibility = 'public' or taken.channel = 'desk')
) and not exists (
    select from scheduling.resources
    where tenant_id = (select identity.current_tenant_id()) and id = any(cast(:resources as bigint[])) and not active
) and not exists (
    select from scheduling.resource_rules
    where tenant_id = (select identity.current_tenant_id()) and resource_id = any(cast(:resources as bigint[]))
) and not exists (
    select from scheduling.resource_exceptions
    where tenant_id = (select identity.current_tenant_id()) and resource_id = any(cast(:resources as bigint[]))
) as is_unchanged
from taken
left join scheduling.schedule_states state
    on state.tenant_id = (select identity.current_tenant_id()) and state.doctor_id = taken.doctor_id
    and state.facility_id = taken.facility_id
""")
_RELEASE: Final = text("""
delete from scheduling.holds where tenant_id = (select identity.current_tenant_id()) and id = :hold
""")
_RENEW: Final = text("""
update scheduling.holds set token_digest = :digest
where tenant_id = (select identity.current_tenant_id()) and id = :hold and ends_at > scheduling.clock()
returning ends_at
""")
_AWAIT: Final = text("""
select from scheduling.holds
where tenant_id = (select identity.current_tenant_id()) and id = :hold for no key update
""")


@dataclass(frozen=True, slots=True)
class Hold:
    """A held visit: confirm, extend or release it with this value, or with its token, before `ends_at` (in UTC).

    The token is secret: whoever has it may book the visit.
    """

    token: str = field(repr=False)
    ends_at: datetime
    offer: VisitOffer


class HeldVisit(NamedTuple):
    """A hold as it is stored, with the visit that it holds."""

    id: int
    channel: str
    wanted: WantedVisit
    planned: PlannedVisit


def lasting(lasts: timedelta) -> timedelta:
    """Return how long a hold is to last, as somebody says.

    Raises:
        InvalidInputError: it is no timedelta longer than zero and of at most a day.
    """
    if not isinstance(lasts, timedelta) or not timedelta(0) < lasts <= LONGEST_HOLD:
        raise InvalidInputError(f"hold: lasts must be a timedelta longer than zero, at most one day, not {lasts!r}")
    return lasts


def hold_visit(  # noqa: PLR0913  # what a hold has
    session: Session,
    wanted: WantedVisit,
    *,
    by: Person,
    channel: str,
    now: datetime,
    lasts: timedelta | None,
    label: str | None,
    random_bytes: Callable[[int], bytes],
    careful: bool,
) -> tuple[int, Hold]:
    """Hold a visit on a channel, and return the hold with its id.

    It lasts as long as its policy says if `lasts` does not.

    Raises:
        TooManyHoldsError: the user is not staff, and has as many holds as may be.
        NotOfferedError, SlotTakenError: as in `decide`.
    """
    if by.user_id is not None and not by.is_staff:
        refuse_more_holds(session, by.user_id)
    possible = decide(session, wanted, now=now, channel=channel, names=by.is_staff, careful=careful)
    if lasts is None:
        lasts = policy_of(session, possible.offering_id, channel).hold_lasts
    token = _token(random_bytes)
    row = write_hold(
        session,
        planned_visit(possible, careful=careful),
        digest=_digest(token),
        lasts=lasts,
        channel=channel,
        label=label,
        user_id=by.user_id,
    )
    return row.id, Hold(token, row.ends_at.astimezone(UTC), possible)


def renew_token(
    session: Session, hold_id: int, *, random_bytes: Callable[[int], bytes]
) -> tuple[HeldVisit, str, datetime]:
    """Give a live hold a new token, and return hold, token and end; the former opens nothing.

    A hold that seems to have ended may be about to be extended, so whoever writes it is awaited.

    Raises:
        HoldEndedError: it has ended, or was confirmed or released.
    """
    token = _token(random_bytes)
    renewed = {"hold": hold_id, "digest": _digest(token)}
    row = session.connection().execute(_RENEW, renewed).first()
    if row is None:
        session.connection().execute(_AWAIT, {"hold": hold_id})
        row = session.connection().execute(_RENEW, renewed).first()
    if row is None:
        raise HoldEndedError("the hold of the first request has ended, or was confirmed or released")
    stored = session.connection().execute(_BY_TOKEN, {"digest": _digest(token)}).one()
    return _held(stored), token, row.ends_at.astimezone(UTC)


def held_visit(session: Session, token: str, *, by: Person, ended: bool = False) -> HeldVisit:
    """Return the live hold that a token opens; with `ended`, also one that has ended.

    A hold that seems to have ended may be about to be extended, so whoever writes it is awaited.

    Raises:
        UnknownHoldError: no hold has this token, or it is another user's.
        HoldEndedError: it has ended.
    """
    row = session.connection().execute(_BY_TOKEN, {"digest": _digest(token)}).one_or_none()
    if row is not None and not row.is_live and not ended:
        with session.begin_nested() as savepoint:
            row = session.connection().execute(_BY_TOKEN_AWAITED, {"digest": _digest(token)}).one_or_none()
            savepoint.rollback()  # gives the lock back: a hold is locked last
    if row is None or (by.user_id is not None and row.held_by not in {None, by.user_id}):
        raise UnknownHoldError("no hold has this token: it has ended, was confirmed or released, or is another user's")
    if not row.is_live and not ended:
        raise HoldEndedError(f"the hold ended at {row.ends_at.astimezone(UTC).isoformat()}: find the visit again")
    return _held(row)


def _held(row: Any) -> HeldVisit:  # noqa: ANN401  # a row of SQLAlchemy
    """Return a stored hold. Its slot may be gone, as by an emergency."""
    starts = {step["position"]: datetime.fromisoformat(step["start_at"]).astimezone(UTC) for step in row.steps}
    resources = frozenset(id_ for step in row.steps for id_ in step["resources"])
    slot = SlotIdentity(row.slot_start_at, row.slot_end_at, row.doctor_id, row.facility_id, row.slot_offering_id)
    planned = {
        "careful": False,
        "slotless": False,
        "rules": [],
        "reason": None,
        "lead": timedelta(0),
        "doctor": row.doctor_id,
        "facility": row.facility_id,
        "offering": row.offering_id,
        "workflow": row.workflow_id,
        "slot_start": row.slot_start_at,
        "slot_end": slot.end_at,
        "slot_offering": row.slot_offering_id,
        "start": row.start_at,
        "end": row.end_at,
        "steps": row.steps,
    }
    wanted = WantedVisit(row.offering_id, row.workflow_id, slot, starts, resources)
    return HeldVisit(row.id, row.channel, wanted, planned)


def extend_hold(session: Session, held: HeldVisit, *, lasts: timedelta) -> datetime:
    """Let a hold last so long from now on, by the clock of the database, and return its new end.

    Raises:
        HoldEndedError: it has ended meanwhile.
    """
    doctor_id: Any = held.wanted.slot.doctor_id
    offering_id: Any = held.wanted.offering_id
    # before the hold: who needs its time has the doctor, and who counts it a cap
    lock(session, Locked(doctors=[doctor_id], offerings=[offering_id]))
    row = session.connection().execute(_PROLONG, {"hold": held.id, "lasts": lasts}).first()
    if row is None:
        raise HoldEndedError("the hold has just ended: find the visit again")
    ends_at: datetime = row.ends_at
    return ends_at.astimezone(UTC)


def take_hold(session: Session, held: HeldVisit, *, now: datetime) -> bool:
    """End a live hold, whose visit is written in the same transaction.

    Return whether nothing has changed on which the hold was decided: the schedule, the offering and who serves it.

    Raises:
        HoldEndedError: it has ended meanwhile.
    """
    values = {"hold": held.id, "resources": list(held.wanted.resources), "now": now}
    row = session.connection().execute(_TAKE, values).first()
    if row is None:
        raise HoldEndedError("the hold has just ended: find the visit again")
    return bool(row.is_unchanged)


def release_hold(session: Session, held: HeldVisit) -> None:
    """End a hold."""
    session.connection().execute(_RELEASE, {"hold": held.id})


def _token(random_bytes: Callable[[int], bytes]) -> str:
    return random_bytes(_TOKEN_BYTES).hex()


def _digest(token: str) -> bytes:
    return sha256(token.encode()).digest()
