"""JSON fields: strict parsing, and typed reads of an object's fields with one-line error messages.

Owns: parsing JSON text into a value that PostgreSQL's jsonb can hold, and typed reads from one object.
Must not know: the meaning of the fields.
"""

import json
import math
import re
import unicodedata
from collections.abc import Collection, Mapping
from datetime import date
from difflib import get_close_matches
from typing import Final, NoReturn, TypeAlias

from scheduler.core.errors import InvalidInputError

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

_MAX_DEPTH: Final = 16
_MAX_SHOWN_LENGTH: Final = 60
_SIMILARITY: Final = 0.85  # of eight letters, one may be wrong, missing or too much
_YEARS: Final = range(2, 9999)  # every day needs a day before and after it, and a zone may be a day off UTC
_DAY: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_CODE: Final = re.compile(r"[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*")
_KINDS: Final[Mapping[type, str]] = {
    dict: "an object",
    list: "a list",
    str: "a text",
    bool: "true or false",
    int: "a number",
    float: "a number",
    type(None): "null",
}


def shown(value: Json) -> str:
    """Return a value for an error message, in one short line."""
    if isinstance(value, dict | list):
        return _kind(value)
    text = ascii(value)
    return text if len(text) <= _MAX_SHOWN_LENGTH else f"{text[: _MAX_SHOWN_LENGTH - 3]}..."


def _kind(value: Json) -> str:
    """Return the kind of a value, for an error message. The value itself may be the name of a person."""
    return _KINDS[type(value)]


def _letters(name: str) -> str:
    """Return a name in lower case without punctuation: `slotMinutes` and `slot_minutes` are one."""
    return "".join(char for char in name.casefold() if char.isalnum())


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    fields: dict[str, Json] = {}
    for name, value in pairs:
        if name in fields:
            raise InvalidInputError(f"the field {shown(name)} appears twice")
        fields[name] = value
    return fields


def _refuse_constant(text: str) -> NoReturn:
    raise InvalidInputError(f"{text} is not a number")


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise InvalidInputError(f"the number {shown(text)} is too large")
    return number


def parse_json(text: str, *, noun: str = "line") -> Json:
    """Parse strict JSON that jsonb can hold: no NaN, no field twice, no NUL, no lone surrogate, no deep nesting.

    `noun` is what a message calls the text.

    Raises:
        InvalidInputError: the text is not such JSON.
    """
    try:
        value: Json = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=_finite)
    except InvalidInputError:
        raise
    except RecursionError:
        raise InvalidInputError("the JSON is nested too deep") from None
    except ValueError as error:  # also an integer of thousands of digits
        raise InvalidInputError(f"the {noun} is not JSON: {error}") from None
    level: list[Json] = [value]
    for _ in range(_MAX_DEPTH):
        for item in level:
            _check_text(item)
        level = [child for item in level for child in _children(item)]
    if level:
        raise InvalidInputError(f"the JSON is nested more than {_MAX_DEPTH} levels deep")
    return value


def _children(value: Json) -> list[Json]:
    if isinstance(value, dict):
        return [*value, *value.values()]
    return value if isinstance(value, list) else []


def _check_text(value: Json) -> None:
    if isinstance(value, str) and any(char == "\0" or "\ud800" <= char <= "\udfff" for char in value):
        raise InvalidInputError("a text contains a NUL or a lone surrogate")


