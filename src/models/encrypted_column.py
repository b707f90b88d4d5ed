"""Encrypted columns: a column type that takes encrypted values only.

Owns: the refusal of plaintext before it reaches the server and its log, where a CHECK would be too late.
Must not know: keys, encryption and decryption (`postgres.encryption`).

A value to be written must have the shape of an encrypted value. A value read is taken as it is: decrypting a damaged
value fails.
"""

from typing import Any

from sqlalchemy import LargeBinary
from sqlalchemy.types import TypeDecorator

from scheduler.models.encrypted import Encrypted


class NotEncryptedError(TypeError):
    """A value that is not encrypted was to be written to an encrypted column; the message names only its type."""


class EncryptedColumn(TypeDecorator[Encrypted]):
    """A `bytea` column of encrypted values.

    Raises:
        NotEncryptedError: a value to be written is not encrypted.
    """

    impl: Any = LargeBinary
    cache_ok: bool | None = True

    def process_bind_param(self, value: Encrypted | None, dialect: Any) -> bytes | None:  # noqa: ANN401, ARG002
        """Pass on an encrypted value, and refuse any other."""
        if value is None or (isinstance(value, Encrypted) and value.has_shape):
            return value
        raise NotEncryptedError(f"an encrypted column takes encrypted values only, not {type(value).__name__}")

    def process_result_value(self, value: bytes | None, dialect: Any) -> Encrypted | None:  # noqa: ANN401, ARG002
        """Return the value read as an encrypted value."""
        return None if value is None else Encrypted(value)
