"""Schedules: rules, exceptions and closures that decide one doctor's slots at one facility.

Owns: rule, exception, closure and schedule as validated values.
Holds: A1, A2 (the fields of a rule), A4 (an override spans at most one wall-clock day), A6 (an exception's scope),
Q5 (a release is not after the window's start).
Must not know: how windows or slots follow from them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo

from scheduler.core.errors import InvalidRecurrenceError, InvalidScheduleError, InvalidSpanError, WallClockError
from scheduler.core.recurrence import recurrence
from scheduler.core.releases import Release
from scheduler.core.slots import Id
from scheduler.core.spans import Span, utc
from scheduler.core.validation import Validator
from scheduler.core.zones import DAY, check_inside, instant_of, micros, wall_of, zone_of


class ExceptionType(StrEnum):
    """The effect of an availability exception, from weak to strong (A3)."""

    OVERRIDE = "override"
    BLOCKED = "blocked"
    EMERGENCY = "emergency"


_CHECK = Validator(InvalidScheduleError)
_LONGEST_DAY = DAY + DAY // 12  # 26 hours: Antarctica/Troll sets its clock back by two


@dataclass(frozen=True, slots=True)
class AvailabilityRule:
    """A weekly window of work in wall-clock time of the facility (A2).

    `day_of_week` counts from 0 = Sunday; None means every day that the recurrence names. `end_time <= start_time` ends
    the window on the next day (T2). Both effective dates are inclusive. `recurrence` is RFC 5545, anchored at
    `effective_from`.

    Raises:
        InvalidScheduleError: a field is invalid; the message names the rule and the field.
        InvalidRecurrenceError: the recurrence is invalid or can never open the rule; the message names the rule.
    """

    id: Id
    day_of_week: int | None
    start_time: time
    end_time: time
    slot_duration: timedelta
    slot_interval: timedelta | None = None
    slot_alignment: timedelta | None = None
    capacity: int = 1
    service_offering_id: Id | None = None
    effective_from: date | None = None
    effective_until: date | None = None
    recurrence: str | None = None
    active: bool = True
    release: Release | None = None

    def __post_init__(self) -> None:
        _CHECK.id("rule id", self.id)
        name = f"rule {self.id}"
        _CHECK.optional_id(f"{name}: service_offering_id", self.service_offering_id)
        if self.day_of_week is None:
            if self.recurrence is None:
                raise InvalidScheduleError(f"{name}: without a day_of_week, the rule needs a recurrence")
        else:
            _CHECK.day_of_week(f"{name}: day_of_week", self.day_of_week)
        for field, clock in (("start_time", self.start_time), ("end_time", self.end_time)):
            _CHECK.clock(f"{name}: {field}", clock)
        _CHECK.slot_length(f"{name}: slot_duration", self.slot_duration)
        for field, length in (("slot_interval", self.slot_interval), ("slot_alignment", self.slot_alignment)):
            if length is not None:
                _CHECK.slot_length(f"{name}: {field}", length)
        _CHECK.whole(f"{name}: capacity", self.capacity)
        _CHECK.flag(f"{name}: active", self.active)
        if self.release is not None:
            _CHECK.instance(f"{name}: release", self.release, Release)
            if not self.release.days_before and self.release.at > self.start_time:
                raise InvalidScheduleError(
                    f"{name}: release at {self.release.at} on the day itself is after the start at {self.start_time}"
                )
        effective = ("effective_from", "effective_until")
        _CHECK.days_in_order(name, self.effective_from, self.effective_until, names=effective)
        if self.recurrence is not None:
            _CHECK.text(f"{name}: recurrence", self.recurrence)
            try:
                recurrence(
                    self.recurrence,
                    weekday=self.day_of_week,
                    anchor=self.effective_from,
                    start_time=self.start_time,
                )
            except InvalidRecurrenceError as error:
                raise InvalidRecurrenceError(f"{name}: {error}") from None


@dataclass(frozen=True, slots=True)
class AvailabilityException:
    """A stretch of time in which the rules do not hold (A3-A6). Instants are aware and kept in UTC.

    Without `rule_id` the exception concerns all rules of the schedule. Only an override may have its own slot duration,
    interval and capacity.

    Raises:
        InvalidScheduleError: a field is invalid, or the span is naive, empty or reversed.
    """

    id: Id
    type: ExceptionType
    start_at: datetime
    end_at: datetime
    rule_id: Id | None = None
    slot_duration: timedelta | None = None
    slot_interval: timedelta | None = None
    capacity: int | None = None

    def __post_init__(self) -> None:
        _CHECK.id("exception id", self.id)
        name = f"exception {self.id}"
        _CHECK.optional_id(f"{name}: rule_id", self.rule_id)
        object.__setattr__(self, "type", _CHECK.member(f"{name}: type", self.type, ExceptionType))
        try:
            span = Span(self.start_at, self.end_at)
        except InvalidSpanError as error:
            raise InvalidScheduleError(f"{name}: {error}") from None
        object.__setattr__(self, "start_at", span.start)
        object.__setattr__(self, "end_at", span.end)
        for field, length in (("slot_duration", self.slot_duration), ("slot_interval", self.slot_interval)):
            if length is not None:
                _CHECK.slot_length(f"{name}: {field}", length)
        if self.capacity is not None:
            _CHECK.whole(f"{name}: capacity", self.capacity)
        own = (self.slot_duration, self.slot_interval, self.capacity)
        if self.type is not ExceptionType.OVERRIDE and any(value is not None for value in own):
            raise InvalidScheduleError(f"{name}: only an override may set slot fields, {self.type} removes slots")

    def concerns(self, rule_id: Id | None) -> bool:
        """Tell whether the exception concerns a rule's slots (A6); None stands for slots without a rule."""
        _CHECK.optional_id("rule_id", rule_id)
        return self.rule_id is None or self.rule_id == rule_id

    def overlaps(self, start_at: datetime, end_at: datetime) -> bool:
        """Tell whether the exception shares an instant with `[start_at, end_at)`."""
        return self.start_at < utc(end_at, name="end_at") and utc(start_at, name="start_at") < self.end_at


