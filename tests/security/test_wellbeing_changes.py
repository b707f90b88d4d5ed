"""What people may not change although they see it: each is refused to who tries, and done by who may."""

from collections.abc import Iterator

import psycopg
import pytest

from scheduler.store.database import Role
from wellbeing_world import World, acting, make, person

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
    ("Practitioner", "update wellbeing.alerts set status = 'resolved', resolved_by = {Practitioner}"),
    ("Practitioner", "update wellbeing.alerts set status = 'acknowledged', acknowledged_by = {Practitioner}"),
]


@pytest.fixture(scope="module")
def world(database_url: str) -> Iterator[World]:
    with psycopg.connect(database_url) as connection:
        yield make(connection)
        connection.rollback()


def said(world: World, statement: str) -> bytes:
    people = {name: f"'{person(world.ours, name)}'" for name in ("Account", "GroupContact", "Practitioner", "Child")}
    return statement.format(Friend=f"'{person(world.ours, 'Friend')}'", **people).encode()


@pytest.mark.parametrize(("who", "statement"), REFUSED)
def test_it_is_refused(world: World, who: str, statement: str) -> None:
    with (
        acting(world, person(world.ours, who), world.ours) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        connection.execute(said(world, statement))


@pytest.mark.parametrize(("who", "statement"), DONE)
def test_it_is_done(world: World, who: str, statement: str) -> None:
    with acting(world, person(world.ours, who), world.ours) as connection:
        assert connection.execute(said(world, statement)).rowcount > 0


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
