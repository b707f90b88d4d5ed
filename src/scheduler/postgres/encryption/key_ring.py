"""Key ring: encryption, decryption and blind indexes of the values of one tenant.

Owns: how a value is encrypted and bound to its location, and how a blind index is made.
Holds: T5 (random bytes are an argument).
Must not know: where keys and values are stored, who may read them.

A value is encrypted with AES-256-GCM under the tenant's current key and a random nonce of 96 bits (NIST SP 800-38D).
Its associated data is its header and its location: tenant, table, column, row. So a value that is moved to another
location does not decrypt there. Each part of a location is written with its length, so that no two locations give the
same bytes. A key is unwrapped at its first use and kept no longer than the ring. Everything fails closed.
"""

import hmac
from collections.abc import Iterable
from enum import StrEnum
from typing import Final, NamedTuple, NoReturn, TypeAlias
from unicodedata import normalize
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from scheduler.core.errors import InvalidInputError
from scheduler.models.encrypted import HEADER_BYTES, NONCE_BYTES, VERSION, Encrypted
from scheduler.postgres.encryption.errors import KeyUnavailableError, TamperedError
from scheduler.postgres.encryption.master_keys import KEY_BYTES, MasterKeys, RandomBytes

KeyPart: TypeAlias = UUID | int | str
_PLAIN: Final = frozenset((UUID, int, str))
_WRAPPED: Final = "slotsmith data key"
_INDEXED: Final = "slotsmith blind index"


class Purpose(StrEnum):
    """The purpose of a data key."""

    ENCRYPTION = "encryption"
    INDEX = "index"


class WrappedKey(NamedTuple):
    """A stored data key; `is_current` says that new values are encrypted with it."""

    id: UUID
    purpose: Purpose
    wrapped: bytes
    master_key_id: str
    is_current: bool

    def __repr__(self) -> str:
        return f"WrappedKey({self.id}, {self.purpose}, wrapped by {self.master_key_id})"


class ValueLocation(NamedTuple):
    """The location of a value: `schema.table`, the column, and the row's primary key without its tenant."""

    table: str
    column: str
    row: tuple[KeyPart, ...]

    def __str__(self) -> str:
        return f"{self.table}.{self.column} of row {row_name(self.row)}"


def row_name(row: tuple[KeyPart, ...]) -> str:
    """Name a row in a message or a log by its key."""
    return ",".join(map(str, row))


def plain_part(part: KeyPart) -> KeyPart:
    """Return a part of a key as a plain UUID, number or text; None and others unchanged.

    An object of a subclass may show another key than the one that it stands for, so that a record would name another
    row than the one whose value is decrypted.
    """
    if type(part) in _PLAIN:
        return part
    if isinstance(part, UUID):
        return UUID(bytes=part.bytes)
    if isinstance(part, str):
        return str.__str__(part)
    return int.__int__(part) if isinstance(part, int) else part


def length_prefixed(*parts: str) -> bytes:
    """Join texts, each after its length, so that no two lists of texts give the same bytes."""
    return b"".join([_prefixed(part.encode()) for part in parts])


def wrapping_context(tenant_id: UUID, key_id: UUID, purpose: Purpose) -> bytes:
    """Return the context of a wrapped key, which unwraps only for this tenant, key id and purpose."""
    return length_prefixed(_WRAPPED, str(tenant_id), str(key_id), purpose)


def normalised(text: str) -> str:
    """Normalise a text for a blind index: without compatibility forms, case, or space around it."""
    return normalize("NFKC", normalize("NFKC", text).casefold()).strip()


