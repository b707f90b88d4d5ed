"""People of families: users found by id or e-mail address, and new users for all others.

Owns: who of the given people is a user already, the users made for the others, and changes of a user.
Must not know: families.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlmodel import Session

from scheduler.core.errors import NotFoundError
from scheduler.families.errors import DuplicateMemberError
from scheduler.families.refusals import refuse_change
from scheduler.families.values import MemberRole, Person
from scheduler.postgres.errors import BusyError

_FOUND: Final = """
    select id, email from identity.users
    where tenant_id = :tenant and deleted_at is null
        and (id = any (cast(:ids as uuid[])) or email = any (cast(:emails as text[])))
"""
# In the order of their addresses, so that two units of work that make the same users do not meet a deadlock.
_MADE: Final = """
    with person as materialized (
        select gen_random_uuid() as id, given.*
        from unnest(
            cast(:places as int[]), cast(:names as text[]), cast(:emails as text[]), cast(:phones as text[]),
            cast(:roles as text[])
        ) as given (place, name, email, phone, role)
    ), made as (
        insert into identity.users (tenant_id, id, name, email, phone, role)
        select :tenant, id, name, email, phone, cast(role as identity.user_role_enum) from person order by email
        on conflict (tenant_id, email) where deleted_at is null do nothing
        returning id
    )
    select person.place, made.id from made join person using (id)
"""
_ADDED: Final = """
    insert into identity.users (tenant_id, name, role, email, phone, supertokens_user_id)
    values (:tenant, :name, :role, :email, :phone, :supertokens_user_id) returning id
"""
_CHANGED: Final = """
    update identity.users set {written}
    where tenant_id = :tenant and id = :user and deleted_at is null returning id
"""
_ATTEMPTS: Final = 3


@dataclass(frozen=True, slots=True)
class Candidate:
    """A person to be a member of a family: an existing user, or the fields of a person.

    `name` says where the caller gave the person, as in `parents[0]`.
    """

    name: str
    role: MemberRole
    who: UUID | Person
    is_primary_contact: bool = False
    is_emergency_contact: bool = False


def find_or_make_users(session: Session, tenant_id: UUID, candidates: Sequence[Candidate]) -> list[UUID]:
    """Return the user of each candidate, who is found by id or e-mail address, or made with the candidate's role.

    Raises:
        NotFoundError: there is no user with this id.
        DuplicateMemberError: two candidates are one user.
        NotAllowedError: the user of the unit of work may not make users.
    """
    users: dict[int, UUID] = {}
    for _ in range(_ATTEMPTS):  # an address that was neither found nor free may belong to a user deleted meanwhile
        missing = [place for place in range(len(candidates)) if place not in users]
        users |= _find(session, tenant_id, candidates, missing)
        users |= _make(session, tenant_id, candidates, [place for place in missing if place not in users])
        if len(users) == len(candidates):
            return _distinct(candidates, [users[place] for place in range(len(candidates))])
    raise BusyError("users with these e-mail addresses are being made and deleted: try again later")


def users_by_key(
    session: Session, tenant_id: UUID, *, ids: Sequence[UUID] = (), emails: Sequence[str] = ()
) -> dict[UUID | str, UUID]:
    """Return the live users with these ids and addresses, each by the id, and by the address, if any."""
    if not ids and not emails:
        return {}
    given = {"tenant": tenant_id, "ids": list(ids), "emails": list(emails)}
    found: dict[UUID | str, UUID] = {}
    for id_, email in session.connection().execute(text(_FOUND), given):
        found[id_] = id_
        if email is not None:
            found[email] = id_
    return found


def add_user(session: Session, tenant_id: UUID, columns: Mapping[str, object]) -> UUID:
    """Write a user and return the id."""
    added = session.connection().execute(text(_ADDED), {"tenant": tenant_id, **columns})
    id_: UUID = added.scalar_one()
    return id_


def change_user(session: Session, tenant_id: UUID, user_id: UUID, columns: Mapping[str, object]) -> None:
    """Change columns of a user.

    Raises:
        NotFoundError: there is no such user, the user is deleted, or the one who asks does not see the user.
        NotAllowedError: the user of the unit of work may not change this user.
    """
    given = {"tenant": tenant_id, "user": user_id} | dict(columns)
    written = ", ".join(f"{column} = :{column}" for column in columns) or "name = name"
    if session.connection().execute(text(_CHANGED.format(written=written)), given).first() is None:
        refuse_change(session, tenant_id, "user", user_id)


def _find(session: Session, tenant_id: UUID, candidates: Sequence[Candidate], places: Sequence[int]) -> dict[int, UUID]:
    """Return the existing users, by their places among the candidates."""
    wanted = {place: key for place in places if (key := _key(candidates[place])) is not None}
    ids = [key for key in wanted.values() if isinstance(key, UUID)]
    found = users_by_key(session, tenant_id, ids=ids, emails=[key for key in wanted.values() if isinstance(key, str)])
    for place, key in wanted.items():
        if isinstance(key, UUID) and key not in found:
            raise NotFoundError(f"family: {candidates[place].name}: no user has the id {key}")
    return {place: found[key] for place, key in wanted.items() if key in found}


def _make(session: Session, tenant_id: UUID, candidates: Sequence[Candidate], places: Sequence[int]) -> dict[int, UUID]:
    """Make users, and return those whose address was free, by their places among the candidates."""
    people = [(place, candidates[place].role.value, candidates[place].who) for place in places]
    new = [(place, role, person) for place, role, person in people if isinstance(person, Person)]
    if not new:
        return {}
    given = {
        "tenant": tenant_id,
        "places": [place for place, _, _ in new],
        "names": [person.name for _, _, person in new],
        "emails": [person.email for _, _, person in new],
        "phones": [person.phone for _, _, person in new],
        "roles": [role for _, role, _ in new],
    }
    return {row.place: row.id for row in session.connection().execute(text(_MADE), given)}


def _key(candidate: Candidate) -> UUID | str | None:
    """Return that by which a candidate is found: the id, or the e-mail address, if any."""
    return candidate.who.email if isinstance(candidate.who, Person) else candidate.who


def _distinct(candidates: Sequence[Candidate], users: list[UUID]) -> list[UUID]:
    places: dict[UUID, str] = {}
    for candidate, user in zip(candidates, users, strict=True):
        if user in places:
            raise DuplicateMemberError(f"family: {places[user]} and {candidate.name} are one person")
        places[user] = candidate.name
    return users
