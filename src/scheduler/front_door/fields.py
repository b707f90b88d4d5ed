"""Fields: the arguments that hosts give, and the columns that they are written to.

Owns: the table entry of a field, and the readers of values that only repositories have; `core.readers` has the others.
Must not know: which repository has which field.
"""

import re
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final

from scheduler.core.candidates import LONGEST_BUFFER
from scheduler.core.errors import InvalidInputError
from scheduler.core.ids import RowId, read_id
from scheduler.core.readers import Reader, fault, text
from scheduler.core.validation import Validator
from scheduler.core.workflows import DOCTOR, PATIENT
from scheduler.core.zones import zone_of

_CHECK: Final = Validator(InvalidInputError)
_MINUTE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a repository: the column that it is written to, and its reader.

    A fixed one is given once, to `add`. With a model, the value is the id of a row of it, which must not be deleted.
    """

    column: str
    read: Reader
    fixed: bool = False
    model: type[Any] | None = None


def word(kind: type[StrEnum]) -> Reader:
    """Return the reader of a member of an enum, also one that is given as its text."""

    def read(field: str, value: object) -> str:
        return _CHECK.member(field, value, kind).value

    return read


def resource_kind(field: str, value: object) -> str:
    """Read a kind of resource: one word in lower case, such as room. Neither doctor nor patient is a resource."""
    kind = text(field, value)
    if not re.fullmatch("[a-z][a-z0-9_]*", kind):
        raise InvalidInputError(f"{field} must be a word of small letters, digits and _, such as room")
    if kind == DOCTOR:
        raise InvalidInputError(f"{field} must not be doctor: a doctor is no resource, appointments occupy the time")
    if kind == PATIENT:
        raise InvalidInputError(f"{field} must not be patient: the patient is no resource, every step has the patient")
    return kind


def zone(field: str, value: object) -> str:
    """Read an IANA time zone as its name."""
    if not isinstance(value, str):
        value = getattr(value, "key", value)
    if not isinstance(value, str):
        raise fault(field, "the name of an IANA time zone, or a ZoneInfo", value)
    try:
        return zone_of(value).key
    except InvalidInputError as error:
        raise type(error)(f"{field}: {error}") from None


def minutes(field: str, value: object) -> int:
    """Read a length of whole minutes, one at least."""
    _CHECK.length(field, value)
    return _whole_minutes(field, value)


def buffer_minutes(field: str, value: object) -> int:
    """Read the whole minutes of a buffer, which may be zero."""
    _CHECK.non_negative(field, value)
    count = _whole_minutes(field, value)
    if count * _MINUTE > LONGEST_BUFFER:
        raise InvalidInputError(f"{field} must be at most {LONGEST_BUFFER.days} days, not {value}")
    return count


def _whole_minutes(field: str, value: object) -> int:
    assert isinstance(value, timedelta)  # noqa: S101  # checked by the caller
    if value % _MINUTE:
        raise InvalidInputError(f"{field} must be whole minutes, not {value}")
    return value // _MINUTE


def reference(kind: type[RowId], *owners: type[Any]) -> Reader:
    """Return the reader of another row's id."""

    def read(field: str, value: object) -> int:
        return int(read_id(field, value, kind, *owners))

    return read


def given(field: str, value: object) -> object:
    """Take a value as it is: the core reads it."""
    del field
    return value
