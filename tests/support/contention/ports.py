"""Ports: a desk as workers ask it, by name of the operation, and a desk of plain SQL (B1).

Owns: the port, and the SQL that books, moves and cancels without the front door.
Must not know: workers, histories.

Plain SQL is what a host writes that knows the tables of appointments alone. The triggers guard it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, Protocol

import psycopg

from scheduler.postgres.database import Role
from support.contention.history import RefusedError, UnknownOutcomeError, Value
from support.contention.hot_clinic import HotClinic, HotSlot
from support.roles import become


class Port(Protocol):
    """A connection of one worker to a desk."""

    def perform(self, f: str, value: Value) -> Value:
        """Perform an operation of the sequential model, and return the answer.

        Raises:
            RefusedError: the desk refuses.
            UnknownOutcomeError: the connection broke.
        """

    def close(self) -> None:
        """Close the connection."""


class SqlPort:
    """A desk of plain SQL as the application's role."""

    def __init__(self, url: str, clinic: HotClinic) -> None:
        self._connection = psycopg.connect(url)
        self._clinic = clinic

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def perform(self, f: str, value: Value) -> Value:
        """Perform an operation as a transaction of its own."""
        perform = {"book": self._book, "cancel": self._cancel, "reschedule": self._reschedule, "read": self._read}[f]
        with refusals(), self._connection.transaction():
            become(self._connection, Role.APP, self._clinic.tenant)
            return perform(value)

    def _book(self, value: Value) -> Value:
        slot = self._clinic.slots[value["slot"]]
        visit = self._value_of(_BOOK, self._given(slot) | {"patient": self._clinic.patients[value["patient"]]})
        if slot.room is not None:
            self._add_step(visit, slot)
        return {"visit": str(visit)}

    def _reschedule(self, value: Value) -> Value:
        slot = self._clinic.slots[value["slot"]]
        # Between the two statements, the step is with the new doctor at the former time.
        self._connection.execute("set constraints all deferred")
        given = self._given(slot) | {"visit": value["visit"]}
        if self._connection.execute(_MOVE, given).rowcount == 0:
            raise RefusedError("gone")
        self._connection.execute(_MOVE_STEP, given)
        self._connection.execute("set constraints all immediate")
        return {"visit": value["visit"]}

    def _cancel(self, value: Value) -> Value:
        given = {"tenant": self._clinic.tenant, "visit": value["visit"]}
        if self._connection.execute(_CANCEL, given).rowcount == 0:
            raise RefusedError("gone")
        return {}

    def _read(self, value: Value) -> Value:  # noqa: ARG002  # it has none
        return {"visits": self._clinic.visits(self._connection)}

    def _add_step(self, visit: int, slot: HotSlot) -> None:
        given = self._given(slot) | {"visit": visit, "room": slot.room}
        self._connection.execute(_USE_ROOM, given | {"step": self._value_of(_ADD_STEP, given)})

    def _given(self, slot: HotSlot) -> Value:
        return slot._asdict() | {"tenant": self._clinic.tenant, "facility": self._clinic.facility}

    def _value_of(self, query: bytes, given: Value) -> int:
        row = self._connection.execute(query, given).fetchone()
        assert row is not None
        return int(row[0])


class CheckThenInsertPort(SqlPort):
    """A desk that looks whether a time is free, and then writes past all triggers: wrong, as a negative control."""

    def perform(self, f: str, value: Value) -> Value:
        """Book without a lock between the look and the write."""
        if f != "book":
            return super().perform(f, value)
        slot = self._clinic.slots[value["slot"]]
        given = self._given(slot) | {"patient": self._clinic.patients[value["patient"]]}
        with refusals(), self._connection.transaction():
            if self._value_of(_BOOKED_AND_PAUSE, given) >= slot.capacity:
                raise RefusedError("taken")
            self._connection.execute("set local session_replication_role = replica")
            return {"visit": str(self._value_of(_BOOK, given))}


@contextmanager
def refusals() -> Iterator[None]:
    """Say in the words of the model how the database refused, and raise all else.

    A deadlock is no refusal: a single call never meets one.
    """
    try:
        yield
    except psycopg.IntegrityError as refused:
        if refused.diag.constraint_name not in _TAKEN:
            raise
        raise RefusedError("taken", f"{refused.diag.constraint_name}: {refused.diag.message_detail}") from refused
    except (psycopg.errors.LockNotAvailable, psycopg.errors.QueryCanceled) as waited:
        raise RefusedError("busy") from waited
    except psycopg.OperationalError as lost:
        if lost.sqlstate is not None and not lost.sqlstate.startswith(("08", "57P")):
            raise
        raise UnknownOutcomeError from lost


_TAKEN: Final = {
    "a_doctor_is_taken_once_at_a_time",
    "a_resource_is_taken_once_at_a_time",
    "a_slot_is_booked_within_its_capacity",
    "a_patient_has_one_appointment_at_a_time",
}
_BOOK: Final = b"""
insert into scheduling.appointments (tenant_id, facility_id, doctor_id, service_offering_id, service_workflow_id,
    patient_id, availability_slot_id, slot_start_at, start_at, end_at, local_start, zone)
values (%(tenant)s, %(facility)s, %(doctor)s, %(offering)s, %(workflow)s,
    %(patient)s, %(id)s, %(start_at)s, %(start_at)s, %(end_at)s, %(start_at)s at time zone 'UTC', 'UTC')
returning id
"""
_BOOKED_AND_PAUSE: Final = b"""
select count(*) from scheduling.appointments, pg_sleep(0.02)
where tenant_id = %(tenant)s and availability_slot_id = %(id)s and status = 'scheduled'
"""
_ADD_STEP: Final = b"""
insert into scheduling.appointment_steps (tenant_id, appointment_id, workflow_step_id, step_template_id, position,
    scheduled_start_at, scheduled_end_at)
select tenant_id, %(visit)s, id, step_template_id, position, %(start_at)s, %(end_at)s from scheduling.workflow_steps
where tenant_id = %(tenant)s and service_workflow_id = %(workflow)s
returning id
"""
_USE_ROOM: Final = b"""
insert into scheduling.appointment_step_resources (tenant_id, appointment_step_id, resource_id)
values (%(tenant)s, %(step)s, %(room)s)
"""
_MOVE: Final = b"""
update scheduling.appointments set (doctor_id, service_offering_id, service_workflow_id, availability_slot_id,
    slot_start_at, start_at, end_at) = (%(doctor)s, %(offering)s, %(workflow)s, %(id)s,
    %(start_at)s, %(start_at)s, %(end_at)s)
where tenant_id = %(tenant)s and id = %(visit)s and status = 'scheduled'
"""
_MOVE_STEP: Final = b"""
update scheduling.appointment_steps step
set workflow_step_id = planned.id, scheduled_start_at = %(start_at)s, scheduled_end_at = %(end_at)s
from scheduling.workflow_steps planned
where planned.tenant_id = %(tenant)s and planned.service_workflow_id = %(workflow)s
    and step.tenant_id = %(tenant)s and step.appointment_id = %(visit)s
"""
_CANCEL: Final = b"""
update scheduling.appointments set status = 'cancelled'
where tenant_id = %(tenant)s and id = %(visit)s and status = 'scheduled'
"""
