"""Generated days: a set of spans, each of which follows the schedule after a run (R3)."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID

import pytest

from scheduler.cli.status import generated_days
from scheduler.core.schedules import AvailabilityException, AvailabilityRule, Closure, ExceptionType, Schedule
from scheduler.generation.planning import ScheduleTask, plan_task
from scheduler.generation.request import GenerationRequest
from scheduler.postgres.database import Database, Role, act_as
from scheduler.postgres.schedule_parts import NeededDays
from scheduler.postgres.schedules import LoadedSchedule, ScheduleKey, load_schedules
from scheduler.postgres.statistics import totals
from support.databases import new_tenant
from support.query_plans import index_scans
from support.worlds.generation import MONDAY, World, expected, weekly

pytestmark = pytest.mark.database

DAY = timedelta(days=1)
NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def world(database: Database, tenant_id: UUID) -> World:
    return World(database, tenant_id)


def mornings_of(*days_of_week: int) -> Schedule:
    """Return a schedule of the same morning on these days of the week."""
    rules = [AvailabilityRule(100 + day, day, time(9), time(12), timedelta(minutes=20)) for day in days_of_week]
    return Schedule(1, 1, "Europe/London", rules)


def without_mondays(world: World) -> Schedule:
    world.sql("delete from scheduling.availability_rules where tenant_id = :tenant_id and id = 101")
    return mornings_of(2)


def test_r3_removed_hours_leave_all_spans_of_generated_days(world: World) -> None:
    """117 slots of removed hours stayed open for nine months after three runs, the second for days that touch none."""
    world.write(mornings_of(1, 2))
    world.run(date(2026, 12, 1), 365, now=NOW)
    world.run(date(2026, 6, 1), 30, now=NOW)
    tuesdays = without_mondays(world)
    world.run(date(2026, 12, 2), 90, now=NOW)
    assert world.slots() == expected([tuesdays], date(2026, 12, 1), 365) | expected([tuesdays], date(2026, 6, 1), 30)
    assert world.state()["generated_days::text"] == "{[2026-06-01,2026-07-01),[2026-12-01,2027-12-01)}"
    with world.database.unit_of_work(role=Role.JOB, tenant_id=world.tenant_id) as session:
        shown = totals(session)
    assert (shown.from_day, shown.gap_day, shown.until_day) == (
        date(2026, 6, 1),
        date(2026, 7, 1),
        date(2027, 12, 1),
    )
    assert generated_days(shown) == "2026-06-01 to before 2027-12-01, with a gap from 2026-07-01 on"


def mondays(world: World) -> list[date]:
    """Return the Mondays that have slots."""
    return sorted({slot.start_at.date() for slot in world.slots() if slot.start_at.weekday() == 0})


def test_r3_a_change_leaves_past_days_as_they_were(world: World) -> None:
    """Past days are history, unless a request names them; they are then generated again."""
    world.write(mornings_of(1, 2))
    world.run(date(2026, 6, 1), 30, now=NOW)
    without_mondays(world)
    today = datetime(2026, 6, 15, 12, tzinfo=UTC)
    world.run(date(2026, 7, 1), 7, now=today)
    assert mondays(world) == [date(2026, 6, 1), date(2026, 6, 8)]
    world.run(date(2026, 6, 1), 7, now=today)
    assert mondays(world) == [date(2026, 6, 8)]


def test_r3_runs_that_touch_are_one_span(world: World) -> None:
    world.write(weekly(1))
    world.run(MONDAY, 7)
    world.run(MONDAY + 7 * DAY, 7)
    assert world.state()["generated_days::text"] == "{[2027-03-22,2027-04-05)}"
    with world.database.unit_of_work(role=Role.JOB, tenant_id=world.tenant_id) as session:
        assert totals(session).gap_day is None
    assert world.run(MONDAY, 14).result.schedules_unchanged == 1


def test_r3_a_gap_between_generated_days_is_generated_alone(world: World) -> None:
    world.write(weekly(1))
    world.run(MONDAY + 14 * DAY, 7)
    world.run(MONDAY, 7)
    report = world.run(MONDAY, 21)
    assert world.slots() == expected([weekly(1)], MONDAY, 21)
    assert (report.result.slots_created, report.result.slots_kept) == (30, 0)


NIGHTS = 8


def after_nights(world: World, slept: set[int]) -> list[tuple[Any, ...]]:
    """Run the nights that are not slept through, and return the future rows.

    By day, hours are removed and a block is added. The first and the last night always run.
    """
    world.write(mornings_of(1, 2, 3, 4, 5))
    tonight = MONDAY
    for night in range(NIGHTS):
        tonight = MONDAY + night * DAY
        if night == 2:
            without_mondays(world)
        if night == 4:
            noon = datetime(2027, 3, 30, 9, tzinfo=UTC)
            block = AvailabilityException(7, ExceptionType.BLOCKED, noon, noon + timedelta(hours=1))
            world.add(world.exception_row(mornings_of(2), block))
        if night not in slept:
            world.run(tonight, 10, now=datetime.combine(tonight, time(1), UTC))
    return world.sql(
        "select start_at, end_at, capacity, created_from_rule_id, status from scheduling.availability_slots"
        " where tenant_id = :tenant_id and start_at >= :today order by 1, 2",
        today=datetime.combine(tonight, time(0), UTC),
    )


@pytest.mark.parametrize("slept", [{3}, {1, 2}, {2, 3, 4, 5}, {4, 6}, {1, 2, 3, 4, 5, 6}])
def test_r3_missed_nights_are_filled_by_the_next_run(world: World, database: Database, slept: set[int]) -> None:
    """From today on, the slots are those of a sequence without a gap; nobody generates past days by themselves."""
    undisturbed = after_nights(World(database, new_tenant(database)), set())
    assert len(undisturbed) > 50
    assert after_nights(world, slept) == undisturbed


@pytest.mark.parametrize(
    ("before", "after", "now"),
    [
        ("America/Los_Angeles", "Pacific/Auckland", datetime(2026, 6, 1, 12, tzinfo=UTC)),
        ("Pacific/Auckland", "America/Los_Angeles", datetime(2026, 6, 1, 22, 30, tzinfo=UTC)),
    ],
)
def test_r3_a_new_zone_leaves_no_future_slot_of_the_old(world: World, before: str, after: str, now: datetime) -> None:
    """The local days of the old zone begin before, or end after, the same days of the new one."""
    today = now.date() + (DAY if before == "Pacific/Auckland" else timedelta(0))
    world.write(weekly(1, zone=before))
    world.run(today, 11, now=now)
    booked = max(slot.start_at for slot in world.slots())
    world.touch(booked, status="booked", booked_count=1)
    past = {slot for slot in world.slots() if slot.start_at < now}
    world.sql("update scheduling.facilities set timezone = :zone where tenant_id = :tenant_id", zone=after)
    report = world.run(today, 11, now=now)
    desired = expected([weekly(1, zone=after)], today, 11)
    assert {slot for slot in world.slots() - desired - past if slot.start_at != booked} == set()
    assert desired <= world.slots()
    assert past <= world.slots() | desired
    assert [stored.slot.start_at for stored in report.result.slots_conflicting] == [booked]


BLOCK = AvailabilityException(
    1, ExceptionType.BLOCKED, datetime(2027, 3, 22, 9, tzinfo=UTC), datetime(2027, 3, 22, 10, tzinfo=UTC)
)
CLOSED = Closure(1, MONDAY + DAY)
LATER = datetime(2027, 4, 1, tzinfo=UTC)


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The numbers of exceptions and closures of each schedule that the job loads."""
    counts: list[tuple[int, int]] = []

    def watched(schedule: LoadedSchedule, request: GenerationRequest) -> ScheduleTask:
        assert isinstance(schedule.schedule, Schedule)
        counts.append((len(schedule.schedule.exceptions), len(schedule.schedule.closures)))
        return plan_task(schedule, request)

    monkeypatch.setattr("scheduler.generation.batches.plan_task", watched)
    return counts


