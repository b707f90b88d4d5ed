"""Refusing: why a visit is not offered at an instant, and when the next one is.

Owns: the reasons against a visit, beside those against its slot, which `core.explanation` gives.
Holds: Q3 (the reasons of a visit: the slot's, then those of its steps).
Must not know: how an offer is found (`searching`).
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlmodel import Session

from scheduler.booking.candidates import Fit, Sought
from scheduler.booking.errors import NotOfferedError
from scheduler.booking.loading import Without, stored
from scheduler.booking.releasing import reasons_of_release
from scheduler.booking.searching import Search
from scheduler.core.calendars import Resource
from scheduler.core.candidates import Candidate
from scheduler.core.errors import InvalidInputError
from scheduler.core.explanation import explain
from scheduler.core.reasons import Reason, ReasonCode
from scheduler.core.schedules import Schedule
from scheduler.core.spans import Span
from scheduler.core.visits import walk
from scheduler.core.workflows import DOCTOR, TimedStep
from scheduler.core.zones import LATEST, MICROSECOND, instant, micros
from scheduler.postgres.uses import booking_contexts

_NO_TIME: Final = timedelta(0)
SEARCHED: Final = timedelta(days=35)
"""How far the next start is sought."""
_NO_OTHER: Final = Without()


def not_offered(
    session: Session, sought: Sought, start_at: datetime, *, now: datetime, without: Without = _NO_OTHER
) -> NotOfferedError:
    """Return the error for a visit of an offering that does not start at an instant.

    `without` names a hold or a visit that does not count.

    Raises:
        NotFoundError, WorkflowNotFoundError, InvalidWorkflowError, NoSuchNeedError: it cannot serve the visit at all.
    """
    search = Search(session, sought, Span(start_at, start_at + MICROSECOND), without=without)
    name = f"offering {sought.offering_id} has no visit that starts at {start_at.isoformat()}"
    if not search.fits:
        return NotOfferedError(f"{name}: it is switched off or private, or its doctor does not work there any more")
    (read,) = search.calendars
    if isinstance(read.calendar, InvalidInputError):
        return NotOfferedError(f"{name}: its schedule is invalid: {read.calendar}")
    reasons = sorted(_reasons(session, search, read.calendar.schedule, start_at, now), key=_rank)
    begin = max(start_at + MICROSECOND, now)
    following = Search(session, sought, Span(begin, min(begin, LATEST - SEARCHED) + SEARCHED))
    next_offer = next(following.offers(), None)
    text = "; ".join(dict.fromkeys(reason.text for reason in reasons))
    return NotOfferedError(f"{name}: {text}", reasons, None if next_offer is None else next_offer.start_at)


def _rank(reason: Reason) -> int:
    return list(ReasonCode).index(reason.code)


def _reasons(session: Session, search: Search, schedule: Schedule, start_at: datetime, now: datetime) -> list[Reason]:
    """Return the reasons against the slot on which the visit would start without waits, else against its steps."""
    (fit,) = search.fits
    left = {step.position for step in fit.steps}
    steps = walk(fit.workflow, start_at, skip={step.position for step in fit.workflow.steps} - left)
    anchor = next((timed for timed in steps if timed.step.has_doctor), steps[0])
    at = anchor.start_at
    if start_at < now:
        return [Reason(ReasonCode.NOTICE, start_at, at, "the visit begins in the past")]
    doctor_id = fit.offering.doctor_id
    bookings = booking_contexts(session, [doctor_id], at, at + MICROSECOND, now=now)[doctor_id]
    explanation = explain(schedule, at, bookings=bookings, search=_NO_TIME)
    not_yet = reasons_of_release(schedule, search.sought, fit.offering.id, at, free=explanation.offered)
    if explanation.reasons or not_yet:
        return [*not_yet, *explanation]
    offered = [slot for slot in explanation.offered if slot.service_offering_id in {None, fit.offering.id}]
    if not offered:
        return [Reason(ReasonCode.OFF_GRID, at, at, "the slots that start then are for other offerings")]
    candidates, resources = search.near(Span(start_at, start_at + MICROSECOND))
    if not candidates or not stored(session, offered):
        return [Reason(ReasonCode.NOT_GENERATED, at, offered[0].end_at, "the slots of this time are not generated yet")]
    return list(_reasons_of_steps(fit, steps, candidates[0], resources)) or [
        Reason(ReasonCode.CAPACITY, at, offered[0].end_at, "no place is left, or the steps find no time together")
    ]


def _reasons_of_steps(
    fit: Fit, steps: Sequence[TimedStep], candidate: Candidate, resources: Sequence[Resource]
) -> Iterator[Reason]:
    """Yield the reasons against the steps, one after another without waits."""
    calendar, with_doctor = candidate.calendar.loaded, [timed for timed in steps if timed.step.has_doctor]
    anchor = next(iter(with_doctor), steps[0])
    slots = list(calendar.open_slots(micros(anchor.start_at), micros(anchor.start_at) + 1))
    slot = next((slot for slot in slots if slot.service_offering_id in {None, fit.offering.id}), None)
    for timed in steps:
        begin_at = timed.start_at - timed.step.lead
        begin, end = micros(begin_at), micros(timed.end_at)
        name = f"step {timed.position} ({timed.step.template.name})"
        if timed.step.has_doctor:
            first = begin - (candidate.buffer_before // MICROSECOND if timed is with_doctor[0] else 0)
            last = end + (candidate.buffer_after // MICROSECOND if timed is with_doctor[-1] else 0)
            if calendar.unused(first, last, beside=slot) != [(first, last)]:
                text = f"{name}: a visit or a hold takes the doctor"
                yield Reason(ReasonCode.BOOKED, instant(first), instant(last), text)
            if calendar.working(begin, end) != [(begin, end)]:
                yield Reason(ReasonCode.OUTSIDE_RULES, begin_at, timed.end_at, f"{name}: the doctor does not work then")
        without = candidate.calendar.schedule.doctor_id if timed.step.has_doctor else None
        for need in timed.step.all_needs:
            if need.kind == DOCTOR:
                continue
            free = sum(
                resource.kind == need.kind
                and (without is None or resource.doctor_id != without)
                and resource.loaded.free(begin, end) == [(begin, end)]
                for resource in resources
            )
            if free < need.quantity:
                text = f"{name} needs {need.quantity} of {need.kind}, and {free} of them are free"
                yield Reason(ReasonCode.NO_RESOURCE, begin_at, timed.end_at, text)
