"""Nights that a test disturbs: a world with changes, a gate at a named point, and the outcome.

A gate is a trigger that waits: it stops the job's transaction at a named point, wherever the job runs, until the test
has killed, ended or outrun something.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, NamedTuple, Self

import psycopg
from sqlalchemy import make_url

from scheduler.core.schedules import AvailabilityException, ExceptionType
from scheduler.core.spans import Span
from scheduler.generation.retrying import Retry, once
from scheduler.postgres.database import Database
from support.databases import execute, new_tenant
from support.night_jobs import SCHEDULES_PER_BATCH, Job, Setup, as_it_is, start
from support.worlds.generation import MONDAY, NOW, World, weekly

VICTIM: Final = "victim"
SCHEDULES: Final = tuple(weekly(doctor, 1 + doctor // 8) for doctor in range(1, 4 * SCHEDULES_PER_BATCH + 1))
NINE: Final = datetime(2027, 3, 22, 9, tzinfo=UTC)
_FAR: Final = datetime(2030, 1, 1, tzinfo=UTC)

POINTS: Final = {
    "run begun": "after insert on scheduling.generation_runs for each statement",
    "slots created": "after insert on scheduling.availability_slots for each statement",
    "slots updated": "after update on scheduling.availability_slots for each statement",
    "slots retired": "after delete on scheduling.availability_slots for each statement",
    "checkpoints saved": "after update on scheduling.schedule_states for each statement",
    "counts added": "after update on scheduling.generation_runs for each statement",
    "commit sent": "after update on scheduling.generation_runs deferrable initially deferred for each row",
}
"""The points of a night at which it can be stopped: a statement is done, or COMMIT has begun."""


class Outcome(NamedTuple):
    """The state after a night: the digest of the slots, and the sums of the counts of all runs."""

    digest: str
    created: int
    updated: int
    retired: int


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "what the test waits for does not happen"
        time.sleep(0.005)


class Night:
    """A tenant whose last night was a week ago: some slots are in use since then, and schedules have changed."""

    def __init__(self, world: World, url: str, files: Path) -> None:
        self.world, self.url, self.files = world, url, files
        self.before: dict[Any, str] = {}

    @classmethod
    def of_a_clinic(cls, database: Database, url: str, files: Path) -> Self:
        """Return the night of a new tenant."""
        self = cls(World(database, new_tenant(database)), url, files)
        world = self.world
        world.write(*SCHEDULES)
        self.run(days=7)
        world.book(NINE)
        world.touch(NINE, 2, status="reserved", reserved_until=_FAR)
        world.touch(NINE, 3, status="cancelled")
        blocked = Span(NINE, NINE + timedelta(hours=1))
        exceptions = [
            AvailabilityException(number, ExceptionType.BLOCKED, blocked.start, blocked.end)
            for number in (1, 2, 3, 5, 7, 10, 11, 14)
        ]
        world.add(*(world.exception_row(SCHEDULES[int(one.id) - 1], one) for one in exceptions))
        world.sql(
            "update scheduling.availability_rules set capacity = 2"
            " where tenant_id = :tenant_id and doctor_id in (4, 8, 12, 16)"
        )
        self.before = self.in_use()
        return self

    @property
    def database_name(self) -> str:
        return str(make_url(self.url).database)

    def start(self, *more: str, setup: Setup = as_it_is, now: datetime = NOW) -> Job:
        """Start the night of two weeks in another process."""
        named = make_url(self.url).update_query_dict({"application_name": VICTIM})
        arguments = ["--tenant", str(self.world.tenant_id), "--from", str(MONDAY), "--days", "14", "--json", *more]
        return start(named.render_as_string(hide_password=False), arguments, now, self.files, setup)

    def run(self, *, days: int = 14, retry: Retry = once) -> None:
        """Run the job without interruption, in this process, with the time zone data of the command."""
        assert self.world.run(count=days, tzdata_version=None, retry=retry).result.schedules_failed == ()

    def has_ended(self) -> bool:
        """Return whether the server has ended all sessions of jobs, also of those that died."""
        with psycopg.connect(self.url, autocommit=True) as looker:
            return not sessions(looker)

    def in_use(self) -> dict[Any, str]:
        """Return the content of each slot that is booked, held or cancelled, but for the mark of a dropped one."""
        used = self.world.sql(
            "select id, start_at, cast(to_jsonb(slot) - '{is_dropped,updated_at}'::text[] as text)"
            " from scheduling.availability_slots slot"
            " where tenant_id = :tenant_id and (status <> 'open' or booked_count > 0)"
        )
        return {(id_, start_at): content for id_, start_at, content in used}

    def outcome(self) -> Outcome:
        sums = self.world.sql(
            "select sum(slots_created), sum(slots_updated), sum(slots_retired) from scheduling.generation_runs"
            " where tenant_id = :tenant_id"
        )
        return Outcome(self.world.digest(), *map(int, sums[0]))

    def statuses(self) -> list[str]:
        """Return the status of each run, in their order."""
        found = self.world.sql("select status from scheduling.generation_runs where tenant_id = :tenant_id order by id")
        return [status for (status,) in found]

    def check(self, undisturbed: Outcome) -> None:
        """Hold that the night ended as without a disturbance, and that nobody's slot was touched."""
        assert self.outcome() == undisturbed
        assert self.in_use() == self.before

    def finish(self, undisturbed: Outcome) -> None:
        """Wait until the server has ended what is left of jobs that died, run once more, and check the outcome."""
        wait_until(self.has_ended)
        self.run()
        self.check(undisturbed)


