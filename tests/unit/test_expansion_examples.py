"""Expansion by example, with slots worked out by hand for each rule and each odd zone (T2-T4, A2-S4).

Times in the tables are wall times of the zone.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from oracles.minutes import expand_by_minutes
from scheduler.core.errors import InvalidInputError, WallClockError
from scheduler.core.expansion import expand
from scheduler.core.releases import Release
from scheduler.core.schedules import AvailabilityException, AvailabilityRule, Closure, ExceptionType, Schedule
from scheduler.core.slots import Slot
from scheduler.core.spans import Span

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
LONDON = "Europe/London"
MONDAY = date(2027, 3, 1)
NINE_TO_TWELVE = AvailabilityRule(1, 1, time(9), time(12), HOUR)
OVERRIDE, BLOCKED, EMERGENCY = ExceptionType


def around_noon_of(day: date) -> Span:
    """Return the four days around a day."""
    noon = datetime.combine(day, time(12), UTC)
    return Span(noon - 2 * DAY, noon + 2 * DAY)


def slots_of(
    rules: Iterable[AvailabilityRule],
    exceptions: Iterable[AvailabilityException] = (),
    closures: Iterable[Closure] = (),
    *,
    zone: str = LONDON,
    around: date = MONDAY,
) -> list[Slot]:
    """Expand the days around a day."""
    schedule = Schedule(7, 5, zone, rules, exceptions, closures)
    slots = list(expand(schedule, around_noon_of(around)))
    assert slots == expand_by_minutes(schedule, around_noon_of(around))
    return slots


def walls(slots: list[Slot], zone: str = LONDON) -> list[str]:
    """Return the wall times of starts: 09:00, or 30T09:00 if slots start on several days."""
    starts = [slot.start_at.astimezone(ZoneInfo(zone)) for slot in slots]
    several = len({start.date() for start in starts}) > 1
    return [f"{start:%dT%H:%M}" if several else f"{start:%H:%M}" for start in starts]


def london(hour: int, minute: int = 0, *, day: date = MONDAY) -> datetime:
    """Return the instant of a wall time in London."""
    return datetime.combine(day, time(hour, minute), ZoneInfo(LONDON))


def daily(start: str, end: str, day: date, *, step: int = 60) -> AvailabilityRule:
    """Return a rule that works on the weekday of a day."""
    return AvailabilityRule(1, day.isoweekday() % 7, time.fromisoformat(start), time.fromisoformat(end), step * MINUTE)


@pytest.mark.parametrize(
    ("zone", "day", "start", "end", "expected"),
    [
        # London, 2027-03-28: 01:00 becomes 02:00. Midnight to six lasts five hours.
        (LONDON, "2027-03-28", "00:00", "06:00", "00:00 02:00 03:00 04:00 05:00"),
        (LONDON, "2027-03-28", "00:30", "03:00", "00:30"),  # an hour and a half
        (LONDON, "2027-03-28", "01:00", "02:00", ""),
        (LONDON, "2027-03-28", "01:30", "03:00", "02:00"),
        # London, 2027-10-31: 02:00 becomes 01:00. Midnight to six lasts seven hours.
        (LONDON, "2027-10-31", "00:00", "06:00", "00:00 01:00 01:00 02:00 03:00 04:00 05:00"),
        (LONDON, "2027-10-31", "01:00", "02:00", "01:00 01:00"),
        (LONDON, "2027-10-31", "00:30", "01:30", "00:30"),
        (LONDON, "2027-10-31", "01:30", "03:00", "01:30 01:30"),
        # New York, 2027-03-14 and 2027-11-07: 02:00 becomes 03:00, 02:00 becomes 01:00.
        ("America/New_York", "2027-03-14", "01:00", "04:00", "01:00 03:00"),
        ("America/New_York", "2027-11-07", "00:00", "03:00", "00:00 01:00 01:00 02:00"),
        # Lord Howe moves by half an hour: 2027-10-03 02:00 becomes 02:30, 2027-04-04 02:00 becomes 01:30.
        ("Australia/Lord_Howe", "2027-10-03", "01:00", "04:00", "01:00 02:30"),
        ("Australia/Lord_Howe", "2027-04-04", "01:00", "03:00", "01:00 01:30"),
        # Kathmandu is 5:45 ahead and never changes.
        ("Asia/Kathmandu", "2027-03-28", "09:00", "12:00", "09:00 10:00 11:00"),
        # Havana had no midnight on 2025-03-09 (00:00 became 01:00) and two on 2025-11-02 (01:00 became 00:00).
        ("America/Havana", "2025-03-09", "00:00", "03:00", "01:00 02:00"),
        ("America/Havana", "2025-11-02", "00:00", "03:00", "00:00 00:00 01:00 02:00"),
        ("America/Havana", "2025-11-01", "22:00", "00:00", "22:00 23:00"),
        # Apia had no 2011-12-30: a night window from the 29th ends with the day, none starts on the 30th.
        ("Pacific/Apia", "2011-12-29", "22:00", "06:00", "22:00 23:00"),
        ("Pacific/Apia", "2011-12-30", "09:00", "12:00", ""),
        ("Pacific/Apia", "2011-12-30", "22:00", "06:00", ""),
        ("Pacific/Apia", "2011-12-31", "00:00", "02:00", "00:00 01:00"),
        # Casablanca went back for Ramadan (2025-02-23 03:00 became 02:00) and forward after it (2025-04-06).
        ("Africa/Casablanca", "2025-02-23", "01:00", "04:00", "01:00 02:00 02:00 03:00"),
        ("Africa/Casablanca", "2025-04-06", "01:00", "04:00", "01:00 03:00"),
        # Troll moves by two hours: 2027-03-28 01:00 becomes 03:00, 2027-10-31 03:00 becomes 01:00.
        ("Antarctica/Troll", "2027-03-28", "00:00", "05:00", "00:00 03:00 04:00"),
        ("Antarctica/Troll", "2027-10-31", "00:00", "04:00", "00:00 01:00 02:00 01:00 02:00 03:00"),
        # St John's, 2010-11-07: at 00:01 the wall went back to 23:01 of the 6th. Midnight is its first occurrence.
        ("America/St_Johns", "2010-11-06", "22:00", "00:00", "22:00 23:00"),
        ("America/St_Johns", "2010-11-07", "00:00", "02:00", "00:00 00:00 01:00"),
        ("America/St_Johns", "2010-03-14", "00:00", "03:00", "00:00 02:00"),  # 00:01 becomes 01:01
    ],
)
def test_t3_t4_windows_across_a_change_of_the_clock(zone: str, day: str, start: str, end: str, expected: str) -> None:
    """A window is two clock times; a slot of an hour lasts a real hour."""
    around = date.fromisoformat(day)
    slots = slots_of([daily(start, end, around)], zone=zone, around=around)
    assert walls(slots, zone) == expected.split()
    assert all(slot.duration == HOUR for slot in slots)


@pytest.mark.parametrize(
    ("closed_day", "expected"),
    [
        (29, "00:00 01:00 02:00"),  # the closed time ends with the day, as a window does
        (30, "29T20:00 29T21:00 29T22:00 29T23:00 31T00:00 31T01:00 31T02:00"),
        (31, "29T20:00 29T21:00 29T22:00 29T23:00 31T00:00 31T01:00 31T02:00"),
    ],
)
def test_t3_a_closed_time_of_a_day_that_the_zone_skipped_closes_nothing(closed_day: int, expected: str) -> None:
    """A fixed bug: a closed night of 2011-12-30 in Apia, 22:00-06:00, closed the first hours of the 31st."""
    apia, skipped = "Pacific/Apia", date(2011, 12, 30)
    rules = [daily("20:00", "00:00", skipped - DAY), replace(daily("00:00", "03:00", skipped + DAY), id=2)]
    closures = [Closure(1, date(2011, 12, closed_day), time(20), time(6))]
    assert walls(slots_of(rules, closures=closures, zone=apia, around=skipped), apia) == expected.split()


def test_t2_a_night_window_belongs_to_the_evening_on_which_it_starts() -> None:
    night = daily("22:00", "02:00", MONDAY)
    assert walls(slots_of([night])) == ["01T22:00", "01T23:00", "02T00:00", "02T01:00"]


def test_t2_a_window_that_ends_when_it_starts_lasts_a_whole_day() -> None:
    assert len(slots_of([daily("00:00", "00:00", MONDAY)])) == 24
    assert len(slots_of([daily("09:00", "09:00", MONDAY)])) == 24


def test_t4_a_slot_is_a_length_of_real_time() -> None:
    rule = daily("00:50", "02:10", date(2027, 3, 28), step=20)  # ten minutes before the jump, ten after
    assert [slot.duration for slot in slots_of([rule], around=date(2027, 3, 28))] == [20 * MINUTE]


@pytest.mark.parametrize(
    ("first", "last", "works"),
    [
        (None, None, True),
        (MONDAY, MONDAY, True),
        (MONDAY + DAY, None, False),
        (None, MONDAY - DAY, False),
        (date(2020, 1, 1), date(2030, 1, 1), True),
    ],
)
def test_a2_effective_dates_are_both_inclusive(first: date | None, last: date | None, works: bool) -> None:
    rule = replace(NINE_TO_TWELVE, effective_from=first, effective_until=last)
    assert bool(slots_of([rule])) is works


def test_a2_a_night_begun_on_the_last_effective_day_runs_to_its_end() -> None:
    night = replace(daily("22:00", "02:00", MONDAY), effective_until=MONDAY)
    assert walls(slots_of([night])) == ["01T22:00", "01T23:00", "02T00:00", "02T01:00"]


@pytest.mark.parametrize(("anchor", "works"), [(MONDAY - 14 * DAY, True), (MONDAY - 7 * DAY, False)])
def test_a2_a_fortnightly_rule_counts_from_its_first_effective_day(anchor: date, works: bool) -> None:
    rule = replace(NINE_TO_TWELVE, effective_from=anchor, recurrence="FREQ=WEEKLY;INTERVAL=2")
    assert bool(slots_of([rule])) is works


def test_a2_a_recurrence_narrows_the_weekday_and_never_widens_it() -> None:
    rule = replace(NINE_TO_TWELVE, recurrence="FREQ=WEEKLY;BYDAY=MO,TU,WE")
    assert slots_of([rule]) == slots_of([NINE_TO_TWELVE])


@pytest.mark.parametrize(
    ("zone", "opens", "until", "expected"),
    [
        ("America/New_York", "09:00", "19971224T000000Z", "22 23"),
        ("America/New_York", "19:00", "19971224T000000Z", "22 23"),  # 23 December, 19:00 in New York, is this instant
        ("America/New_York", "19:01", "19971224T000000Z", "22"),
        ("America/New_York", "18:00", "19971224T225959Z", "22 23"),
        ("America/New_York", "18:00", "19971224T230000Z", "22 23 24"),
        ("Pacific/Kiritimati", "09:00", "19971223T190000Z", "22 23 24"),  # the next day has begun
        ("Pacific/Kiritimati", "09:01", "19971223T190000Z", "22 23"),
        ("America/New_York", "23:59", "19971223", "22 23"),
        ("Pacific/Kiritimati", "00:00", "19971223", "22 23"),
        ("America/New_York", "09:00", "19971223T090000", "22 23"),
        ("America/New_York", "09:01", "19971223T090000", "22"),
        ("America/New_York", "09:00:59", "19971223T090060", "22 23"),  # a leap second is the second before it
    ],
)
def test_a2_until_admits_windows_that_start_by_then(zone: str, opens: str, until: str, expected: str) -> None:
    """Issue 9, A2: a time in UTC was cut to its date."""
    clock, first = time.fromisoformat(opens), date(1997, 12, 22)
    text = f"FREQ=DAILY;UNTIL={until}"
    rule = AvailabilityRule(1, None, clock, clock, 13 * HOUR, effective_from=first, recurrence=text)
    month = Span(datetime(1997, 12, 1, tzinfo=UTC), datetime(1998, 1, 1, tzinfo=UTC))
    starts = [slot.start_at.astimezone(ZoneInfo(zone)) for slot in expand(Schedule(7, 5, zone, [rule]), month)]
    assert " ".join(f"{start:%d}" for start in starts) == expected


def every(days: int, since: date, **parts: Any) -> AvailabilityRule:
    """Return a rule without a weekday: nine to twelve, once in so many days."""
    text = f"FREQ=DAILY;INTERVAL={days}"
    return replace(NINE_TO_TWELVE, day_of_week=None, effective_from=since, recurrence=text, **parts)


def test_a2_a_rule_without_weekday_has_the_days_of_its_recurrence() -> None:
    at_eleven = {"start_time": time(11)}
    assert walls(slots_of([every(2, MONDAY - DAY, **at_eleven)])) == ["28T11:00", "02T11:00"]
    four_on_four_off = [every(8, MONDAY - number * DAY, id=number, **at_eleven) for number in range(2, 6)]
    assert walls(slots_of(four_on_four_off)) == []
    on_days = slots_of(four_on_four_off, around=MONDAY + 4 * DAY)
    assert walls(on_days) == ["04T11:00", "05T11:00", "06T11:00", "07T11:00"]


@pytest.mark.parametrize(("day", "durations"), [(MONDAY - DAY, {30}), (MONDAY, {60}), (MONDAY + 2 * DAY, {30, 60})])
def test_a4_an_override_uses_a_rule_without_weekday_on_its_days(day: date, durations: set[int]) -> None:
    """On another day, such a rule counts only if no rule is one of that day."""
    rules = [NINE_TO_TWELVE, every(2, MONDAY - DAY, id=2, slot_duration=30 * MINUTE)]
    override = AvailabilityException(1, OVERRIDE, london(14, day=day), london(15, day=day))
    slots = [slot for slot in slots_of(rules, [override], around=day) if slot.start_at.date() == day]
    assert {slot.duration // MINUTE for slot in slots} == durations


def test_a2_an_inactive_rule_yields_nothing() -> None:
    assert slots_of([replace(NINE_TO_TWELVE, active=False)]) == []


def test_a2_a_slot_has_the_fields_of_its_rule() -> None:
    rule = replace(NINE_TO_TWELVE, capacity=3, service_offering_id=4)
    nine = datetime(2027, 3, 1, 9, tzinfo=UTC)
    assert slots_of([rule])[0] == Slot(nine, nine + HOUR, 7, 5, 4, 3, 1)


def test_a3_a_closed_day_has_no_slots_from_rules() -> None:
    assert slots_of([NINE_TO_TWELVE], closures=[Closure(1, MONDAY)]) == []


def test_a3_a_night_begun_before_a_closed_day_stays_whole() -> None:
    night = daily("22:00", "02:00", MONDAY)
    assert len(slots_of([night], closures=[Closure(1, MONDAY + DAY)])) == 4


def test_a3_an_override_opens_on_a_closed_day() -> None:
    override = AvailabilityException(1, OVERRIDE, london(14), london(16))
    assert walls(slots_of([NINE_TO_TWELVE], [override], [Closure(1, MONDAY)])) == ["14:00", "15:00"]


def test_a3_a_closed_time_removes_the_slots_that_overlap_it() -> None:
    closed = Closure(1, MONDAY, time(10, 30), time(11))
    assert walls(slots_of([NINE_TO_TWELVE], closures=[closed])) == ["09:00", "11:00"]


def test_a3_a_day_closed_from_midnight_ends_the_night_before() -> None:
    night = daily("22:00", "02:00", MONDAY)
    closed = Closure(1, MONDAY + DAY, time(0), time(0))
    assert walls(slots_of([night], closures=[closed])) == ["22:00", "23:00"]


def test_a3_a_time_closed_past_midnight_delays_the_next_morning() -> None:
    tuesdays = replace(NINE_TO_TWELVE, day_of_week=2)
    closed = Closure(1, MONDAY, time(18), time(10))
    assert walls(slots_of([tuesdays], closures=[closed])) == ["10:00", "11:00"]


def test_t3_a_time_closed_within_the_skipped_hour_closes_nothing() -> None:
    sunday = date(2027, 3, 28)
    night = replace(daily("00:00", "04:00", sunday), slot_duration=timedelta(minutes=40))
    closed = Closure(1, sunday, time(1, 15), time(1, 45))
    assert slots_of([night], closures=[closed], around=sunday) == slots_of([night], around=sunday)


def test_a3_a_closed_time_of_another_week_changes_nothing() -> None:
    closed = Closure(1, MONDAY + 7 * DAY, time(9), time(12))
    assert slots_of([NINE_TO_TWELVE], closures=[closed]) == slots_of([NINE_TO_TWELVE])


def test_a3_closed_times_that_overlap_close_their_union() -> None:
    closed = [Closure(1, MONDAY, time(9), time(10)), Closure(2, MONDAY, time(9, 30), time(10, 30))]
    assert walls(slots_of([NINE_TO_TWELVE], closures=closed)) == ["11:00"]


def test_a3_an_override_opens_at_a_closed_time() -> None:
    override = AvailabilityException(1, OVERRIDE, london(14), london(16))
    closed = Closure(1, MONDAY, time(13), time(0))
    assert walls(slots_of([NINE_TO_TWELVE], [override], [closed])) == ["14:00", "15:00"]


def test_a3_a_block_removes_slots_of_an_override() -> None:
    override = AvailabilityException(1, OVERRIDE, london(14), london(17))
    block = AvailabilityException(2, BLOCKED, london(15, 30), london(15, 45))
    assert walls(slots_of([NINE_TO_TWELVE], [block, override])) == ["14:00", "16:00"]


def test_a4_overrides_of_a_day_are_merged_and_replace_its_windows() -> None:
    touching = [
        AvailabilityException(1, OVERRIDE, london(15, 30), london(17)),
        AvailabilityException(2, OVERRIDE, london(14), london(15, 30)),
    ]
    assert walls(slots_of([NINE_TO_TWELVE], touching)) == ["14:00", "15:00", "16:00"]


def test_a4_an_override_replaces_only_the_night_that_starts_on_its_day() -> None:
    night = [replace(daily("22:00", "02:00", MONDAY + ahead * DAY), id=ahead) for ahead in (-1, 0)]
    override = AvailabilityException(1, OVERRIDE, london(0, 30), london(1, 30))
    assert walls(slots_of(night, [override])) == [
        *("28T22:00", "28T23:00", "01T00:00", "01T00:30", "01T01:00"),
    ]


def test_a4_an_override_belongs_to_the_date_on_the_wall_and_not_in_utc() -> None:
    """Tuesday 09:00 in Kiritimati is Monday 19:00 in UTC."""
    zone = "Pacific/Kiritimati"
    start = datetime(2027, 3, 2, 9, tzinfo=ZoneInfo(zone))
    override = AvailabilityException(1, OVERRIDE, start, start + HOUR)
    rules = [NINE_TO_TWELVE, replace(NINE_TO_TWELVE, id=2, day_of_week=2)]
    slots = slots_of(rules, [override], zone=zone)
    assert walls(slots, zone) == ["01T09:00", "01T10:00", "01T11:00", "02T09:00"]


def test_a4_overrides_alignment_is_their_own_start() -> None:
    rule = replace(NINE_TO_TWELVE, slot_alignment=HOUR)
    override = AvailabilityException(1, OVERRIDE, london(14, 10), london(16, 10))
    assert walls(slots_of([rule], [override])) == ["14:10", "15:10"]


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ({}, [("14:00", 60, 2)]),
        ({"slot_duration": 30 * MINUTE}, [("14:00", 30, 2), ("14:30", 30, 2)]),
        ({"slot_interval": 30 * MINUTE}, [("14:00", 60, 2)]),
        (
            {"slot_duration": 30 * MINUTE, "slot_interval": 15 * MINUTE},
            [("14:00", 30, 2), ("14:15", 30, 2), ("14:30", 30, 2)],
        ),
        ({"capacity": 5}, [("14:00", 60, 5)]),
    ],
)
def test_a4_an_override_may_have_its_own_slot_parameters(
    own: dict[str, Any], expected: list[tuple[str, int, int]]
) -> None:
    rule = replace(NINE_TO_TWELVE, capacity=2, slot_interval=45 * MINUTE)
    override = replace(AvailabilityException(1, OVERRIDE, london(14), london(15)), **own)
    slots = slots_of([rule], [override])
    actual = [(wall, slot.duration // MINUTE, slot.capacity) for wall, slot in zip(walls(slots), slots, strict=True)]
    assert actual == expected


def test_a4_an_override_uses_the_rules_of_its_weekday() -> None:
    rules = [
        NINE_TO_TWELVE,
        replace(NINE_TO_TWELVE, id=2, slot_duration=30 * MINUTE, service_offering_id=4),
        replace(NINE_TO_TWELVE, id=3, day_of_week=2, slot_duration=20 * MINUTE),
    ]
    slots = slots_of(rules, [AvailabilityException(1, OVERRIDE, london(14), london(15))])
    of_monday = [(slot.rule_id, slot.duration // MINUTE) for slot in slots if slot.rule_id != 3]
    assert of_monday == [(2, 30), (1, 60), (2, 30)]
    assert {slot.start_at.date() for slot in slots if slot.rule_id == 3} == {MONDAY + DAY}


def test_a4_an_override_on_a_day_without_rules_uses_all_rules_in_force() -> None:
    rules = [
        replace(NINE_TO_TWELVE, id=1, day_of_week=5),
        replace(NINE_TO_TWELVE, id=2, day_of_week=6, slot_duration=30 * MINUTE),
        replace(NINE_TO_TWELVE, id=3, day_of_week=6, slot_duration=20 * MINUTE, effective_until=MONDAY - DAY),
        replace(NINE_TO_TWELVE, id=4, day_of_week=6, slot_duration=10 * MINUTE, active=False),
    ]
    slots = slots_of(rules, [AvailabilityException(1, OVERRIDE, london(14), london(15))])
    assert [(slot.rule_id, slot.duration // MINUTE) for slot in slots] == [(2, 30), (1, 60), (2, 30)]


def test_a4_an_override_ignores_recurrences() -> None:
    fortnightly = replace(NINE_TO_TWELVE, effective_from=MONDAY - 7 * DAY, recurrence="FREQ=WEEKLY;INTERVAL=2")
    assert len(slots_of([fortnightly], [AvailabilityException(1, OVERRIDE, london(14), london(16))])) == 2


def test_a4_an_override_of_a_rule_uses_it_on_any_weekday() -> None:
    rules = [NINE_TO_TWELVE, replace(NINE_TO_TWELVE, id=2, day_of_week=4, slot_duration=30 * MINUTE)]
    override = AvailabilityException(1, OVERRIDE, london(14), london(15), rule_id=2)
    slots = slots_of(rules, [override])
    assert [(wall, slot.rule_id) for wall, slot in zip(walls(slots), slots, strict=True)] == [
        *(("09:00", 1), ("10:00", 1), ("11:00", 1), ("14:00", 2), ("14:30", 2)),
    ]


def test_a4_an_override_without_rules_needs_a_duration_of_its_own() -> None:
    without_duration = AvailabilityException(1, OVERRIDE, london(14), london(15), slot_interval=HOUR, capacity=2)
    assert slots_of([], [without_duration]) == []
    with_duration = replace(without_duration, slot_interval=None, slot_duration=30 * MINUTE)
    assert [slot[4:] for slot in slots_of([], [with_duration])] == [(None, 2, None, None), (None, 2, None, None)]


def test_a4_an_override_of_an_inactive_rule_uses_no_other_rule() -> None:
    rules = [NINE_TO_TWELVE, replace(NINE_TO_TWELVE, id=2, active=False)]
    named = AvailabilityException(1, OVERRIDE, london(14), london(15), rule_id=2)
    assert walls(slots_of(rules, [named])) == ["09:00", "10:00", "11:00"]
    own = replace(named, slot_duration=HOUR)
    assert [slot.rule_id for slot in slots_of(rules, [own])] == [1, 1, 1, None]


def test_a4_overrides_of_one_day_that_differ_are_not_merged() -> None:
    plain = AvailabilityException(1, OVERRIDE, london(14), london(15, 30))
    double = AvailabilityException(2, OVERRIDE, london(15, 30), london(17), capacity=2)
    assert walls(slots_of([NINE_TO_TWELVE], [plain, double])) == ["14:00", "15:30"]


def test_a4_an_override_in_a_repeated_evening_belongs_to_that_evening() -> None:
    """In St John's 00:01 of 2010-11-07 became 23:01 of Saturday the 6th; the second 23:30 is still on Saturday."""
    zone = "America/St_Johns"
    saturday = daily("09:00", "10:00", date(2010, 11, 6))
    sunday = replace(daily("09:00", "10:00", date(2010, 11, 7)), id=2)
    start = datetime(2010, 11, 6, 23, 30, fold=1, tzinfo=ZoneInfo(zone)).astimezone(UTC)
    override = AvailabilityException(1, OVERRIDE, start, start + HOUR)
    slots = slots_of([saturday, sunday], [override], zone=zone, around=date(2010, 11, 7))
    assert walls(slots, zone) == ["06T23:30", "07T09:00"]


