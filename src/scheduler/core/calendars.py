"""Calendars: the free time of doctors and resources, and the slots of a doctor that can take a visit.

Owns: uses, resources and calendars as values; working time from schedules, loaded week by week when it is asked for.
Holds: Q1 (working time is what closures and blocks leave of the windows, pauses of the grid included).
Must not know: workflows, which visit is sought.

Times are microseconds since 2000-01-01T00:00Z (see `zones`); weeks are of that calendar, in UTC.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Final, NamedTuple

from scheduler.core.chains import Ranges, between
from scheduler.core.errors import InvalidInputError
from scheduler.core.expansion import days_reaching, expand
from scheduler.core.intervals import merge, subtract
from scheduler.core.schedules import ExceptionType, Schedule
from scheduler.core.slots import Id, SlotColumns, SlotIdentity, Slots
from scheduler.core.spans import Span
from scheduler.core.timetable import Timetable
from scheduler.core.validation import Validator
from scheduler.core.zones import DAY, FIRST_INSTANT, LAST_INSTANT, instant, micros

WEEK: Final = 7 * DAY
_NO_TIME: Final = timedelta(0)
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
    _uses: "_Uses" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _CHECK.instance("schedule", self.schedule, Schedule)
        object.__setattr__(self, "uses", _in_order(_CHECK.sequence("uses", self.uses, Use)))
        object.__setattr__(self, "_uses", _Uses(self.uses))
        object.__setattr__(self, "full", frozenset(_CHECK.sequence("full", self.full, SlotIdentity)))

    def working(self, begin: int, end: int) -> Ranges:
        """Return the doctor's working time at the facility within `[begin, end)`."""
        return self._openings.working(begin, end)

    def busy(self, begin: int, end: int, *, beside: OpenSlot | None = None) -> Ranges:
        """Return the taken time that overlaps `[begin, end)`, without the uses that share a slot."""
        if beside is None:
            return self._uses.taken(begin, end)
        own = SlotIdentity(
            instant(beside.start),
            instant(beside.end),
            self.schedule.doctor_id,
            self.schedule.facility_id,
            beside.service_offering_id,
        )
        return merge(_times_of(use) for use in self._uses.overlapping(begin, end) if use.slot != own)

    def open_slots(self, begin: int, end: int) -> Iterator[OpenSlot]:
        """Yield the slots that start in `[begin, end)` and can take another visit, sorted by start."""
        for week in range(begin // WEEK, (end - 1) // WEEK + 1):
            starts, ends, kinds, of_kind = self._columns(week)
            for place in range(bisect_left(starts, begin), bisect_left(starts, end)):
                offering_id, capacity, rule_id = of_kind[kinds[place]]
                if not self._full or (starts[place], ends[place], offering_id) not in self._full:
                    yield OpenSlot(starts[place], ends[place], offering_id, capacity, rule_id)

    @cached_property
    def _openings(self) -> "_Openings":
        return _Openings(self.schedule)

    @cached_property
    def _weeks(self) -> dict[int, SlotColumns]:
        return {}

    @cached_property
    def _full(self) -> frozenset[tuple[int, int, Id | None]]:
        return frozenset((micros(slot.start_at), micros(slot.end_at), slot.service_offering_id) for slot in self.full)

    def _columns(self, week: int) -> SlotColumns:
        if week not in self._weeks:
            span = _inside(week * WEEK, (week + 1) * WEEK)
            schedule = self.schedule
            slots = Slots(schedule.doctor_id, schedule.facility_id, ()) if span is None else expand(schedule, span)
            self._weeks[week] = slots.columns()
        return self._weeks[week]


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
    uses: Sequence[Use] = ()
    doctor_id: Id | None = None
    _uses: "_Uses" = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        _CHECK.id("resource: id", self.id)
        name = f"resource {self.id}"
        _CHECK.text(f"{name}: kind", self.kind)
        _CHECK.id(f"{name}: facility_id", self.facility_id)
        if self.opening is not None:
            _CHECK.instance(f"{name}: opening", self.opening, Schedule)
        object.__setattr__(self, "uses", _in_order(_CHECK.sequence(f"{name}: uses", self.uses, Use)))
        object.__setattr__(self, "_uses", _Uses(self.uses))
        _CHECK.optional_id(f"{name}: doctor_id", self.doctor_id)

    def free(self, begin: int, end: int) -> Ranges:
        """Return the time within `[begin, end)` in which the resource is open and not used."""
        opened = [(begin, end)] if self._openings is None else self._openings.working(begin, end)
        return list(subtract(opened, self._uses.taken(begin, end)))

    @cached_property
    def _openings(self) -> "_Openings | None":
        return None if self.opening is None else _Openings(self.opening)


class _Uses:
    """Uses in the order of their starts, read day by day and then kept."""

    def __init__(self, uses: Sequence[Use]) -> None:
        self._uses = uses
        self._longest = max((use.span.duration for use in uses), default=_NO_TIME)
        self._days: dict[int, Ranges] = {}

    def overlapping(self, begin: int, end: int) -> Iterator[Use]:
        """Yield the uses that overlap `[begin, end)`."""
        first, last = instant(max(begin, FIRST_INSTANT)), instant(min(end, LAST_INSTANT))
        place = bisect_left(self._uses, -self._longest, key=lambda use: use.span.start - first)
        while place < len(self._uses) and self._uses[place].span.start < last:
            if self._uses[place].span.end > first:
                yield self._uses[place]
            place += 1

    def taken(self, begin: int, end: int) -> Ranges:
        """Return the time that uses take of the days around `[begin, end)`."""
        days = range(begin // DAY, (end - 1) // DAY + 1)
        if len(days) == 1:
            return self._day(days[0])
        return merge(part for day in days for part in self._day(day))

    def _day(self, day: int) -> Ranges:
        if day not in self._days:
            self._days[day] = merge(_times_of(use) for use in self.overlapping(day * DAY, (day + 1) * DAY))
        return self._days[day]


class _Openings:
    """The working time of a schedule, loaded week by week and then kept."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._weeks: dict[int, Ranges] = {}

    def working(self, begin: int, end: int) -> Ranges:
        """Return the working time within `[begin, end)`."""
        weeks = range(begin // WEEK, (end - 1) // WEEK + 1)
        if len(weeks) == 1:
            return between(self._week(weeks[0]), begin, end)
        return between(merge(part for week in weeks for part in self._week(week)), begin, end)

    def _week(self, week: int) -> Ranges:
        if week not in self._weeks:
            begin, end = week * WEEK, (week + 1) * WEEK
            self._weeks[week] = between(merge(self._windows(begin, end)), begin, end)
        return self._weeks[week]

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


def _in_order(uses: Sequence[Use]) -> Sequence[Use]:
    return tuple(sorted(uses, key=lambda use: use.span.start))


def _times_of(use: Use) -> tuple[int, int]:
    return micros(use.span.start), micros(use.span.end)
