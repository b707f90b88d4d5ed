"""Timetable: the open and suppressed windows of a schedule on a local day.

Owns: the windows that rules, closures and overrides give one local day.
Holds: A3 (rules < closures < overrides), A4 (the windows of an override), A6 (scope).
Must not know: blocks and emergencies (they remove slots, not windows: `expansion`), spans of output, stored slots.

All times are microseconds since 2000-01-01T00:00Z, all days are counted from 2000-01-01 (see `zones`).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from scheduler.core.closures import ClosuresByDay
from scheduler.core.intervals import merge
from scheduler.core.reasons import ReasonCode
from scheduler.core.schedules import AvailabilityException, ExceptionType, Schedule
from scheduler.core.slots import Id, SlotKind, SlotRun
from scheduler.core.windows import CompiledRule, Window, compile_rule, grid, micros_of
from scheduler.core.zones import DAY, WEEKDAY_OF_DAY_0, day_lasts, micros, steady_offset, wall_of

# Runs are constructed by the million, and a named tuple's own constructor takes twice the time of this one.
_new_tuple: Final[Callable[..., Any]] = tuple.__new__


class SuppressedWindow(NamedTuple):
    """A window that another part of the schedule replaces or removes, with the reason."""

    code: ReasonCode
    window: Window
    cause_id: Id | None = None


class Timetable:
    """The windows of one schedule for the local days from `first` to `last` (day numbers, inclusive)."""

    def __init__(self, schedule: Schedule, first: int, last: int) -> None:
        self.zone = schedule.zone
        active = sorted((rule for rule in schedule.rules if rule.active), key=lambda rule: rule.id)
        self._by_id = {rule.id: compile_rule(rule, self.zone, first, last) for rule in active}
        self._by_weekday: tuple[list[CompiledRule], ...] = tuple([] for _ in range(7))
        for compiled in self._by_id.values():
            weekday = compiled.rule.day_of_week
            for rules in self._by_weekday if weekday is None else (self._by_weekday[weekday],):
                rules.append(compiled)
        self._overrides: dict[int, list[AvailabilityException]] = {}
        for exception in sorted(schedule.exceptions, key=lambda exception: exception.id):
            if exception.type is ExceptionType.OVERRIDE:
                day = wall_of(self.zone, micros(exception.start_at)) // DAY
                self._overrides.setdefault(day, []).append(exception)
        self._closures = ClosuresByDay(self.zone, schedule.closures, first, last)
        self._special = self._overrides.keys() | self._closures.days
        self._ordinary = [
            None if any(rule.limited for rule in rules) else tuple(rule.slots for rule in rules if rule.slots.size)
            for rules in self._by_weekday
        ]

    def slot_runs(self, days: Iterable[int]) -> Iterator[SlotRun]:
        """Yield the slots of the windows that start on local days, day by day; skip windows without a slot.

        Nearly all days are ordinary: the offset does not change, the facility has no closure or override, and all rules
        of the weekday are unlimited. Their runs are known; `windows` decides about all other days.
        """
        zone, ordinary, special, by_weekday = self.zone, self._ordinary, self._special, self._by_weekday
        for day in days:
            weekday = (day + WEEKDAY_OF_DAY_0) % 7
            # Skip only days without a rule: a window too short for a slot has room for one when the clock goes back.
            if not by_weekday[weekday] and day not in special:
                continue
            runs = ordinary[weekday]
            steady = None if runs is None or day in special else steady_offset(zone, day)
            if runs is None or steady is None:
                for window in self.windows(day)[0]:
                    yield from window.open_runs()
            else:
                base = day * DAY - steady
                for first, size, interval, duration, kind in runs:
                    yield _new_tuple(SlotRun, (base + first, size, interval, duration, kind))

    def windows(self, day: int) -> tuple[Sequence[Window], Sequence[SuppressedWindow]]:
        """Return the open and the suppressed windows that start on a local day, each in the order of the rules."""
        steady = steady_offset(self.zone, day)
        missing = not day_lasts(self.zone, day)
        overrides = self._overrides.get(day, ())
        open_windows: list[Window] = []
        suppressed: list[SuppressedWindow] = []
        for compiled in self._by_weekday[(day + WEEKDAY_OF_DAY_0) % 7]:
            window = compiled.window(self.zone, day, steady)
            suppression = self._suppression(compiled, day, overrides, missing=missing)
            if suppression is None:
                closed = self._closures.reaching_into(day, window.start, window.end)
                open_windows.append(window._replace(closed=closed) if closed else window)
            else:
                code, cause_id = suppression
                suppressed.append(SuppressedWindow(code, window, cause_id))
        if overrides:
            self._apply_overrides(day, overrides, open_windows, suppressed)
        return open_windows, suppressed

    def _suppression(
        self, compiled: CompiledRule, day: int, overrides: Iterable[AvailabilityException], *, missing: bool
    ) -> tuple[ReasonCode, Id | None] | None:
        """Return the strongest reason, with its cause, that suppresses a rule's window of a day (A3), or None."""
        if missing:
            return ReasonCode.MISSING_DAY, None
        if not compiled.effective_on(day):
            return ReasonCode.NOT_EFFECTIVE, None
        if compiled.days is not None and day not in compiled.days:
            return ReasonCode.RECURRENCE, None
        replaced_by = [
            override.id for override in overrides if override.rule_id is None or override.rule_id == compiled.rule.id
        ]
        if replaced_by:
            return ReasonCode.OVERRIDE, replaced_by[0]
        closure_id = self._closures.closing(day)
        return None if closure_id is None else (ReasonCode.CLOSURE, closure_id)

    def _apply_overrides(
        self,
        day: int,
        overrides: Iterable[AvailabilityException],
        open_windows: list[Window],
        suppressed: list[SuppressedWindow],
    ) -> None:
        """Add the windows of a day's overrides: the union of their spans for each rule and slot parameters (A4)."""
        effective = [rule for rule in self._by_id.values() if rule.effective_on(day)]
        usual = [rule for rule in self._by_weekday[(day + WEEKDAY_OF_DAY_0) % 7] if rule.usual_on(day)]
        spans: dict[tuple[SlotKind, int, int], list[tuple[int, int]]] = {}
        for override in overrides:
            span = micros(override.start_at), micros(override.end_at)
            if override.rule_id is None:
                bases = usual or effective
            else:
                named = self._by_id.get(override.rule_id)
                bases = [] if named is None else [named]
            own = None if override.slot_duration is None else micros_of(override.slot_duration)
            if not bases and own is None:
                nothing = SlotRun(span[0], 0, 0, 0, SlotKind(None, 0, override.rule_id))
                suppressed.append(
                    SuppressedWindow(ReasonCode.OVERRIDE_WITHOUT_SLOTS, Window(*span, nothing), override.id)
                )
            elif not bases and own is not None:
                interval = own if override.slot_interval is None else micros_of(override.slot_interval)
                spans.setdefault((SlotKind(None, override.capacity or 1, None), own, interval), []).append(span)
            for base in bases:
                duration = base.duration if own is None else own
                interval = base.interval if own is None else own
                if override.slot_interval is not None:
                    interval = micros_of(override.slot_interval)
                kind = base.kind_on(self.zone, day)._replace(capacity=override.capacity or base.kind.capacity)
                spans.setdefault((kind, duration, interval), []).append(span)
        for (kind, duration, interval), of_kind in spans.items():
            for start, end in merge(of_kind):
                slots = grid(start, end, duration, interval, kind)
                open_windows.append(Window(start, end, slots, by_override=True))
