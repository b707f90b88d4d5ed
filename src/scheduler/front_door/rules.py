"""Rules: the weekly hours of doctors; a change takes effect at once."""

from collections.abc import Iterable, Mapping
from datetime import date, time, timedelta
from typing import Any, ClassVar, TypedDict, Unpack

from sqlmodel import col

from scheduler import models
from scheduler.core.errors import InvalidInputError
from scheduler.core.readers import day, flag, optional
from scheduler.core.schedules import AvailabilityRule
from scheduler.core.weekdays import Weekday
from scheduler.front_door.fields import Field, given, minutes, reference
from scheduler.front_door.ids import OfferingId, RuleId
from scheduler.front_door.parts import AnyDoctor, AnyFacility, PartsOfSchedules, key_of
from scheduler.front_door.schedule_changes import ScheduleChange, changing
from scheduler.generation.refreshing import Invalid
from scheduler.postgres.schedule_rows import rule_of, weekday_columns
from scheduler.postgres.schedules import ScheduleKey

AnyRule = RuleId | AvailabilityRule | models.AvailabilityRule


class RuleFields(TypedDict, total=False):
    """Fields of a rule that `change` takes."""

    start: time
    end: time
    slot_duration: timedelta
    slot_interval: timedelta | None
    alignment: timedelta | None
    capacity: int
    offering: OfferingId | models.ServiceOffering | None
    effective_from: date | None
    effective_until: date | None
    recurrence: str | None
    active: bool


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
    }

    def add(  # noqa: PLR0913  # the fields of a rule
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
    ) -> tuple[AvailabilityRule, ...]:
        """Add the hours of a doctor at a facility, one rule for each weekday, and return the rules.

        Times are wall-clock times of the facility; `end <= start` ends on the next day. `on` None means every day that
        the recurrence (RFC 5545) names. Without an offering, the slots are for all offerings of the doctor there.

        Raises:
            InvalidInputError: a field is invalid, or the doctor does not work there; the message names it.
            NotFoundError: there is no such doctor, facility or offering.
        """
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
            }
        )
        self._check_offering(key, columns["service_offering_id"])
        rows = []
        for weekday in _weekdays(on):
            rule = AvailabilityRule(
                "new",
                None if weekday is None else int(weekday),
                start,
                end,
                slot_duration,
                slot_interval,
                alignment,
                capacity,
                effective_from=effective_from,
                effective_until=effective_until,
                recurrence=recurrence,
            )  # refuses what the core would refuse
            rows.append(
                models.AvailabilityRule(
                    tenant_id=self._context.tenant_id,
                    **key._asdict(),
                    **_weekday_columns(rule),
                    **columns,
                )
            )
        with changing(self._context, [key], invalid=Invalid.REFUSED) as under_way:
            self._check_place(key, anew=True)
            self._session.add_all(rows)
            self._session.flush()
            under_way.written = tuple(map(rule_of, rows))
        return tuple(rule for rule in under_way.change.written if isinstance(rule, AvailabilityRule))

    def _check(self, row: models.AvailabilityRule) -> None:
        for column, value in _weekday_columns(rule_of(row)).items():  # another first day may be another weekday
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

    def of(self, who: AnyDoctor, *, at: AnyFacility) -> tuple[AvailabilityRule, ...]:
        """Return the rules of a doctor at a facility, in the order of their ids."""
        query = self._of(who, at).order_by(col(models.AvailabilityRule.id))
        return tuple(map(rule_of, self._session.scalars(query)))

    def change(self, rule: AnyRule, **fields: Unpack[RuleFields]) -> ScheduleChange:
        """Change fields of a rule, and the slots that follow from it. Errors are those of `add`."""
        row = self.get(rule)
        with changing(self._context, [key_of(row)], invalid=Invalid.REFUSED) as under_way:
            self._get(row, anew=True)
            self._update(row, fields)
            if "offering" in fields:
                self._check_offering(key_of(row), row.service_offering_id)
            under_way.written = (rule_of(row),)
        return under_way.change

    def end(self, rule: AnyRule, *, last_day: date) -> ScheduleChange:
        """Let a rule open no day after `last_day`, and take away the open slots after it."""
        return self.change(rule, effective_until=last_day)

    def delete(self, rule: AnyRule) -> ScheduleChange:
        """Delete a rule with the exceptions to it alone, and take its open slots away. To keep the past, end it."""
        row = self.get(rule)
        with changing(self._context, [key_of(row)], invalid=Invalid.REFUSED) as under_way:
            self._session.delete(self._get(row, anew=True))
        return under_way.change


def _weekday_columns(rule: AvailabilityRule) -> dict[str, Any]:
    if rule.day_of_week is None and rule.effective_from is None:
        raise InvalidInputError("rule: without `on`, the rule needs effective_from, the first day of its recurrence")
    return weekday_columns(rule)


def _weekdays(on: object) -> list[Weekday | None]:
    if on is None:
        return [None]
    weekdays: list[Weekday | None] = []
    for weekday in on if isinstance(on, Iterable) and not isinstance(on, str) else [on]:
        if not isinstance(weekday, Weekday):
            raise InvalidInputError(f"rule: on must be of type Weekday, such as Weekday.MONDAY, not {weekday!r}")
        weekdays.append(weekday)
    if not weekdays or len(set(weekdays)) < len(weekdays):
        raise InvalidInputError("rule: on must name each weekday once, and one at least")
    return weekdays
