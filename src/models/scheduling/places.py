"""Facilities, doctors, and the doctors of each facility.

Owns: the rows of facilities, doctors, and doctors at facilities.
Holds: every reference carries the tenant, so that no row refers to another tenant.
Must not know: validity of a row (the CHECKs of the migrations), the use cases.
"""

from typing import Any, ClassVar
from uuid import UUID

from pydantic import JsonValue

from scheduler.models.columns import (
    long_text,
    optional_json_object,
    optional_string,
    optional_text,
    optional_uuid_reference,
    reference,
    string,
    switch,
)
from scheduler.models.constraints import RESTRICT, SET_NULL, index, key_to, of_tenant, unique, unique_among_live
from scheduler.models.mixins import BigintKeyed, SoftDeletable, Timestamped
from scheduler.models.namespaces import SCHEDULING


class Facility(SoftDeletable, Timestamped, BigintKeyed, table=True):
    """A place with its own time zone."""

    __tablename__: ClassVar[Any] = "facilities"
    __table_args__: ClassVar[Any] = (
        of_tenant(),
        key_to("identity.addresses", "address_id", ondelete=SET_NULL),
        index("address_id"),
        unique_among_live("live_facilities_have_their_own_slug", "slug"),
        SCHEDULING,
    )

    name: str = string()
    slug: str = string()
    address: str | None = optional_text()
    phone: str | None = optional_string(50)
    meta: dict[str, JsonValue] | None = optional_json_object()
    locale: str | None = optional_string(10)
    timezone: str = long_text()
    country: str | None = optional_string(2)
    address_id: UUID | None = optional_uuid_reference()


class Doctor(SoftDeletable, Timestamped, BigintKeyed, table=True):
    """A person who has slots: a doctor, nurse, pharmacist, counsellor."""

    __tablename__: ClassVar[Any] = "doctors"
    __table_args__: ClassVar[Any] = (
        of_tenant(),
        key_to("identity.users", "user_id", ondelete=SET_NULL),
        unique_among_live("live_doctors_have_their_own_user", "user_id"),
        index("user_id"),
        SCHEDULING,
    )

    first_name: str = string()
    last_name: str = string()
    display_name: str = string()
    npi: str | None = optional_string(50)
    specialty: str | None = optional_string()
    profile: str | None = optional_text()
    contact: dict[str, JsonValue] | None = optional_json_object()
    user_id: UUID | None = optional_uuid_reference()


class FacilityDoctor(Timestamped, BigintKeyed, table=True):
    """A doctor's work at a facility."""

    __tablename__: ClassVar[Any] = "facility_doctors"
    __table_args__: ClassVar[Any] = (
        key_to("scheduling.facilities", "facility_id", ondelete=RESTRICT),
        key_to("scheduling.doctors", "doctor_id", ondelete=RESTRICT),
        unique("a_doctor_joins_a_facility_once", "facility_id", "doctor_id"),
        index("doctor_id"),
        SCHEDULING,
    )

    facility_id: int = reference()
    doctor_id: int = reference()
    role: str | None = optional_string(100)
    active: bool = switch()
