"""Calendar of one facility's week for the terminal.

Owns: the calendar: seven local days side by side, half hours or hours of the wall clock below each other, and the
exceptions, closed days and clock changes of the week beneath.
Holds: T2 (days and hours are those of the wall clock), T3 (a skipped hour is marked, a repeated one shows twice).
Must not know: where slots come from; the clock and the database.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from scheduler.cli.rendering import between
from scheduler.cli.terminal import printable
from scheduler.core.schedules import ExceptionType
from scheduler.core.zones import instant_at, local_days

_DAY_COLUMNS: Final = 9
_TICK: Final = timedelta(minutes=5)
_LONG_EXCEPTION: Final = timedelta(hours=20)  # adds no rows to the calendar
_HALF_HOUR, _HOUR = 30, 60  # minutes
_MAX_HALF_HOUR_ROWS: Final = 26
_OFFICE_HOURS: Final = range(8 * 60, 18 * 60)
_STATUSES: Final = {
    "open": ("○", "green"),
    "reserved": ("◐", "yellow"),
    "booked": ("●", "bold blue"),
    "cancelled": ("✕", "dim"),
}
_MARKS: Final = {
    ExceptionType.EMERGENCY: ("▓", "bold red"),
    ExceptionType.BLOCKED: ("░", "red"),
    ExceptionType.OVERRIDE: ("≈", "magenta"),
}
_CLOSED: Final = ("·", "red")
_SKIPPED: Final = ("»", "cyan")
_CONTINUED: Final = "┆"


class WeekSlot(NamedTuple):
    """A slot of the calendar; `status` is open, reserved, booked or cancelled. Instants are aware."""

    start_at: datetime
    end_at: datetime
    status: str = "open"


class WeekException(NamedTuple):
    """An exception of the calendar; `doctor` names the doctor if a facility has several. Instants are aware."""

    type: ExceptionType
    start_at: datetime
    end_at: datetime
    reason: str | None = None
    doctor: str | None = None


class WeekClosure(NamedTuple):
    """A closed day of the calendar, or the closed time from `start_at` to `end_at` (aware) that begins on it."""

    day: date
    reason: str | None = None
    start_at: datetime | None = None
    end_at: datetime | None = None

    def covers(self, day: date, cell: "_Cell") -> bool:
        """Tell whether a cell of a day is closed, all of it or a part."""
        if self.start_at is None or self.end_at is None:
            return self.day == day
        return cell.overlaps(self.start_at, self.end_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class Week:
    """Seven local days of one facility from `first_day`."""

    title: str
    zone: ZoneInfo
    first_day: date
    slots: tuple[WeekSlot, ...] = ()
    exceptions: tuple[WeekException, ...] = ()
    closures: tuple[WeekClosure, ...] = ()

    @property
    def days(self) -> tuple[date, ...]:
        """The seven local days."""
        return tuple(self.first_day + timedelta(days=number) for number in range(7))


class _Row(NamedTuple):
    """A row of the calendar: minutes since local midnight; `fold` is 1 in the second pass of a repeated hour."""

    minute: int
    fold: int


class _Cell(NamedTuple):
    """The span of real time of one row on one day."""

    start_at: datetime
    end_at: datetime

    def overlaps(self, start_at: datetime, end_at: datetime) -> bool:
        return start_at < self.end_at and self.start_at < end_at


def week_calendar(week: Week) -> RenderableType:
    """Draw a week in 80 columns, complete without colour."""
    size = _HALF_HOUR
    rows, cells = _shown_rows(week, size)
    if len(rows) > _MAX_HALF_HOUR_ROWS:
        size = _HOUR
        rows, cells = _shown_rows(week, size)
    starts = Counter((*_position(slot.start_at, week.zone, size), slot.status) for slot in week.slots)
    table = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False, title_justify="left", title_style="bold")
    table.title = Text(f"{printable(week.title)}, {week.first_day:%d %b} to {week.days[-1]:%d %b %Y}, {week.zone.key}")
    table.add_column("", no_wrap=True, style="dim", width=6)
    for day in week.days:
        table.add_column(f"{day:%a %d}", no_wrap=True, width=_DAY_COLUMNS)
    for row in rows:
        label = f"{row.minute // 60:02}:{row.minute % 60:02}{'↻' if row.fold else ''}"
        table.add_row(label, *(_cell_text(week, day, row, cells, starts) for day in week.days))
    return Group(table, _legend(week), _notes(week))


def _shown_rows(week: Week, size: int) -> tuple[list[_Row], dict[tuple[date, _Row], _Cell]]:
    """Return the rows from the first to the last with a slot or exception, and all cells of the week."""
    cells = _cells(week, size)
    busy = [(slot.start_at, slot.end_at) for slot in week.slots]
    exceptions = [(exception.start_at, exception.end_at) for exception in week.exceptions]
    busy += [(start_at, end_at) for start_at, end_at in exceptions if end_at - start_at < _LONG_EXCEPTION]
    minutes = [row.minute for (_, row), cell in cells.items() if any(cell.overlaps(*span) for span in busy)]
    first, last = (min(minutes), max(minutes)) if minutes else (_OFFICE_HOURS.start, _OFFICE_HOURS.stop - 1)
    rows = {row for _, row in cells} | {_Row(minute, 0) for minute in range(0, 24 * 60, size)}
    return sorted(row for row in rows if first <= row.minute <= last), cells


def _cells(week: Week, size: int) -> dict[tuple[date, _Row], _Cell]:
    cells: dict[tuple[date, _Row], _Cell] = {}
    for tick in _ticks(week):
        position = _position(tick, week.zone, size)
        cell = cells.get(position)
        cells[position] = _Cell(cell.start_at if cell else tick, tick + _TICK)
    return cells


def _ticks(week: Week) -> Iterator[datetime]:
    tick, end = local_days(week.zone, week.first_day, week.days[-1] + timedelta(days=1))
    while tick < end:
        yield tick
        tick += _TICK


def _position(at: datetime, zone: ZoneInfo, size: int) -> tuple[date, _Row]:
    local = at.astimezone(zone)
    minute = local.hour * 60 + local.minute
    return local.date(), _Row(minute - minute % size, local.fold)


def _cell_text(
    week: Week,
    day: date,
    row: _Row,
    cells: dict[tuple[date, _Row], _Cell],
    starts: Counter[tuple[date, _Row, str]],
) -> Text:
    cell = cells.get((day, row))
    if cell is None:  # a day without the second pass of an hour is normal; a day without its first pass skipped it
        return Text("" if row.fold else _SKIPPED[0] * _DAY_COLUMNS, style=_SKIPPED[1])
    counts = [
        Text(f"{sign}{starts[day, row, status]}", style=style)
        for status, (sign, style) in _STATUSES.items()
        if starts[day, row, status]
    ]
    if not counts and any(
        cell.overlaps(slot.start_at, slot.end_at) for slot in week.slots if slot.status != "cancelled"
    ):
        counts = [Text(_CONTINUED, style="dim")]
    text = Text(" ").join(counts)
    if len(text) > _DAY_COLUMNS:
        text = Text("").join(counts)
    sign, style = _mark(week, day, cell)
    room = _DAY_COLUMNS - len(text)
    if sign and room > 0:
        gap = " " if counts and room > 1 else ""
        text.append(gap + sign * (1 if sign == "≈" else room - len(gap)), style=style)
    return text


def _mark(week: Week, day: date, cell: _Cell) -> tuple[str, str]:
    """Return the sign and style of the strongest exception or closure over a cell (A3)."""
    types = {exception.type for exception in week.exceptions if cell.overlaps(exception.start_at, exception.end_at)}
    for strongest in (ExceptionType.EMERGENCY, ExceptionType.BLOCKED, ExceptionType.OVERRIDE):
        if strongest in types:
            return _MARKS[strongest]
    return _CLOSED if any(closure.covers(day, cell) for closure in week.closures) else ("", "")


def _legend(week: Week) -> Text:
    slots = [slot for slot in week.slots if slot.start_at.astimezone(week.zone).date() in week.days]
    counts = Counter(slot.status for slot in slots)
    legend = Text()
    for status, (sign, style) in _STATUSES.items():
        legend.append(sign, style=style).append(f" {counts[status]} {status}  ")
    legend.append(f"{_CONTINUED} goes on\n")
    for name, (sign, style) in {**{str(kind): mark for kind, mark in _MARKS.items()}, "closed": _CLOSED}.items():
        legend.append(sign, style=style).append(f" {name}  ")
    return legend.append(_SKIPPED[0], style=_SKIPPED[1]).append(" skipped hour  ").append("↻ repeated hour")


def _notes(week: Week) -> Table:
    """List the exceptions, closed days and clock changes of the week, in order."""
    begin, end = week.days[0], week.days[-1] + timedelta(days=1)
    whole = _Cell(*local_days(week.zone, begin, end))
    lines: list[tuple[datetime, tuple[str, str], str, str]] = []
    doctors: dict[WeekException, list[str]] = {}
    for exception in week.exceptions:
        if whole.overlaps(exception.start_at, exception.end_at):
            names = doctors.setdefault(exception._replace(doctor=None), [])
            names += [exception.doctor] if exception.doctor else []
    for exception, names in doctors.items():
        note = ": ".join(part for part in (", ".join(sorted(set(names))), exception.reason) if part)
        when = between(exception.start_at, exception.end_at, zone=week.zone)
        lines.append((exception.start_at, _MARKS[exception.type], when, note or exception.type))
    for day, reason, start_at, end_at in week.closures:
        note = f"closed: {reason}" if reason else "closed"
        if start_at is None or end_at is None:
            if begin <= day < end:
                lines.append((instant_at(week.zone, day), _CLOSED, f"{day:%a %d %b}", note))
        elif whole.overlaps(start_at, end_at):
            lines.append((start_at, _CLOSED, between(start_at, end_at, zone=week.zone), note))
    lines += _clock_changes(week)
    notes = Table.grid(padding=(0, 2))
    notes.add_column(no_wrap=True)
    notes.add_column(no_wrap=True)
    notes.add_column()
    for _, (sign, style), when, why in sorted(lines):
        notes.add_row(Text(sign, style=style), when, Text(printable(why)))
    return notes


def _clock_changes(week: Week) -> Iterable[tuple[datetime, tuple[str, str], str, str]]:
    for before, after in pairwise(_ticks(week)):
        shift = (after.astimezone(week.zone).utcoffset() or timedelta()) - (
            before.astimezone(week.zone).utcoffset() or timedelta()
        )
        if shift:
            local = after.astimezone(week.zone)
            before_change = (local - shift).replace(fold=0)
            sign = _SKIPPED if shift > timedelta(0) else ("↻", "cyan")
            word = "forward" if shift > timedelta(0) else "back"
            to = f"{local:%H:%M}" if local.date() == before_change.date() else f"{local:%a %d %b %H:%M}"
            yield after, sign, f"{before_change:%a %d %b %H:%M}", f"the clock goes {word} to {to}"
