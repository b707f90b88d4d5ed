"""The days of a recurrence, against dateutil from the anchor without a short cut (A2)."""

from contextlib import suppress
from datetime import date, datetime, time, timedelta

from dateutil.rrule import rrulestr
from hypothesis import assume, example, given
from hypothesis import strategies as st

from scheduler.core.errors import InvalidRecurrenceError
from scheduler.core.recurrence import recurrence
from scheduler.core.zones import day_number, day_of
from support.strategies import WEEKDAY_CODES, recurrences

ANCHORS = st.dates(date(2000, 1, 1), date(2030, 12, 31))
LONG_AGO = date(1990, 1, 1)


def midnight(day: date) -> datetime:
    return datetime.combine(day, time())


def expected_days(text: str, *, anchor: date, weekday: int, first: date, last: date) -> list[date]:
    """Return the days that dateutil yields from the anchor, without a short cut."""
    if "WEEKLY" in text and "BYDAY" not in text:
        text += f";BYDAY={WEEKDAY_CODES[weekday]}"
    rule = rrulestr(text, dtstart=midnight(anchor))
    return [moment.date() for moment in rule.between(midnight(first), midnight(last), inc=True)]


def engine_days(text: str, *, anchor: date | None, weekday: int, first: date, last: date) -> list[date]:
    """Return the days that the engine yields."""
    parsed = None
    with suppress(InvalidRecurrenceError):  # the unit tests list the refused ones
        parsed = recurrence(text, weekday=weekday, anchor=anchor)
    assume(parsed is not None)
    assert parsed is not None
    return [day_of(number) for number in sorted(parsed.days(day_number(first), day_number(last)))]


@given(recurrences(anchored=True), ANCHORS, st.integers(0, 6), st.integers(-400, 9_000), st.integers(0, 400))
@example("FREQ=WEEKLY;BYDAY=SU,MO;BYSETPOS=1", date(2000, 1, 1), 0, 8, 0)  # a fixed bug: the first week was cut
@example("FREQ=YEARLY;INTERVAL=2", date(2000, 3, 5), 0, 400, 400)
def test_a2_a_recurrence_counts_from_its_anchor(text: str, anchor: date, weekday: int, away: int, length: int) -> None:
    first = anchor + timedelta(days=away)
    last = first + timedelta(days=length)
    assert engine_days(text, anchor=anchor, weekday=weekday, first=first, last=last) == expected_days(
        text, anchor=anchor, weekday=weekday, first=first, last=last
    )


@given(recurrences(anchored=False), ANCHORS, st.integers(0, 6), st.integers(0, 400))
def test_a2_a_recurrence_without_an_anchor_has_no_first_day(text: str, first: date, weekday: int, length: int) -> None:
    last = first + timedelta(days=length)
    assert engine_days(text, anchor=None, weekday=weekday, first=first, last=last) == expected_days(
        text, anchor=LONG_AGO, weekday=weekday, first=first, last=last
    )


@given(recurrences(anchored=True), ANCHORS, st.integers(0, 6), st.integers(0, 3_000), st.integers(1, 60))
def test_a2_days_do_not_depend_on_the_requested_range(
    text: str, anchor: date, weekday: int, away: int, length: int
) -> None:
    first, last = anchor + timedelta(days=away), anchor + timedelta(days=away + length)
    whole = engine_days(text, anchor=anchor, weekday=weekday, first=first, last=last)
    one_by_one = [
        day
        for number in range(day_number(first), day_number(last) + 1)
        for day in engine_days(text, anchor=anchor, weekday=weekday, first=day_of(number), last=day_of(number))
    ]
    assert whole == one_by_one


@given(recurrences(anchored=True), ANCHORS, st.integers(0, 6), st.integers(0, 300))
def test_a2_no_day_lies_before_the_anchor(text: str, anchor: date, weekday: int, before: int) -> None:
    first, last = anchor - timedelta(days=before + 1), anchor - timedelta(days=1)
    assert engine_days(text, anchor=anchor, weekday=weekday, first=first, last=last) == []
