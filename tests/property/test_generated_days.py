"""Generated days: sets of days against sets of dates, and parts of a schedule that are over (R3)."""

from dataclasses import replace
from datetime import date, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import example, given
from hypothesis import strategies as st

from scheduler.core.days import DaySet
from scheduler.core.expansion import expand
from scheduler.core.fingerprints import relevant_from
from scheduler.core.schedules import AvailabilityException, AvailabilityRule, ExceptionType, Schedule
from scheduler.core.spans import Span
from scheduler.core.zones import local_days
from scheduler.postgres.schedule_parts import NeededDays
from support.strategies import cases

DAY = timedelta(days=1)
FIRST = date(2027, 3, 1)

spans = st.tuples(st.integers(0, 12), st.integers(1, 5)).map(
    lambda pair: (FIRST + pair[0] * DAY, FIRST + sum(pair) * DAY)
)
day_sets = st.lists(spans, max_size=4).map(DaySet)


def dates(days: DaySet) -> set[date]:
    listed = [first + number * DAY for first, until in days.spans for number in range((until - first).days)]
    assert listed == sorted(set(listed))
    assert all(left.until < right.first for left, right in zip(days.spans, days.spans[1:], strict=False))
    return set(listed)


@given(day_sets, day_sets, spans)
def test_r3_sets_of_days_agree_with_sets_of_dates(one: DaySet, other: DaySet, span: tuple[date, date]) -> None:
    assert dates(one | other) == dates(one) | dates(other)
    assert dates(one - other) == dates(one) - dates(other)
    assert dates(one.since(span[0])) == {day for day in dates(one) if day >= span[0]}


KIRITIMATI = ZoneInfo("Pacific/Kiritimati")  # 14 hours ahead of UTC: its dates begin first
EARLY = local_days(KIRITIMATI, FIRST)[0]
REPLACED_NIGHT = AvailabilityException(
    1, ExceptionType.OVERRIDE, EARLY, EARLY + timedelta(hours=1), slot_duration=timedelta(hours=1)
)


@given(cases(), st.integers(-2, 4))
@example((Schedule(7, 5, KIRITIMATI, [], [REPLACED_NIGHT]), Span(EARLY, EARLY + DAY)), 2)
def test_r3_parts_that_are_over_decide_no_slot_of_later_days(case: tuple[Schedule, Span], later: int) -> None:
    """An override of a date takes its night windows, which reach into the next date; a window knows no other."""
    drawn, span = case
    day = span.start.date() + later * DAY
    nights = [AvailabilityRule(90 + number, number, time(22), time(8), timedelta(hours=1)) for number in range(7)]
    schedule = replace(drawn, rules=[*drawn.rules, *nights])
    begin = relevant_from(day)
    present = replace(
        schedule,
        exceptions=[exception for exception in schedule.exceptions if exception.end_at >= begin],
        closures=[closure for closure in schedule.closures if closure.day >= begin.date()],
    )
    days = Span(*local_days(schedule.zone, day, day + 3 * DAY))
    assert list(expand(present, days)) == list(expand(schedule, days))


@given(cases(), st.integers(-2, 4), st.integers(1, 9))
@example((Schedule(7, 5, KIRITIMATI, [], [REPLACED_NIGHT]), Span(EARLY, EARLY + DAY)), -1, 1)
def test_r3_the_parts_that_days_need_decide_them_alone(case: tuple[Schedule, Span], later: int, count: int) -> None:
    """A night of one more day loads no other rules and exceptions."""
    drawn, span = case
    nights = [AvailabilityRule(90 + number, number, time(22), time(8), timedelta(hours=1)) for number in range(7)]
    schedule = replace(drawn, rules=[*drawn.rules, *nights])
    day = span.start.date() + later * DAY
    needed = NeededDays(day, day + count * DAY)
    exceptions = [one for one in schedule.exceptions if one.end_at >= needed.begin and one.start_at < needed.end]
    rules = [
        rule
        for rule in schedule.rules
        if exceptions or rule.day_of_week is None or str(int(rule.day_of_week)) in needed.weekdays
    ]
    present = replace(schedule, rules=rules, exceptions=exceptions)
    days = Span(*local_days(schedule.zone, day, day + count * DAY))
    assert list(expand(present, days)) == list(expand(schedule, days))
