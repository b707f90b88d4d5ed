"""The days of a recurrence, over the whole grammar, against an oracle that asks every single day (A2)."""

from collections.abc import Container
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from dateutil.rrule import rrulestr
from hypothesis import assume, example, given
from hypothesis import strategies as st

from oracles.recurrences import recurring_days, started_in_time
from scheduler.core.errors import InvalidRecurrenceError
from scheduler.core.recurrence import recurrence, repeats_after
from scheduler.core.zones import day_number, day_of
from support.strategies import WEEKDAY_CODES

DATES = st.dates(date(2000, 1, 1), date(2030, 12, 31))
ANCHORS = st.one_of(st.none(), *[DATES] * 5)
# Weeks and days about the turn of a year are where calendars differ.
WEEKS = st.one_of(st.sampled_from((1, 52, 53, -1, -52, -53)), st.integers(1, 53))
YEAR_DAYS = st.one_of(st.sampled_from((1, 365, 366, -1, -366)), st.integers(1, 366), st.integers(-366, -1))
MONTH_DAYS = st.one_of(st.integers(1, 31), st.integers(-31, -1))
POSITIONS = st.one_of(st.integers(1, 6), st.integers(-6, -1))
LONDON = ZoneInfo("Europe/London")


def listed(values: st.SearchStrategy[int | str], most: int) -> st.SearchStrategy[str]:
    """Draw some values as a list of a part."""
    return st.lists(values, min_size=1, max_size=most).map(lambda some: ",".join(map(str, some)))


@st.composite
def weekday_lists(draw: st.DrawFn, highest: int) -> str:
    """Draw some weekdays, of which some have a number up to `highest`."""
    numbers = st.just("") if highest == 0 else st.one_of(st.just(""), st.integers(1, highest).map(str))
    signs = st.sampled_from(("", "-", "+"))
    weekdays = draw(st.lists(st.tuples(signs, numbers, st.sampled_from(WEEKDAY_CODES)), min_size=1, max_size=5))
    return ",".join(f"{sign if number else ''}{number}{code}" for sign, number, code in weekdays)


@st.composite
def whole_grammar(draw: st.DrawFn, *, anchored: bool, without: Container[str] = ()) -> str:
    """Draw a recurrence of any allowed combination of parts, without some of them."""
    frequency = draw(st.sampled_from(("DAILY", "WEEKLY", "MONTHLY", "YEARLY")))
    parts = {"FREQ": frequency}

    def perhaps(name: str, values: st.SearchStrategy[str], *, one_in: int) -> None:
        if name not in without and draw(st.integers(1, one_in)) == 1:
            parts[name] = draw(values)

    perhaps("BYMONTH", listed(st.integers(1, 12), 6), one_in=3)
    if frequency == "YEARLY":
        perhaps("BYWEEKNO", listed(WEEKS, 4), one_in=3)
        perhaps("BYYEARDAY", listed(YEAR_DAYS, 9), one_in=5)
    if frequency != "WEEKLY":
        perhaps("BYMONTHDAY", listed(MONTH_DAYS, 9), one_in=4)
    highest = 5 if frequency == "MONTHLY" or "BYMONTH" in parts else 53
    is_numbered = frequency in {"MONTHLY", "YEARLY"} and "BYWEEKNO" not in parts
    perhaps("BYDAY", weekday_lists(highest if is_numbered else 0), one_in=2)
    if len(parts) > 1:
        perhaps("BYSETPOS", listed(POSITIONS, 3), one_in=3)
    perhaps("WKST", st.sampled_from(WEEKDAY_CODES), one_in=2)
    if anchored:
        perhaps("INTERVAL", st.integers(1, 4).map(str), one_in=2)
    ends = [{}, {}, {"UNTIL": f"{draw(st.dates(date(2005, 1, 1), date(2040, 12, 31))):%Y%m%d}"}]
    if anchored:
        ends.append({"COUNT": str(draw(st.integers(1, 99)))})
    parts |= draw(st.sampled_from(ends))
    return ";".join(f"{name}={value}" for name, value in parts.items())


@st.composite
def recurring(
    draw: st.DrawFn, *, anchors: st.SearchStrategy[date | None] = ANCHORS, without: Container[str] = ()
) -> tuple[str, date | None, int | None]:
    """Draw a recurrence that opens a rule, its anchor, and the weekday of the rule."""
    anchor = draw(anchors)
    text = draw(whole_grammar(anchored=anchor is not None, without=without))
    for weekday in draw(st.sampled_from(((None, 1), (None, 5), (0, None), (3, None)))):
        with suppress(InvalidRecurrenceError):  # the unit tests have examples of all refusals
            recurrence(text, weekday=weekday, anchor=anchor)
            return text, anchor, weekday
    assume(False)
    raise AssertionError


def expected_days(case: tuple[str, date | None, int | None], first: date, last: date) -> list[date]:
    """Return the days from the oracle."""
    text, anchor, weekday = case
    named = recurring_days(text, anchor, weekday, first, last)
    return [day for day in named if started_in_time(text, datetime.combine(day, time()), LONDON)]


