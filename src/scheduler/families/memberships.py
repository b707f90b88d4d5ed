"""Memberships: families and their members, written so that a family keeps a parent.

Owns: the statements that write families, addresses and memberships, and the lock of a family while its members change.
Must not know: whether a person is a user already (`people`), or the shapes of documents.

A membership is one row, so both directions change with one statement. A change of members locks the family first:
otherwise two callers could each remove one of two parents, and none would be left.
"""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import CursorResult, Row, text
from sqlmodel import Session

from scheduler.core.errors import NotFoundError
from scheduler.families.errors import DuplicateMemberError, LastParentError
from scheduler.families.people import Candidate
from scheduler.families.refusals import refuse_change
from scheduler.families.values import MemberRole, PostalAddress

_ADDRESS: Final = """
    insert into identity.addresses (tenant_id, line_1, line_2, city, region, postcode, country)
    values (:tenant, :line_1, :line_2, :city, :region, :postcode, :country) returning id
"""
_CHANGED_ADDRESS: Final = """
    update identity.addresses as address
    set line_1 = :line_1, line_2 = :line_2, city = :city, region = :region, postcode = :postcode, country = :country,
        deleted_at = null
    from identity.families as family
    where family.tenant_id = :tenant and family.id = :family
        and address.tenant_id = family.tenant_id and address.id = family.address_id returning address.id
"""
_REMOVED_ADDRESS: Final = """
    update identity.addresses as address set deleted_at = :at
    from identity.families as family
    where family.tenant_id = :tenant and family.id = :family and address.deleted_at is null
        and address.tenant_id = family.tenant_id and address.id = family.address_id
"""
_FAMILY: Final = """
    insert into identity.families (tenant_id, family_name, address_id, preferred_programs, created_by, modified_by)
    values (:tenant, :name, :address, :programs, :by, :by) returning id
"""
# `updated_at` is kept by a trigger.
_LOCKED: Final = """
    update identity.families set modified_by = :by
    where tenant_id = :tenant and id = :family and deleted_at is null returning id
"""
# A microsecond apart, so that a list of members has the order in which they were given.
_JOINED: Final = """
    insert into identity.family_members
        (tenant_id, family_id, user_id, role, is_primary_contact, is_emergency_contact, created_at)
    select cast(:tenant as uuid), cast(:family as uuid), member.id, member.role, member.is_primary, member.is_emergency,
        clock_timestamp() + member.place * interval '1 microsecond'
    from unnest(
        cast(:users as uuid[]), cast(:roles as text[]), cast(:primaries as boolean[]), cast(:emergencies as boolean[])
    ) with ordinality as member (id, role, is_primary, is_emergency, place)
    on conflict (tenant_id, family_id, user_id) do nothing returning user_id
"""
_LEFT: Final = """
    delete from identity.family_members as membership
    using identity.users as member
    where membership.tenant_id = :tenant and membership.family_id = :family
        and membership.user_id = any (cast(:users as uuid[]))
        and member.tenant_id = membership.tenant_id and member.id = membership.user_id and member.deleted_at is null
    returning membership.role
"""
_CHANGED_MEMBERS: Final = """
    update identity.family_members as membership set {written}
    from (
        select tenant_id, id from identity.users
        where tenant_id = :tenant and id = any (cast(:users as uuid[])) and deleted_at is null order by id {lock}
    ) as member
    where membership.tenant_id = :tenant and membership.family_id = :family
        and member.tenant_id = membership.tenant_id and member.id = membership.user_id
    returning membership.user_id
"""
_CLEARED: Final = "delete from identity.family_members where tenant_id = :tenant and family_id = :family"
_MEMBERS: Final = """
    select membership.user_id, membership.role
    from identity.family_members as membership
    join identity.users as member on member.tenant_id = membership.tenant_id and member.id = membership.user_id
    where membership.tenant_id = :tenant and membership.family_id = :family and member.deleted_at is null
"""
_WITHOUT_PARENT: Final = """
    select family.id from unnest(cast(:families as uuid[])) as family (id)
    where not exists (
        select from identity.family_members as membership
        join identity.users as member on member.tenant_id = membership.tenant_id and member.id = membership.user_id
        where membership.tenant_id = :tenant and membership.family_id = family.id and membership.role = 'parent'
            and member.deleted_at is null
    )
"""
_FAMILIES_OF_PARENT: Final = """
    select family.id from identity.families as family
    join identity.family_members as membership
        on membership.tenant_id = family.tenant_id and membership.family_id = family.id
    where membership.tenant_id = :tenant and membership.user_id = :user and membership.role = 'parent'
        and family.deleted_at is null
    order by family.id
    for no key update of family
"""


