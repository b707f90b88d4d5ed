"""Checks before the night, on a database: each fault is named with a remedy, and nothing is written."""

import json
import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from scheduler.cli.app import EXIT_CODES
from scheduler.cli.errors import NightAtRiskError
from scheduler.core.errors import WallClockError
from scheduler.core.zones import zone_of
from scheduler.generation import night_checks
from scheduler.generation.night_checks import Night, checks_of
from scheduler.generation.night_rules import Outcome
from scheduler.postgres.database import Database
from support.cli import run
from support.databases import as_login, execute, new_tenant
from support.worlds.generation import MONDAY, World, weekly

pytestmark = pytest.mark.database

NOW = datetime(2027, 3, 22, 20, tzinfo=UTC)
UNTIL = MONDAY + timedelta(days=14)
NAMES = ["privileges", "runs", "schedules", "horizon", "months", "zones", "time zone data", "disk"]


@pytest.fixture
def world(database: Database, tenant_id: UUID) -> World:
    world = World(database, tenant_id)
    world.write(weekly(1), weekly(2))
    world.run(MONDAY, 14, tzdata_version="2001a")
    world.sql("update scheduling.generation_runs set finished_at = :at where tenant_id = :tenant_id", at=NOW)
    return world


def faults(world: World, **night: Any) -> dict[str, str]:
    given = {"first": MONDAY, "until": UNTIL, "now": NOW} | night
    checks = checks_of(world.database, Night(world.tenant_id, **given))
    assert len(checks) in {1, len(NAMES)}
    return {check.name: check.found for check in checks if check.outcome is Outcome.WRONG}


def test_a_night_without_a_fault_has_each_check_and_writes_nothing(world: World) -> None:
    before = world.digest(), world.state(), world.sql(RUNS), world.sql(EVENTS)
    checks = checks_of(world.database, Night(world.tenant_id, MONDAY, UNTIL, NOW))
    assert [check.name for check in checks] == NAMES
    assert {check.outcome for check in checks} == {Outcome.OK}
    assert (world.digest(), world.state(), world.sql(RUNS), world.sql(EVENTS)) == before


RUNS = "select id, status, updated_at from scheduling.generation_runs where tenant_id = :tenant_id order by 1"
EVENTS = "select event, details from audit.system_audit_log where tenant_id = :tenant_id order by id"


def test_a_tenant_before_its_first_night_has_no_fault(database: Database, tenant_id: UUID) -> None:
    world = World(database, tenant_id)
    assert faults(world) == {}
    world.write(weekly(1))
    assert faults(world) == {}
    assert world.sql("select from scheduling.schedule_states where tenant_id = :tenant_id") == []


def test_visits_beyond_the_days_of_the_run_are_a_fault(world: World) -> None:
    world.visit(datetime(2027, 4, 8, 9, tzinfo=UTC))
    assert list(faults(world)) == ["horizon"]
    assert faults(world, until=date(2027, 4, 9)) == {}
    world.sql("update scheduling.appointments set status = 'cancelled' where tenant_id = :tenant_id")
    assert faults(world) == {}


def test_a_failed_schedule_is_a_fault(world: World) -> None:
    world.sql("update scheduling.schedule_states set last_error = 'a bad rule' where tenant_id = :tenant_id")
    assert faults(world) == {"schedules": "2 schedules failed or are parked: a bad rule"}


def test_a_missed_night_and_an_interrupted_run_are_faults(world: World) -> None:
    assert list(faults(world, now=NOW + timedelta(days=2))) == ["runs"]
    world.sql("update scheduling.generation_runs set status = 'interrupted' where tenant_id = :tenant_id")
    assert list(faults(world)) == ["runs"]


