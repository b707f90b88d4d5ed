"""World of a clinic with two slots of one place, ten patients and no appointment.

Minutes count from 09:00. Slot 1 lasts from 0 to 20, slot 2 from 10 to 30.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID, uuid4

import psycopg

from support.rows import Row, insert
from support.rows.all_domains import all_rows

OURS: Final = uuid4()
NINE: Final = datetime(2027, 3, 1, 9, tzinfo=UTC)
DOCTOR_TAKEN: Final = "a_doctor_is_taken_once_at_a_time"
RESOURCE_TAKEN: Final = "a_resource_is_taken_once_at_a_time"
FULL: Final = "a_slot_is_booked_within_its_capacity"
DOCTOR, NURSE, PREPARED = 1, 2, 3
"""Steps of the workflow: with the doctor, with a nurse alone, and with a nurse who prepares for ten minutes."""
_EMPTY: Final = {
    "scheduling.allocations",
    "scheduling.appointments",
    "scheduling.appointment_steps",
    "scheduling.appointment_step_resources",
    "scheduling.figure_changes",
    "scheduling.figure_states",
    "scheduling.holds",
    "scheduling.resource_figure_sums",
    "scheduling.booking_requests",
    "scheduling.doctor_figure_sums",
    "scheduling.event_counters",
    "scheduling.events",
    "scheduling.waitlist_entries",
}
_HOLDING_ON: Final = {"placement.contributors", "placement.form_field_contributions", "wellbeing.invitations"}
"""Tables whose rows keep a user from being deleted."""


def at(minute: float) -> datetime:
    return NINE + timedelta(minutes=minute)


def appointment(number: int, begin: float, end: float, *, tenant: UUID = OURS, slot: int | None = None) -> Row:
    """Return an appointment of the patient with that number, on a slot or on none."""
    times: Row = {"start_at": at(begin), "end_at": at(end), "patient_id": number, "status": "scheduled"}
    starts = {None: None, 1: at(0), 2: at(10)}
    on: Row = {"availability_slot_id": slot, "slot_start_at": starts[slot], "booked_by": None}
    promise = {"local_start": None, "zone": None}
    return all_rows(tenant)["scheduling.appointments"] | times | on | promise | {"id": number}


def clinic(connection: psycopg.Connection, tenant: UUID) -> None:
    """Write a tenant with everything that an appointment needs, and no appointment."""
    for table, row in all_rows(tenant).items():
        if table not in _EMPTY | _HOLDING_ON:
            insert(connection, table, row)
    slot = all_rows(tenant)["scheduling.availability_slots"]
    insert(connection, "scheduling.availability_slots", slot | {"id": 2, "start_at": at(10), "end_at": at(30)})
    for number in range(2, 11):
        insert(connection, "scheduling.patients", all_rows(tenant)["scheduling.patients"] | {"id": number})


def refusal(connection: psycopg.Connection, act: Callable[[], object]) -> str | None:
    """Return the name of the constraint that refuses an act, or None; a refused act is rolled back."""
    try:
        with connection.transaction():
            act()
    except psycopg.errors.IntegrityError as refused:
        return refused.diag.constraint_name
    return None


def book(connection: psycopg.Connection, *rows: Row) -> None:
    """Write appointments, one after another."""
    for row in rows:
        insert(connection, "scheduling.appointments", row)


def workflow(connection: psycopg.Connection, tenant: UUID) -> None:
    """Write the steps NURSE and PREPARED, and room 2."""
    step = all_rows(tenant)["scheduling.workflow_steps"] | {"requires_preparation": True}
    need = all_rows(tenant)["scheduling.workflow_step_needs"] | {"quantity": 1, "same_as_position": None}
    insert(connection, "scheduling.workflow_step_needs", need | {"workflow_step_id": DOCTOR, "kind": "doctor"})
    for id_, meta in {NURSE: None, PREPARED: '{"preparation_minutes": 10}'}.items():
        insert(connection, "scheduling.workflow_steps", step | {"id": id_, "position": id_, "meta": meta})
        insert(connection, "scheduling.workflow_step_needs", need | {"workflow_step_id": id_, "kind": "nurse"})
    insert(connection, "scheduling.resources", all_rows(tenant)["scheduling.resources"] | {"id": 2, "name": "Room 2"})


def step(number: int, kind: int, begin: float, end: float, *, tenant: UUID = OURS) -> Row:
    """Return a step; its hundreds are its appointment."""
    times: Row = {"scheduled_start_at": at(begin), "scheduled_end_at": at(end)}
    of: Row = {"appointment_id": number // 100, "position": number % 100, "workflow_step_id": kind}
    base = all_rows(tenant)["scheduling.appointment_steps"] | {"id": number}
    return base | of | times


def add_steps(connection: psycopg.Connection, *rows: Row) -> None:
    for row in rows:
        insert(connection, "scheduling.appointment_steps", row)


def use(connection: psycopg.Connection, number: int, *resources: int, tenant: UUID = OURS) -> None:
    """Let a step use resources."""
    for resource in resources:
        row: Row = {"tenant_id": tenant, "appointment_step_id": number, "resource_id": resource}
        insert(connection, "scheduling.appointment_step_resources", row)


def taken(
    connection: psycopg.Connection, number: int = 1, *, hold: int | None = None
) -> list[tuple[str, float, float]]:
    """Return what an appointment or a hold takes: doctor or room, with the minutes from and until."""
    of, id_ = ("appointment_id", number) if hold is None else ("hold_id", hold)
    return [
        (by, (begin - at(0)).total_seconds() / 60, (end - at(0)).total_seconds() / 60)
        for by, begin, end in connection.execute(
            "select coalesce('doctor ' || doctor_id, 'room ' || resource_id), start_at, end_at"
            f" from scheduling.allocations where tenant_id = %s and {of} = %s order by start_at, 1".encode(),
            (OURS, id_),
        )
    ]
