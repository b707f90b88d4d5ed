"""What the owner of the tables does who is no superuser: months of slots taken out, and keys that are added.

Row security is forced on the owner, so PostgreSQL's own questions, asked as the owner, find no row without a tenant.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import make_url

from scheduler.postgres.schema import migrations
from support.databases import database_of_an_owner
from support.rows import Row, insert
from support.rows.all_domains import MONTHS, all_rows

pytestmark = pytest.mark.database

OURS, THEIRS = uuid4(), uuid4()
GUIDE = Path(__file__).parents[2] / "docs" / "generate-slots.md"
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
ALTERED = re.compile(r"alter table ([\w.]+)\s([^;]*)")
KEY = re.compile(r"add constraint (\w+)\s+foreign key \(tenant_id, (\w+)\)")


@pytest.fixture(scope="module")
def owned(server: str, template: str) -> Iterator[tuple[str, str]]:
    """A database that its owner has migrated, with two tenants: its URL as a superuser, and the owner's name."""
    assert template  # the roles are there, whoever made them
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
    """Leave a row that refers to nothing, as a look-alike might; go on as the owner."""
    owner = connection.execute("select current_user").fetchone()
    connection.execute("alter table scheduling.schedule_states drop constraint schedule_states_doctor_id_fkey")
    connection.execute("reset role")
    state: Row = {"tenant_id": OURS, "doctor_id": 77, "facility_id": 1}
    insert(connection, "scheduling.schedule_states", state)
    connection.execute("select set_config('role', %s, true)", owner)


@pytest.mark.parametrize("table", FORGET)
def test_a_month_of_slots_that_something_names_is_not_detached(connection: psycopg.Connection, table: str) -> None:
    forget_slots(connection, *(set(FORGET) - {table}))
    said = f"rows of {table.partition('.')[2]} still name slots of {MONTH}"
    with pytest.raises(psycopg.errors.ForeignKeyViolation, match=said):
        connection.execute(DETACH)


def test_a_month_that_only_another_tenant_names_is_not_detached(connection: psycopg.Connection) -> None:
    forget_slots(connection, *FORGET, tenants=(OURS,))
    connection.execute("select set_config('app.tenant_id', %s, true)", (str(OURS),))
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        connection.execute(DETACH)


def test_a_month_that_nothing_names_goes_and_its_appointments_stay(connection: psycopg.Connection) -> None:
    forget_slots(connection, *FORGET)
    connection.execute(DETACH)
    connection.execute(f"drop table {MONTH}")
    connection.execute("select set_config('app.tenant_id', %s, true)", (str(OURS),))
    assert connection.execute("select count(*) from scheduling.appointments").fetchone() == (1,)


def test_row_security_is_forced_again_once_a_month_is_detached(connection: psycopg.Connection) -> None:
    forget_slots(connection, *FORGET)
    connection.execute(DETACH)
    assert connection.execute(UNFORCED).fetchall() == []


def test_a_month_that_is_not_there_is_said_so(connection: psycopg.Connection) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="no month of slots for 2031-01"):
        connection.execute("call scheduling.detach_slot_month('2031-01-01')")


@pytest.mark.parametrize("role", ["scheduler_app", "scheduler_job", "scheduler_system"])
def test_only_the_owner_detaches_a_month(connection: psycopg.Connection, role: str) -> None:
    connection.execute(f"set local role {role}")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(DETACH)


def test_the_way_of_the_guide_takes_a_month_out_for_all_tenants(connection: psycopg.Connection) -> None:
    (block,) = re.findall(r"```sql\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    connection.execute(block.replace("begin;\n", "", 1).replace("commit;\n", "", 1).encode())
    assert connection.execute(f"select to_regclass('{MONTH}')").fetchone() == (None,)


def test_a_key_that_the_owner_adds_is_checked_over_nothing_while_row_security_is_forced(
    connection: psycopg.Connection,
) -> None:
    """The trap, as PostgreSQL has it: when this fails, the procedure and the rule for migrations can go."""
    dangle(connection)
    connection.execute(ADD_KEY)
    validated = "select convalidated from pg_constraint where conname = 'schedule_states_doctor_id_fkey'"
    assert connection.execute(validated).fetchone() == (True,)


def test_a_key_that_the_owner_adds_with_the_force_taken_off_is_checked(connection: psycopg.Connection) -> None:
    dangle(connection)
    connection.execute(WITHOUT_FORCE)
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        connection.execute(ADD_KEY)


def test_a_key_that_the_owner_adds_over_right_rows_passes_the_check(connection: psycopg.Connection) -> None:
    connection.execute("alter table scheduling.schedule_states drop constraint schedule_states_doctor_id_fkey")
    connection.execute(WITHOUT_FORCE)
    connection.execute(ADD_KEY)


def test_a_migration_that_adds_a_key_adds_its_column_too_or_takes_the_force_off() -> None:
    """Else nothing has checked the rows that were there."""
    script = re.sub(r"--.*", "", migrations.script())
    added = [
        (table, name, f"add column {column} " in body or f"alter table {table} no force" in script)
        for table, body in ALTERED.findall(script)
        for name, column in KEY.findall(body)
    ]
    assert added  # an address of a facility, which may be there already
    assert [each for each in added if not each[2]] == []
