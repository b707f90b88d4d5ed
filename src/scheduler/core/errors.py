"""What can go wrong, as one tree.

Owns: every exception that the library raises on purpose. One class for each thing that a caller does differently;
the facts travel as attributes, the message says them in one line.
Must not know: where an error is shown, or any driver's exceptions (the store turns those into `StoreError`).
"""

from enum import StrEnum


class SchedulerError(Exception):
    """The root: `except SchedulerError` catches all that this library raises on purpose."""

    exit_code = 1


class InvalidInputError(SchedulerError, ValueError):
    """A value that cannot mean anything: it is refused where it is made, before any work starts."""

    exit_code = 2


class InvalidSpanError(InvalidInputError):
    """A span that is naive, empty or reversed."""


class WallClockError(InvalidInputError):
    """A wall-clock fact that cannot be: an unknown zone, or a time outside the calendar."""


class InvalidScheduleError(InvalidInputError):
    """A rule, exception, closure or schedule that contradicts itself."""


class InvalidRecurrenceError(InvalidInputError):
    """A recurrence that RFC 5545 or this engine does not read, or one that never occurs."""


class InvalidWorkflowError(InvalidInputError):
    """A workflow, or a request about one, that contradicts itself."""


class NotFoundError(SchedulerError):
    """Something named is not there."""

    exit_code = 3


class WorkflowNotFoundError(NotFoundError):
    """No workflow serves this booking; the message names what is missing."""


class TransitionRefusedError(SchedulerError):
    """A move that the life cycle does not have: `before` is where the subject stands, `after` where it was to go."""

    exit_code = 4

    def __init__(self, reason: str, before: StrEnum, after: StrEnum) -> None:
        super().__init__(reason, before, after)  # all three, so that the error survives pickling
        self.before = before
        self.after = after

    def __str__(self) -> str:
        return str(self.args[0])


class StoreError(SchedulerError):
    """The database could not do what was asked; nothing was half-written."""

    exit_code = 5


class DatabaseUnreachableError(StoreError):
    """No connection to the database could be made, or it was lost."""


class SchemaMismatchError(StoreError):
    """The database's schema is not the one that this code works with: not migrated, or newer than the code."""

    exit_code = 6