@dataclass(frozen=True, slots=True)
class Closure:
    """A local date, or a part of it, on which the facility is closed, such as a public holiday.

    With times, the facility is closed from `start_time` to `end_time` in wall-clock time; `end_time <= start_time` ends
    the closed time on the next day, so that 00:00-00:00 is the whole day (T2).

    Raises:
        InvalidScheduleError: a field is invalid, or only one of the two times is given.
    """

    id: Id
    day: date
    start_time: time | None = None
    end_time: time | None = None

    def __post_init__(self) -> None:
        _CHECK.id("closure id", self.id)
        name = f"closure {self.id}"
        _CHECK.day(f"{name}: day", self.day)
        if (self.start_time is None) is not (self.end_time is None):
            raise InvalidScheduleError(f"{name}: start_time and end_time must both be given or both be left out")
        for field, clock in (("start_time", self.start_time), ("end_time", self.end_time)):
            if clock is not None:
                _CHECK.clock(f"{name}: {field}", clock)


def _check_ids(kind: str, ids: Iterable[Id]) -> None:
    seen: set[Id] = set()
    types: set[type] = set()
    for value in ids:
        if value in seen:
            raise InvalidScheduleError(f"two {kind}s have the id {value!r}")
        seen.add(value)
        types.add(type(value))
    if len(types) > 1:
        raise InvalidScheduleError(f"{kind} ids must all be of one type: their order decides")


@dataclass(frozen=True, slots=True)
class Schedule:
    """Zone, rules, exceptions and closures that decide one doctor's slots at one facility (A1).

    `zone` is an IANA zone or its name. The order of the parts changes nothing.

    Raises:
        InvalidScheduleError: duplicate ids, ids of several types, an exception that names none of the rules, or an
            override that is longer than one wall-clock day or near the calendar's ends.
        WallClockError: the zone is unknown.
    """

    doctor_id: Id
    facility_id: Id
    zone: ZoneInfo
    rules: Sequence[AvailabilityRule] = ()
    exceptions: Sequence[AvailabilityException] = ()
    closures: Sequence[Closure] = ()

    def __init__(
        self,
        doctor_id: Id,
        facility_id: Id,
        zone: ZoneInfo | str,
        rules: Iterable[AvailabilityRule] = (),
        exceptions: Iterable[AvailabilityException] = (),
        closures: Iterable[Closure] = (),
    ) -> None:
        _CHECK.id("doctor_id", doctor_id)
        _CHECK.id("facility_id", facility_id)
        set_field = object.__setattr__
        set_field(self, "doctor_id", doctor_id)
        set_field(self, "facility_id", facility_id)
        set_field(self, "zone", zone_of(zone))
        set_field(self, "rules", _CHECK.sequence("rules", rules, AvailabilityRule))
        set_field(self, "exceptions", _CHECK.sequence("exceptions", exceptions, AvailabilityException))
        set_field(self, "closures", _CHECK.sequence("closures", closures, Closure))
        _check_ids("rule", (rule.id for rule in self.rules))
        _check_ids("exception", (exception.id for exception in self.exceptions))
        _check_ids("closure", (closure.id for closure in self.closures))
        offering_types = {type(rule.service_offering_id) for rule in self.rules} - {type(None)}
        if len(offering_types) > 1:
            raise InvalidScheduleError("service offering ids must all be of one type: slots are sorted by them")
        rule_ids = {None, *(rule.id for rule in self.rules)}
        for exception in self.exceptions:
            if exception.rule_id not in rule_ids:
                raise InvalidScheduleError(
                    f"exception {exception.id}: rule_id {exception.rule_id!r} names no rule of the schedule; "
                    "its inactive rules must be given, too"
                )
            if exception.type is ExceptionType.OVERRIDE:
                self._check_override(exception)

    def _check_override(self, override: AvailabilityException) -> None:
        start, end = micros(override.start_at), micros(override.end_at)
        for at, count in ((override.start_at, start), (override.end_at, end)):
            try:
                check_inside(count, at.isoformat())
            except WallClockError as error:
                raise InvalidScheduleError(f"exception {override.id}: {error}") from None
        wall = wall_of(self.zone, start)
        # The same time of the next day may be skipped or repeated: an override is too long if the clock says so in both
        # readings, or if it is longer than the longest day.
        past_same_time = end > instant_of(self.zone, wall // DAY, wall + DAY)
        if (past_same_time and wall_of(self.zone, end) - wall > DAY) or end - start > _LONGEST_DAY:
            raise InvalidScheduleError(
                f"exception {override.id}: an override spans at most one day on the clock of {self.zone.key}, "
                f"not from {override.start_at.astimezone(self.zone).isoformat()} "
                f"to {override.end_at.astimezone(self.zone).isoformat()}"
            )
