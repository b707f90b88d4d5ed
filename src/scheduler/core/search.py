"""Search: the earliest visits whose every step finds its doctor and resources free.

Owns: candidates and offers as values, and the search for them, earliest first.
Holds: Q1 (exact, by interval sets), Q2 (buffers, the patient's own time, weekday and part of day), W7 (needs).
Must not know: rows, who may book, how an offer is booked.

A visit is tied to a slot by its *anchor*: the first step with the doctor, or the first of all if none has the doctor,
starts with the slot. Earlier steps come as late, and later steps as early, as all that they need allows.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time
from heapq import heappop, heappush
from itertools import count
from operator import itemgetter
from typing import Final

from scheduler.core.calendars import Resource
from scheduler.core.candidates import Candidate
from scheduler.core.chains import Ranges
from scheduler.core.errors import InvalidInputError, InvalidWorkflowError
from scheduler.core.free_starts import Stock
from scheduler.core.intervals import merge as union_of
from scheduler.core.search_plans import Found, Plan
from scheduler.core.slots import Id, Slot
from scheduler.core.spans import Span
from scheduler.core.validation import Validator
from scheduler.core.weekdays import Weekday
from scheduler.core.workflows import WorkflowStep
from scheduler.core.zones import DAY, WEEKDAY_OF_DAY_0, clock_span, instant, micros, wall_of

_CHECK: Final = Validator(InvalidInputError)


@dataclass(frozen=True, slots=True)
class OfferedStep:
    """A step of an offer: its times `[start_at, end_at)` in UTC, and the ids of its resources by kind."""

    step: WorkflowStep
    start_at: datetime
    end_at: datetime
    resources: Mapping[str, tuple[Id, ...]]


@dataclass(frozen=True, slots=True)
class VisitOffer:
    """A visit that could be booked: the slot of its anchor, and its steps in order with their resources."""

    offering_id: Id
    workflow_id: Id
    slot: Slot
    steps: tuple[OfferedStep, ...]

    @property
    def start_at(self) -> datetime:
        """The start of the first step, when the patient is to be there."""
        return self.steps[0].start_at

    @property
    def end_at(self) -> datetime:
        """The end of the last step."""
        return self.steps[-1].end_at


def find_visits(  # noqa: PLR0913  # what a caller can ask for
    candidates: Iterable[Candidate],
    resources: Iterable[Resource],
    span: Span,
    *,
    patient: Iterable[Span] = (),
    skip: Iterable[int] = (),
    weekdays: Iterable[Weekday] = (),
    part_of_day: tuple[time, time] | None = None,
) -> Iterator[VisitOffer]:
    """Yield the visits that start in a span, by their start, then in the order of the candidates.

    `patient` are the patient's own visits, which the whole visit must not touch. `skip` names positions to leave out.
    The visit starts on one of the weekdays, if any, and within the part of the day, if given, on the facility's clock;
    an end before its start lies on the next day.

    Raises:
        InvalidInputError: an argument is invalid.
        InvalidWorkflowError: a workflow lacks a position to skip, its step must not be skipped, or none is left.
    """
    _CHECK.instance("span", span, Span)
    skipped = frozenset(_CHECK.sequence("skip", skip, int))
    wanted = _Start(span, frozenset(_CHECK.sequence("weekdays", weekdays, Weekday)), part_of_day)
    own = union_of((micros(visit.start), micros(visit.end)) for visit in _CHECK.sequence("patient", patient, Span))
    stock = Stock(_each_once(_CHECK.sequence("resources", resources, Resource)))
    plans = [Plan(candidate, skipped, stock) for candidate in _CHECK.sequence("candidates", candidates, Candidate)]
    return _search(plans, wanted, own)


def visit_at(
    candidate: Candidate, resources: Iterable[Resource], offer: VisitOffer, *, patient: Iterable[Span] = ()
) -> VisitOffer | None:
    """Return the visit of an offer at its times, or None if it is not possible, or not any more.

    Nothing of the offer is believed. A step keeps its resources where they are free, and else gets others of the kind.

    Raises:
        InvalidInputError: an argument is invalid.
        InvalidWorkflowError: the offer lacks a step that must not be skipped, or has one that the workflow lacks.
    """
    _CHECK.instance("offer", offer, VisitOffer)
    own = union_of((micros(visit.start), micros(visit.end)) for visit in _CHECK.sequence("patient", patient, Span))
    positions = [step.step.position for step in offer.steps]
    skipped = frozenset(step.position for step in candidate.workflow.steps).difference(positions)
    wanted = {id_ for step in offer.steps for ids in step.resources.values() for id_ in ids}
    found_resources = sorted(
        _each_once(_CHECK.sequence("resources", resources, Resource)), key=lambda resource: resource.id not in wanted
    )
    plan = Plan(candidate, skipped, Stock(found_resources))
    if [step.position for step in plan.steps] != positions:
        raise InvalidWorkflowError(f"workflow {candidate.workflow.id} has no steps at the positions {positions}")
    start = micros(offer.slot.start_at)
    times = [micros(step.start_at) for step in offer.steps]
    if times[plan.anchor] != start:
        return None
    for slot in plan.slots(start, start + 1):
        if slot.end == micros(offer.slot.end_at) and slot.service_offering_id == offer.slot.service_offering_id:
            found = plan.at(slot, times, own)
            if found is not None and plan.allows(times[0]):
                return _offer([plan], (times[0], 0, 0, found))
    return None


def _each_once(resources: Sequence[Resource]) -> Sequence[Resource]:
    """Return resources; refuse one that is given twice, since it would count as two."""
    seen: set[Id] = set()
    for resource in resources:
        if resource.id in seen:
            raise InvalidInputError(f"two resources have the id {resource.id!r}")
        seen.add(resource.id)
    return resources


def _search(plans: Sequence[Plan], wanted: "_Start", own: Ranges) -> Iterator[VisitOffer]:
    lead = max((plan.longest_before for plan in plans), default=0)
    pending: list[tuple[int, int, int, Found]] = []
    numbers = count()
    begin, last = wanted.begin, wanted.end + lead
    while begin < last:
        end = min((begin // DAY + 1) * DAY, last)
        slots = [(slot.start, order, slot) for order, plan in enumerate(plans) for slot in plan.slots(begin, end)]
        slots.sort(key=itemgetter(0, 1))
        for start, order, slot in slots:
            while pending and pending[0][0] < start - lead:  # no later slot has an earlier visit
                yield _offer(plans, heappop(pending))
            found = plans[order].find(slot, own)
            if found is not None and wanted.allows(plans[order], found.times[0]):
                heappush(pending, (found.times[0], order, next(numbers), found))
        begin = end
    while pending:
        yield _offer(plans, heappop(pending))


def _offer(plans: Sequence[Plan], pending: tuple[int, int, int, Found]) -> VisitOffer:
    _, order, _, found = pending
    plan, slot = plans[order], found.slot
    schedule = plan.candidate.calendar.schedule
    steps = tuple(
        OfferedStep(step, instant(at), instant(at) + step.length, resources)
        for step, at, resources in zip(plan.steps, found.times, found.resources, strict=True)
    )
    ids = schedule.doctor_id, schedule.facility_id, slot.service_offering_id, slot.capacity, slot.rule_id
    of_anchor = Slot(instant(slot.start), instant(slot.end), *ids)
    return VisitOffer(plan.candidate.offering_id, plan.candidate.workflow.id, of_anchor, steps)


class _Start:
    """The starts that a caller asks for."""

    def __init__(self, span: Span, weekdays: Iterable[Weekday], part_of_day: tuple[time, time] | None) -> None:
        self.begin, self.end = micros(span.start), micros(span.end)
        self._weekdays = frozenset(weekday.value for weekday in weekdays)
        self._part = None
        if part_of_day is not None:
            clocks = _CHECK.sequence("part_of_day", part_of_day, time)
            if len(clocks) != len(("start", "end")):
                raise InvalidInputError(f"part_of_day must be two clock times, not {len(clocks)}")
            for clock in clocks:
                _CHECK.clock("part_of_day", clock)
            self._part = clock_span(*clocks)

    def allows(self, plan: Plan, at: int) -> bool:
        """Tell whether a visit may start at an instant."""
        if not self.begin <= at < self.end or not plan.allows(at):
            return False
        if not self._weekdays and self._part is None:
            return True
        day, clock = divmod(wall_of(plan.candidate.calendar.schedule.zone, at), DAY)
        if self._weekdays and (day + WEEKDAY_OF_DAY_0) % 7 not in self._weekdays:
            return False
        return self._part is None or any(self._part[0] <= at < self._part[1] for at in (clock, clock + DAY))
