"""`scheduler families`: write families whose members are names, with users and memberships."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final
from uuid import UUID

import typer

from scheduler.cli.errors import AmbiguousNamesError
from scheduler.cli.line_errors import show_line_errors
from scheduler.cli.progress import shown_progress
from scheduler.cli.settings import DEFAULT_TENANT, AsJson, DatabaseUrl, Tenant, new_id, opened_for
from scheduler.cli.terminal import echo
from scheduler.core.json_lines import BrokenLinesError
from scheduler.families.name_migration import MigrationReport, plan_migration
from scheduler.families.name_values import Ambiguity, AmbiguousName, SameName
from scheduler.families.name_writing import write_families
from scheduler.families.names_file import check_names, read_names
from scheduler.postgres.database import Role

MAX_NAMES_SHOWN = 20
MAX_CANDIDATES_SHOWN = 5
REASONS: Final[Mapping[Ambiguity, str]] = {
    Ambiguity.SEVERAL_FAMILIES: "other families of the file have this name",
    Ambiguity.SEVERAL_USERS: "several users have this name",
    Ambiguity.LOST_PERSON: "the families that are there do not share one member of this name",
    Ambiguity.TWICE_IN_FAMILY: "this user is already another member of the family",
}

app: typer.Typer = typer.Typer(help="Write families of a file with users and memberships.", no_args_is_help=True)


@app.callback()  # makes a group of a single command
def _families() -> None:
    """Write families of a file with users and memberships."""


@app.command("migrate")
def migrate(
    file: Annotated[Path, typer.Argument(help="Families, one JSON object a line (docs/families-from-names.md).")],
    url: DatabaseUrl = None,
    tenant: Tenant = DEFAULT_TENANT,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Write nothing; print the same report.")] = False,
    one_person: Annotated[
        bool,
        typer.Option("--one-person-per-name", help="Take a name in several families for one person, for each role."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Write families whose members are names: find the user of each name, or make one.

    A line is a family: {"familyId": "f1", "familyName": "Johnson Family", "parents": ["Sarah Johnson"], "students":
    ["Emma Johnson"]}. A second run writes nothing. A bad line stops the command, and nothing is written.

    A name that may mean several people is never guessed: its families are not written, all others are, and the exit
    code is 1. Replace such a name in the file by one of {"name": "Sarah Johnson", "userId": ...} for this user,
    {"name": ..., "email": ...}, or {"name": ..., "person": "sarah-1"}, where one key is one person.
    """
    try:
        names = read_names(file)
        check_names(names)
        with (
            opened_for(url, tenant, role=Role.APP) as (session, tenant_id),
            shown_progress("migrating", steps="families", unit="users", json_name="users_made") as progress,
        ):
            rule = SameName.ONE_PERSON if one_person else SameName.AMBIGUOUS
            plan = plan_migration(session, names, tenant_id=tenant_id, new_id=new_id, same_name=rule)
            if not dry_run:
                write_families(session, plan.resolution, tenant_id=tenant_id, new_id=new_id, progress=progress)
    except BrokenLinesError as error:
        show_line_errors(file, error.faults)
        raise
    report = plan.report
    if as_json:
        echo(json.dumps(_as_json(report, dry_run=dry_run)))
    else:
        echo(_summary(report, dry_run=dry_run))
    for name in report.ambiguous[:MAX_NAMES_SHOWN]:
        echo(_line(name, report), err=True)
    if len(report.ambiguous) > MAX_NAMES_SHOWN:
        echo(f"and {len(report.ambiguous) - MAX_NAMES_SHOWN:,} more ambiguous names (--json has all)", err=True)
    if report.ambiguous:
        raise AmbiguousNamesError(
            f"{_counted(len(report.ambiguous), 'name', 'names')} may mean several people, so "
            f"{_counted(report.ambiguous_families, 'family is', 'families are')} not written: give each such name a "
            "userId, an email or a person in the file, and run the command again"
        )


def _summary(report: MigrationReport, *, dry_run: bool) -> str:
    """Return the counts as one line."""
    families = (
        f"{report.written:,} written, {report.already_there:,} already there, {report.ambiguous_families:,} with"
        f" ambiguous names, {report.deleted:,} deleted and skipped"
    )
    users = f"{report.users_made:,} made, {report.users_found:,} found, {len(report.in_both_roles):,} in both roles"
    return f"{'dry run, nothing is written: ' if dry_run else ''}families: {families}; users: {users}"


def _line(name: AmbiguousName, report: MigrationReport) -> str:
    """Describe an ambiguous name in one line, with the first of the families and users that it may mean."""
    lines = ", ".join(str(family.line) for family in name.families[:MAX_CANDIDATES_SHOWN])
    users = ", ".join(_user(user, report.families_of[user]) for user in name.candidates[:MAX_CANDIDATES_SHOWN])
    return (
        f"ambiguous: {name.role} {name.name!r} ({REASONS[name.reason]}): lines {lines}{_more(name.families)};"
        f" users: {users or 'none'}{_more(name.candidates)}"
    )


def _user(user: UUID, families: Sequence[UUID]) -> str:
    """Return a user's id with the ids of the first families of the user."""
    shown = ", ".join(str(family) for family in families[:MAX_CANDIDATES_SHOWN])
    return f"{user} ({f'in {shown}{_more(families)}' if shown else 'in no family'})"


def _more(things: Sequence[object]) -> str:
    return f" and {len(things) - MAX_CANDIDATES_SHOWN:,} more" if len(things) > MAX_CANDIDATES_SHOWN else ""


def _counted(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def _as_json(report: MigrationReport, *, dry_run: bool) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "families": {
            "written": report.written,
            "already_there": report.already_there,
            "ambiguous": report.ambiguous_families,
            "deleted": report.deleted,
        },
        "users": {"made": report.users_made, "found": report.users_found, "in_both_roles": report.in_both_roles},
        "ambiguous": [
            {
                "name": name.name,
                "role": name.role,
                "reason": name.reason,
                "families": [{"family_id": family.source_id, "line": family.line} for family in name.families],
                "users": [
                    {"user_id": str(user), "families": [str(family) for family in report.families_of[user]]}
                    for user in name.candidates
                ],
            }
            for name in report.ambiguous
        ],
    }
