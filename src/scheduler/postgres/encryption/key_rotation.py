"""Rekeying: encrypt every value of a tenant anew with a new key, while people go on reading and writing.

Owns: the rotation of a tenant's encryption key, and the count of values by key.
Must not know: which tables there are (the models say it), what the values mean.

A batch is one transaction: some rows in the order of their keys, those values of them that another key encrypted. What
is left to do is seen from the values themselves, by the key id in their header: so a rotation that was broken off is
gone on with by starting it again. A value is replaced only if it still is the one that was read; what somebody has
written meanwhile is encrypted with the new key already (`identity.current_data_key`). A value that does not open is
left as it is and reported; the key that it names is not retired, and neither is any other that a value still names.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from enum import Enum, auto
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias
from uuid import UUID

from sqlalchemy import LargeBinary, MetaData, Row, bindparam, case, func, literal, or_, select, tuple_, update
from sqlmodel import Session

from scheduler.models.encrypted import KEY_ID, SHORTEST, Encrypted
from scheduler.models.registry import METADATA
from scheduler.postgres.database import Database, Role
from scheduler.postgres.encryption.encrypted_tables import TENANT, EncryptedTable, encrypted_tables
from scheduler.postgres.encryption.errors import TamperedError
from scheduler.postgres.encryption.key_ring import KeyRing, ValueLocation
from scheduler.postgres.encryption.tenant_keys import TenantKeys, data_keys, hold_current_key

BATCH: Final = 200
EVERY_MODEL: Final = METADATA

UnitOfWork: TypeAlias = Callable[[], AbstractContextManager[Session]]
Progress: TypeAlias = Callable[[int, int, int], None]
"""Told after each batch: rows looked at, rows in all, values encrypted anew."""


class Start(Enum):
    """What to do about a rotation that is unfinished."""

    CONTINUE = auto()
    """Go on with it; begin one if there is none."""
    ANEW = auto()
    """Begin another: the current key is not to be trusted either, or a value that does not open holds up the rest."""


class Rotation(NamedTuple):
    """Result of a rotation: whether a new key is in place, rows examined, values encrypted anew, keys retired."""

    new_key: bool
    rows: int
    reencrypted: int
    unopened: tuple[ValueLocation, ...]
    retired: tuple[UUID, ...]


def rotate(
    database: Database,
    keys: TenantKeys,
    *,
    start: Start = Start.CONTINUE,
    metadata: MetaData = EVERY_MODEL,
    batch: int = BATCH,
    progress: Progress = lambda _done, _of, _reencrypted: None,
) -> Rotation:
    """Give a tenant a new encryption key and encrypt all its values with it; or go on with a rotation broken off.

    Raises:
        KeyUnavailableError: a key cannot be unwrapped; what was done so far stays.
    """
    system = partial(database.unit_of_work, role=Role.SYSTEM, tenant_id=keys.tenant_id)
    with system() as session:
        new_key = start is Start.ANEW or not keys.is_rotating(session)
        if new_key:
            keys.replace(session)
    with system() as session:
        ring = keys.load_ring(session)
        tables = encrypted_tables(metadata)
        total = sum(_rows(session, table, keys.tenant_id) for table in tables)
    done = reencrypted = 0
    unopened: list[ValueLocation] = []
    for table in tables:
        for rows, encrypted, failed in _table(system, table, ring, batch=batch):
            done, reencrypted = done + rows, reencrypted + encrypted
            unopened += failed
            progress(done, total, reencrypted)
    with system() as session:
        used = values_by_key(session, keys.tenant_id, metadata)
        idle = [
            row.id
            for row in data_keys(session, keys.tenant_id)
            if row.id is not None and row.id not in used and row.superseded_at is not None and row.retired_at is None
        ]
        keys.retire(session, idle)
    return Rotation(new_key, done, reencrypted, tuple(unopened), tuple(idle))


def values_by_key(session: Session, tenant_id: UUID, metadata: MetaData = EVERY_MODEL) -> Mapping[UUID, int]:
    """Count the tenant's encrypted values by the key that they name."""
    counted: Counter[UUID] = Counter()
    for table in encrypted_tables(metadata):
        for column in table.encrypted:
            key = _key_id(column)
            whole = func.octet_length(column) >= SHORTEST
            found = select(key, func.count()).where(_of(table, tenant_id), whole).group_by(key)
            for raw, count in session.connection().execute(found):
                counted[UUID(bytes=bytes(raw))] += count
    return counted


