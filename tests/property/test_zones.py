"""The map between wall clock and instant (T2, T3), and its assumption about the tz database."""

import re
import struct
from datetime import UTC, date, datetime, time, timedelta
from importlib.resources import files
from io import BytesIO
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import assume, example, given
from hypothesis import strategies as st

from oracles.minute_sets import MINUTE, instant_of, minute_of
from oracles.minutes import walk
from scheduler.core import zones as engine
from scheduler.core.zones import (
    DAY,
    day_bounds,
    day_lasts,
    day_number,
    day_of,
    micros,
    next_aligned,
    offset_at,
    steady_offset,
    wall_of,
)
from support.strategies import ALL_ZONES, days, zones
from support.zones import made

ONE_DAY = timedelta(days=1)
LONDON = ZoneInfo("Europe/London")
NAIVE_EPOCH = datetime(2000, 1, 1)
# Africa/Freetown, in data with the old times that the package leaves out, has two changes 95:40 hours apart.
CLOSE_CHANGES = made(
    (datetime(1939, 9, 1, 0, 20, tzinfo=UTC), -2 / 3), (datetime(1939, 9, 4, 23, 59, tzinfo=UTC), -1), at_first=-1
)
zones_and_days = zones.flatmap(lambda zone: st.tuples(st.just(zone), days(zone)))


def midnight_utc(day: date) -> datetime:
    return datetime.combine(day, time(tzinfo=UTC))


def wall(day: date, clock: time = time()) -> int:
    return (datetime.combine(day, clock) - NAIVE_EPOCH) // timedelta(microseconds=1)


def at(zone: ZoneInfo, day: date, clock: time = time()) -> datetime:
    """Return the instant that the engine gives a wall time."""
    return engine.instant(engine.instant_of(zone, day_number(day), wall(day, clock)))


