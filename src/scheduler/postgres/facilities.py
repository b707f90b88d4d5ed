"""Facilities: a facility by its slug, the doctors with schedules or slots there, its exceptions and closures.

Owns: the queries about one facility.
Must not know: how the rows are displayed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import NamedTuple

from sqlalchemy import text
from sqlmodel import Session, col, select

from scheduler import models as rows
from scheduler.core.errors import NotFoundError
from scheduler.core.zones import zone_of
from scheduler.postgres.schedule_parts import FARTHEST_MOVE
from scheduler.postgres.schedule_rows import span_of_exception
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
# A doctor who moved away, or was deleted, keeps the slots and visits that are booked here.
_DOCTORS_WITH_SLOTS = text("""
select doctor.id, doctor.display_name
from scheduling.doctors doctor
where doctor.tenant_id = (select identity.current_tenant_id()) and doctor.id = any(array(
    select doctor_id from scheduling.availability_slots
    where tenant_id = (select identity.current_tenant_id())
      and facility_id = cast(:facility as bigint) and start_at >= :begin and start_at < :end
    union
    select doctor_id from scheduling.appointments
    where tenant_id = (select identity.current_tenant_id())
      and facility_id = cast(:facility as bigint) and start_at >= :begin and start_at < :end
))
order by doctor.id
""")
_VISITS_WITHOUT_SLOT = text("""
select doctor_id, start_at, end_at from scheduling.appointments
where tenant_id = (select identity.current_tenant_id())
  and facility_id = cast(:facility as bigint) and start_at >= :begin and start_at < :end
  and availability_slot_id is null and status in ('scheduled', 'checked_in', 'in_progress', 'completed')
order by start_at, doctor_id
""")


@dataclass(frozen=True, slots=True)
class DoctorAtFacility:
    """A doctor at a facility."""

    key: ScheduleKey
    name: str


@dataclass(frozen=True, slots=True)
class FacilityView:
    """A facility, the doctors with schedules there, and those who were added since they have slots there."""

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


def with_doctors_of_slots(session: Session, facility: FacilityView, begin: datetime, end: datetime) -> FacilityView:
    """Add the doctors with a slot or visit that starts in `[begin, end)`, whether or not they have a schedule."""
    during = {"facility": facility.id, "begin": begin, "end": end}
    names = {doctor.key: doctor.name for doctor in facility.doctors}
    for doctor_id, name in session.connection().execute(_DOCTORS_WITH_SLOTS, during):
        names.setdefault(ScheduleKey(doctor_id, facility.id), name)
    return replace(facility, doctors=tuple(DoctorAtFacility(key, names[key]) for key in sorted(names)))


def doctors_at(facility: FacilityView, doctor_id: int | None) -> tuple[DoctorAtFacility, ...]:
    """Return the doctors of a facility, or only the given doctor.

    Raises:
        NotFoundError: the facility has no doctor, or not this one.
    """
    doctors = tuple(doctor for doctor in facility.doctors if doctor_id in {None, doctor.key.doctor_id})
    if not facility.doctors:
        raise NotFoundError(f"nobody has a schedule at {facility.slug!r}, or a slot at this time")
    if not doctors:
        raise NotFoundError(
            f"doctor {doctor_id} has no schedule at {facility.slug!r}, and no slot at this time: "
            f"`scheduler doctors --facility {facility.slug}` lists those who work there"
        )
    return doctors


def visits_without_slot(
    session: Session, facility_id: int, begin: datetime, end: datetime
) -> list[tuple[int, datetime, datetime]]:
    """Return doctor, start and end of the visits without a slot that start in `[begin, end)`.

    Cancelled visits and no-shows are left out: they take no time of the doctor.
    """
    during = {"facility": facility_id, "begin": begin, "end": end}
    visits = session.connection().execute(_VISITS_WITHOUT_SLOT, during)
    return [(doctor_id, start_at, end_at) for doctor_id, start_at, end_at in visits]


class ExceptionAtFacility(NamedTuple):
    """An exception with its start and end in the facility's zone of today."""

    start_at: datetime
    end_at: datetime
    row: rows.AvailabilityException


def exceptions_between(
    session: Session, facility: FacilityView, begin: datetime, end: datetime
) -> list[ExceptionAtFacility]:
    """Return the exceptions at a facility that overlap `[begin, end)`, in order."""
    exception, zone = rows.AvailabilityException, zone_of(facility.zone)
    near = exception.start_at < end + FARTHEST_MOVE, exception.end_at > begin - FARTHEST_MOVE
    found = session.exec(select(exception).where(exception.facility_id == facility.id, *near))
    exceptions = (ExceptionAtFacility(*span_of_exception(row, zone), row) for row in found)
    overlapping = [moved for moved in exceptions if moved.start_at < end and begin < moved.end_at]
    return sorted(overlapping, key=lambda moved: (moved.start_at, moved.row.id))


def closures_between(session: Session, facility_id: int, first: date, last: date) -> Sequence[rows.FacilityClosure]:
    """Return the closures of a facility on days from `first` to before `last`, in order."""
    closure = rows.FacilityClosure
    query = select(closure).where(closure.facility_id == facility_id, closure.day >= first, closure.day < last)
    return session.exec(query.order_by(col(closure.day), col(closure.id))).all()
