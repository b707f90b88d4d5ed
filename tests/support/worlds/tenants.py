"""World of two tenants with a row of each in every table, and reading a table out of it.

Owns: the facts about a table that any try needs. Must not know: any table by name, or the tries.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple
from uuid import UUID, uuid4

import psycopg
import pytest

from scheduler.postgres.schema import snapshot
from support.rows.all_domains import insert_all

SCHEMAS: Final = str(snapshot.SCHEMAS)  # a list in SQL, too


class World(NamedTuple):
    """A database in which two tenants have the same rows."""

    url: str
    ours: UUID
    theirs: UUID


class Table(NamedTuple):
    """A table or partition, with a row of `ours` to try things on."""

    name: str
    tenant: str
    """The column that says whose a row is."""
    key: tuple[str, ...]
    columns: tuple[str, ...]
    """Those that can be written."""
    touched: str
    """A column whose change means nothing."""
    row: str
    """A row of `ours`, as JSON."""
    own: int
    """How many rows `ours` has."""
    others: int
    """How many rows `theirs` has."""


@pytest.fixture(scope="module")
def world(database_url: str) -> World:
    """A database of the module's own, with all rows of two tenants."""
    new_world = World(database_url, uuid4(), uuid4())
    for tenant in (new_world.ours, new_world.theirs):
        with psycopg.connect(database_url) as connection:
            insert_all(connection, tenant)
    return new_world


def table_names(connection: psycopg.Connection) -> list[str]:
    """Return every table of the library that is not a partition."""
    return _names(connection, "relkind in ('r', 'p') and not relispartition")


def partition_names(connection: psycopg.Connection, table: str | None = None) -> list[str]:
    """Return every partition, or those of a table."""
    of_table = f"oid in (select inhrelid from pg_inherits where inhparent = '{table}'::regclass)" if table else "true"
    return _names(connection, f"relispartition and {of_table} and relkind in ('r', 'p')")


def view_names(connection: psycopg.Connection) -> list[str]:
    """Return every view of the library."""
    return _names(connection, "relkind = 'v'")


def _names(connection: psycopg.Connection, condition: str) -> list[str]:
    rows = connection.execute(
        "select oid::regclass::text from pg_class"
        f" where relnamespace::regnamespace::text in {SCHEMAS} and {condition} order by 1".encode()
    )
    return [name for (name,) in rows]


def value_of(connection: psycopg.Connection, query: str, values: tuple[object, ...] = ()) -> object:
    """Return the only value of the only row; None if there is no row."""
    row = connection.execute(query.encode(), values).fetchone()
    return row[0] if row else None


def tenant_column(connection: psycopg.Connection, table: str) -> str:
    """Return the column with the owner of a row: `tenant_id`, or `id` where the row itself is the tenant."""
    written = """select 1 from pg_attribute
        where attrelid = %s::regclass and attname = 'tenant_id' and attgenerated = ''"""
    return "tenant_id" if value_of(connection, written, (table,)) else "id"


def a_row_of(connection: psycopg.Connection, table: str, tenant: UUID) -> str | None:
    """Return a row of a tenant, as JSON."""
    query = f"select to_jsonb(t)::text from {table} t where {tenant_column(connection, table)} = %s order by 1 limit 1"
    row = value_of(connection, query, (tenant,))
    assert row is None or isinstance(row, str)
    return row


def read_table(connection: psycopg.Connection, name: str, world: World) -> Table:
    """Read the facts about a table from the catalogue and its rows."""
    columns = value_of(
        connection,
        """select array_agg(quote_ident(attname) order by attnum) from pg_attribute
        where attrelid = %s::regclass and attnum > 0 and not attisdropped and attgenerated = ''""",
        (name,),
    )
    key = value_of(
        connection,
        """select array_agg(quote_ident(attname) order by attnum) from pg_index
        join pg_attribute on attrelid = indrelid and attnum = any(indkey)
        where indrelid = %s::regclass and indisprimary""",
        (name,),
    )
    row = a_row_of(connection, name, world.ours)
    assert isinstance(columns, list)
    assert isinstance(key, list), f"{name} has no primary key"
    assert row, f"{name} has no row to try things on"
    tenant = tenant_column(connection, name)
    count = f"select count(*) from {name} where {tenant} = %s"
    own, others = (value_of(connection, count, (whose,)) for whose in (world.ours, world.theirs))
    assert isinstance(own, int)
    assert isinstance(others, int)
    touched = "updated_at" if "updated_at" in columns else columns[-1]
    return Table(name, tenant, tuple(key), tuple(columns), touched, row, own, others)


@contextmanager
def without_triggers(connection: psycopg.Connection) -> Iterator[None]:
    """Hide the changes of the block from triggers and foreign keys; for a superuser."""
    connection.execute("set local session_replication_role = replica")
    yield
    connection.execute("set local session_replication_role = origin")


def remove(connection: psycopg.Connection, table: str, key: tuple[str, ...], row: str) -> None:
    """Delete a row in spite of references to it, so that it can be inserted again."""
    same = " and ".join(f"t.{column} = gone.{column}" for column in key)
    with without_triggers(connection):
        deleted = connection.execute(
            f"delete from {table} t using jsonb_populate_record(null::{table}, %s) gone where {same}".encode(), (row,)
        )
        assert deleted.rowcount == 1, table
