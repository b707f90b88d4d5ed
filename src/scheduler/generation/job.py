"""Nightly job: make the stored slots of a tenant match its schedules, for some days ahead.

Owns: the run, with its beginning, the order of its batches, its progress and its end.
Holds: R4 (a run that is stopped or dies leaves whole batches, and the next run does the rest).
Must not know: SQL; the work of a batch (`batches`); how batches are sent (`sending`); how results are shown; the clock.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from functools import partial
from logging import ERROR, INFO, WARNING
from typing import Final

from scheduler.core.errors import InvalidInputError, NotFoundError, WallClockError
from scheduler.core.fingerprints import ENGINE_VERSION
from scheduler.core.zones import zone_of
from scheduler.generation.batches import Batch, do_batch, unit_of_work
from scheduler.generation.observing import Add, TraceContext, facts_of, logged, trace_context, traced
from scheduler.generation.planning import batches_of
from scheduler.generation.report import Report, RunResult
from scheduler.generation.request import GenerationRequest, Mode, Scope, earliest_day
from scheduler.generation.retrying import Retry, concerns_the_server, once
from scheduler.generation.sending import send
from scheduler.postgres.database import Database
from scheduler.postgres.due_schedules import (
    FoundSchedule,
    find_schedules,
    register_schedules,
    scheduled_zones,
    tzdata_version_of,
)
from scheduler.postgres.errors import StoreError
from scheduler.postgres.figure_sums import sum_figures
from scheduler.postgres.old_rows import delete_old_rows
from scheduler.postgres.promised_times import BrokenPromise, broken_promises
from scheduler.postgres.run_history import RunStatus, add_to_run, begin_run, finish_run
from scheduler.postgres.slots import analyze_grown_tables, ensure_months

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
    report names it. A batch, or the beginning, that fails by a transient error is repeated as `retry` says.

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
        found = self.retry(self.begin)
        rest = replace(_without_work(found), broken_promises=self.retry(self.broken_promises))
        result, left = self.do(found, progress)
        locked, result = {*result.schedules_locked}, replace(result, schedules_locked=())
        again, locked_left = self.do([schedule for schedule in found if schedule.key in locked])
        left += locked_left
        if not left:
            self.retry(self.delete_old_rows)
            self.retry(self.sum_figures)
        result = rest + result + again
        self.retry(partial(self.finish, _status(result, left)))
        return Report(self.run_id, len({schedule.key.facility_id for schedule in found}), result, schedules_left=left)

    def do(self, found: Sequence[FoundSchedule], progress: Progress = lambda *_: None) -> tuple[RunResult, int]:
        """Do the batches of schedules; return also the number of schedules that are left since the run is stopped."""
        due = [schedule for schedule in found if schedule.is_due]
        result, done = RunResult(), 0
        for batch, batch_result in self.results(due):
            if batch_result is not None:
                self.log(batch_result)
                result += batch_result
                done += len(batch.keys)
                progress(len(found) - len(due) + done, len(found), result.slots_created)
        return result, len(due) - done

    def results(self, due: Iterable[FoundSchedule]) -> Iterator[tuple[Batch, RunResult | None]]:
        """Yield each batch with its result, in order; a batch that is left since the run is stopped has none."""
        trace: TraceContext | None = None if self.executor is None else trace_context()
        batches = (Batch(self.request, self.run_id, tuple(keys), self.retry, trace) for keys in batches_of(due))
        if self.executor is not None and self.database.url is not None:
            yield from send(self.executor, self.database.url, batches, in_flight=self.in_flight, stop=self.stop)
        else:
            for batch in batches:
                yield batch, None if self.stop() else do_batch(self.database, batch)

    def begin(self) -> list[FoundSchedule]:
        """Begin the run, and return its schedules."""
        request = self.request
        self.analyze_tables()
        with unit_of_work(self.database, self.request) as session:
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
            with unit_of_work(self.database, self.request) as session:
                # A local day may begin a day before, or end a day after, the same date in UTC.
                first, last = request.from_day - timedelta(days=1), request.until_day + timedelta(days=1)
                ensure_months(session, *(datetime.combine(day, time(), UTC) for day in (first, last)))
            with unit_of_work(self.database, self.request) as session:
                register_schedules(session)
            # after the states are committed: see `register_schedules`
            with unit_of_work(self.database, self.request) as session:
                days = request.from_day, request.until_day
                versions = ENGINE_VERSION, tzdata_version_of(releases)
                self.run_id = begin_run(session, days=days, trigger=request.trigger, versions=versions)
                add_to_run(session, self.run_id, _without_work(found).counts())
        logged(
            "run begun",
            run_id=self.run_id,
            tenant_id=str(request.tenant_id),
            from_day=request.from_day.isoformat(),
            until_day=request.until_day.isoformat(),
            mode=request.mode.value,
            schedules=len(found),
            schedules_due=sum(schedule.is_due for schedule in found),
            schedules_parked=sum(schedule.is_parked for schedule in found),
        )
        return found

    def analyze_tables(self) -> None:
        """Analyze the tables to which slots refer. A run that may not, or meets a lock, is slower, and goes on."""
        if self.request.mode is Mode.WRITE:
            try:
                with unit_of_work(self.database, self.request) as session:
                    analyze_grown_tables(session)
            except StoreError as error:
                if concerns_the_server(error):
                    raise
                logged("tables not analyzed", level=WARNING, **facts_of(error))

    def _releases(self, names: Iterable[str]) -> dict[str, str]:
        """Return the releases of zones by name; schedules in a zone that the engine lacks will fail."""
        releases = {}
        for name in names:
            with suppress(WallClockError):
                releases[name] = self.request.release_of(zone_of(name))
        return releases

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

    def broken_promises(self) -> tuple[BrokenPromise, ...]:
        with unit_of_work(self.database, self.request) as session:
            return broken_promises(session, now=self.request.now, facility_slug=self.request.facility_slug)

    def delete_old_rows(self) -> None:
        if self.request.mode is Mode.WRITE:
            with unit_of_work(self.database, self.request) as session:
                delete_old_rows(session)

    def sum_figures(self) -> None:
        """Sum the figures of the days that are over, a transaction for each month that is left."""
        is_left = self.request.mode is Mode.WRITE
        while is_left and not self.stop():
            with unit_of_work(self.database, self.request) as session:
                is_left = sum_figures(session)

    def finish(self, status: RunStatus) -> None:
        if self.run_id is not None:
            with unit_of_work(self.database, self.request) as session:
                finish_run(session, self.run_id, status)

    def interrupt(self) -> None:
        """Record that the run ended early. Without a connection it becomes silent, and a later run records that."""
        with suppress(StoreError):
            self.finish(RunStatus.INTERRUPTED)


def _status(result: RunResult, left: int) -> RunStatus:
    """Return the status of a run that came to its end; a parked schedule lacks days, as one that failed."""
    if left:
        return RunStatus.INTERRUPTED
    is_complete = not result.schedules_failed and not result.schedules_parked
    return RunStatus.SUCCEEDED if is_complete else RunStatus.FAILED


def _without_work(found: Sequence[FoundSchedule]) -> RunResult:
    """Return the result of the schedules that are not due: they are unchanged, or parked."""
    parked = tuple(schedule.key for schedule in found if schedule.is_parked)
    unchanged = sum(not schedule.is_due and not schedule.is_parked for schedule in found)
    return RunResult(schedules=unchanged, schedules_unchanged=unchanged, schedules_parked=parked)
