"""`scheduler audit`: seal the audit log, verify it, retire what is old, look into it."""

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

from scheduler.cli.confirm import ask_consent
from scheduler.cli.rendering import printable
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
from scheduler.core.errors import InvalidInputError
from scheduler.postgres.audit.chain import Head, Log, seal_both, verify
from scheduler.postgres.audit.log import YEARS_KEPT, Entry, entries, retire
from scheduler.postgres.database import Role

BROKEN = 8
_HEAD = re.compile(r"(user_action|system):([0-9]{1,18}):([0-9a-f]{64})")
_UTC = ZoneInfo("UTC")

app = typer.Typer(help="The audit log: who did what, and whether that was tampered with.", no_args_is_help=True)


@app.command("seal")
def seal_logs(url: DatabaseUrl = None, tenant: Tenant = DEFAULT_TENANT, as_json: AsJson = False) -> None:
    """Seal what was written since the last seal, and print the heads of both chains.

    Run it every night, and keep what it prints where the database's owner cannot write: `audit verify --head` compares.
    """
    with opened_for(url, tenant) as (session, _):
        sealed = seal_both(session)
    if as_json:
        typer.echo(json.dumps({log: {"sealed": count, "head": str(head)} for log, (count, head) in sealed.items()}))
        return
    for log, (count, head) in sealed.items():
        typer.echo(f"{log}: {count} rows sealed")
        typer.echo(f"head {head}")


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
    as_json: AsJson = False,
) -> None:
    """Walk along both chains and name the first row of each that was changed, removed or put in.

    Exit code 8 if any was. Without --head a log whose end was cut off, or that was written anew as a whole, cannot be
    told from a right one.
    """
    heads = [_read_head(one) for one in head or ()]
    with opened_for(url, tenant) as (session, _):
        verdicts = []
        for log in Log:
            known: list[Head | None] = [one for one in heads if one.log is log]
            verdicts += [verify(session, log, known=one) for one in known or [None]]
    if as_json:
        listed = [
            {"head": str(one.head), "retired": one.retired, "broken": one.broken and str(one.broken)}
            for one in verdicts
        ]
        typer.echo(json.dumps(listed))
    else:
        for one in verdicts:
            said = f"{one.broken}" if one.broken else f"{one.head.position} rows as they were sealed"
            typer.echo(f"{one.head.log}: {said}" + (f", {one.retired} of them retired" if one.retired else ""))
    if any(one.broken for one in verdicts):
        raise typer.Exit(BROKEN)


@app.command("retire")
def retire_months(
    url: DatabaseUrl = None,
    keep_years: Annotated[
        int, typer.Option("--keep-years", help=f"Keep so many years; {YEARS_KEPT} at least.")
    ] = YEARS_KEPT,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether they may go.")] = False,
) -> None:
    """Drop the months of the logs that are older than they have to be kept, for all tenants.

    Nothing does this by itself; as long as anything is under a legal hold, do not. The seals stay, so that
    `audit verify` still links what is left.
    """
    if not yes:
        ask_consent(f"the months of the audit logs that are older than {keep_years} years go for good, for all tenants")
    with opened(url) as database, database.unit_of_work(role=Role.OWNER, tenant_id=None) as session:
        retired = retire(session, now=now(), keep_years=keep_years)
    for month in retired:
        typer.echo(f"dropped {month.part}: {month.rows} rows")
    typer.echo(f"{len(retired)} months dropped")


@app.command("show")
def show_log(
    url: DatabaseUrl = None,
    tenant: Tenant = DEFAULT_TENANT,
    entity: Annotated[
        str | None, typer.Option("--entity", callback=readable, metavar="TABLE", help="Such as scheduling.doctors.")
    ] = None,
    key: Annotated[str | None, typer.Option("--key", callback=readable, help="Of this row.")] = None,
    user: Annotated[str | None, typer.Option("--user", callback=readable, metavar="ID", help="By this user.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", callback=readable, metavar="DAY", help="Since this day, in UTC.")
    ] = None,
    most: Annotated[int, typer.Option("--most", min=1, max=100_000, help="How many.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object a line.")] = False,
) -> None:
    """Show the latest entries of both logs, newest first. Values are there only where they are harmless."""
    begin = None if since is None else datetime.combine(read_day(since, default=now().date()), time(0), _UTC)
    user_id = None if user is None else _read_user(user)
    with opened_for(url, tenant) as (session, _):
        found = entries(session, entity=entity, key=key, user_id=user_id, since=begin, most=most)
    if as_json:
        for one in found:
            typer.echo(json.dumps(one._asdict(), default=str))
        return
    console = Console()
    for one in found:
        row = "".join(f" {part}" for part in (one.entity, one.key) if part is not None)
        who = one.user_id or one.db_role
        console.print(Text(printable(f"{one.occurred_at:%Y-%m-%d %H:%M:%S}Z {who}: {one.action}{row}")))
        if change := _change(one):
            console.print(Padding(Text(printable(change)), (0, 0, 0, 2)))
    if not found:
        console.print("no such entries")


def _change(entry: Entry) -> str:
    before, after = dict(entry.before or {}), dict(entry.after or {})
    changes = [
        f"{name}: {'' if name not in before else f'{before[name]} -> '}{after.get(name, 'gone')}"
        for name in sorted(before | after)
    ]
    return "; ".join([*changes, *([json.dumps(entry.details)] if entry.details else [])])


def _read_head(written: str) -> Head:
    read = _HEAD.fullmatch(written)
    if read is None:
        raise InvalidInputError(f"{written[:100]!r} is no head: `scheduler audit seal` prints LOG:POSITION:DIGEST")
    return Head(Log(read[1]), int(read[2]), bytes.fromhex(read[3]))


def _read_user(written: str) -> UUID:
    try:
        return UUID(written)
    except ValueError:
        raise InvalidInputError(f"{written!r} is not the id of a user") from None
