"""Policies: the rows of booking policies that decide visits, read for one channel.

Owns: the statement that reads rows, the words of channels, and who may still cancel or hold.
Holds: Q2 (the policy of a visit, and until when people who are cared for cancel), B2 (three holds of such a user).
Must not know: which row decides (`core.policy_rows`), how rows are written (`front_door.policies`).
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlmodel import Session

from scheduler import models
from scheduler.booking.errors import TooLateError, TooManyHoldsError
from scheduler.booking.visits import Visit
from scheduler.core.channels import DESK, WEB
from scheduler.core.errors import InvalidInputError
from scheduler.core.policies import DaysBefore, Lead, Policy
from scheduler.core.policy_rows import Place, PolicyRow, effective
from scheduler.core.zones import zone_of
from scheduler.postgres.database import advisory_lock

MOST_HOLDS: Final = 3
"""How many live holds a user has at most on channels other than the desk."""

_MINUTE: Final = timedelta(minutes=1)
_ROWS: Final = text("""
select channel, facility_id, doctor_id, service_offering_id, notice_minutes, notice_days, notice_until, horizon_days,
    hold_minutes, offer_minutes, cancel_minutes, cancel_days, cancel_until
from scheduling.booking_policies
where tenant_id = (select identity.current_tenant_id()) and (channel is null or channel = :channel)
  and (facility_id is null or facility_id = any(cast(:facilities as bigint[])))
  and (doctor_id is null or doctor_id = any(cast(:doctors as bigint[])))
  and (service_offering_id is null or service_offering_id = any(cast(:offerings as bigint[])))
""")
_PLACE: Final = text("""
select facility_id, doctor_id from scheduling.service_offerings
where tenant_id = (select identity.current_tenant_id()) and id = :offering
""")
_CHANNELS: Final = text("""
select distinct channel from scheduling.booking_policies
where tenant_id = (select identity.current_tenant_id()) and channel is not null
""")
_HOLDS: Final = text("""
select count(*) from scheduling.holds
where tenant_id = (select identity.current_tenant_id()) and held_by = :user and channel <> 'desk'
  and ends_at > scheduling.clock()
""")


def policies_of(session: Session, places: Collection[Place]) -> list[Policy]:
    """Return the policies of visits of one channel, in the order of their places."""
    wanted = {
        "channel": next((place.channel for place in places), None),
        "facilities": list({place.facility_id for place in places}),
        "doctors": list({place.doctor_id for place in places}),
        "offerings": list({place.offering_id for place in places}),
    }
    rows = [row_of(row) for row in session.connection().execute(_ROWS, wanted)]
    return [effective(rows, place) for place in places]


def policy_of(session: Session, offering_id: object, channel: str) -> Policy:
    """Return the policy of the visits of an offering on a channel."""
    facility_id, doctor_id = session.connection().execute(_PLACE, {"offering": offering_id}).one()
    place = Place(channel, facility_id, doctor_id, offering_id)  # type: ignore[arg-type]  # an id of any kind
    (policy,) = policies_of(session, [place])
    return policy


def row_of(row: Any) -> PolicyRow:  # noqa: ANN401  # a row of SQLAlchemy, or of the model
    """Return a stored row as a value.

    Raises:
        InvalidInputError: the core refuses the row.
    """
    return PolicyRow(
        Place(row.channel, row.facility_id, row.doctor_id, row.service_offering_id),
        _lead(row.notice_minutes, row.notice_days, row.notice_until),
        row.horizon_days,
        _length(row.hold_minutes),
        _length(row.offer_minutes),
        _lead(row.cancel_minutes, row.cancel_days, row.cancel_until),
    )


def write_row(row: models.BookingPolicy, value: PolicyRow) -> None:
    """Write what a value says into a row of its place."""
    row.notice_minutes, row.notice_days, row.notice_until = _columns(value.notice)
    row.horizon_days = value.horizon
    row.hold_minutes = _minutes(value.hold_lasts)
    row.offer_minutes = _minutes(value.offer_lasts)
    row.cancel_minutes, row.cancel_days, row.cancel_until = _columns(value.cancel_until)


def check_known(session: Session, field: str, channel: str) -> None:
    """Raise unless a channel is the desk, the web, or one for which the tenant has a policy.

    Raises:
        InvalidInputError: nobody knows the channel.
    """
    if channel in {DESK, WEB}:
        return
    others = {row.channel for row in session.connection().execute(_CHANNELS)} - {DESK, WEB}
    if channel not in others:
        known = ", ".join([DESK, WEB, *sorted(others)])
        raise InvalidInputError(
            f"{field}: nobody knows the channel {channel!r}: there are {known}; a policy with another word makes one"
        )


def refuse_late(session: Session, visit: Visit, *, channel: str, now: datetime) -> None:
    """Refuse that people who are cared for cancel or move a visit when it is too late by policy.

    Raises:
        TooLateError: it is.
    """
    policy = policy_of(session, visit.offering_id, channel)
    until = policy.last_cancellation(visit.start_at, zone_of(visit.zone))
    if now > until:
        raise TooLateError(f"the visit could be cancelled or moved until {until.isoformat()}: only staff do now", until)


def refuse_more_holds(session: Session, user_id: UUID) -> None:
    """Refuse another hold to a user who is not staff and has as many as may be.

    The lock lets a second call of the same user wait until the first hold is there to be counted.

    Raises:
        TooManyHoldsError: the user has.
    """
    advisory_lock(session, f"holds of {user_id}")
    count = session.connection().execute(_HOLDS, {"user": user_id}).scalar_one()
    if count >= MOST_HOLDS:
        raise TooManyHoldsError(f"the user holds {count} visits: confirm or release one of them first", MOST_HOLDS)


def _lead(minutes: int | None, days: int | None, until: Any) -> Lead | None:  # noqa: ANN401  # a column
    return _length(minutes) if days is None else DaysBefore(days, until)


def _length(minutes: int | None) -> timedelta | None:
    return None if minutes is None else minutes * _MINUTE


def _minutes(length: timedelta | None) -> int | None:
    return None if length is None else length // _MINUTE


def _columns(lead: Lead | None) -> tuple[int | None, int | None, Any]:
    if isinstance(lead, DaysBefore):
        return None, lead.days, lead.until
    return _minutes(lead), None, None
