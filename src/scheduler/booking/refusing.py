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
from scheduler.booking.loading import Taken, before, taken
from scheduler.booking.searching import Search
from scheduler.core.bookings import BookingContext
from scheduler.core.calendars import Resource
from scheduler.core.errors import InvalidInputError
from scheduler.core.explanation import explain
from scheduler.core.reasons import Reason, ReasonCode
from scheduler.core.schedules import Schedule
from scheduler.core.spans import Span
from scheduler.core.validation import LONGEST_SLOT
from scheduler.core.visits import walk
from scheduler.core.workflows import DOCTOR, TimedStep
from scheduler.core.zones import MICROSECOND
from scheduler.postgres.slots import slots_of_doctor

_MINUTE: Final = timedelta(minutes=1)
_NO_TIME: Final = timedelta(0)
SEARCHED: Final = timedelta(days=35)
"""How far the next start is sought."""


def not_offered(session: Session, sought: Sought, start_at: datetime, *, now: datetime) -> NotOfferedError:
    """Return the error for a visit of an offering that does not start at an instant.

    Raises:
        NotFoundError, WorkflowNotFoundError, InvalidWorkflowError, NoSuchNeedError: it cannot serve the visit at all.
    """
    search = Search(session, sought, Span(start_at, start_at + MICROSECOND))
    name = f"offering {sought.offering_id} has no visit that starts at {start_at.isoformat()}"
    if not search.fits:
        return NotOfferedError(f"{name}: it is switched off or private, or its doctor does not work there any more")
    (fit,), (loaded,) = search.fits, search.loaded
    if isinstance(loaded.schedule, InvalidInputError):
        return NotOfferedError(f"{name}: its schedule is invalid: {loaded.schedule}")
    reasons = sorted(_reasons(session, fit, loaded.schedule, search.resources, start_at, now), key=_rank)
    begin = max(start_at + MICROSECOND, now)
    following = Search(session, sought, Span(begin, begin + SEARCHED))
    next_offer = next(following.offers(), None)
    text = "; ".join(dict.fromkeys(reason.text for reason in reasons))
    return NotOfferedError(f"{name}: {text}", reasons, None if next_offer is None else next_offer.start_at)


def _rank(reason: Reason) -> int:
    return list(ReasonCode).index(reason.code)


def _reasons(
    session: Session, fit: Fit, schedule: Schedule, resources: Sequence[Resource], start_at: datetime, now: datetime
) -> list[Reason]:
    """Return the reasons against the slot on which the visit would start, else those against its steps."""
    steps = walk(
        fit.workflow,
        start_at,
        skip={step.position for step in fit.workflow.steps} - {step.position for step in fit.steps},
    )
    anchor = next((timed for timed in steps if timed.step.has_doctor), steps[0])
    at = anchor.start_at
    known = slots_of_doctor(session, fit.offering.doctor_id, before(at, LONGEST_SLOT), at + LONGEST_SLOT)
    explanation = explain(schedule, at, bookings=BookingContext(known, now), search=timedelta(0))
    if explanation.reasons:
        return list(explanation)
    offered = [slot for slot in explanation.offered if slot.service_offering_id in {None, fit.offering.id}]
    if not offered:
        return [Reason(ReasonCode.OFF_GRID, at, at, "the slots that start then are for other offerings")]
    if not {slot.identity for slot in offered} & {stored.slot.identity for stored in known}:
        return [Reason(ReasonCode.NOT_GENERATED, at, offered[0].end_at, "no slots are generated yet for this time")]
    busy = taken(
        session,
        Span(before(start_at, LONGEST_SLOT), steps[-1].end_at + LONGEST_SLOT),
        doctors=[fit.offering.doctor_id],
        resources=[resource.id for resource in resources],  # type: ignore[misc]  # the ids of rows
    )
    return list(_reasons_of_steps(fit, steps, busy, resources)) or [
        Reason(ReasonCode.TOO_SHORT, start_at, steps[-1].end_at, "the steps with the doctor leave the working time")
    ]


def _reasons_of_steps(
    fit: Fit, steps: Sequence[TimedStep], busy: Taken, resources: Sequence[Resource]
) -> Iterator[Reason]:
    """Yield the reasons against the steps, one after another without waits."""
    with_doctor = [timed for timed in steps if timed.step.has_doctor]
    uses = [use.span for use in busy.doctors.get(fit.offering.doctor_id, ())]
    for timed in steps:
        begin, end = timed.start_at - timed.step.lead, timed.end_at
        name = f"step {timed.position} ({timed.step.template.name})"
        if timed.step.has_doctor:
            own_begin = begin - (fit.offering.buffer_before * _MINUTE if timed is with_doctor[0] else _NO_TIME)
            own_end = end + (fit.offering.buffer_after * _MINUTE if timed is with_doctor[-1] else _NO_TIME)
            for use in uses:
                if use.start < own_end and own_begin < use.end:
                    yield Reason(ReasonCode.BOOKED, use.start, use.end, f"{name}: the doctor is taken then")
        for need in timed.step.all_needs:
            if need.kind == DOCTOR:
                continue
            free = sum(
                resource.kind == need.kind
                and not any(use.start < end and begin < use.end for use in busy.resources.get(resource.id, ()))  # type: ignore[call-overload]  # the id of a row
                for resource in resources
            )
            if free < need.quantity:
                text = f"{name}: {need.quantity} of {need.kind} needed and {free} free"
                yield Reason(ReasonCode.NO_RESOURCE, begin, end, text)
