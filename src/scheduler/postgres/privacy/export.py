"""Exporting: everything that is stored about a person, or for a tenant, as values that JSON knows.

Owns: how a row is written down for a person to take away (GDPR, articles 15 and 20), and that this is recorded.
Must not know: which rows are about a person (`personal`), where what is exported goes.

What is encrypted is opened, and the reading is recorded (`phi`). Left out are blind indexes and keys, which say nothing
to anybody. Both exports belong to `Role.SYSTEM`: what a person may not see in the application is in them, too.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from enum import Enum
from typing import Final, TypeAlias
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import Table
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
BATCH: Final = 1000
KEPT_IN: Final = frozenset({"identity.data_keys"})
"""What no export has: a key is of no use to whom it was wrapped for nobody else."""

ExportedRow: TypeAlias = Mapping[str, JsonValue]
"""A row: column -> value."""
Keys: TypeAlias = Callable[[], KeyRing]
"""Loads the tenant's key ring; asked only if there is something encrypted."""


def export_person(session: Session, person: Person, keys: Keys) -> dict[str, list[ExportedRow]]:
    """Return all rows about a person by table, and record that they were exported.

    Raises:
        NotFoundError: there is no such person in the tenant.
        EncryptionError: something encrypted does not open.
    """
    found = rows_of_subject(session, person)
    record_system(session, "person.exported", person.described({one.fullname: len(found[one]) for one in found}))
    return {table.fullname: list(_written(session, table, rows, keys)) for table, rows in found.items()}


def export_tenant(session: Session, tenant_id: UUID, keys: Keys) -> Iterator[tuple[str, Iterator[ExportedRow]]]:
    """Yield every table with all rows of the tenant, row by row, and record that they were exported.

    The rows of a table have to be taken before the next table, and all of them within the unit of work.

    Raises:
        NotFoundError: the unit of work sees no such tenant.
        EncryptionError: something encrypted does not open.
    """
    if session.get(models.Tenant, tenant_id) is None:
        raise NotFoundError(f"no tenant {tenant_id}")
    record_system(session, "tenant.exported", {})
    for table in METADATA.sorted_tables:
        if table.fullname not in KEPT_IN:
            yield table.fullname, _all_rows(session, table, tenant_id, keys)


def _all_rows(session: Session, table: Table, tenant_id: UUID, keys: Keys) -> Iterator[ExportedRow]:
    tenant = table.columns.get(TENANT, table.primary_key.columns[0])  # only a tenant itself has no tenant
    asked = select(model_of(table)).where(tenant == tenant_id).order_by(*table.primary_key)
    for some in session.exec(asked, execution_options={"yield_per": BATCH}).partitions():
        yield from _written(session, table, some, keys)


def _written(session: Session, table: Table, rows: Sequence[SQLModel], keys: Keys) -> Iterator[ExportedRow]:
    encrypted = [column.name for column in described_table(table).encrypted]
    left_out = {name + INDEX for name in encrypted}
    names = [column.name for column in table.columns if column.name not in left_out]
    opened: Iterable[phi.Plaintext | None] = (
        phi.read(session, keys(), rows, encrypted, reason=REASON) if encrypted else [None] * len(rows)
    )
    for row, clear in zip(rows, opened, strict=True):
        yield {name: clear[name] if clear and name in encrypted else _plain(getattr(row, name)) for name in names}


def _plain(value: object) -> JsonValue:
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    if value is None or isinstance(value, bool | int | float | str | list | dict):
        return value
    return str(value)  # UUID, Decimal, address
