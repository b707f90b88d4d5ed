"""Weekdays, as the rules count them: from 0 = Sunday.

Owns: the enum of the weekdays, and the weekday of a date.
Must not know: rules, recurrences.
"""

from datetime import date
from enum import IntEnum
from typing import Final

from scheduler.core.errors import InvalidInputError
from scheduler.core.validation import Validator

_CHECK: Final = Validator(InvalidInputError)


class Weekday(IntEnum):
    """A day of the week. `date.weekday()` counts from Monday, so its numbers mean other days: use `Weekday.of`."""

    SUNDAY = 0
    MONDAY = 1
    TUESDAY = 2
    WEDNESDAY = 3
    THURSDAY = 4
    FRIDAY = 5
    SATURDAY = 6

    @staticmethod
    def of(day: date) -> "Weekday":
        """Return the weekday of a date.

        Raises:
            InvalidInputError: the argument is no date.

        >>> Weekday.of(date(2027, 3, 1)).name
        'MONDAY'
        """
        _CHECK.day("day", day)
        return Weekday(day.isoweekday() % 7)
