"""`scheduler generate`: the slot-generation job."""

import json
import resource
import sys
from contextlib import suppress
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from time import perf_counter
from typing import Annotated

import typer
from rich.console import Console

from scheduler.cli.errors import SchedulesFailedError
from scheduler.cli.job_log import LogFormat, written_log
from scheduler.cli.job_metrics import check_metrics_file, written_metrics
from scheduler.cli.job_retries import DEFAULT_ATTEMPTS, JobRetries
from scheduler.cli.progress import shown_progress
from scheduler.cli.rendering import RunSummary, summary_table
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
from scheduler.core.errors import InvalidInputError
from scheduler.core.reconciliation import StoredSlot
from scheduler.generation.job import generate
from scheduler.generation.report import Report
from scheduler.generation.request import JOB_TIMEOUTS, GenerationRequest, Mode, Scope
from scheduler.postgres.acting import Timeouts
from scheduler.postgres.database import Database, Role
from scheduler.postgres.parking import FAILURES_THAT_PARK
from scheduler.postgres.promised_times import BrokenPromise
from scheduler.postgres.tenants import tenant_id_of

DEFAULT_DAYS = 90
MAX_SLOTS_SHOWN = 10


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
    as_json: AsJson = False,
    log: Annotated[
        LogFormat | None,
        typer.Option("--log", help="Write the events of the run to standard error, in place of the progress."),
    ] = None,
    metrics: Annotated[
        Path | None,
        typer.Option(
            "--metrics", metavar="FILE", help="Write metrics of the run for the node exporter, such as slots.prom."
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
) -> None:
    """Generate slots: make the stored slots those of the schedules.

    Run it every night. It writes changes only, never touches a booked, held or cancelled slot, and may be stopped at
    any moment: the next run does the rest. Exit code 1 if a schedule failed or is parked; the others are done.
    """
    begin, end = read_days(first, days, until, default_days=DEFAULT_DAYS)
    if metrics is not None:
        check_metrics_file(metrics, dry=dry_run)
    with written_metrics(metrics, tenant, clock=now) as reports:
        with opened(url) as database:
            request = GenerationRequest(
                tenant_id_of(database, tenant, role=Role.JOB),
                begin,
                end,
                now=now(),
                facility_slug=facility,
                mode=Mode.DRY if dry_run else Mode.WRITE,
                scope=Scope.ALL if look_at_all else Scope.CHANGED,
                timeouts=Timeouts(_limit(lock_timeout), _limit(statement_timeout)),
            )
            report, summary = run(database, request, attempts=attempts, log=log)
        reports.append(report)
        if as_json:
            echo(json.dumps(summary.as_json() | _details(report), default=str))
        else:
            Console().print(summary_table(summary))
            _print_details(report)
        if report.result.schedules_failed or report.result.schedules_parked:
            raise SchedulesFailedError(_failures(report))


def run(
    database: Database, request: GenerationRequest, *, attempts: int = DEFAULT_ATTEMPTS, log: LogFormat | None = None
) -> tuple[Report, RunSummary]:
    """Run the job, and return its report with the figures of the run.

    Standard error shows its progress, or its log.
    """
    begun = perf_counter()
    retry = JobRetries(attempts)
    if log is None:
        with shown_progress("generating", steps="schedules", unit="slots", json_name="slots_created") as progress:
            report = generate(database, request, progress=progress, retry=retry)
    else:
        with written_log():
            report = generate(database, request, retry=retry)
    seconds = perf_counter() - begun
    return report, RunSummary(
        facilities=report.facilities,
        schedules_unchanged=report.result.schedules_unchanged,
        counts=report.result.counts(),
        seconds=seconds,
        peak_memory=peak_memory(),
        dry=request.mode is Mode.DRY,
    )


def _limit(seconds: float) -> timedelta | None:
    try:
        return timedelta(seconds=seconds) if seconds else None
    except (OverflowError, ValueError):
        raise InvalidInputError(f"{seconds} is no number of seconds for a time-out") from None


def _failures(report: Report) -> str:
    """Say how many schedules failed, and how many are parked."""
    failed, parked = len(report.result.schedules_failed), len(report.result.schedules_parked)
    parts = [f"{failed} of {report.result.schedules} schedules failed"] if failed else []
    if parked:
        are = "schedule is" if parked == 1 else "schedules are"
        parts.append(f"{parked} {are} parked after {FAILURES_THAT_PARK} failed runs (`scheduler status` names them)")
    return "; ".join(parts)


def peak_memory() -> int:
    """Return the peak memory of this process in bytes."""
    with suppress(OSError, StopIteration):  # Linux: `getrusage` would count the process that started this one, too
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _print_details(report: Report) -> None:
    for title, slots in (
        ("booked or held, but no longer in the schedule", report.result.slots_conflicting),
        ("booked, but displaced by an emergency", report.result.slots_displaced),
    ):
        for stored in slots[:MAX_SLOTS_SHOWN]:
            echo(f"  {title}: {_described(stored)}")
        if len(slots) > MAX_SLOTS_SHOWN:
            echo(f"  … and {len(slots) - MAX_SLOTS_SHOWN} more {title}")
    for promise in report.result.broken_promises:  # all of them: each patient has to be told
        told, shown = _wall_times(promise)
        echo(f"  booked for another time: appointment {promise.appointment_id} at {promise.facility}, {told}; {shown}")
    if report.result.schedules_locked:
        echo(f"  {len(report.result.schedules_locked)} schedules were left to another run that has locked them")
    for failure in report.result.schedules_failed:
        echo(
            f"failed: doctor {failure.key.doctor_id} at facility {failure.key.facility_id}: {failure.reason}", err=True
        )


def _described(stored: StoredSlot) -> str:
    slot = stored.slot
    place = f"doctor {slot.doctor_id} at facility {slot.facility_id}"
    return f"slot {stored.id}, {place}, {slot.start_at:%Y-%m-%d %H:%M} UTC"


def _wall_times(promise: BrokenPromise) -> tuple[str, str]:
    told = f"the patient was told {promise.promised_start:%Y-%m-%d %H:%M} {promise.promised_zone}"
    if promise.local_start is None:
        return told, f"the time zone {promise.zone} of the facility is unknown"
    return told, f"its start is now {promise.local_start:%Y-%m-%d %H:%M} {promise.zone}"


def _details(report: Report) -> dict[str, object]:
    return {
        "run_id": report.run_id,
        "conflicts": [_described(stored) for stored in report.result.slots_conflicting],
        "displacements": [_described(stored) for stored in report.result.slots_displaced],
        "broken_promises": [asdict(promise) for promise in report.result.broken_promises],
        "parked": [key._asdict() for key in report.result.schedules_parked],
        "left_to_another_run": [key._asdict() for key in report.result.schedules_locked],
        "failures": [failure.key._asdict() | {"reason": failure.reason} for failure in report.result.schedules_failed],
    }
