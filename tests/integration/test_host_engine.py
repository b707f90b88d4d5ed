"""Engine of a host: units of work on its pool, whose connections are left as they were found."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlmodel import Session

from scheduler.core.errors import InvalidInputError
from scheduler.models import Tenant
from scheduler.postgres.audit.reads import read_log_of
from scheduler.postgres.connections import DRIVER
from scheduler.postgres.database import Database, Role
from scheduler.postgres.errors import DatabaseUnreachableError, StatementError
from scheduler.postgres.pools import PoolSettings
from support.databases import employ, execute

pytestmark = pytest.mark.database

OWN_STATE = (
    "set app.note = 'of the host'",
    "set work_mem = '1MB'",
    "select pg_advisory_lock(77)",
    "listen orders",
    "prepare own as select 1",
    "create temporary table own (id int)",
    "set role scheduler_job",
)
STATE = text("""
    select pg_backend_pid(), current_setting('app.note'), current_setting('work_mem'), current_user,
        current_setting('application_name'), current_setting('search_path'), current_setting('timezone'),
        (select count(*) from pg_locks where locktype = 'advisory' and pid = pg_backend_pid()),
        array(select pg_listening_channels()), (select count(*) from pg_prepared_statements where name = 'own'),
        to_regclass('pg_temp.own')::text, coalesce(current_setting('app.tenant_id', true), '')
