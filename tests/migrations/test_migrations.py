"""Migrations: upgrade from an empty database, each revision down and up again, and refusals with advice."""

import re
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from scheduler.core.errors import InvalidInputError
from scheduler.postgres.connections import open_engine, read_url
from scheduler.postgres.database import Role
from scheduler.postgres.errors import DatabaseUnreachableError, SchemaMismatchError, StoreError
from scheduler.postgres.schema import migrations
from support.databases import driver_url, execute
from support.hostile import make_hostile
from support.pg_dump import dump
from support.roles import become
from support.rows import insert
from support.rows.all_domains import MONTHS, all_rows

pytestmark = pytest.mark.database

CHECKOUT = Path(__file__).parents[2]
TENANT = uuid4()
IDENTITY = "20261126000400"
REVISIONS = sorted(path.name.split("_", 1)[0] for path in (CHECKOUT / "migrations" / "versions").glob("2*.py"))


def check(url: str) -> None:
    engine = open_engine(read_url(url))
    try:
        with engine.connect() as connection:
            migrations.check_schema(connection)
    finally:
        engine.dispose()


def test_an_empty_database_is_migrated_to_the_last_revision(empty_database_url: str) -> None:
    assert migrations.current(empty_database_url) is None
    migrations.upgrade(empty_database_url)
    assert migrations.current(empty_database_url) == migrations.head() == REVISIONS[-1]


def test_migrating_again_changes_nothing(migrated: str) -> None:
    before = dump(migrated)
    migrations.upgrade(migrated)
    assert dump(migrated) == before


def fill(url: str) -> dict[str, int]:
    """Fill each empty table with its row, as far as its columns exist; return the number of rows."""
    with psycopg.connect(url) as connection:
        columns = dict[str, list[str]](
            connection.execute(
                "select attrelid::regclass::text, array_agg(attname::text) from pg_attribute"
                " join pg_class on pg_class.oid = attrelid"
                " where attnum > 0 and not attisdropped and relkind in ('r', 'p') group by attrelid"
            ).fetchall()
        )
        rows = {table: row for table, row in all_rows(TENANT).items() if table in columns}
        become(connection, Role.OWNER, TENANT)
        if "scheduling.availability_slots" in columns:
            connection.execute(MONTHS)
        for table, row in rows.items():
            if not count(connection, table):
                insert(connection, table, {name: value for name, value in row.items() if name in columns[table]})
        # The audit log grows with every row written elsewhere.
        return {table: count(connection, table) for table in rows if not table.startswith("audit.")}


def count(connection: psycopg.Connection, table: str) -> int:
    row = connection.execute(f"select count(*) from {table}".encode()).fetchone()
    assert row is not None
    return int(row[0])


def test_each_revision_goes_down_without_a_trace_and_up_the_same(empty_database_url: str) -> None:
    """Tables have rows: on the way up those of older revisions, on the way down all."""
    rows = [fill(empty_database_url)]
    schemas = [dump(empty_database_url)]  # with the months that the rows need
    for revision in REVISIONS:
        migrations.upgrade(empty_database_url, revision)
        rows.append(fill(empty_database_url))
        schemas.append(dump(empty_database_url))
        assert schemas[-1] != schemas[-2], revision
    for position in reversed(range(len(REVISIONS))):
        migrations.downgrade(empty_database_url, REVISIONS[position - 1] if position else "base")
        assert fill(empty_database_url) == rows[position], REVISIONS[position]
        assert dump(empty_database_url) == schemas[position], REVISIONS[position]
    migrations.upgrade(empty_database_url)
    assert fill(empty_database_url) == rows[-1]
    assert dump(empty_database_url) == schemas[-1]


def test_rows_and_partitions_do_not_stop_the_way_down(migrated: str, empty_database_url: str) -> None:
    execute(
        migrated,
        "select scheduling.ensure_slot_partitions('2027-03-01', '2027-05-01')",
        "insert into identity.tenants (slug, name) values ('a', 'A')",
        "insert into scheduling.doctors (tenant_id, first_name, last_name, display_name)"
        " select id, 'A', 'B', 'A B' from identity.tenants",
    )
    migrations.downgrade(migrated, "base")
    assert dump(migrated) == dump(empty_database_url)


