"""Promised times: bookings whose clock would show another time than the patient was told.

Owns: the comparison of future bookings with the clock of their facility, by the engine's own time zone data.
Holds: T6 (a booking keeps its promised wall-clock time; one that would begin at another time is listed, never moved).
Must not know: the patients, how a list is shown.

The cause may be a new release of the time zone data, or another zone of the facility. PostgreSQL has time zone data of
its own, which the engine does not ask.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlmodel import Session

from scheduler.core.errors import WallClockError
from scheduler.core.zones import zone_of

_FUTURE = text("""
select appointment.id, facility.slug, appointment.local_start, appointment.zone, appointment.start_at, facility.timezone
from scheduling.facilities facility
join scheduling.appointments appointment
    on appointment.tenant_id = facility.tenant_id and appointment.facility_id = facility.id
where facility.tenant_id = (select identity.current_tenant_id())
  and (cast(:slug as text) is null or facility.slug = :slug)
  and appointment.start_at >= :now and appointment.status in ('scheduled', 'checked_in', 'in_progress')
order by facility.slug, facility.id, appointment.start_at, appointment.id
""")


@dataclass(frozen=True, slots=True)
class BrokenPromise:
    """A booking that begins at another wall-clock time than its patient was told; times are naive.

    `local_start` is what the clock of the facility's `zone` shows at the stored start; None where the engine does not
    know the zone.
    """

    appointment_id: int
    facility: str
    promised_start: datetime
    promised_zone: str
    local_start: datetime | None
    zone: str


def broken_promises(session: Session, *, now: datetime, facility_slug: str | None = None) -> tuple[BrokenPromise, ...]:
    """Return the live bookings from `now` on (aware) that would begin at another time than promised."""
    broken = []
    bookings = session.connection().execute(_FUTURE, {"now": now, "slug": facility_slug})
    for id_, facility, promised_start, promised_zone, start_at, zone in bookings:
        local_start = _shown_at(start_at, zone)
        if local_start != promised_start:
            broken.append(BrokenPromise(id_, facility, promised_start, promised_zone, local_start, zone))
    return tuple(broken)


def _shown_at(at: datetime, zone: str) -> datetime | None:
    try:
        return at.astimezone(zone_of(zone)).replace(tzinfo=None)
    except WallClockError:
        return None
