"""Family values: the people and the address that a host gives for a family.

Owns: these values, validated when they are made, and the words for a member's role and a family's status.
Must not know: tables, or whether a person is a user already (`people`).

A web framework with Pydantic reads them from JSON with names in camel case: `isPrimaryContact`.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Final

from pydantic import ConfigDict
from pydantic.alias_generators import to_camel

from scheduler.core.errors import InvalidInputError
from scheduler.core.readers import Reader, country, email, flag, optional, text

CAMEL_CASE: Final = ConfigDict(
    alias_generator=to_camel, populate_by_name=True, extra="forbid", hide_input_in_errors=True, serialize_by_alias=True
)
MAX_PHONE_LENGTH: Final = 50
MAX_POSTCODE_LENGTH: Final = 20


class MemberRole(StrEnum):
    """Role of a member in a family, whatever the role of the user in the tenant."""

    PARENT = "parent"
    STUDENT = "student"


class FamilyStatus(StrEnum):
    """Status of a family."""

    ACTIVE = "active"
    INACTIVE = "inactive"


@dataclass(frozen=True, slots=True)
class Person:
    """A person of a family: the live user with this e-mail address, or else a new user.

    An existing user keeps name and phone. A student needs no e-mail address, and is a new user without one.

    Raises:
        InvalidInputError: a field is invalid; the message names it.
    """

    name: str
    email: str | None = None
    phone: str | None = None
    is_primary_contact: bool = False
    is_emergency_contact: bool = False

    __pydantic_config__: ClassVar[ConfigDict] = CAMEL_CASE

    def __post_init__(self) -> None:
        _read(self, "person", name=text, email=optional(email), phone=up_to(MAX_PHONE_LENGTH))
        _read(self, "person", is_primary_contact=flag, is_emergency_contact=flag)


@dataclass(frozen=True, slots=True)
class PostalAddress:
    """A postal address. The country is two letters (ISO 3166-1).

    Raises:
        InvalidInputError: a field is invalid; the message names it.
    """

    line_1: str
    line_2: str | None = None
    city: str | None = None
    region: str | None = None
    postcode: str | None = None
    country: str | None = None

    __pydantic_config__: ClassVar[ConfigDict] = CAMEL_CASE

    def __post_init__(self) -> None:
        _read(self, "address", line_1=text, line_2=optional(text), city=optional(text), region=optional(text))
        _read(self, "address", postcode=up_to(MAX_POSTCODE_LENGTH), country=optional(country))


def up_to(length: int) -> Reader:
    """Return the reader of an optional text of at most so many characters."""

    def read(field: str, value: object) -> str | None:
        if value is None:
            return None
        short = text(field, value)
        if len(short) > length:
            raise InvalidInputError(f"{field} must have at most {length} characters")
        return short

    return read


def _read(value: object, noun: str, **readers: Reader) -> None:
    """Replace fields of a new value by what their readers make of them."""
    for name, read in readers.items():
        object.__setattr__(value, name, read(f"{noun}: {name}", getattr(value, name)))
