"""Recurrences by example: invalid ones, and some with known days (A2)."""

from datetime import date

import pytest

from scheduler.core.errors import InvalidRecurrenceError
from scheduler.core.recurrence import recurrence
from scheduler.core.zones import day_number, day_of

FIRST_MONDAY = date(2027, 3, 1)


def days(text: str, first: date, last: date, *, anchor: date | None = FIRST_MONDAY) -> list[str]:
    numbers = recurrence(text, weekday=1, anchor=anchor).days(day_number(first), day_number(last))
    return [day_of(number).isoformat() for number in sorted(numbers)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not an RFC 5545 rule"),
        ("FREQ=WEEKLY;" * 40, "is not an RFC 5545 rule"),
        ("FREQ=WÖCHENTLICH", "is not an RFC 5545 rule"),
        (None, "is not an RFC 5545 rule"),
        ("every second Tuesday", "is not one of the parts that choose days"),
        ("FREQ=DAILY;BYHOUR=9", "'BYHOUR=9' is not one of the parts that choose days"),
        ("FREQ=DAILY;BYEASTER=0", "is not one of the parts that choose days"),
        ("FREQ=WEEKLY;;BYDAY=MO", "'' is not one of the parts that choose days"),
        ("FREQ=WEEKLY;BYDAY=", "'BYDAY=' is not one of the parts that choose days"),
        ("FREQ=WEEKLY;BYDAY=MO;BYDAY=TU", "has BYDAY twice"),
        ("BYDAY=MO", "FREQ must be one of DAILY, WEEKLY, MONTHLY, YEARLY"),
        ("FREQ=HOURLY", "FREQ must be one of DAILY, WEEKLY, MONTHLY, YEARLY"),
        ("FREQ=DAILY;COUNT=3;UNTIL=20280101", "has both COUNT and UNTIL"),
        ("FREQ=WEEKLY;BYDAY=2TU", "a numbered BYDAY needs a month or a year"),
        ("FREQ=DAILY;BYDAY=-1FR", "a numbered BYDAY needs a month or a year"),
        ("FREQ=WEEKLY;INTERVAL=0", "INTERVAL must be 1 to 208, not '0'"),
        ("FREQ=WEEKLY;INTERVAL=-2", "INTERVAL must be 1 to 208"),
        ("FREQ=WEEKLY;INTERVAL=two", "INTERVAL must be 1 to 208, not 'TWO'"),
        ("FREQ=DAILY;INTERVAL=1462", "INTERVAL must be 1 to 1461"),
        ("FREQ=MONTHLY;INTERVAL=49", "INTERVAL must be 1 to 48"),
        ("FREQ=YEARLY;INTERVAL=5", "INTERVAL must be 1 to 4"),
        ("FREQ=DAILY;COUNT=0", "COUNT must be 1 to 10000"),
        ("FREQ=DAILY;COUNT=10001", "COUNT must be 1 to 10000"),
        ("FREQ=DAILY;UNTIL=soon", "UNTIL must be a date such as 20271231, not 'SOON'"),
        ("FREQ=DAILY;UNTIL=20271301", "UNTIL must be a date such as 20271231"),
        ("FREQ=DAILY;UNTIL=2027-12-31", "UNTIL must be a date such as 20271231"),
        ("FREQ=WEEKLY;BYDAY=XX", "is not an RFC 5545 rule: "),
        ("FREQ=MONTHLY;BYMONTHDAY=first", "is not an RFC 5545 rule: "),
        ("FREQ=MONTHLY;BYDAY=MO;BYSETPOS=900", "is not an RFC 5545 rule: "),
        ("FREQ=WEEKLY;WKST=SOON", "is not an RFC 5545 rule: "),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "never occurs"),
        ("FREQ=YEARLY;INTERVAL=4;BYMONTH=2;BYMONTHDAY=29", "never occurs"),  # from 2027: no leap year
    ],
)
def test_a2_an_invalid_recurrence_is_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidRecurrenceError, match=message.replace("(", r"\(")):
        recurrence(text, weekday=1, anchor=FIRST_MONDAY)


