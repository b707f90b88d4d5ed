"""Writing of resolved families: families, addresses, users and memberships of a migration, in bulk.

Owns: the statements, and the batches; a statement writes many rows, since the audit log costs one call a statement.
Holds: R4 (all within the caller's transaction).
Must not know: which user a name means (`name_resolution`).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from uuid import UUID

from sqlalchemy import TextClause, text
from sqlmodel import Session

from scheduler.families.known_people import family_id_of
from scheduler.families.name_values import NewPerson, Resolution, ResolvedFamily
from scheduler.families.names_file import NamedFamily

_FAMILIES_PER_BATCH: Final = 1_000
_USERS: Final = text("""
    insert into identity.users (tenant_id, id, name, email, role)
    select :tenant, id, name, email, cast(role as identity.user_role_enum)
    from unnest(cast(:ids as uuid[]), cast(:names as text[]), cast(:emails as text[]), cast(:roles as text[]))
        as person (id, name, email, role)
    order by email
""")
_ADDRESSES: Final = text("""
    insert into identity.addresses (tenant_id, id, line_1, line_2, city, region, postcode, country)
    select :tenant, address.* from unnest(
        cast(:ids as uuid[]), cast(:lines_1 as text[]), cast(:lines_2 as text[]), cast(:cities as text[]),
        cast(:regions as text[]), cast(:postcodes as text[]), cast(:countries as text[])
    ) as address
""")
_FAMILIES: Final = text("""
    insert into identity.families (tenant_id, id, family_name, address_id, preferred_programs, status)
    select :tenant, id, name, address_id, array(
        select program from jsonb_array_elements_text(cast(programs as jsonb)) with ordinality as listed (program, nth)
        order by nth
    ), status
    from unnest(
        cast(:ids as uuid[]), cast(:names as text[]), cast(:addresses as uuid[]), cast(:programs as text[]),
        cast(:statuses as text[])
    ) as family (id, name, address_id, programs, status)
""")
# A microsecond apart, so that a list of members has the order of the file.
_MEMBERS: Final = text("""
    insert into identity.family_members (tenant_id, family_id, user_id, role, created_at)
    select :tenant, family_id, user_id, role, now() + place * interval '1 microsecond'
    from unnest(cast(:families as uuid[]), cast(:users as uuid[]), cast(:roles as text[]), cast(:places as integer[]))
        as member (family_id, user_id, role, place)
""")


def write_families(
    session: Session,
    resolution: Resolution,
    *,
    tenant_id: UUID,
    new_id: Callable[[], UUID],
    progress: Callable[[int, int, int], None],
) -> None:
    """Write resolved families and their new people, within the session's transaction.

    `new_id` gives the ids of addresses. `progress` is called after each batch with the families written, all families
    to write, and the users made.

    Raises:
        DuplicateError: another program made a user with one of the e-mail addresses meanwhile.
        CheckFailedError: a user was deleted meanwhile.
    """
    writer = _Writer(session, tenant_id, new_id)
    waiting = dict(resolution.new_people)
    families = resolution.families
    # in one statement, which has the order of `people`: otherwise two writers could wait for each other's addresses
    writer.write_users([waiting.pop(person.id) for person in resolution.new_people.values() if person.email])
    for begin in range(0, len(families), _FAMILIES_PER_BATCH):
        batch = families[begin : begin + _FAMILIES_PER_BATCH]
        new = [waiting.pop(user) for _, users in batch for user in users if user in waiting]
        writer.write(batch, new)
        progress(begin + len(batch), len(families), len(resolution.new_people) - len(waiting))


class _Writer:
    """Writer of batches of resolved families."""

    def __init__(self, session: Session, tenant_id: UUID, new_id: Callable[[], UUID]) -> None:
        self._session, self._tenant_id, self._new_id = session, tenant_id, new_id

    def write(self, families: Sequence[ResolvedFamily], new_people: Sequence[NewPerson]) -> None:
        """Write a batch of families after the people who are first in them."""
        self.write_users(new_people)
        with_address = [family for family, _ in families if family.address is not None]
        addresses = {family.source_id: self._new_id() for family in with_address}
        self._write_addresses(with_address, addresses)
        self._write_families([family for family, _ in families], addresses)
        self._write_members(families)

    def write_users(self, people: Sequence[NewPerson]) -> None:
        """Write people, if any, in the order of their e-mail addresses."""
        if not people:
            return
        self._run(
            _USERS,
            ids=[person.id for person in people],
            names=[person.name for person in people],
            emails=[None if person.email is None else person.email.text for person in people],
            roles=[person.role.value for person in people],
        )

    def _write_addresses(self, families: Sequence[NamedFamily], ids: Mapping[str, UUID]) -> None:
        addresses = [family.address for family in families if family.address is not None]
        if addresses:
            self._run(
                _ADDRESSES,
                ids=list(ids.values()),
                lines_1=[address.line_1 for address in addresses],
                lines_2=[address.line_2 for address in addresses],
                cities=[address.city for address in addresses],
                regions=[address.region for address in addresses],
                postcodes=[address.postcode for address in addresses],
                countries=[address.country for address in addresses],
            )

    def _write_families(self, families: Sequence[NamedFamily], addresses: Mapping[str, UUID]) -> None:
        self._run(
            _FAMILIES,
            ids=[family_id_of(self._tenant_id, family) for family in families],
            names=[family.name for family in families],
            addresses=[addresses.get(family.source_id) for family in families],
            programs=[json.dumps(family.preferred_programs) for family in families],
            statuses=[family.status.value for family in families],
        )

    def _write_members(self, families: Sequence[ResolvedFamily]) -> None:
        members = [
            (family_id_of(self._tenant_id, family), user, member.role.value, place)
            for family, users in families
            for place, (member, user) in enumerate(zip(family.members, users, strict=True))
        ]
        columns = zip(*members, strict=True)
        self._run(_MEMBERS, **dict(zip(("families", "users", "roles", "places"), map(list, columns), strict=True)))

    def _run(self, statement: TextClause, **given: object) -> None:
        self._session.connection().execute(statement, {"tenant": self._tenant_id} | given)
