"""Appointments: no double booking of a doctor (B1), no double request (B3), and the effects of deletions.

Minutes count from 09:00. Slot 1 lasts from 0 to 20, slot 2 from 10 to 30. The rows that the tables refuse are in
`tests/support/rows/scheduling.py`.
"""

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from enum import StrEnum
from threading import Barrier
from uuid import uuid4

import psycopg
import pytest

from scheduler.core.lifecycle import AppointmentStatus, SlotStatus, StepStatus
from scheduler.core.reconciliation import Plan, StoredSlot
from scheduler.core.slots import Slot
from scheduler.postgres.database import Database, Role
from scheduler.postgres.slots import apply_plan
from support.databases import execute
from support.roles import become
from support.rows import Row, insert, key
from support.rows.all_domains import MONTHS, all_rows
from support.worlds.appointments import OURS, appointment, at, book, clinic, refusal

pytestmark = pytest.mark.database

THEIRS = uuid4()
FULL = "a_slot_is_booked_within_its_capacity"
TAKEN = "a_doctor_is_taken_once_at_a_time"
OCCUPYING = {"scheduled", "checked_in", "in_progress", "completed"}


@pytest.fixture(scope="module")
def clinics(database_url: str) -> Iterator[psycopg.Connection]:
    """A transaction that is rolled back, with two clinics without appointments; it stays open during other tests."""
    execute(database_url, MONTHS)
    with psycopg.connect(database_url) as opened:
        clinic(opened, OURS)
        clinic(opened, THEIRS)
        yield opened
        opened.rollback()


