"""Recurrences by example: refused ones, those of RFC 5545, and cases at which calendars fail (A2)."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from oracles.recurrences import recurring_days, started_in_time
from scheduler.core.errors import InvalidRecurrenceError
from scheduler.core.recurrence import recurrence, repeats_after
from scheduler.core.recurrence_parts import read_parts
from scheduler.core.zones import day_number, day_of

FIRST_MONDAY = date(2027, 3, 1)
LONDON = ZoneInfo("Europe/London")


def days(
    text: str, first: date, last: date, *, anchor: date | None = FIRST_MONDAY, weekday: int | None = None
) -> list[str]:
    numbers = recurrence(text, weekday=weekday, anchor=anchor).days(day_number(first), day_number(last))
    return [day_of(number).isoformat() for number in sorted(numbers)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not an RFC 5545 rule"),
        ("FREQ=WEEKLY;" * 40, "is not an RFC 5545 rule"),
        ("FREQ=WÖCHENTLICH", "is not an RFC 5545 rule"),
        (None, "is not an RFC 5545 rule"),
        (["FREQ=WEEKLY"], "is not an RFC 5545 rule"),
        ("every second Tuesday", "is not one of the parts that choose days"),
        ("FREQ=DAILY;BYHOUR=9", "'BYHOUR=9' is not one of the parts that choose days"),
        ("FREQ=DAILY;BYEASTER=0", "is not one of the parts that choose days"),
        ("FREQ=WEEKLY;;BYDAY=MO", "'' is not one of the parts that choose days"),
        ("FREQ=WEEKLY;BYDAY=", "'BYDAY=' is not one of the parts that choose days"),
        ("FREQ=WEEKLY;BYDAY=MO;BYDAY=TU", "BYDAY is given twice"),
        ("BYDAY=MO", "FREQ must be one of DAILY, WEEKLY, MONTHLY, YEARLY, not ''"),
        ("FREQ=HOURLY", "FREQ must be one of DAILY, WEEKLY, MONTHLY, YEARLY, not 'HOURLY'"),
        ("FREQ=DAILY;COUNT=3;UNTIL=20280101", "COUNT and UNTIL exclude each other"),
        ("FREQ=WEEKLY;INTERVAL=0", "INTERVAL must be 1 to 208, not '0'"),
        ("FREQ=WEEKLY;INTERVAL=-2", "INTERVAL must be 1 to 208"),
        ("FREQ=WEEKLY;INTERVAL=two", "INTERVAL must be 1 to 208, not 'TWO'"),
        ("FREQ=DAILY;INTERVAL=1462", "INTERVAL must be 1 to 1461"),
        ("FREQ=MONTHLY;INTERVAL=49", "INTERVAL must be 1 to 48"),
        ("FREQ=YEARLY;INTERVAL=5", "INTERVAL must be 1 to 4"),
        ("FREQ=DAILY;COUNT=0", "COUNT must be 1 to 10000"),
        ("FREQ=DAILY;COUNT=10001", "COUNT must be 1 to 10000"),
        ("FREQ=WEEKLY;WKST=SOON", "WKST must be a weekday such as MO, not 'SOON'"),
    ],
)
def test_a2_an_invalid_recurrence_is_refused(text: str, message: str) -> None:
    with pytest.raises(InvalidRecurrenceError, match=message):
        recurrence(text, weekday=1, anchor=FIRST_MONDAY)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FREQ=MONTHLY;BYMONTHDAY=0", "BYMONTHDAY must be 1 to 31 or -31 to -1, not '0'"),
        ("FREQ=MONTHLY;BYMONTHDAY=31,32", "BYMONTHDAY must be 1 to 31 or -31 to -1, not '32'"),
        ("FREQ=MONTHLY;BYMONTHDAY=-32", "BYMONTHDAY must be 1 to 31 or -31 to -1, not '-32'"),
        ("FREQ=MONTHLY;BYMONTHDAY=first", "BYMONTHDAY must be 1 to 31 or -31 to -1, not 'FIRST'"),
        ("FREQ=MONTHLY;BYMONTHDAY=1,", "BYMONTHDAY must be 1 to 31 or -31 to -1, not ''"),
        ("FREQ=WEEKLY;BYMONTHDAY=1", "BYMONTHDAY=1 needs FREQ=DAILY or FREQ=MONTHLY or FREQ=YEARLY, not FREQ=WEEKLY"),
        ("FREQ=DAILY;BYMONTH=0,13", "BYMONTH must be 1 to 12, not '0'"),
        ("FREQ=DAILY;BYMONTH=12,13", "BYMONTH must be 1 to 12, not '13'"),
        ("FREQ=DAILY;BYMONTH=-1", "BYMONTH must be 1 to 12, not '-1'"),
        ("FREQ=YEARLY;BYWEEKNO=0", "BYWEEKNO must be 1 to 53 or -53 to -1, not '0'"),
        ("FREQ=YEARLY;BYWEEKNO=20,60", "BYWEEKNO must be 1 to 53 or -53 to -1, not '60'"),
        ("FREQ=MONTHLY;BYWEEKNO=20", "BYWEEKNO=20 needs FREQ=YEARLY, not FREQ=MONTHLY"),
        ("FREQ=WEEKLY;BYWEEKNO=20", "BYWEEKNO=20 needs FREQ=YEARLY, not FREQ=WEEKLY"),
        ("FREQ=YEARLY;BYYEARDAY=0", "BYYEARDAY must be 1 to 366 or -366 to -1, not '0'"),
        ("FREQ=YEARLY;BYYEARDAY=367", "BYYEARDAY must be 1 to 366 or -366 to -1, not '367'"),
        ("FREQ=MONTHLY;BYYEARDAY=1", "BYYEARDAY=1 needs FREQ=YEARLY, not FREQ=MONTHLY"),
        ("FREQ=DAILY;BYYEARDAY=1", "BYYEARDAY=1 needs FREQ=YEARLY, not FREQ=DAILY"),
        ("FREQ=MONTHLY;BYSETPOS=1", "BYSETPOS=1 needs another BY part to choose from"),
        ("FREQ=MONTHLY;BYDAY=MO;BYSETPOS=0", "BYSETPOS must be 1 to 366 or -366 to -1, not '0'"),
        ("FREQ=MONTHLY;BYDAY=MO;BYSETPOS=900", "BYSETPOS must be 1 to 366 or -366 to -1, not '900'"),
        ("FREQ=WEEKLY;BYDAY=XX", "BYDAY must be a weekday such as MO, 2TU or -1FR, not 'XX'"),
        ("FREQ=WEEKLY;BYDAY=MO,", "BYDAY must be a weekday such as MO, 2TU or -1FR, not ''"),
        ("FREQ=WEEKLY;BYDAY=2TU", "BYDAY=2TU: a number needs FREQ=MONTHLY or FREQ=YEARLY, not FREQ=WEEKLY"),
        ("FREQ=DAILY;BYDAY=-1FR", "BYDAY=-1FR: a number needs FREQ=MONTHLY or FREQ=YEARLY, not FREQ=DAILY"),
        ("FREQ=YEARLY;BYWEEKNO=20;BYDAY=1MO", "BYDAY=1MO: a number cannot stand beside BYWEEKNO"),
        ("FREQ=MONTHLY;BYDAY=0MO", "BYDAY=0MO: the number of a weekday in its month is 1 to 5"),
        ("FREQ=MONTHLY;BYDAY=-6MO", "BYDAY=-6MO: the number of a weekday in its month is 1 to 5"),
        ("FREQ=YEARLY;BYMONTH=12;BYDAY=10MO,3TU", "BYDAY=10MO: the number of a weekday in its month is 1 to 5"),
        ("FREQ=YEARLY;BYDAY=54MO", "BYDAY=54MO: the number of a weekday in its year is 1 to 53"),
    ],
)
def test_a2_a_part_that_rfc_5545_forbids_is_refused(text: str, message: str) -> None:
    """Issue 9, A3 and A7: such a part was dropped in silence, or every day was open."""
    with pytest.raises(InvalidRecurrenceError, match=message):
        recurrence(text, weekday=1, anchor=FIRST_MONDAY)


@pytest.mark.parametrize(
    "until",
    [
        *("soon", "20271301", "20270229", "00000101", "2027-12-31", "T999999Z", "20271231T999999Z", "20271231T240000"),
        *("20271231T126000Z", "20271231T120061", "20271231T1200Z", "20271231Z", "20271231T120000+0100"),
    ],
)
def test_a2_an_until_that_is_no_date_or_time_is_refused(until: str) -> None:
    message = f"UNTIL must be a date such as 20271231, or a time such as 20271231T235959Z, not '{until.upper()}'"
    with pytest.raises(InvalidRecurrenceError) as refusal:
        recurrence(f"FREQ=DAILY;UNTIL={until}", weekday=1, anchor=FIRST_MONDAY)
    assert str(refusal.value).endswith(message)


@pytest.mark.parametrize(
    ("text", "weekday", "message"),
    [
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", 1, "never occurs$"),
        ("FREQ=YEARLY;INTERVAL=4;BYMONTH=2;BYMONTHDAY=29", 1, "never occurs$"),  # from 2027: no leap year
        ("FREQ=WEEKLY;BYDAY=MO,TU;BYSETPOS=3", 1, "never occurs$"),
        ("FREQ=DAILY;BYDAY=MO;BYSETPOS=2", 1, "never occurs$"),
        ("FREQ=YEARLY;BYWEEKNO=20;BYMONTH=1", None, "never occurs$"),
        ("FREQ=MONTHLY;BYDAY=2TU", 1, "never occurs on a Monday, the weekday of its rule"),
        ("FREQ=WEEKLY;BYDAY=TU,WE", 0, "never occurs on a Sunday, the weekday of its rule"),
        ("FREQ=DAILY;INTERVAL=7", 2, "never occurs on a Tuesday, the weekday of its rule"),
        ("FREQ=DAILY;COUNT=3", 4, "ends before it opens its rule for the first time"),
        ("FREQ=MONTHLY;BYDAY=2MO;UNTIL=20270307", 1, "ends before it opens its rule for the first time"),
        ("FREQ=DAILY;UNTIL=20270228", None, "ends before it opens its rule for the first time"),
        ("FREQ=DAILY;UNTIL=20270301T085959", 1, "ends before it opens its rule for the first time"),
        ("FREQ=DAILY;UNTIL=20270228T085959Z", None, "ends before it opens its rule for the first time"),
    ],
)
def test_a13_a_recurrence_that_never_opens_its_rule_is_refused(text: str, weekday: int | None, message: str) -> None:
    with pytest.raises(InvalidRecurrenceError, match=message):
        recurrence(text, weekday=weekday, anchor=FIRST_MONDAY, start_time=time(9))


@pytest.mark.parametrize("until", ["20270301T090000", "20270228T090000Z"])
def test_a2_an_until_that_may_admit_the_first_window_is_accepted(until: str) -> None:
    """A rule does not know its zone, so the latest local time of an UNTIL in UTC counts."""
    parsed = recurrence(f"FREQ=DAILY;UNTIL={until}", weekday=1, anchor=FIRST_MONDAY, start_time=time(9))
    assert parsed.last_day == day_number(FIRST_MONDAY)


WRONG_ARGUMENTS: dict[str, tuple[object, ...]] = {
    "weekday": ("x", 7, -1, 10**30, True, 1.0, []),
    "anchor": (5, [], "2027-03-01", datetime(2027, 3, 1, 9, tzinfo=UTC)),
    "start_time": (None, 9, [], "09:00", time(9, tzinfo=UTC)),
}


@pytest.mark.parametrize("argument", WRONG_ARGUMENTS)
def test_a_wrong_argument_of_a_recurrence_is_refused(argument: str) -> None:
    """A fixed bug: some raised a TypeError, IndexError or AttributeError."""
    for wrong in WRONG_ARGUMENTS[argument]:
        arguments: dict[str, Any] = {"weekday": 1, "anchor": FIRST_MONDAY, "start_time": time(9), argument: wrong}
        with pytest.raises(InvalidRecurrenceError, match=f"^{argument} must be "):
            recurrence("FREQ=DAILY", **arguments)


@pytest.mark.parametrize(
    ("text", "cycle"),
    [
        ("FREQ=DAILY;INTERVAL=14", 14),
        ("FREQ=DAILY;INTERVAL=208", 1456),
        ("FREQ=WEEKLY;INTERVAL=208;BYDAY=MO", 1456),
        ("FREQ=DAILY;INTERVAL=14;BYMONTH=3", 292_194),
        ("FREQ=MONTHLY;INTERVAL=48;BYMONTHDAY=1", 146_097),
        ("FREQ=YEARLY;INTERVAL=3;BYYEARDAY=1", 438_291),
    ],
)
def test_a2_the_search_for_a_first_day_ends_with_the_cycle(text: str, cycle: int) -> None:
    """A recurrence of days and weeks repeats after a few of them; only the calendar needs 400 years."""
    assert repeats_after(read_parts(text)) == cycle


@pytest.mark.parametrize(
    ("text", "weekday"),
    [
        ("FREQ=WEEKLY;INTERVAL=2", 1),
        ("FREQ=DAILY;COUNT=3", 1),
        ("FREQ=MONTHLY", 1),
        ("FREQ=YEARLY;BYMONTH=3", 1),
        ("FREQ=WEEKLY", None),
        ("FREQ=YEARLY;BYWEEKNO=20", None),
    ],
)
def test_a2_a_recurrence_that_counts_needs_an_anchor(text: str, weekday: int | None) -> None:
    with pytest.raises(InvalidRecurrenceError, match="counts from an anchor: set effective_from"):
        recurrence(text, weekday=weekday, anchor=None)


def test_a2_a_weekly_recurrence_without_byday_means_the_rules_own_weekday() -> None:
    wednesday = date(2027, 3, 3)
    assert days("FREQ=WEEKLY;INTERVAL=2", wednesday, date(2027, 3, 31), anchor=wednesday, weekday=1) == [
        "2027-03-15",  # the Monday of the anchor's own week lies before the anchor
        "2027-03-29",
    ]


def test_a2_without_a_weekday_a_recurrence_takes_the_day_of_its_anchor() -> None:
    assert days("FREQ=WEEKLY", FIRST_MONDAY, date(2027, 3, 15)) == ["2027-03-01", "2027-03-08", "2027-03-15"]
    assert days("FREQ=YEARLY;BYWEEKNO=20", FIRST_MONDAY, date(2028, 12, 31)) == ["2027-05-17", "2028-05-15"]


def test_a2_a_recurrence_is_read_in_any_case_with_or_without_its_name() -> None:
    plain = days("FREQ=MONTHLY;BYDAY=2TU", FIRST_MONDAY, date(2027, 4, 30))
    assert plain == ["2027-03-09", "2027-04-13"]
    assert days("rrule:freq=monthly;byday=+2tu;", FIRST_MONDAY, date(2027, 4, 30)) == plain


def test_a2_until_names_the_last_day() -> None:
    assert days("FREQ=DAILY;UNTIL=20270303", FIRST_MONDAY, date(2027, 3, 9)) == [
        "2027-03-01",
        "2027-03-02",
        "2027-03-03",
    ]


def test_a2_nothing_recurs_after_until() -> None:
    assert days("FREQ=DAILY;UNTIL=20270303", date(2027, 3, 4), date(2027, 3, 9)) == []


def test_a2_count_counts_from_the_anchor() -> None:
    assert days("FREQ=DAILY;COUNT=3", date(2027, 3, 2), date(2027, 3, 9)) == ["2027-03-02", "2027-03-03"]


def test_a2_nothing_recurs_once_the_count_is_reached() -> None:
    assert days("FREQ=DAILY;COUNT=3", date(2027, 3, 9), date(2027, 3, 20)) == []


def test_a2_a_count_may_reach_beyond_the_calendar() -> None:
    assert days("FREQ=YEARLY;COUNT=10000", date(9998, 1, 1), date(9999, 12, 31)) == ["9998-03-01", "9999-03-01"]


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


@pytest.mark.parametrize(
    "text", ["FREQ=WEEKLY", "FREQ=WEEKLY;BYMONTH=1;WKST=SU", "FREQ=MONTHLY;BYDAY=2MO", "FREQ=YEARLY;BYWEEKNO=1,2"]
)
def test_a2_a_recurrence_reaches_both_ends_of_the_calendar(text: str) -> None:
    """A fixed bug: the recurrence started a week before the year 1."""
    first, last = day_number(date(1, 1, 3)), day_number(date.max)
    for anchor in (None, date(1, 1, 1)):
        parsed = recurrence(text, weekday=1, anchor=anchor)
        numbers = parsed.days(first, first + 40)
        assert numbers
        assert min(numbers) >= first
        assert parsed.days(last - 400, last)


def test_a2_an_anchor_may_lie_in_the_last_week_of_the_calendar() -> None:
    end = date(9999, 12, 27)
    last_days = [f"9999-12-{day}" for day in range(27, 32)]
    assert days("FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR,SA;BYMONTH=12", end, date.max, anchor=end) == last_days
    assert days("FREQ=YEARLY;BYWEEKNO=52;BYDAY=MO,TU,WE,TH,FR,SA", end, date.max, anchor=end) == last_days


# The rule, its weekday, its anchor, its days up to a last day. Each was wrong before issue 9.
MENDED = [
    (
        "FREQ=MONTHLY;BYDAY=MO,-1WE",
        None,
        FIRST_MONDAY,
        "2027-03-01 2027-03-08 2027-03-15 2027-03-22 2027-03-29 2027-03-31",
        date(2027, 3, 31),
    ),
    (
        "FREQ=MONTHLY;BYDAY=MO,1MO",
        1,
        FIRST_MONDAY,
        "2027-03-01 2027-03-08 2027-03-15 2027-03-22 2027-03-29",
        date(2027, 3, 31),
    ),
    ("FREQ=WEEKLY;BYDAY=MO,WE,FR;BYSETPOS=1", None, date(2027, 3, 3), "2027-03-08 2027-03-15", date(2027, 3, 15)),
    (
        "FREQ=WEEKLY;BYDAY=MO,WE,FR;BYSETPOS=1;COUNT=2",
        None,
        date(2027, 3, 3),
        "2027-03-08 2027-03-15",
        date(2027, 12, 31),
    ),
    (
        "FREQ=YEARLY;BYWEEKNO=52;BYDAY=SA,SU",
        None,
        date(2021, 12, 1),
        "2022-01-01 2022-01-02 2022-12-31 2023-01-01",
        date(2023, 12, 1),
    ),
    ("FREQ=YEARLY;BYWEEKNO=10,20;COUNT=2", 1, FIRST_MONDAY, "2027-03-08 2027-05-17", date(2030, 12, 31)),
    ("FREQ=WEEKLY;INTERVAL=26;BYMONTH=6,12", 1, date(2027, 6, 14), "2027-06-14 2027-12-13", date(2028, 6, 11)),
]


@pytest.mark.parametrize(("text", "weekday", "anchor", "expected", "last"), MENDED, ids=[case[0] for case in MENDED])
def test_a2_sets_weeks_and_numbers_are_those_of_rfc_5545(
    text: str, weekday: int | None, anchor: date, expected: str, last: date
) -> None:
    """Issue 9, A4 to A7."""
    assert days(text, anchor, last, anchor=anchor, weekday=weekday) == expected.split()


# RFC 5545 3.8.5.3, without its times of day: the rule, DTSTART, and the days that begin the RFC's list.
OF_THE_RFC = [
    ("FREQ=DAILY;COUNT=10", "1997-09-02", "1997: 9/2 9/3 9/4 9/5 9/6 9/7 9/8 9/9 9/10 9/11"),
    ("FREQ=DAILY;INTERVAL=2", "1997-09-02", "1997: 9/2 9/4 9/6 9/8 9/10"),
    ("FREQ=DAILY;INTERVAL=10;COUNT=5", "1997-09-02", "1997: 9/2 9/12 9/22 10/2 10/12"),
    ("FREQ=WEEKLY;INTERVAL=2;WKST=SU", "1997-09-02", "1997: 9/2 9/16 9/30 10/14 10/28 11/11 11/25 12/9 12/23"),
    (
        "FREQ=WEEKLY;INTERVAL=2;UNTIL=19971024;WKST=SU;BYDAY=MO,WE,FR",
        "1997-09-01",
        "1997: 9/1 9/3 9/5 9/15 9/17 9/19 9/29 10/1 10/3 10/13 10/15 10/17",
    ),
    (
        "FREQ=WEEKLY;INTERVAL=2;COUNT=8;WKST=SU;BYDAY=TU,TH",
        "1997-09-02",
        "1997: 9/2 9/4 9/16 9/18 9/30 10/2 10/14 10/16",
    ),
    (
        "FREQ=MONTHLY;COUNT=10;BYDAY=1FR",
        "1997-09-05",
        "1997: 9/5 10/3 11/7 12/5 1998: 1/2 2/6 3/6 4/3 5/1 6/5",
    ),
    (
        "FREQ=MONTHLY;INTERVAL=2;COUNT=10;BYDAY=1SU,-1SU",
        "1997-09-07",
        "1997: 9/7 9/28 11/2 11/30 1998: 1/4 1/25 3/1 3/29 5/3 5/31",
    ),
    ("FREQ=MONTHLY;COUNT=6;BYDAY=-2MO", "1997-09-22", "1997: 9/22 10/20 11/17 12/22 1998: 1/19 2/16"),
    ("FREQ=MONTHLY;BYMONTHDAY=-3", "1997-09-28", "1997: 9/28 10/29 11/28 12/29 1998: 1/29 2/26"),
    (
        "FREQ=MONTHLY;COUNT=10;BYMONTHDAY=2,15",
        "1997-09-02",
        "1997: 9/2 9/15 10/2 10/15 11/2 11/15 12/2 12/15 1998: 1/2 1/15",
    ),
    (
        "FREQ=MONTHLY;INTERVAL=18;COUNT=10;BYMONTHDAY=10,11,12,13,14,15",
        "1997-09-10",
        "1997: 9/10 9/11 9/12 9/13 9/14 9/15 1999: 3/10 3/11 3/12 3/13",
    ),
    ("FREQ=MONTHLY;INTERVAL=2;BYDAY=TU", "1997-09-02", "1997: 9/2 9/9 9/16 9/23 9/30 11/4 11/11 11/18 11/25"),
    ("FREQ=YEARLY;COUNT=4;BYMONTH=6,7", "1997-06-10", "1997: 6/10 7/10 1998: 6/10 7/10"),
    (
        "FREQ=YEARLY;INTERVAL=3;COUNT=10;BYYEARDAY=1,100,200",
        "1997-01-01",
        "1997: 1/1 4/10 7/19 2000: 1/1 4/9 7/18 2003: 1/1 4/10 7/19 2006: 1/1",
    ),
    ("FREQ=YEARLY;BYDAY=20MO", "1997-05-19", "1997: 5/19 1998: 5/18 1999: 5/17"),
    ("FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO", "1997-05-12", "1997: 5/12 1998: 5/11 1999: 5/17"),
    ("FREQ=YEARLY;BYMONTH=3;BYDAY=TH", "1997-03-13", "1997: 3/13 3/20 3/27 1998: 3/5 3/12 3/19 3/26"),
    ("FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13", "1997-09-02", "1998: 2/13 3/13 11/13 1999: 8/13 2000: 10/13"),
    ("FREQ=MONTHLY;BYDAY=SA;BYMONTHDAY=7,8,9,10,11,12,13", "1997-09-13", "1997: 9/13 10/11 11/8 12/13 1998: 1/10"),
    (
        "FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8",
        "1996-11-05",
        "1996: 11/5 2000: 11/7 2004: 11/2",
    ),
    ("FREQ=MONTHLY;COUNT=3;BYDAY=TU,WE,TH;BYSETPOS=3", "1997-09-04", "1997: 9/4 10/7 11/6"),
    ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-2", "1997-09-29", "1997: 9/29 10/30 11/27 12/30 1998: 1/29"),
    ("FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=MO", "1997-08-05", "1997: 8/5 8/10 8/19 8/24"),
    ("FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU", "1997-08-05", "1997: 8/5 8/17 8/19 8/31"),
    ("FREQ=MONTHLY;BYMONTHDAY=15,30;COUNT=5", "2007-01-15", "2007: 1/15 1/30 2/15 3/15 3/30"),
]
# Situations at which other calendars had bugs; the days are by hand.
HARD = [
    ("FREQ=YEARLY;BYDAY=53MO", "2020-01-01", "2024: 12/30 2029: 12/31"),  # years with 53 Mondays
    ("FREQ=YEARLY;BYWEEKNO=53;BYDAY=MO", "2023-01-01", "2026: 12/28 2032: 12/27"),  # 2024 has 52 weeks
    ("FREQ=YEARLY;BYWEEKNO=52;BYDAY=SA,SU;COUNT=4", "2011-01-01", "2011: 1/1 1/2 12/31 2012: 1/1"),
    ("FREQ=YEARLY;BYWEEKNO=1;BYDAY=MO;UNTIL=20241230", "2024-01-01", "2024: 1/1 12/30"),
    # The anchor lies in the last week of 2009, the sixth year after is 2015; weeks count, not calendar years.
    ("FREQ=YEARLY;BYWEEKNO=53;BYDAY=SA;INTERVAL=2", "2010-01-02", "2010: 1/2 2016: 1/2"),
    ("FREQ=YEARLY;BYWEEKNO=-1;BYDAY=SU;WKST=SU", "2026-01-01", "2026: 12/27 2027: 12/26 2028: 12/24"),
    ("FREQ=YEARLY;BYMONTH=1;BYMONTHDAY=2;BYWEEKNO=53", "2025-01-02", "2027: 1/2 2033: 1/2 2038: 1/2"),
    (
        "FREQ=YEARLY;BYWEEKNO=1;BYYEARDAY=-1,1",
        "2024-01-01",
        "2024: 1/1 12/31 2025: 1/1 12/31 2026: 1/1 2029: 1/1 12/31",
    ),
    ("FREQ=WEEKLY;BYDAY=MO,TU,WE;BYSETPOS=1;WKST=WE;COUNT=3", "2024-11-10", "2024: 11/13 11/20 11/27"),
    ("FREQ=WEEKLY;BYDAY=MO,WE;BYSETPOS=2,3", "2024-02-01", "2024: 2/7 2/14 2/21 2/28 3/6"),
    ("FREQ=WEEKLY;INTERVAL=4;BYDAY=SU;COUNT=4", "2015-03-22", "2015: 3/22 4/19 5/17 6/14"),
    ("FREQ=YEARLY;BYDAY=MO;BYSETPOS=1;BYMONTH=4;COUNT=2", "2016-04-04", "2016: 4/4 2017: 4/3"),
    ("FREQ=MONTHLY;BYMONTHDAY=-31", "2027-01-01", "2027: 1/1 3/1 5/1 7/1 8/1 10/1 12/1"),
    ("FREQ=MONTHLY;BYDAY=5MO", "2027-01-01", "2027: 3/29 5/31 8/30 11/29"),
    ("FREQ=DAILY;BYMONTHDAY=-1;BYMONTH=2", "2027-01-01", "2027: 2/28 2028: 2/29"),
    ("FREQ=DAILY;INTERVAL=3;BYDAY=MO,TH;COUNT=3", "2027-03-01", "2027: 3/1 3/4 3/22"),
    ("FREQ=DAILY;BYDAY=MO;BYSETPOS=-1;COUNT=2", "2027-03-02", "2027: 3/8 3/15"),
    ("FREQ=YEARLY;BYYEARDAY=-366", "2027-01-01", "2028: 1/1 2032: 1/1"),
    ("FREQ=YEARLY;BYDAY=1MO,MO,-1TU;BYMONTHDAY=1,31", "2027-01-01", "2027: 2/1 3/1 5/31 11/1 2028: 1/31 5/1"),
    # A day of the week counts by its own month.
    ("FREQ=WEEKLY;BYMONTH=7;BYDAY=MO,SU;BYSETPOS=-1", "2026-06-01", "2026: 7/5 7/12 7/19 7/26 7/27 2027: 7/4"),
]


@pytest.mark.parametrize(("text", "start", "expected"), OF_THE_RFC + HARD, ids=[case[0] for case in OF_THE_RFC + HARD])
def test_a2_examples_have_their_known_days(text: str, start: str, expected: str) -> None:
    known: list[date] = []
    for word in expected.split():
        if word.endswith(":"):
            year = int(word[:-1])
        else:
            month, day = word.split("/")
            known.append(date(year, int(month), int(day)))
    anchor, last = date.fromisoformat(start), known[-1]
    ends = "COUNT" in text or "UNTIL" in text
    until = last + timedelta(days=400) if ends else last
    assert days(text, anchor, until, anchor=anchor) == [day.isoformat() for day in known]
    named = recurring_days(text, anchor, None, anchor, until)
    assert [day for day in named if started_in_time(text, datetime.combine(day, time()), LONDON)] == known
