"""A database that holds something already: a part of our schema, something that looks like it, or somebody else's.

The tenant core specification expects some of its tables to be there. A right one is taken with its rows; what a
look-alike lacks is named; whoever has a name that we need is left alone.
"""

import re

import psycopg
import pytest

from scheduler.postgres.errors import SchemaMismatchError
from scheduler.postgres.schema import migrations, snapshot
from support.databases import execute
from support.pg_dump import dump

pytestmark = pytest.mark.database

# Tables of the specification, each made with `if not exists` as soon as there is a migration for it.
CORE = ("tenants", "users", "facilities", "clients", "user_action_audit_log", "facility_staff")
THERE = re.compile(
    r"create type [\w.]+ as enum\s*\([^;]*;"
    r"|create or replace function identity.is_email[^;]*;"
    r"|create table if not exists ([\w.]+) \((?:.*?)\n    \)[^;]*;",
    re.DOTALL,
)
STATEMENTS = list(THERE.finditer(migrations.script()))
SCHEMAS = [f"create schema {name}" for name in snapshot.SCHEMAS]
ROLES = "20261121080000"


def made_as_the_migrations_do(table: str) -> list[str]:
    """Return the statements of the migrations that make a table, and what they make before it."""
    position = next(at for at, found in enumerate(STATEMENTS) if (found[1] or "").endswith(f".{table}"))
    return [found[0] for found in STATEMENTS[: position + 1]]


def tenants(old: str = "", new: str = "") -> list[str]:
    """Return the statements that make a look-alike of `identity.tenants`."""
    (*before, made) = made_as_the_migrations_do("tenants")
    assert old in made
    return [*before, made.replace(old, new, 1)]


def tables_that_the_script_makes_only_if_they_are_missing() -> list[str]:
    return [found[1].partition(".")[2] for found in STATEMENTS if found[1]]


TABLES = [name for name in CORE if f".{name} (" in migrations.script()]


@pytest.mark.parametrize("table", TABLES)
def test_a_table_of_the_core_that_is_right_is_taken_as_it_is(empty_database_url: str, table: str) -> None:
    execute(empty_database_url, *SCHEMAS, *made_as_the_migrations_do(table))
    execute(empty_database_url, "insert into identity.tenants (slug, name) values ('here', 'Here before')")
    migrations.upgrade(empty_database_url)
    assert migrations.differences(empty_database_url) == ()
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("select name from identity.tenants").fetchall() == [("Here before",)]


def test_a_schema_whose_triggers_and_policies_are_there_too_is_taken(empty_database_url: str) -> None:
    """As after a first migration whose record was lost, but for the functions, which nobody may replace unseen."""
    migrations.upgrade(empty_database_url, "20261121080200")
    execute(
        empty_database_url,
        "drop table scheduling.facility_doctors, scheduling.doctors",
        "drop trigger updated_at_is_kept on identity.tenants",
        "drop trigger updated_at_is_kept on scheduling.facilities",
        "drop function scheduling.refuse_unknown_time_zones() cascade",
        "drop policy a_tenant_sees_itself on identity.tenants",
        "drop policy a_tenant_sees_its_own_rows on scheduling.facilities",
        "drop function identity.keep_updated_at()",
        "drop function identity.current_tenant_id()",
        "create policy a_tenant_sees_itself on identity.tenants using (true)",
        "create policy a_tenant_sees_its_own_rows on scheduling.facilities using (true)",
        "drop table public.scheduler_revision",
    )
    migrations.upgrade(empty_database_url)
    assert migrations.differences(empty_database_url) == ()


