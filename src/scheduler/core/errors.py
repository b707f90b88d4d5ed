"""Errors of the library, as one tree. Catch `SchedulerError` for every error that is raised on purpose.

Owns: the root and the branches of the core, one class for each thing that a caller does differently. Facts travel as
attributes; the message says them in one line. Each floor above defines its own branch:

    SchedulerError
      InvalidInputError             InvalidSpanError, WallClockError, InvalidScheduleError, InvalidRecurrenceError,
                                    InvalidWorkflowError, InvalidOpeningsError (openings.format.file)
      NotFoundError                 WorkflowNotFoundError
      TransitionRefusedError
      MissingExtraError
      StoreError                    DatabaseUnreachableError, SchemaMismatchError, StatementError (RestoreConflictError)
      ErasureRefusedError           both branches in postgres.errors
      EncryptionError               KeyUnavailableError, StaleKeyRingError, TamperedError (postgres.encryption.errors)
      InvitationError               see invitations.errors
      SchedulesFailedError          cli.generate

Must not know: where an error is shown, exit codes (the command line's), or any driver's exceptions.
"""

from enum import StrEnum


class SchedulerError(Exception):
    """The root: `except SchedulerError` catches all that this library raises on purpose."""


class InvalidInputError(SchedulerError, ValueError):
    """A value that cannot mean anything: it is refused where it is made, before any work starts."""


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


class WorkflowNotFoundError(NotFoundError):
    """No workflow serves this booking; the message names what is missing."""


class MissingExtraError(SchedulerError, ImportError):
    """A package of an optional extra is not installed; the message names the extra."""


class TransitionRefusedError(SchedulerError):
    """A move that the life cycle does not have: `before` is where the subject stands, `after` where it was to go."""

    def __init__(self, reason: str, before: StrEnum, after: StrEnum) -> None:
        super().__init__(reason, before, after)  # all three, so that the error survives pickling
        self.before = before
        self.after = after

    def __str__(self) -> str:
        return str(self.args[0])
