"""Slots: bookable spans of time, in the one big table, partitioned by month.

Owns: the rows of slots.
Holds: every reference carries the tenant, so that no row refers to another tenant.
Must not know: validity of a row (the CHECKs of the migrations), the use cases.
"""

from datetime import datetime
from typing import Any, ClassVar

from sqlmodel import Field

from scheduler.models.columns import (
    INSTANT,
    choice,
    instant,
    number,
    optional_instant,
    optional_reference,
    reference,
    switch,
)
from scheduler.models.constraints import CASCADE, SET_NULL, index, key_to, unique
from scheduler.models.mixins import BigintKeyed, Timestamped
from scheduler.models.namespaces import SCHEDULING


class AvailabilitySlot(Timestamped, BigintKeyed, table=True):
    """A bookable span of a doctor's time at a facility; partitioned by month of `start_at`."""

    __tablename__: ClassVar[Any] = "availability_slots"
    __table_args__: ClassVar[Any] = (
        key_to("scheduling.facilities", "facility_id", ondelete=CASCADE),
        key_to("scheduling.doctors", "doctor_id", ondelete=CASCADE),
        key_to("scheduling.service_offerings", "service_offering_id", ondelete=CASCADE),
        key_to("scheduling.availability_rules", "created_from_rule_id", ondelete=SET_NULL),
        unique(
            "a_slot_is_there_once",
            "doctor_id",
            "start_at",
            "end_at",
            "facility_id",
            "service_offering_id",
            nulls_not_distinct=True,
        ),
        index("facility_id", "start_at"),
        index("start_at"),
        SCHEDULING | {"postgresql_partition_by": "RANGE (start_at)"},
    )

    facility_id: int = reference()
    doctor_id: int = reference()
    service_offering_id: int | None = optional_reference()
    start_at: datetime = Field(primary_key=True, sa_type=INSTANT)
    end_at: datetime = instant()
    status: str = choice("open")
    capacity: int = number(1)
    booked_count: int = number(0)
    reserved_until: datetime | None = optional_instant()
    released_at: datetime | None = optional_instant()
    is_dropped: bool = switch(on=False)
    created_from_rule_id: int | None = optional_reference()
