"""Schedule parts in PostgreSQL: the rules, exceptions and closures that decide slots of given days.

Owns: which rows can decide which days, and reading them for many schedules at once.
Holds: A1 (the parts of a schedule), R3 (parts that are over decide no later day).
Must not know: which schedules there are, checkpoints; how a row becomes a value (`schedule_rows`).

Statements look up each schedule by itself (`lateral ... offset 0`), and by its doctor (`facility_id + 0`): a table that
was never analysed, or that grew since, would else be read as a whole for each batch, or by facility.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final, NamedTuple, TypeVar

from sqlalchemy import text
from sqlmodel import Session

from scheduler import models as rows
from scheduler.core.fingerprints import relevant_from
from scheduler.core.schedules import Closure
from scheduler.postgres.schedule_rows import closure_of

Pair = tuple[int, int]
"""A doctor and a facility, as in `ScheduleKey`."""

FARTHEST_MOVE: Final = timedelta(days=2)
"""How far an exception in wall-clock time may move with its zone: every zone's offset is less than a day."""

_EVERY_WEEKDAY: Final = "0123456"
_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_LAST_DAY: Final = date.max - timedelta(days=10)


_Part = TypeVar("_Part", rows.AvailabilityRule, rows.AvailabilityException)

_CLOSURES: Final = text("""
select id, facility_id, day, start_time, end_time from scheduling.facility_closures
where tenant_id = (select identity.current_tenant_id()) and facility_id = any(cast(:ids as bigint[])) and day >= :since
""")
_PART = """
select part.*
from unnest(
    cast(:doctors as bigint[]), cast(:facilities as bigint[]), cast(:since as timestamptz[]),
    cast(:until as timestamptz[]), cast(:weekdays as text[])
) as schedule (doctor_id, facility_id, since, until, weekdays)
cross join lateral (
    select * from {table}
    where tenant_id = (select identity.current_tenant_id())
      and doctor_id = schedule.doctor_id and facility_id + 0 = schedule.facility_id {condition}
    offset 0
) part
"""
_PARTS: Final = {
    rows.AvailabilityRule: text(
        _PART.format(
            table="scheduling.availability_rules",
            condition="and (any_weekday or strpos(schedule.weekdays, day_of_week::text) > 0)",
        )
    ),
    rows.AvailabilityException: text(
        _PART.format(
            table="scheduling.availability_exceptions",
            condition="and end_at >= schedule.since and start_at < schedule.until",
        )
    ),
}


class NeededDays(NamedTuple):
    """The local days `[since, until)` whose slots the parts of a schedule have to decide; by default all.

    Windows of the day before reach into the first, and exceptions and closures further. A rule of another weekday than
    these decides no slot, unless an override takes its hours.
    """

    since: date = date.min
    until: date = date.max

    @property
    def weekdays(self) -> str:
        """The digits of the weekdays of these days and of the day before."""
        if self.until - self.since >= timedelta(days=6):
            return _EVERY_WEEKDAY
        before = self.since.isoweekday() - 1
        return "".join(str((before + number) % 7) for number in range((self.until - self.since).days + 1))

    @property
    def begin(self) -> datetime:
        """An instant that is before all exceptions that decide slots of these days."""
        # The ends of an exception in wall-clock time may have moved since it was stored.
        return max(relevant_from(self.since), _FIRST + FARTHEST_MOVE) - FARTHEST_MOVE

    @property
    def end(self) -> datetime:
        """An instant that is after all exceptions that decide slots of these days."""
        return datetime.combine(min(self.until, _LAST_DAY), time(), UTC) + 3 * FARTHEST_MOVE


def closures_of(session: Session, facility_ids: Iterable[int], since: date) -> dict[int, list[Closure]]:
    """Return the closures of facilities from a local day on, by facility."""
    closures = defaultdict(list)
    session.flush()
    found: Any = session.connection().execute(_CLOSURES, {"ids": sorted(facility_ids), "since": since})
    for row in found:
        closures[row.facility_id].append(closure_of(row))
    return closures


def parts_of(session: Session, part: type[_Part], needed: Iterable[tuple[Pair, NeededDays]]) -> dict[Pair, list[_Part]]:
    """Return the rules or the exceptions that can decide the needed days of each schedule.

    They are rows with the columns' names: they are many, and objects of the model would cost more than the rest.
    """
    rows_of: dict[Pair, list[_Part]] = defaultdict(list)
    session.flush()
    pairs = list(needed)
    wanted = {
        "doctors": [doctor_id for (doctor_id, _), _ in pairs],
        "facilities": [facility_id for (_, facility_id), _ in pairs],
        "since": [days.begin for _, days in pairs],
        "until": [days.end for _, days in pairs],
        "weekdays": [days.weekdays for _, days in pairs],
    }
    rows_found: Any = session.connection().execute(_PARTS[part], wanted)
    for row in rows_found:
        rows_of[row.doctor_id, row.facility_id].append(row)
    return rows_of
