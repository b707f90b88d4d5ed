"""Export: all rows about a person, or of a tenant, as JSON values (GDPR, articles 15 and 20).

Owns: the JSON values of a row, and the record of every export in the audit log.
Must not know: which rows are about a person (`data_subject`), the destination of an export.

A number inside a JSON value that no float equals is a `Decimal`, since the copy has to be exact. Encrypted values are
decrypted, and the read is recorded (`phi`). Blind indexes and keys are left out, since nobody can
use them. Both exports need a unit of work with `phi=True`, and `Role.SYSTEM`, since they include rows that the person
may not see in the application.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from typing import Final, TypeAlias
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import JSON, Table, Text, cast, tuple_
from sqlalchemy.dialects.postgresql import Range
from sqlmodel import Session, SQLModel, select

from scheduler import models
from scheduler.core.errors import NotFoundError
from scheduler.models.registry import METADATA, model_of
from scheduler.postgres.audit.log import record_system
from scheduler.postgres.encryption import phi
from scheduler.postgres.encryption.encrypted_tables import INDEX, TENANT, described_table
from scheduler.postgres.encryption.key_ring import KeyRing
from scheduler.postgres.privacy.data_subject import Person, batches, key_of, rows_of_subject

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
    exact = _exact_json(session, table, rows)
    for row, plaintext in zip(rows, plaintexts, strict=True):
        values = exact.get(key_of(row), {})
        if plaintext:
            values |= {name: plaintext[name] for name in encrypted}
        yield {name: values[name] if name in values else _as_json(getattr(row, name)) for name in names}


def _exact_json(
    session: Session, table: Table, rows: Sequence[SQLModel]
) -> dict[tuple[object, ...], dict[str, JsonValue]]:
    """Return the JSON values of rows by key and column, read from their text: a driver rounds numbers to floats."""
    columns = [column for column in table.columns if isinstance(column.type, JSON)]
    keys = [key_of(row) for row in rows] if columns else []
    query = table.select().with_only_columns(*table.primary_key, *(cast(column, Text) for column in columns))
    found: dict[tuple[object, ...], dict[str, JsonValue]] = {}
    for batch in batches(keys):
        for row in session.connection().execute(query.where(tuple_(*table.primary_key).in_(batch))):
            texts = zip(columns, row[len(table.primary_key) :], strict=True)
            values = {column.name: text and json.loads(text, parse_float=_exact_number) for column, text in texts}
            found[tuple(row[: len(table.primary_key)])] = values
    return found


def _exact_number(text: str) -> float | Decimal:
    number = float(text)
    exact = Decimal(text)
    return number if Decimal(repr(number)) == exact else exact


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
