"""Refusing: the error for a visit that is not offered at an instant, with the next start that is.

Owns: the error, and the reasons against an instant at which no slot of the offering starts.
Holds: Q3 (a refusal has its reasons, and the next start that is offered).
Must not know: how an offer is found (`searching`), the reasons against a start of the offering (`start_reasons`).
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from sqlmodel import Session

from scheduler.booking.errors import NotOfferedError
from scheduler.booking.loading import Without
from scheduler.booking.searching import Search
from scheduler.booking.sought_visits import Sought
from scheduler.booking.start_reasons import ahead_of, reasons_of_starts, told
from scheduler.core.errors import InvalidInputError
from scheduler.core.explanation import explain
from scheduler.core.reasons import Reason, ReasonCode
from scheduler.core.schedules import Schedule
from scheduler.core.spans import Span
from scheduler.core.zones import MICROSECOND, after, zone_of
from scheduler.postgres.uses import booking_contexts

_NO_TIME: Final = timedelta(0)
SEARCHED: Final = timedelta(days=35)
"""How far the next start is sought."""
_NO_OTHER: Final = Without()


def not_offered(
    session: Session, sought: Sought, start_at: datetime, *, now: datetime, without: Without = _NO_OTHER
) -> NotOfferedError:
    """Return the error for a visit of an offering that does not start at an instant.

    `without` names a hold or a visit that does not count. Visits and holds are named to staff only.

    Raises:
        NotFoundError, WorkflowNotFoundError, InvalidWorkflowError, NoSuchNeedError: it cannot serve the visit at all.
    """
    sought = sought.on_slots
    search = Search(session, sought, Span(start_at, start_at + MICROSECOND), without=without)
    name = f"offering {sought.offering_id} has no visit that starts at {start_at.isoformat()}"
    schedule = schedule_of(search, name)
    if isinstance(schedule, NotOfferedError):
        return schedule
    reasons = _reasons(session, search, schedule, start_at, now, names=sought.names)
    begin = max(start_at + MICROSECOND, now)
    text = "; ".join(reason.text for reason in reasons)
    return NotOfferedError(f"{name}: {text}", reasons, next_start(session, replace(sought, now=now), begin))


def next_start(session: Session, sought: Sought, begin: datetime) -> datetime | None:
    """Return the start of the first visit on a slot from an instant on; None if none is near."""
    span = Span(begin, after(begin, SEARCHED))
    offer = next(Search(session, sought.on_slots, span).offers(), None)
    return None if offer is None else offer.start_at


def schedule_of(search: Search, name: str) -> Schedule | NotOfferedError:
    """Return the schedule of the one offering that is sought, or the error that it has no visits at all."""
    if not search.fits:
        return NotOfferedError(f"{name}: it is switched off or private, or its doctor does not work there any more")
    (read,) = search.calendars
    if isinstance(read.calendar, InvalidInputError):
        return NotOfferedError(f"{name}: its schedule is invalid: {read.calendar}")
    return read.calendar.schedule


def _reasons(
    session: Session, search: Search, schedule: Schedule, start_at: datetime, now: datetime, *, names: bool
) -> list[Reason]:
    """Return the reasons against the start, else those against the instant of the anchor of a visit without waits."""
    (fit,) = search.fits
    instant = Span(start_at, start_at + MICROSECOND)
    reasons = reasons_of_starts(session, search, schedule, instant, now=now, names=names).get(start_at)
    if reasons is not None:
        return reasons
    if start_at < now:
        return [Reason(ReasonCode.NOTICE, start_at, start_at, "the visit begins in the past")]
    at = after(start_at, ahead_of(fit))
    bookings = booking_contexts(session, [fit.offering.doctor_id], at, at + MICROSECOND, now=now)
    explanation = explain(schedule, at, bookings=bookings[fit.offering.doctor_id], search=_NO_TIME)
    limits = [*fit.starts.reasons(start_at), *_of_caps(search, start_at)]
    return told([*limits, *explanation.reasons], zone_of(fit.offering.zone), names=names)


def _of_caps(search: Search, start_at: datetime) -> Iterator[Reason]:
    for cap in search.caps_reached(start_at):
        yield Reason(ReasonCode.CAP, start_at, start_at, cap.text, cause_id=cap.id)
