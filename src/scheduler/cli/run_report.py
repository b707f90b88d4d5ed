"""Report of a run of `scheduler generate`, as a table with details or as JSON.

Owns: the lines and the JSON of slots, bookings and schedules that need attention.
Must not know: how a run is done.
"""

import json
from dataclasses import asdict

from rich.console import Console

from scheduler.cli.rendering import RunSummary, summary_table
from scheduler.cli.terminal import echo
from scheduler.core.reconciliation import StoredSlot
from scheduler.generation.report import Report
from scheduler.postgres.promised_times import BrokenPromise

MAX_SLOTS_SHOWN = 10


def print_run(report: Report, summary: RunSummary, *, as_json: bool, tenant: str | None = None) -> None:
    """Print a run, and what of it needs attention; failures go to standard error."""
    if as_json:
        about = {} if tenant is None else {"tenant": tenant}
        echo(json.dumps(about | summary.as_json() | _details(report), default=str))
        return
    if tenant is not None:
        echo(f"tenant {tenant}")
    Console().print(summary_table(summary))
    _print_details(report)


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
    if report.schedules_left:
        echo(f"  {report.schedules_left} schedules are left to the next run")
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
        "schedules_left": report.schedules_left,
        "conflicts": [_described(stored) for stored in report.result.slots_conflicting],
        "displacements": [_described(stored) for stored in report.result.slots_displaced],
        "broken_promises": [asdict(promise) for promise in report.result.broken_promises],
        "parked": [key._asdict() for key in report.result.schedules_parked],
        "left_to_another_run": [key._asdict() for key in report.result.schedules_locked],
        "failures": [failure.key._asdict() | {"reason": failure.reason} for failure in report.result.schedules_failed],
    }
