"""`scheduler doctors`: the doctors of a tenant or a facility, with the ids that `--doctor` takes."""

import json
from typing import Annotated

import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from scheduler.cli.settings import DEFAULT_TENANT, AsJson, DatabaseUrl, Tenant, opened_for, readable
from scheduler.cli.terminal import echo, printable
from scheduler.postgres.database import Role
from scheduler.postgres.doctors import ListedDoctor, listed_doctors
from scheduler.postgres.facilities import facility_view


def doctors(
    url: DatabaseUrl = None,
    tenant: Tenant = DEFAULT_TENANT,
    facility: Annotated[
        str | None, typer.Option("--facility", callback=readable, metavar="SLUG", help="Only those of this facility.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List doctors: the id for `--doctor`, name, specialty, and the facilities where each works."""
    with opened_for(url, tenant, role=Role.JOB) as (session, _):
        facility_id = None if facility is None else facility_view(session, facility).id
        listed = listed_doctors(session, facility_id=facility_id)
    if as_json:
        echo(json.dumps({"doctors": [doctor._asdict() for doctor in listed]}))
    elif listed:
        Console().print(doctors_table(listed))
    else:
        echo("no doctors")


def doctors_table(listed: list[ListedDoctor]) -> Table:
    """Draw doctors, a row each; no cell is cropped."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("id", justify="right", no_wrap=True)
    for name in ("name", "specialty", "facilities"):
        table.add_column(name, overflow="fold")
    for doctor in listed:
        texts = (doctor.name, doctor.specialty or "", ", ".join(doctor.facilities))
        table.add_row(str(doctor.id), *(Text(printable(text)) for text in texts))
    return table
