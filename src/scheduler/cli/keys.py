"""`scheduler keys`: create master keys, rotate and rewrap the keys of a tenant, count the values of each key."""

import json
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

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
from scheduler.cli.terminal import echo, printable
from scheduler.models import DataKey
from scheduler.postgres.database import Role
from scheduler.postgres.encryption import key_rotation
from scheduler.postgres.encryption.errors import TamperedError
from scheduler.postgres.encryption.master_keys import new_master_key
from scheduler.postgres.encryption.tenant_keys import TenantKeys, data_keys
from scheduler.postgres.tenants import tenant_id_of

MAX_VALUES_SHOWN = 10

app: typer.Typer = typer.Typer(
    help="Manage the encryption keys of a tenant, and the master keys that wrap them.\n\n"
    f"The master keys are in {MASTER_KEYS}; the embedded server has a master key of its own.",
    no_args_is_help=True,
)


@app.command("new-master")
def new_master(
    key_id: Annotated[
        str | None,
        typer.Option("--id", callback=readable, metavar="ID", help="Name of the key. [default: a random one]"),
    ] = None,
) -> None:
    """Create a master key and print it.

    Keep it with your secrets, and a copy elsewhere: without it nothing decrypts, not in a backup either.
    """
    echo(new_master_key(key_id or f"m{random_bytes(4).hex()}", random_bytes=random_bytes))
    echo(
        f"the first key of {MASTER_KEYS} (ID:KEY,ID:KEY) wraps, the others only unwrap: add a new one at the end "
        "wherever the application runs, then put it first, then run `scheduler keys rewrap`",
        err=True,
    )


@app.command("rotate")
def rotate_key(
    url: DatabaseUrl = None,
    tenant: Tenant = DEFAULT_TENANT,
    anew: Annotated[bool, typer.Option("--anew", help="Start another rotation even if one is unfinished.")] = False,
    as_json: AsJson = False,
) -> None:
    """Create a new key for a tenant and encrypt all its values with it; the first time, create its keys.

    Users may continue to work. The command may be stopped at any moment: the next run continues. Exit code 7 if a value
    does not decrypt.
    """
    masters = master_keys(url)
    with (
        opened(url) as database,
        shown_progress("encrypting", steps="rows", unit="values", json_name="reencrypted") as progress,
    ):
        result = key_rotation.rotate(
            database,
            TenantKeys(tenant_id_of(database, tenant, role=Role.SYSTEM), masters, random_bytes),
            start=key_rotation.Start.ANEW if anew else key_rotation.Start.CONTINUE,
            progress=progress,
        )
    if as_json:
        unopened = [str(location) for location in result.unopened]
        echo(json.dumps(result._asdict() | {"unopened": unopened}, default=str))
    else:
        key = "a new key" if result.new_key else "continued with the new key"
        echo(
            f"{key}: {result.reencrypted:,} values of {result.rows:,} rows re-encrypted, {len(result.retired)} retired"
        )
    if result.unopened:
        for location in result.unopened[:MAX_VALUES_SHOWN]:
            echo(f"does not decrypt: {location}", err=True)
        raise TamperedError(f"{len(result.unopened)} values do not decrypt and were left as they are")


@app.command("rewrap")
def rewrap_keys(url: DatabaseUrl = None, tenant: Tenant = DEFAULT_TENANT) -> None:
    """Wrap a tenant's keys with the first master key; encrypted values stay as they are."""
    masters = master_keys(url)
    with opened_for(url, tenant) as (session, tenant_id):
        count = TenantKeys(tenant_id, masters, random_bytes).rewrap(session)
    echo(f"{count} keys wrapped with the master key {masters.active_id}")


@app.command("status")
def status(url: DatabaseUrl = None, tenant: Tenant = DEFAULT_TENANT, as_json: AsJson = False) -> None:
    """Show a tenant's keys, and how many values each has encrypted. No master key is needed.

    The table shows the first 8 characters of a key's id, --json the whole id.
    """
    with opened_for(url, tenant) as (session, tenant_id):
        keys = data_keys(session, tenant_id)
        counts = dict(key_rotation.values_by_key(session, tenant_id))
    rows = [
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
        echo(json.dumps({"keys": rows, "values_of_unknown_keys": unknown}))
    elif not rows:
        echo(f"no keys yet: `scheduler keys rotate --tenant {tenant}` creates them")
    else:
        Console().print(_table(rows))
    for key_id, count in unknown.items():
        echo(f"{count:,} values name a key that does not exist: {key_id}", err=True)


def _state(key: DataKey) -> str:
    if key.retired_at is not None:
        return "retired"
    return "current" if key.superseded_at is None else "superseded"


def _table(rows: list[dict[str, object]]) -> Table:
    table = Table("key", "purpose", "state", "master key", "created (UTC)", box=None, pad_edge=False)
    table.add_column("values", justify="right")
    for row in rows:
        key, purpose, state, master_key, created_at, values = row.values()
        cells = str(key)[:8], purpose, state, master_key, str(created_at)[:16], f"{values:,}"
        table.add_row(*(Text(printable(str(cell))) for cell in cells))
    return table
