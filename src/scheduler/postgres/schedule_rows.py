"""Schedule rows: stored rules, exceptions and closures as the core's values, and a rule's weekday as columns.

Owns: which column is which field of the core.
Holds: T6 (an exception in wall-clock time follows its zone).
Must not know: which schedules there are, sessions.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from scheduler import models as rows
from scheduler.core.releases import Release
from scheduler.core.schedules import AvailabilityException, AvailabilityRule, Closure, ExceptionType
from scheduler.core.weekdays import Weekday
from scheduler.core.zones import instant_on_clock


def closure_of(row: rows.FacilityClosure) -> Closure:
    """Return a stored closure as the core's value."""
    return Closure(_known(row.id), row.day, row.start_time, row.end_time)


def rule_of(row: rows.AvailabilityRule) -> AvailabilityRule:
    """Return a stored rule as the core's value."""
    return AvailabilityRule(
        id=_known(row.id),
        day_of_week=None if row.any_weekday else row.day_of_week,
        start_time=row.start_time,
        end_time=row.end_time,
        slot_duration=timedelta(minutes=row.slot_duration_minutes),
        slot_interval=_minutes(row.slot_interval_minutes),
        slot_alignment=_minutes(row.slot_alignment_minutes),
        capacity=row.capacity,
        service_offering_id=row.service_offering_id,
        effective_from=row.effective_from,
        effective_until=row.effective_until,
        recurrence=row.recurrence,
        active=row.active,
        release=_release(row),
    )


def weekday_columns(rule: AvailabilityRule) -> dict[str, Any]:
    """Return the columns of a rule's weekday; that of its first day where its recurrence says the days."""
    any_weekday = rule.day_of_week is None
    first = int(Weekday.of(rule.effective_from)) if any_weekday and rule.effective_from else rule.day_of_week
    return {"day_of_week": first, "any_weekday": any_weekday}


def exceptions_of(exceptions: Iterable[rows.AvailabilityException], zone: ZoneInfo) -> Iterator[AvailabilityException]:
    """Yield stored exceptions as the core's values, without those whose time the clock now skips (T3)."""
    for row in exceptions:
        start_at, end_at = span_of_exception(row, zone)
        if start_at < end_at:
            yield exception_of(row, start_at, end_at)


def exception_of(row: rows.AvailabilityException, start_at: datetime, end_at: datetime) -> AvailabilityException:
    """Return a stored exception as the core's value, with start and end of `span_of_exception`."""
    return AvailabilityException(
        id=_known(row.id),
        type=ExceptionType(row.type),
        start_at=start_at,
        end_at=end_at,
        rule_id=row.availability_rule_id,
        slot_duration=_minutes(row.slot_duration_minutes),
        slot_interval=_minutes(row.slot_interval_minutes),
        capacity=row.capacity,
    )


def span_of_exception(
    row: rows.AvailabilityException | rows.ResourceException, zone: ZoneInfo
) -> tuple[datetime, datetime]:
    """Return start and end of an exception: those of its wall-clock times in this zone, if it has them (T6)."""
    if row.local_start is None or row.local_end is None:
        return row.start_at, row.end_at
    return instant_on_clock(zone, row.local_start), instant_on_clock(zone, row.local_end)


def release_columns(release: Release | None) -> dict[str, Any]:
    """Return the columns of a rule's release."""
    if release is None:
        return {"release_days_before": None, "release_time": None}
    return {"release_days_before": release.days_before, "release_time": release.at}


def _release(row: rows.AvailabilityRule) -> Release | None:
    if row.release_days_before is None or row.release_time is None:
        return None
    return Release(row.release_days_before, row.release_time)


def _known(id_: int | None) -> int:
    assert id_ is not None  # noqa: S101  # a stored row has its key
    return id_


def _minutes(count: int | None) -> timedelta | None:
    return None if count is None else timedelta(minutes=count)
