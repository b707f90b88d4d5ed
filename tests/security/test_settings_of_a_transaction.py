"""Settings of a transaction: role, tenant, user and request end with the unit of work.

All units here run on one connection, as they would behind a pool of one; each shows its backend to prove it.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import make_url, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from scheduler.core.errors import InvalidInputError
from scheduler.postgres.acting import act_for
from scheduler.postgres.connections import SETTINGS as OF_EVERY_TRANSACTION
from scheduler.postgres.database import Database, Request, Role
from scheduler.postgres.errors import SchemaMismatchError, StatementError
from support.databases import employ, execute
from support.worlds.tenants import World

pytestmark = pytest.mark.database

SETTINGS = ("app.tenant_id", "app.user_id", "app.request_id", "app.client_address", "app.user_agent")
REQUEST = Request(id="request-1", client_address="192.0.2.7", user_agent="a browser")
ENDS = ("a commit", "an exception", "a refused statement", "a rollback inside")
LEFT_OVER = (
    "select nextval('scheduling.doctors_id_seq')",
    "set app.note = 'of another tenant'",
    "set work_mem = '1MB'",
    "select pg_advisory_lock(77)",
    "listen left_over",
    "prepare left_over as select 1",
    "declare left_over cursor with hold for select 1",
    "create temporary table left_over (id int)",
    "set role scheduler_job",
    "set session authorization scheduler_job",
)
STATE = text("""
    select pg_backend_pid(), coalesce(current_setting('app.note', true), ''), current_setting('work_mem') <> '1MB',
        (select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()),
        (select count(*) from pg_listening_channels()), (select count(*) from pg_prepared_statements),
        (select count(*) from pg_cursors where name = 'left_over'), to_regclass('pg_temp.left_over'),
        current_user = session_user, session_user = :login, current_setting('role')
