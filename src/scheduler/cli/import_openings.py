"""`scheduler import openings`: import opening times from a file."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import typer

from scheduler.cli.confirm import confirm_loss
from scheduler.cli.line_errors import show_line_errors
from scheduler.cli.progress import shown_progress
from scheduler.cli.settings import DEFAULT_TENANT, DatabaseUrl, Tenant, new_id, now, opened
from scheduler.cli.terminal import echo
from scheduler.core.errors import InvalidInputError, NotFoundError
from scheduler.openings.format.file import BadLines, check_readable, stream_openings
from scheduler.openings.format.spool import PlaceSpool
from scheduler.openings.importing.importer import ImportCounts, import_openings, lock_openings
from scheduler.openings.importing.removals import (
    NO_REMOVALS,
    LargeRemovalError,
    Removals,
    parts_by_facility,
    refuse_large_removals,
    removals_between,
)
from scheduler.openings.places import Place
from scheduler.postgres.database import Database, Role, act_as
from scheduler.postgres.errors import StatementError
from scheduler.postgres.tenants import make_tenant, tenant_id_of

ZONE_CHECK = "a_facility_has_a_known_time_zone"
PLACES_PER_LINE = 5_000
"""Places between two reports of progress while a file is read: some megabytes."""

app: typer.Typer = typer.Typer(help="Import data from files.", no_args_is_help=True)


@app.command("openings")
def openings(
    file: Annotated[Path, typer.Argument(help="Opening times, one JSON object a line (docs/openings.md).")],
    url: DatabaseUrl = None,
    tenant: Tenant = DEFAULT_TENANT,
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Import the good lines of a file with bad ones.")
    ] = False,
    slot_minutes: Annotated[
        int, typer.Option(min=1, max=1440, help="Length of a slot if the file gives none, in minutes.")
    ] = 20,
    yes: Annotated[bool, typer.Option("--yes", help="Remove entries, however many, without confirmation.")] = False,
) -> None:
    """Import opening times: facilities, doctors, rules, exceptions and closed days.

    A second import of a file changes only the rows whose lines changed. A bad line stops the import, unless --skip-bad.
    An import asks first, unless --yes, if it removes more than a tenth of the tenant's rules, exceptions or closures,
    or all rules of a facility.
    """
    bad_lines = BadLines.SKIP if skip_bad else BadLines.REFUSE
    slot_duration = timedelta(minutes=slot_minutes)
    with read_places(file, slot_duration=slot_duration, bad_lines=bad_lines) as places, opened(url) as database:
        counts, is_new = import_places(database, places, tenant=tenant, confirm=None if yes else confirm_loss)
    if is_new:
        echo(f"created the tenant {tenant!r}, which did not exist", err=True)
    echo(import_summary(counts))


@contextmanager
def read_places(file: Path, *, slot_duration: timedelta, bad_lines: BadLines) -> Iterator[PlaceSpool]:
    """Read the places of a file, show the progress, print its faults on standard error, and yield its places."""
    with PlaceSpool() as places:
        with shown_progress("reading", steps="places", unit="places", json_name="read") as progress:

            def take(place: Place) -> None:
                places.add(place)
                if len(places) % PLACES_PER_LINE == 0:
                    progress(len(places), None, len(places))

            faults = stream_openings(file, take, slot_duration=slot_duration)
        show_line_errors(file, faults)
        check_readable(len(places), faults, bad_lines=bad_lines)
        yield places


def import_places(
    database: Database,
    places: tuple[Place, ...] | PlaceSpool,
    *,
    tenant: str,
    confirm: Callable[[str], None] | None = None,
) -> tuple[ImportCounts, bool]:
    """Import places for a tenant; create the tenant if it does not exist, and return also whether it is new.

    `confirm` is called with the loss before an import that removes much, and raises to refuse it.

    Raises:
        LargeRemovalError: in the meantime the import would remove more than was confirmed.
    """
    if confirm is None:
        return _import(database, places, tenant=tenant)
    try:
        return _import(database, places, tenant=tenant, confirmed=NO_REMOVALS)
    except LargeRemovalError as loss:
        confirmed = loss.removals
        confirm(str(loss))  # outside the transaction, which would hold its locks until an answer
    return _import(database, places, tenant=tenant, confirmed=confirmed)


def _import(
    database: Database, places: tuple[Place, ...] | PlaceSpool, *, tenant: str, confirmed: Removals | None = None
) -> tuple[ImportCounts, bool]:
    """Import places in one transaction; refuse large removals beyond the confirmed ones, or none if it is None."""
    try:
        tenant_id, role = tenant_id_of(database, tenant), Role.APP
    except NotFoundError:
        tenant_id, role = new_id(), Role.OWNER
    try:
        with database.unit_of_work(role=role, tenant_id=tenant_id) as session:
            if role is Role.OWNER:  # in the same transaction, so that a failed import leaves no tenant
                make_tenant(session, tenant, tenant_id)
                act_as(session, Role.APP)
            lock_openings(session, tenant_id)  # before the count, which another import would change
            at = now()
            before = parts_by_facility(session, now=at)
            with shown_progress("importing", steps="places", unit="changes", json_name="changes") as progress:

                def show(done: int, changes: int) -> None:
                    if done < len(places):  # the summary follows the last batch
                        progress(done, len(places), changes)

                counts = import_openings(session, places, tenant_id=tenant_id, progress=show)
            if confirmed is not None:
                removals = removals_between(before, parts_by_facility(session, now=at))
                refuse_large_removals(removals, confirmed=confirmed)
            return counts, role is Role.OWNER
    except StatementError as error:
        if error.constraint == ZONE_CHECK:
            zones = ", ".join(sorted({place.zone.key for place in places}))
            raise InvalidInputError(f"this PostgreSQL does not know one of the file's time zones: {zones}") from None
        raise


def import_summary(counts: ImportCounts) -> str:
    """Return the counts of an import as one line."""
    parts = []
    for field in fields(counts):
        rows = getattr(counts, field.name)
        changes = [
            f"{count} {change}" for change in ("created", "updated", "removed") if (count := getattr(rows, change))
        ]
        parts.append(f"{field.name}: {', '.join(changes) or 'unchanged'}")
    return "imported: " + "; ".join(parts)
