"""`scheduler migrate`: bring a database to the schema that this code works with, or back."""

from typing import Annotated

import typer

from scheduler.cli.settings import DatabaseUrl, database_url
from scheduler.core.errors import InvalidInputError
from scheduler.store import migrations


def migrate(
    url: DatabaseUrl = None,
    down: Annotated[
        str | None,
        typer.Option("--down", metavar="REVISION|base", help="Go back to a revision. Drops what came later!"),
    ] = None,
    sql: Annotated[bool, typer.Option("--sql", help="Print the SQL for an empty database instead.")] = False,
) -> None:
    """Bring the database to the schema that this code works with.

    Safe to run again, and at the same time: a second migration waits for the first.
    """
    if sql and down is not None:
        raise InvalidInputError("--sql is for an empty database, which cannot go down: give one of them")
    if sql:
        typer.echo(migrations.script())
        return
    with database_url(url) as address:
        before = migrations.current(address)
        if down is not None:
            migrations.downgrade(address, down)
        else:
            migrations.upgrade(address)
        after = migrations.current(address)
    typer.echo(
        f"already at {after}" if before == after else f"migrated from {before or 'nothing'} to {after or 'nothing'}"
    )
