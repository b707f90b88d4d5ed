"""Wellbeing changes: people see rows that they may not change; people who may change them succeed."""

from collections.abc import Iterator
from contextlib import nullcontext
from uuid import uuid4

import psycopg
import pytest

from scheduler.postgres.database import Role
from support.rows import Row, insert
from support.worlds.wellbeing import World, acting, make, person

pytestmark = pytest.mark.database

REFUSED = [
    ("Child", "delete from wellbeing.wellbeing_sessions"),
    ("Child", "update wellbeing.wellbeing_sessions set id = gen_random_uuid()"),
    ("Child", "update wellbeing.wellbeing_sessions set child_id = {Friend}"),
    ("GroupContact", "delete from wellbeing.invitations"),
    ("GroupContact", "update wellbeing.invitations set expires_at = '2099-01-01'"),
    ("GroupContact", "update wellbeing.invitations set email = 'mine@example.org'"),
    ("GroupContact", "update wellbeing.invitations set role = 'GroupContact'"),
    ("GroupContact", "update wellbeing.invitations set invited_by = {Account}"),
    (
        "GroupContact",
        "update wellbeing.invitations set status = 'accepted', accepted_at = now(), accepted_by = {Child}",
    ),
    ("GroupContact", "update wellbeing.invitations set status = 'expired'"),
    ("GroupContact", "update wellbeing.organisations set status = 'trial'"),
    ("GroupContact", "update wellbeing.organisations set subscription_plan = 'enterprise'"),
    ("GroupContact", "update wellbeing.organisations set max_children = 5000"),
    ("GroupContact", "update wellbeing.organisations set max_practitioners = 500"),
    ("Practitioner", "update wellbeing.alerts set severity = 'low'"),
    ("Practitioner", "update wellbeing.alerts set created_at = '2000-01-01'"),
    ("Practitioner", "update wellbeing.alerts set status = 'resolved', resolved_by = {GroupContact}"),
    ("Practitioner", "update wellbeing.alerts set status = 'acknowledged', acknowledged_by = {GroupContact}"),
]
DONE = [
    ("Child", "update wellbeing.wellbeing_sessions set status = 'abandoned'"),
    ("GroupContact", "update wellbeing.invitations set status = 'revoked'"),
    ("GroupContact", "update wellbeing.organisations set name = 'The Valley School', settings = '{{}}'"),
    ("Account", "update wellbeing.organisations set status = 'suspended', max_children = 5000"),
    (
        "Practitioner",
        "update wellbeing.alerts set status = 'resolved', resolved_by = {Practitioner}, resolved_at = now()",
    ),
    ("Practitioner", "update wellbeing.alerts set status = 'acknowledged', acknowledged_by = {Practitioner}"),
]
OTHER_BEGINNINGS = [
    {"expires_at": "2999-01-01"},
    {"invited_by": "Account"},
    {"status": "accepted", "accepted_at": "2026-01-01", "accepted_by": "Practitioner"},
    {"status": "expired"},
    {"status": "revoked"},
    {"accepted_at": "2026-01-01"},
    {"accepted_by": "Practitioner"},
    {"created_at": "2020-01-01"},
]


@pytest.fixture(scope="module")
def world(database_url: str) -> Iterator[World]:
    with psycopg.connect(database_url) as connection:
        yield make(connection)
        connection.rollback()


def statement_for(world: World, statement: str) -> bytes:
    people = {name: f"'{person(world.ours, name)}'" for name in ("Account", "GroupContact", "Practitioner", "Child")}
    return statement.format(Friend=f"'{person(world.ours, 'Friend')}'", **people).encode()


