"""`scheduler migrate`: bring a database to the schema that this code works with, or back."""

import sys
from typing import Annotated

import typer

from scheduler.cli.schema import refuse_differences
from scheduler.cli.settings import DatabaseUrl, database_url
from scheduler.core.errors import InvalidInputError
from scheduler.store import migrations


def migrate(
    url: DatabaseUrl = None,
    down: Annotated[
        str | None,
        typer.Option("--down", metavar="REVISION|base", help="Go back to a revision. Drops what came later!"),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Go back without being asked, although rows may be lost.")] = False,
    sql: Annotated[bool, typer.Option("--sql", help="Print the SQL for an empty database instead.")] = False,
) -> None:
    """Bring the database to the schema that this code works with, and check that it is that schema.

    Safe to run again, and at the same time: a second migration waits for the first.
    """
    if sql and down is not None:
        raise InvalidInputError("--sql is for an empty database, which cannot go down: give one of them")
    if yes and down is None:
        raise InvalidInputError("--yes is for --down: the way up loses nothing")
    if sql:
        typer.echo(migrations.script())
        return
    with database_url(url) as address:
        before = migrations.current(address)
        if down is None:
            migrations.upgrade(address)
        else:
            if not yes:
                _ask(migrations.tables_at_risk(address, down))
            migrations.downgrade(address, down)
        after = migrations.current(address)
        typer.echo(
            f"already at {after}" if before == after else f"migrated from {before or 'nothing'} to {after or 'nothing'}"
        )
        if down is None:
            refuse_differences(address)


def _ask(tables: tuple[str, ...]) -> None:
    """Go on if no row can be lost, or if somebody at a terminal says so."""
    if not tables:
        return
    lost = f"going down may lose the rows of {', '.join(tables)}"
    if not sys.stdin.isatty():
        raise InvalidInputError(f"{lost}: --yes says that they may go")
    typer.confirm(f"{lost}. Go on?", abort=True, err=True)
