"""Owner without superuser rights: detaching months of slots, retiring months of a log, and adding foreign keys.

Row security is forced on the owner, so PostgreSQL's own checks, run as the owner, see no row without a tenant.
"""

import re
from collections.abc import Iterator
from contextlib import nullcontext
from io import StringIO
from pathlib import Path
from typing import Literal
from uuid import UUID, uuid4

import psycopg
import pytest
from alembic.migration import MigrationContext
from alembic.operations import Operations
from sqlalchemy import BigInteger, Column, MetaData, Table, Uuid, create_mock_engine, make_url
from sqlalchemy.schema import CreateTable

from scheduler.models import Patient
from scheduler.postgres.schema import migrations
from scheduler.postgres.schema.host import references
from support.databases import database_of_an_owner
from support.documents import files
from support.rows import Row, insert
from support.rows.all_domains import MONTHS, all_rows

pytestmark = pytest.mark.database

OURS, THEIRS = uuid4(), uuid4()
GUIDE = Path(__file__).parents[2] / "docs" / "retire-old-months.md"
HOSTS_GUIDE = Path(__file__).parents[2] / "docs" / "beside-your-alembic.md"
DETACH = "call scheduling.detach_slot_month('2027-03-15')"
MONTH = "scheduling.availability_slots_2027_03"
FORGET = {
    "scheduling.appointments": "availability_slot_id = null, slot_start_at = null",
    "scheduling.waitlist_entries": "offered_slot_id = null, offered_slot_start_at = null",
}
UNFORCED = """
    select oid::regclass::text from pg_class
    where relkind in ('r', 'p') and relnamespace = 'scheduling'::regnamespace and not relforcerowsecurity
"""
ADD_KEY = """
    alter table scheduling.schedule_states add constraint schedule_states_doctor_id_fkey
        foreign key (tenant_id, doctor_id) references scheduling.doctors (tenant_id, id) on delete cascade
"""
WITHOUT_FORCE = """
    alter table scheduling.schedule_states no force row level security;
    alter table scheduling.doctors no force row level security;
"""
FORCE = re.compile(r"alter table ([\w.]+) (no )?force row level security")
ALTERED = re.compile(r"alter table ([\w.]+)\s[^;]*")
KEY = re.compile(r"add constraint (\w+)\s+foreign key \(([\w, ]+)\)\s+references ([\w.]+)")
ROOMS_KEY = """
    alter table a.rooms add constraint rooms_house_id_fkey
        foreign key (tenant_id, house_id) references a.houses (tenant_id, id);
"""
LIFT_ROOMS = "alter table a.rooms no force row level security;"
LIFT_HOUSES = "alter table a.houses no force row level security;"


@pytest.fixture(scope="module")
def owned(server: str, template: str) -> Iterator[tuple[str, str]]:
    """A database that its owner has migrated, with two tenants: its URL as a superuser, and the owner's name."""
    assert template  # the roles exist
    with database_of_an_owner(server) as (url, theirs):
        migrations.upgrade(theirs)
        with psycopg.connect(url) as connection:
            connection.execute("select set_config('role', %s, true)", (make_url(theirs).username,))
            connection.execute(MONTHS)
            connection.execute("reset role")
            for tenant in (OURS, THEIRS):
                for table, row in all_rows(tenant).items():
                    insert(connection, table, row)
        yield url, str(make_url(theirs).username)


@pytest.fixture
def connection(owned: tuple[str, str]) -> Iterator[psycopg.Connection]:
    """A transaction of the owner that is rolled back; each tenant has an appointment and an offer on a slot."""
    url, owner = owned
    with psycopg.connect(url) as opened:
        opened.execute("select set_config('role', %s, true)", (owner,))
        yield opened
        opened.rollback()


def forget_slots(connection: psycopg.Connection, *tables: str, tenants: tuple[UUID, ...] = (OURS, THEIRS)) -> None:
    for tenant in tenants:
        connection.execute("select set_config('app.tenant_id', %s, true)", (str(tenant),))
        for table in tables:
            connection.execute(f"update {table} set {FORGET[table]}".encode())
    connection.execute("select set_config('app.tenant_id', '', true)")


def dangle(connection: psycopg.Connection) -> None:
    """Write a row with a broken reference, as a look-alike might; continue as the owner."""
    owner = connection.execute("select current_user").fetchone()
    connection.execute("alter table scheduling.schedule_states drop constraint schedule_states_doctor_id_fkey")
    connection.execute("reset role")
    state: Row = {"tenant_id": OURS, "doctor_id": 77, "facility_id": 1}
    insert(connection, "scheduling.schedule_states", state)
    connection.execute("select set_config('role', %s, true)", owner)


