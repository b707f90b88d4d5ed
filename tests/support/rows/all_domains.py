"""Rows of all domains together, in the order of writing."""

from uuid import UUID

import psycopg

from scheduler.postgres.database import Role
from support.roles import become
from support.rows import Row, Wrong, audit, identity, insert, placement, scheduling, wellbeing

DOMAINS = (identity, scheduling, placement, wellbeing, audit)
MONTHS = "select scheduling.ensure_slot_partitions('2027-03-01', '2027-04-01')"
WRONG: Wrong = [wrong for domain in DOMAINS for wrong in domain.WRONG]


def all_rows(tenant: UUID) -> dict[str, Row]:
    """Return table -> row."""
    return {table: row for domain in DOMAINS for table, row in domain.rows(tenant).items()}


def insert_all(connection: psycopg.Connection, tenant: UUID) -> None:
    """Write one row of every table as the owner, for whom row security is forced, too."""
    connection.execute(MONTHS)
    become(connection, Role.OWNER, tenant)
    for table, row in all_rows(tenant).items():
        insert(connection, table, row)


def insert_instead(connection: psycopg.Connection, table: str, row: Row) -> None:
    """Replace the rows of a table by one row; references to the old rows may break."""
    connection.execute("set local session_replication_role = replica")
    connection.execute(f"delete from {table}".encode())
    connection.execute("set local session_replication_role = origin")
    insert(connection, table, row)
