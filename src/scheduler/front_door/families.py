"""Families: parents and their students, found and changed from either side."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Unpack
from uuid import UUID

from scheduler.core.readers import flag, text
from scheduler.families import reading
from scheduler.families.memberships import Memberships
from scheduler.families.people import Candidate, find_or_make_users
from scheduler.families.shapes import FamilyDetails, FamilySummary, UserSummary
from scheduler.families.values import FamilyStatus, MemberRole, PostalAddress
from scheduler.front_door.context import Context
from scheduler.front_door.family_arguments import (
    AnyFamily,
    AnyPerson,
    AnyUser,
    FamilyFields,
    MemberFields,
    family_id_of,
    read_address,
    read_candidates,
    read_columns,
    read_member,
    read_programs,
    read_status,
    user_id_of,
)
from scheduler.postgres.savepoints import refusable


class Families:
    """The families of a tenant. A refused call undoes itself, and the unit of work continues."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._session = context.session
        self._tenant_id = context.tenant_id
        self._memberships = Memberships(context.session, context.tenant_id, context.user_id)

    def create(
        self,
        name: str,
        *,
        parents: Iterable[AnyPerson],
        students: Iterable[AnyPerson] = (),
        address: PostalAddress | None = None,
        preferred_programs: Iterable[str] = (),
    ) -> FamilyDetails:
        """Create a family with its members, and return it. A `Person` is found by e-mail address, or made.

        A user may be a parent here and a student elsewhere.

        Raises:
            InvalidInputError: a field is invalid; the message names it.
            MissingParentError: there is no parent.
            DuplicateMemberError: a person is given twice.
            NotFoundError: there is no user with a given id.
            NotAllowedError: the user of this unit of work may not write families.
        """
        candidates = [
            *read_candidates("parents", parents, MemberRole.PARENT),
            *read_candidates("students", students, MemberRole.STUDENT),
        ]
        shown, place, programs = text("family: name", name), read_address(address), read_programs(preferred_programs)
        with refusable(self._session):
            users = find_or_make_users(self._session, self._tenant_id, candidates)
            family = self._memberships.add_family(shown, place, programs)
            self._memberships.join(family, candidates, users)
        return self._details(family)

    def get(self, family: AnyFamily) -> FamilyDetails:
        """Return a family with its members.

        Raises:
            NotFoundError: there is no such family, it is deleted, or the user does not see it.
        """
        return self._details(family_id_of(family))

    def all(self, *, status: FamilyStatus | None = None) -> list[FamilySummary]:
        """Return the families, or those with a status, by name."""
        wanted = None if status is None else read_status("status", status)
        return reading.all_families(self._session, self._tenant_id, wanted)

    def of_user(self, user: AnyUser) -> list[FamilySummary]:
        """Return the families that a user belongs to, as a parent or as a student, by name.

        Raises:
            NotFoundError: there is no such user, the user is deleted, or is not seen.
        """
        return reading.families_of(self._session, self._tenant_id, user_id_of("user", user))

    def in_program(self, program: str) -> list[FamilyDetails]:
        """Return the families that prefer a program, with their members, by name."""
        return reading.families_in_program(self._session, self._tenant_id, text("program", program))

    def children_of(self, user: AnyUser) -> list[UserSummary]:
        """Return the students of the families in which a user is a parent, each once, by name.

        Raises:
            NotFoundError: there is no such user, the user is deleted, or is not seen.
        """
        parent = user_id_of("user", user)
        return reading.students_beside(self._session, self._tenant_id, parent, MemberRole.PARENT)

    def siblings_of(self, user: AnyUser) -> list[UserSummary]:
        """Return the other students of the families in which a user is a student, each once, by name.

        Raises:
            NotFoundError: there is no such user, the user is deleted, or is not seen.
        """
        student = user_id_of("user", user)
        return reading.students_beside(self._session, self._tenant_id, student, MemberRole.STUDENT)

    def is_guardian_of(self, user: AnyUser, student: AnyUser) -> bool:
        """Tell whether a user is a parent of a family in which another is a student.

        A suspended user is still one; a deleted user or family does not count.
        """
        parent, child = user_id_of("user", user), user_id_of("student", student)
        return reading.is_guardian(self._session, self._tenant_id, parent, child)

    def add_member(
        self,
        family: AnyFamily,
        user: AnyUser,
        role: MemberRole,
        *,
        is_primary_contact: bool = False,
        is_emergency_contact: bool = False,
    ) -> None:
        """Make a user a member of a family. The user may have the other role in another family.

        Raises:
            InvalidInputError: the role is unknown.
            DuplicateMemberError: the user is a member already; `change_member` changes the role.
            NotFoundError: there is no such family or user.
            NotAllowedError: the user of this unit of work may not change the family.
        """
        given = read_member(
            {"role": role, "is_primary_contact": is_primary_contact, "is_emergency_contact": is_emergency_contact}
        )
        family_id, joining_as = family_id_of(family), MemberRole(given.pop("role"))
        member = Candidate("user", joining_as, user_id_of("user", user), **given)
        with refusable(self._session):
            self._memberships.lock(family_id)
            users = find_or_make_users(self._session, self._tenant_id, [member])
            self._memberships.join(family_id, [member], users)

    def change_member(self, family: AnyFamily, user: AnyUser, **fields: Unpack[MemberFields]) -> None:
        """Change the role of a member, or whether the family is reached through this member.

        Raises:
            InvalidInputError: a field is unknown or invalid.
            LastParentError: the last parent would become a student.
            NotFoundError: there is no such family, or the user is no member.
            NotAllowedError: the user of this unit of work may not change the family.
        """
        family_id, user_id, columns = family_id_of(family), user_id_of("user", user), read_member(fields)
        with refusable(self._session):
            self._memberships.lock(family_id)
            if columns:
                self._memberships.change_members(family_id, [user_id], columns)

    def remove_member(self, family: AnyFamily, user: AnyUser) -> None:
        """End the membership of a user in a family. The user stays, and so do the other memberships.

        Raises:
            LastParentError: the user is the last parent of the family.
            NotFoundError: there is no such family, or the user is no member.
            NotAllowedError: the user of this unit of work may not change the family.
        """
        family_id, user_id = family_id_of(family), user_id_of("user", user)
        with refusable(self._session):
            self._memberships.lock(family_id)
            self._memberships.leave(family_id, [user_id])

    def update(self, family: AnyFamily, **fields: Unpack[FamilyFields]) -> FamilyDetails:
        """Change fields of a family, and return it. `parents` and `students` list all members from now on.

        Members who stay keep their flags, also if their role changes. `address=None` removes the address. Errors are
        those of `create`.
        """
        family_id, columns, address = family_id_of(family), read_columns(fields), read_address(fields.get("address"))
        roles = {"parents": MemberRole.PARENT, "students": MemberRole.STUDENT}
        lists = {role: read_candidates(name, fields.get(name), role) for name, role in roles.items() if name in fields}
        with refusable(self._session):
            self._memberships.lock(family_id)
            self._memberships.change(family_id, columns)
            if "address" in fields:
                self._memberships.change_address(family_id, address, at=self._context.clock())
            if lists:
                self._replace(family_id, lists)
        return self._details(family_id)

    def delete(self, family: AnyFamily, *, clear_members: bool = False) -> FamilySummary:
        """Delete a family softly, and return it with the members that it had. The users stay.

        Its memberships stay, hidden, unless `clear_members` ends them.

        Raises:
            NotFoundError: there is no such family, it is deleted, or the user does not see it.
            NotAllowedError: the user of this unit of work may not change the family.
        """
        family_id, clears = family_id_of(family), flag("clear_members", clear_members)
        with refusable(self._session):
            self._memberships.lock(family_id)
            summary = reading.family_summary(self._session, self._tenant_id, family_id)
            if clears:
                self._memberships.clear(family_id)
            self._memberships.change(family_id, {"deleted_at": self._context.clock()})
        return summary.model_copy(update={"soft_delete": True})

    def _details(self, family_id: UUID) -> FamilyDetails:
        return reading.family_details(self._session, self._tenant_id, family_id)

    def _replace(self, family_id: UUID, lists: Mapping[MemberRole, Sequence[Candidate]]) -> None:
        """Replace lists of members of a locked family. New members join first, so that a parent is always there."""
        candidates = [candidate for role in lists for candidate in lists[role]]
        users = find_or_make_users(self._session, self._tenant_id, candidates)
        wanted = dict(zip(users, candidates, strict=True))
        members = self._memberships.members(family_id)
        if new := [user for user in wanted if user not in members]:
            self._memberships.join(family_id, [wanted[user] for user in new], new)
        moved = [user for user in wanted if user in members and members[user] is not wanted[user].role]
        for role in MemberRole:  # new parents before new students
            if changed := [user for user in moved if wanted[user].role is role]:
                self._memberships.change_members(family_id, changed, {"role": role.value})
        if gone := [user for user, role in members.items() if role in lists and user not in wanted]:
            self._memberships.leave(family_id, gone)
