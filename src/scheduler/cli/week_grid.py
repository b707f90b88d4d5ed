"""Grid of a week: rows of the wall clock, and the real time of each row on each day.

Owns: the rows that a calendar shows, the cells of real time, and the changes of the clock.
Holds: T2 (days and hours are those of the wall clock), T3 (a skipped hour has no cell, a repeated one has two rows).
Must not know: how a cell is drawn.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from scheduler.cli.week import Week, WeekClosure
from scheduler.core.zones import local_days

_TICK: Final = timedelta(minutes=5)
_LONG_EXCEPTION: Final = timedelta(hours=20)  # adds no rows to the calendar
_HALF_HOUR, _HOUR = 30, 60  # minutes
_MAX_HALF_HOUR_ROWS: Final = 26
_OFFICE_HOURS: Final = range(8 * 60, 18 * 60)


class Row(NamedTuple):
    """A row of the calendar: minutes since local midnight; `fold` is 1 in the second pass of a repeated hour."""

    minute: int
    fold: int


class Cell(NamedTuple):
    """The span of real time of one row on one day."""

    start_at: datetime
    end_at: datetime

    def overlaps(self, start_at: datetime, end_at: datetime) -> bool:
        """Tell whether a span shares time with the cell."""
        return start_at < self.end_at and self.start_at < end_at

    def is_closed(self, day: date, closure: WeekClosure) -> bool:
        """Tell whether a closure covers the cell of this day, all of it or a part."""
        if closure.start_at is None or closure.end_at is None:
            return closure.day == day
        return self.overlaps(closure.start_at, closure.end_at)


@dataclass(frozen=True, slots=True)
class Grid:
    """The rows to show, of `size` minutes each, and all cells of the week by day and row."""

    zone: ZoneInfo
    size: int
    rows: list[Row]
    cells: Mapping[tuple[date, Row], Cell]

    def position(self, at: datetime) -> tuple[date, Row]:
        """Return the day and row of an instant."""
        return _position(at, self.zone, self.size)


def grid_of(week: Week) -> Grid:
    """Return the grid with rows of half hours, or of hours if half hours were too many."""
    grid = _grid(week, _HALF_HOUR)
    return grid if len(grid.rows) <= _MAX_HALF_HOUR_ROWS else _grid(week, _HOUR)


def whole_days(week: Week, first: date, last: date) -> Cell:
    """Return the span of real time from the start of a day to the end of another."""
    return Cell(*local_days(week.zone, first, last + timedelta(days=1)))


def clock_changes(week: Week) -> Iterator[tuple[datetime, timedelta]]:
    """Yield the instants of the week at which the clock changes, and by how much."""
    for before, after in pairwise(_ticks(week)):
        shift = (after.astimezone(week.zone).utcoffset() or timedelta()) - (
            before.astimezone(week.zone).utcoffset() or timedelta()
        )
        if shift:
            yield after, shift


def _grid(week: Week, size: int) -> Grid:
    """Return the grid with the rows from the first to the last with a slot or short exception."""
    cells = _cells(week, size)
    busy = [(slot.start_at, slot.end_at) for slot in week.slots]
    exceptions = [(exception.start_at, exception.end_at) for exception in week.exceptions]
    busy += [(start_at, end_at) for start_at, end_at in exceptions if end_at - start_at < _LONG_EXCEPTION]
    minutes = [row.minute for (_, row), cell in cells.items() if any(cell.overlaps(*span) for span in busy)]
    first, last = (min(minutes), max(minutes)) if minutes else (_OFFICE_HOURS.start, _OFFICE_HOURS.stop - 1)
    rows = {row for _, row in cells} | {Row(minute, 0) for minute in range(0, 24 * 60, size)}
    return Grid(week.zone, size, sorted(row for row in rows if first <= row.minute <= last), cells)


def _cells(week: Week, size: int) -> dict[tuple[date, Row], Cell]:
    cells: dict[tuple[date, Row], Cell] = {}
    for tick in _ticks(week):
        position = _position(tick, week.zone, size)
        cell = cells.get(position)
        cells[position] = Cell(cell.start_at if cell else tick, tick + _TICK)
    return cells


def _ticks(week: Week) -> Iterator[datetime]:
    tick, end = local_days(week.zone, week.first_day, week.days[-1] + timedelta(days=1))
    while tick < end:
        yield tick
        tick += _TICK


def _position(at: datetime, zone: ZoneInfo, size: int) -> tuple[date, Row]:
    local = at.astimezone(zone)
    minute = local.hour * 60 + local.minute
    return local.date(), Row(minute - minute % size, local.fold)
