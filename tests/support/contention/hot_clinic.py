"""World of a clinic with few slots: single places, groups, and doctors who share a room.

Owns: the clinic, and its slots as the values of operations.
Must not know: who asks for the slots.

Anna's slots overlap each other. Ben's are for groups of five. Cleo and Dan share a room.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import count
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg

from scheduler.core.caps import Period
from scheduler.core.ids import PatientId
from scheduler.core.weekdays import Weekday
from scheduler.core.workflows import Need, WorkflowStep
from scheduler.front_door.scheduler import Scheduler
from support.contention.history import Value

NOW: Final = datetime(2027, 3, 1, 6, tzinfo=UTC)
DAY: Final = date(2027, 3, 1)  # a Monday
GROUP: Final = 5
NINE: Final = datetime(2027, 3, 1, 9, tzinfo=UTC)
_NUMBERS: Final = count()


def minutes(length: float) -> timedelta:
    """Return a length in minutes."""
    return timedelta(minutes=length)


class HotSlot(NamedTuple):
    """A slot, with what a visit on it takes."""

    id: int
    start_at: datetime
    end_at: datetime
    capacity: int
    doctor: int
    offering: int
    workflow: int
    room: int | None
    counts: tuple[str, ...] = ()
    """The caps that count its visits, but for those of patients."""


@dataclass(frozen=True, slots=True)
class HotClinic:
    """The ids of a clinic; slots and patients by the names that histories have."""

    slug: str
    tenant: UUID
    facility: int
    slots: dict[str, HotSlot]
    patients: dict[str, int]
    caps: dict[str, int] = field(default_factory=dict)

    def place(self, name: str) -> Value:
        """Return a visit on a slot as operations name it: times are minutes after nine."""
        slot = self.slots[name]
        start, end = (int((at - NINE) / minutes(1)) for at in (slot.start_at, slot.end_at))
        uses = [f"doctor {slot.doctor}", *([f"room {slot.room}"] if slot.room is not None else [])]
        return {"slot": name, "start": start, "end": end, "uses": [[who, start, end] for who in uses]} | (
            {"counts": [*slot.counts]} if slot.counts else {}
        )

    def like(self, name: str | None) -> list[str]:
        """Return the slots of the same service as a slot, or all."""
        with_room = [self.slots[name].room] if name in self.slots else []
        return [name for name, slot in self.slots.items() if slot.room in with_room or not with_room]

    def openings(self) -> Iterator[tuple[str, Value]]:
        """Yield the operation that opened each slot and set each cap."""
        for name, slot in self.slots.items():
            yield "open", {"slot": name, "capacity": slot.capacity}
        for name, most in self.caps.items():
            yield "cap", {"cap": name, "most": most}

    def visits(self, connection: psycopg.Connection) -> list[list[Any]]:
        """Return the live visits as the operation `read` answers them."""
        patients = {id_: name for name, id_ in self.patients.items()}
        slots = {slot.id: name for name, slot in self.slots.items()}
        rows = connection.execute(_LIVE, (self.tenant,)).fetchall()
        return [
            [
                str(id_),
                patients[patient],
                slots.get(slot),
                *(int((at - NINE) / minutes(1)) for at in (start, end)),
            ]
            for id_, patient, slot, start, end in rows
        ]


_LIVE: Final = """
select id, patient_id, availability_slot_id, start_at, end_at from scheduling.appointments
where tenant_id = %s and status not in ('cancelled', 'no_show')
"""


def hot_clinic(scheduler: Scheduler, *, patients: int = 16, is_capped: bool = False) -> HotClinic:
    """Create a tenant with a clinic of ten slots, and generate them. The login has to be the owner.

    If it is capped, there are caps of Ben, of Anna's offering, of the treatments, and of two patients.
    """
    slug = f"hot-{next(_NUMBERS)}"
    tenant = scheduler.add_tenant(slug, name="Hot Clinic")
    with scheduler.tenant(slug) as work:
        facility = work.facilities.add("main", name="Main Street", zone="UTC")
        service = work.services.add("check-up", duration=minutes(20))
        treatment = work.services.add("treatment", duration=minutes(20))
        template = work.step_templates.add("in the room", duration=minutes(20))
        room = work.resources.add("room", "Room 1", at=facility)
        in_the_room = [WorkflowStep(1, template, needs=(Need("doctor"), Need("room")))]
        rooms: dict[int, int] = {}
        counts: dict[int, tuple[str, ...]] = {}
        caps: dict[str, int] = {}

        def cap(name: str, most: int, **target: Any) -> tuple[str, ...]:
            if not is_capped:
                return ()
            work.caps.set(most, per=Period.DAY, **target)
            caps[name] = most
            return (name,)

        def doctor(name: str, until: time, interval: float, *, capacity: int = 1, with_room: bool = False) -> None:
            id_ = work.doctors.add(name, "Ray", at=[facility])
            offered, steps = (treatment, in_the_room) if with_room else (service, None)
            offering = work.offerings.add(offered, by=id_, at=facility, steps=steps)
            work.rules.add(
                id_,
                at=facility,
                on=Weekday.MONDAY,
                start=time(9),
                end=until,
                slot_duration=minutes(20),
                slot_interval=minutes(interval),
                capacity=capacity,
                offering=offering,
            )
            if with_room:
                rooms[int(id_)] = int(room)
                counts[int(id_)] = cap("treatments", 1, service=treatment, facility=facility)
            elif capacity > 1:
                counts[int(id_)] = cap("doctor", 6, doctor=id_)
            else:
                counts[int(id_)] = cap("offering", 1, offering=offering)

        doctor("Anna", time(9, 50), 10)
        doctor("Ben", time(9, 40), 20, capacity=GROUP)
        doctor("Cleo", time(9, 40), 20, with_room=True)
        doctor("Dan", time(9, 30), 10, with_room=True)
        ids = {
            f"patient {number}": int(work.patients.add("Pat", str(number), email=f"{number}@example.org"))
            for number in range(patients)
        }
        for name in list(ids)[:2]:
            cap(name, 1, patient=PatientId(ids[name]))
    scheduler.generate(slug, from_day=DAY, days=1)
    with scheduler.tenant(slug) as work:
        rows = work.session.connection().exec_driver_sql(_SLOTS)
        slots = {
            f"slot {number}": HotSlot._make([*row, rooms.get(row.doctor_id), counts[row.doctor_id]])
            for number, row in enumerate(rows, 1)
        }
    return HotClinic(slug, UUID(str(tenant)), int(facility), slots, ids, caps)


_SLOTS: Final = """
select slot.id, slot.start_at, slot.end_at, capacity, slot.doctor_id, slot.service_offering_id, workflow.id
from scheduling.availability_slots slot
join scheduling.service_workflows workflow
    on workflow.tenant_id = slot.tenant_id and workflow.service_offering_id = slot.service_offering_id
order by slot.doctor_id, slot.start_at
"""
