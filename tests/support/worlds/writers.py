"""Writers of visits and holds at random, on two doctors with four slots of one, two and three places.

Owns: the acts, each in a transaction of its own, and queries for what no writer may leave behind. Must not know: the
triggers and constraints that refuse an act.
"""

import random
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

import psycopg

from support.rows import Row, insert
from support.rows.all_domains import all_rows
from support.worlds.appointments import appointment, at, book

_PLACES: Final[dict[int, tuple[int, float]]] = {1: (1, 0), 2: (1, 10), 3: (2, 0), 4: (2, 20)}
"""The doctor of each slot, and the minute in which it begins."""

CHANGES: Final = ("move", "cancel", "undo", "delete")
ACTS: Final = ("book", "hold", "confirm", "prolong", "release", *CHANGES)
_OFTEN: Final = ("book", "book", "move", "hold", "hold", "confirm")


def add_second_doctor(connection: psycopg.Connection, tenant: UUID) -> None:
    """Write doctor 2 with the slots 3 and 4, and give slot 2 a second place."""
    insert(connection, "scheduling.doctors", all_rows(tenant)["scheduling.doctors"] | {"id": 2, "user_id": None})
    slots = all_rows(tenant)["scheduling.availability_slots"] | {"doctor_id": 2, "service_offering_id": None}
    for id_, capacity in ((3, 3), (4, 1)):
        begin = _PLACES[id_][1]
        times = {"start_at": at(begin), "end_at": at(begin + 20)}
        insert(connection, "scheduling.availability_slots", slots | times | {"id": id_, "capacity": capacity})
    connection.execute(
        "update scheduling.availability_slots set capacity = 2 where tenant_id = %s and id = 2", (tenant,)
    )


class Writer:
    """A writer on a connection of its own."""

    def __init__(self, own: psycopg.Connection, tenant: UUID, seed: float) -> None:
        self._own, self._tenant = own, tenant
        self._dice = random.Random(seed)  # noqa: S311

    def choose(self) -> str:
        """Return the next act."""
        return self._dice.choice([*ACTS, *_OFTEN])

    def do(self, act: str) -> bool:
        """Do an act, and tell whether it changed a row."""
        if act == "book":
            book(self._own, self._visit())
        elif act == "hold":
            insert(self._own, "scheduling.holds", self._hold())
        elif act == "confirm":
            return self._confirm()
        elif act == "prolong":
            slot = self._dice.choice([*_PLACES])
            self._rows(_LOCK_SLOT, slot=slot)  # before the hold: who books the slot may delete an ended one
            return bool(self._rows(_PROLONG, slot=slot))
        elif act == "release":
            return bool(self._rows(_RELEASE, hold=self._dice.randrange(1, 9)))
        else:
            return bool(self._rows(*self._change(act)))
        return True

    def _rows(self, statement: str, values: Row | None = None, **others: object) -> list[tuple[Any, ...]]:
        return self._own.execute(statement.encode(), {"tenant": self._tenant} | (values or {}) | others).fetchall()

    def _place(self) -> Row:
        id_ = self._dice.choice([None, *_PLACES])
        doctor, begin = _PLACES[id_] if id_ else (self._dice.choice([1, 2]), self._dice.randrange(0, 200, 5))
        on: Row = {"doctor_id": doctor, "availability_slot_id": id_, "slot_start_at": at(begin) if id_ else None}
        return on | {"start_at": at(begin), "end_at": at(begin + 20)}

    def _visit(self) -> Row:
        patient: Row = {"patient_id": self._dice.randrange(1, 11)}
        return appointment(self._dice.randrange(1, 25), 0, 20, tenant=self._tenant) | patient | self._place()

    def _hold(self) -> Row:
        """Return a hold that has ended, ends soon, or lasts; off the slots it names one that is gone."""
        place = self._place()
        on: Row = {} if place["availability_slot_id"] else {"availability_slot_id": 99, "slot_start_at": at(0)}
        lasts = timedelta(seconds=self._dice.choice([-1, 0.2, 3600]))
        token: Row = {"token_digest": self._dice.randbytes(32), "ends_at": datetime.now(UTC) + lasts, "steps": "[]"}
        return all_rows(self._tenant)["scheduling.holds"] | {"id": self._dice.randrange(1, 9)} | place | on | token

    def _confirm(self) -> bool:
        """Delete a live hold and write its visit; patient, doctor and slot are locked before the hold."""
        number, visit = self._dice.randrange(1, 9), self._visit()
        for doctor, slot, slot_start, start, end in self._rows(_HELD, hold=number):
            visit |= {"doctor_id": doctor, "start_at": start, "end_at": end}
            on_slot = slot in _PLACES
            visit |= {
                "availability_slot_id": slot if on_slot else None,
                "slot_start_at": slot_start if on_slot else None,
            }
            self._rows(_LOCK_PATIENT, patient=visit["patient_id"])
            self._rows(_LOCK_DOCTOR, doctor=doctor)
            self._rows(_LOCK_SLOT, slot=slot)
            if self._rows(f"{_HELD} for update", hold=number) == [(doctor, slot, slot_start, start, end)]:
                self._rows(_RELEASE, hold=number)
                book(self._own, visit)
                return True
        return False

    def _change(self, act: str) -> tuple[str, Row]:
        """Return a statement that changes or deletes a visit, and its values."""
        values: dict[str, Row] = {
            "move": self._place(),
            "undo": {"status": "scheduled"},
            "cancel": {"status": self._dice.choice(["cancelled", "no_show"])},
            "delete": {},
        }
        changes = ", ".join(f"{name} = %({name})s" for name in values[act])
        begin = f"update scheduling.appointments set {changes}" if changes else "delete from scheduling.appointments"
        one = " where tenant_id = %(tenant)s and id = %(visit)s returning id"
        return begin + one, values[act] | {"visit": self._dice.randrange(1, 25)}


