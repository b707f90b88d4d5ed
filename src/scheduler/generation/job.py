"""Nightly job: make the stored slots of a tenant match its schedules, for some days ahead.

Owns: the run, with its batches, their transactions and its progress.
Holds: R4 (slots, checkpoint and counts of a batch are one transaction).
Must not know: SQL; the slots of a schedule (`planning`, `applying`); how results are shown; the clock.

A failed batch is retried schedule by schedule, so that one bad schedule stops no other.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Final

from sqlmodel import Session

from scheduler.core.errors import NotFoundError, SchedulerError, WallClockError
from scheduler.core.fingerprints import ENGINE_VERSION
from scheduler.core.zones import zone_of
from scheduler.generation.applying import apply
from scheduler.generation.planning import checkpoints_of, plan_task
from scheduler.generation.report import Failure, Report, RunResult
from scheduler.generation.request import GenerationRequest, Mode, earliest_day
from scheduler.postgres.database import Database, Role
from scheduler.postgres.errors import DatabaseUnreachableError, StoreError
from scheduler.postgres.figure_sums import sum_figures
from scheduler.postgres.old_rows import delete_old_rows
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


def generate(database: Database, request: GenerationRequest, *, progress: Progress = lambda *_: None) -> Report:
    """Generate a tenant's slots. A run without changes since the last run writes nothing.

    Runs may overlap. A schedule that another run has locked is tried once more at the end; if it is still locked, the
    report names it.

    Raises:
        NotFoundError: the requested facility does not exist or has no schedule.
        InvalidInputError: these days would need too many months of slots.
        DatabaseUnreachableError: the connection was lost; complete batches stay, the next run does the rest.
        StoreError: the database refused a statement before the first batch.
    """
    run = _Run(database, request)
    try:
        return run.report(progress)
    except BaseException:  # also an interruption
        run.interrupt()
        raise


class _Run:
    """A run of a request, with its row in `generation_runs` unless the run is dry."""

    def __init__(self, database: Database, request: GenerationRequest) -> None:
        self.database, self.request = database, request
        self.run_id: int | None = None

    def report(self, progress: Progress) -> Report:
        """Do all batches, and report."""
        keys = self.begin()
        result = RunResult(broken_promises=self.broken_promises())
        for start in range(0, len(keys), SCHEDULES_PER_BATCH):
            result += self.batch(keys[start : start + SCHEDULES_PER_BATCH])
            progress(min(start + SCHEDULES_PER_BATCH, len(keys)), len(keys), result.slots_created)
        locked, result = result.schedules_locked, replace(result, schedules_locked=())
        for start in range(0, len(locked), SCHEDULES_PER_BATCH):
            result += self.batch(locked[start : start + SCHEDULES_PER_BATCH])
        self.delete_old_rows()
        self.sum_figures()
        self.finish(RunStatus.FAILED if result.schedules_failed else RunStatus.SUCCEEDED)
        return Report(self.run_id, len({key.facility_id for key in keys}), result)

    def begin(self) -> list[ScheduleKey]:
        request = self.request
        with self._unit_of_work() as session:
            keys = schedule_keys(session, facility_slug=request.facility_slug)
            if request.facility_slug is not None and not keys:
                raise NotFoundError(f"no facility {request.facility_slug!r} with a schedule")
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
        return keys

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

    def batch(self, keys: Sequence[ScheduleKey]) -> RunResult:
        """Generate a batch in one transaction; if that fails, each schedule in its own transaction."""
        try:
            return self._in_one_transaction(keys)
        except DatabaseUnreachableError:
            raise
        except SchedulerError as error:
            if len(keys) == 1:
                return self._failed(keys[0], str(error))
        return sum((self.batch([key]) for key in keys), RunResult())

    def delete_old_rows(self) -> None:
        if self.request.mode is Mode.WRITE:
            with self._unit_of_work() as session:
                delete_old_rows(session)

    def sum_figures(self) -> None:
        """Sum the figures of the days that are over, a transaction for each month that is left."""
        is_left = self.request.mode is Mode.WRITE
        while is_left:
            with self._unit_of_work() as session:
                is_left = sum_figures(session)

    def finish(self, status: RunStatus) -> None:
        if self.run_id is not None:
            with self._unit_of_work() as session:
                finish_run(session, self.run_id, status)

    def interrupt(self) -> None:
        """Record that the run ended early. Without a connection it becomes silent, and a later run records that."""
        with suppress(StoreError):
            self.finish(RunStatus.INTERRUPTED)

    def _unit_of_work(self) -> AbstractContextManager[Session]:
        return self.database.unit_of_work(role=Role.JOB, tenant_id=self.request.tenant_id)

    def _failed(self, key: ScheduleKey, reason: str) -> RunResult:
        result = RunResult(schedules=1, schedules_failed=(Failure(key, reason),))
        if self.run_id is not None:
            with self._unit_of_work() as session:
                save_failure(session, key, reason=reason, run_id=self.run_id)
                add_to_run(session, self.run_id, result.counts())
        return result

    def _in_one_transaction(self, keys: Sequence[ScheduleKey]) -> RunResult:
        request = self.request
        with self._unit_of_work() as session:
            schedules = load_schedules(session, keys, lock=request.mode is Mode.WRITE, since=earliest_day(request))
            tasks = [plan_task(loaded, request) for loaded in schedules]
            result, pending = apply(session, tasks, request)
            if self.run_id is not None:
                save_checkpoints(session, checkpoints_of(tasks, pending), run_id=self.run_id)
                add_to_run(session, self.run_id, result.counts())
        done = {task.key for task in tasks}
        return replace(result, schedules_locked=tuple(key for key in keys if key not in done))