def test_a_schema_of_our_name_with_other_tables_is_kept(empty_database_url: str) -> None:
    execute(empty_database_url, "create schema identity", "create table identity.somebody_elses ()")
    migrations.upgrade(empty_database_url)
    migrations.downgrade(empty_database_url, "base")
    assert "CREATE TABLE identity.somebody_elses" in dump(empty_database_url)


def test_r4_a_migration_that_fails_leaves_the_database_as_it_was(empty_database_url: str) -> None:
    migrations.upgrade(empty_database_url, REVISIONS[1])
    execute(empty_database_url, "create table scheduling.service_offerings ()")
    before = dump(empty_database_url)
    clash = r'not as the migration expects \(relation "service_offerings" already exists\)'
    with pytest.raises(SchemaMismatchError, match=rf"{clash}: the database stays at {REVISIONS[1]}$"):
        migrations.upgrade(empty_database_url)
    assert migrations.current(empty_database_url) == REVISIONS[1]
    assert dump(empty_database_url) == before


def test_r4_a_downgrade_under_anothers_view_names_the_view(migrated: str) -> None:
    execute(migrated, "create view report as select id, npi from scheduling.doctors")
    before = dump(migrated)
    for act in (migrations.tables_at_risk, migrations.downgrade):
        with pytest.raises(
            StoreError, match=rf"view public.report depends on .*doctors.*stays at {REVISIONS[-1]}; drop"
        ):
            act(migrated, "base")
    assert dump(migrated) == before


def test_a_database_that_is_not_utf8_is_refused(server: str) -> None:
    execute(server, "create database in_latin1 template template0 encoding 'LATIN1' locale 'C'")
    url = driver_url(server, "in_latin1")
    with pytest.raises(StoreError, match=r"its encoding is LATIN1, .*encoding 'UTF8'"):
        migrations.upgrade(url)
    assert migrations.current(url) is None
    execute(server, "drop database in_latin1 with (force)")


def test_the_script_makes_the_same_schema_under_any_settings(empty_database_url: str) -> None:
    make_hostile(empty_database_url)
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        connection.execute(migrations.script().encode())
    assert migrations.differences(empty_database_url) == ()
    check(empty_database_url)


def test_every_literal_of_the_script_reads_alike_under_any_setting() -> None:
    """A backslash stands for itself in a plain literal, unless `standard_conforming_strings` is off."""
    literals = re.findall(r"(?<![\w'])'(?:[^']|'')*'", re.sub(r"--.*", "", migrations.script()))
    assert len(literals) > 1000
    assert [literal for literal in literals if "\\" in literal] == []


