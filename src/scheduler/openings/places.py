"""Places: where doctors work and when, as values that have no key in a database yet.

Owns: the place, its doctors and its closed days. Rules and exceptions are named by text that stays the same from
one reading to the next (`monday 09:00`), so that a store can tell a changed rule from a new one.
Holds: A1 (each doctor of a place has one schedule there).
Must not know: the file format that they come from, tables and rows.
"""

from dataclasses import dataclass
from datetime import date
from typing import NamedTuple
from zoneinfo import ZoneInfo

from scheduler.core.errors import InvalidScheduleError
from scheduler.core.schedules import Schedule
from scheduler.core.slots import Id


class ClosedDay(NamedTuple):
    """A local date on which a place is closed, and why."""

    day: date
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Doctor:
    """A person who works at a place. One code at two places is one person (S3).

    `schedule` is theirs at this place; `reasons` says why of those of its exceptions that carry a reason.

    Raises:
        InvalidScheduleError: a reason is given for an exception that the schedule does not have.
    """

    code: str
    first_name: str
    last_name: str
    display_name: str
    schedule: Schedule
    specialty: str | None = None
    role: str | None = None
    reasons: tuple[tuple[Id, str], ...] = ()

    def __post_init__(self) -> None:
        known = {exception.id for exception in self.schedule.exceptions}
        for exception_id, _ in self.reasons:
            if exception_id not in known:
                raise InvalidScheduleError(f"doctor {self.code}: a reason for {exception_id!r}, which is not there")


@dataclass(frozen=True, slots=True)
class Place:
    """A facility with its doctors. `zone` is that of every wall-clock time in it.

    `further` holds what else is known of it, as canonical JSON text of one object.

    Raises:
        InvalidScheduleError: a doctor is listed twice, or a schedule is of another place or zone.
    """

    slug: str
    name: str
    zone: ZoneInfo
    doctors: tuple[Doctor, ...]
    closures: tuple[ClosedDay, ...] = ()
    address: str | None = None
    phone: str | None = None
    country: str | None = None
    locale: str | None = None
    further: str = "{}"

    def __post_init__(self) -> None:
        codes = [doctor.code for doctor in self.doctors]
        for code in codes:
            if codes.count(code) > 1:
                raise InvalidScheduleError(f"place {self.slug}: doctor {code!r} is listed twice")
        for doctor in self.doctors:
            if (doctor.schedule.facility_id, doctor.schedule.zone) != (self.slug, self.zone):
                raise InvalidScheduleError(
                    f"place {self.slug}: the schedule of doctor {doctor.code!r} is of "
                    f"{doctor.schedule.facility_id!r} in {doctor.schedule.zone.key}"
                )
