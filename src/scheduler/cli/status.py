"""`scheduler status`: totals, the latest runs and the failing schedules of a tenant."""

import json
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from scheduler.cli.rendering import runs_table
from scheduler.cli.settings import DEFAULT_TENANT, AsJson, DatabaseUrl, Tenant, opened_for
from scheduler.cli.terminal import echo
from scheduler.postgres.database import Role
from scheduler.postgres.run_history import latest_runs
from scheduler.postgres.statistics import Totals, failing_schedules, totals

MAX_RUNS = 5
MAX_FAILING = 20


def status(url: DatabaseUrl = None, tenant: Tenant = DEFAULT_TENANT, as_json: AsJson = False) -> None:
    """Show totals, the latest runs and the failing schedules."""
    with opened_for(url, tenant, role=Role.JOB) as (session, _):
        counts, runs, failing = (
            totals(session),
            latest_runs(session, most=MAX_RUNS),
            failing_schedules(session, most=MAX_FAILING),
        )
    if as_json:
        lists = {
            "runs": [run.model_dump(mode="json") for run in runs],
            "failing_schedules": [schedule._asdict() for schedule in failing],
        }
        echo(json.dumps(asdict(counts) | lists, default=str))
        return
    console = Console()
    console.print(_totals_table(counts))
    console.print(runs_table(runs))
    for schedule in failing:
        doctor = f"{schedule.doctor} (doctor {schedule.doctor_id})"
        kind = "parked" if schedule.parked else "failing"
        echo(f"{kind}: {doctor} at {schedule.facility}: {schedule.reason}")


def generated_days(counts: Totals) -> str:
    """Return the generated days of a tenant as text, with the first gap between them."""
    if counts.from_day is None:
        return "none yet"
    gap = "" if counts.gap_day is None else f", with a gap from {counts.gap_day} on"
    return f"{counts.from_day} to before {counts.until_day}{gap}"


def _failing(counts: Totals) -> str:
    failing = f", {counts.failing:,} failing" if counts.failing else ""
    return failing + (f", {counts.parked:,} of them parked" if counts.parked else "")


def _totals_table(counts: Totals) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(justify="right")
    for name, figure in (
        ("facilities", f"{counts.facilities:,}"),
        ("schedules", f"{counts.schedules:,}" + _failing(counts)),
        ("days generated", generated_days(counts)),
        ("slots", f"{counts.slots:,}"),
        ("booked, held, cancelled", f"{counts.booked:,}, {counts.held:,}, {counts.cancelled:,}"),
    ):
        table.add_row(name, figure)
    return table
