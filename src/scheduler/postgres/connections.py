"""Connections: the engine of a database, the settings of its transactions, and the session state that they discard.

Owns: the reading of a URL, the options of a connection, the settings on which statements depend, the end of a
transaction on a pooled connection, the refusal of a second one.
Holds: T5 (the session's zone is UTC, not the server's).
Must not know: which roles, tenants and tables there are.

A statement must not depend on the settings of a server, a database or a login. Each transaction sets for itself those
that change how a value is read or written, how a name is found, or how long it waits. Names are found in `pg_catalog`
only: a function `now` in a schema of the login's `search_path` would otherwise run in place of PostgreSQL's.

A pooler such as PgBouncer may hand each transaction to another connection of the server. So nothing here outlives its
transaction: no statement is prepared, and the message that ends a transaction also discards the state of the session.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.pq import TransactionStatus
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.util import await_only

from scheduler.core.errors import InvalidInputError
from scheduler.postgres.errors import StatementError

DRIVER: Final = "postgresql+psycopg"
CONNECT_SECONDS: Final = 10

SETTINGS: Final[Mapping[str, str]] = {
    "search_path": "pg_catalog, pg_temp",
    "timezone": "UTC",
    "datestyle": "ISO, YMD",  # the driver reads no other
    "intervalstyle": "postgres",  # the driver reads no other
    "bytea_output": "hex",  # of bytes in the JSON of the audit log
    "extra_float_digits": "1",  # fewer would round a number
    "standard_conforming_strings": "on",  # a backslash in a literal is a backslash
    "quote_all_identifiers": "off",  # of names that become text
    "row_security": "on",  # off makes an error of each statement that a policy restricts
    "idle_in_transaction_session_timeout": "5min",
}
"""Settings of every transaction of the library, in place of those of the server, the database and the login."""

_DISCARDED: Final = (
    "reset session authorization; reset role; reset all; deallocate all; unlisten *;"
    " select pg_catalog.pg_advisory_unlock_all(); discard sequences; set client_encoding = 'UTF8'"
)
# Deferred constraints are checked first: `discard temp` cannot drop a table with a check that is still to come.
# Cursors `with hold` and temporary tables end before the commit, which would keep them; settings end after it, since
# the triggers of a commit need them. `discard all` would refuse to share a message. One message costs no round trip.
# Behind a pooler, the encoding that `reset all` brings back is not the one that this client asked for.
COMMIT: Final = f"set constraints all immediate; close all; discard temp; commit; {_DISCARDED}"
"""The message that commits a transaction and discards the state of its session; the driver finds nothing left to do."""
_ROLLBACK: Final = f"rollback; close all; discard temp; {_DISCARDED}"


def assignments(settings: Mapping[str, str]) -> str:
    """Return a list of SQL expressions that set each setting until the transaction ends."""
    return ", ".join(f"pg_catalog.set_config('{name}', '{value}', true)" for name, value in settings.items())


def roll_back(connection: Connection) -> None:
    """Roll back, and discard the state of the session with it; a connection that cannot do so is closed."""
    if connection.closed or connection.invalidated:
        return
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection | psycopg.AsyncConnection)  # noqa: S101  # of the one driver in use
    try:
        with suppress(psycopg.Error):  # lost, or in the middle of a COPY
            if isinstance(driver, psycopg.AsyncConnection):
                await_only(driver.execute(_ROLLBACK))
            else:
                driver.execute(_ROLLBACK)
    except BaseException:  # cancelled once more, meanwhile: how far it came is unknown
        connection.invalidate()
        raise
    if status_of(connection) is not TransactionStatus.IDLE:
        connection.invalidate()


BEGUN: Final = "scheduler_has_begun"
"""The execution option of a connection whose transaction has the settings of a unit of work."""
MAY_COMMIT: Final = "scheduler_may_commit"
"""The execution option of a connection whose unit of work ends with a commit."""
ENDED: Final = (
    "the transaction ended inside its block, by a rollback, a commit, or a refusal that was caught, and no further"
    " statement is allowed: to undo a part and go on, put that part into `with session.begin_nested():`"
)


def begin_only_as_told(engine: Engine) -> None:
    """Refuse each statement that would begin a second transaction after `BEGUN`, and each commit by a caller.

    After a rollback the driver would begin another transaction, which has no role, tenant or settings.
    """

    def before_statement(connection: Connection, *_: Any) -> None:  # noqa: ANN401  # of the driver
        if connection.get_execution_options().get(BEGUN) and status_of(connection) is TransactionStatus.IDLE:
            raise StatementError(ENDED)

    def before_commit(connection: Connection) -> None:
        if not connection.get_execution_options().get(MAY_COMMIT):
            raise StatementError(ENDED)

    event.listen(engine, "before_cursor_execute", before_statement)
    event.listen(engine, "commit", before_commit)


def status_of(connection: Connection) -> TransactionStatus:
    """Return the state of a connection's transaction, as the server has told it."""
    driver: Any = connection.connection.driver_connection
    status: TransactionStatus = driver.info.transaction_status
    return status


