"""`scheduler status`: what is there, and what failed."""

import json
from dataclasses import asdict

import typer
from rich.console import Console
from rich.table import Table

from scheduler.cli.rendering import runs_table
from scheduler.cli.settings import DEFAULT_TENANT, AsJson, DatabaseUrl, Tenant, opened_for
from scheduler.postgres.database import Role
from scheduler.postgres.run_history import latest_runs
from scheduler.postgres.statistics import Totals, failing_schedules, totals

RUNS = 5
FAILING = 20


def status(url: DatabaseUrl = None, tenant: Tenant = DEFAULT_TENANT, as_json: AsJson = False) -> None:
    """Say what is there: facilities, schedules, slots, the latest runs, and what failed."""
    with opened_for(url, tenant, role=Role.JOB) as (session, _):
        found, runs, failing = (
            totals(session),
            latest_runs(session, most=RUNS),
            failing_schedules(session, most=FAILING),
        )
    if as_json:
        listed = [run.model_dump(mode="json") for run in runs]
        typer.echo(json.dumps(asdict(found) | {"runs": listed, "failing_schedules": failing}, default=str))
        return
    console = Console()
    console.print(_totals_table(found))
    console.print(runs_table(runs))
    for slug, doctor_id, reason in failing:
        typer.echo(f"failing: doctor {doctor_id} at {slug}: {reason}")


def _totals_table(found: Totals) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(justify="right")
    days = "none yet" if found.from_day is None else f"{found.from_day} to before {found.until_day}"
    for name, shown in (
        ("facilities", f"{found.facilities:,}"),
        ("schedules", f"{found.schedules:,}" + (f", {found.failing:,} failing" if found.failing else "")),
        ("days generated", days),
        ("slots", f"{found.slots:,}"),
        ("booked, held, cancelled", f"{found.booked:,}, {found.held:,}, {found.cancelled:,}"),
    ):
        table.add_row(name, shown)
    return table
