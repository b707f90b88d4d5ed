"""Jobs of a disturbed night: the command `scheduler generate` in another process, and wrong implementations of it.

A process is forked from a server that has imported the command once. Without a fork, most of a test would be imports.
This module imports nothing that the command does not.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from importlib import import_module
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from pkgutil import resolve_name
from types import ModuleType
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy import text

from scheduler.cli import main
from scheduler.core.reconciliation import StoredSlot
from scheduler.generation.applying import apply
from scheduler.generation.batches import Batch
from scheduler.generation.planning import checkpoints_after, needed_days, plan_task
from scheduler.generation.report import RunResult
from scheduler.generation.request import Mode
from scheduler.postgres.database import Database, Role
from scheduler.postgres.run_history import add_to_run
from scheduler.postgres.schedules import load_schedules, save_checkpoints

SCHEDULES_PER_BATCH: Final = 4

_context: Final = get_context("forkserver")
_context.set_forkserver_preload(["pytest", "tenacity", "psycopg", "scheduler.cli.generate", "scheduler.generation.job"])

Setup = Callable[[], object]
"""Changes the process of a job before the command runs."""


def as_it_is() -> None:
    """Change nothing."""


def one_schedule_a_batch() -> None:
    """Make more batches than two workers have at once."""
    _replace("scheduler.generation.planning:SCHEDULES_PER_BATCH", lambda _: 1)


class Job(NamedTuple):
    """A process that runs the command, with the files of its output."""

    process: BaseProcess
    out: Path
    err: Path

    @property
    def pid(self) -> int:
        assert self.process.pid is not None
        return self.process.pid

    def kill(self) -> None:
        """Kill the process as `kill -9` does, and wait for its end."""
        self.process.kill()
        self.process.join()

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def end(self, seconds: float = 60) -> int:
        """Wait for the end of the process, and return its exit code; below zero, it is a signal."""
        self.process.join(seconds)
        assert self.process.exitcode is not None, "the job does not end"
        return self.process.exitcode

    def lines(self) -> list[str]:
        """Return the lines on standard error that are not log lines."""
        return [line for line in self.err.read_text().splitlines() if not line.startswith("{")]


def start(url: str, arguments: Sequence[str], now: datetime, files: Path, setup: Setup = as_it_is) -> Job:
    """Start the command in a process of its own, with small batches; standard output and error go to files."""
    name = f"job-{time.monotonic_ns()}"
    job = Job(
        _context.Process(target=_run, args=(url, list(arguments), now, files / name, setup)),
        files / f"{name}.out",
        files / f"{name}.err",
    )
    for file in (job.out, job.err):
        file.touch()
    job.process.start()
    return job


def _run(url: str, arguments: list[str], now: datetime, files: Path, setup: Setup) -> None:
    # A shell ignores SIGINT in background jobs, and children inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for descriptor, suffix in ((1, ".out"), (2, ".err")):
        os.dup2(os.open(files.with_suffix(suffix), os.O_WRONLY), descriptor)
    os.environ["SCHEDULER_DATABASE_URL"] = url
    sys.modules["__main__"] = ModuleType("__main__")  # workers would import the main module of the tests
    _replace("scheduler.cli.generate:now", lambda _: lambda: now)
    _replace("scheduler.generation.planning:SCHEDULES_PER_BATCH", lambda _: SCHEDULES_PER_BATCH)
    setup()
    sys.argv = ["scheduler", "generate", *arguments]
    main()


# Wrong implementations, each of which a test of faults has to notice.

Step = Literal["slots", "checkpoints", "counts"]


def _replace(place: str, made: Callable[[Any], Any]) -> None:
    """Put in the place of a name, such as `module:name`, what is made of its value."""
    module, name = place.split(":")
    setattr(import_module(module), name, made(resolve_name(place)))


def _committed_apart(order: Sequence[Step], database: Database, batch: Batch) -> RunResult:
    """Do a batch in several transactions, one for each step."""
    request, run_id = batch.request, batch.run_id
    assert run_id is not None
    begin = partial(database.unit_of_work, role=Role.JOB, tenant_id=request.tenant_id)
    with begin() as session:
        loaded = load_schedules(session, batch.keys, lock=True, needed=partial(needed_days, request=request))
        tasks = [plan_task(schedule, request) for schedule in loaded]
        result, pending = apply(session, tasks, replace(request, mode=Mode.DRY))
    for step in order:
        with begin() as session:
            if step == "slots":
                apply(session, tasks, request)
            elif step == "checkpoints":
                save_checkpoints(session, checkpoints_after(tasks, pending), run_id=run_id)
            else:
                add_to_run(session, run_id, result.counts())
    return result


def _commit_apart(*order: Step) -> None:
    _replace("scheduler.generation.batches:_in_one_transaction", lambda _: partial(_committed_apart, order))


checkpoints_first: Final = partial(_commit_apart, "checkpoints", "slots", "counts")
"""A kill after the checkpoints loses slots."""
counts_first: Final = partial(_commit_apart, "counts", "slots", "checkpoints")
"""A retry counts twice."""


def forgets_bookings() -> None:
    """Treat each stored slot as one that nobody has booked, held or cancelled."""

    def careless(careful: Callable[..., Any]) -> Callable[..., Any]:
        def reconcile(desired: Any, stored: Sequence[StoredSlot], **others: Any) -> Any:
            return careful(desired, [StoredSlot(slot.id, slot.slot) for slot in stored], **others)

        return reconcile

    _replace("scheduler.generation.applying:reconcile", careless)
    forgets_late_bookings()


def forgets_late_bookings() -> None:
    """Retire whatever the plan says, though a slot was booked since."""
    delete = text(
        "delete from scheduling.availability_slots slot"
        " using unnest(cast(:ids as bigint[]), cast(:starts as timestamptz[])) as retired (id, start_at)"
        " where slot.id = retired.id and slot.start_at = retired.start_at"
    )
    _replace("scheduler.postgres.slots:_RETIRE", lambda _: delete)


def days_of_24_hours() -> None:
    """Take each local day for 24 hours, also when the clocks change."""

    def wrong(right: Callable[..., Any]) -> Callable[..., Any]:
        def local_day(zone: Any, first: Any, until: Any) -> Any:
            span = right(zone, first, until)
            return replace(span, end=span.start + (until - first))

        return local_day

    _replace("scheduler.generation.planning:local_day", wrong)
