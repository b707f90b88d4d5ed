"""Keys across tenants: the database refuses a row that refers to another tenant's row, also to a superuser.

Row security does not refuse it: the check of a foreign key bypasses it. Each key is tried alone: the other constraints
of its table are dropped for the try, so that nothing else can refuse the row. The same row of the other tenant, which
may refer to its own rows, is accepted.
"""

import json
from typing import Any, NamedTuple
from uuid import uuid4

import psycopg
import pytest

from support.rows.all_domains import all_rows
from support.worlds.tenants import SCHEMAS, Table, World, a_row_of, read_table, remove, value_of, without_triggers

pytestmark = pytest.mark.database

TABLES = sorted(all_rows(uuid4()))
ELSEWHERE = 777  # an id that the tenant under test does not have
VIOLATES_KEY, VIOLATES_CHECK = "23503", "23514"

Row = dict[str, Any]


class Key(NamedTuple):
    """A foreign key, without the tenant: `columns` refer to `referred` of the target."""

    name: str
    target: str
    columns: tuple[str, ...]
    referred: tuple[str, ...]
    optional: tuple[str, ...]
    """Columns of the key that may be null."""


def keys(connection: psycopg.Connection, table: str) -> list[Key]:
    """Return the foreign keys of a table except those to the tenant itself."""
    rows = connection.execute(
        """select conname, confrelid::regclass::text,
            array_agg(h.attname::text order by place), array_agg(t.attname::text order by place),
            coalesce(array_agg(h.attname::text) filter (where not h.attnotnull), '{}')
        from pg_constraint, unnest(conkey, confkey) with ordinality as pair (at_here, at_there, place)
        join pg_attribute h on h.attrelid = %(table)s::regclass and h.attnum = at_here
        join pg_attribute t on t.attnum = at_there
        where contype = 'f' and conrelid = %(table)s::regclass and conparentid = 0 and t.attrelid = confrelid
            and confrelid <> 'identity.tenants'::regclass and t.attname <> 'tenant_id'
        group by conname, confrelid order by 1""",
        {"table": table},
    )
    return [Key(name, target, *(tuple(columns) for columns in rest)) for name, target, *rest in rows]


def inserted(
    connection: psycopg.Connection, table: Table, row: Row, change: Row
) -> tuple[int | str | None, str | None]:
    """Write a changed copy of a row; return the row count, or the SQLSTATE, and the constraint's name."""
    columns = ", ".join(table.columns)
    try:
        with connection.transaction(force_rollback=True):
            remove(connection, table.name, table.key, json.dumps(row))
            result = connection.execute(
                f"insert into {table.name} ({columns}) overriding system value"
                f" select {columns} from jsonb_populate_record(null::{table.name}, %s)".encode(),
                (json.dumps(row | change),),
            )
            connection.execute("set constraints all immediate")
            return result.rowcount, None
    except psycopg.Error as refused:
        return refused.sqlstate, refused.diag.constraint_name


def leave_only(connection: psycopg.Connection, table: str, key: Key) -> None:
    """Drop everything else that might refuse a row: other keys, unique constraints, checks, triggers."""
    rows = connection.execute(
        """select format('drop constraint %%I', conname) from pg_constraint other
        where conrelid = %s::regclass and contype in ('c', 'f', 'u') and conparentid = 0 and conname <> %s
            and not (contype = 'u' and exists (
                select from pg_constraint needs_it where needs_it.contype = 'f' and needs_it.conindid = other.conindid))
        """,
        (table, key.name),
    )
    drops = [drop for (drop,) in rows]
    connection.execute(f"alter table {table} {', '.join(['disable trigger user', *drops])}".encode())


def row_of(connection: psycopg.Connection, table: str, tenant: object) -> Row:
    written = a_row_of(connection, table, tenant)  # type: ignore[arg-type]
    assert written
    row: Row = json.loads(written)
    return row


def only_theirs(connection: psycopg.Connection, key: Key, world: World) -> Row:
    """Return values for the columns of a key that refer to a row of `theirs` alone."""
    target = read_table(connection, key.target, world)
    ours, theirs = json.loads(target.row), row_of(connection, key.target, world.theirs)
    if all(ours[column] == theirs[column] for column in key.referred):
        moved = "id" if "id" in key.referred else next(c for c in key.referred if isinstance(theirs[c], int))
        with without_triggers(connection):
            connection.execute(
                f"update {key.target} set {moved} = %s where {target.tenant} = %s and {moved} = %s".encode(),
                (ELSEWHERE, world.theirs, theirs[moved]),
            )
        theirs[moved] = ELSEWHERE
    return dict(zip(key.columns, (theirs[column] for column in key.referred), strict=True))


@pytest.mark.parametrize("name", TABLES)
def test_a_row_cannot_point_into_another_tenant(world: World, name: str) -> None:
    with psycopg.connect(world.url) as connection:
        for key in keys(connection, name):
            table = read_table(connection, name, world)
            leave_only(connection, name, key)
            change = only_theirs(connection, key, world)
            ours, theirs = (row_of(connection, name, tenant) for tenant in (world.ours, world.theirs))
            assert inserted(connection, table, ours, change) == (VIOLATES_KEY, key.name)
            assert inserted(connection, table, theirs, change) == (1, None), f"{key}: nobody may point there"
            connection.rollback()


@pytest.mark.parametrize("name", TABLES)
def test_a_key_of_several_columns_is_not_half_missing(world: World, name: str) -> None:
    """A foreign key with a null in it is not checked at all."""
    with psycopg.connect(world.url) as connection:
        for key in keys(connection, name):
            if len(key.optional) > 1:
                table = read_table(connection, name, world)
                ours = row_of(connection, name, world.ours)
                target = row_of(connection, key.target, world.ours)
                whole = dict(zip(key.columns, (target[column] for column in key.referred), strict=True))
                for column in key.optional:
                    outcome, _ = inserted(connection, table, ours, whole | {column: None})
                    assert outcome == VIOLATES_CHECK, f"{key} without {column}"
                connection.rollback()


def test_every_key_of_the_catalogue_is_tried(world: World) -> None:
    with psycopg.connect(world.url) as connection:
        tried = sum(len(keys(connection, name)) for name in TABLES)
        existing = value_of(
            connection,
            "select count(*) from pg_constraint where contype = 'f' and conparentid = 0"
            f" and confrelid <> 'identity.tenants'::regclass and connamespace::regnamespace::text in {SCHEMAS}",
        )
    assert tried == existing
    assert tried > 0


def test_a_tenant_with_rows_cannot_be_deleted(world: World) -> None:
    with psycopg.connect(world.url) as connection, pytest.raises(psycopg.errors.IntegrityError) as refused:
        connection.execute("delete from identity.tenants where id = %s", (world.ours,))
    assert refused.value.sqlstate in {"23001", VIOLATES_KEY}  # restrict is 23001 from PostgreSQL 18 on
