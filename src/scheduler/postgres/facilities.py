"""Facilities: a facility by its slug, the doctors with schedules there, its exceptions and closures.

Owns: the queries about one facility.
Must not know: how the rows are displayed, slots.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import text
from sqlmodel import Session, col, select

from scheduler import models as rows
from scheduler.core.errors import NotFoundError
from scheduler.postgres.schedules import ScheduleKey

_DOCTORS = text("""
select doctor.id, doctor.display_name
from scheduling.doctors doctor
where doctor.deleted_at is null and (
    exists (select from scheduling.availability_rules rule
        where rule.tenant_id = doctor.tenant_id and rule.doctor_id = doctor.id and rule.facility_id = :facility)
    or exists (select from scheduling.availability_exceptions exception
        where exception.tenant_id = doctor.tenant_id and exception.doctor_id = doctor.id
          and exception.facility_id = :facility)
)
order by doctor.id
""")


@dataclass(frozen=True, slots=True)
class DoctorAtFacility:
    """A doctor at a facility."""

    key: ScheduleKey
    name: str


@dataclass(frozen=True, slots=True)
class FacilityView:
    """A facility and the doctors with schedules there."""

    id: int
    slug: str
    name: str
    zone: str
    doctors: tuple[DoctorAtFacility, ...]


def facility_view(session: Session, slug: str) -> FacilityView:
    """Return the live facility with this slug.

    Raises:
        NotFoundError: no live facility has it; the message names similar slugs.
    """
    facility = rows.Facility
    query = select(facility).where(facility.slug == slug, col(facility.deleted_at).is_(None))
    row = session.exec(query).one_or_none()
    if row is None or row.id is None:
        likely = session.exec(
            select(facility.slug)
            .where(col(facility.deleted_at).is_(None))
            .order_by(col(facility.slug).startswith(slug[:3]).desc(), col(facility.slug))
            .limit(5)
        ).all()
        hint = f"; there are {', '.join(likely)} …" if likely else "; the tenant has no facility yet"
        raise NotFoundError(f"no facility {slug!r}{hint}")
    pairs = session.connection().execute(_DOCTORS, {"facility": row.id})
    doctors = tuple(DoctorAtFacility(ScheduleKey(doctor_id, row.id), name) for doctor_id, name in pairs)
    return FacilityView(row.id, row.slug, row.name, row.timezone, doctors)


def doctors_at(facility: FacilityView, doctor_id: int | None) -> tuple[DoctorAtFacility, ...]:
    """Return the doctors with a schedule at a facility, or only the given doctor.

    Raises:
        NotFoundError: no doctor, or not this one, has a schedule there.
    """
    doctors = tuple(doctor for doctor in facility.doctors if doctor_id in {None, doctor.key.doctor_id})
    if not facility.doctors:
        raise NotFoundError(f"nobody has a schedule at {facility.slug!r}")
    if not doctors:
        known = ", ".join(str(doctor.key.doctor_id) for doctor in facility.doctors)
        raise NotFoundError(f"doctor {doctor_id} has no schedule at {facility.slug!r}; there are {known}")
    return doctors


def exceptions_between(
    session: Session, facility_id: int, begin: datetime, end: datetime
) -> Sequence[rows.AvailabilityException]:
    """Return the exceptions at a facility that overlap `[begin, end)`, in order."""
    exception = rows.AvailabilityException
    overlapping = exception.start_at < end, exception.end_at > begin
    query = select(exception).where(exception.facility_id == facility_id, *overlapping)
    return session.exec(query.order_by(col(exception.start_at), col(exception.id))).all()


def closures_between(session: Session, facility_id: int, first: date, last: date) -> Sequence[rows.FacilityClosure]:
    """Return the closed days of a facility from `first` to before `last`, in order."""
    closure = rows.FacilityClosure
    query = select(closure).where(closure.facility_id == facility_id, closure.day >= first, closure.day < last)
    return session.exec(query.order_by(col(closure.day))).all()
