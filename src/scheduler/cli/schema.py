"""`scheduler schema check`, `picture` and `grants`: compare and draw a schema, grant rights on tables of a host."""

from typing import Annotated

import typer

from scheduler.cli.mermaid import Detail, entity_diagram
from scheduler.cli.settings import DatabaseUrl, database_url, readable
from scheduler.cli.terminal import echo
from scheduler.core.errors import InvalidInputError
from scheduler.postgres.database import Database, Role
from scheduler.postgres.errors import SchemaMismatchError
from scheduler.postgres.schema import migrations
from scheduler.postgres.schema.host import grants_on
from scheduler.postgres.schema.snapshot import SCHEMAS

app: typer.Typer = typer.Typer(
    help="Compare and draw the schema of the database; grant rights on your own tables.", no_args_is_help=True
)

Namespace = Annotated[str | None, typer.Argument(metavar="[NAMESPACE]", help=f"One of {', '.join(SCHEMAS)}.")]


def _lines_of_text(words: list[str]) -> list[str]:
    return [readable(word) or "" for word in words]


def refuse_differences(address: str, *, is_recorded: bool = True) -> None:
    """Print each difference between the schema of a database and that of the last revision.

    Without `is_recorded` the record of the revision is lost.

    Raises:
        SchemaMismatchError: there is a difference, or the database is not at the last revision.
    """
    differences = migrations.differences(address, is_recorded=is_recorded)
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


@app.command("grants")
def grants(
    tables: Annotated[
        list[str],
        typer.Argument(metavar="TABLE...", callback=_lines_of_text, help="Your tables, each with its schema."),
    ],
    url: DatabaseUrl = None,
) -> None:
    """Print the SQL that lets a unit of work of `scheduler_app` read and write tables of your own.

    Nothing is granted: put the statements into a migration of yours.
    """
    with (
        database_url(url) as address,
        Database(address) as database,
        database.unit_of_work(role=Role.OWNER, tenant_id=None) as session,
    ):
        statements = grants_on(session.connection(), tables)
    for statement in statements:
        echo(statement)
