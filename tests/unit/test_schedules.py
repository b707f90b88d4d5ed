"""Rules, exceptions, closures and schedules: the checks of their constructors (A1, A2, A4-A6)."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from scheduler.core.errors import (
    InvalidInputError,
    InvalidRecurrenceError,
    InvalidScheduleError,
    InvalidSpanError,
    WallClockError,
)
from scheduler.core.releases import Release
from scheduler.core.schedules import AvailabilityException, AvailabilityRule, Closure, ExceptionType, Schedule
from scheduler.core.slots import Slot

HALF = timedelta(minutes=30)
HOUR = timedelta(hours=1)
RULE = AvailabilityRule(1, 1, time(9), time(12), HALF)
NINE = datetime(2027, 3, 1, 9, tzinfo=UTC)
BLOCK = AvailabilityException(1, ExceptionType.BLOCKED, NINE, NINE + HOUR)
OVERRIDE = AvailabilityException(1, ExceptionType.OVERRIDE, NINE, NINE + HOUR)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"id": None}, "rule id must be an int, a str or a UUID, not None"),
        ({"id": True}, "rule id must be an int, a str or a UUID, not True"),
        ({"id": 1.0}, "rule id must be an int, a str or a UUID, not 1.0"),
        ({"service_offering_id": 2.5}, "rule 1: service_offering_id must be an int"),
        ({"day_of_week": 7}, "rule 1: day_of_week must be 0 (Sunday) to 6, not 7"),
        ({"day_of_week": -1}, "rule 1: day_of_week must be 0 (Sunday) to 6, not -1"),
        ({"day_of_week": True}, "rule 1: day_of_week must be 0 (Sunday) to 6, not True"),
        ({"day_of_week": 1.0}, "rule 1: day_of_week must be 0 (Sunday) to 6, not 1.0"),
        ({"day_of_week": "MO"}, "rule 1: day_of_week must be 0 (Sunday) to 6, not 'MO'"),
        ({"day_of_week": None}, "rule 1: without a day_of_week, the rule needs a recurrence"),
        ({"start_time": "09:00"}, "rule 1: start_time must be a wall-clock time, not '09:00'"),
        ({"end_time": time(9, tzinfo=UTC)}, "rule 1: end_time must be a wall-clock time"),
        (
            {"slot_duration": None},
            "rule 1: slot_duration must be a timedelta of whole seconds from 1 minute to 24 hours, not None",
        ),
        (
            {"slot_duration": timedelta(0)},
            "rule 1: slot_duration must be a timedelta of whole seconds from 1 minute to 24 hours",
        ),
        (
            {"slot_duration": 30},
            "rule 1: slot_duration must be a timedelta of whole seconds from 1 minute to 24 hours, not 30",
        ),
        (
            {"slot_interval": -HALF},
            "rule 1: slot_interval must be a timedelta of whole seconds from 1 minute to 24 hours",
        ),
        (
            {"slot_duration": timedelta(microseconds=1)},
            "rule 1: slot_duration must be a timedelta of whole seconds from 1 minute to 24 hours",
        ),
        (
            {"slot_duration": timedelta(seconds=59)},
            "rule 1: slot_duration must be a timedelta of whole seconds from 1 minute to 24 hours",
        ),
        (
            {"slot_duration": timedelta(seconds=90.5)},
            "rule 1: slot_duration must be a timedelta of whole seconds from 1 minute to 24 hours",
        ),
        (
            {"slot_duration": timedelta(hours=24, seconds=1)},
            "rule 1: slot_duration must be a timedelta of whole seconds from 1 minute to 24 hours",
        ),
        (
            {"slot_interval": timedelta(microseconds=1)},
            "rule 1: slot_interval must be a timedelta of whole seconds from 1 minute to 24 hours",
        ),
        (
            {"slot_interval": timedelta(days=20)},
            "rule 1: slot_interval must be a timedelta of whole seconds from 1 minute to 24 hours",
        ),
        (
            {"slot_alignment": timedelta(hours=25)},
            "rule 1: slot_alignment must be a timedelta of whole seconds from 1 minute to 24 hours",
        ),
        (
            {"slot_alignment": timedelta(0)},
            "rule 1: slot_alignment must be a timedelta of whole seconds from 1 minute to 24 hours",
        ),
        ({"capacity": 0}, "rule 1: capacity must be a whole number from 1, not 0"),
        ({"capacity": True}, "rule 1: capacity must be a whole number from 1, not True"),
        ({"capacity": 1.5}, "rule 1: capacity must be a whole number from 1, not 1.5"),
        ({"active": "false"}, "rule 1: active must be True or False, not 'false'"),
        ({"recurrence": ["FREQ=DAILY"]}, "rule 1: recurrence must be a non-blank string, not ['FREQ=DAILY']"),
        ({"effective_from": NINE}, "rule 1: effective_from must be a date"),
        ({"effective_until": "2027-03-01"}, "rule 1: effective_until must be a date, not '2027-03-01'"),
        (
            {"effective_from": date(2027, 3, 2), "effective_until": date(2027, 3, 1)},
            "rule 1: effective_until 2027-03-01 is before effective_from 2027-03-02",
        ),
    ],
)
def test_a2_a_rule_with_an_invalid_field_is_refused(part: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidScheduleError) as refused:
        replace(RULE, **part)
    assert message in str(refused.value)


def test_a2_a_rule_validates_its_recurrence() -> None:
    with pytest.raises(InvalidRecurrenceError, match="BYHOUR"):
        replace(RULE, recurrence="FREQ=DAILY;BYHOUR=9")
    with pytest.raises(InvalidRecurrenceError, match="never occurs on a Monday, the weekday of its rule"):
        replace(RULE, day_of_week=1, recurrence="FREQ=MONTHLY;BYDAY=2TU")


def test_a2_a_rule_that_until_ends_before_its_first_start_is_refused() -> None:
    """A fixed bug: a Monday 09:00 from 2027-03-01 until 08:00 of that day was accepted and never had a slot."""
    monday = replace(RULE, day_of_week=1, effective_from=date(2027, 3, 1), start_time=time(9))
    assert replace(monday, recurrence="FREQ=WEEKLY;UNTIL=20270301T090000").start_time == time(9)
    with pytest.raises(InvalidRecurrenceError, match="ends before it opens its rule for the first time"):
        replace(monday, recurrence="FREQ=WEEKLY;UNTIL=20270301T080000")


def test_a2_a_rule_may_be_in_force_for_a_single_day() -> None:
    day = date(2027, 3, 1)
    assert replace(RULE, effective_from=day, effective_until=day).effective_until == day


@pytest.mark.parametrize("value", [1, "a", UUID(int=1)])
def test_a1_ids_are_numbers_texts_or_uuids(value: int | str | UUID) -> None:
    rule = replace(RULE, id=value, service_offering_id=value)
    assert Schedule(value, value, "UTC", [rule], [replace(BLOCK, id=value, rule_id=value)]).doctor_id == value


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"id": None}, "exception id must be an int, a str or a UUID, not None"),
        ({"rule_id": 1.5}, "exception 1: rule_id must be an int, a str or a UUID, not 1.5"),
        ({"type": "holiday"}, "exception 1: type: 'holiday' is not an exception type (override, blocked, emergency)"),
        ({"start_at": datetime(2027, 3, 1, 9)}, "exception 1: start 2027-03-01T09:00:00 is naive"),
        ({"end_at": NINE}, "is empty"),
        ({"end_at": NINE - HOUR}, "is reversed"),
        (
            {"slot_duration": timedelta(0)},
            "exception 1: slot_duration must be a timedelta of whole seconds from 1 minute to 24 hours",
        ),
        (
            {"slot_interval": 5},
            "exception 1: slot_interval must be a timedelta of whole seconds from 1 minute to 24 hours, not 5",
        ),
        ({"capacity": 0}, "exception 1: capacity must be a whole number from 1, not 0"),
    ],
)
def test_a4_an_exception_with_an_invalid_field_is_refused(part: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidScheduleError) as refused:
        replace(OVERRIDE, **part)
    assert message in str(refused.value)


@pytest.mark.parametrize("kind", [ExceptionType.BLOCKED, ExceptionType.EMERGENCY])
@pytest.mark.parametrize("part", [{"slot_duration": HALF}, {"slot_interval": HALF}, {"capacity": 2}])
def test_a5_blocked_and_emergency_have_no_slot_fields(kind: ExceptionType, part: dict[str, Any]) -> None:
    with pytest.raises(InvalidScheduleError, match=f"only an override may set slot fields, {kind} removes slots"):
        replace(BLOCK, type=kind, **part)


def test_t1_an_exception_keeps_utc_and_takes_its_type_by_name() -> None:
    london = ZoneInfo("Europe/London")
    start, end = datetime(2027, 7, 1, 9, tzinfo=london), datetime(2027, 7, 1, 10, tzinfo=london)
    emergency = AvailabilityException(1, "emergency", start, end)  # type: ignore[arg-type]  # as in a row of a table
    assert emergency.type is ExceptionType.EMERGENCY
    assert (emergency.start_at.isoformat(), emergency.end_at.isoformat()) == (
        "2027-07-01T08:00:00+00:00",
        "2027-07-01T09:00:00+00:00",
    )


@pytest.mark.parametrize(
    ("exception_rule", "rule_id", "concerns"), [(None, 1, True), (1, 1, True), (1, 2, False), (1, None, False)]
)
def test_a6_an_exception_concerns_the_rule_that_it_names_or_all(
    exception_rule: int | None, rule_id: int, concerns: bool
) -> None:
    assert replace(BLOCK, rule_id=exception_rule).concerns(rule_id) is concerns


@pytest.mark.parametrize(("away", "overlaps"), [(-1, False), (-0.5, True), (0, True), (0.5, True), (1, False)])
def test_a5_an_exception_that_only_touches_does_not_overlap(away: float, overlaps: bool) -> None:
    start = NINE + away * HOUR
    assert BLOCK.overlaps(start, start + HOUR) is overlaps


@pytest.mark.parametrize(
    ("closure_id", "day", "message"),
    [
        (None, date(2027, 3, 1), "closure id must be an int, a str or a UUID, not None"),
        (1, None, "closure 1: day must be a date, not None"),
        (1, NINE, "closure 1: day must be a date"),
    ],
)
def test_a3_a_closure_without_an_id_or_a_day_is_refused(closure_id: Any, day: Any, message: str) -> None:
    with pytest.raises(InvalidScheduleError, match=message):
        Closure(closure_id, day)


@pytest.mark.parametrize(
    ("times", "message"),
    [
        ((time(13), None), "closure 1: start_time and end_time must both be given or both be left out"),
        ((None, time(13)), "closure 1: start_time and end_time must both be given or both be left out"),
        (("13:00", time(0)), "closure 1: start_time must be a wall-clock time, not '13:00'"),
        ((time(13), time(14, tzinfo=UTC)), "closure 1: end_time must be a wall-clock time"),
    ],
)
def test_a3_a_closure_with_one_or_invalid_times_is_refused(times: tuple[Any, Any], message: str) -> None:
    with pytest.raises(InvalidScheduleError, match=message):
        Closure(1, date(2027, 3, 1), *times)


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"doctor_id": None}, "doctor_id must be an int, a str or a UUID, not None"),
        ({"facility_id": False}, "facility_id must be an int, a str or a UUID, not False"),
        ({"rules": RULE}, "rules must be a sequence of AvailabilityRule, not AvailabilityRule"),
        ({"closures": [NINE.date()]}, "closures must be a sequence of Closure, but has date"),
        ({"rules": [RULE, RULE]}, "two rules have the id 1"),
        ({"exceptions": [BLOCK, OVERRIDE]}, "two exceptions have the id 1"),
        ({"closures": [Closure(3, NINE.date())] * 2}, "two closures have the id 3"),
        ({"rules": [RULE, replace(RULE, id="b")]}, "rule ids must all be of one type"),
        (
            {"rules": [replace(RULE, service_offering_id=1), replace(RULE, id=2, service_offering_id="b")]},
            "service offering ids must all be of one type",
        ),
    ],
)
def test_a1_a_schedule_with_invalid_parts_is_refused(parts: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidScheduleError, match=message):
        Schedule(**{"doctor_id": 7, "facility_id": 5, "zone": "Europe/London", **parts})


@pytest.mark.parametrize("length", [timedelta(minutes=1), timedelta(seconds=61), timedelta(hours=24)])
def test_a2_a_slot_lasts_from_a_minute_to_a_day(length: timedelta) -> None:
    assert replace(RULE, slot_duration=length, slot_interval=length, slot_alignment=length).slot_duration == length
    assert replace(OVERRIDE, slot_duration=length, slot_interval=length).slot_interval == length


@pytest.mark.parametrize("length", [timedelta(microseconds=1), timedelta(days=20)])
@pytest.mark.parametrize("field", ["slot_duration", "slot_interval"])
def test_a2_an_override_has_the_limits_of_a_rule(field: str, length: timedelta) -> None:
    with pytest.raises(InvalidScheduleError, match=f"exception 1: {field} must be a timedelta of whole seconds"):
        replace(OVERRIDE, **{field: length})  # type: ignore[arg-type]


@pytest.mark.parametrize("rule_id", [99, "1"])
@pytest.mark.parametrize("kind", ExceptionType)
def test_a6_an_exception_that_names_no_rule_of_the_schedule_is_refused(kind: ExceptionType, rule_id: int | str) -> None:
    named = replace(BLOCK, type=kind, rule_id=rule_id)
    with pytest.raises(InvalidScheduleError, match=f"exception 1: rule_id {rule_id!r} names no rule of the schedule"):
        Schedule(7, 5, "Europe/London", [RULE], [named])


def test_a6_an_exception_may_name_an_inactive_rule() -> None:
    named = replace(BLOCK, rule_id=1)
    assert Schedule(7, 5, "Europe/London", [replace(RULE, active=False)], [named]).exceptions == (named,)


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "America/New_York"])
@pytest.mark.parametrize("year", [1, 9999])
def test_a4_an_override_at_the_ends_of_the_calendar_is_refused(zone: str, year: int) -> None:
    start = datetime(1, 1, 1, tzinfo=UTC) if year == 1 else datetime(9999, 12, 31, 20, tzinfo=UTC)
    with pytest.raises(InvalidScheduleError, match=r"exception 1: .* leaves the calendar"):
        Schedule(7, 5, zone, [], [replace(OVERRIDE, start_at=start, end_at=start + HOUR)])


def test_a1_a_rule_without_an_offering_goes_with_rules_of_one() -> None:
    rules = [RULE, replace(RULE, id=2, service_offering_id="b")]
    assert len(Schedule(7, 5, "Europe/London", rules).rules) == 2


def test_a1_a_schedule_in_an_unknown_zone_is_refused() -> None:
    with pytest.raises(WallClockError, match="unknown time zone 'Europe/Londn'"):
        Schedule(7, 5, "Europe/Londn")


def test_a1_a_schedule_takes_any_iterable_and_keeps_tuples() -> None:
    schedule = Schedule(7, 5, "UTC", iter([RULE]), iter([BLOCK]), iter([Closure(1, NINE.date())]))
    assert (schedule.rules, schedule.exceptions) == ((RULE,), (BLOCK,))
    assert schedule.closures == (Closure(1, NINE.date()),)
    assert hash(schedule) == hash(replace_zone(schedule))


def replace_zone(schedule: Schedule) -> Schedule:
    """Return the same schedule, constructed with its zone as a value."""
    return Schedule(7, 5, ZoneInfo("UTC"), schedule.rules, schedule.exceptions, schedule.closures)


def override(zone: str, start: datetime, end: datetime) -> Schedule:
    """Return a schedule with one override between two wall times."""
    where = ZoneInfo(zone)
    return Schedule(
        7, 5, zone, [], [replace(OVERRIDE, start_at=start.replace(tzinfo=where), end_at=end.replace(tzinfo=where))]
    )


@pytest.mark.parametrize("day", [date(2027, 3, 1), date(2027, 3, 28), date(2027, 10, 31)])
def test_a4_an_override_may_last_a_day_by_the_wall_however_long_that_is(day: date) -> None:
    midnight = datetime.combine(day, time())
    assert len(override("Europe/London", midnight, midnight + timedelta(days=1)).exceptions) == 1


@pytest.mark.parametrize(
    ("zone", "start", "end"),
    [
        ("Europe/London", datetime(2027, 3, 1), datetime(2027, 3, 2, 0, 1)),
        ("Europe/London", datetime(2027, 10, 30, 12), datetime(2027, 10, 31, 12, 1)),  # 25 hours and a minute
        ("Pacific/Apia", datetime(2011, 12, 29, 22), datetime(2011, 12, 31, 6)),  # eight hours over the skipped day
    ],
)
def test_a4_an_override_longer_than_a_day_by_the_wall_is_refused(zone: str, start: datetime, end: datetime) -> None:
    with pytest.raises(InvalidScheduleError, match="exception 1: an override spans at most one day on the clock of"):
        override(zone, start, end)


def test_a4_an_override_of_more_than_26_real_hours_is_refused() -> None:
    """Juneau's clock went back by a day in 1867: the wall clock shows one day for two real ones."""
    start = datetime(1867, 10, 19, 0, 0, tzinfo=ZoneInfo("America/Juneau")).astimezone(UTC)
    with pytest.raises(InvalidScheduleError, match="at most one day"):
        Schedule(7, 5, "America/Juneau", [], [replace(OVERRIDE, start_at=start, end_at=start + 27 * HOUR)])


