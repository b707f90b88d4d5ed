"""Availability: when doctors work.

Owns: the rows of rules, exceptions and closures.
Holds: every reference carries the tenant, so that none can point into another.
Must not know: what is valid in a row (the CHECKs of the migrations), what is done with one (store, services).
"""

from datetime import date, datetime, time
from typing import Any, ClassVar
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import Index, Integer, SmallInteger, Time, UniqueConstraint
from sqlmodel import Field

from scheduler.models.columns import (
    CASCADE,
    day,
    identity_key,
    instant,
    long_text,
    number,
    optional_day,
    optional_json_object,
    optional_number,
    optional_reference,
    optional_string,
    optional_text,
    reference,
    switch,
    tenant_key,
    written_at,
)
from scheduler.models.registry import Table
from scheduler.models.scheduling.namespace import HERE, key


class AvailabilityRule(Table, table=True):
    """A weekly window of work in the facility's wall-clock time (A2); `day_of_week` counts from 0 = Sunday."""

    __tablename__ = "availability_rules"
    __table_args__: ClassVar[Any] = (
        key("availability_rules_doctor_id_fkey", "doctor_id", "doctors", CASCADE),
        key("availability_rules_facility_id_fkey", "facility_id", "facilities", CASCADE),
        key("availability_rules_service_offering_id_fkey", "service_offering_id", "service_offerings", CASCADE),
        Index("availability_rules_doctor_id_facility_id_idx", "tenant_id", "doctor_id", "facility_id"),
        Index("availability_rules_facility_id_idx", "tenant_id", "facility_id"),
        Index("availability_rules_service_offering_id_idx", "tenant_id", "service_offering_id"),
        HERE,
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
    slot_interval_minutes: int | None = optional_number()
    slot_alignment_minutes: int | None = optional_number()
    capacity: int = number(1)
    effective_from: date | None = optional_day()
    effective_until: date | None = optional_day()
    recurrence: str | None = optional_string(300)
    active: bool = switch()
    meta: dict[str, JsonValue] | None = optional_json_object()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()


class AvailabilityException(Table, table=True):
    """A stretch of time in which the rules do not hold (A3-A6)."""

    __tablename__ = "availability_exceptions"
    __table_args__: ClassVar[Any] = (
        key("availability_exceptions_availability_rule_id_fkey", "availability_rule_id", "availability_rules", CASCADE),
        key("availability_exceptions_facility_id_fkey", "facility_id", "facilities", CASCADE),
        key("availability_exceptions_doctor_id_fkey", "doctor_id", "doctors", CASCADE),
        Index(
            "availability_exceptions_doctor_id_facility_id_start_at_idx",
            "tenant_id",
            "doctor_id",
            "facility_id",
            "start_at",
        ),
        Index("availability_exceptions_facility_id_idx", "tenant_id", "facility_id"),
        Index("availability_exceptions_availability_rule_id_idx", "tenant_id", "availability_rule_id"),
        HERE,
    )

    tenant_id: UUID = tenant_key()
    id: int | None = identity_key()
    availability_rule_id: int | None = optional_reference()
    facility_id: int = reference()
    doctor_id: int = reference()
    start_at: datetime = instant()
    end_at: datetime = instant()
    type: str = long_text()
    reason: str | None = optional_text()
    slot_duration_minutes: int | None = optional_number()
    slot_interval_minutes: int | None = optional_number()
    capacity: int | None = optional_number()
    meta: dict[str, JsonValue] | None = optional_json_object()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()


class FacilityClosure(Table, table=True):
    """A local date on which a facility is closed, such as a public holiday (A3)."""

    __tablename__ = "facility_closures"
    __table_args__: ClassVar[Any] = (
        key("facility_closures_facility_id_fkey", "facility_id", "facilities", CASCADE),
        UniqueConstraint("tenant_id", "facility_id", "day", name="a_facility_closes_once_a_day"),
        HERE,
    )

    tenant_id: UUID = tenant_key()
    id: int | None = identity_key()
    facility_id: int = reference()
    day: date = day()
    reason: str | None = optional_text()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()
