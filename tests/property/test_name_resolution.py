"""Resolution of names: a run that is repeated writes nothing, and no family has a person twice."""

from collections.abc import Sequence
from itertools import count
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from scheduler.core.email_address import EmailAddress
from scheduler.families.name_resolution import resolve
from scheduler.families.name_values import KnownPeople, NameAndRole, Resolution, SameName, key_of
from scheduler.families.names_file import NamedFamily, NamedMember, PersonKey, name_key
from scheduler.families.values import FamilyStatus, MemberRole

IDS = [UUID(int=number) for number in range(1, 5)]
ADDRESSES = [EmailAddress(f"{letter}@example.org") for letter in "ab"]
NAMES = ("Jo", "Kim")


class Town:
    """Stored users and families, from which the known people of a file are derived by reading everything."""

    def __init__(self, users: dict[UUID, tuple[str, MemberRole, EmailAddress | None]]) -> None:
        self.users = users
        self.families: dict[str, tuple[tuple[UUID, MemberRole], ...]] = {}

    def known(self) -> KnownPeople:
        members = [(source_id, user, role) for source_id, people in self.families.items() for user, role in people]
        roles = {(user, role) for user, (_, role, _) in self.users.items()} | {
            (user, role) for _, user, role in members
        }
        by_name: dict[NameAndRole, set[UUID]] = {}
        for user, role in roles:
            by_name.setdefault(NameAndRole(name_key(self.users[user][0]), role), set()).add(user)
        of_families: dict[tuple[str, NameAndRole], set[UUID]] = {}
        for source_id, user, role in members:
            key = NameAndRole(name_key(self.users[user][0]), role)
            of_families.setdefault((source_id, key), set()).add(user)
        by_email = {email: user for user, (_, _, email) in self.users.items() if email is not None}
        return KnownPeople(set(self.families), of_families, by_name, by_email, set(self.users))

    def write(self, resolution: Resolution) -> None:
        for person in resolution.new_people.values():
            assert person.id not in self.users
            self.users[person.id] = (person.name, person.role, person.email)
        for family, users in resolution.families:
            roles = (member.role for member in family.members)
            self.families[family.source_id] = tuple(zip(users, roles, strict=True))


@st.composite
def files(draw: st.DrawFn) -> Sequence[NamedFamily]:
    """Draw families in which no entry repeats another, and each identity has one name."""
    identities = st.sampled_from([None, None, *IDS[:2], *ADDRESSES, PersonKey("1"), PersonKey("2")])
    entries = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(MemberRole), identities), max_size=4)
    names: dict[object, str] = {}
    families = []
    for number in range(draw(st.integers(1, 4))):
        members: dict[object, NamedMember] = {}
        for name, role, identity in draw(entries):
            one_name = name if identity is None else names.setdefault(identity, name)
            members.setdefault(identity or (name, role), NamedMember(one_name, role, identity, f"{len(members)}"))
        people = tuple(members.values())
        families.append(NamedFamily(number, str(number), "A family", people, None, (), FamilyStatus.ACTIVE))
    return families


@st.composite
def towns(draw: st.DrawFn) -> Town:
    """Draw users of the same few names; the first two always exist, since a file may name their ids."""
    people = st.tuples(st.sampled_from(NAMES), st.sampled_from(MemberRole))
    drawn = [(user, *draw(people)) for user in IDS[: draw(st.integers(2, 4))]]
    return Town({user: (name, role, None) for user, name, role in drawn})


@given(towns(), files(), st.sampled_from(SameName))
def test_a_second_run_writes_nothing_and_forgets_no_ambiguous_name(
    town: Town, families: Sequence[NamedFamily], same_name: SameName
) -> None:
    ids = count(1000)
    runs = []
    for _ in range(2):
        resolution = resolve(families, town.known(), same_name=same_name, new_id=lambda: UUID(int=next(ids)))
        assert len(resolution.families) + resolution.unwritten + len(town.families) == len(families)
        if resolution.faults:
            return
        town.write(resolution)
        runs.append(resolution)
    first, second = runs
    assert (second.families, second.new_people) == ((), {})
    # more may be ambiguous: the first run may have given a user, who is named otherwise in the file, another role
    assert {(name.name, name.role) for name in first.ambiguous} <= {(name.name, name.role) for name in second.ambiguous}
    for people in town.families.values():
        assert len({user for user, _ in people}) == len(people)


@given(towns(), files(), st.sampled_from(SameName))
def test_a_written_bare_name_leaves_no_other_choice(
    town: Town, families: Sequence[NamedFamily], same_name: SameName
) -> None:
    known = town.known()
    ids = count(1000)
    resolution = resolve(families, known, same_name=same_name, new_id=lambda: UUID(int=next(ids)))
    for family, users in resolution.families:
        for member, user in zip(family.members, users, strict=True):
            if member.identity is None:
                assert set(known.by_name.get(key_of(member), ())) <= {user}
