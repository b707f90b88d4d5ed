"""Places and people: facilities, doctors, and who works where.

Owns: the rows of facilities, doctors and pairs of them.
Holds: every reference carries the tenant, so that none can point into another.
Must not know: what is valid in a row (the CHECKs of the migrations), what is done with one (store, services).
"""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import Index, UniqueConstraint

from scheduler.models.columns import (
    RESTRICT,
    identity_key,
    key_to,
    long_text,
    of_tenant,
    optional_instant,
    optional_json_object,
    optional_string,
    optional_text,
    optional_uuid_reference,
    reference,
    set_null,
    string,
    switch,
    tenant_key,
    unique_among_live,
    written_at,
)
from scheduler.models.registry import Table
from scheduler.models.scheduling.namespace import HERE, key


class Facility(Table, table=True):
    """A place with a wall clock of its own."""

    __tablename__ = "facilities"
    __table_args__: ClassVar[Any] = (
        of_tenant("facilities_tenant_id_fkey"),
        key_to("identity.addresses", "address_id", name="facilities_address_id_fkey", ondelete=set_null("address_id")),
        Index("facilities_address_id_idx", "tenant_id", "address_id"),
        unique_among_live("live_facilities_have_their_own_slug", "slug"),
        HERE,
    )

    tenant_id: UUID = tenant_key()
    id: int | None = identity_key()
    name: str = string()
    slug: str = string()
    address: str | None = optional_text()
    phone: str | None = optional_string(50)
    meta: dict[str, JsonValue] | None = optional_json_object()
    locale: str | None = optional_string(10)
    timezone: str = long_text()
    country: str | None = optional_string(2)
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()
    deleted_at: datetime | None = optional_instant()
    address_id: UUID | None = optional_uuid_reference()


class Doctor(Table, table=True):
    """A person who has slots: a doctor, nurse, pharmacist, counsellor."""

    __tablename__ = "doctors"
    __table_args__: ClassVar[Any] = (
        of_tenant("doctors_tenant_id_fkey"),
        key_to("identity.users", "user_id", name="doctors_user_id_fkey", ondelete=set_null("user_id")),
        unique_among_live("live_doctors_have_their_own_user", "user_id"),
        Index("doctors_user_id_idx", "tenant_id", "user_id"),
        HERE,
    )

    tenant_id: UUID = tenant_key()
    id: int | None = identity_key()
    first_name: str = string()
    last_name: str = string()
    display_name: str = string()
    npi: str | None = optional_string(50)
    specialty: str | None = optional_string()
    profile: str | None = optional_text()
    contact: dict[str, JsonValue] | None = optional_json_object()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()
    deleted_at: datetime | None = optional_instant()
    user_id: UUID | None = optional_uuid_reference()


class FacilityDoctor(Table, table=True):
    """That a doctor works at a facility."""

    __tablename__ = "facility_doctors"
    __table_args__: ClassVar[Any] = (
        key("facility_doctors_facility_id_fkey", "facility_id", "facilities", RESTRICT),
        key("facility_doctors_doctor_id_fkey", "doctor_id", "doctors", RESTRICT),
        UniqueConstraint("tenant_id", "facility_id", "doctor_id", name="a_doctor_joins_a_facility_once"),
        Index("facility_doctors_doctor_id_idx", "tenant_id", "doctor_id"),
        HERE,
    )

    tenant_id: UUID = tenant_key()
    id: int | None = identity_key()
    facility_id: int = reference()
    doctor_id: int = reference()
    role: str | None = optional_string(100)
    active: bool = switch()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()
