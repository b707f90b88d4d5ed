"""Executors of the nightly job: they store what a plain loop stores, also if a worker of them dies."""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from multiprocessing import get_context
from typing import Any

import pytest
from distributed import Client, LocalCluster

from scheduler.generation import sending
from scheduler.generation.errors import WorkersLostError
from scheduler.generation.job import generate
from scheduler.generation.report import Report
from scheduler.generation.request import GenerationRequest, Mode
from scheduler.postgres.database import Database
from support.cli import run as run_command
from support.databases import new_tenant
from support.worlds.generation import MONDAY, NOW, World, weekly

pytestmark = pytest.mark.database

SCHEDULES = tuple(weekly(doctor, 1 + doctor // 8) for doctor in range(1, 41))
INVALID = (
    "update scheduling.availability_rules set recurrence = 'FREQ=NONSENSE'"
    " where doctor_id = 3 and tenant_id = :tenant_id"
)
STATUS = "select status from scheduling.generation_runs where tenant_id = :tenant_id order by id"
DAYS = 14
KEYS_PER_BATCH = 4


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scheduler.generation.planning.SCHEDULES_PER_BATCH", KEYS_PER_BATCH)


def a_world(database: Database) -> World:
    """Return a tenant, one of whose schedules is invalid."""
    world = World(database, new_tenant(database))
    world.write(*SCHEDULES)
    world.sql(INVALID)
    return world


def run(world: World, executor: Executor | None = None, mode: Mode = Mode.WRITE, **options: Any) -> Report:
    last = MONDAY + timedelta(days=DAYS)
    request = GenerationRequest(world.tenant_id, MONDAY, last, now=NOW, tzdata_version="2026a", mode=mode)
    return generate(world.database, request, executor=executor, **options)


@pytest.fixture(scope="module")
def plain(database: Database) -> tuple[Report, str]:
    """The report and the digest of a plain loop."""
    world = a_world(database)
    report = run(world)
    return report, world.digest()


@contextmanager
def threads() -> Iterator[Executor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool
    sending.close_databases()


def processes() -> AbstractContextManager[Executor]:
    return ProcessPoolExecutor(2, mp_context=get_context("spawn"))


@pytest.mark.parametrize("opened", [threads, processes])
def test_r4_an_executor_stores_and_counts_what_a_plain_loop_does(
    database: Database, plain: tuple[Report, str], opened: Any
) -> None:
    world = a_world(database)
    steps: list[tuple[int, int, int]] = []
    with opened() as executor:
        dry = run(world, executor, Mode.DRY)
        report = run(world, executor, progress=lambda *counts: steps.append(counts))
    assert world.digest() == plain[1]
    assert report.result == plain[0].result == dry.result
    assert [failure.key.doctor_id for failure in report.result.schedules_failed] == [3]
    assert [done for done, _, _ in steps] == list(range(KEYS_PER_BATCH, len(SCHEDULES) + 1, KEYS_PER_BATCH))
    assert world.sql(STATUS) == [("failed",)]


def test_r4_a_killed_process_of_a_pool_leaves_the_rest_to_the_next_run(
    database: Database, plain: tuple[Report, str]
) -> None:
    world = a_world(database)
    with processes() as pool:
        workers = [pool.submit(os.getpid).result()]
        with pytest.raises(WorkersLostError) as raised:
            run(world, pool, in_flight=4, progress=lambda *_: kill(workers))
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__
    assert world.sql(STATUS) == [("interrupted",)]
    run(world)
    assert world.digest() == plain[1]


def kill(workers: list[int]) -> None:
    """Kill a worker, and forget it."""
    if workers:
        os.kill(workers.pop(), signal.SIGKILL)


@contextmanager
def cluster() -> Iterator[Client]:
    with (
        LocalCluster(  # type: ignore[no-untyped-call]
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None
        ) as local,
        Client(local, set_as_default=False) as client,  # type: ignore[no-untyped-call]
    ):
        yield client


def kill_a_worker_of_dask(database: Database, client: Client, digest: str, *, after: int) -> None:
    """Kill one of two workers after some batches: the cluster does its batch again with the other one."""
    world = a_world(database)
    workers = [*client.run(os.getpid).values()][:1]
    report = run(
        world,
        client.get_executor(),  # type: ignore[no-untyped-call]
        in_flight=4,
        progress=lambda done, *_: kill(workers) if done >= after * KEYS_PER_BATCH else None,
    )
    assert workers == []
    if report.result.schedules_locked:  # by the killed worker, whose transaction the server had not ended yet
        run(world)
    assert world.digest() == digest


def test_r4_a_dask_cluster_with_a_killed_worker_stores_the_same_slots(
    database: Database, database_url: str, plain: tuple[Report, str]
) -> None:
    with cluster() as client:
        kill_a_worker_of_dask(database, client, plain[1], after=2)
        world = a_world(database)
        days = "--from", str(MONDAY), "--days", str(DAYS)
        workers = "--executor", "dask", "--address", str(client.scheduler_info()["address"])
        result = run_command(database_url, "generate", "--tenant", str(world.tenant_id), *days, *workers)
    assert (result.code, result.lines[-1]) == (1, "error: 1 of 40 schedules failed")
    assert world.digest() == plain[1]


@pytest.mark.deep
@pytest.mark.parametrize("after", range(1, 9))
def test_r4_a_dask_cluster_loses_a_worker_at_any_batch(
    database: Database, plain: tuple[Report, str], after: int
) -> None:
    with cluster() as client:
        kill_a_worker_of_dask(database, client, plain[1], after=after)


@pytest.mark.deep
def test_r4_a_pool_killed_at_any_batch_leaves_the_rest_to_the_next_run(
    database: Database, plain: tuple[Report, str]
) -> None:
    # A pool tells of a death while it has a batch to do: after the last but one, it may have none.
    for after in range(1, len(SCHEDULES) // KEYS_PER_BATCH - 1):
        world = a_world(database)
        with processes() as pool:
            workers = [pool.submit(os.getpid).result()]
            with pytest.raises(WorkersLostError):
                run(
                    world,
                    pool,
                    in_flight=2,
                    progress=lambda done, *_, w=workers, a=after: kill(w) if done >= a * KEYS_PER_BATCH else None,
                )
        run(world)
        assert world.digest() == plain[1]
