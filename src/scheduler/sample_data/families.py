"""Sample families: two guardians and two students each; some students belong to two families.

Owns: the invented families, their guardians and students.
Must not know: the students' check-ins at school (`wellbeing`).

Every third family shares a student with the family before it: parents who live apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import scheduler.models as rows
from scheduler.sample_data.factories import Factory
from scheduler.sample_data.scales import Size

_PROGRAMS: Final = ("football", "choir", "robotics", "art")


@dataclass(frozen=True)
class Home:
    """A family with its members."""

    family: rows.Family
    guardians: Sequence[rows.User]
    students: Sequence[rows.User]


def make_families(factory: Factory, size: Size) -> Sequence[Home]:
    """Make families with two guardians and two students each."""
    fake = factory.fake
    names = [fake.last_name() for _ in range(size.families)]
    addresses = factory.write(
        [factory.build(rows.Address, city=fake.city(), postcode=fake.postcode(), country="GB") for _ in names]
    )
    families = factory.write(
        factory.build(
            rows.Family,
            family_name=f"{name} family",
            address_id=address.id,
            preferred_programs=[_PROGRAMS[number % len(_PROGRAMS)]],
        )
        for number, (name, address) in enumerate(zip(names, addresses, strict=True))
    )
    guardians = _people(factory, names, rows.UserRole.PARENT)
    students = _people(factory, names, rows.UserRole.STUDENT)
    homes = [Home(*members) for members in zip(families, guardians, students, strict=True)]
    factory.write([member for number, home in enumerate(homes) for member in _members(factory, homes, number, home)])
    return homes


def _people(factory: Factory, names: Sequence[str], role: rows.UserRole) -> list[list[rows.User]]:
    users = factory.write(
        factory.build(
            rows.User,
            name=f"{factory.fake.first_name()} {name}",
            email=f"{role}-{number}-{position}@example.org",
            role=role,
            phone=factory.fake.numerify("+44 7### ######") if role is rows.UserRole.PARENT else None,
        )
        for number, name in enumerate(names, start=1)
        for position in (1, 2)
    )
    return [users[first : first + 2] for first in range(0, len(users), 2)]


def _members(factory: Factory, homes: Sequence[Home], number: int, home: Home) -> list[rows.FamilyMember]:
    members = [
        factory.build(
            rows.FamilyMember,
            family_id=home.family.id,
            user_id=guardian.id,
            role="parent",
            is_primary_contact=guardian is home.guardians[0],
            is_emergency_contact=True,
        )
        for guardian in home.guardians
    ]
    shared = [homes[number - 1].students[0]] if number % 3 == 1 else []
    return members + [
        factory.build(rows.FamilyMember, family_id=home.family.id, user_id=student.id, role="student")
        for student in [*home.students, *shared]
    ]
