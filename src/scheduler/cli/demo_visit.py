"""Visit of the demo: four steps with a nurse, a room and a doctor, first held, then booked.

Owns: the service that the demo adds, the booking, the refusal of a second one, and their picture.
Must not know: how a visit is found or written.
"""

from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from rich.table import Table
from sqlalchemy import text

from scheduler.booking.errors import SlotTakenError
from scheduler.booking.visits import Visit
from scheduler.cli.desk import Names
from scheduler.cli.rendering import between, titled_table
from scheduler.cli.settings import now
from scheduler.core.ids import DoctorId, FacilityId, OfferingId
from scheduler.core.spans import Span
from scheduler.core.workflows import Need, WorkflowStep
from scheduler.core.zones import zone_of
from scheduler.front_door.scheduler import Scheduler
from scheduler.front_door.work import Work
from scheduler.postgres.database import Database

SERVICE: Final = "health check"
_STEPS: Final = (
    ("reception", 5, ()),
    ("vitals", 10, (Need("nurse"),)),
    ("consultation", 20, (Need("doctor"), Need("room"))),
    ("blood sample", 10, (Need("nurse"), Need("room", same_as=3))),
)
_MINUTE: Final = timedelta(minutes=1)
_FREE: Final = text("""
select doctor_id from scheduling.bookable_slots
where tenant_id = (select identity.current_tenant_id()) and facility_id = :facility
    and capacity = 1 and start_at >= :begin and start_at < :end
order by start_at, doctor_id limit 1
""")


def demo_visit(
    database: Database, place: str, begin: date, end: date, *, tenant: str
) -> tuple[list[Table | str], Visit | None]:
    """Return pictures of the visit, which the first call books at a place of a tenant, and the visit.

    There is neither if no slot is free there from the first day to the last, which is excluded.
    """
    facts: list[Table | str] = []
    day_before = datetime.combine(begin, time(), UTC) - timedelta(days=1)  # the days of the region may be over
    with Scheduler(database, clock=lambda: min(now(), day_before)).tenant(tenant) as work:
        if (visit := _visit_of_before(work)) is None:
            facility = work.facilities.by_slug(place)
            zone = zone_of(facility.timezone)
            days = Span(*(datetime.combine(day, time(), zone) for day in (begin, end)))
            where = {"facility": facility.id, "begin": days.start, "end": days.end}
            free = work.session.connection().execute(_FREE, where).first()
            if free is None:
                return [], None
            offering = _add_service(work, FacilityId(facility.id or 0), DoctorId(free.doctor_id))
            ada, bob = (work.patients.add(*name.split(), email="demo@example.org") for name in ("Ada Poe", "Bob Lee"))
            offer = next(iter(work.visits.find(offering, between=days, limit=1)), None)
            if offer is None:
                return [], None
            hold = work.visits.hold(offer)
            try:
                work.visits.book(offer, patient=bob)
            except SlotTakenError as error:
                other = error.next_start_at and f"{error.next_start_at.astimezone(zone):%a %H:%M}"
                facts.append(f"Bob Lee wants it, too: it is held, and the next start is {other}.")
            visit = work.visits.confirm(hold, patient=ada)
        return [_picture(work, visit), *facts], visit


def _visit_of_before(work: Work) -> Visit | None:
    if not any(service.name == SERVICE for service in work.services.all()):
        return None
    patients = [patient for patient in work.patients.all() if patient.email == "demo@example.org"]
    return next((visit for patient in patients for visit in work.visits.of_patient(patient)), None)


def _add_service(work: Work, place: FacilityId, doctor: DoctorId) -> OfferingId:
    for kind, name in (("nurse", "Nora"), ("room", "1")):
        work.resources.add(kind, name, at=place)
    steps = [
        WorkflowStep(position, work.step_templates.add(name, duration=minutes * _MINUTE), needs=needs)
        for position, (name, minutes, needs) in enumerate(_STEPS, start=1)
    ]
    service = work.services.add(SERVICE, duration=sum((step.length for step in steps), 0 * _MINUTE))
    return work.offerings.add(service, by=doctor, at=place, steps=steps)


def _picture(work: Work, visit: Visit) -> Table:
    zone, names, doctor = zone_of(visit.zone), Names(work), work.doctors.get(visit.doctor_id)
    patient, place = work.patients.get(visit.patient_id), work.facilities.get(visit.facility_id)
    has_doctor = {name for name, _, needs in _STEPS if Need("doctor") in needs}
    rows = [
        (
            between(step.start_at, step.end_at, zone=zone),
            step.name,
            [doctor.display_name] * (step.name in has_doctor)
            + [names.resource(id_) for of_kind in step.resources.values() for id_ in of_kind],
        )
        for step in visit.steps
    ]
    who = f"{patient.first_name} {patient.last_name}"
    title = f"A booked visit: {who} at {place.name}, told {visit.local_start:%a %d %b %H:%M}"
    return titled_table(title, ("when", "step", "with"), rows)