@pytest.mark.parametrize("table", FORGET)
def test_a_month_of_slots_that_rows_refer_to_is_not_detached(connection: psycopg.Connection, table: str) -> None:
    forget_slots(connection, *(set(FORGET) - {table}))
    message = f"rows of {table.partition('.')[2]} still reference slots of {MONTH}"
    with pytest.raises(psycopg.errors.ForeignKeyViolation, match=message):
        connection.execute(DETACH)


def test_a_month_that_only_another_tenant_refers_to_is_not_detached(connection: psycopg.Connection) -> None:
    forget_slots(connection, *FORGET, tenants=(OURS,))
    connection.execute("select set_config('app.tenant_id', %s, true)", (str(OURS),))
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        connection.execute(DETACH)


def test_a_month_without_references_goes_and_its_appointments_stay(connection: psycopg.Connection) -> None:
    forget_slots(connection, *FORGET)
    connection.execute(DETACH)
    connection.execute(f"drop table {MONTH}")
    connection.execute("select set_config('app.tenant_id', %s, true)", (str(OURS),))
    assert connection.execute("select count(*) from scheduling.appointments").fetchone() == (1,)


def test_row_security_is_forced_again_once_a_month_is_detached(connection: psycopg.Connection) -> None:
    forget_slots(connection, *FORGET)
    connection.execute(DETACH)
    assert connection.execute(UNFORCED).fetchall() == []


def test_detaching_a_missing_month_is_refused(connection: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="no month of slots for 2031-01"):
        connection.execute("call scheduling.detach_slot_month('2031-01-01')")


@pytest.mark.parametrize("role", ["scheduler_app", "scheduler_job", "scheduler_system"])
def test_only_the_owner_detaches_a_month(connection: psycopg.Connection, role: str) -> None:
    connection.execute(f"set local role {role}")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(DETACH)


