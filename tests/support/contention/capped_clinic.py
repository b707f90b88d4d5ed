"""World of a clinic with caps of each kind, and a plan that asks for more than they allow (Q4).

Owns: the clinic, and what each worker asks for.
Must not know: who answers, how answers are judged.

Each doctor has more places than the caps of doctor, offering, service and patients let anybody book. Each worker
cancels, moves and confirms its own visits and holds alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, time, timedelta
from itertools import count
from typing import Any, Final
from uuid import UUID

from scheduler.core.caps import Period
from scheduler.core.ids import PatientId
from scheduler.core.weekdays import Weekday
from scheduler.front_door.scheduler import Scheduler
from support.contention.history import Value
from support.contention.hot_clinic import DAY, HotClinic, HotSlot, minutes
from support.contention.plans import HOURS
from support.contention.workers import Plan, Worker

DOCTORS: Final = 3
WEEKS: Final = 4
OF_DOCTOR, OF_OFFERING, OF_SERVICE, OF_PATIENT, OF_WEEK = 3, 2, 5, 1, 3
_NUMBERS: Final = count()
_SLOTS: Final = """
select slot.id, slot.start_at, slot.end_at, capacity, slot.doctor_id, slot.service_offering_id, workflow.id
from scheduling.availability_slots slot
join scheduling.service_workflows workflow
    on workflow.tenant_id = slot.tenant_id and workflow.service_offering_id = slot.service_offering_id
order by slot.start_at, slot.doctor_id, slot.service_offering_id
"""


@dataclass(frozen=True, slots=True)
class CappedClinic:
    """A clinic with its slots by day; its caps have a name for each day or week."""

    clinic: HotClinic
    by_day: dict[date, list[str]]

    def request(self, name: str, patient: str | None) -> Value:
        """Return a visit on a slot with the caps that count it."""
        day = self.clinic.slots[name].start_at.date()
        counts = [*self.clinic.slots[name].counts]
        if patient is None:
            return {"slot": name, "counts": counts}
        of_patient = [f"{patient} on {day}", f"{patient} in week {day.isocalendar().week}"]
        return {"slot": name, "patient": patient, "counts": [*counts, *of_patient]}


def capped_clinic(scheduler: Scheduler, *, patients: int = 16) -> CappedClinic:
    """Create the clinic in a tenant of its own. The login has to be the owner."""
    slug = f"capped-{next(_NUMBERS)}"
    tenant = scheduler.add_tenant(slug, name="Capped Clinic")
    caps: dict[str, int] = {}
    days = [DAY + timedelta(days=number) for number in range(7 * WEEKS) if number % 7 < len(Weekday) - 2]
    counts: dict[tuple[int, date], tuple[str, ...]] = {}
    with scheduler.tenant(slug) as work:
        facility = work.facilities.add("main", name="Main Street", zone="UTC")
        service = work.services.add("check-up", duration=minutes(20))
        work.caps.set(OF_SERVICE, per=Period.DAY, service=service, facility=facility)
        for number in range(DOCTORS):
            doctor = work.doctors.add("Ann", str(number), at=[facility])
            offering = work.offerings.add(service, by=doctor, at=facility)
            work.rules.add(
                doctor,
                at=facility,
                on=[Weekday(day) for day in range(1, 6)],
                start=time(9),
                end=time(11),
                slot_duration=minutes(20),
                capacity=2,
                offering=offering,
            )
            target: dict[str, Any] = {"offering": offering} if number == 0 else {"doctor": doctor}
            most = OF_OFFERING if number == 0 else OF_DOCTOR
            work.caps.set(most, per=Period.DAY, **target)
            for day in days:
                names = f"service on {day}", f"doctor {number} on {day}"
                counts[int(offering), day] = names
                caps |= {names[0]: OF_SERVICE, names[1]: most}
        ids = {}
        for number in range(patients):
            patient = work.patients.add("Pat", str(number), email=f"{number}@example.org")
            ids[f"patient {number}"] = int(patient)
            if number < patients // 2:
                work.caps.set(OF_PATIENT, per=Period.DAY, patient=PatientId(patient))
                work.caps.set(OF_WEEK, per=Period.WEEK, patient=PatientId(patient))
                caps |= {f"patient {number} on {day}": OF_PATIENT for day in days}
                caps |= {f"patient {number} in week {day.isocalendar().week}": OF_WEEK for day in days}
    scheduler.generate(slug, from_day=DAY, days=7 * WEEKS)
    slots: dict[str, HotSlot] = {}
    by_day: dict[date, list[str]] = {day: [] for day in days}
    with scheduler.tenant(slug) as work:
        for row in work.session.connection().exec_driver_sql(_SLOTS):
            day = row.start_at.date()
            name = f"slot {row[0]}"
            slots[name] = HotSlot._make([*row, None, counts[row.service_offering_id, day]])
            by_day[day].append(name)
    return CappedClinic(HotClinic(slug, UUID(str(tenant)), int(facility), slots, ids, caps), by_day)


def beyond_caps(capped: CappedClinic, requests: int, days: Sequence[date]) -> Plan:
    """Let all workers want the same day at once, one day after another."""

    def plan(worker: Worker) -> None:
        for day in days:
            worker.wait()
            visits: list[str] = []
            holds: list[tuple[str, Value]] = []
            for _ in range(requests):
                _ask(capped, worker, capped.by_day[day], visits, holds)

    return plan


def _ask(
    capped: CappedClinic, worker: Worker, names: list[str], visits: list[str], holds: list[tuple[str, Value]]
) -> None:
    """Ask for a random operation, with the worker's own visits and holds."""
    dice, patient = worker.dice, f"patient {worker.dice.randrange(len(capped.clinic.patients))}"
    f = dice.choice(("book", "book", "book", "hold", "confirm", "release", "cancel", "reschedule"))
    name = dice.choice(names)
    if f in {"confirm", "release"} and holds:
        hold, place = holds.pop()
        value = {"hold": hold} | ({} if f == "release" else capped.request(place["slot"], patient))
        answer = worker.ask(f, value)
        if f == "confirm" and answer is not None:
            visits.append(f"{answer['visit']} {patient}")
    elif f in {"cancel", "reschedule"} and visits:
        visit, _, owner = visits.pop(dice.randrange(len(visits))).partition(" ")
        value = {"visit": visit} | ({} if f == "cancel" else capped.request(name, owner))
        value.pop("patient", None)
        if worker.ask(f, value) is None or f == "reschedule":
            visits.append(f"{visit} {owner}")
    elif f == "hold":
        value = capped.request(name, None) | {"lasts": HOURS}
        answer = worker.ask(f, value)
        if answer is not None:
            holds.append((answer["hold"], value))
    else:
        answer = worker.ask("book", capped.request(name, patient))
        if answer is not None:
            visits.append(f"{answer['visit']} {patient}")


def exceeded(capped: CappedClinic, rows: Sequence[Sequence[Any]]) -> Iterator[str]:
    """Yield the names of the caps that are exceeded by visits as they are read at the end."""
    counted: dict[str, int] = {}
    for _, patient, slot, *_ in rows:
        for name in capped.request(slot, patient)["counts"]:
            counted[name] = counted.get(name, 0) + 1
    yield from (name for name, number in counted.items() if number > capped.clinic.caps.get(name, number))
