"""Closures: days and hours at which a facility is closed; a change takes effect at once."""

from collections.abc import Mapping
from datetime import date, time
from typing import ClassVar

from sqlmodel import col

from scheduler import models
from scheduler.core.ids import ClosureId, FacilityId
from scheduler.core.readers import optional, text
from scheduler.core.schedules import Closure
from scheduler.front_door.fields import Field
from scheduler.front_door.repository import Repository
from scheduler.front_door.schedule_changes import ScheduleChange, changing
from scheduler.postgres.schedule_rows import closure_of
from scheduler.postgres.schedules import schedule_keys

AnyClosure = ClosureId | Closure | models.FacilityClosure


class Closures(Repository[models.FacilityClosure, ClosureId, AnyClosure]):
    """The closures of the facilities of a tenant."""

    _model = models.FacilityClosure
    _id = ClosureId
    _noun = "closure"
    _owners = (Closure,)
    _fields: ClassVar[Mapping[str, Field]] = {"reason": Field("reason", optional(text))}

    def add(
        self,
        facility: FacilityId | models.Facility,
        day: date,
        *,
        start: time | None = None,
        end: time | None = None,
        reason: str | None = None,
    ) -> ScheduleChange:
        """Close a facility on a local day, or from `start` to `end` of it.

        `end <= start` ends on the next day. Bookings in the closed time stay, and the change lists them.

        Raises:
            InvalidInputError: a field is invalid; the message names it.
            NotFoundError: there is no such facility.
            DuplicateError: the facility is closed at this time already.
        """
        facility_id = self._id_of("closure: facility", facility, FacilityId, models.Facility)
        self._referred("facility", models.Facility, facility_id)
        Closure("new", day, start, end)  # refuses what the core would refuse
        row = models.FacilityClosure(
            tenant_id=self._context.tenant_id,
            facility_id=facility_id,
            day=day,
            start_time=start,
            end_time=end,
            **self._columns({"reason": reason}),
        )
        with changing(self._context, schedule_keys(self._session, facility_id=facility_id)) as under_way:
            self._referred("facility", models.Facility, facility_id, anew=True)
            self._session.add(row)
            self._session.flush()
            under_way.written = (closure_of(row),)
        return under_way.change

    def of(self, facility: FacilityId | models.Facility) -> tuple[Closure, ...]:
        """Return the closures of a facility, by day."""
        facility_id = self._id_of("closure: facility", facility, FacilityId, models.Facility)
        closure = models.FacilityClosure
        query = self._live().where(col(closure.facility_id) == facility_id)
        return tuple(map(closure_of, self._session.scalars(query.order_by(col(closure.day), col(closure.id)))))

    def remove(self, closure: AnyClosure) -> ScheduleChange:
        """Remove a closure: the facility opens again, and the slots come back."""
        row = self.get(closure)
        with changing(self._context, schedule_keys(self._session, facility_id=row.facility_id)) as under_way:
            self._session.delete(self._get(row, anew=True))
        return under_way.change
