"""`scheduler seed`: sample tenants from a seed."""

from datetime import UTC, date, datetime, time, timedelta
from importlib import import_module
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from scheduler.cli.settings import DatabaseUrl, master_keys, opened, random_bytes, read_day
from scheduler.cli.terminal import echo
from scheduler.core.errors import NotFoundError
from scheduler.core.extras import extra_needed
from scheduler.postgres.database import Database, Role, act_as
from scheduler.postgres.encryption.master_keys import MasterKeys
from scheduler.postgres.encryption.tenant_keys import TenantKeys
from scheduler.postgres.slots import ensure_months
from scheduler.postgres.statistics import row_counts
from scheduler.postgres.tenants import make_tenant, tenant_id_of
from scheduler.sample_data.scales import Scale, Seed

BEGIN = date(2027, 2, 1)
_APPOINTMENT_PERIOD = timedelta(days=31)


def seed(
    url: DatabaseUrl = None,
    tenants: Annotated[int, typer.Option("--tenants", min=1, max=1000, help="How many tenants.")] = 1,
    scale: Annotated[Scale, typer.Option("--scale", help="How large each is.")] = Scale.SMALL,
    number: Annotated[int, typer.Option("--seed", min=0, help="The same seed makes the same tenants.")] = 1,
    first: Annotated[
        str | None, typer.Option("--from", metavar="DAY", help=f"First day of appointments. [default: {BEGIN}]")
    ] = None,
) -> None:
    """Create sample tenants: places, doctors, visits, families, children, placements.

    Their slugs are seed-SEED-1, seed-SEED-2, ...; a tenant that exists already is left as it is. Everybody in them is
    invented.
    """
    _require_faker()
    begin = read_day(first, default=BEGIN)
    masters = master_keys(url)
    console = Console()
    with opened(url) as database:
        for index in range(1, tenants + 1):
            sample = Seed(number, index, scale, begin)
            if make_if_missing(database, sample, masters, console):
                console.print(counts_table(database, sample))
            else:
                console.print(f"{sample.slug} exists already: left as it is")
    echo(f"look around: scheduler generate --tenant seed-{number}-1 --from {begin}")


def _require_faker() -> None:
    with extra_needed("sample data", "seed"):
        import_module("faker")


def make_if_missing(database: Database, sample: Seed, masters: MasterKeys, console: Console) -> bool:
    """Create a sample tenant in one transaction, and return True; return False if it exists.

    Raises:
        MissingExtraError: Faker, which comes with the extra `seed`, is not installed.
    """
    _require_faker()
    from scheduler.sample_data.worlds import make_world  # noqa: PLC0415  # imports Faker, which --help does not need

    try:
        tenant_id_of(database, sample.slug, role=Role.SYSTEM)
    except NotFoundError:
        pass
    else:
        return False
    keys = TenantKeys(sample.tenant_id, masters, random_bytes)
    with (
        console.status(f"making {sample.slug}") as status,
        database.unit_of_work(role=Role.OWNER, tenant_id=sample.tenant_id) as session,
    ):
        make_tenant(session, sample.slug, sample.tenant_id)
        first = datetime.combine(sample.begin, time(), UTC)
        ensure_months(session, first, first + _APPOINTMENT_PERIOD)
        act_as(session, Role.SYSTEM)
        keys.ensure(session)
        ring = keys.load_ring(session)
        make_world(session, sample, ring, progress=lambda part: status.update(f"making {sample.slug}: {part}"))
    return True


def counts_table(database: Database, sample: Seed) -> Table:
    """Draw how many rows a tenant has in each table that is not empty, a line for each namespace."""
    with database.unit_of_work(role=Role.SYSTEM, tenant_id=sample.tenant_id) as session:
        counts = row_counts(session)
    namespaces: dict[str, list[str]] = {}
    for name, count in counts.items():
        namespace, _, table_name = name.partition(".")
        if count:
            namespaces.setdefault(namespace, []).append(f"{table_name}={count}")
    table = Table(
        title=f"{sample.slug} ({sample.scale})", box=None, pad_edge=False, title_justify="left", show_header=False
    )
    for namespace, tables in namespaces.items():
        table.add_row(namespace, " ".join(tables))
    return table
