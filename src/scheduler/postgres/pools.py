"""Pools: the library's own connections, which it cleans, and a host's, which it gives back as found.

Owns: the size of a pool, the mode of a host's connection while the library has it.
Must not know: roles and tenants (`acting`), units of work (`database`).

The library's own connections are cleaned after each transaction. A host's connections are left as they were found:
the session of a connection is the host's own, with what it has set, prepared or locked there.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import URL, Connection, Engine, event
from sqlalchemy.exc import DisconnectionError, SQLAlchemyError
from sqlalchemy.util import await_only

from scheduler.core.errors import InvalidInputError
from scheduler.postgres.connections import (
    COMMIT,
    ENDED,
    MAY_COMMIT,
    application_of,
    begin_only_as_told,
    open_engine,
    refuse_encoding,
    roll_back,
    status_of,
)
from scheduler.postgres.errors import StatementError

_MODE: Final = "scheduler: the mode of a host's connection"
_Mode = tuple[bool, psycopg.IsolationLevel | None]
_NOT_IN_TRANSACTION: Final = (TransactionStatus.IDLE, TransactionStatus.INERROR)


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """The size of a pool of connections.

    Units of work with `phi` take a second connection, from a second pool of this size.

    Raises:
        InvalidInputError: no connection could be had, or a duration is not positive.
    """

    size: int = 5
    """The connections that stay open while idle."""
    overflow: int = 10
    """The connections beyond that, which are closed after use."""
    patience: timedelta = timedelta(seconds=30)
    """The wait for a free connection, before a `DatabaseUnreachableError`."""
    max_age: timedelta | None = None
    """The age at which an idle connection is replaced before its next use; None for any age."""

    def __post_init__(self) -> None:
        if self.size < 1 or self.overflow < 0:
            raise InvalidInputError(
                f"a pool needs a size of at least 1 and an overflow of at least 0, not {self.size} and {self.overflow}"
            )
        if self.patience <= timedelta() or (self.max_age is not None and self.max_age <= timedelta()):
            raise InvalidInputError(
                f"patience and max_age of a pool must be positive, not {self.patience} and {self.max_age}"
            )

    def options(self) -> dict[str, Any]:
        """Return the options of SQLAlchemy's `create_engine`."""
        return {
            "pool_size": self.size,
            "max_overflow": self.overflow,
            "pool_timeout": self.patience.total_seconds(),
            "pool_recycle": -1 if self.max_age is None else self.max_age.total_seconds(),
        }


class OwnPool:
    """Connections of the library alone, which are cleaned when a transaction ends."""

    def __init__(self, url: URL, settings: PoolSettings, *, open_engine: Callable[..., Engine] = open_engine) -> None:
        self.application: str | None = application_of(url)  # a pooler forgets the one of the connection
        self.engine: Engine = open_engine(url, **settings.options())
        begin_only_as_told(self.engine)
        self.read_engine: Engine = open_engine(url, pool_pre_ping=True, **settings.options())

    def connect(self) -> Connection:
        """Take a connection."""
        return self.engine.connect()

    def commit(self, connection: Connection) -> None:
        """Commit the transaction of a connection."""
        refuse_ended(connection)
        connection.exec_driver_sql(COMMIT)

    def roll_back(self, connection: Connection) -> None:
        """Roll back the transaction of a connection; one that cannot do so is closed."""
        roll_back(connection)

    def release(self, connection: Connection) -> None:
        """Give a connection back."""
        connection.close()

    def close(self) -> None:
        """Close the idle connections."""
        self.engine.dispose()
        self.read_engine.dispose()


