"""Acting: the role, tenant, user and request of a transaction, as its settings.

Owns: the roles, the origin of a request, and the statement that gives both to a transaction.
Must not know: units of work (`database`), which tables there are.

The settings end with the transaction, so a connection has none of them afterwards, whoever owns it.
"""

from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from enum import StrEnum
from typing import Any, Final, NamedTuple, overload
from uuid import UUID

import psycopg
from psycopg.pq import TransactionStatus
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from scheduler.core.errors import InvalidInputError
from scheduler.postgres.connections import SETTINGS, assignments, refuse_encoding
from scheduler.postgres.errors import RoleRefusedError, SchemaMismatchError, StoreError
from scheduler.postgres.tracebacks import raise_instead
from scheduler.postgres.translation import NOT_ALLOWED, NOT_MIGRATED, translated

# One number, since twenty columns would cost more than the settings.
_ASSUME: Final = f"""
    select pg_catalog.num_nulls(
        pg_catalog.set_config('role', %(role)s, true),
        pg_catalog.set_config('app.tenant_id', %(tenant_id)s, true),
        pg_catalog.set_config('app.user_id', %(user_id)s, true),
        pg_catalog.set_config('app.request_id', %(request_id)s, true),
        pg_catalog.set_config('app.client_address', %(client_address)s, true),
        pg_catalog.set_config('app.user_agent', %(user_agent)s, true),
        pg_catalog.set_config('application_name',
            coalesce(%(application)s, pg_catalog.current_setting('application_name')), true),
        pg_catalog.set_config('lock_timeout', %(lock_timeout)s, true),
        pg_catalog.set_config('statement_timeout',
            coalesce(%(statement_timeout)s, pg_catalog.current_setting('statement_timeout')), true),
        {assignments(SETTINGS)})
"""
_NO_SUCH_ROLE: Final = "22023"


class Role(StrEnum):
    """The database role of a unit of work."""

    APP = "scheduler_app"
    """Work for a user."""
    DESK = "scheduler_desk"
    """Booking for a user: reads what decides a visit, also what the user may not see, and writes visits and holds."""
    JOB = "scheduler_job"
    """The nightly job: reads schedules, writes slots."""
    SYSTEM = "scheduler_system"
    """Work of the library for a tenant, but for no user: awards, alerts, admission, keys, seals."""
    OWNER = "none"
    """The role that signed in: for migrations, and for creating a tenant."""


class Request(NamedTuple):
    """Origin of a request, recorded in the audit log: an id, the client's address (IPv4 or IPv6), its user agent."""

    id: str = ""
    client_address: str = ""
    user_agent: str = ""


class Timeouts(NamedTuple):
    """How long a lock may be waited for, and how long a statement may take; None for no limit."""

    lock: timedelta | None = timedelta(seconds=10)
    statement: timedelta | None = None


_TIMEOUTS: Final = Timeouts()
_MILLISECOND: Final = timedelta(milliseconds=1)
_MAX_TIMEOUT: Final = timedelta(milliseconds=2**31 - 1)


