"""Translation: errors of SQLAlchemy and the driver become errors of the `StoreError` tree.

Owns: the reaction that each SQLSTATE asks for, and the wording.
Must not know: units of work, which tables there are.

Messages name the kind of fault, the table and the constraint, never a value of a row.
"""

import re
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from types import TracebackType
from typing import Any, Final, TypeVar

import psycopg
from psycopg.errors import InsufficientPrivilege, LockNotAvailable
from sqlalchemy.exc import DBAPIError, PendingRollbackError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from scheduler.models.encrypted_column import NotEncryptedError
from scheduler.postgres.connections import ENDED
from scheduler.postgres.errors import (
    BusyError,
    CheckFailedError,
    DatabaseUnreachableError,
    DeadlockError,
    DuplicateError,
    MissingReferenceError,
    NotAllowedError,
    SchemaMismatchError,
    StatementError,
    StoreError,
)
from scheduler.postgres.tracebacks import is_raised_by, raise_instead

T = TypeVar("T")

NOT_MIGRATED: Final = "run `scheduler migrate`"

NOT_ALLOWED: Final = InsufficientPrivilege.sqlstate
"""The SQLSTATE of a refusal by row security, by a missing privilege, or by a trigger or function of the schema."""

LOCK_NOT_AVAILABLE: Final = LockNotAvailable.sqlstate
"""The SQLSTATE of a lock that was not free in time."""

# SQLSTATE classes and codes (PostgreSQL, appendix A), grouped by the reaction of a caller.
_CONNECTION_CODES: Final = ("08", "25P03", "28", "3D000", "53300", "57P")
_SCHEMA_CODES: Final = ("3F000", "42P01", "42703", "42704", "42883")
_NOT_IN_STATE: Final = "55000"  # raised by the schema's own functions, whose messages name tables and no value
_CANCELLED: Final = ("57014", LOCK_NOT_AVAILABLE)  # a time limit of a statement or a lock, or an operator
_ROW_REFUSALS: Final = {
    "23001": "a row of {table} would refer to a row that is not there",  # PostgreSQL 18: on delete restrict
    "23502": "a row of {table} needs a value in {column}",
    "23503": "a row of {table} would refer to a row that is not there",
    "23505": "another row of {table} has the same value, which must be unique",
    "23514": "a row of {table} has a value that is not allowed",
    "23P01": "a row of {table} overlaps another row",
}
_CLASSES: Final[dict[str | None, type[StatementError]]] = {
    "23001": MissingReferenceError,
    "23502": CheckFailedError,
    "23503": MissingReferenceError,
    "23505": DuplicateError,
    "23514": CheckFailedError,
    "23P01": DuplicateError,
    "40001": DeadlockError,
    "40P01": DeadlockError,
    LOCK_NOT_AVAILABLE: BusyError,
}
_UNFIT_VALUE: Final = "a value cannot be written to the database, or read from it: {kind} of the driver"
_OF_THE_DRIVER: Final = (SQLAlchemyError, psycopg.Error, UnicodeEncodeError)
_POLICY_CHECK: Final = "ExecWithCheckOptions"  # the server's function: its message is in the language of its locale
_RAISE: Final = "exec_stmt_raise"  # a function or trigger in PL/pgSQL refused, with a message of its own
_POLICY_TABLE: Final = re.compile(r'for table "([^"]+)"')


def _fault_before_sending(error: SQLAlchemyError | psycopg.Error, where: str) -> StoreError:
    """Describe a fault found before the database was asked, without repeating a value."""
    if isinstance(error, PendingRollbackError):
        return StatementError(ENDED)
    if isinstance(error, PoolTimeoutError):
        return DatabaseUnreachableError(f"no connection to {where}: all connections of this process are in use")
    cause = getattr(error, "orig", None)
    reason = str(cause) if isinstance(cause, NotEncryptedError) else type(cause or error).__name__
    if isinstance(cause, LookupError):
        reason = "a value is not one of those that its column knows"
    return StatementError(f"a statement could not be made: {reason}")


def _refusal(fault: psycopg.Error, code: str | None) -> StatementError:
    """Describe a refused statement by table, column and constraint; the server's own message may repeat a value."""
    diag = fault.diag
    table = f"{diag.schema_name}.{diag.table_name}" if diag.table_name else None
    reason = f"{type(fault).__name__} ({code or 'no SQLSTATE'})"
    if code in _ROW_REFUSALS and table:
        reason = _ROW_REFUSALS[code].format(table=table, column=diag.column_name)
    by = f" by {diag.constraint_name}" if diag.constraint_name else ""
    return _CLASSES.get(code, StatementError)(
        f"the database refused a statement{by}: {reason}",
        sqlstate=code,
        table=table,
        column=diag.column_name,
        constraint=diag.constraint_name,
    )


