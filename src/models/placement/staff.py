"""Staff: who works at a facility, and the specialists who treat clients.

Owns: the rows of assignments and specialists.
Holds: every reference carries the tenant; who a specialist is, is `Encrypted`, and nothing else gets in.
Must not know: keys, what is valid in a row (the CHECKs of the migrations), what is done with one (store, services).
"""

from datetime import date, datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import Index

from scheduler.models.columns import (
    CASCADE,
    encrypted,
    key_to,
    of_tenant,
    optional_day,
    optional_instant,
    optional_reference,
    optional_string,
    optional_uuid_reference,
    reference,
    set_null,
    switch,
    tenant_key,
    unique_among_live,
    uuid_key,
    uuid_reference,
    written_at,
)
from scheduler.models.encrypted import Encrypted
from scheduler.models.placement.namespace import HERE
from scheduler.models.registry import Table


class FacilityStaff(Table, table=True):
    """That a user works at a facility, as what, from when until when."""

    __tablename__ = "facility_staff"
    __table_args__: ClassVar[Any] = (
        key_to("scheduling.facilities", "facility_id", name="facility_staff_facility_id_fkey", ondelete=CASCADE),
        key_to("identity.users", "user_id", name="facility_staff_user_id_fkey", ondelete=CASCADE),
        unique_among_live("a_user_works_at_a_facility_once", "facility_id", "user_id"),
        unique_among_live("a_user_has_one_primary_facility", "user_id", also="is_primary and ended_on is null and "),
        Index("facility_staff_facility_id_idx", "tenant_id", "facility_id"),
        Index("facility_staff_user_id_idx", "tenant_id", "user_id"),
        HERE,
    )

    tenant_id: UUID = tenant_key()
    id: UUID | None = uuid_key()
    facility_id: int = reference()
    user_id: UUID = uuid_reference()
    position: str | None = optional_string()
    is_primary: bool = switch(on=False)
    started_on: date | None = optional_day()
    ended_on: date | None = optional_day()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()
    deleted_at: datetime | None = optional_instant()


class Specialist(Table, table=True):
    """Somebody who treats clients; who it is, is encrypted."""

    __tablename__ = "specialists"
    __table_args__: ClassVar[Any] = (
        of_tenant("specialists_tenant_id_fkey"),
        key_to("identity.users", "user_id", name="specialists_user_id_fkey", ondelete=set_null("user_id")),
        key_to("scheduling.doctors", "doctor_id", name="specialists_doctor_id_fkey", ondelete=set_null("doctor_id")),
        Index("specialists_user_id_idx", "tenant_id", "user_id"),
        Index("specialists_doctor_id_idx", "tenant_id", "doctor_id"),
        HERE,
    )

    tenant_id: UUID = tenant_key()
    id: UUID | None = uuid_key()
    user_id: UUID | None = optional_uuid_reference()
    doctor_id: int | None = optional_reference()
    specialty: str | None = optional_string()
    name: Encrypted | None = encrypted()
    phone: Encrypted | None = encrypted()
    email: Encrypted | None = encrypted()
    license_number: Encrypted | None = encrypted()
    notes: Encrypted | None = encrypted()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()
    deleted_at: datetime | None = optional_instant()