def undisturbed_night(night: Night) -> Outcome:
    """Run a night, and return its outcome, in which each kind of change occurs."""
    night.run()
    outcome = night.outcome()
    assert len(night.before) == 3
    assert (outcome.updated, outcome.retired) == (4 * 30, 8 * 2 - 3)
    assert outcome.created == len(SCHEDULES) * 60
    night.check(outcome)
    return outcome


def sessions(connection: psycopg.Connection, where: str = "true") -> list[int]:
    """Return the sessions of jobs on the server."""
    rows = connection.execute(
        f"select pid from pg_stat_activity where application_name = '{VICTIM}' and ({where})".encode()
    )
    return [pid for (pid,) in rows]


class Gate:
    """A point at which a transaction of the job waits until the gate opens."""

    def __init__(self, keeper: psycopg.Connection) -> None:
        self.keeper = keeper
        keeper.execute("select pg_advisory_lock(1)")

    def wait(self, job: Job) -> None:
        """Wait until the job has come to the gate."""

        def arrived() -> bool:
            assert job.process.exitcode is None, f"the job never came to the gate: {job.err.read_text()}"
            return bool(self.sessions())

        wait_until(arrived)

    def sessions(self) -> list[int]:
        """Return the sessions that wait at the gate."""
        return sessions(self.keeper, "wait_event_type = 'Lock' and wait_event = 'advisory'")

    def open(self) -> None:
        self.keeper.execute("select pg_advisory_unlock_all()")

    def terminate(self) -> None:
        """End the sessions that wait at the gate, as an administrator does."""
        for pid in self.sessions():
            self.keeper.execute("select pg_terminate_backend(%s)", (pid,))
        self.open()


@contextmanager
def gate_at(url: str, point: str, *, passage: int = 1) -> Iterator[Gate]:
    """Keep a gate at a point for the block; it stops who comes as number `passage`, and no other."""
    kind = "constraint trigger" if "deferred" in POINTS[point] else "trigger"
    execute(
        url,
        "create sequence public.passages",
        f"""create function public.wait_at_gate() returns trigger language plpgsql security definer as $$ begin
            if nextval('public.passages') = {passage} then perform pg_advisory_xact_lock_shared(1); end if;
            return null;
        end $$""",
        f"create {kind} gate {POINTS[point]} execute function public.wait_at_gate()",
    )
    keeper = psycopg.connect(url, autocommit=True)
    try:
        yield Gate(keeper)
    finally:
        keeper.close()  # also opens the gate
        execute(url, "drop function public.wait_at_gate cascade", "drop sequence public.passages")
