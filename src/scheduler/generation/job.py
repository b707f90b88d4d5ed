"""Nightly job: make the stored slots of a tenant match its schedules, for some days ahead.

Owns: the run, with its beginning, the order of its batches, its progress and its end.
Holds: R4 (a run that is stopped or dies leaves whole batches, and the next run does the rest).
Must not know: SQL; the work of a batch (`batches`); how batches are sent (`sending`); how results are shown; the clock.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from functools import partial
from logging import ERROR, INFO
from typing import Final

from sqlmodel import Session

from scheduler.core.errors import InvalidInputError, NotFoundError, WallClockError
from scheduler.core.fingerprints import ENGINE_VERSION
from scheduler.core.zones import zone_of
from scheduler.generation.batches import Batch, do_batch
from scheduler.generation.observing import Add, TraceContext, facts_of, logged, trace_context, traced
from scheduler.generation.report import Report, RunResult
from scheduler.generation.request import GenerationRequest, Mode, Scope
from scheduler.generation.retrying import Retry, once
from scheduler.generation.sending import send
from scheduler.postgres.database import Database, Role
from scheduler.postgres.errors import StoreError
from scheduler.postgres.old_rows import delete_old_rows
from scheduler.postgres.parking import parked_schedules
from scheduler.postgres.promised_times import BrokenPromise, broken_promises
from scheduler.postgres.run_history import RunStatus, begin_run, finish_run
from scheduler.postgres.schedules import ScheduleKey, register_schedules, schedule_keys, zone_names
from scheduler.postgres.slots import ensure_months

SCHEDULES_PER_BATCH: Final = 24
"""One transaction: some 50,000 slots of a quarter of a year, a few megabytes in memory."""

BATCHES_IN_FLIGHT: Final = 8
"""The batches that an executor has at once: a run that is stopped waits for them."""

Progress = Callable[[int, int, int], None]
"""Called after each batch with the schedules done, all schedules, and the slots created so far."""

Stop = Callable[[], bool]
"""Asked before each batch; once it returns true, the run ends after the batches that are in progress."""


def generate(  # noqa: PLR0913  # a host gives what the command line gives
    database: Database,
    request: GenerationRequest,
    *,
    executor: Executor | None = None,
    in_flight: int = BATCHES_IN_FLIGHT,
    stop: Stop = lambda: False,
    progress: Progress = lambda *_: None,
    retry: Retry = once,
) -> Report:
    """Generate a tenant's slots. A run without changes since the last run writes nothing.

    Runs may overlap. A schedule that another run has locked is tried once more at the end; if it is still locked, the
    report names it. A batch that fails by a transient error is repeated as `retry` says.

    With an executor, its workers do the batches: each opens the database by the URL of `database`. It has `in_flight`
    batches at once; twice the number of its workers keeps all of them at work.

    Raises:
        NotFoundError: the requested facility does not exist or has no schedule.
        InvalidInputError: these days would need too many months of slots; or an executor is given with a database over
            an engine, which cannot be sent, or without a batch in flight.
        WorkersLostError: the executor died or was shut down; complete batches stay, the next run does the rest.
        DatabaseUnreachableError: the connection was lost; complete batches stay, the next run does the rest.
        StoreError: the database refused a statement before the first batch, or has no room; as before.
    """
    if executor is not None and database.url is None:
        raise InvalidInputError(
            "an executor needs a Database that is opened with a URL: an engine cannot be sent to another process"
        )
    if in_flight < 1:
        raise InvalidInputError(f"at least one batch must be in flight, not {in_flight}")
    run = _Run(database, request, executor, in_flight, stop, retry)
    with traced("run", tenant_id=str(request.tenant_id)) as add:
        try:
            report = run.report(progress)
        except BaseException as error:  # also an interruption
            run.interrupt()
            logged("run interrupted", level=ERROR, run_id=run.run_id, **facts_of(error))
            raise
        run.tell(report, add)
        return report


class _Run:
    """A run of a request, with its row in `generation_runs` unless the run is dry."""

    def __init__(
        self,
        database: Database,
        request: GenerationRequest,
        executor: Executor | None,
        in_flight: int,
        stop: Stop,
        retry: Retry,
    ) -> None:
        self.database, self.request, self.retry = database, request, retry
        self.executor, self.in_flight, self.stop = executor, in_flight, stop
        self.run_id: int | None = None

    def report(self, progress: Progress) -> Report:
        """Do all batches, and report."""
        keys, parked = self.begin()
        promises = RunResult(broken_promises=self.retry(self.broken_promises), schedules_parked=parked)
        result, left = self.do(keys, progress)
        locked, result = result.schedules_locked, replace(result, schedules_locked=())
        again, locked_left = self.do(locked)
        left += locked_left
        if not left:
            self.retry(self.delete_old_rows)
        result = promises + result + again
        self.retry(partial(self.finish, _status(result, left)))
        return Report(self.run_id, len({key.facility_id for key in keys}), result, schedules_left=left)

    def do(self, keys: Sequence[ScheduleKey], progress: Progress = lambda *_: None) -> tuple[RunResult, int]:
        """Do the batches of schedules; return also the number of schedules that are left since the run is stopped."""
        result, done = RunResult(), 0
        for batch, batch_result in self.results(keys):
            if batch_result is not None:
                self.log(batch_result)
                result += batch_result
                done += len(batch.keys)
                progress(done, len(keys), result.slots_created)
        return result, len(keys) - done

    def results(self, keys: Sequence[ScheduleKey]) -> Iterator[tuple[Batch, RunResult | None]]:
        """Yield each batch with its result, in order; a batch that is left since the run is stopped has none."""
        trace: TraceContext | None = None if self.executor is None else trace_context()
        batches = (
            Batch(self.request, self.run_id, tuple(keys[start : start + SCHEDULES_PER_BATCH]), self.retry, trace)
            for start in range(0, len(keys), SCHEDULES_PER_BATCH)
        )
        if self.executor is not None and self.database.url is not None:
            yield from send(self.executor, self.database.url, batches, in_flight=self.in_flight, stop=self.stop)
        else:
            for batch in batches:
                yield batch, None if self.stop() else do_batch(self.database, batch)

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

    def log(self, result: RunResult) -> None:
        """Log a batch that is done, and the schedules that failed in it."""
        locked = len(result.schedules_locked)
        logged("batch done", run_id=self.run_id, **result.counts(), schedules_locked=locked)
        for failure in result.schedules_failed:
            facts = {"error": failure.error, "sqlstate": failure.sqlstate}
            logged("schedule failed", level=ERROR, run_id=self.run_id, **failure.key._asdict(), **facts)

    def tell(self, report: Report, add: Add) -> None:
        """Log the end of a run, and add its counts to its span."""
        result = report.result
        status = _status(result, report.schedules_left)
        facts = {"run_id": self.run_id, "status": status.value, **result.counts()}
        add(facts)
        logged(
            "run ended",
            level=INFO if status is RunStatus.SUCCEEDED else ERROR,
            **facts,
            schedules_left=report.schedules_left,
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


def _status(result: RunResult, left: int) -> RunStatus:
    """Return the status of a run that came to its end; a parked schedule lacks days, as one that failed."""
    if left:
        return RunStatus.INTERRUPTED
    is_complete = not result.schedules_failed and not result.schedules_parked
    return RunStatus.SUCCEEDED if is_complete else RunStatus.FAILED
