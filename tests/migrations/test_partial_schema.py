"""Database that is not empty: a part of our schema, a look-alike of it, or objects of others.

The tenant core specification expects some of its tables to exist. A valid table is kept with its rows; the differences
of a look-alike are named; an object of others with a name that we need is not touched.
"""

import re

import psycopg
import pytest

from scheduler.postgres.errors import SchemaMismatchError
from scheduler.postgres.schema import migrations, snapshot
from support.databases import execute
from support.pg_dump import dump

pytestmark = pytest.mark.database

# Tables of the specification, each made with `if not exists`.
CORE = ("tenants", "users", "facilities", "clients", "user_action_audit_log", "facility_staff")
IF_MISSING = re.compile(
    r"create type [\w.]+ as enum\s*\([^;]*;"
    r"|create or replace function identity.is_email[^;]*;"
    r"|create table if not exists ([\w.]+) \((?:.*?)\n    \)[^;]*;",
    re.DOTALL,
)
STATEMENTS = list(IF_MISSING.finditer(migrations.script()))
SCHEMAS = [f"create schema {name}" for name in snapshot.SCHEMAS]
COMPLETING = re.compile(
    r"alter table ([\w.]+)\n(?: +--.*\n)* +(?:add column if not|drop constraint if|alter column)[^;]*;"
)
# Table -> the differences of an older shape: a column or rule of today, and its older counterpart.
OLDER = {
    "users": [
        ("email text,", "email text not null,"),
        ("constraint an_email_", "constraint a_sign_in_is_one_user unique (supertokens_user_id), constraint an_email_"),
    ],
    "user_action_audit_log": [
        ("entity_key text,", "entity_key text not null,"),
        (
            "constraint user_action",
            "constraint a_user_action_is_a_change_or_a_read check (action <> 'event'), constraint user_action",
        ),
    ],
}
ROWS = {
    "users": """
        insert into identity.tenants (id, slug, name) values (gen_random_uuid(), 'here', 'Here before');
        insert into identity.users (tenant_id, email, name, role)
            select id, 'ann@example.org', 'Ann', 'staff' from identity.tenants;
    """,
    "user_action_audit_log": """
        create table audit.user_action_audit_log_2020_01 partition of audit.user_action_audit_log
            for values from ('2020-01-01') to ('2120-01-01');
        insert into audit.user_action_audit_log (tenant_id, user_id, db_role, action, entity, entity_key)
            values (gen_random_uuid(), gen_random_uuid(), 'x', 'read', 'identity.users', '1');
    """,
}
ROLES, AUDIT = "20261126000100", "20261126000300"


def made_as_the_migrations_do(table: str) -> list[str]:
    """Return the statements of the migrations that make a table, and the statements before them."""
    position = next(at for at, match in enumerate(STATEMENTS) if (match[1] or "").endswith(f".{table}"))
    return [match[0] for match in STATEMENTS[: position + 1]]


def tenants(old: str = "", new: str = "") -> list[str]:
    """Return the statements that make a look-alike of `identity.tenants`."""
    (*before, statement) = made_as_the_migrations_do("tenants")
    assert old in statement
    return [*before, statement.replace(old, new, 1)]


def tables_that_the_script_makes_only_if_they_are_missing() -> list[str]:
    return [match[1].partition(".")[2] for match in STATEMENTS if match[1]]


TABLES = [name for name in CORE if f".{name} (" in migrations.script()]


@pytest.mark.parametrize("table", TABLES)
def test_a_valid_core_table_is_kept_as_it_is(empty_database_url: str, table: str) -> None:
    statements = dict.fromkeys([*made_as_the_migrations_do("tenants"), *made_as_the_migrations_do(table)])
    execute(empty_database_url, *SCHEMAS, *statements)
    execute(empty_database_url, "insert into identity.tenants (slug, name) values ('here', 'Here before')")
    migrations.upgrade(empty_database_url)
    assert migrations.differences(empty_database_url) == ()
    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("select name from identity.tenants").fetchall() == [("Here before",)]


@pytest.mark.parametrize("table", ["users", "user_action_audit_log"])
def test_a_table_of_an_older_shape_is_completed_with_its_rows(empty_database_url: str, table: str) -> None:
    (*before, statement) = made_as_the_migrations_do(table)
    for old, new in OLDER[table]:
        assert old in statement
        statement = statement.replace(old, new, 1)
    execute(empty_database_url, *SCHEMAS, *before, statement, ROWS[table])
    migrations.upgrade(empty_database_url)
    assert migrations.differences(empty_database_url) == ()
    assert table in str(migrations.tables_at_risk(empty_database_url, ROLES))


def test_tables_that_are_complete_already_are_taken_as_they_are(empty_database_url: str) -> None:
    statements = made_as_the_migrations_do("facility_staff")
    completing = [
        match[0] for match in COMPLETING.finditer(migrations.script()) if f"not exists {match[1]} " in str(statements)
    ]
    assert len(completing) > len(CORE)
    execute(empty_database_url, *SCHEMAS, *statements, *completing)
    migrations.upgrade(empty_database_url)
    assert migrations.differences(empty_database_url) == ()


