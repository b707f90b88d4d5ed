"""Wall clock and instant by example (T2, T3); `tests/property/test_zones.py` has the properties."""

from datetime import UTC, date, datetime, time, timedelta
from importlib.resources import files
from io import BytesIO
from zoneinfo import ZoneInfo

import pytest

from scheduler.core.errors import WallClockError
from scheduler.core.zones import (
    FIRST_INSTANT,
    LAST_INSTANT,
    after,
    before,
    check_day,
    check_inside,
    day_bounds,
    day_number,
    in_calendar,
    instant,
    instant_on_clock,
    micros,
    next_aligned,
    offset_at,
    zone_of,
)

MINUTE = 60_000_000


@pytest.mark.parametrize("key", ["Asia/Kathmandu", "America/New_York", "Etc/GMT+12", "Pacific/Kiritimati"])
def test_an_offset_at_the_calendars_ends_is_that_of_the_last_day_that_fits(key: str) -> None:
    first, last = micros(datetime.min.replace(tzinfo=UTC)), micros(datetime.max.replace(tzinfo=UTC))
    assert offset_at(ZoneInfo(key), first) == offset_at(ZoneInfo(key), FIRST_INSTANT)
    assert offset_at(ZoneInfo(key), last) == offset_at(ZoneInfo(key), LAST_INSTANT)


@pytest.mark.parametrize("moment", [datetime(1, 1, 3, tzinfo=UTC), datetime(9999, 12, 29, tzinfo=UTC)])
def test_the_calendars_last_days_that_fit_are_inside(moment: datetime) -> None:
    check_inside(micros(moment), moment)
    assert in_calendar(moment.astimezone(ZoneInfo("Asia/Kathmandu"))).isoformat() == moment.isoformat()


def test_an_instant_before_or_after_another_one_stays_in_the_calendar() -> None:
    first, last, day = instant(FIRST_INSTANT), instant(LAST_INSTANT), timedelta(days=1)
    noon = datetime(2027, 3, 1, 12, tzinfo=UTC)
    assert (before(noon, day), after(noon, day)) == (noon - day, noon + day)
    assert [before(at, day) for at in (first, first + day / 2, first + day)] == [first] * 3
    assert [after(at, day) for at in (last, last - day / 2, last - day)] == [last] * 3


@pytest.mark.parametrize("moment", [datetime(1, 1, 2, 23, 59, tzinfo=UTC), datetime(9999, 12, 29, 0, 0, 1, tzinfo=UTC)])
def test_an_instant_outside_the_calendar_is_refused(moment: datetime) -> None:
    with pytest.raises(WallClockError, match="leaves the calendar, which goes from 0001-01-03 to 9999-12-29"):
        in_calendar(moment)


@pytest.mark.parametrize(
    ("day", "is_inside"),
    [
        (date(1, 1, 3), False),
        (date(1, 1, 4), True),
        (date(9999, 12, 28), True),
        (date(9999, 12, 29), False),
    ],
)
def test_a_day_is_inside_the_calendar_with_its_neighbours(day: date, *, is_inside: bool) -> None:
    if is_inside:
        check_day(day)
    else:
        with pytest.raises(WallClockError, match=f"{day} leaves the calendar"):
            check_day(day)


@pytest.mark.parametrize(
    ("key", "day", "clock", "expected"),
    [
        # London 2027-03-28: 01:00 GMT becomes 02:00 BST.
        ("Europe/London", date(2027, 3, 28), time(0, 59), "2027-03-28T00:59:00+00:00"),
        ("Europe/London", date(2027, 3, 28), time(1, 30), "2027-03-28T01:00:00+00:00"),
        ("Europe/London", date(2027, 3, 28), time(2, 0), "2027-03-28T01:00:00+00:00"),
        # London 2027-10-31: 02:00 BST becomes 01:00 GMT.
        ("Europe/London", date(2027, 10, 31), time(1, 30), "2027-10-31T00:30:00+00:00"),
        ("Europe/London", date(2027, 10, 31), time(2, 0), "2027-10-31T02:00:00+00:00"),
        # Apia had no 2011-12-30: all of it is the instant at which the 31st began.
        ("Pacific/Apia", date(2011, 12, 30), time(12, 0), "2011-12-30T10:00:00+00:00"),
        ("Pacific/Apia", date(2011, 12, 31), time(0, 0), "2011-12-30T10:00:00+00:00"),
        # Juneau's clock went back a whole day on 1867-10-19 at 15:33:32 (the Alaska purchase, +15:02:19 to -8:57:41).
        ("America/Juneau", date(1867, 10, 19), time(12, 0), "1867-10-18T20:57:41+00:00"),
        ("America/Juneau", date(1867, 10, 19), time(16, 0), "1867-10-20T00:57:41+00:00"),
    ],
)
def test_t3_known_wall_times(key: str, day: date, clock: time, expected: str) -> None:
    assert instant_on_clock(ZoneInfo(key), datetime.combine(day, clock)).isoformat() == expected


def test_t3_a_skipped_day_has_no_length() -> None:
    start, end = day_bounds(ZoneInfo("Pacific/Apia"), day_number(date(2011, 12, 30)))
    assert start == end


def test_t2_a_zone_is_a_name_or_a_zoneinfo() -> None:
    assert zone_of("Europe/London").key == "Europe/London"
    given_zone = ZoneInfo("Asia/Kathmandu")
    assert zone_of(given_zone) is given_zone


@pytest.mark.parametrize(
    "name", ["Factory", "localtime", "Mars/Olympus", "", "../etc/passwd", "/etc/localtime", "Europe", "a\0b", "é"]
)
def test_t2_an_unknown_zone_is_refused(name: str) -> None:
    with pytest.raises(WallClockError, match="unknown time zone"):
        zone_of(name)


def test_t2_a_zone_without_a_name_is_refused() -> None:
    nameless = ZoneInfo.from_file(BytesIO(files("tzdata").joinpath("zoneinfo", "Europe", "London").read_bytes()))
    with pytest.raises(WallClockError, match="without an IANA name"):
        zone_of(nameless)


def test_t2_a_zone_that_is_neither_name_nor_zone_is_refused() -> None:
    with pytest.raises(WallClockError, match="not int"):
        zone_of(5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("day", "minute", "step", "expected"),
    [
        (date(2027, 3, 1), 31, 15, "2027-03-01T00:45:00+00:00"),
        (date(2027, 3, 28), 30, 15, "2027-03-28T00:30:00+00:00"),  # before the jump
        (date(2027, 3, 28), 50, 60, "2027-03-28T01:00:00+00:00"),  # 01:00 on the wall is skipped
        (date(2027, 3, 28), 90, 15, "2027-03-28T01:30:00+00:00"),  # after the jump
    ],
)
def test_s1_known_aligned_starts(day: date, minute: int, step: int, expected: str) -> None:
    midnight = micros(datetime.combine(day, time(tzinfo=UTC)))
    start = next_aligned(ZoneInfo("Europe/London"), day_number(day), midnight + minute * MINUTE, step * MINUTE)
    assert instant(start).isoformat() == expected
