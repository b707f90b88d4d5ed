"""Search plans: the visit of one candidate around one slot.

Owns: the sets of starts of the steps of a visit, and the choice of times and resources.
Holds: Q1 (exact), Q2 (buffers, the patient's own time), W7 (needs, the same resources in several steps).
Must not know: which slots are asked for, the order of offers (`search`).

The sets of resources are computed for a day at a time, and shared by all candidates of a facility.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations, islice, pairwise, product
from typing import Final, NamedTuple

from scheduler.core.calendars import OpenSlot, Resource
from scheduler.core.candidates import Candidate
from scheduler.core.chains import (
    EVERYWHERE,
    Link,
    Ranges,
    between,
    contains,
    earliest,
    latest,
    starts_within,
)
from scheduler.core.free_starts import Shape, Stock, Window
from scheduler.core.intervals import intersect, merge
from scheduler.core.slots import Id
from scheduler.core.visits import left_of
from scheduler.core.workflows import DOCTOR, WorkflowStep
from scheduler.core.zones import DAY, FIRST_INSTANT, LAST_INSTANT, MICROSECOND, micros

_HOUR: Final = DAY // 24


class Found(NamedTuple):
    """A visit around a slot: the start of each step, and its resources by kind."""

    slot: OpenSlot
    times: Sequence[int]
    resources: Sequence[Mapping[str, tuple[Id, ...]]]


class _Group(NamedTuple):
    """Steps, by their places, that need the same resources of a kind; without the person who is a doctor."""

    kind: str
    quantity: int
    places: frozenset[int]
    without: Id | None


class _Around(NamedTuple):
    """The time between the patient's other visits, the window, and the starts of each step without those of groups."""

    gap: tuple[int, int]
    window: Window
    sets: Sequence[Ranges]