def weekdays_are_alike(text: str) -> bool:
    """Say whether all weekdays of a recurrence have a number, or none."""
    listed_weekdays = text.partition("BYDAY=")[2].partition(";")[0].split(",")
    return len({len(weekday) > len("MO") for weekday in listed_weekdays}) == 1


def engine_days(case: tuple[str, date | None, int | None], first: date, last: date) -> list[date]:
    """Return the days from the engine."""
    text, anchor, weekday = case
    parsed = recurrence(text, weekday=weekday, anchor=anchor)
    return [day_of(number) for number in sorted(parsed.days(day_number(first), day_number(last)))]


@given(recurring(), st.integers(-400, 4_000), st.integers(0, 1_500))
@example(("FREQ=WEEKLY;BYDAY=SU,MO;BYSETPOS=1", date(2000, 1, 1), None), 0, 8)  # fixed: the first week was cut
@example(("FREQ=YEARLY;INTERVAL=2", date(2000, 3, 5), None), 400, 400)
def test_a2_a_recurrence_has_the_days_of_rfc_5545(
    case: tuple[str, date | None, int | None], away: int, length: int
) -> None:
    first = (case[1] or date(2020, 1, 1)) + timedelta(days=away)
    last = first + timedelta(days=length)
    assert engine_days(case, first, last) == expected_days(case, first, last)


# dateutil departs from RFC 5545 in positions, numbered weeks, and weekdays of which some alone have a number.
@given(recurring(anchors=DATES, without={"BYSETPOS", "BYWEEKNO"}), st.integers(0, 4_000), st.integers(0, 1_500))
def test_a2_dateutil_agrees_where_it_follows_rfc_5545(
    case: tuple[str, date | None, int | None], away: int, length: int
) -> None:
    text, anchor, _ = case
    assume(weekdays_are_alike(text))
    assert anchor is not None
    midnight = time()
    first = anchor + timedelta(days=away)
    last = first + timedelta(days=length)
    named = rrulestr(text, dtstart=datetime.combine(anchor, midnight)).between(
        datetime.combine(first, midnight), datetime.combine(last, midnight), inc=True
    )
    days = engine_days((text, anchor, None), first, last)
    assert days == [moment.date() for moment in named]


@given(recurring(), st.integers(0, 12_000), st.integers(0, 60))
def test_a2_a_recurrence_keeps_its_phase_for_decades(
    case: tuple[str, date | None, int | None], away: int, length: int
) -> None:
    first = (case[1] or date(2000, 1, 1)) + timedelta(days=away)
    last = first + timedelta(days=length)
    whole = engine_days(case, case[1] or date(2000, 1, 1), last)
    assert engine_days(case, first, last) == [day for day in whole if first <= day]


@given(whole_grammar(anchored=True), st.integers(1, 30), st.dates(date(2000, 1, 1), date(2030, 12, 31)))
@example("FREQ=DAILY;BYDAY=MO;WKST=SU", 6, date(2027, 3, 2))
@example("FREQ=WEEKLY;BYMONTH=1", 3, date(2027, 3, 2))
def test_a2_the_days_repeat_after_the_cycle(text: str, interval: int, anchor: date) -> None:
    """The search for a first day ends there."""
    endless = [part for part in text.split(";") if not part.startswith(("INTERVAL", "COUNT", "UNTIL"))]
    with suppress(InvalidRecurrenceError):
        parsed = recurrence(";".join([*endless, f"INTERVAL={interval}"]), weekday=None, anchor=anchor)
        begin, cycle = day_number(anchor), repeats_after(parsed.parts)
        assume(begin + cycle + 800 < day_number(date.max))
        again = parsed.days(begin + cycle, begin + cycle + 800)
        assert {day - cycle for day in again} == parsed.days(begin, begin + 800)


@given(recurring(), st.integers(0, 300))
def test_a2_no_day_lies_before_the_anchor(case: tuple[str, date | None, int | None], before: int) -> None:
    anchor = case[1]
    assume(anchor is not None)
    assert anchor is not None
    assert engine_days(case, anchor - timedelta(days=before + 1), anchor - timedelta(days=1)) == []


@given(whole_grammar(anchored=True), st.dates(date(2000, 1, 1), date(2030, 12, 31)), st.integers(0, 6))
@example("FREQ=WEEKLY;INTERVAL=26;BYMONTH=6,12", date(2027, 6, 14), 1)  # fixed: refused, though it occurs at once
def test_a13_a_refused_recurrence_names_no_day_of_its_rule(text: str, anchor: date, weekday: int) -> None:
    case, last = (text, anchor, weekday), anchor + timedelta(days=2_000)
    named = {day for day in expected_days(case, anchor, last) if day.isoweekday() % 7 == weekday}
    if named:
        assert named <= set(engine_days(case, anchor, last))
