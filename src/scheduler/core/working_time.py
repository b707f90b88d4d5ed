"""Working time: what closures and blocks leave of the windows of a schedule.

Owns: the working time of a schedule, loaded week by week when it is asked for.
Holds: Q1 (pauses of the grid are working time).
Must not know: slots, uses.

Times are microseconds since 2000-01-01T00:00Z (see `zones`); weeks are of that calendar, in UTC.
"""

from collections.abc import Iterator
from typing import Final

from scheduler.core.chains import Ranges, between
from scheduler.core.expansion import BlockedTime, days_reaching
from scheduler.core.intervals import merge, subtract
from scheduler.core.schedules import Schedule
from scheduler.core.timetable import Timetable
from scheduler.core.uses import inside
from scheduler.core.zones import DAY

WEEK: Final = 7 * DAY


class WorkingTime:
    """The working time of a schedule, loaded week by week and then kept."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._weeks: dict[int, Ranges] = {}

    def within(self, begin: int, end: int) -> Ranges:
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
        span = inside(begin, end)
        if span is None:
            return
        days = days_reaching(self._schedule, span)
        timetable = Timetable(self._schedule, days.start, days.stop - 1)
        blocked = BlockedTime(self._schedule)
        for day in days:
            for window in timetable.windows(day)[0]:
                if window.start >= window.end:
                    continue
                removed = [(closed.start, closed.end) for closed in window.closed]
                removed += blocked.spans_of(window.slots.kind.rule_id)
                if removed:
                    yield from subtract([(window.start, window.end)], removed)
                else:
                    yield window.start, window.end