_OF: Final = "where tenant_id = %(tenant)s and id ="
_HELD: Final = f"""
select doctor_id, availability_slot_id, slot_start_at, start_at, end_at from scheduling.holds
{_OF} %(hold)s and ends_at > scheduling.clock()"""
_RELEASE: Final = f"delete from scheduling.holds {_OF} %(hold)s returning id"
_LOCK_PATIENT: Final = f"select id from scheduling.patients {_OF} %(patient)s for no key update"
_LOCK_DOCTOR: Final = f"select id from scheduling.doctors {_OF} %(doctor)s for no key update"
_LOCK_SLOT: Final = f"select id from scheduling.availability_slots {_OF} %(slot)s for no key update"
_PROLONG: Final = """
update scheduling.holds set ends_at = scheduling.clock() + '1 hour'::interval
where tenant_id = %(tenant)s and availability_slot_id = %(slot)s and ends_at > scheduling.clock() returning id"""

_LIVE: Final = "status not in ('cancelled', 'no_show')"
WRONG: Final = {
    "counts": f"""
select id, booked_count, status, booked, held from (
    select slot.id, booked_count, slot.status, capacity, (
        select count(*) from scheduling.appointments visit where visit.tenant_id = slot.tenant_id
            and availability_slot_id = slot.id and slot_start_at = slot.start_at and {_LIVE}
    ) as booked, (
        select count(*) from scheduling.holds hold where hold.tenant_id = slot.tenant_id
            and availability_slot_id = slot.id and slot_start_at = slot.start_at and ends_at > scheduling.clock()
    ) as held
    from scheduling.availability_slots slot where slot.tenant_id = %(tenant)s
) counted
where booked_count <> booked or booked + held > capacity
    or status <> case when booked = capacity then 'booked' else 'open' end
""",
    "overlaps": f"""
with taking as (
    select id, patient_id, doctor_id, availability_slot_id as slot, start_at, end_at
    from scheduling.appointments where tenant_id = %(tenant)s and {_LIVE}
    union all
    select -id, null, doctor_id, nullif(availability_slot_id, 99), start_at, end_at
    from scheduling.holds where tenant_id = %(tenant)s and ends_at > scheduling.clock()
)
select a.id, b.id from taking a join taking b on a.id < b.id and a.start_at < b.end_at and b.start_at < a.end_at
where a.patient_id = b.patient_id or a.doctor_id = b.doctor_id and (a.slot is null or a.slot is distinct from b.slot)
""",
    "unlike what they are for": f"""
(
    select id, null::bigint, doctor_id, start_at, end_at from scheduling.appointments
    where tenant_id = %(tenant)s and {_LIVE}
    union all
    select null, id, doctor_id, start_at, end_at from scheduling.holds where tenant_id = %(tenant)s
)
except
select appointment_id, hold_id, doctor_id, start_at, end_at from scheduling.allocations where tenant_id = %(tenant)s
""",
}
"""Queries for places that are counted wrongly, for two who have one doctor or patient, and for visits and holds without
their allocation; each finds nothing."""
