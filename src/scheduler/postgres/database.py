"""The database: one transaction at a time, as one role, for one tenant and one user.

Owns: the unit of work.
Holds: R4 (a unit of work is one transaction: all of it or nothing).
Must not know: which tables there are, what is done with their rows; how errors are worded (`translation`).

Role, tenant, user and request are set inside the transaction and end with it, as all state of its session does
(`connections`).
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from enum import StrEnum
from functools import partial
from typing import Final, NamedTuple, Self
from uuid import UUID

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from scheduler.postgres.audit.reads import ReadLog, attached
from scheduler.postgres.connections import (
    BEGINS,
    COMMIT,
    ENDED,
    SETTINGS,
    application_of,
    assignments,
    begin_only_as_told,
    name_of,
    open_engine,
    read_url,
    roll_back,
)
from scheduler.postgres.errors import RoleRefusedError, SchemaMismatchError, StatementError
from scheduler.postgres.tracebacks import raise_instead
from scheduler.postgres.translation import NOT_ALLOWED, NOT_MIGRATED, translated

# One number, since twenty columns would cost more than the settings.
_BEGIN: Final = text(f"""
    select pg_catalog.num_nulls(
        pg_catalog.set_config('role', :role, true),
        pg_catalog.set_config('app.tenant_id', :tenant_id, true),
        pg_catalog.set_config('app.user_id', :user_id, true),
        pg_catalog.set_config('app.request_id', :request_id, true),
        pg_catalog.set_config('app.client_address', :client_address, true),
        pg_catalog.set_config('app.user_agent', :user_agent, true),
        pg_catalog.set_config('application_name', :application, true),
        pg_catalog.set_config('lock_timeout', '10s', true),
        pg_catalog.set_config('statement_timeout',
            coalesce(:statement_timeout, pg_catalog.current_setting('statement_timeout')), true),
        {assignments(SETTINGS)})
""").execution_options(**{BEGINS: True})

# A login may have asynchronous commits, which a crash of the server undoes.
_DURABLY: Final = text("""
    select pg_catalog.set_config('synchronous_commit', 'on', true)
    where pg_catalog.current_setting('synchronous_commit') = 'off'
""")


class Role(StrEnum):
    """The database role of a unit of work."""

    APP = "scheduler_app"
    """Work for a user."""
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


NO_REQUEST: Final = Request()


def _sendable(value: str) -> str:
    """Replace the characters that PostgreSQL cannot store, as a client may send them, by a question mark."""
    return (value or "").encode(errors="replace").decode().replace("\0", "?")  # a missing header may be None


def act_as(session: Session, role: Role) -> None:
    """Continue the unit of work as another role, of which the role that signed in has to be a member."""
    session.connection().execute(text("select set_config('role', :role, true)"), {"role": role.value})


def advisory_lock(session: Session, subject: str) -> None:
    """Wait for the lock on a subject and hold it until the transaction ends. Migrations build their keys alike."""
    lock = text("select pg_advisory_xact_lock(hashtext('scheduler'), hashtext(:subject))")
    session.connection().execute(lock, {"subject": subject})


class Database:
    """A PostgreSQL database, opened with a URL. Close it, or use it in a `with` statement.

    Nothing is connected before the first unit of work. One `Database` serves one process (and its threads).

    Raises:
        InvalidInputError: the URL cannot be read.
    """

    def __init__(self, url: str) -> None:
        parsed = read_url(url)
        self.name = name_of(parsed)
        self._application = application_of(parsed)
        self._engine = open_engine(parsed)
        begin_only_as_told(self._engine)
        self._read_engine = open_engine(parsed, pool_pre_ping=True)

    def unit_of_work(
        self,
        *,
        role: Role,
        tenant_id: UUID | None,
        user_id: UUID | None = None,
        request: Request = NO_REQUEST,
        phi: bool = False,
    ) -> AbstractContextManager[Session]:
        """Run the block as one transaction, as this role, for this tenant and user: all of it or nothing.

        Leaving the block commits; an exception rolls back. `session.commit()` inside only flushes the session. After
        `session.rollback()` the block can only end, with an error; `session.begin_nested()` undoes a part.
        Without a tenant no row of a tenant is visible (except to a superuser, whom row security does not bind).
        With `phi` the block may read encrypted values: it holds a second connection, which records each read for good.

        Raises:
            DatabaseUnreachableError: no connection, or it was lost; a commit under way may or may not have happened.
            SchemaMismatchError: the tables are missing, or not as this code needs them.
            StatementError: the database refused a statement, or the transaction ended inside the block.
        """
        settings = {
            "role": role.value,
            "tenant_id": "" if tenant_id is None else str(tenant_id),
            "user_id": "" if user_id is None else str(user_id),
            "request_id": _sendable(request.id),
            "client_address": _sendable(request.client_address),
            "user_agent": _sendable(request.user_agent),
            "application": self._application,  # a pooler forgets the one of the connection
            # A user waits no longer than the login allows; a batch of the job takes the time that it needs.
            "statement_timeout": None if role is Role.APP else "0",
        }
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
        with (
            log as read_log,
            self._begin(settings) as connection,
        ):
            transaction = connection.get_transaction()
            with (
                Session(connection, expire_on_commit=False, join_transaction_mode="rollback_only") as session,
                attached(session, read_log),
            ):
                senders += session, connection, connection.connection.driver_connection
                committed = False
                try:
                    yield session
                    session.flush()
                    if transaction is None or not transaction.is_active:
                        raise StatementError(ENDED)
                    connection.exec_driver_sql(COMMIT)
                    committed = True
                finally:
                    if not committed:
                        roll_back(connection)

    def _begin(self, settings: Mapping[str, str | None], *, attempts: int = 2) -> Connection:
        """Return a connection in a transaction with these settings.

        Its first statement also shows whether the connection has died in the pool, which is then left for a new one.
        """
        connection = self._engine.connect()
        try:
            self._assume(connection, settings)
        except BaseException as error:
            connection.close()
            if isinstance(error, DBAPIError) and error.connection_invalidated and attempts > 1:
                return self._begin(settings, attempts=attempts - 1)
            raise
        return connection

    def _assume(self, connection: Connection, settings: Mapping[str, str | None]) -> None:
        """Give a transaction the settings of its unit of work."""
        try:
            connection.execute(_BEGIN, settings)
        except DBAPIError as error:
            code, role = getattr(error.orig, "sqlstate", None), settings["role"]
            if code == "22023":  # the role does not exist
                missing = f"the database {self.name} has no role {role}: {NOT_MIGRATED}"
                raise_instead(error, SchemaMismatchError(missing))
            if code == NOT_ALLOWED:
                login = self._engine.url.username
                refused = f"this login may not act as {role} in {self.name}: grant {role} to {login or 'it'}"
                refusal = RoleRefusedError(refused, sqlstate=code)
                refusal.login = login
                raise_instead(error, refusal)
            raise

    @contextmanager
    def _read_log(self, tenant_id: UUID | None, settings: Mapping[str, str | None]) -> Iterator[ReadLog]:
        """Yield a read log on a connection of its own, which is held while the block lasts."""
        with self._read_engine.connect() as connection:
            yield ReadLog(tenant_id, partial(self._durable, connection, settings))

    @contextmanager
    def _durable(self, connection: Connection, settings: Mapping[str, str | None]) -> Iterator[Connection]:
        """Run the block as one transaction that is on disk when it ends."""
        with translated(self.name), connection.begin():
            self._assume(connection, settings)
            connection.execute(_DURABLY)
            yield connection

    def close(self) -> None:
        """Close the idle connections."""
        self._engine.dispose()
        self._read_engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
