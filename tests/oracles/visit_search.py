"""The search for visits by trial, minute by minute: a slow oracle for it (Q1).

Owns: Q1, Q2 and the resources of W7 a second time, from first principles. Free time is a set of minutes; for each slot,
every combination of whole minutes of waiting and of shared resources is tried, and the best is taken.
All times are whole minutes.
Must not know: anything of `scheduler.core` but the value types.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import time, timedelta
from functools import lru_cache, partial
from itertools import accumulate, combinations, product
from typing import NamedTuple

from oracles.minute_sets import MINUTE, instant_of, minute_of, minutes_of
from oracles.minutes import all_windows, slots_of_windows, working_minutes
from scheduler.core.calendars import DoctorCalendar, Resource
from scheduler.core.candidates import Candidate
from scheduler.core.slots import Id, Slot
from scheduler.core.spans import Span
from scheduler.core.weekdays import Weekday
from scheduler.core.workflows import DOCTOR, Need, WorkflowStep


class ExpectedStep(NamedTuple):
    """A step of an expected visit, with the ids of its resources for each kind."""

    position: int
    start: int
    end: int
    resources: dict[str, tuple[Id, ...]]


class ExpectedVisit(NamedTuple):
    """A visit that the search must find."""

    offering_id: Id
    workflow_id: Id
    slot: Slot
    steps: tuple[ExpectedStep, ...]


@dataclass(frozen=True)
class World:
    """The arguments of a search."""

    candidates: Sequence[Candidate]
    resources: Sequence[Resource]
    span: Span
    patient: Sequence[Span] = ()
    skip: Collection[int] = ()
    weekdays: Collection[Weekday] = ()
    part_of_day: tuple[time, time] | None = None


def find_by_trial(world: World) -> list[ExpectedVisit]:
    """Return the visits of a world in order: by their start, then by candidate, then by slot."""
    found = [visit for candidate in world.candidates for visit in Trial(world, candidate).visits()]
    asked_for = [visit for visit in found if instant_of(visit.steps[0].start) in world.span]
    return sorted(asked_for, key=lambda visit: visit.steps[0].start)


def is_allowed(world: World, candidate: Candidate, at: int) -> bool:
    """Tell whether policy, caps, weekdays and part of day allow a visit to start at a minute (Q2)."""
    start = instant_of(at)
    wall = start.astimezone(candidate.calendar.schedule.zone)
    if candidate.bookable is not None and start not in candidate.bookable:
        return False
    if any(start in span for span in candidate.capped):
        return False
    if world.weekdays and Weekday.of(wall.date()) not in world.weekdays:
        return False
    if world.part_of_day is None:
        return True
    begin, end = world.part_of_day
    if begin < end:
        return begin <= wall.time() < end
    return begin <= wall.time() or wall.time() < end


class Trial:
    """The search among the slots of one candidate."""

    def __init__(self, world: World, candidate: Candidate) -> None:
        self.candidate = candidate
        self.calendar: DoctorCalendar = candidate.calendar
        self.is_allowed = lru_cache(partial(is_allowed, world, candidate))
        self.steps = [step for step in candidate.workflow.steps if step.position not in world.skip]
        self.lengths = [step.length // MINUTE for step in self.steps]
        self.leads = [step.lead // MINUTE for step in self.steps]
        self.with_doctor = [number for number, step in enumerate(self.steps) if step.has_doctor]
        self.anchor = self.with_doctor[0] if self.with_doctor else 0
        self.patient = minutes_of(world.patient)
        reach = sum((step.length + step.lead + step.max_wait for step in self.steps), timedelta(0))
        self.around = Span(world.span.start - reach, world.span.end + 2 * reach)
        self.windows = all_windows(self.calendar.schedule, self.around)
        self.working = working_minutes(self.calendar.schedule, self.windows)
        self.resources = [
            resource for resource in world.resources if resource.facility_id == self.calendar.schedule.facility_id
        ]
        self.free = {resource.id: self.free_minutes(resource) for resource in self.resources}

    def free_minutes(self, resource: Resource) -> frozenset[int]:
        """Return the minutes at which a resource is open and not used."""
        whole = minutes_of([Span(self.around.start - timedelta(days=1), self.around.end + timedelta(days=1))])
        if resource.opening is not None:
            whole = working_minutes(resource.opening, all_windows(resource.opening, self.around))
        return whole - minutes_of(resource.uses)

    def visits(self) -> Iterator[ExpectedVisit]:
        """Yield the best visit of each slot that has one."""
        for slot in slots_of_windows(self.calendar.schedule, self.windows, self.around):
            by = self.candidate.released_by
            if by is not None and slot.released_at is not None and by < slot.released_at:
                continue
            if slot.identity not in self.calendar.full and slot.service_offering_id in {
                None,
                self.candidate.offering_id,
            }:
                visit = self.best(slot)
                if visit is not None:
                    yield visit

    def best(self, slot: Slot) -> ExpectedVisit | None:
        """Return the allowed visit that ends first, then starts last, then has the first shared resources.

        Of these, each step before the anchor is as late as possible, and each one after it as early as possible:
        possible times are closed under the later and under the earlier of two, so that any order of steps will do.
        """
        possible = [
            ((times[-1], -times[0], rank, [-at for at in times[: self.anchor]], times[self.anchor :]), times, shared)
            for times in self.times(slot)
            if self.is_allowed(times[0])
            for rank, shared in enumerate(self.shared_resources())
            if self.is_possible(slot, times, shared)
        ]
        if not possible:
            return None
        _, times, shared = min(possible, key=lambda found: found[0])
        steps = (
            ExpectedStep(step.position, at, at + length, self.resources_of(number, at, shared))
            for number, (step, at, length) in enumerate(zip(self.steps, times, self.lengths, strict=True))
        )
        return ExpectedVisit(self.candidate.offering_id, self.candidate.workflow.id, slot, tuple(steps))

    def times(self, slot: Slot) -> Iterator[list[int]]:
        """Yield the starts of the steps for every combination of waits, the doctor being free."""
        used = minutes_of(use.span for use in self.calendar.uses if slot.capacity == 1 or use.slot != slot.identity)
        room = minutes_of([Span(slot.start_at, slot.end_at)]) if slot.capacity > 1 else None
        for waits in product(*(range(step.max_wait // MINUTE + 1) for step in self.steps[1:])):
            gaps = (self.lengths[number] + wait + self.leads[number + 1] for number, wait in enumerate(waits))
            times = list(accumulate(gaps, initial=0))
            delay = minute_of(slot.start_at) - times[self.anchor]
            times = [at + delay for at in times]
            if all(self.doctor_is_free(number, times[number], used, room) for number in self.with_doctor):
                yield times

    def taken(self, number: int, start: int) -> range:
        """Return the minutes for which a step takes its doctor and resources."""
        return range(start - self.leads[number], start + self.lengths[number])

    def doctor_is_free(self, number: int, start: int, used: frozenset[int], room: frozenset[int] | None) -> bool:
        """Tell whether the doctor works and is not used, buffers included, and a shared slot holds the step (Q2)."""
        taken = self.taken(number, start)
        before = self.candidate.buffer_before // MINUTE if number == self.with_doctor[0] else 0
        after = self.candidate.buffer_after // MINUTE if number == self.with_doctor[-1] else 0
        return (
            self.working.issuperset(taken)
            and used.isdisjoint(range(taken.start - before, taken.stop + after))
            and (room is None or room.issuperset(taken))
        )

    def is_possible(self, slot: Slot, times: Sequence[int], shared: dict[int, tuple[Resource, ...]]) -> bool:
        """Tell whether the patient is free for the whole visit, and each step has its resources."""
        assert times[self.anchor] == minute_of(slot.start_at)
        if not self.patient.isdisjoint(range(times[0], times[-1] + self.lengths[-1])):
            return False
        for number, (step, at) in enumerate(zip(self.steps, times, strict=True)):
            found = self.resources_of(number, at, shared)
            if any(len(found[need.kind]) < need.quantity for need in other_needs(step)):
                return False
        return True

    def groups(self) -> dict[int, list[tuple[WorkflowStep, Need]]]:
        """Return the steps that have exactly the same resources, by the position that `same_as` names (W7)."""
        groups: dict[int, list[tuple[WorkflowStep, Need]]] = {}
        for kind in {need.kind for step in self.steps for need in step.all_needs if need.same_as is not None}:
            for step in self.steps:
                for need in step.all_needs:
                    if need.kind == kind:
                        groups.setdefault(need.same_as or step.position, []).append((step, need))
        return {position: members for position, members in groups.items() if len(members) > 1}

    def shared_resources(self) -> Iterator[dict[int, tuple[Resource, ...]]]:
        """Yield every choice of the resources that steps share."""
        groups = self.groups()
        choices = []
        for members in groups.values():
            need = members[0][1]
            with_doctor = any(step.has_doctor for step, _ in members)
            choices.append(combinations(self.serving(need.kind, with_doctor=with_doctor), need.quantity))
        for chosen in product(*choices):
            yield dict(zip(groups, chosen, strict=True))

    def serving(self, kind: str, *, with_doctor: bool) -> list[Resource]:
        """Return the resources of a kind; the doctor cannot at once be one of them."""
        doctor_id = self.calendar.schedule.doctor_id
        return [
            resource
            for resource in self.resources
            if resource.kind == kind and not (with_doctor and resource.doctor_id == doctor_id)
        ]

    def resources_of(
        self, number: int, start: int, shared: dict[int, tuple[Resource, ...]]
    ) -> dict[str, tuple[Id, ...]]:
        """Return the resources of a step: those shared, or the first free ones, as far as they are free."""
        step, found = self.steps[number], {}
        for need in other_needs(step):
            group = need.same_as or step.position
            of_kind = self.serving(need.kind, with_doctor=step.has_doctor)
            if group in shared and any(member is need for _, member in self.groups()[group]):
                of_kind = list(shared[group])
            free = [resource.id for resource in of_kind if self.free[resource.id].issuperset(self.taken(number, start))]
            found[need.kind] = tuple(free[: need.quantity])
        return found


def other_needs(step: WorkflowStep) -> Iterable[Need]:
    """Return the needs of a step but the doctor."""
    return [need for need in step.all_needs if need.kind != DOCTOR]
