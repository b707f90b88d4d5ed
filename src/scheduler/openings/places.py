"""Places: where doctors work and when, as values without database keys.

Owns: the place, its doctors and its closed days. Rules and exceptions have names that stay the same from one reading
to the next (`monday 09:00`), so that an import can tell a changed rule from a new one.
Holds: A1 (each doctor of a place has one schedule there).
Must not know: the file format, tables and rows.
"""

from dataclasses import dataclass
from datetime import date, time
from typing import NamedTuple
from zoneinfo import ZoneInfo

from scheduler.core.errors import InvalidScheduleError
from scheduler.core.schedules import Schedule
from scheduler.core.slots import Id


class ClosedDay(NamedTuple):
    """A local date on which a place is closed, or closed from one time to another, with the reason."""

    day: date
    reason: str | None = None
    start_time: time | None = None
    end_time: time | None = None

    @property
    def name(self) -> str:
        """The day, and the times of a closed time: they distinguish it from other closures of a place."""
        return f"{self.day}" if self.start_time is None else f"{self.day} {self.start_time}-{self.end_time}"


@dataclass(frozen=True, slots=True)
class Doctor:
    """A person who works at a place. The same code at two places is the same person (S3).

    `schedule` is the doctor's at this place; `reasons` has the reasons of its exceptions, by their ids.

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
        exception_ids = {exception.id for exception in self.schedule.exceptions}
        for exception_id, _ in self.reasons:
            if exception_id not in exception_ids:
                raise InvalidScheduleError(
                    f"doctor {self.code}: the schedule has no exception {exception_id!r} to give a reason for"
                )


@dataclass(frozen=True, slots=True)
class Place:
    """A facility with its doctors. All wall-clock times are in `zone`.

    `further` holds all other facts about the place, as canonical JSON text of one object.

    Raises:
        InvalidScheduleError: a doctor is listed twice, or a schedule belongs to another place or zone.
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
                    f"place {self.slug}: the schedule of doctor {doctor.code!r} belongs to "
                    f"{doctor.schedule.facility_id!r} in {doctor.schedule.zone.key}"
                )
