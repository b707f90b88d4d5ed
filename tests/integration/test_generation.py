"""Generation job on a real database: stored slots match the schedules, and nothing else is written (R1-R4)."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import psycopg
import pytest
from sqlalchemy import text

from oracles.minutes import expand_by_minutes
from scheduler.core.errors import InvalidInputError, NotFoundError, WallClockError
from scheduler.core.expansion import expand
from scheduler.core.fingerprints import ENGINE_VERSION
from scheduler.core.reconciliation import Plan
from scheduler.core.releases import Release
from scheduler.core.schedules import AvailabilityException, AvailabilityRule, Closure, ExceptionType, Schedule
from scheduler.core.spans import Span
from scheduler.generation.applying import apply
from scheduler.generation.job import generate
from scheduler.generation.report import Failure, RunResult
from scheduler.generation.request import MAX_DAYS, GenerationRequest, Mode, Scope
from scheduler.postgres.database import Database, Role
from scheduler.postgres.errors import StoreError
from scheduler.postgres.facilities import exceptions_between, facility_view
from scheduler.postgres.promised_times import BrokenPromise
from scheduler.postgres.schedules import ScheduleKey, load_schedules
from scheduler.postgres.slots import apply_plan, insert_slots
from support.databases import new_tenant
from support.nights import wait_until
from support.worlds.generation import MONDAY, NOW, World, days, expected, weekly

pytestmark = pytest.mark.database

TWENTY, HOUR, DAY = timedelta(minutes=20), timedelta(hours=1), timedelta(days=1)
NINE = datetime(2027, 3, 22, 9, tzinfo=UTC)  # the first slot of `weekly` in London
BLOCKED, OVERRIDE, EMERGENCY = ExceptionType.BLOCKED, ExceptionType.OVERRIDE, ExceptionType.EMERGENCY


@pytest.fixture
def world(database: Database, tenant_id: UUID) -> World:
    return World(database, tenant_id)


@pytest.fixture
def other_world(database: Database) -> World:
    return World(database, new_tenant(database))


@dataclass(frozen=True)
class Region:
    """Schedules with every kind of rule, exception and closure."""

    night = AvailabilityRule(11, 5, time(22), time(3), TWENTY, slot_interval=HOUR / 2)
    fortnight = AvailabilityRule(
        12, 1, time(9), time(12), TWENTY, effective_from=date(2027, 1, 4), recurrence="FREQ=WEEKLY;INTERVAL=2"
    )
    group = AvailabilityRule(
        13, 2, time(16, 10), time(19), HOUR, slot_alignment=HOUR / 2, capacity=8, release=Release(7, time(8))
    )
    checks = AvailabilityRule(14, 2, time(16), time(19), TWENTY, service_offering_id=5)
    switched_off = AvailabilityRule(15, 3, time(9), time(12), TWENTY, active=False)
    shift = AvailabilityRule(
        16, None, time(6), time(8), TWENTY, effective_from=date(2027, 3, 1), recurrence="FREQ=DAILY;INTERVAL=2"
    )
    exceptions = (
        AvailabilityException(21, BLOCKED, NINE + HOUR, NINE + 2 * HOUR),
        AvailabilityException(22, EMERGENCY, NINE + DAY + 8 * HOUR, NINE + DAY + 9 * HOUR, rule_id=13),
        AvailabilityException(
            23, OVERRIDE, NINE + 2 * DAY, NINE + 2 * DAY + 4 * HOUR, slot_duration=HOUR, slot_interval=HOUR, capacity=3
        ),
        # A schedule without its inactive rule would be refused (A6).
        AvailabilityException(24, BLOCKED, NINE + 2 * DAY, NINE + 3 * DAY, rule_id=15),
    )
    closures = (Closure(31, date(2027, 3, 29)), Closure(32, date(2027, 4, 6), time(17), time(0)))
    schedules = (
        Schedule(1, 1, "Europe/London", [night, fortnight, group, checks, switched_off, shift], exceptions, closures),
        weekly(2, 2, "Australia/Lord_Howe"),
        weekly(3, 3, "America/St_Johns"),
    )


def test_a_first_run_stores_exactly_what_the_core_expands(world: World) -> None:
    world.write(*Region.schedules)
    report = world.run(count=42)
    assert world.slots() == expected(Region.schedules, MONDAY, 42)
    assert (report.result.slots_created, report.facilities, report.result.schedules) == (len(world.slots()), 3, 3)


def test_s5_a_first_run_stores_the_slots_of_the_minutes_oracle(world: World) -> None:
    world.write(*Region.schedules)
    world.run(count=9)
    by_oracle = {
        slot
        for schedule in Region.schedules
        for slot in expand_by_minutes(schedule, days(schedule.zone.key, MONDAY, 9))
    }
    assert by_oracle
    assert world.slots() == by_oracle


def test_a4_an_override_without_a_rule_opens_at_its_own_interval(world: World) -> None:
    override = AvailabilityException(1, OVERRIDE, NINE, NINE + 2 * HOUR, slot_duration=HOUR, slot_interval=HOUR / 2)
    schedule = Schedule(1, 1, "Europe/London", (), [override])
    world.write(schedule)
    report = world.run()
    assert world.slots() == expected([schedule], MONDAY, 14)
    assert (report.result.schedules_locked, report.result.slots_created) == ((), 3)


def test_r1_a_second_run_writes_no_slot_and_examines_none(world: World) -> None:
    world.write(*Region.schedules)
    world.run()
    before = world.versions()
    report = world.run()
    assert world.versions() == before
    assert report.result == RunResult(schedules=3, schedules_unchanged=3)


def test_r1_a_second_run_over_all_schedules_writes_no_slot(world: World) -> None:
    world.write(*Region.schedules)
    world.run()
    before = world.versions()
    report = world.run(scope=Scope.ALL)
    assert world.versions() == before
    assert report.result == RunResult(schedules=3, slots_kept=len(before))


def later_end(world: World, old: Schedule) -> Schedule:
    world.sql("update scheduling.availability_rules set end_time = '13:00' where tenant_id = :tenant_id and id = 101")
    return replaced(old, rules=[replace(old.rules[0], end_time=time(13)), *old.rules[1:]])


def more_places(world: World, old: Schedule) -> Schedule:
    world.sql("update scheduling.availability_rules set capacity = 4 where tenant_id = :tenant_id and id = 101")
    return replaced(old, rules=[replace(old.rules[0], capacity=4), *old.rules[1:]])


def rule_removed(world: World, old: Schedule) -> Schedule:
    world.sql("delete from scheduling.availability_rules where tenant_id = :tenant_id and id = 101")
    return replaced(old, rules=old.rules[1:])


def no_rule_left(world: World, old: Schedule) -> Schedule:
    world.sql("delete from scheduling.availability_rules where tenant_id = :tenant_id and doctor_id = 1")
    return replaced(old, rules=())


def day_off(world: World, old: Schedule) -> Schedule:
    added = AvailabilityException(1, BLOCKED, NINE, NINE + DAY)
    world.add(world.exception_row(old, added))
    return replaced(old, exceptions=[added])


def closed_day(world: World, old: Schedule) -> Schedule:
    added = Closure(1, MONDAY)
    world.add(world.closure(old, added))
    return replaced(old, closures=[added])


def moved_to_another_zone(world: World, old: Schedule) -> Schedule:
    world.sql("update scheduling.facilities set timezone = 'Europe/Paris' where tenant_id = :tenant_id")
    return replaced(old, zone="Europe/Paris")


def replaced(old: Schedule, **parts: Any) -> Schedule:
    known: dict[str, Any] = {
        "zone": old.zone,
        "rules": old.rules,
        "exceptions": old.exceptions,
        "closures": old.closures,
    }
    return Schedule(old.doctor_id, old.facility_id, **(known | parts))


CHANGES = (later_end, more_places, rule_removed, no_rule_left, day_off, closed_day, moved_to_another_zone)


@pytest.mark.parametrize("change", CHANGES)
def test_r1_after_a_change_the_stored_slots_match_the_changed_schedule(
    world: World, change: Callable[[World, Schedule], Schedule]
) -> None:
    old = weekly(1)
    world.write(old)
    world.run()
    new = change(world, old)
    report = world.run()
    assert world.slots() == expected([new], MONDAY, 14)
    result = report.result
    assert result.slots_created + result.slots_updated + result.slots_retired > 0
    assert result.slots_created + result.slots_updated + result.slots_kept == len(world.slots())


@pytest.mark.parametrize("change", CHANGES)
def test_r1_a_change_writes_no_row_of_an_unchanged_slot(
    world: World, change: Callable[[World, Schedule], Schedule]
) -> None:
    old, untouched = weekly(1), weekly(2, 2)
    world.write(old, untouched)
    world.run()
    before, slots_before = world.versions(), world.slots()
    change(world, old)
    report = world.run()
    stay = slots_before & world.slots()
    after = world.versions()
    unchanged = len(expected([untouched], MONDAY, 14))
    assert len(stay) >= unchanged
    assert sum(after.get(key) == mark for key, mark in before.items()) == len(stay)
    assert report.result.slots_kept == len(stay) - unchanged * report.result.schedules_unchanged


def test_r4_dropped_slots_are_locked_in_the_order_of_visits(world: World, database_url: str) -> None:
    """A run locked them schedule by schedule, and met a deadlock with a visit that is moved."""
    ten = NINE + HOUR
    world.write(weekly(1), weekly(2))
    world.run()
    world.touch(ten, 1, status="cancelled")
    world.touch(NINE, 2, status="cancelled")
    world.sql("update scheduling.availability_rules set active = false where tenant_id = :tenant_id")
    lock = (
        "select from scheduling.availability_slots where tenant_id = %s and doctor_id = %s and start_at = %s"
        " for no key update"
    )
    with psycopg.connect(database_url) as visit, ThreadPoolExecutor(1) as thread:
        visit.execute("set deadlock_timeout = '1ms'")  # it would be the one that fails
        visit.execute(lock, (world.tenant_id, 2, NINE))
        run = thread.submit(world.run)
        wait_until(lambda: run.done() or world.waiting() == 1)
        visit.execute(lock, (world.tenant_id, 1, ten))
        visit.commit()
        assert run.result().result.schedules_failed == ()
    marked = "select count(*) from scheduling.availability_slots where tenant_id = :tenant_id and is_dropped"
    assert world.sql(marked) == [(2,)]


def test_r3_a_new_time_zone_database_reexamines_every_schedule(world: World) -> None:
    world.write(weekly(1))
    world.run()
    assert world.run(tzdata_version="2026b").result.schedules_unchanged == 0


@pytest.fixture
def expanded(monkeypatch: pytest.MonkeyPatch) -> list[Span]:
    spans: list[Span] = []

    def watched(schedule: Schedule, span: Span) -> Any:
        spans.append(span)
        return expand(schedule, span)

    monkeypatch.setattr("scheduler.generation.applying.expand", watched)
    return spans


def test_r3_without_a_change_nothing_is_expanded(world: World, expanded: list[Span]) -> None:
    world.write(weekly(1))
    world.run()
    expanded.clear()
    world.run()
    world.run(MONDAY + DAY, 7)
    assert expanded == []


def test_r3_a_moved_horizon_expands_only_the_new_days(world: World, expanded: list[Span]) -> None:
    world.write(weekly(1))
    world.run()
    expanded.clear()
    report = world.run(MONDAY + 2 * DAY, 14)
    assert expanded == [days("Europe/London", MONDAY + 14 * DAY, 2)]
    assert world.slots() == expected([weekly(1)], MONDAY, 16)
    assert (report.result.slots_created, report.result.slots_kept) == (12, 0)


def test_r3_days_before_the_generated_days_are_expanded_alone(world: World, expanded: list[Span]) -> None:
    world.write(weekly(1))
    world.run()
    expanded.clear()
    world.run(MONDAY - 3 * DAY, 10)
    assert expanded == [days("Europe/London", MONDAY - 3 * DAY, 3)]
    assert world.state()["generated_days::text"] == "{[2027-03-19,2027-04-05)}"


def test_r3_days_on_both_sides_of_the_generated_days_are_expanded(world: World, expanded: list[Span]) -> None:
    world.write(weekly(1))
    world.run(count=7)
    expanded.clear()
    world.run(MONDAY - 7 * DAY, 21)
    assert expanded == [days("Europe/London", MONDAY + more * DAY, 7) for more in (-7, 7)]
    assert world.slots() == expected([weekly(1)], MONDAY - 7 * DAY, 21)


@pytest.mark.parametrize("weeks", [(0, 3), (3, 0)], ids=["early days first", "late days first"])
def test_r3_separate_days_do_not_mark_the_days_between_as_generated(world: World, weeks: tuple[int, int]) -> None:
    world.write(weekly(1))
    for week in weeks:
        world.run(MONDAY + week * 7 * DAY, 7)
    world.run(count=28)
    assert world.slots() == expected([weekly(1)], MONDAY, 28)


@pytest.mark.parametrize("weeks", [(0, 1), (1, 0)], ids=["early days first", "late days first"])
def test_r3_runs_over_touching_days_count_as_one(world: World, expanded: list[Span], weeks: tuple[int, int]) -> None:
    world.write(weekly(1))
    for week in weeks:
        world.run(MONDAY + week * 7 * DAY, 7)
    expanded.clear()
    assert world.run(count=14).result.schedules_unchanged == 1
    assert expanded == []
    assert world.slots() == expected([weekly(1)], MONDAY, 14)


def test_r3_a_short_run_applies_a_change_to_days_of_a_longer_run(world: World) -> None:
    """Otherwise slots that the schedule no longer has would stay open beyond the short run's horizon."""
    world.write(weekly(1))
    world.run()
    new = later_end(world, weekly(1))
    report = world.run(MONDAY, 1)
    assert world.slots() == expected([new], MONDAY, 14)
    assert report.result.slots_created + report.result.slots_kept == len(world.slots())
    assert world.run().result.schedules_unchanged == 1


