"""Interruptions of the nightly job: after a kill at any moment, the next run completes the work (R4)."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from random import Random
from typing import Any
from uuid import UUID

import psycopg
import pytest
from sqlalchemy import make_url

from scheduler.core.schedules import Schedule
from scheduler.generation.planning import DAYS_PER_BATCH
from scheduler.postgres.database import Database
from support.cli import run
from support.databases import new_tenant
from support.worlds.generation import MONDAY, World, expected, weekly

pytestmark = pytest.mark.database

SCHEDULES = tuple(weekly(doctor, 1 + doctor // 8) for doctor in range(1, 97))
DAYS = 14
SCHEDULES_OF_A_BATCH = DAYS_PER_BATCH // 90
"""The schedules of a batch of a run over 90 days."""
VICTIM = "victim"


def a_world(database: Database, *schedules: Schedule) -> World:
    world = World(database, new_tenant(database))
    world.write(*schedules)
    return world


def as_victim(url: str) -> str:
    named = make_url(url).update_query_dict({"application_name": VICTIM})
    return named.render_as_string(hide_password=False)


def job(url: str, tenant_id: UUID, before: str = "", *more: str) -> "subprocess.Popen[str]":
    """Start the real command, after a statement of Python."""
    # A shell ignores SIGINT in background jobs, and children inherit that: restore the default handler.
    listen = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    program = f"{listen}\n{before}\nfrom scheduler.cli import main; main()"
    arguments = ["generate", "--tenant", str(tenant_id), "--from", str(MONDAY), "--days", str(DAYS), "--json"]
    arguments += more
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        env=os.environ | {"SCHEDULER_DATABASE_URL": as_victim(url)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_to_the_end(world: World) -> None:
    """Run the job once more without interruption, with the time zone data of the command."""
    world.run(count=DAYS, tzdata_version=None)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def sessions(connection: psycopg.Connection, where: str = "true") -> list[int]:
    rows = connection.execute(
        f"select pid from pg_stat_activity where application_name = '{VICTIM}' and ({where})".encode()
    )
    return [pid for (pid,) in rows]


def runs(connection: psycopg.Connection, tenant_id: UUID) -> int:
    counted = connection.execute("select count(*) from scheduling.generation_runs where tenant_id = %s", (tenant_id,))
    return int(counted.fetchone()[0])  # type: ignore[index]  # a count is one row


@pytest.fixture(scope="module")
def looker(database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url, autocommit=True) as connection:
        yield connection


@pytest.fixture(scope="module")
def undisturbed(database: Database) -> str:
    """The digest of the stored slots after a run without interruption."""
    world = a_world(database, *SCHEDULES)
    run_to_the_end(world)
    assert world.slots() == expected(SCHEDULES, MONDAY, DAYS)
    return world.digest()


def kill_at_random(database: Database, looker: psycopg.Connection, url: str, undisturbed: str, seed: int) -> None:
    world = a_world(database, *SCHEDULES)
    process = job(url, world.tenant_id)
    wait_until(lambda: runs(looker, world.tenant_id) == 1)
    time.sleep(Random(seed).uniform(0, 0.4))  # noqa: S311  # a moment, not a secret
    process.kill()
    process.communicate()
    wait_until(lambda: not sessions(looker))  # its last statement may still be at work
    run_to_the_end(world)
    assert world.digest() == undisturbed


@pytest.mark.parametrize("seed", range(2))
def test_r4_after_a_kill_the_next_run_stores_the_same_slots(
    database: Database, looker: psycopg.Connection, database_url: str, undisturbed: str, seed: int
) -> None:
    kill_at_random(database, looker, database_url, undisturbed, seed)


@pytest.mark.deep
@pytest.mark.parametrize("seed", range(100, 130))
def test_r4_after_many_kills_the_next_run_stores_the_same_slots(
    database: Database, looker: psycopg.Connection, database_url: str, undisturbed: str, seed: int
) -> None:
    kill_at_random(database, looker, database_url, undisturbed, seed)


def test_r4_after_two_kills_in_a_row_the_next_run_stores_the_same_slots(
    database: Database, looker: psycopg.Connection, database_url: str, undisturbed: str
) -> None:
    """The job is killed twice, each time after its first batch."""
    world = a_world(database, *SCHEDULES)
    for _ in range(2):
        process = job(database_url, world.tenant_id)
        assert process.stderr is not None
        process.stderr.readline()
        process.kill()
        process.communicate()
    wait_until(lambda: not sessions(looker))
    run_to_the_end(world)
    assert world.digest() == undisturbed


def test_r4_workers_end_with_their_killed_job(
    database: Database, looker: psycopg.Connection, database_url: str, undisturbed: str
) -> None:
    world = a_world(database, *SCHEDULES)
    process = job(database_url, world.tenant_id, "", "--workers", "2")
    assert process.stderr is not None
    process.stderr.readline()
    assert sessions(looker)
    process.kill()
    process.communicate(timeout=60)  # they have its standard error, too
    wait_until(lambda: not sessions(looker))
    run_to_the_end(world)
    assert world.digest() == undisturbed


def test_r4_three_concurrent_jobs_store_the_slots_of_one_job(
    database: Database, database_url: str, undisturbed: str
) -> None:
    world = a_world(database, *SCHEDULES)
    jobs = [job(database_url, world.tenant_id) for _ in range(3)]
    outputs = [process.communicate() for process in jobs]
    assert [process.returncode for process in jobs] == [0, 0, 0]
    assert world.digest() == undisturbed
    assert sum(json.loads(out)["slots_created"] for out, _ in outputs) == len(world.slots())


@contextmanager
def held_up(
    url: str, looker: psycopg.Connection, tenant_id: UUID, before: str = "", *options: str
) -> Iterator["subprocess.Popen[str]"]:
    """Start a job that waits in its first batch for a lock on the table of slots."""
    with psycopg.connect(url) as blocker:
        blocker.execute("lock table scheduling.availability_slots in access exclusive mode")
        process = job(url, tenant_id, before, *options)
        wait_until(lambda: bool(sessions(looker, "wait_event_type = 'Lock'")))
        yield process


def last_lines(process: "subprocess.Popen[str]") -> list[str]:
    """Return the lines on standard error that are not log lines."""
    _, err = process.communicate(timeout=20)
    return [line for line in err.splitlines() if not line.startswith("{")]


def test_r4_a_connection_ended_by_the_server_is_one_line_and_exit_code_5(
    database: Database, looker: psycopg.Connection, database_url: str
) -> None:
    world = a_world(database, *SCHEDULES[:5])
    with held_up(database_url, looker, world.tenant_id, "", "--attempts", "1") as process:
        for pid in sessions(looker):
            looker.execute("select pg_terminate_backend(%s)", (pid,))
        (line,) = last_lines(process)
    assert process.returncode == 5
    assert line.startswith("error: no connection to the database")
    assert world.slots() == set()
    run_to_the_end(world)
    assert world.slots() == expected(SCHEDULES[:5], MONDAY, DAYS)


def test_r4_a_job_goes_on_after_the_server_has_ended_its_connection(
    database: Database, looker: psycopg.Connection, database_url: str
) -> None:
    world = a_world(database, *SCHEDULES[:5])
    run_to_the_end(a_world(database))  # makes the months, which would wait for the lock before the run begins
    with held_up(database_url, looker, world.tenant_id) as process:
        (pid,) = sessions(looker)
        looker.execute("select pg_terminate_backend(%s)", (pid,))
        wait_until(lambda: bool(set(sessions(looker, "wait_event_type = 'Lock'")) - {pid}))
    assert (last_lines(process), process.returncode) == ([], 0)
    assert world.slots() == expected(SCHEDULES[:5], MONDAY, DAYS)


def interrupt(database: Database, looker: psycopg.Connection, url: str, number: signal.Signals, before: str) -> None:
    world = a_world(database, *SCHEDULES[:5])
    run_to_the_end(a_world(database))  # makes the months, which would wait for the lock before the run begins
    with held_up(url, looker, world.tenant_id, before) as process:
        process.send_signal(number)
        if number == signal.SIGTERM:  # one alone lets the batch end
            time.sleep(0.2)
            process.send_signal(number)
        lines = last_lines(process)
    assert (process.returncode, lines) == (128 + number, ["interrupted: whole batches stay, nothing is half-written"])
    assert world.slots() == set()
    status = "select status from scheduling.generation_runs where tenant_id = :tenant_id"
    assert world.sql(status) == [("interrupted",)]
    run_to_the_end(world)
    assert world.slots() == expected(SCHEDULES[:5], MONDAY, DAYS)


# On a busy machine the server does not cancel the statement in time: the driver logs that, and closes the connection.
NOT_CANCELLED = """
import psycopg
def too_late(*_, **__): raise TimeoutError
psycopg.Connection._try_cancel = too_late
"""


@pytest.mark.parametrize(
    ("number", "before"),
    [(signal.SIGINT, NOT_CANCELLED), (signal.SIGTERM, "")],
    ids=["ctrl-c, not cancelled", "terminated twice"],
)
def test_r4_an_interruption_is_one_line_and_its_exit_code(
    database: Database, looker: psycopg.Connection, database_url: str, number: signal.Signals, before: str
) -> None:
    interrupt(database, looker, database_url, number, before)


def test_r4_a_terminated_job_ends_after_its_batch(
    database: Database, looker: psycopg.Connection, database_url: str
) -> None:
    schedules = SCHEDULES[: SCHEDULES_OF_A_BATCH + 6]
    world = a_world(database, *schedules)
    a_world(database).run(count=90)  # makes the months
    with held_up(database_url, looker, world.tenant_id, "", "--days", "90") as process:
        process.send_signal(signal.SIGTERM)
        time.sleep(0.2)
    out, err = process.communicate(timeout=60)
    (line,) = [line for line in err.splitlines() if not line.startswith("{")]
    assert (process.returncode, json.loads(out)["schedules_left"]) == (143, 6)
    assert line == "error: terminated after the batch in progress: 6 schedules are left to the next run"
    assert world.slots() == expected(schedules[:SCHEDULES_OF_A_BATCH], MONDAY, 90)
    assert world.sql("select status from scheduling.generation_runs where tenant_id = :tenant_id") == [("interrupted",)]
    world.run(count=90, tzdata_version=None)
    assert world.slots() == expected(schedules, MONDAY, 90)


def test_r4_a_job_whose_time_is_up_ends_after_its_batch(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look at the clock takes half an hour: the first batch begins in time, the second one does not."""
    schedules = SCHEDULES[: SCHEDULES_OF_A_BATCH + 6]
    world = a_world(database, *schedules)
    monkeypatch.setattr("scheduler.cli.ending.monotonic", partial(next, count(0, 1800)))
    when = "--from", str(MONDAY), "--days", "90", "--max-duration", "1h"
    result = run(database_url, "generate", "--tenant", str(world.tenant_id), *when)
    assert (result.code, result.lines) == (13, ["error: the time is up: 6 schedules are left to the next run"])
    assert "  6 schedules are left to the next run" in result.out.splitlines()
    assert world.slots() == expected(schedules[:SCHEDULES_OF_A_BATCH], MONDAY, 90)
    assert world.sql("select status from scheduling.generation_runs where tenant_id = :tenant_id") == [("interrupted",)]


