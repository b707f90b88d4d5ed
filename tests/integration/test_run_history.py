"""Run history: a run that ended early is interrupted, also if it was killed and could not say so."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from scheduler.models.scheduling.generation import RUN_COUNTS
from scheduler.postgres.database import Database, Role
from scheduler.postgres.errors import DatabaseUnreachableError, StatementError
from scheduler.postgres.run_history import add_to_run, latest_runs
from support.worlds.generation import World, weekly

pytestmark = pytest.mark.database

STORED = "select status, finished_at is null from scheduling.generation_runs where tenant_id = :tenant_id order by id"


@pytest.fixture
def world(database: Database, tenant_id: UUID) -> World:
    world = World(database, tenant_id)
    world.write(weekly(1))
    return world


def shown(world: World) -> list[str]:
    with world.database.unit_of_work(role=Role.JOB, tenant_id=world.tenant_id) as session:
        runs = latest_runs(session, most=5)
    return [run.status for run in runs if (run.finished_at is None) == (run.status == "running")]


@pytest.mark.parametrize("error", [KeyboardInterrupt, DatabaseUnreachableError("lost"), RuntimeError])
def test_a_run_that_ends_early_is_interrupted(world: World, monkeypatch: pytest.MonkeyPatch, error: Any) -> None:
    def interrupted(*_: object) -> None:
        raise error

    monkeypatch.setattr("scheduler.generation.batches.apply", interrupted)
    with pytest.raises(type(error) if isinstance(error, Exception) else error):
        world.run()
    assert world.sql(STORED) == [("interrupted", False)]


def killed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the row of a run as a kill leaves it."""
    with monkeypatch.context() as patched:
        patched.setattr("scheduler.generation.job.finish_run", lambda *_: None)
        world.run(count=1)


def test_a_killed_run_is_shown_as_interrupted_once_it_is_silent(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    killed(world, monkeypatch)
    assert shown(world) == ["running"]
    monkeypatch.setattr("scheduler.postgres.run_history.SILENCE", timedelta(0))
    assert shown(world) == ["interrupted"]
    assert world.sql(STORED) == [("running", True)]


def test_the_next_run_records_that_a_silent_run_was_interrupted(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    killed(world, monkeypatch)
    world.run()
    assert world.sql(STORED) == [("running", True), ("succeeded", False)]
    monkeypatch.setattr("scheduler.postgres.run_history.SILENCE", timedelta(0))
    world.run()
    assert world.sql(STORED) == [("interrupted", False), ("succeeded", False), ("succeeded", False)]


def test_a_slow_run_that_was_taken_for_interrupted_runs_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    killed(world, monkeypatch)
    monkeypatch.setattr("scheduler.postgres.run_history.SILENCE", timedelta(0))
    world.run()
    with world.database.unit_of_work(role=Role.JOB, tenant_id=world.tenant_id) as session:
        add_to_run(session, latest_runs(session, most=2)[-1].id or 0, dict.fromkeys(RUN_COUNTS, 0))
    assert world.sql(STORED)[0] == ("running", True)


def out_of_time(world: World) -> None:
    with world.database.unit_of_work(role=Role.JOB, tenant_id=world.tenant_id) as session:
        session.execute(text("set local statement_timeout = '10ms'"))
        session.execute(text("select pg_catalog.pg_sleep(9)"))


def test_a_statement_that_ran_out_of_time_says_so(world: World) -> None:
    with pytest.raises(StatementError, match="cancelled a statement: canceling statement due to statement timeout"):
        out_of_time(world)
