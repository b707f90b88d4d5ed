"""Batches: the work of one transaction of the nightly job.

Owns: the transaction of a batch, and its repetition schedule by schedule.
Holds: R4 (slots, checkpoint and counts of a batch are one transaction).
Must not know: SQL; the slots of a schedule (`planning`, `applying`); the run, and where its batches are done.

A failed batch is retried schedule by schedule, so that one bad schedule stops no other.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace

from sqlmodel import Session

from scheduler.core.errors import SchedulerError
from scheduler.generation.applying import apply
from scheduler.generation.planning import checkpoints_of, plan_task
from scheduler.generation.report import Failure, RunResult
from scheduler.generation.request import GenerationRequest, Mode, earliest_day
from scheduler.postgres.database import Database, Role
from scheduler.postgres.errors import DatabaseUnreachableError
from scheduler.postgres.run_history import add_to_run
from scheduler.postgres.schedules import ScheduleKey, load_schedules, save_checkpoints, save_failure


@dataclass(frozen=True, slots=True)
class Batch:
    """Schedules that are generated in one transaction; a dry run has no id."""

    request: GenerationRequest
    run_id: int | None
    keys: tuple[ScheduleKey, ...]


def do_batch(database: Database, batch: Batch) -> RunResult:
    """Generate a batch in one transaction; if that fails, each schedule in its own transaction.

    Raises:
        DatabaseUnreachableError: the connection was lost.
        StoreError: the database refused to record a failure.
    """
    try:
        return _in_one_transaction(database, batch)
    except DatabaseUnreachableError:
        raise
    except SchedulerError as error:
        if len(batch.keys) == 1:
            return _failed(database, batch, str(error))
    return sum((do_batch(database, replace(batch, keys=(key,))) for key in batch.keys), RunResult())


def _in_one_transaction(database: Database, batch: Batch) -> RunResult:
    request = batch.request
    with _unit_of_work(database, request) as session:
        schedules = load_schedules(session, batch.keys, lock=request.mode is Mode.WRITE, since=earliest_day(request))
        tasks = [plan_task(loaded, request) for loaded in schedules]
        result, pending = apply(session, tasks, request)
        if batch.run_id is not None:
            save_checkpoints(session, checkpoints_of(tasks, pending), run_id=batch.run_id)
            add_to_run(session, batch.run_id, result.counts())
    done = {task.key for task in tasks}
    return replace(result, schedules_locked=tuple(key for key in batch.keys if key not in done))


def _failed(database: Database, batch: Batch, reason: str) -> RunResult:
    (key,) = batch.keys
    result = RunResult(schedules=1, schedules_failed=(Failure(key, reason),))
    if batch.run_id is not None:
        with _unit_of_work(database, batch.request) as session:
            save_failure(session, key, reason=reason, run_id=batch.run_id)
            add_to_run(session, batch.run_id, result.counts())
    return result


def _unit_of_work(database: Database, request: GenerationRequest) -> AbstractContextManager[Session]:
    return database.unit_of_work(role=Role.JOB, tenant_id=request.tenant_id)
