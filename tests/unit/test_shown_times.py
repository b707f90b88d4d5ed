"""Offsets of shown times: the days and times that need them (T3)."""

from datetime import UTC, date, datetime

import pytest

from scheduler.core.shown_times import has_clock_change, is_shown_twice, offset_text
from scheduler.core.zones import zone_of


@pytest.mark.parametrize(
    ("zone", "day", "changes"),
    [
        ("Europe/London", date(2027, 3, 27), False),
        ("Europe/London", date(2027, 3, 28), True),
        ("Europe/London", date(2027, 10, 31), True),
        ("Asia/Beirut", date(2027, 3, 27), False),
        ("Asia/Beirut", date(2027, 3, 28), False),  # its first hour is skipped: it begins at one
        ("Pacific/Apia", date(2011, 12, 30), False),  # the zone skipped the day
    ],
)
def test_t3_a_day_needs_offsets_if_the_clock_changes_on_it(zone: str, day: date, changes: bool) -> None:
    assert has_clock_change(zone_of(zone), day) is changes


@pytest.mark.parametrize(("hour", "twice"), [(0, True), (1, True), (2, False)])
def test_t3_a_time_is_shown_twice_in_the_repeated_hour(hour: int, twice: bool) -> None:
    assert is_shown_twice(zone_of("Europe/London"), datetime(2027, 10, 31, hour, 30, tzinfo=UTC)) is twice


def test_an_offset_has_hours_and_minutes() -> None:
    at = datetime(2027, 7, 1, tzinfo=UTC)
    zones = ("Europe/London", "America/St_Johns", "UTC", "Asia/Kathmandu")
    assert [offset_text(zone_of(zone), at) for zone in zones] == ["+01:00", "-02:30", "+00:00", "+05:45"]
