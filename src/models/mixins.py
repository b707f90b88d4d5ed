"""Mixins of the tables: tenant and primary key, timestamps, soft delete.

Owns: the columns that most tables share, each declared once.
Must not know: any table.

A model lists its mixins from the last to the first, for their columns come in the reverse order, before its own:
`class Doctor(SoftDeletable, Timestamped, BigintKeyed, table=True)` begins with `tenant_id` and `id`.
"""

from datetime import datetime
from uuid import UUID

from scheduler.models.columns import identity_key, optional_instant, tenant_key, uuid_key, written_at
from scheduler.models.registry import Table


class TenantOwned(Table):
    """A row of a tenant."""

    tenant_id: UUID = tenant_key()


class BigintKeyed(TenantOwned):
    """A row of a tenant with a number of its own, which the database counts."""

    id: int | None = identity_key()


class UuidKeyed(TenantOwned):
    """A row of a tenant with a uuid of its own."""

    id: UUID | None = uuid_key()


class Timestamped(Table):
    """When a row was written, and when it was last changed."""

    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()


class SoftDeletable(Table):
    """When a row was deleted; a live row has none."""

    deleted_at: datetime | None = optional_instant()
