"""Calendar of one facility's week for the terminal.

Owns: the calendar: seven local days side by side, half hours or hours of the wall clock below each other, and beneath
it the days of each doctor if the facility has several.
Holds: T3 (a skipped hour is marked, a repeated one shows twice).
Must not know: where slots come from; the clock and the database.

An exception fills a cell only if it concerns every doctor. An exception of some is a sign with their letters, beside
the slots of the others.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from typing import Final, NamedTuple

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from scheduler.cli.terminal import printable
from scheduler.cli.week import TAKEN, Week, WeekException, WeekSlot
from scheduler.cli.week_grid import Cell, Grid, Row, grid_of, whole_days
from scheduler.cli.week_notes import legend, notes
from scheduler.cli.week_signs import CLOSED, CONTINUED, EXCEPTIONS, REPEATED, SKIPPED, STATUSES, STRENGTH, letters_of
from scheduler.core.schedules import ExceptionType

LEAST_COLUMNS: Final = 80
_LABEL: Final = 6
_NARROWEST, _WIDEST = 9, 16  # of a day's column
_OF_LITTLE_USE: Final = ("cancelled", TAKEN)
_OF_A_DAY: Final = ("open", "booked")  # for each doctor: a narrow column has no room for more
_NARROWER: Final = 2  # the days of each doctor leave this much of each column to the names


class _Sign(NamedTuple):
    """The exceptions of one type over a cell: the letters of their doctors, and how many these are."""

    type: ExceptionType
    letters: str = ""
    number: str = ""


def week_calendar(week: Week, *, columns: int = LEAST_COLUMNS) -> RenderableType:
    """Draw a week in so many columns, 80 at least; it is complete without colour."""
    width = max(_NARROWEST, min(_WIDEST, (columns - _LABEL) // len(week.days) - 1))
    parts: list[RenderableType] = [_hours(week, width)]
    if len(week.doctors) > 1:
        parts.append(_doctors(week, width))
    return Group(*parts, legend(week), notes(week))


def _hours(week: Week, width: int) -> Table:
    """Draw the hours of the week: in each cell, the slots that start in it, and the exceptions over it."""
    grid = grid_of(week)
    starts = Counter((*grid.position(slot.start_at), slot.status) for slot in week.slots)
    table = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False, title_justify="left", title_style="bold")
    doctor = "".join(f", {name}" for _, name in week.doctors[:1] if len(week.doctors) == 1 and name != week.name)
    dates = f"{week.first_day:%d %b} to {week.days[-1]:%d %b %Y}"
    table.title = Text(printable(f"{week.name} ({week.slug}){doctor}, {dates}, {week.zone.key}"))
    table.add_column("", no_wrap=True, style="dim", width=_LABEL)
    for day in week.days:
        table.add_column(f"{day:%a %d}", no_wrap=True, width=width)
    letters = letters_of(week)
    exceptions = _strongest_first(week.exceptions)
    for row in grid.rows:
        label = f"{row.minute // 60:02}:{row.minute % 60:02}{REPEATED[0] if row.fold else ''}"
        cells = (_hour(week, grid, day, row, starts, exceptions, letters, width) for day in week.days)
        table.add_row(label, *cells)
    return table


def _hour(
    week: Week,
    grid: Grid,
    day: date,
    row: Row,
    starts: Mapping[tuple[date, Row, str], int],
    exceptions: Sequence[WeekException],
    letters: Mapping[int, str],
    width: int,
) -> Text:
    cell = grid.cells.get((day, row))
    if cell is None:  # a day without the second pass of an hour is normal; a day without its first pass skipped it
        return Text("" if row.fold else SKIPPED[0] * width, style=SKIPPED[1])
    counts = {status: starts.get((day, row, status), 0) for status in STATUSES}
    goes_on = not any(counts.values()) and any(
        slot.status != "cancelled" and cell.overlaps(slot.start_at, slot.end_at) for slot in week.slots
    )
    strongest: dict[int, WeekException] = {}
    for exception in exceptions:
        if cell.overlaps(exception.start_at, exception.end_at):
            strongest.setdefault(exception.doctor_id, exception)
    types = {exception.type for exception in strongest.values()}
    concerns_all = len(strongest) == len(week.doctors) and not any(each.rule_id for each in strongest.values())
    if len(types) == 1 and concerns_all:
        return _filled(_fitted(counts, (), width - 1, goes_on=goes_on), *EXCEPTIONS[types.pop()], width)
    concerned = {kind: [id_ for id_, each in strongest.items() if each.type is kind] for kind in EXCEPTIONS}
    signs = [
        _Sign(kind, "".join(sorted(letters[id_] for id_ in ids)), str(len(ids)) if len(week.doctors) > 1 else "")
        for kind, ids in concerned.items()
        if ids
    ]
    if any(cell.is_closed(day, closure) for closure in week.closures):
        return _filled(_fitted(counts, signs, width - 1, goes_on=goes_on), *CLOSED, width)
    return _fitted(counts, signs, width, goes_on=goes_on)


def _doctors(week: Week, width: int) -> Table:
    """Draw the days of each doctor: slots and exceptions. A day with exceptions and without open slots is filled."""
    table = Table(box=box.SIMPLE_HEAD, padding=0, pad_edge=False)
    table.add_column("doctor", width=_LABEL + _NARROWER * len(week.days), overflow="fold")
    spans = {day: whole_days(week, day, day) for day in week.days}
    for day in week.days:
        table.add_column(f"{day:%a %d}", no_wrap=True, width=width - _NARROWER)
    slots: dict[tuple[int, date], list[WeekSlot]] = {}
    for slot in week.slots:
        slots.setdefault((slot.doctor_id, slot.start_at.astimezone(week.zone).date()), []).append(slot)
    letters = letters_of(week)
    exceptions = _strongest_first(week.exceptions)
    for id_, name in week.doctors:
        own = [exception for exception in exceptions if exception.doctor_id == id_]
        days = (_day(week, day, spans[day], slots.get((id_, day), ()), own, width - _NARROWER) for day in week.days)
        table.add_row(Text(printable(f"{letters[id_]} {name}".strip())), *days)
    return table


def _day(
    week: Week,
    day: date,
    span: Cell,
    slots: Iterable[WeekSlot],
    exceptions: Iterable[WeekException],
    width: int,
) -> Text:
    counts = Counter(slot.status for slot in slots if slot.status in _OF_A_DAY)
    types = [each.type for each in exceptions if span.overlaps(each.start_at, each.end_at)]
    if counts["open"] or not types:
        is_closed = any(closure.start_at is None and span.is_closed(day, closure) for closure in week.closures)
        text = _fitted(counts, [_Sign(kind) for kind in dict.fromkeys(types)], width - is_closed)
        return _filled(text, *CLOSED, width) if is_closed else text
    return _filled(_fitted(counts, (), width - 1), *EXCEPTIONS[types[0]], width)


def _strongest_first(exceptions: Iterable[WeekException]) -> list[WeekException]:
    return sorted(exceptions, key=lambda each: (STRENGTH[each.type], each.rule_id is not None))


def _fitted(counts: Mapping[str, int], signs: Iterable[_Sign], width: int, *, goes_on: bool = False) -> Text:
    """Return counts and signs as text of this width.

    Where it is short, cancelled and taken slots are left out first, then the letters become a number, then nothing, and
    then reserved and booked slots are left out: open slots and signs stay.
    """
    signs = tuple(signs)

    def numbers(*left_out: str) -> list[Text]:
        return [
            Text(f"{sign}{counts[status]}", style=style)
            for status, (sign, style) in STATUSES.items()
            if counts[status] and status not in left_out
        ]

    everything = numbers() or [Text(CONTINUED, style="dim")] * goes_on
    lettered = [_drawn(sign, sign.letters or sign.number) for sign in signs]
    numbered = [_drawn(sign, sign.number) for sign in signs]
    bare = [_drawn(sign, "") for sign in signs]
    text = Text()
    for gap, parts in (
        (" ", everything + lettered),
        ("", everything + lettered),
        ("", numbers(*_OF_LITTLE_USE) + lettered),
        ("", numbers(*_OF_LITTLE_USE) + numbered),
        ("", numbers(*_OF_LITTLE_USE) + bare),
        ("", numbers(*_OF_LITTLE_USE, "reserved") + bare),
        ("", numbers(*_OF_LITTLE_USE, "reserved", "booked") + bare),
    ):
        text = Text(gap).join(parts)
        if text.cell_len <= width:
            break
    return text


def _drawn(sign: _Sign, doctors: str) -> Text:
    mark, style = EXCEPTIONS[sign.type]
    return Text(mark + doctors, style=style)


def _filled(text: Text, sign: str, style: str, width: int) -> Text:
    """Fill the rest of a cell with a sign; that of an override, which opens time, stands once."""
    room = width - text.cell_len
    if room > 0:
        gap = " " if text and room > 1 else ""
        text.append(gap + sign * (1 if sign == EXCEPTIONS[ExceptionType.OVERRIDE][0] else room - len(gap)), style=style)
    return text
