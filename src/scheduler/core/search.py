"""Search: the earliest visits whose every step finds its doctor and resources free.

Owns: the search for offers, earliest first.
Holds: Q1 (exact, by interval sets), Q2 (buffers, the patient's own time, weekday and part of day), Q4 (full days have
no starts), W7 (needs), B8 (a visit without a slot, where hours are broken).
Must not know: rows, who may book, how an offer is booked.

A visit is tied to a slot by its *anchor*: the first step with the doctor, or the first of all if none has the doctor,
starts with the slot. Earlier steps come as late, and later steps as early, as all that they need allows.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, time
from heapq import heappop, heappush
from itertools import count
from operator import itemgetter
from typing import Final
from zoneinfo import ZoneInfo

from scheduler.core.calendars import Resource
from scheduler.core.candidates import Candidate
from scheduler.core.chains import EVERYWHERE, Ranges, between
from scheduler.core.errors import InvalidInputError, InvalidWorkflowError
from scheduler.core.free_starts import Stock
from scheduler.core.intervals import merge, subtract
from scheduler.core.offers import OfferedStep, VisitOffer, WantedVisit
from scheduler.core.search_plans import Found, Plan
from scheduler.core.slots import Id, Slot
from scheduler.core.spans import Span
from scheduler.core.validation import Validator
from scheduler.core.weekdays import Weekday
from scheduler.core.zones import DAY, SECOND, WEEKDAY_OF_DAY_0, clock_span, instant, instants_showing, micros

_MINUTE: Final = 60 * SECOND
_CHECK: Final = Validator(InvalidInputError)


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
    own = merge((micros(visit.start), micros(visit.end)) for visit in _CHECK.sequence("patient", patient, Span))
    stock = Stock(_each_once(_CHECK.sequence("resources", resources, Resource)))
    candidates = _CHECK.sequence("candidates", candidates, Candidate)
    for one in candidates:
        if not one.needs_slot:
            raise InvalidInputError(f"candidate {one.offering_id} needs no slot: ask for its visit at a start")
    plans = [Plan(candidate, skipped, stock) for candidate in candidates]
    return _search(plans, wanted, own)


def visit_at(
    candidate: Candidate, resources: Iterable[Resource], wanted: WantedVisit, *, patient: Iterable[Span] = ()
) -> VisitOffer | None:
    """Return the visit that is wanted, at its times, or None if it is not possible.

    A step keeps the resources that are wanted where they are free, and else gets others of their kind.

    Raises:
        InvalidInputError: an argument is invalid.
        InvalidWorkflowError: a step is left out that must not be skipped, or one is wanted that the workflow lacks.
    """
    _CHECK.instance("wanted", wanted, WantedVisit)
    own = merge((micros(visit.start), micros(visit.end)) for visit in _CHECK.sequence("patient", patient, Span))
    preferred = sorted(
        _each_once(_CHECK.sequence("resources", resources, Resource)),
        key=lambda resource: resource.id not in wanted.resources,
    )
    schedule = candidate.calendar.schedule
    if (wanted.slot.doctor_id, wanted.slot.facility_id) != (schedule.doctor_id, schedule.facility_id):
        return None
    positions = {step.position for step in candidate.workflow.steps}
    if wanted.starts.keys() - positions:
        raise InvalidWorkflowError(f"workflow {candidate.workflow.id} has no steps at {sorted(wanted.starts)}")
    plan = Plan(candidate, frozenset(positions - wanted.starts.keys()), Stock(preferred))
    times = [micros(wanted.starts[step.position]) for step in plan.steps]
    start = micros(wanted.slot.start_at)
    if times[plan.anchor] != start or not _is_bookable(candidate, times[0]):
        return None
    for slot in plan.slots(start, start + 1):
        found_slot = slot.end, slot.service_offering_id
        if not candidate.needs_slot or found_slot == (micros(wanted.slot.end_at), wanted.slot.service_offering_id):
            found = plan.at(slot, times, own)
            if found is not None:
                return _offer([plan], (times[0], 0, 0, found))
    return None


def visit_without_slot(
    candidate: Candidate, resources: Iterable[Resource], start_at: datetime, *, skip: Iterable[int] = ()
) -> VisitOffer | None:
    """Return the visit without a slot that starts at an instant, or None if it is not possible.

    The candidate needs no slot. Its steps follow each other without waits up to the anchor. The slot of the offer,
    which is not stored, is the anchor's time.

    Raises:
        InvalidInputError, InvalidWorkflowError: as in `find_visits`.
    """
    stock = Stock(_each_once(_CHECK.sequence("resources", resources, Resource)))
    plan = Plan(candidate, frozenset(_CHECK.sequence("skip", skip, int)), stock)
    start = micros(start_at)
    slot = plan.without_slot(start)
    if slot is None or not _is_bookable(candidate, start):
        return None
    found = plan.find(slot, (), ((start, start + 1),))
    return None if found is None else _offer([plan], (start, 0, 0, found))


def _is_bookable(candidate: Candidate, at: int) -> bool:
    """Tell whether the booking policy and the caps allow a visit that starts at an instant."""
    bookable = candidate.bookable
    if bookable is not None and not micros(bookable.start) <= at < micros(bookable.end):
        return False
    return not any(micros(span.start) <= at < micros(span.end) for span in candidate.capped)


def _each_once(resources: Sequence[Resource]) -> Sequence[Resource]:
    """Return resources; refuse one that is given twice, since it would count as two."""
    seen: set[Id] = set()
    for resource in resources:
        if resource.id in seen:
            raise InvalidInputError(f"two resources have the id {resource.id!r}; kinds and facilities share the ids")
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
            found = plans[order].find(slot, own, wanted.starts(plans[order], start))
            if found is not None and wanted.begin <= found.times[0] < wanted.end:
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
    ids = schedule.doctor_id, schedule.facility_id, slot.service_offering_id
    of_anchor = Slot(instant(slot.start), instant(slot.end), *ids, slot.capacity, slot.rule_id, slot.released_at)
    return VisitOffer(plan.candidate.offering_id, plan.candidate.workflow.id, of_anchor, steps)


class _Start:
    """The starts that a caller asks for."""

    def __init__(self, span: Span, weekdays: Iterable[Weekday], part_of_day: tuple[time, time] | None) -> None:
        self.begin, self.end = micros(span.start), micros(span.end)
        self._weekdays = frozenset(weekday.value for weekday in weekdays)
        self._part: tuple[int, int] | None = None
        self._loaded: dict[tuple[ZoneInfo, int, int], Ranges] = {}
        if part_of_day is not None:
            clocks = _CHECK.sequence("part_of_day", part_of_day, time)
            if len(clocks) != len(("start", "end")):
                raise InvalidInputError(f"part_of_day must be two clock times, not {len(clocks)}")
            for clock in clocks:
                _CHECK.clock("part_of_day", clock)
            self._part = clock_span(*clocks)

    def starts(self, plan: Plan, at: int) -> Ranges:
        """Return the starts that policy, caps, weekdays and part of day allow a visit around a slot.

        Where they end before the slot, the last of them is at a whole minute: the first step comes as late as possible.
        """
        low, high = at - plan.longest_before, at + 1
        if plan.bookable is not None:
            low, high = max(low, plan.bookable[0]), min(high, plan.bookable[1])
        if not self._weekdays and self._part is None:
            if plan.bookable is None and not plan.capped:
                return EVERYWHERE
            ranges: Ranges = [(low, high)][: low < high]
        else:
            zone = plan.candidate.calendar.schedule.zone
            ranges = between(self._on_the_clock(zone, low // DAY, high // DAY), low, high)
        if plan.capped:
            ranges = [*subtract(ranges, plan.capped)]
        return [(first, end if end > at else max(first, (end - 1) // _MINUTE * _MINUTE) + 1) for first, end in ranges]

    def _on_the_clock(self, zone: ZoneInfo, first: int, last: int) -> Ranges:
        """Return the wanted times of the local days that days of UTC overlap."""
        key = zone, first, last
        if key not in self._loaded:
            begin, end = self._part or (0, DAY)
            parts = [(begin, end)] if end <= DAY else [(0, end - DAY), (begin, DAY)]
            self._loaded[key] = merge(
                shown
                for day in range(first - 1, last + 2)
                if not self._weekdays or (day + WEEKDAY_OF_DAY_0) % 7 in self._weekdays
                for low, high in parts
                for shown in instants_showing(zone, day, day * DAY + low, day * DAY + high)
            )
        return self._loaded[key]
