"""Resolution of names: one user, a new user, or an ambiguous name, but never a guess."""

from collections.abc import Callable, Iterator
from itertools import count
from uuid import UUID

import pytest

from scheduler.core.email_address import EmailAddress
from scheduler.families.name_resolution import resolve
from scheduler.families.name_values import Ambiguity, KnownPeople, NameAndRole, Resolution, SameName
from scheduler.families.names_file import Identity, NamedFamily, NamedMember, PersonKey
from scheduler.families.values import FamilyStatus, MemberRole

PARENT, STUDENT = MemberRole
ANN, BOB = UUID(int=1), UUID(int=2)
JO = NameAndRole("jo", PARENT)
NOBODY = KnownPeople()
Entry = str | tuple[str, Identity]


def members(role: MemberRole, entries: tuple[Entry, ...]) -> Iterator[NamedMember]:
    for number, entry in enumerate(entries, start=1):
        name, identity = (entry, None) if isinstance(entry, str) else entry
        yield NamedMember(name, role, identity, f"{role}s: number {number}")


def family(source_id: str, *parents: Entry, students: tuple[Entry, ...] = ()) -> NamedFamily:
    people = (*members(PARENT, parents), *members(STUDENT, students))
    return NamedFamily(ord(source_id), source_id, f"Family {source_id}", people, None, (), FamilyStatus.ACTIVE)


def new_ids() -> Callable[[], UUID]:
    numbers = count(1000)
    return lambda: UUID(int=next(numbers))


def resolved(
    *families: NamedFamily, known: KnownPeople = NOBODY, same_name: SameName = SameName.AMBIGUOUS
) -> Resolution:
    return resolve(families, known, same_name=same_name, new_id=new_ids())


def users(resolution: Resolution) -> dict[str, tuple[UUID, ...]]:
    return {family.source_id: found for family, found in resolution.families}


def ambiguities(resolution: Resolution) -> list[tuple[str, Ambiguity, list[str], list[UUID]]]:
    return [
        (name.name, name.reason, [family.source_id for family in name.families], list(name.candidates))
        for name in resolution.ambiguous
    ]


def test_an_unknown_name_is_a_new_user_with_the_members_role() -> None:
    resolution = resolved(family("a", "Jo", students=("Kim",)))
    assert [(person.name, person.role, person.email) for person in resolution.new_people.values()] == [
        ("Jo", PARENT, None),
        ("Kim", STUDENT, None),
    ]
    assert users(resolution) == {"a": tuple(resolution.new_people)}


def test_the_only_user_of_a_name_and_role_is_found() -> None:
    known = KnownPeople(by_name={JO: {ANN}, NameAndRole("jo", STUDENT): {BOB}})
    resolution = resolved(family("a", "JO"), known=known)
    assert (users(resolution), resolution.new_people) == ({"a": (ANN,)}, {})


def test_a_name_of_several_users_is_ambiguous_and_other_families_go_on() -> None:
    known = KnownPeople(by_name={JO: {BOB, ANN}})
    resolution = resolved(family("a", "Jo", "Lee"), family("b", "Kim"), known=known)
    assert ambiguities(resolution) == [("Jo", Ambiguity.SEVERAL_USERS, ["a"], [ANN, BOB])]
    assert (list(users(resolution)), resolution.unwritten) == (["b"], 1)
    assert [person.name for person in resolution.new_people.values()] == ["Kim"]  # and not Lee, of the other family


def test_a_bare_name_of_several_new_families_is_ambiguous() -> None:
    resolution = resolved(family("a", "Jo"), family("b", " jo "), family("c", "Kim", students=("Jo",)))
    assert ambiguities(resolution) == [("Jo", Ambiguity.SEVERAL_FAMILIES, ["a", "b"], [])]
    assert (list(users(resolution)), resolution.unwritten) == (["c"], 2)


def test_a_name_of_a_family_that_is_there_means_its_member() -> None:
    known = KnownPeople(families={"a"}, by_name={JO: {ANN}})
    resolution = resolved(family("a", "Jo"), family("b", "Jo"), known=known)
    assert (users(resolution), resolution.new_people) == ({"b": (ANN,)}, {})


@pytest.mark.parametrize("identity", [PersonKey("other"), EmailAddress("jo@example.org"), ANN])
def test_a_bare_name_beside_an_identified_one_stays_ambiguous(identity: Identity) -> None:
    families = family("a", "Jo"), family("b", ("Jo", identity))
    first = resolved(*families, known=KnownPeople(by_id={ANN}, by_name={JO: {ANN}}))
    assert (list(users(first)), ambiguities(first)) == (
        ["b"],
        [("Jo", Ambiguity.SEVERAL_FAMILIES, ["a", "b"], [ANN])],
    )
    there = KnownPeople(
        families={"b"},
        by_name={JO: {ANN}},
        members={("b", JO): {ANN}},
        by_id={ANN},
        by_email={EmailAddress("jo@example.org"): ANN},
    )
    assert ambiguities(resolved(*families, known=there)) == ambiguities(first)


def test_entries_with_one_key_are_one_person_and_with_others_others() -> None:
    one, two = PersonKey("1"), PersonKey("2")
    resolution = resolved(
        family("a", ("Jo", one)),
        family("b", ("Jo", one)),
        family("c", ("Jo", two)),
        known=KnownPeople(by_name={JO: {ANN}}),
    )
    found = users(resolution)
    assert found["a"] == found["b"] != found["c"]
    assert len(resolution.new_people) == 2
    assert resolution.ambiguous == ()


