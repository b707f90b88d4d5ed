"""`scheduler audit`: seal, verify, retire and show the audit log."""

import json
import re
from datetime import datetime, time
from typing import Annotated
from uuid import UUID
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from scheduler.cli.confirm import confirm_loss
from scheduler.cli.settings import (
    DEFAULT_TENANT,
    AsJson,
    DatabaseUrl,
    Tenant,
    now,
    opened,
    opened_for,
    read_day,
    readable,
)
from scheduler.cli.terminal import echo, printable
from scheduler.core.errors import InvalidInputError
from scheduler.postgres.audit.chain import Head, seal_both, verify
from scheduler.postgres.audit.log import Entry, entries, retire
from scheduler.postgres.audit.retirement import YEARS_KEPT
from scheduler.postgres.audit.row_digest import Log
from scheduler.postgres.database import Role

TAMPERED_EXIT_CODE = 8
_HEAD = re.compile(r"(user_action|system):([0-9]{1,18}):([0-9a-f]{64})")
_UTC = ZoneInfo("UTC")

KeepYears = Annotated[int, typer.Option("--keep-years", help=f"Years that are kept; {YEARS_KEPT} at least.")]

app: typer.Typer = typer.Typer(help="Seal, verify and read the audit log.", no_args_is_help=True)


@app.command("seal")
def seal_logs(url: DatabaseUrl = None, tenant: Tenant = DEFAULT_TENANT, as_json: AsJson = False) -> None:
    """Seal the rows written since the last seal, and print the heads of both chains.

    Run it every night. Keep the output where the database's owner cannot write, for `audit verify --head`.
    """
    with opened_for(url, tenant) as (session, _):
        sealed = seal_both(session)
    if as_json:
        echo(json.dumps({log: {"sealed": count, "head": str(head)} for log, (count, head) in sealed.items()}))
        return
    for log, (count, head) in sealed.items():
        echo(f"{log}: {count} rows sealed")
        echo(f"head {head}")


@app.command("verify")
def verify_logs(
    url: DatabaseUrl = None,
    tenant: Tenant = DEFAULT_TENANT,
    head: Annotated[
        list[str] | None,
        typer.Option(
            "--head", metavar="LOG:POSITION:DIGEST", help="A head that `audit seal` printed; may be repeated."
        ),
    ] = None,
    keep_years: KeepYears = YEARS_KEPT,
    as_json: AsJson = False,
) -> None:
    """Verify both chains, and name the first row of each that was changed, removed or inserted.

    Exit code 8 if there is one, or if the schema of the log is not that of this release. Only --head detects that the
    end of a log was cut off, or the whole log rewritten. Months that `audit retire` dropped before --keep-years are no
    fault.
    """
    known_heads = [_read_head(text) for text in head or ()]
    with opened_for(url, tenant) as (session, _):
        verdicts = []
        for log in Log:
            known: list[Head | None] = [each for each in known_heads if each.log is log]
            verdicts += [verify(session, log, now=now(), keep_years=keep_years, known=each) for each in known or [None]]
    if as_json:
        verdicts_as_json = [
            {"head": str(verdict.head), "retired": verdict.retired, "broken": verdict.broken and str(verdict.broken)}
            for verdict in verdicts
        ]
        echo(json.dumps(verdicts_as_json))
    else:
        for verdict in verdicts:
            result = f"{verdict.broken}" if verdict.broken else f"{verdict.head.position} rows as they were sealed"
            retired = f", {verdict.retired} of them retired" if verdict.retired else ""
            echo(f"{verdict.head.log}: {result}{retired}")
    if any(verdict.broken for verdict in verdicts):
        raise typer.Exit(TAMPERED_EXIT_CODE)


@app.command("retire")
def retire_months(
    url: DatabaseUrl = None,
    keep_years: KeepYears = YEARS_KEPT,
    yes: Annotated[bool, typer.Option("--yes", help="Drop without confirmation.")] = False,
) -> None:
    """Drop the months of the logs that are older than the retention period, for all tenants.

    Nothing does this by itself; do not do it during a legal hold. The seals stay, so that `audit verify` still works.
    """
    if not yes:
        confirm_loss(
            f"the months of the audit logs older than {keep_years} years are deleted permanently, for all tenants"
        )
    with opened(url) as database, database.unit_of_work(role=Role.OWNER, tenant_id=None) as session:
        retired = retire(session, now=now(), keep_years=keep_years)
    for month in retired:
        echo(f"dropped {month.part}: {month.rows} rows")
    echo(f"{len(retired)} months dropped")


@app.command("show")
def show_log(
    url: DatabaseUrl = None,
    tenant: Tenant = DEFAULT_TENANT,
    entity: Annotated[
        str | None, typer.Option("--entity", callback=readable, metavar="TABLE", help="Such as scheduling.doctors.")
    ] = None,
    key: Annotated[str | None, typer.Option("--key", callback=readable, help="Of this row.")] = None,
    user: Annotated[str | None, typer.Option("--user", callback=readable, metavar="ID", help="By this user.")] = None,
    event: Annotated[
        str | None,
        typer.Option("--event", callback=readable, metavar="NAME", help="Such as person.exported, read or update."),
    ] = None,
    since: Annotated[
        str | None, typer.Option("--since", callback=readable, metavar="DAY", help="Since this day, in UTC.")
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", callback=readable, metavar="DAY", help="Until the end of this day, in UTC.")
    ] = None,
    most: Annotated[int, typer.Option("--most", min=1, max=100_000, help="How many.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object a line.")] = False,
) -> None:
    """Show the latest entries of both logs, newest first. Only harmless values are in them."""
    begin = None if since is None else _instant(since, time.min)
    end = None if until is None else _instant(until, time.max)
    user_id = None if user is None else _read_user(user)
    with opened_for(url, tenant) as (session, _):
        latest = entries(
            session, entity=entity, key=key, user_id=user_id, event=event, since=begin, until=end, most=most
        )
    if as_json:
        for entry in latest:
            echo(json.dumps(entry._asdict(), default=str))
        return
    console = Console()
    for entry in latest:
        row = "".join(f" {part}" for part in (entry.entity, entry.key) if part is not None)
        actor = entry.user_id or entry.db_role
        console.print(Text(printable(f"{entry.occurred_at:%Y-%m-%d %H:%M:%S}Z {actor}: {entry.action}{row}")))
        if changes := _changes(entry):
            console.print(Padding(Text(printable(changes)), (0, 0, 0, 2)))
    if not latest:
        console.print("no such entries")


def _changes(entry: Entry) -> str:
    before, after = dict(entry.before or {}), dict(entry.after or {})
    changes = [
        f"{name}: {'' if name not in before else f'{before[name]} -> '}{after.get(name, 'gone')}"
        for name in sorted(before | after)
    ]
    return "; ".join([*changes, *([json.dumps(entry.details)] if entry.details else [])])


def _instant(day: str, at: time) -> datetime:
    return datetime.combine(read_day(day, default=now().date()), at, _UTC)


def _read_head(text: str) -> Head:
    match = _HEAD.fullmatch(text)
    if match is None:
        raise InvalidInputError(f"{text[:100]!r} is no head: `scheduler audit seal` prints LOG:POSITION:DIGEST")
    return Head(Log(match[1]), int(match[2]), bytes.fromhex(match[3]))


def _read_user(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise InvalidInputError(f"{text!r} is not the id of a user") from None
