"""Expansion: the slots of a schedule within a span.

Owns: removing blocked slots from the runs of the windows, and sorting slots.
Holds: S1 (a block moves no slot), S2 (one slot per identity), S3 (slots may overlap), S4 (local, sorted), S5 (agrees
with the oracle), A3, A5, A6 (blocked and emergency exceptions remove slots).
Must not know: which windows a rule has and how they are cut into slots (`timetable`), stored slots.

The cost is linear in windows + exceptions + slots (see `blocks`).
"""

from array import array
from collections.abc import Sequence
from itertools import groupby
from typing import Final

from scheduler.core.blocks import blocks_of, free_ranges, part_of
from scheduler.core.errors import InvalidInputError
from scheduler.core.schedules import ExceptionType, Schedule
from scheduler.core.slots import Id, InterleavedSlots, SlotKind, SlotRun, Slots
from scheduler.core.spans import Span
from scheduler.core.timetable import Timetable
from scheduler.core.validation import Validator
from scheduler.core.zones import DAY, FIRST_INSTANT, check_inside, micros, wall_of

_CHECK: Final = Validator(InvalidInputError)


def expand(schedule: Schedule, span: Span) -> Slots:
    """Return the slots of a schedule that start in the span, sorted by (start, end, offering).

    Expanding two touching spans one after the other gives the same slots as expanding both at once (S4).

    Raises:
        InvalidInputError: the schedule is not a `Schedule`, or the span not a `Span`.
        WallClockError: the span reaches into the first or last days of the calendar (years 1 and 9999).

    >>> from datetime import UTC, datetime, time, timedelta
    >>> from scheduler.core.schedules import AvailabilityRule, Schedule
    >>> monday = AvailabilityRule(1, 1, time(9), time(10), timedelta(minutes=20))
    >>> week = Span(datetime(2027, 3, 29, tzinfo=UTC), datetime(2027, 4, 5, tzinfo=UTC))
    >>> [str(slot.start_at) for slot in expand(Schedule(1, 1, "Europe/London", [monday]), week)]
    ['2027-03-29 08:00:00+00:00', '2027-03-29 08:20:00+00:00', '2027-03-29 08:40:00+00:00']
    """
    _CHECK.instance("schedule", schedule, Schedule)
    _CHECK.instance("span", span, Span)
    days = days_reaching(schedule, span)
    timetable = Timetable(schedule, days.start, days.stop - 1)
    blocked = BlockedTime(schedule)
    begin, end = micros(span.start), micros(span.end)
    runs: list[SlotRun] = []
    reach, interleaves = begin - 1, False
    for run in timetable.slot_runs(days):
        first, size, interval, _, _ = run
        last = first + (size - 1) * interval
        if blocked.is_empty and begin <= first and last < end:
            interleaves = interleaves or first <= reach
            reach = last
            runs.append(run)
        else:
            for part in blocked.remove_from(run, begin, end):
                interleaves = interleaves or part.first <= reach
                reach = _last_start(part)
                runs.append(part)
    return Slots(schedule.doctor_id, schedule.facility_id, _sort_runs(runs) if interleaves else runs)


