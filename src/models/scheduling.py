"""The tables of the schema `scheduling`: places, people, availability, slots, and the nightly job's books.

Owns: the rows of these tables, as columns, keys and indexes.
Holds: every key is `(tenant_id, ...)` and every reference carries the tenant, so that none can point into another.
Must not know: what is valid in a row (the CHECKs of the migrations), what is done with one (store, services).
"""

from datetime import date, datetime, time
from typing import Any, ClassVar
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import Date, ForeignKeyConstraint, Index, Integer, SmallInteger, Text, Time, UniqueConstraint, text
from sqlmodel import Field, SQLModel

from models.columns import (
    CASCADE,
    INSTANT,
    count,
    identity_key,
    instant,
    json_object,
    number,
    optional_instant,
    optional_reference,
    optional_string,
    part_of_key,
    reference,
    string,
    switch,
    tenant_key,
    written_at,
)

_HERE: dict[str, str] = {"schema": "scheduling"}


def _of_tenant(name: str) -> ForeignKeyConstraint:
    return ForeignKeyConstraint(["tenant_id"], ["identity.tenants.id"], name=name, ondelete="RESTRICT")


def _key(name: str, column: str, table: str, ondelete: str) -> ForeignKeyConstraint:
    there = [f"scheduling.{table}.tenant_id", f"scheduling.{table}.id"]
    return ForeignKeyConstraint(["tenant_id", column], there, name=name, ondelete=ondelete)


class Facility(SQLModel, table=True):
    """A place with a wall clock of its own."""

    __tablename__ = "facilities"
    __table_args__: ClassVar[Any] = (
        _of_tenant("a_facility_belongs_to_a_tenant"),
        Index(
            "live_facilities_have_their_own_slug",
            "tenant_id",
            "slug",
            unique=True,
            postgresql_where=text("deleted_at is null"),
        ),
        _HERE,
    )

    tenant_id: UUID = tenant_key()
    id: int | None = identity_key()
    name: str = string()
    slug: str = string()
    address: str | None = Field(default=None, sa_type=Text)
    phone: str | None = optional_string(50)
    meta: dict[str, JsonValue] | None = json_object()
    locale: str | None = optional_string(10)
    timezone: str = Field(sa_type=Text)
    country: str | None = optional_string(2)
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()
    deleted_at: datetime | None = optional_instant()


class Doctor(SQLModel, table=True):
    """A person who has slots: a doctor, nurse, pharmacist, counsellor."""

    __tablename__ = "doctors"
    __table_args__: ClassVar[Any] = (_of_tenant("a_doctor_belongs_to_a_tenant"), _HERE)

    tenant_id: UUID = tenant_key()
    id: int | None = identity_key()
    first_name: str = string()
    last_name: str = string()
    display_name: str = string()
    npi: str | None = optional_string(50)
    specialty: str | None = optional_string()
    profile: str | None = Field(default=None, sa_type=Text)
    contact: dict[str, JsonValue] | None = json_object()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()
    deleted_at: datetime | None = optional_instant()


class Service(SQLModel, table=True):
    """Something that is done for a patient, with its code in a catalogue."""

    __tablename__ = "services"
    __table_args__: ClassVar[Any] = (_of_tenant("a_service_belongs_to_a_tenant"), _HERE)

    tenant_id: UUID = tenant_key()
    id: int | None = identity_key()
    name: str = string()
    description: str | None = Field(default=None, sa_type=Text)
    code: str | None = optional_string(50)
    code_system: str = Field(default="CPT", sa_type=Text, sa_column_kwargs={"server_default": text("'CPT'")})
    code_version: str | None = optional_string(50)
    default_duration_minutes: int = number(30)
    category: str | None = optional_string()
    meta: dict[str, JsonValue] | None = json_object()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()
    deleted_at: datetime | None = optional_instant()


class FacilityDoctor(SQLModel, table=True):
    """That a doctor works at a facility."""

    __tablename__ = "facility_doctors"
    __table_args__: ClassVar[Any] = (
        _key("the_facility_of_a_pair_stays", "facility_id", "facilities", "RESTRICT"),
        _key("the_doctor_of_a_pair_stays", "doctor_id", "doctors", "RESTRICT"),
        UniqueConstraint("tenant_id", "facility_id", "doctor_id", name="a_doctor_joins_a_facility_once"),
        Index("facilities_are_found_by_doctor", "tenant_id", "doctor_id"),
        _HERE,
    )

    tenant_id: UUID = tenant_key()
    id: int | None = identity_key()
    facility_id: int = reference()
    doctor_id: int = reference()
    role: str | None = optional_string(100)
    active: bool = switch()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()


