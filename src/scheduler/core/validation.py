"""Validation of the fields that core values share: ids, texts, lengths, days and capacities.

Owns: the checks and the wording of their errors.
Must not know: the values that have these fields; each module states the field's name and its own error class.
"""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from uuid import UUID

from scheduler.core.errors import InvalidInputError

_NO_TIME = timedelta(0)


@dataclass(frozen=True, slots=True)
class Validator:
    """Checks that raise one class of error; `field` names the value in the message, as in `rule 7: capacity`."""

    error: type[InvalidInputError]

    def id(self, field: str, value: object) -> None:
        """Raise unless the value is an int, a str or a UUID; a bool is not an int here."""
        if isinstance(value, bool) or not isinstance(value, int | str | UUID):
            raise self.error(f"{field} must be an int, a str or a UUID, not {value!r}")

    def text(self, field: str, value: object) -> None:
        """Raise unless the value is a non-blank string."""
        if not isinstance(value, str) or not value.strip():
            raise self.error(f"{field} must be a non-blank string, not {value!r}")

    def length(self, field: str, value: object) -> None:
        """Raise unless the value is a timedelta longer than zero."""
        if not isinstance(value, timedelta) or value <= _NO_TIME:
            raise self.error(f"{field} must be a timedelta longer than zero, not {value!r}")

    def non_negative(self, field: str, value: object) -> None:
        """Raise unless the value is a timedelta of zero or more."""
        if not isinstance(value, timedelta) or value < _NO_TIME:
            raise self.error(f"{field} must be a timedelta of zero or more, not {value!r}")

    def day(self, field: str, value: object) -> None:
        """Raise unless the value is a calendar date; a datetime is not a day."""
        if not isinstance(value, date) or isinstance(value, datetime):
            raise self.error(f"{field} must be a date, not {value!r}")

    def clock(self, field: str, value: object) -> None:
        """Raise unless the value is a wall-clock time: a `time` without a zone."""
        if not isinstance(value, time) or value.tzinfo is not None:
            raise self.error(f"{field} must be a wall-clock time, not {value!r}")

    def capacity(self, field: str, value: object) -> None:
        """Raise unless the value is a whole number from 1."""
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise self.error(f"{field} must be a whole number from 1, not {value!r}")

    def days_in_order(self, field: str, first: object, last: object, *, names: tuple[str, str]) -> None:
        """Raise unless each value is a calendar date or None, and `last` is not before `first`."""
        for name, value in zip(names, (first, last), strict=True):
            if value is not None:
                self.day(f"{field}: {name}", value)
        if isinstance(first, date) and isinstance(last, date) and last < first:
            raise self.error(f"{field}: {names[1]} {last} is before {names[0]} {first}")