def days_reaching(schedule: Schedule, span: Span) -> range:
    """Return the day numbers of the local days whose windows may have slots that start in the span.

    Raises:
        WallClockError: the span reaches into the first or last days of the calendar.
    """
    begin, end = micros(span.start), micros(span.end)
    check_inside(begin, span.start)
    check_inside(end, span.end)
    # A window lasts up to a day on the wall clock, which may have jumped: two days before are enough. The clock may
    # have gone back into the day before, as in America/St_Johns at midnight: one day after is needed.
    first = max(wall_of(schedule.zone, begin) // DAY - 2, FIRST_INSTANT // DAY)
    return range(first, wall_of(schedule.zone, end) // DAY + 2)


class BlockedTime:
    """The time that blocked and emergency exceptions remove, from all rules or from single ones (A5, A6)."""

    def __init__(self, schedule: Schedule) -> None:
        spans: dict[Id | None, list[tuple[int, int]]] = {}
        for exception in schedule.exceptions:
            if exception.type is not ExceptionType.OVERRIDE:
                spans.setdefault(exception.rule_id, []).append((micros(exception.start_at), micros(exception.end_at)))
        self._blocks = {rule_id: blocks_of(of_rule) for rule_id, of_rule in spans.items()}
        self.is_empty: bool = not self._blocks

    def spans_of(self, rule_id: Id | None) -> list[tuple[int, int]]:
        """Return the spans that are removed from the windows of a rule; None stands for windows without a rule."""
        of_rule = [self._blocks[key] for key in {None, rule_id} & self._blocks.keys()]
        return [span for blocks in of_rule for span in zip(blocks.starts, blocks.ends, strict=True)]

    def remove_from(self, run: SlotRun, begin: int, end: int) -> Sequence[SlotRun]:
        """Return the slots of a run that start in `[begin, end)` and overlap no block; none of them moves (S1)."""
        first, size, interval, _, kind = run
        lowest, highest = 0, size - 1
        if first < begin:
            lowest = -((first - begin) // interval)
        if first + highest * interval >= end:
            highest = -((first - end) // interval) - 1
        if lowest > highest:
            return ()
        parts = [(lowest, highest)]
        for rule_id in {None, kind.rule_id} & self._blocks.keys():
            blocks = self._blocks[rule_id]
            parts = [free for low, high in parts for free in free_ranges(run, low, high, blocks)]
        return [part_of(run, low, high) for low, high in parts]


def _last_start(run: SlotRun) -> int:
    return run.first + (run.size - 1) * run.interval


def _sort_runs(runs: list[SlotRun]) -> list[SlotRun | InterleavedSlots]:
    """Sort slots, and drop the second of two with the same identity (S2, S4).

    Runs that do not interleave stay whole; interleaving runs are merged slot by slot.
    """
    runs.sort(key=lambda run: run.first)
    ordered: list[SlotRun | InterleavedSlots] = []
    group: list[SlotRun] = []
    reach = runs[0].first
    for run in runs:
        if run.first > reach:
            ordered.append(_merge_runs(group))
            group = []
        group.append(run)
        reach = max(reach, _last_start(run))
    return [*ordered, _merge_runs(group)]


def _offering_order(kind: SlotKind) -> tuple[bool, object]:
    return kind.service_offering_id is not None, kind.service_offering_id


def _precedence(kind: SlotKind) -> tuple[bool, object, int, object]:
    """Return the precedence of a kind: the lower rule id first, then the smaller capacity, then the earlier release.

    Of one rule, either all kinds have a release or none.
    """
    return kind.rule_id is None, kind.rule_id, kind.capacity, kind.released_at


def _merge_runs(group: list[SlotRun]) -> SlotRun | InterleavedSlots:
    if len(group) == 1:
        return group[0]
    kinds = sorted({run.kind for run in group}, key=lambda kind: (_offering_order(kind), _precedence(kind)))
    offerings = list(dict.fromkeys(kind.service_offering_id for kind in kinds))
    # Numbers compare faster than kinds, and equal offerings have equal numbers for every rule.
    numbers = {kind: (offerings.index(kind.service_offering_id), index) for index, kind in enumerate(kinds)}
    entries = []
    for first, size, interval, duration, kind in group:
        number = numbers[kind]
        entries += [(start, start + duration, number) for start in range(first, first + size * interval, interval)]
    entries.sort()
    if len(offerings) < len(kinds) or len(kinds) < len(group):
        # The first of equal identities stays, since the entries are sorted by precedence.
        entries = [next(same) for _, same in groupby(entries, key=lambda entry: (entry[0], entry[1], entry[2][0]))]
    starts, ends, indexes = zip(*entries, strict=True)
    return InterleavedSlots(array("q", starts), array("q", ends), tuple(kinds[index] for _, index in indexes))