@pytest.mark.parametrize("kind", [BLOCKED, EMERGENCY])
@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        ((10, 0), (11, 0), "09:00 11:00"),
        ((9, 59), (10, 0), "10:00 11:00"),
        ((10, 30), (10, 31), "09:00 11:00"),
        ((8, 0), (9, 0), "09:00 10:00 11:00"),
        ((0, 0), (23, 0), ""),
    ],
)
def test_a5_a_block_removes_overlapping_slots_and_keeps_the_grid(
    kind: ExceptionType, start: tuple[int, int], end: tuple[int, int], expected: str
) -> None:
    block = AvailabilityException(1, kind, london(*start), london(*end))
    assert walls(slots_of([NINE_TO_TWELVE], [block])) == expected.split()


@pytest.mark.parametrize("kind", [BLOCKED, EMERGENCY])
def test_a6_a_block_of_one_rule_keeps_the_other_rules_slot(kind: ExceptionType) -> None:
    rules = [NINE_TO_TWELVE, replace(NINE_TO_TWELVE, id=2)]
    block = AvailabilityException(1, kind, london(10), london(11), rule_id=1)
    assert [slot.rule_id for slot in slots_of(rules, [block])] == [1, 2, 1]


def test_a6_only_a_block_for_all_rules_removes_a_slot_without_a_rule() -> None:
    opened = AvailabilityException(1, OVERRIDE, london(14), london(16), slot_duration=HOUR)
    named = AvailabilityException(2, BLOCKED, london(14), london(15), rule_id=1)
    inactive = replace(NINE_TO_TWELVE, active=False)
    assert len(slots_of([inactive], [opened, named])) == 2
    assert len(slots_of([inactive], [opened, replace(named, rule_id=None)])) == 1


