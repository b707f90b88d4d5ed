"""Events of visits: an ordered log without gaps, for readers that send reminders or keep a calendar.

Owns: the value of an event, its kinds, and reading after a position.
Holds: B10 (each committed event has one position, and no reader misses one or sees one twice).
Must not know: how events are written and numbered (the functions of the migrations), who reads them.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from sqlalchemy import text
from sqlmodel import Session

from scheduler.core.errors import InvalidInputError, NotFoundError
from scheduler.core.validation import Validator

_CHECK: Final = Validator(InvalidInputError)
_MOST: Final = 2**31 - 1
_LAST: Final = 2**63 - 1
_COLUMNS: Final = (
    "position, kind, appointment_id, patient_id, doctor_id, facility_id, service_offering_id, status_before, status,"
    " start_at, end_at, previous_start_at, local_start, zone, created_at"
)
_NUMBER: Final = text("select scheduling.number_events()")
# One statement, so that no event is deleted between the two tables.
_AFTER: Final = text(f"""
select counter.last_position, counter.deleted_position, event.*
from scheduling.event_counters counter
left join lateral (
    select {_COLUMNS} from scheduling.events
    where tenant_id = counter.tenant_id and position > :after order by position limit :limit
) as event on true
where counter.tenant_id = (select identity.current_tenant_id())
order by event.position
""")  # noqa: S608  # the columns above


class EventKind(StrEnum):
    """Something that happened to a visit."""

    BOOKED = "visit_booked"
    MOVED = "visit_moved"
    """Its time, doctor, facility, offering or patient changed."""
    CANCELLED = "visit_cancelled"
    CHECKED_IN = "visit_checked_in"
    BEGUN = "visit_begun"
    COMPLETED = "visit_completed"
    NO_SHOW = "visit_no_show"
    RESTORED = "visit_restored"
    """A correction: it is scheduled again, after a check-in or no-show that was a mistake."""
    DELETED = "visit_deleted"
    """Its row is gone, for example since the data of the patient were erased."""


class EventsGoneError(NotFoundError):
    """The events after a position are deleted already: the reader was away for longer than they are kept.

    `oldest` is the position of the oldest event that is kept, or of the next one.
    """

    def __init__(self, after: int, oldest: int) -> None:
        super().__init__(after, oldest)
        self.after = after
        self.oldest = oldest

    def __str__(self) -> str:
        return (
            f"the events from {self.after + 1} to {self.oldest - 1} are deleted: read all visits anew,"
            f" and go on after {self.oldest - 1}"
        )


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a visit, with the visit as it was then; instants are in UTC.

    `local_start` is the wall-clock time that the patient was told (naive), in `zone`. A new visit has no
    `status_before`, a deleted one no `status`; `previous_start_at` is that of a visit that was moved. `occurred_at` is
    the beginning of the transaction that changed the visit.
    """

    position: int
    kind: EventKind
    visit_id: int
    patient_id: int
    doctor_id: int
    facility_id: int
    offering_id: int
    status_before: str | None
    status: str | None
    start_at: datetime
    end_at: datetime
    previous_start_at: datetime | None
    local_start: datetime
    zone: str
    occurred_at: datetime


def events_after(session: Session, position: int, *, limit: int) -> list[Event]:
    """Number the new events of the tenant, and return the first of those after a position.

    Position 0 is before the oldest event that is kept. The transaction should do nothing else: until it ends, nobody
    else numbers events of the tenant, and others read those that have a position.

    Raises:
        EventsGoneError: events after the position are deleted.
        InvalidInputError: the position is negative or beyond the last event, or the limit is below 1.
    """
    _CHECK.whole("after", position, lowest=0)
    _CHECK.whole("limit", limit)
    connection = session.connection()
    connection.execute(_NUMBER)
    rows = connection.execute(_AFTER, {"after": min(position, _LAST), "limit": min(limit, _MOST)}).all()
    last, deleted = rows[0][:2] if rows else (0, 0)
    if position > last:
        raise InvalidInputError(
            f"after is {position}, but the last event is {last}: the position is not of this tenant"
        )
    if 0 < position < deleted:
        raise EventsGoneError(position, deleted + 1)
    return [Event(number, EventKind(kind), *rest) for _, _, number, kind, *rest in rows if number is not None]