class KeyRing:
    """The keys of one tenant, current and older. The ring never shows them and cannot be pickled."""

    __slots__ = (
        "_ciphers",
        "_current",
        "_derived",
        "_encryption",
        "_keys",
        "_locations",
        "_masters",
        "_random_bytes",
        "tenant_id",
    )

    def __init__(
        self, tenant_id: UUID, keys: Iterable[WrappedKey], *, masters: MasterKeys, random_bytes: RandomBytes
    ) -> None:
        self.tenant_id: UUID = tenant_id
        self._keys = {key.id: key for key in keys}
        self._current = {key.purpose: key.id for key in self._keys.values() if key.is_current}
        self._masters = masters
        self._random_bytes = random_bytes
        self._ciphers: dict[UUID, AESGCM] = {}
        self._derived: dict[tuple[str, str], bytes] = {}
        self._locations: dict[tuple[str, str], bytes] = {}
        self._encryption: tuple[bytes, AESGCM] | None = None

    @property
    def current_id(self) -> UUID:
        """The id of the key that encrypts new values.

        Raises:
            KeyUnavailableError: the tenant has no such key.
        """
        return self._current_of(Purpose.ENCRYPTION).id

    def knows(self, key_id: UUID) -> bool:
        """Tell whether an encryption key of this tenant has this id."""
        key = self._keys.get(key_id)
        return key is not None and key.purpose is Purpose.ENCRYPTION

    def encrypt(self, text: str, location: ValueLocation) -> Encrypted:
        """Encrypt a text for its location.

        Raises:
            InvalidInputError: no text, or one that cannot be written as UTF-8, or the row has no complete key yet.
            KeyUnavailableError: the tenant's key is missing or cannot be unwrapped.
        """
        plaintext = _encode(text)
        if plaintext is None:
            raise InvalidInputError(f"the value for {location} is no text, or has half a character (a lone surrogate)")
        header, cipher = self._encryption or self._begin_encryption()
        nonce = self._random_bytes(NONCE_BYTES)
        return Encrypted(header + nonce + cipher.encrypt(nonce, plaintext, header + self._binding(location)))

    def decrypt(self, encrypted: Encrypted, location: ValueLocation) -> str:
        """Decrypt the value at a location.

        Raises:
            KeyUnavailableError: the key that the value names is not this tenant's, or cannot be unwrapped.
            TamperedError: the value was changed, or was not encrypted for this location.
        """
        if not isinstance(encrypted, Encrypted) or not encrypted.has_shape:
            raise TamperedError(f"{location} does not decrypt: it is not an encrypted value")
        header, nonce, rest = (
            encrypted[:HEADER_BYTES],
            encrypted[HEADER_BYTES : HEADER_BYTES + NONCE_BYTES],
            encrypted[HEADER_BYTES + NONCE_BYTES :],
        )
        if not self.knows(encrypted.key_id):
            missing = f"tenant {self.tenant_id} has no encryption key {encrypted.key_id}"
            raise KeyUnavailableError(f"{location} does not decrypt: {missing}")
        cipher = self._cipher(encrypted.key_id)
        try:
            return cipher.decrypt(nonce, rest, header + self._binding(location)).decode()
        except InvalidTag:
            fault = f"{location} does not decrypt: it was changed, or was encrypted for another location"
            raise TamperedError(fault) from None

    def blind_index(self, text: str, *, table: str, column: str) -> bytes:
        """Return 32 bytes that are equal for equal texts in this column of this tenant, and reveal nothing else.

        Two indexes reveal whether their texts are equal. So index only nearly unique values (a member number, not a
        diagnosis). Texts that differ in case, compatibility forms or space around them count as equal.

        Raises:
            InvalidInputError: the text is blank, is no text, or cannot be written as UTF-8.
            KeyUnavailableError: the tenant's index key is missing or cannot be unwrapped.
        """
        indexed = _encode(normalised(text)) if isinstance(text, str) else None
        if not indexed:
            raise InvalidInputError(
                f"the text to look up in {table}.{column} is blank, is no text, or has a lone surrogate"
            )
        return hmac.digest(self._index_key(table, column), indexed, "sha256")

    def _index_key(self, table: str, column: str) -> bytes:
        if (table, column) not in self._derived:
            info = length_prefixed(_INDEXED, str(self.tenant_id), table, column)
            derive = HKDF(SHA256(), KEY_BYTES, salt=None, info=info).derive
            self._derived[table, column] = derive(self._unwrap(self._current_of(Purpose.INDEX)))
        return self._derived[table, column]

    def _begin_encryption(self) -> tuple[bytes, AESGCM]:
        key_id = self.current_id
        self._encryption = bytes((VERSION,)) + key_id.bytes, self._cipher(key_id)
        return self._encryption

    def _binding(self, location: ValueLocation) -> bytes:
        table, column, row = location
        begin = self._locations.get((table, column))
        if begin is None:
            begin = self._locations[table, column] = length_prefixed(str(self.tenant_id), table, column)
        return begin + b"".join([_part(part, location) for part in row])

    def _cipher(self, key_id: UUID) -> AESGCM:
        if key_id not in self._ciphers:
            self._ciphers[key_id] = AESGCM(self._unwrap(self._keys[key_id]))
        return self._ciphers[key_id]

    def _unwrap(self, key: WrappedKey) -> bytes:
        context = wrapping_context(self.tenant_id, key.id, key.purpose)
        unwrapped = self._masters.unwrap(key.wrapped, context, master_key_id=key.master_key_id)
        if len(unwrapped) != KEY_BYTES:
            raise KeyUnavailableError(f"key {key.id} of tenant {self.tenant_id} has the wrong length")
        return unwrapped

    def _current_of(self, purpose: Purpose) -> WrappedKey:
        if purpose not in self._current:
            raise KeyUnavailableError(
                f"tenant {self.tenant_id} has no {purpose} key: create it with `scheduler keys rotate`"
            )
        return self._keys[self._current[purpose]]

    def __repr__(self) -> str:
        return f"KeyRing(tenant {self.tenant_id}, {len(self._keys)} keys)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key ring cannot be pickled")


def _part(part: KeyPart, location: ValueLocation) -> bytes:
    """Encode a part of a row's key with its type, so that a number and its digits differ."""
    if isinstance(part, UUID):
        return _prefixed(b"u" + part.bytes)
    if isinstance(part, int | str):
        return _prefixed((f"i{part}" if isinstance(part, int) else f"s{part}").encode())
    raise InvalidInputError(f"{location} has an invalid key: its parts have to be UUIDs, numbers or texts, all set")


def _prefixed(raw: bytes) -> bytes:
    return len(raw).to_bytes(4, "big") + raw


def _encode(text: object) -> bytes | None:
    """Return a text as UTF-8; None for anything else, and for one that has no UTF-8. An error would carry the text."""
    try:
        return text.encode() if isinstance(text, str) else None
    except UnicodeEncodeError:
        return None
