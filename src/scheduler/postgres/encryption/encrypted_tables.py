"""Encrypted tables: their encrypted columns, and the key of a row.

Owns: finding encrypted columns in the models, and the location of a value.
Must not know: keys, or which tables there are.

By convention an encrypted column `name` may have a blind index in a column `name_index`.
"""

from typing import NamedTuple
from uuid import UUID

from sqlalchemy import Column, MetaData, Table
from sqlmodel import SQLModel

from scheduler.core.errors import InvalidInputError
from scheduler.models.encrypted_column import EncryptedColumn
from scheduler.models.registry import table_of
from scheduler.postgres.encryption.key_ring import KeyPart, ValueLocation, plain_part

TENANT = "tenant_id"
INDEX = "_index"


class EncryptedTable(NamedTuple):
    """A table with its encrypted columns and its primary key without the tenant."""

    table: Table
    key: tuple[Column[object], ...]
    encrypted: tuple[Column[object], ...]

    @property
    def name(self) -> str:
        """The table as `schema.table`."""
        return self.table.fullname

    def check(self, columns: set[str]) -> None:
        """Check that columns are encrypted columns of this table.

        Raises:
            InvalidInputError: some are not.
        """
        if unknown := columns - {column.name for column in self.encrypted}:
            raise InvalidInputError(f"{self.name} has no encrypted column {', '.join(sorted(map(str, unknown)))}")

    def row_key(self, row: SQLModel, tenant_id: UUID) -> tuple[KeyPart, ...]:
        """Return the complete key of a row of this tenant.

        Raises:
            InvalidInputError: the key is incomplete, or the row is another tenant's.
        """
        if getattr(row, TENANT) != tenant_id:
            raise InvalidInputError(f"a row of {self.name} is of tenant {getattr(row, TENANT)}, not {tenant_id}")
        key = self.key_values(row)
        if None in key:
            message = f"a row of {self.name} has no primary key yet: set its id before its values are encrypted"
            raise InvalidInputError(message)
        return key

    def key_values(self, row: SQLModel) -> tuple[KeyPart, ...]:
        """Return the key of a row, which may be incomplete or another tenant's."""
        return tuple(plain_part(getattr(row, column.name)) for column in self.key)

    def location(self, column: str, row: tuple[KeyPart, ...]) -> ValueLocation:
        """Return the location of a value."""
        return ValueLocation(self.name, column, row)


def encrypted_table(model: type[SQLModel]) -> EncryptedTable:
    """Describe the table of a model.

    Raises:
        InvalidInputError: the table has no encrypted column.
    """
    described = described_table(table_of(model))
    if not described.encrypted:
        raise InvalidInputError(f"{described.name} has no encrypted column")
    return described


def encrypted_tables(metadata: MetaData) -> tuple[EncryptedTable, ...]:
    """Describe every table that has an encrypted column."""
    described = map(described_table, metadata.sorted_tables)
    return tuple(table for table in described if table.encrypted)


def described_table(table: Table) -> EncryptedTable:
    """Describe a table, with or without encrypted columns."""
    key = tuple(column for column in table.primary_key.columns if column.name != TENANT)
    encrypted = tuple(column for column in table.columns if isinstance(column.type, EncryptedColumn))
    return EncryptedTable(table, key, encrypted)
