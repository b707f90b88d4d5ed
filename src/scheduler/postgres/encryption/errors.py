"""Errors of encryption: missing keys, and values that do not decrypt.

Owns: one class for each fault that a caller handles differently. Messages name keys and rows, never a value.
Must not know: exit codes (the command line's).
"""

from scheduler.core.errors import SchedulerError


class EncryptionError(SchedulerError):
    """A value could not be encrypted or decrypted."""


class KeyUnavailableError(EncryptionError):
    """A key is missing or cannot be unwrapped: its master key is missing, wrong or unreachable."""


class StaleKeyRingError(EncryptionError):
    """The key ring was loaded before the current key was replaced: load it again and repeat the unit of work."""


class TamperedError(EncryptionError):
    """A value does not decrypt at its location: it was changed, cut, or moved from another location."""
