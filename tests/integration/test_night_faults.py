"""Disturbed nights: they end as an undisturbed one, and touch no slot in use (R4, R2).

Each kind of fault is also tried on a wrong implementation, which its check has to notice.
"""

import os
import signal
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from datetime import time as clock
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest

from scheduler.core.schedules import AvailabilityRule, Schedule
from scheduler.generation import batches
from scheduler.postgres.database import Database
from scheduler.postgres.errors import DatabaseUnreachableError
from support.databases import execute, new_tenant
from support.night_jobs import (
    Job,
    Setup,
    as_it_is,
    checkpoints_first,
    counts_first,
    days_of_24_hours,
    forgets_bookings,
    forgets_late_bookings,
    one_schedule_a_batch,
)
from support.nights import (
    NINE,
    POINTS,
    Night,
    Outcome,
    gate_at,
    sessions,
    undisturbed_night,
    wait_until,
)
from support.worlds.generation import World, expected

pytestmark = pytest.mark.database

PASSAGES = tuple(one for one in product(POINTS, (1, 2, 3)) if one not in {("run begun", 2), ("run begun", 3)})
"""Deep: each point in several batches."""


@pytest.fixture(scope="module")
def new_night(database: Database, database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Night]:
    files: Path = tmp_path_factory.mktemp("jobs")
    return lambda: Night.of_a_clinic(database, database_url, files)


@pytest.fixture
def night(new_night: Callable[[], Night]) -> Night:
    return new_night()


@pytest.fixture(scope="module")
def undisturbed(new_night: Callable[[], Night]) -> Outcome:
    return undisturbed_night(new_night())


def fails(check: Callable[..., object], *given: Any, setup: Setup) -> None:
    """Hold that a check notices a wrong implementation."""
    with pytest.raises(AssertionError) as raised:
        check(*given, setup=setup)
    assert "never came" not in str(raised.value)
    assert "does not happen" not in str(raised.value)


def kill_at(
    night: Night, undisturbed: Outcome, point: str, passage: int = 1, *more: str, setup: Setup = as_it_is
) -> None:
    with gate_at(night.url, point, passage=passage) as gate:
        job = night.start(*more, setup=setup)
        gate.wait(job)
        job.kill()
    night.finish(undisturbed)


@pytest.mark.parametrize("point", ["checkpoints saved", "commit sent"])
def test_r4_after_a_kill_at_a_point_the_next_run_does_the_rest(night: Night, undisturbed: Outcome, point: str) -> None:
    kill_at(night, undisturbed, point)


def test_r4_a_kill_between_two_transactions_of_a_batch_would_be_noticed(night: Night, undisturbed: Outcome) -> None:
    fails(kill_at, night, undisturbed, "slots created", setup=checkpoints_first)


@pytest.mark.deep
@pytest.mark.parametrize(("point", "passage"), PASSAGES)
def test_r4_after_a_kill_in_any_batch_the_next_run_does_the_rest(
    night: Night, undisturbed: Outcome, point: str, passage: int
) -> None:
    kill_at(night, undisturbed, point, passage)


def kill_at_random(night: Night, undisturbed: Outcome, moment: Random, longest: float, *more: str) -> int:
    """Kill up to three runs in a row, each some time after it began; return how many were alive."""
    killed = 0
    for _ in range(moment.randint(1, 3)):
        runs = len(night.statuses())
        job = night.start(*more)
        wait_until(lambda: len(night.statuses()) > runs)  # noqa: B023  # called at once
        time.sleep(moment.uniform(0, longest))
        job.kill()
        killed += job.end() == -signal.SIGKILL
    night.finish(undisturbed)
    return killed


def test_r4_after_kills_at_random_the_next_run_does_the_rest(night: Night, undisturbed: Outcome) -> None:
    kill_at_random(night, undisturbed, Random(), 0.2)  # noqa: S311  # a moment, not a secret


