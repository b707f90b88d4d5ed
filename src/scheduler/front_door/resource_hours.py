"""Hours of resources: rules and exceptions that say when a room, nurse or device is open.

Owns: the fields of both, the lock of the resource, and the visits that a change leaves outside of the hours.
Holds: W7 (the opening times of a resource).
Must not know: how `work.rules` and `work.exceptions` tell a resource from a doctor; allocations of doctors.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import time
from typing import Any, ClassVar, Final

from sqlalchemy import text as sql
from sqlmodel import col

from scheduler import models
from scheduler.core.errors import InvalidInputError
from scheduler.core.ids import FacilityId, ResourceExceptionId, ResourceId, ResourceRuleId
from scheduler.core.readers import day, flag, optional, text
from scheduler.core.resource_hours import exception_without_slots, rule_without_slots, spans_outside
from scheduler.core.schedules import ExceptionType
from scheduler.core.spans import Span
from scheduler.core.weekdays import Weekday
from scheduler.front_door.context import Context
from scheduler.front_door.fields import Field, given, reference
from scheduler.front_door.parts import AnyFacility
from scheduler.front_door.repository import Id, Repository, Row, Which
from scheduler.front_door.rule_fields import columns_of_weekday, weekdays_of
from scheduler.front_door.schedule_changes import Changing, ScheduleChange
from scheduler.postgres.resource_schedules import lock_resource, opening_of, rule_of
from scheduler.postgres.savepoints import refusable

AnyResource = ResourceId | models.Resource
AnyResourceRule = ResourceRuleId | models.ResourceRule
AnyResourceException = ResourceExceptionId | models.ResourceException

_USES: Final = sql("""
select appointment_id, start_at, end_at from scheduling.allocations
where tenant_id = (select identity.current_tenant_id()) and resource_id = :resource_id and end_at > :now
    and appointment_id is not null
