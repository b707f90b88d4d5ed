"""Due schedules: the marks on checkpoints cover all that fingerprints cover, and a night goes by the marks (R3, R6)."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from random import Random
from time import sleep
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from scheduler.core.expansion import expand
from scheduler.core.fingerprints import fingerprint
from scheduler.core.schedules import AvailabilityException, AvailabilityRule, Closure, ExceptionType, Schedule
from scheduler.core.spans import Span
from scheduler.generation.applying import apply
from scheduler.generation.report import RunResult
from scheduler.generation.request import Mode, Scope
from scheduler.postgres.database import Database, Role, act_as
from scheduler.postgres.errors import StatementError
from scheduler.postgres.schedules import (
    Checkpoint,
    ScheduleKey,
    checkpoints_of,
    load_schedules,
    save_checkpoints,
    schedule_keys,
)
from scheduler.postgres.slots import check_keys_by_index, insert_slots
from scheduler.postgres.stored_slots import stored_slots
from support.query_plans import index_scans
from support.worlds.generation import MONDAY, NOW, World, expected, weekly

pytestmark = pytest.mark.database

DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
NINE = datetime(2027, 3, 22, 9, tzinfo=UTC)
MINE = " where tenant_id = :tenant_id"
RULES, EXCEPTIONS = "scheduling.availability_rules", "scheduling.availability_exceptions"
CLOSURES, PLACES = "scheduling.facility_closures", "scheduling.facility_doctors"
NEW_RULES = (
    f"insert into {RULES}"
    " (tenant_id, id, doctor_id, facility_id, day_of_week, start_time, end_time, slot_duration_minutes)"
    f" select :tenant_id, (select max(id) from {RULES}) + doctor, doctor, 1, :n, '22:00', '02:00', 30"
    " from generate_series(1, 2) doctor"
)


def new_exceptions(kind: str, hours: tuple[int, int], columns: str = "", values: str = "") -> str:
    begin, end = (f"cast(:day as date) + interval '{hour} hours'" for hour in hours)
    return (
        f"insert into {EXCEPTIONS} (tenant_id, id, doctor_id, facility_id, type, start_at, end_at{columns})"
        f" select :tenant_id, (select max(id) from {EXCEPTIONS}) + doctor, doctor, 1, '{kind}', {begin}, {end}"
        f"{values.format(begin=begin, end=end)} from generate_series(1, 2) doctor"
    )


# `:n` is a weekday, `:day` a day of the weeks that are generated first.
CHANGES = {
    "rules are added": NEW_RULES,
    "rules end later": f"update {RULES} set end_time = '14:00'{MINE} and day_of_week = :n",
    "a rule moves to another doctor": f"update {RULES} set doctor_id = 3 - doctor_id{MINE} and id = 100 + :n",
    "rules are inactive": f"update {RULES} set active = not active{MINE} and day_of_week = :n",
    "rules are removed": f"delete from {RULES}{MINE} and day_of_week = :n and doctor_id = 2",
    "time is blocked": new_exceptions("blocked", (9, 33)),
    "hours are replaced": new_exceptions("override", (15, 17), ", slot_duration_minutes", ", 20"),
    "time on the clock is blocked": new_exceptions("blocked", (9, 10), ", local_start, local_end", ", {begin}, {end}"),
    "exceptions move": f"update {EXCEPTIONS} set start_at = start_at + interval '1 day', local_start = null,"
    f" end_at = end_at + interval '1 day', local_end = null{MINE}",
    "exceptions are removed": f"delete from {EXCEPTIONS}{MINE} and doctor_id = 1",
    "a day is closed": f"insert into {CLOSURES} (tenant_id, facility_id, day) values (:tenant_id, 1, :day)",
    "closures move to another facility": f"update {CLOSURES} set facility_id = 3 - facility_id{MINE}",
    "closures are removed": f"delete from {CLOSURES}{MINE}",
    "another zone": "update scheduling.facilities set timezone ="
    " case timezone when 'Europe/London' then 'America/New_York' else 'Europe/London' end"
    f"{MINE} and id = 1",
    "a facility is deleted": f"update scheduling.facilities set deleted_at = now(){MINE} and id = 2",
    "a facility is restored": f"update scheduling.facilities set deleted_at = null{MINE} and id = 2",
    "a doctor is deleted": f"update scheduling.doctors set deleted_at = now(){MINE} and id = 2",
    "a doctor is restored": f"update scheduling.doctors set deleted_at = null{MINE} and id = 2",
    "doctors leave or return": f"update {PLACES} set active = not active{MINE}",
    "a doctor was never there": f"delete from {PLACES}{MINE} and doctor_id = 2",
    "a doctor is entered as gone": f"insert into {PLACES} (tenant_id, doctor_id, facility_id, active)"
    " values (:tenant_id, 2, 1, false)",
}
BEFORE = {
    "a facility is restored": "a facility is deleted",
    "a doctor is restored": "a doctor is deleted",
    "a doctor was never there": "doctors leave or return",
    "a doctor is entered as gone": "a doctor was never there",
}


def schedules() -> Iterator[Schedule]:
    """Yield three schedules of two doctors at two facilities, with nights, an override, a block and a closure."""
    nights = [AvailabilityRule(900 + day, day, time(22), time(8), HOUR) for day in range(7)]
    first = weekly(1)
    override = AvailabilityException(1_000_001, ExceptionType.OVERRIDE, NINE, NINE + 2 * HOUR)
    yield replace(
        first, rules=[*first.rules, *nights], exceptions=[override], closures=[Closure(1_000_001, MONDAY + 2 * DAY)]
    )
    yield weekly(2, exceptions=[AvailabilityException(1_000_002, ExceptionType.BLOCKED, NINE, NINE + DAY)])
    yield Schedule(1, 2, "America/St_Johns", [AvailabilityRule(801, 1, time(9), time(17), HOUR)])


@pytest.fixture
def world(database: Database, tenant_id: UUID) -> World:
    world = World(database, tenant_id)
    world.write(*schedules())
    world.run()
    return world


def change(world: World, name: str, random: Random) -> None:
    world.sql(CHANGES[name], n=random.randrange(7), day=MONDAY + random.randrange(14) * DAY)


def unmarked(world: World) -> dict[ScheduleKey, bool]:
    """Return the schedules whose checkpoint has a fingerprint, and whether it is still that of the schedule."""
    with world.database.unit_of_work(role=Role.JOB, tenant_id=world.tenant_id) as session:
        holds = {}
        for loaded in load_schedules(session, schedule_keys(session), lock=False):
            schedule, checkpoint = loaded.schedule, loaded.checkpoint
            if checkpoint.fingerprint is not None:
                assert isinstance(schedule, Schedule)
                now = fingerprint(schedule, tzdata_version=checkpoint.tzdata_version or "", since=checkpoint.since)
                holds[loaded.key] = now == checkpoint.fingerprint
        return holds


def left_to_all(world: World, first: date, count: int, now: datetime = NOW) -> tuple[int, int, int]:
    """Return what a run over all schedules would still create, update and retire."""
    result = world.run(first, count, now=now, scope=Scope.ALL, mode=Mode.DRY).result
    return result.slots_created, result.slots_updated, result.slots_retired


@pytest.mark.parametrize("name", CHANGES)
def test_r3_a_change_takes_away_the_fingerprints_that_it_changes(world: World, name: str) -> None:
    for earlier in (BEFORE[name], name) if name in BEFORE else (name,):
        world.run()
        assert len(unmarked(world)) == 3
        change(world, earlier, Random(4))  # noqa: S311  # a number of a week
    marked = 3 - len(unmarked(world))
    assert (marked > 0, all(unmarked(world).values())) == (True, True)
    world.run()
    assert left_to_all(world, MONDAY, 14) == (0, 0, 0)


@pytest.mark.parametrize("seed", range(4))
def test_r3_a_night_by_marks_reaches_what_a_night_of_all_would(world: World, seed: int) -> None:
    random = Random(seed)  # noqa: S311  # repeatable
    days = 14
    for night in range(8):
        for name in random.sample([*CHANGES], random.choice([0, 1, 3])):
            with suppress(StatementError):  # a deleted facility takes no additions, and a doctor joins once
                change(world, name, random)
        assert all(unmarked(world).values())
        days = max(1, days + random.choice([-1, 0, 1, 2]))
        first, now = MONDAY + night * DAY, datetime.combine(MONDAY + night * DAY, time(3), UTC)
        world.run(first, days, now=now)
        assert left_to_all(world, first, days, now) == (0, 0, 0)


def test_r3_a_new_day_with_an_exception_has_the_rules_of_all_weekdays(database: Database, tenant_id: UUID) -> None:
    """An override of a Sunday takes the slots of other weekdays' rules, and a block may name one."""
    sunday = NINE + 6 * DAY
    override = AvailabilityException(1, ExceptionType.OVERRIDE, sunday, sunday + HOUR)
    block = AvailabilityException(2, ExceptionType.BLOCKED, sunday, sunday + HOUR / 2, rule_id=101)
    schedule = weekly(1, exceptions=[override, block])
    world = World(database, tenant_id)
    world.write(schedule)
    world.run(MONDAY, 6)
    world.run(MONDAY, 7)
    assert world.slots() == expected([schedule], MONDAY, 7)
    assert max(slot.start_at for slot in world.slots()) > sunday