class HostPool:
    """Connections of a host's engine, which keep their session, and get their mode back.

    Listeners are on an engine of its own that shares the host's pool. Read logs have a second pool, made like the
    host's: in a common one, units of work would wait for connections of units of work that wait.
    """

    def __init__(self, engine: Engine) -> None:
        self.application: str | None = None
        self.engine: Engine = engine.execution_options()
        self.engine.hide_parameters = True
        begin_only_as_told(self.engine)
        self.read_engine: Engine = Engine(
            engine.pool.recreate(),
            engine.dialect,
            engine.url,
            hide_parameters=True,
            execution_options={"isolation_level": "READ COMMITTED"},
        )
        event.listen(self.read_engine, "checkout", self._replace_dead)

    def connect(self) -> Connection:
        """Take a connection and give it the mode of the library.

        Raises:
            InvalidInputError: its encoding is not UTF-8, or a listener of the host has begun a transaction.
        """
        connection = self.engine.connect()
        try:
            _take(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def commit(self, connection: Connection) -> None:
        """Commit the transaction of a connection."""
        refuse_ended(connection)
        connection.execution_options(**{MAY_COMMIT: True}).commit()

    def roll_back(self, connection: Connection) -> None:
        """Roll back the transaction of a connection; one that cannot do so is closed."""
        if connection.closed or connection.invalidated:
            return
        try:
            with suppress(SQLAlchemyError, psycopg.Error):  # lost, or in the middle of a COPY
                connection.rollback()
                connection.connection.rollback()  # of the driver: a refused commit has ended the one of SQLAlchemy only
        except BaseException:  # cancelled once more, meanwhile: how far it came is unknown
            connection.invalidate()
            raise
        if not connection.invalidated and status_of(connection) is not TransactionStatus.IDLE:
            connection.invalidate()

    def release(self, connection: Connection) -> None:
        """Give a connection back in the mode in which it was taken."""
        if not connection.closed and not connection.invalidated and (mode := connection.info.pop(_MODE, None)):
            _set_mode(connection.connection.driver_connection, mode)
        connection.close()

    def close(self) -> None:
        """Close the idle connections of read logs; the engine is the host's."""
        self.read_engine.dispose()

    def _replace_dead(self, connection: Any, *_: object) -> None:  # noqa: ANN401  # of the driver
        dialect = self.read_engine.dialect
        try:
            dialect.do_ping(connection)
        except dialect.loaded_dbapi.Error as error:
            raise DisconnectionError from error


class PoolApart(HostPool):
    """Connections that are opened like those of another pool, with its password and settings, and closed with this."""

    def __init__(self, pool: OwnPool | HostPool) -> None:
        like = pool.engine
        super().__init__(Engine(like.pool.recreate(), like.dialect, like.url))
        self.application: str | None = pool.application

    def close(self) -> None:
        """Close the idle connections."""
        self.engine.dispose()
        super().close()


def _take(connection: Connection) -> None:
    """Give a host's connection the mode of the library, and note its own."""
    driver: Any = connection.connection.driver_connection
    refuse_encoding(driver)
    if status_of(connection) is not TransactionStatus.IDLE:
        raise InvalidInputError("a connection of this engine is already in a transaction when it leaves its pool")
    connection.info[_MODE] = driver.autocommit, driver.isolation_level
    _set_mode(driver, (False, psycopg.IsolationLevel.READ_COMMITTED))


def _set_mode(driver: Any, mode: _Mode) -> None:  # noqa: ANN401  # a connection of psycopg, sync or async
    if isinstance(driver, psycopg.AsyncConnection):
        await_only(_set_mode_async(driver, mode))
    else:
        driver.autocommit, driver.isolation_level = mode


async def _set_mode_async(driver: psycopg.AsyncConnection[Any], mode: _Mode) -> None:
    if driver.autocommit is not mode[0]:  # each call costs a step of the event loop's machinery
        await driver.set_autocommit(mode[0])
    if driver.isolation_level is not mode[1]:
        await driver.set_isolation_level(mode[1])


def refuse_ended(connection: Connection) -> None:
    """Refuse to commit a transaction that has ended or is aborted, which the driver would do without an error."""
    transaction = connection.get_transaction()
    if transaction is None or not transaction.is_active or status_of(connection) in _NOT_IN_TRANSACTION:
        raise StatementError(ENDED)