def test_the_steps_of_the_guide_remove_a_month_for_all_tenants(connection: psycopg.Connection) -> None:
    (block,) = re.findall(r"```sql\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    connection.execute(block.replace("begin;\n", "", 1).replace("commit;\n", "", 1).encode())
    assert connection.execute(f"select to_regclass('{MONTH}')").fetchone() == (None,)


def test_the_owner_retires_a_month_of_the_log_for_all_tenants(connection: psycopg.Connection) -> None:
    """The events of the retirement are sealed, and an older one of the month stays."""
    connection.execute("call audit.create_partition('system_audit_log', 'system_audit_log_2019_05')")
    connection.execute(
        "alter table audit.system_audit_log attach partition audit.system_audit_log_2019_05"
        " for values from ('2019-05-01Z') to ('2019-06-01Z')"
    )
    for tenant in (OURS, THEIRS):
        connection.execute("select set_config('app.tenant_id', %s, true)", (str(tenant),))
        for event in ("generation.finished", "audit.retired"):
            connection.execute(
                "insert into audit.system_audit_log (tenant_id, occurred_at, db_role, event)"
                " values (%s, '2019-05-02Z', 'x', %s)",
                (tenant, event),
            )
        connection.execute("select audit.seal('system')")
    retired = connection.execute("select part, rows_retired from audit.retire('2019-06-01Z')").fetchall()
    assert retired == [("audit.system_audit_log_2019_05", 2)]
    for tenant in (OURS, THEIRS):
        connection.execute("select set_config('app.tenant_id', %s, true)", (str(tenant),))
        events = connection.execute(
            "select occurred_at < '2020-01-01', c.position is not null from audit.system_audit_log e"
            " left join audit.chain c on (c.tenant_id, c.log, c.row_occurred_at, c.row_id)"
            " = (e.tenant_id, 'system', e.occurred_at, e.id) where event = 'audit.retired' order by occurred_at"
        ).fetchall()
        assert events == [(True, True), (False, True)]


def test_forced_row_security_hides_rows_from_the_check_of_an_added_key(connection: psycopg.Connection) -> None:
    """PostgreSQL's trap: when this fails, the procedure and the rule for migrations are no longer needed."""
    dangle(connection)
    connection.execute(ADD_KEY)
    validated = "select convalidated from pg_constraint where conname = 'schedule_states_doctor_id_fkey'"
    assert connection.execute(validated).fetchone() == (True,)


def test_a_key_added_without_forced_row_security_is_checked(connection: psycopg.Connection) -> None:
    dangle(connection)
    connection.execute(WITHOUT_FORCE)
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        connection.execute(ADD_KEY)


def test_a_key_added_over_valid_rows_passes_the_check(connection: psycopg.Connection) -> None:
    connection.execute("alter table scheduling.schedule_states drop constraint schedule_states_doctor_id_fkey")
    connection.execute(WITHOUT_FORCE)
    connection.execute(ADD_KEY)


def test_a_hosts_key_is_added_to_its_rows_by_the_steps_of_the_guide(connection: psycopg.Connection) -> None:
    """Row security hides our rows from PostgreSQL's check of a host's old rows, unless its force is lifted."""
    connection.execute("select set_config('app.tenant_id', %s, true)", (str(OURS),))
    connection.execute(
        "create table public.invoice as"
        f" select '{OURS}'::uuid as tenant_id, min(id) as appointment_id from scheduling.appointments"
    )
    connection.execute("select set_config('app.tenant_id', '', true)")
    lift, *key, force = guided_key().split(";\n")
    with pytest.raises(psycopg.errors.ForeignKeyViolation), connection.transaction():
        connection.execute(";".join(key).encode())
    connection.execute(";".join([lift, *key, force]).encode())
    assert connection.execute(UNFORCED).fetchall() == []


@pytest.mark.parametrize(
    ("ondelete", "left"), [(None, "refused"), ("RESTRICT", "refused"), ("CASCADE", []), ("SET NULL", [(OURS, None)])]
)
def test_a_hosts_row_after_ours_is_deleted_is_that_of_the_guide(
    connection: psycopg.Connection, ondelete: Literal["CASCADE", "RESTRICT", "SET NULL"] | None, left: object
) -> None:
    """A soft delete changes nothing. The system deletes for good, without a right on the host's table."""
    connection.execute("select set_config('app.tenant_id', %s, true)", (str(OURS),))
    columns = (Column("tenant_id", Uuid), Column("patient_id", BigInteger))
    favourites = Table("favourites", MetaData(), *columns, references(Patient, "patient_id", ondelete=ondelete))
    engine = create_mock_engine("postgresql+psycopg://", lambda *_: None)
    connection.execute(str(CreateTable(favourites).compile(dialect=engine.dialect)).encode())
    connection.execute("insert into favourites select tenant_id, min(id) from scheduling.patients group by tenant_id")
    before = connection.execute("select * from favourites").fetchall()
    connection.execute("set local role scheduler_system")
    connection.execute("update scheduling.patients set deleted_at = now()")
    refusal = (psycopg.errors.ForeignKeyViolation, psycopg.errors.RestrictViolation)
    with pytest.raises(refusal) if left == "refused" else nullcontext(), connection.transaction():
        connection.execute("delete from scheduling.patients")
    connection.execute("reset role")
    assert connection.execute("select * from favourites").fetchall() == (before if left == "refused" else left)


def guided_key() -> str:
    """Return the SQL of the migration of the guide."""
    written = StringIO()
    options = {"as_sql": True, "output_buffer": written}
    context = MigrationContext.configure(dialect_name="postgresql", opts=options)
    code = files(HOSTS_GUIDE)["migrations/versions/..._invoices_know_their_visit.py"]
    exec(compile(code, HOSTS_GUIDE.name, "exec"), {"op": Operations(context)})  # noqa: S102  # our own document
    return written.getvalue().strip().rstrip(";")


def added_keys(script: str) -> dict[str, set[str]]:
    """Return the keys that a script adds, each with the tables whose old rows its check does not see."""
    unforced: set[str] = set()
    keys = {}
    for statement in ALTERED.finditer(re.sub(r"--.*", "", script)):
        if force := FORCE.match(statement[0]):
            unforced = unforced | {force[1]} if force[2] else unforced - {force[1]}
        for name, columns, target in KEY.findall(statement[0]):
            is_new = any(f"add column {column} " in statement[0] for column in columns.split(", "))
            keys[name] = set() if is_new else {statement[1], target} - unforced
    return keys


def test_a_migration_that_adds_a_key_adds_its_column_or_lifts_the_force() -> None:
    """Otherwise no check has read the old rows."""
    keys = added_keys(migrations.script())
    assert "facilities_address_id_fkey" in keys  # of a table that may exist already
    assert {name: tables for name, tables in keys.items() if tables} == {}


@pytest.mark.parametrize(
    ("before", "hidden"),
    [
        ("", {"a.rooms", "a.houses"}),
        (f"-- {LIFT_ROOMS}", {"a.rooms", "a.houses"}),
        (LIFT_ROOMS, {"a.houses"}),
        (LIFT_HOUSES, {"a.rooms"}),
        (f"{LIFT_ROOMS} {LIFT_HOUSES} {LIFT_ROOMS.replace('no ', '')}", {"a.rooms"}),
        (f"{LIFT_ROOMS} {LIFT_HOUSES}", set()),
    ],
)
def test_a_key_added_while_a_table_is_forced_is_found(before: str, hidden: set[str]) -> None:
    script = f"{before}\n{ROOMS_KEY}\n{LIFT_ROOMS} {LIFT_HOUSES}"
    assert added_keys(script) == {"rooms_house_id_fkey": hidden}


def test_a_key_added_with_its_column_needs_no_lifted_force() -> None:
    script = ROOMS_KEY.replace("add constraint", "add column house_id uuid, add constraint")
    assert added_keys(script) == {"rooms_house_id_fkey": set()}
