"""Wellbeing figures: an organisation's usage, equal to its rows, for the people whom it concerns."""

from collections.abc import Iterator
from uuid import UUID

import psycopg
import pytest

from scheduler.postgres.database import Role
from support.rows import insert
from support.worlds.wellbeing import CHILDREN, World, acting, make, person

pytestmark = pytest.mark.database

FIGURES = "active_children, active_practitioners, total_sessions_this_month, average_mood_this_month"
USAGE = f"select id, {FIGURES} from wellbeing.organization_usage_stats"
MONTH = "(date_trunc('month', now() at time zone 'UTC') {}) at time zone 'UTC'"


@pytest.fixture(scope="module")
def connection(database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url) as opened:
        yield opened


@pytest.fixture
def world(connection: psycopg.Connection) -> Iterator[World]:
    """Ours has one more session, of a better mood; theirs has none. So no two figures are equal by chance."""
    new_world = make(connection)
    add_session(new_world, mood=5)
    connection.execute("delete from wellbeing.alerts where tenant_id = %s", (new_world.theirs,))
    connection.execute("delete from wellbeing.stickers_earned where tenant_id = %s", (new_world.theirs,))
    connection.execute("delete from wellbeing.wellbeing_sessions where tenant_id = %s", (new_world.theirs,))
    yield new_world
    connection.rollback()


def add_session(world: World, *, mood: int, at: str = "now()") -> None:
    row = {"tenant_id": world.ours, "child_id": person(world.ours, "Child"), "session_type": "daily_checkin"}
    (when,) = world.connection.execute(f"select {at}".encode()).fetchone() or ()
    insert(world.connection, "wellbeing.wellbeing_sessions", row | {"overall_mood": mood, "created_at": when})


def usage(world: World, user: UUID | None, *, role: Role = Role.APP) -> dict[UUID, tuple[object, ...]]:
    with acting(world, user, world.ours, role=role) as connection:
        return {organisation: tuple(figures) for organisation, *figures in connection.execute(USAGE.encode())}


def in_rows(world: World, organisation: UUID) -> tuple[object, ...]:
    """Count in the rows themselves, as a superuser."""

    def rows(query: str) -> list[tuple[object, ...]]:
        return world.connection.execute(f"{query} where tenant_id = %s".encode(), (organisation,)).fetchall()

    profiles = {
        key: (role, status, deleted_at)
        for key, role, status, deleted_at in rows("select id, role, status, deleted_at from wellbeing.profiles")
    }
    active = {key for key, (_, status, deleted_at) in profiles.items() if status == "active" and deleted_at is None}
    children = {
        key for key, deleted_at in rows("select id, deleted_at from wellbeing.children") if deleted_at is None
    } & active
    staff = [key for key in active if profiles[key][0] in {"Practitioner", "GroupContact"}]
    moods = [
        mood
        for child, mood in rows("select child_id, overall_mood from wellbeing.wellbeing_sessions")
        if child in children and isinstance(mood, int)
    ]
    return len(children), len(staff), len(moods), sum(moods) / len(moods) if moods else None


@pytest.mark.parametrize("name", ["Account", "GroupContact", "Practitioner"])
def test_people_see_the_figures_of_their_own_organisation(world: World, name: str) -> None:
    assert usage(world, person(world.ours, name))[world.ours] == in_rows(world, world.ours) == (2, 2, 3, 3)


def test_an_account_sees_the_figures_of_any_organisation(world: World) -> None:
    figures = usage(world, person(world.ours, "Account"))
    assert {each: figures[each] for each in (world.ours, world.theirs)} == {
        each: in_rows(world, each) for each in (world.ours, world.theirs)
    }


@pytest.mark.parametrize("role", [Role.SYSTEM, Role.OWNER])
def test_the_system_sees_the_figures_of_its_tenant(world: World, role: Role) -> None:
    assert usage(world, None, role=role) == {world.ours: in_rows(world, world.ours)}


@pytest.mark.parametrize("name", ["GroupContact", "Practitioner"])
def test_staff_of_one_organisation_see_the_figures_of_no_other(world: World, name: str) -> None:
    assert set(usage(world, person(world.ours, name))) == {world.ours}


@pytest.mark.parametrize("name", ["Child", "Friend", "Suspended", "Parent", None])
def test_figures_of_others_are_no_row_rather_than_a_wrong_row(world: World, name: str | None) -> None:
    assert usage(world, None if name is None else person(world.ours, name)) == {}


@pytest.mark.parametrize("name", ["GroupContact", "Practitioner", "Child", "Parent", None])
def test_the_key_of_another_organisation_gets_no_figures(world: World, name: str | None) -> None:
    with acting(world, None if name is None else person(world.ours, name), world.ours) as connection:
        rows = connection.execute("select from wellbeing.usage_of_organisation(%s)", (world.theirs,)).fetchall()
    assert rows == []


def test_the_system_counts_for_no_other_tenant(world: World) -> None:
    with acting(world, None, world.ours, role=Role.SYSTEM) as connection:
        rows = connection.execute("select from wellbeing.usage_of_organisation(%s)", (world.theirs,)).fetchall()
    assert rows == []


@pytest.mark.parametrize(
    ("at", "counts"),
    [
        (MONTH.format("- interval '1 microsecond'"), False),
        (MONTH.format(""), True),
        (MONTH.format("+ interval '1 month' - interval '1 microsecond'"), True),
        (MONTH.format("+ interval '1 month'"), False),
    ],
    ids=["before it", "its beginning", "its end", "after it"],
)
def test_a_session_counts_in_its_month_of_utc(world: World, at: str, *, counts: bool) -> None:
    world.connection.execute("set local timezone = 'Pacific/Kiritimati'")
    before = usage(world, person(world.ours, "GroupContact"))[world.ours]
    add_session(world, mood=1, at=at)
    after = usage(world, person(world.ours, "GroupContact"))[world.ours]
    assert (before[2], after[2]) == (3, 4 if counts else 3)


@pytest.mark.parametrize("change", ["status = 'suspended'", "status = 'inactive'", "deleted_at = now()"])
def test_a_child_whose_profile_is_not_active_is_in_no_figure(world: World, change: str) -> None:
    friend = person(world.ours, "Friend")
    world.connection.execute(f"update wellbeing.profiles set {change} where id = %s".encode(), (friend,))
    with acting(world, person(world.ours, "Practitioner"), world.ours) as connection:
        listed = connection.execute("select id from wellbeing.child_progress_summary").fetchall()
    used = usage(world, person(world.ours, "Practitioner"))[world.ours]
    assert (listed, used) == ([(person(world.ours, "Child"),)], (1, 2, 2, 3.5))


def test_an_active_child_is_in_the_summary_of_its_permitted_readers(world: World) -> None:
    with acting(world, person(world.ours, "Practitioner"), world.ours) as connection:
        listed = connection.execute("select id from wellbeing.child_progress_summary").fetchall()
    assert set(listed) == {(person(world.ours, name),) for name in CHILDREN}


def test_the_status_of_another_tenants_profile_is_hidden(world: World) -> None:
    theirs = person(world.theirs, "Practitioner")
    with acting(world, person(world.ours, "Practitioner"), world.ours) as connection:
        assert connection.execute("select wellbeing.has_active_profile(%s)", (theirs,)).fetchone() == (False,)