def test_r3_a_change_reaches_separate_days_of_an_earlier_run(world: World) -> None:
    world.write(weekly(1))
    world.run(MONDAY + 14 * DAY, 7)
    new = later_end(world, weekly(1))
    world.run(MONDAY, 7)
    assert world.slots() == expected([new], MONDAY, 7) | expected([new], MONDAY + 14 * DAY, 7)


def test_scope_all_repairs_slots_that_were_edited_by_hand(world: World) -> None:
    world.write(weekly(1))
    world.run()
    world.sql("delete from scheduling.availability_slots where tenant_id = :tenant_id and start_at < '2027-03-23'")
    world.touch(NINE + DAY, capacity=9)
    assert world.run().result.slots_created == 0
    report = world.run(scope=Scope.ALL)
    assert (report.result.slots_created, report.result.slots_updated) == (6, 1)
    assert world.slots() == expected([weekly(1)], MONDAY, 14)


def test_r1_a_stored_slot_beyond_the_checkpoint_is_counted_once(world: World) -> None:
    """It lies in the new days, where nothing was expected to be stored."""
    schedule = weekly(1, zone="Asia/Kolkata")  # no change of the clocks between its weeks
    world.write(schedule)
    world.run(count=7)
    world.sql(
        "update scheduling.availability_slots set start_at = start_at + interval '7 days',"
        " end_at = end_at + interval '7 days' where tenant_id = :tenant_id"
    )
    result = world.run(count=14).result
    assert (result.slots_created, result.slots_kept, len(world.slots())) == (0, 30, 30)


