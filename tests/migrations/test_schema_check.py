"""`scheduler schema check` and `scheduler stamp`: every difference from the last revision is named, and no other."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from io import StringIO

import psycopg
import pytest
from sqlalchemy import Connection, create_engine, make_url

from scheduler.postgres.connections import read_url
from scheduler.postgres.errors import SchemaMismatchError
from scheduler.postgres.schema import migrations, snapshot
from support.cli import run
from support.databases import execute
from support.pg_dump import dump

pytestmark = pytest.mark.database

NAMES = {
    "d": "scheduling.doctors",
    "u": "identity.users",
    "e": "scheduling.ensure_slot_partitions(timestamp with time zone, timestamp with time zone)",
}
# Changes that take more than a line.
LONGER = {
    "scheduling.doctors doctors_user_id_fkey: on delete cascade": """
        alter table scheduling.doctors drop constraint doctors_user_id_fkey, add constraint doctors_user_id_fkey
            foreign key (tenant_id, user_id) references identity.users (tenant_id, id) on delete cascade
    """,
    "identity.users an_email_is_an_address_in_lower_case: weaker": """
        alter table identity.users drop constraint an_email_is_an_address_in_lower_case,
            add constraint an_email_is_an_address_in_lower_case check (email = lower(email)) not valid
    """,
    "identity.users users_status_idx: invalid": """
        update pg_index set indisvalid = false where indexrelid = 'identity.users_status_idx'::regclass
    """,
    "identity.current_tenant_id: another body": """
        create or replace function identity.current_tenant_id() returns uuid language sql stable parallel safe
            return '00000000-0000-0000-0000-000000000001'::uuid
    """,
}


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    """A transaction that is rolled back."""
    engine = create_engine(read_url(database_url))
    with engine.connect() as opened:
        yield opened
        opened.rollback()
    engine.dispose()


def test_a_migrated_database_differs_in_nothing(database_url: str) -> None:
    assert migrations.differences(database_url) == ()


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("alter table {d} alter column npi type varchar(9)", "column {d}.npi: is character varying(9), should be cha"),
        (
            "alter table {d} alter column first_name drop not null",
            "column {d}.first_name: is character varying(255), sh",
        ),
        (
            "alter table {d} alter column updated_at drop default",
            "column {d}.updated_at: is timestamp with time zone n",
        ),
        (
            'alter table {d} alter column profile type text collate "C"',
            'column {d}.profile: is text collate "C", should',
        ),
        ("alter table {d} alter column id drop identity", "column {d}.id: is bigint not null, should be"),
        ("alter table {d} drop column npi", "column {d}.npi: is missing, should be character varying(50)"),
        ("alter table {d} add column age int", "column {d}.age: is unexpected (integer)"),
        (
            "alter table {d} drop constraint doctors_user_id_fkey",
            "constraint {d}.doctors_user_id_fkey: is missing, should",
        ),
        ("{d} doctors_user_id_fkey: on delete cascade", "constraint {d}.doctors_user_id_fkey: is FOREIGN KEY"),
        (
            "{u} an_email_is_an_address_in_lower_case: weaker",
            "constraint {u}.an_email_is_an_address_in_lower_case: is C",
        ),
        ("drop index identity.users_status_idx", "index {u}.users_status_idx: is missing"),
        ("create index by_hand on {d} (npi)", "index {d}.by_hand: is unexpected (btree (npi))"),
        ("{u} users_status_idx: invalid", "index {u}.users_status_idx: is invalid"),
        ("alter table {d} disable trigger updated_at_is_kept", "trigger {d}.updated_at_is_kept: is BEFORE UPDATE"),
        ("drop trigger updated_at_is_kept on {d}", "trigger {d}.updated_at_is_kept: is missing"),
        ("create rule never as on delete to {d} do instead nothing", "rule {d}.never: is unexpected"),
        ("drop policy a_tenant_sees_its_own_rows on {d}", "policy {d}.a_tenant_sees_its_own_rows: is missing"),
        (
            "alter policy a_tenant_sees_its_own_rows on {d} using (true)",
            "policy {d}.a_tenant_sees_its_own_rows: is permis",
        ),
        (
            "alter policy a_tenant_sees_its_own_rows on {d} to scheduler_app",
            "policy {d}.a_tenant_sees_its_own_rows: is pe",
        ),
        ("alter table {d} disable row level security", "table {d}: is no row security, should be row security forced"),
        ("alter table {d} no force row level security", "table {d}: is row security enabled but not forced, should be"),
        (
            "alter table scheduling.schedule_states set unlogged",
            "table scheduling.schedule_states: is unlogged, row sec",
        ),
        (
            "create table wellbeing.a (id int primary key, words text)",
            "table wellbeing.a: is unexpected (no row security)",
        ),
        (
            "create materialized view audit.a as select 1 as one",
            "view audit.a: is unexpected (materialized, as SELECT 1 A",
        ),
        (
            "identity.current_tenant_id: another body",
            "function identity.current_tenant_id(): is function (), returns uui",
        ),
        ("alter function {e} reset search_path", "function {e}: is ... "),
        (
            "alter function identity.keep_updated_at() security definer",
            "function identity.keep_updated_at(): is function",
        ),
        (
            "create function identity.f() returns int return 1",
            "function identity.f(): is unexpected (function (), retur",
        ),
        (
            "grant truncate on {d} to scheduler_app",
            "grant {d} to scheduler_app: is insert, select, truncate, update",
        ),
        ("grant select on {d} to public", "grant {d} to public: is unexpected (select)"),
        ("grant update (npi) on {d} to scheduler_job", "grant {d}.npi to scheduler_job: is unexpected (update)"),
        ("revoke insert on {d} from scheduler_app", "grant {d} to scheduler_app: is select, update, should be"),
        ("grant execute on function {e} to public", "grant {e} to public: is unexpected (execute)"),
        (
            "grant usage on sequence {d}_id_seq to scheduler_app",
            "grant sequence {d}_id_seq to scheduler_app: is unexpected (usage)",
        ),
        (
            "alter default privileges in schema identity grant select on tables to scheduler_app",
            "grant all tables made later in identity to scheduler_app: is unexpected (select)",
        ),
        (
            "alter default privileges grant usage on sequences to public",
            "grant all sequences made later to public: is unexpected (usage)",
        ),
        (
            "revoke usage on schema audit from scheduler_job",
            "grant schema audit to scheduler_job: is missing, should be",
        ),
        (
            "alter type identity.user_role_enum add value 'king'",
            "type identity.user_role_enum: is enum (admin, staff, do",
        ),
        ("drop extension btree_gist cascade", "extension btree_gist: is missing, should be there"),
        ("alter role scheduler_app bypassrls", "role scheduler_app: is no login, bypasses row security, should be no"),
        (
            "grant scheduler_definer to scheduler_app",
            "role scheduler_app: is no login, member of scheduler_definer, shou",
        ),
    ],
)
def test_a_manual_change_is_named(connection: Connection, statement: str, message: str) -> None:
    """The transaction is rolled back, since roles belong to the server, on which other tests run."""
    statement, message = statement.format_map(NAMES), message.format_map(NAMES)
    connection.exec_driver_sql(LONGER.get(statement, statement))
    named = list(snapshot.differences(snapshot.read(connection), migrations.shipped_snapshot()))
    assert [line for line in named if line.startswith(message)], named


def test_a_default_grant_on_functions_is_named_without_the_usual_grants(
    connection: Connection,
) -> None:
    connection.exec_driver_sql("alter default privileges grant execute on functions to scheduler_job")
    assert list(snapshot.differences(snapshot.read(connection), migrations.shipped_snapshot())) == [
        "grant all functions made later to scheduler_job: is unexpected (execute)"
    ]


def test_parts_of_a_missing_table_are_not_named(connection: Connection) -> None:
    connection.exec_driver_sql("drop table scheduling.schedule_states")
    assert list(snapshot.differences(snapshot.read(connection), migrations.shipped_snapshot())) == [
        "table scheduling.schedule_states: is missing, should be row security forced"
    ]


def test_settings_of_the_operator_are_no_difference(migrated: str) -> None:
    name = f"slotsmith_test_{os.getpid()}"
    execute(
        migrated,
        f"create role {name}",
        f"grant usage on schema identity to {name}",
        f"grant select on identity.users to {name}",
        f"grant usage on sequence scheduling.doctors_id_seq to {name}",
        f"alter default privileges in schema identity grant select on tables to {name}",
        "alter default privileges revoke execute on functions from public",
        f"alter default privileges for role {name} grant select on tables to public",
        f"alter table identity.users owner to {name}",
        "alter table identity.users set (fillfactor = 90)",
        "comment on table identity.users is 'ours'",
        "create extension if not exists tablefunc",
        "create table public.somebody_elses (id int)",
        "select scheduling.ensure_slot_partitions('2027-03-01', '2027-05-01')",
    )
    try:
        assert migrations.differences(migrated) == ()
    finally:
        execute(
            migrated, "alter table identity.users owner to current_user", f"drop owned by {name}", f"drop role {name}"
        )


def test_settings_of_the_login_change_nothing(migrated: str) -> None:
    name = make_url(migrated).database
    for setting in (
        "search_path = identity, scheduling, public",
        "timezone = 'Pacific/Apia'",
        "datestyle = 'German'",
        "intervalstyle = 'iso_8601'",
        "quote_all_identifiers = on",
    ):
        execute(migrated, f"alter database {name} set {setting}")
    assert migrations.differences(migrated) == ()


def test_a_snapshot_is_read_back_as_it_was_written(database_url: str) -> None:
    schema = migrations.read_snapshot(database_url)
    assert snapshot.parse(snapshot.write(schema)) == schema


def test_a_long_difference_is_shown_where_it_is() -> None:
    (result,) = snapshot.differences({"view a.b": "x" * 500 + "left"}, {"view a.b": "x" * 500 + "right"})
    assert len(result) < 300
    assert "xleft, should be ... x" in result
    assert result.endswith("xright")


def test_an_older_database_is_not_compared(empty_database_url: str) -> None:
    migrations.upgrade(empty_database_url, "20261126000100")
    with pytest.raises(SchemaMismatchError, match="run `scheduler migrate`"):
        migrations.differences(empty_database_url)


# The commands


def test_the_command_says_that_nothing_differs(migrated: str) -> None:
    result = run(migrated, "schema", "check")
    assert (result.code, result.err) == (0, "")
    assert result.out == f"the schema is that of revision {migrations.head()}, nothing differs\n"


@pytest.mark.parametrize("command", [("schema", "check"), ("migrate",)])
def test_each_difference_is_a_line_and_the_exit_code_is_6(migrated: str, command: tuple[str, ...]) -> None:
    execute(migrated, "alter table scheduling.doctors drop column npi, add column age int")
    result = run(migrated, *command)
    assert result.code == 6
    assert result.out.splitlines()[-2:] == [
        "column scheduling.doctors.age: is unexpected (integer)",
        "column scheduling.doctors.npi: is missing, should be character varying(50)",
    ]
    assert result.err.startswith("error: 2 things differ from the schema that this code works with (revision 2")


def test_a_diagram_shows_one_namespace(migrated: str) -> None:
    result = run(migrated, "schema", "picture", "identity").out
    assert result.startswith("erDiagram\n")
    assert "        user_role_enum role\n" in result
    assert '    identity_tenants ||--o{ identity_users : "tenant"\n' in result
    assert "availability_slots" not in result


def test_a_diagram_of_a_foreign_namespace_is_refused(migrated: str) -> None:
    result = run(migrated, "schema", "picture", "public")
    assert (result.code, result.err.startswith("error: no namespace 'public'")) == (2, True)


def test_a_downgrade_that_loses_rows_is_refused_without_confirmation(migrated: str) -> None:
    execute(migrated, "insert into identity.tenants (slug, name) values ('a', 'A')")
    result = run(migrated, "migrate", "--down", "base")
    assert result.code == 2
    assert result.err.startswith("error: going down may lose rows or columns of ")
    assert "identity.tenants" in result.err
    assert migrations.current(migrated) == migrations.head()


def test_going_down_where_rows_are_is_done_with_a_yes(migrated: str) -> None:
    execute(migrated, "insert into identity.tenants (slug, name) values ('a', 'A')")
    assert run(migrated, "migrate", "--down", "base", "--yes").code == 0
    assert migrations.current(migrated) is None


def test_a_downgrade_is_confirmed_at_a_terminal(migrated: str) -> None:
    execute(migrated, "insert into identity.tenants (slug, name) values ('a', 'A')")
    keyboard, terminal = pty.openpty()
    os.write(keyboard, b"y\n")
    try:
        result = subprocess.run(
            [sys.executable, "-c", "from scheduler.cli import main; main()", "migrate", "--down", "base"],
            env=os.environ | {"SCHEDULER_DATABASE_URL": migrated},
            stdin=terminal,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        os.close(keyboard)
        os.close(terminal)
    assert (result.returncode, "Go on?" in result.stderr) == (0, True)
    assert migrations.current(migrated) is None


@pytest.mark.parametrize("answer", ["n\n", ""], ids=["no", "end of input"])
def test_a_downgrade_without_a_yes_changes_nothing(migrated: str, monkeypatch: pytest.MonkeyPatch, answer: str) -> None:
    execute(migrated, "insert into identity.tenants (slug, name) values ('a', 'A')")
    keyboard = StringIO(answer)
    monkeypatch.setattr(keyboard, "isatty", lambda: True)
    monkeypatch.setattr("sys.stdin", keyboard)
    result = run(migrated, "migrate", "--down", "base")
    assert (result.code, "Go on?" in result.err) == (1, True)
    assert migrations.current(migrated) == migrations.head()


# A lost record of the revision


def record(url: str) -> object:
    """Return the record of the revision with its rights, and those on its schema."""
    with psycopg.connect(url) as connection:
        return connection.execute(
            "select version_num, array(select unnest(relacl)::text order by 1), nspacl from scheduler.revision"
            " cross join pg_class join pg_namespace on pg_namespace.oid = relnamespace"
            " where pg_class.oid = 'scheduler.revision'::regclass"
        ).fetchall()


def test_a_stamp_restores_the_lost_record_and_nothing_else(migrated: str) -> None:
    before, schema = record(migrated), dump(migrated)
    execute(migrated, "drop schema scheduler cascade")
    result = run(migrated, "stamp")
    assert (result.code, result.err) == (0, "")
    assert result.out == f"recorded {migrations.head()}: nothing differs from its schema\n"
    assert (record(migrated), dump(migrated)) == (before, schema)
    assert run(migrated, "stamp").out == f"already at {migrations.head()}\n"


def test_no_revision_is_recorded_for_a_schema_that_differs(migrated: str) -> None:
    execute(migrated, "drop table scheduler.revision", "alter table scheduling.doctors drop column npi")
    result = run(migrated, "stamp")
    assert result.code == 6
    difference = "column scheduling.doctors.npi: is missing, should be character varying(50)"
    assert result.out.splitlines() == [difference]
    with pytest.raises(
        SchemaMismatchError, match=r"so no revision is recorded: .* the first: column .*\.npi: is missing"
    ):
        migrations.stamp(migrated)
    assert migrations.current(migrated) is None


def test_a_recorded_older_revision_is_not_overwritten(migrated: str) -> None:
    execute(migrated, "update scheduler.revision set version_num = '20261126000100'")
    result = run(migrated, "stamp")
    assert result.code == 6
    assert result.err.endswith("is not lost: it is revision 20261126000100: run `scheduler migrate`\n")
    assert migrations.current(migrated) == "20261126000100"


def test_an_empty_database_is_migrated_and_not_stamped(empty_database_url: str) -> None:
    result = run(empty_database_url, "stamp")
    assert (result.code, result.err.endswith("is not migrated: run `scheduler migrate`\n")) == (6, True)
    assert migrations.current(empty_database_url) is None
