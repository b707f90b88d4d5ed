"""Batches: the work of one transaction of the nightly job.

Owns: the transaction of a batch, and its division if that fails.
Holds: R4 (slots, checkpoint and counts of a batch are one transaction).
Must not know: SQL; the slots of a schedule (`planning`, `applying`); the run, and where its batches are done.

A batch that fails by a transient error is repeated (`retrying`). A batch that fails for good is done in eight parts,
and a part that fails in eight again: one bad schedule stops no other, and costs few transactions.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from logging import WARNING
from typing import Final

from sqlmodel import Session

from scheduler.core.errors import SchedulerError
from scheduler.generation.applying import apply
from scheduler.generation.observing import TraceContext, facts_of, logged, traced, within
from scheduler.generation.planning import checkpoints_after, needed_days, plan_task
from scheduler.generation.report import Failure, RunResult
from scheduler.generation.request import GenerationRequest, Mode
from scheduler.generation.retrying import Retry, concerns_the_server, is_transient, once
from scheduler.postgres.database import Database, Role
from scheduler.postgres.run_history import add_to_run
from scheduler.postgres.schedules import ScheduleKey, load_schedules, save_checkpoints, save_failure
from scheduler.postgres.slots import check_keys_by_index

PARTS: Final = 8
"""The parts of a batch that failed: with fewer, a lock that is not free would be waited for at each of more levels."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Schedules that are generated in one transaction; a dry run has no id.

    `retry` repeats the transaction after transient errors, `trace` is the span of the run for another process.
    """

    request: GenerationRequest
    run_id: int | None
    keys: tuple[ScheduleKey, ...]
    retry: Retry = once
    trace: TraceContext | None = None


def do_batch(database: Database, batch: Batch) -> RunResult:
    """Generate a batch in one transaction; if that fails, each of its parts in its own, down to single schedules.

    Raises:
        DatabaseUnreachableError: the connection was lost.
        StoreError: the database has no room, or refused to record a failure.
    """
    with within(batch.trace), traced("batch", run_id=batch.run_id) as add:
        result = _done(database, batch, batch.retry)
        add(result.counts())
    return result


def _done(database: Database, batch: Batch, retry: Retry) -> RunResult:
    try:
        return retry(partial(_attempt, database, batch))
    except SchedulerError as error:
        if concerns_the_server(error):
            raise
        if len(batch.keys) == 1:
            return _failed(database, batch, error)
        # A batch that was repeated in vain, as for a lock, is not repeated as often for each part again.
        again = once if is_transient(error) else batch.retry
    size = -(-len(batch.keys) // PARTS)
    parts = (batch.keys[first : first + size] for first in range(0, len(batch.keys), size))
    return sum((_done(database, replace(batch, keys=part), again) for part in parts), RunResult())


def _attempt(database: Database, batch: Batch) -> RunResult:
    try:
        return _in_one_transaction(database, batch)
    except SchedulerError as error:
        facts = facts_of(error)
        logged("batch failed", level=WARNING, run_id=batch.run_id, schedules=len(batch.keys), **facts)
        raise


def _in_one_transaction(database: Database, batch: Batch) -> RunResult:
    request = batch.request
    with unit_of_work(database, request) as session:
        with traced("load"):
            lock, needed = request.mode is Mode.WRITE, partial(needed_days, request=request)
            schedules = load_schedules(session, batch.keys, lock=lock, needed=needed)
        tasks = [plan_task(loaded, request) for loaded in schedules]
        if request.mode is Mode.WRITE:
            check_keys_by_index(session)
        result, pending = apply(session, tasks, request)
        if batch.run_id is not None:
            with traced("write"):
                save_checkpoints(session, checkpoints_after(tasks, pending), run_id=batch.run_id)
                add_to_run(session, batch.run_id, result.counts())
    done = {task.key for task in tasks}
    return replace(result, schedules_locked=tuple(key for key in batch.keys if key not in done))


def _failed(database: Database, batch: Batch, error: SchedulerError) -> RunResult:
    (key,) = batch.keys
    failure = Failure(key, str(error), type(error).__name__, getattr(error, "sqlstate", None))
    result = RunResult(schedules=1, schedules_failed=(failure,))
    if batch.run_id is not None:
        batch.retry(partial(_save_failure, database, batch, error, result))
    return result


def _save_failure(database: Database, batch: Batch, error: SchedulerError, result: RunResult) -> None:
    (key,) = batch.keys
    assert batch.run_id is not None  # noqa: S101  # a dry run saves nothing
    with unit_of_work(database, batch.request) as session:
        save_failure(session, key, reason=str(error), run_id=batch.run_id, counts=not is_transient(error))
        add_to_run(session, batch.run_id, result.counts())


def unit_of_work(database: Database, request: GenerationRequest) -> AbstractContextManager[Session]:
    """Begin a transaction of the job for a request."""
    return database.unit_of_work(role=Role.JOB, tenant_id=request.tenant_id, timeouts=request.timeouts)
