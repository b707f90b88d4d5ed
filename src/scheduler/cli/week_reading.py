"""Reading a facility's week for its page: open, held, booked and blocked time of doctors and resources, and why.

Owns: the statements and explanations from which the page is made; an ended hold takes nothing.
Must not know: HTML.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Final

from sqlalchemy import text
from sqlmodel import Session, col, select

from scheduler.cli.explain import comments_on
from scheduler.cli.week_doctors import doctor_days
from scheduler.cli.week_page import Entry, Kind, Lane, WeekPage
from scheduler.cli.week_resources import Comments, resource_days
from scheduler.core.reasons import ReasonCode
from scheduler.core.spans import Span
from scheduler.core.zones import local_days, zone_of
from scheduler.models import Resource, ResourceException
from scheduler.postgres.database import Database, Role
from scheduler.postgres.facilities import FacilityView, doctors_at, facility_view, with_doctors_of_slots
from scheduler.postgres.resource_schedules import openings_of
from scheduler.postgres.schedules import load_schedules
from scheduler.postgres.tenants import tenant_id_of
from scheduler.postgres.uses import booking_contexts

WEEK: Final = timedelta(days=7)
_TAKEN: Final = text("""
select taken.doctor_id, taken.resource_id, taken.start_at, taken.end_at, hold.ends_at,
    coalesce(visit.facility_id, hold.facility_id) as facility_id, service.name as service, template.name as step,
    case when :names then concat_ws(' ', patient.first_name, patient.last_name) end as patient
from scheduling.allocations taken
left join scheduling.appointments visit on visit.tenant_id = taken.tenant_id and visit.id = taken.appointment_id
left join scheduling.holds hold on hold.tenant_id = taken.tenant_id and hold.id = taken.hold_id
left join scheduling.appointment_steps step
    on step.tenant_id = taken.tenant_id and step.id = taken.appointment_step_id
left join scheduling.step_templates template
    on template.tenant_id = step.tenant_id and template.id = step.step_template_id
left join scheduling.service_offerings offering
    on offering.tenant_id = taken.tenant_id
    and offering.id = coalesce(visit.service_offering_id, hold.service_offering_id)
left join scheduling.services service on service.tenant_id = offering.tenant_id and service.id = offering.service_id
left join scheduling.patients patient
    on :names and patient.tenant_id = visit.tenant_id and patient.id = visit.patient_id
where taken.tenant_id = (select identity.current_tenant_id())
  and (taken.doctor_id = any(cast(:doctors as bigint[])) or taken.resource_id = any(cast(:resources as bigint[])))
  and tstzrange(taken.start_at, taken.end_at) && tstzrange(:begin, :end)
  and (taken.hold_id is null or hold.ends_at > scheduling.clock())
""")

_Days = Sequence[tuple[datetime, datetime]]


def week_page(
    database: Database, slug: str, day: date, *, tenant: str, now: datetime, doctor_id: int | None, names: bool
) -> WeekPage:
    """Return the week, Monday to Sunday, of a day.

    With `names` it has the names of patients and the texts that people wrote about exceptions, as leave of a doctor.

    Raises:
        NotFoundError: the facility, or the doctor there, is unknown.
    """
    monday = day - timedelta(days=day.weekday())
    with database.unit_of_work(role=Role.APP, tenant_id=tenant_id_of(database, tenant, role=Role.APP)) as session:
        facility = facility_view(session, slug)
        zone = zone_of(facility.zone)
        local_days(zone, day)  # an error names the day that was asked for
        days = [local_days(zone, monday + timedelta(days=number)) for number in range(7)]
        begin, end = days[0][0], days[-1][1]
        facility = with_doctors_of_slots(session, facility, begin, end)
        doctors = doctors_at(facility, doctor_id)
        query = select(Resource).where(Resource.facility_id == facility.id, col(Resource.active))
        resources = session.exec(query.order_by(Resource.kind, Resource.name, col(Resource.id))).all()
        comments = {
            cause: comment
            for cause, comment in comments_on(session, facility, begin, end).items()
            if names or cause[0] is ReasonCode.CLOSURE
        }
        taken = _taken(
            session,
            facility,
            Span(begin, end),
            [doctor.key.doctor_id for doctor in doctors],
            [row.id or 0 for row in resources],
            names=names,
        )
        keys = [doctor.key for doctor in doctors]
        contexts = booking_contexts(session, [key.doctor_id for key in keys], begin, end, now=now)
        schedules = {loaded.key: loaded.schedule for loaded in load_schedules(session, keys, lock=False)}
        lanes = [
            Lane(
                doctor.name,
                doctor_days(
                    schedules[doctor.key],
                    contexts[doctor.key.doctor_id],
                    days,
                    taken.get(("doctor", doctor.key.doctor_id), ()),
                    comments=comments,
                    zone=zone,
                ),
            )
            for doctor in doctors
        ]
        rooms = _resource_lanes(session, resources, days, taken, comments, names=names)
    return WeekPage(
        slug=facility.slug,
        name=facility.name,
        zone=zone,
        first_day=monday,
        made_at=now,
        doctors=tuple(lanes),
        resources=rooms,
        has_names=names,
    )


def _taken(
    session: Session,
    facility: FacilityView,
    span: Span,
    doctors: Sequence[int],
    resources: Sequence[int],
    *,
    names: bool,
) -> dict[tuple[str, int], list[Entry]]:
    """Return the uses of doctors and resources that overlap a span; those at other facilities block."""
    zone = zone_of(facility.zone)
    asked = {"doctors": doctors, "resources": resources, "begin": span.start, "end": span.end, "names": names}
    taken: dict[tuple[str, int], list[Entry]] = defaultdict(list)
    for row in session.connection().execute(_TAKEN, asked):
        whose = ("doctor", row.doctor_id) if row.doctor_id is not None else ("resource", row.resource_id)
        kind, what = Kind.BOOKED, ", ".join(filter(None, (row.service, row.step)))
        if row.ends_at is not None:
            kind = Kind.HELD
            what = ", ".join(filter(None, (what, f"until {row.ends_at.astimezone(zone):%a %H:%M}")))
        if row.facility_id != facility.id:
            kind, what = Kind.BLOCKED, "the doctor is taken at another facility"
        patient = row.patient if row.patient and row.facility_id == facility.id else ""
        taken[whose].append(Entry(kind, row.start_at, row.end_at, what, patient))
    return taken


def _resource_lanes(
    session: Session,
    resources: Sequence[Resource],
    days: _Days,
    taken: Mapping[tuple[str, int], list[Entry]],
    comments: Comments,
    *,
    names: bool,
) -> tuple[Lane, ...]:
    """Return the lanes of resources. Exceptions of doctors are other ones than those of resources of the same id."""
    ids = [row.id or 0 for row in resources]
    own = {cause: comment for cause, comment in comments.items() if cause[0] is ReasonCode.CLOSURE}
    query = select(ResourceException).where(col(ResourceException.resource_id).in_(ids))
    for row in session.exec(query) if names else ():
        if row.reason:
            own |= {(code, row.id): row.reason for code in (ReasonCode.EMERGENCY, ReasonCode.BLOCKED)}
    first = days[0][0].date() - timedelta(days=1)
    openings = openings_of(session, ids, since=first)
    return tuple(
        Lane(row.name, resource_days(openings.get(id_), days, taken.get(("resource", id_), ()), own), row.kind)
        for id_, row in zip(ids, resources, strict=True)
    )
