"""Fields: the arguments that hosts give, and the columns that they are written to.

Owns: the reading of each kind of argument; a refusal names the field, and shows no text that may be about a person.
Must not know: which repository has which field.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, TypeVar
from uuid import UUID

from scheduler.core.errors import InvalidInputError
from scheduler.core.validation import Validator
from scheduler.core.zones import zone_of
from scheduler.front_door.ids import RowId, read_id
from scheduler.invitations.email_address import EmailAddress

Reader = Callable[[str, object], object]
"""Returns the value of the column, from the field's name and its value."""

T = TypeVar("T")
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


def _fault(field: str, wanted: str, value: object) -> InvalidInputError:
    """Word a refusal without the value, which may be about a person."""
    return InvalidInputError(f"{field} must be {wanted}, not {'None' if value is None else type(value).__name__}")


def text(field: str, value: object) -> str:
    """Read a text that is not blank; space around it is left out."""
    if not isinstance(value, str):
        raise _fault(field, "a text", value)
    if not value.strip():
        raise InvalidInputError(f"{field} must not be blank")
    if "\0" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise InvalidInputError(f"{field} must not have a NUL or a lone surrogate, which PostgreSQL cannot store")
    return value.strip()


def email(field: str, value: object) -> str:
    """Read an e-mail address, in any case, as one in lower case."""
    address = text(field, value)
    with suppress(InvalidInputError):
        return EmailAddress.parse(address).text
    raise InvalidInputError(f"{field} must be an e-mail address in ASCII, such as ada@example.org")


def word(kind: type[StrEnum]) -> Reader:
    """Return the reader of a member of an enum, also one that is given as its text."""

    def read(field: str, value: object) -> str:
        return _CHECK.member(field, value, kind).value

    return read


def resource_kind(field: str, value: object) -> str:
    """Read a kind of resource: one word in lower case, such as room. The doctor is no resource."""
    kind = text(field, value)
    if not re.fullmatch("[a-z][a-z0-9_]*", kind):
        raise InvalidInputError(f"{field} must be a word of small letters, digits and _, such as room")
    if kind == "doctor":
        raise InvalidInputError(f"{field} must not be doctor: a doctor is no resource, appointments occupy the time")
    return kind


def flag(field: str, value: object) -> bool:
    """Read True or False."""
    if not isinstance(value, bool):
        raise _fault(field, "True or False", value)
    return value


def day(field: str, value: object) -> date:
    """Read a date, which a `datetime` is not."""
    if not isinstance(value, date) or isinstance(value, datetime):
        raise _fault(field, "a date", value)
    return value


def uuid(field: str, value: object) -> UUID:
    """Read a UUID."""
    if not isinstance(value, UUID):
        raise _fault(field, "a UUID", value)
    return value


def zone(field: str, value: object) -> str:
    """Read an IANA time zone as its name."""
    if not isinstance(value, str):
        value = getattr(value, "key", value)
    if not isinstance(value, str):
        raise _fault(field, "the name of an IANA time zone, or a ZoneInfo", value)
    try:
        return zone_of(value).key
    except InvalidInputError as error:
        raise type(error)(f"{field}: {error}") from None


def country(field: str, value: object) -> str:
    """Read a country as its two letters (ISO 3166-1), in upper case."""
    code = text(field, value).upper()
    if not re.fullmatch("[A-Z]{2}", code):
        raise InvalidInputError(f"{field} must be the two letters of a country, such as GB")
    return code


def minutes(field: str, value: object) -> int:
    """Read a length of whole minutes, one at least."""
    _CHECK.length(field, value)
    return _whole_minutes(field, value)


def minutes_or_none_at_all(field: str, value: object) -> int:
    """Read a length of whole minutes, which may be zero."""
    _CHECK.non_negative(field, value)
    return _whole_minutes(field, value)


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


def optional(read: Reader) -> Reader:
    """Return a reader that takes None, too."""

    def read_optional(field: str, value: object) -> object:
        return None if value is None else read(field, value)

    return read_optional


def given(field: str, value: object) -> object:
    """Take a value as it is: the core reads it."""
    del field
    return value
