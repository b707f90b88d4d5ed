"""`scheduler show`: the week of a facility as a calendar."""

from datetime import date, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.console import Console, RenderableType

from scheduler.cli.settings import DEFAULT_TENANT, DatabaseUrl, DoctorId, FacilitySlug, Tenant, now, opened, read_day
from scheduler.cli.week import Week, WeekClosure, WeekException, WeekSlot, week_calendar
from scheduler.core.schedules import ExceptionType
from scheduler.core.zones import clock_span, instant_at, local_days, zone_of
from scheduler.models import FacilityClosure
from scheduler.postgres.database import Database, Role
from scheduler.postgres.facilities import (
    closures_between,
    doctors_at,
    exceptions_between,
    facility_view,
    visits_without_slot,
    with_doctors_of_slots,
)
from scheduler.postgres.slots import stored_slots
from scheduler.postgres.tenants import tenant_id_of

WEEK = timedelta(days=7)


def show(
    slug: FacilitySlug,
    url: DatabaseUrl = None,
    tenant: Tenant = DEFAULT_TENANT,
    week: Annotated[
        str | None, typer.Option("--week", metavar="DAY", help="A day of the week. [default: today]")
    ] = None,
    doctor: DoctorId = None,
) -> None:
    """Show a facility's week as a calendar, with its slots, exceptions and closed days."""
    day = read_day(week, default=now().date())
    with opened(url) as database:
        calendar = week_of(database, slug, day, tenant=tenant, doctor_id=doctor)
    Console().print(calendar)


def week_of(database: Database, slug: str, day: date, *, tenant: str, doctor_id: int | None = None) -> RenderableType:
    """Draw the week, Monday to Sunday, of a day."""
    monday = day - timedelta(days=day.weekday())
    with database.unit_of_work(role=Role.JOB, tenant_id=tenant_id_of(database, tenant, role=Role.JOB)) as session:
        facility = facility_view(session, slug)
        zone = zone_of(facility.zone)
        local_days(zone, day)  # an error names the day that was asked for
        begin, end = local_days(zone, monday, min(monday, date.max - WEEK) + WEEK)  # no date follows the last one
        doctors = doctors_at(with_doctors_of_slots(session, facility, begin, end), doctor_id)
        slots_by_key = stored_slots(session, [doctor.key for doctor in doctors], begin, end)
        visits = visits_without_slot(session, facility.id, begin, end)
        names = {doctor.key.doctor_id: doctor.name for doctor in doctors}
        exceptions = exceptions_between(session, facility, begin, end)
        closures = closures_between(session, facility.id, monday - timedelta(days=1), monday + WEEK)
    return week_calendar(
        Week(
            title=f"{facility.name} ({facility.slug})",
            zone=zone,
            first_day=monday,
            slots=tuple(
                WeekSlot(
                    stored.slot.start_at, stored.slot.end_at, "booked" if stored.is_booked else stored.status.value
                )
                for slots in slots_by_key.values()
                for stored in slots
            )
            + tuple(WeekSlot(start_at, end_at, "booked") for doctor, start_at, end_at in visits if doctor in names),
            exceptions=tuple(
                WeekException(ExceptionType(row.type), start_at, end_at, row.reason, names[row.doctor_id])
                for start_at, end_at, row in exceptions
                if row.doctor_id in names
            ),
            closures=tuple(WeekClosure(row.day, row.reason, *_closed_time(row, zone)) for row in closures),
        )
    )


def _closed_time(closure: FacilityClosure, zone: ZoneInfo) -> tuple[datetime, ...]:
    """Return start and end of a closed time; nothing for a closed day."""
    if closure.start_time is None or closure.end_time is None:
        return ()
    clocks = clock_span(closure.start_time, closure.end_time)
    return tuple(instant_at(zone, closure.day, timedelta(microseconds=clock)) for clock in clocks)
