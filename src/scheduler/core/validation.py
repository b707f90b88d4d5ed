"""Checks: the parts that every value has, refused in the same words.

Owns: what an id, a text, a length, a day and a capacity may be.
Must not know: whose parts they are; each module says its name and its own error.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

from scheduler.core.errors import InvalidInputError

_NO_TIME = timedelta(0)


@dataclass(frozen=True, slots=True)
class Validator:
    """Checks that raise one kind of error. `what` names the part in the message: `rule 7: capacity`."""

    error: type[InvalidInputError]

    def id(self, what: str, value: object) -> None:
        """Refuse what is neither an int, a str nor a UUID; a bool is no number."""
        if isinstance(value, bool) or not isinstance(value, int | str | UUID):
            raise self.error(f"{what} must be an int, a str or a UUID, not {value!r}")

    def text(self, what: str, value: object) -> None:
        """Refuse what is no text or says nothing."""
        if not isinstance(value, str) or not value.strip():
            raise self.error(f"{what} must be a text that says something, not {value!r}")

    def length(self, what: str, value: object) -> None:
        """Refuse what is not a timedelta longer than zero."""
        if not isinstance(value, timedelta) or value <= _NO_TIME:
            raise self.error(f"{what} must be a timedelta longer than zero, not {value!r}")

    def non_negative(self, what: str, value: object) -> None:
        """Refuse what is not a timedelta of zero or more."""
        if not isinstance(value, timedelta) or value < _NO_TIME:
            raise self.error(f"{what} must be a timedelta of zero or more, not {value!r}")

    def day(self, what: str, value: object) -> None:
        """Refuse what is not a calendar date; a datetime is an instant and not a day."""
        if not isinstance(value, date) or isinstance(value, datetime):
            raise self.error(f"{what} must be a date, not {value!r}")

    def capacity(self, what: str, value: object) -> None:
        """Refuse what is not a whole number from 1."""
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise self.error(f"{what} must be a whole number from 1, not {value!r}")

    def days_in_order(self, what: str, first: object, last: object, *, names: tuple[str, str]) -> None:
        """Refuse two days, either of which may be None, that are no days or in the wrong order."""
        for name, value in zip(names, (first, last), strict=True):
            if value is not None:
                self.day(f"{what}: {name}", value)
        if isinstance(first, date) and isinstance(last, date) and last < first:
            raise self.error(f"{what}: {names[1]} {last} is before {names[0]} {first}")
