"""Doctors of a tenant: their ids, names, specialties, and the facilities where they work.

Owns: the list of live doctors.
Must not know: how the list is displayed.
"""

from typing import NamedTuple

from sqlalchemy import text
from sqlmodel import Session

# A doctor belongs to a facility by a post in force there, or by a rule or exception: `show --doctor` takes both.
_DOCTORS = text("""
with places as (
    select doctor_id, facility_id from scheduling.facility_doctors
    where tenant_id = (select identity.current_tenant_id()) and active
    union
    select doctor_id, facility_id from scheduling.availability_rules
    where tenant_id = (select identity.current_tenant_id())
    union
    select doctor_id, facility_id from scheduling.availability_exceptions
    where tenant_id = (select identity.current_tenant_id())
)
select doctor.id, doctor.display_name, doctor.specialty,
    coalesce(array_agg(facility.slug order by facility.slug) filter (where facility.id is not null), array[]::text[])
from scheduling.doctors doctor
left join places on places.doctor_id = doctor.id
left join scheduling.facilities facility
    on facility.tenant_id = doctor.tenant_id and facility.id = places.facility_id and facility.deleted_at is null
where doctor.tenant_id = (select identity.current_tenant_id()) and doctor.deleted_at is null
group by doctor.id, doctor.display_name, doctor.specialty
having cast(:facility as bigint) is null or bool_or(facility.id = cast(:facility as bigint))
order by doctor.id
""")


class ListedDoctor(NamedTuple):
    """A live doctor with the slugs of the live facilities where they work."""

    id: int
    name: str
    specialty: str | None
    facilities: list[str]


def listed_doctors(session: Session, *, facility_id: int | None = None) -> list[ListedDoctor]:
    """Return the live doctors by id, or only those of one facility."""
    return [ListedDoctor(*row) for row in session.connection().execute(_DOCTORS, {"facility": facility_id})]
