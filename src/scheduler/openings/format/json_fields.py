"""Fields of a JSON object: taken one by one, each mistake told in one line.

Owns: JSON text to a value that PostgreSQL's jsonb can hold, and typed reads from one object.
Must not know: what the fields are for.
"""

import json
import math
import re
import unicodedata
from datetime import date
from typing import Final, NoReturn, TypeAlias

from scheduler.core.errors import InvalidInputError

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

_DEEPEST: Final = 16
_LONGEST_SHOWN: Final = 60
_YEARS: Final = range(2, 9999)  # a zone's clock may be a day off UTC, and every day has a day before and after it
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CODE: Final = re.compile(r"[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*")


def shown(value: Json) -> str:
    """Return a value as a message shows it: one line, and not a long one."""
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "a list"
    text = ascii(value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    found: dict[str, Json] = {}
    for name, value in pairs:
        if name in found:
            raise InvalidInputError(f"the field {shown(name)} is there twice")
        found[name] = value
    return found


def _refuse_constant(text: str) -> NoReturn:
    raise InvalidInputError(f"{text} is not a number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise InvalidInputError(f"the number {shown(text)} is too large")
    return number


def parse_json(text: str) -> Json:
    """Parse strict JSON that jsonb can hold: no NaN, no field twice, no NUL, no lone surrogate, no deep nesting.

    Raises:
        InvalidInputError: it is not such a JSON text.
    """
    try:
        value: Json = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=_finite)
    except InvalidInputError:
        raise
    except RecursionError:
        raise InvalidInputError("it is nested too deep") from None
    except ValueError as error:  # also a whole number of thousands of digits
        raise InvalidInputError(f"it is not JSON: {error}") from None
    level: list[Json] = [value]
    for _ in range(_DEEPEST):
        for part in level:
            _check_text(part)
        level = [child for part in level for child in _children(part)]
    if level:
        raise InvalidInputError(f"it is nested more than {_DEEPEST} levels deep")
    return value


def _children(value: Json) -> list[Json]:
    if isinstance(value, dict):
        return [*value, *value.values()]
    return value if isinstance(value, list) else []


def _check_text(value: Json) -> None:
    if isinstance(value, str) and any(char == "\0" or "\ud800" <= char <= "\udfff" for char in value):
        raise InvalidInputError(f"the text {shown(value)} has a NUL or half a character in it")


class Fields:
    """One JSON object, whose fields are taken out as they are read; `where` names it in messages."""

    def __init__(self, value: Json, *, where: str = "") -> None:
        self._at = f"{where}: " if where else ""
        if not isinstance(value, dict):
            raise InvalidInputError(f"{self._at}a JSON object is needed, not {shown(value)}")
        self._left = dict(value)

    def refuse(self, reason: str) -> NoReturn:
        """Raise the error that says what is wrong with this object."""
        raise InvalidInputError(f"{self._at}{reason}")

    def __contains__(self, name: str) -> bool:
        return name in self._left

    def names(self) -> tuple[str, ...]:
        """Return the names of the fields that are left, in order."""
        return tuple(sorted(self._left))

    def take(self, name: str) -> Json:
        """Take a field of any type; None if it is not there."""
        return self._left.pop(name, None)

    def rest(self) -> dict[str, Json]:
        """Take all fields that are left."""
        left, self._left = self._left, {}
        return left

    def end(self) -> None:
        """Refuse what is left: here a field that nobody reads is a mistake in writing."""
        if self._left:
            self.refuse(f"unknown field {shown(min(self._left))}")

    def text(self, name: str, *, longest: int) -> str | None:
        """Take a text of one line, without the space around it; None if it is missing, null or blank."""
        value = self.take(name)
        if value is None:
            return None
        if not isinstance(value, str):
            self.refuse(f"{name} must be text, not {shown(value)}")
        text = value.strip()
        if any(unicodedata.category(char) == "Cc" for char in text):
            self.refuse(f"{name} {shown(text)} has a control character in it")
        if len(text) > longest:
            self.refuse(f"{name} {shown(text)} is longer than {longest} characters")
        return text or None

    def needed_text(self, name: str, *, longest: int) -> str:
        """Take a text that has to be there."""
        return self.text(name, longest=longest) or self.refuse(f"{name} is missing")

    def code(self, name: str) -> str | None:
        """Take a code, in lower case; None if it is missing, null or blank."""
        code = self.text(name, longest=255)
        if code is not None and not _CODE.fullmatch(code):
            self.refuse(f"{name} {shown(code)} must be letters and digits, joined by '-', '_' or '.'")
        return code and code.lower()

    def needed_code(self, name: str) -> str:
        """Take a code that has to be there."""
        return self.code(name) or self.refuse(f"{name} is missing")

    def whole(self, name: str, *, most: int) -> int | None:
        """Take a whole number from 1; None if it is missing or null."""
        value = self.take(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            self.refuse(f"{name} must be a whole number from 1 to {most}, not {shown(value)}")
        return value

    def day(self, name: str) -> date | None:
        """Take a calendar day; None if it is missing or null."""
        value = self.take(name)
        return None if value is None else day_from(value, where=f"{self._at}{name}")


def object_from(value: Json, *, where: str) -> dict[str, Json]:
    """Read an object; null is an empty one.

    Raises:
        InvalidInputError: it is neither.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidInputError(f"{where} must be an object, not {shown(value)}")
    return value


def list_from(value: Json, *, where: str) -> list[Json]:
    """Read a list; null is an empty one.

    Raises:
        InvalidInputError: it is neither.
    """
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidInputError(f"{where} must be a list, not {shown(value)}")
    return value


def day_from(value: Json, *, where: str) -> date:
    """Read a calendar day such as 2027-03-28.

    Raises:
        InvalidInputError: it is not one, or lies outside the years 2 to 9998.
    """
    try:
        day = date.fromisoformat(value) if isinstance(value, str) and _DAY.fullmatch(value) else None
    except ValueError:
        day = None
    if day is None or day.year not in _YEARS:
        raise InvalidInputError(f"{where}: {shown(value)} is not a day such as 2027-03-28 in the years 2 to 9998")
    return day
