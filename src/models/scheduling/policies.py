"""Booking policies: when visits may be booked and cancelled, and how long holds last.

Owns: the rows of policies.
Holds: every reference carries the tenant, so that no row refers to another tenant.
Must not know: validity of a row (the CHECKs of the migrations), which row decides (`core.policies`).
"""

from datetime import time
from typing import Any, ClassVar

from scheduler.models.columns import optional_clock, optional_number, optional_reference, optional_string
from scheduler.models.constraints import CASCADE, index, key_to, of_tenant, unique
from scheduler.models.mixins import BigintKeyed, Timestamped
from scheduler.models.namespaces import SCHEDULING


class BookingPolicy(Timestamped, BigintKeyed, table=True):
    """The policy of a combination of channel, facility, doctor and offering; None stands for any of them (Q2)."""

    __tablename__: ClassVar[Any] = "booking_policies"
    __table_args__: ClassVar[Any] = (
        of_tenant(),
        key_to("scheduling.facilities", "facility_id", ondelete=CASCADE),
        key_to("scheduling.doctors", "doctor_id", ondelete=CASCADE),
        key_to("scheduling.service_offerings", "service_offering_id", ondelete=CASCADE),
        unique(
            "a_combination_has_one_policy",
            "channel",
            "facility_id",
            "doctor_id",
            "service_offering_id",
            nulls_not_distinct=True,
        ),
        index("facility_id"),
        index("doctor_id"),
        index("service_offering_id"),
        SCHEDULING,
    )

    channel: str | None = optional_string(50)
    facility_id: int | None = optional_reference()
    doctor_id: int | None = optional_reference()
    service_offering_id: int | None = optional_reference()
    notice_minutes: int | None = optional_number()
    notice_days: int | None = optional_number()
    notice_until: time | None = optional_clock()
    horizon_days: int | None = optional_number()
    hold_minutes: int | None = optional_number()
    offer_minutes: int | None = optional_number()
    cancel_minutes: int | None = optional_number()
    cancel_days: int | None = optional_number()
    cancel_until: time | None = optional_clock()