def test_a5_a_block_may_last_for_weeks() -> None:
    block = replace(BLOCK, end_at=NINE + timedelta(days=40))
    assert Schedule(7, 5, "Europe/London", [], [block]).exceptions == (block,)


def test_q5_a_release_after_the_windows_start_is_refused() -> None:
    """It would come after the first slots; on an earlier day any time is before them."""
    for release in (Release(0, time(9)), Release(1, time(23, 59)), Release(366, time(0))):
        assert replace(RULE, release=release).release == release
    with pytest.raises(InvalidScheduleError) as refused:
        replace(RULE, release=Release(0, time(9, 1)))
    assert str(refused.value) == "rule 1: release at 09:01:00 on the day itself is after the start at 09:00:00"
    with pytest.raises(InvalidInputError, match="release: days_before must be at most 366, not 367"):
        Release(367, time(9))


def test_q5_t1_the_release_of_a_slot_is_kept_in_utc() -> None:
    summer = datetime(2027, 7, 1, 9, tzinfo=ZoneInfo("Europe/London"))
    slot = Slot(summer + HALF, summer + 2 * HALF, 7, 5, released_at=summer)
    assert slot.released_at == datetime(2027, 7, 1, 8, tzinfo=UTC)
    assert slot.released_at.tzinfo is UTC
    with pytest.raises(InvalidSpanError, match="released_at"):
        slot._replace(released_at=datetime(2027, 7, 1, 9))