@pytest.mark.deep
@pytest.mark.parametrize("more", [(), ("--workers", "2")], ids=["one process", "two workers"])
def test_r4_after_sixty_kills_at_random_the_next_runs_do_the_rest(
    new_night: Callable[[], Night], undisturbed: Outcome, more: tuple[str, ...]
) -> None:
    """The longest pause follows the machine, so that about half of the jobs are alive."""
    moment, killed, longest, aim = Random(14), 0, 0.4, 20 if more else 60  # noqa: S311  # as above
    while killed < aim:
        alive = kill_at_random(new_night(), undisturbed, moment, longest, *more)
        killed, longest = killed + alive, longest * (1.2 if alive else 0.7)


def terminate_at(
    night: Night, undisturbed: Outcome, point: str, passage: int = 1, *more: str, setup: Setup = as_it_is
) -> None:
    """End the session of the job at a point: the same run goes on with a new one."""
    with gate_at(night.url, point, passage=passage) as gate:
        job = night.start(*more, setup=setup)
        gate.wait(job)
        gate.terminate()
        assert (job.end(), job.lines()) == (0, [])
    night.check(undisturbed)
    assert night.statuses()[-1] == "succeeded"


def test_r4_a_run_begins_again_after_the_server_ended_its_session(night: Night, undisturbed: Outcome) -> None:
    terminate_at(night, undisturbed, "run begun")


@pytest.mark.deep
def test_r4_a_retry_that_counts_twice_would_be_noticed(night: Night, undisturbed: Outcome) -> None:
    fails(terminate_at, night, undisturbed, "slots created", setup=counts_first)


@pytest.mark.deep
@pytest.mark.parametrize(("point", "passage"), PASSAGES)
@pytest.mark.parametrize("more", [(), ("--workers", "2")], ids=["one process", "two workers"])
def test_r4_a_run_goes_on_wherever_the_server_ended_its_session(
    night: Night, undisturbed: Outcome, point: str, passage: int, more: tuple[str, ...]
) -> None:
    terminate_at(night, undisturbed, point, passage, *more)