def test_r3_a_schedule_that_is_not_due_is_not_even_loaded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[ScheduleKey] = []

    def watched(session: Any, keys: Any, **given: Any) -> Any:
        loaded.extend(keys)
        return load_schedules(session, keys, **given)

    monkeypatch.setattr("scheduler.generation.batches.load_schedules", watched)
    assert world.run().result == RunResult(schedules=3, schedules_unchanged=3)
    assert loaded == []
    change(world, "rules are removed", Random(4))  # noqa: S311  # a number of a week
    assert world.run().result.schedules_unchanged == 2
    assert loaded == [ScheduleKey(2, 1)]


@pytest.mark.parametrize("versions", ["engine_version = '1'", "tzdata_version = '2025z'", "is_stale = true"])
def test_r3_another_engine_release_or_mark_makes_a_schedule_due(world: World, versions: str) -> None:
    world.sql(f"update scheduling.schedule_states set {versions}{MINE} and doctor_id = 2")
    world.sql(f"delete from scheduling.availability_slots{MINE} and doctor_id = 2")
    result = world.run().result
    assert (result.schedules_unchanged, left_to_all(world, MONDAY, 14)) == (2, (0, 0, 0))


def test_a_schedule_that_failed_is_tried_again(world: World) -> None:
    world.sql(f"update scheduling.schedule_states set last_error = 'out of luck'{MINE} and doctor_id = 2")
    world.run()
    assert world.sql(f"select count(*) from scheduling.schedule_states{MINE} and last_error is not null") == [(0,)]


