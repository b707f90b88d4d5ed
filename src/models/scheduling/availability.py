"""Availability of doctors: weekly rules, exceptions to them, and closures of facilities.

Owns: the rows of rules, exceptions and closures.
Holds: every reference carries the tenant, so that no row refers to another tenant.
Must not know: validity of a row (the CHECKs of the migrations), the use cases.
"""

from datetime import date, datetime, time
from typing import Any, ClassVar

from pydantic import JsonValue
from sqlalchemy import Integer, SmallInteger, Time
from sqlmodel import Field

from scheduler.models.columns import (
    day,
    instant,
    long_text,
    number,
    optional_clock,
    optional_day,
    optional_json_object,
    optional_number,
    optional_reference,
    optional_string,
    optional_text,
    optional_wall_time,
    reference,
    switch,
)
from scheduler.models.constraints import CASCADE, index, key_to, unique
from scheduler.models.mixins import BigintKeyed, Timestamped
from scheduler.models.namespaces import SCHEDULING


class AvailabilityRule(Timestamped, BigintKeyed, table=True):
    """A window of work in the facility's wall-clock time (A2); `day_of_week` counts from 0 = Sunday.

    With `any_weekday`, the recurrence alone says the days, and `day_of_week` is that of `effective_from`.
    """

    __tablename__: ClassVar[Any] = "availability_rules"
    __table_args__: ClassVar[Any] = (
        key_to("scheduling.doctors", "doctor_id", ondelete=CASCADE),
        key_to("scheduling.facilities", "facility_id", ondelete=CASCADE),
        key_to("scheduling.service_offerings", "service_offering_id", ondelete=CASCADE),
        index("doctor_id", "facility_id"),
        index("facility_id"),
        index("service_offering_id"),
        SCHEDULING,
    )

    doctor_id: int = reference()
    facility_id: int = reference()
    service_offering_id: int | None = optional_reference()
    day_of_week: int = Field(sa_type=SmallInteger)
    any_weekday: bool = switch(on=False)
    start_time: time = Field(sa_type=Time)
    end_time: time = Field(sa_type=Time)
    slot_duration_minutes: int = Field(sa_type=Integer)
    slot_interval_minutes: int | None = optional_number()
    slot_alignment_minutes: int | None = optional_number()
    capacity: int = number(1)
    effective_from: date | None = optional_day()
    effective_until: date | None = optional_day()
    recurrence: str | None = optional_string(300)
    release_days_before: int | None = optional_number()
    release_time: time | None = optional_clock()
    active: bool = switch()
    meta: dict[str, JsonValue] | None = optional_json_object()


class AvailabilityException(Timestamped, BigintKeyed, table=True):
    """A span of time in which the rules do not apply (A3-A6).

    If `local_start` and `local_end` are given (naive), they decide, on the clock of the facility (T6).
    """

    __tablename__: ClassVar[Any] = "availability_exceptions"
    __table_args__: ClassVar[Any] = (
        key_to("scheduling.availability_rules", "availability_rule_id", ondelete=CASCADE),
        key_to("scheduling.facilities", "facility_id", ondelete=CASCADE),
        key_to("scheduling.doctors", "doctor_id", ondelete=CASCADE),
        index("doctor_id", "facility_id", "end_at"),
        index("facility_id"),
        index("availability_rule_id"),
        SCHEDULING,
    )

    availability_rule_id: int | None = optional_reference()
    facility_id: int = reference()
    doctor_id: int = reference()
    start_at: datetime = instant()
    end_at: datetime = instant()
    local_start: datetime | None = optional_wall_time()
    local_end: datetime | None = optional_wall_time()
    type: str = long_text()
    reason: str | None = optional_text()
    slot_duration_minutes: int | None = optional_number()
    slot_interval_minutes: int | None = optional_number()
    capacity: int | None = optional_number()
    meta: dict[str, JsonValue] | None = optional_json_object()


class FacilityClosure(Timestamped, BigintKeyed, table=True):
    """A local date, or the part from `start_time` to `end_time`, on which a facility is closed (A3)."""

    __tablename__: ClassVar[Any] = "facility_closures"
    __table_args__: ClassVar[Any] = (
        key_to("scheduling.facilities", "facility_id", ondelete=CASCADE),
        unique(
            "a_facility_closes_at_a_time_once",
            "facility_id",
            "day",
            "start_time",
            "end_time",
            nulls_not_distinct=True,
        ),
        SCHEDULING,
    )

    facility_id: int = reference()
    day: date = day()
    start_time: time | None = optional_clock()
    end_time: time | None = optional_clock()
    reason: str | None = optional_text()
