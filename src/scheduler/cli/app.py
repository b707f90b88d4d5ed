"""Application: the table of commands, exit codes and one-line errors of `scheduler`.

Owns: the table from which a command is imported when it is called; exit codes; errors in one line.
Must not know: what the commands do.

`docs/command-line.md` has a table of the exit codes.
"""

import logging
import signal
import sys
from collections.abc import Mapping
from errno import EPIPE
from pkgutil import resolve_name
from typing import Annotated, Any, Final, NamedTuple

import typer
from typer.core import TyperGroup
from typer.main import get_group

import scheduler
from scheduler.booking.errors import BookingError, NotOfferedError, OutcomeUnknownError, SlotTakenError
from scheduler.cli.errors import NightAtRiskError, OutputLostError, TerminatedError, TimeIsUpError
from scheduler.cli.output import drop_stuck_output, flush_output, surviving_output
from scheduler.cli.signals import watched_signals
from scheduler.cli.terminal import echo
from scheduler.core.errors import InvalidInputError, NotFoundError, SchedulerError, TransitionRefusedError
from scheduler.core.extras import extra_needed
from scheduler.generation.errors import WorkersLostError
from scheduler.invitations.errors import InvitationError, UnknownInvitationError
from scheduler.postgres.encryption.errors import EncryptionError
from scheduler.postgres.errors import (
    ErasureRefusedError,
    SchemaMismatchError,
    StoreError,
    TenantSuspendedError,
    UnfitLoginError,
)

OUTPUT_LOST: Final = 9
_SIGNALLED: Final = 128  # as a shell counts
EXIT_CODES: Final[Mapping[type, int]] = {
    SchedulerError: 1,
    InvalidInputError: 2,
    NotFoundError: 3,
    TransitionRefusedError: 4,
    InvitationError: 4,
    UnknownInvitationError: 3,
    ErasureRefusedError: 4,
    TenantSuspendedError: 4,
    StoreError: 5,
    SchemaMismatchError: 6,
    EncryptionError: 7,
    UnfitLoginError: 10,
    BookingError: 4,
    OutcomeUnknownError: 5,
    NotOfferedError: 11,
    SlotTakenError: 12,
    OutputLostError: OUTPUT_LOST,
    TimeIsUpError: 13,
    WorkersLostError: 14,
    NightAtRiskError: 15,
    TerminatedError: _SIGNALLED + signal.SIGTERM,
}


class _Entry(NamedTuple):
    """A command or group in the table: the place of its code, and the first paragraph of its help."""

    place: str
    help: str


COMMANDS: Final[Mapping[str, _Entry]] = {
    "demo": _Entry(
        "demo:demo", "Do everything once: a database, opening times, the nightly job, a week, an explanation."
    ),
    "with-server": _Entry(
        "with_server:with_server", "Run a program that finds the address of the database in SCHEDULER_DATABASE_URL."
    ),
    "migrate": _Entry("migrate:migrate", "Migrate the database to the schema of this release, and check the result."),
    "stamp": _Entry("stamp:stamp", "Record the revision of a database again whose table `scheduler.revision` is lost."),
    "preflight": _Entry(
        "preflight:preflight",
        "Check what would go wrong tonight; or that a login has the rights of its purpose, and no others.",
    ),
    "import": _Entry("import_openings:app", "Import data from files."),
    "families": _Entry("families:app", "Write families of a file with users and memberships."),
    "schema": _Entry("schema:app", "Compare and draw the schema of the database; grant rights on your own tables."),
    "seed": _Entry("seed:seed", "Create sample tenants: places, doctors, visits, families, children, placements."),
    "generate": _Entry("generate:generate_slots", "Generate slots: make the stored slots those of the schedules."),
    "retire": _Entry("retire:retire_slots", "Delete past slots that nobody booked, and drop months that nobody needs."),
    "status": _Entry("status:status", "Show totals, the latest runs and the failing schedules."),
    "show": _Entry("show:show", "Show a facility's week as a calendar, with its slots, exceptions and closed days."),
    "week": _Entry(
        "week_command:week",
        "Write a facility's week as one HTML page: doctors, resources, open and taken time, and why.",
    ),
    "explain": _Entry("explain:explain_time", "Explain why a day or a time is not offered, and name the slot that is."),
    "doctors": _Entry(
        "doctors:doctors", "List doctors: the id for `--doctor`, name, specialty, and the facilities where each works."
    ),
    "find": _Entry("find:find", "Find visits that can be booked, earliest first, and number them."),
    "book": _Entry(
        "book:book",
        "Book the visit of an offer, or of an offering at a time, for a patient.",
    ),
    "cancel": _Entry("cancel:cancel", "Cancel a visit: its time, its place and its resources are free at once."),
    "day": _Entry("day:day", "Show a day of a doctor: visits with their steps, holds, gaps, blocked time and why."),
    "events": _Entry(
        "events:events", "Print the events of visits as lines of JSON, in order: booked, moved, cancelled and so on."
    ),
    "report": _Entry("report:app", "Report figures of visits: time, places, lead times, access."),
    "keys": _Entry("keys:app", "Manage the encryption keys of a tenant, and the master keys that wrap them."),
    "audit": _Entry("audit:app", "Seal, verify and read the audit log."),
    "export": _Entry("privacy:app", "Export everything that is stored about a person, or for a tenant."),
    "erase": _Entry(
        "privacy:erase", "Delete all rows about a person for good: those that `scheduler export person` writes."
    ),
}


