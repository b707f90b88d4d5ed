"""Obstacles to the first migration: objects of others and missing rights are named before anything runs."""

import re
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import make_url

from scheduler.postgres.errors import SchemaMismatchError, StatementError
from scheduler.postgres.fresh_databases import fresh_database
from scheduler.postgres.schema import migrations, obstacles
from support.databases import execute
from support.pg_dump import dump

pytestmark = pytest.mark.database

SCRIPT = migrations.script()
OF_OTHERS = (
    "create schema identity",
    "create schema scheduling",
    "create schema audit",
    "create schema placement",
    "create table identity.users (id bigserial primary key, email varchar(80), name text, created_at timestamptz)",
    "create table identity.orders (id int)",
    "create table scheduling.doctors (id int)",
    "create view placement.metadata as select 1 as id",
    "create table audit.system_audit_log (id int)",
    "create function identity.current_tenant_id() returns text return 'me'",
    "create function identity.is_email(value text) returns boolean return true",
    "create type identity.user_role_enum as enum ('admin', 'guest')",
)
NAMED = (
    "the table audit.system_audit_log",
    "the view placement.metadata",
    "the table scheduling.doctors",
    (
        "the table identity.users (it lacks deleted_at, phone, role, status, supertokens_user_id, tenant_id,"
        " updated_at, id is bigint and should be uuid, it has no PRIMARY KEY (tenant_id, id))"
    ),
    "the function identity.current_tenant_id()",
    "the type identity.user_role_enum, which is enum (admin, guest) and should be enum (admin, staff,",
)


def test_objects_of_others_are_named_before_the_first_revision(empty_database_url: str) -> None:
    execute(empty_database_url, *OF_OTHERS)
    before = dump(empty_database_url)
    with pytest.raises(SchemaMismatchError, match="have names that the library needs, nothing is changed") as refused:
        migrations.upgrade(empty_database_url)
    message = str(refused.value)
    assert [name for name in NAMED if name not in message] == []
    assert [name for name in ("identity.orders", "is_email", "email") if name in message] == []
    assert dump(empty_database_url) == before


def test_a_kept_table_with_a_text_of_another_length_is_no_obstacle() -> None:
    expected = migrations.shipped_snapshot()
    actual = {**expected, "column identity.tenants.name": "text not null"}
    tables = {"identity.tenants": "table", "audit.user_action_audit_log": "partitioned table"}
    nothing = {name: definition for name, definition in actual.items() if not name.startswith("function ")}
    assert list(obstacles.objects_of_others(tables, nothing, expected)) == []


def test_the_kept_objects_are_those_that_the_script_keeps() -> None:
    assert set(re.findall(r"create table if not exists ([\w.]+) \(", SCRIPT)) == obstacles.KEPT_TABLES
    added = re.findall(r"alter table ([\w.]+)\s+add column if not exists (\w+)", SCRIPT)
    assert {f"{table}.{column}" for table, column in added} == obstacles.ADDED_COLUMNS
    replaced = re.findall(r"create or replace function ([\w.]+)\(\w+ (\w+)\)", SCRIPT)
    assert {f"{name}({argument})" for name, argument in replaced} == obstacles.REPLACED_FUNCTIONS


def test_a_second_owner_on_the_server_is_told_the_missing_grants(server: str, template: str) -> None:
    """The statements of the message, and nothing else, let the second owner migrate."""
    assert template  # another owner has created the roles
    owner, password = f"slotsmith_owner_{uuid4().hex[:12]}", uuid4().hex
    with fresh_database(server) as url, psycopg.connect(server, autocommit=True) as superuser:
        superuser.execute(f"create role {owner} login password '{password}'".encode())
        execute(url, "create schema identity")
        theirs = make_url(url).set(username=owner, password=password).render_as_string(hide_password=False)
        try:
            with pytest.raises(StatementError, match=r"this login may not migrate .*, nothing is changed") as refused:
                migrations.upgrade(theirs)
            (statements,) = re.findall("`(.*)`", str(refused.value))
            execute(url, *statements.rstrip(";").split("; "))
            migrations.upgrade(theirs)
            assert migrations.differences(theirs) == ()
        finally:
            execute(url, f"reassign owned by {owner} to current_user", f"drop owned by {owner}")
            execute(server, f"drop owned by {owner}", f"drop role {owner}")


def test_a_schema_and_an_extension_elsewhere_have_their_statements(empty_database_url: str) -> None:
    execute(
        empty_database_url,
        "create schema extensions",
        "create extension pg_trgm schema extensions",
        "drop schema public",
    )
    with pytest.raises(StatementError, match=r"`create schema public; alter extension pg_trgm set schema public;`"):
        migrations.upgrade(empty_database_url)


def test_tables_without_a_record_of_their_revision_are_to_be_stamped(migrated: str) -> None:
    execute(migrated, "drop schema scheduler cascade")
    with pytest.raises(
        SchemaMismatchError, match="has the tables of the library, but no revision: run `scheduler stamp`"
    ):
        migrations.upgrade(migrated)
