"""Known people: the stored families of a names file, and the live users that its names may mean.

Owns: the statements that read them, a fixed number whatever the size of the file.
Must not know: the decision which user a name means (`name_resolution`).

Names are compared in Python, where all servers have the same tables of Unicode; so each live user is read once.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid5

from sqlalchemy import TextClause, text
from sqlmodel import Session

from scheduler.core.email_address import EmailAddress
from scheduler.families.name_resolution import KnownPeople, NameAndRole, key_of
from scheduler.families.names_file import NamedFamily, NamedMember, PersonKey, name_key
from scheduler.families.values import MemberRole

_USERS_PER_FETCH: Final = 10_000
_FAMILIES: Final = text("""
    select id from identity.families where tenant_id = :tenant and id = any (cast(:ids as uuid[]))
""")
_MEMBERS: Final = text("""
    select membership.family_id, membership.role, membership.user_id, member.name
    from identity.family_members as membership
    join identity.users as member on member.tenant_id = membership.tenant_id and member.id = membership.user_id
    where membership.tenant_id = :tenant and membership.family_id = any (cast(:ids as uuid[]))
        and member.deleted_at is null
""")
_USERS: Final = text("select id, name, role from identity.users where tenant_id = :tenant and deleted_at is null")
_FOUND: Final = text("""
    select id, email from identity.users
    where tenant_id = :tenant and deleted_at is null
        and (id = any (cast(:ids as uuid[])) or email = any (cast(:emails as text[])))
""")
_MEMBERSHIPS: Final = text("""
    select membership.user_id, membership.role, membership.family_id
    from identity.family_members as membership
    join identity.families as family
        on family.tenant_id = membership.tenant_id and family.id = membership.family_id
    where membership.tenant_id = :tenant and membership.user_id = any (cast(:ids as uuid[]))
        and family.deleted_at is null
    order by membership.family_id
""")


class Membership(NamedTuple):
    """A membership of a user in a live family."""

    role: MemberRole
    family_id: UUID


def family_id_of(tenant_id: UUID, family: NamedFamily) -> UUID:
    """Return the id of a family.

    It is the UUID of version 5 of the `familyId`, with the tenant's id as the namespace.
    """
    return uuid5(tenant_id, family.source_id)


def read_known_people(session: Session, tenant_id: UUID, families: Sequence[NamedFamily]) -> KnownPeople:
    """Read the families of a file that are there, deleted ones too, and the users that names may mean."""
    source_ids = {family_id_of(tenant_id, family): family.source_id for family in families}
    stored = {source_ids[id_] for (id_,) in _rows(session, _FAMILIES, tenant_id, ids=list(source_ids))}
    bare = {key_of(member).key for family in families if family.source_id not in stored for member in _bare(family)}
    identities = {member.identity for family in families for member in family.members}
    ids = [identity for identity in identities if isinstance(identity, UUID)]
    emails = [identity.text for identity in identities if isinstance(identity, EmailAddress)]
    found = _rows(session, _FOUND, tenant_id, ids=ids, emails=emails) if ids or emails else []
    keyed = [family_id_of(tenant_id, family) for family in families if family.source_id in stored and _has_key(family)]
    members: dict[tuple[str, NameAndRole], list[UUID]] = defaultdict(list)
    for family_id, role, user_id, name in _rows(session, _MEMBERS, tenant_id, ids=keyed) if keyed else []:
        members[source_ids[family_id], NameAndRole(name_key(name), MemberRole(role))].append(user_id)
    return KnownPeople(
        families=stored,
        members=members,
        by_name=_users_by_name(session, tenant_id, bare),
        by_email={EmailAddress(email): id_ for id_, email in found if email is not None},
        by_id={id_ for id_, _ in found},
    )


def memberships_of(session: Session, tenant_id: UUID, users: Collection[UUID]) -> Mapping[UUID, Sequence[Membership]]:
    """Return the memberships of users in live families."""
    memberships: dict[UUID, list[Membership]] = defaultdict(list)
    for user_id, role, family_id in _rows(session, _MEMBERSHIPS, tenant_id, ids=list(users)) if users else []:
        memberships[user_id].append(Membership(MemberRole(role), family_id))
    return memberships


def _users_by_name(session: Session, tenant_id: UUID, names: Collection[str]) -> dict[NameAndRole, set[UUID]]:
    """Return the live users with these names, by name and role.

    A user has the role of the user, and that of each membership in a live family.
    """
    if not names:
        return {}
    keys: dict[UUID, str] = {}
    by_name: dict[NameAndRole, set[UUID]] = defaultdict(set)
    options = {"yield_per": _USERS_PER_FETCH}
    with session.connection().execute(_USERS, {"tenant": tenant_id}, execution_options=options) as users:
        for id_, name, role in users:
            key = name_key(name)
            if key in names:
                keys[id_] = key
                if role in set(MemberRole):
                    by_name[NameAndRole(key, MemberRole(role))].add(id_)
    for user_id, memberships in memberships_of(session, tenant_id, keys).items():
        for membership in memberships:
            by_name[NameAndRole(keys[user_id], membership.role)].add(user_id)
    return by_name


def _bare(family: NamedFamily) -> Iterator[NamedMember]:
    return (member for member in family.members if member.identity is None)


def _has_key(family: NamedFamily) -> bool:
    return any(isinstance(member.identity, PersonKey) for member in family.members)


def _rows(session: Session, statement: TextClause, tenant_id: UUID, **given: object) -> Sequence[Any]:
    return session.connection().execute(statement, {"tenant": tenant_id} | given).all()
