"""Small clinic: a tenant with rows that suffice for a test, and generated days.

Owns: the rows of the clinic.
Must not know: the database in which they are written.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date, time, timedelta
from typing import Final

from scheduler.core.ids import DoctorId, FacilityId, OfferingId, PatientId, ServiceId, TenantId
from scheduler.core.schedules import AvailabilityRule
from scheduler.core.weekdays import Weekday
from scheduler.front_door.scheduler import Scheduler
from scheduler.front_door.work import Work

_WORKDAYS: Final = (Weekday.MONDAY, Weekday.TUESDAY, Weekday.WEDNESDAY, Weekday.THURSDAY, Weekday.FRIDAY)
_HALF_HOUR: Final = timedelta(minutes=30)
_WEEK: Final = timedelta(weeks=1)


@dataclass(frozen=True, slots=True)
class SmallClinic:
    """The ids of a small clinic; `monday` is its first generated day. Get it from `small_clinic`."""

    scheduler: Scheduler
    slug: str
    tenant_id: TenantId
    facility: FacilityId
    anna: DoctorId
    ben: DoctorId
    service: ServiceId
    with_anna: OfferingId
    with_ben: OfferingId
    rules: tuple[AvailabilityRule, ...]
    patient: PatientId
    monday: date

    def tenant(self) -> AbstractContextManager[Work]:
        """Run the block as one transaction for the clinic: `scheduler.tenant(slug)`."""
        return self.scheduler.tenant(self.slug)


def small_clinic(scheduler: Scheduler, *, slug: str = "small-clinic", weeks: int = 4) -> SmallClinic:
    """Create a tenant with a facility, two doctors, a service, hours and a patient, and generate its slots.

    The facility is in London. Anna has slots of 30 minutes from 9 to 12 on workdays, Ben from 14 to 16 on Mondays. The
    days begin with the first Monday after the scheduler's clock; give it a `FixedClock`, so that they are always the
    same. The login has to be the owner of the database.

    Raises:
        DuplicateError: another tenant has the slug.
        StoreError: no connection, or the login lacks a right.
    """
    tenant_id = scheduler.add_tenant(slug, name="Small Clinic")
    with scheduler.tenant(slug) as work:
        facility = work.facilities.add("main", name="Main Street", zone="Europe/London")
        anna = work.doctors.add("Anna", "Ray", at=[facility])
        ben = work.doctors.add("Ben", "Cole", at=[facility])
        service = work.services.add("check-up", duration=_HALF_HOUR)
        with_anna, with_ben = (work.offerings.add(service, by=doctor, at=facility) for doctor in (anna, ben))
        rules = (
            *work.rules.add(anna, at=facility, on=_WORKDAYS, start=time(9), end=time(12), slot_duration=_HALF_HOUR),
            *work.rules.add(
                ben, at=facility, on=Weekday.MONDAY, start=time(14), end=time(16), slot_duration=_HALF_HOUR
            ),
        )
        patient = work.patients.add("Ada", "Poe", email="ada@example.org")
    today = scheduler._clock().date()  # noqa: SLF001  # of the same library
    monday = today - timedelta(days=today.weekday()) + _WEEK
    scheduler.generate(slug, from_day=monday, days=7 * weeks)
    return SmallClinic(
        scheduler, slug, tenant_id, facility, anna, ben, service, with_anna, with_ben, rules, patient, monday
    )
