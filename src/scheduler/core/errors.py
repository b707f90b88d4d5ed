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


class InvitationError(SchedulerError):
    """An invitation that cannot be made, accepted or revoked."""

    exit_code = 4


class UnknownInvitationError(InvitationError, NotFoundError):
    """No invitation has this token or id, as far as the one who asks may see."""

    exit_code = 3


class InvitationExpiredError(InvitationError):
    """The invitation was open for some days, and they are over."""


class InvitationUsedError(InvitationError):
    """Somebody accepted the invitation: it opens the door once."""


class InvitationRevokedError(InvitationError):
    """The invitation was taken back."""


class InvitationForAnotherError(InvitationError):
    """The invitation went to another e-mail address than that of the one who accepts it."""


class ProfileTakenError(InvitationError):
    """Who accepts has a profile already, and so a role that an invitation does not change."""


class InvitationNotAllowedError(InvitationError):
    """Who invites may not: only a group contact does, and only into the own organisation."""


class StoreError(SchedulerError):
    """The database could not do what was asked; nothing was half-written."""

    exit_code = 5


class DatabaseUnreachableError(StoreError):
    """No connection to the database could be made, or it was lost."""


class SchemaMismatchError(StoreError):
    """The database's schema is not the one that this code works with: not migrated, or newer than the code."""

    exit_code = 6


class EncryptionError(SchedulerError):
    """What is encrypted could not be sealed or opened. The message names keys and places by id, never a value."""

    exit_code = 7


class KeyUnavailableError(EncryptionError):
    """A key is not there, or cannot be unwrapped: the master key is missing, is another one, or cannot be reached."""


class StaleKeyRingError(EncryptionError):
    """The key ring was loaded before its key was replaced: load it again and repeat the work."""


class TamperedError(EncryptionError):
    """A value does not open where it stands: it was changed, cut, or moved here from another place."""
