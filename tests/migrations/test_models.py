"""Models and migrated schema: equal tables, equal names of keys and indexes."""

from collections.abc import Iterator

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine, text
from sqlmodel import SQLModel

from scheduler.models.registry import METADATA
from scheduler.postgres.connections import read_url
from scheduler.postgres.schema import snapshot

pytestmark = pytest.mark.database

SCHEMAS = str(snapshot.SCHEMAS)  # a list in SQL, too


@pytest.fixture(scope="module")
def connection(database_url: str) -> Iterator[Connection]:
    engine = create_engine(read_url(database_url))
    with engine.connect() as opened:
        yield opened
    engine.dispose()


def test_the_models_and_the_migrated_schema_are_the_same(connection: Connection) -> None:
    assert METADATA is not SQLModel.metadata
    # A partition is no table of its own, and the set of months depends on the day.
    partitions = set(connection.scalars(text("select relname from pg_class where relispartition")))
    context = MigrationContext.configure(
        connection,
        opts={
            "compare_type": True,
            "compare_server_default": True,
            "include_schemas": True,
            "include_name": lambda name, kind, _: kind != "table" or name not in {"revision", *partitions},
        },
    )
    differences = compare_metadata(context, METADATA)
    # The comments explain the tables to readers of the database; the models have docstrings.
    assert [difference for difference in differences if difference[0] != "remove_table_comment"] == []


def test_keys_of_the_models_equal_those_of_the_schema_in_name_and_columns(database_url: str) -> None:
    """The names are derived: Alembic's comparison ignores the names of primary and foreign keys."""
    with psycopg.connect(database_url) as connection:
        keys = connection.execute(
            "select conrelid::regclass::text, conname::text, array_agg(attname::text) from pg_constraint"
            " join pg_attribute on attrelid = conrelid and attnum = any(conkey)"
            f" where contype in ('p', 'f') and conparentid = 0 and connamespace::regnamespace::text in {SCHEMAS}"
            " group by 1, 2"
        ).fetchall()
    assert {(table, name): set(columns) for table, name, columns in keys} == {
        (table.fullname, key.name): set(key.columns.keys())
        for table in METADATA.tables.values()
        for key in (table.primary_key, *table.foreign_key_constraints)
    }


def test_rules_have_sentence_names_and_keys_and_indexes_derived_names(database_url: str) -> None:
    """Partitions, whose names PostgreSQL derives, are left out."""
    with psycopg.connect(database_url) as driver:
        names = driver.execute(f"""
            select relname::text, conname::text, contype in ('f', 'p') from pg_constraint
            join pg_class on pg_class.oid = conrelid
            where contype <> 'n' and not relispartition and connamespace::regnamespace::text in {SCHEMAS}
            union
            select held.relname::text, made.relname::text, not indisunique from pg_index
            join pg_class held on held.oid = indrelid join pg_class made on made.oid = indexrelid
            where not held.relispartition and held.relnamespace::regnamespace::text in {SCHEMAS}
                and not exists (select from pg_constraint where conindid = indexrelid)
        """).fetchall()
    assert len(names) > 300
    suffixes = ("_key", "_pkey", "_fkey", "_check", "_idx", "_excl")
    assert [
        name
        for table, name, derived in names
        if (name.startswith(f"{table}_") and name.endswith(suffixes)) is not derived
    ] == []