def test_s1_slots_start_in_steps_while_they_end_in_the_window() -> None:
    rule = replace(NINE_TO_TWELVE, slot_duration=50 * MINUTE, slot_interval=40 * MINUTE)
    assert walls(slots_of([rule])) == ["09:00", "09:40", "10:20", "11:00"]


def test_t3_a_window_too_short_for_a_slot_has_one_on_a_longer_day() -> None:
    """London's clock shows the hour from 01:00 twice; the weekday has no other rule."""
    hour = AvailabilityRule(1, 0, time(1), time(2), 90 * MINUTE)
    usual, longer = date(2027, 10, 24), date(2027, 10, 31)
    assert list(expand(Schedule(7, 5, LONDON, [hour]), around_noon_of(usual))) == []
    (slot,) = expand(Schedule(7, 5, LONDON, [hour]), around_noon_of(longer))
    assert (slot.start_at, slot.duration) == (datetime(2027, 10, 31, tzinfo=UTC), 90 * MINUTE)


@pytest.mark.parametrize(
    ("zone", "day", "start", "alignment", "expected"),
    [
        (LONDON, "2027-03-01", "09:10", 30, "09:30 10:30"),
        (LONDON, "2027-03-01", "09:00", 30, "09:00 10:00 11:00"),
        (LONDON, "2027-03-01", "09:10", 25, "09:10 10:10"),  # 550 minutes since midnight are 22 x 25
        (LONDON, "2027-03-01", "09:10", 7, "09:13 10:13"),  # 553 = 79 x 7
        (LONDON, "2027-03-01", "09:10", 720, ""),  # noon is the window's end
        (LONDON, "2027-03-01", "00:00", 600, "00:00 01:00 02:00 03:00 04:00 05:00 06:00 07:00 08:00 09:00 10:00 11:00"),
        # The wall shows 01:00 again half an hour after the first 01:30.
        (LONDON, "2027-10-31", "01:30", 60, "01:00 02:00 03:00 04:00 05:00 06:00 07:00 08:00 09:00 10:00 11:00"),
        # The jump shows 02:00 at once, and 02:30 in Lord Howe, where the next full hour is 03:00.
        (LONDON, "2027-03-28", "00:30", 60, "02:00 03:00 04:00 05:00 06:00 07:00 08:00 09:00 10:00 11:00"),
        ("Australia/Lord_Howe", "2027-10-03", "01:30", 60, "03:00 04:00 05:00 06:00 07:00 08:00 09:00 10:00 11:00"),
        ("Asia/Kathmandu", "2027-03-01", "09:10", 60, "10:00 11:00"),
    ],
)
def test_s1_an_aligned_window_begins_where_the_wall_shows_a_multiple(
    zone: str, day: str, start: str, alignment: int, expected: str
) -> None:
    around = date.fromisoformat(day)
    rule = replace(daily(start, "12:00", around), slot_alignment=alignment * MINUTE)
    assert walls(slots_of([rule], zone=zone, around=around), zone) == expected.split()


