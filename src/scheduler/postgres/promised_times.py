"""Promised times: bookings whose clock would show another time than the patient was told.

Owns: the comparison of future bookings with the clock of their facility, by the engine's own time zone data.
Holds: T6 (a booking keeps its promised wall-clock time; one that would begin at another time is listed, never moved).
Must not know: the patients, how a list is shown.

The cause may be a new release of the time zone data, or another zone of the facility. PostgreSQL has time zone data of
its own, which the engine does not ask. Many bookings begin together: each time is compared once, and only broken
promises are read as bookings.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlmodel import Session

from scheduler.core.errors import WallClockError
from scheduler.core.zones import zone_of

_FUTURE: Final = """
from scheduling.facilities facility
join scheduling.appointments appointment
    on appointment.tenant_id = facility.tenant_id and appointment.facility_id = facility.id
where facility.tenant_id = (select identity.current_tenant_id())
  and (cast(:slug as text) is null or facility.slug = :slug)
  and appointment.start_at >= :now and appointment.status in ('scheduled', 'checked_in', 'in_progress')
"""
_READINGS: Final = text("select distinct facility.timezone, appointment.start_at, appointment.local_start" + _FUTURE)
_BOOKINGS: Final = text(
    "select appointment.id, facility.slug, appointment.local_start, appointment.zone, appointment.start_at,"  # noqa: S608  # the text above
    f" facility.timezone {_FUTURE}"
    """
  and (facility.timezone, appointment.start_at, appointment.local_start) in (
    select * from unnest(cast(:zones as text[]), cast(:starts as timestamptz[]), cast(:local_starts as timestamp[]))
  )
order by facility.slug, facility.id, appointment.start_at, appointment.id
"""
)


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
    given = {"now": now, "slug": facility_slug}
    connection = session.connection()
    readings = connection.execute(_READINGS, given).all()
    shown = {(zone, at): _shown_at(at, zone) for zone, at, _ in readings}
    broken = [(zone, at, promised) for zone, at, promised in readings if shown[zone, at] != promised]
    if not broken:
        return ()
    zones, starts, local_starts = map(list, zip(*broken, strict=True))
    bookings = connection.execute(_BOOKINGS, given | {"zones": zones, "starts": starts, "local_starts": local_starts})
    return tuple(
        BrokenPromise(id_, facility, promised_start, promised_zone, shown[zone, start_at], zone)
        for id_, facility, promised_start, promised_zone, start_at, zone in bookings
    )


def _shown_at(at: datetime, zone: str) -> datetime | None:
    try:
        return at.astimezone(zone_of(zone)).replace(tzinfo=None)
    except WallClockError:
        return None
