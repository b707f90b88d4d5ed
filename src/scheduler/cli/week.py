"""Week of a facility as values: its doctors, slots, exceptions and closures, and the same as JSON.

Owns: the week that the calendar draws and that `show --json` prints.
Must not know: how a week is drawn; the clock and the database.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from scheduler.cli.rendering import offset_time
from scheduler.core.schedules import ExceptionType
from scheduler.core.slots import Id

TAKEN: Final = "taken"


class WeekDoctor(NamedTuple):
    """A doctor of the week."""

    id: int
    name: str


class WeekSlot(NamedTuple):
    """A slot, or a visit without one, which has no id. Instants are aware.

    `status` is open, reserved (held), booked (all places), cancelled, or taken: the doctor is not free for its length.
    """

    doctor_id: int
    start_at: datetime
    end_at: datetime
    status: str = "open"
    service_offering_id: Id | None = None
    id: Id | None = None


class WeekException(NamedTuple):
    """An exception of one doctor; with `rule_id` it concerns that rule only (A6). Instants are aware."""

    doctor_id: int
    type: ExceptionType
    start_at: datetime
    end_at: datetime
    reason: str | None = None
    rule_id: int | None = None
    id: int | None = None


class WeekClosure(NamedTuple):
    """A closed day of the facility, or the closed time from `start_at` to `end_at` (aware) that begins on it."""

    day: date
    reason: str | None = None
    start_at: datetime | None = None
    end_at: datetime | None = None
    id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Week:
    """Seven local days of one facility from `first_day`, with the doctors asked for; `name` is the facility's."""

    slug: str
    name: str
    zone: ZoneInfo
    first_day: date
    doctors: tuple[WeekDoctor, ...] = ()
    slots: tuple[WeekSlot, ...] = ()
    exceptions: tuple[WeekException, ...] = ()
    closures: tuple[WeekClosure, ...] = ()

    @property
    def days(self) -> tuple[date, ...]:
        """The seven local days."""
        return tuple(self.first_day + timedelta(days=number) for number in range(7))

    def as_json(self) -> dict[str, object]:
        """Return the week as one JSON object; instants have the offset of the facility's zone."""

        def times(start_at: datetime | None, end_at: datetime | None) -> dict[str, str | None]:
            named = {"start_at": start_at, "end_at": end_at}
            return {name: None if at is None else offset_time(at, zone=self.zone) for name, at in named.items()}

        return {
            "facility": {"slug": self.slug, "name": self.name, "zone": self.zone.key},
            "first_day": str(self.first_day),
            "last_day": str(self.days[-1]),
            "doctors": [doctor._asdict() for doctor in self.doctors],
            "slots": [
                slot._asdict() | times(slot.start_at, slot.end_at)
                for slot in sorted(self.slots, key=lambda slot: (slot.start_at, slot.doctor_id, slot.end_at))
            ],
            "exceptions": [
                exception._asdict() | times(exception.start_at, exception.end_at) for exception in self.exceptions
            ],
            "closures": [
                closure._asdict() | {"day": str(closure.day)} | times(closure.start_at, closure.end_at)
                for closure in self.closures
            ],
        }