def test_s1_a_night_aligned_to_a_whole_day_begins_at_midnight() -> None:
    rule = replace(daily("22:00", "02:00", MONDAY), slot_alignment=24 * HOUR)
    assert walls(slots_of([rule])) == ["00:00", "01:00"]


def test_s1_slots_may_last_for_seconds() -> None:
    rule = replace(daily("09:00", "09:05", MONDAY), slot_duration=timedelta(seconds=90), slot_interval=None)
    slots = list(expand(Schedule(7, 5, LONDON, [rule]), around_noon_of(MONDAY)))
    assert [f"{slot.start_at:%M:%S}" for slot in slots] == ["00:00", "01:30", "03:00"]


def test_s2_two_rules_with_one_identity_yield_the_lower_rules_slot() -> None:
    rules = [replace(NINE_TO_TWELVE, id=10, capacity=3), replace(NINE_TO_TWELVE, id=9, capacity=2)]
    assert {slot[5:] for slot in slots_of(rules)} == {(2, 9, None)}


def test_s2_a_slot_with_a_rule_wins_over_one_without() -> None:
    tuesday = replace(NINE_TO_TWELVE, day_of_week=2, start_time=time(0), effective_from=MONDAY + DAY)
    night = AvailabilityException(1, OVERRIDE, london(23), london(3, day=MONDAY + DAY), slot_duration=HOUR, capacity=9)
    slots = slots_of([tuesday], [night])
    assert [slot.rule_id for slot in slots][:3] == [None, 1, 1]
    assert len(slots) == 13


