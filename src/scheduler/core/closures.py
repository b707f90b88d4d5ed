"""Closures by local day: the days on which a facility is closed, and the closed times of other days.

Owns: the closures that act on the windows of a local day.
Holds: A3 (the scope of a closure), T2, T3 (a closed time is wall-clock time of the facility, read as a window).
Must not know: rules, overrides, slots.
"""

from collections.abc import Iterable
from typing import NamedTuple
from zoneinfo import ZoneInfo

from scheduler.core.schedules import Closure
from scheduler.core.slots import Id
from scheduler.core.zones import DAY, clock_span, day_lasts, day_number, instant_of


class ClosedTime(NamedTuple):
    """The closed part `[start, end)` of a day; times are microseconds since 2000-01-01T00:00Z."""

    start: int
    end: int
    closure_id: Id


class ClosuresByDay:
    """The closures that act on windows which start on the local days from `first` to `last` (inclusive)."""

    def __init__(self, zone: ZoneInfo, closures: Iterable[Closure], first: int, last: int) -> None:
        self._days: dict[int, Id] = {}
        self._times: dict[int, list[ClosedTime]] = {}
        for closure in sorted(closures, key=lambda closure: closure.id):
            day = day_number(closure.day)
            if closure.start_time is None or closure.end_time is None:
                self._days.setdefault(day, closure.id)
            # A day that the zone skipped has no closed time, as it has no window.
            elif first - 1 <= day <= last + 1 and day_lasts(zone, day):
                opens, closes = clock_span(closure.start_time, closure.end_time)
                start, end = (instant_of(zone, day, day * DAY + clock) for clock in (opens, closes))
                # A window of the day before reaches into this day, and a closed time into the next one.
                for near in (day - 1, day, day + 1):
                    self._times.setdefault(near, []).append(ClosedTime(start, end, closure.id))

    @property
    def days(self) -> set[int]:
        """The local days whose windows a closure may remove or shorten."""
        return self._days.keys() | self._times.keys()

    def closing(self, day: int) -> Id | None:
        """Return the closure that removes all windows which start on a day, of several the lowest id."""
        return self._days.get(day)

    def reaching_into(self, day: int, start: int, end: int) -> tuple[ClosedTime, ...]:
        """Return the closed times that share time with a window `[start, end)` which starts on a day."""
        return tuple(closed for closed in self._times.get(day, ()) if max(start, closed.start) < min(end, closed.end))
