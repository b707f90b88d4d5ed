"""Slots: the open slots of an offering, or of a doctor.

Owns: the condition under which a stored slot is open.
Must not know: whether a visit fits into a slot (the search for visits).
"""

from collections.abc import Iterable
from datetime import date
from typing import Any, Final, overload

from sqlalchemy import ColumnElement
from sqlmodel import and_, col, or_, select

from scheduler import models
from scheduler.core.errors import InvalidInputError
from scheduler.core.lifecycle import SlotStatus
from scheduler.core.slots import Slot
from scheduler.core.spans import Span
from scheduler.core.validation import Validator
from scheduler.core.zones import local_day, zone_of
from scheduler.front_door.context import Context
from scheduler.front_door.doctors import Doctors
from scheduler.front_door.ids import DoctorId, OfferingId
from scheduler.front_door.offerings import Offerings

_CHECK: Final = Validator(InvalidInputError)
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

        A slot is open if it has not begun, a place is left, and nobody holds it. Slots of an offering are those made
        for it, and those made for any offering of its doctor there. Instants are in UTC.

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
        slot = models.AvailabilitySlot
        doctor, zones, suits = self._of(what)
        starts = [
            and_(col(slot.facility_id) == facility, col(slot.start_at) >= span.start, col(slot.start_at) < span.end)
            for facility, zone in zones
            if (span := between or local_day(zone_of(zone), _day(day))) is not None
        ]
        now = self._context.clock()
        free = or_(
            col(slot.status) == SlotStatus.OPEN.value,
            and_(col(slot.status) == SlotStatus.RESERVED.value, col(slot.reserved_until) <= now),
        )
        if not starts:
            return []
        columns: Any = (
            slot.start_at,
            slot.end_at,
            slot.doctor_id,
            slot.facility_id,
            slot.service_offering_id,
            slot.capacity,
            slot.created_from_rule_id,
        )
        query = (
            select(*columns)
            .where(col(slot.tenant_id) == self._context.tenant_id, col(slot.doctor_id) == doctor, or_(*starts), *suits)
            .where(free, col(slot.booked_count) < col(slot.capacity), col(slot.start_at) >= now)
            .order_by(col(slot.start_at), col(slot.id))
            .limit(min(limit, _MOST))
        )  # fmt: skip
        return [Slot(*row) for row in self._session.connection().execute(query)]

    def _of(self, what: object) -> tuple[int, Iterable[tuple[int, str]], list[ColumnElement[bool]]]:
        """Return the doctor, facilities with their zones, and the condition on the offering."""
        facility, post, slot = models.Facility, models.FacilityDoctor, models.AvailabilitySlot
        if isinstance(what, OfferingId | models.ServiceOffering):
            offering = Offerings(self._context).get(what)
            where = [col(facility.id) == offering.facility_id]
            doctor = offering.doctor_id
            suits: list[ColumnElement[bool]] = [
                or_(col(slot.service_offering_id).is_(None), col(slot.service_offering_id) == offering.id)
            ]
            if not offering.active:
                return doctor, (), suits
        elif isinstance(what, DoctorId | models.Doctor):
            doctor = int(Doctors(self._context).get(what).id or 0)
            at = select(post.facility_id).where(col(post.doctor_id) == doctor, col(post.active))
            where, suits = [col(facility.id).in_(at)], []
        else:
            raise InvalidInputError(
                f"slots: the first argument must be of type OfferingId or DoctorId, such as OfferingId(1),"
                f" not {type(what).__name__}"
            )
        zones = select(facility.id, facility.timezone).where(col(facility.deleted_at).is_(None), *where)
        return doctor, [(int(found or 0), zone) for found, zone in self._session.exec(zones)], suits


def _day(day: date | None) -> date:
    _CHECK.day("day", day)
    assert day is not None  # noqa: S101  # checked above
    return day