@pytest.fixture
def connection(clinics: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """A user of our clinic, whose changes are rolled back."""
    with clinics.transaction(force_rollback=True):
        become(clinics, Role.APP, OURS)
        yield clinics


def refuses(connection: psycopg.Connection, row: Row) -> str | None:
    """Return the name of the constraint that refuses an appointment, or None; a refused row is rolled back."""
    return refusal(connection, lambda: book(connection, row))


def share(connection: psycopg.Connection) -> None:
    """Give slot 1 a second place."""
    connection.execute("update scheduling.availability_slots set capacity = 2 where id = 1")


def delete_slot(connection: psycopg.Connection) -> None:
    """Delete slot 1 as the owner: the application may not, while an appointment sits on it."""
    become(connection, Role.OWNER, OURS)
    connection.execute("delete from scheduling.availability_slots where id = 1")
    become(connection, Role.APP, OURS)


def slots_of(connection: psycopg.Connection) -> list[tuple[object, ...]]:
    query = "select tenant_id, id, availability_slot_id, slot_start_at from scheduling.appointments order by 2"
    return connection.execute(query.encode()).fetchall()


@pytest.mark.parametrize(
    ("table", "statuses"),
    [("appointments", AppointmentStatus), ("appointment_steps", StepStatus), ("availability_slots", SlotStatus)],
)
def test_l1_the_statuses_of_a_table_are_those_of_its_life_cycle(
    connection: psycopg.Connection, table: str, statuses: type[StrEnum]
) -> None:
    checks = connection.execute(
        "select pg_get_constraintdef(oid) from pg_constraint where conrelid = %s::regclass and contype = 'c'"
        " and pg_get_constraintdef(oid) ~ '^CHECK ..status = ANY'",
        (f"scheduling.{table}",),
    ).fetchall()
    assert [set(re.findall(r"'(\w+)'", check)) for (check,) in checks] == [set(statuses)]


@pytest.mark.parametrize(("first", "second"), [(None, None), (None, 2), (1, None), (1, 2)])
def test_b1_overlapping_appointments_are_refused_unless_they_share_a_slot(
    connection: psycopg.Connection, first: int | None, second: int | None
) -> None:
    book(connection, appointment(1, 0, 20, slot=first))
    assert refuses(connection, appointment(2, 10, 30, slot=second)) == TAKEN


def test_b1_two_appointments_may_share_a_slot(connection: psycopg.Connection) -> None:
    share(connection)
    book(connection, appointment(1, 0, 20, slot=1))
    assert refuses(connection, appointment(2, 0, 20, slot=1)) is None


def test_b1_those_who_share_a_slot_share_its_time_only(connection: psycopg.Connection) -> None:
    connection.execute("update scheduling.availability_slots set capacity = 3 where id = 1")
    book(connection, appointment(1, 0, 20, slot=1))
    assert refuses(connection, appointment(2, 0, 21, slot=1)) == "a_doctor_is_shared_within_the_slot"
    assert refuses(connection, appointment(2, 10, 20)) == TAKEN


def test_b1_a_slot_that_gets_a_second_place_is_shared(connection: psycopg.Connection) -> None:
    book(connection, appointment(1, 0, 20, slot=1))
    connection.execute("update scheduling.availability_slots set capacity = 2 where id = 1")
    assert refuses(connection, appointment(2, 0, 20, slot=1)) is None


def test_b1_two_appointments_on_one_place_are_refused(connection: psycopg.Connection) -> None:
    book(connection, appointment(1, 0, 20, slot=1))
    assert refuses(connection, appointment(2, 0, 20, slot=1)) == FULL
    assert refuses(connection, appointment(2, -10, 20, slot=1) | {"start_at": at(-10)}) == FULL


def test_b1_appointments_that_touch_share_no_time(connection: psycopg.Connection) -> None:
    book(connection, appointment(1, 0, 20))
    assert refuses(connection, appointment(2, 20, 40)) is None


def test_b1_the_buffers_of_an_offering_add_up(connection: psycopg.Connection) -> None:
    connection.execute("update scheduling.service_offerings set buffer_before_minutes = 5, buffer_after_minutes = 10")
    book(connection, appointment(1, 0, 20))
    assert refuses(connection, appointment(2, 34, 50)) == TAKEN
    assert refuses(connection, appointment(2, 35, 50)) is None


def test_b1_new_buffers_concern_appointments_from_now_on(connection: psycopg.Connection) -> None:
    book(connection, appointment(1, 0, 20), appointment(2, 20, 40))
    connection.execute("update scheduling.service_offerings set buffer_after_minutes = 10")
    connection.execute("update scheduling.appointments set status = 'checked_in'")
    with pytest.raises(psycopg.errors.ExclusionViolation):
        connection.execute("update scheduling.appointments set end_at = %s where id = 1", (at(19),))


@pytest.mark.parametrize("status", AppointmentStatus)
def test_b1_time_is_taken_until_an_appointment_is_cancelled_or_missed(
    connection: psycopg.Connection, status: str
) -> None:
    book(connection, appointment(1, 0, 20) | {"status": status})
    assert (refuses(connection, appointment(2, 0, 20)) is not None) == (status in OCCUPYING)


def test_b1_a_no_show_whose_time_went_to_another_cannot_be_scheduled_again(connection: psycopg.Connection) -> None:
    book(connection, appointment(1, 0, 20) | {"status": "no_show"}, appointment(2, 0, 20))
    with pytest.raises(psycopg.errors.ExclusionViolation):
        connection.execute("update scheduling.appointments set status = 'scheduled' where id = 1")


def test_b1_an_appointment_cannot_be_moved_onto_another(connection: psycopg.Connection) -> None:
    book(connection, appointment(1, 0, 20), appointment(2, 20, 40))
    with pytest.raises(psycopg.errors.ExclusionViolation):
        connection.execute("update scheduling.appointments set start_at = %s where id = 2", (at(19),))


def test_b1_another_doctor_is_free(connection: psycopg.Connection) -> None:
    doctor = all_rows(OURS)["scheduling.doctors"] | {"id": 2, "user_id": None}
    insert(connection, "scheduling.doctors", doctor)
    book(connection, appointment(1, 0, 20))
    assert refuses(connection, appointment(2, 0, 20) | {"doctor_id": 2}) is None


def test_b1_the_doctor_of_another_tenant_is_free(connection: psycopg.Connection) -> None:
    book(connection, appointment(1, 0, 20))
    become(connection, Role.APP, THEIRS)
    assert refuses(connection, appointment(1, 0, 20, tenant=THEIRS)) is None


@pytest.mark.parametrize("end", [0, -10])
def test_b1_an_empty_or_reversed_time_is_refused(connection: psycopg.Connection, end: int) -> None:
    book(connection, appointment(1, -30, 20))
    assert refuses(connection, appointment(2, 0, end)) == "an_appointment_starts_before_it_ends"


@pytest.mark.parametrize("column", ["doctor_id", "start_at", "end_at"])
def test_b1_doctor_and_time_are_required(connection: psycopg.Connection, column: str) -> None:
    with pytest.raises(psycopg.errors.NotNullViolation, match=column):
        book(connection, appointment(1, 0, 20) | {column: None})


def test_b1_of_eight_concurrent_overlapping_bookings_one_succeeds(database_url: str) -> None:
    """All but one wait for the lock of the doctor, and are refused then; without it they would deadlock."""
    tenant, together = uuid4(), Barrier(8)
    with psycopg.connect(database_url) as opened:
        opened.execute(MONTHS)
        clinic(opened, tenant)

    def try_once(number: int) -> str | None:
        with psycopg.connect(database_url) as own:
            together.wait(30)
            try:
                book(own, appointment(number, number, number + 20, tenant=tenant))
            except psycopg.errors.ExclusionViolation as refused:
                return refused.diag.constraint_name
        return None

    with ThreadPoolExecutor(8) as threads:
        refused = list(threads.map(try_once, range(2, 10)))
    assert sorted(map(str, refused)) == ["None"] + [TAKEN] * 7


@pytest.mark.parametrize("role", [Role.APP, Role.JOB])
def test_r2_a_slot_with_an_appointment_cannot_be_deleted(connection: psycopg.Connection, role: Role) -> None:
    book(connection, appointment(1, 0, 20, slot=1))
    become(connection, role, OURS)
    deleted = connection.execute("delete from scheduling.availability_slots returning id").fetchall()
    assert deleted == [(2,)]


def test_a_deleted_slot_leaves_its_appointment_in_its_tenant(connection: psycopg.Connection) -> None:
    book(connection, appointment(1, 0, 10, slot=1), appointment(2, 10, 30, slot=2))
    delete_slot(connection)
    assert slots_of(connection) == [(OURS, 1, None, None), (OURS, 2, 2, at(10))]


def test_b1_a_deleted_slot_leaves_all_appointments_that_shared_it(connection: psycopg.Connection) -> None:
    share(connection)
    book(connection, appointment(1, 0, 20, slot=1), appointment(2, 0, 20, slot=1))
    delete_slot(connection)
    assert slots_of(connection) == [(OURS, 1, None, None), (OURS, 2, None, None)]


@pytest.mark.parametrize("slot", [None, 2])
def test_b1_time_stays_occupied_when_the_slot_is_deleted(connection: psycopg.Connection, slot: int | None) -> None:
    book(connection, appointment(1, 0, 20, slot=1))
    delete_slot(connection)
    assert refuses(connection, appointment(2, 10, 30, slot=slot)) == TAKEN


DETACH = "call scheduling.detach_slot_month('2027-03-01')"


def test_b1_a_month_of_slots_can_be_detached_once_appointments_forget_them(connection: psycopg.Connection) -> None:
    share(connection)
    book(connection, appointment(1, 0, 20, slot=1), appointment(2, 0, 20, slot=1))
    become(connection, Role.OWNER, OURS)
    forget = "update scheduling.appointments set availability_slot_id = null, slot_start_at = null"
    assert refusal(connection, lambda: connection.execute(forget)) == "a_doctor_is_taken_once_at_a_time"
    later = (
        "create or replace function scheduling.clock() returns timestamptz language sql return timestamptz '2028-01-01'"
    )
    connection.execute(later)
    connection.execute(forget)
    connection.execute(DETACH)
    become(connection, Role.APP, OURS)
    assert slots_of(connection) == [(OURS, 1, None, None), (OURS, 2, None, None)]


def test_b1_an_appointment_that_shared_a_deleted_slot_may_be_completed(connection: psycopg.Connection) -> None:
    share(connection)
    book(connection, appointment(1, 0, 20, slot=1), appointment(2, 0, 20, slot=1))
    delete_slot(connection)
    shorter = "update scheduling.appointments set status = 'completed', end_at = %s where id = 1"
    assert connection.execute(shorter.encode(), (at(15),)).rowcount == 1


@pytest.mark.parametrize("move", ["end_at = end_at + '1 minute'", "start_at = start_at - '1 minute'::interval"])
def test_b1_a_deleted_slot_is_shared_only_within_its_former_time(connection: psycopg.Connection, move: str) -> None:
    share(connection)
    book(connection, appointment(1, 0, 20, slot=1), appointment(2, 0, 20, slot=1))
    delete_slot(connection)
    with pytest.raises(psycopg.errors.ExclusionViolation):
        connection.execute(f"update scheduling.appointments set {move} where id = 1".encode())


ON_ANOTHERS = "an_appointment_is_with_the_doctor_of_its_slot"


def another_doctor(connection: psycopg.Connection) -> None:
    """Write doctor 2, with slot 3 at the time of slot 1."""
    insert(connection, "scheduling.doctors", all_rows(OURS)["scheduling.doctors"] | {"id": 2, "user_id": None})
    slot = all_rows(OURS)["scheduling.availability_slots"] | {"id": 3, "doctor_id": 2, "service_offering_id": None}
    insert(connection, "scheduling.availability_slots", slot)


def test_b1_two_appointments_of_a_doctor_cannot_share_a_slot_of_another(connection: psycopg.Connection) -> None:
    another_doctor(connection)
    assert refuses(connection, appointment(1, 0, 20, slot=1) | {"availability_slot_id": 3}) == ON_ANOTHERS


@pytest.mark.parametrize("change", ["doctor_id = 2", "availability_slot_id = 3"])
def test_b1_an_appointment_on_a_slot_stays_with_its_doctor(connection: psycopg.Connection, change: str) -> None:
    another_doctor(connection)
    book(connection, appointment(1, 0, 20, slot=1))
    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        connection.execute(f"update scheduling.appointments set {change}".encode())
    assert (refused.value.diag.table_name, refused.value.diag.constraint_name) == ("appointments", ON_ANOTHERS)


def test_b1_an_appointment_goes_to_another_doctor_with_the_slot(connection: psycopg.Connection) -> None:
    another_doctor(connection)
    book(connection, appointment(1, 0, 20, slot=1))
    moved = connection.execute("update scheduling.appointments set doctor_id = 2, availability_slot_id = 3")
    assert moved.rowcount == 1


def test_b1_a_slot_is_not_given_to_another_doctor(connection: psycopg.Connection) -> None:
    another_doctor(connection)
    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        connection.execute("update scheduling.availability_slots set doctor_id = 2 where id = 1")
    diagnosis = refused.value.diag
    assert (diagnosis.schema_name, diagnosis.table_name) == ("scheduling", "availability_slots")
    assert diagnosis.constraint_name == "a_slot_stays_its_doctors"


def test_b1_an_appointment_that_is_moved_to_a_slot_shares_that_one(connection: psycopg.Connection) -> None:
    share(connection)
    book(connection, appointment(1, 0, 20, slot=1), appointment(2, 20, 40))
    move = "availability_slot_id = 1, slot_start_at = %s, start_at = %s, end_at = %s where id = 2"
    moved = connection.execute(f"update scheduling.appointments set {move}".encode(), (at(0), at(0), at(20)))
    assert moved.rowcount == 1


def test_a_deleted_offering_takes_its_slots_and_appointments_along(connection: psycopg.Connection) -> None:
    share(connection)
    book(connection, appointment(1, 0, 20, slot=1), appointment(2, 0, 20, slot=1))
    connection.execute("set local role scheduler_system")
    connection.execute("delete from scheduling.service_offerings")
    assert slots_of(connection) == []


def test_a_deleted_patient_takes_appointments_and_their_steps_along(connection: psycopg.Connection) -> None:
    book(connection, appointment(1, 0, 20, slot=1), appointment(2, 20, 40) | {"rescheduled_from": 1})
    insert(connection, "scheduling.appointment_steps", all_rows(OURS)["scheduling.appointment_steps"])
    connection.execute("set local role scheduler_system")
    connection.execute("delete from scheduling.patients")
    remaining = connection.execute(
        "select from scheduling.appointments union all select from scheduling.appointment_steps"
    )
    assert remaining.fetchall() == []


def test_a_deleted_user_leaves_the_appointments_booked_and_changed(connection: psycopg.Connection) -> None:
    book(connection, appointment(1, 0, 20) | {"booked_by": key(OURS, "identity.users")})
    become(connection, Role.SYSTEM, OURS)  # no other role deletes a user for good
    connection.execute("delete from identity.users")
    query = "select tenant_id, booked_by, updated_by from scheduling.appointments"
    assert connection.execute(query.encode()).fetchall() == [(OURS, None, None)]


def test_b4_an_appointment_is_rescheduled_once(connection: psycopg.Connection) -> None:
    book(connection, appointment(1, 0, 20), appointment(2, 20, 40) | {"rescheduled_from": 1})
    assert refuses(connection, appointment(3, 40, 60) | {"rescheduled_from": 1}) == "an_appointment_is_rescheduled_once"


def retire_slot(database: Database, database_url: str, change: Row) -> tuple[int, list[tuple[object, ...]]]:
    """Have the job retire slot 1 of an appointment; return the number retired, and the slot of the appointment."""
    tenant = uuid4()
    row = appointment(1, 0, 20, tenant=tenant, slot=1) | change
    plan = Plan(retire=(StoredSlot(1, Slot(at(0), at(20), 1, 1, 1), SlotStatus.OPEN),))
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(MONTHS)
        clinic(connection, tenant)
        book(connection, row)
        with database.unit_of_work(role=Role.JOB, tenant_id=tenant) as session:
            retired = apply_plan(session, plan, now=at(-60)).retired
        query = "select tenant_id = %s, availability_slot_id from scheduling.appointments where tenant_id = %s"
        return retired, connection.execute(query, (tenant, tenant)).fetchall()


def test_the_job_retires_the_slot_of_a_cancelled_appointment(database: Database, database_url: str) -> None:
    assert retire_slot(database, database_url, {"status": "cancelled"}) == (1, [(True, None)])


def test_r2_the_job_keeps_a_slot_with_an_appointment(database: Database, database_url: str) -> None:
    assert retire_slot(database, database_url, {}) == (0, [(True, 1)])


def promise_of(connection: psycopg.Connection, change: str = "") -> tuple[datetime, str]:
    """Return the promised time of appointment 1, after a change."""
    if change:
        connection.execute(f"update scheduling.appointments set {change} where id = 1".encode())
    query = "select local_start, zone from scheduling.appointments where id = 1"
    (promise,) = connection.execute(query.encode())
    return promise


HOUR = "interval '1 hour'"
LATER = f"start_at = start_at + {HOUR}, end_at = end_at + {HOUR}"


def test_t6_a_booking_keeps_the_wall_time_that_was_promised(connection: psycopg.Connection) -> None:
    """The clinic is in Newfoundland, three and a half hours behind UTC in winter."""
    half_past_five = datetime(2027, 3, 1, 5, 30)
    book(connection, appointment(1, 0, 20))
    assert promise_of(connection) == (half_past_five, "America/St_Johns")
    connection.execute("update scheduling.facilities set timezone = 'America/Halifax'")
    assert promise_of(connection, "status = 'checked_in'") == (half_past_five, "America/St_Johns")
    assert promise_of(connection, LATER) == (datetime(2027, 3, 1, 6), "America/Halifax")
    given = "local_start = '2027-03-01 07:30', zone = 'America/St_Johns'"
    assert promise_of(connection, f"{LATER}, {given}") == (datetime(2027, 3, 1, 7, 30), "America/St_Johns")
    assert promise_of(connection, "local_start = null, zone = null") == (datetime(2027, 3, 1, 7), "America/Halifax")


def test_t6_a_promise_that_is_given_is_not_replaced(connection: psycopg.Connection) -> None:
    given = {"local_start": datetime(2027, 3, 1, 10), "zone": "Europe/Berlin"}
    book(connection, appointment(1, 0, 20) | given)
    assert promise_of(connection) == (given["local_start"], given["zone"])


def test_the_job_reads_the_times_of_appointments_and_no_patient(connection: psycopg.Connection) -> None:
    become(connection, Role.JOB, OURS)
    readable = connection.execute("""
        select array_agg(attname::text order by attnum) from pg_attribute
        where attrelid = 'scheduling.appointments'::regclass and attnum > 0
            and has_column_privilege(attrelid, attname, 'select')
    """).fetchall()
    times = ["start_at", "end_at", "local_start", "zone", "status"]
    slot = ["availability_slot_id", "slot_start_at"]
    assert readable == [(["tenant_id", "id", "facility_id", "doctor_id", *slot, *times, "created_at"],)]
