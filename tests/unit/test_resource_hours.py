"""Hours of resources by example: rules, exceptions and closures without slots (W7)."""

from datetime import UTC, date, datetime, time
from typing import Any

import pytest

from scheduler.core.errors import InvalidScheduleError
from scheduler.core.resource_hours import exception_without_slots, opening, rule_without_slots, spans_outside
from scheduler.core.schedules import AvailabilityException, AvailabilityRule, Closure, ExceptionType, Schedule
from scheduler.core.spans import Span

LONDON = "Europe/London"
MONDAY = 1
NIGHT = rule_without_slots(1, 6, time(22), time(6))  # from Saturday to Sunday


def at(text: str, month: int = 3) -> datetime:
    """Return an instant of 2027, as `28T01:00`."""
    return datetime.fromisoformat(f"2027-{month:02}-{text}:00+00:00").astimezone(UTC)


def hours(*rules: AvailabilityRule, **parts: Any) -> Schedule:
    return opening(9, 5, LONDON, rules, **parts)


def is_open(opened: Schedule, start: datetime, end: datetime) -> bool:
    return spans_outside(opened, [Span(start, end)]) == []


def during(kind: ExceptionType, start: str, end: str, **fields: Any) -> AvailabilityException:
    return exception_without_slots(1, kind, at(start), at(end), **fields)


def test_w7_a_night_of_a_resource_ends_by_the_clock_that_changes() -> None:
    spring, autumn = hours(NIGHT), hours(NIGHT)
    assert is_open(spring, at("27T22:00"), at("28T05:00"))  # 06:00 in London, one hour ahead since 01:00Z
    assert not is_open(spring, at("27T22:00"), at("28T05:01"))
    assert is_open(autumn, at("30T21:00", 10), at("31T06:00", 10))
    assert not is_open(autumn, at("30T20:59", 10), at("31T06:00", 10))


def test_w7_a_resource_without_rules_is_open_but_for_its_exceptions() -> None:
    assert is_open(hours(), at("01T00:00"), at("31T00:00"))
    blocked = hours(exceptions=[during(ExceptionType.BLOCKED, "02T09:00", "02T10:00")])
    assert is_open(blocked, at("01T00:00"), at("02T09:00"))
    assert not is_open(blocked, at("02T09:59"), at("02T10:01"))
    assert is_open(blocked, at("02T10:00"), at("09T10:00"))
    only_then = hours(exceptions=[during(ExceptionType.OVERRIDE, "02T09:00", "02T10:00")])
    assert is_open(only_then, at("02T09:00"), at("02T10:00"))
    assert not is_open(only_then, at("02T10:00"), at("02T10:01"))
    assert is_open(only_then, at("03T00:00"), at("09T00:00"))


def test_w7_a_closure_of_the_facility_closes_its_resources() -> None:
    closed = [Closure(1, date(2027, 3, 1)), Closure(2, date(2027, 3, 2), time(12), time(13))]
    for opened in (hours(closures=closed), hours(rule_without_slots(1, 2, time(9), time(17)), closures=closed)):
        assert not is_open(opened, at("01T10:00"), at("01T11:00"))
        assert is_open(opened, at("02T09:00"), at("02T12:00"))
        assert not is_open(opened, at("02T12:59"), at("02T13:30"))


def test_w7_a_resource_whose_rules_are_over_is_closed() -> None:
    for over in ({"effective_until": date(2027, 2, 28)}, {"active": False}):
        ended = rule_without_slots(1, MONDAY, time(9), time(17), **over)
        assert not is_open(hours(ended), at("01T10:00"), at("01T10:01"))
        opened = hours(ended, exceptions=[during(ExceptionType.OVERRIDE, "01T10:00", "01T11:00")])
        assert is_open(opened, at("01T10:00"), at("01T11:00"))  # an override needs no rule


def test_w7_hours_of_a_resource_are_refused_as_those_of_a_doctor() -> None:
    with pytest.raises(InvalidScheduleError, match="rule new: start_time"):
        rule_without_slots("new", MONDAY, "9", time(17))  # type: ignore[arg-type]
    with pytest.raises(InvalidScheduleError, match="rule_id 7 names no rule"):
        hours(exceptions=[during(ExceptionType.BLOCKED, "01T10:00", "01T11:00", rule_id=7)])
    with pytest.raises(InvalidScheduleError, match="an override spans at most one day"):
        hours(exceptions=[during(ExceptionType.OVERRIDE, "01T10:00", "02T11:00")])
