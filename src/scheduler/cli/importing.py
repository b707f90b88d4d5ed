"""`scheduler import openings`: opening times from a file."""

from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from scheduler.cli.settings import DEFAULT_TENANT, DatabaseUrl, Tenant, new_id, opened
from scheduler.core.errors import NotFoundError
from scheduler.services.openings import BadLines, places_to_import, read_openings
from scheduler.store.database import Database, Role
from scheduler.store.openings import ImportCounts, import_openings
from scheduler.store.tenants import make_tenant, tenant_id_of

SHOWN_FAULTS = 20


def openings(
    file: Annotated[Path, typer.Argument(help="Opening times, one JSON object a line (docs/openings.md).")],
    url: DatabaseUrl = None,
    tenant: Tenant = DEFAULT_TENANT,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Import the good lines of a file with bad ones.")
    ] = False,
    slot_minutes: Annotated[int, typer.Option(min=1, max=1440, help="Length of a slot where the file says none.")] = 20,
) -> None:
    """Import opening times: facilities, doctors, rules, exceptions and closed days.

    Importing a file again changes only what changed in it. With a broken line nothing is imported, unless --skip-bad.
    """
    with opened(url) as database:
        counts = import_file(
            database,
            file,
            tenant=tenant,
            slot_duration=timedelta(minutes=slot_minutes),
            bad_lines=BadLines.SKIP if skip_bad else BadLines.REFUSE,
        )
    typer.echo(said(counts))


def import_file(
    database: Database, file: Path, *, tenant: str, slot_duration: timedelta, bad_lines: BadLines
) -> ImportCounts:
    """Import a file for a tenant, who is made if not there; faults are named on standard error."""
    read = read_openings(file, slot_duration=slot_duration)
    for fault in read.faults[:SHOWN_FAULTS]:
        typer.echo(f"{file}:{fault.line}: {fault.reason}", err=True)
    if len(read.faults) > SHOWN_FAULTS:
        typer.echo(f"{file}: and {len(read.faults) - SHOWN_FAULTS} more broken lines", err=True)
    places = places_to_import(read, bad_lines=bad_lines)
    try:
        tenant_id = tenant_id_of(database, tenant)
    except NotFoundError:
        tenant_id = new_id()
        make_tenant(database, tenant, tenant_id)
    with database.unit_of_work(role=Role.APP, tenant_id=tenant_id) as session:
        return import_openings(session, places, tenant_id=tenant_id)


def said(counts: ImportCounts) -> str:
    """Say what an import did, in one line."""
    parts = []
    for one in fields(counts):
        tally = getattr(counts, one.name)
        changes = [
            f"{getattr(tally, what)} {what}" for what in ("created", "updated", "removed") if getattr(tally, what)
        ]
        parts.append(f"{one.name}: {', '.join(changes) or 'unchanged'}")
    return "imported: " + "; ".join(parts)