@pytest.mark.parametrize(
    ("name", "runs"), [("rules are added", 1), ("rules are added", 2), ("a day is closed", 1), ("another zone", 1)]
)
def test_r4_a_change_under_way_at_the_first_run_is_found_by_the_next(
    database: Database, tenant_id: UUID, name: str, runs: int
) -> None:
    """It could not mark a checkpoint that did not exist, and the first run could not see it."""
    world = World(database, tenant_id)
    world.run()  # creates the months, which would wait for the change
    world.write(*schedules())
    with database.unit_of_work(role=Role.OWNER, tenant_id=tenant_id) as session:
        values = {"tenant_id": tenant_id, "n": 1, "day": MONDAY}
        session.connection().execute(text(CHANGES[name]), values)
        for _ in range(runs):
            world.run()
    world.run()
    assert left_to_all(world, MONDAY, 14) == (0, 0, 0)


def test_r6_a_change_waits_for_the_run_that_repairs_its_schedule(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mark of an earlier change was there: the run took it away, and the later change with it."""
    change(world, "rules end later", Random(4))  # noqa: S311  # a number of a week
    added: list[Future[None]] = []

    def beside_a_change(*given: Any) -> Any:
        if not added:
            added.append(thread.submit(change, world, "rules are added", Random(4)))  # noqa: S311  # as above
            while not added[0].done() and world.waiting() == 0:
                sleep(0.01)
        return apply(*given)

    monkeypatch.setattr("scheduler.generation.batches.apply", beside_a_change)
    with ThreadPoolExecutor(1) as thread:
        world.run()
    added[0].result()
    world.run()
    assert left_to_all(world, MONDAY, 14) == (0, 0, 0)


def test_r3_checkpoints_are_saved_by_one_statement(world: World) -> None:
    """Also one without a fingerprint, and one of several spans of days."""
    with world.database.unit_of_work(role=Role.JOB, tenant_id=world.tenant_id) as session:
        before = checkpoints_of(session, schedule_keys(session))
        saved = {
            key: checkpoint._replace(fingerprint="ab" * number or None, engine_version=str(number))
            for number, (key, checkpoint) in enumerate(before.items())
        }
        save_checkpoints(session, saved.items(), run_id=None)
        assert checkpoints_of(session, saved) == saved
        save_checkpoints(session, [], run_id=None)
    assert len({*map(str, saved.values())}) == 3
    assert all(isinstance(checkpoint, Checkpoint) for checkpoint in saved.values())


def test_slots_of_a_batch_are_looked_up_by_doctor_without_statistics(database: Database, tenant_id: UUID) -> None:
    """They were read by days: the whole days of all doctors of the tenant, for each batch."""
    world = World(database, tenant_id)
    world.write(*(weekly(doctor) for doctor in range(1, 101)))
    world.run()
    span = Span(NINE - DAY, NINE + 13 * DAY)  # in two months
    with database.unit_of_work(role=Role.OWNER, tenant_id=tenant_id) as session:
        driver: Any = session.connection().connection.driver_connection
        with index_scans(driver) as scans:
            act_as(session, Role.JOB)
            keys = [ScheduleKey(doctor, 1) for doctor in range(1, 25)]
            found = stored_slots(session, [(key, span) for key in keys])
            checkpoints_of(session, keys, lock=True)
            act_as(session, Role.OWNER)
    assert sum(map(len, found.values())) == 24 * 60
    months = ("availability_slots_2027_03_", "availability_slots_2027_04_")
    of_slots = [scan for scan in scans if scan.name.startswith(months)]
    assert len(of_slots) == 2
    for part in ("(tenant_id = ", "(doctor_id = ", "(start_at >= ", "(ROW(doctor_id, start_at) < "):
        assert [scan for scan in of_slots if part not in scan.condition] == []
    (states,) = (scan for scan in scans if scan.name == "schedule_states_pkey")
    assert "doctor_id = " in states.condition


def test_keys_of_slots_are_checked_by_the_index_of_the_key(database: Database, tenant_id: UUID) -> None:
    """All doctors and facilities of the tenant were read for each slot: a first night took three times as long."""
    world = World(database, tenant_id)
    world.write(weekly(1))
    world.sql(
        "insert into scheduling.doctors (tenant_id, id, first_name, last_name, display_name)"
        " select :tenant_id, n, 'Anna', 'Ray', 'Anna Ray' from generate_series(1001, 2000) as n"
    )
    world.sql(
        "insert into scheduling.facilities (tenant_id, id, slug, name, timezone)"
        " select :tenant_id, n, 'place-' || n, 'Main Street', 'Europe/London' from generate_series(1001, 1200) as n"
    )
    world.run()
    with database.unit_of_work(role=Role.OWNER, tenant_id=tenant_id) as session:
        driver: Any = session.connection().connection.driver_connection
        with index_scans(driver) as scans:
            act_as(session, Role.JOB)
            check_keys_by_index(session)
            later = NINE + 20 * DAY
            assert insert_slots(session, [expand(weekly(1), Span(later, later + DAY))]) > 0
            act_as(session, Role.OWNER)
    assert {"doctors_pkey", "facilities_pkey"} <= {scan.name for scan in scans}