""")
NOTHING = ("",) * len(SETTINGS)


class Seen(NamedTuple):
    """The state of the connection when a unit of work begins."""

    backend: int
    settings: tuple[str | None, ...]
    facilities: int


@pytest.fixture
def database(world: World) -> Iterator[Database]:
    """A database with one connection in its pool, since nothing here asks for a second."""
    with Database(world.url) as opened:
        yield opened


def look(
    database: Database, tenant_id: UUID | None = None, *, user_id: UUID | None = None, request: Request | None = None
) -> Seen:
    with database.unit_of_work(
        role=Role.APP, tenant_id=tenant_id, user_id=user_id, request=request or Request()
    ) as session:
        backend = session.scalar(text("select pg_backend_pid()"))
        settings = tuple(
            session.scalar(text("select current_setting(:name, true)"), {"name": name}) for name in SETTINGS
        )
        facilities = session.scalar(text("select count(*) from scheduling.facilities"))
    assert isinstance(backend, int)
    assert isinstance(facilities, int)
    return Seen(backend, settings, facilities)


def work_and_end(
    database: Database,
    world: World,
    how: str,
    *,
    role: Role = Role.APP,
    last: Callable[[Session], object] = lambda _: None,
) -> int:
    """End a unit of work of `ours` in one of these ways, and return its backend."""
    backend = 0
    try:
        user_id = employ(world.url, world.ours)
        with database.unit_of_work(role=role, tenant_id=world.ours, user_id=user_id, request=REQUEST) as session:
            backend = session.scalar(text("select pg_backend_pid()")) or 0
            session.execute(text("update scheduling.facilities set phone = '1'"))
            last(session)
            if how == "an exception":
                raise LookupError  # noqa: TRY301  # as the work inside may
            if how == "a refused statement":
                session.execute(text("select 1 / 0"))
            if how == "a rollback inside":
                session.rollback()
    except (LookupError, StatementError):
        pass
    return backend


def test_a_unit_of_work_has_tenant_user_and_request(database: Database, world: World) -> None:
    user_id = employ(world.url, world.ours)
    seen = look(database, world.ours, user_id=user_id, request=REQUEST)
    assert seen.settings == (str(world.ours), str(user_id), *REQUEST)
    assert seen.facilities == 1


def test_the_user_of_a_unit_of_work_is_the_one_that_policies_ask_for(database: Database, world: World) -> None:
    user_id = uuid4()
    with database.unit_of_work(role=Role.APP, tenant_id=world.ours, user_id=user_id) as session:
        assert session.scalar(text("select identity.current_user_id()")) == user_id


@pytest.mark.parametrize("how", ENDS)
def test_role_tenant_and_user_do_not_reach_the_next_unit_of_work(database: Database, world: World, how: str) -> None:
    backend = work_and_end(database, world, how)
    assert look(database) == Seen(backend, NOTHING, 0)


@pytest.mark.parametrize("how", ENDS)
def test_a_returned_connection_has_no_tenant_user_or_request(database: Database, world: World, how: str) -> None:
    """The next user of the connection, from the pool or a pooler, may not open a unit of work."""
    backend = work_and_end(database, world, how)
    columns = ", ".join(f"coalesce(current_setting('{name}', true), '')" for name in SETTINGS)
    with database._engine.connect() as connection:
        state = connection.execute(text(f"select pg_backend_pid(), current_user = session_user, {columns}")).one()
    assert tuple(state) == (backend, True, *NOTHING)


@pytest.mark.parametrize("how", ENDS)
def test_no_state_of_the_session_outlives_a_unit_of_work(database: Database, world: World, how: str) -> None:
    def leave(session: Session) -> None:
        for statement in LEFT_OVER:
            session.execute(text(statement))

    backend = work_and_end(database, world, how, role=Role.OWNER, last=leave)
    with database._engine.connect() as connection:
        login = {"login": make_url(world.url).username}
        state = tuple(connection.execute(STATE, login).one())
        with pytest.raises(DBAPIError, match="lastval is not yet defined"):
            connection.execute(text("select lastval()"))
    assert state == (backend, "", True, 0, 0, 0, 0, None, True, True, "none")


def test_tenants_that_take_turns_on_one_connection_each_see_their_own(database: Database, world: World) -> None:
    turns = [world.ours, world.theirs, None] * 4
    seen = [look(database, tenant_id) for tenant_id in turns]
    assert len({each.backend for each in seen}) == 1
    assert [each.settings[0] for each in seen] == [str(tenant_id or "") for tenant_id in turns]
    assert [each.facilities for each in seen] == [1, 1, 0] * 4


def test_a_rolled_back_savepoint_leaves_the_tenant_as_it_was(database: Database, world: World) -> None:
    with database.unit_of_work(role=Role.APP, tenant_id=world.ours) as session:
        with session.begin_nested() as savepoint:
            session.execute(text("select set_config('app.tenant_id', :other, true)"), {"other": str(world.theirs)})
            savepoint.rollback()
        assert session.scalar(text("select identity.current_tenant_id()")) == world.ours


def test_outside_of_a_unit_of_work_the_connection_is_nobodys(world: World) -> None:
    """A pooler may hand the connection on between two transactions."""
    with psycopg.connect(world.url) as connection:
        with connection.transaction():
            connection.execute("select set_config('app.tenant_id', %s, true)", (str(world.ours),))
        connection.execute("set local role scheduler_app")
        assert connection.execute("select count(*) from scheduling.facilities").fetchone() == (0,)


ALL_SETTINGS = (*OF_EVERY_TRANSACTION, *SETTINGS, "role", "lock_timeout", "statement_timeout")


def acted_for(url: str, *arguments: Any, is_async: bool, autocommit: bool = False, **options: Any) -> tuple[Any, Any]:
    """Act on a connection of a host; return settings and facilities in the transaction, and the settings after it."""
    count = b"select count(*) from scheduling.facilities"
    settings = psycopg.sql.SQL("select {}").format(
        psycopg.sql.SQL(", ").join(
            psycopg.sql.SQL("coalesce(current_setting({}, true), '')").format(name) for name in ALL_SETTINGS
        )
    )

    async def act() -> tuple[Any, Any]:
        async with await psycopg.AsyncConnection.connect(url, autocommit=autocommit) as connection:
            await act_for(connection, *arguments, **options)
            inside = (
                await (await connection.execute(settings)).fetchone(),
                await (await connection.execute(count)).fetchone(),
            )
            await connection.commit()
            return inside, await (await connection.execute(settings)).fetchone()

    if is_async:
        return asyncio.run(act())
    with psycopg.connect(url, autocommit=autocommit) as connection:
        act_for(connection, *arguments, **options)
        inside = connection.execute(settings).fetchone(), connection.execute(count).fetchone()
        connection.commit()
        return inside, connection.execute(settings).fetchone()


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("role", [Role.APP, Role.SYSTEM])
def test_a_hosts_connection_acts_as_a_unit_of_work_does(
    database: Database, world: World, is_async: bool, role: Role
) -> None:
    user_id = employ(world.url, world.ours)
    with database.unit_of_work(role=role, tenant_id=world.ours, user_id=user_id, request=REQUEST) as session:
        expected = tuple(session.scalar(text("select current_setting(:name)"), {"name": name}) for name in ALL_SETTINGS)
    with psycopg.connect(world.url) as connection:
        query = "select array(select coalesce(current_setting(name, true), '') from unnest(%s::text[]) as names (name))"
        before = connection.execute(query, [list(ALL_SETTINGS)]).fetchone()
    inside, after = acted_for(world.url, world.ours, user_id, is_async=is_async, role=role, request=REQUEST)
    assert inside == (expected, (1,))
    assert (list(after),) == before


@pytest.mark.parametrize("is_async", [False, True])
def test_a_hosts_connection_without_a_transaction_is_refused(world: World, is_async: bool) -> None:
    with pytest.raises(InvalidInputError, match="autocommit mode"):
        acted_for(world.url, world.ours, is_async=is_async, autocommit=True)


def test_only_a_connection_of_psycopg_that_sends_every_text_acts(world: World) -> None:
    with pytest.raises(InvalidInputError, match="a connection of psycopg is needed, not str"):
        act_for(world.url, world.ours)  # type: ignore[call-overload]
    with (
        psycopg.connect(world.url, client_encoding="LATIN1") as connection,
        pytest.raises(InvalidInputError, match="encoding is iso8859-1: connect with client_encoding=UTF8"),
    ):
        act_for(connection, world.ours)


def test_a_hosts_connection_acts_in_a_transaction_block_of_autocommit(world: World) -> None:
    with psycopg.connect(world.url, autocommit=True) as connection, connection.transaction():
        act_for(connection, world.ours)
        assert connection.execute("select count(*) from scheduling.facilities").fetchone() == (1,)


def test_a_hosts_aborted_transaction_is_refused(world: World) -> None:
    with psycopg.connect(world.url) as connection:
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute("select 1 / 0")
        with pytest.raises(StatementError, match="InFailedSqlTransaction"):
            act_for(connection, world.ours)


@pytest.mark.parametrize("is_async", [False, True])
def test_a_hosts_connection_that_lacks_a_role_is_refused_with_advice(world: World, is_async: bool) -> None:
    class Stranger(StrEnum):
        STRANGER = "scheduler_stranger"

    with pytest.raises(SchemaMismatchError, match="no role scheduler_stranger: run `scheduler migrate`"):
        acted_for(world.url, world.ours, is_async=is_async, role=Stranger.STRANGER)
    with (
        a_login(world.url) as url,
        pytest.raises(
            StatementError, match=r"may not act as scheduler_app in .*/.*: grant scheduler_app to slotsmith_test_"
        ),
    ):
        acted_for(url, world.ours, is_async=is_async)


@contextmanager
def a_login(url: str) -> Iterator[str]:
    """Create a login without any role, and yield its URL."""
    login = f"slotsmith_test_{uuid4().hex[:8]}"
    execute(url, f"create role {login} login password '{login}'")
    try:
        yield make_url(url).set(username=login, password=login).render_as_string(hide_password=False)
    finally:
        execute(url, f"drop role {login}")


@pytest.mark.parametrize("role", [role for role in Role if role is not Role.OWNER])
def test_a_login_without_the_role_is_refused_with_advice(world: World, role: Role) -> None:
    with (
        a_login(world.url) as url,
        Database(url) as database,
        pytest.raises(
            StatementError, match=f"may not act as {role.value} .*: grant {role.value} to slotsmith_test_"
        ) as refused,
        database.unit_of_work(role=role, tenant_id=world.ours),
    ):
        pass
    assert refused.value.sqlstate == "42501"


def test_a_login_that_may_act_as_one_role_is_held_to_it(world: World) -> None:
    login = f"slotsmith_test_{uuid4().hex[:8]}"
    execute(world.url, f"create role {login} login noinherit password '{login}'", f"grant scheduler_app to {login}")
    url = make_url(world.url).set(username=login, password=login).render_as_string(hide_password=False)
    try:
        with Database(url) as database:
            assert look(database, world.ours).facilities == 1
            with (
                pytest.raises(StatementError, match="may not act as scheduler_job"),
                database.unit_of_work(role=Role.JOB, tenant_id=world.ours),
            ):
                pass
            with (
                pytest.raises(
                    StatementError, match=r"permission denied in .*: the role lacks a privilege on (schema|table)"
                ),
                database.unit_of_work(role=Role.OWNER, tenant_id=world.ours) as session,
            ):
                session.execute(text("select count(*) from scheduling.facilities"))
    finally:
        execute(world.url, f"drop role {login}")