@pytest.mark.parametrize(("name", "statement"), REFUSED)
def test_a_forbidden_change_is_refused(world: World, name: str, statement: str) -> None:
    with (
        acting(world, person(world.ours, name), world.ours) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(statement_for(world, statement))


@pytest.mark.parametrize(("name", "statement"), DONE)
def test_an_allowed_change_succeeds(world: World, name: str, statement: str) -> None:
    with acting(world, person(world.ours, name), world.ours) as connection:
        assert connection.execute(statement_for(world, statement)).rowcount > 0


@pytest.mark.parametrize("closed", ["revoked", "accepted", "expired"])
def test_an_invitation_that_was_closed_is_not_opened_again(world: World, closed: str) -> None:
    accepted = f", accepted_at = now(), accepted_by = '{person(world.ours, 'Child')}'" if closed == "accepted" else ""
    with world.connection.transaction(force_rollback=True):
        world.connection.execute(
            f"update wellbeing.invitations set status = '{closed}'{accepted} where tenant_id = %s".encode(),
            (world.ours,),
        )
        with (
            acting(world, person(world.ours, "GroupContact"), world.ours) as connection,
            pytest.raises(psycopg.errors.InsufficientPrivilege),
        ):
            connection.execute("update wellbeing.invitations set status = 'pending'")


def test_the_system_takes_an_invitation_back(world: World) -> None:
    with acting(world, None, world.ours, role=Role.SYSTEM) as connection:
        assert connection.execute("delete from wellbeing.invitations").rowcount == 2


def invitation(world: World, **changes: str) -> Row:
    """Return an invitation that a group contact may make, with changes; people are named."""
    row: Row = {"tenant_id": world.ours, "org_id": world.ours, "email": "c@example.org", "role": "Practitioner"}
    row |= {"invited_by": "GroupContact", "invitation_token": uuid4().hex * 2} | changes
    return {name: person(world.ours, str(value)) if name.endswith("_by") else value for name, value in row.items()}


@pytest.mark.parametrize("changes", OTHER_BEGINNINGS, ids=" ".join)
def test_an_invitation_begins_open_by_its_maker_and_for_a_week(world: World, changes: dict[str, str]) -> None:
    with (
        acting(world, person(world.ours, "GroupContact"), world.ours) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        insert(connection, "wellbeing.invitations", invitation(world, **changes))


@pytest.mark.parametrize("changes", OTHER_BEGINNINGS, ids=" ".join)
def test_the_system_writes_an_invitation_as_it_was(world: World, changes: dict[str, str]) -> None:
    with acting(world, None, world.ours, role=Role.SYSTEM) as connection:
        insert(connection, "wellbeing.invitations", invitation(world, **changes))


def signed_by_the_group_contact(world: World, connection: psycopg.Connection) -> None:
    connection.execute(
        "update wellbeing.alerts set status = 'resolved', resolved_by = %(signer)s, resolved_at = '2027-01-04 09:00Z',"
        " acknowledged_by = %(signer)s, acknowledged_at = '2027-01-04 08:00Z' where tenant_id = %(tenant)s",
        {"signer": person(world.ours, "GroupContact"), "tenant": world.ours},
    )


@pytest.mark.parametrize(
    ("change", "allowed"),
    [
        ("acknowledged_by = null, acknowledged_at = null", {"GroupContact", "system"}),
        ("acknowledged_by = {Practitioner}", {"system"}),
        ("acknowledged_by = {GroupContact}, acknowledged_at = now()", {"GroupContact", "system"}),
        ("status = 'unread', resolved_by = null, resolved_at = null", {"GroupContact", "system"}),
        ("resolved_by = {Practitioner}, resolved_at = now()", {"system"}),
        ("resolved_at = now()", {"GroupContact", "system"}),
        ("resolution_notes = 'Her aunt came.'", {"GroupContact", "Practitioner", "system"}),
    ],
)
@pytest.mark.parametrize("name", ["GroupContact", "Practitioner", "system"])
def test_only_the_signer_and_the_system_change_a_signature(
    world: World, name: str, change: str, allowed: set[str]
) -> None:
    user, role = (None, Role.SYSTEM) if name == "system" else (person(world.ours, name), Role.APP)
    refusal = (
        nullcontext() if name in allowed else pytest.raises(psycopg.errors.InsufficientPrivilege, match="own signature")
    )
    with world.connection.transaction(force_rollback=True):
        signed_by_the_group_contact(world, world.connection)
        with acting(world, user, world.ours, role=role) as connection, refusal:
            connection.execute(statement_for(world, f"update wellbeing.alerts set {change}"))
