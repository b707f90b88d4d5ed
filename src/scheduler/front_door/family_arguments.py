"""Arguments of families: how users, families, people and fields are given.

Owns: the types that callers may give, and their reading into ids, candidates and columns.
Must not know: what is done with them (`families`, `users`).
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypedDict
from uuid import UUID

from scheduler import models
from scheduler.core.errors import InvalidInputError
from scheduler.core.ids import FamilyId, UserId, read_uuid
from scheduler.core.readers import flag, text
from scheduler.core.validation import Validator
from scheduler.families.errors import MissingParentError
from scheduler.families.people import Candidate
from scheduler.families.shapes import FamilySummary, UserSummary
from scheduler.families.values import FamilyStatus, MemberRole, Person, PostalAddress

AnyUser = UserId | UserSummary | models.User
AnyFamily = FamilyId | FamilySummary | models.Family
AnyPerson = AnyUser | Person

_CHECK: Final = Validator(InvalidInputError)


class FamilyFields(TypedDict, total=False):
    """Fields of a family that `update` takes; a list of members replaces the list."""

    name: str
    address: PostalAddress | None
    preferred_programs: Iterable[str]
    status: FamilyStatus
    parents: Iterable[AnyPerson]
    students: Iterable[AnyPerson]


class MemberFields(TypedDict, total=False):
    """Fields of a membership that `change_member` takes."""

    role: MemberRole
    is_primary_contact: bool
    is_emergency_contact: bool


def user_id_of(field: str, user: object) -> UUID:
    """Return the id of a user, given as such or as an object that has it.

    Raises:
        InvalidInputError: the value is something else.
    """
    return read_uuid(field, user, owners={UserSummary: "user_id", models.User: "id"})


def family_id_of(family: object) -> UUID:
    """Return the id of a family, given as such or as an object that has it."""
    return read_uuid("family", family, owners={FamilySummary: "family_id", models.Family: "id"})


def read_candidates(field: str, people: object, role: MemberRole) -> list[Candidate]:
    """Read a list of members: users, or people who are found by e-mail address or made.

    Raises:
        InvalidInputError: an entry is neither, or a parent has no e-mail address.
        MissingParentError: the list is one of parents, and empty.
    """
    candidates = []
    for place, who in enumerate(_listed(field, people, "users and people")):
        name = f"{field}[{place}]"
        if not isinstance(who, Person):
            candidates.append(Candidate(name, role, user_id_of(f"family: {name}", who)))
            continue
        if role is MemberRole.PARENT and who.email is None:
            raise InvalidInputError(f"family: {name}: a parent needs an e-mail address")
        candidates.append(Candidate(name, role, who, who.is_primary_contact, who.is_emergency_contact))
    if role is MemberRole.PARENT and not candidates:
        raise MissingParentError("family: parents must not be empty: a family has a parent at least")
    return candidates


def read_columns(fields: Mapping[str, object]) -> dict[str, object]:
    """Read the fields of a family that are columns, by column."""
    columns: dict[str, object] = {}
    for name, value in fields.items():
        if name == "name":
            columns["family_name"] = text("family: name", value)
        elif name == "preferred_programs":
            columns["preferred_programs"] = read_programs(value)
        elif name == "status":
            columns["status"] = read_status("family: status", value).value
        elif name not in {"address", "parents", "students"}:
            known = ", ".join(FamilyFields.__annotations__)
            raise InvalidInputError(f"a family has no field {name!r}: there are {known}")
    return columns


def read_status(field: str, value: object) -> FamilyStatus:
    """Read the status of a family, also one that is given as its text."""
    return _CHECK.member(field, value, FamilyStatus)


def read_address(value: object) -> PostalAddress | None:
    """Read the address of a family, if any."""
    if value is not None and not isinstance(value, PostalAddress):
        raise InvalidInputError(f"family: address must be a PostalAddress or None, not {type(value).__name__}")
    return value


def read_programs(value: object) -> list[str]:
    """Read the programs that a family prefers."""
    programs = _listed("preferred_programs", value, "texts")
    return [text(f"family: preferred_programs[{place}]", program) for place, program in enumerate(programs)]


def read_member(fields: Mapping[str, object]) -> dict[str, Any]:
    """Read the fields of a membership, by column."""
    columns: dict[str, Any] = {}
    for name, value in fields.items():
        if name == "role":
            columns[name] = _CHECK.member("role", value, MemberRole).value
        elif name in MemberFields.__annotations__:
            columns[name] = flag(name, value)
        else:
            known = ", ".join(MemberFields.__annotations__)
            raise InvalidInputError(f"a member has no field {name!r}: there are {known}")
    return columns


def _listed(field: str, values: object, of: str) -> Iterable[object]:
    """Return an iterable; a text is none here."""
    if not isinstance(values, Iterable) or isinstance(values, str | bytes):
        raise InvalidInputError(f"family: {field} must be a list of {of}, not {type(values).__name__}")
    return values
