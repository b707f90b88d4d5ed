"""`scheduler schema check` and `scheduler schema picture`: compare and draw the schema of a database."""

from typing import Annotated

import typer

from scheduler.cli.mermaid import Detail, entity_diagram
from scheduler.cli.settings import DatabaseUrl, database_url
from scheduler.cli.terminal import echo
from scheduler.core.errors import InvalidInputError
from scheduler.postgres.errors import SchemaMismatchError
from scheduler.postgres.schema import migrations
from scheduler.postgres.schema.snapshot import SCHEMAS

app: typer.Typer = typer.Typer(help="Compare and draw the schema of the database.", no_args_is_help=True)

Namespace = Annotated[str | None, typer.Argument(metavar="[NAMESPACE]", help=f"One of {', '.join(SCHEMAS)}.")]


def refuse_differences(address: str) -> None:
    """Print each difference between the schema of a database and that of the last revision.

    Raises:
        SchemaMismatchError: there is a difference, or the database is not at the last revision.
    """
    differences = migrations.differences(address)
    for difference in differences:
        echo(difference)
    if differences:
        count = f"{len(differences)} things differ" if len(differences) > 1 else "one thing differs"
        raise SchemaMismatchError(f"{count} from the schema that this code works with (revision {migrations.head()})")


@app.command("check")
def check(url: DatabaseUrl = None) -> None:
    """Compare the schema of the database, object by object, with the schema of this release.

    Each difference is a line. Exit code 6 if there is one.
    """
    with database_url(url) as address:
        refuse_differences(address)
    echo(f"the schema is that of revision {migrations.head()}, nothing differs")


@app.command("picture")
def picture(
    namespace: Namespace = None,
    url: DatabaseUrl = None,
    keys: Annotated[bool, typer.Option("--keys", help="Draw the columns of keys only.")] = False,
) -> None:
    """Print the tables and their references as an entity diagram for Mermaid."""
    if namespace is not None and namespace not in SCHEMAS:
        raise InvalidInputError(f"no namespace {namespace!r}: there are {', '.join(SCHEMAS)}")
    with database_url(url) as address:
        snapshot = migrations.read_snapshot(address)
    diagram = entity_diagram(snapshot, namespace=namespace, detail=Detail.KEYS if keys else Detail.COLUMNS)
    for line in diagram.split("\n"):
        echo(line)