@given(zones_and_days, st.integers(0, 2 * 1440))
@example((LONDON, date(2027, 10, 31)), 90)  # shown twice
@example((LONDON, date(2027, 3, 28)), 90)  # skipped
@example((ZoneInfo("Pacific/Apia"), date(2011, 12, 30)), 720)
@example((CLOSE_CHANGES, date(1939, 9, 2)), 90)
def test_t3_an_instant_is_the_first_minute_at_or_after_the_wall_time(where: tuple[ZoneInfo, date], minute: int) -> None:
    zone, day = where
    seen = walk(zone, minute_of(midnight_utc(day - 2 * ONE_DAY)), minute_of(midnight_utc(day + 4 * ONE_DAY)))
    sought = datetime.combine(day, time()) + minute * MINUTE
    first = next(instant_of(at) for at, reached in seen.reached.items() if reached >= sought)
    actual = engine.instant_of(zone, day_number(day), wall(day) + minute * (DAY // 1440))
    assert engine.instant(actual) == first


@given(zones, st.dates(date(1840, 1, 1), date(2150, 1, 1)), st.integers(0, 2 * DAY), st.integers(1, 2 * DAY))
def test_t3_the_wall_shows_less_before_an_instant_and_no_less_at_it(
    zone: ZoneInfo, day: date, microsecond: int, earlier: int
) -> None:
    """The rule holds for old offsets with seconds too."""
    sought = wall(day) + microsecond
    actual = engine.instant_of(zone, day_number(day), sought)
    assert wall_of(zone, actual) >= sought
    assert wall_of(zone, actual - 1) < sought
    assert wall_of(zone, actual - earlier) < sought


@given(zones_and_days, st.integers(0, 2 * DAY), st.integers(0, 2 * DAY))
@example((LONDON, date(2027, 3, 28)), DAY // 1440 * 59, DAY // 1440 * 61)  # the second is skipped
@example((LONDON, date(2027, 10, 31)), DAY // 1440 * 119, DAY // 1440 * 120)  # the first is shown twice
def test_t3_the_map_is_monotone(where: tuple[ZoneInfo, date], first: int, second: int) -> None:
    zone, day = where
    early, late = sorted((first, second))
    assert engine.instant_of(zone, day_number(day), wall(day) + early) <= engine.instant_of(
        zone, day_number(day), wall(day) + late
    )


@given(zones_and_days)
def test_t3_a_day_is_the_same_seen_from_the_day_before(where: tuple[ZoneInfo, date]) -> None:
    zone, day = where
    assert day_bounds(zone, day_number(day - ONE_DAY))[1] == day_bounds(zone, day_number(day))[0]


@given(zones_and_days)
def test_t3_a_day_lasts_while_the_wall_has_reached_it_and_not_the_next(where: tuple[ZoneInfo, date]) -> None:
    zone, day = where
    seen = walk(zone, minute_of(midnight_utc(day - 2 * ONE_DAY)), minute_of(midnight_utc(day + 3 * ONE_DAY)))
    in_day = sum(reached.date() == day for reached in seen.reached.values())
    start, end = day_bounds(zone, day_number(day))
    assert (end - start) * 1440 == in_day * DAY


@given(zones_and_days)
def test_t3_a_day_is_there_if_the_wall_ever_shows_it(where: tuple[ZoneInfo, date]) -> None:
    zone, day = where
    seen = walk(zone, minute_of(midnight_utc(day - 2 * ONE_DAY)), minute_of(midnight_utc(day + 3 * ONE_DAY)))
    assert day_lasts(zone, day_number(day)) is any(shown.date() == day for shown in seen.shown.values())


@given(zones_and_days, st.integers(0, 2 * 1440 - 1), st.one_of(st.sampled_from((5, 15, 60, 120)), st.integers(1, 3000)))
@example((LONDON, date(2027, 3, 1)), 31, 15)
@example((LONDON, date(2027, 3, 28)), 30, 15)  # both before the jump
@example((LONDON, date(2027, 3, 28)), 50, 60)  # 01:00 is skipped
@example((LONDON, date(2027, 3, 28)), 90, 15)  # both after the jump
def test_s1_an_aligned_start_is_the_first_multiple_on_the_wall_clock(
    where: tuple[ZoneInfo, date], minute: int, step: int
) -> None:
    zone, day = where
    seen = walk(zone, minute_of(midnight_utc(day - 2 * ONE_DAY)), minute_of(midnight_utc(day + 6 * ONE_DAY)))
    start = at(zone, day) + minute * MINUTE
    assume(start <= at(zone, day + ONE_DAY, time(23, 59)))  # within the day or the day after it
    first = next(
        instant_of(later)
        for later, shown in seen.shown.items()
        if later >= minute_of(start) and (shown.hour * 60 + shown.minute) % step == 0
    )
    assert engine.instant(next_aligned(zone, day_number(day), micros(start), step * (DAY // 1440))) == first


@given(zones_and_days, st.integers(0, DAY - 1))
def test_t2_the_wall_clock_is_that_of_zoneinfo(where: tuple[ZoneInfo, date], microsecond: int) -> None:
    zone, day = where
    moment = midnight_utc(day) + microsecond * timedelta(microseconds=1)
    shown = moment.astimezone(zone).replace(tzinfo=None)
    assert wall_of(zone, micros(moment)) == (shown - NAIVE_EPOCH) // timedelta(microseconds=1)


@given(zones_and_days)
@example((ZoneInfo("America/Havana"), date(1973, 10, 6)))  # the next day's last hour came twice
def test_a_steady_offset_holds_from_the_days_start_to_the_next_days_end(where: tuple[ZoneInfo, date]) -> None:
    zone, day = where
    steady = steady_offset(zone, day_number(day))
    start, _ = day_bounds(zone, day_number(day))
    _, end = day_bounds(zone, day_number(day + ONE_DAY))
    offsets = {offset_at(zone, moment) for moment in range(start, end, DAY // 48)}
    if steady is not None:
        assert offsets == {steady}
    else:
        around = range(start - 3 * DAY, end + 3 * DAY, DAY // 48)
        assert len({offset_at(zone, moment) for moment in around}) == 2


@given(st.dates())
def test_day_numbers_count_from_2000(day: date) -> None:
    assert day_of(day_number(day)) == day
    assert day_number(day) * DAY == wall(day)


@given(st.datetimes(timezones=st.just(UTC)))
def test_instants_count_microseconds_from_2000(moment: datetime) -> None:
    assert engine.instant(micros(moment)) == moment


def tzif(key: str) -> bytes:
    """Read a zone's file from the pinned tzdata package."""
    return (files("tzdata") / "zoneinfo").joinpath(*key.split("/")).read_bytes()


def offset_changes(raw: bytes) -> tuple[list[int], str, list[int]]:
    """Return the POSIX seconds of a zone's listed offset changes, its later yearly rule and its offsets (RFC 8536)."""
    header = struct.Struct(">4sc15x6l")
    _, _, isut, isstd, leap, times, types, chars = header.unpack_from(raw)
    second = header.size + times * 5 + types * 6 + chars + leap * 8 + isstd + isut
    _, _, isut, isstd, leap, times, types, chars = header.unpack_from(raw, second)
    at = second + header.size
    moments = struct.unpack_from(f">{times}q", raw, at)
    indices = struct.unpack_from(f">{times}B", raw, at + 8 * times)
    offsets = [entry[0] for entry in struct.iter_unpack(">lBB", raw[at + 9 * times :][: 6 * types])]
    before = [offsets[0], *(offsets[index] for index in indices)]
    changes = [moment for moment, (old, new) in zip(moments, pairwise(before), strict=True) if old != new]
    footer = raw[at + 9 * times + 6 * types + chars + 12 * leap + isstd + isut :]
    return changes, footer.decode().strip(), offsets


def months_apart(footer: str) -> int:
    """Return the months between the two changes of a yearly rule, at most six; six without changes."""
    months = [int(month) for month in re.findall(r",M(\d+)\.", footer)]
    assert len(months) == (2 if "," in footer else 0), footer
    around = abs(months[0] - months[1]) if months else 6
    return min(around, 12 - around)


def test_no_zone_changes_its_offset_twice_within_five_days() -> None:
    """Check the listed changes, the yearly rule after them and the seam between in every zone of tzdata.

    The map needs three and a half days; the old times of other data come close to that.
    """
    for key in ALL_ZONES:
        raw = tzif(key)
        changes, footer, offsets = offset_changes(raw)
        assert max(map(abs, offsets)) <= 18 * 3600, key
        assert all(late - early > 5 * 86_400 for early, late in pairwise(changes)), key
        assert months_apart(footer) >= 2, key
        if changes and "," in footer:
            zone = ZoneInfo.from_file(BytesIO(raw))
            seam = [datetime.fromtimestamp(changes[-1], UTC) + hours * timedelta(hours=1) for hours in range(5 * 24)]
            assert len({moment.astimezone(zone).utcoffset() for moment in seam}) == 1, key
