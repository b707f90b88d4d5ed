"""Hours of resources: they are read as those of a doctor with the same rules (W7)."""

from dataclasses import replace
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from scheduler.core.resource_hours import exception_without_slots, opening, rule_without_slots, spans_outside
from scheduler.core.schedules import AvailabilityException, ExceptionType, Schedule
from scheduler.core.spans import Span
from scheduler.core.working_time import WorkingTime
from scheduler.core.zones import instant, micros
from support.strategies import MINUTE, cases, days, spans_near, zones


def of_a_resource(schedule: Schedule) -> Schedule:
    """Return the opening times of a resource with the rules, exceptions and closures of a doctor."""
    rules = [
        rule_without_slots(
            rule.id,
            rule.day_of_week,
            rule.start_time,
            rule.end_time,
            effective_from=rule.effective_from,
            effective_until=rule.effective_until,
            recurrence=rule.recurrence,
            active=rule.active,
        )
        for rule in schedule.rules
    ]
    exceptions = [
        exception_without_slots(exception.id, exception.type, exception.start_at, exception.end_at, exception.rule_id)
        for exception in schedule.exceptions
    ]
    return opening(9, schedule.facility_id, schedule.zone, rules, exceptions, schedule.closures)


def with_slots(exception: AvailabilityException) -> AvailabilityException:
    """Return an exception; an override without a duration needs a rule of the doctor, and so has one here."""
    has_none = exception.type is ExceptionType.OVERRIDE and exception.slot_duration is None
    return replace(exception, slot_duration=5 * MINUTE) if has_none else exception


@given(cases())
def test_w7_a_resource_is_open_when_a_doctor_with_its_rules_works(case: tuple[Schedule, Span]) -> None:
    drawn, span = case
    doctors = Schedule(
        drawn.doctor_id,
        drawn.facility_id,
        drawn.zone,
        drawn.rules or opening(9, 5, drawn.zone).rules,
        map(with_slots, drawn.exceptions),
        drawn.closures,
    )
    begin, end = micros(span.start), micros(span.end)
    assert WorkingTime(of_a_resource(drawn)).within(begin, end) == WorkingTime(doctors).within(begin, end)


@given(st.data(), zones)
def test_w7_a_resource_without_rules_is_open_at_every_minute(data: st.DataObject, zone: ZoneInfo) -> None:
    span = data.draw(spans_near(data.draw(days(zone)), zone))
    begin, end = micros(span.start), micros(span.end)
    assert WorkingTime(opening(9, 5, zone)).within(begin, end) == [(begin, end)]


@given(cases())
def test_w7_a_use_is_outside_unless_all_of_it_is_open(case: tuple[Schedule, Span]) -> None:
    drawn, span = case
    opened = of_a_resource(drawn)
    begin, end = micros(span.start), micros(span.end)
    for start_at, end_at in WorkingTime(opened).within(begin, end):
        used = Span(instant(start_at), instant(end_at))
        assert spans_outside(opened, [used]) == []
        longer = [Span(used.start - MINUTE, used.end)] * (start_at > begin)
        longer += [Span(used.start, used.end + MINUTE)] * (end_at < end)
        assert spans_outside(opened, longer) == longer
