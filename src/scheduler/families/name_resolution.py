"""Name resolution: the user that each name of a file means, found without a guess.

Owns: when a name means an existing user, a new user, or is ambiguous; which families of a file can be written.
Must not know: the database, the format of the file.

A second run over the same file writes nothing: a name stays ambiguous after the other families were written.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple
from uuid import UUID

from scheduler.core.email_address import EmailAddress
from scheduler.core.json_lines import LineError
from scheduler.families.name_values import (
    Ambiguity,
    AmbiguousName,
    KnownPeople,
    NameAndRole,
    NewPerson,
    Resolution,
    ResolvedFamily,
    SameName,
    key_of,
)
from scheduler.families.names_file import Identity, NamedFamily, NamedMember
from scheduler.families.values import MemberRole


def resolve(
    families: Sequence[NamedFamily], known: KnownPeople, *, same_name: SameName, new_id: Callable[[], UUID]
) -> Resolution:
    """Decide which user each name means; `new_id` gives the ids of new users. Families that are there are left out.

    A bare name means the only live user of this name and role, or a new user if there is none. It is ambiguous if there
    are several such users; or if another new family of the file has the bare name in this role, or any other family has
    it with an id, address or key, unless such names are `SameName.ONE_PERSON`.
    """
    resolver = _Resolver(families, known, same_name, new_id)
    resolved = [(family, resolver.users_of(family)) for family in resolver.new_families]
    written = tuple(ResolvedFamily(family, users) for family, users in resolved if users is not None)
    used = {user for family in written for user in family.users}
    return Resolution(
        written,
        {id_: person for id_, person in resolver.new_people.items() if id_ in used},
        tuple(resolver.ambiguous.values()),
        len(resolved) - len(written),
        tuple(resolver.faults),
    )


class _Unclear(NamedTuple):
    """A person who is not one user: the reason, and the users whom the name may mean."""

    reason: Ambiguity
    candidates: Collection[UUID]


class _Resolver:
    """Resolution of the families of a file, which remembers new people, ambiguous names and errors."""

    def __init__(
        self, families: Sequence[NamedFamily], known: KnownPeople, same_name: SameName, new_id: Callable[[], UUID]
    ) -> None:
        self.new_families = [family for family in families if family.source_id not in known.families]
        self.new_people: dict[UUID, NewPerson] = {}
        self.ambiguous: dict[tuple[NameAndRole, Identity], AmbiguousName] = {}
        self.faults: list[LineError] = []
        self._known, self._same_name, self._new_id = known, same_name, new_id
        self._families: dict[NameAndRole, list[NamedFamily]] = defaultdict(list)
        self._claims: dict[NameAndRole, set[tuple[str, Identity]]] = defaultdict(set)
        self._entries: dict[Identity, list[tuple[NamedFamily, NamedMember]]] = defaultdict(list)
        self._people: dict[NameAndRole | Identity, UUID | _Unclear] = {}
        for family in families:
            for member in family.members:
                self._note(family, member)

    def users_of(self, family: NamedFamily) -> tuple[UUID, ...] | None:
        """Return the users of a family's members; None if a name is ambiguous or wrong."""
        members: dict[UUID, NamedMember] = {}
        for member in family.members:
            user = self._person(family, member)
            if isinstance(user, _Unclear):
                self._report(member, user)
            elif user in members:
                self._refuse_repetition(family, members[user], member, user)
            elif user is not None:
                members[user] = member
        return tuple(members) if len(members) == len(family.members) else None

    def _note(self, family: NamedFamily, member: NamedMember) -> None:
        """Note who has a name: each family with its identity, and of bare names those of families not there yet."""
        key = key_of(member)
        self._families[key].append(family)
        if member.identity is not None:
            self._entries[member.identity].append((family, member))
        if member.identity is not None or family.source_id not in self._known.families:
            self._claims[key].add((family.source_id, member.identity))

    def _person(self, family: NamedFamily, member: NamedMember) -> UUID | _Unclear | None:
        if isinstance(member.identity, UUID) and member.identity not in self._known.by_id:
            self._fault(family, f"{member.where}: no user has the id {member.identity}")
            return None
        if member.identity is not None:
            return self._identified(member.identity)
        if self._same_name is SameName.ONE_PERSON:
            return self._one_person(member)
        key = key_of(member)
        candidates = self._known.by_name.get(key, ())
        if any(source_id != family.source_id for source_id, _ in self._claims[key]):
            return _Unclear(Ambiguity.SEVERAL_FAMILIES, candidates)
        return self._only(candidates) or self._add(member.name, member.role)

    def _identified(self, identity: Identity) -> UUID | _Unclear:
        """Return the user of an id, an address or a key, who is the same for each of its entries."""
        if identity not in self._people:
            self._people[identity] = self._find(identity) or self._add_identified(identity)
        return self._people[identity]

    def _find(self, identity: Identity) -> UUID | _Unclear | None:
        """Return the existing user of an identity: of a key, the member whom all families that are there have."""
        if isinstance(identity, UUID):
            return identity
        if isinstance(identity, EmailAddress):
            return self._known.by_email.get(identity)
        found = [
            set(self._known.members.get((family.source_id, key_of(member)), ()))
            for family, member in self._entries[identity]
            if family.source_id in self._known.families
        ]
        if not found:
            return None
        common = set.intersection(*found)
        return common.pop() if len(common) == 1 else _Unclear(Ambiguity.LOST_PERSON, set.union(*found))

    def _add_identified(self, identity: Identity) -> UUID:
        entries = self._entries[identity]
        roles = {member.role for family, member in entries if family.source_id not in self._known.families}
        role = MemberRole.PARENT if MemberRole.PARENT in roles else MemberRole.STUDENT
        return self._add(entries[0][1].name, role, identity if isinstance(identity, EmailAddress) else None)

    def _one_person(self, member: NamedMember) -> UUID | _Unclear:
        """Return the one person of a name and role; an entry may identify this person."""
        key = key_of(member)
        if key not in self._people:
            people = set(self._known.by_name.get(key, ()))
            identities = {identity for _, identity in self._claims[key] if self._is_known(identity)}
            others = [self._identified(identity) for identity in identities]
            people |= {person for person in others if isinstance(person, UUID)}
            unclear = [person for person in others if isinstance(person, _Unclear)]
            self._people[key] = unclear[0] if unclear else self._only(people) or self._add(member.name, member.role)
        return self._people[key]

    def _is_known(self, identity: Identity) -> bool:
        return identity is not None and (not isinstance(identity, UUID) or identity in self._known.by_id)

    def _only(self, people: Collection[UUID]) -> UUID | _Unclear | None:
        if len(people) > 1:
            return _Unclear(Ambiguity.SEVERAL_USERS, people)
        return next(iter(people), None)

    def _add(self, name: str, role: MemberRole, email: EmailAddress | None = None) -> UUID:
        id_ = self._new_id()
        self.new_people[id_] = NewPerson(id_, name, role, email)
        return id_

    def _refuse_repetition(self, family: NamedFamily, first: NamedMember, second: NamedMember, user: UUID) -> None:
        """Refuse two entries of a family that are one user.

        The line is wrong if it identifies both; else the bare name is ambiguous.
        """
        bare = [member for member in (first, second) if member.identity is None]
        if bare:
            self._report(bare[0], _Unclear(Ambiguity.TWICE_IN_FAMILY, [user]))
        else:
            self._fault(family, f"{second.where} is the same person as {first.where}: the user {user}")

    def _report(self, member: NamedMember, unclear: _Unclear) -> None:
        key = key_of(member)
        if (key, member.identity) in self.ambiguous:
            return
        stored = sorted(user for user in unclear.candidates if user not in self.new_people)
        self.ambiguous[key, member.identity] = AmbiguousName(
            member.name, member.role, unclear.reason, tuple(self._families[key]), tuple(stored)
        )

    def _fault(self, family: NamedFamily, reason: str) -> None:
        self.faults.append(LineError(family.line, reason))
