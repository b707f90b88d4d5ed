"""Figures of visits: places and time by doctor, facility, resource and day, lead times, and the wait for a visit.

Owns: the totals of a span of local days, and the third next available appointments.
Must not know: how places and time are counted (the functions of the migrations), how figures are shown.

`docs/figures.md` defines each figure. A report has ids, and nothing about a patient.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import TextClause, text
from sqlmodel import Session

from scheduler.core.errors import InvalidInputError
from scheduler.core.ids import FacilityId
from scheduler.core.zones import check_day

# All that is summed adds up, so facilities and the total are added from the doctors.
_DOCTORS: Final = text("""
select facility_id, doctor_id, day, sum(places)::bigint, sum(booked_places)::bigint, sum(held_places)::bigint,
    sum(closed_places)::bigint, sum(free_places)::bigint, sum(booked), sum(held), sum(blocked), sum(free),
    sum(visits)::bigint, sum(cancelled)::bigint, sum(no_shows)::bigint, sum(lead_time), sum(timed_visits)::bigint
from scheduling.doctor_days(:from_day, :until_day)
where cast(:facility as bigint) is null or facility_id = :facility
group by grouping sets ((facility_id, doctor_id), (day))
order by facility_id, doctor_id, day
""")
_RESOURCES: Final = text("""
select facility_id, resource_id, sum(booked), sum(held), sum(blocked)
from scheduling.resource_days(:from_day, :until_day)
where cast(:facility as bigint) is null or facility_id = :facility
group by facility_id, resource_id order by facility_id, resource_id
""")
_THIRD: Final = text("""
select facility_id, doctor_id, third_start_at, days from scheduling.third_next_available(:as_of)
where cast(:facility as bigint) is null or facility_id = :facility
order by facility_id, doctor_id
""")
_NONE: Final = timedelta(0)


@dataclass(frozen=True, slots=True)
class Figures:
    """Figures of a facility, of a doctor there, of a local day, or of all.

    Without facility, doctor and day, they are of all. `places` is the sum of the booked, held, closed and free ones.
    `lead_time` is the mean, None without visits.
    """

    facility_id: int | None = None
    doctor_id: int | None = None
    day: date | None = None
    places: int = 0
    booked_places: int = 0
    held_places: int = 0
    closed_places: int = 0
    free_places: int = 0
    booked: timedelta = _NONE
    held: timedelta = _NONE
    blocked: timedelta = _NONE
    free: timedelta = _NONE
    visits: int = 0
    cancelled: int = 0
    no_shows: int = 0
    lead_time: timedelta | None = None


@dataclass(frozen=True, slots=True)
class ResourceFigures:
    """The time of a resource; it has no slots, and so no free time that is offered."""

    facility_id: int
    resource_id: int
    booked: timedelta
    held: timedelta
    blocked: timedelta


@dataclass(frozen=True, slots=True)
class ThirdNextAvailable:
    """The third next available appointment of a doctor at a facility, and the local days until it, or None."""

    facility_id: int
    doctor_id: int
    start_at: datetime | None
    days: int | None


@dataclass(frozen=True, slots=True)
class VisitReport:
    """Figures of the local days from `from_day` to before `until_day`."""

    from_day: date
    until_day: date
    as_of: datetime
    total: Figures
    facilities: tuple[Figures, ...]
    doctors: tuple[Figures, ...]
    days: tuple[Figures, ...]
    resources: tuple[ResourceFigures, ...]
    third_next_available: tuple[ThirdNextAvailable, ...]


def visit_report(
    session: Session, from_day: date, until_day: date, *, as_of: datetime, facility_id: FacilityId | None = None
) -> VisitReport:
    """Return the figures of the local days from `from_day` to before `until_day`, of all facilities or one.

    The third next available appointments are those after `as_of`, whatever the days. Staff, admins and the host see
    all figures; another user those of the rows that are theirs.

    Raises:
        InvalidInputError: there is no day, or a day lies at an end of the calendar.
    """
    if from_day >= until_day:
        raise InvalidInputError(f"no day to report on: from {from_day} to before {until_day}")
    check_day(from_day)
    check_day(until_day)
    given = {"from_day": from_day, "until_day": until_day, "facility": facility_id, "as_of": as_of}

    def rows(query: TextClause) -> Iterator[tuple[Any, ...]]:
        return (tuple(row) for row in session.connection().execute(query, given))

    grouped = list(rows(_DOCTORS))
    of_doctors = [row for row in grouped if row[2] is None]
    of_facilities = groupby(of_doctors, key=itemgetter(0))
    return VisitReport(
        from_day,
        until_day,
        as_of,
        _figures(of_doctors),
        tuple(_figures(of_facility, facility_id=id_) for id_, of_facility in of_facilities),
        tuple(_figures([row], facility_id=row[0], doctor_id=row[1]) for row in of_doctors),
        tuple(_figures([row], day=row[2]) for row in grouped if row[2] is not None),
        tuple(ResourceFigures(*row) for row in rows(_RESOURCES)),
        tuple(ThirdNextAvailable(*row) for row in rows(_THIRD)),
    )


def _figures(
    rows: Iterable[tuple[Any, ...]],
    *,
    facility_id: int | None = None,
    doctor_id: int | None = None,
    day: date | None = None,
) -> Figures:
    """Add rows of the database up."""
    columns = list(zip(*rows, strict=True))[3:]
    if not columns:
        return Figures()
    *figures, lead_time, timed_visits = (sum(column[1:], column[0]) for column in columns)
    values: list[Any] = [facility_id, doctor_id, day, *figures, lead_time / timed_visits if timed_visits else None]
    return Figures(*values)
