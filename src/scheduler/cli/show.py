"""`scheduler show`: the week of a facility as a calendar."""

import json
from datetime import date, datetime, timedelta
from typing import Annotated
from zoneinfo import ZoneInfo

import typer
from rich.console import Console

from scheduler.cli.picture_files import HtmlFile, SvgFile, write_pictures
from scheduler.cli.settings import (
    DEFAULT_TENANT,
    AsJson,
    DatabaseUrl,
    DoctorId,
    FacilitySlug,
    Tenant,
    now,
    opened,
    read_day,
)
from scheduler.cli.terminal import echo
from scheduler.cli.week import TAKEN, Week, WeekClosure, WeekDoctor, WeekException, WeekSlot
from scheduler.cli.week_calendar import week_calendar
from scheduler.core.bookings import BookingContext
from scheduler.core.lifecycle import SlotStatus
from scheduler.core.reconciliation import StoredSlot
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
from scheduler.postgres.tenants import tenant_id_of
from scheduler.postgres.uses import booking_contexts

WEEK = timedelta(days=7)


def show(
    slug: FacilitySlug,
    url: DatabaseUrl = None,
    tenant: Tenant = DEFAULT_TENANT,
    week: Annotated[
        str | None, typer.Option("--week", metavar="DAY", help="A day of the week. [default: today]")
    ] = None,
    doctor: DoctorId = None,
    as_json: AsJson = False,
    svg: SvgFile = None,
    html: HtmlFile = None,
) -> None:
    """Show a facility's week as a calendar, with its slots, exceptions and closed days."""
    day = read_day(week, default=now().date())
    with opened(url) as database:
        shown = week_of(database, slug, day, tenant=tenant, doctor_id=doctor)
    write_pictures(lambda columns: week_calendar(shown, columns=columns), title=shown.name, svg=svg, html=html)
    if as_json:
        echo(json.dumps(shown.as_json()))
    elif svg is None and html is None:
        console = Console()
        console.print(week_calendar(shown, columns=console.width))


def week_of(database: Database, slug: str, day: date, *, tenant: str, doctor_id: int | None = None) -> Week:
    """Return the week, Monday to Sunday, of a day."""
    monday = day - timedelta(days=day.weekday())
    with database.unit_of_work(role=Role.JOB, tenant_id=tenant_id_of(database, tenant, role=Role.JOB)) as session:
        facility = facility_view(session, slug)
        zone = zone_of(facility.zone)
        local_days(zone, day)  # an error names the day that was asked for
        begin, end = local_days(zone, monday, min(monday, date.max - WEEK) + WEEK)  # no date follows the last one
        doctors = doctors_at(with_doctors_of_slots(session, facility, begin, end), doctor_id)
        at = now()
        contexts = booking_contexts(session, [doctor.key.doctor_id for doctor in doctors], begin, end, now=at)
        visits = visits_without_slot(session, facility.id, begin, end)
        ids = {doctor.key.doctor_id for doctor in doctors}
        exceptions = exceptions_between(session, facility, begin, end)
        closures = closures_between(session, facility.id, monday - timedelta(days=1), monday + WEEK)
    return Week(
        slug=facility.slug,
        name=facility.name,
        zone=zone,
        first_day=monday,
        doctors=tuple(WeekDoctor(doctor.key.doctor_id, doctor.name) for doctor in doctors),
        slots=tuple(
            WeekSlot(id_, slot.start_at, slot.end_at, _status(stored, context), slot.service_offering_id, stored.id)
            for id_, context in contexts.items()
            for stored in context.stored
            for slot in (stored.slot,)
            if slot.facility_id == facility.id and begin <= slot.start_at < end
        )
        + tuple(WeekSlot(id_, start_at, end_at, "booked") for id_, start_at, end_at in visits if id_ in ids),
        exceptions=tuple(
            WeekException(
                row.doctor_id, ExceptionType(row.type), start_at, end_at, row.reason, row.availability_rule_id, row.id
            )
            for start_at, end_at, row in exceptions
            if row.doctor_id in ids
        ),
        closures=tuple(WeekClosure(row.day, row.reason, *closed_time(row, zone), row.id) for row in closures),
    )


def _status(stored: StoredSlot, context: BookingContext) -> str:
    """Return the status to show: that of the slot, or `taken` if nobody else can have it.

    So it is if the doctor is not free for its length, or if the schedule dropped it.
    """
    if stored.is_full:
        return SlotStatus.BOOKED.value
    if stored.status is SlotStatus.CANCELLED:
        return SlotStatus.CANCELLED.value
    if stored.is_reserved(context.now) or stored.taken_count == stored.slot.capacity:
        return SlotStatus.RESERVED.value
    return TAKEN if stored.is_dropped or any(context.takers(stored.slot)) else SlotStatus.OPEN.value


def closed_time(closure: FacilityClosure, zone: ZoneInfo) -> tuple[datetime | None, datetime | None]:
    """Return start and end of a closed time; none for a closed day."""
    if closure.start_time is None or closure.end_time is None:
        return None, None
    clocks = (timedelta(microseconds=clock) for clock in clock_span(closure.start_time, closure.end_time))
    start_at, end_at = (instant_at(zone, closure.day, clock) for clock in clocks)
    return start_at, end_at
