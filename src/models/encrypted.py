"""Encrypted values: the bytes in an encrypted column.

Owns: the shape of an encrypted value, which the CHECKs of the tables know too (`identity.is_ciphertext`).
Must not know: keys, how a value is encrypted and decrypted (`postgres.encryption`), SQLAlchemy.
"""

from base64 import b64encode
from typing import Final
from uuid import UUID

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

VERSION: Final = 1
KEY_ID: Final = slice(1, 17)
HEADER: Final = 17
NONCE: Final = 12
TAG: Final = 16
SHORTEST: Final = HEADER + NONCE + TAG


class Encrypted(bytes):
    """An encrypted value: version (1 byte, 1), key id (16), nonce (12), ciphertext, tag (16). Shown by its length."""

    __slots__ = ()

    @property
    def has_shape(self) -> bool:
        """Whether the value can be an encrypted one: of this version, and long enough for all parts."""
        return len(self) >= SHORTEST and self[0] == VERSION

    @property
    def key_id(self) -> UUID:
        """The id of the key that the value says it is encrypted with; the value has to have the shape."""
        return UUID(bytes=self[KEY_ID])

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _of: GetCoreSchemaHandler) -> CoreSchema:
        # A model takes nothing else either. JSON has no bytes: there it is base64, as FHIR's base64Binary.
        written = core_schema.plain_serializer_function_ser_schema(_base64, when_used="json-unless-none")
        return core_schema.is_instance_schema(cls, serialization=written)

    def __repr__(self) -> str:
        return f"Encrypted({len(self)} bytes)"

    __str__ = __repr__


def _base64(value: bytes) -> str:
    return b64encode(value).decode("ascii")
