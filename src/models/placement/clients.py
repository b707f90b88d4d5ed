"""Clients: the people in care.

Owns: the rows of clients.
Holds: every reference carries the tenant, so that no row refers to another tenant.
Must not know: validity of a row (the CHECKs of the migrations), the use cases.
"""

from datetime import date
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import Index, literal_column

from scheduler.models.columns import (
    choice,
    long_text,
    optional_day,
    optional_reference,
    optional_text,
    optional_uuid_reference,
)
from scheduler.models.constraints import SET_NULL, index, key_to, of_tenant, unique_among_live
from scheduler.models.mixins import SoftDeletable, Timestamped, UuidKeyed
from scheduler.models.namespaces import PLACEMENT


class Client(SoftDeletable, Timestamped, UuidKeyed, table=True):
    """A person in care; health information is in `PlacementInfo`."""

    __tablename__: ClassVar[Any] = "clients"
    __table_args__: ClassVar[Any] = (
        of_tenant(),
        key_to("scheduling.facilities", "facility_id", ondelete=SET_NULL),
        key_to("identity.users", "user_id", ondelete=SET_NULL),
        key_to("identity.addresses", "address_id", ondelete=SET_NULL),
        index("facility_id"),
        index("last_name", "first_name", where="deleted_at is null"),
        index("status"),
        index("address_id"),
        index("user_id"),
        Index(
            "clients_full_name_trgm_idx",
            literal_column("lower((first_name || ' ') || last_name)").label("full_name"),  # as PostgreSQL writes it
            postgresql_using="gin",
            postgresql_ops={"full_name": "gin_trgm_ops"},
        ),
        unique_among_live("live_clients_have_their_own_user", "user_id"),
        PLACEMENT,
    )

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
