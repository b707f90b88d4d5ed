"""Candidates: the offerings that may serve a visit.

Owns: the candidate as a value: an offering's workflow, its doctor's calendar, its buffers and its policy.
Must not know: how a visit is found (`search_plans`).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from scheduler.core.calendars import DoctorCalendar
from scheduler.core.errors import InvalidInputError
from scheduler.core.slots import Id
from scheduler.core.spans import Span, utc
from scheduler.core.validation import Validator
from scheduler.core.workflows import Workflow

_CHECK: Final = Validator(InvalidInputError)
_NO_TIME: Final = timedelta(0)

LONGEST_BUFFER: Final = timedelta(days=7)
"""The longest time that an offering keeps free before or after its visits."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """An offering that may serve the visit: its workflow, and the calendar of its doctor at its facility.

    The buffers lie once, before the first and after the last step with the doctor. They keep other visits of the doctor
    away, and need not lie in working time; each lasts at most seven days. `bookable` are the starts that
    the booking policy allows, `capped` those that a full day or week takes away. With `released_by`, only slots that
    are released by then take a visit (Q5). A candidate that does not need a slot has a calendar `beyond_hours`, and is
    not searched: a visit is asked for at its start (B8).

    Raises:
        InvalidInputError: a field is invalid.
    """

    offering_id: Id
    workflow: Workflow
    calendar: DoctorCalendar
    buffer_before: timedelta = _NO_TIME
    buffer_after: timedelta = _NO_TIME
    bookable: Span | None = None
    capped: tuple[Span, ...] = ()
    released_by: datetime | None = None
    needs_slot: bool = True

    def __post_init__(self) -> None:
        _CHECK.id("candidate: offering_id", self.offering_id)
        name = f"candidate {self.offering_id}"
        _CHECK.instance(f"{name}: workflow", self.workflow, Workflow)
        _CHECK.instance(f"{name}: calendar", self.calendar, DoctorCalendar)
        for field, buffer in (("buffer_before", self.buffer_before), ("buffer_after", self.buffer_after)):
            _CHECK.non_negative(f"{name}: {field}", buffer)
            if buffer > LONGEST_BUFFER:
                raise InvalidInputError(f"{name}: {field} must be at most {LONGEST_BUFFER.days} days, not {buffer}")
        if self.bookable is not None:
            _CHECK.instance(f"{name}: bookable", self.bookable, Span)
        object.__setattr__(self, "capped", _CHECK.sequence(f"{name}: capped", self.capped, Span))
        if self.released_by is not None:
            object.__setattr__(self, "released_by", utc(self.released_by, name=f"{name}: released_by"))
        _CHECK.flag(f"{name}: needs_slot", self.needs_slot)
