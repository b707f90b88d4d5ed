"""Fingerprints: changed by everything that decides a schedule's slots, and by nothing else (R3)."""

from dataclasses import fields, replace
from datetime import UTC, date, datetime, time, timedelta, timezone
from typing import Any

import pytest

from scheduler.core import fingerprints
from scheduler.core.fingerprints import fingerprint
from scheduler.core.releases import Release
from scheduler.core.schedules import AvailabilityException, AvailabilityRule, Closure, ExceptionType, Schedule

TWENTY = timedelta(minutes=20)
NINE = datetime(2027, 3, 1, 9, tzinfo=UTC)
RULE = AvailabilityRule(1, 1, time(9), time(12), TWENTY, effective_from=date(2027, 1, 1))
EXCEPTION = AvailabilityException(1, ExceptionType.OVERRIDE, NINE, NINE + timedelta(hours=2))
CLOSURE = Closure(1, date(2027, 3, 8), time(13), time(0))
SCHEDULE = Schedule(7, 5, "Europe/London", [RULE], [EXCEPTION], [CLOSURE])

# Another value for every field. A new field without an entry here fails the tests below.
OTHER_VALUES: dict[type, dict[str, Any]] = {
    AvailabilityRule: {
        "id": 2,
        "day_of_week": 2,
        "start_time": time(9, 0, 0, 1),
        "end_time": time(12, 0, 0, 1),
        "slot_duration": TWENTY + timedelta(seconds=1),
        "slot_interval": TWENTY,
        "slot_alignment": TWENTY,
        "capacity": 2,
        "service_offering_id": 1,
        "effective_from": date(2027, 1, 2),
        "effective_until": date(2027, 12, 31),
        "recurrence": "FREQ=WEEKLY;INTERVAL=2",
        "active": False,
        "release": Release(1, time(8)),
    },
    AvailabilityException: {
        "id": 2,
        "type": ExceptionType.BLOCKED,
        "start_at": NINE + timedelta.resolution,
        "end_at": NINE + timedelta(hours=2) + timedelta.resolution,
        "rule_id": 1,
        "slot_duration": TWENTY,
        "slot_interval": TWENTY,
        "capacity": 2,
    },
    Closure: {"id": 2, "day": date(2027, 3, 9), "start_time": time(14), "end_time": time(0, 1)},
    Schedule: {
        "doctor_id": 8,
        "facility_id": 6,
        "zone": "Europe/Dublin",
        "rules": [],
        "exceptions": [],
        "closures": [],
    },
}


def digest(schedule: Schedule, *, tzdata_version: str = "2026f") -> str:
    return fingerprint(schedule, tzdata_version=tzdata_version)


def with_part(part: AvailabilityRule | AvailabilityException | Closure) -> Schedule:
    if isinstance(part, AvailabilityRule):
        return replace(SCHEDULE, rules=[part])
    if isinstance(part, AvailabilityException):
        return replace(SCHEDULE, exceptions=[part])
    return replace(SCHEDULE, closures=[part])


