"""Faults of the wellbeing specification: one test for each, which fails when the fault returns."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from hashlib import sha256
from threading import Barrier
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import text
from sqlmodel import col, select

from scheduler.models import Child, Organisation, Profile, User, UserRole
from scheduler.postgres.database import Database, Role
from support.rows import Row, insert
from support.worlds.wellbeing import PEOPLE, SAFEGUARDING, World, acting, make, person

pytestmark = pytest.mark.database

VIEWS = ("child_progress_summary", "organization_usage_stats", "own_child_record")


@pytest.fixture(scope="module")
def connection(database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url) as opened:
        yield opened


@pytest.fixture
def world(connection: psycopg.Connection) -> Iterator[World]:
    yield make(connection)
    connection.rollback()


def test_fault_1_a_child_has_an_organisation_and_a_display_id(world: World) -> None:
    with acting(world, person(world.ours, "Practitioner"), world.ours) as connection:
        rows = connection.execute("select org_id, display_id from wellbeing.children order by display_id").fetchall()
    assert rows == [(world.ours, 1), (world.ours, 2)]


@pytest.mark.parametrize("index", ["organisations_name_words_idx", "organization_usage_stats"])
def test_fault_2_view_and_search_of_organizations_read_organisations(world: World, index: str) -> None:
    below = world.connection.execute(
        """
        select indrelid::regclass::text from pg_index where indexrelid = to_regclass('wellbeing.' || %(name)s)
        union
        select refobjid::regclass::text from pg_depend join pg_rewrite on pg_rewrite.oid = objid
        where ev_class = to_regclass('wellbeing.' || %(name)s) and refclassid = 'pg_class'::regclass
        """,
        {"name": index},
    )
    assert ("wellbeing.organisations",) in below.fetchall()


def test_fault_2_a_group_contact_sees_the_usage_of_the_organisation(world: World) -> None:
    with acting(world, person(world.ours, "GroupContact"), world.ours) as connection:
        rows = connection.execute(
            "select id, active_children, active_practitioners, total_sessions_this_month, average_mood_this_month"
            " from wellbeing.organization_usage_stats"
        ).fetchall()
    assert rows == [(world.ours, 2, 2, 2, 2)]


def test_fault_3_three_sessions_and_four_stickers_count_three_and_four(world: World) -> None:
    child = person(world.ours, "Child")
    of_child: Row = {"tenant_id": world.ours, "child_id": child}
    sticker = {"sticker_type": "star", "sticker_name": "A star", "earned_for": "A session"}
    alert = {"alert_type": "safeguarding", "severity": "urgent", "title": "A worry", "description": "Said so."}
    done = {"session_type": "weekly_review", "status": "completed", "completed_at": "2027-01-04 09:00Z"}
    for mood in (3, 4):
        insert(world.connection, "wellbeing.wellbeing_sessions", of_child | done | {"overall_mood": mood})
    for _ in range(3):
        insert(world.connection, "wellbeing.stickers_earned", of_child | sticker)
    insert(world.connection, "wellbeing.alerts", of_child | alert)
    with acting(world, person(world.ours, "Practitioner"), world.ours) as connection:
        rows = connection.execute(
            "select total_sessions, completed_sessions, average_mood, total_stickers, last_session_date, urgent_alerts"
            " from wellbeing.child_progress_summary where id = %s",
            (child,),
        ).fetchall()
    assert rows == [(3, 2, 3, 4, datetime(2027, 1, 4, 9, tzinfo=UTC), 2)]


def test_fault_3_a_child_without_rows_counts_zero_and_a_deleted_one_not(world: World) -> None:
    for table in ("alerts", "stickers_earned", "wellbeing_responses", "wellbeing_sessions"):
        world.connection.execute(f"delete from wellbeing.{table}".encode())
    world.connection.execute(
        "update wellbeing.children set deleted_at = now() where id = %s", (person(world.ours, "Friend"),)
    )
    with acting(world, person(world.ours, "GroupContact"), world.ours) as connection:
        rows = connection.execute(
            "select id, total_sessions, total_stickers, urgent_alerts from wellbeing.child_progress_summary"
        ).fetchall()
        used = connection.execute("select active_children from wellbeing.organization_usage_stats").fetchone()
    assert (rows, used) == ([(person(world.ours, "Child"), 0, 0, 0)], (1,))


@pytest.mark.parametrize("name", PEOPLE)
def test_fault_4_a_policy_of_profiles_does_not_ask_itself(world: World, name: str) -> None:
    """Infinite recursion (42P17) or no more stack (54001) would raise here."""
    with acting(world, person(world.ours, name), world.ours) as connection:
        seen = connection.execute("select id from wellbeing.profiles").fetchall()
    assert ((person(world.ours, name),) in seen) is (name not in {"Parent", "Suspended"})


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("role", "Account"),
        ("org_id", None),
        ("status", "suspended"),
        ("id", UUID(int=1)),
        ("tenant_id", UUID(int=1)),
        ("deleted_at", datetime(2027, 1, 1, tzinfo=UTC)),
    ],
)
@pytest.mark.parametrize("name", ["Account", "GroupContact", "Practitioner", "Child"])
def test_fault_5_nobody_changes_their_own_rights(world: World, name: str, column: str, value: object) -> None:
    if (name, column) == ("Account", "role"):
        value = "GroupContact"
    me = person(world.ours, name)
    with (
        acting(world, me, world.ours) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege, match=f"^cannot change wellbeing.profiles.{column}: only"),
    ):
        connection.execute(f"update wellbeing.profiles set {column} = %s where id = %s".encode(), (value, me))


@pytest.mark.parametrize("column", ["name", "email", "avatar_url"])
def test_fault_5_people_may_change_the_rest_of_their_own_profile(world: World, column: str) -> None:
    with acting(world, person(world.ours, "Child"), world.ours) as connection:
        changed = connection.execute(f"update wellbeing.profiles set {column} = 'me@example.org'".encode())
    assert changed.rowcount == 1


@pytest.mark.parametrize("name", PEOPLE)
def test_fault_6_nobody_awards_a_sticker(world: World, name: str) -> None:
    row: Row = {"sticker_type": "star", "sticker_name": "A star", "earned_for": "Nothing"}
    row |= {"tenant_id": world.ours, "child_id": person(world.ours, "Child")}
    with (
        acting(world, person(world.ours, name), world.ours) as connection,
        pytest.raises(psycopg.errors.InsufficientPrivilege),
    ):
        insert(connection, "wellbeing.stickers_earned", row)


def test_fault_6_the_system_awards_a_sticker(world: World) -> None:
    row: Row = {"sticker_type": "star", "sticker_name": "A star", "earned_for": "A session"}
    row |= {"tenant_id": world.ours, "child_id": person(world.ours, "Child")}
    with acting(world, None, world.ours, role=Role.SYSTEM) as connection:
        insert(connection, "wellbeing.stickers_earned", row)


def test_fault_7_children_inserted_at_once_get_different_numbers(database: Database, tenant_id: UUID) -> None:
    """Eight write at a time, and one in three rolls back: the numbers are 1 to the last, each once."""
    children = [uuid4() for _ in range(24)]
    with database.unit_of_work(role=Role.OWNER, tenant_id=tenant_id) as session:
        session.add(Organisation(id=tenant_id, name="A school", type="school-primary"))
        for number, child in enumerate(children):
            columns: dict[str, Any] = {
                "tenant_id": tenant_id,
                "id": child,
                "email": f"c{number}@example.org",
                "name": "A child",
            }
            session.add(User(**columns, role=UserRole.CHILD))
            session.flush()
            session.add(Profile(**columns, role="Child", org_id=tenant_id))
    barrier = Barrier(8)

    class ThinksBetterOfItError(Exception):
        """Rolls the transaction back."""

    def enrol(number: int) -> int | None:
        child = Child(tenant_id=tenant_id, id=children[number], org_id=tenant_id, first_name="Ann")
        try:
            with database.unit_of_work(role=Role.SYSTEM, tenant_id=tenant_id) as session:
                session.add(child)
                session.flush()
                if number % 3 == 0:
                    raise ThinksBetterOfItError  # noqa: TRY301  # the block rolls back
        except ThinksBetterOfItError:
            return None
        return child.display_id

    def enrol_some(first: int) -> list[int | None]:
        barrier.wait()
        return [enrol(number) for number in range(first, len(children), 8)]

    with ThreadPoolExecutor(8) as threads:
        given = [number for some in threads.map(enrol_some, range(8)) for number in some]
    with database.unit_of_work(role=Role.SYSTEM, tenant_id=tenant_id) as session:
        stored = session.exec(select(Child.display_id).order_by(col(Child.display_id))).all()
    assert sorted(number for number in given if number) == list(stored) == list(range(1, 17))


def test_fault_7_each_organisation_counts_for_itself(world: World) -> None:
    rows = world.connection.execute("select tenant_id from wellbeing.children where display_id = 1").fetchall()
    assert {(world.ours,), (world.theirs,)} <= set(rows)


def test_fault_8_every_table_has_row_security_the_key_value_store_too(world: World) -> None:
    without = world.connection.execute(
        "select oid::regclass::text from pg_class where relnamespace = 'wellbeing'::regnamespace and relkind = 'r'"
        " and not (relrowsecurity and relforcerowsecurity)"
    )
    assert without.fetchall() == []


@pytest.mark.parametrize("name", PEOPLE)
def test_fault_8_the_key_value_store_is_for_accounts(world: World, name: str) -> None:
    with acting(world, person(world.ours, name), world.ours) as connection:
        rows = connection.execute("select tenant_id from wellbeing.kv_store_a1855b25").fetchall()
    assert {*rows} == ({(world.ours,), (world.theirs,)} if name == "Account" else set())


@pytest.mark.parametrize("name", PEOPLE)
def test_fault_9_alerts_are_never_for_the_child(world: World, name: str) -> None:
    with acting(world, person(world.ours, name), world.ours) as connection:
        seen = connection.execute("select count(*) from wellbeing.alerts").fetchone()
        changed = connection.execute("update wellbeing.alerts set status = 'escalated'").rowcount
    assert (seen, changed) == (((2,), 2) if name in {"Practitioner", "GroupContact"} else ((0,), 0))


def test_fault_10_the_token_of_an_invitation_is_stored_as_a_digest(world: World) -> None:
    """The tests of invitations try that the right person accepts it once and in time."""
    row: Row = {"tenant_id": world.ours, "org_id": world.ours, "email": "b@example.org", "role": "Practitioner"}
    row |= {"invited_by": person(world.ours, "GroupContact")}
    token = uuid4().hex + uuid4().hex[:11]
    with acting(world, person(world.ours, "GroupContact"), world.ours) as connection:
        with pytest.raises(psycopg.errors.CheckViolation), connection.transaction():
            insert(connection, "wellbeing.invitations", row | {"invitation_token": token})
        digest = {"invitation_token": sha256(token.encode()).hexdigest()}
        insert(connection, "wellbeing.invitations", row | digest)
        with pytest.raises(psycopg.errors.UniqueViolation):
            insert(connection, "wellbeing.invitations", row | digest)


def test_fault_10_an_invitation_is_open_for_seven_days(world: World) -> None:
    rows = world.connection.execute("select distinct expires_at - created_at = '7 days' from wellbeing.invitations")
    assert rows.fetchall() == [(True,)]


@pytest.mark.parametrize("view", VIEWS)
def test_fault_11_a_view_has_the_rights_of_its_reader(world: World, view: str) -> None:
    seen = {}
    for name in ("Practitioner", "Child", "Parent"):
        with acting(world, person(world.ours, name), world.ours) as connection:
            seen[name] = connection.execute(f"select distinct tenant_id from wellbeing.{view}".encode()).fetchall()
    ours, readers = (
        [(world.ours,)],
        {
            "child_progress_summary": {"Practitioner"},
            "organization_usage_stats": {"Practitioner"},
            "own_child_record": {"Child"},
        },
    )
    assert seen == {name: ours if name in readers[view] else [] for name in seen}


def test_fault_11_every_view_is_a_security_invoker(world: World) -> None:
    rows = world.connection.execute(
        "select relname, 'security_invoker=true' = any(reloptions) from pg_class"
        " where relnamespace = 'wellbeing'::regnamespace and relkind in ('v', 'm') order by 1"
    )
    assert rows.fetchall() == [(view, True) for view in VIEWS]


def test_fault_12_a_child_sees_its_row_without_the_notes_about_it(world: World) -> None:
    with acting(world, person(world.ours, "Child"), world.ours) as connection:
        rows = connection.execute("select to_jsonb(own) from wellbeing.own_child_record own").fetchall()
        directly = connection.execute("select count(*) from wellbeing.children").fetchone()
    ((row,),) = rows
    assert row["id"] == str(person(world.ours, "Child"))
    assert (SAFEGUARDING in str(row), directly) == (False, (0,))


def test_fault_12_the_view_leaves_out_the_notes_and_nothing_else(world: World) -> None:
    def columns(table: str) -> set[str]:
        rows = world.connection.execute(
            "select attname from pg_attribute where attrelid = %s::regclass and attnum > 0", (table,)
        )
        return {name for (name,) in rows}

    left_out = columns("wellbeing.children") - columns("wellbeing.own_child_record")
    assert left_out == {"safeguarding_notes", "additional_notes"}


def test_fault_12_no_mistake_in_the_view_could_show_the_notes(world: World) -> None:
    """The role that reads for the child lacks the privilege on them."""
    rows = world.connection.execute(
        "select has_column_privilege('scheduler_definer', 'wellbeing.children', attname, 'select')"
        " from pg_attribute where attrelid = 'wellbeing.children'::regclass and attname like '%\\_notes'"
    )
    assert rows.fetchall() == [(False,), (False,)]


def test_fault_12_practitioners_see_the_notes_in_their_columns(database: Database, tenant_id: UUID) -> None:
    practitioner, child = uuid4(), uuid4()
    with database.unit_of_work(role=Role.OWNER, tenant_id=tenant_id) as session:
        session.add(Organisation(id=tenant_id, name="A school", type="school-primary"))
        for user, role in ((practitioner, "Practitioner"), (child, "Child")):
            columns: dict[str, Any] = {
                "tenant_id": tenant_id,
                "id": user,
                "email": f"{role.lower()}@example.org",
                "name": role,
            }
            session.add(User(**columns, role=UserRole.STAFF))
            session.flush()
            session.add(Profile(**columns, role=role, org_id=tenant_id))
        session.flush()
        session.add(
            Child(tenant_id=tenant_id, id=child, org_id=tenant_id, first_name="Ann", safeguarding_notes=SAFEGUARDING)
        )
    with database.unit_of_work(role=Role.APP, tenant_id=tenant_id, user_id=practitioner) as session:
        assert session.exec(select(Child)).one().safeguarding_notes == SAFEGUARDING
        assert session.scalar(text("select count(*) from wellbeing.own_child_record")) == 0


def test_a_child_answers_in_its_own_session_only_and_for_itself_only(world: World) -> None:
    response = {"activity_type": "mood_wheel", "question_key": "now", "response_type": "scale", "response_value": "1"}
    child, friend = person(world.ours, "Child"), person(world.ours, "Friend")
    session, friends_session = (person(world.ours, f"session of {name}") for name in ("Child", "Friend"))
    with acting(world, child, world.ours) as connection:
        insert(
            connection,
            "wellbeing.wellbeing_responses",
            {"tenant_id": world.ours, "session_id": session, "child_id": child, **response},
        )
        for about, within, refusal in (
            (friend, session, psycopg.errors.InsufficientPrivilege),
            (friend, friends_session, psycopg.errors.InsufficientPrivilege),
            (child, friends_session, psycopg.errors.ForeignKeyViolation),
        ):
            row = {"tenant_id": world.ours, "session_id": within, "child_id": about, **response}
            with pytest.raises(refusal), connection.transaction():
                insert(connection, "wellbeing.wellbeing_responses", row)


@pytest.mark.parametrize("came_of", ["session", "response"])
def test_an_alert_refers_to_sources_of_its_own_child_only(world: World, came_of: str) -> None:
    """Not even the system may raise it: a reader of the alert would see the wrong child's answer."""
    alert = {"alert_type": "safeguarding", "severity": "urgent", "title": "A worry", "description": "Said so."}
    query = f"select id, child_id from wellbeing.wellbeing_{came_of}s"
    with acting(world, None, world.ours, role=Role.SYSTEM) as connection:
        of = {child: key for key, child in connection.execute(query.encode())}
        child, friend = (person(world.ours, name) for name in ("Child", "Friend"))
        raised: Row = {"tenant_id": world.ours, "child_id": child, **alert}
        insert(connection, "wellbeing.alerts", raised | {f"{came_of}_id": of[child]})
        with pytest.raises(psycopg.errors.ForeignKeyViolation, match=f"alerts_{came_of}_id_child_id_fkey"):
            insert(connection, "wellbeing.alerts", raised | {f"{came_of}_id": of[friend]})


def test_every_table_says_when_a_row_was_written_and_changed(world: World) -> None:
    """The specification promises it of all tables and forgets it in six."""
    without = world.connection.execute("""
        select relname, wanted from pg_class, unnest(array['created_at', 'updated_at']) as wanted
        where relnamespace = 'wellbeing'::regnamespace and relkind = 'r' and not exists (
            select from pg_attribute
            where attrelid = pg_class.oid and attname = wanted and attnotnull and atttypid = 'timestamptz'::regtype
        )
    """)
    assert without.fetchall() == []
