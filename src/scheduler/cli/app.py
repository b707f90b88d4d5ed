"""The application: its commands, and what it says when something goes wrong.

Owns: the command `scheduler`, exit codes, one-line errors.
Must not know: what the commands do.

Exit codes: 0 done; 1 some schedules failed, or another error; 2 bad input; 3 something named is not there; 4 a move
that the life cycle does not have, or a person whom others' rows need; 5 the database; 6 the database's schema; 7 what
is encrypted: a key is missing, or a value does not open; 8 the audit log was tampered with; 130 interrupted.
"""

import sys
from collections.abc import Mapping
from importlib.metadata import version
from io import TextIOWrapper
from typing import Annotated, Final

import typer

from scheduler.cli import (
    audit,
    demo,
    explain,
    generate,
    import_openings,
    keys,
    migrate,
    privacy,
    schema,
    seed,
    show,
    status,
)
from scheduler.cli.settings import use_pinned_time_zones
from scheduler.core.errors import InvalidInputError, NotFoundError, SchedulerError, TransitionRefusedError
from scheduler.invitations.errors import InvitationError, UnknownInvitationError
from scheduler.postgres.encryption.errors import EncryptionError
from scheduler.postgres.errors import ErasureRefusedError, SchemaMismatchError, StoreError

INTERRUPTED = 130
EXIT_CODES: Final[Mapping[type, int]] = {
    SchedulerError: 1,
    InvalidInputError: 2,
    NotFoundError: 3,
    TransitionRefusedError: 4,
    InvitationError: 4,
    UnknownInvitationError: 3,
    ErasureRefusedError: 4,
    StoreError: 5,
    SchemaMismatchError: 6,
    EncryptionError: 7,
}

app = typer.Typer(
    name="scheduler",
    help="Turn opening times into appointment slots in PostgreSQL, every night, and explain each of them.",
    epilog="New here? `scheduler demo` does everything once, on a made-up region and a PostgreSQL of its own.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="markdown",  # as rich markup, "[default: today]" would be a tag, and not shown
)
openings = typer.Typer(help="Bring data in from files.", no_args_is_help=True)

app.command("demo")(demo.demo)
app.command("migrate")(migrate.migrate)
app.add_typer(openings, name="import")
openings.command("openings")(import_openings.openings)
app.add_typer(schema.app, name="schema")
app.command("seed")(seed.seed)
app.command("generate")(generate.generate_slots)
app.command("status")(status.status)
app.command("show")(show.show)
app.command("explain")(explain.explain_time)
app.add_typer(keys.app, name="keys")
app.add_typer(audit.app, name="audit")
app.add_typer(privacy.app, name="export")
app.command("erase")(privacy.erase)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"slotsmith {version('slotsmith')}")
        raise typer.Exit


@app.callback()
def _scheduler(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    use_pinned_time_zones()


def exit_code(error: SchedulerError) -> int:
    """Return the exit code of an error: that of its closest class that has one."""
    return next(EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES)


def main() -> None:
    """Run the command line; exit with the code that says how it went."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal that lacks a sign shows a question mark
    try:
        app(prog_name="scheduler")  # always exits: 0, 2 for what cannot be read as a command, 130 when interrupted
    except SchedulerError as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(exit_code(error))
    except SystemExit as end:
        if end.code == INTERRUPTED:
            typer.echo("interrupted: whole batches stay, nothing is half-written", err=True)
        raise
