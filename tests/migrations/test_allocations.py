"""Allocations: what visits take of doctors, resources and slots follows from them, whoever writes them (B1, W7)."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from queue import Queue
from threading import Barrier
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from scheduler.core.lifecycle import AppointmentStatus, StepStatus
from scheduler.postgres.database import Role
from support.databases import execute
from support.roles import become
from support.rows import insert
from support.rows.all_domains import MONTHS, all_rows
from support.waiting import Act, after_waiting
from support.worlds.appointments import (
    DOCTOR,
    DOCTOR_TAKEN,
    FULL,
    NURSE,
    OURS,
    PREPARED,
    RESOURCE_TAKEN,
    add_steps,
    appointment,
    at,
    book,
    clinic,
    refusal,
    step,
    taken,
    use,
    workflow,
)
from support.worlds.writers import ACTS, WRONG, Writer, add_second_doctor

pytestmark = pytest.mark.database


@pytest.fixture(scope="module")
def opened(database_url: str) -> Iterator[psycopg.Connection]:
    """A transaction that is rolled back, with a clinic without appointments."""
    execute(database_url, MONTHS)
    with psycopg.connect(database_url) as connection:
        clinic(connection, OURS)
        workflow(connection, OURS)
        yield connection
        connection.rollback()


@pytest.fixture
def connection(opened: psycopg.Connection) -> Iterator[psycopg.Connection]:
    """A user of the clinic, whose changes are rolled back."""
    with opened.transaction(force_rollback=True):
        become(opened, Role.APP, OURS)
        yield opened


def infusion(connection: psycopg.Connection) -> None:
    """Write a visit of 100 minutes: the doctor, a nurse in room 1, and the doctor again."""
    book(connection, appointment(1, 0, 100))
    add_steps(
        connection,
        step(101, DOCTOR, 0, 10),
        step(102, NURSE, 10, 90),
        step(103, DOCTOR, 90, 100),
    )
    use(connection, 102, 1)


def change(connection: psycopg.Connection, changes: str, where: str = "id = 1", of: str = "appointments") -> None:
    connection.execute(f"update scheduling.{of} set {changes} where {where}".encode())


def slot(connection: psycopg.Connection, id_: int = 1) -> tuple[int, str]:
    """Return the booked places and the status of a slot."""
    query = "select booked_count, status from scheduling.availability_slots where tenant_id = %s and id = %s"
    (row,) = connection.execute(query, (OURS, id_)).fetchall()
    return row


def test_b1_a_doctor_is_free_while_a_patient_is_with_a_nurse(connection: psycopg.Connection) -> None:
    infusion(connection)
    assert taken(connection) == [("doctor 1", 0, 10), ("room 1", 10, 90), ("doctor 1", 90, 100)]
    assert refusal(connection, lambda: book(connection, appointment(2, 10, 90))) is None
    assert refusal(connection, lambda: book(connection, appointment(3, 95, 105))) == DOCTOR_TAKEN


def test_b1_buffers_lie_once_around_all_uses_of_the_doctor(connection: psycopg.Connection) -> None:
    change(connection, "buffer_before_minutes = 5, buffer_after_minutes = 15", of="service_offerings")
    infusion(connection)
    assert taken(connection) == [("doctor 1", -5, 10), ("room 1", 10, 90), ("doctor 1", 90, 115)]


def test_w2_preparation_takes_the_resource_of_its_step(connection: psycopg.Connection) -> None:
    book(connection, appointment(1, 0, 60))
    add_steps(connection, step(101, DOCTOR, 0, 10), step(102, PREPARED, 20, 60))
    use(connection, 102, 1)
    assert taken(connection) == [("doctor 1", 0, 10), ("room 1", 10, 60)]


def test_w7_a_resource_is_used_once_at_a_time(connection: psycopg.Connection) -> None:
    infusion(connection)
    book(connection, appointment(2, 10, 90))
    add_steps(connection, step(201, NURSE, 85, 95))
    assert refusal(connection, lambda: use(connection, 201, 1)) == RESOURCE_TAKEN
    use(connection, 201, 2)
    moved = "scheduled_start_at = %s, scheduled_end_at = %s"
    connection.execute(f"update scheduling.appointment_steps set {moved} where id = 102".encode(), (at(10), at(85)))
    connection.execute("delete from scheduling.appointment_step_resources where appointment_step_id = 201")
    use(connection, 201, 1)
    assert ("room 1", 85, 95) in taken(connection, 2)


@pytest.mark.parametrize("status", StepStatus)
def test_w7_a_step_holds_its_resource_until_it_is_over(connection: psycopg.Connection, status: str) -> None:
    infusion(connection)
    change(connection, f"status = '{status}'", "id in (101, 102)", "appointment_steps")
    over = {"completed", "cancelled", "no_show"}
    assert (("room 1", 10, 90) in taken(connection)) == (status not in over)
    assert (("doctor 1", 0, 10) in taken(connection)) == (status not in over - {"completed"})


def test_b1_an_appointment_whose_steps_are_deleted_takes_all_its_time(connection: psycopg.Connection) -> None:
    infusion(connection)
    connection.execute("delete from scheduling.appointment_steps")
    assert taken(connection) == [("doctor 1", 0, 100)]


@pytest.mark.parametrize("status", AppointmentStatus)
def test_b1_a_visit_takes_doctor_and_rooms_unless_it_is_off(connection: psycopg.Connection, status: str) -> None:
    infusion(connection)
    before = taken(connection)
    change(connection, f"status = '{status}'")
    assert taken(connection) == ([] if status in {"cancelled", "no_show"} else before)
    change(connection, "status = 'scheduled'")
    assert taken(connection) == before


def test_b5_a_no_show_is_not_undone_if_its_room_was_given_away(connection: psycopg.Connection) -> None:
    infusion(connection)
    change(connection, "status = 'no_show'")
    book(connection, appointment(2, 10, 90))
    add_steps(connection, step(201, NURSE, 20, 30))
    use(connection, 201, 1)
    assert refusal(connection, lambda: change(connection, "status = 'scheduled'")) == RESOURCE_TAKEN
    assert taken(connection) == []


def test_b1_a_patient_has_one_live_appointment_at_a_time(connection: psycopg.Connection) -> None:
    insert(connection, "scheduling.doctors", all_rows(OURS)["scheduling.doctors"] | {"id": 2, "user_id": None})
    book(connection, appointment(1, 0, 20))
    with_another = appointment(2, 19, 40) | {"patient_id": 1, "doctor_id": 2}
    assert refusal(connection, lambda: book(connection, with_another)) == "a_patient_has_one_appointment_at_a_time"
    change(connection, "status = 'completed'")
    assert refusal(connection, lambda: book(connection, with_another)) is None


def test_b1_a_visit_between_the_uses_of_the_doctor_may_come_first(connection: psycopg.Connection) -> None:
    book(connection, appointment(2, 20, 40))
    assert refusal(connection, lambda: infusion(connection)) == DOCTOR_TAKEN

    def deferred(minute: float) -> None:
        connection.execute("set constraints all deferred")
        book(connection, appointment(1, 0, 100))
        add_steps(connection, step(101, DOCTOR, 0, 10), step(102, NURSE, 10, minute), step(103, DOCTOR, minute, 100))
        connection.execute("set constraints all immediate")

    assert refusal(connection, lambda: deferred(30)) == DOCTOR_TAKEN
    assert refusal(connection, lambda: deferred(40)) is None


def test_b1_a_slot_counts_its_appointments(connection: psycopg.Connection) -> None:
    assert slot(connection) == (0, "open")
    book(connection, appointment(1, 0, 20, slot=1))
    assert slot(connection) == (1, "booked")
    there = "availability_slot_id = 2, slot_start_at = start_at + interval '10 minutes'"
    change(connection, f"{there}, end_at = end_at + interval '10 minutes'")
    assert (slot(connection), slot(connection, 2)) == ((0, "open"), (1, "booked"))
    change(connection, "status = 'no_show'")
    assert slot(connection, 2) == (0, "open")
    change(connection, "status = 'scheduled'")
    assert slot(connection, 2) == (1, "booked")
    connection.execute("delete from scheduling.appointments")
    assert slot(connection, 2) == (0, "open")


def test_b1_a_slot_is_booked_when_all_its_places_are(connection: psycopg.Connection) -> None:
    change(connection, "capacity = 2", of="availability_slots")
    book(connection, appointment(1, 0, 20, slot=1))
    assert slot(connection) == (1, "open")
    book(connection, appointment(2, 0, 20, slot=1))
    assert slot(connection) == (2, "booked")
    change(connection, "capacity = 3", of="availability_slots")
    assert slot(connection) == (2, "open")
    change(connection, "capacity = 2", of="availability_slots")
    assert slot(connection) == (2, "booked")


def test_b1_no_more_than_the_places_of_a_slot_are_booked_at_once(connection: psycopg.Connection) -> None:
    change(connection, "capacity = 2", of="availability_slots")
    book(connection, *[appointment(number, number * 100, number * 100 + 20) for number in (1, 2, 3)])
    together = f"availability_slot_id = 1, slot_start_at = '{at(0)}', start_at = '{at(0)}', end_at = '{at(20)}'"
    assert refusal(connection, lambda: change(connection, together, "id in (1, 2, 3)")) == FULL
    assert slot(connection) == (0, "open")
    change(connection, together, "id in (1, 2)")
    assert slot(connection) == (2, "booked")


BEYOND = "a_doctor_is_shared_within_the_slot"
EXCEEDS = {"override_rules": ["places"], "override_reason": "urgent"}
NO_OVERRIDE = "override_rules = '{}', override_reason = null"


def test_b8_sql_exceeds_the_places_of_a_slot_by_an_override_only(connection: psycopg.Connection) -> None:
    book(connection, appointment(1, 0, 20, slot=1))
    extra = appointment(2, 0, 10, slot=1)
    assert refusal(connection, lambda: book(connection, extra)) == FULL
    assert refusal(connection, lambda: book(connection, extra | EXCEEDS | {"override_rules": ["cap", "hours"]})) == FULL
    assert refusal(connection, lambda: book(connection, extra | EXCEEDS | {"end_at": at(25)})) == BEYOND
    book(connection, extra | EXCEEDS)
    assert slot(connection) == (1, "booked")
    assert taken(connection) == [("doctor 1", 0, 20)]
    assert taken(connection, 2) == [("doctor 1", 0, 10)]
    assert refusal(connection, lambda: book(connection, appointment(3, 5, 15))) == DOCTOR_TAKEN
    assert refusal(connection, lambda: book(connection, appointment(3, 0, 20, slot=1))) == FULL
    assert refusal(connection, lambda: change(connection, NO_OVERRIDE, "id = 2")) == FULL
    change(connection, f"end_at = '{at(15)}'")  # the first visit goes on sharing the doctor
    change(connection, "status = 'checked_in'", "id = 2")
    change(connection, "status = 'cancelled'")
    assert slot(connection) == (1, "booked")
    change(connection, NO_OVERRIDE, "id = 2")
    change(connection, "status = 'cancelled'", "id = 2")
    assert slot(connection) == (0, "open")


def test_b8_a_visit_beyond_the_places_gets_one_when_there_are_more(connection: psycopg.Connection) -> None:
    book(connection, appointment(1, 0, 20, slot=1), appointment(2, 0, 20, slot=1) | EXCEEDS)
    change(connection, "capacity = 3", of="availability_slots")
    assert slot(connection) == (2, "open")
    fewer = refusal(connection, lambda: change(connection, "capacity = 1", of="availability_slots"))
    assert fewer == FULL
    change(connection, "capacity = 2", of="availability_slots")
    assert slot(connection) == (2, "booked")


def test_b8_a_no_show_is_undone_beside_a_visit_beyond_the_places(connection: psycopg.Connection) -> None:
    no_show, back = "status = 'no_show'", "status = 'scheduled'"
    book(connection, appointment(1, 0, 20, slot=1), appointment(2, 0, 20, slot=1) | EXCEEDS)
    for number in (1, 2):
        change(connection, no_show, f"id = {number}")
        assert slot(connection) == (1, "booked")
        change(connection, back, f"id = {number}")
        assert slot(connection) == (1, "booked")
        assert taken(connection, number) == [("doctor 1", 0, 20)]
    change(connection, no_show, "id in (1, 2)")
    book(connection, appointment(3, 0, 20, slot=1))
    assert refusal(connection, lambda: change(connection, back)) == FULL
    assert refusal(connection, lambda: change(connection, back, "id = 2")) is None


def test_b8_a_reopened_slot_counts_the_visits_beyond_its_places(connection: psycopg.Connection) -> None:
    book(connection, appointment(1, 0, 20, slot=1), appointment(2, 0, 20, slot=1) | EXCEEDS)
    for capacity, counted in ((3, (2, "open")), (2, (2, "booked"))):
        change(connection, "status = 'cancelled'", "id = 1", of="availability_slots")
        change(connection, f"capacity = {capacity}", "id = 1", of="availability_slots")
        assert slot(connection) == (2, "cancelled")
        change(connection, "status = 'open'", "id = 1", of="availability_slots")
        assert slot(connection) == counted


def test_r2_a_slot_that_was_cancelled_stays_cancelled(connection: psycopg.Connection) -> None:
    book(connection, appointment(1, 0, 20, slot=1))
    change(connection, "status = 'cancelled'", of="availability_slots")
    change(connection, "status = 'checked_in'")  # the visit that sits on it goes on
    assert slot(connection) == (1, "cancelled")
    change(connection, "status = 'no_show'")
    assert slot(connection) == (0, "cancelled")


def test_b1_no_appointment_comes_onto_a_cancelled_slot(connection: psycopg.Connection) -> None:
    book(connection, appointment(1, 0, 20, slot=1) | {"status": "no_show"}, appointment(2, 30, 50))
    change(connection, "status = 'cancelled'", "id = 1", of="availability_slots")
    onto_it = f"availability_slot_id = 1, slot_start_at = '{at(0)}', start_at = '{at(0)}', end_at = '{at(20)}'"
    for act in (
        lambda: book(connection, appointment(3, 0, 20, slot=1)),
        lambda: change(connection, onto_it, "id = 2"),
        lambda: change(connection, "status = 'scheduled'", "id = 1"),
    ):
        assert refusal(connection, act) == "a_cancelled_slot_takes_no_visit"
    change(connection, "status = 'open'", "id = 1", of="availability_slots")
    assert refusal(connection, lambda: change(connection, "status = 'scheduled'", "id = 1")) is None


def test_b2_a_held_slot_that_is_booked_is_open_after_the_cancellation(connection: psycopg.Connection) -> None:
    held = f"status = 'reserved', reserved_until = '{at(0)}'"
    change(connection, held, of="availability_slots")
    book(connection, appointment(1, 0, 20, slot=1))
    assert slot(connection) == (1, "booked")
    change(connection, "status = 'cancelled'")
    assert slot(connection) == (0, "open")


def test_b1_a_visit_whose_steps_are_all_cancelled_takes_all_its_time(connection: psycopg.Connection) -> None:
    infusion(connection)
    change(connection, "status = 'cancelled'", "appointment_id = 1", "appointment_steps")
    assert taken(connection) == [("doctor 1", 0, 100)]


def test_b1_a_step_that_is_restored_under_another_id_takes_time(connection: psycopg.Connection) -> None:
    infusion(connection)
    change(connection, "status = 'cancelled'", "id = 103", "appointment_steps")
    book(connection, appointment(2, 95, 105))
    revive = "id = 1103, status = 'scheduled'"
    assert refusal(connection, lambda: change(connection, revive, "id = 103", "appointment_steps")) == DOCTOR_TAKEN


def test_b1_a_visit_that_leaves_its_shared_slot_shares_no_more(connection: psycopg.Connection) -> None:
    change(connection, "capacity = 2", of="availability_slots")
    book(connection, appointment(1, 0, 20, slot=1), appointment(2, 0, 20, slot=1))
    leave = "availability_slot_id = null, slot_start_at = null"
    assert refusal(connection, lambda: change(connection, leave)) == DOCTOR_TAKEN
    change(connection, "status = 'cancelled'", "id = 2")
    change(connection, leave)
    assert refusal(connection, lambda: book(connection, appointment(3, 0, 20, slot=1))) == DOCTOR_TAKEN


def test_b1_an_appointment_does_not_move_without_its_steps(connection: psycopg.Connection) -> None:
    infusion(connection)
    later = "start_at = start_at + '1 day'::interval, end_at = end_at + '1 day'::interval"

    def moved() -> None:
        change(connection, later)
        connection.execute("set constraints all immediate")

    assert refusal(connection, moved) == "the_steps_of_an_appointment_lie_within_it"
    connection.execute("delete from scheduling.appointment_steps")
    assert refusal(connection, moved) is None


def test_w5_a_step_is_completed_after_buffers_have_grown(connection: psycopg.Connection) -> None:
    infusion(connection)
    book(connection, appointment(2, 100, 120))
    change(connection, "buffer_after_minutes = 15", of="service_offerings")
    change(connection, "status = 'completed'", "id = 102", "appointment_steps")
    assert taken(connection) == [("doctor 1", 0, 10), ("doctor 1", 90, 100)]


def test_w7_a_resource_in_use_stays_the_same_person(connection: psycopg.Connection) -> None:
    infusion(connection)
    person = "a_resource_in_use_stays_the_same_person"
    assert refusal(connection, lambda: change(connection, "doctor_id = 1", "id = 1", "resources")) == person
    change(connection, "status = 'cancelled'")
    assert refusal(connection, lambda: change(connection, "doctor_id = 1", "id = 1", "resources")) is None
    twice = "a_doctor_is_one_resource_of_a_facility"
    assert refusal(connection, lambda: change(connection, "doctor_id = 1", "id = 2", "resources")) == twice


def test_b1_nobody_writes_the_count_of_a_slot(connection: psycopg.Connection) -> None:
    book(connection, appointment(1, 0, 20, slot=1))
    count = "a_slot_counts_its_appointments"
    assert refusal(connection, lambda: change(connection, "booked_count = 0", of="availability_slots")) == count


@pytest.fixture
def tenant(database_url: str) -> UUID:
    """A clinic that other connections see."""
    ours = uuid4()
    with psycopg.connect(database_url) as opened:
        opened.execute(MONTHS)
        clinic(opened, ours)
        need = all_rows(ours)["scheduling.workflow_step_needs"] | {"kind": "doctor", "quantity": 1}
        insert(opened, "scheduling.workflow_step_needs", need)
    return ours


def booking(tenant: UUID, number: int, begin: float = 0, **columns: Any) -> Act:
    row = appointment(number, begin, begin + 20, tenant=tenant) | columns
    return lambda own: book(own, row)


def run(statement: str, tenant: UUID) -> Act:
    return lambda own: own.execute(statement.encode(), {"tenant": tenant})


def commit(url: str, act: Act) -> None:
    with psycopg.connect(url) as own:
        act(own)


def second_doctor(tenant: UUID) -> Act:
    row = all_rows(tenant)["scheduling.doctors"] | {"id": 2, "user_id": None}
    return lambda own: insert(own, "scheduling.doctors", row)


SLOT_1: dict[str, Any] = {"availability_slot_id": 1, "slot_start_at": at(0)}
OF = "where tenant_id = %(tenant)s and id = 1"
CANCEL = f"update scheduling.appointments set status = 'cancelled' {OF}"


def test_b1_a_doctor_is_locked_before_time_is_taken(database_url: str, tenant: UUID) -> None:
    waited = after_waiting(database_url, booking(tenant, 1), booking(tenant, 2, 10))
    assert waited == ("scheduling.doctors", DOCTOR_TAKEN, None)


def test_b1_a_patient_is_locked_before_time_is_taken(database_url: str, tenant: UUID) -> None:
    """Otherwise two inserts would wait for each other in the exclusion constraint."""
    commit(database_url, second_doctor(tenant))
    with_another = booking(tenant, 2, 10, doctor_id=2, patient_id=1)
    waited = after_waiting(database_url, booking(tenant, 1), with_another)
    assert waited == ("scheduling.patients", "a_patient_has_one_appointment_at_a_time", None)


def test_b1_the_last_place_of_a_slot_is_taken_once(database_url: str, tenant: UUID) -> None:
    waited = after_waiting(database_url, booking(tenant, 1, **SLOT_1), booking(tenant, 2, **SLOT_1))
    assert waited == ("scheduling.doctors", FULL, None)


def test_b1_a_place_that_is_given_back_meanwhile_is_free(database_url: str, tenant: UUID) -> None:
    commit(database_url, booking(tenant, 1, **SLOT_1))
    waited = after_waiting(database_url, run(CANCEL, tenant), booking(tenant, 2, **SLOT_1))
    assert waited == ("scheduling.availability_slots_2027_03", None, None)


def test_b1_a_cancellation_waits_before_its_row_changes(database_url: str, tenant: UUID) -> None:
    """The holder of the slot books the same patient: it would wait for a changed row, and both for ever."""
    commit(database_url, booking(tenant, 1, **SLOT_1))
    hold = run(f"select from scheduling.availability_slots {OF} for no key update", tenant)
    again = booking(tenant, 2, 10, patient_id=1)
    waited = after_waiting(database_url, hold, run(CANCEL, tenant), again)
    assert waited == ("scheduling.availability_slots_2027_03", None, "a_patient_has_one_appointment_at_a_time")


@pytest.mark.parametrize(
    "change",
    [
        "update scheduling.appointment_steps set scheduled_end_at = scheduled_end_at - '1 minute'::interval",
        "delete from scheduling.appointment_steps",
    ],
    ids=["moved", "deleted"],
)
def test_b1_a_changed_step_waits_before_its_allocation_goes(database_url: str, tenant: UUID, change: str) -> None:
    """The holder of the doctor books time that the visit has: it would wait for a deleted allocation."""
    commit(database_url, booking(tenant, 1))
    row = step(101, DOCTOR, 0, 20, tenant=tenant)
    commit(database_url, lambda own: add_steps(own, row))
    hold = run(f"select from scheduling.doctors {OF} for no key update", tenant)
    later = run(f"{change} where tenant_id = %(tenant)s", tenant)
    waited = after_waiting(database_url, hold, later, booking(tenant, 2, 10))
    assert waited == ("scheduling.doctors", None, DOCTOR_TAKEN)


def test_b1_a_step_that_waits_for_its_visit_follows_its_move(database_url: str, tenant: UUID) -> None:
    commit(database_url, second_doctor(tenant))
    commit(database_url, booking(tenant, 1))
    move = run(f"update scheduling.appointments set doctor_id = 2 {OF}", tenant)
    row = step(101, DOCTOR, 0, 10, tenant=tenant)
    assert after_waiting(database_url, move, lambda own: add_steps(own, row))[1:] == (None, None)
    with psycopg.connect(database_url) as own:
        query = "select doctor_id, end_at from scheduling.allocations where tenant_id = %s"
        assert own.execute(query, (tenant,)).fetchall() == [(2, at(10))]


def test_b1_random_writers_leave_no_overlap_and_right_counts(database_url: str, tenant: UUID) -> None:
    """Six write visits and holds; whoever is refused changes nothing, and nobody meets a deadlock.

    They write until each kind of change has been admitted once, at the least.
    """
    seeds, together = [12 + number / 6 for number in range(6)], Barrier(6)
    unexpected, changed = Queue[str](), set[str]()
    commit(database_url, lambda own: add_second_doctor(own, tenant))

    def write(seed: float) -> None:
        with psycopg.connect(database_url, autocommit=True) as own:
            writer = Writer(own, tenant, seed)
            together.wait(30)
            for turn in range(800):
                if turn >= 80 and changed == {*ACTS}:
                    break
                act = writer.choose()
                try:
                    with suppress(psycopg.errors.IntegrityError), own.transaction():
                        if writer.do(act):
                            changed.add(act)
                except psycopg.Error as error:
                    unexpected.put(f"{act}: {error}")

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(write, seeds))
    assert list(unexpected.queue) == []
    assert changed == {*ACTS}
    with psycopg.connect(database_url) as own:
        found = {name: own.execute(query.encode(), {"tenant": tenant}).fetchall() for name, query in WRONG.items()}
    assert found == {name: [] for name in WRONG}