def test_a_schema_whose_triggers_and_policies_are_there_too_is_taken(empty_database_url: str) -> None:
    """The state follows a first migration whose record was lost; functions are missing, for none is replaced unseen."""
    execute(
        empty_database_url,
        *SCHEMAS,
        *made_as_the_migrations_do("facilities"),
        "create function public.nothing() returns trigger language plpgsql as 'begin return new; end'",
        "create trigger updated_at_is_kept before update on identity.tenants"
        " for each row execute function public.nothing()",
        "create trigger updated_at_is_kept before update on scheduling.facilities"
        " for each row execute function public.nothing()",
        "create policy a_tenant_sees_itself on identity.tenants using (true)",
        "create policy a_tenant_sees_its_own_rows on scheduling.facilities using (true)",
    )
    migrations.upgrade(empty_database_url)
    assert migrations.differences(empty_database_url) == ()


@pytest.mark.parametrize(
    ("changes", "statements", "messages"),
    [
        (
            {
                "updated_at timestamptz not null default now()": "updated_at timestamptz not null",
                "'suspended', 'closed'": "'closed'",
            },
            [],
            [
                (
                    "column identity.tenants.updated_at: is timestamp with time zone not null, should be timestamp with"
                    " time zone not null default now()"
                ),
                (
                    "constraint identity.tenants.a_tenant_is_active_suspended_or_closed: is CHECK ((status = ANY "
                    "(ARRAY['active'::text, 'closed'::text]))), should be CHECK ((status = ANY "
                    "(ARRAY['active'::text, 'suspended'::text, 'closed'::text])))"
                ),
            ],
        ),
        (
            {"name varchar(255) not null,": "name text not null, colour text,"},
            [
                "create policy everybody on identity.tenants using (true)",
                "create index live_tenants_have_their_own_slug on identity.tenants (slug)",
                "create table identity.tenants_of_old (id int, grade text)",
                "create view identity.tenant_names as select name from identity.tenants",
            ],
            [
                "column identity.tenants.colour: is unexpected (text)",
                "column identity.tenants.name: is text not null, should be character varying(255) not null",
                (
                    "constraint identity.tenants.its_values_are_not_too_large: is CHECK ((GREATEST("
                    "octet_length(colour), octet_length(name), octet_length(status)) <= 1048576)),"
                    " should be CHECK ((GREATEST(octet_length(status)) <= 1048576))"
                ),
                (
                    "index identity.tenants.live_tenants_have_their_own_slug: is btree (slug), "
                    "should be unique btree (slug) WHERE (deleted_at IS NULL)"
                ),
                "policy identity.tenants.everybody: is unexpected (permissive for all to public using (true))",
                "table identity.tenants_of_old: is unexpected (no row security)",
                "view identity.tenant_names: is unexpected (as SELECT name FROM identity.tenants;)",
            ],
        ),
    ],
    ids=["parts that are missing or weaker", "parts that are others or unexpected"],
)
def test_the_differences_of_a_look_alike_table_are_named(
    empty_database_url: str, changes: dict[str, str], statements: list[str], messages: list[str]
) -> None:
    """Each database has several differences, since a migration takes a second."""
    (*before, table) = tenants()
    for old, new in changes.items():
        assert old in table
        table = table.replace(old, new, 1)
    execute(empty_database_url, *SCHEMAS, *before, table, *statements)
    migrations.upgrade(empty_database_url)
    assert sorted(migrations.differences(empty_database_url)) == messages


def test_an_invalid_index_is_named(empty_database_url: str) -> None:
    """`create index if not exists` accepts any index of that name."""
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
    (message,) = migrations.differences(empty_database_url)
    assert message.startswith("index identity.tenants.live_tenants_have_their_own_slug: is invalid")


@pytest.mark.parametrize(
    ("below", "clash", "message"),
    [
        (AUDIT, "create view identity.tenants as select 1 as id", '"tenants" is not a table'),
        (AUDIT, "create sequence identity.tenants", '"tenants" is not a table'),
        (AUDIT, "create type identity.tenants as (id int)", '"tenants" is'),
        (AUDIT, "create table identity.tenants (id uuid primary key)", 'column "deleted_at" does not exist'),
        (ROLES, "create function identity.current_tenant_id() returns text return 'me'", '_tenant_id" already exists'),
    ],
)
def test_objects_of_others_with_our_names_stay_unchanged(
    empty_database_url: str, below: str, clash: str, message: str
) -> None:
    migrations.upgrade(empty_database_url, below)
    execute(empty_database_url, clash)
    before = dump(empty_database_url)
    with pytest.raises(
        SchemaMismatchError, match=rf"is not as the migration expects \(.*{message}.*\): the database stays at {below}$"
    ):
        migrations.upgrade(empty_database_url)
    assert dump(empty_database_url) == before


def test_every_core_table_is_made_only_if_it_is_missing() -> None:
    assert set(TABLES) - set(tables_that_the_script_makes_only_if_they_are_missing()) == set()
    assert {"tenants", "users", "facilities"} <= set(TABLES)