@pytest.mark.parametrize(
    ("statements", "said"),
    [
        (
            tenants("name varchar(255) not null", "name text not null"),
            ["column identity.tenants.name: is text not null, should be character varying(255) not null"],
        ),
        (
            tenants("updated_at timestamptz not null default now()", "updated_at timestamptz not null"),
            [
                (
                    "column identity.tenants.updated_at: is timestamp with time zone not null, should be timestamp with"
                    " time zone not null default now()"
                )
            ],
        ),
        (
            tenants("name varchar(255) not null,", ""),
            ["column identity.tenants.name: is missing, should be character varying(255) not null"],
        ),
        (
            tenants("name varchar(255) not null,", "name varchar(255) not null, colour text,"),
            ["column identity.tenants.colour: is unexpected (text)"],
        ),
        (
            tenants("'suspended', 'closed'", "'closed'"),
            [
                (
                    "constraint identity.tenants.a_tenant_is_active_suspended_or_closed: is CHECK ((status = ANY "
                    "(ARRAY['active'::text, 'closed'::text]))), should be CHECK ((status = ANY "
                    "(ARRAY['active'::text, 'suspended'::text, 'closed'::text])))"
                )
            ],
        ),
        (
            [*tenants(), "create policy everybody on identity.tenants using (true)"],
            ["policy identity.tenants.everybody: is unexpected (permissive for all to public using (true))"],
        ),
        (
            [*tenants(), "create index live_tenants_have_their_own_slug on identity.tenants (slug)"],
            [
                (
                    "index identity.tenants.live_tenants_have_their_own_slug: is btree (slug), "
                    "should be unique btree (slug) WHERE (deleted_at IS NULL)"
                )
            ],
        ),
        (
            [*tenants(), "create table identity.tenants_of_old (id int, grade text)"],
            ["table identity.tenants_of_old: is unexpected (no row security)"],
        ),
        (
            [*tenants(), "create view identity.tenant_names as select name from identity.tenants"],
            ["view identity.tenant_names: is unexpected (as SELECT name FROM identity.tenants;)"],
        ),
    ],
    ids=lambda value: value[0].partition(": ")[0] if ": " in value[0] else "",
)
def test_what_differs_in_a_table_that_only_looks_alike_is_named(
    empty_database_url: str, statements: list[str], said: list[str]
) -> None:
    execute(empty_database_url, *SCHEMAS, *statements)
    migrations.upgrade(empty_database_url)
    assert list(migrations.differences(empty_database_url)) == said


def test_an_index_whose_building_failed_is_named(empty_database_url: str) -> None:
    """`create index if not exists` finds the name taken and is content."""
    execute(
        empty_database_url,
        *SCHEMAS,
        *tenants(),
        "insert into identity.tenants (slug, name) values ('twice', 'A'), ('twice', 'B')",
    )
    with pytest.raises(psycopg.errors.UniqueViolation):
        execute(
            empty_database_url,
            "create unique index concurrently live_tenants_have_their_own_slug on identity.tenants (slug)"
            " where deleted_at is null",
        )
    migrations.upgrade(empty_database_url)
    (said,) = migrations.differences(empty_database_url)
    assert said.startswith("index identity.tenants.live_tenants_have_their_own_slug: is invalid")


@pytest.mark.parametrize(
    ("clash", "said"),
    [
        ("create view identity.tenants as select 1 as id", '"tenants" is not a table'),
        ("create sequence identity.tenants", '"tenants" is not a table'),
        ("create type identity.tenants as (id int)", '"tenants" is'),
        ("create table identity.tenants (id uuid primary key)", 'column "deleted_at" does not exist'),
        ("create function identity.current_tenant_id() returns text return 'me'", '"current_tenant_id" already exists'),
    ],
)
def test_somebody_elses_things_with_our_names_are_left_as_they_are(
    empty_database_url: str, clash: str, said: str
) -> None:
    migrations.upgrade(empty_database_url, ROLES)
    execute(empty_database_url, clash)
    before = dump(empty_database_url)
    with pytest.raises(
        SchemaMismatchError, match=rf"is not as the migration needs it \(.*{said}.*\): it stays at {ROLES}$"
    ):
        migrations.upgrade(empty_database_url)
    assert dump(empty_database_url) == before


def test_a_look_alike_that_nothing_can_refer_to_stops_the_next_migration(empty_database_url: str) -> None:
    execute(empty_database_url, *SCHEMAS, *tenants("constraint a_tenant_has_one_id primary key (id),", ""))
    with pytest.raises(SchemaMismatchError, match=r'"tenants"\): it stays at 20261121080100$'):
        migrations.upgrade(empty_database_url)


def test_every_table_of_the_core_is_made_only_if_it_is_missing() -> None:
    assert set(TABLES) - set(tables_that_the_script_makes_only_if_they_are_missing()) == set()
    assert {"tenants", "users", "facilities"} <= set(TABLES)
