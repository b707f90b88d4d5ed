"""Validation of arguments: the kinds of value that the core accepts, and the wording of its refusals.

Owns: the checks of ids, texts, flags, numbers, lengths, days, clock times, members of enums, objects, sequences.
Must not know: the values that have these fields; each module states the field's name and its own error class.
"""

import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Final, TypeVar
from uuid import UUID

from scheduler.core.errors import InvalidInputError

_T = TypeVar("_T")
_Enum = TypeVar("_Enum", bound=StrEnum)
_NO_TIME: Final = timedelta(0)
_SECOND: Final = timedelta(seconds=1)
SHORTEST_SLOT: Final = timedelta(minutes=1)
LONGEST_SLOT: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Validator:
    """Checks that raise one class of error; `field` names the value in the message, as in `rule 7: capacity`."""

    error: type[InvalidInputError]

    def id(self, field: str, value: object) -> None:
        """Raise unless the value is an int, a str or a UUID; a bool is not an int here."""
        if isinstance(value, bool) or not isinstance(value, int | str | UUID):
            raise self.error(f"{field} must be an int, a str or a UUID, not {value!r}")

    def optional_id(self, field: str, value: object) -> None:
        """Raise unless the value is an id or None."""
        if value is not None:
            self.id(field, value)

    def text(self, field: str, value: object) -> None:
        """Raise unless the value is a non-blank string."""
        if not isinstance(value, str) or not value.strip():
            raise self.error(f"{field} must be a non-blank string, not {value!r}")

    def flag(self, field: str, value: object) -> None:
        """Raise unless the value is True or False; a text such as "false" would count as true."""
        if not isinstance(value, bool):
            raise self.error(f"{field} must be True or False, not {value!r}")

    def whole(self, field: str, value: object, *, lowest: int = 1) -> None:
        """Raise unless the value is a whole number from `lowest`; a bool is not a number here."""
        if isinstance(value, bool) or not isinstance(value, int) or value < lowest:
            raise self.error(f"{field} must be a whole number from {lowest}, not {value!r}")

    def length(self, field: str, value: object) -> None:
        """Raise unless the value is a timedelta longer than zero."""
        if not isinstance(value, timedelta) or value <= _NO_TIME:
            raise self.error(f"{field} must be a timedelta longer than zero, not {value!r}")

    def non_negative(self, field: str, value: object) -> None:
        """Raise unless the value is a timedelta of zero or more."""
        if not isinstance(value, timedelta) or value < _NO_TIME:
            raise self.error(f"{field} must be a timedelta of zero or more, not {value!r}")

    def slot_length(self, field: str, value: object) -> None:
        """Raise unless the value is a timedelta of whole seconds from 1 minute to 24 hours (A2)."""
        if not isinstance(value, timedelta) or not SHORTEST_SLOT <= value <= LONGEST_SLOT or value % _SECOND:
            raise self.error(f"{field} must be a timedelta of whole seconds from 1 minute to 24 hours, not {value!r}")

    def day(self, field: str, value: object) -> None:
        """Raise unless the value is a calendar date; a datetime is not a day."""
        if not isinstance(value, date) or isinstance(value, datetime):
            raise self.error(f"{field} must be a date, not {value!r}")

    def day_of_week(self, field: str, value: object) -> None:
        """Raise unless the value is a whole number from 0 (Sunday) to 6; a bool is not one."""
        if type(value) is not int or not 0 <= value <= 6:  # noqa: PLR2004  # the message says so
            raise self.error(f"{field} must be 0 (Sunday) to 6, not {value!r}")

    def clock(self, field: str, value: object) -> None:
        """Raise unless the value is a wall-clock time: a `time` without a zone."""
        if not isinstance(value, time) or value.tzinfo is not None:
            raise self.error(f"{field} must be a wall-clock time, not {value!r}")

    def days_in_order(self, field: str, first: object, last: object, *, names: tuple[str, str]) -> None:
        """Raise unless each value is a calendar date or None, and `last` is not before `first`."""
        for name, value in zip(names, (first, last), strict=True):
            if value is not None:
                self.day(f"{field}: {name}", value)
        if isinstance(first, date) and isinstance(last, date) and last < first:
            raise self.error(f"{field}: {names[1]} {last} is before {names[0]} {first}")

    def member(self, field: str, value: object, kind: type[_Enum]) -> _Enum:
        """Return a member of an enum, also one that is given as its text; raise for anything else."""
        if type(value) is kind:
            return value
        if isinstance(value, str) and not isinstance(value, StrEnum):
            with suppress(ValueError):
                return kind(value)
        noun = re.sub("(?<=.)(?=[A-Z])", " ", kind.__name__).lower()
        raise self.error(f"{field}: {value!r} is not {_article(noun)} {noun} ({', '.join(kind)})")

    def instance(self, field: str, value: object, kind: type) -> None:
        """Raise unless the value is an object of this class."""
        if not isinstance(value, kind):
            raise self.error(f"{field} must be {_article(kind.__name__)} {kind.__name__}, not {type(value).__name__}")

    def sequence(self, field: str, values: object, kind: type[_T], *, shown: type | None = None) -> tuple[_T, ...]:
        """Return an iterable as a tuple; raise unless all elements are objects of this class.

        The message shows another class if the elements are read later, also from objects that have one of it.
        """
        name = (shown or kind).__name__
        if not isinstance(values, Iterable) or isinstance(values, str | bytes):
            raise self.error(f"{field} must be a sequence of {name}, not {type(values).__name__}")
        elements = tuple(values)
        for element in elements:
            if not isinstance(element, kind):
                raise self.error(f"{field} must be a sequence of {name}, but has {type(element).__name__}")
        return elements


def _article(noun: str) -> str:
    return "an" if re.match("(?!use)[aeiou]", noun, re.IGNORECASE) else "a"
