"""Constraints of the tables: each CHECK stops its mistake, and valid rows pass."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from uuid import uuid4

import psycopg
import pytest

from support.databases import execute
from support.rows import Row, insert
from support.rows.all_domains import MONTHS, WRONG, all_rows, insert_all, insert_instead

pytestmark = pytest.mark.database

TENANT, ANOTHER = uuid4(), uuid4()
OURS = "connamespace::regnamespace::text in ('identity', 'audit', 'scheduling', 'placement', 'wellbeing')"
BY_TRIGGER = {"a_facility_has_a_known_time_zone"}
TIMES = """
    select attrelid::regclass::text, attname::text from pg_attribute join pg_class on pg_class.oid = attrelid
    where relkind in ('r', 'p') and not relispartition and not attisdropped
        and atttypid in ('date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype)
        and relnamespace::regnamespace::text in ('identity', 'audit', 'scheduling', 'placement', 'wellbeing')
"""
JSON = TIMES.replace(
    "('date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype)", "('json'::regtype, 'jsonb'::regtype)"
)
LOGS = ("audit.user_action_audit_log", "audit.system_audit_log")
# Column -> the rule that keeps it in the calendar.
BY_ANOTHER = {
    ("scheduling.appointments", "local_start"): "is within a day of the start of the appointment",
    ("scheduling.availability_exceptions", "local_start"): "is within a day of the start of the exception",
    ("scheduling.availability_exceptions", "local_end"): "is within a day of the end of the exception",
    ("scheduling.resource_exceptions", "local_start"): "is within a day of the start of the exception",
    ("scheduling.resource_exceptions", "local_end"): "is within a day of the end of the exception",
    ("scheduling.appointments", "slot_start_at"): "lies in the appointment",
}


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection]:
    """A transaction that is rolled back, with the months of the rows."""
    with psycopg.connect(database_url) as opened:
        opened.execute(MONTHS)
        yield opened
        opened.rollback()


@pytest.fixture(scope="module")
def filled(database_url: str) -> Iterator[psycopg.Connection]:
    """A transaction that is rolled back, with a valid row in every table; it stays open during other tests."""
    execute(database_url, MONTHS)
    with psycopg.connect(database_url) as opened:
        insert_all(opened, ANOTHER)
        yield opened
        opened.rollback()


def insert_up_to(connection: psycopg.Connection, table: str, change: Row) -> None:
    """Write the rows that precede a table, and the changed row of that table."""
    for name, row in all_rows(TENANT).items():
        if name == table:
            insert(connection, name, row | change)
            return
        insert(connection, name, row)
    raise AssertionError(table)


def test_right_rows_pass(connection: psycopg.Connection) -> None:
    insert_all(connection, TENANT)
    for table in all_rows(TENANT):
        assert connection.execute(f"select 1 from {table} limit 1".encode()).fetchone(), table


@pytest.mark.parametrize(("table", "wrong", "name"), WRONG, ids=lambda value: value if isinstance(value, str) else "")
def test_a_wrong_row_is_refused_by_its_check(filled: psycopg.Connection, table: str, wrong: Row, name: str) -> None:
    with filled.transaction(force_rollback=True), pytest.raises(psycopg.errors.IntegrityError) as refused:
        insert_instead(filled, table, all_rows(ANOTHER)[table] | wrong)
    assert refused.value.diag.constraint_name == name


def test_every_check_has_a_row_that_it_refuses(connection: psycopg.Connection) -> None:
    checks = connection.execute(
        f"select distinct conname::text from pg_constraint where contype = 'c' and {OURS}".encode()
    )
    assert {name for (name,) in checks} - {name for _, _, name in WRONG} == set()


def test_every_time_has_a_check_that_keeps_it_in_the_calendar(connection: psycopg.Connection) -> None:
    """The driver cannot read `infinity` or the year 10000: such a row fails every reader."""
    without = f"""{TIMES} and not exists (
        select from pg_constraint
        where contype = 'c' and conrelid = attrelid and attnum = any(conkey)
            and pg_get_constraintdef(oid) ~ '9999-12' and pg_get_constraintdef(oid) ~ '0001-01|start_at < end_at'
    )"""
    assert set(connection.execute(without.encode())) == set(BY_ANOTHER)


@pytest.mark.parametrize("value", ["infinity", "-infinity", "10000-01-01"])
def test_a_time_that_the_driver_cannot_read_is_refused(connection: psycopg.Connection, value: str) -> None:
    insert_all(connection, TENANT)
    connection.execute("set local session_replication_role = replica")  # as if nothing kept the time of a change
    taken = set()
    for table, column in connection.execute(TIMES.encode()).fetchall():
        try:
            with connection.transaction():
                connection.execute(f"update {table} set {column} = %s".encode(), (value,))
                taken.add((table, column))
        except psycopg.errors.CheckViolation:
            pass
    assert taken == set()


def test_every_json_has_a_check_that_keeps_it_readable(connection: psycopg.Connection) -> None:
    without = f"""{JSON} and not exists (
        select from pg_constraint
        where contype = 'c' and conrelid = attrelid
            and strpos(pg_get_constraintdef(oid), format('identity.is_readable_json(%I)', attname)) > 0
    )"""
    assert connection.execute(without.encode()).fetchall() == []
    assert len(connection.execute(JSON.encode()).fetchall()) > 20


# Columns that PostgreSQL would let grow to 1 GB; the CHECK has one length for each.
UNLIMITED = """
    select attrelid::regclass::text, attname::text, atttypid::regtype::text from pg_attribute
    join pg_class on pg_class.oid = attrelid join pg_type on pg_type.oid = atttypid
    where relkind in ('r', 'p') and attnum > 0 and not attisdropped and typlen = -1 and attgenerated = ''
        and relnamespace::regnamespace::text in ('identity', 'audit', 'scheduling', 'placement', 'wellbeing')
        and not (atttypid in ('varchar'::regtype, 'bpchar'::regtype) and atttypmod > 0)
        and atttypid not in ('numeric'::regtype, 'inet'::regtype)
"""


def test_every_value_that_could_grow_has_a_limit(connection: psycopg.Connection) -> None:
    """A value whose text passes 1 GB fails the export, the dump and the seal of its row for good."""
    columns = connection.execute(UNLIMITED.encode()).fetchall()
    without = f"""{UNLIMITED} and not exists (
        select from pg_constraint
        where contype = 'c' and conrelid = attrelid and conname = 'its_values_are_not_too_large'
            and strpos(pg_get_constraintdef(pg_constraint.oid), format('octet_length(%I)', attname))
                + strpos(pg_get_constraintdef(pg_constraint.oid), format('octet_length((%I)::text)', attname)) > 0
    )"""
    assert connection.execute(without.encode()).fetchall() == []
    assert {kind for _, _, kind in columns} >= {"text", "jsonb", "bytea", "text[]"}


# JSON writes this character as six, so the limit of JSON is that of its text.
TOO_LARGE = {
    "text": "repeat('x', 1048577)",
    "character varying": "repeat('x', 1048577)",
    "bytea": "decode(repeat('01', 1048577), 'hex')",
    "jsonb": "to_jsonb(repeat(e'\\x01', 180000))",
    "text[]": "array[repeat('x', 1048577)]",
    "character varying[]": "array[repeat('x', 1048577)]",
}


def test_a_value_that_is_too_large_is_refused_in_every_table(connection: psycopg.Connection) -> None:
    insert_all(connection, TENANT)
    connection.execute("set local session_replication_role = replica")  # as if no trigger refused the change
    taken = set()
    for table, column, kind in connection.execute(UNLIMITED.encode()).fetchall():
        if not table.startswith(LOGS) and kind in TOO_LARGE:
            try:
                with connection.transaction():
                    connection.execute(f"update {table} set {column} = {TOO_LARGE[kind]}".encode())
                    taken.add((table, column))
            except psycopg.errors.CheckViolation:
                pass
    assert taken == set()


def test_the_log_takes_every_value_that_a_row_may_show(connection: psycopg.Connection) -> None:
    """A row that the log refuses could be neither changed nor erased; JSON writes a character as six at most."""
    growing = {(table, column) for table, column, _ in connection.execute(UNLIMITED.encode())}
    watched = connection.execute(
        "select tgrelid::regclass::text, tgargs from pg_trigger where tgname = 'updates_are_logged' and tgparentid = 0"
    ).fetchall()
    shown = {
        table: sum((table, column) in growing for column in arguments.split(b"\0")[2].decode().strip("{}").split(","))
        + len({(table, name) for name in ("status", "role", "type")} & growing)
        for table, arguments in watched
    }
    assert len(shown) > 40
    assert 0 < max(shown.values()) * 6 * 1048576 <= 60 * 1048576, shown


UNREADABLE = ("1e5000", '{"a": [1, -1e308]}', "[" * 3000 + "]" * 3000, '{"a":' * 100 + "1" + "}" * 100)
READABLE = ("9e307", '{"a": [-9.5e307, 1e-5000, "1e5000", true, null]}', "[" * 99 + "]" * 99)


@pytest.mark.parametrize("value", UNREADABLE, ids=["number", "number inside", "arrays", "objects"])
def test_json_that_python_cannot_read_is_refused(connection: psycopg.Connection, value: str) -> None:
    """Such a row fails the export, the erasure and the list of the audit log for good."""
    insert_all(connection, TENANT)
    connection.execute("set local session_replication_role = replica")  # the audit log refuses changes
    taken = set()
    for table, column in connection.execute(JSON.encode()).fetchall():
        try:
            with connection.transaction():
                connection.execute(f"update {table} set {column} = %s".encode(), (value,))
                taken.add((table, column))
        except psycopg.errors.CheckViolation:
            pass
    assert taken == set()


@pytest.mark.parametrize("value", READABLE, ids=["number", "number inside", "arrays"])
def test_json_up_to_the_limits_is_stored_and_read_by_python(connection: psycopg.Connection, value: str) -> None:
    insert_up_to(connection, "scheduling.facilities", {"meta": value})
    stored = connection.execute("select meta from scheduling.facilities").fetchone()
    assert stored is not None
    assert json.loads(json.dumps(stored[0], allow_nan=False)) == stored[0]


def test_t2_a_zone_is_checked_when_it_changes_too(connection: psycopg.Connection) -> None:
    insert_up_to(connection, "scheduling.facilities", {})
    with pytest.raises(psycopg.errors.CheckViolation, match="Mars"):
        connection.execute("update scheduling.facilities set timezone = 'Mars/Olympus'")


@pytest.mark.parametrize("offering", [None, 1])
def test_s2_a_slot_exists_once_with_an_offering_or_without(
    connection: psycopg.Connection, offering: int | None
) -> None:
    insert_up_to(connection, "scheduling.availability_slots", {"service_offering_id": offering})
    again = all_rows(TENANT)["scheduling.availability_slots"] | {"service_offering_id": offering, "id": 2}
    with pytest.raises(psycopg.errors.UniqueViolation):
        insert(connection, "scheduling.availability_slots", again)


def test_a_slot_outlives_its_rule_and_keeps_its_tenant(connection: psycopg.Connection) -> None:
    insert_up_to(connection, "scheduling.availability_slots", {})
    connection.execute("delete from scheduling.availability_rules")
    slots = connection.execute("select tenant_id, created_from_rule_id from scheduling.availability_slots")
    assert slots.fetchall() == [(TENANT, None)]


def test_an_update_cannot_set_the_time_of_the_last_change(connection: psycopg.Connection) -> None:
    long_ago = datetime(2001, 1, 1, tzinfo=UTC)
    insert_up_to(connection, "scheduling.doctors", {})
    changed = connection.execute(
        "update scheduling.doctors set updated_at = %s returning updated_at", (long_ago,)
    ).fetchone()
    assert changed is not None
    assert changed[0] > long_ago


def test_every_table_with_the_time_of_its_last_change_keeps_it(connection: psycopg.Connection) -> None:
    without = connection.execute(
        """
        select attrelid::regclass::text from pg_attribute join pg_class on pg_class.oid = attrelid
        where attname = 'updated_at' and relkind in ('r', 'p') and relnamespace::regnamespace::text not like 'pg%'
            and not exists (select from pg_trigger where tgrelid = pg_class.oid and tgname = 'updated_at_is_kept')
        """
    ).fetchall()
    assert without == []


def test_two_places_may_have_one_slug_only_if_one_is_deleted(connection: psycopg.Connection) -> None:
    insert_up_to(connection, "scheduling.facilities", {"deleted_at": "2027-01-01 00:00Z"})
    row = all_rows(TENANT)["scheduling.facilities"]
    insert(connection, "scheduling.facilities", row | {"id": 2})
    with pytest.raises(psycopg.errors.UniqueViolation):
        insert(connection, "scheduling.facilities", row | {"id": 3})


def test_a_doctor_of_a_facility_is_not_deleted(connection: psycopg.Connection) -> None:
    insert_up_to(connection, "scheduling.facility_doctors", {})
    with pytest.raises((psycopg.errors.ForeignKeyViolation, psycopg.errors.RestrictViolation)):
        connection.execute("delete from scheduling.doctors")


def test_every_reference_is_served_by_an_index_but_two_of_the_slots(connection: psycopg.Connection) -> None:
    """Without an index, deleting a row reads every referring table; for slots see their revision."""
    without = connection.execute("""
        select conname from pg_constraint reference
        where contype = 'f' and conparentid = 0 and not exists (
            select from pg_index
            where indrelid = reference.conrelid and indpred is null
                and (indkey::int2[])[0:cardinality(reference.conkey) - 1] @> reference.conkey::int2[]
        )
    """).fetchall()
    assert {name for (name,) in without} == {
        "availability_slots_service_offering_id_fkey",
        "availability_slots_created_from_rule_id_fkey",
    }


def test_no_reference_follows_a_key_that_changes(connection: psycopg.Connection) -> None:
    """A key that a row refers to cannot change, so no single update rewrites many rows."""
    following = connection.execute("select conname from pg_constraint where contype = 'f' and confupdtype <> 'a'")
    assert following.fetchall() == []


def test_every_email_is_checked_in_one_way(connection: psycopg.Connection) -> None:
    unchecked = connection.execute(
        f"""
        select attrelid::regclass::text from pg_attribute join pg_class on pg_class.oid = attrelid
        where attname ~ 'email$' and atttypid in ('text'::regtype, 'varchar'::regtype) and relkind in ('r', 'p')
            and relnamespace::regnamespace::text in ('identity', 'scheduling', 'placement', 'wellbeing')
            and not exists (
                select from pg_constraint
                where conrelid = attrelid and contype = 'c' and attnum = any(conkey) and {OURS}
                    and pg_get_constraintdef(oid) ~ 'identity.is_email'
            )
    """.encode()
    ).fetchall()
    assert unchecked == []