HOLD: dict[str, Any] = {"status": "reserved", "reserved_until": datetime(2037, 1, 1, tzinfo=UTC)}


@pytest.mark.parametrize("touch", [{"status": "booked", "booked_count": 1}, HOLD])
def test_r2_a_slot_in_use_outlives_its_rule_and_is_reported(world: World, touch: dict[str, Any]) -> None:
    world.write(weekly(1))
    world.run()
    world.touch(NINE, **touch)
    rule_removed(world, weekly(1))
    report = world.run()
    assert [stored.slot.start_at for stored in report.result.slots_conflicting] == [NINE]
    assert NINE in {slot.start_at for slot in world.slots()}
    assert report.result.slots_displaced == ()


@pytest.mark.parametrize("status", ["open", "cancelled"])
def test_r2_a_slot_stays_under_a_visit_whatever_its_status_says(world: World, status: str) -> None:
    world.write(weekly(1))
    world.run()
    world.book(NINE)
    world.touch(NINE, status=status, booked_count=0)
    rule_removed(world, weekly(1))
    report = world.run()
    assert [(stored.slot.start_at, stored.booked_count) for stored in report.result.slots_conflicting] == [(NINE, 1)]
    assert NINE in {slot.start_at for slot in world.slots()}


def test_r2_a_cancelled_slot_stays_cancelled(world: World) -> None:
    world.write(weekly(1))
    world.run()
    world.touch(NINE, status="cancelled")
    rule_removed(world, weekly(1))
    world.run()
    assert world.sql(
        "select start_at from scheduling.availability_slots where tenant_id = :tenant_id and status = 'cancelled'"
    ) == [(NINE,)]


@pytest.mark.parametrize(("kind", "field"), [(EMERGENCY, "slots_displaced"), (BLOCKED, "slots_conflicting")])
def test_a5_an_emergency_displaces_a_booking_and_a_block_leaves_it(
    world: World, kind: ExceptionType, field: str
) -> None:
    world.write(weekly(1))
    world.run()
    world.touch(NINE, status="booked", booked_count=1)
    world.add(world.exception_row(weekly(1), AvailabilityException(1, kind, NINE, NINE + HOUR)))
    report = world.run()
    assert [stored.slot.start_at for stored in getattr(report.result, field)] == [NINE]
    assert report.result.slots_retired == 1
    assert len(report.result.slots_conflicting + report.result.slots_displaced) == 1


