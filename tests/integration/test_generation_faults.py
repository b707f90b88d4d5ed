"""Interruptions of the command `scheduler generate`: its exit codes and lines, and what the next run finds (R4).

Faults in the middle of a night, and what they must not change, are in `test_night_faults`.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path

import psycopg
import pytest

from scheduler.postgres.database import Database
from support.cli import run
from support.databases import new_tenant
from support.night_jobs import SCHEDULES_PER_BATCH, Job, Setup, as_it_is
from support.nights import Night, sessions, wait_until
from support.worlds.generation import MONDAY, World, expected, weekly

pytestmark = pytest.mark.database

DAYS = 14
LEFT = 2
"""The schedules beyond the first batch."""
SCHEDULES = tuple(weekly(doctor, 1 + doctor // 8) for doctor in range(1, SCHEDULES_PER_BATCH + LEFT + 1))
FIRST_BATCH = SCHEDULES[:SCHEDULES_PER_BATCH]


@pytest.fixture(scope="module")
def looker(database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="module", autouse=True)
def months(database: Database) -> None:
    """Make the months, which would wait for the lock of a test before its run begins."""
    World(database, new_tenant(database)).run(count=DAYS, tzdata_version=None)


@pytest.fixture
def night(database: Database, database_url: str, tmp_path: Path) -> Night:
    """The first night of a tenant, with two batches."""
    world = World(database, new_tenant(database))
    world.write(*SCHEDULES)
    return Night(world, database_url, tmp_path)


@contextmanager
def held_up(night: Night, looker: psycopg.Connection, *options: str, setup: Setup = as_it_is) -> Iterator[Job]:
    """Start a job that waits in its first batch for a lock on the table of slots."""
    with psycopg.connect(night.url) as blocker:
        blocker.execute("lock table scheduling.availability_slots in access exclusive mode")
        job = night.start(*options, setup=setup)
        wait_until(lambda: bool(sessions(looker, "wait_event_type = 'Lock'")))
        yield job


def test_r4_a_connection_ended_by_the_server_is_one_line_and_exit_code_5(
    night: Night, looker: psycopg.Connection
) -> None:
    with held_up(night, looker, "--attempts", "1") as job:
        for pid in sessions(looker):
            looker.execute("select pg_terminate_backend(%s)", (pid,))
        assert job.end() == 5
    (line,) = job.lines()
    assert line.startswith("error: no connection to the database")
    assert night.world.slots() == set()
    night.run()
    assert night.world.slots() == expected(SCHEDULES, MONDAY, DAYS)


def interrupt(night: Night, looker: psycopg.Connection, number: signal.Signals, setup: Setup) -> None:
    with held_up(night, looker, setup=setup) as job:
        job.send(number)
        if number == signal.SIGTERM:  # one alone lets the batch end
            time.sleep(0.2)
            job.send(number)
        assert job.end() == 128 + number
    assert job.lines() == ["interrupted: whole batches stay, nothing is half-written"]
    assert night.world.slots() == set()
    assert night.statuses() == ["interrupted"]
    night.run()
    assert night.world.slots() == expected(SCHEDULES, MONDAY, DAYS)


def not_cancelled() -> None:
    """Let the server not cancel a statement in time: the driver logs that, and closes the connection."""

    def too_late(*_: object, **__: object) -> None:
        raise TimeoutError

    psycopg.Connection._try_cancel = too_late  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("number", "setup"),
    [(signal.SIGINT, not_cancelled), (signal.SIGTERM, as_it_is)],
    ids=["ctrl-c, not cancelled", "terminated twice"],
)
def test_r4_an_interruption_is_one_line_and_its_exit_code(
    night: Night, looker: psycopg.Connection, number: signal.Signals, setup: Setup
) -> None:
    interrupt(night, looker, number, setup)


@pytest.mark.deep
@pytest.mark.parametrize("setup", [as_it_is, not_cancelled] * 15)
def test_r4_many_interruptions_are_one_line_and_exit_code_130(
    night: Night, looker: psycopg.Connection, setup: Setup
) -> None:
    interrupt(night, looker, signal.SIGINT, setup)


def test_r4_a_terminated_job_ends_after_its_batch(night: Night, looker: psycopg.Connection) -> None:
    with held_up(night, looker) as job:
        job.send(signal.SIGTERM)
    assert (job.end(), json.loads(job.out.read_text())["schedules_left"]) == (143, LEFT)
    assert job.lines() == [f"error: terminated after the batch in progress: {LEFT} schedules are left to the next run"]
    assert night.world.slots() == expected(FIRST_BATCH, MONDAY, DAYS)
    assert night.statuses() == ["interrupted"]
    night.run()
    assert night.world.slots() == expected(SCHEDULES, MONDAY, DAYS)


def test_r4_a_job_whose_time_is_up_ends_after_its_batch(
    night: Night, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look at the clock takes half an hour: the first batch begins in time, the second one does not."""
    monkeypatch.setattr("scheduler.generation.planning.SCHEDULES_PER_BATCH", SCHEDULES_PER_BATCH)
    monkeypatch.setattr("scheduler.cli.ending.monotonic", partial(next, count(0, 1800)))
    when = "--from", str(MONDAY), "--days", str(DAYS), "--max-duration", "1h"
    result = run(database_url, "generate", "--tenant", str(night.world.tenant_id), *when)
    assert (result.code, result.lines) == (13, [f"error: the time is up: {LEFT} schedules are left to the next run"])
    assert f"  {LEFT} schedules are left to the next run" in result.out.splitlines()
    assert night.world.slots() == expected(FIRST_BATCH, MONDAY, DAYS)
    assert night.statuses() == ["interrupted"]


def no_room(descriptor: int) -> None:
    os.dup2(os.open("/dev/full", os.O_WRONLY), descriptor)


def closed_pipe() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    os.dup2(writer, 1)


LOST = "error: all is done, but output could not be written: No space left on device"


@pytest.mark.parametrize(
    ("setup", "lines"),
    [(partial(no_room, 2), []), (partial(no_room, 1), [LOST]), (closed_pipe, [])],
    ids=["errors full", "output full", "output closed"],
)
def test_output_that_cannot_be_written_stops_no_run(night: Night, setup: Setup, lines: list[str]) -> None:
    """The job stopped after its first batch, every night at the same place."""
    job = night.start(setup=setup)
    assert (job.end(), job.lines()) == (9, lines)
    assert night.world.slots() == expected(SCHEDULES, MONDAY, DAYS)


@pytest.mark.deep
def test_a_new_process_ends_well_without_its_output(night: Night) -> None:
    """The interpreter writes once more at its end."""
    arguments = ["generate", "--tenant", str(night.world.tenant_id), "--from", str(MONDAY), "--days", str(DAYS)]
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [sys.executable, "-c", "from scheduler.cli import main; main()", *arguments],
            env=os.environ | {"SCHEDULER_DATABASE_URL": night.url},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (result.returncode, result.stderr.splitlines()[-1]) == (9, LOST)
    assert night.world.slots() == expected(SCHEDULES, MONDAY, DAYS)
