"""`scheduler keys`: make master keys, replace a tenant's key, look at what is encrypted with what."""

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from scheduler.cli.progress import shown_progress
from scheduler.cli.settings import (
    DEFAULT_TENANT,
    MASTER_KEYS,
    AsJson,
    DatabaseUrl,
    Tenant,
    master_keys,
    opened,
    opened_for,
    random_bytes,
    readable,
)
from scheduler.models import DataKey
from scheduler.postgres.encryption import key_rotation
from scheduler.postgres.encryption.errors import TamperedError
from scheduler.postgres.encryption.master_keys import new_master_key
from scheduler.postgres.encryption.tenant_keys import TenantKeys, data_keys
from scheduler.postgres.tenants import tenant_id_of

SHOWN = 10

app = typer.Typer(
    help=f"Keep the keys of what is encrypted. {MASTER_KEYS} has the master keys; the embedded server has its own.",
    no_args_is_help=True,
)


@app.command("new-master")
def new_master(
    key_id: Annotated[
        str | None,
        typer.Option("--id", callback=readable, metavar="ID", help="Name of the key. [default: a random one]"),
    ] = None,
) -> None:
    """Make a master key and print it.

    Keep it where secrets are kept, and a copy elsewhere: without it nothing that is encrypted opens, not in backups
    either.
    """
    typer.echo(new_master_key(key_id or f"m{random_bytes(4).hex()}", random_bytes=random_bytes))
    typer.echo(
        f"the first key of {MASTER_KEYS} (ID:KEY,ID:KEY) wraps, the others only unwrap: add a new one at the end "
        "wherever the application runs, then put it first, then `scheduler keys rewrap`",
        err=True,
    )


@app.command("rotate")
def rotate_key(
    url: DatabaseUrl = None,
    tenant: Tenant = DEFAULT_TENANT,
    anew: Annotated[
        bool, typer.Option("--anew", help="Begin with another new key even if a rotation is unfinished.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Give a tenant a new key and encrypt all its values with it; the first time, make its keys.

    People may go on working. It may be stopped at any moment: the next run goes on. Exit code 7 if a value does not
    open.
    """
    masters = master_keys(url)
    with (
        opened(url) as database,
        shown_progress("encrypting", steps="rows", made="values", logged="reencrypted") as told,
    ):
        done = key_rotation.rotate(
            database,
            TenantKeys(tenant_id_of(database, tenant), masters, random_bytes),
            start=key_rotation.Start.ANEW if anew else key_rotation.Start.CONTINUE,
            progress=told,
        )
    if as_json:
        unopened = [str(place) for place in done.unopened]
        typer.echo(json.dumps(done._asdict() | {"unopened": unopened}, default=str))
    else:
        began = "a new key" if done.new_key else "went on with the new key"
        typer.echo(
            f"{began}: {done.reencrypted:,} values of {done.rows:,} rows encrypted anew, {len(done.retired)} retired"
        )
    if done.unopened:
        for place in done.unopened[:SHOWN]:
            typer.echo(f"does not open: {place}", err=True)
        raise TamperedError(f"{len(done.unopened)} values do not open and were left as they are")


@app.command("rewrap")
def rewrap_keys(url: DatabaseUrl = None, tenant: Tenant = DEFAULT_TENANT) -> None:
    """Wrap a tenant's keys by the first master key; what they encrypt stays as it is."""
    masters = master_keys(url)
    with opened_for(url, tenant) as (session, tenant_id):
        count = TenantKeys(tenant_id, masters, random_bytes).rewrap(session)
    typer.echo(f"{count} keys wrapped anew by the master key {masters.active_id}")


@app.command("status")
def status(url: DatabaseUrl = None, tenant: Tenant = DEFAULT_TENANT, as_json: AsJson = False) -> None:
    """Show a tenant's keys, and how many values each has encrypted. It needs no master key.

    The table shows the first 8 characters of a key's id, --json all of it.
    """
    with opened_for(url, tenant) as (session, tenant_id):
        keys = data_keys(session, tenant_id)
        counts = dict(key_rotation.values_by_key(session, tenant_id))
    lines = [
        {
            "key": str(key.id),
            "purpose": key.purpose,
            "state": _state(key),
            "master_key": key.master_key_id,
            "created_at": str(key.created_at),
            "values": counts.pop(key.id, 0) if key.id else 0,
        }
        for key in keys
    ]
    unknown = {str(key_id): count for key_id, count in counts.items()}
    if as_json:
        typer.echo(json.dumps({"keys": lines, "values_of_unknown_keys": unknown}))
    elif not lines:
        typer.echo(f"no keys yet: `scheduler keys rotate --tenant {tenant}` makes them")
    else:
        Console().print(_table(lines))
    for key_id, count in unknown.items():
        typer.echo(f"{count:,} values name a key that is not there: {key_id}", err=True)


def _state(key: DataKey) -> str:
    if key.retired_at is not None:
        return "retired"
    return "current" if key.superseded_at is None else "superseded"


def _table(lines: list[dict[str, object]]) -> Table:
    table = Table("key", "purpose", "state", "master key", "created (UTC)", box=None, pad_edge=False)
    table.add_column("values", justify="right")
    for line in lines:
        key, purpose, state, master_key, created_at, values = line.values()
        table.add_row(str(key)[:8], str(purpose), str(state), str(master_key), str(created_at)[:16], f"{values:,}")
    return table