def test_s2_the_smaller_capacity_wins_within_one_rule() -> None:
    """Two overrides of a day have capacities 3 and 2; their common slot gets the smaller one."""
    overrides = [
        AvailabilityException(1, OVERRIDE, london(14), london(16), capacity=3),
        AvailabilityException(2, OVERRIDE, london(15), london(17), capacity=2),
    ]
    assert [slot.capacity for slot in slots_of([NINE_TO_TWELVE], overrides)] == [3, 2, 2]


def test_s2_overrides_of_two_days_yield_one_slot_for_each_start() -> None:
    """The night of the first override reaches into the second, and both have the slots of one rule."""
    tuesday = MONDAY + DAY
    overrides = [
        AvailabilityException(1, OVERRIDE, london(22), london(3, day=tuesday), rule_id=1),
        AvailabilityException(2, OVERRIDE, london(1, day=tuesday), london(4, day=tuesday), rule_id=1),
    ]
    assert walls(slots_of([NINE_TO_TWELVE], overrides)) == [
        *("01T22:00", "01T23:00", "02T00:00", "02T01:00", "02T02:00", "02T03:00"),
    ]


def test_s2_slots_of_different_offerings_are_different_slots() -> None:
    rules = [replace(NINE_TO_TWELVE, id=number, service_offering_id=number or None) for number in (2, 0, 1)]
    assert [slot.service_offering_id for slot in slots_of(rules)] == [None, 1, 2] * 3


