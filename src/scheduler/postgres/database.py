"""The database: one transaction at a time, as one role, for one tenant and one user.

Owns: the connection to PostgreSQL, the unit of work, and the turning of driver errors into the `StoreError` tree.
Holds: R4 (a unit of work is one transaction: all of it or nothing), T5 (the session's zone is UTC, not the server's).
Must not know: which tables there are, what is done with their rows.

Who is asking (role, tenant, user, request) is said inside the transaction and ends with it, and what would outlive it
is discarded: nothing leaks to who next uses a pooled connection, also behind a pooler that hands out connections by
transaction. Messages name the kind of
fault and the constraint, never a value of a row.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Final, NamedTuple, Self
from uuid import UUID

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.errors import InsufficientPrivilege
from sqlalchemy import URL, create_engine, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlmodel import Session

from scheduler.core.errors import InvalidInputError
from scheduler.models.encrypted_column import NotEncryptedError
from scheduler.postgres.errors import DatabaseUnreachableError, SchemaMismatchError, StatementError, StoreError

DRIVER: Final = "postgresql+psycopg"
CONNECT_SECONDS: Final = 10
NOT_MIGRATED: Final = "run `scheduler migrate`"

_BEGIN: Final = text("""
    select set_config('role', :role, true),
        set_config('app.tenant_id', :tenant_id, true),
        set_config('app.user_id', :user_id, true),
        set_config('app.request_id', :request_id, true),
        set_config('app.client_address', :client_address, true),
        set_config('app.user_agent', :user_agent, true),
        set_config('timezone', 'UTC', true),
        set_config('lock_timeout', '10s', true),
        set_config('idle_in_transaction_session_timeout', '5min', true)
""")

# What a transaction may leave to the next one on its connection, whoever that is for: cursors `with hold` and temporary
# tables. In one message with the commit, so that it is no way more to the server; the driver finds nothing left to do.
_COMMIT: Final = "close all; discard temp; commit"

NOT_ALLOWED: Final = InsufficientPrivilege.sqlstate
"""The SQLSTATE of what row security, a missing right or a guard of the schema refuses."""

# SQLSTATE classes and codes (PostgreSQL, appendix A) by what a caller does about them.
_LOST: Final = ("08", "25P03", "28", "3D000", "53300", "57P")
_NOT_IN_ORDER: Final = "55000"  # the schema's own functions; they name tables, and no value
_DANGLING: Final = ("23503", "23001")  # release 18 has the second for `on delete restrict`
_BY_A_POLICY: Final = "ExecWithCheckOptions"  # where the server says so: its words are in the language of its locale
_MISMATCHED: Final = ("3F000", "42P01", "42703", "42704", "42883")


class Role(StrEnum):
    """As whom a unit of work acts in the database."""

    APP = "scheduler_app"
    """Everything that is done for a user."""
    JOB = "scheduler_job"
    """The nightly job: reads what decides slots, writes slots."""
    SYSTEM = "scheduler_system"
    """What the library does by itself for a tenant, but for no user: awards, alerts, admission, keys, seals."""
    OWNER = "none"
    """Whoever signed in: for migrations, and for making a tenant."""


class Request(NamedTuple):
    """Where a wish came from, for the audit log: an id, the client's address (IPv4 or IPv6), its user agent."""

    id: str = ""
    client_address: str = ""
    user_agent: str = ""


_NOT_SAID: Final = Request()


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _of_the_caller(error: SQLAlchemyError | psycopg.Error) -> str:
    """Say what was wrong with a value before the database saw it; the value is not repeated."""
    cause = getattr(error, "orig", None)
    if isinstance(cause, LookupError):
        return "a value is not one of those that its column knows"
    return str(cause) if isinstance(cause, NotEncryptedError) else type(cause or error).__name__


