"""Caps: at most so many visits a day or week of one doctor, offering, service at a facility, or patient.

Owns: the rows of caps.
Holds: every reference carries the tenant, so that no row refers to another tenant.
Must not know: validity of a row (the CHECKs of the migrations), the use cases.
"""

from typing import Any, ClassVar

from sqlalchemy import Integer
from sqlmodel import Field

from scheduler.models.columns import long_text, optional_reference
from scheduler.models.constraints import CASCADE, index, key_to, of_tenant, unique
from scheduler.models.mixins import BigintKeyed, Timestamped
from scheduler.models.namespaces import SCHEDULING


class BookingCap(Timestamped, BigintKeyed, table=True):
    """A cap (Q4): `most` visits a `period`, which is `day` or `week`, of exactly one thing.

    A service is capped at a facility.
    """

    __tablename__: ClassVar[Any] = "booking_caps"
    __table_args__: ClassVar[Any] = (
        of_tenant(),
        key_to("scheduling.doctors", "doctor_id", ondelete=CASCADE),
        key_to("scheduling.service_offerings", "service_offering_id", ondelete=CASCADE),
        key_to("scheduling.services", "service_id", ondelete=CASCADE),
        key_to("scheduling.facilities", "facility_id", ondelete=CASCADE),
        key_to("scheduling.patients", "patient_id", ondelete=CASCADE),
        unique(
            "there_is_one_cap_of_a_period",
            "period",
            "doctor_id",
            "service_offering_id",
            "service_id",
            "facility_id",
            "patient_id",
            nulls_not_distinct=True,
        ),
        index("doctor_id"),
        index("service_offering_id"),
        index("service_id"),
        index("facility_id"),
        index("patient_id"),
        SCHEDULING,
    )

    most: int = Field(sa_type=Integer)
    period: str = long_text()
    doctor_id: int | None = optional_reference()
    service_offering_id: int | None = optional_reference()
    service_id: int | None = optional_reference()
    facility_id: int | None = optional_reference()
    patient_id: int | None = optional_reference()