class Plan:
    """The visits of one candidate."""

    def __init__(self, candidate: Candidate, skipped: frozenset[int], stock: Stock) -> None:
        self.candidate: Candidate = candidate
        self.steps: Sequence[WorkflowStep] = left_of(candidate.workflow, skipped)
        self._stock = stock
        schedule = candidate.calendar.schedule
        self._facility_id = schedule.facility_id
        allowed = candidate.bookable
        self.bookable: tuple[int, int] | None = (
            None if allowed is None else (micros(allowed.start), micros(allowed.end))
        )
        self.capped: Ranges = merge((micros(span.start), micros(span.end)) for span in candidate.capped)
        self._shapes = [Shape(step.lead // MICROSECOND, step.length // MICROSECOND) for step in self.steps]
        self._links = [
            Link((step.length + following.lead) // MICROSECOND, following.max_wait // MICROSECOND)
            for step, following in pairwise(self.steps)
        ]
        self._with_doctor = [place for place, step in enumerate(self.steps) if step.has_doctor]
        self._without = [schedule.doctor_id if step.has_doctor else None for step in self.steps]
        self.anchor: int = self._with_doctor[0] if self._with_doctor else 0
        before, after = candidate.buffer_before // MICROSECOND, candidate.buffer_after // MICROSECOND
        self._own_shapes = {
            place: Shape(
                self._shapes[place].before + (before if place == self._with_doctor[0] else 0),
                self._shapes[place].after + (after if place == self._with_doctor[-1] else 0),
            )
            for place in self._with_doctor
        }
        self._groups = self._grouped()
        self._needs = [
            tuple(need for need in step.all_needs if need.kind != DOCTOR and self._group_of(place, need.kind) is None)
            for place, step in enumerate(self.steps)
        ]
        self.longest_before: int = sum(link.distance + link.slack for link in self._links[: self.anchor])
        reach = (
            sum(link.distance + link.slack for link in self._links) + self._shapes[-1].after + self._shapes[0].before
        )
        self._margin = -(-(reach + before + after) // _HOUR) * _HOUR

    def slots(self, begin: int, end: int) -> Iterator[OpenSlot]:
        """Yield the open slots for the candidate's offering, or for any, that start in `[begin, end)`.

        Those that are not released yet are left out (Q5). So are those with whose start the doctor is taken, unless the
        day has slots that visits share. Without the need for a slot, the anchor itself stands for the one at `begin`.
        """
        calendar = self.candidate.calendar.loaded
        offering_id = self.candidate.offering_id
        if not self.candidate.needs_slot:
            if not calendar.has_full_slot(begin, offering_id):
                yield OpenSlot(begin, begin + self._shapes[self.anchor].after, offering_id, 1, None, None)
            return
        ranges: Ranges = [(begin, end)]
        if self._with_doctor and not calendar.has_shared_slots(begin, end):
            before, after = self._own_shapes[self.anchor]
            unused = calendar.unused(begin - before, end + after)
            ranges = between(starts_within(unused, before, after), begin, end)
        for first, last in ranges:
            for slot in calendar.open_slots(first, last):
                is_suitable = slot.service_offering_id is None or slot.service_offering_id == offering_id
                if is_suitable and self._is_released(slot):
                    yield slot

    def _is_released(self, slot: OpenSlot) -> bool:
        by, at = self.candidate.released_by, slot.released_at
        return by is None or at is None or at <= by

    def without_slot(self, start: int) -> OpenSlot | None:
        """Return what stands for the slot of a visit without one whose steps follow each other up to the anchor."""
        at = start + sum(link.distance for link in self._links[: self.anchor])
        return next(self.slots(at, at + 1), None)

    def find(self, slot: OpenSlot, own: Ranges, allowed: Ranges) -> Found | None:
        """Return the visit around a slot that ends first, and of these the one that starts last; None without one.

        `own` is the time of the patient's other visits, `allowed` the starts that the visit may have.
        """
        around = self._around(slot, own, allowed)
        if around is None:
            return None
        best: tuple[tuple[int, int], list[int], Sequence[Sequence[Resource]]] | None = None
        for choice in self._choices():
            times = self._times(slot.start, self._chosen_sets(around.sets, choice, around.window), around.gap)
            if times is not None and (best is None or (times[-1], -times[0]) < best[0]):
                best = (times[-1], -times[0]), times, choice
        return None if best is None else Found(slot, best[1], self._resources(best[1], best[2], around.window))

    def at(self, slot: OpenSlot, times: Sequence[int], own: Ranges) -> Found | None:
        """Return the visit around a slot whose steps start at these times; None if it is not possible (any more)."""
        around = self._around(slot, own, EVERYWHERE)
        if around is None or times[0] < around.gap[0] or times[-1] + self._shapes[-1].after > around.gap[1]:
            return None
        waits = (
            later - sooner - link.distance for link, (sooner, later) in zip(self._links, pairwise(times), strict=True)
        )
        if any(not 0 <= wait <= link.slack for link, wait in zip(self._links, waits, strict=True)):
            return None
        for choice in self._choices():
            sets = self._chosen_sets(around.sets, choice, around.window)
            if all(contains(starts, at) for starts, at in zip(sets, times, strict=True)):
                return Found(slot, times, self._resources(times, choice, around.window))
        return None

    def _around(self, slot: OpenSlot, own: Ranges, allowed: Ranges) -> _Around | None:
        """Return the starts of the steps of a visit around a slot; None if the anchor cannot start with it."""
        at = slot.start
        if not allowed or (self._with_doctor and not self._doctor_is_free(slot)):
            return None
        gap = _gap(own, at)
        if gap is None:
            return None
        window = self._window(at)
        if not contains(self._starts_of_step(self.anchor, window), at):
            return None
        sets = self._sets(slot, window)
        if allowed is not EVERYWHERE:
            sets[0] = intersect(sets[0], allowed)
        return _Around(gap, window, sets)

    def _window(self, at: int) -> Window:
        return Window(at // DAY * DAY - self._margin, at // DAY * DAY + DAY + self._margin)

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
                combinations(self._stock.of(self._facility_id, group.kind, group.without), group.quantity)
                for group in self._groups
            )
        )

    def _doctor_is_free(self, slot: OpenSlot) -> bool:
        """Tell whether the doctor can begin the anchor with the slot: works, and has nothing else to do."""
        return self._doctor_is_unused(slot) and self._doctor_works(slot)

    def _doctor_is_unused(self, slot: OpenSlot) -> bool:
        before, after = self._own_shapes[self.anchor]
        begin, end = slot.start - before, slot.start + after
        return self.candidate.calendar.loaded.unused(begin, end, beside=slot) == [(begin, end)]

    def _doctor_works(self, slot: OpenSlot) -> bool:
        at, calendar = slot.start, self.candidate.calendar.loaded
        lead, length = self._shapes[self.anchor]
        if self.candidate.needs_slot and not lead and at + length <= slot.end:
            return True  # a slot lies in working time
        return not slot.is_shared and contains(
            starts_within(calendar.working(at - lead, at + length), lead, length), at
        )

    def _starts_of_step(self, place: int, window: Window) -> Ranges:
        needs, without = self._needs[place], self._without[place]
        return self._stock.starts_of_step(self._facility_id, needs, without, self._shapes[place], window)

    def _sets(self, slot: OpenSlot, window: Window) -> list[Ranges]:
        """Return the starts of each step beside the anchor, which has its own, without those of groups."""
        sets = [self._starts_of_step(place, window) for place in range(len(self.steps))]
        sets[self.anchor] = ((slot.start, slot.start + 1),)
        if len(self._with_doctor) > 1:
            begin, end = slot.start - self._margin, slot.start + self._margin
            working = self._working(slot)
            unused = self.candidate.calendar.loaded.unused(begin, end, beside=slot)
            for place in self._with_doctor[1:]:
                sets[place] = intersect(sets[place], starts_within(working, *self._shapes[place]))
                sets[place] = intersect(sets[place], starts_within(unused, *self._own_shapes[place]))
        return sets

    def _working(self, slot: OpenSlot) -> Ranges:
        """Return the time in which steps with the doctor may lie: on a slot of several places, the slot."""
        if slot.is_shared:
            return [(slot.start, slot.end)]
        return self.candidate.calendar.loaded.working(slot.start - self._margin, slot.start + self._margin)

    def _chosen_sets(
        self, sets: Sequence[Ranges], choice: Sequence[Sequence[Resource]], window: Window
    ) -> Sequence[Ranges]:
        if not choice:
            return sets
        narrowed = list(sets)
        for group, resources in zip(self._groups, choice, strict=True):
            for place in group.places:
                for resource in resources:
                    starts = self._stock.starts(resource, self._shapes[place], window)
                    narrowed[place] = intersect(narrowed[place], starts)
        return narrowed

    def _times(self, start: int, sets: Sequence[Ranges], gap: tuple[int, int]) -> list[int] | None:
        """Return the starts of all steps, or None if they do not fit around the anchor."""
        anchor = self.anchor
        if not contains(sets[anchor], start) or start + self._shapes[anchor].after > gap[1]:
            return None
        last_starts = [gap[1] - shape.after for shape in self._shapes]
        after = earliest(start, self._links[anchor:], sets[anchor + 1 :], last_starts[anchor + 1 :])
        if after is None:
            return None
        links, earlier = self._links[:anchor][::-1], sets[:anchor][::-1]
        before = latest(start, links, earlier, [gap[0]] * anchor)
        return None if before is None else [*reversed(before), start, *after]

    def _resources(
        self, times: Sequence[int], choice: Sequence[Sequence[Resource]], window: Window
    ) -> Sequence[Mapping[str, tuple[Id, ...]]]:
        """Return the first free resources of each kind for each step, and those of the groups."""
        assigned: list[Mapping[str, tuple[Id, ...]]] = []
        for place, (step, at) in enumerate(zip(self.steps, times, strict=True)):
            by_kind: dict[str, tuple[Id, ...]] = {}
            for need in step.all_needs:
                if need.kind == DOCTOR:
                    continue
                group = self._group_of(place, need.kind)
                if group is not None:
                    by_kind[need.kind] = tuple(resource.id for resource in choice[group])
                    continue
                of_kind = self._stock.of(self._facility_id, need.kind, self._without[place])
                free = (
                    resource.id
                    for resource in of_kind
                    if contains(self._stock.starts(resource, self._shapes[place], window), at)
                )
                by_kind[need.kind] = tuple(islice(free, need.quantity))
            assigned.append(by_kind)
        return assigned


def _gap(own: Ranges, at: int) -> tuple[int, int] | None:
    """Return the time between the patient's other visits, and within the calendar, that has an instant; else None."""
    begin = FIRST_INSTANT
    for low, high in own:
        if at < low:
            return begin, low
        if at < high:
            return None
        begin = high
    return begin, LAST_INSTANT
