"""Sums of figures: places, time and visits of local days that are over, and the days that have changed since.

Owns: the rows of sums.
Holds: every reference carries the tenant, so that no row refers to another tenant.
Must not know: validity of a row (the CHECKs of the migrations), the use cases.
"""

from datetime import date, timedelta
from typing import Any, ClassVar

from scheduler.models.columns import big_number, day, day_of_key, length, part_of_key, transaction_id
from scheduler.models.constraints import CASCADE, index, key_to, of_tenant
from scheduler.models.mixins import BigintKeyed, TenantOwned, Timestamped
from scheduler.models.namespaces import SCHEDULING


class FigureState(Timestamped, TenantOwned, table=True):
    """The local days whose figures are summed for a tenant, but for those of changed days."""

    __tablename__: ClassVar[Any] = "figure_states"
    __table_args__: ClassVar[Any] = (of_tenant(), SCHEDULING)

    summed_from: date = day()
    summed_until: date = day()


class FigureChange(Timestamped, BigintKeyed, table=True):
    """Local days whose figures may have changed since they were summed."""

    __tablename__: ClassVar[Any] = "figure_changes"
    __table_args__: ClassVar[Any] = (of_tenant(), index("from_day", "until_day"), SCHEDULING)

    from_day: date = day()
    until_day: date = day()
    noted_in: int | None = transaction_id()


class DoctorFigureSum(Timestamped, TenantOwned, table=True):
    """Places, time and visits of a doctor at a facility on a local day that is over."""

    __tablename__: ClassVar[Any] = "doctor_figure_sums"
    __table_args__: ClassVar[Any] = (
        key_to("scheduling.facilities", "facility_id", ondelete=CASCADE),
        key_to("scheduling.doctors", "doctor_id", ondelete=CASCADE),
        index("facility_id"),
        index("doctor_id"),
        SCHEDULING,
    )

    day: date = day_of_key()
    facility_id: int = part_of_key()
    doctor_id: int = part_of_key()
    places: int = big_number()
    booked_places: int = big_number()
    closed_places: int = big_number()
    booked: timedelta = length()
    blocked: timedelta = length()
    free: timedelta = length()
    visits: int = big_number()
    cancelled: int = big_number()
    no_shows: int = big_number()
    timed_visits: int = big_number()
    lead_time: timedelta = length()


class ResourceFigureSum(Timestamped, TenantOwned, table=True):
    """The time of a resource on a local day that is over."""

    __tablename__: ClassVar[Any] = "resource_figure_sums"
    __table_args__: ClassVar[Any] = (
        key_to("scheduling.resources", "resource_id", ondelete=CASCADE),
        index("resource_id"),
        SCHEDULING,
    )

    day: date = day_of_key()
    resource_id: int = part_of_key()
    booked: timedelta = length()
    blocked: timedelta = length()
