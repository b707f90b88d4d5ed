"""Calendars: the free time of doctors and resources, and the slots of a doctor that can take a visit.

Owns: uses, resources and calendars as values; working time from schedules, loaded week by week when it is asked for.
Holds: Q1 (working time is what closures and blocks leave of the windows, pauses of the grid included).
Must not know: workflows, which visit is sought.

Times are microseconds since 2000-01-01T00:00Z (see `zones`); weeks are of that calendar, in UTC.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, NamedTuple

from scheduler.core.chains import Ranges, between
from scheduler.core.errors import InvalidInputError
from scheduler.core.expansion import days_reaching, expand
from scheduler.core.intervals import merge, subtract
from scheduler.core.schedules import ExceptionType, Schedule
from scheduler.core.slots import Id, SlotIdentity
from scheduler.core.spans import Span
from scheduler.core.timetable import Timetable
from scheduler.core.validation import Validator
from scheduler.core.zones import DAY, FIRST_INSTANT, LAST_INSTANT, instant, micros

WEEK: Final = 7 * DAY
_CHECK: Final = Validator(InvalidInputError)


@dataclass(frozen=True, slots=True)
class Use:
    """Time that a visit or a hold takes of a doctor or a resource.

    `slot` is the slot that it shares with others; only the doctor of a slot of several places is shared.
    """

    span: Span
    slot: SlotIdentity | None = None

    def __post_init__(self) -> None:
        _CHECK.instance("use: span", self.span, Span)
        if self.slot is not None:
            _CHECK.instance("use: slot", self.slot, SlotIdentity)


class OpenSlot(NamedTuple):
    """A slot that can take another visit."""

    start: int
    end: int
    service_offering_id: Id | None
    capacity: int
    rule_id: Id | None


class _Openings:
    """The working time of a schedule, loaded week by week and then kept."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._weeks: dict[int, list[tuple[int, int]]] = {}

    def working(self, begin: int, end: int) -> Ranges:
        """Return the working time within `[begin, end)`."""
        weeks = [self._week(number) for number in range(begin // WEEK, -(-end // WEEK))]
        parts = [part for week in weeks for part in week]
        return [(max(low, begin), min(high, end)) for low, high in merge(parts) if low < end and begin < high]

    def _week(self, number: int) -> list[tuple[int, int]]:
        if number not in self._weeks:
            begin, end = number * WEEK, (number + 1) * WEEK
            self._weeks[number] = [
                (max(low, begin), min(high, end))
                for low, high in merge(self._windows(begin, end))
                if low < end and begin < high
            ]
        return self._weeks[number]

    def _windows(self, begin: int, end: int) -> Iterator[tuple[int, int]]:
        span = _inside(begin, end)
        if span is None:
            return
        days = days_reaching(self._schedule, span)
        timetable = Timetable(self._schedule, days.start, days.stop - 1)
        blocks: dict[Id | None, list[tuple[int, int]]] = {}
        for exception in self._schedule.exceptions:
            if exception.type is not ExceptionType.OVERRIDE:
                blocks.setdefault(exception.rule_id, []).append((micros(exception.start_at), micros(exception.end_at)))
        for day in days:
            for window in timetable.windows(day)[0]:
                if window.start >= window.end:
                    continue
                removed = [(closed.start, closed.end) for closed in window.closed]
                for rule_id in {None, window.slots.kind.rule_id} & blocks.keys():
                    removed += blocks[rule_id]
                if removed:
                    yield from subtract([(window.start, window.end)], removed)
                else:
                    yield window.start, window.end


def _inside(begin: int, end: int) -> Span | None:
    """Return the part of a time that every zone has a calendar for."""
    begin, end = max(begin, FIRST_INSTANT), min(end, LAST_INSTANT)
    return Span(instant(begin), instant(end)) if begin < end else None


@dataclass(frozen=True)
class DoctorCalendar:
    """The slots and the free time of a doctor at one facility.

    `uses` are those of the doctor at all facilities, with their buffers. `full` are the slots that take no other visit:
    those whose places are booked or held, and those that a person cancelled.

    Raises:
        InvalidInputError: a field is of another kind.
    """

    schedule: Schedule
    uses: Sequence[Use] = ()
    full: Collection[SlotIdentity] = ()
    _slots: dict[int, list[OpenSlot]] = field(default_factory=dict, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _CHECK.instance("schedule", self.schedule, Schedule)
        object.__setattr__(self, "uses", _CHECK.sequence("uses", self.uses, Use))
        object.__setattr__(self, "full", frozenset(_CHECK.sequence("full", self.full, SlotIdentity)))

    def working(self, begin: int, end: int) -> Ranges:
        """Return the doctor's working time at the facility within `[begin, end)`."""
        return self._openings.working(begin, end)

    def busy(self, *, beside: OpenSlot | None = None) -> Ranges:
        """Return the time that is taken, beside the uses that share a slot."""
        if beside is None or not self._shared:
            return self._taken
        own = (beside.start, beside.end, beside.service_offering_id)
        others = [part for slot, parts in self._shared.items() if slot != own for part in parts]
        return merge([*self._alone, *others])

    def open_slots(self, week: int) -> list[OpenSlot]:
        """Return the slots that start in a week and can take another visit, sorted by start."""
        if week not in self._slots:
            self._slots[week] = list(self._expanded(week))
        return self._slots[week]

    @cached_property
    def _openings(self) -> _Openings:
        return _Openings(self.schedule)

    @cached_property
    def _alone(self) -> list[tuple[int, int]]:
        return [(micros(use.span.start), micros(use.span.end)) for use in self.uses if use.slot is None]

    @cached_property
    def _shared(self) -> dict[tuple[int, int, Id | None], list[tuple[int, int]]]:
        shared: dict[tuple[int, int, Id | None], list[tuple[int, int]]] = {}
        for use in self.uses:
            if use.slot is not None:
                key = micros(use.slot.start_at), micros(use.slot.end_at), use.slot.service_offering_id
                shared.setdefault(key, []).append((micros(use.span.start), micros(use.span.end)))
        return shared

    @cached_property
    def _taken(self) -> list[tuple[int, int]]:
        return merge([*self._alone, *(part for parts in self._shared.values() for part in parts)])

    @cached_property
    def _full(self) -> frozenset[tuple[int, int, Id | None]]:
        return frozenset((micros(slot.start_at), micros(slot.end_at), slot.service_offering_id) for slot in self.full)

    def _expanded(self, week: int) -> Iterator[OpenSlot]:
        span = _inside(week * WEEK, (week + 1) * WEEK)
        if span is None:
            return
        columns = expand(self.schedule, span).columns()
        for start, end, kind in zip(columns.start_at, columns.end_at, columns.kind, strict=True):
            offering_id, capacity, rule_id = columns.kinds[kind]
            if (start, end, offering_id) not in self._full:
                yield OpenSlot(start, end, offering_id, capacity, rule_id)


@dataclass(frozen=True)
class Resource:
    """A person, room or device of a facility that steps of visits need, with its opening times and uses.

    Without opening times it is free whenever it is not used. `doctor_id` is the doctor who is this person: then `uses`
    has also the uses of the doctor.

    Raises:
        InvalidInputError: a field is of another kind.
    """

    id: Id
    kind: str
    facility_id: Id
    opening: Schedule | None = None
    uses: Sequence[Span] = ()
    doctor_id: Id | None = None

    def __post_init__(self) -> None:
        _CHECK.id("resource: id", self.id)
        name = f"resource {self.id}"
        _CHECK.text(f"{name}: kind", self.kind)
        _CHECK.id(f"{name}: facility_id", self.facility_id)
        if self.opening is not None:
            _CHECK.instance(f"{name}: opening", self.opening, Schedule)
        object.__setattr__(self, "uses", _CHECK.sequence(f"{name}: uses", self.uses, Span))
        _CHECK.optional_id(f"{name}: doctor_id", self.doctor_id)

    def free(self, begin: int, end: int) -> Ranges:
        """Return the time within `[begin, end)` in which the resource is open and not used."""
        opened = [(begin, end)] if self._openings is None else self._openings.working(begin, end)
        return list(subtract(opened, between(self._taken, begin, end)))

    @cached_property
    def _openings(self) -> _Openings | None:
        return None if self.opening is None else _Openings(self.opening)

    @cached_property
    def _taken(self) -> list[tuple[int, int]]:
        return merge((micros(use.start), micros(use.end)) for use in self.uses)