@pytest.mark.parametrize(("kind", "field"), [(EMERGENCY, "slots_displaced"), (BLOCKED, "slots_conflicting")])
def test_a5_a_booking_under_an_exception_is_reported_every_night(world: World, kind: ExceptionType, field: str) -> None:
    world.write(weekly(1))
    world.run()
    world.touch(NINE, status="booked", booked_count=1)
    world.add(world.exception_row(weekly(1), AvailabilityException(1, kind, NINE, NINE + HOUR)))
    nights = [getattr(world.run().result, field) for _ in range(3)]
    assert [[stored.slot.start_at for stored in reported] for reported in nights] == [[NINE]] * 3


def test_b2_a_hold_that_has_ended_does_not_keep_an_unwanted_slot(world: World) -> None:
    world.write(weekly(1))
    world.run()
    world.touch(NINE, status="reserved", reserved_until=NOW - HOUR)
    new = rule_removed(world, weekly(1))
    assert world.run().result.slots_conflicting == ()
    assert world.slots() == expected([new], MONDAY, 14)


def test_r1_an_unwanted_slot_is_retired_after_its_hold_has_ended(world: World) -> None:
    """A fixed bug: the fingerprint said that nothing had changed, and the unwanted slot was offered again."""
    world.write(weekly(1))
    world.run()
    world.touch(NINE, **HOLD)
    new = rule_removed(world, weekly(1))
    world.run()
    world.touch(NINE, reserved_until=datetime(2020, 1, 1, tzinfo=UTC))
    assert world.run().result.slots_retired == 1
    assert world.slots() == expected([new], MONDAY, 14)
    assert world.run().result.schedules_unchanged == 1