def test_s3_slots_of_one_window_may_overlap() -> None:
    rule = replace(NINE_TO_TWELVE, slot_interval=30 * MINUTE)
    assert walls(slots_of([rule])) == ["09:00", "09:30", "10:00", "10:30", "11:00"]


def test_s4_a_slot_belongs_to_the_span_in_which_it_starts() -> None:
    schedule = Schedule(7, 5, LONDON, [NINE_TO_TWELVE])
    assert walls(list(expand(schedule, Span(london(9), london(9, 1))))) == ["09:00"]
    assert walls(list(expand(schedule, Span(london(9, 1), london(11))))) == ["10:00"]


def test_s4_a_window_begun_before_the_clock_goes_back_a_day_is_found() -> None:
    """In St John's midnight of 2010-11-07 was at 02:30Z, and at 03:00Z the clock showed 23:30 of the 6th again."""
    schedule = Schedule(7, 5, "America/St_Johns", [daily("00:00", "02:00", date(2010, 11, 7), step=20)])
    evening, second_pass, morning = (datetime(2010, 11, 7, hour, tzinfo=UTC) for hour in (1, 3, 7))
    early, late = expand(schedule, Span(evening, second_pass)), expand(schedule, Span(second_pass, morning))
    assert [f"{slot.start_at:%H:%M}" for slot in early] == ["02:30", "02:50"]
    assert [*early, *late] == list(expand(schedule, Span(evening, morning)))


