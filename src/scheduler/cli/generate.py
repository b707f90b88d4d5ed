"""`scheduler generate`: the slot-generation job."""

import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from time import perf_counter
from typing import Annotated
from uuid import UUID

import typer

from scheduler.cli.ending import Ending, ending_early, read_duration
from scheduler.cli.errors import SchedulesFailedError, TenantsFailedError
from scheduler.cli.job_log import LogFormat, written_log
from scheduler.cli.job_metrics import JobMetrics, check_metrics_file, written_metrics
from scheduler.cli.job_retries import DEFAULT_ATTEMPTS, JobRetries
from scheduler.cli.progress import shown_progress
from scheduler.cli.rendering import RunSummary
from scheduler.cli.run_report import print_run
from scheduler.cli.settings import (
    DEFAULT_TENANT,
    AsJson,
    DatabaseUrl,
    Tenant,
    now,
    opened,
    read_days,
    readable,
)
from scheduler.cli.terminal import echo
from scheduler.cli.workers import ExecutorKind, Opened, Workers
from scheduler.core.errors import InvalidInputError, SchedulerError
from scheduler.generation.errors import WorkersLostError
from scheduler.generation.job import Progress, Stop, generate
from scheduler.generation.report import Report
from scheduler.generation.request import JOB_TIMEOUTS, GenerationRequest, Mode, Scope
from scheduler.generation.retrying import Retry, concerns_the_server
from scheduler.postgres.acting import Timeouts
from scheduler.postgres.database import Database, Role
from scheduler.postgres.parking import FAILURES_THAT_PARK
from scheduler.postgres.tenants import active_tenants, tenant_id_of

DEFAULT_DAYS = 90


def _seconds(limit: timedelta | None) -> float:
    return 0 if limit is None else limit.total_seconds()