def _table(
    system: UnitOfWork, table: EncryptedTable, ring: KeyRing, *, batch: int
) -> Iterator[tuple[int, int, list[ValueLocation]]]:
    after: tuple[Any, ...] | None = None
    while True:
        with system() as session:
            hold_current_key(session, ring)
            page = _page(session, table, ring, after=after, size=batch)
            if not page:
                return
            encrypted, failed = _reencrypt(session, table, ring, page)
        after = tuple(page[-1][: len(table.key)])
        yield len(page), encrypted, failed


def _page(
    session: Session, table: EncryptedTable, ring: KeyRing, *, after: tuple[Any, ...] | None, size: int
) -> list[Row[Any]]:
    """Read the next rows: their keys, and of the values those that another key than the current one encrypted."""
    current = ring.current_id.bytes
    values = [case((_key_id(column) != current, column)).label(column.name) for column in table.encrypted]
    asked = select(*table.key, *values).where(_of(table, ring.tenant_id))
    if after is not None:
        last = [literal(value, column.type) for column, value in zip(table.key, after, strict=True)]
        asked = asked.where(tuple_(*table.key) > tuple_(*last))
    return list(session.connection().execute(asked.order_by(*table.key).limit(size)))


def _reencrypt(
    session: Session, table: EncryptedTable, ring: KeyRing, page: list[Row[Any]]
) -> tuple[int, list[ValueLocation]]:
    changes: list[dict[str, object]] = []
    count, failed = 0, list[ValueLocation]()
    for row in page:
        key, values = tuple(row[: len(table.key)]), row[len(table.key) :]
        change: dict[str, object] = {}
        for column, old in zip(table.encrypted, values, strict=True):
            new = None if old is None else _reencrypted(ring, old, table.location(column.name, key))
            if old is not None and new is None:
                failed.append(table.location(column.name, key))
            count += new is not None
            change |= {f"old_{column.name}": None if new is None else old, f"new_{column.name}": new}
        if any(value is not None for value in change.values()):
            changes.append(change | {f"key_{one.name}": part for one, part in zip(table.key, key, strict=True)})
    if changes:
        session.connection().execute(_replacement(table, ring.tenant_id), changes)
    return count, failed


def _reencrypted(ring: KeyRing, old: Encrypted, location: ValueLocation) -> Encrypted | None:
    if not (old.has_shape and ring.knows(old.key_id)):
        return None  # changed: no key of this tenant can ever open it
    try:
        return ring.encrypt(ring.decrypt(old, location), location)
    except TamperedError:
        return None


def _replacement(table: EncryptedTable, tenant_id: UUID) -> Any:  # noqa: ANN401  # an UPDATE of any table
    """Replace each value that is still the one that was read, and leave every other."""
    old = {column: bindparam(f"old_{column.name}", type_=column.type) for column in table.encrypted}
    new = {column: bindparam(f"new_{column.name}", type_=column.type) for column in table.encrypted}
    keys = [column == bindparam(f"key_{column.name}", type_=column.type) for column in table.key]
    return (
        update(table.table)
        .where(_of(table, tenant_id), *keys, or_(*[column == old[column] for column in table.encrypted]))
        .values({column: case((column == old[column], new[column]), else_=column) for column in table.encrypted})
    )


def _rows(session: Session, table: EncryptedTable, tenant_id: UUID) -> int:
    return session.connection().execute(select(func.count()).where(_of(table, tenant_id))).scalar_one()


def _of(table: EncryptedTable, tenant_id: UUID) -> Any:  # noqa: ANN401  # a condition
    return table.table.c[TENANT] == tenant_id


def _key_id(column: Any) -> Any:  # noqa: ANN401  # an expression over any encrypted column
    return func.substring(column, KEY_ID.start + 1, KEY_ID.stop - KEY_ID.start, type_=LargeBinary)