def test_r3_a_passed_exception_is_no_change_and_not_loaded(world: World, loaded: list[tuple[int, int]]) -> None:
    """394,000 past exceptions made a run without a change sixteen times as slow."""
    world.write(replace(weekly(1), exceptions=[BLOCK], closures=[CLOSED]))
    world.run(MONDAY, 21)
    for today in (LATER, LATER + DAY):
        assert world.run(today.date(), 10, now=today).result.schedules_unchanged == 1
    assert loaded == [(1, 1)]


@pytest.mark.parametrize("moved", ["end_at = end_at + interval '20 days'", "start_at = start_at - interval '1 hour'"])
def test_r3_an_exception_that_reaches_the_request_is_a_change(world: World, moved: str) -> None:
    """The first change moves a past exception into the future, the second one that only a later request reaches."""
    world.write(weekly(1, exceptions=[BLOCK]))
    world.run(MONDAY, 21)
    world.run(LATER.date(), 4, now=LATER)
    world.sql(f"update scheduling.availability_exceptions set {moved} where tenant_id = :tenant_id")
    world.run(MONDAY, 21, now=LATER)
    (row,) = world.sql("select start_at, end_at from scheduling.availability_exceptions where tenant_id = :tenant_id")
    assert world.slots() == expected(
        [weekly(1, exceptions=[replace(BLOCK, start_at=row[0], end_at=row[1])])], MONDAY, 21
    )


def test_r3_an_index_leaves_out_past_exceptions(world: World) -> None:
    world.write(weekly(1, exceptions=[BLOCK]), weekly(2))
    world.sql(
        "insert into scheduling.availability_exceptions"
        " (tenant_id, id, doctor_id, facility_id, type, start_at, end_at)"
        " select :tenant_id, 1 + row_number() over (), doctor, 1, 'blocked', at, at + interval '1 hour'"
        " from generate_series(1, 2) doctor,"
        " generate_series(timestamptz '2026-01-01', '2026-12-31', '3 hours') at"
    )
    world.sql("analyze scheduling.availability_exceptions")
    with world.database.unit_of_work(role=Role.OWNER, tenant_id=world.tenant_id) as session:
        driver: Any = session.connection().connection.driver_connection
        with index_scans(driver) as scans:
            act_as(session, Role.JOB)
            keys = [ScheduleKey(1, 1), ScheduleKey(2, 1)]
            (first, second) = load_schedules(session, keys, lock=False, needed=lambda *_: NeededDays(MONDAY))
            act_as(session, Role.OWNER)
    assert isinstance(first.schedule, Schedule)
    assert isinstance(second.schedule, Schedule)
    assert (len(first.schedule.exceptions), len(second.schedule.exceptions)) == (1, 0)
    assert [scan for scan in scans if scan.name.endswith("_end_at_idx") and "end_at >=" in scan.condition] != []