def _milliseconds(limit: timedelta | None) -> str:
    """Return a time limit as PostgreSQL reads it, where 0 is none."""
    if limit is not None and not _MILLISECOND <= limit <= _MAX_TIMEOUT:
        raise InvalidInputError(f"a time-out must be from 1 ms to {_MAX_TIMEOUT.days} days, not {limit}")
    return str(0 if limit is None else limit // _MILLISECOND)


def _sendable(name: str, value: str | None) -> str:
    """Replace the characters that PostgreSQL cannot store, as a client may send them, by a question mark."""
    if not isinstance(value, str | None):
        raise InvalidInputError(f"request: {name} must be a text, not {type(value).__name__}")
    return (value or "").encode(errors="replace").decode().replace("\0", "?")  # a missing header may be None


def _id(name: str, value: UUID | None) -> str:
    """Return an id as its setting; an empty text would otherwise stand for no user, who is the host itself."""
    if value is None:
        return ""
    if not isinstance(value, UUID):
        raise InvalidInputError(f"{name} must be a UUID or None, not {type(value).__name__}")
    return str(value)


def settings_of(
    role: Role,
    tenant_id: UUID | None,
    user_id: UUID | None,
    request: Request | None,
    *,
    application: str | None = None,  # None leaves the one of the connection
    timeouts: Timeouts = _TIMEOUTS,
) -> Mapping[str, str | None]:
    """Return the parameters of the statement that gives a transaction its settings.

    Raises:
        InvalidInputError: the tenant, the user or the request is of another type, or a time-out is out of range.
    """
    origin = Request() if request is None else request
    if not isinstance(origin, Request):
        raise InvalidInputError(f"request must be a Request or None, not {type(request).__name__}")
    return {
        "role": role.value,
        "tenant_id": _id("tenant", tenant_id),
        "user_id": _id("user", user_id),
        "request_id": _sendable("id", origin.id),
        "client_address": _sendable("client_address", origin.client_address),
        "user_agent": _sendable("user_agent", origin.user_agent),
        "application": application,
        # A user waits no longer than the login allows; a batch of the job takes the time that it needs.
        "statement_timeout": None if role in {Role.APP, Role.DESK} else _milliseconds(timeouts.statement),
        "lock_timeout": _milliseconds(timeouts.lock),
    }


def assume(connection: Connection, settings: Mapping[str, str | None], where: str) -> None:
    """Give a transaction the settings of `settings_of`; `where` names the database.

    Raises:
        SchemaMismatchError: the database has no such role.
        RoleRefusedError: the login may not act as this role.
    """
    try:
        connection.exec_driver_sql(_ASSUME, settings)
    except DBAPIError as error:
        refusal = _refusal(
            getattr(error.orig, "sqlstate", None), settings["role"], where, connection.engine.url.username
        )
        if refusal is None:
            raise
        raise_instead(error, refusal)


def _refusal(code: str | None, role: str | None, where: str, login: str | None) -> StoreError | None:
    """Return the error that a role was refused with, if the code is that of one."""
    if code == _NO_SUCH_ROLE:
        return SchemaMismatchError(f"the database {where} has no role {role}: {NOT_MIGRATED}")
    if code == NOT_ALLOWED:
        refused = f"this login may not act as {role} in {where}: grant {role} to {login or 'it'}"
        return RoleRefusedError(refused, sqlstate=code, login=login)
    return None


@overload
def act_for(
    connection: psycopg.Connection[Any],
    tenant_id: UUID | None,
    user_id: UUID | None = None,
    *,
    role: Role = Role.APP,
    request: Request | None = None,
) -> None: ...


@overload
def act_for(
    connection: psycopg.AsyncConnection[Any],
    tenant_id: UUID | None,
    user_id: UUID | None = None,
    *,
    role: Role = Role.APP,
    request: Request | None = None,
) -> Coroutine[Any, Any, None]: ...


def act_for(
    connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any],
    tenant_id: UUID | None,
    user_id: UUID | None = None,
    *,
    role: Role = Role.APP,
    request: Request | None = None,
) -> Coroutine[Any, Any, None] | None:
    """Act for a tenant and user in the current transaction of a psycopg connection of your own.

    With an async connection, `await` it. The transaction has the settings of a unit of work until it ends, also its
    search path: name your own tables with their schema. You commit, and errors of your statements are psycopg's. A
    savepoint that is rolled back ends the settings that were made after it.

    Raises:
        InvalidInputError: not a connection of psycopg, or its encoding is not UTF-8, or it is in autocommit mode and
            in no transaction.
        SchemaMismatchError: the database has no such role.
        RoleRefusedError: the login may not act as this role.
        StatementError: the transaction is aborted.
    """
    if not isinstance(connection, psycopg.Connection | psycopg.AsyncConnection):
        raise InvalidInputError(f"a connection of psycopg is needed, not {type(connection).__name__}")
    if connection.autocommit and connection.info.transaction_status is TransactionStatus.IDLE:
        raise InvalidInputError("the connection is in autocommit mode: open a `with connection.transaction():` first")
    refuse_encoding(connection)
    settings = settings_of(role, tenant_id, user_id, request)
    if isinstance(connection, psycopg.AsyncConnection):
        return _assume_async(connection, settings)
    where = _name_of(connection)
    with translated(where), _explained(settings["role"], where, connection.info.user):
        connection.execute(_ASSUME, settings)
    return None


async def _assume_async(connection: psycopg.AsyncConnection[Any], settings: Mapping[str, str | None]) -> None:
    where = _name_of(connection)
    with translated(where), _explained(settings["role"], where, connection.info.user):
        await connection.execute(_ASSUME, settings)


@contextmanager
def _explained(role: str | None, where: str, login: str) -> Iterator[None]:
    """Explain why a login may not act as a role."""
    try:
        yield
    except psycopg.Error as error:
        refusal = _refusal(error.sqlstate, role, where, login)
        if refusal is None:
            raise
        raise_instead(error, refusal)


def _name_of(connection: psycopg.Connection[Any] | psycopg.AsyncConnection[Any]) -> str:
    """Name the database of a connection in a message, as `connections.name_of` does."""
    return f"{connection.info.host}:{connection.info.port}/{connection.info.dbname}"


@contextmanager
def acting(session: Session, role: Role) -> Iterator[None]:
    """Run the block as another role, and then go on as the former one.

    Use it in a savepoint: after an error it is the savepoint that restores the role.
    """
    change = text("select current_setting('role'), set_config('role', :role, true)")
    former = session.connection().execute(change, {"role": role.value}).one()[0]
    yield
    session.flush()  # what the block has changed is written as its role
    session.connection().execute(change, {"role": former})


def act_as(session: Session, role: Role) -> None:
    """Continue the unit of work as another role, of which the role that signed in has to be a member."""
    session.connection().execute(text("select set_config('role', :role, true)"), {"role": role.value})