def generate_slots(
    url: DatabaseUrl = None,
    tenant: Tenant = DEFAULT_TENANT,
    first: Annotated[
        str | None, typer.Option("--from", metavar="DAY", help="First local day. [default: today]")
    ] = None,
    days: Annotated[int | None, typer.Option("--days", min=1, help=f"How many days. [default: {DEFAULT_DAYS}]")] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="DAY", help="Last local day, instead of --days.")
    ] = None,
    facility: Annotated[
        str | None, typer.Option("--facility", callback=readable, metavar="SLUG", help="Only this facility.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Report without writing.")] = False,
    look_at_all: Annotated[
        bool,
        typer.Option("--all", help="Repeat unchanged schedules too, and so restore slots that were edited by hand."),
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option("--workers", min=1, max=256, help="Processes that generate at once. [default: 1, this one]"),
    ] = None,
    executor: Annotated[
        ExecutorKind | None, typer.Option("--executor", help="Let a cluster generate; needs the extra `dask`.")
    ] = None,
    address: Annotated[
        str | None,
        typer.Option("--address", callback=readable, metavar="ADDRESS", help="Address of the cluster's scheduler."),
    ] = None,
    all_tenants: Annotated[
        bool, typer.Option("--all-tenants", help="Work for each active tenant in turn, instead of --tenant.")
    ] = False,
    max_duration: Annotated[
        str | None,
        typer.Option(
            "--max-duration",
            metavar="TIME",
            help="End after the batch in progress when so long has passed, such as 2h or 90m.",
        ),
    ] = None,
    attempts: Annotated[
        int,
        typer.Option(
            "--attempts", min=1, max=100, help="How often a batch is tried if the connection or a lock fails."
        ),
    ] = DEFAULT_ATTEMPTS,
    lock_timeout: Annotated[
        float, typer.Option("--lock-timeout", metavar="SECONDS", help="How long a statement waits for a lock.")
    ] = _seconds(JOB_TIMEOUTS.lock),
    statement_timeout: Annotated[
        float,
        typer.Option("--statement-timeout", metavar="SECONDS", help="How long a statement may take; 0: any time."),
    ] = _seconds(JOB_TIMEOUTS.statement),
    log: Annotated[
        LogFormat | None,
        typer.Option("--log", help="Write the events of the run to standard error, in place of the progress."),
    ] = None,
    metrics_file: Annotated[
        Path | None,
        typer.Option(
            "--metrics", metavar="FILE", help="Write metrics of the run for the node exporter, such as slots.prom."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Generate slots: make the stored slots those of the schedules.

    Run it every night. It writes changes only, never touches a booked, held or cancelled slot, and may be stopped at
    any moment: the next run does the rest. Exit code 1 if a schedule or a tenant failed, or a schedule is parked; the
    others are done. Exit code 13 if --max-duration is over, 14 if the workers are lost.
    """
    begin, end = read_days(first, days, until, default_days=DEFAULT_DAYS)
    most = read_duration(max_duration)
    if all_tenants and facility is not None:
        raise InvalidInputError("--all-tenants and --facility exclude each other: a facility belongs to one tenant")
    if metrics_file is not None:
        check_metrics_file(metrics_file, dry=dry_run)
    timeouts = Timeouts(_limit(lock_timeout), _limit(statement_timeout))
    with (
        written_metrics(metrics_file, now, tenant=None if all_tenants else tenant) as metrics,
        opened(url) as database,
        Workers.of(workers, executor, address, log) as team,
        ending_early(most) as ending,
    ):

        def generate_for(slug: str, tenant_id: UUID) -> tuple[Report, RunSummary]:
            request = GenerationRequest(
                tenant_id,
                begin,
                end,
                now=now(),
                facility_slug=facility,
                mode=Mode.DRY if dry_run else Mode.WRITE,
                scope=Scope.ALL if look_at_all else Scope.CHANGED,
                timeouts=timeouts,
            )
            with metrics.run_for(slug) as measure:
                report, summary = team.call(
                    lambda opened: run(
                        database, request, opened, retry=JobRetries(attempts), log=log, stop=ending.is_due
                    )
                )
                measure(report)
            return report, summary

        if all_tenants:
            _generate_for_all(active_tenants(database), generate_for, ending, metrics, as_json=as_json)
        else:
            report, summary = generate_for(tenant, tenant_id_of(database, tenant, role=Role.JOB))
            print_run(report, summary, as_json=as_json)
            if report.schedules_left and not (ending.is_time_up() and _faults(report)):
                raise ending.error(f"{report.schedules_left} schedules")
            _raise_if_failed(report)


def _generate_for_all(
    tenants: Sequence[tuple[str, UUID]],
    generate_for: Callable[[str, UUID], tuple[Report, RunSummary]],
    ending: Ending,
    metrics: JobMetrics,
    *,
    as_json: bool,
) -> None:
    """Run for each tenant, and print its report; a tenant that fails stops no other.

    An error that each further tenant would meet, too, ends the command.

    Raises:
        StoreError: the server is lost, or has no room.
        WorkersLostError: the workers died twice.
        TerminatedError: a SIGTERM ended the last run.
        TimeIsUpError: the time ended the last run, and no run before failed.
        TenantsFailedError: a run failed, or a schedule of it; all others are done, or left since the time is up.
    """
    failed: list[str] = []
    left: str | None = None
    for number, (slug, tenant_id) in enumerate(tenants):
        if ending.is_due():
            left = f"{len(tenants) - number} of {len(tenants)} tenants"
            metrics.leave(slug for slug, _ in tenants[number:])
            break
        try:
            report, summary = generate_for(slug, tenant_id)
            print_run(report, summary, as_json=as_json, tenant=slug)
            if report.schedules_left:
                left = f"{report.schedules_left} schedules of {slug} and {len(tenants) - number - 1} tenants"
            _raise_if_failed(report)
        except SchedulerError as error:
            if concerns_the_server(error) or isinstance(error, WorkersLostError):
                raise
            failed.append(slug)
            echo(f"error: tenant {slug}: {error}", err=True)
        if left is not None:
            metrics.leave(slug for slug, _ in tenants[number + 1 :])
            break
    if left is not None and not (failed and ending.is_time_up()):
        raise ending.error(left)
    if failed:
        later = "" if left is None else f"; the time is up: {left} are left to the next run"
        raise TenantsFailedError(f"{len(failed)} of {len(tenants)} tenants failed: {', '.join(failed)}{later}")


def _raise_if_failed(report: Report) -> None:
    """Raise an error that says how many schedules failed, and how many are parked, if there are any."""
    if faults := _faults(report):
        raise SchedulesFailedError("; ".join(faults))


def _faults(report: Report) -> list[str]:
    """Say how many schedules failed, how many are parked, and then also how many are left."""
    failed, parked = len(report.result.schedules_failed), len(report.result.schedules_parked)
    parts = [f"{failed} of {report.result.schedules} schedules failed"] if failed else []
    if parked:
        are = "schedule is" if parked == 1 else "schedules are"
        parts.append(f"{parked} {are} parked after {FAILURES_THAT_PARK} failed runs (`scheduler status` names them)")
    if parts and report.schedules_left:
        parts.append(f"{report.schedules_left} schedules are left to the next run")
    return parts


def _limit(seconds: float) -> timedelta | None:
    try:
        return timedelta(seconds=seconds) if seconds else None
    except (OverflowError, ValueError):
        raise InvalidInputError(f"{seconds} is no number of seconds for a time-out") from None


def run(
    database: Database,
    request: GenerationRequest,
    workers: Opened = Opened(),  # noqa: B008  # an immutable value
    *,
    retry: Retry = JobRetries(),  # noqa: B008  # an immutable value
    log: LogFormat | None = None,
    stop: Stop = lambda: False,
) -> tuple[Report, RunSummary]:
    """Run the job, and return its report with the figures of the run.

    Standard error shows its progress, or its log.
    """
    begun = perf_counter()
    with _shown(log) as progress:
        report = generate(
            database,
            request,
            executor=workers.executor,
            in_flight=workers.in_flight,
            stop=stop,
            progress=progress,
            retry=retry,
        )
    seconds = perf_counter() - begun
    return report, RunSummary(
        facilities=report.facilities,
        schedules_unchanged=report.result.schedules_unchanged,
        counts=report.result.counts(),
        seconds=seconds,
        peak_memory=peak_memory(),
        dry=request.mode is Mode.DRY,
    )


@contextmanager
def _shown(log: LogFormat | None) -> Iterator[Progress]:
    """Show the progress of the block, or its log."""
    if log is None:
        with shown_progress("generating", steps="schedules", unit="slots", json_name="slots_created") as progress:
            yield progress
    else:
        with written_log():
            yield lambda *_: None


def peak_memory() -> int:
    """Return the peak memory of this process in bytes."""
    with suppress(OSError, StopIteration):  # Linux: `getrusage` would count the process that started this one, too
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