@pytest.mark.parametrize(
    "text",
    ["FREQ=WEEKLY;INTERVAL=2", "FREQ=DAILY;COUNT=3", "FREQ=MONTHLY", "FREQ=YEARLY;BYMONTH=3"],
)
def test_a2_a_recurrence_that_counts_needs_an_anchor(text: str) -> None:
    with pytest.raises(InvalidRecurrenceError, match="counts from an anchor: set effective_from"):
        recurrence(text, weekday=1, anchor=None)


def test_a2_a_weekly_recurrence_without_byday_means_the_rules_own_weekday() -> None:
    wednesday = date(2027, 3, 3)
    assert days("FREQ=WEEKLY;INTERVAL=2", wednesday, date(2027, 3, 31), anchor=wednesday) == [
        "2027-03-15",  # the Monday of the anchor's own week lies before the anchor
        "2027-03-29",
    ]


def test_a2_a_recurrence_is_read_in_any_case_with_or_without_its_name() -> None:
    plain = days("FREQ=MONTHLY;BYDAY=2TU", FIRST_MONDAY, date(2027, 4, 30))
    assert plain == ["2027-03-09", "2027-04-13"]
    assert days("rrule:freq=monthly;byday=2tu;", FIRST_MONDAY, date(2027, 4, 30)) == plain


def test_a2_until_names_the_last_day() -> None:
    assert days("FREQ=DAILY;UNTIL=20270303", FIRST_MONDAY, date(2027, 3, 9)) == [
        "2027-03-01",
        "2027-03-02",
        "2027-03-03",
    ]


@pytest.mark.parametrize("ending", ["20270303T235959Z", "20270303T000000"])
def test_a2_the_time_of_day_of_until_is_ignored(ending: str) -> None:
    assert days(f"FREQ=DAILY;UNTIL={ending}", date(2027, 3, 2), date(2027, 3, 9)) == ["2027-03-02", "2027-03-03"]


def test_a2_nothing_recurs_after_until() -> None:
    assert days("FREQ=DAILY;UNTIL=20270303", date(2027, 3, 4), date(2027, 3, 9)) == []


def test_a2_count_counts_from_the_anchor() -> None:
    assert days("FREQ=DAILY;COUNT=3", date(2027, 3, 2), date(2027, 3, 9)) == ["2027-03-02", "2027-03-03"]


def test_a2_nothing_recurs_once_the_count_is_reached() -> None:
    assert days("FREQ=DAILY;COUNT=3", date(2027, 3, 9), date(2027, 3, 20)) == []


def test_a2_a_month_that_lacks_the_anchors_day_is_passed_over() -> None:
    last = date(2027, 1, 31)
    assert days("FREQ=MONTHLY", last, date(2027, 5, 31), anchor=last) == ["2027-01-31", "2027-03-31", "2027-05-31"]


def test_a2_a_leap_day_recurs_in_leap_years() -> None:
    leap = date(2024, 2, 29)
    assert days("FREQ=YEARLY", date(2027, 1, 1), date(2033, 1, 1), anchor=leap) == ["2028-02-29", "2032-02-29"]


def test_a2_a_recurrence_keeps_its_phase_from_long_ago() -> None:
    assert days("FREQ=YEARLY;INTERVAL=4", date(2027, 1, 1), date(2033, 1, 1), anchor=date(1904, 7, 1)) == [
        "2028-07-01",
        "2032-07-01",
    ]


@pytest.mark.parametrize("text", ["FREQ=WEEKLY", "FREQ=MONTHLY;BYDAY=2TU", "FREQ=YEARLY;BYDAY=MO"])
def test_a2_a_recurrence_reaches_the_first_days_of_the_calendar(text: str) -> None:
    """A fixed bug: the recurrence started a week before the year 1."""
    first = day_number(date(1, 1, 3))
    for anchor in (None, date(1, 1, 1)):
        numbers = recurrence(text, weekday=1, anchor=anchor).days(first, first + 40)
        assert numbers
        assert min(numbers) >= first