def refuse_encoding(driver: Any) -> None:  # noqa: ANN401  # a connection of psycopg, sync or async
    """Refuse a connection of psycopg that cannot send every text.

    Raises:
        InvalidInputError: its encoding is not UTF-8.
    """
    if driver.info.encoding != "utf-8":
        raise InvalidInputError(
            f"the connection's encoding is {driver.info.encoding}: connect with client_encoding=UTF8"
        )


def application_of(url: URL) -> str:
    """Return the name under which the server lists the connections."""
    name = url.query.get("application_name", "slotsmith")
    return name if isinstance(name, str) else name[-1]


def open_engine(url: URL, **options: Any) -> Engine:  # noqa: ANN401  # options of SQLAlchemy
    """Return an engine for a URL of `read_url`; nothing is connected yet."""
    return create_engine(**engine_options(url), **options)


def engine_options(url: URL) -> dict[str, Any]:
    """Return the options of an engine for a URL of `read_url`, synchronous or asynchronous.

    It prepares no statement: behind a pooler, the server's next connection has not prepared it, or another one under
    the same name. It asks for no option at the start of a connection that PgBouncer would refuse.
    """
    connect: dict[str, object] = {"prepare_threshold": None, "client_encoding": "UTF8"}
    if "connect_timeout" not in url.query:
        connect["connect_timeout"] = CONNECT_SECONDS
    return {
        "url": url.update_query_dict({"application_name": application_of(url)}),
        "connect_args": connect,
        "hide_parameters": True,
        "isolation_level": "READ COMMITTED",  # a lock would otherwise not show what its last holder wrote
        "use_native_hstore": False,  # it looks a type up along the login's path
    }


def read_url(url: str) -> URL:
    """Read the URL of a PostgreSQL database, such as `postgresql://user:password@host:5432/name`.

    Raises:
        InvalidInputError: the URL cannot be read, or names another kind of database. The message does not repeat it,
            since it may hold a password.
    """
    try:
        parsed = make_url(url)
        make_conninfo(**dict.fromkeys(parsed.query, ""))  # refuses an option that the driver does not know
    except (ArgumentError, ValueError, TypeError, AttributeError, psycopg.ProgrammingError):
        raise InvalidInputError("the database URL cannot be read: postgresql://host/name is needed") from None
    if parsed.drivername not in {"postgresql", "postgres", DRIVER}:
        raise InvalidInputError(f"the database URL must begin with postgresql://, not {parsed.drivername}://")
    return parsed.set(drivername=DRIVER)


def name_of(url: URL) -> str:
    """Name a database in a message: host, port and name, without user, password or options."""
    host = url.host or str(url.query.get("host", "localhost"))
    return f"{host}{f':{url.port}' if url.port else ''}/{url.database or ''}"
