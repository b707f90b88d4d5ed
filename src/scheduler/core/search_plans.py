"""Search plans: the visit of one candidate around one slot.

Owns: the candidate as a value, the sets of starts of its steps, and the choice of times and resources.
Holds: Q1 (exact), Q2 (buffers, the patient's own time), W7 (needs, the same resources in several steps).
Must not know: which slots are asked for, the order of offers (`search`).

Sets of starts are computed for a week at a time, and those of resources are shared by all candidates of a facility.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import combinations, pairwise, product
from typing import Final, NamedTuple

from scheduler.core.calendars import WEEK, DoctorCalendar, OpenSlot, Resource
from scheduler.core.chains import (
    EVERYWHERE,
    Link,
    Ranges,
    at_least,
    between,
    common,
    contains,
    earliest,
    latest,
    starts_within,
)
from scheduler.core.errors import InvalidInputError
from scheduler.core.intervals import subtract
from scheduler.core.slots import Id
from scheduler.core.spans import Span
from scheduler.core.validation import Validator
from scheduler.core.visits import left_of
from scheduler.core.workflows import DOCTOR, Workflow, WorkflowStep
from scheduler.core.zones import DAY, MICROSECOND, micros

_CHECK: Final = Validator(InvalidInputError)
_NO_TIME: Final = timedelta(0)
_FAR: Final = 1 << 61


@dataclass(frozen=True, slots=True)
class Candidate:
    """An offering that may serve the visit: its workflow, and the calendar of its doctor at its facility.

    The buffers lie once, before the first and after the last step with the doctor. They keep other visits of the doctor
    away, and need not lie in working time. `bookable` are the starts that the booking policy allows.

    Raises:
        InvalidInputError: a field is invalid.
    """

    offering_id: Id
    workflow: Workflow
    calendar: DoctorCalendar
    buffer_before: timedelta = _NO_TIME
    buffer_after: timedelta = _NO_TIME
    bookable: Span | None = None

    def __post_init__(self) -> None:
        _CHECK.id("candidate: offering_id", self.offering_id)
        name = f"candidate {self.offering_id}"
        _CHECK.instance(f"{name}: workflow", self.workflow, Workflow)
        _CHECK.instance(f"{name}: calendar", self.calendar, DoctorCalendar)
        _CHECK.non_negative(f"{name}: buffer_before", self.buffer_before)
        _CHECK.non_negative(f"{name}: buffer_after", self.buffer_after)
        if self.bookable is not None:
            _CHECK.instance(f"{name}: bookable", self.bookable, Span)


class Found(NamedTuple):
    """A visit around a slot: the start of each step, and its resources by kind."""

    slot: OpenSlot
    times: Sequence[int]
    resources: Sequence[Mapping[str, tuple[Id, ...]]]


class _Window(NamedTuple):
    """A week with the time before and after it that visits of its slots may reach."""

    week: int
    margin: int

    @property
    def begin(self) -> int:
        return self.week * WEEK - self.margin

    @property
    def end(self) -> int:
        return (self.week + 1) * WEEK + self.margin


class _Shape(NamedTuple):
    """The time of a resource that a step takes, around its start, and the doctor who cannot also be its resource."""

    before: int
    after: int
    doctor_id: Id | None


class Stock:
    """The resources of all facilities, with the sets of starts at which they are free."""

    def __init__(self, resources: Sequence[Resource]) -> None:
        self._by_kind: dict[tuple[Id, str], list[Resource]] = {}
        for resource in resources:
            self._by_kind.setdefault((resource.facility_id, resource.kind), []).append(resource)
        self._free: dict[tuple[int, _Window], Ranges] = {}
        self._starts: dict[object, Ranges] = {}

    def of(self, facility_id: Id, kind: str, doctor_id: Id | None) -> Sequence[Resource]:
        """Return the resources of a kind at a facility, without the person who is the doctor."""
        found = self._by_kind.get((facility_id, kind), ())
        if doctor_id is None:
            return found
        return [resource for resource in found if resource.doctor_id != doctor_id]

    def starts(self, resource: Resource, shape: _Shape, window: _Window) -> Ranges:
        """Return the starts at which a resource is free for a step."""
        key = id(resource), shape.before, shape.after, window
        if key not in self._starts:
            self._starts[key] = starts_within(self._free_in(resource, window), shape.before, shape.after)
        return self._starts[key]

    def starts_of_kind(self, facility_id: Id, kind: str, quantity: int, shape: _Shape, window: _Window) -> Ranges:
        """Return the starts at which so many resources of a kind are free for a step."""
        key = facility_id, kind, quantity, shape, window
        if key not in self._starts:
            resources = self.of(facility_id, kind, shape.doctor_id)
            self._starts[key] = at_least([self.starts(resource, shape, window) for resource in resources], quantity)
        return self._starts[key]

    def _free_in(self, resource: Resource, window: _Window) -> Ranges:
        key = id(resource), window
        if key not in self._free:
            self._free[key] = resource.free(window.begin, window.end)
        return self._free[key]


class _Group(NamedTuple):
    """Steps, by their places, that need the same resources of a kind; with the doctor who cannot be one of them."""

    kind: str
    quantity: int
    places: frozenset[int]
    doctor_id: Id | None


class Plan:
    """The visits of one candidate."""

    def __init__(self, candidate: Candidate, skipped: frozenset[int], stock: Stock) -> None:
        self.candidate: Candidate = candidate
        self.steps: Sequence[WorkflowStep] = left_of(candidate.workflow, skipped)
        self._stock = stock
        schedule = candidate.calendar.schedule
        self._facility_id = schedule.facility_id
        allowed = candidate.bookable
        self._bookable = None if allowed is None else (micros(allowed.start), micros(allowed.end))
        self._lengths = [step.length // MICROSECOND for step in self.steps]
        self._leads = [step.lead // MICROSECOND for step in self.steps]
        self._links = [
            Link(length + following.lead // MICROSECOND, following.max_wait // MICROSECOND)
            for length, (_, following) in zip(self._lengths, pairwise(self.steps), strict=False)
        ]
        self._with_doctor = [place for place, step in enumerate(self.steps) if step.has_doctor]
        self._anchor = self._with_doctor[0] if self._with_doctor else 0
        self._buffers = candidate.buffer_before // MICROSECOND, candidate.buffer_after // MICROSECOND
        self._shapes = [
            _Shape(lead, length, schedule.doctor_id if step.has_doctor else None)
            for step, lead, length in zip(self.steps, self._leads, self._lengths, strict=True)
        ]
        self._groups = self._grouped()
        self.longest_before: int = sum(link.distance + link.slack for link in self._links[: self._anchor])
        reach = sum(link.distance + link.slack for link in self._links) + self._lengths[-1] + self._leads[0]
        self._margin = -(-(reach + sum(self._buffers)) // DAY) * DAY
        self._sets_of_week: dict[int, Sequence[Ranges]] = {}

    def slots(self, week: int, begin: int, end: int) -> Iterator[OpenSlot]:
        """Yield the open slots of a week around which a visit may start in `[begin, end)`."""
        for slot in self.candidate.calendar.open_slots(week):
            if begin <= slot.start < end + self.longest_before and slot.service_offering_id in {
                None,
                self.candidate.offering_id,
            }:
                yield slot

    def allows(self, at: int) -> bool:
        """Tell whether the booking policy allows a visit that starts at an instant."""
        return self._bookable is None or self._bookable[0] <= at < self._bookable[1]

    def find(self, slot: OpenSlot, week: int, own: Ranges) -> Found | None:
        """Return the visit around a slot that ends first, and of these the one that starts last; None without one.

        `own` is the time of the patient's other visits.
        """
        gap = _gap(own, slot.start)
        if gap is None:
            return None
        sets = self._sets(week) if slot.capacity == 1 else self._sets_in_shared(slot, week)
        if not contains(sets[self._anchor], slot.start):
            return None
        best: tuple[tuple[int, int], list[int], Sequence[Sequence[Resource]]] | None = None
        for choice in self._choices():
            times = self._times(slot.start, self._chosen_sets(sets, choice, week), gap)
            if times is not None:
                rank = times[-1], -times[0]
                if best is None or rank < best[0]:
                    best = rank, times, choice
                if not self._groups:
                    break
        return None if best is None else Found(slot, best[1], self._resources(best[1], best[2], week))

    def _grouped(self) -> list[_Group]:
        named: dict[tuple[str, int], tuple[int, set[int]]] = {}
        for place, step in enumerate(self.steps):
            for need in step.all_needs:
                if need.kind != DOCTOR:
                    key = need.kind, need.same_as or step.position
                    named.setdefault(key, (need.quantity, set()))[1].add(place)
        doctor_id = self.candidate.calendar.schedule.doctor_id
        return [
            _Group(kind, quantity, frozenset(places), doctor_id if places & {*self._with_doctor} else None)
            for (kind, _), (quantity, places) in named.items()
            if len(places) > 1
        ]

    def _group_of(self, place: int, kind: str) -> int | None:
        for number, group in enumerate(self._groups):
            if group.kind == kind and place in group.places:
                return number
        return None

    def _choices(self) -> Iterator[Sequence[Sequence[Resource]]]:
        """Yield the resources that each group may have."""
        return product(
            *(
                combinations(self._stock.of(self._facility_id, group.kind, group.doctor_id), group.quantity)
                for group in self._groups
            )
        )

    def _sets(self, week: int) -> Sequence[Ranges]:
        """Return the starts of each step in and around a week, without those of groups."""
        if week not in self._sets_of_week:
            window = _Window(week, self._margin)
            self._sets_of_week[week] = self._sets_around(window, self.candidate.calendar.busy())
        return self._sets_of_week[week]

    def _sets_in_shared(self, slot: OpenSlot, week: int) -> Sequence[Ranges]:
        """Return the starts of each step, those with the doctor within a slot of several places."""
        sets = list(self._sets_around(_Window(week, self._margin), self.candidate.calendar.busy(beside=slot)))
        for place in self._with_doctor:
            within = starts_within([(slot.start, slot.end)], self._leads[place], self._lengths[place])
            sets[place] = common(sets[place], within)
        return sets

    def _sets_around(self, window: _Window, busy: Ranges) -> Sequence[Ranges]:
        sets = [self._needed_sets(place, window) for place in range(len(self.steps))]
        if self._with_doctor:
            working = self.candidate.calendar.working(window.begin, window.end)
            unused = list(subtract([(window.begin, window.end)], between(busy, window.begin, window.end)))
            for place in self._with_doctor:
                lead, length = self._leads[place], self._lengths[place]
                before = lead + (self._buffers[0] if place == self._with_doctor[0] else 0)
                after = length + (self._buffers[1] if place == self._with_doctor[-1] else 0)
                own = common(starts_within(working, lead, length), starts_within(unused, before, after))
                sets[place] = common(sets[place], own)
        return sets

    def _needed_sets(self, place: int, window: _Window) -> Ranges:
        starts: Ranges = EVERYWHERE
        for need in self.steps[place].all_needs:
            if need.kind != DOCTOR and self._group_of(place, need.kind) is None:
                of_kind = self._stock.starts_of_kind(
                    self._facility_id, need.kind, need.quantity, self._shapes[place], window
                )
                starts = common(starts, of_kind)
        return starts

    def _chosen_sets(self, sets: Sequence[Ranges], choice: Sequence[Sequence[Resource]], week: int) -> Sequence[Ranges]:
        if not choice:
            return sets
        narrowed = list(sets)
        window = _Window(week, self._margin)
        for group, resources in zip(self._groups, choice, strict=True):
            for place in group.places:
                for resource in resources:
                    starts = self._stock.starts(resource, self._shapes[place], window)
                    narrowed[place] = common(narrowed[place], starts)
        return narrowed

    def _times(self, start: int, sets: Sequence[Ranges], gap: tuple[int, int]) -> list[int] | None:
        """Return the starts of all steps, or None if they do not fit around the anchor."""
        anchor = self._anchor
        if not contains(sets[anchor], start) or start + self._lengths[anchor] > gap[1]:
            return None
        last_starts = [gap[1] - length for length in self._lengths]
        after = earliest(start, self._links[anchor:], sets[anchor + 1 :], last_starts[anchor + 1 :])
        if after is None:
            return None
        links, earlier = self._links[:anchor][::-1], sets[:anchor][::-1]
        before = latest(start, links, earlier, [gap[0]] * anchor)
        return None if before is None else [*reversed(before), start, *after]

    def _resources(
        self, times: Sequence[int], choice: Sequence[Sequence[Resource]], week: int
    ) -> Sequence[Mapping[str, tuple[Id, ...]]]:
        """Return the first free resources of each kind for each step, and those of the groups."""
        window = _Window(week, self._margin)
        assigned = []
        for place, (step, at) in enumerate(zip(self.steps, times, strict=True)):
            by_kind: dict[str, tuple[Id, ...]] = {}
            for need in step.all_needs:
                if need.kind == DOCTOR:
                    continue
                group = self._group_of(place, need.kind)
                shape = self._shapes[place]
                free = [
                    resource.id
                    for resource in self._stock.of(self._facility_id, need.kind, shape.doctor_id)
                    if contains(self._stock.starts(resource, shape, window), at)
                ]
                chosen = [resource.id for resource in choice[group]] if group is not None else free[: need.quantity]
                by_kind[need.kind] = tuple(chosen)
            assigned.append(by_kind)
        return assigned


def _gap(own: Ranges, at: int) -> tuple[int, int] | None:
    """Return the time between the patient's other visits that has an instant, None if one of them has it."""
    begin = -_FAR
    for low, high in own:
        if at < low:
            return begin, low
        if at < high:
            return None
        begin = high
    return begin, _FAR
