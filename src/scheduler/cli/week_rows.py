"""Rows of a day on the page of a week: steps of real time, labelled by the facility's wall clock.

Owns: which rows a day has, and the texts of times and clock changes.
Holds: T2 (times are those of the wall clock), T3 (a skipped hour has no row, a repeated one has rows twice).
Must not know: HTML.
"""

from datetime import date, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from scheduler.cli.week import Week
from scheduler.cli.week_grid import clock_changes
from scheduler.cli.week_page import Entry, Kind, WeekPage
from scheduler.core.shown_times import is_shown_twice, offset_text
from scheduler.core.zones import local_days

_HALF_HOUR: Final = timedelta(minutes=30)
_MAX_ROWS: Final = 26
_LONG: Final = timedelta(hours=20)  # a longer entry that is no visit adds no rows
_FIRST, _LAST = timedelta(hours=8), timedelta(hours=18)  # of a day on which nothing happens


def rows_of(page: WeekPage, number: int) -> list[tuple[datetime, datetime]]:
    """Return the rows of a day, from its first to its last busy time, as half hours or hours."""
    begin, end = local_days(page.zone, page.days[number])
    spans = [
        (entry.start_at, entry.end_at)
        for lane in (*page.doctors, *page.resources)
        for entry in lane.days[number]
        if _adds_rows(entry)
    ]
    first = min((start_at for start_at, _ in spans), default=begin + _FIRST)
    last = max((end_at for _, end_at in spans), default=begin + _LAST)
    rows: list[tuple[datetime, datetime]] = []
    for length in (_HALF_HOUR, 2 * _HALF_HOUR):
        starts = [begin + step * length for step in range(-(-(end - begin) // length))]
        rows = [(at, min(at + length, end)) for at in starts if at < last and first < at + length]
        if len(rows) <= _MAX_ROWS:
            break
    return rows


def _adds_rows(entry: Entry) -> bool:
    is_taken = entry.kind in {Kind.BOOKED, Kind.HELD}
    return entry.kind is not Kind.OUTSIDE and (is_taken or entry.end_at - entry.start_at < _LONG)


def clock(at: datetime, zone: ZoneInfo) -> str:
    """Return the wall-clock time of an instant, with its offset where the clock shows this time twice."""
    shown = f"{at.astimezone(zone):%H:%M}"
    return f"{shown} ({offset(at, zone)})" if is_shown_twice(zone, at) else shown


def offset(at: datetime, zone: ZoneInfo) -> str:
    """Return the offset of the zone at an instant, as `UTC+01:00`."""
    return f"UTC{offset_text(zone, at)}"


def ends_of(entry: Entry, day: date, zone: ZoneInfo) -> tuple[str, str]:
    """Return start and end of an entry as texts; another day than the shown one is named."""
    start, end = entry.start_at.astimezone(zone), entry.end_at.astimezone(zone)
    first = clock(entry.start_at, zone) if start.date() == day else f"{start:%a} {clock(entry.start_at, zone)}"
    midnight = local_days(zone, day)[1]
    if entry.end_at == midnight:
        return first, "24:00"
    return first, clock(entry.end_at, zone) if end.date() == day else f"{end:%a} {clock(entry.end_at, zone)}"


def changes_of(page: WeekPage) -> list[tuple[datetime, str]]:
    """Return the instants of the week at which the clock changes, each with a sentence."""
    week = Week(slug=page.slug, name=page.name, zone=page.zone, first_day=page.first_day)
    changes = []
    for at, shift in clock_changes(week):
        local = at.astimezone(page.zone)
        before = (local - shift).replace(fold=0)
        way, times = ("forward", "are skipped") if shift > timedelta(0) else ("back", "come twice")
        to = f"{local:%H:%M}" if local.date() == before.date() else f"{local:%H:%M on %A %d %B}"
        sentence = f"{before:%A %d %B}, {before:%H:%M}: the clock goes {way} to {to}. The times between {times}."
        changes.append((at, sentence))
    return changes
