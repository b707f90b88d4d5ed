"""`scheduler report`: figures of visits, as tables or as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime, timedelta
from typing import Annotated, Final

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from scheduler.booking.figures import Figures, ThirdNextAvailable, VisitReport, visit_report
from scheduler.cli.settings import DEFAULT_TENANT, AsJson, DatabaseUrl, Tenant, now, opened_for, read_day, readable
from scheduler.cli.terminal import echo, printable
from scheduler.core.errors import InvalidInputError
from scheduler.core.ids import FacilityId
from scheduler.postgres.doctors import listed_doctors
from scheduler.postgres.facilities import facility_view

DEFAULT_DAYS: Final = timedelta(days=28)
_HOUR: Final = timedelta(hours=1)
_DAY: Final = timedelta(days=1)

app: typer.Typer = typer.Typer(help="Report figures of visits: time, places, lead times, access.", no_args_is_help=True)


@app.callback()
def _report() -> None:
    """Report figures of visits: time, places, lead times, access."""


@app.command("visits")
def visits(
    url: DatabaseUrl = None,
    tenant: Tenant = DEFAULT_TENANT,
    first: Annotated[
        str | None,
        typer.Option("--from", metavar="DAY", help="First local day.", show_default="four weeks before --until"),
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", metavar="DAY", help="Last local day.", show_default="yesterday")
    ] = None,
    facility: Annotated[
        str | None, typer.Option("--facility", callback=readable, metavar="SLUG", help="Only this facility.")
    ] = None,
    names: Annotated[bool, typer.Option("--names", help="Show the names of doctors, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Report booked, held, blocked and free time, places, lead times, cancellations, no-shows and the next visits."""
    as_of = now()
    begin, end = _days(first, until)
    with opened_for(url, tenant) as (session, _):
        facility_id = None if facility is None else FacilityId(facility_view(session, facility).id)
        report = visit_report(session, begin, end, as_of=as_of, facility_id=facility_id)
        named = {one.id: one.name for one in listed_doctors(session, facility_id=facility_id)} if names else {}
    if as_json:
        values = asdict(report)
        if names:
            values["names"] = {str(number): name for number, name in sorted(named.items())}
        echo(json.dumps(values, default=_readable))
        return
    console = Console()
    console.print(f"{begin} to {end - _DAY}")
    console.print(figures_table(_labelled(report, named)))
    console.print(third_table(report.third_next_available, named))


def _days(first: str | None, until: str | None) -> tuple[date, date]:
    try:
        end = read_day(until, default=now().date() - _DAY) + _DAY
        return read_day(first, default=end - DEFAULT_DAYS), end
    except OverflowError:
        raise InvalidInputError(f"the days until {until} leave the calendar") from None


def _labelled(report: VisitReport, named: dict[int, str]) -> list[tuple[str, Figures]]:
    """Return the rows of the table: all, then each facility with its doctors."""
    rows = [("all", report.total)]
    for facility in report.facilities:
        rows.append((f"facility {facility.facility_id}", facility))
        rows += [
            (f"  {_doctor(one.doctor_id, named)}", one)
            for one in report.doctors
            if one.facility_id == facility.facility_id
        ]
    return rows


def _doctor(doctor_id: int | None, named: dict[int, str]) -> str:
    return f"doctor {doctor_id}" + (f", {named[doctor_id]}" if doctor_id in named else "")


def figures_table(rows: Sequence[tuple[str, Figures]]) -> Table:
    """Draw figures, a row each: hours of time, then places, then visits."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("", overflow="fold")
    headings = ("booked h", "held h", "blocked h", "free h", "places", "booked", "held", "closed", "free")
    for heading in (*headings, "visits", "cancelled", "no-show", "lead, days"):
        table.add_column(heading, justify="right")
    for label, one in rows:
        hours = (f"{time / _HOUR:,.1f}" for time in (one.booked, one.held, one.blocked, one.free))
        counts = (one.places, one.booked_places, one.held_places, one.closed_places, one.free_places)
        lead = "-" if one.lead_time is None else f"{one.lead_time / _DAY:,.1f}"
        numbers = (f"{count:,}" for count in (*counts, one.visits, one.cancelled, one.no_shows))
        table.add_row(Text(printable(label)), *hours, *numbers, lead)
    return table


def third_table(rows: Sequence[ThirdNextAvailable], named: dict[int, str]) -> Table:
    """Draw the days until the third next available appointment of each doctor at each facility."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("third next available", overflow="fold")
    table.add_column("facility", justify="right")
    table.add_column("days", justify="right")
    for one in rows:
        table.add_row(
            Text(printable(_doctor(one.doctor_id, named))),
            str(one.facility_id),
            "none" if one.days is None else str(one.days),
        )
    return table


def _readable(value: object) -> object:
    """Return minutes for a length of time, and ISO 8601 for a day or an instant."""
    if isinstance(value, timedelta):
        return value / timedelta(minutes=1)
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    raise TypeError(value)
