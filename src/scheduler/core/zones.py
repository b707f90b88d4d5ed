"""Time zones and wall clocks: the map from wall-clock time to instant and back.

Owns: zones by name, and the monotone map of T3. Times are whole microseconds since 2000-01-01T00:00 (PostgreSQL's
own count): *instants* count in UTC, *walls* count the time on the facility's wall clock.
Holds: T2 (IANA zones), T3 (monotone map, repeated and skipped wall times, missing days), T5 (no clock, no local zone).
Must not know: rules, slots.

The map rests on facts about the tz database, which a test checks for every zone: no offset exceeds 18 hours, and two
offset changes of one zone are more than three and a half days apart. So a shorter time whose two ends have the same
offset has that offset throughout.
"""

from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from scheduler.core.errors import WallClockError
from scheduler.core.spans import Span, utc

EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)
EPOCH_DAY: Final = date(2000, 1, 1).toordinal()
WEEKDAY_OF_DAY_0: Final = 6  # a Saturday
DAYS_OF_WEEK: Final = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
MICROSECOND: Final = timedelta(microseconds=1)
DAY: Final = 86_400_000_000
SECOND: Final = 1_000_000

# A zone's offset may be a day: two days at each end of the calendar keep every conversion inside it.
EARLIEST: Final = datetime(1, 1, 3, tzinfo=UTC)
LATEST: Final = datetime(9999, 12, 29, tzinfo=UTC)
FIRST_INSTANT: Final = (EARLIEST - EPOCH) // MICROSECOND
LAST_INSTANT: Final = (LATEST - EPOCH) // MICROSECOND

# Local times of a day and the next one lie within so many seconds: two days, and the farthest offset at each end.
_FARTHEST: Final = 18 * 3600
BETWEEN_CHANGES: Final = 2 * 86_400 + 2 * _FARTHEST

# Files in the folder of the tz database that name no place; PostgreSQL refuses them.
_NOT_PLACES: Final = frozenset({"Factory", "localtime", "posixrules"})


@lru_cache(maxsize=1024)
def _load(name: str) -> ZoneInfo:
    if name not in _NOT_PLACES:
        with suppress(KeyError, ValueError, OSError, TypeError):  # not found is a KeyError; "", "../x", a folder differ
            return ZoneInfo(name)
    raise WallClockError(f"unknown time zone {name!r}: use an IANA name such as 'Europe/London'")


def zone_of(zone: ZoneInfo | str) -> ZoneInfo:
    """Return the IANA zone of this name, or the zone itself.

    Raises:
        WallClockError: the zone is unknown, or has no name and cannot be stored.
    """
    if isinstance(zone, ZoneInfo):
        if zone.key is None:
            raise WallClockError("a time zone without an IANA name cannot be stored")
        return zone
    if not isinstance(zone, str):
        raise WallClockError(f"a time zone must be a name or a ZoneInfo, not {type(zone).__name__}")
    return _load(zone)


def before(at: datetime, length: timedelta) -> datetime:
    """Return the instant so long before another one, or the first of the calendar."""
    return max(at, EARLIEST + length) - length


def after(at: datetime, length: timedelta) -> datetime:
    """Return the instant so long after another one, or the last of the calendar."""
    return min(at, LATEST - length) + length


def micros(instant: datetime) -> int:
    """Count the microseconds from 2000-01-01T00:00Z to an aware instant."""
    return (instant - EPOCH) // MICROSECOND


def instant(count: int) -> datetime:
    """Return the UTC instant of a count of microseconds."""
    return EPOCH + timedelta(microseconds=count)


def check_inside(at: int, shown: object) -> None:
    """Refuse a time so near the calendar's ends that its wall-clock time may have no date; `shown` names it.

    Raises:
        WallClockError: the time lies before 0001-01-03 or after 9999-12-29.
    """
    if not FIRST_INSTANT <= at <= LAST_INSTANT:
        raise WallClockError(f"{shown} leaves the calendar, which goes from 0001-01-03 to 9999-12-29")


def in_calendar(at: datetime, shown: object = None) -> datetime:
    """Return an aware instant in UTC if every zone has a wall-clock time for it.

    An error shows `shown` if it is given, else the instant.

    Raises:
        WallClockError: the instant lies before 0001-01-03 or after 9999-12-29.
    """
    check_inside(micros(at), at if shown is None else shown)
    return utc(at)


def check_day(day: date) -> None:
    """Refuse a day so near the calendar's ends that a day before or after it may have no instants.

    Raises:
        WallClockError: the day lies before 0001-01-04 or after 9999-12-28.
    """
    check_inside((day_number(day) - 1) * DAY, day)
    check_inside((day_number(day) + 1) * DAY, day)


def day_number(day: date) -> int:
    """Count the days from 2000-01-01 to a calendar day."""
    return day.toordinal() - EPOCH_DAY


def day_of(number: int) -> date:
    """Return the calendar day of a count of days."""
    return date.fromordinal(number + EPOCH_DAY)


def clock_micros(clock: time) -> int:
    """Count the microseconds from midnight to a wall-clock time."""
    return ((clock.hour * 60 + clock.minute) * 60 + clock.second) * SECOND + clock.microsecond


def clock_span(start_time: time, end_time: time) -> tuple[int, int]:
    """Return start and end of a wall-clock window, counted from midnight; the end may be on the next day (T2)."""
    start, end = clock_micros(start_time), clock_micros(end_time)
    return start, end if end > start else end + DAY


