"""Windows: the open time that a rule gives a local day, with its run of slots.

Owns: the window, the rule in whole numbers, and the days of its recurrence.
Holds: T2, T3, T4 (a window is two clock times), A2, S1 (the grid), Q5 (the release of a day's slots).
Must not know: closures, overrides and all else that replaces or removes a window (`timetable`).

All times are microseconds since 2000-01-01T00:00Z, all days are counted from 2000-01-01 (see `zones`).
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from scheduler.core.blocks import blocks_of, free_ranges, part_of
from scheduler.core.closures import ClosedTime
from scheduler.core.recurrence import recurrence
from scheduler.core.releases import released_on
from scheduler.core.schedules import AvailabilityRule
from scheduler.core.slots import SlotKind, SlotRun
from scheduler.core.zones import (
    DAY,
    MICROSECOND,
    clock_micros,
    clock_span,
    day_number,
    instant_of,
    next_aligned,
)

_FIRST_DAY, _LAST_DAY = -(10**9), 10**9


class Window(NamedTuple):
    """An open time `[start, end)`, its run of slots, and the closed times in it.

    The size of the run is 0 if no slot fits (S1). Closed times remove slots from the run (A3). A window is opened by a
    rule or by an override (A4).
    """

    start: int
    end: int
    slots: SlotRun
    closed: tuple[ClosedTime, ...] = ()
    by_override: bool = False

    def open_runs(self) -> Iterable[SlotRun]:
        """Return the slots that overlap no closed time."""
        if not self.slots.size:
            return ()
        if not self.closed:
            return (self.slots,)
        blocks = blocks_of((closed.start, closed.end) for closed in self.closed)
        return (part_of(self.slots, *free) for free in free_ranges(self.slots, 0, self.slots.size - 1, blocks))


class CompiledRule(NamedTuple):
    """A rule in whole numbers, with the slots of a day on which the zone's offset does not change."""

    rule: AvailabilityRule
    opens: int
    closes: int
    duration: int
    interval: int
    alignment: int
    kind: SlotKind
    first_day: int
    last_day: int
    days: frozenset[int] | None
    limited: bool
    slots: SlotRun

    def effective_on(self, day: int) -> bool:
        """Tell whether a day lies in the rule's effective dates."""
        return self.first_day <= day <= self.last_day

    def usual_on(self, day: int) -> bool:
        """Tell whether an override of this day, if it is of the rule's weekday, uses the rule (A4)."""
        return self.effective_on(day) and (self.rule.day_of_week is not None or day in (self.days or ()))

    def kind_on(self, zone: ZoneInfo, day: int) -> SlotKind:
        """Return the kind of the rule's slots of a day. A rule with a release has another kind on each day."""
        release = self.rule.release
        return self.kind if release is None else self.kind._replace(released_at=released_on(release, zone, day))

    def window(self, zone: ZoneInfo, day: int, steady: int | None) -> Window:
        """Return the rule's window of a day; `steady` is the zone's offset if it does not change."""
        midnight = day * DAY
        kind = self.kind_on(zone, day)
        if steady is not None:
            base = midnight - steady
            slots = self.slots._replace(first=base + self.slots.first, kind=kind)
            return Window(base + self.opens, base + self.closes, slots)
        start = instant_of(zone, day, midnight + self.opens)
        end = instant_of(zone, day, midnight + self.closes)
        first = next_aligned(zone, day, start, self.alignment) if self.alignment else start
        return Window(start, end, grid(first, end, self.duration, self.interval, kind))


def compile_rule(rule: AvailabilityRule, zone: ZoneInfo, first_day: int, last_day: int) -> CompiledRule:
    """Return a rule in whole numbers, with the days of its recurrence within a range."""
    opens, closes = clock_span(rule.start_time, rule.end_time)
    duration = micros_of(rule.slot_duration)
    interval = duration if rule.slot_interval is None else micros_of(rule.slot_interval)
    alignment = 0 if rule.slot_alignment is None else micros_of(rule.slot_alignment)
    first = min(-(-opens // alignment) * alignment, DAY) if alignment else opens
    kind = SlotKind(rule.service_offering_id, rule.capacity, rule.id)
    days = _recurring_days(rule, zone, first_day, last_day)
    return CompiledRule(
        rule=rule,
        opens=opens,
        closes=closes,
        duration=duration,
        interval=interval,
        alignment=alignment,
        kind=kind,
        first_day=_FIRST_DAY if rule.effective_from is None else day_number(rule.effective_from),
        last_day=_LAST_DAY if rule.effective_until is None else day_number(rule.effective_until),
        days=days,
        limited=any(part is not None for part in (days, rule.effective_from, rule.effective_until, rule.release)),
        slots=grid(first, closes, duration, interval, kind),
    )


def grid(first: int, end: int, duration: int, interval: int, kind: SlotKind) -> SlotRun:
    """Return the slots that start from `first` at equal intervals and end by `end` (S1)."""
    return SlotRun(first, max(0, (end - first - duration) // interval + 1), interval, duration, kind)


def micros_of(length: timedelta) -> int:
    """Return a length in microseconds."""
    return length // MICROSECOND


def _recurring_days(rule: AvailabilityRule, zone: ZoneInfo, first_day: int, last_day: int) -> frozenset[int] | None:
    """Return the days within a range that the recurrence of a rule names, or None without a recurrence."""
    if rule.recurrence is None:
        return None
    parsed = recurrence(
        rule.recurrence, weekday=rule.day_of_week, anchor=rule.effective_from, start_time=rule.start_time
    )
    days, until = parsed.days(first_day, last_day), parsed.parts.until
    if until is None or not until.in_utc:
        return days
    opens = clock_micros(rule.start_time)
    return frozenset(day for day in days if instant_of(zone, day, day * DAY + opens) <= until.at)
