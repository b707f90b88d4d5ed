"""Sealed values: what stands in an encrypted column.

Owns: the shape of an encrypted value, and the column type that takes nothing else.
Must not know: keys, or how a value is sealed and opened (`scheduler.store`).

A column that took text as well would one day hold clear text. So it takes `Sealed` only, and gives `Sealed` back. What
is to be written has to have the shape, too: otherwise clear text would reach the server, and its log, before the CHECK
of the table (`identity.is_ciphertext`, the same rule) refuses it. What is read is taken as it is: to open it will fail.
"""

from base64 import b64encode
from typing import Any, Final
from uuid import UUID

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema
from sqlalchemy import LargeBinary
from sqlalchemy.types import TypeDecorator

VERSION: Final = 1
KEY_ID: Final = slice(1, 17)
HEADER: Final = 17
NONCE: Final = 12
TAG: Final = 16
SHORTEST: Final = HEADER + NONCE + TAG


class Sealed(bytes):
    """An encrypted value: version (1 byte, 1), key id (16), nonce (12), ciphertext, tag (16). Shown by its length."""

    __slots__ = ()

    @property
    def has_shape(self) -> bool:
        """Whether the value can be an encrypted one: of this version, and long enough for all parts."""
        return len(self) >= SHORTEST and self[0] == VERSION

    @property
    def key_id(self) -> UUID:
        """The id of the key that the value says it is sealed with; the value has to have the shape."""
        return UUID(bytes=self[KEY_ID])

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _of: GetCoreSchemaHandler) -> CoreSchema:
        # A model takes nothing else either. JSON has no bytes: there it is base64, as FHIR's base64Binary.
        written = core_schema.plain_serializer_function_ser_schema(_base64, when_used="json-unless-none")
        return core_schema.is_instance_schema(cls, serialization=written)

    def __repr__(self) -> str:
        return f"Sealed({len(self)} bytes)"

    __str__ = __repr__


def _base64(value: bytes) -> str:
    return b64encode(value).decode("ascii")


class NotSealedError(TypeError):
    """Something that is not sealed was to be written to an encrypted column; the message names its type only."""


class SealedColumn(TypeDecorator[Sealed]):
    """A `bytea` column of sealed values.

    Raises:
        NotSealedError: something that is not sealed is to be written.
    """

    impl = LargeBinary
    cache_ok = True

    def process_bind_param(self, value: Sealed | None, dialect: Any) -> bytes | None:  # noqa: ANN401, ARG002
        """Take a sealed value and nothing else."""
        if value is None or (isinstance(value, Sealed) and value.has_shape):
            return value
        raise NotSealedError(f"an encrypted column takes sealed values only, not {type(value).__name__}")

    def process_result_value(self, value: bytes | None, dialect: Any) -> Sealed | None:  # noqa: ANN401, ARG002
        """Give back what was read as sealed."""
        return None if value is None else Sealed(value)