def test_a_zone_that_the_data_no_longer_knows_is_a_fault(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(name: str) -> Any:
        if name == "Europe/London":
            raise WallClockError(f"unknown time zone {name!r}")
        return zone_of(name)

    monkeypatch.setattr(night_checks, "zone_of", forgetful)
    assert faults(world) == {"zones": "1 time zone is unknown: 'Europe/London' of facility 'place-1'"}


def test_time_zone_data_older_than_those_of_the_latest_run_are_a_fault(world: World) -> None:
    world.sql("update scheduling.generation_runs set tzdata_version = '2999z' where tenant_id = :tenant_id")
    assert list(faults(world)) == ["time zone data"]


def test_time_zone_data_older_than_others_of_this_host_are_a_fault(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(night_checks, "releases_on_host", lambda: {"2999z"})
    assert list(faults(world)) == ["time zone data"]


class _Disk(NamedTuple):
    free: int


def test_a_full_disk_of_a_server_on_this_host_is_a_fault(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def disk_usage(directory: str) -> _Disk:
        asked.append(directory)
        return _Disk(free=1000)

    monkeypatch.setattr(shutil, "disk_usage", disk_usage)
    assert list(faults(world)) == ["disk"]
    assert asked == [directory for (directory,) in world.sql("show data_directory")]


UNSUMMED = "update scheduling.figure_states set summed_until = summed_until - 1"


@pytest.mark.parametrize(
    ("statement", "name", "found"),
    [
        ("create table scheduling.availability_slots_2027_05 ()", "months", "2027_05 exists but is not attached"),
        (
            "revoke delete on scheduling.availability_slots from scheduler_job",
            "privileges",
            "scheduler_job lacks delete on scheduling.availability_slots",
        ),
        (
            "revoke execute on function scheduling.delete_events(interval) from scheduler_job",
            "privileges",
            "lacks execute on scheduling.delete_events",
        ),
        (
            "revoke insert on scheduling.doctor_figure_sums from scheduler_job",
            "privileges",
            "scheduler_job lacks insert on scheduling.doctor_figure_sums",
        ),
        # no list names these: the rehearsal finds them
        (
            f"{UNSUMMED}; revoke select (created_at) on scheduling.appointments from scheduler_job",
            "privileges",
            "a rehearsal failed: permission denied",
        ),
        (
            "revoke select (ends_at) on scheduling.holds from scheduler_job",
            "privileges",
            "a rehearsal failed: permission denied",
        ),
    ],
)
def test_a_fault_of_the_schema_is_named(migrated: str, statement: str, name: str, found: str) -> None:
    with Database(migrated) as database:
        world = World(database, new_tenant(database))
        world.write(weekly(1))
        world.run(MONDAY, 14)
        world.sql("update scheduling.generation_runs set finished_at = :at where tenant_id = :tenant_id", at=NOW)
        may = date(2027, 5, 3)
        assert faults(world, until=may) == {}
        execute(migrated, statement)
        result = faults(world, until=may)
    assert list(result) == [name]
    assert found in result[name]


@pytest.fixture
def stranger(migrated: str) -> Iterator[str]:
    """The URL of a login without any role of the library."""
    execute(migrated, "drop role if exists stranger_to_the_job", "create role stranger_to_the_job login")
    execute(migrated, "grant scheduler_app to stranger_to_the_job")
    yield as_login(migrated, "stranger_to_the_job")
    execute(migrated, "drop role stranger_to_the_job")


def test_the_wrong_role_is_a_fault_with_its_remedy(migrated: str, stranger: str) -> None:
    with Database(migrated) as owner, Database(stranger) as database:
        (check,) = checks_of(database, Night(new_tenant(owner), MONDAY, UNTIL, NOW))
    assert (check.name, check.outcome) == ("privileges", Outcome.WRONG)
    assert "grant scheduler_job to stranger_to_the_job" in check.found


def test_the_free_space_is_unknown_to_a_login_that_may_not_ask(migrated: str) -> None:
    execute(migrated, "drop role if exists asks_for_the_disk")
    execute(migrated, "create role asks_for_the_disk login in role scheduler_job")
    try:
        with Database(migrated) as owner, Database(as_login(migrated, "asks_for_the_disk")) as database:
            *_, disk = checks_of(database, Night(new_tenant(owner), MONDAY, UNTIL, NOW))
        assert (disk.name, disk.outcome) == ("disk", Outcome.UNKNOWN)
    finally:
        execute(migrated, "drop role asks_for_the_disk")


def test_the_command_prints_a_line_for_each_check_and_has_its_exit_code(migrated: str) -> None:
    with Database(migrated) as database:
        world = World(database, new_tenant(database))
        world.write(weekly(1))
        ((slug,),) = world.sql("select slug from identity.tenants where id = :tenant_id")
        good = run(migrated, "preflight", "--tenant", slug)
        assert (good.code, good.err, [line[8:].partition(":")[0] for line in good.out.splitlines()]) == (0, "", NAMES)
        world.run(MONDAY, 1)
        world.sql("update scheduling.schedule_states set last_error = 'a bad rule' where tenant_id = :tenant_id")
        bad = run(migrated, "preflight", "--all-tenants", "--days", "3")
        assert (bad.code, bad.err) == (
            EXIT_CODES[NightAtRiskError],
            f"error: 1 fault before the night of {slug}\n",
        )
        assert f"{slug}: wrong   schedules: 1 schedule failed or is parked: a bad rule -> correct the rows" in bad.out
        as_json = json.loads(run(migrated, "preflight", "--tenant", slug, "--json").out)
        assert [check["name"] for check in as_json["tenants"][slug]] == NAMES
    assert run(migrated, "preflight", "--as", "job", "--days", "3").code == 2
    assert run(migrated, "preflight", "--tenant", "nobody").code == 3