@pytest.mark.parametrize(
    ("part", "field"),
    [(part, field.name) for part in (RULE, EXCEPTION, CLOSURE) for field in fields(part)],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_r3_every_field_of_every_part_changes_the_fingerprint(
    part: AvailabilityRule | AvailabilityException | Closure, field: str
) -> None:
    other = replace(part, **{field: OTHER_VALUES[type(part)][field]})
    assert digest(with_part(other)) != digest(SCHEDULE)


@pytest.mark.parametrize("field", [field.name for field in fields(Schedule)])
def test_r3_every_field_of_the_schedule_changes_the_fingerprint(field: str) -> None:
    assert digest(replace(SCHEDULE, **{field: OTHER_VALUES[Schedule][field]})) != digest(SCHEDULE)


def test_r3_the_release_of_the_time_zone_data_changes_the_fingerprint() -> None:
    assert digest(SCHEDULE, tzdata_version="2026g") != digest(SCHEDULE)


def test_r3_the_version_of_the_engine_changes_the_fingerprint(monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest(SCHEDULE)
    monkeypatch.setattr(fingerprints, "ENGINE_VERSION", "another")
    assert digest(SCHEDULE) != before


def test_r3_the_same_value_in_another_field_is_another_fingerprint() -> None:
    stepped, aligned = replace(RULE, slot_interval=TWENTY), replace(RULE, slot_alignment=TWENTY)
    assert digest(with_part(stepped)) != digest(with_part(aligned))


def test_r3_a_number_and_its_text_are_two_ids() -> None:
    assert digest(replace(SCHEDULE, doctor_id="7")) != digest(SCHEDULE)


def test_r3_a_whole_day_and_its_24_hours_are_two_closures() -> None:
    whole, from_midnight = Closure(1, CLOSURE.day), Closure(1, CLOSURE.day, time(0), time(0))
    assert digest(with_part(whole)) != digest(with_part(from_midnight))


def test_r3_two_parts_are_not_one() -> None:
    second = replace(RULE, id=2)
    assert digest(replace(SCHEDULE, rules=[RULE, second])) != digest(SCHEDULE)


def test_r3_an_id_cannot_pretend_to_be_the_line_of_another_part() -> None:
    plain = replace(SCHEDULE, closures=[Closure("a", CLOSURE.day), Closure("b", CLOSURE.day)])
    imitation = "a', datetime.date(2027, 3, 8), None, None)\n('Closure', 'b"
    imitating = replace(SCHEDULE, closures=[Closure(imitation, CLOSURE.day)])
    assert digest(plain) != digest(imitating)


def test_r3_the_order_of_the_parts_changes_nothing() -> None:
    rules = [RULE, replace(RULE, id=2, day_of_week=3), replace(RULE, id=10)]
    exceptions = [EXCEPTION, replace(EXCEPTION, id=2, capacity=4)]
    closures = [CLOSURE, Closure(2, date(2027, 3, 9))]
    forth = replace(SCHEDULE, rules=rules, exceptions=exceptions, closures=closures)
    back = replace(SCHEDULE, rules=rules[::-1], exceptions=exceptions[::-1], closures=closures[::-1])
    assert digest(back) == digest(forth)


def test_t1_the_zone_in_which_an_instant_was_written_changes_nothing() -> None:
    nepal = timezone(timedelta(hours=5, minutes=45))
    elsewhere = replace(
        EXCEPTION, start_at=EXCEPTION.start_at.astimezone(nepal), end_at=EXCEPTION.end_at.astimezone(nepal)
    )
    assert digest(with_part(elsewhere)) == digest(SCHEDULE)


def test_r3_a_lone_surrogate_in_an_id_has_a_fingerprint() -> None:
    assert digest(replace(SCHEDULE, doctor_id="\ud800")) != digest(replace(SCHEDULE, doctor_id="\\ud800"))


def test_r3_a_fingerprint_kept_from_another_run_still_holds() -> None:
    """A fingerprint is stored, so that process, machine and Python version must not change it."""
    assert digest(SCHEDULE) == "ee8b62bac2636a399fe07af141ca9dd2bbe5452286fba72905fee52b8a561ec3"


def test_r3_a_past_exception_or_closure_leaves_the_fingerprint() -> None:
    """Otherwise each exception that passes would have its schedule expanded again."""
    day = date(2027, 6, 1)
    future = replace(EXCEPTION, id=9, start_at=NINE + timedelta(days=120), end_at=NINE + timedelta(days=120, hours=1))
    now_and_then = replace(SCHEDULE, exceptions=[EXCEPTION, future], closures=[CLOSURE, Closure(9, date(2027, 7, 1))])
    now = replace(SCHEDULE, exceptions=[future], closures=[Closure(9, date(2027, 7, 1))])
    assert fingerprint(now_and_then, tzdata_version="2026f", since=day) == digest(now)
    assert fingerprint(now_and_then, tzdata_version="2026f", since=date(2027, 3, 1)) == digest(now_and_then)
    assert fingerprint(now, tzdata_version="2026f", since=date.min) == digest(now)
