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
from functools import partial

from sqlmodel import Session

from scheduler.core.errors import NotFoundError, SchedulerError, WallClockError
from scheduler.core.fingerprints import ENGINE_VERSION
from scheduler.core.zones import zone_of
from scheduler.generation.applying import apply
from scheduler.generation.planning import batches_of, checkpoints_of, needed_days, plan_task
from scheduler.generation.report import Failure, Report, RunResult
from scheduler.generation.request import GenerationRequest, Mode, Scope, earliest_day
from scheduler.postgres.database import Database, Role
from scheduler.postgres.due_schedules import FoundSchedule, find_schedules, register_schedules, scheduled_zones
from scheduler.postgres.errors import DatabaseUnreachableError, StoreError
from scheduler.postgres.old_rows import delete_old_rows
from scheduler.postgres.promised_times import BrokenPromise, broken_promises
from scheduler.postgres.run_history import RunStatus, add_to_run, begin_run, finish_run
from scheduler.postgres.schedules import (
    ScheduleKey,
    load_schedules,
    save_checkpoints,
    save_failure,
)
from scheduler.postgres.slots import ensure_months

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
        found = self.begin()
        result = replace(_without_work(found), broken_promises=self.broken_promises())
        done = result.schedules
        for batch in batches_of(found):
            result += self.batch(batch)
            done += len(batch)
            progress(done, len(found), result.slots_created)
        locked, result = {*result.schedules_locked}, replace(result, schedules_locked=())
        for batch in batches_of(schedule for schedule in found if schedule.key in locked):
            result += self.batch(batch)
        self.delete_old_rows()
        self.finish(RunStatus.FAILED if result.schedules_failed else RunStatus.SUCCEEDED)
        return Report(self.run_id, len({schedule.key.facility_id for schedule in found}), result)

    def begin(self) -> list[FoundSchedule]:
        request = self.request
        with self._unit_of_work() as session:
            releases = self._releases(scheduled_zones(session, facility_slug=request.facility_slug))
            found = find_schedules(
                session,
                requested=request.requested,
                today=earliest_day(request),
                releases=releases,
                everything=request.scope is Scope.ALL,
                facility_slug=request.facility_slug,
            )
            if request.facility_slug is not None and not found:
                raise NotFoundError(f"no facility {request.facility_slug!r} with a schedule")
        if request.mode is Mode.WRITE:
            with self._unit_of_work() as session:
                # A local day may begin a day before, or end a day after, the same date in UTC.
                first, last = request.from_day - timedelta(days=1), request.until_day + timedelta(days=1)
                ensure_months(session, *(datetime.combine(day, time(), UTC) for day in (first, last)))
            with self._unit_of_work() as session:
                register_schedules(session)
            with self._unit_of_work() as session:  # after the states are committed: see `register_schedules`
                days = request.from_day, request.until_day
                versions = ENGINE_VERSION, ", ".join(sorted({*releases.values()})) or "none"
                self.run_id = begin_run(session, days=days, trigger=request.trigger, versions=versions)
                add_to_run(session, self.run_id, _without_work(found).counts())
        return found

    def _releases(self, names: Iterable[str]) -> dict[str, str]:
        """Return the releases of zones by name; schedules in a zone that the engine lacks will fail."""
        releases = {}
        for name in names:
            with suppress(WallClockError):
                releases[name] = self.request.release_of(zone_of(name))
        return releases

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
            needed = partial(needed_days, request=request)
            schedules = load_schedules(session, keys, lock=request.mode is Mode.WRITE, needed=needed)
            tasks = [plan_task(loaded, request) for loaded in schedules]
            result, pending = apply(session, tasks, request)
            if self.run_id is not None:
                save_checkpoints(session, checkpoints_of(tasks, pending), run_id=self.run_id)
                add_to_run(session, self.run_id, result.counts())
        done = {task.key for task in tasks}
        return replace(result, schedules_locked=tuple(key for key in keys if key not in done))


def _without_work(found: Iterable[FoundSchedule]) -> RunResult:
    """Return the result of the schedules that are not due."""
    count = sum(not schedule.is_due for schedule in found)
    return RunResult(schedules=count, schedules_unchanged=count)
