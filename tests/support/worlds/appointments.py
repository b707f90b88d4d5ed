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
_EMPTY: Final = {
    "scheduling.allocations",
    "scheduling.appointments",
    "scheduling.appointment_steps",
    "scheduling.appointment_step_resources",
    "scheduling.holds",
    "scheduling.booking_requests",
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
