"""World of the benchmarks of bookings: a clinic whose doctors have slots of half an hour around the clock.

Owns: the clinic, and offers for any of its slots.
"""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import count
from typing import Final
from uuid import UUID

from scheduler.core.ids import OfferingId, PatientId
from scheduler.core.offers import VisitOffer
from scheduler.core.weekdays import Weekday
from scheduler.core.workflows import Need, WorkflowStep
from scheduler.front_door.scheduler import Scheduler

LENGTH: Final = timedelta(minutes=30)
STEP: Final = timedelta(minutes=5)
DAY: Final = date(2027, 3, 1)
BEGIN: Final = datetime(2027, 3, 1, tzinfo=UTC)
NOW: Final = BEGIN - timedelta(hours=6)
_NUMBERS: Final = count()


@dataclass(frozen=True, slots=True)
class BookingWorld:
    """A clinic with slots around the clock; `first` has the first visit of each doctor."""

    slug: str
    tenant: UUID
    offerings: list[OfferingId]
    first: list[VisitOffer]
    patients: list[PatientId]

    def offer(self, start_at: datetime, doctor: int = 0) -> VisitOffer:
        """Return the visit of a doctor at a start; whether it is free is decided when it is booked."""
        offer = self.first[doctor]
        by = start_at - offer.slot.start_at
        slot = offer.slot._replace(start_at=offer.slot.start_at + by, end_at=offer.slot.end_at + by)
        steps = tuple(replace(step, start_at=step.start_at + by, end_at=step.end_at + by) for step in offer.steps)
        return replace(offer, slot=slot, steps=steps)


def booking_world(
    url: str, *, days: int, patients: int, every: timedelta, doctors: int = 1, in_steps: bool = False
) -> BookingWorld:
    """Make a clinic in a migrated database, and generate its slots, one beginning `every` so long.

    With `in_steps`, a visit has four steps: the doctor, a nurse in a room, the nurse, and the reception. Each doctor
    has a facility alone, so that no two doctors want one resource.
    """
    slug = f"contention-{next(_NUMBERS)}"
    with Scheduler(url, clock=lambda: NOW) as scheduler:
        tenant = scheduler.add_tenant(slug, name="Riverside Clinics")
        with scheduler.tenant(slug) as work:
            facilities = [
                work.facilities.add(f"place-{number}", name=f"{number} Main Street", zone="UTC")
                for number in range(doctors if in_steps else 1)
            ]
            templates = [work.step_templates.add(name, duration=STEP) for name in ("doctor", "room", "nurse", "desk")]
            needs = (None, (Need("nurse"), Need("room")), (Need("nurse"),), (Need("reception"),))
            steps = [
                WorkflowStep(position, template, needs=needed)
                for position, (template, needed) in enumerate(zip(templates, needs, strict=True), start=1)
            ]
            for facility in facilities if in_steps else ():
                for kind in ("nurse", "room", "reception"):
                    work.resources.add(kind, f"the {kind}", at=facility)
            service = work.services.add("check-up", duration=LENGTH)
            offerings = []
            for number in range(doctors):
                facility = facilities[number % len(facilities)]
                doctor = work.doctors.add("Anna", f"Ray {number}", at=[facility])
                offerings.append(work.offerings.add(service, by=doctor, at=facility, steps=steps if in_steps else None))
                work.rules.add(
                    doctor,
                    at=facility,
                    on=list(Weekday),
                    start=time(0),
                    end=time(0),
                    slot_duration=LENGTH,
                    slot_interval=every,
                )
            ids = [work.patients.add("Pat", str(n), email=f"{n}@example.org") for n in range(patients)]
        scheduler.generate(slug, from_day=DAY, days=days)
        with scheduler.tenant(slug) as work:
            first = [work.visits.offer_at(offering, BEGIN) for offering in offerings]
    return BookingWorld(slug, tenant, offerings, first, ids)
