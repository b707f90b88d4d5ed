"""Names file: JSON lines of families whose members are names, read into values and line errors.

Owns: reading the format of `docs/families-from-names.md`. A broken line becomes an error with its number and a reason.
Must not know: the database; which users the names mean (`name_resolution`).
"""

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias
from uuid import UUID

from scheduler.core.email_address import EmailAddress
from scheduler.core.errors import InvalidInputError
from scheduler.core.json_fields import Fields, Json, list_from, shown
from scheduler.core.json_lines import BrokenLinesError, LineError, read_lines
from scheduler.core.readers import email, text
from scheduler.families.errors import DuplicateMemberError, MissingParentError
from scheduler.families.values import FamilyStatus, MemberRole, PostalAddress

_ADDRESS_FIELDS: Final = ("line1", "line2", "city", "region", "postcode", "country")
_KEPT_BY_THE_DATABASE: Final = ("created", "modified")
_LISTS: Final = {MemberRole.PARENT: "parents", MemberRole.STUDENT: "students"}


@dataclass(frozen=True, slots=True)
class PersonKey:
    """A key by which an operator says that entries of a file are one person."""

    text: str


Identity: TypeAlias = UUID | EmailAddress | PersonKey | None
"""The id of a user, an e-mail address or a person's key; None for a bare name."""


@dataclass(frozen=True, slots=True)
class NamedMember:
    """A member of a family, known by name; `where` is the member's place in the line."""

    name: str
    role: MemberRole
    identity: Identity
    where: str


@dataclass(frozen=True, slots=True)
class NamedFamily:
    """A family of a file, whose members are names."""

    line: int
    source_id: str
    name: str
    members: tuple[NamedMember, ...]
    address: PostalAddress | None
    preferred_programs: tuple[str, ...]
    status: FamilyStatus


@dataclass(frozen=True, slots=True)
class NamesFile:
    """The families of a file, the number of its deleted families, and the errors of its broken lines."""

    families: tuple[NamedFamily, ...]
    deleted: int
    faults: tuple[LineError, ...]


def name_key(name: str) -> str:
    r"""Return the text that all spellings of a name share: of letter case, spaces and Unicode (NFKC).

    >>> name_key("Zoë  LANG") == name_key("zoe\u0308 Lang")
    True
    """
    if name.isascii():
        folded = name.casefold()
    else:  # twice, since case folding takes some letters apart
        folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return " ".join(folded.split())


def read_names(path: str | Path) -> NamesFile:
    """Read a file of families whose members are names: JSON lines in UTF-8, one family a line.

    Raises:
        NotFoundError: there is no such file.
        InvalidInputError: the file cannot be read or is too large.
    """
    reader = _Reader()
    faults = read_lines(path, reader.read)
    return NamesFile(tuple(reader.families), reader.deleted, faults)


def check_names(file: NamesFile) -> None:
    """Raise unless a file has families, and no broken line.

    Raises:
        BrokenLinesError: the file has broken lines.
        InvalidInputError: there is no family, as in an empty file.
    """
    if file.faults:
        raise BrokenLinesError(file.faults)
    if not file.families and not file.deleted:
        raise InvalidInputError("there is no family in the file: nothing to migrate")


class _Reader:
    """Reader of lines, which remembers the families and people that later lines must not repeat or contradict."""

    def __init__(self) -> None:
        self.families: list[NamedFamily] = []
        self.deleted = 0
        self._lines_by_id: dict[str, int] = {}
        self._names_by_identity: dict[Identity, tuple[int, str]] = {}

    def read(self, number: int, value: Json) -> None:
        fields = Fields(value)
        source_id = text("familyId", fields.take("familyId"))
        if source_id in self._lines_by_id:
            fields.refuse(f"familyId {shown(source_id)} is also that of line {self._lines_by_id[source_id]}")
        if _is_deleted(fields):
            self.deleted += 1
        else:
            family = _family(number, source_id, fields)
            self._check_names(family)
            self.families.append(family)
        self._lines_by_id[source_id] = number

    def _check_names(self, family: NamedFamily) -> None:
        """Refuse a person who has another name on an earlier line: one of both keys is likely a mistake."""
        identified = [member for member in family.members if member.identity is not None]
        for member in identified:
            line, name = self._names_by_identity.get(member.identity, (family.line, name_key(member.name)))
            if name != name_key(member.name):
                raise InvalidInputError(f"{member.where}: this person has another name on line {line}")
        for member in identified:
            self._names_by_identity.setdefault(member.identity, (family.line, name_key(member.name)))


def _is_deleted(fields: Fields) -> bool:
    deleted = fields.take("softDelete")
    if deleted is not None and not isinstance(deleted, bool):
        fields.refuse(f"softDelete must be true or false, not {shown(deleted)}")
    return deleted is True


def _family(number: int, source_id: str, fields: Fields) -> NamedFamily:
    name = text("familyName", fields.take("familyName"))
    members = tuple(member for role in MemberRole for member in _members(role, fields.take(_LISTS[role])))
    if not any(member.role is MemberRole.PARENT for member in members):
        raise MissingParentError("parents must have at least one parent")
    _refuse_repetition(members)
    status = fields.take("status")
    if status is not None and (not isinstance(status, str) or status not in set(FamilyStatus)):
        fields.refuse(f"status must be one of {', '.join(FamilyStatus)}, not {shown(status)}")
    programs = list_from(fields.take("preferredPrograms"), where="preferredPrograms")
    family = NamedFamily(
        number,
        source_id,
        name,
        members,
        _address(fields.take("address")),
        tuple(text("preferredPrograms", program) for program in programs),
        FamilyStatus(status or FamilyStatus.ACTIVE),
    )
    for kept in _KEPT_BY_THE_DATABASE:
        fields.take(kept)
    fields.end()
    return family


def _members(role: MemberRole, listed: Json) -> Iterator[NamedMember]:
    for position, value in enumerate(list_from(listed, where=_LISTS[role]), start=1):
        where = f"{_LISTS[role]}: number {position}"
        if not isinstance(value, dict):
            yield NamedMember(text(where, value), role, None, where)
            continue
        fields = Fields(value, where=where)
        name = text(f"{where}: name", fields.take("name"))
        identities = [identity for identity in _identities(fields, where) if identity is not None]
        if len(identities) > 1:
            fields.refuse("give one of userId, email and person")
        fields.end()
        yield NamedMember(name, role, identities[0] if identities else None, where)


def _identities(fields: Fields, where: str) -> Iterator[Identity]:
    user_id, address, person = (fields.take(name) for name in ("userId", "email", "person"))
    if user_id is not None:
        try:
            yield UUID(text(f"{where}: userId", user_id))
        except ValueError:
            fields.refuse("userId must be a UUID")
    if address is not None:
        yield EmailAddress(email(f"{where}: email", address))
    if person is not None:
        yield PersonKey(text(f"{where}: person", person))


def _refuse_repetition(members: tuple[NamedMember, ...]) -> None:
    """Refuse a person twice in one family; a bare name may be that of a parent and of a student."""
    places: dict[object, str] = {}
    for member in members:
        person = (member.role, name_key(member.name)) if member.identity is None else member.identity
        if person in places:
            remedy = ": give each a person if they are two" if member.identity is None else ""
            raise DuplicateMemberError(f"{member.where} is the same person as {places[person]}{remedy}")
        places[person] = member.where


def _address(value: Json) -> PostalAddress | None:
    if value is None:
        return None
    fields = Fields(value, where="address")
    parts: list[Any] = [fields.take(name) for name in _ADDRESS_FIELDS]
    fields.end()
    return PostalAddress(*parts)
