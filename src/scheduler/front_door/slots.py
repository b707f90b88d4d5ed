"""Slots: the open slots of an offering, or of a doctor.

Owns: which of the bookable slots are asked for.
Holds: S3 (the database says which slots can be booked, alike to everybody).
Must not know: whether a visit fits into a slot (the search for visits).
"""

from collections.abc import Iterable
from datetime import date
from typing import Final, overload

from sqlalchemy import ColumnElement, and_, column, or_, select, table
from sqlmodel import col
from sqlmodel import select as select_rows

from scheduler import models
from scheduler.core.errors import InvalidInputError
from scheduler.core.ids import DoctorId, OfferingId
from scheduler.core.slots import Slot
from scheduler.core.spans import Span
from scheduler.core.validation import Validator
from scheduler.core.zones import local_day, zone_of
from scheduler.front_door.context import Context
from scheduler.front_door.doctors import Doctors
from scheduler.front_door.offerings import Offerings

_CHECK: Final = Validator(InvalidInputError)
_FIELDS: Final = (
    "start_at",
    "end_at",
    "doctor_id",
    "facility_id",
    "service_offering_id",
    "capacity",
    "created_from_rule_id",
    "released_at",
)
_SLOT: Final = table("bookable_slots", *map(column, ("tenant_id", "id", *_FIELDS)), schema="scheduling")
_MOST: Final = 2**31 - 1
"""A larger limit is none; PostgreSQL refuses one beyond 2 ** 63."""


class OpenSlots:
    """The slots of a tenant that can still be booked."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._session = context.session

    @overload
    def open(
        self, what: OfferingId | models.ServiceOffering | DoctorId | models.Doctor, *, day: date, limit: int = 100
    ) -> list[Slot]: ...

    @overload
    def open(
        self, what: OfferingId | models.ServiceOffering | DoctorId | models.Doctor, *, between: Span, limit: int = 100
    ) -> list[Slot]: ...

    def open(
        self,
        what: OfferingId | models.ServiceOffering | DoctorId | models.Doctor,
        *,
        day: date | None = None,
        between: Span | None = None,
        limit: int = 100,
    ) -> list[Slot]:
        """Return the open slots that start on a local day of the facility, or in a span, earliest first.

        A slot is open if it has not begun, a place is left, and its doctor is free during it, or shares it. Slots of an
        offering are those made for it, and those made for any offering of its doctor there. Instants are in UTC.

        Raises:
            InvalidInputError: the first argument is neither an offering nor a doctor, not exactly one of `day` and
                `between` is given, or the limit is below 1.
            NotFoundError: there is no such offering or doctor.
        """
        _CHECK.whole("limit", limit)
        if (day is None) is (between is None):
            raise InvalidInputError("slots: give either day or between")
        if between is not None:
            _CHECK.instance("between", between, Span)
        doctor, zones, suits = self._of(what)
        starts = [
            and_(_SLOT.c.facility_id == facility, _SLOT.c.start_at >= span.start, _SLOT.c.start_at < span.end)
            for facility, zone in zones
            if (span := between or local_day(zone_of(zone), _day(day))) is not None
        ]
        if not starts:
            return []
        query = (
            select(*(_SLOT.c[name] for name in _FIELDS))
            .where(_SLOT.c.tenant_id == self._context.tenant_id, _SLOT.c.doctor_id == doctor, or_(*starts), *suits)
            .where(_SLOT.c.start_at >= self._context.clock())
            .order_by(_SLOT.c.start_at, _SLOT.c.id)
            .limit(min(limit, _MOST))
        )  # fmt: skip
        return [Slot(*row) for row in self._session.connection().execute(query)]

    def _of(self, what: object) -> tuple[int, Iterable[tuple[int, str]], list[ColumnElement[bool]]]:
        """Return the doctor, facilities with their zones, and the condition on the offering."""
        facility, post = models.Facility, models.FacilityDoctor
        if isinstance(what, OfferingId | models.ServiceOffering):
            offering = Offerings(self._context).get(what)
            where = [col(facility.id) == offering.facility_id]
            doctor = offering.doctor_id
            suits: list[ColumnElement[bool]] = [
                or_(_SLOT.c.service_offering_id.is_(None), _SLOT.c.service_offering_id == offering.id)
            ]
            if not offering.active:
                return doctor, (), suits
        elif isinstance(what, DoctorId | models.Doctor):
            doctor = int(Doctors(self._context).get(what).id or 0)
            at = select_rows(post.facility_id).where(col(post.doctor_id) == doctor, col(post.active))
            where, suits = [col(facility.id).in_(at)], []
        else:
            raise InvalidInputError(
                f"slots: the first argument must be of type OfferingId or DoctorId, such as OfferingId(1),"
                f" not {type(what).__name__}"
            )
        zones = select_rows(facility.id, facility.timezone).where(col(facility.deleted_at).is_(None), *where)
        return doctor, [(int(found or 0), zone) for found, zone in self._session.exec(zones)], suits


def _day(day: date | None) -> date:
    _CHECK.day("day", day)
    assert day is not None  # noqa: S101  # checked above
    return day