def offset_at(zone: ZoneInfo, at: int) -> int:
    """Return the zone's offset from UTC at an instant (both in microseconds)."""
    inside = min(max(at, FIRST_INSTANT), LAST_INSTANT)
    ahead = instant(inside).astimezone(zone).utcoffset()
    assert ahead is not None  # noqa: S101  # a ZoneInfo always has an offset
    return ahead // MICROSECOND


def wall_of(zone: ZoneInfo, at: int) -> int:
    """Return the time on the zone's wall clock at an instant."""
    return at + offset_at(zone, at)


@lru_cache(maxsize=1 << 16)
def steady_offset(zone: ZoneInfo, day: int) -> int | None:
    """Return the zone's offset if it does not change in a local day and the next one, else None."""
    jump, before, after = _change(zone, day)
    if before == after or (day + 2) * DAY - before < jump:
        return before
    return after if jump <= day * DAY - max(before, after) else None


@lru_cache(maxsize=1 << 12)
def _change(zone: ZoneInfo, day: int) -> tuple[int, int, int]:
    """Return the offset change near a day: its instant, and the offsets before and after, equal without a change."""
    low = day * DAY // SECOND - _FARTHEST
    high = low + BETWEEN_CHANGES
    before, after = offset_at(zone, low * SECOND), offset_at(zone, high * SECOND)
    while high - low > 1 and before != after:
        middle = (low + high) // 2
        if offset_at(zone, middle * SECOND) == before:
            low = middle
        else:
            high = middle
    return high * SECOND, before, after


def instant_of(zone: ZoneInfo, day: int, wall: int) -> int:
    """Return the instant at which the wall clock first shows `wall` or more (T3).

    `day` is the number of a local day; `wall` lies within it or the next day. A repeated wall time maps to its first
    occurrence, a skipped one to the instant of the jump; so the map is monotone.
    """
    steady = steady_offset(zone, day)
    if steady is not None:
        return wall - steady
    jump, before, after = _change(zone, day)
    return wall - before if wall - before < jump else max(jump, wall - after)


def instant_at(zone: ZoneInfo, day: date, clock: timedelta = timedelta(0)) -> datetime:
    """Return the UTC instant at which the wall clock first shows `clock`, counted from the day's midnight (T3).

    `clock` is at most two days; without it the local day begins at the instant. For a day that the zone skipped, the
    instant is that of the jump.

    Raises:
        WallClockError: the day lies in the first or last days of the calendar.
    """
    number = day_number(day)
    check_inside(number * DAY, day)
    return instant(instant_of(zone, number, number * DAY + clock // MICROSECOND))


def instant_on_clock(zone: ZoneInfo, wall: datetime) -> datetime:
    """Return the UTC instant at which the wall clock first shows a naive date and time (T3).

    Raises:
        WallClockError: the day lies in the first or last days of the calendar.
    """
    return instant_at(zone, wall.date(), wall - datetime.combine(wall.date(), time()))


def local_days(zone: ZoneInfo, day: date, until: date | None = None) -> tuple[datetime, datetime]:
    """Return the instants at which the local days `[day, until)`, or `day` alone, begin and end.

    The two are equal where the zone skipped all of these days.

    Raises:
        WallClockError: a day lies in the first or last days of the calendar.
    """
    return instant_at(zone, day), instant_at(zone, day + timedelta(days=1) if until is None else until)


def local_day(zone: ZoneInfo, day: date, until: date | None = None) -> Span | None:
    """Return the local days `[day, until)`, or `day` alone, as a span; None if the zone skipped them.

    Raises:
        WallClockError: a day lies in the first or last days of the calendar.
    """
    begin, end = local_days(zone, day, until)
    return Span(begin, end) if begin < end else None


def day_bounds(zone: ZoneInfo, day: int) -> tuple[int, int]:
    """Return the instants at which a local day begins and ends, equal for a day that the zone skipped."""
    return instant_of(zone, day, day * DAY), instant_of(zone, day, (day + 1) * DAY)


def day_lasts(zone: ZoneInfo, day: int) -> bool:
    """Tell whether the zone has this local day; Pacific/Apia has no 2011-12-30."""
    begin, end = day_bounds(zone, day)
    return begin < end


def instants_showing(zone: ZoneInfo, day: int, start: int, end: int) -> list[tuple[int, int]]:
    """Return the instants at which the wall clock shows `[start, end)` of a local day, in order.

    A repeated wall time has two parts, a skipped one none.
    """
    steady = steady_offset(zone, day)
    if steady is not None:
        return [(start - steady, end - steady)]
    jump, before, after = _change(zone, day)
    parts = (start - before, min(end - before, jump)), (max(start - after, jump), end - after)
    return [(low, high) for low, high in parts if low < high]


def next_aligned(zone: ZoneInfo, day: int, at: int, step: int) -> int:
    """Return the first instant from `at` on whose wall time since midnight is a multiple of `step`.

    `at` lies within the local day `day` or the next day. Midnight is a multiple of every step (S1).
    """

    def after(start: int, offset: int) -> int:
        wall = start + offset
        midnight = wall - wall % DAY
        return min(midnight - (midnight - wall) // step * step, midnight + DAY) - offset

    steady = steady_offset(zone, day)
    if steady is not None:
        return after(at, steady)
    jump, before, behind = _change(zone, day)
    if at < jump:
        aligned = after(at, before)
        if aligned < jump:
            return aligned
        at = jump
    return after(at, behind)
