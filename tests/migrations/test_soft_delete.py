"""Soft delete in every table that has `deleted_at`: under row security, and with names released for reuse.

The tables and their indexes come from the catalogue, the rows from `rows`: a table made later is tested without being
named here.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import sql

from scheduler.postgres.database import Role
from scheduler.postgres.schema import snapshot
from support.roles import become
from support.rows import Row, insert
from support.rows.all_domains import MONTHS, all_rows, insert_all

pytestmark = pytest.mark.database

TENANT = uuid4()
AT = "2027-03-01 09:00Z"
SOFT = f"""
    select attrelid::regclass::text from pg_attribute join pg_class on pg_class.oid = attrelid
    where attname = 'deleted_at' and relkind in ('r', 'p') and not relispartition and not attisdropped
        and relnamespace::regnamespace::text in {snapshot.SCHEMAS}
    order by 1
"""
WHO = """
    select case
        when exists (select from pg_policy where polrelid = %(table)s::regclass and not polpermissive)
            or not has_table_privilege('scheduler_app', %(table)s, 'insert, update')
        then 'scheduler_system' else 'scheduler_app' end
"""
INDEXES = """
    select indexrelid::regclass::text, coalesce(pg_get_expr(indpred, indrelid), ''),
        array(select attname::text from pg_attribute where attrelid = indrelid and attnum = any(indkey))
    from pg_index where indisunique and indrelid = %s::regclass
"""
KEY = """
    select array_agg(attname::text) from pg_constraint join pg_attribute on attrelid = conrelid and attnum = any(conkey)
    where contype = 'p' and conrelid = %s::regclass
"""
# (table, columns) -> the reason why a deleted row keeps them.
KEPT_BY_DELETED_ROWS = {
    ("wellbeing.children", ("display_id", "org_id", "tenant_id")): "a number names one child, also in an old report",
    ("identity.users", ("id",)): "an id is one person, also of one who left",
    ("wellbeing.profiles", ("id",)): "a profile is its user's: a returning user gets it back",
}


class Unique(NamedTuple):
    """Unique constraints of a table: names of those among live rows, columns of those among all rows."""

    live: set[str]
    always: set[tuple[str, ...]]


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection]:
    """A transaction that is rolled back, with the months of the rows."""
    with psycopg.connect(database_url) as opened:
        opened.execute(MONTHS)
        become(opened, Role.OWNER, TENANT)
        yield opened
        opened.rollback()


@pytest.fixture
def soft(connection: psycopg.Connection) -> list[str]:
    """The tables whose rows are deleted softly."""
    return [table for (table,) in connection.execute(SOFT.encode())]


def tables_with_live_names(connection: psycopg.Connection, soft: list[str]) -> dict[str, Unique]:
    names = {table: unique(connection, table) for table in soft}
    return {table: names_of_table for table, names_of_table in names.items() if names_of_table.live}


def unique(connection: psycopg.Connection, table: str) -> Unique:
    live, always = set(), set()
    key = set(scalar(connection, KEY, (table,)))
    for name, predicate, columns in connection.execute(INDEXES.encode(), (table,)):
        if "deleted_at IS NULL" in predicate:
            live.add(name.rpartition(".")[2])
        elif not key <= set(columns):
            always.add(tuple(sorted(columns)))
    return Unique(live, always)


def act(connection: psycopg.Connection, table: str) -> None:
    """Become the role that works on a table: the application, or the system where people's roles decide."""
    become(connection, Role(scalar(connection, WHO, {"table": table})), TENANT)


def scalar(connection: psycopg.Connection, query: str, values: Any) -> Any:
    row = connection.execute(query.encode(), values).fetchone()
    assert row is not None, query
    return row[0]


def insert_those_before(connection: psycopg.Connection, table: str) -> Row:
    """Write the rows that precede a table; return the row of that table."""
    for name, row in all_rows(TENANT).items():
        if name == table:
            return row
        insert(connection, name, row)
    raise AssertionError(table)


def where_own(connection: psycopg.Connection, table: str, row: Row) -> sql.Composed:
    """Name a row by its primary key."""
    columns = connection.execute(
        "select attname::text from pg_constraint join pg_attribute on attrelid = conrelid and attnum = any(conkey)"
        " where contype = 'p' and conrelid = %s::regclass",
        (table,),
    ).fetchall()
    return sql.SQL(" and ").join(
        sql.SQL("{} = {}").format(sql.Identifier(name), sql.Literal(row[name])) for (name,) in columns if name in row
    )