""")


def host_engine(url: str, **options: Any) -> Engine:
    """Return an engine with one connection, as a host makes it."""
    return create_engine(make_url(url).set(drivername=DRIVER), pool_size=1, max_overflow=0, pool_timeout=1, **options)


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    made = host_engine(database_url)
    yield made
    made.dispose()


def name_tenant(session: Session, name: str) -> None:
    session.execute(text("update identity.tenants set name = :name"), {"name": name})


def name_of_tenant(database: Database, tenant_id: UUID) -> str:
    with database.unit_of_work(role=Role.OWNER, tenant_id=tenant_id) as session:
        return session.get_one(Tenant, tenant_id).name


def committed(session: Session) -> None:
    name_tenant(session, "committed")


def raised(session: Session) -> None:
    name_tenant(session, "lost")
    raise LookupError


def refused(session: Session) -> None:
    name_tenant(session, "lost")
    session.execute(text("select 1 / 0"))


def rolled_back(session: Session) -> None:
    name_tenant(session, "lost")
    session.rollback()


def swallowed_a_refusal(session: Session) -> None:
    """Leave an aborted transaction, of which a commit would silently be a rollback."""
    name_tenant(session, "lost")
    with suppress(DBAPIError):
        session.connection().exec_driver_sql("select 1 / 0")


def rolled_back_in_sql(session: Session) -> None:
    name_tenant(session, "lost")
    session.connection().exec_driver_sql("rollback")


def committed_inside(session: Session) -> None:
    name_tenant(session, "lost")
    session.connection().commit()


ENDS: dict[Callable[[Session], None], type[Exception] | None] = {
    committed: None,
    raised: LookupError,
    refused: StatementError,
    rolled_back: StatementError,
    swallowed_a_refusal: StatementError,
    rolled_back_in_sql: StatementError,
    committed_inside: StatementError,
}


@pytest.mark.filterwarnings("ignore:transaction already deassociated")
@pytest.mark.parametrize("end", ENDS)
def test_r4_a_hosts_connection_is_given_back_as_it_was_found(
    engine: Engine, tenant_id: UUID, end: Callable[[Session], None]
) -> None:
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        driver.autocommit = True
        for statement in OWN_STATE:
            driver.execute(statement)
        before = tuple(connection.execute(STATE).one())
    mode = driver.autocommit, driver.isolation_level, driver.prepare_threshold
    with Database.from_engine(engine) as database:
        for _ in range(7):  # so that the driver prepares statements, as it does after five
            error = None
            try:
                with database.unit_of_work(role=Role.OWNER, tenant_id=tenant_id) as session:
                    assert session.scalar(text("select pg_backend_pid()")) == before[0]
                    end(session)
            except (LookupError, StatementError) as caught:
                error = type(caught)
            assert error == ENDS[end]
        assert (driver.autocommit, driver.isolation_level, driver.prepare_threshold) == mode
        with engine.connect() as connection:
            assert tuple(connection.execute(STATE).one()) == before
        assert (name_of_tenant(database, tenant_id) == "committed") == (end is committed)


def test_a_unit_of_work_on_a_hosts_engine_has_its_own_mode(database_url: str, tenant_id: UUID) -> None:
    engine = host_engine(database_url, isolation_level="AUTOCOMMIT")
    with Database.from_engine(engine) as database:
        with suppress(LookupError), database.unit_of_work(role=Role.OWNER, tenant_id=tenant_id) as session:
            assert session.scalar(text("select current_setting('transaction_isolation')")) == "read committed"
            raised(session)
        assert name_of_tenant(database, tenant_id) != "lost"
    with engine.connect() as connection:  # still open, and in the host's mode
        assert connection.scalar(text("select current_setting('application_name')")) == ""
        connection.execute(text("select 1"))
        driver: Any = connection.connection.driver_connection
        assert driver.autocommit
    engine.dispose()


def test_the_hosts_own_work_on_its_engine_is_unchanged(engine: Engine, tenant_id: UUID) -> None:
    Database.from_engine(engine)
    with engine.begin() as connection:
        connection.execute(text("update identity.tenants set name = 'of the host' where id = :id"), {"id": tenant_id})
    with engine.connect() as connection:
        connection.rollback()
        connection.execute(text("select 1"))
        connection.commit()
        with pytest.raises(DBAPIError, match="'value': 'shown'"):
            connection.execute(text("select cast(:value as int)"), {"value": "shown"})


def test_listeners_and_a_new_pool_of_the_host_apply_to_units_of_work(engine: Engine, tenant_id: UUID) -> None:
    """A host may set its own settings at each begin, and disposing of a pool gives it a new one."""
    event.listen(
        engine, "begin", lambda connection: connection.exec_driver_sql("select set_config('app.note', 'ours', true)")
    )
    with Database.from_engine(engine) as database:
        for _ in range(2):
            with database.unit_of_work(role=Role.APP, tenant_id=tenant_id) as session:
                assert session.scalar(text("select current_setting('app.note')")) == "ours"
            engine.dispose()


def test_a_hosts_connection_that_died_in_the_pool_is_replaced(
    engine: Engine, database_url: str, tenant_id: UUID
) -> None:
    backends = list[object]()
    with Database.from_engine(engine) as database:
        for _ in range(2):
            with (
                database.unit_of_work(role=Role.APP, tenant_id=tenant_id, phi=True) as session,
                read_log_of(session).begin() as log,
            ):
                backends += (connection.scalar(text("select pg_backend_pid()")) for connection in (session, log))
            execute(database_url, *(f"select pg_terminate_backend({backend}, 10000)" for backend in backends[:2]))
    assert len(set(backends)) == 4


def test_reads_are_recorded_though_the_hosts_pool_has_one_connection(
    engine: Engine, database_url: str, tenant_id: UUID
) -> None:
    user_id = employ(database_url, tenant_id)
    with Database.from_engine(engine) as database:
        with (
            suppress(LookupError),
            database.unit_of_work(role=Role.APP, tenant_id=tenant_id, user_id=user_id, phi=True) as session,
        ):
            read_log_of(session).record("placement.clients", ["1"], ["name"], reason="a test")
            raise LookupError
        with database.unit_of_work(role=Role.OWNER, tenant_id=tenant_id) as session:
            assert (
                session.scalar(
                    text("select count(*) from audit.user_action_audit_log where entity = 'placement.clients'")
                )
                == 1
            )


def test_a_hosts_pool_in_use_is_named_after_its_patience(engine: Engine) -> None:
    with (
        Database.from_engine(engine) as database,
        engine.connect(),
        pytest.raises(DatabaseUnreachableError, match="all connections of this process are in use"),
        database.unit_of_work(role=Role.APP, tenant_id=None),
    ):
        pass


def test_a_connection_that_a_listener_left_in_a_transaction_is_refused(engine: Engine) -> None:
    event.listen(engine, "checkout", lambda connection, *_: connection.execute("select 1"))
    with (
        Database.from_engine(engine) as database,
        pytest.raises(InvalidInputError, match="already in a transaction"),
        database.unit_of_work(role=Role.APP, tenant_id=None),
    ):
        pass


def test_a_connection_that_cannot_send_every_text_is_refused(database_url: str) -> None:
    engine = host_engine(database_url, connect_args={"client_encoding": "LATIN1"})
    with (
        Database.from_engine(engine) as database,
        pytest.raises(InvalidInputError, match="encoding is iso8859-1: connect with client_encoding=UTF8"),
        database.unit_of_work(role=Role.APP, tenant_id=None),
    ):
        pass
    engine.dispose()


@pytest.mark.parametrize(
    ("engine", "named"),
    [
        (create_engine("sqlite://"), "not sqlite"),
        (create_async_engine(f"{DRIVER}://host/x"), "not AsyncEngine"),
        (create_async_engine(f"{DRIVER}://host/x").sync_engine, "not create_async_engine"),
        (f"{DRIVER}://me:secret@host/x", "not str"),
    ],
)
def test_an_engine_of_another_driver_is_refused_in_one_line(engine: Any, named: str) -> None:
    with pytest.raises(InvalidInputError, match=rf"{named}$") as caught:
        Database.from_engine(engine)
    assert "\n" not in str(caught.value)


def test_settings_of_a_pool_reach_both_pools(database_url: str) -> None:
    settings = PoolSettings(size=1, overflow=0, patience=timedelta(milliseconds=1), max_age=timedelta(hours=1))
    with (
        Database(database_url, pool=settings) as database,
        database.unit_of_work(role=Role.APP, tenant_id=None, phi=True),
    ):
        for phi in (False, True):
            with (
                pytest.raises(DatabaseUnreachableError, match="in use"),
                database.unit_of_work(role=Role.APP, tenant_id=None, phi=phi),
            ):
                pass


@pytest.mark.parametrize(
    "wrong",
    [{"size": 0}, {"overflow": -1}, {"patience": timedelta()}, {"max_age": timedelta(seconds=-1)}],
)
def test_impossible_settings_of_a_pool_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError, match="pool"):
        PoolSettings(**wrong)