class ServiceOffering(SQLModel, table=True):
    """A service as one doctor offers it at one facility."""

    __tablename__ = "service_offerings"
    __table_args__: ClassVar[Any] = (
        _key("an_offering_is_of_a_service", "service_id", "services", CASCADE),
        _key("an_offering_is_by_a_doctor", "doctor_id", "doctors", CASCADE),
        _key("an_offering_is_at_a_facility", "facility_id", "facilities", CASCADE),
        UniqueConstraint(
            "tenant_id",
            "service_id",
            "doctor_id",
            "facility_id",
            name="a_doctor_offers_a_service_once_at_a_facility",
        ),
        Index("offerings_are_found_by_facility_and_doctor", "tenant_id", "facility_id", "doctor_id"),
        _HERE,
    )

    tenant_id: UUID = tenant_key()
    id: int | None = identity_key()
    service_id: int = reference()
    doctor_id: int = reference()
    facility_id: int = reference()
    active: bool = switch()
    default_duration_minutes: int | None = Field(default=None, sa_type=Integer)
    buffer_before_minutes: int = number(0)
    buffer_after_minutes: int = number(0)
    visibility: str = Field(default="public", sa_type=Text, sa_column_kwargs={"server_default": text("'public'")})
    meta: dict[str, JsonValue] | None = json_object()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()


class AvailabilityRule(SQLModel, table=True):
    """A weekly window of work in the facility's wall-clock time (A2); `day_of_week` counts from 0 = Sunday."""

    __tablename__ = "availability_rules"
    __table_args__: ClassVar[Any] = (
        _key("a_rule_is_of_a_doctor", "doctor_id", "doctors", CASCADE),
        _key("a_rule_is_at_a_facility", "facility_id", "facilities", CASCADE),
        _key("a_rule_may_be_for_an_offering", "service_offering_id", "service_offerings", CASCADE),
        Index("rules_are_found_by_doctor_and_facility", "tenant_id", "doctor_id", "facility_id"),
        _HERE,
    )

    tenant_id: UUID = tenant_key()
    id: int | None = identity_key()
    doctor_id: int = reference()
    facility_id: int = reference()
    service_offering_id: int | None = optional_reference()
    day_of_week: int = Field(sa_type=SmallInteger)
    start_time: time = Field(sa_type=Time)
    end_time: time = Field(sa_type=Time)
    slot_duration_minutes: int = Field(sa_type=Integer)
    slot_interval_minutes: int | None = Field(default=None, sa_type=Integer)
    slot_alignment_minutes: int | None = Field(default=None, sa_type=Integer)
    capacity: int = number(1)
    effective_from: date | None = Field(default=None, sa_type=Date)
    effective_until: date | None = Field(default=None, sa_type=Date)
    recurrence: str | None = optional_string(300)
    active: bool = switch()
    meta: dict[str, JsonValue] | None = json_object()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()


class AvailabilityException(SQLModel, table=True):
    """A stretch of time in which the rules do not hold (A3-A6)."""

    __tablename__ = "availability_exceptions"
    __table_args__: ClassVar[Any] = (
        _key("an_exception_may_be_for_a_rule", "availability_rule_id", "availability_rules", CASCADE),
        _key("an_exception_is_at_a_facility", "facility_id", "facilities", CASCADE),
        _key("an_exception_is_of_a_doctor", "doctor_id", "doctors", CASCADE),
        Index("exceptions_are_found_by_doctor_and_facility", "tenant_id", "doctor_id", "facility_id", "start_at"),
        _HERE,
    )

    tenant_id: UUID = tenant_key()
    id: int | None = identity_key()
    availability_rule_id: int | None = optional_reference()
    facility_id: int = reference()
    doctor_id: int = reference()
    start_at: datetime = instant()
    end_at: datetime = instant()
    type: str = Field(sa_type=Text)
    reason: str | None = Field(default=None, sa_type=Text)
    slot_duration_minutes: int | None = Field(default=None, sa_type=Integer)
    slot_interval_minutes: int | None = Field(default=None, sa_type=Integer)
    capacity: int | None = Field(default=None, sa_type=Integer)
    meta: dict[str, JsonValue] | None = json_object()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()


