"""World of two organisations with people of all roles, and a row of every kind for two children.

Each has an Account, a GroupContact, two Practitioners of whom one is suspended, the children Child and Friend, and a
Parent: a user without a profile. A third tenant is no organisation.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple
from uuid import UUID, uuid4, uuid5

import psycopg

from scheduler.postgres.database import Role
from support.roles import become
from support.rows import Row, insert

PEOPLE = ("Account", "GroupContact", "Practitioner", "Child", "Friend", "Suspended", "Parent")
ROLES = {"Friend": "Child", "Suspended": "Practitioner"}
CHILDREN = ("Child", "Friend")
SAFEGUARDING = "Lives with her aunt."


class World(NamedTuple):
    """A database with two organisations, and a tenant that is no organisation."""

    connection: psycopg.Connection
    ours: UUID
    theirs: UUID
    bare: UUID


def person(tenant: UUID, name: str) -> UUID:
    """Return the id of a person of a tenant."""
    return uuid5(tenant, name)


def make(connection: psycopg.Connection) -> World:
    """Write all rows as a superuser, and leave them uncommitted."""
    tenants = uuid4(), uuid4(), uuid4()
    for tenant in tenants:
        insert(connection, "identity.tenants", {"id": tenant, "slug": str(tenant), "name": "A tenant"})
    for tenant in tenants[:2]:
        for table, row in _organisation(tenant):
            insert(connection, f"{'identity' if table == 'users' else 'wellbeing'}.{table}", row)
    return World(connection, *tenants)


def _organisation(tenant: UUID) -> Iterator[tuple[str, Row]]:
    yield "organisations", {"id": tenant, "name": "The Hill School", "type": "school-primary"}
    for name in PEOPLE:
        columns = {
            "tenant_id": tenant,
            "id": person(tenant, name),
            "email": f"{name.lower()}@example.org",
            "name": name,
        }
        yield "users", {**columns, "role": "parent" if name == "Parent" else "staff"}
        if name != "Parent":
            status = "suspended" if name == "Suspended" else "active"
            yield "profiles", {**columns, "role": ROLES.get(name, name), "org_id": tenant, "status": status}
    for name in CHILDREN:
        yield from _child(tenant, name)
    for name in ("ada", "bob"):
        invited: Row = {"tenant_id": tenant, "org_id": tenant, "role": "Practitioner", "email": f"{name}@example.org"}
        token = uuid5(tenant, name).hex * 2
        yield "invitations", invited | {"invited_by": person(tenant, "GroupContact"), "invitation_token": token}
    yield "kv_store_a1855b25", {"tenant_id": tenant, "key": "garden.season", "value": '"spring"'}


def _child(tenant: UUID, name: str) -> Iterator[tuple[str, Row]]:
    child, session = person(tenant, name), person(tenant, f"session of {name}")
    of_child: Row = {"tenant_id": tenant, "child_id": child}
    of_session = of_child | {"session_id": session}
    yield (
        "children",
        {
            "tenant_id": tenant,
            "id": child,
            "org_id": tenant,
            "first_name": name,
            "primary_practitioner_id": person(tenant, "Practitioner"),
            "safeguarding_notes": SAFEGUARDING,
            "additional_notes": SAFEGUARDING,
        },
    )
    yield "wellbeing_sessions", of_child | {"id": session, "session_type": "daily_checkin", "overall_mood": 2}
    response = {"activity_type": "mood_wheel", "question_key": "today", "response_type": "scale", "response_value": "2"}
    yield "wellbeing_responses", of_session | response
    yield "garden_items", of_child | {"item_type": "tree", "item_name": "An apple tree"}
    yield "stickers_earned", of_session | {"sticker_type": "star", "sticker_name": "A star", "earned_for": "A session"}
    alert = {"alert_type": "safeguarding", "severity": "urgent", "title": "A worry", "description": "Said so."}
    yield "alerts", of_session | alert


@contextmanager
def acting(
    world: World, user: UUID | None, tenant: UUID | None, *, role: Role = Role.APP
) -> Iterator[psycopg.Connection]:
    """Act as a person at work for a tenant, as the library does; nothing inside is kept."""
    with world.connection.transaction(force_rollback=True):
        become(world.connection, role, tenant, user)
        yield world.connection
