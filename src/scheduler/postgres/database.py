"""The database: one transaction at a time, as one role, for one tenant and one user.

Owns: the unit of work.
Holds: R4 (a unit of work is one transaction: all of it or nothing).
Must not know: which tables there are, what is done with their rows; how errors are worded (`translation`).

Role, tenant, user and request are set inside the transaction and end with it, as all state of its session does
(`connections`).
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any, Final, Self
from uuid import UUID

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from scheduler.core.errors import InvalidInputError
from scheduler.postgres.acting import Request, Role, Timeouts, act_as, assume, settings_of
from scheduler.postgres.audit.reads import ReadLog, attached
from scheduler.postgres.connections import BEGUN, DRIVER, name_of, read_url
from scheduler.postgres.pools import HostPool, OwnPool, PoolApart, PoolSettings
from scheduler.postgres.translation import translated

__all__ = ["Database", "Request", "Role", "act_as", "advisory_lock"]

_log: Final = logging.getLogger("scheduler.postgres")

# A login may have asynchronous commits, which a crash of the server undoes.
_DURABLY: Final = text("""
    select pg_catalog.set_config('synchronous_commit', 'on', true)
    where pg_catalog.current_setting('synchronous_commit') = 'off'
""")

_POOL: Final = PoolSettings()
_TIMEOUTS: Final = Timeouts()


def advisory_lock(session: Session, subject: str) -> None:
    """Wait for the lock on a subject and hold it until the transaction ends. Migrations build their keys alike."""
    lock = text("select pg_advisory_xact_lock(hashtext('scheduler'), hashtext(:subject))")
    session.connection().execute(lock, {"subject": subject})


class _Session(Session):
    """A session that refuses statements after its unit of work; an ordinary one shows errors of SQLAlchemy."""

    ended = False

    def get_bind(self, *args: Any, **options: Any) -> Engine | Connection:  # noqa: ANN401  # as in SQLAlchemy
        """Return the connection of the unit of work: each statement asks for it."""
        if self.ended:
            raise InvalidInputError("a unit of work does no call after its block: open another unit of work")
        return super().get_bind(*args, **options)


class Database:
    """A PostgreSQL database, opened with a URL. Close it, or use it in a `with` statement.

    Nothing is connected before the first unit of work. One `Database` serves one process (and its threads). `pool` sets
    the number and age of its connections.

    Raises:
        InvalidInputError: the URL cannot be read.
    """

    def __init__(self, url: str, *, pool: PoolSettings = _POOL) -> None:
        parsed = read_url(url)
        self.name: str = name_of(parsed)
        self._url: str | None = url
        self._use(OwnPool(parsed, pool))

    @classmethod
    def from_engine(cls, engine: Engine) -> Self:
        """Use the engine of a host, which keeps it: `close` leaves its connections open.

        A unit of work leaves a connection as it found it: isolation level, autocommit, and all state of the session,
        such as prepared statements, temporary tables, `set` and LISTEN. The library only sets what ends with its
        transaction. So whatever a caller leaves on the session in a block stays there, too. Listeners of the engine and
        adapters of its connections apply to the library's statements. Units of work with `phi` take their second
        connection from a pool like the engine's, which `close` closes.

        Raises:
            InvalidInputError: the engine is not a synchronous one of postgresql+psycopg.
        """
        if not isinstance(engine, Engine) or (engine.dialect.name, engine.dialect.driver) != ("postgresql", "psycopg"):
            named = engine.url.drivername if isinstance(engine, Engine) else type(engine).__name__
            raise InvalidInputError(f"an engine of {DRIVER} is needed, made by create_engine, not {named}")
        if engine.dialect.is_async:
            raise InvalidInputError(
                f"a synchronous engine of {DRIVER} is needed: create_engine, not create_async_engine"
            )
        return cls.of_pool(HostPool(engine))

    @classmethod
    def of_pool(cls, pool: OwnPool | HostPool) -> Self:
        """Use the connections of a pool, synchronous or awaited."""
        database = cls.__new__(cls)
        database.name = name_of(pool.engine.url)
        database._url = None  # noqa: SLF001  # of this class
        database._use(pool)  # noqa: SLF001  # of this class
        return database

    @property
    def url(self) -> str | None:
        """The URL with which another process opens this database, with its password; None over an engine."""
        return self._url

    def apart(self) -> Self:
        """Return the same database with connections of its own, as for the event loop of another thread."""
        return self.of_pool(PoolApart(self._pool))

    def _use(self, pool: OwnPool | HostPool) -> None:
        self._pool = pool
        self._engine, self._read_engine = pool.engine, pool.read_engine

    def unit_of_work(
        self,
        *,
        role: Role,
        tenant_id: UUID | None,
        user_id: UUID | None = None,
        request: Request | None = None,
        phi: bool = False,
        timeouts: Timeouts = _TIMEOUTS,
    ) -> AbstractContextManager[Session]:
        """Run the block as one transaction, as this role, for this tenant and user: all of it or nothing.

        Leaving the block commits; an exception rolls back. `session.commit()` inside only flushes the session. After
        `session.rollback()` the block can only end, with an error; `session.begin_nested()` undoes a part.
        Without a tenant no row of a tenant is visible (except to a superuser, whom row security does not bind).
        The statements of users (`Role.APP`, `Role.DESK`) have the time limit of the login, whatever `timeouts` says.
        With `phi` the block may read encrypted values: it holds a second connection, which records each read for good.

        Raises:
            DatabaseUnreachableError: no connection, or it was lost; a commit under way may or may not have happened.
            SchemaMismatchError: the tables are missing, or not as this code needs them.
            StatementError: the database refused a statement, or the transaction ended inside the block.
        """
        application = self._pool.application
        settings = settings_of(role, tenant_id, user_id, request, application=application, timeouts=timeouts)
        senders: list[object] = [self._engine, self._read_engine]
        log = self._read_log(tenant_id, settings) if phi else nullcontext()
        return translated(self.name, self._transaction(settings, log, senders), senders=senders)

    @contextmanager
    def _transaction(
        self,
        settings: Mapping[str, str | None],
        log: AbstractContextManager[ReadLog | None],
        senders: list[object],
    ) -> Iterator[Session]:
        """Run the block as one transaction, and add to `senders` what may send its statements."""
        with log as read_log, self._begun(settings) as connection:
            senders += connection, connection.connection.driver_connection
            outcome = "rolled back"
            try:
                with (
                    _Session(connection, expire_on_commit=False, join_transaction_mode="rollback_only") as session,
                    attached(session, read_log),
                ):
                    senders.append(session)
                    try:
                        yield session
                        session.flush()
                        self._pool.commit(connection)
                        outcome = "committed"
                    finally:
                        session.ended = True
                        if outcome != "committed":
                            self._pool.roll_back(connection)
            finally:
                tenant = settings["tenant_id"] or "no tenant"
                _log.debug("unit of work as %s for %s: %s", settings["role"], tenant, outcome)

    @contextmanager
    def _begun(self, settings: Mapping[str, str | None]) -> Iterator[Connection]:
        """Yield a connection in a transaction with these settings."""
        connection = self._begin(settings)
        try:
            yield connection
        finally:
            self._pool.release(connection)

    def _begin(self, settings: Mapping[str, str | None], *, attempts: int = 2) -> Connection:
        """Return a connection in a transaction with these settings.

        Its first statement also shows whether the connection has died in the pool, which is then left for a new one.
        """
        connection = self._pool.connect()
        try:
            assume(connection, settings, self.name)
        except BaseException as error:
            self._pool.roll_back(connection)
            self._pool.release(connection)
            if isinstance(error, DBAPIError) and error.connection_invalidated and attempts > 1:
                return self._begin(settings, attempts=attempts - 1)
            raise
        return connection.execution_options(**{BEGUN: True})

    @contextmanager
    def _read_log(self, tenant_id: UUID | None, settings: Mapping[str, str | None]) -> Iterator[ReadLog]:
        """Yield a read log on a connection of its own, which is held while the block lasts."""
        with self._read_engine.connect() as connection:
            yield ReadLog(tenant_id, partial(self._durable, connection, settings))

    @contextmanager
    def _durable(self, connection: Connection, settings: Mapping[str, str | None]) -> Iterator[Connection]:
        """Run the block as one transaction that is on disk when it ends."""
        with translated(self.name), connection.begin():
            assume(connection, settings, self.name)
            connection.execute(_DURABLY)
            yield connection

    def close(self) -> None:
        """Close the idle connections, except those of a host's engine."""
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
