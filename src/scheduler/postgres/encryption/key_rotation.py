"""Key rotation: re-encryption of a tenant's values with a new key, while others read and write.

Owns: the rotation of a tenant's encryption key, and the count of values by key.
Must not know: which tables there are (the models list them), the meaning of the values.

A batch is one transaction: some rows in the order of their primary keys, and their values that an older key encrypted.
The key id in the header of a value shows whether it is done: so starting an interrupted rotation again continues it. A
value is replaced only if it is still the value that was read; values written meanwhile are encrypted with the new key
already (`identity.current_data_key`). A value that does not decrypt is left, reported, and recorded in the audit log; a
key that a value still names is not retired.
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

from scheduler.models.encrypted import KEY_ID, MIN_BYTES, Encrypted
from scheduler.models.registry import METADATA
from scheduler.postgres.audit.reads import Outcome, write_read
from scheduler.postgres.database import Database, Role
from scheduler.postgres.encryption.encrypted_tables import TENANT, EncryptedTable, encrypted_tables
from scheduler.postgres.encryption.errors import TamperedError
from scheduler.postgres.encryption.key_ring import KeyRing, ValueLocation, row_name
from scheduler.postgres.encryption.tenant_keys import TenantKeys, data_keys, hold_current_key

ROWS_PER_BATCH: Final = 200
REASON: Final = "key rotation"

UnitOfWork: TypeAlias = Callable[[], AbstractContextManager[Session]]
Progress: TypeAlias = Callable[[int, int, int], None]
"""Called after each batch with the rows examined, the rows in total, and the values re-encrypted."""


class Start(Enum):
    """The treatment of an unfinished rotation."""

    CONTINUE = auto()
    """Continue it; start one if there is none."""
    ANEW = auto()
    """Start another: the current key leaked too, or a value that does not decrypt keeps the rotation unfinished."""


class Rotation(NamedTuple):
    """Result of a rotation: whether there is a new key, rows examined, values re-encrypted, keys retired."""

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
    metadata: MetaData = METADATA,
    batch: int = ROWS_PER_BATCH,
    progress: Progress = lambda _done, _of, _reencrypted: None,
) -> Rotation:
    """Give a tenant a new encryption key and re-encrypt all its values; or continue an interrupted rotation.

    Raises:
        KeyUnavailableError: a key cannot be unwrapped; finished batches stay.
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
        superseded = [row for row in data_keys(session, keys.tenant_id) if row.superseded_at and not row.retired_at]
        idle = [row.id for row in superseded if row.id is not None and row.id not in used]
        keys.retire(session, idle)
    return Rotation(new_key, done, reencrypted, tuple(unopened), tuple(idle))


def values_by_key(session: Session, tenant_id: UUID, metadata: MetaData = METADATA) -> Mapping[UUID, int]:
    """Count the tenant's encrypted values by the key that they name."""
    counts: Counter[UUID] = Counter()
    for table in encrypted_tables(metadata):
        for column in table.encrypted:
            key = _key_id(column)
            whole = func.octet_length(column) >= MIN_BYTES
            query = select(key, func.count()).where(_of(table, tenant_id), whole).group_by(key)
            for raw, count in session.connection().execute(query):
                counts[UUID(bytes=bytes(raw))] += count
    return counts


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
            for location in failed:
                key, column = row_name(location.row), location.column
                write_read(session.connection(), table.name, [key], [column], reason=REASON, outcome=Outcome.TAMPERED)
        after = tuple(page[-1][: len(table.key)])
        yield len(page), encrypted, failed


def _page(
    session: Session, table: EncryptedTable, ring: KeyRing, *, after: tuple[Any, ...] | None, size: int
) -> list[Row[Any]]:
    """Read the keys of the next rows, and those of their values that an older key encrypted."""
    current = ring.current_id.bytes
    values = [case((_key_id(column) != current, column)).label(column.name) for column in table.encrypted]
    query = select(*table.key, *values).where(_of(table, ring.tenant_id))
    if after is not None:
        last = [literal(value, column.type) for column, value in zip(table.key, after, strict=True)]
        query = query.where(tuple_(*table.key) > tuple_(*last))
    return list(session.connection().execute(query.order_by(*table.key).limit(size)))


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
            changes.append(change | {f"key_{column.name}": part for column, part in zip(table.key, key, strict=True)})
    if changes:
        session.connection().execute(_replacement(table, ring.tenant_id), changes)
    return count, failed


def _reencrypted(ring: KeyRing, old: Encrypted, location: ValueLocation) -> Encrypted | None:
    if not (old.has_shape and ring.knows(old.key_id)):
        return None  # it was changed: no key of this tenant decrypts it
    try:
        return ring.encrypt(ring.decrypt(old, location), location)
    except TamperedError:
        return None


def _replacement(table: EncryptedTable, tenant_id: UUID) -> Any:  # noqa: ANN401  # an UPDATE of any table
    """Return the UPDATE that replaces each value that is still the value that was read."""
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
