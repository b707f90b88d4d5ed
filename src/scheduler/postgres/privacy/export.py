"""Export: all rows about a person, or of a tenant, as JSON values (GDPR, articles 15 and 20).

Owns: the JSON values of a row, and the record of every export in the audit log.
Must not know: which rows are about a person (`data_subject`), the destination of an export.

Encrypted values are decrypted, and the read is recorded (`phi`). Blind indexes and keys are left out, since nobody can
use them. Both exports need a unit of work with `phi=True`, and `Role.SYSTEM`, since they include rows that the person
may not see in the application.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from enum import Enum
from typing import Final, TypeAlias
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import Table
from sqlalchemy.dialects.postgresql import Range
from sqlmodel import Session, SQLModel, select

from scheduler import models
from scheduler.core.errors import NotFoundError
from scheduler.models.registry import METADATA, model_of
from scheduler.postgres.audit.log import record_system
from scheduler.postgres.encryption import phi
from scheduler.postgres.encryption.encrypted_tables import INDEX, TENANT, described_table
from scheduler.postgres.encryption.key_ring import KeyRing
from scheduler.postgres.privacy.data_subject import Person, rows_of_subject

REASON: Final = "export"
ROWS_PER_BATCH: Final = 1000
LEFT_OUT: Final = frozenset({"identity.data_keys"})
"""Tables left out of every export: a wrapped key is useless without the master key."""

ExportedRow: TypeAlias = Mapping[str, JsonValue]
"""The values of a row by column."""
Keys: TypeAlias = Callable[[], KeyRing]
"""Loads the tenant's key ring; called only for tables with encrypted columns."""


def export_person(session: Session, person: Person, keys: Keys) -> dict[str, list[ExportedRow]]:
    """Return all rows about a person by table, and record that they were exported.

    Raises:
        NotFoundError: the tenant has no such person.
        EncryptionError: a value does not decrypt.
    """
    rows_by_table = rows_of_subject(session, person)
    counts = {table.fullname: len(rows) for table, rows in rows_by_table.items()}
    record_system(session, "person.exported", person.described(counts))
    return {table.fullname: list(_exported(session, table, rows, keys)) for table, rows in rows_by_table.items()}


def export_tenant(session: Session, tenant_id: UUID, keys: Keys) -> Iterator[tuple[str, Iterator[ExportedRow]]]:
    """Yield every table with all rows of the tenant, row by row, and record that they were exported.

    The caller has to consume the rows of a table before the next table, and all of them within the unit of work.

    Raises:
        NotFoundError: the unit of work sees no such tenant.
        EncryptionError: a value does not decrypt.
    """
    if session.get(models.Tenant, tenant_id) is None:
        raise NotFoundError(f"no tenant {tenant_id}")
    record_system(session, "tenant.exported", {})
    for table in METADATA.sorted_tables:
        if table.fullname not in LEFT_OUT:
            yield table.fullname, _all_rows(session, table, tenant_id, keys)


def _all_rows(session: Session, table: Table, tenant_id: UUID, keys: Keys) -> Iterator[ExportedRow]:
    tenant = table.columns.get(TENANT, table.primary_key.columns[0])  # the table of tenants has no tenant_id
    query = select(model_of(table)).where(tenant == tenant_id).order_by(*table.primary_key)
    for batch in session.exec(query, execution_options={"yield_per": ROWS_PER_BATCH}).partitions():
        yield from _exported(session, table, batch, keys)


def _exported(session: Session, table: Table, rows: Sequence[SQLModel], keys: Keys) -> Iterator[ExportedRow]:
    encrypted = [column.name for column in described_table(table).encrypted]
    left_out = {name + INDEX for name in encrypted}
    names = [column.name for column in table.columns if column.name not in left_out]
    plaintexts: Iterable[phi.Plaintext | None] = (
        phi.read(session, keys(), rows, encrypted, reason=REASON) if encrypted else [None] * len(rows)
    )
    for row, plaintext in zip(rows, plaintexts, strict=True):
        yield {
            name: plaintext[name] if plaintext and name in encrypted else _as_json(getattr(row, name)) for name in names
        }


def _as_json(value: object) -> JsonValue:
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Range):
        return [_as_json(value.lower), _as_json(value.upper)]
    if isinstance(value, list):
        return [_as_json(element) for element in value]
    if value is None or isinstance(value, bool | int | float | str | dict):
        return value
    return str(value)  # UUID, Decimal, address
