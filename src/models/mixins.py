"""Mixins of the tables: tenant and primary key, timestamps, soft delete.

Owns: the columns that most tables share, each declared once.
Must not know: any table.

The columns of the last mixin come first, and those of the model last. The table of
`class Doctor(SoftDeletable, Timestamped, BigintKeyed, table=True)` has the columns `tenant_id`, `id`, `created_at`,
`updated_at`, `deleted_at`, then those that `Doctor` declares.
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