def _translation(error: SQLAlchemyError | psycopg.Error, where: str) -> StoreError:
    fault = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(fault, psycopg.Error):
        return StatementError(f"a statement could not be made: {_of_the_caller(error)}")
    code = fault.sqlstate
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    if lost or (code is None and isinstance(fault, psycopg.OperationalError)) or (code or "").startswith(_LOST):
        return DatabaseUnreachableError(f"no connection to the database {where}: {_first_line(fault)}")
    kind = type(fault).__name__
    if code in _MISMATCHED:
        missing = fault.diag.message_primary or kind
        return SchemaMismatchError(f"the database {where} is not as this code needs it ({missing}): {NOT_MIGRATED}")
    if code == NOT_ALLOWED and fault.diag.source_function == _BY_A_POLICY:
        return StatementError(
            "row security refused a row: it is another tenant's, or not this user's to write", sqlstate=code
        )
    if code == NOT_ALLOWED:
        # What the server and the schema's own guards say of it names tables, columns and functions, and no value.
        said = fault.diag.message_primary or kind
        return StatementError(f"the role at work lacks a right in {where}: {said}", sqlstate=code)
    if code == _NOT_IN_ORDER:
        said = fault.diag.message_primary or kind
        return StatementError(f"something in the database {where} stands in the way: {said}", sqlstate=code)
    if code is None and isinstance(fault, psycopg.DataError):
        # Such as a NUL in a text, or an instant beyond the calendar; the driver's words repeat the value.
        return StatementError(f"a value cannot be written to the database, or read from it: {kind} of the driver")
    constraint = fault.diag.constraint_name
    if code in _DANGLING and constraint:
        table = f"{fault.diag.schema_name}.{fault.diag.table_name}"
        return StatementError(
            f"the database refused a statement: a row of {table} would refer to a row that is not there ({constraint})",
            sqlstate=code,
            constraint=constraint,
        )
    because = f" by {constraint}" if constraint else ""
    return StatementError(
        f"the database refused a statement{because}: {kind} ({code or 'no SQLSTATE'})",
        sqlstate=code,
        constraint=constraint,
    )


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Turn what SQLAlchemy or the driver raises inside into the `StoreError` tree; `where` names the database."""
    try:
        yield
    except (SQLAlchemyError, psycopg.Error) as error:
        raise _translation(error, where) from None


def read_url(url: str) -> URL:
    """Read the address of a PostgreSQL database, such as `postgresql://user:password@host:5432/name`.

    Raises:
        InvalidInputError: it cannot be read, or names another kind of database. The address is not repeated, since
            it may hold a password.
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


def act_as(session: Session, role: Role) -> None:
    """Go on in the same unit of work as another role, which the one that signed in has to be a member of."""
    session.connection().execute(text("select set_config('role', :role, true)"), {"role": role.value})


class Database:
    """A PostgreSQL database. Open it with a URL; close it, or use it in a `with` statement.

    Nothing is connected before the first unit of work. One `Database` serves one process (and its threads).

    Raises:
        InvalidInputError: the URL cannot be read.
    """

    def __init__(self, url: str) -> None:
        parsed = read_url(url)
        self.name = name_of(parsed)
        self._engine = create_engine(
            parsed.update_query_dict({"application_name": "slotsmith", **parsed.query}),
            connect_args={} if "connect_timeout" in parsed.query else {"connect_timeout": CONNECT_SECONDS},
            hide_parameters=True,
            pool_pre_ping=True,
        )

    @contextmanager
    def unit_of_work(
        self, *, role: Role, tenant_id: UUID | None, user_id: UUID | None = None, request: Request = _NOT_SAID
    ) -> Iterator[Session]:
        """Do the work inside as one transaction, as this role, for this tenant and user: all of it or nothing.

        Leaving the block commits; an exception rolls back. `session.commit()` inside only writes out what is pending.
        Without a tenant no row of a tenant is seen (but by a superuser, whom row security does not bind).

        Raises:
            DatabaseUnreachableError: no connection, or it was lost; a commit under way may or may not have happened.
            SchemaMismatchError: the tables are not there, or not as this code needs them.
            StoreError: the database refused a statement; see `StatementError`.
        """
        who = {
            "role": role.value,
            "tenant_id": "" if tenant_id is None else str(tenant_id),
            "user_id": "" if user_id is None else str(user_id),
            "request_id": request.id,
            "client_address": request.client_address,
            "user_agent": request.user_agent,
        }
        with translated(self.name), self._engine.connect() as connection, connection.begin() as transaction:
            try:
                connection.execute(_BEGIN, who)
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", None) == "22023":  # set role: there is no such role
                    raise SchemaMismatchError(
                        f"the database {self.name} has no role {role.value}: {NOT_MIGRATED}"
                    ) from None
                if getattr(error.orig, "sqlstate", None) == NOT_ALLOWED:
                    raise StatementError(
                        f"this login may not act as {role.value} in {self.name}: grant {role.value} to it",
                        sqlstate=NOT_ALLOWED,
                    ) from None
                raise
            with Session(connection, expire_on_commit=False, join_transaction_mode="rollback_only") as session:
                yield session
                session.flush()
                if transaction.is_active:
                    connection.exec_driver_sql(_COMMIT)

    def close(self) -> None:
        """Close every connection that is not in use."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
