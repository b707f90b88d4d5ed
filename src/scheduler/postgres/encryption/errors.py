"""Errors of encryption: keys that are missing, values that do not decrypt.

Owns: one class for each fault that a caller handles differently. Messages name keys and rows, never a value.
Must not know: exit codes (the command line's).
"""

from scheduler.core.errors import SchedulerError


class EncryptionError(SchedulerError):
    """What is encrypted could not be sealed or opened. The message names keys and places by id, never a value."""


class KeyUnavailableError(EncryptionError):
    """A key is not there, or cannot be unwrapped: the master key is missing, is another one, or cannot be reached."""


class StaleKeyRingError(EncryptionError):
    """The key ring was loaded before its key was replaced: load it again and repeat the work."""


class TamperedError(EncryptionError):
    """A value does not open where it stands: it was changed, cut, or moved here from another place."""