def test_s4_an_override_that_began_two_wall_days_before_is_found() -> None:
    """In St John's it lasts until the second 23:30 of the 6th; the span begins on the 7th."""
    start, end = datetime(2010, 11, 6, 2, tzinfo=UTC), datetime(2010, 11, 7, 3, tzinfo=UTC)
    midnight = end - 30 * MINUTE
    override = AvailabilityException(1, OVERRIDE, start, end, slot_duration=30 * MINUTE)
    schedule = Schedule(7, 5, "America/St_Johns", [], [override])
    assert [slot.start_at for slot in expand(schedule, Span(midnight, end))] == [midnight]


def test_s4_order_is_by_start_then_end_then_offering() -> None:
    rules = [
        replace(NINE_TO_TWELVE, id=1, end_time=time(10), service_offering_id="b"),
        replace(NINE_TO_TWELVE, id=2, end_time=time(10), service_offering_id="a"),
        replace(NINE_TO_TWELVE, id=3, end_time=time(10)),
        replace(NINE_TO_TWELVE, id=4, end_time=time(10), slot_duration=30 * MINUTE, service_offering_id="c"),
    ]
    assert [slot.rule_id for slot in expand(Schedule(7, 5, LONDON, rules), around_noon_of(MONDAY))] == [4, 3, 2, 1, 4]


def test_a_schedule_without_rules_has_no_slots() -> None:
    assert slots_of([]) == []


@pytest.mark.parametrize("year", [1, 9999])
def test_the_calendars_first_and_last_days_are_refused(year: int) -> None:
    edge = datetime(year, 1, 1, tzinfo=UTC) if year == 1 else datetime(year, 12, 31, tzinfo=UTC)
    with pytest.raises(WallClockError, match="leaves the calendar"):
        expand(Schedule(7, 5, LONDON, [NINE_TO_TWELVE]), Span(edge, edge + HOUR))


@pytest.mark.parametrize("schedule", [None, "clinic", NINE_TO_TWELVE])
def test_expanding_anything_but_a_schedule_is_refused(schedule: Any) -> None:
    with pytest.raises(InvalidInputError, match=f"schedule must be a Schedule, not {type(schedule).__name__}"):
        expand(schedule, around_noon_of(MONDAY))