order by start_at, id
""")


@contextmanager
def _changing(context: Context, resource_id: int) -> Iterator[Changing]:
    """Lock a resource, run the block that changes its hours, and list the visits that use it outside of them.

    All of it is one savepoint: if the block or the hours are refused, both are undone, and the unit of work goes on.
    """
    session = context.session
    under_way = Changing()
    with refusable(session):
        lock_resource(session, resource_id)
        yield under_way
        session.flush()
        opened = opening_of(session, resource_id)  # refuses what the core refuses
        rows = session.connection().execute(_USES, {"resource_id": resource_id, "now": context.clock()})
        uses = [(visit, Span(start_at, end_at)) for visit, start_at, end_at in rows]
        outside = set() if opened is None else {*spans_outside(opened, [span for _, span in uses])}
    visits = dict.fromkeys(visit for visit, span in uses if span in outside)
    under_way.change = ScheduleChange(under_way.written, conflicting_visits=tuple(visits))


def without_slots(noun: str, **fields: object) -> None:
    """Refuse the fields of slots for a resource.

    Raises:
        InvalidInputError: one of the fields is given; the message names it.
    """
    for name, value in fields.items():
        if value is not None:
            raise InvalidInputError(f"{noun}: {name} is for doctors: a resource has hours and no slots")


class _PartsOfHours(Repository[Row, Id, Which]):
    """Rows of a table of which each belongs to one resource."""

    def _resource_at(self, who: AnyResource, at: AnyFacility) -> int:
        """Return the id of a resource of a facility.

        Raises:
            NotFoundError: there is no such resource.
            InvalidInputError: the resource is of another facility.
        """
        id_ = int(self._id_of(f"{self._noun}: who", who, ResourceId, models.Resource))
        place = int(self._id_of(f"{self._noun}: at", at, FacilityId, models.Facility))
        row = self._referred("who", models.Resource, id_)
        if row.facility_id != place:
            raise InvalidInputError(f"{self._noun}: resource {id_} is of facility {row.facility_id}, not of {place}")
        return id_

    def _remove(self, which: Which) -> ScheduleChange:
        row: Any = self.get(which)
        with _changing(self._context, row.resource_id) as under_way:
            self._session.delete(self._get(which, anew=True))
        return under_way.change


class ResourceRules(_PartsOfHours[models.ResourceRule, ResourceRuleId, AnyResourceRule]):
    """The rules of the resources of a tenant."""

    _model = models.ResourceRule
    _id = ResourceRuleId
    _noun = "rule of a resource"
    _fields: ClassVar[Mapping[str, Field]] = {
        "start": Field("start_time", given),
        "end": Field("end_time", given),
        "effective_from": Field("effective_from", optional(day)),
        "effective_until": Field("effective_until", optional(day)),
        "recurrence": Field("recurrence", given),
        "active": Field("active", flag),
    }

    def add(
        self,
        who: AnyResource,
        *,
        at: AnyFacility,
        on: Weekday | Iterable[Weekday] | None,
        start: time,
        end: time,
        **fields: Any,  # noqa: ANN401  # the other fields, which are read by `_columns`
    ) -> tuple[models.ResourceRule, ...]:
        """Add hours, one rule for each weekday."""
        id_ = self._resource_at(who, at)
        columns = self._columns({"start": start, "end": end, **fields})
        rows = []
        for weekday in weekdays_of(on):
            rule = rule_without_slots("new", weekday, start, end, **fields)  # refuses what the core would refuse
            rows.append(
                models.ResourceRule(
                    tenant_id=self._context.tenant_id, resource_id=id_, **columns_of_weekday(rule), **columns
                )
            )
        with _changing(self._context, id_):
            self._session.add_all(rows)
        return tuple(rows)

    def of(self, who: AnyResource, at: AnyFacility) -> tuple[models.ResourceRule, ...]:
        """Return the rules of a resource, in the order of their ids."""
        rule = models.ResourceRule
        query = self._live().where(col(rule.resource_id) == self._resource_at(who, at)).order_by(col(rule.id))
        return tuple(self._session.scalars(query))

    def change(self, which: AnyResourceRule, fields: Mapping[str, object]) -> ScheduleChange:
        """Change fields of a rule."""
        row = self.get(which)
        with _changing(self._context, row.resource_id) as under_way:
            self._get(which, anew=True)
            under_way.written = (self._update(which, fields),)
        return under_way.change

    def delete(self, which: AnyResourceRule) -> ScheduleChange:
        """Delete a rule with the exceptions to it alone."""
        return self._remove(which)

    def _check(self, row: models.ResourceRule) -> None:
        for column, value in columns_of_weekday(rule_of(row)).items():  # another first day may be another weekday
            setattr(row, column, value)


class ResourceExceptions(_PartsOfHours[models.ResourceException, ResourceExceptionId, AnyResourceException]):
    """The exceptions of the resources of a tenant."""

    _model = models.ResourceException
    _id = ResourceExceptionId
    _noun = "exception of a resource"
    _fields: ClassVar[Mapping[str, Field]] = {
        "reason": Field("reason", optional(text)),
        "rule": Field("resource_rule_id", optional(reference(ResourceRuleId, models.ResourceRule))),
    }

    def add(
        self, kind: ExceptionType, who: AnyResource, at: AnyFacility, between: Span, fields: Mapping[str, object]
    ) -> ScheduleChange:
        """Add an exception of a kind."""
        id_ = self._resource_at(who, at)
        exception_without_slots("new", kind, between.start, between.end)  # refuses what the core would refuse
        row = models.ResourceException(
            tenant_id=self._context.tenant_id,
            resource_id=id_,
            type=kind.value,
            start_at=between.start,
            end_at=between.end,
            **self._columns(fields),
        )
        with _changing(self._context, id_) as under_way:
            self._session.add(row)
            under_way.written = (row,)
        return under_way.change

    def of(self, who: AnyResource, at: AnyFacility) -> tuple[models.ResourceException, ...]:
        """Return the exceptions of a resource, by their start."""
        row = models.ResourceException
        query = self._live().where(col(row.resource_id) == self._resource_at(who, at))
        return tuple(self._session.scalars(query.order_by(col(row.start_at), col(row.id))))

    def remove(self, which: AnyResourceException) -> ScheduleChange:
        """Remove an exception."""
        return self._remove(which)
