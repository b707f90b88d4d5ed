"""The shipped example region: equal to its script's output, free of errors, and as varied as it claims."""

from pathlib import Path

import pytest
from examples.region import lines

from scheduler.core.schedules import ExceptionType
from scheduler.openings.format.file import read_openings
from scheduler.openings.places import Place

REGION = Path(__file__).parents[2] / "examples" / "region.jsonl"


@pytest.fixture(scope="module")
def places() -> tuple[Place, ...]:
    file = read_openings(REGION)
    assert file.faults == ()
    return file.places


def test_the_committed_region_is_the_output_of_the_script() -> None:
    assert REGION.read_text(encoding="utf-8") == "".join(lines())


def test_the_region_has_forty_one_clinics_in_six_zones(places: tuple[Place, ...]) -> None:
    assert len(places) == 41
    assert {place.zone.key for place in places} == {
        "Europe/London",
        "America/New_York",
        "America/St_Johns",
        "Australia/Lord_Howe",
        "Asia/Kathmandu",
        "Africa/Casablanca",
    }


def test_the_region_has_every_kind_of_rule_and_exception(places: tuple[Place, ...]) -> None:
    schedules = [doctor.schedule for place in places for doctor in place.doctors]
    rules = [rule for schedule in schedules for rule in schedule.rules]
    assert any(rule.end_time <= rule.start_time for rule in rules)
    assert {(rule.recurrence or "").partition(";")[0] for rule in rules} >= {"FREQ=WEEKLY", "FREQ=MONTHLY"}
    assert any(rule.capacity > 1 for rule in rules)
    assert any(rule.slot_alignment for rule in rules)
    assert any(rule.effective_until for rule in rules)
    assert {exception.type for schedule in schedules for exception in schedule.exceptions} == set(ExceptionType)
    closures = [closure for schedule in schedules for closure in schedule.closures]
    assert {closure.start_time is None for closure in closures} == {True, False}


def test_a_doctor_works_at_two_places(places: tuple[Place, ...]) -> None:
    homes = [place.slug for place in places for doctor in place.doctors if doctor.code == "imogen-fairweather"]
    assert homes == ["gb-larkspur", "gb-bramble"]
