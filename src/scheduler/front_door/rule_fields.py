"""Fields of rules: those that `change` takes, and the weekdays with the columns that they are written to.

Must not know: the rows of rules, and what follows from a change.
"""

from collections.abc import Iterable
from datetime import date, time, timedelta
from typing import Any, Final, TypedDict

from scheduler import models
from scheduler.core.errors import InvalidInputError
from scheduler.core.ids import OfferingId
from scheduler.core.releases import Release
from scheduler.core.schedules import AvailabilityRule
from scheduler.core.validation import Validator
from scheduler.core.weekdays import Weekday
from scheduler.postgres.schedule_rows import weekday_columns

_CHECK: Final = Validator(InvalidInputError)


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
    release: Release | None


def weekdays_of(on: object) -> list[int | None]:
    """Read the weekdays of new rules; one None if the recurrence alone says the days.

    Raises:
        InvalidInputError: there is no weekday, or a value is none or is repeated.
    """
    if on is None:
        return [None]
    weekdays: list[int | None] = []
    for weekday in on if isinstance(on, Iterable) and not isinstance(on, str) else [on]:
        if not isinstance(weekday, Weekday):
            raise InvalidInputError(f"rule: on must be of type Weekday, such as Weekday.MONDAY, not {weekday!r}")
        weekdays.append(int(weekday))
    if not weekdays or len(set(weekdays)) < len(weekdays):
        raise InvalidInputError("rule: on must name each weekday once, and one at least")
    return weekdays


def read_release(field: str, value: object) -> object:
    """Read the release of a rule."""
    _CHECK.instance(field, value, Release)
    return value


def columns_of_weekday(rule: AvailabilityRule) -> dict[str, Any]:
    """Return the columns of a rule's weekday.

    Raises:
        InvalidInputError: the rule has neither a weekday nor a first day.
    """
    if rule.day_of_week is None and rule.effective_from is None:
        raise InvalidInputError("rule: without `on`, the rule needs effective_from, the first day of its recurrence")
    return weekday_columns(rule)
