"""Clinic tables beside appointments: workflows, resources and the waitlist.

The rows that the tables refuse are in `tests/support/rows/scheduling.py`.
"""

from collections.abc import Iterator
from uuid import UUID, uuid4

import psycopg
import pytest

from scheduler.postgres.database import Role
from support.databases import execute
from support.roles import become
from support.rows import Row, insert
from support.rows.all_domains import MONTHS, all_rows, insert_all

pytestmark = pytest.mark.database

TENANT = uuid4()


@pytest.fixture(scope="module")
def filled(database_url: str) -> Iterator[psycopg.Connection]:
    """A transaction that is rolled back, with a row in every table; it stays open during other tests."""
    execute(database_url, MONTHS)
    with psycopg.connect(database_url) as opened:
        insert_all(opened, TENANT)
        yield opened
        opened.rollback()


@pytest.fixture
def connection(filled: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """A user of a clinic, whose changes are rolled back."""
    with filled.transaction(force_rollback=True):
        become(filled, Role.APP, TENANT)
        yield filled


def add(connection: psycopg.Connection, table: str, **change: object) -> str | None:
    """Add a changed copy of the present row; return the name of the constraint that refuses the copy."""
    present = all_rows(TENANT)[table]
    row: Row = present | ({"id": 2} if "id" in present else {}) | change
    try:
        with connection.transaction():
            insert(connection, table, row)
    except psycopg.errors.IntegrityError as refused:
        return refused.diag.constraint_name
    return None


def test_patients_may_share_an_email(connection: psycopg.Connection) -> None:
    assert add(connection, "scheduling.patients") is None


@pytest.mark.parametrize(
    "times", [{"start_time": None, "end_time": None}, {"start_time": "13:00", "end_time": "00:00"}]
)
def test_a_facility_closes_at_a_time_once(connection: psycopg.Connection, times: dict[str, str | None]) -> None:
    """A day may have several closed times beside its closure; a closed day is the same as a closed day."""
    set_times = "update scheduling.facility_closures set start_time = %(start_time)s, end_time = %(end_time)s"
    connection.execute(set_times, times)
    assert add(connection, "scheduling.facility_closures", **times) == "a_facility_closes_at_a_time_once"
    assert add(connection, "scheduling.facility_closures", start_time="08:00", end_time="09:00") is None


def test_a_deleted_insurance_plan_leaves_the_patient(connection: psycopg.Connection) -> None:
    become(connection, Role.SYSTEM, TENANT)
    connection.execute("delete from scheduling.insurance_providers")
    rows = connection.execute("select tenant_id, default_insurance_plan_id from scheduling.patients").fetchall()
    assert rows == [(TENANT, None)]


@pytest.mark.parametrize("plan", [None, 1])
def test_w1_an_offering_has_one_active_workflow_for_a_plan_or_for_none(
    connection: psycopg.Connection, plan: int | None
) -> None:
    connection.execute("update scheduling.service_workflows set insurance_plan_id = %s", (plan,))
    refused = add(connection, "scheduling.service_workflows", insurance_plan_id=plan)
    assert refused == "an_offering_has_one_active_workflow_for_a_plan"


@pytest.mark.parametrize("other", [{"active": False}, {"insurance_plan_id": None}])
def test_w1_workflows_that_leave_one_choice_are_allowed(connection: psycopg.Connection, other: Row) -> None:
    assert add(connection, "scheduling.service_workflows", **other) is None


def test_a_workflow_has_one_step_at_a_position(connection: psycopg.Connection) -> None:
    assert add(connection, "scheduling.workflow_steps") == "a_workflow_has_one_step_at_a_position"


def test_w7_a_step_needs_several_kinds_each_named_once(connection: psycopg.Connection) -> None:
    assert add(connection, "scheduling.workflow_step_needs", quantity=3) == "workflow_step_needs_pkey"
    assert add(connection, "scheduling.workflow_step_needs", kind="doctor", quantity=1) is None
    assert add(connection, "scheduling.workflow_step_needs", kind="room", same_as_position=1) is None


@pytest.mark.parametrize(("stored", "other"), [("nurse", "patient"), ("patient", "nurse")])
def test_w7_a_step_that_needs_nobody_has_no_other_need(connection: psycopg.Connection, stored: str, other: str) -> None:
    connection.execute("update scheduling.workflow_step_needs set kind = %s, quantity = 1", (stored,))
    refused = add(connection, "scheduling.workflow_step_needs", kind=other, quantity=1)
    assert refused == "a_step_that_needs_nobody_has_no_other_need"
    assert add(connection, "scheduling.workflow_steps", position=2) is None
    assert add(connection, "scheduling.workflow_step_needs", workflow_step_id=2, kind=other, quantity=1) is None


def test_an_appointment_has_one_step_at_a_position(connection: psycopg.Connection) -> None:
    refused = add(connection, "scheduling.appointment_steps")
    assert refused == "an_appointment_has_one_step_at_a_position"


def test_w7_one_room_number_in_two_tenants_is_two_rooms(database_url: str) -> None:
    with psycopg.connect(database_url) as opened:
        for tenant in (uuid4(), uuid4()):
            insert_all(opened, tenant)
        rows = opened.execute("select count(*) from scheduling.appointment_step_resources").fetchone()
        opened.rollback()
    assert rows == (2,)


def test_a_deleted_resource_leaves_the_step(connection: psycopg.Connection) -> None:
    connection.execute("delete from scheduling.resources")
    steps = connection.execute("select tenant_id from scheduling.appointment_steps").fetchall()
    assert steps == [(TENANT,)]
    assert connection.execute("select from scheduling.appointment_step_resources").fetchall() == []


@pytest.mark.parametrize("wish", [{}, {"facility_id": None}, {"facility_id": None, "doctor_id": None}])
def test_b6_a_patient_waits_once_for_a_thing(connection: psycopg.Connection, wish: Row) -> None:
    for column in wish:
        connection.execute(f"update scheduling.waitlist_entries set {column} = null".encode())
    assert add(connection, "scheduling.waitlist_entries", **wish) == "a_patient_waits_for_a_thing_once"


@pytest.mark.parametrize("status", ["booked", "expired", "cancelled"])
def test_b6_a_patient_who_no_longer_waits_may_wait_again(connection: psycopg.Connection, status: str) -> None:
    no_offer = (
        "update scheduling.waitlist_entries set offered_slot_id = null, offered_slot_start_at = null, status = %s"
    )
    connection.execute(no_offer.encode(), (status,))
    assert add(connection, "scheduling.waitlist_entries") is None


def test_a_deleted_slot_leaves_the_waitlist_entry(connection: psycopg.Connection) -> None:
    connection.execute("delete from scheduling.availability_slots")
    query = "select tenant_id, status, offered_slot_id, offered_slot_start_at from scheduling.waitlist_entries"
    rows: list[tuple[UUID, str, None, None]] = connection.execute(query.encode()).fetchall()
    assert rows == [(TENANT, "offered", None, None)]