def set_deleted(connection: psycopg.Connection, table: str, row: Row, deleted_at: str | None) -> list[tuple[Any, ...]]:
    return connection.execute(
        sql.SQL("update {} set deleted_at = {} where {} returning deleted_at").format(
            sql.Identifier(*table.split(".")), sql.Literal(deleted_at), where_own(connection, table, row)
        )
    ).fetchall()


def twin(table: str) -> Row:
    """Return a copy of a table's row with another id."""
    row = all_rows(TENANT)[table]
    return row | {"id": uuid4() if isinstance(row["id"], UUID) else 777}


def test_the_database_has_soft_deletable_tables(soft: list[str]) -> None:
    assert {"identity.users", "identity.families", "scheduling.facilities", "placement.clients"} <= set(soft)


def test_a_row_is_deleted_softly_under_row_security_and_still_seen(
    connection: psycopg.Connection, soft: list[str]
) -> None:
    """If a policy hid deleted rows, PostgreSQL would refuse the update of `deleted_at`."""
    insert_all(connection, TENANT)
    outcomes = {}
    for table in soft:
        with connection.transaction(force_rollback=True):  # nobody works for a deleted tenant
            act(connection, table)
            rows = set_deleted(connection, table, all_rows(TENANT)[table], AT)
            outcomes[table] = len(rows) == 1 and rows[0][0] is not None
    assert outcomes == dict.fromkeys(soft, True)


@pytest.mark.parametrize("deleted_at", [None, AT])
def test_a_written_row_is_returned_be_it_live_or_deleted(
    connection: psycopg.Connection, soft: list[str], deleted_at: str | None
) -> None:
    outcomes = {}
    for table in soft:
        if table == "identity.tenants":
            continue  # the owner makes tenants
        with connection.transaction(force_rollback=True):
            row = insert_those_before(connection, table) | {"deleted_at": deleted_at}
            act(connection, table)
            written = connection.execute(
                sql.SQL("insert into {} ({}) overriding system value values ({}) returning deleted_at").format(
                    sql.Identifier(*table.split(".")),
                    sql.SQL(", ").join(map(sql.Identifier, row)),
                    sql.SQL(", ").join(map(sql.Literal, row.values())),
                )
            ).fetchall()
            outcomes[table] = len(written) == 1 and (written[0][0] is None) == (deleted_at is None)
    assert outcomes
    assert set(outcomes.values()) == {True}, outcomes


def test_live_names_are_those_of_the_catalogue(connection: psycopg.Connection, soft: list[str]) -> None:
    tables = tables_with_live_names(connection, soft)
    assert {"identity.tenants", "identity.users", "placement.clients", "placement.placement_info"} <= tables.keys()


def test_a_deleted_row_holds_nothing_but_its_key(connection: psycopg.Connection, soft: list[str]) -> None:
    held = {(table, columns) for table in soft for columns in unique(connection, table).always}
    assert held == set(KEPT_BY_DELETED_ROWS)


def test_two_live_rows_do_not_have_one_name(connection: psycopg.Connection, soft: list[str]) -> None:
    """The control of the next test: with the first row live, the second is refused."""
    for table, names in tables_with_live_names(connection, soft).items():
        with connection.transaction(force_rollback=True):
            insert(connection, table, insert_those_before(connection, table))
            refused = refusal(connection, table, twin(table))
            assert refused in names.live, table


def test_a_deleted_row_releases_its_name(connection: psycopg.Connection, soft: list[str]) -> None:
    for table in tables_with_live_names(connection, soft):
        with connection.transaction(force_rollback=True):
            row = insert_those_before(connection, table)
            insert(connection, table, row)
            set_deleted(connection, table, row, AT)
            assert refusal(connection, table, twin(table)) is None, table


def test_a_row_whose_name_is_taken_is_not_restored(connection: psycopg.Connection, soft: list[str]) -> None:
    for table, names in tables_with_live_names(connection, soft).items():
        with connection.transaction(force_rollback=True):
            row = insert_those_before(connection, table)
            insert(connection, table, row)
            set_deleted(connection, table, row, AT)
            insert(connection, table, twin(table))
            with pytest.raises(psycopg.errors.UniqueViolation) as refused, connection.transaction():
                set_deleted(connection, table, row, None)
            assert refused.value.diag.constraint_name in names.live, table


def refusal(connection: psycopg.Connection, table: str, row: Row) -> str | None:
    """Write a row; return the constraint that refuses the row, or None."""
    try:
        with connection.transaction():
            insert(connection, table, row)
    except psycopg.errors.UniqueViolation as error:
        return error.diag.constraint_name
    return None