@pytest.mark.deep
@pytest.mark.parametrize("before", ["", NOT_CANCELLED] * 15)
def test_r4_many_interruptions_are_one_line_and_exit_code_130(
    database: Database, looker: psycopg.Connection, database_url: str, before: str
) -> None:
    interrupt(database, looker, database_url, signal.SIGINT, before)


def full() -> int:
    return os.open("/dev/full", os.O_WRONLY)


def closed_pipe() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


@pytest.mark.parametrize(("stream", "opened"), [("stderr", full), ("stdout", full), ("stdout", closed_pipe)])
def test_output_that_cannot_be_written_stops_no_run(
    database: Database, database_url: str, stream: str, opened: Callable[[], int]
) -> None:
    """The job stopped after its first batch, every night at the same place."""
    schedules = SCHEDULES[: SCHEDULES_OF_A_BATCH + 1]
    world = a_world(database, *schedules)
    descriptor = opened()
    streams: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE} | {stream: descriptor}
    arguments = ["generate", "--tenant", str(world.tenant_id), "--from", str(MONDAY), "--days", "90"]
    result = subprocess.run(
        [sys.executable, "-c", "from scheduler.cli import main; main()", *arguments],
        env=os.environ | {"SCHEDULER_DATABASE_URL": database_url},
        text=True,
        check=False,
        **streams,
    )
    os.close(descriptor)
    assert (result.returncode, world.slots()) == (9, expected(schedules, MONDAY, 90))
    last = (result.stderr or "").splitlines()[-1:]
    lost = ["error: all is done, but output could not be written: No space left on device"]
    assert (last == lost) == ((stream, opened) == ("stdout", full))
