"""`scheduler seed`: tenants with everything that a tenant has, made up from a seed."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from scheduler.cli.settings import DatabaseUrl, master_keys, opened, random_bytes, read_day
from scheduler.core.errors import InvalidInputError, NotFoundError
from scheduler.postgres.database import Database, Role, act_as
from scheduler.postgres.encryption.master_keys import MasterKeys
from scheduler.postgres.encryption.tenant_keys import TenantKeys
from scheduler.postgres.slots import ensure_months
from scheduler.postgres.statistics import row_counts
from scheduler.postgres.tenants import make_tenant, tenant_id_of
from scheduler.sample_data.scales import Scale, Seed

BEGIN = date(2027, 2, 1)
_FOR_DAYS = timedelta(days=31)


def seed(
    url: DatabaseUrl = None,
    tenants: Annotated[int, typer.Option("--tenants", min=1, max=1000, help="How many tenants.")] = 1,
    scale: Annotated[Scale, typer.Option("--scale", help="How large each is.")] = Scale.SMALL,
    number: Annotated[int, typer.Option("--seed", min=0, help="The same seed makes the same world.")] = 1,
    first: Annotated[
        str | None, typer.Option("--from", metavar="DAY", help=f"First day of appointments. [default: {BEGIN}]")
    ] = None,
) -> None:
    """Make tenants with everything that a tenant has: places, doctors, visits, families, children, placements.

    They are called seed-SEED-1, seed-SEED-2, ...; one that is there already is left as it is. Nobody in them is real.
    """
    begin = read_day(first, default=BEGIN)
    masters = master_keys(url)
    console = Console()
    with opened(url) as database:
        for one in range(1, tenants + 1):
            wanted = Seed(number, one, scale, begin)
            if make_if_missing(database, wanted, masters, console):
                console.print(counts_table(database, wanted))
            else:
                console.print(f"{wanted.slug} is there already: left as it is")
    typer.echo(f"look around: scheduler generate --tenant seed-{number}-1 --from {begin}")


def make_if_missing(database: Database, wanted: Seed, masters: MasterKeys, console: Console) -> bool:
    """Make a tenant and its world in one transaction, if it is not there; say whether it was made."""
    try:
        from scheduler.sample_data.worlds import make_world  # noqa: PLC0415  # an extra, which others do not need
    except ModuleNotFoundError as missing:
        if missing.name != "faker":
            raise
        raise InvalidInputError("made-up data needs the extra `seed`: pip install 'slotsmith[seed]'") from None
    try:
        tenant_id_of(database, wanted.slug)
    except NotFoundError:
        pass
    else:
        return False
    keys = TenantKeys(wanted.tenant_id, masters, random_bytes)
    with (
        console.status(f"making {wanted.slug}") as status,
        database.unit_of_work(role=Role.OWNER, tenant_id=wanted.tenant_id) as session,
    ):
        make_tenant(session, wanted.slug, wanted.tenant_id)
        first = datetime.combine(wanted.begin, time(), UTC)
        ensure_months(session, first, first + _FOR_DAYS)
        act_as(session, Role.SYSTEM)
        keys.ensure(session)
        ring = keys.load_ring(session)
        make_world(session, wanted, ring, progress=lambda part: status.update(f"making {wanted.slug}: {part}"))
    return True


def counts_table(database: Database, wanted: Seed) -> Table:
    """Return how many rows a tenant has in each table that has any, a line for each namespace."""
    with database.unit_of_work(role=Role.SYSTEM, tenant_id=wanted.tenant_id) as session:
        counts = row_counts(session)
    namespaces: dict[str, list[str]] = {}
    for name, count in counts.items():
        namespace, _, shown = name.partition(".")
        if count:
            namespaces.setdefault(namespace, []).append(f"{shown}={count}")
    table = Table(
        title=f"{wanted.slug} ({wanted.scale})", box=None, pad_edge=False, title_justify="left", show_header=False
    )
    for namespace, tables in namespaces.items():
        table.add_row(namespace, " ".join(tables))
    return table