class _CommandsOnDemand(TyperGroup):
    """A group whose commands are placeholders with a line of help until one is called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:  # noqa: ANN401  # private
        name, command, rest = super().resolve_command(ctx, args)
        return name, command and load(str(name)), rest


app: typer.Typer = typer.Typer(
    name="scheduler",
    cls=_CommandsOnDemand,
    help="Turn opening times into appointment slots in PostgreSQL, every night, and explain each of them.",
    epilog="New here? `scheduler demo` does everything once, on a made-up region and a PostgreSQL of its own.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",  # as rich markup, "[default: today]" would be a tag, and not shown
)


def load(name: str) -> Any:  # noqa: ANN401  # the class of a command is private to Typer
    """Import a command or group of the table, and return it."""
    with extra_needed(f"`scheduler {name}`", "cli"):
        code = resolve_name(f"scheduler.cli.{COMMANDS[name].place}")
    parent = typer.Typer(rich_markup_mode="markdown")
    if isinstance(code, typer.Typer):
        parent.add_typer(code, name=name)
    else:
        parent.command(name)(code)
    return get_group(parent).commands[name]


def _placeholder() -> None:
    """Stand for a command that is not imported yet."""


for _name, _entry in COMMANDS.items():
    app.command(_name, help=_entry.help)(_placeholder)


def _print_version(wanted: bool) -> None:
    if wanted:
        echo(f"slotsmith {scheduler.__version__}")
        raise typer.Exit


@app.callback()
def _scheduler(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Read the options of the program itself."""


def exit_code(error: SchedulerError) -> int:
    """Return the exit code of an error: that of its closest class that has one."""
    return next(EXIT_CODES[kind] for kind in type(error).__mro__ if kind in EXIT_CODES)


def run() -> None:
    """Run the command of the process's arguments, and exit with its exit code."""
    if not logging.getLogger().hasHandlers():  # drivers would print tracebacks of their own
        logging.getLogger().addHandler(logging.NullHandler())
    with surviving_output() as lost, watched_signals() as received:
        code = _run(received)
        if received:
            echo("interrupted: whole batches stay, nothing is half-written", err=True)
        elif lost and code == 0:
            code = OUTPUT_LOST
            if lost[0].errno != EPIPE:  # a reader such as `head` closes the pipe when it has read enough
                echo(f"error: all is done, but output could not be written: {lost[0].strerror}", err=True)
    sys.exit(code)


def _run(received: list[int]) -> int | str | None:
    """Run the command, write its output and return its exit code; after a signal, that of the signal."""
    code: int | str | None = None
    try:
        code = _command(received)
        if not received:
            flush_output()
    except BaseException:
        if not received:
            raise
    if received:
        drop_stuck_output()
        return _SIGNALLED + received[0]
    return code


def _command(received: list[int]) -> int | str | None:
    """Run the command and return its exit code; print an error as one line."""
    code: int | str | None = None
    try:
        app(prog_name="scheduler")  # always exits: 0, or 2 after a usage error
    except SystemExit as exit_:
        code = exit_.code
    except SchedulerError as error:
        if not received:
            echo(f"error: {error}", err=True)
        code = exit_code(error)
    return code