def test_a_key_means_the_member_of_the_family_that_is_there() -> None:
    there = KnownPeople(families={"a"}, members={("a", JO): {ANN}})
    resolution = resolved(family("a", ("Jo", PersonKey("1"))), family("b", ("Jo", PersonKey("1"))), known=there)
    assert users(resolution) == {"b": (ANN,)}


@pytest.mark.parametrize(("stored", "candidates"), [(set(), []), ({ANN, BOB}, [ANN, BOB])])
def test_a_key_whose_member_cannot_be_told_is_ambiguous(stored: set[UUID], candidates: list[UUID]) -> None:
    there = KnownPeople(families={"a"}, members={("a", JO): stored})
    resolution = resolved(family("a", ("Jo", PersonKey("1"))), family("b", ("Jo", PersonKey("1"))), known=there)
    assert ambiguities(resolution) == [("Jo", Ambiguity.LOST_PERSON, ["a", "b"], candidates)]


def test_a_key_means_the_member_whom_all_its_stored_families_share() -> None:
    key = PersonKey("1")
    there = KnownPeople(families={"a", "b"}, members={("a", JO): {ANN, BOB}, ("b", JO): {BOB}})
    resolution = resolved(family("a", ("Jo", key)), family("b", ("Jo", key)), family("c", ("Jo", key)), known=there)
    assert users(resolution) == {"c": (BOB,)}


def test_a_parent_in_one_and_a_student_in_another_family_is_one_user() -> None:
    key = PersonKey("1")
    resolution = resolved(family("a", "Kim", students=(("Jo", key),)), family("b", ("Jo", key)))
    assert users(resolution)["a"][1] == users(resolution)["b"][0]
    assert [person.role for person in resolution.new_people.values()] == [PARENT, PARENT]


def test_an_email_address_means_its_user_or_a_new_one_with_it() -> None:
    ann, bob = EmailAddress("ann@example.org"), EmailAddress("bob@example.org")
    resolution = resolved(family("a", ("Jo", ann), ("Jo", bob)), known=KnownPeople(by_email={ann: ANN}))
    assert users(resolution)["a"][0] == ANN
    assert [person.email for person in resolution.new_people.values()] == [bob]


def test_an_unknown_user_id_is_an_error_of_its_line() -> None:
    resolution = resolved(family("a", "Kim"), family("b", ("Jo", ANN)))
    assert [(fault.line, fault.reason) for fault in resolution.faults] == [
        (ord("b"), f"parents: number 1: no user has the id {ANN}")
    ]


def test_two_identities_of_one_user_in_a_family_are_an_error() -> None:
    address = EmailAddress("jo@example.org")
    known = KnownPeople(by_email={address: ANN}, by_id={ANN})
    resolution = resolved(family("a", ("Jo", address), students=(("Jo", ANN),)), known=known)
    assert [fault.reason for fault in resolution.faults] == [
        f"students: number 1 is the same person as parents: number 1: the user {ANN}"
    ]


def test_a_bare_name_that_means_another_member_is_ambiguous() -> None:
    known = KnownPeople(by_name={JO: {ANN}, NameAndRole("jo", STUDENT): {ANN}})
    resolution = resolved(family("a", "Jo", students=("Jo",)), known=known)
    assert ambiguities(resolution) == [("Jo", Ambiguity.TWICE_IN_FAMILY, ["a"], [ANN])]
    assert (resolution.families, resolution.faults) == ((), ())


def test_one_person_per_name_takes_bare_names_for_one_user() -> None:
    resolution = resolved(family("a", "Jo"), family("b", "Jo"), same_name=SameName.ONE_PERSON)
    assert users(resolution)["a"] == users(resolution)["b"]
    assert len(resolution.new_people) == 1


@pytest.mark.parametrize("identity", [PersonKey("1"), EmailAddress("jo@example.org"), ANN])
def test_one_person_per_name_is_the_identified_person_of_the_name(identity: Identity) -> None:
    known = KnownPeople(by_id={ANN})
    resolution = resolved(family("a", "Jo"), family("b", ("Jo", identity)), known=known, same_name=SameName.ONE_PERSON)
    assert users(resolution)["a"] == users(resolution)["b"]


def test_one_person_per_name_never_chooses_among_several() -> None:
    known = KnownPeople(by_name={JO: {ANN, BOB}})
    kims = family("c", ("Kim", PersonKey("1"))), family("d", ("Kim", PersonKey("2"))), family("e", "Kim")
    resolution = resolved(family("a", "Jo"), *kims, known=known, same_name=SameName.ONE_PERSON)
    assert ambiguities(resolution) == [
        ("Jo", Ambiguity.SEVERAL_USERS, ["a"], [ANN, BOB]),
        ("Kim", Ambiguity.SEVERAL_USERS, ["c", "d", "e"], []),
    ]
    lost = KnownPeople(families={"c"})
    again = resolved(*kims[::2], known=lost, same_name=SameName.ONE_PERSON)
    assert ambiguities(again) == [("Kim", Ambiguity.LOST_PERSON, ["c", "e"], [])]


def test_an_unknown_user_of_a_stored_family_is_no_candidate() -> None:
    there = KnownPeople(families={"b"})
    resolution = resolved(family("a", "Jo"), family("b", ("Jo", ANN)), known=there, same_name=SameName.ONE_PERSON)
    assert (list(users(resolution)), len(resolution.new_people), resolution.faults) == (["a"], 1, ())
