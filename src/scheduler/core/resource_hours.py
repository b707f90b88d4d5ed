"""Hours of resources: when a room, nurse or device is open, read like the hours of a doctor.

Owns: rules and exceptions without slots, the schedule of a resource, and a schedule without its hours.
Holds: W7 (the opening times of a resource), B8 (an emergency refuses also where hours are broken).
Must not know: how resources are stored, their uses.
"""

from collections.abc import Collection, Iterable
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from scheduler.core.schedules import AvailabilityException, AvailabilityRule, Closure, ExceptionType, Schedule
from scheduler.core.slots import Id
from scheduler.core.spans import Span
from scheduler.core.weekdays import Weekday
from scheduler.core.working_time import WorkingTime
from scheduler.core.zones import micros

_NO_SLOTS: Final = timedelta(minutes=1)
"""The duration that a rule must have; working time does not depend on it. With it, an override needs no rule (A4)."""


def rule_without_slots(  # noqa: PLR0913  # the fields of a rule
    rule_id: Id,
    day_of_week: int | None,
    start_time: time,
    end_time: time,
    *,
    effective_from: date | None = None,
    effective_until: date | None = None,
    recurrence: str | None = None,
    active: bool = True,
) -> AvailabilityRule:
    """Return a rule of a resource; its fields are those of an `AvailabilityRule`, which raises as it does."""
    return AvailabilityRule(
        rule_id,
        day_of_week,
        start_time,
        end_time,
        _NO_SLOTS,
        effective_from=effective_from,
        effective_until=effective_until,
        recurrence=recurrence,
        active=active,
    )


def exception_without_slots(
    exception_id: Id, type_: ExceptionType, start_at: datetime, end_at: datetime, rule_id: Id | None = None
) -> AvailabilityException:
    """Return an exception of a resource; an override opens its span, also if no rule of the resource does."""
    own = _NO_SLOTS if type_ is ExceptionType.OVERRIDE else None
    return AvailabilityException(exception_id, type_, start_at, end_at, rule_id, slot_duration=own)


_ALWAYS: Final = tuple(rule_without_slots(-1 - weekday, int(weekday), time(), time()) for weekday in Weekday)
"""The rules of a resource that has none: 00:00 to 00:00 on each weekday leaves no gap, also where the clock changes."""


def opening(
    resource_id: Id,
    facility_id: Id,
    zone: ZoneInfo | str,
    rules: Iterable[AvailabilityRule] = (),
    exceptions: Iterable[AvailabilityException] = (),
    closures: Iterable[Closure] = (),
) -> Schedule:
    """Return the opening times of a resource as a schedule.

    Without rules, the resource is open all day, every day, but for its exceptions and the closures of its facility. One
    whose rules are all switched off or over is closed. The `doctor_id` of the schedule is the id of the resource.

    Raises:
        InvalidInputError: as `Schedule` does.
    """
    return Schedule(resource_id, facility_id, zone, tuple(rules) or _ALWAYS, exceptions, closures)


def beyond_hours(schedule: Schedule) -> Schedule:
    """Return the schedule of a doctor or a resource whose hours may be broken (B8): always open, but for emergencies.

    An emergency of one rule removes what this rule opens, and nothing else (A6).
    """
    emergencies = (one for one in schedule.exceptions if one.type is ExceptionType.EMERGENCY and one.rule_id is None)
    return opening(schedule.doctor_id, schedule.facility_id, schedule.zone, exceptions=emergencies)


def spans_outside(opened: Schedule, spans: Collection[Span]) -> list[Span]:
    """Return the spans that do not lie in the opening times as a whole."""
    working = WorkingTime(opened)
    times = [(micros(span.start), micros(span.end)) for span in spans]
    return [span for span, time_ in zip(spans, times, strict=True) if working.within(*time_) != [time_]]
