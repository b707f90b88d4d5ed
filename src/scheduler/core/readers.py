"""Readers: values that a host gives for a field, and the same values as the tables hold them.

Owns: the reading of texts, e-mail addresses, flags, days, UUIDs and countries; a refusal names the field, and shows no
text that may be about a person.
Must not know: which table has which field.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import date, datetime
from uuid import UUID

from scheduler.core.email_address import EmailAddress
from scheduler.core.errors import InvalidInputError

Reader = Callable[[str, object], object]
"""Returns the value of the column, from the field's name and its value."""


def fault(field: str, wanted: str, value: object) -> InvalidInputError:
    """Word a refusal without the value, which may be about a person."""
    return InvalidInputError(f"{field} must be {wanted}, not {'None' if value is None else type(value).__name__}")


def text(field: str, value: object) -> str:
    """Read a text that is not blank; space around it is left out."""
    if not isinstance(value, str):
        raise fault(field, "a text", value)
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


def flag(field: str, value: object) -> bool:
    """Read True or False."""
    if not isinstance(value, bool):
        raise fault(field, "True or False", value)
    return value


def day(field: str, value: object) -> date:
    """Read a date, which a `datetime` is not."""
    if not isinstance(value, date) or isinstance(value, datetime):
        raise fault(field, "a date", value)
    return value


def uuid(field: str, value: object) -> UUID:
    """Read a UUID."""
    if not isinstance(value, UUID):
        raise fault(field, "a UUID", value)
    return value


def country(field: str, value: object) -> str:
    """Read a country as its two letters (ISO 3166-1), in upper case."""
    code = text(field, value).upper()
    if not re.fullmatch("[A-Z]{2}", code):
        raise InvalidInputError(f"{field} must be the two letters of a country, such as GB")
    return code


def optional(read: Reader) -> Reader:
    """Return a reader that takes None, too."""

    def read_optional(field: str, value: object) -> object:
        return None if value is None else read(field, value)

    return read_optional
