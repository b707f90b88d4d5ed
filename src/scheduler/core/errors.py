"""Errors of the library, as one tree: `SchedulerError` is the base class of every error raised on purpose.

Owns: the root and the branches of the core, one class for each thing that a caller does differently. Attributes carry
the facts; the message states them in one line. Each floor above defines its own branch:

    SchedulerError
      InvalidInputError             InvalidSpanError, WallClockError, InvalidScheduleError, InvalidRecurrenceError,
                                    InvalidWorkflowError, BrokenLinesError (json_lines)
        BrokenLinesError            InvalidOpeningsError (openings.format.file)
      NotFoundError                 WorkflowNotFoundError, EventsGoneError (booking.events)
      TransitionRefusedError
      MissingExtraError
      StoreError                    DatabaseUnreachableError, SchemaMismatchError, StatementError
        StatementError              DuplicateError, MissingReferenceError, CheckFailedError, DeadlockError, BusyError,
                                    NotAllowedError
      ErasureRefusedError, TenantSuspendedError, UnfitLoginError     (these and `StoreError`: postgres.errors)
      EncryptionError               KeyUnavailableError, StaleKeyRingError, TamperedError (postgres.encryption.errors)
      FamilyError                   DuplicateMemberError, MissingParentError, LastParentError (families.errors)
      BookingError                  NotOfferedError, SlotTakenError, HoldEndedError, UnknownHoldError, KeyReusedError,
                                    OutcomeUnknownError, PatientBusyError, TooLateError, TooManyHoldsError,
                                    NoSuchNeedError (booking.errors)
      InvitationError               see invitations.errors
      WorkersLostError                                               (generation.errors)
      SchedulesFailedError, AmbiguousNamesError, TenantsFailedError, TimeIsUpError, TerminatedError,
      OutputLostError                                                (cli.errors)

`NotEncryptedError` (models.encrypted_column) is a TypeError apart: it is a programming error, raised inside SQLAlchemy.

Must not know: where an error is shown, exit codes (the command line's), or any driver's exceptions.
"""

from enum import StrEnum


class SchedulerError(Exception):
    """The base class of every error that this library raises on purpose."""


class InvalidInputError(SchedulerError, ValueError):
    """An invalid value, refused where it is constructed, before any work starts."""


class InvalidSpanError(InvalidInputError):
    """A span that is naive, empty or reversed."""


class WallClockError(InvalidInputError):
    """An unknown time zone, or a time outside the calendar."""


class InvalidScheduleError(InvalidInputError):
    """A rule, exception, closure or schedule that contradicts itself."""


class InvalidRecurrenceError(InvalidInputError):
    """A recurrence that is not RFC 5545, is not supported, or never opens its rule."""


class InvalidOverrideError(InvalidInputError):
    """An override names no rule, or no reason."""


class InvalidWorkflowError(InvalidInputError):
    """A workflow that contradicts itself, or a request that contradicts its workflow."""


class NotFoundError(SchedulerError):
    """A named object does not exist."""


class WorkflowNotFoundError(NotFoundError):
    """No workflow serves this booking; the message names the missing workflow, plan or acceptance."""


class MissingExtraError(SchedulerError, ImportError):
    """A package of an optional extra is not installed; the message names the extra."""


class TransitionRefusedError(SchedulerError):
    """A transition that the life cycle lacks, from status `before` to status `after`."""

    def __init__(self, reason: str, before: StrEnum, after: StrEnum) -> None:
        super().__init__(reason, before, after)  # all three, so that the error survives pickling
        self.before = before
        self.after = after

    def __str__(self) -> str:
        return str(self.args[0])
