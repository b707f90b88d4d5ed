"""The tables as SQLModel has them, as the migrations make them, and as the specification lists them: all the same."""

from collections.abc import Iterator

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, create_engine
from sqlmodel import SQLModel

import models
from scheduler.store.database import read_url

pytestmark = pytest.mark.database

# From the clinic scheduling specification, table by table: `?` is nullable. Keys, `created_at` and `updated_at` are
# the same in all of them and are added below; so is the tenant, which the specification leaves to the one before it.
SPECIFIED = """
facilities: name string, slug string, address text?, phone string50?, meta json?, locale string10?, deleted_at instant?
doctors: first_name string, last_name string, display_name string, npi string50?, specialty string?, profile text?,
    contact json?, deleted_at instant?
services: name string, description text?, code string50?, code_system text, code_version string50?,
    default_duration_minutes integer, category string?, meta json?, deleted_at instant?
facility_doctors: facility_id bigint, doctor_id bigint, role string100?, active boolean
service_offerings: service_id bigint, doctor_id bigint, facility_id bigint, active boolean,
    default_duration_minutes integer?, visibility text, meta json?
availability_rules: doctor_id bigint, facility_id bigint, service_offering_id bigint?, day_of_week smallint,
    start_time time, end_time time, slot_duration_minutes integer, slot_interval_minutes integer?, active boolean,
    meta json?
availability_exceptions: availability_rule_id bigint?, facility_id bigint, doctor_id bigint, start_at instant,
    end_at instant, type text, meta json?
availability_slots: facility_id bigint, doctor_id bigint, service_offering_id bigint?, start_at instant,
    end_at instant, status text, capacity integer, reserved_until instant?, created_from_rule_id bigint?
"""
TYPES = {
    "string": "character varying(255)",
    "string100": "character varying(100)",
    "string50": "character varying(50)",
    "string10": "character varying(10)",
    "json": "jsonb",
    "instant": "timestamp with time zone",
    "time": "time without time zone",
}
ON_DELETE = """
facility_doctors: facility_id r, doctor_id r
service_offerings: service_id c, doctor_id c, facility_id c
availability_rules: doctor_id c, facility_id c, service_offering_id c
availability_exceptions: availability_rule_id c, facility_id c, doctor_id c
availability_slots: facility_id c, doctor_id c, service_offering_id c, created_from_rule_id n
"""


def listed(text: str) -> Iterator[tuple[str, str, str]]:
    for line in text.strip().replace("\n    ", " ").splitlines():
        table, _, columns = line.partition(": ")
        for column in columns.split(", "):
            name, kind = column.split()
            yield table, name, kind


@pytest.fixture(scope="module")
def connection(database_url: str) -> Iterator[Connection]:
    engine = create_engine(read_url(database_url))
    with engine.connect() as opened:
        yield opened
    engine.dispose()


def test_the_models_and_the_migrated_schema_are_the_same(connection: Connection) -> None:
    assert models.Tenant.metadata is SQLModel.metadata
    context = MigrationContext.configure(
        connection,
        opts={
            "compare_type": True,
            "compare_server_default": True,
            "include_schemas": True,
            "include_name": lambda name, kind, _: (kind, name) != ("table", "scheduler_revision"),
        },
    )
    differences = compare_metadata(context, SQLModel.metadata)
    # Comments explain the tables to those who meet them in the database; the models have docstrings.
    assert [difference for difference in differences if difference[0] != "remove_table_comment"] == []


def test_the_primary_keys_of_the_models_are_those_of_the_schema(connection: Connection, database_url: str) -> None:
    with psycopg.connect(database_url) as driver:
        there = {
            name: set(columns)
            for name, columns in driver.execute(
                "select conrelid::regclass::text, array_agg(attname::text) from pg_constraint"
                " join pg_attribute on attrelid = conrelid and attnum = any(conkey)"
                " where contype = 'p' and connamespace::regnamespace::text in ('identity', 'scheduling') group by 1"
            )
        }
    assert connection.closed is False
    assert there == {name: set(table.primary_key.columns.keys()) for name, table in SQLModel.metadata.tables.items()}


def test_every_column_of_the_specification_is_there_with_its_type(database_url: str) -> None:
    expected = {(table, "id", "bigint", False) for table, _, _ in listed(SPECIFIED)}
    expected |= {(table, "tenant_id", "uuid", False) for table, _, _ in listed(SPECIFIED)}
    for table, name, kind in listed(SPECIFIED):
        bare = kind.removesuffix("?")
        expected.add((table, name, TYPES.get(bare, bare), kind.endswith("?")))
        expected |= {(table, written, TYPES["instant"], False) for written in ("created_at", "updated_at")}
    with psycopg.connect(database_url) as driver:
        found = set(
            driver.execute(
                "select relname::text, attname::text, format_type(atttypid, atttypmod), not attnotnull"
                " from pg_attribute join pg_class on pg_class.oid = attrelid"
                " where relnamespace = 'scheduling'::regnamespace and attnum > 0 and not attisdropped"
            )
        )
    assert expected - found == set()


def test_every_reference_of_the_specification_does_on_delete_what_it_says(database_url: str) -> None:
    with psycopg.connect(database_url) as driver:
        found = set(
            driver.execute(
                "select relname::text, attname::text, confdeltype::text from pg_constraint"
                " join pg_class on pg_class.oid = conrelid"
                " join pg_attribute on attrelid = conrelid and attnum = conkey[2] where contype = 'f'"
            )
        )
    assert set(listed(ON_DELETE)) - found == set()


def test_every_name_of_a_constraint_or_index_reads_as_a_sentence(database_url: str) -> None:
    with psycopg.connect(database_url) as driver:
        names = driver.execute(
            "select conname::text from pg_constraint where contype <> 'n' and conislocal"
            " and connamespace::regnamespace::text in ('identity', 'scheduling')"
            " union select indexrelid::regclass::text from pg_index join pg_class on pg_class.oid = indexrelid"
            " where relnamespace::regnamespace::text in ('identity', 'scheduling')"
        ).fetchall()
    generated = [name for (name,) in names if name.endswith(("_key", "_pkey", "_fkey", "_check", "_idx", "_excl"))]
    assert (len(names) > 50, generated) == (True, [])
