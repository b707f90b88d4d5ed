"""`scheduler report`: figures of visits, as tables or as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from datetime import date, datetime, timedelta
from typing import Annotated, Final

import typer
from rich import box
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text
from sqlmodel import col, select

from scheduler.booking.figures import Figures, ThirdNextAvailable, VisitReport, visit_report
from scheduler.cli.settings import DEFAULT_TENANT, AsJson, DatabaseUrl, Tenant, now, opened_for, read_day, readable
from scheduler.cli.terminal import echo, printable
from scheduler.core.errors import InvalidInputError
from scheduler.core.ids import FacilityId
from scheduler.models import Facility
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
        slugs = {id_ or 0: slug for id_, slug in session.exec(select(col(Facility.id), Facility.slug))}
        named = {one.id: one.name for one in listed_doctors(session, facility_id=facility_id)} if names else {}
    if as_json:
        values = asdict(report)
        if names:
            values["names"] = {str(number): name for number, name in sorted(named.items())}
        echo(json.dumps(values, default=_readable))
        return
    console = Console()
    console.print(f"{begin} to {end - _DAY}")
    console.print(figures_tables(_labelled(report, slugs, named)))
    console.print(third_table(report.third_next_available, slugs, named))


def _days(first: str | None, until: str | None) -> tuple[date, date]:
    try:
        end = read_day(until, default=now().date() - _DAY) + _DAY
        return read_day(first, default=end - DEFAULT_DAYS), end
    except OverflowError:
        raise InvalidInputError(f"the days until {until} leave the calendar") from None


def _labelled(report: VisitReport, slugs: dict[int, str], named: dict[int, str]) -> list[tuple[str, Figures]]:
    """Return the rows of the table: all, then each facility with its doctors."""
    rows = [("all", report.total)]
    for facility in report.facilities:
        rows.append((_facility(facility.facility_id, slugs), facility))
        rows += [
            (f"  {_doctor(one.doctor_id, named)}", one)
            for one in report.doctors
            if one.facility_id == facility.facility_id
        ]
    return rows


def _facility(facility_id: int | None, slugs: dict[int, str]) -> str:
    return slugs.get(facility_id or 0, f"facility {facility_id}")


def _doctor(doctor_id: int | None, named: dict[int, str]) -> str:
    return f"doctor {doctor_id}" + (f", {named[doctor_id]}" if doctor_id in named else "")


def figures_tables(rows: Sequence[tuple[str, Figures]]) -> Group:
    """Draw figures, a row each, in tables of 80 columns: hours of time, then places, then visits."""
    time, places, visits = ([(label, kind(one)) for label, one in rows] for kind in (_time, _places, _visits))
    return Group(
        _table("hours", ("booked", "held", "blocked", "free"), time),
        _table("places", ("all", "booked", "held", "closed", "free"), places),
        _table("visits", ("all", "cancelled", "no-show", "lead, days"), visits),
    )


def _time(one: Figures) -> list[str]:
    return [f"{time / _HOUR:,.1f}" for time in (one.booked, one.held, one.blocked, one.free)]


def _places(one: Figures) -> list[str]:
    counts = (one.places, one.booked_places, one.held_places, one.closed_places, one.free_places)
    return [f"{count:,}" for count in counts]


def _visits(one: Figures) -> list[str]:
    lead = "-" if one.lead_time is None else f"{one.lead_time / _DAY:,.1f}"
    return [*(f"{count:,}" for count in (one.visits, one.cancelled, one.no_shows)), lead]


def _table(name: str, headings: Sequence[str], rows: Sequence[tuple[str, list[str]]]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(name, overflow="fold", min_width=28)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    for label, numbers in rows:
        table.add_row(Text(printable(label)), *numbers)
    return table


def third_table(rows: Sequence[ThirdNextAvailable], slugs: dict[int, str], named: dict[int, str]) -> Table:
    """Draw the days until the third next available appointment of each doctor at each facility."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("third next available", overflow="fold")
    table.add_column("facility", overflow="fold")
    table.add_column("days", justify="right")
    for one in rows:
        table.add_row(
            Text(printable(_doctor(one.doctor_id, named))),
            Text(printable(_facility(one.facility_id, slugs))),
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