def test_r4_a_batch_whose_commit_is_not_answered_counts_once(
    night: Night, undisturbed: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection ends after COMMIT and before its answer: the batch is repeated, and finds all done."""
    right, lost = batches._in_one_transaction, [True]

    def unanswered(*given: Any) -> Any:
        result = right(*given)
        if lost and lost.pop():
            raise DatabaseUnreachableError("no answer")
        return result

    monkeypatch.setattr("scheduler.generation.batches._in_one_transaction", unanswered)
    night.run(retry=_twice)
    assert lost == []
    night.check(undisturbed)


def _twice(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except DatabaseUnreachableError:
        return work()


@pytest.mark.deep
@pytest.mark.parametrize("more", [(), ("--workers", "2")], ids=["one process", "two workers"])
def test_r4_a_terminated_job_ends_after_its_batch_and_says_so(
    night: Night, undisturbed: Outcome, more: tuple[str, ...]
) -> None:
    with gate_at(night.url, "slots created") as gate:
        job = night.start(*more, setup=one_schedule_a_batch)
        gate.wait(job)
        job.send(signal.SIGTERM)
        gate.open()
        assert job.end() == 128 + signal.SIGTERM
    (line,) = job.lines()
    assert line.startswith("error: terminated after the batch in progress: ")
    assert night.statuses()[-1] == "interrupted"
    night.finish(undisturbed)


def children_of(job: Job) -> list[int]:
    """Return the workers of a job."""
    listed = Path(f"/proc/{job.pid}/task/{job.pid}/children").read_text().split()
    return [int(pid) for pid in listed if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


@pytest.mark.parametrize("victim", ["job", pytest.param("worker", marks=pytest.mark.deep)])
def test_r4_a_killed_job_or_worker_loses_no_slot(night: Night, undisturbed: Outcome, victim: str) -> None:
    """Workers end with their job; in the place of a lost worker, the job begins again with new ones."""
    with gate_at(night.url, "slots created", passage=2) as gate:
        job = night.start("--workers", "2")
        gate.wait(job)
        workers = children_of(job)
        if victim == "job":
            job.kill()
        else:
            os.kill(workers[0], signal.SIGKILL)
        gate.open()
        assert job.end() == (-signal.SIGKILL if victim == "job" else 0)
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in workers))
    assert len(workers) == 2
    if victim == "worker":
        assert "beginning again with new workers" in job.lines()[0]
        assert night.statuses()[1:] == ["interrupted", "succeeded"]
        night.check(undisturbed)
    night.finish(undisturbed)


def run_at_once(night: Night, undisturbed: Outcome, *more: str, setup: Setup = as_it_is) -> None:
    """Run five jobs, all of which wait in their first batch until the last has begun."""
    jobs: list[Job] = []
    with psycopg.connect(night.url) as blocker, psycopg.connect(night.url, autocommit=True) as looker:
        blocker.execute("lock table scheduling.schedule_states in access exclusive mode")
        jobs += [night.start(*more, setup=setup) for _ in range(5)]
        wait_until(lambda: len(sessions(looker, "wait_event_type = 'Lock'")) == 5)
    assert [job.end() for job in jobs] == [0] * 5
    night.check(undisturbed)


def test_r4_five_jobs_at_once_store_and_count_the_slots_of_one(night: Night, undisturbed: Outcome) -> None:
    run_at_once(night, undisturbed)


@pytest.mark.deep
def test_r4_jobs_that_count_what_another_does_would_be_noticed(night: Night, undisturbed: Outcome) -> None:
    fails(run_at_once, night, undisturbed, setup=counts_first)


def collide(night: Night, undisturbed: Outcome, *, setup: Setup = as_it_is) -> None:
    """Let a session wait for a slot that the job retires, and the job for one of the session."""
    key = "from scheduling.availability_slots where tenant_id = %s and doctor_id = %s and start_at = %s for update"
    execute(night.url, f"alter database {night.database_name} set deadlock_timeout = '10ms'")
    try:
        with (
            psycopg.connect(night.url) as other,
            ThreadPoolExecutor(1) as thread,
            gate_at(night.url, "slots retired") as gate,
        ):
            other.execute("set deadlock_timeout = '1h'")  # so that the server ends the job's transaction
            other.execute(f"select 1 {key}".encode(), (night.world.tenant_id, 2, NINE + timedelta(minutes=30)))
            job = night.start("--log", "json", setup=setup)
            gate.wait(job)
            retired = night.world.tenant_id, 1, NINE + timedelta(minutes=30)
            waiting = thread.submit(other.execute, f"select 1 {key}".encode(), retired)
            pid = other.info.backend_pid
            wait_until(lambda: bool(blockers(gate.keeper, pid)))
            gate.open()
            waiting.result(60)
            other.rollback()
            assert job.end() == 0
        assert '"40P01"' in job.err.read_text()
    finally:
        execute(night.url, f"alter database {night.database_name} reset deadlock_timeout")
    night.check(undisturbed)


def blockers(looker: psycopg.Connection, pid: int) -> list[int]:
    (found,) = looker.execute("select pg_blocking_pids(%s)", (pid,)).fetchone() or ([],)
    return list(found)


def test_r4_a_batch_that_a_deadlock_ended_is_done_again(night: Night, undisturbed: Outcome) -> None:
    collide(night, undisturbed)


@pytest.mark.deep
def test_r4_a_deadlock_that_counts_twice_would_be_noticed(night: Night, undisturbed: Outcome) -> None:
    fails(collide, night, undisturbed, setup=counts_first)


def book_meanwhile(night: Night, before: Night, *, setup: Setup = as_it_is) -> None:
    """Book one slot and hold another that the job is about to retire: as if that had been done before."""
    use_two_slots(before)
    before.run()
    with gate_at(night.url, "slots retired") as gate:
        job = night.start(setup=setup)
        gate.wait(job)
        use_two_slots(night)
        gate.open()
        assert (job.end(), job.lines()) == (0, [])
    assert len(night.before) == 5
    night.check(before.outcome())
    night.run()  # and it stays
    night.check(before.outcome())


def use_two_slots(night: Night) -> None:
    half_past = NINE + timedelta(minutes=30)
    night.world.book(half_past, doctor_id=2, number=2)
    night.world.touch(half_past, 3, status="reserved", reserved_until=datetime(2030, 1, 1, tzinfo=UTC))
    night.before = night.in_use()


def test_r2_a_slot_booked_during_the_night_is_not_retired(new_night: Callable[[], Night]) -> None:
    book_meanwhile(new_night(), new_night())


@pytest.mark.deep
@pytest.mark.parametrize("wrong", [forgets_late_bookings, forgets_bookings])
def test_r2_a_night_that_forgets_bookings_would_be_noticed(new_night: Callable[[], Night], wrong: Setup) -> None:
    fails(book_meanwhile, new_night(), new_night(), setup=wrong)


def clinic_of_nights(doctor_id: int, zone: str) -> Schedule:
    """Return a schedule of each night from ten to six, and of the hours after midnight."""
    common: dict[str, Any] = {
        "day_of_week": None,
        "recurrence": "FREQ=DAILY",
        "effective_from": date(2027, 1, 4),
        "slot_duration": timedelta(minutes=30),
    }
    rules = [
        AvailabilityRule(doctor_id * 10, start_time=clock(22), end_time=clock(6), **common),
        AvailabilityRule(doctor_id * 10 + 1, start_time=clock(0), end_time=clock(4), **common),
    ]
    return Schedule(doctor_id, doctor_id, zone, rules)


ZONES = ("Europe/London", "America/New_York", "Australia/Lord_Howe", "Pacific/Auckland", "America/Santiago")
CHANGES = {
    "London, forward": datetime(2027, 3, 28, 1, tzinfo=UTC),
    "London, back": datetime(2027, 10, 31, 1, tzinfo=UTC),
    "New York, forward": datetime(2027, 3, 14, 7, tzinfo=UTC),
    "Lord Howe, back by half an hour": datetime(2027, 4, 3, 15, tzinfo=UTC),
    "Santiago, forward at midnight": datetime(2027, 9, 5, 4, tzinfo=UTC),
}


def change_clocks(
    database: Database, url: str, files: Path, change: datetime, *nights: timedelta, setup: Setup = as_it_is
) -> None:
    """Run each night about the change for two more days, and kill each run once."""
    schedules = [clinic_of_nights(number, zone) for number, zone in enumerate(ZONES, 1)]
    world = World(database, new_tenant(database))
    world.write(*schedules)
    night = Night(world, url, files)
    last: date | None = None
    for now in (change + after for after in nights):
        days = "--from", now.date().isoformat(), "--days", "2"
        if now.date() != last:  # a second night of one date has nothing to do
            with gate_at(url, "checkpoints saved") as gate:
                job = night.start(*days, setup=setup, now=now)
                gate.wait(job)
                job.kill()
        last = now.date()
        wait_until(night.has_ended)
        assert night.start(*days, setup=setup, now=now).end() == 0
    first = (change + nights[0]).date()
    assert world.slots() == expected(schedules, first, (change + nights[-1]).date().toordinal() - first.toordinal() + 2)


DAY, SECOND = timedelta(days=1), timedelta(seconds=1)


def test_r4_killed_nights_of_a_clock_change_store_each_slot_once(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    change_clocks(database, database_url, tmp_path, CHANGES["London, back"], -SECOND)


@pytest.mark.deep
def test_r4_nights_of_24_hours_would_be_noticed(database: Database, database_url: str, tmp_path: Path) -> None:
    change = CHANGES["London, back"]
    fails(change_clocks, database, database_url, tmp_path, change, -SECOND, DAY, setup=days_of_24_hours)


@pytest.mark.deep
@pytest.mark.parametrize("change", CHANGES)
def test_r4_killed_nights_of_every_clock_change_store_each_slot_once(
    database: Database, database_url: str, tmp_path: Path, change: str
) -> None:
    nights = -2 * DAY, -DAY, -SECOND, 0 * DAY, DAY
    change_clocks(database, database_url, tmp_path, CHANGES[change], *nights)
