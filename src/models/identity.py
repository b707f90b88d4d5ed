"""The tables of the schema `identity`: who owns what.

Owns: the row of a tenant.
Must not know: what is valid in a row (the CHECKs of the migrations), what is done with one (store, services).
"""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import Index, Text, Uuid, text
from sqlmodel import Field, SQLModel

from models.columns import optional_instant, string, written_at


class Tenant(SQLModel, table=True):
    """An organisation that owns its rows; no other tenant sees them."""

    __tablename__ = "tenants"
    __table_args__: ClassVar[Any] = (
        Index("live_tenants_have_their_own_slug", "slug", unique=True, postgresql_where=text("deleted_at is null")),
        {"schema": "identity"},
    )

    id: UUID | None = Field(
        default=None,
        primary_key=True,
        nullable=False,
        sa_type=Uuid,
        sa_column_kwargs={"server_default": text("gen_random_uuid()")},
    )
    slug: str = string()
    name: str = string()
    status: str = Field(default="active", sa_type=Text, sa_column_kwargs={"server_default": text("'active'")})
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()
    deleted_at: datetime | None = optional_instant()
