"""Encrypted columns: a column type that takes encrypted values only.

Owns: the refusal of a value that is not encrypted, before it reaches the server and its log.
Must not know: keys, or how a value is encrypted and decrypted (`postgres.encryption`).

A column that took text as well would one day hold plaintext. Values to be written must have the shape of an encrypted
value, or plaintext would reach the server and its log before a CHECK refuses it. Values read are taken as they are:
decrypting a damaged one fails.
"""

from typing import Any

from sqlalchemy import LargeBinary
from sqlalchemy.types import TypeDecorator

from scheduler.models.encrypted import Encrypted


class NotEncryptedError(TypeError):
    """Something that is not encrypted was to be written to an encrypted column; the message names its type only."""


class EncryptedColumn(TypeDecorator[Encrypted]):
    """A `bytea` column of encrypted values.

    Raises:
        NotEncryptedError: something that is not encrypted is to be written.
    """

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Encrypted | None, dialect: Any) -> bytes | None:  # noqa: ANN401, ARG002
        """Take an encrypted value and nothing else."""
        if value is None or (isinstance(value, Encrypted) and value.has_shape):
            return value
        raise NotEncryptedError(f"an encrypted column takes encrypted values only, not {type(value).__name__}")

    def process_result_value(self, value: bytes | None, dialect: Any) -> Encrypted | None:  # noqa: ANN401, ARG002
        """Give back what was read as encrypted."""
        return None if value is None else Encrypted(value)
