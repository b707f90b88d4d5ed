"""Exceptions: time in which the rules of a doctor or resource do not apply; a change takes effect at once."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar, overload

from sqlmodel import col

from scheduler import models
from scheduler.core.errors import InvalidInputError
from scheduler.core.ids import ExceptionId, ResourceExceptionId, ResourceId, RuleId
from scheduler.core.readers import optional, text
from scheduler.core.schedules import AvailabilityException, AvailabilityRule, ExceptionType
from scheduler.core.spans import Span
from scheduler.front_door.context import Context
from scheduler.front_door.fields import Field, given, minutes, reference
from scheduler.front_door.parts import AnyDoctor, AnyFacility, PartsOfSchedules, key_of
from scheduler.front_door.resource_hours import (
    AnyResource,
    AnyResourceException,
    AnyResourceRule,
    ResourceExceptions,
    without_slots,
)
from scheduler.front_door.rules import AnyRule
from scheduler.front_door.schedule_changes import ScheduleChange, changing
from scheduler.generation.refreshing import Invalid
from scheduler.postgres.schedule_rows import exception_of

AnyException = ExceptionId | AvailabilityException | models.AvailabilityException


class Exceptions(PartsOfSchedules[models.AvailabilityException, ExceptionId, AnyException]):
    """The availability exceptions of a tenant."""

    _model = models.AvailabilityException
    _id = ExceptionId
    _noun = "exception"
    _owners = (AvailabilityException,)
    _fields: ClassVar[Mapping[str, Field]] = {
        "reason": Field("reason", optional(text)),
        "rule": Field("availability_rule_id", optional(reference(RuleId, AvailabilityRule, models.AvailabilityRule))),
        "slot_duration": Field("slot_duration_minutes", optional(minutes)),
        "slot_interval": Field("slot_interval_minutes", optional(minutes)),
        "capacity": Field("capacity", given),
    }

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._of_resources = ResourceExceptions(context)

    @overload
    def get(self, which: AnyException) -> models.AvailabilityException: ...

    @overload
    def get(self, which: AnyResourceException) -> models.ResourceException: ...

    def get(
        self, which: AnyException | AnyResourceException
    ) -> models.AvailabilityException | models.ResourceException:
        """Return an exception as a row, given its id.

        Raises:
            NotFoundError: there is no such exception, or the user does not see it.
        """
        if isinstance(which, ResourceExceptionId | models.ResourceException):
            return self._of_resources.get(which)
        return super().get(which)

    def block(
        self,
        who: AnyDoctor | AnyResource,
        *,
        at: AnyFacility,
        between: Span,
        reason: str | None = None,
        rule: AnyRule | AnyResourceRule | None = None,
    ) -> ScheduleChange:
        """Block a span of a doctor's time at a facility: no new slots; bookings stay, and the change lists them.

        With `rule`, only that rule is blocked. A resource is not used by new visits in the span.

        Raises:
            InvalidInputError: a field is invalid; the message names it.
            NotFoundError: there is no such doctor, resource or facility.
        """
        return self._add(ExceptionType.BLOCKED, who, at, between, {"reason": reason, "rule": rule})

    def override(  # noqa: PLR0913  # the fields of an override
        self,
        who: AnyDoctor | AnyResource,
        *,
        at: AnyFacility,
        between: Span,
        reason: str | None = None,
        rule: AnyRule | AnyResourceRule | None = None,
        slot_duration: timedelta | None = None,
        slot_interval: timedelta | None = None,
        capacity: int | None = None,
    ) -> ScheduleChange:
        """Replace the hours of a day by a span of it.

        The slots are those of the rule, except for the fields that are given. A resource is open in the span alone on
        that day, and takes no field of slots. Errors are those of `block`.
        """
        slots = {"slot_duration": slot_duration, "slot_interval": slot_interval, "capacity": capacity}
        return self._add(ExceptionType.OVERRIDE, who, at, between, {"reason": reason, "rule": rule, **slots})

    def emergency(
        self,
        who: AnyDoctor | AnyResource,
        *,
        at: AnyFacility,
        between: Span,
        reason: str | None = None,
        rule: AnyRule | AnyResourceRule | None = None,
    ) -> ScheduleChange:
        """Take a span of a doctor's or resource's time away in an emergency.

        Bookings in it are displaced, and the change lists them. Errors are those of `block`.
        """
        return self._add(ExceptionType.EMERGENCY, who, at, between, {"reason": reason, "rule": rule})

    @overload
    def of(self, who: AnyDoctor, *, at: AnyFacility) -> tuple[models.AvailabilityException, ...]: ...

    @overload
    def of(self, who: AnyResource, *, at: AnyFacility) -> tuple[models.ResourceException, ...]: ...

    def of(
        self, who: AnyDoctor | AnyResource, *, at: AnyFacility
    ) -> tuple[models.AvailabilityException, ...] | tuple[models.ResourceException, ...]:
        """Return the exceptions of a doctor at a facility, or of a resource, as rows by their start."""
        if isinstance(who, ResourceId | models.Resource):
            return self._of_resources.of(who, at)
        exception = models.AvailabilityException
        query = self._of(who, at).order_by(col(exception.start_at), col(exception.id))
        return tuple(self._session.scalars(query))

    def remove(self, exception: AnyException | AnyResourceException) -> ScheduleChange:
        """Remove an exception: the rules apply again, and their slots come back."""
        if isinstance(exception, ResourceExceptionId | models.ResourceException):
            return self._of_resources.remove(exception)
        row = self.get(exception)
        with changing(self._context, [key_of(row)], invalid=Invalid.REFUSED) as under_way:
            self._session.delete(self._get(row, anew=True))
        return under_way.change

    def _add(
        self,
        kind: ExceptionType,
        who: AnyDoctor | AnyResource,
        at: AnyFacility,
        between: Span,
        fields: Mapping[str, Any],
    ) -> ScheduleChange:
        if not isinstance(between, Span):
            raise InvalidInputError(f"exception: between must be of type Span, not {type(between).__name__}")
        if isinstance(who, ResourceId | models.Resource):
            own = {name: fields[name] for name in ("reason", "rule")}
            without_slots(self._noun, **{name: value for name, value in fields.items() if name not in own})
            return self._of_resources.add(kind, who, at, between, own)
        key = self._key_of_new(who, at)
        row = models.AvailabilityException(
            tenant_id=self._context.tenant_id,
            **key._asdict(),
            type=kind.value,
            start_at=between.start,
            end_at=between.end,
            **self._columns(fields),
        )
        AvailabilityException(  # refuses what the core would refuse
            "new",
            kind,
            between.start,
            between.end,
            **{name: fields[name] for name in ("slot_duration", "slot_interval", "capacity") if name in fields},
        )
        with changing(self._context, [key], invalid=Invalid.REFUSED) as under_way:
            self._check_place(key, anew=True)
            self._session.add(row)
            self._session.flush()
            under_way.written = (exception_of(row, between.start, between.end),)
        return under_way.change
