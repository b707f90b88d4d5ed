"""`scheduler migrate`: migrate a database to the schema of this release, or back."""

from typing import Annotated

import typer

from scheduler.cli.confirm import confirm_loss
from scheduler.cli.schema import refuse_differences
from scheduler.cli.settings import DatabaseUrl, database_url
from scheduler.cli.terminal import echo
from scheduler.core.errors import InvalidInputError
from scheduler.postgres.schema import migrations


def migrate(
    url: DatabaseUrl = None,
    down: Annotated[
        str | None,
        typer.Option("--down", metavar="REVISION|base", help="Go back to a revision. Drops all that came later!"),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", help="Go back without confirmation, although rows may be lost.")
    ] = False,
    sql: Annotated[bool, typer.Option("--sql", help="Print the SQL for an empty database instead.")] = False,
) -> None:
    """Migrate the database to the schema of this release, and check the result.

    It is safe to run again, and at the same time: a second migration waits for the first.
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
            tables = () if yes else migrations.tables_at_risk(address, down)
            if tables:
                confirm_loss(f"going down may lose rows or columns of {', '.join(tables)}")
            migrations.downgrade(address, down)
        after = migrations.current(address)
        echo(
            f"already at {after}" if before == after else f"migrated from {before or 'nothing'} to {after or 'nothing'}"
        )
        if down is None:
            refuse_differences(address)