@pytest.mark.parametrize("span", [None, MONDAY, (MONDAY, MONDAY)])
def test_expanding_over_anything_but_a_span_is_refused(span: Any) -> None:
    with pytest.raises(InvalidInputError, match=f"span must be a Span, not {type(span).__name__}"):
        expand(Schedule(1, 1, LONDON, [NINE_TO_TWELVE]), span)


def test_s4_a_last_slot_that_starts_at_the_end_is_in_the_next_span() -> None:
    """Only this example ends a span at a window's last start, on the fast path for whole windows."""
    day = date(2027, 3, 1)
    schedule = Schedule(7, 5, LONDON, [daily("09:00", "10:20", day, step=20)])
    begin, last_start, end = (datetime(2027, 3, 1, hour, tzinfo=UTC) for hour in (0, 10, 20))
    early, late = expand(schedule, Span(begin, last_start)), expand(schedule, Span(last_start, end))
    assert [f"{slot.start_at:%H:%M}" for slot in early] == ["09:00", "09:20", "09:40"]
    assert [f"{slot.start_at:%H:%M}" for slot in late] == ["10:00"]


RELEASED = replace(NINE_TO_TWELVE, release=Release(7, time(8)))


def test_q5_slots_are_released_days_before_at_a_time_of_day() -> None:
    assert {slot.released_at for slot in slots_of([RELEASED])} == {london(8, day=MONDAY - 7 * DAY)}
    assert {slot.released_at for slot in slots_of([NINE_TO_TWELVE])} == {None}


@pytest.mark.parametrize(
    ("days_before", "at", "expected"),
    [
        (1, time(1, 30), "2027-03-28T01:00+00:00"),  # the clock skips 01:00 to 02:00: the jump
        (1, time(2), "2027-03-28T01:00+00:00"),
        (1, time(0, 59), "2027-03-28T00:59+00:00"),
        (2, time(12), "2027-03-27T12:00+00:00"),
        (0, time(8), "2027-03-29T07:00+00:00"),
    ],
)
def test_q5_t3_a_skipped_release_is_at_the_jump(days_before: int, at: time, expected: str) -> None:
    monday = date(2027, 3, 29)
    slots = slots_of([replace(NINE_TO_TWELVE, release=Release(days_before, at))], around=monday)
    assert {slot.released_at for slot in slots} == {datetime.fromisoformat(expected)}


def test_q5_t3_a_repeated_release_is_at_its_first_occurrence() -> None:
    rule = replace(NINE_TO_TWELVE, release=Release(1, time(1, 30)))
    slots = slots_of([rule], around=date(2027, 11, 1))
    assert {slot.released_at for slot in slots} == {datetime(2027, 10, 31, 0, 30, tzinfo=UTC)}


def test_q5_a_release_on_a_missing_day_is_at_the_jump() -> None:
    rule = replace(NINE_TO_TWELVE, day_of_week=6, release=Release(1, time(8)))
    slots = slots_of([rule], zone="Pacific/Apia", around=date(2011, 12, 31))
    assert {slot.released_at for slot in slots} == {datetime(2011, 12, 30, 10, tzinfo=UTC)}


def test_q5_a_night_is_released_as_a_whole() -> None:
    """The day of a slot is that of its window (T2), also after midnight."""
    night = replace(NINE_TO_TWELVE, start_time=time(22), end_time=time(2), release=Release(1, time(8)))
    slots = slots_of([night])
    assert len(slots) == 4
    assert {slot.released_at for slot in slots} == {london(8, day=MONDAY - DAY)}


def test_q5_an_override_has_the_release_of_its_rule() -> None:
    tuesday = AvailabilityException(1, OVERRIDE, london(9, day=MONDAY + DAY), london(11, day=MONDAY + DAY), rule_id=1)
    own = AvailabilityException(2, OVERRIDE, london(12, day=MONDAY + DAY), london(13, day=MONDAY + DAY), rule_id=2)
    other = replace(NINE_TO_TWELVE, id=2, day_of_week=5)
    slots = slots_of([RELEASED, other], [tuesday, own])
    tuesdays = [slot.released_at for slot in slots if slot.start_at >= london(0, day=MONDAY + DAY)]
    assert tuesdays == [london(8, day=MONDAY - 6 * DAY)] * 2 + [None]


def test_q5_s2_of_equal_slots_of_a_rule_the_earlier_release_counts() -> None:
    night = replace(NINE_TO_TWELVE, start_time=time(22), end_time=time(2), release=Release(1, time(8)))
    again = AvailabilityException(1, OVERRIDE, london(0, day=MONDAY + DAY), london(2, day=MONDAY + DAY), rule_id=1)
    slots = slots_of([night], [again])
    assert [slot.released_at for slot in slots] == [london(8, day=MONDAY - DAY)] * 4


def test_q5_a_release_before_the_calendar_is_at_its_beginning() -> None:
    release = replace(NINE_TO_TWELVE, day_of_week=3, release=Release(366, time(0)))
    first = date(1, 1, 10)
    span = Span(datetime.combine(first, time(), UTC), datetime.combine(first + DAY, time(), UTC))
    slots = expand(Schedule(7, 5, LONDON, [release]), span)
    assert {slot.released_at for slot in slots} == {datetime(1, 1, 3, tzinfo=UTC)}