def test_two_processes_that_migrate_at_once_both_end_well(empty_database_url: str) -> None:
    migrate = "import sys; from scheduler.postgres.schema import migrations; migrations.upgrade(sys.argv[1])"
    processes = [
        subprocess.Popen([sys.executable, "-c", migrate, empty_database_url], stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [process.communicate()[1] for process in processes] == ["", ""]
    assert migrations.current(empty_database_url) == migrations.head()


def test_threads_that_migrate_at_once_all_end_well(empty_database_url: str) -> None:
    with ThreadPoolExecutor(3) as threads:
        for migrated in [threads.submit(migrations.upgrade, empty_database_url) for _ in range(3)]:
            migrated.result()
    assert migrations.current(empty_database_url) == migrations.head()


def test_a_migrator_whose_patience_ends_says_that_another_one_is_running(empty_database_url: str) -> None:
    with psycopg.connect(empty_database_url) as another:
        another.execute("select pg_advisory_lock(hashtext('scheduler'), hashtext('migrations'))")
        with pytest.raises(StoreError, match=r"^another migration is running on this database"):
            migrations.upgrade(empty_database_url, patience=timedelta(milliseconds=20))
    assert migrations.current(empty_database_url) is None
    migrations.upgrade(empty_database_url, REVISIONS[0], patience=timedelta(milliseconds=20))
    assert migrations.current(empty_database_url) == REVISIONS[0]


@pytest.mark.deep
def test_a_migration_gives_up_on_a_table_in_use(empty_database_url: str) -> None:
    """The test takes five seconds: the lock timeout, which limits the wait of readers behind the migration."""
    migrations.upgrade(empty_database_url, IDENTITY)
    with psycopg.connect(empty_database_url) as reader:
        reader.execute("select * from identity.tenants")
        with pytest.raises(
            StoreError, match=rf"is in use, so the migration gave up: the database stays at {IDENTITY};"
        ):
            migrations.downgrade(empty_database_url, "base")


def test_tables_at_risk_are_all_tables_with_rows(migrated: str) -> None:
    assert migrations.tables_at_risk(migrated, "base") == ()
    execute(
        migrated,
        "insert into identity.tenants (id, slug, name) values ('00000000-0000-0000-0000-000000000001', 'a', 'A')",
        "select scheduling.ensure_slot_partitions('2027-03-01', '2027-03-02')",
    )
    with psycopg.connect(migrated) as connection:
        connection.execute("set session_replication_role = replica")  # so doctor and facility may be missing
        insert(connection, "scheduling.availability_slots", all_rows(TENANT)["scheduling.availability_slots"])
    at_risk = set(migrations.tables_at_risk(migrated, "base"))
    assert {"identity.tenants", "scheduling.availability_slots"} <= at_risk
    assert "scheduling.doctors" not in at_risk


def test_tables_at_risk_are_those_on_the_way_down(migrated: str) -> None:
    """A dropped table with rows is at risk; every other table stays unchanged."""
    fill(migrated)
    before = dump(migrated)
    assert migrations.tables_at_risk(migrated, REVISIONS[-2]) == ()
    lost = migrations.tables_at_risk(migrated, "20261126000800")
    assert {"scheduling.appointment_steps", "scheduling.resources", "wellbeing.alerts"} <= set(lost)
    assert not {"identity.tenants", "scheduling.availability_slots", "audit.system_audit_log"} & set(lost)
    assert dump(migrated) == before
    migrations.downgrade(migrated, REVISIONS[-2])  # the lock of the migrators is free


def test_an_unmigrated_database_is_refused_with_advice(empty_database_url: str) -> None:
    with pytest.raises(SchemaMismatchError, match=r"is not migrated: run `scheduler migrate`$"):
        check(empty_database_url)


def test_an_older_database_is_refused_with_advice(empty_database_url: str) -> None:
    migrations.upgrade(empty_database_url, REVISIONS[1])
    with pytest.raises(SchemaMismatchError, match=rf"at revision {REVISIONS[1]}, .*: run `scheduler migrate`$"):
        check(empty_database_url)


def test_a_migrated_database_passes_the_check(database_url: str) -> None:
    check(database_url)


def test_a_role_of_the_library_may_run_the_check(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        become(connection, Role.JOB, None)
        assert connection.execute("select version_num from scheduler.revision").fetchone()


@pytest.mark.parametrize("act", [check, migrations.upgrade, lambda url: migrations.downgrade(url, "base")])
def test_a_database_that_is_newer_than_the_code_is_not_touched(migrated: str, act: object) -> None:
    execute(migrated, "update scheduler.revision set version_num = '20991231000000'")
    assert callable(act)
    with pytest.raises(SchemaMismatchError, match=r"20991231000000.* newer than this code$"):
        act(migrated)


@pytest.mark.parametrize("target", ["nonsense", "20991231000000", "head+1"])
def test_a_missing_revision_is_refused_in_one_line(empty_database_url: str, target: str) -> None:
    with pytest.raises(InvalidInputError, match=r"^cannot migrate to [^\n]*$"):
        migrations.upgrade(empty_database_url, target)


def test_an_unreachable_database_is_reported() -> None:
    with pytest.raises(DatabaseUnreachableError):
        migrations.upgrade("postgresql://me@127.0.0.1:1/x")


def test_a_wheel_carries_the_migrations_and_finds_them(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=CHECKOUT,
        check=True,
        capture_output=True,
    )
    installed = tmp_path / "installed"
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        wheel.extractall(installed)
    program = (
        "from scheduler.postgres.schema import migrations;"
        " print(migrations.location(), migrations.head(), len(migrations.shipped_snapshot()) > 300)"
    )
    words = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(installed)!r}); {program}"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    ).stdout.split()
    assert words == [str(installed / "scheduler" / "migrations"), REVISIONS[-1], "True"]
