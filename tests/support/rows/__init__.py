"""Sample rows: a valid row of every table for a tenant, in the order of writing, and invalid rows.

Each domain has its module: `rows(tenant)` returns table -> row, `WRONG` lists (table, wrong values, constraint). Bigint
ids are 1 in every tenant; a uuid id is `key(tenant, table)`. A table that is missing here fails the tests that go by
the catalogue: constraints, isolation, policies.
"""

from collections.abc import Mapping
from uuid import UUID, uuid5

import psycopg
from psycopg import sql

Row = dict[str, object]
Wrong = list[tuple[str, Row, str]]


def key(tenant: UUID, name: str) -> UUID:
    """Return the id of a tenant's only row of a table (or of another thing with a name)."""
    return uuid5(tenant, name)


def insert(connection: psycopg.Connection, table: str, row: Mapping[str, object]) -> None:
    """Write one row."""
    statement = sql.SQL("insert into {} ({}) overriding system value values ({})").format(
        sql.Identifier(*table.split(".")),
        sql.SQL(", ").join(sql.Identifier(name) for name in row),
        sql.SQL(", ").join([sql.Placeholder()] * len(row)),
    )
    connection.execute(statement, list(row.values()))
