"""Translation: errors of SQLAlchemy and the driver become errors of the `StoreError` tree.

Owns: the reaction that each SQLSTATE asks for, and the wording.
Must not know: units of work, which tables there are.

Messages name the kind of fault, the table and the constraint, never a value of a row.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
from psycopg.errors import InsufficientPrivilege, LockNotAvailable
from sqlalchemy.exc import DBAPIError, PendingRollbackError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from scheduler.models.encrypted_column import NotEncryptedError
from scheduler.postgres.connections import ENDED
from scheduler.postgres.errors import DatabaseUnreachableError, SchemaMismatchError, StatementError, StoreError

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
_UNFIT_VALUE: Final = "a value cannot be written to the database, or read from it: {kind} of the driver"
_POLICY_CHECK: Final = "ExecWithCheckOptions"  # the server's function: its message is in the language of its locale
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
    reason = f"{type(fault).__name__} ({code or 'no SQLSTATE'})"
    if code in _ROW_REFUSALS and diag.table_name:
        reason = _ROW_REFUSALS[code].format(table=f"{diag.schema_name}.{diag.table_name}", column=diag.column_name)
    by = f" by {diag.constraint_name}" if diag.constraint_name else ""
    return StatementError(
        f"the database refused a statement{by}: {reason}", sqlstate=code, constraint=diag.constraint_name
    )


def _mismatch(fault: psycopg.Error, where: str) -> SchemaMismatchError:
    """Describe a fault of the schema, with its name only if a statement's own text has it.

    A name without a position there comes from a value, as in `cast(:value as regclass)`.
    """
    diag = fault.diag
    is_in_text = diag.statement_position or diag.internal_position
    reason = diag.message_primary if is_in_text else f"{type(fault).__name__} {fault.sqlstate}"
    return SchemaMismatchError(f"the database {where} is not as this code needs it ({reason}): {NOT_MIGRATED}")


def _translation(error: SQLAlchemyError | psycopg.Error, where: str) -> StoreError:
    fault = error.orig if isinstance(error, DBAPIError) else error
    if not isinstance(fault, psycopg.Error):
        return _fault_before_sending(error, where)
    code, kind = fault.sqlstate, type(fault).__name__
    lost = isinstance(error, DBAPIError) and error.connection_invalidated
    lost |= code is None and isinstance(fault, psycopg.OperationalError)
    if lost or (code or "").startswith(_CONNECTION_CODES):
        reason = (str(fault).strip().splitlines() or [kind])[0]
        return DatabaseUnreachableError(f"no connection to the database {where}: {reason}")
    if code in _SCHEMA_CODES:
        return _mismatch(fault, where)
    # For the following codes the server's message names tables, columns and functions, and no value.
    message = fault.diag.message_primary or kind
    if code == NOT_ALLOWED and fault.diag.source_function == _POLICY_CHECK:
        row = f"a row of {table[1]}" if (table := _POLICY_TABLE.search(message)) else "a row"
        reason = "it is another tenant's, this user may not write it, or the tenant is suspended"
        refusal = f"row security refused {row}: {reason}"
        return StatementError(refusal, sqlstate=code)
    if code == NOT_ALLOWED:
        reason = re.sub("^permission denied for ", "the role lacks a privilege on ", message)
        return StatementError(f"permission denied in {where}: {reason}", sqlstate=code)
    if code == _NOT_IN_STATE:
        return StatementError(f"the state of the database {where} does not allow this: {message}", sqlstate=code)
    if code in _CANCELLED:
        return StatementError(f"the database {where} cancelled a statement: {message}", sqlstate=code)
    if code is None and isinstance(fault, psycopg.DataError):
        # A NUL in a text, or an instant beyond the calendar; the driver's message repeats the value.
        return StatementError(_UNFIT_VALUE.format(kind=kind))
    return _refusal(fault, code)


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Translate errors of SQLAlchemy and the driver into the `StoreError` tree; `where` names the database."""
    try:
        yield
    except (SQLAlchemyError, psycopg.Error) as error:
        raise _translation(error, where) from None
    except UnicodeEncodeError as error:
        if error.encoding != "utf-8":  # the connections' encoding: another one is no concern of the driver
            raise
        raise StatementError(_UNFIT_VALUE.format(kind=type(error).__name__)) from None  # the error has the value
