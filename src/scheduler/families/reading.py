"""Reading of families: one statement for each question, whatever the number of families and members.

Owns: the statements, and the shapes that their rows become.
Must not know: who asks; row security decides which rows are seen.

Both directions read the same membership rows, through the views `family_directory` and `user_directory`, which leave
out deleted families and users.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import RowMapping, text
from sqlmodel import Session

from scheduler.core.errors import NotFoundError
from scheduler.families.shapes import FamilyDetails, FamilySummary, Stamp, UserDetails, UserSummary
from scheduler.families.values import FamilyStatus, MemberRole, PostalAddress
from scheduler.models import UserRole

_ADDRESS: Final = ("line_1", "line_2", "city", "region", "postcode", "country")
_FAMILY: Final = """
    family.family_id, family.family_name, family.parent_ids, family.student_ids, family.preferred_programs,
    family.status, family.created_at, family.created_by, family.updated_at, family.modified_by,
    address.line_1, address.line_2, address.city, address.region, address.postcode, address.country
"""
_FAMILIES: Final = """
    identity.family_directory as family
    left join identity.addresses as address
        on address.tenant_id = family.tenant_id and address.id = family.address_id and address.deleted_at is null
"""
_USER: Final = """
    member.user_id, member.email, member.name, member.role, member.status, member.phone, member.family_ids,
    member.is_primary_contact, member.is_emergency_contact, member.created_at, member.updated_at
"""
_MEMBERS: Final = f"""
    select {_USER}, membership.family_id, membership.role as member_role,
        membership.is_primary_contact as is_primary_contact_here,
        membership.is_emergency_contact as is_emergency_contact_here
    from identity.family_members as membership
    join identity.user_directory as member
        on member.tenant_id = membership.tenant_id and member.user_id = membership.user_id
    where membership.tenant_id = :tenant and membership.family_id = any (cast(:families as uuid[]))
    order by membership.created_at, membership.user_id
"""  # noqa: S608  # constants only
_STUDENTS_BESIDE: Final = """
    select student.user_id
    from identity.family_members as own
    join identity.families as family
        on family.tenant_id = own.tenant_id and family.id = own.family_id and family.deleted_at is null
    join identity.family_members as student
        on student.tenant_id = own.tenant_id and student.family_id = own.family_id and student.role = 'student'
    where own.tenant_id = :tenant and own.user_id = :user and own.role = :role