class Memberships:
    """Families and their members in one unit of work; `user_id` is the user who writes, if any."""

    def __init__(self, session: Session, tenant_id: UUID, user_id: UUID | None) -> None:
        self._session = session
        self._tenant_id = tenant_id
        self._user_id = user_id

    def add_family(self, name: str, address: PostalAddress | None, programs: Sequence[str]) -> UUID:
        """Write a family without members, and return its id."""
        address_id = None if address is None else self._id(_ADDRESS, **_lines(address))
        family = {"name": name, "address": address_id, "programs": list(programs), "by": self._user_id}
        return self._id(_FAMILY, **family)

    def lock(self, family_id: UUID) -> None:
        """Lock a family until the transaction ends, and record who changes it, and when.

        Raises:
            NotFoundError: there is no such family, it is deleted, or the user does not see it.
            NotAllowedError: the user may not change it.
        """
        if not self._rows(_LOCKED, family=family_id, by=self._user_id):
            refuse_change(self._session, self._tenant_id, "family", family_id)

    def change(self, family_id: UUID, columns: Mapping[str, object]) -> None:
        """Change columns of a locked family."""
        if columns:
            written = ", ".join(f"{column} = :{column}" for column in columns)
            query = f"update identity.families set {written} where tenant_id = :tenant and id = :family"  # noqa: S608  # names of columns
            self._run(query, family=family_id, **columns)

    def change_address(self, family_id: UUID, address: PostalAddress | None, *, at: datetime) -> None:
        """Change the address of a locked family; None removes it.

        A removed address is deleted softly and stays that of the family, so that an export or erasure finds it.
        """
        if address is None:
            self._run(_REMOVED_ADDRESS, family=family_id, at=at)
        elif not self._rows(_CHANGED_ADDRESS, family=family_id, **_lines(address)):
            self.change(family_id, {"address_id": self._id(_ADDRESS, **_lines(address))})

    def join(self, family_id: UUID, candidates: Sequence[Candidate], users: Sequence[UUID]) -> None:
        """Make users members of a locked family, each in the role of its candidate.

        Raises:
            DuplicateMemberError: a user is a member already.
            CheckFailedError: a user was deleted meanwhile.
        """
        joined = self._rows(
            _JOINED,
            family=family_id,
            users=list(users),
            roles=[candidate.role.value for candidate in candidates],
            primaries=[candidate.is_primary_contact for candidate in candidates],
            emergencies=[candidate.is_emergency_contact for candidate in candidates],
        )
        new = {row.user_id for row in joined}
        for candidate, user in zip(candidates, users, strict=True):
            if user not in new:
                raise DuplicateMemberError(f"family: {candidate.name}: the user {user} is a member already")

    def leave(self, family_id: UUID, users: Sequence[UUID]) -> None:
        """End memberships in a locked family.

        Raises:
            NotFoundError: a user is no member.
            LastParentError: no parent would be left.
        """
        left = self._rows(_LEFT, family=family_id, users=list(users))
        if len(left) != len(users):
            raise NotFoundError(f"the family {family_id} has no such member")
        if any(row.role == MemberRole.PARENT for row in left):
            self.require_parents([family_id])

    def change_members(self, family_id: UUID, users: Sequence[UUID], columns: Mapping[str, object]) -> None:
        """Change columns of memberships in a locked family.

        Raises:
            NotFoundError: a user is no member.
            LastParentError: no parent would be left.
        """
        written = ", ".join(f"{column} = :{column}" for column in columns)
        # a new parent is locked, as a new member is: a deletion of this user waits, or has been seen
        lock = "for share" if columns.get("role") == MemberRole.PARENT else ""
        query = _CHANGED_MEMBERS.format(written=written, lock=lock)
        changed = self._rows(query, family=family_id, users=list(users), **columns)
        if len(changed) != len(users):
            raise NotFoundError(f"the family {family_id} has no such member")
        if columns.get("role") == MemberRole.STUDENT:
            self.require_parents([family_id])

    def clear(self, family_id: UUID) -> None:
        """End all memberships in a locked family."""
        self._run(_CLEARED, family=family_id)

    def members(self, family_id: UUID) -> dict[UUID, MemberRole]:
        """Return the live members of a locked family, with their roles."""
        return {row.user_id: MemberRole(row.role) for row in self._rows(_MEMBERS, family=family_id)}

    def require_parents(self, families: Sequence[UUID]) -> None:
        """Raise unless each of some locked families has a live parent.

        Raises:
            LastParentError: a family has none.
        """
        for row in self._rows(_WITHOUT_PARENT, families=list(families)):
            raise LastParentError(
                f"the family {row.id} would have no parent: add another parent first, or delete the family"
            )

    def lock_families_of_parent(self, user_id: UUID) -> list[UUID]:
        """Lock the families in which a user is a parent, and return their ids."""
        return [row.id for row in self._rows(_FAMILIES_OF_PARENT, user=user_id)]

    def _id(self, query: str, **given: object) -> UUID:
        id_: UUID = self._run(query, **given).scalar_one()
        return id_

    def _rows(self, query: str, **given: object) -> Sequence[Row[Any]]:
        return self._run(query, **given).all()

    def _run(self, query: str, **given: object) -> CursorResult[Any]:
        return self._session.connection().execute(text(query), {"tenant": self._tenant_id} | given)


def _lines(address: PostalAddress) -> dict[str, object]:
    return {field.name: getattr(address, field.name) for field in fields(address)}
