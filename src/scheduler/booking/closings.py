"""Closing times: the ends of hours that late visits pass.

Owns: the hours of a visit's doctor and of the resources of its steps, and their comparison with the expected steps.
Holds: W5 (a delay names the closing time that it passes; the hours that the plan kept count).
Must not know: why a visit is late.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final, NamedTuple

from sqlmodel import Session

from scheduler.booking.calendars import read_calendars
from scheduler.booking.visits import Visit
from scheduler.core.errors import InvalidInputError
from scheduler.core.workflows import TimedStep
from scheduler.core.working_time import WorkingTime
from scheduler.core.zones import instant, micros
from scheduler.postgres.resource_schedules import openings_of
from scheduler.postgres.schedules import ScheduleKey

_DAY: Final = timedelta(days=1)


class LateVisit(NamedTuple):
    """A visit with its steps as they are planned, and the ends at which they are expected."""

    visit: Visit
    planned: Sequence[TimedStep]
    expected_ends: Sequence[datetime]


def passed_closings(session: Session, late: Sequence[LateVisit]) -> list[datetime | None]:
    """Return for each visit the first closing time that one of its steps passes, or None.

    The doctor closes with the working time at the facility, a resource with its opening times. Time after which a step
    was already planned to end does not count, and neither does what is always open.
    """
    if not late:
        return []
    since = min(one.visit.start_at for one in late).date() - _DAY
    hours = _Hours(session, late, since)
    return [min(_passed(one, hours), default=None) for one in late]


class _Hours:
    """The hours of the doctors and resources of visits, as far as they have any."""

    def __init__(self, session: Session, late: Sequence[LateVisit], since: date) -> None:
        keys = list(dict.fromkeys(_key(one.visit) for one in late))
        calendars = zip(keys, read_calendars(session, keys, since), strict=True)
        self._of_doctors = {
            key: read.calendar.loaded.working
            for key, read in calendars
            if not isinstance(read.calendar, InvalidInputError)
        }
        used: Any = {id_ for one in late for step in one.visit.steps for ids in step.resources.values() for id_ in ids}
        openings = openings_of(session, used, since=since)
        self._of_resources = {id_: WorkingTime(opening).within for id_, opening in openings.items()}

    def of(self, visit: Visit, timed: TimedStep) -> Iterator[Any]:
        """Yield the hours of those whom a step of a visit has: functions of begin and end."""
        if timed.step.has_doctor and _key(visit) in self._of_doctors:
            yield self._of_doctors[_key(visit)]
        for step in visit.steps:
            if step.position == timed.position:
                ids = (id_ for of_kind in step.resources.values() for id_ in of_kind)
                yield from (self._of_resources[id_] for id_ in ids if id_ in self._of_resources)


def _key(visit: Visit) -> ScheduleKey:
    return ScheduleKey(visit.doctor_id, visit.facility_id)


def _passed(late: LateVisit, hours: _Hours) -> Iterator[datetime]:
    """Yield the closing times that the steps of a visit pass."""
    for timed, expected_end in zip(late.planned, late.expected_ends, strict=True):
        end, last = micros(timed.end_at), micros(expected_end)
        if last <= end:
            continue
        for within in hours.of(late.visit, timed):
            yield from (
                instant(until) for begin, until in within(micros(timed.start_at), last) if begin < end <= until < last
            )