"""
_IS_LIVE: Final = "person.tenant_id = :tenant and person.id = :user and person.deleted_at is null"


def family_details(session: Session, tenant_id: UUID, family_id: UUID) -> FamilyDetails:
    """Return a family with its members; two statements.

    Raises:
        NotFoundError: there is no such family, it is deleted, or the user does not see it.
    """
    for details in _details(session, tenant_id, "family.family_id = :family", family=family_id):
        return details
    raise NotFoundError(f"no family has the id {family_id}")


def family_summary(session: Session, tenant_id: UUID, family_id: UUID) -> FamilySummary:
    """Return a family; one statement.

    Raises:
        NotFoundError: there is no such family, it is deleted, or the user does not see it.
    """
    for row in _families(session, tenant_id, "family.family_id = :family", family=family_id):
        return _summary(row)
    raise NotFoundError(f"no family has the id {family_id}")


def families_in_program(session: Session, tenant_id: UUID, program: str) -> list[FamilyDetails]:
    """Return the families that prefer a program, with their members, by name; two statements."""
    return _details(session, tenant_id, ":program = any (family.preferred_programs)", program=program)


def all_families(session: Session, tenant_id: UUID, status: FamilyStatus | None) -> list[FamilySummary]:
    """Return the families, or those with a status, by name; one statement."""
    condition = "true" if status is None else "family.status = :status"
    return [_summary(row) for row in _families(session, tenant_id, condition, status=status)]


def families_of(session: Session, tenant_id: UUID, user_id: UUID) -> list[FamilySummary]:
    """Return the families that a user belongs to, by name; one statement.

    Raises:
        NotFoundError: there is no such user, the user is deleted, or the one who asks does not see the user.
    """
    query = f"""
        select {_FAMILY}
        from identity.users as person
        left join (
            identity.family_members as membership
            join {_FAMILIES} on true
        ) on membership.tenant_id = person.tenant_id and membership.user_id = person.id
            and family.tenant_id = membership.tenant_id and family.family_id = membership.family_id
        where {_IS_LIVE}
        order by family.family_name, family.family_id
    """  # noqa: S608  # constants only
    rows = _about_user(session, query, tenant_id, user_id)
    return [_summary(row) for row in rows if row["family_id"] is not None]


def students_beside(session: Session, tenant_id: UUID, user_id: UUID, role: MemberRole) -> list[UserSummary]:
    """Return the other students of the families in which a user has this role, each once, by name; one statement.

    They are the children of a parent, and the siblings of a student.

    Raises:
        NotFoundError: there is no such user, the user is deleted, or the one who asks does not see the user.
    """
    query = f"""
        select {_USER}
        from identity.users as person
        left join identity.user_directory as member
            on member.tenant_id = person.tenant_id and member.user_id = any (array({_STUDENTS_BESIDE}))
                and member.user_id <> person.id
        where {_IS_LIVE}
        order by member.name, member.user_id
    """  # noqa: S608  # constants only
    rows = _about_user(session, query, tenant_id, user_id, role=role.value)
    return [_user(row) for row in rows if row["user_id"] is not None]


def is_guardian(session: Session, tenant_id: UUID, user_id: UUID, student_id: UUID) -> bool:
    """Tell whether a live user is a parent of a family in which another live one is a student."""
    query = f"""
        select count(*) = 2 from identity.users as person
        where person.tenant_id = :tenant and person.id in (:user, :student) and person.deleted_at is null
            and :student = any (array({_STUDENTS_BESIDE}))
    """  # noqa: S608  # constants only
    given = {"tenant": tenant_id, "user": user_id, "student": student_id, "role": MemberRole.PARENT.value}
    return bool(session.connection().execute(text(query), given).scalar_one())


def user_summary(session: Session, tenant_id: UUID, *, user_id: UUID | None = None, email: str = "") -> UserSummary:
    """Return a user, given the id or the e-mail address; one statement.

    Raises:
        NotFoundError: there is no such user, the user is deleted, or the one who asks does not see the user.
    """
    condition = "member.email = :email" if user_id is None else "member.user_id = :user"
    query = f"select {_USER} from identity.user_directory as member where member.tenant_id = :tenant and {condition}"  # noqa: S608  # constants only
    row = session.connection().execute(text(query), {"tenant": tenant_id, "user": user_id, "email": email})
    for found in row.mappings():
        return _user(found)
    raise NotFoundError("no user has this e-mail address" if user_id is None else f"no user has the id {user_id}")


def all_users(session: Session, tenant_id: UUID, role: UserRole | None) -> list[UserSummary]:
    """Return the users, or those with a role, by name; one statement."""
    condition = "true" if role is None else "member.role = cast(:role as identity.user_role_enum)"
    query = f"""
        select {_USER} from identity.user_directory as member
        where member.tenant_id = :tenant and {condition}
        order by member.name, member.user_id
    """  # noqa: S608  # constants only
    given = {"tenant": tenant_id, "role": None if role is None else role.value}
    return [_user(row) for row in session.connection().execute(text(query), given).mappings()]


def user_details(session: Session, tenant_id: UUID, user_id: UUID) -> UserDetails:
    """Return a user with the user's families; two statements.

    Raises:
        NotFoundError: there is no such user, the user is deleted, or the one who asks does not see the user.
    """
    user = user_summary(session, tenant_id, user_id=user_id)
    return UserDetails(**dict(user), families=tuple(families_of(session, tenant_id, user_id)))


def _families(session: Session, tenant_id: UUID, condition: str, **given: object) -> Sequence[RowMapping]:
    query = f"""
        select {_FAMILY} from {_FAMILIES}
        where family.tenant_id = :tenant and {condition}
        order by family.family_name, family.family_id
    """  # noqa: S608  # constants only
    return session.connection().execute(text(query), {"tenant": tenant_id} | given).mappings().all()


def _details(session: Session, tenant_id: UUID, condition: str, **given: object) -> list[FamilyDetails]:
    families = [_summary(row) for row in _families(session, tenant_id, condition, **given)]
    members: Mapping[tuple[UUID, str], list[UserSummary]] = defaultdict(list)
    if families:
        ids = {"tenant": tenant_id, "families": [family.family_id for family in families]}
        for row in session.connection().execute(text(_MEMBERS), ids).mappings():
            members[row["family_id"], row["member_role"]].append(_user(row, suffix="_here"))
    return [
        _with_members(
            family,
            parents=tuple(members[family.family_id, MemberRole.PARENT.value]),
            students=tuple(members[family.family_id, MemberRole.STUDENT.value]),
        )
        for family in families
    ]


def _with_members(
    family: FamilySummary, parents: tuple[UserSummary, ...], students: tuple[UserSummary, ...]
) -> FamilyDetails:
    """Return the details of a family; its ids are those of the members, of whom some may have joined since."""
    ids = {
        "parent_ids": tuple(parent.user_id for parent in parents),
        "student_ids": tuple(student.user_id for student in students),
    }
    return FamilyDetails(**dict(family) | ids, parents=parents, students=students)


def _about_user(session: Session, query: str, tenant_id: UUID, user_id: UUID, **given: object) -> Sequence[RowMapping]:
    """Run a query that has a row for a user of whom there is nothing else to say."""
    rows = session.connection().execute(text(query), {"tenant": tenant_id, "user": user_id} | given).mappings().all()
    if not rows:
        raise NotFoundError(f"no user has the id {user_id}")
    return rows


def _summary(row: RowMapping) -> FamilySummary:
    lines = [(row[name] or "").strip() or None for name in _ADDRESS]
    return FamilySummary(
        family_id=row["family_id"],
        family_name=row["family_name"],
        parent_ids=row["parent_ids"],
        student_ids=row["student_ids"],
        address=PostalAddress(lines[0], *lines[1:]) if lines[0] else None,
        preferred_programs=row["preferred_programs"],
        status=row["status"],
        soft_delete=False,
        created=Stamp(at=row["created_at"], by=row["created_by"]),
        modified=Stamp(at=row["updated_at"], by=row["modified_by"]),
    )


def _user(row: RowMapping, suffix: str = "") -> UserSummary:
    return UserSummary(
        user_id=row["user_id"],
        email=row["email"],
        name=row["name"],
        role=row["role"],
        status=row["status"],
        phone=row["phone"],
        family_ids=row["family_ids"],
        is_primary_contact=row[f"is_primary_contact{suffix}"],
        is_emergency_contact=row[f"is_emergency_contact{suffix}"],
        created=Stamp(at=row["created_at"]),
        modified=Stamp(at=row["updated_at"]),
    )