class FacilityClosure(SQLModel, table=True):
    """A local date on which a facility is closed, such as a public holiday (A3)."""

    __tablename__ = "facility_closures"
    __table_args__: ClassVar[Any] = (
        _key("a_closure_is_of_a_facility", "facility_id", "facilities", CASCADE),
        UniqueConstraint("tenant_id", "facility_id", "day", name="a_facility_closes_once_a_day"),
        _HERE,
    )

    tenant_id: UUID = tenant_key()
    id: int | None = identity_key()
    facility_id: int = reference()
    day: date = Field(sa_type=Date)
    reason: str | None = Field(default=None, sa_type=Text)
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()


class AvailabilitySlot(SQLModel, table=True):
    """A stretch of one doctor's time at one facility that can be booked; partitioned by month of `start_at`."""

    __tablename__ = "availability_slots"
    __table_args__: ClassVar[Any] = (
        _key("a_slot_is_at_a_facility", "facility_id", "facilities", CASCADE),
        _key("a_slot_is_of_a_doctor", "doctor_id", "doctors", CASCADE),
        _key("a_slot_may_be_for_an_offering", "service_offering_id", "service_offerings", CASCADE),
        _key(
            "a_slot_outlives_its_rule",
            "created_from_rule_id",
            "availability_rules",
            "SET NULL (created_from_rule_id)",
        ),
        UniqueConstraint(
            "tenant_id",
            "doctor_id",
            "start_at",
            "end_at",
            "facility_id",
            "service_offering_id",
            name="a_slot_is_there_once",
            postgresql_nulls_not_distinct=True,
        ),
        Index("slots_are_found_by_facility_and_start", "tenant_id", "facility_id", "start_at"),
        Index("slots_are_found_by_start", "tenant_id", "start_at"),
        _HERE | {"postgresql_partition_by": "RANGE (start_at)"},
    )

    tenant_id: UUID = tenant_key()
    id: int | None = identity_key()
    facility_id: int = reference()
    doctor_id: int = reference()
    service_offering_id: int | None = optional_reference()
    start_at: datetime = Field(primary_key=True, sa_type=INSTANT)
    end_at: datetime = instant()
    status: str = Field(default="open", sa_type=Text, sa_column_kwargs={"server_default": text("'open'")})
    capacity: int = number(1)
    booked_count: int = number(0)
    reserved_until: datetime | None = optional_instant()
    held_by: str | None = Field(default=None, sa_type=Text)
    created_from_rule_id: int | None = optional_reference()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()


class GenerationRun(SQLModel, table=True):
    """One run of the nightly job for one tenant: what it was asked, what it did. Days are local, half-open."""

    __tablename__ = "generation_runs"
    __table_args__: ClassVar[Any] = (
        _of_tenant("a_run_belongs_to_a_tenant"),
        Index("runs_are_found_by_start", "tenant_id", "started_at"),
        _HERE,
    )

    tenant_id: UUID = tenant_key()
    id: int | None = identity_key()
    started_at: datetime | None = written_at()
    finished_at: datetime | None = optional_instant()
    from_day: date = Field(sa_type=Date)
    until_day: date = Field(sa_type=Date)
    status: str = Field(default="running", sa_type=Text, sa_column_kwargs={"server_default": text("'running'")})
    trigger: str = Field(default="manual", sa_type=Text, sa_column_kwargs={"server_default": text("'manual'")})
    engine_version: str = Field(sa_type=Text)
    tzdata_version: str = Field(sa_type=Text)
    schedules: int = count()
    schedules_failed: int = count()
    slots_created: int = count()
    slots_updated: int = count()
    slots_retired: int = count()
    slots_kept: int = count()
    slots_conflicting: int = count()
    slots_displaced: int = count()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()


class ScheduleState(SQLModel, table=True):
    """How far one schedule's slots are generated, and from what (R3). Days are local, half-open."""

    __tablename__ = "schedule_states"
    __table_args__: ClassVar[Any] = (
        _key("a_state_is_of_a_doctor", "doctor_id", "doctors", CASCADE),
        _key("a_state_is_at_a_facility", "facility_id", "facilities", CASCADE),
        _key("a_state_outlives_its_run", "last_run_id", "generation_runs", "SET NULL (last_run_id)"),
        _HERE,
    )

    tenant_id: UUID = tenant_key()
    doctor_id: int = part_of_key()
    facility_id: int = part_of_key()
    fingerprint: str | None = Field(default=None, sa_type=Text)
    generated_from: date | None = Field(default=None, sa_type=Date)
    generated_until: date | None = Field(default=None, sa_type=Date)
    generated_at: datetime | None = optional_instant()
    last_run_id: int | None = optional_reference()
    last_error: str | None = Field(default=None, sa_type=Text)
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()