def test_r2_a_booking_made_while_the_plan_is_applied_wins(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.write(weekly(1))
    world.run()
    no_rule_left(world, weekly(1))

    def after_a_booking(session: Any, plan: Plan, **named: Any) -> Any:
        world.touch(NINE, status="booked", booked_count=1)
        return apply_plan(session, plan, **named)

    monkeypatch.setattr("scheduler.generation.applying.apply_plan", after_a_booking)
    result = world.run().result
    assert {slot.start_at for slot in world.slots()} == {NINE}
    assert (result.slots_retired, result.slots_kept) == (59, 1)
    monkeypatch.setattr("scheduler.generation.applying.apply_plan", apply_plan)
    assert [stored.slot.start_at for stored in world.run().result.slots_conflicting] == [NINE]


@pytest.mark.parametrize(
    "statement",
    [
        "update scheduling.doctors set deleted_at = now() where tenant_id = :tenant_id and id = 1",
        "update scheduling.facilities set deleted_at = now() where tenant_id = :tenant_id and id = 1",
        "update scheduling.facility_doctors set active = false where tenant_id = :tenant_id and doctor_id = 1",
    ],
)
def test_a_doctor_who_no_longer_works_there_has_no_open_slots(world: World, statement: str) -> None:
    world.write(weekly(1), weekly(2, 2))
    world.run()
    world.touch(NINE, status="booked", booked_count=1)
    world.sql(statement)
    report = world.run()
    assert {slot for slot in world.slots() if slot.doctor_id == 1} == {
        slot for slot in expected([weekly(1)], MONDAY, 14) if slot.start_at == NINE
    }
    assert {slot for slot in world.slots() if slot.doctor_id == 2} == expected([weekly(2, 2)], MONDAY, 14)
    assert (report.result.slots_retired, len(report.result.slots_conflicting)) == (59, 1)


def test_a_run_for_one_facility_leaves_the_others_alone(world: World) -> None:
    world.write(weekly(1), weekly(2, 2))
    report = world.run(facility_slug="place-2")
    assert world.slots() == expected([weekly(2, 2)], MONDAY, 14)
    assert (report.facilities, report.result.schedules) == (1, 1)


@pytest.mark.parametrize("slug", ["nowhere", "", "PLACE-1", "place_1", "place-%"])
def test_an_unknown_facility_is_not_found(world: World, slug: str) -> None:
    world.write(weekly(1))
    with pytest.raises(NotFoundError, match="no facility"):
        world.run(facility_slug=slug)


def test_a_deleted_facility_is_not_found(world: World) -> None:
    world.write(weekly(1))
    world.run()
    world.sql("update scheduling.facilities set deleted_at = now() where tenant_id = :tenant_id")
    with pytest.raises(NotFoundError, match="no facility"):
        world.run(facility_slug="place-1")


def test_a_doctor_at_two_facilities_has_two_schedules(world: World) -> None:
    """S3: a doctor has a schedule for each facility."""
    first, second = weekly(1, 1), Schedule(1, 2, "Europe/London", [AvailabilityRule(9, 1, time(9), time(12), TWENTY)])
    world.write(first, second)
    world.run()
    assert world.slots() == expected([first, second], MONDAY, 14)
    rule_removed(world, first)
    world.run(facility_slug="place-1")
    assert expected([second], MONDAY, 14) <= world.slots()


def messy(world: World) -> None:
    """Generate, and then make a change of every kind."""
    world.write(weekly(1), weekly(2, 2), weekly(3, 3))
    world.run()
    world.touch(NINE, status="booked", booked_count=1)
    world.touch(NINE + DAY, **HOLD)
    world.touch(NINE + 2 * DAY, status="cancelled")
    more_places(world, weekly(1))
    world.add(world.exception_row(weekly(1), AvailabilityException(1, EMERGENCY, NINE, NINE + HOUR)))
    world.add(world.exception_row(weekly(1), AvailabilityException(2, BLOCKED, NINE + DAY, NINE + DAY + HOUR)))
    world.add(world.closure(weekly(2, 2), Closure(2, MONDAY)))


def test_r5_a_dry_run_writes_nothing_and_predicts_the_next_counts(world: World) -> None:
    messy(world)
    tables = ("availability_slots", "schedule_states", "generation_runs")

    def everything() -> list[Any]:
        return [
            world.sql(f"select xmin::text, t.* from scheduling.{table} t where tenant_id = :tenant_id")
            for table in tables
        ]

    before = everything()
    foretold = world.run(count=21, mode=Mode.DRY)
    assert everything() == before
    assert foretold.run_id is None
    assert world.run(count=21).result == foretold.result
    assert foretold.result.slots_created
    assert foretold.result.slots_updated
    assert foretold.result.slots_retired
    assert foretold.result.slots_conflicting
    assert foretold.result.slots_displaced


def test_r5_a_dry_run_before_the_first_run_predicts_its_result(world: World) -> None:
    world.write(*Region.schedules)
    foretold = world.run(mode=Mode.DRY)
    assert (world.slots(), world.run().result) == (set(), foretold.result)


def test_the_counts_balance_with_the_stored_slots(world: World) -> None:
    messy(world)
    result = world.run(scope=Scope.ALL).result
    in_use = len(result.slots_conflicting) + len(result.slots_displaced)
    assert result.slots_created + result.slots_updated + result.slots_kept + in_use == len(world.slots())


NONSENSE = (
    "update scheduling.availability_rules set recurrence = 'FREQ=NONSENSE' where tenant_id = :tenant_id and id = 201"
)


def test_a_schedule_that_the_core_refuses_fails_alone(world: World) -> None:
    schedules = [weekly(1), weekly(2), weekly(3, 2)]
    world.write(*schedules)
    world.sql(NONSENSE)
    report = world.run()
    assert world.slots() == expected([schedules[0], schedules[2]], MONDAY, 14)
    assert [failure.key for failure in report.result.schedules_failed] == [ScheduleKey(2, 1)]
    assert "FREQ=NONSENSE" in report.result.schedules_failed[0].reason
    assert report.result.schedules == 3


def test_a_failure_is_recorded_and_cleared_after_the_repair(world: World) -> None:
    world.write(weekly(1), weekly(2))
    world.run()
    before = world.state(2)
    world.sql(NONSENSE)
    report = world.run()
    after = world.state(2)
    assert "FREQ=NONSENSE" in after["last_error"]
    failed = {"last_error": after["last_error"], "last_run_id": report.run_id, "fingerprint": None}  # still stale
    assert after == before | failed
    world.sql(NONSENSE.replace("'FREQ=NONSENSE'", "null"))
    assert world.run().result.schedules_failed == ()
    assert world.state(2)["last_error"] is None


def test_a_schedule_that_cannot_be_written_fails_alone_and_keeps_its_slots(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write(weekly(1), weekly(2))
    world.run(count=7)

    def refusing(session: Any, many: Any) -> int:
        if any(slots.doctor_id == 2 for slots in many):
            raise StoreError("refused")
        return insert_slots(session, many)

    monkeypatch.setattr("scheduler.generation.applying.insert_slots", refusing)
    report = world.run()
    assert report.result.schedules_failed == (Failure(ScheduleKey(2, 1), "refused"),)
    assert world.slots() == expected([weekly(1)], MONDAY, 14) | expected([weekly(2)], MONDAY, 7)


def test_r4_slots_without_a_checkpoint_are_not_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.write(weekly(1), weekly(2))

    def refusing(*_: Any, **__: Any) -> None:
        raise StoreError("refused")

    monkeypatch.setattr("scheduler.generation.batches.save_checkpoints", refusing)
    assert len(world.run().result.schedules_failed) == 2
    assert world.slots() == set()


RUN_COLUMNS = (
    "status, trigger, from_day, until_day, engine_version, tzdata_version, finished_at >= started_at, schedules,"
    " schedules_failed, slots_created, slots_updated, slots_retired, slots_kept, slots_conflicting, slots_displaced"
)


def recorded_runs(world: World) -> list[tuple[Any, ...]]:
    return world.sql(f"select {RUN_COLUMNS} from scheduling.generation_runs where tenant_id = :tenant_id order by id")


def test_every_run_is_recorded(world: World) -> None:
    world.write(weekly(1), weekly(2))
    world.run(trigger="nightly")
    world.touch(NINE, status="booked", booked_count=1)
    day_off(world, weekly(1))
    world.sql(NONSENSE)
    world.run()
    parameters = (MONDAY, MONDAY + 14 * DAY, ENGINE_VERSION, "2026a", True)
    assert recorded_runs(world) == [
        ("succeeded", "nightly", *parameters, 2, 0, 120, 0, 0, 0, 0, 0),
        ("failed", "manual", *parameters, 2, 1, 0, 0, 5, 54, 1, 0),
    ]


def test_r3_a_run_records_the_release_of_each_of_its_zones(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    releases = {"Europe/London": "2031a", "Europe/Paris": "transitions-0b1c2d3e4f5a"}

    def known(name: str) -> ZoneInfo:
        if name not in releases:
            raise WallClockError(f"unknown time zone {name!r}")
        return ZoneInfo(name)

    monkeypatch.setattr("scheduler.generation.request.time_zone_release", lambda zone: releases[zone.key])
    world.run(tzdata_version=None)
    world.write(weekly(1), weekly(2, 2, "Europe/Paris"), weekly(3, 2, "Europe/Paris"), weekly(4, 3, "Europe/Oslo"))
    monkeypatch.setattr("scheduler.core.zones._load", known)
    assert [failure.key for failure in world.run(tzdata_version=None).result.schedules_failed] == [ScheduleKey(4, 3)]
    world.run(facility_slug="place-1", tzdata_version=None)
    releases["Europe/Paris"] = "2031b"
    assert world.run(tzdata_version=None).result.schedules_unchanged == 1
    recorded = [run[5] for run in recorded_runs(world)]
    assert recorded == ["none", "2031a, transitions-0b1c2d3e4f5a", "2031a", "2031a, 2031b"]


def test_a_run_that_never_ends_is_in_the_audit_log(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.write(weekly(1))
    monkeypatch.setattr("scheduler.generation.job.finish_run", lambda *_, **__: None)
    world.run()
    logged = world.sql(
        "select event, after ->> 'from_day', after -> 'slots_created' from audit.system_audit_log"
        " where tenant_id = :tenant_id and entity = 'scheduling.generation_runs' order by id"
    )
    assert logged == [("insert", str(MONDAY), 0), ("update", None, 60)]


def test_a_slot_that_cannot_be_read_fails_its_schedule_and_no_other(world: World) -> None:
    """No column takes such a time; this is the second line."""
    world.write(weekly(1), weekly(2))
    world.run()
    check = world.sql(
        "select pg_get_constraintdef(oid) from pg_constraint where conrelid = 'scheduling.availability_slots'::regclass"
        " and conname = 'its_times_are_in_the_calendar'"
    )
    world.sql("alter table scheduling.availability_slots drop constraint its_times_are_in_the_calendar")
    try:
        world.sql(
            "update scheduling.availability_slots set reserved_until = 'infinity'"
            " where tenant_id = :tenant_id and doctor_id = 1 and start_at = :start_at",
            start_at=NINE,
        )
        report = world.run(scope=Scope.ALL)
    finally:
        world.sql("update scheduling.availability_slots set reserved_until = null where tenant_id = :tenant_id")
        world.sql(
            f"alter table scheduling.availability_slots add constraint its_times_are_in_the_calendar {check[0][0]}"
        )
    (failure,) = report.result.schedules_failed
    assert failure.key.doctor_id == 1
    assert failure.reason.startswith("a value cannot be written to the database, or read from it")
    assert report.result.schedules == 2


def test_progress_is_reported_after_each_batch(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.write(*(weekly(doctor) for doctor in range(1, 6)))
    monkeypatch.setattr("scheduler.generation.planning.SCHEDULES_PER_BATCH", 2)
    progress: list[tuple[int, int, int]] = []
    request = GenerationRequest(world.tenant_id, MONDAY, MONDAY + 7 * DAY, now=NOW, tzdata_version="2026a")
    generate(world.database, request, progress=lambda *counts: progress.append(counts))
    assert progress == [(2, 5, 60), (4, 5, 120), (5, 5, 150)]


def test_a_tenants_run_leaves_another_tenant_alone(world: World, other_world: World) -> None:
    """Both tenants use the same ids."""
    world.write(weekly(1))
    other_world.write(weekly(1, zone="Asia/Tokyo"))
    world.run()
    assert (world.slots(), other_world.slots()) == (expected([weekly(1)], MONDAY, 14), set())
    other_world.run()
    before = world.versions()
    no_rule_left(other_world, weekly(1))
    other_world.run()
    assert (world.versions(), other_world.slots()) == (before, set())
    assert len(recorded_runs(world)) == 1


def test_t3_a_day_that_the_zone_skipped_yields_no_slot_and_no_error(world: World) -> None:
    friday = date(2011, 12, 30)
    apia = weekly(1, zone="Pacific/Apia")
    world.write(apia)
    assert world.run(friday, 1).result == RunResult(schedules=1, schedules_unchanged=1)
    world.run(friday - DAY, 4)
    assert {slot.start_at.date() for slot in world.slots()} == {date(2011, 12, 29)}
    assert world.slots() == expected([apia], friday - DAY, 4)


def test_r4_concurrent_runs_store_the_slots_of_one_run(
    world: World, other_world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("scheduler.generation.planning.SCHEDULES_PER_BATCH", 2)
    schedules = [weekly(doctor, 1 + doctor % 3) for doctor in range(1, 13)]
    world.write(*schedules)
    other_world.write(*schedules)
    world.run()
    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(other_world.run) for _ in range(3)]
        reports = [future.result() for future in futures]
    assert other_world.digest() == world.digest()
    assert sum(report.result.slots_created for report in reports) == len(world.slots())
    assert [report.result.schedules_failed for report in reports] == [()] * 3


def test_a_schedule_locked_by_another_run_is_left_to_that_run(world: World) -> None:
    world.write(weekly(1), weekly(2))
    world.run(count=7)
    with world.database.unit_of_work(role=Role.JOB, tenant_id=world.tenant_id) as session:
        load_schedules(session, [ScheduleKey(1, 1)], lock=True)
        report = world.run()
    assert (report.result.schedules, report.result.schedules_locked) == (1, (ScheduleKey(1, 1),))
    assert world.slots() == expected([weekly(1)], MONDAY, 7) | expected([weekly(2)], MONDAY, 14)


def test_r4_a_schedule_locked_in_the_first_round_only_is_generated(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write(weekly(1), weekly(2))
    world.run(count=7)
    monkeypatch.setattr("scheduler.generation.planning.SCHEDULES_PER_BATCH", 1)
    request = GenerationRequest(world.tenant_id, MONDAY, MONDAY + 14 * DAY, now=NOW, tzdata_version="2026a")
    with ExitStack() as other_run:
        session = other_run.enter_context(world.database.unit_of_work(role=Role.JOB, tenant_id=world.tenant_id))
        load_schedules(session, [ScheduleKey(1, 1)], lock=True)

        def end_other_run(done: int, total: int, _: int) -> None:
            if done == total:
                other_run.close()

        report = generate(world.database, request, progress=end_other_run)
    assert (report.result.schedules_locked, report.result.schedules) == ((), 2)
    assert world.slots() == expected([weekly(1), weekly(2)], MONDAY, 14)


def test_an_existing_row_with_the_identity_of_a_new_slot_is_adopted(world: World) -> None:
    world.write(weekly(1))
    world.run(count=7)
    later = NINE + 8 * DAY - HOUR  # summer time
    world.sql(
        "insert into scheduling.availability_slots (tenant_id, doctor_id, facility_id, start_at, end_at, status,"
        " booked_count) values (:tenant_id, 1, 1, :start_at, :end_at, 'booked', 1)",
        start_at=later,
        end_at=later + HOUR / 2,
    )
    result = world.run().result
    assert (result.schedules_failed, result.slots_created, result.slots_updated) == (
        (),
        29,
        1,
    )  # the row gets its rule's id
    assert world.slots() == expected([weekly(1)], MONDAY, 14)


def test_a_row_inserted_between_read_and_insert_is_seen_by_the_retry(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.write(weekly(1), weekly(2))
    world.run(count=1)
    world.sql("delete from scheduling.availability_slots where tenant_id = :tenant_id")
    times: list[Any] = []

    def after_a_foreign_row(session: Any, many: Any) -> int:
        if not times:
            world.sql(
                "insert into scheduling.availability_slots (tenant_id, doctor_id, facility_id, start_at, end_at)"
                " values (:tenant_id, 1, 1, :start_at, :end_at)",
                start_at=NINE + DAY,
                end_at=NINE + DAY + HOUR / 2,
            )
        times.append(many)
        return insert_slots(session, many)

    monkeypatch.setattr("scheduler.generation.applying.insert_slots", after_a_foreign_row)
    result = world.run(MONDAY + DAY, 1).result
    assert (result.schedules_failed, result.slots_created, result.slots_updated) == ((), 11, 1)
    assert world.slots() == expected([weekly(1), weekly(2)], MONDAY + DAY, 1)


@pytest.mark.parametrize(
    ("first", "last", "why"),
    [
        (MONDAY, MONDAY, "no day"),
        (MONDAY, MONDAY - DAY, "no day"),
        (MONDAY, MONDAY + (MAX_DAYS + 1) * DAY, "too many"),
        (date(1, 1, 1), date(1, 1, 9), "calendar"),
        (date(9999, 12, 20), date(9999, 12, 31), "calendar"),
    ],
)
def test_a_request_that_cannot_be_carried_out_is_refused(first: date, last: date, why: str) -> None:
    with pytest.raises(InvalidInputError, match=why):
        GenerationRequest(uuid4(), first, last, now=NOW, tzdata_version="2026a")


def test_a_request_may_span_exactly_twenty_years() -> None:
    first, last = date(2027, 1, 1), date(2047, 1, 1)
    assert (last - first).days == MAX_DAYS
    assert GenerationRequest(uuid4(), first, last, now=NOW, tzdata_version="2026a").until_day == last


@pytest.mark.parametrize(
    ("zone", "first", "rule"),
    [
        ("Pacific/Kiritimati", date(2099, 3, 1), AvailabilityRule(1, 0, time(8), time(10), HOUR)),
        ("Pacific/Honolulu", date(2099, 5, 29), AvailabilityRule(1, 0, time(20), time(22), HOUR)),
    ],
    ids=["a first morning", "a last evening"],
)
def test_s4_days_reach_into_another_month_of_utc(world: World, zone: str, first: date, rule: AvailabilityRule) -> None:
    """08:00 on 1 March east of Greenwich is in February, 20:00 on 31 May west of Greenwich in June."""
    schedule = Schedule(1, 1, zone, [rule])
    world.write(schedule)
    assert world.run(first, 3).result.schedules_failed == ()
    assert world.slots() == expected([schedule], first, 3) != set()


@pytest.mark.parametrize(("first", "count"), [(date(1, 1, 5), 9), (date(9999, 12, 18), 9)])
def test_the_first_and_the_last_days_of_the_calendar_are_generated(world: World, first: date, count: int) -> None:
    schedules = [weekly(1, zone="Pacific/Kiritimati"), weekly(2, 2, "America/Los_Angeles")]
    world.write(*schedules)
    world.run(first, count)
    assert world.slots() == expected(schedules, first, count)


def test_r1_a_change_to_many_schedules_is_applied_batch_by_batch(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fixed bug: a batch failed if its second schedule got new slots beside its old ones."""
    world.write(*(weekly(doctor) for doctor in range(1, 4)))
    world.run()
    world.sql("update scheduling.availability_rules set end_time = '13:00' where tenant_id = :tenant_id")
    tried: list[int] = []

    def watched(session: Any, works: Any, request: GenerationRequest) -> Any:
        tried.append(len(works))
        return apply(session, works, request)

    monkeypatch.setattr("scheduler.generation.batches.apply", watched)
    assert world.run().result.slots_created == 3 * 20
    assert tried == [3]


def test_slots_of_several_months_go_to_the_partitions_of_their_months(world: World) -> None:
    """Partitions: a span that crosses months and years finds its tables."""
    world.write(weekly(1))
    world.run(date(2027, 12, 27), 40)
    assert world.sql(
        "select distinct tableoid::regclass::text from scheduling.availability_slots"
        " where tenant_id = :tenant_id order by 1"
    ) == [
        ("scheduling.availability_slots_2027_12",),
        ("scheduling.availability_slots_2028_01",),
        ("scheduling.availability_slots_2028_02",),
    ]


def test_the_job_works_as_its_role_and_not_as_the_owner(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.write(weekly(1))
    seen: set[Any] = set()

    def watched(session: Any, *args: Any, **named: Any) -> Any:
        seen.update(map(tuple, session.execute(text("select current_user::text, identity.current_tenant_id()"))))
        return load_schedules(session, *args, **named)

    monkeypatch.setattr("scheduler.generation.batches.load_schedules", watched)
    world.run()
    assert seen == {("scheduler_job", world.tenant_id)}


def wall(hour: int, minute: int = 0, *, day: date = MONDAY) -> datetime:
    return datetime.combine(day, time(hour, minute))


@pytest.fixture
def visits(world: World) -> World:
    """Three visits that were promised 11:00, 09:00 and 10:00 in London, a cancelled one, and one that is over."""
    world.write(weekly(1))
    for number, hour in enumerate((11, 9, 10, 12), start=1):
        world.visit(NINE.replace(hour=hour), number=number, status="cancelled" if hour == 12 else "scheduled")
    world.visit(NOW - HOUR, number=5)
    return world


def promises(world: World) -> list[tuple[Any, ...]]:
    query = (
        "select id, start_at, local_start, zone from scheduling.appointments where tenant_id = :tenant_id order by 1"
    )
    return world.sql(query)


def test_t6_each_booking_of_a_moved_zone_is_named_and_none_is_moved(visits: World) -> None:
    assert visits.run().result.broken_promises == ()
    before = promises(visits)
    visits.sql("update scheduling.facilities set timezone = 'Europe/Paris' where tenant_id = :tenant_id")
    london, paris = "Europe/London", "Europe/Paris"
    told = (
        BrokenPromise(2, "place-1", wall(9), london, wall(10), paris),
        BrokenPromise(3, "place-1", wall(10), london, wall(11), paris),
        BrokenPromise(1, "place-1", wall(11), london, wall(12), paris),
    )
    assert visits.run(facility_slug="place-1", mode=Mode.DRY).result.broken_promises == told
    assert visits.run().result.broken_promises == told
    assert promises(visits) == before
    # Another zone with the same clock breaks no promise, and a booking that was moved has a new one.
    visits.sql("update scheduling.facilities set timezone = 'Europe/Dublin' where tenant_id = :tenant_id")
    assert visits.run().result.broken_promises == ()
    visits.sql("update scheduling.facilities set timezone = 'Europe/Paris' where tenant_id = :tenant_id")
    later = "start_at = start_at + interval '3 hours', end_at = end_at + interval '3 hours'"
    visits.sql(f"update scheduling.appointments set {later} where tenant_id = :tenant_id and id in (1, 3)")
    assert [promise.appointment_id for promise in visits.run().result.broken_promises] == [2]


def test_t6_a_release_of_the_time_zones_breaks_promises_too(visits: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine's release says now that London has the clock of Kyiv; PostgreSQL's does not know yet."""
    visits.run()
    monkeypatch.setattr("scheduler.postgres.promised_times.zone_of", lambda _: ZoneInfo("Europe/Kyiv"))
    broken = visits.run(tzdata_version="2027a").result.broken_promises
    assert [(promise.appointment_id, promise.local_start) for promise in broken] == [
        (2, wall(11)),
        (3, wall(12)),
        (1, wall(13)),
    ]
    # The reading that the run named is recorded: PostgreSQL would fill in the one of its own release.
    for promise in broken:
        visits.sql(
            "update scheduling.appointments set local_start = :local_start, zone = :zone"
            " where tenant_id = :tenant_id and id = :id",
            local_start=promise.local_start,
            zone=promise.zone,
            id=promise.appointment_id,
        )
    assert visits.run(tzdata_version="2027a").result.broken_promises == ()


def test_t6_bookings_in_a_zone_that_the_engine_lacks_are_named(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock is read once for bookings that begin together."""
    read: list[str] = []

    def unknown(name: str) -> ZoneInfo:
        read.append(name)
        raise WallClockError(f"unknown time zone {name!r}")

    world.write(weekly(1), weekly(2))
    for doctor_id in (1, 2):
        world.visit(NINE, number=doctor_id, doctor_id=doctor_id)
    monkeypatch.setattr("scheduler.postgres.promised_times.zone_of", unknown)
    broken = world.run().result.broken_promises
    assert [(promise.appointment_id, promise.local_start) for promise in broken] == [(1, None), (2, None)]
    assert read == ["Europe/London"]


def test_t6_a_time_that_the_clock_repeats_keeps_its_promise(world: World) -> None:
    """01:30 in its second pass: the wall-clock time alone would mean the first."""
    world.write(weekly(1))
    world.visit(datetime(2027, 10, 31, 1, 30, tzinfo=UTC))
    assert promises(world)[0][2:] == (datetime(2027, 10, 31, 1, 30), "Europe/London")
    assert world.run().result.broken_promises == ()


def test_t6_an_exception_in_wall_clock_time_follows_the_zone(world: World) -> None:
    """A second one lies in the hour that the new zone skips on Sunday: nothing of it is left (T3)."""
    new_york = ZoneInfo("America/New_York")
    world.write(replace(weekly(1), zone=new_york))
    for number, start, end in (
        (1, wall(9), wall(10)),
        (2, wall(1, 10, day=MONDAY + 6 * DAY), wall(1, 50, day=MONDAY + 6 * DAY)),
    ):
        start_at, end_at = start.replace(tzinfo=new_york), end.replace(tzinfo=new_york)
        entered = AvailabilityException(number, BLOCKED, start_at, end_at)
        world.add(world.exception_row(weekly(1), entered, local_start=start, local_end=end))
    world.run(count=1)
    assert {slot.start_at.hour for slot in world.slots()} == {14, 15}
    world.sql("update scheduling.facilities set timezone = 'Europe/London' where tenant_id = :tenant_id")
    world.run(count=7)
    moved = AvailabilityException(1, BLOCKED, NINE, NINE + HOUR)
    assert world.slots() == expected([weekly(1, exceptions=[moved])], MONDAY, 7)
    with world.database.unit_of_work(role=Role.JOB, tenant_id=world.tenant_id) as session:
        facility = facility_view(session, "place-1")
        (shown,) = exceptions_between(session, facility, NINE - DAY, NINE + 2 * HOUR)
    assert shown[:2] == (NINE, NINE + HOUR)
    world.sql(
        "update scheduling.availability_exceptions set start_at = :start_at, end_at = :end_at"
        " where tenant_id = :tenant_id and id = 1",
        start_at=NINE,
        end_at=NINE + 3 * HOUR,
    )
    world.run(count=1)
    assert MONDAY not in {slot.start_at.date() for slot in world.slots()}  # the instants of a later writer decide
