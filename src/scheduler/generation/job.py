"""Nightly job: make the stored slots of a tenant match its schedules, for some days ahead.

Owns: the run, with its batches, their transactions and its progress.
Holds: R4 (slots, checkpoint and counts of a batch are one transaction).
Must not know: SQL; the slots of a schedule (`planning`, `applying`); how results are shown; the clock.

A batch that fails by a transient error is repeated (`retrying`). A batch that fails for good is done schedule by
schedule, so that one bad schedule stops no other.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from functools import partial
from logging import ERROR, INFO, WARNING
from typing import Final

from sqlmodel import Session

from scheduler.core.errors import NotFoundError, SchedulerError, WallClockError
from scheduler.core.fingerprints import ENGINE_VERSION
from scheduler.core.zones import zone_of
from scheduler.generation.applying import apply
from scheduler.generation.observing import Add, facts_of, logged, traced
from scheduler.generation.planning import checkpoints_of, plan_task
from scheduler.generation.report import Failure, Report, RunResult
from scheduler.generation.request import GenerationRequest, Mode, Scope, earliest_day
from scheduler.generation.retrying import Retry, concerns_the_server, is_transient, once
from scheduler.postgres.database import Database, Role
from scheduler.postgres.errors import StoreError
from scheduler.postgres.old_rows import delete_old_rows
from scheduler.postgres.parking import parked_schedules
from scheduler.postgres.promised_times import BrokenPromise, broken_promises
from scheduler.postgres.run_history import RunStatus, add_to_run, begin_run, finish_run
from scheduler.postgres.schedules import (
    ScheduleKey,
    load_schedules,
    register_schedules,
    save_checkpoints,
    save_failure,
    schedule_keys,
    zone_names,
)
from scheduler.postgres.slots import ensure_months

SCHEDULES_PER_BATCH: Final = 24
"""One transaction: some 50,000 slots of a quarter of a year, a few megabytes in memory."""

Progress = Callable[[int, int, int], None]
"""Called after each batch with the schedules done, all schedules, and the slots created so far."""


def generate(
    database: Database,
    request: GenerationRequest,
    *,
    progress: Progress = lambda *_: None,
    retry: Retry = once,
) -> Report:
    """Generate a tenant's slots. A run without changes since the last run writes nothing.

    Runs may overlap. A schedule that another run has locked is tried once more at the end; if it is still locked, the
    report names it. A batch that fails by a transient error is repeated as `retry` says.

    Raises:
        NotFoundError: the requested facility does not exist or has no schedule.
        InvalidInputError: these days would need too many months of slots.
        DatabaseUnreachableError: the connection was lost; complete batches stay, the next run does the rest.
        StoreError: the database refused a statement before the first batch, or has no room; as before.
    """
    run = _Run(database, request, retry)
    with traced("run", tenant_id=str(request.tenant_id)) as add:
        try:
            report = run.report(progress)
        except BaseException as error:  # also an interruption
            run.interrupt()
            logged("run interrupted", level=ERROR, run_id=run.run_id, **facts_of(error))
            raise
        run.tell(report.result, add)
        return report


class _Run:
    """A run of a request, with its row in `generation_runs` unless the run is dry."""

    def __init__(self, database: Database, request: GenerationRequest, retry: Retry) -> None:
        self.database, self.request, self.retry = database, request, retry
        self.run_id: int | None = None

    def report(self, progress: Progress) -> Report:
        """Do all batches, and report."""
        keys, parked = self.begin()
        result = RunResult(broken_promises=self.retry(self.broken_promises), schedules_parked=parked)
        for start in range(0, len(keys), SCHEDULES_PER_BATCH):
            result += self.batch(keys[start : start + SCHEDULES_PER_BATCH])
            progress(min(start + SCHEDULES_PER_BATCH, len(keys)), len(keys), result.slots_created)
        locked, result = result.schedules_locked, replace(result, schedules_locked=())
        for start in range(0, len(locked), SCHEDULES_PER_BATCH):
            result += self.batch(locked[start : start + SCHEDULES_PER_BATCH])
        self.retry(self.delete_old_rows)
        self.retry(partial(self.finish, _status(result)))
        return Report(self.run_id, len({key.facility_id for key in keys}), result)

    def begin(self) -> tuple[list[ScheduleKey], tuple[ScheduleKey, ...]]:
        """Begin the run; return its schedules, and those that are left out since they are parked."""
        request = self.request
        with self._unit_of_work() as session:
            keys = schedule_keys(session, facility_slug=request.facility_slug)
            if request.facility_slug is not None and not keys:
                raise NotFoundError(f"no facility {request.facility_slug!r} with a schedule")
            asked_for = request.facility_slug is not None or request.scope is Scope.ALL
            left_out = frozenset() if asked_for else parked_schedules(session)
        parked = tuple(key for key in keys if key in left_out)
        keys = [key for key in keys if key not in left_out]
        if request.mode is Mode.WRITE:
            with self._unit_of_work() as session:
                # A local day may begin a day before, or end a day after, the same date in UTC.
                first, last = request.from_day - timedelta(days=1), request.until_day + timedelta(days=1)
                ensure_months(session, *(datetime.combine(day, time(), UTC) for day in (first, last)))
            with self._unit_of_work() as session:
                register_schedules(session)
                days = request.from_day, request.until_day
                versions = ENGINE_VERSION, self._releases(zone_names(session, keys).values())
                self.run_id = begin_run(session, days=days, trigger=request.trigger, versions=versions)
        logged(
            "run begun",
            run_id=self.run_id,
            tenant_id=str(request.tenant_id),
            from_day=request.from_day.isoformat(),
            until_day=request.until_day.isoformat(),
            mode=request.mode.value,
            schedules=len(keys),
            schedules_parked=len(parked),
        )
        return keys, parked

    def tell(self, result: RunResult, add: Add) -> None:
        """Log the end of a run, and add its counts to its span."""
        status = _status(result)
        facts = {"run_id": self.run_id, "status": status.value, **result.counts()}
        add(facts)
        logged(
            "run ended",
            level=INFO if status is RunStatus.SUCCEEDED else ERROR,
            **facts,
            schedules_locked=len(result.schedules_locked),
            schedules_parked=len(result.schedules_parked),
            broken_promises=len(result.broken_promises),
        )

    def _releases(self, names: Iterable[str]) -> str:
        """Return the releases of the zones as one text; schedules in a zone that the engine lacks will fail."""
        releases = set()
        for name in names:
            with suppress(WallClockError):
                releases.add(self.request.release_of(zone_of(name)))
        return ", ".join(sorted(releases)) or "none"

    def broken_promises(self) -> tuple[BrokenPromise, ...]:
        with self._unit_of_work() as session:
            return broken_promises(session, now=self.request.now, facility_slug=self.request.facility_slug)

    def batch(self, keys: Sequence[ScheduleKey], retry: Retry | None = None) -> RunResult:
        """Generate a batch in one transaction; if that fails, each schedule in its own transaction."""
        try:
            return (retry or self.retry)(partial(self._observed, keys))
        except SchedulerError as error:
            if concerns_the_server(error):
                raise
            if len(keys) == 1:
                return self._failed(keys[0], error)
            # A batch that was repeated in vain, as for a lock, is not repeated as often for each schedule again.
            again = once if is_transient(error) else self.retry
        return sum((self.batch([key], again) for key in keys), RunResult())

    def _observed(self, keys: Sequence[ScheduleKey]) -> RunResult:
        with traced("batch", run_id=self.run_id) as add:
            try:
                result = self._in_one_transaction(keys)
            except SchedulerError as error:
                logged("batch failed", level=WARNING, run_id=self.run_id, schedules=len(keys), **facts_of(error))
                raise
            add(result.counts())
        logged("batch done", run_id=self.run_id, **result.counts(), schedules_locked=len(result.schedules_locked))
        return result

    def delete_old_rows(self) -> None:
        if self.request.mode is Mode.WRITE:
            with self._unit_of_work() as session:
                delete_old_rows(session)

    def finish(self, status: RunStatus) -> None:
        if self.run_id is not None:
            with self._unit_of_work() as session:
                finish_run(session, self.run_id, status)

    def interrupt(self) -> None:
        """Record that the run ended early. Without a connection it becomes silent, and a later run records that."""
        with suppress(StoreError):
            self.finish(RunStatus.INTERRUPTED)

    def _unit_of_work(self) -> AbstractContextManager[Session]:
        request = self.request
        return self.database.unit_of_work(role=Role.JOB, tenant_id=request.tenant_id, timeouts=request.timeouts)

    def _failed(self, key: ScheduleKey, error: SchedulerError) -> RunResult:
        result = RunResult(schedules=1, schedules_failed=(Failure(key, str(error)),))
        if self.run_id is not None:
            self.retry(partial(self._save_failure, self.run_id, key, error, result))
        logged("schedule failed", level=ERROR, run_id=self.run_id, **key._asdict(), **facts_of(error))
        return result

    def _save_failure(self, run_id: int, key: ScheduleKey, error: SchedulerError, result: RunResult) -> None:
        with self._unit_of_work() as session:
            save_failure(session, key, reason=str(error), run_id=run_id, counts=not is_transient(error))
            add_to_run(session, run_id, result.counts())

    def _in_one_transaction(self, keys: Sequence[ScheduleKey]) -> RunResult:
        request = self.request
        with self._unit_of_work() as session:
            with traced("load"):
                schedules = load_schedules(session, keys, lock=request.mode is Mode.WRITE, since=earliest_day(request))
            tasks = [plan_task(loaded, request) for loaded in schedules]
            result, pending = apply(session, tasks, request)
            if self.run_id is not None:
                with traced("write"):
                    save_checkpoints(session, checkpoints_of(tasks, pending), run_id=self.run_id)
                    add_to_run(session, self.run_id, result.counts())
        done = {task.key for task in tasks}
        return replace(result, schedules_locked=tuple(key for key in keys if key not in done))


def _status(result: RunResult) -> RunStatus:
    """Return the status of a run that came to its end; a parked schedule lacks days, as one that failed."""
    is_complete = not result.schedules_failed and not result.schedules_parked
    return RunStatus.SUCCEEDED if is_complete else RunStatus.FAILED
