"""Rules: the weekly hours of doctors and resources; a change takes effect at once."""

from collections.abc import Iterable, Mapping
from datetime import date, time, timedelta
from typing import Any, ClassVar, Unpack, overload

from sqlmodel import col

from scheduler import models
from scheduler.core.errors import InvalidInputError
from scheduler.core.ids import OfferingId, ResourceId, ResourceRuleId, RuleId
from scheduler.core.readers import day, flag, optional
from scheduler.core.releases import Release
from scheduler.core.schedules import AvailabilityRule
from scheduler.core.weekdays import Weekday
from scheduler.front_door.context import Context
from scheduler.front_door.fields import Field, given, minutes, reference
from scheduler.front_door.parts import AnyDoctor, AnyFacility, PartsOfSchedules, key_of
from scheduler.front_door.resource_hours import AnyResource, AnyResourceRule, ResourceRules, without_slots
from scheduler.front_door.rule_fields import (
    RuleFields,
    columns_of_weekday,
    read_release,
    weekdays_of,
)
from scheduler.front_door.schedule_changes import ScheduleChange, changing
from scheduler.generation.refreshing import Invalid
from scheduler.postgres.schedule_rows import release_columns, rule_of
from scheduler.postgres.schedules import ScheduleKey

AnyRule = RuleId | AvailabilityRule | models.AvailabilityRule


