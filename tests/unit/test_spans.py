"""Spans of instants and of days by example (T1); `tests/property/test_spans.py` has the properties."""

from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from scheduler.core.days import DaySet
from scheduler.core.errors import InvalidSpanError
from scheduler.core.spans import Span, utc

NINE = datetime(2027, 3, 1, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_t1_touching_spans_of_an_hour_do_not_overlap() -> None:
    first, second = Span(NINE, NINE + HOUR), Span(NINE + HOUR, NINE + 2 * HOUR)
    assert not first.overlaps(second)
    assert first.duration == second.duration == HOUR
    assert first.overlaps(Span(NINE, NINE + 2 * HOUR))


@pytest.mark.parametrize(
    ("start", "end", "message"),
    [
        (NINE.replace(tzinfo=None), NINE, "start 2027-03-01T09:00:00 is naive"),
        (NINE, NINE.replace(tzinfo=None), "end 2027-03-01T09:00:00 is naive"),
        (NINE, NINE, "is empty"),
        (NINE + HOUR, NINE, "is reversed"),
        (date(2027, 3, 1), NINE, "start must be a datetime, not date"),
        (NINE, "2027-03-01T09:00Z", "end must be a datetime, not str"),
        (datetime(1, 1, 1, tzinfo=timezone(HOUR)), NINE, "outside the years 1 to 9999"),
        (NINE, datetime(9999, 12, 31, 23, 30, tzinfo=timezone(-HOUR)), "outside the years 1 to 9999"),
    ],
)
def test_t1_a_naive_empty_or_reversed_span_is_refused(start: datetime, end: datetime, message: str) -> None:
    with pytest.raises(InvalidSpanError, match=message):
        Span(start, end)


def test_t1_a_datetime_in_a_zone_without_an_offset_is_naive() -> None:
    class ZoneWithoutOffset(ZoneInfo):
        def utcoffset(self, _: datetime | None, /) -> None:
            return None

    with pytest.raises(InvalidSpanError, match="naive"):
        utc(NINE.replace(tzinfo=ZoneWithoutOffset("Europe/London")))


def test_t1_a_naive_instant_is_in_no_span() -> None:
    with pytest.raises(InvalidSpanError, match="naive"):
        _ = NINE.replace(tzinfo=None) in Span(NINE, NINE + HOUR)


@pytest.mark.parametrize(
    ("first", "until", "message"),
    [
        (date(2027, 3, 1), date(2027, 2, 28), "days 2027-03-01 to before 2027-02-28 are reversed"),
        (date(2027, 3, 1), date(2027, 3, 1), "days 2027-03-01 to before 2027-03-01 are empty"),
        (None, date(2027, 3, 1), "first must be a date, not None"),
        (date(2027, 3, 1), datetime(2027, 3, 2, tzinfo=UTC), r"until must be a date, not datetime\.datetime"),
    ],
)
def test_a_span_that_has_no_days_is_refused(first: Any, until: Any, message: str) -> None:
    with pytest.raises(InvalidSpanError, match=message):
        DaySet([(first, until)])


def test_r3_days_that_are_generated_already_are_left_out() -> None:
    first = date(2027, 3, 1)
    days = [first + timedelta(days=number) for number in range(5)]
    rest = DaySet([(days[0], days[4])]) - DaySet([(days[1], days[2])])
    assert rest == DaySet([(days[0], days[1]), (days[2], days[4])])
