"""Rules of the checks before the night: each fault is found, and nothing else is called a fault."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from scheduler.generation.night_rules import (
    A_NIGHT,
    MAX_MONTHS,
    RESERVE,
    Check,
    Outcome,
    check_disk,
    check_horizon,
    check_months,
    check_privileges,
    check_runs,
    check_schedules,
    check_time_zone_data,
    check_zones,
)
from scheduler.models.scheduling.generation import GenerationRun
from scheduler.postgres.night_facts import BookedAhead

OK, WRONG, UNKNOWN = Outcome.OK, Outcome.WRONG, Outcome.UNKNOWN
TODAY, UNTIL = date(2027, 1, 10), date(2027, 4, 10)
NOW = datetime(2027, 1, 10, 20, tzinfo=UTC)


def outcome(check: Check) -> Outcome:
    assert (check.outcome is WRONG) == bool(check.remedy)
    assert "\n" not in check.found
    return check.outcome


def ahead(latest: datetime, until: date | None = None, zone: str = "Europe/London") -> BookedAhead:
    return BookedAhead(1, 1, zone, latest, until)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (ahead(datetime(2027, 4, 9, 22, 59, tzinfo=UTC)), OK),
        (ahead(datetime(2027, 4, 9, 23, tzinfo=UTC)), WRONG),  # midnight in London's summer
        (ahead(datetime(2027, 4, 10, 9, tzinfo=UTC), date(2027, 4, 11)), OK),  # an earlier run reached further
        (ahead(datetime(2027, 4, 11, 9, tzinfo=UTC), date(2027, 4, 11)), WRONG),
        (ahead(datetime(2027, 4, 10, 3, tzinfo=UTC), None, "America/New_York"), OK),
        (ahead(datetime(2027, 4, 10, 3, tzinfo=UTC), None, "Europe/Nowhere"), WRONG),
    ],
)
def test_a_visit_beyond_the_generated_days_is_a_fault(row: BookedAhead, expected: Outcome) -> None:
    assert outcome(check_horizon([row], today=TODAY, until_day=UNTIL)) is expected


def test_the_horizon_says_how_many_days_are_needed() -> None:
    rows = [ahead(datetime(2027, 4, day, 9, tzinfo=UTC)) for day in (1, 10, 12)]
    check = check_horizon(rows, today=TODAY, until_day=UNTIL)
    assert check.found == "2 schedules have visits beyond the generated days, the latest on 2027-04-12"
    days = (date(2027, 4, 12) - TODAY).days + 1
    assert check.remedy == f"generate with --days {days} or more"
    assert check_horizon(rows, today=TODAY, until_day=TODAY + timedelta(days=days)).outcome is OK


def months(*numbers: int, attached: bool = True) -> dict[date, bool]:
    return {date(2027, number, 1): attached for number in numbers}


def test_missing_months_are_no_fault_since_the_run_creates_them() -> None:
    check = check_months(months(1, 2), first=TODAY, until=UNTIL)
    assert (outcome(check), check.found) == (OK, "2 of 4 months are missing: the run creates them")
    assert check_months(months(1, 2, 3, 4), first=TODAY, until=UNTIL).found == "all 4 months exist"
    assert check_months({}, first=date(2027, 1, 1), until=date(2027, 1, 31)).found.startswith("2 of 2 months")


def test_a_table_in_the_place_of_a_month_is_a_fault_within_the_days() -> None:
    in_the_way = months(1, 2) | months(3, attached=False)
    assert outcome(check_months(in_the_way, first=TODAY, until=UNTIL)) is WRONG
    assert outcome(check_months(months(1, 2) | months(6, attached=False), first=TODAY, until=UNTIL)) is OK


def test_more_months_than_the_table_may_have_are_a_fault() -> None:
    old = {date(1900 + number // 12, number % 12 + 1, 1): True for number in range(MAX_MONTHS - 4)}
    assert outcome(check_months(old, first=TODAY, until=UNTIL)) is OK
    old[date(1999, 1, 1)] = True
    assert outcome(check_months(old, first=TODAY, until=UNTIL)) is WRONG


def test_a_zone_that_the_data_no_longer_knows_is_a_fault() -> None:
    assert outcome(check_zones({})) is OK
    assert "'Europe/Nowhere' of facility 'north'" in check_zones({"Europe/Nowhere": "north"}).found
    assert outcome(check_zones({"Europe/Nowhere": "north"})) is WRONG


@pytest.mark.parametrize(
    ("used", "stored", "on_host", "expected"),
    [
        ({"2026b"}, {"2026b"}, {"2026b", "2026a"}, OK),
        ({"2026b"}, {"2026a"}, {"2026b"}, OK),
        ({"2026b"}, {"2026c"}, {"2026b"}, WRONG),
        ({"2025b"}, {"2025b"}, {"2026a", "2025b"}, WRONG),
        ({"2026a", "2026b"}, {"2026b"}, set(), WRONG),
        ({"transitions-0b1c2d3e4f5a"}, {"2026c"}, {"2026c"}, OK),  # a digest has no order
        (set(), set(), {"2026c"}, OK),
    ],
)
def test_time_zone_data_older_than_others_are_a_fault(
    used: set[str], stored: set[str], on_host: set[str], expected: Outcome
) -> None:
    assert outcome(check_time_zone_data(used, stored=stored, on_host=on_host)) is expected


def test_new_time_zone_data_are_named_since_the_run_repeats_all() -> None:
    check = check_time_zone_data({"2026b"}, stored={"2026a"}, on_host=())
    assert check.found == "2026b: new since the latest run, which is repeated"


def test_a_lacking_privilege_and_a_failed_rehearsal_are_faults() -> None:
    assert outcome(check_privileges((), None)) is OK
    assert outcome(check_privileges(["delete on scheduling.availability_slots"], None)) is WRONG
    assert check_privileges((), "disk full").found == "a rehearsal failed: disk full"
    assert outcome(check_privileges((), "disk full")) is WRONG


@pytest.mark.parametrize(
    ("free", "expected"), [(None, UNKNOWN), (RESERVE + 12_000_000, OK), (RESERVE + 11_999_999, WRONG), (0, WRONG)]
)
def test_a_disk_without_room_for_the_new_days_is_a_fault(free: int | None, expected: Outcome) -> None:
    assert outcome(check_disk(free=free, database=5 * 2**30, new_days=1000)) is expected


def test_a_failed_schedule_is_a_fault_and_its_reason_is_one_short_line() -> None:
    assert outcome(check_schedules(0, None)) is OK
    check = check_schedules(2, "rule 7:\n" + "x" * 500)
    assert outcome(check) is WRONG
    assert check.found.startswith("2 schedules failed or are parked: rule 7: xxx")
    assert len(check.found) < 150


def a_run(status: str, ended: timedelta | None) -> GenerationRun:
    values: dict[str, Any] = {"status": status, "started_at": NOW - timedelta(days=9)}
    return GenerationRun(**values, finished_at=None if ended is None else NOW - ended)


@pytest.mark.parametrize(
    ("runs", "expected"),
    [
        ([], OK),
        ([a_run("succeeded", A_NIGHT)], OK),
        ([a_run("failed", timedelta(hours=1))], OK),
        ([a_run("succeeded", A_NIGHT + timedelta(seconds=1))], WRONG),
        ([a_run("interrupted", timedelta(hours=1)), a_run("succeeded", timedelta(hours=2))], WRONG),
        ([a_run("running", None)], OK),
        ([a_run("running", None), a_run("succeeded", timedelta(days=3))], OK),
    ],
)
def test_a_missed_night_and_an_interrupted_run_are_faults(runs: list[GenerationRun], expected: Outcome) -> None:
    assert outcome(check_runs(runs, now=NOW)) is expected
