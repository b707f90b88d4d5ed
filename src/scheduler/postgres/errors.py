"""Errors of the PostgreSQL half: their branch of the tree that `core.errors` draws.

Owns: one class for each fault of a database that a caller handles differently.
Must not know: the driver's exceptions (`database` translates them), exit codes (the command line's).
"""

from collections.abc import Mapping

from scheduler.core.errors import SchedulerError


class StoreError(SchedulerError):
    """The database could not do what was asked; nothing was half-written."""


class DatabaseUnreachableError(StoreError):
    """No connection to the database could be made, or it was lost."""


class SchemaMismatchError(StoreError):
    """The database's schema is not the one that this code works with: not migrated, or newer than the code."""


class StatementError(StoreError):
    """The database refused a statement or broke it off.

    Attributes:
        sqlstate: PostgreSQL's code of the fault, such as `40001`; None when the driver refused before asking.
        constraint: the name of the constraint that stood in the way, if one did.
    """

    def __init__(self, message: str, *, sqlstate: str | None = None, constraint: str | None = None) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate
        self.constraint = constraint


class RestoreConflictError(StatementError):
    """A row cannot be restored: a live one has by now what only one may have. `constraint` says which rule it is."""


class ErasureRefusedError(SchedulerError):
    """A person cannot be erased: rows about others hang on what is stored. `rows` counts them by reference."""

    def __init__(self, message: str, rows: Mapping[str, int]) -> None:
        super().__init__(message, rows)  # both, so that the error survives pickling
        self.rows = rows

    def __str__(self) -> str:
        return str(self.args[0])
