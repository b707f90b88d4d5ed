"""Clients: the people cared for.

Owns: the rows of clients.
Holds: every reference carries the tenant, so that none can point into another.
Must not know: what is valid in a row (the CHECKs of the migrations), what is done with one (store, services).
"""

from datetime import date, datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import Index, literal_column, text

from scheduler.models.columns import (
    choice,
    key_to,
    long_text,
    of_tenant,
    optional_day,
    optional_instant,
    optional_reference,
    optional_text,
    optional_uuid_reference,
    set_null,
    tenant_key,
    unique_among_live,
    uuid_key,
    written_at,
)
from scheduler.models.placement.namespace import HERE
from scheduler.models.registry import Table


class Client(Table, table=True):
    """A person cared for; what is known about their health is in `PlacementInfo`."""

    __tablename__ = "clients"
    __table_args__: ClassVar[Any] = (
        of_tenant("clients_tenant_id_fkey"),
        key_to(
            "scheduling.facilities",
            "facility_id",
            name="clients_facility_id_fkey",
            ondelete=set_null("facility_id"),
        ),
        key_to("identity.users", "user_id", name="clients_user_id_fkey", ondelete=set_null("user_id")),
        key_to("identity.addresses", "address_id", name="clients_address_id_fkey", ondelete=set_null("address_id")),
        Index("clients_facility_id_idx", "tenant_id", "facility_id"),
        Index(
            "clients_last_name_first_name_idx",
            "tenant_id",
            "last_name",
            "first_name",
            postgresql_where=text("deleted_at is null"),
        ),
        Index("clients_status_idx", "tenant_id", "status"),
        Index("clients_address_id_idx", "tenant_id", "address_id"),
        Index("clients_user_id_idx", "tenant_id", "user_id"),
        Index(
            "clients_full_name_trgm_idx",
            literal_column("lower((first_name || ' ') || last_name)").label("full_name"),  # as PostgreSQL writes it
            postgresql_using="gin",
            postgresql_ops={"full_name": "gin_trgm_ops"},
        ),
        unique_among_live("live_clients_have_their_own_user", "user_id"),
        HERE,
    )

    tenant_id: UUID = tenant_key()
    id: UUID | None = uuid_key()
    first_name: str = long_text()
    last_name: str = long_text()
    preferred_name: str | None = optional_text()
    date_of_birth: date | None = optional_day()
    email: str | None = optional_text()
    facility_id: int | None = optional_reference()
    user_id: UUID | None = optional_uuid_reference()
    address_id: UUID | None = optional_uuid_reference()
    status: str = choice("active")
    admitted_on: date | None = optional_day()
    discharged_on: date | None = optional_day()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()
    deleted_at: datetime | None = optional_instant()
