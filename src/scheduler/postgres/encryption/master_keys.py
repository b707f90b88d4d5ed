"""Master keys: wrapping and unwrapping the data keys of the tenants.

Owns: the protocol of a source of master keys, and the implementation that holds them in this process.
Holds: T5 (keys and random bytes are arguments).
Must not know: the purpose of the wrapped keys, where they are stored.

A key service (KMS, HSM) replaces `HeldMasterKeys` by implementing `MasterKeys`: then the master key is never in this
process. Messages name a master key by its id or position, never by a part of the key; a part that could not be read is
not even named by its id, since people swap id and key.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Callable, Mapping
from typing import Final, NoReturn, Protocol, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from scheduler.core.errors import InvalidInputError
from scheduler.models.encrypted import NONCE_BYTES
from scheduler.postgres.encryption.errors import KeyUnavailableError

RandomBytes: TypeAlias = Callable[[int], bytes]
"""Returns so many random bytes, fit for keys: `os.urandom`."""

KEY_BYTES: Final = 32
_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_MIN_DIFFERENT_BYTES: Final = 8  # 32 random bytes always have more


class MasterKeys(Protocol):
    """A source of master keys. A wrapped key unwraps only with the same context (authenticated, not secret)."""

    @property
    def active_id(self) -> str:
        """The id of the master key that `wrap` uses."""

    def wrap(self, key: bytes, context: bytes) -> bytes:
        """Wrap a key by the active master key.

        Raises:
            KeyUnavailableError: the master key cannot be used now.
        """

    def unwrap(self, wrapped: bytes, context: bytes, *, master_key_id: str) -> bytes:
        """Unwrap a key that the master key with this id wrapped.

        Raises:
            KeyUnavailableError: the master key is missing, is another key, or cannot be used now.
        """


class HeldMasterKeys:
    """Master keys in this process; a wrapped key is nonce, ciphertext and tag of AES-256-GCM."""

    __slots__ = ("_active_id", "_ciphers", "_random_bytes")

    def __init__(self, keys: Mapping[str, bytes], *, random_bytes: RandomBytes) -> None:
        """Take keys of 32 bytes by id; the first is the active one."""
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._active_id = next(iter(keys))
        self._random_bytes = random_bytes

    @property
    def active_id(self) -> str:
        """The id of the first key."""
        return self._active_id

    def wrap(self, key: bytes, context: bytes) -> bytes:
        """Wrap a key by the first master key."""
        nonce = self._random_bytes(NONCE_BYTES)
        return nonce + self._ciphers[self._active_id].encrypt(nonce, key, context)

    def unwrap(self, wrapped: bytes, context: bytes, *, master_key_id: str) -> bytes:
        """Unwrap a key that the master key with this id wrapped."""
        cipher = self._ciphers.get(master_key_id)
        if cipher is None:
            raise KeyUnavailableError(f"there is no master key {master_key_id!r}")
        try:
            return cipher.decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], context)
        except (InvalidTag, ValueError):
            fault = f"the master key {master_key_id!r} did not wrap this key, or the wrapped key was changed"
            raise KeyUnavailableError(fault) from None

    def __repr__(self) -> str:
        return f"HeldMasterKeys({', '.join(self._ciphers)})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("master keys cannot be pickled")


def new_master_key(key_id: str, *, random_bytes: RandomBytes) -> str:
    """Create a master key, written for `read_master_keys`: `id:base64`.

    Raises:
        InvalidInputError: the id is invalid.
    """
    if not _ID.fullmatch(key_id):
        raise InvalidInputError("the id of a master key has to be 1 to 64 letters, digits, dots, dashes or underscores")
    return f"{key_id}:{b64encode(random_bytes(KEY_BYTES)).decode()}"


def read_master_keys(text: str, *, random_bytes: RandomBytes) -> HeldMasterKeys:
    """Read master keys written as `id:base64,id:base64`; the first is active, the others unwrap older data keys.

    Raises:
        InvalidInputError: a part cannot be read; the message names its position.
    """
    keys: dict[str, bytes] = {}
    for position, part in enumerate(text.split(","), start=1):
        key_id, key = _read(part.strip(), f"part {position} of the master keys")
        if key_id in keys or key in keys.values():
            raise InvalidInputError(f"part {position} of the master keys repeats the id or the key of an earlier part")
        keys[key_id] = key
    return HeldMasterKeys(keys, random_bytes=random_bytes)


def _read(part: str, name: str) -> tuple[str, bytes]:
    key_id, colon, written = part.partition(":")
    if not colon or not _ID.fullmatch(key_id):
        raise InvalidInputError(f"{name} is not ID:BASE64: create one with `scheduler keys new-master`")
    try:
        key = b64decode(written, validate=True)
    except (NotBase64, ValueError):
        key = None
    if key is None:  # raised here, since the error above would carry the text
        raise InvalidInputError(f"{name} has a key that is not base64")
    if len(key) != KEY_BYTES:
        raise InvalidInputError(f"{name} has a key of {len(key)} bytes: {KEY_BYTES} are needed")
    if len(set(key)) < _MIN_DIFFERENT_BYTES:
        raise InvalidInputError(f"{name} has a key that is not random")
    return key_id, key
