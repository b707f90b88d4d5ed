"""Name values: names of a file as keys, the users whom they may mean, and the result of their resolution.

Owns: these values.
Must not know: the decision which user a name means (`name_resolution`), the database.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID

from scheduler.core.email_address import EmailAddress
from scheduler.core.json_lines import LineError
from scheduler.families.names_file import NamedFamily, NamedMember, name_key
from scheduler.families.values import MemberRole


class SameName(StrEnum):
    """Whether a bare name that several families have for one role is ambiguous, or is one person."""

    AMBIGUOUS = "ambiguous"
    ONE_PERSON = "one_person"


class Ambiguity(StrEnum):
    """Reason why a name is ambiguous."""

    SEVERAL_FAMILIES = "several_families"
    """Other families of the file have the name, too."""
    SEVERAL_USERS = "several_users"
    """Several users have the name."""
    LOST_PERSON = "lost_person"
    """The families of this person's key that are there already do not share exactly one member of this name."""
    TWICE_IN_FAMILY = "twice_in_family"
    """The user of the name is in the family already, as another of its names."""


class NameAndRole(NamedTuple):
    """The key by which the user of a bare name is found."""

    key: str
    role: MemberRole


def key_of(member: NamedMember) -> NameAndRole:
    """Return the key by which the user of a member is found if the name is bare."""
    return NameAndRole(name_key(member.name), member.role)


@dataclass(frozen=True, slots=True)
class KnownPeople:
    """The families of a file that are there already, and the live users that its names may mean.

    `members` has the members of these families. Families have their `source_id`.
    """

    families: Collection[str] = frozenset()
    members: Mapping[tuple[str, NameAndRole], Collection[UUID]] = field(default_factory=dict)
    by_name: Mapping[NameAndRole, Collection[UUID]] = field(default_factory=dict)
    by_email: Mapping[EmailAddress, UUID] = field(default_factory=dict)
    by_id: Collection[UUID] = frozenset()


class NewPerson(NamedTuple):
    """A person who becomes a user."""

    id: UUID
    name: str
    role: MemberRole
    email: EmailAddress | None


@dataclass(frozen=True, slots=True)
class AmbiguousName:
    """A name of a file that may mean several people.

    `families` are those of the file that have the name, `candidates` the users whom it may mean.
    """

    name: str
    role: MemberRole
    reason: Ambiguity
    families: tuple[NamedFamily, ...]
    candidates: tuple[UUID, ...]


class ResolvedFamily(NamedTuple):
    """A family that can be written; `users` are those of its members, in their order."""

    family: NamedFamily
    users: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class Resolution:
    """Families to write, in the order of the file, and their new people; ambiguous names; errors of lines.

    `unwritten` counts the families with ambiguous names.
    """

    families: tuple[ResolvedFamily, ...]
    new_people: Mapping[UUID, NewPerson]
    ambiguous: tuple[AmbiguousName, ...]
    unwritten: int
    faults: tuple[LineError, ...]
