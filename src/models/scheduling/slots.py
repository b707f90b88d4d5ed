"""Slots: the one big table, and how other tables refer to it.

Owns: the rows of slots, and the key to one.
Holds: every reference carries the tenant, so that none can point into another.
Must not know: what is valid in a row (the CHECKs of the migrations), what is done with one (store, services).
"""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index, UniqueConstraint
from sqlmodel import Field

from scheduler.models.columns import (
    CASCADE,
    INSTANT,
    choice,
    identity_key,
    instant,
    number,
    optional_instant,
    optional_reference,
    optional_text,
    reference,
    set_null,
    tenant_key,
    written_at,
)
from scheduler.models.registry import Table
from scheduler.models.scheduling.namespace import HERE, key


class AvailabilitySlot(Table, table=True):
    """A stretch of one doctor's time at one facility that can be booked; partitioned by month of `start_at`."""

    __tablename__ = "availability_slots"
    __table_args__: ClassVar[Any] = (
        key("availability_slots_facility_id_fkey", "facility_id", "facilities", CASCADE),
        key("availability_slots_doctor_id_fkey", "doctor_id", "doctors", CASCADE),
        key("availability_slots_service_offering_id_fkey", "service_offering_id", "service_offerings", CASCADE),
        key(
            "availability_slots_created_from_rule_id_fkey",
            "created_from_rule_id",
            "availability_rules",
            set_null("created_from_rule_id"),
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
        Index("availability_slots_facility_id_start_at_idx", "tenant_id", "facility_id", "start_at"),
        Index("availability_slots_start_at_idx", "tenant_id", "start_at"),
        HERE | {"postgresql_partition_by": "RANGE (start_at)"},
    )

    tenant_id: UUID = tenant_key()
    id: int | None = identity_key()
    facility_id: int = reference()
    doctor_id: int = reference()
    service_offering_id: int | None = optional_reference()
    start_at: datetime = Field(primary_key=True, sa_type=INSTANT)
    end_at: datetime = instant()
    status: str = choice("open")
    capacity: int = number(1)
    booked_count: int = number(0)
    reserved_until: datetime | None = optional_instant()
    held_by: str | None = optional_text()
    created_from_rule_id: int | None = optional_reference()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()


def key_to_slot(name: str, column: str, start: str) -> ForeignKeyConstraint:
    """Declare that a row may name a slot, by its id and its start; both are forgotten when the slot goes."""
    there = [f"scheduling.availability_slots.{part}" for part in ("tenant_id", "id", "start_at")]
    return ForeignKeyConstraint(["tenant_id", column, start], there, name=name, ondelete=set_null(f"{column}, {start}"))
