"""Known people: the stored families of a names file, and the live users that its names may mean.

Owns: the statements that read them, a fixed number whatever the size of the file.
Must not know: the decision which user a name means (`name_resolution`).

Names are compared in Python, where all servers have the same tables of Unicode; so each live user is read once. No
statement has a join: after a large import PostgreSQL has no statistics, and has joined each member with all users.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple
from uuid import UUID, uuid5

from sqlalchemy import TextClause, text
from sqlmodel import Session

from scheduler.core.email_address import EmailAddress
from scheduler.families.name_values import KnownPeople, NameAndRole, key_of
from scheduler.families.names_file import Identity, NamedFamily, PersonKey, name_key
from scheduler.families.people import users_by_key
from scheduler.families.values import MemberRole

_USERS_PER_FETCH: Final = 10_000
_FAMILIES: Final = text("""
    select id from identity.families where tenant_id = :tenant and id = any (cast(:ids as uuid[]))
""")
_MEMBERS: Final = text("""
    select family_id, role, user_id from identity.family_members
    where tenant_id = :tenant and family_id = any (cast(:ids as uuid[]))
""")
_NAMES: Final = text("""
    select id, name from identity.users
    where tenant_id = :tenant and id = any (cast(:ids as uuid[])) and deleted_at is null
""")
_USERS: Final = text("select id, name, role from identity.users where tenant_id = :tenant and deleted_at is null")
_MEMBERSHIPS: Final = text("""
    select user_id, role, family_id from identity.family_members
    where tenant_id = :tenant and user_id = any (cast(:ids as uuid[])) order by created_at, family_id
""")
_LIVE_FAMILIES: Final = text("""
    select id from identity.families
    where tenant_id = :tenant and id = any (cast(:ids as uuid[])) and deleted_at is null
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
    new = [member for family in families if family.source_id not in stored for member in family.members]
    bare = {key_of(member).key for member in new if member.identity is None}
    keys = {member.identity for member in new if isinstance(member.identity, PersonKey)}
    keyed = [family for family in families if family.source_id in stored and _has_one_of(keys, family)]
    identities = {member.identity for family in families for member in family.members}
    ids = [identity for identity in identities if isinstance(identity, UUID)]
    emails = [identity.text for identity in identities if isinstance(identity, EmailAddress)]
    found = users_by_key(session, tenant_id, ids=ids, emails=emails)
    return KnownPeople(
        families=stored,
        members=_members_by_name(session, tenant_id, keyed),
        by_name=_users_by_name(session, tenant_id, bare),
        by_email={EmailAddress(key): id_ for key, id_ in found.items() if isinstance(key, str)},
        by_id=set(found.values()),
    )


def memberships_of(session: Session, tenant_id: UUID, users: Collection[UUID]) -> Mapping[UUID, Sequence[Membership]]:
    """Return the memberships of users in live families."""
    rows = _rows(session, _MEMBERSHIPS, tenant_id, ids=list(users)) if users else []
    families = list({family_id for _, _, family_id in rows})
    live = {id_ for (id_,) in _rows(session, _LIVE_FAMILIES, tenant_id, ids=families)} if families else set()
    memberships: dict[UUID, list[Membership]] = defaultdict(list)
    for user_id, role, family_id in rows:
        if family_id in live:
            memberships[user_id].append(Membership(MemberRole(role), family_id))
    return memberships


def _members_by_name(
    session: Session, tenant_id: UUID, families: Sequence[NamedFamily]
) -> dict[tuple[str, NameAndRole], set[UUID]]:
    """Return the live members of families, by the family's id in the file, name and role."""
    source_ids = {family_id_of(tenant_id, family): family.source_id for family in families}
    rows = _rows(session, _MEMBERS, tenant_id, ids=list(source_ids)) if source_ids else []
    users = list({user_id for _, _, user_id in rows})
    names = {id_: name_key(name) for id_, name in _rows(session, _NAMES, tenant_id, ids=users)} if users else {}
    members: dict[tuple[str, NameAndRole], set[UUID]] = defaultdict(set)
    for family_id, role, user_id in rows:
        if user_id in names:
            members[source_ids[family_id], NameAndRole(names[user_id], MemberRole(role))].add(user_id)
    return members


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


def _has_one_of(keys: Collection[Identity], family: NamedFamily) -> bool:
    return any(member.identity in keys for member in family.members)


def _rows(session: Session, statement: TextClause, tenant_id: UUID, **given: object) -> Sequence[Any]:
    return session.connection().execute(statement, {"tenant": tenant_id} | given).all()