def _mismatch(fault: psycopg.Error, where: str) -> SchemaMismatchError:
    """Describe a fault of the schema, with its name only if a statement's own text has it.

    A name without a position there comes from a value, as in `cast(:value as regclass)`.
    """
    diag = fault.diag
    is_in_text = diag.statement_position or diag.internal_position
    reason = diag.message_primary if is_in_text else f"{type(fault).__name__} {fault.sqlstate}"
    remedy = f"{NOT_MIGRATED}; a table of your own needs its schema" if fault.sqlstate == "42P01" else NOT_MIGRATED
    return SchemaMismatchError(f"the database {where} is not as this code needs it ({reason}): {remedy}")


def _translation(error: SQLAlchemyError | psycopg.Error, where: str) -> StoreError:
    fault = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(fault, psycopg.Error):
        return _fault_before_sending(error, where)
    code, kind = fault.sqlstate, type(fault).__name__
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    lost |= code is None and isinstance(fault, psycopg.OperationalError)
    if lost or (code or "").startswith(_CONNECTION_CODES):
        reason = (str(fault).strip().splitlines() or [kind])[0]
        return DatabaseUnreachableError(f"no connection to the database {where}: {reason}", sqlstate=code)
    if code in _SCHEMA_CODES:
        return _mismatch(fault, where)
    # For the following codes the server's message names tables, columns and functions, and no value.
    message = fault.diag.message_primary or kind
    if code == NOT_ALLOWED and fault.diag.source_function == _POLICY_CHECK:
        row = f"a row of {table[1]}" if (table := _POLICY_TABLE.search(message)) else "a row"
        reason = "it is another tenant's, this user may not write it, or the tenant is suspended"
        refusal = f"row security refused {row}: {reason}"
        return NotAllowedError(refusal, sqlstate=code)
    if code == NOT_ALLOWED and fault.diag.source_function == _RAISE:
        return NotAllowedError(message, sqlstate=code)
    if code == NOT_ALLOWED:
        reason = re.sub("^permission denied for ", "the role lacks a privilege on ", message)
        hint = ": `scheduler schema grants` prints the grants for a table of your own" if " table " in reason else ""
        return StatementError(f"permission denied in {where}: {reason}{hint}", sqlstate=code)
    if code == _NOT_IN_STATE:
        return StatementError(f"the state of the database {where} does not allow this: {message}", sqlstate=code)
    if code in _CANCELLED:
        cancelled = f"the database {where} cancelled a statement: {message}"
        return _CLASSES.get(code, StatementError)(cancelled, sqlstate=code)
    if code is None and isinstance(fault, psycopg.DataError):
        # A NUL in a text, or an instant beyond the calendar; the driver's message repeats the value.
        return StatementError(_UNFIT_VALUE.format(kind=kind))
    return _refusal(fault, code)


class _Translated(AbstractContextManager[T]):
    """A context manager that translates errors of another one and of the block, in no frame that has the error."""

    def __init__(self, inner: AbstractContextManager[T], where: str, senders: Iterable[object] | None) -> None:
        self._inner, self._where, self._senders = inner, where, senders

    def __enter__(self) -> T:
        try:
            return self._inner.__enter__()
        except _OF_THE_DRIVER as error:
            self._raise_instead(error)
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        try:
            try:
                done = self._inner.__exit__(kind, error, traceback)
            except _OF_THE_DRIVER as later:
                self._raise_instead(later)
                raise
            if isinstance(error, _OF_THE_DRIVER) and not done:
                self._raise_instead(error)
            return done
        finally:
            del error, traceback  # an error reporter shows the variables of frames

    def _raise_instead(self, error: SQLAlchemyError | psycopg.Error | UnicodeEncodeError) -> None:
        """Raise the translation of an error, if it has one."""
        try:
            if self._senders is not None and not is_raised_by(error, self._senders):
                return
            if not isinstance(error, UnicodeEncodeError):
                raise_instead(error, _translation(error, self._where))
            if error.encoding == "utf-8":  # the connections' encoding: another one is no concern of the driver
                raise_instead(error, StatementError(_UNFIT_VALUE.format(kind=type(error).__name__)))
        finally:
            del error


_NOTHING: Final[AbstractContextManager[Any]] = nullcontext()


def translated(
    where: str, inner: AbstractContextManager[T] = _NOTHING, *, senders: Iterable[object] | None = None
) -> AbstractContextManager[T]:
    """Translate errors of SQLAlchemy and the driver into the `StoreError` tree; `where` names the database.

    Errors of the context manager `inner`, which yields the value of the block, are translated too. An error that none
    of the `senders` raised, as engines, sessions and connections, stays as it is: the block may use another database.
    By default every error is translated.
    """
    return _Translated(inner, where, senders)
