"""Encrypted values: the bytes in an encrypted column.

Owns: the shape of an encrypted value, which the CHECKs of the tables test, too (`identity.is_ciphertext`).
Must not know: keys, encryption and decryption (`postgres.encryption`), SQLAlchemy.
"""

from base64 import b64encode
from typing import Final
from uuid import UUID

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

VERSION: Final = 1
KEY_ID: Final = slice(1, 17)
HEADER_BYTES: Final = 17
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
MIN_BYTES: Final = HEADER_BYTES + NONCE_BYTES + TAG_BYTES


class Encrypted(bytes):
    """An encrypted value: version (1 byte, 1), key id (16), nonce (12), ciphertext, tag (16). Shown by its length."""

    __slots__ = ()

    @property
    def has_shape(self) -> bool:
        """Whether the value is of this version and long enough for all parts of an encrypted value."""
        return len(self) >= MIN_BYTES and self[0] == VERSION

    @property
    def key_id(self) -> UUID:
        """The id of the key that the value names; the value must have the shape."""
        return UUID(bytes=self[KEY_ID])

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: object, _of: GetCoreSchemaHandler) -> CoreSchema:
        # A model refuses other values, too. In JSON, which has no bytes, the value is base64, as FHIR's base64Binary.
        base64 = core_schema.plain_serializer_function_ser_schema(_base64, when_used="json-unless-none")
        return core_schema.is_instance_schema(cls, serialization=base64)

    def __repr__(self) -> str:
        return f"Encrypted({len(self)} bytes)"

    __str__ = __repr__


def _base64(value: bytes) -> str:
    return b64encode(value).decode("ascii")