class Rules(PartsOfSchedules[models.AvailabilityRule, RuleId, AnyRule]):
    """The availability rules of a tenant."""

    _model = models.AvailabilityRule
    _id = RuleId
    _noun = "rule"
    _owners = (AvailabilityRule,)
    _fields: ClassVar[Mapping[str, Field]] = {
        "start": Field("start_time", given),
        "end": Field("end_time", given),
        "slot_duration": Field("slot_duration_minutes", minutes),
        "slot_interval": Field("slot_interval_minutes", optional(minutes)),
        "alignment": Field("slot_alignment_minutes", optional(minutes)),
        "capacity": Field("capacity", given),
        "offering": Field(
            "service_offering_id", optional(reference(OfferingId, models.ServiceOffering)), model=models.ServiceOffering
        ),
        "effective_from": Field("effective_from", optional(day)),
        "effective_until": Field("effective_until", optional(day)),
        "recurrence": Field("recurrence", given),
        "active": Field("active", flag),
        "release": Field("release_days_before", optional(read_release)),
    }

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._of_resources = ResourceRules(context)

    @overload
    def get(self, which: AnyRule) -> models.AvailabilityRule: ...

    @overload
    def get(self, which: AnyResourceRule) -> models.ResourceRule: ...

    def get(self, which: AnyRule | AnyResourceRule) -> models.AvailabilityRule | models.ResourceRule:
        """Return a rule as a row, given its id. Change it by `change`: a row itself does not validate.

        Raises:
            NotFoundError: there is no such rule, or the user does not see it.
        """
        if isinstance(which, ResourceRuleId | models.ResourceRule):
            return self._of_resources.get(which)
        return super().get(which)

    @overload
    def add(
        self,
        who: AnyDoctor,
        *,
        at: AnyFacility,
        on: Weekday | Iterable[Weekday] | None,
        start: time,
        end: time,
        slot_duration: timedelta,
        slot_interval: timedelta | None = None,
        alignment: timedelta | None = None,
        capacity: int = 1,
        offering: OfferingId | models.ServiceOffering | None = None,
        effective_from: date | None = None,
        effective_until: date | None = None,
        recurrence: str | None = None,
        release: Release | None = None,
    ) -> tuple[AvailabilityRule, ...]: ...

    @overload
    def add(
        self,
        who: AnyResource,
        *,
        at: AnyFacility,
        on: Weekday | Iterable[Weekday] | None,
        start: time,
        end: time,
        effective_from: date | None = None,
        effective_until: date | None = None,
        recurrence: str | None = None,
    ) -> tuple[models.ResourceRule, ...]: ...

    def add(  # noqa: PLR0913  # the fields of a rule
        self,
        who: AnyDoctor | AnyResource,
        *,
        at: AnyFacility,
        on: Weekday | Iterable[Weekday] | None,
        start: time,
        end: time,
        slot_duration: timedelta | None = None,
        slot_interval: timedelta | None = None,
        alignment: timedelta | None = None,
        capacity: int = 1,
        offering: OfferingId | models.ServiceOffering | None = None,
        effective_from: date | None = None,
        effective_until: date | None = None,
        recurrence: str | None = None,
        release: Release | None = None,
    ) -> tuple[AvailabilityRule, ...] | tuple[models.ResourceRule, ...]:
        """Add the hours of a doctor or resource at a facility, one rule for each weekday, and return the rules.

        Times are wall-clock times of the facility; `end <= start` ends on the next day. `on` None means every day that
        the recurrence (RFC 5545) names. The rules of a doctor need a `slot_duration`; without an offering, the slots
        are for all offerings of the doctor there. Before their `release`, the channel `desk` alone offers and books
        them. A resource has no slots: its rules say when it is open, have none of the fields of slots, and are returned
        as rows. Without rules, it is always open.

        Raises:
            InvalidInputError: a field is invalid, the doctor does not work there, or the resource is of another
                facility; the message names it.
            NotFoundError: there is no such doctor, resource, facility or offering.
        """
        if isinstance(who, ResourceId | models.Resource):
            without_slots(
                self._noun,
                slot_duration=slot_duration,
                slot_interval=slot_interval,
                alignment=alignment,
                capacity=None if capacity == 1 else capacity,
                offering=offering,
                release=release,
            )
            return self._of_resources.add(
                who,
                at=at,
                on=on,
                start=start,
                end=end,
                effective_from=effective_from,
                effective_until=effective_until,
                recurrence=recurrence,
            )
        if slot_duration is None:
            raise InvalidInputError("rule: slot_duration must be given for a doctor: it is the length of the slots")
        key = self._key_of_new(who, at)
        columns = self._columns(
            {
                "start": start,
                "end": end,
                "slot_duration": slot_duration,
                "slot_interval": slot_interval,
                "alignment": alignment,
                "capacity": capacity,
                "offering": offering,
                "effective_from": effective_from,
                "effective_until": effective_until,
                "recurrence": recurrence,
                "release": release,
            }
        )
        self._check_offering(key, columns["service_offering_id"])
        rows = []
        for weekday in weekdays_of(on):
            rule = AvailabilityRule(
                "new",
                weekday,
                start,
                end,
                slot_duration,
                slot_interval,
                alignment,
                capacity,
                effective_from=effective_from,
                effective_until=effective_until,
                recurrence=recurrence,
                release=release,
            )  # refuses what the core would refuse
            rows.append(
                models.AvailabilityRule(
                    tenant_id=self._context.tenant_id,
                    **key._asdict(),
                    **columns_of_weekday(rule),
                    **columns,
                )
            )
        with changing(self._context, [key], invalid=Invalid.REFUSED) as under_way:
            self._check_place(key, anew=True)
            self._session.add_all(rows)
            self._session.flush()
            under_way.written = tuple(map(rule_of, rows))
        return tuple(rule for rule in under_way.change.written if isinstance(rule, AvailabilityRule))

    def _columns(self, given: Mapping[str, object]) -> dict[str, Any]:
        columns = super()._columns(given)
        if "release" in given:  # two columns have it
            columns |= release_columns(columns["release_days_before"])
        return columns

    def _check(self, row: models.AvailabilityRule) -> None:
        for column, value in columns_of_weekday(rule_of(row)).items():  # another first day may be another weekday
            setattr(row, column, value)

    def _check_offering(self, key: ScheduleKey, offering: int | None) -> None:
        """Refuse an offering of another doctor or facility: no search for it would find the slots."""
        if offering is None:
            return
        row = self._referred("offering", models.ServiceOffering, offering)
        if (row.doctor_id, row.facility_id) != key:
            raise InvalidInputError(
                f"rule: offering {offering} is not one of doctor {key.doctor_id} at facility {key.facility_id}"
            )

    @overload
    def of(self, who: AnyDoctor, *, at: AnyFacility) -> tuple[AvailabilityRule, ...]: ...

    @overload
    def of(self, who: AnyResource, *, at: AnyFacility) -> tuple[models.ResourceRule, ...]: ...

    def of(
        self, who: AnyDoctor | AnyResource, *, at: AnyFacility
    ) -> tuple[AvailabilityRule, ...] | tuple[models.ResourceRule, ...]:
        """Return the rules of a doctor, or the rows of those of a resource, by their ids."""
        if isinstance(who, ResourceId | models.Resource):
            return self._of_resources.of(who, at)
        query = self._of(who, at).order_by(col(models.AvailabilityRule.id))
        return tuple(map(rule_of, self._session.scalars(query)))

    def change(self, rule: AnyRule | AnyResourceRule, **fields: Unpack[RuleFields]) -> ScheduleChange:
        """Change fields of a rule, and the slots that follow from it. Errors are those of `add`."""
        if isinstance(rule, ResourceRuleId | models.ResourceRule):
            return self._of_resources.change(rule, fields)
        row = self.get(rule)
        with changing(self._context, [key_of(row)], invalid=Invalid.REFUSED) as under_way:
            self._get(row, anew=True)
            self._update(row, fields)
            if "offering" in fields:
                self._check_offering(key_of(row), row.service_offering_id)
            under_way.written = (rule_of(row),)
        return under_way.change

    def end(self, rule: AnyRule | AnyResourceRule, *, last_day: date) -> ScheduleChange:
        """Let a rule open no day after `last_day`, and take away the open slots after it."""
        return self.change(rule, effective_until=last_day)

    def delete(self, rule: AnyRule | AnyResourceRule) -> ScheduleChange:
        """Delete a rule with the exceptions to it alone, and take its open slots away. To keep the past, end it."""
        if isinstance(rule, ResourceRuleId | models.ResourceRule):
            return self._of_resources.delete(rule)
        row = self.get(rule)
        with changing(self._context, [key_of(row)], invalid=Invalid.REFUSED) as under_way:
            self._session.delete(self._get(row, anew=True))
        return under_way.change
