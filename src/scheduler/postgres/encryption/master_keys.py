"""Master keys: what wraps the keys of the tenants.

Owns: what a source of master keys has to do, and the one that holds them itself.
Holds: T5 (where the keys and the random bytes come from is said by the caller).
Must not know: what the wrapped keys are for, where they are stored.

A key service (KMS, HSM) takes the place of `HeldMasterKeys` by doing what `MasterKeys` says: then the master key
never is in this process. Messages name a master key by its id or by its position, never by anything of the key itself;
a part that could not be read is not even named by its id, since people write the two the wrong way round.
"""

import re
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Callable, Mapping
from typing import Final, NoReturn, Protocol, TypeAlias

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from scheduler.core.errors import InvalidInputError
from scheduler.models.encrypted import NONCE
from scheduler.postgres.encryption.errors import KeyUnavailableError

RandomBytes: TypeAlias = Callable[[int], bytes]
"""Gives so many random bytes, fit for keys: `os.urandom`."""

KEY_BYTES: Final = 32
_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)
_FEW: Final = 8  # 32 random bytes with fewer different ones do not happen


class MasterKeys(Protocol):
    """A source of master keys. What it wraps opens only with the same context (authenticated, not secret)."""

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
            KeyUnavailableError: there is no such master key, it is another one than it was, or cannot be used now.
        """


class HeldMasterKeys:
    """Master keys that this process itself holds; wrapping is AES-256-GCM, written as nonce, ciphertext, tag."""

    __slots__ = ("_active_id", "_ciphers", "_random_bytes")

    def __init__(self, keys: Mapping[str, bytes], *, random_bytes: RandomBytes) -> None:
        """Take keys of 32 bytes by their ids; the first is the active one."""
        self._ciphers = {key_id: AESGCM(key) for key_id, key in keys.items()}
        self._active_id = next(iter(keys))
        self._random_bytes = random_bytes

    @property
    def active_id(self) -> str:
        """The id of the first key."""
        return self._active_id

    def wrap(self, key: bytes, context: bytes) -> bytes:
        """Wrap a key by the first master key."""
        nonce = self._random_bytes(NONCE)
        return nonce + self._ciphers[self._active_id].encrypt(nonce, key, context)

    def unwrap(self, wrapped: bytes, context: bytes, *, master_key_id: str) -> bytes:
        """Unwrap a key that the master key with this id wrapped.

        Raises:
            KeyUnavailableError: there is no such master key, or it is another one than it was.
        """
        cipher = self._ciphers.get(master_key_id)
        if cipher is None:
            raise KeyUnavailableError(f"there is no master key {master_key_id!r}")
        try:
            return cipher.decrypt(wrapped[:NONCE], wrapped[NONCE:], context)
        except (InvalidTag, ValueError):
            raise KeyUnavailableError(
                f"the master key {master_key_id!r} is not the one that wrapped this key, or the key was changed"
            ) from None

    def __repr__(self) -> str:
        return f"HeldMasterKeys({', '.join(self._ciphers)})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("master keys are not pickled")


def new_master_key(key_id: str, *, random_bytes: RandomBytes) -> str:
    """Make a master key and write it as `read_master_keys` reads it: `id:base64`.

    Raises:
        InvalidInputError: the id cannot name a key.
    """
    if not _ID.fullmatch(key_id):
        raise InvalidInputError("a master key is named by 1 to 64 letters, digits, dots, dashes or underscores")
    return f"{key_id}:{b64encode(random_bytes(KEY_BYTES)).decode()}"


def read_master_keys(text: str, *, random_bytes: RandomBytes) -> HeldMasterKeys:
    """Read master keys written as `id:base64,id:base64`; the first is the active one, the others open what is older.

    Raises:
        InvalidInputError: a part cannot be read; the message says which one, by its position.
    """
    keys: dict[str, bytes] = {}
    for position, part in enumerate(text.split(","), start=1):
        key_id, key = _read(part.strip(), f"part {position} of the master keys")
        if key_id in keys or key in keys.values():
            raise InvalidInputError(f"part {position} of the master keys repeats the id or the key of one before it")
        keys[key_id] = key
    return HeldMasterKeys(keys, random_bytes=random_bytes)


def _read(part: str, name: str) -> tuple[str, bytes]:
    key_id, colon, written = part.partition(":")
    if not colon or not _ID.fullmatch(key_id):
        raise InvalidInputError(f"{name} is not ID:BASE64 (`scheduler keys new-master` makes one)")
    try:
        key = b64decode(written, validate=True)
    except (NotBase64, ValueError):
        key = None
    if key is None:  # raised here: the error above would carry what was written
        raise InvalidInputError(f"{name} has a key that is not base64")
    if len(key) != KEY_BYTES:
        raise InvalidInputError(f"{name} has a key of {len(key)} bytes: {KEY_BYTES} are needed")
    if len(set(key)) < _FEW:
        raise InvalidInputError(f"{name} has a key that is not random")
    return key_id, key
