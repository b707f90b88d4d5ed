"""The keys of tenants: the rows of `identity.data_keys`.

Owns: making, superseding, retiring and rewrapping data keys, and loading a tenant's key ring.
Holds: T5 (random bytes are an argument; times are the database's).
Must not know: what is encrypted with the keys.

Making and changing keys needs `Role.SYSTEM`; loading a ring needs `Role.APP`. Every statement names the tenant, so
that it does the same for a login that row security does not bind.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlmodel import Session, col, select

from scheduler.models.identity import DataKey
from scheduler.postgres.encryption.errors import KeyUnavailableError, StaleKeyRingError
from scheduler.postgres.encryption.key_ring import KeyRing, Purpose, WrappedKey, wrapping_context
from scheduler.postgres.encryption.master_keys import KEY_BYTES, MasterKeys, RandomBytes

_CURRENT: Final = text("select identity.current_data_key(:tenant)")
_LOCK: Final = text("select pg_advisory_xact_lock(hashtext('scheduler'), hashtext('data keys ' || :tenant))")
_INSERT: Final = text("""
insert into identity.data_keys (tenant_id, id, purpose, wrapped_key, master_key_id)
values (:tenant, :id, :purpose, :wrapped, :master)
""")
_SUPERSEDE: Final = text("""
update identity.data_keys set superseded_at = now()
where tenant_id = :tenant and purpose = 'encryption' and superseded_at is null
""")
_RETIRE: Final = text("""
update identity.data_keys set retired_at = now()
where tenant_id = :tenant and id = :id and superseded_at is not null and retired_at is null
""")
_REWRAP: Final = text("""
update identity.data_keys set wrapped_key = :wrapped, master_key_id = :master where tenant_id = :tenant and id = :id
""")


@dataclass(frozen=True, slots=True)
class TenantKeys:
    """The keys of a tenant, with the master keys that wrap them and the random source that new ones come from."""

    tenant_id: UUID
    masters: MasterKeys
    random_bytes: RandomBytes

    def load_ring(self, session: Session) -> KeyRing:
        """Load the keys; they are unwrapped when they are needed. Load a ring for each unit of work.

        Raises:
            KeyUnavailableError: the tenant has no keys.
        """
        keys = [_wrapped(row) for row in data_keys(session, self.tenant_id)]
        if not keys:
            raise KeyUnavailableError(f"tenant {self.tenant_id} has no keys: `scheduler keys rotate` makes them")
        return KeyRing(self.tenant_id, keys, masters=self.masters, random_bytes=self.random_bytes)

    def ensure(self, session: Session) -> int:
        """Make the keys that the tenant has none of yet, and return how many were made."""
        self._lock(session)
        there = {row.purpose for row in data_keys(session, self.tenant_id) if row.superseded_at is None}
        missing = [purpose for purpose in Purpose if purpose not in there]
        for purpose in missing:
            key_id = UUID(bytes=self.random_bytes(16), version=4)
            context = wrapping_context(self.tenant_id, key_id, purpose)
            values = {"tenant": self.tenant_id, "id": key_id, "purpose": purpose.value}
            wrapped = {
                "wrapped": self.masters.wrap(self.random_bytes(KEY_BYTES), context),
                "master": self.masters.active_id,
            }
            session.connection().execute(_INSERT, values | wrapped)
        return len(missing)

    def is_rotating(self, session: Session) -> bool:
        """Whether a key was superseded and not retired yet, once nobody else is changing the tenant's keys."""
        self._lock(session)
        keys = data_keys(session, self.tenant_id)
        return any(row.superseded_at is not None and row.retired_at is None for row in keys)

    def replace(self, session: Session) -> None:
        """Put a new encryption key in place of the current one; make what the tenant has none of yet.

        It waits for those who are encrypting with the current key; whoever comes later encrypts with the new one.

        Raises:
            KeyUnavailableError: a key that may still be in use cannot be unwrapped; then nothing is changed.
        """
        self._lock(session)
        for row in data_keys(session, self.tenant_id):
            if row.retired_at is None:
                self._unwrap(_wrapped(row))
        session.connection().execute(_SUPERSEDE, {"tenant": self.tenant_id})
        self.ensure(session)

    def retire(self, session: Session, key_ids: Iterable[UUID]) -> None:
        """Write that no value uses these superseded keys any more."""
        for key_id in key_ids:
            session.connection().execute(_RETIRE, {"tenant": self.tenant_id, "id": key_id})

    def rewrap(self, session: Session) -> int:
        """Wrap all keys, old ones too, by the active master key, and return how many were not before.

        Raises:
            KeyUnavailableError: a master key that wrapped one of them is not there; then none is changed.
        """
        self._lock(session)
        active_id = self.masters.active_id
        older = [row for row in data_keys(session, self.tenant_id) if row.master_key_id != active_id]
        for key in map(_wrapped, older):
            wrapped = self.masters.wrap(self._unwrap(key), wrapping_context(self.tenant_id, key.id, key.purpose))
            values = {"tenant": self.tenant_id, "id": key.id, "master": active_id}
            session.connection().execute(_REWRAP, values | {"wrapped": wrapped})
        return len(older)

    def _unwrap(self, key: WrappedKey) -> bytes:
        context = wrapping_context(self.tenant_id, key.id, key.purpose)
        return self.masters.unwrap(key.wrapped, context, master_key_id=key.master_key_id)

    def _lock(self, session: Session) -> None:
        session.connection().execute(_LOCK, {"tenant": self.tenant_id})


def data_keys(session: Session, tenant_id: UUID) -> list[DataKey]:
    """Return all keys of a tenant, oldest first."""
    mine = select(DataKey).where(col(DataKey.tenant_id) == tenant_id)
    ordered = mine.order_by(col(DataKey.created_at), col(DataKey.id))
    return list(session.exec(ordered, execution_options={"populate_existing": True}))  # as they are now


def hold_current_key(session: Session, ring: KeyRing) -> None:
    """Make sure that the ring encrypts with the current key, and that it stays current in this transaction.

    Raises:
        StaleKeyRingError: another key has taken its place since the ring was loaded.
    """
    current: UUID | None = session.connection().execute(_CURRENT, {"tenant": ring.tenant_id}).scalar_one()
    if current != ring.current_id:
        raise StaleKeyRingError(f"the key of tenant {ring.tenant_id} was replaced: load its key ring again")


def _wrapped(row: DataKey) -> WrappedKey:
    if row.id is None:  # no row of the table is without
        raise KeyUnavailableError("a key without an id")
    return WrappedKey(row.id, Purpose(row.purpose), row.wrapped_key, row.master_key_id, row.superseded_at is None)