class Fields:
    """A JSON object, whose fields are removed as they are read; `where` names the object in messages."""

    def __init__(self, value: Json, *, where: str = "") -> None:
        self._prefix = f"{where}: " if where else ""
        if not isinstance(value, dict):
            raise InvalidInputError(f"{self._prefix}expected a JSON object, not {_kind(value)}")
        self._unread = dict(value)

    def refuse(self, reason: str) -> NoReturn:
        """Raise an error about this object."""
        raise InvalidInputError(f"{self._prefix}{reason}")

    def take(self, name: str) -> Json:
        """Take a field of any type; None if it is missing."""
        return self._unread.pop(name, None)

    def gives(self, *names: str) -> bool:
        """Tell whether one of these unread fields is there, also if it is null."""
        return not self._unread.keys().isdisjoint(names)

    def check_spelling(self, known: Mapping[str, str], *, other: Collection[str] = ()) -> None:
        """Refuse unread fields whose names are likely meant as known ones: they would count as missing.

        `known` has the fields by their names, and by common other names, in lower case without punctuation. A name with
        a digit, such as `phone2`, and one of the `other` names are those of other fields.
        """
        for name in sorted(self._unread.keys() - set(known.values())):
            letters = _letters(name)
            near = get_close_matches(letters, known, n=1, cutoff=_SIMILARITY)
            if near and letters not in other and not any(char.isdigit() for char in name):
                self.refuse(f"unknown field {shown(name)}: did you mean {shown(known[near[0]])}?")

    def rest(self) -> dict[str, Json]:
        """Take all fields that were not read yet."""
        fields, self._unread = self._unread, {}
        return fields

    def end(self) -> None:
        """Refuse fields that were not read: such a field is a spelling mistake."""
        if self._unread:
            self.refuse(f"unknown field {shown(min(self._unread))}")

    def text(self, name: str, *, max_length: int) -> str | None:
        """Take one line of text without surrounding space; None if it is missing, null or blank."""
        value = self.take(name)
        if value is None:
            return None
        if not isinstance(value, str):
            self.refuse(f"{name} must be text, not {shown(value)}")
        text = value.strip()
        if any(unicodedata.category(char) == "Cc" for char in text):
            self.refuse(f"{name} {shown(text)} contains a control character")
        if len(text) > max_length:
            self.refuse(f"{name} {shown(text)} is longer than {max_length} characters")
        return text or None

    def needed_text(self, name: str, *, max_length: int) -> str:
        """Take a text that is required."""
        return self.text(name, max_length=max_length) or self.refuse(f"{name} is missing")

    def code(self, name: str) -> str | None:
        """Take a code, in lower case; None if it is missing, null or blank."""
        code = self.text(name, max_length=255)
        if code is not None and not _CODE.fullmatch(code):
            self.refuse(f"{name} {shown(code)} must be letters and digits, joined by '-', '_' or '.'")
        return code and code.lower()

    def needed_code(self, name: str) -> str:
        """Take a code that is required."""
        return self.code(name) or self.refuse(f"{name} is missing")

    def whole(self, name: str, *, maximum: int) -> int | None:
        """Take a whole number from 1; None if it is missing or null."""
        value = self.take(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= maximum:
            self.refuse(f"{name} must be a whole number from 1 to {maximum}, not {shown(value)}")
        return value

    def day(self, name: str) -> date | None:
        """Take a calendar day; None if it is missing or null."""
        value = self.take(name)
        return None if value is None else day_from(value, where=f"{self._prefix}{name}")


def object_from(value: Json, *, where: str) -> dict[str, Json]:
    """Read an object; null is an empty object.

    Raises:
        InvalidInputError: the value is neither.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidInputError(f"{where} must be an object, not {_kind(value)}")
    return value


def list_from(value: Json, *, where: str) -> list[Json]:
    """Read a list; null is an empty list.

    Raises:
        InvalidInputError: the value is neither.
    """
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidInputError(f"{where} must be a list, not {_kind(value)}")
    return value


def day_from(value: Json, *, where: str) -> date:
    """Read a calendar day such as 2027-03-28.

    Raises:
        InvalidInputError: the value is no day, or lies outside the years 2 to 9998.
    """
    try:
        day = date.fromisoformat(value) if isinstance(value, str) and _DAY.fullmatch(value) else None
    except ValueError:
        day = None
    if day is None or day.year not in _YEARS:
        raise InvalidInputError(f"{where}: {shown(value)} is not a day such as 2027-03-28 in the years 2 to 9998")
    return day
