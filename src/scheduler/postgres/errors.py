"""Errors of the PostgreSQL floor: their branch of the error tree in `core.errors`.

Owns: one class for each database fault that a caller handles differently.
Must not know: the driver's exceptions (`database` translates them), exit codes (the command line's).
"""

from collections.abc import Mapping

from scheduler.core.errors import SchedulerError


class StoreError(SchedulerError):
    """A fault of the database. Nothing was half-written.

    Attributes:
        sqlstate: PostgreSQL's code of the fault, such as `42501`; None if the server gave none, as after a lost
            connection.
    """

    def __init__(self, message: str, *, sqlstate: str | None = None) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate


class DatabaseUnreachableError(StoreError):
    """The database cannot be connected to, or the connection was lost."""


class SchemaMismatchError(StoreError):
    """The schema does not fit this code: the database is not migrated, or is newer than the code."""


class StatementError(StoreError):
    """A statement that the database refused or cancelled.

    Attributes:
        sqlstate: PostgreSQL's code of the fault, such as `42501`; None if the driver refused before sending.
        table: the table of the refused row with its schema, such as `scheduling.facilities`, if any. For a
            slot it is the partition of its month; a unique constraint of slots is named after the partition, too.
        column: the column that needs a value, if any.
        constraint: the name of the violated constraint, if any.
    """

    def __init__(
        self,
        message: str,
        *,
        sqlstate: str | None = None,
        table: str | None = None,
        column: str | None = None,
        constraint: str | None = None,
    ) -> None:
        super().__init__(message, sqlstate=sqlstate)
        self.table = table
        self.column = column
        self.constraint = constraint


class DuplicateError(StatementError):
    """Another row has the same value, which must be unique, or overlaps this row: `constraint` says which."""


class MissingReferenceError(StatementError):
    """A row of `table` would refer to a row that is not there: never there, or now deleted."""


class CheckFailedError(StatementError):
    """A row of `table` has a value that `constraint` or a trigger does not allow, or lacks one in `column`."""


class NotAllowedError(StatementError):
    """Row security or a trigger does not let this user do it. A login that lacks a grant is a fault of the server."""


class DeadlockError(StatementError):
    """The transaction collided with another one: run the whole unit of work again."""


class BusyError(StatementError):
    """A lock was not free in time: try again later."""


class RoleRefusedError(StatementError):
    """The login may not act as a role.

    Attributes:
        login: the name of the login, if its URL has one.
    """

    def __init__(self, message: str, *, sqlstate: str | None = None, login: str | None = None) -> None:
        super().__init__(message, sqlstate=sqlstate)
        self.login = login


class TenantSuspendedError(SchedulerError):
    """The tenant is suspended or closed: only the system works for it."""


class UnfitLoginError(SchedulerError):
    """A login has other rights than its purpose needs."""


class ErasureRefusedError(SchedulerError):
    """The person cannot be erased: rows about other people refer to it.

    Attributes:
        rows: how many rows, by foreign key; of people for whom the person signs in, by table.
    """

    def __init__(self, message: str, rows: Mapping[str, int]) -> None:
        super().__init__(message, rows)  # both, so that the error survives pickling
        self.rows = rows

    def __str__(self) -> str:
        return str(self.args[0])
