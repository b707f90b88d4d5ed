"""Hours of resources: weekly rules of rooms, nurses and devices, and exceptions to them.

Owns: the rows of rules and exceptions of resources.
Holds: every reference carries the tenant, so that no row refers to another tenant.
Must not know: validity of a row (the CHECKs of the migrations), the use cases.
"""

from datetime import date, datetime, time
from typing import Any, ClassVar

from sqlalchemy import SmallInteger, Time
from sqlmodel import Field

from scheduler.models.columns import (
    instant,
    long_text,
    optional_day,
    optional_reference,
    optional_string,
    optional_text,
    optional_wall_time,
    reference,
    switch,
)
from scheduler.models.constraints import CASCADE, index, key_to
from scheduler.models.mixins import BigintKeyed, Timestamped
from scheduler.models.namespaces import SCHEDULING


class ResourceRule(Timestamped, BigintKeyed, table=True):
    """Hours of a resource in wall-clock time of its facility (W7), read like a rule of a doctor without slots.

    With `any_weekday`, the recurrence alone says the days, and `day_of_week` is that of `effective_from`.
    """

    __tablename__: ClassVar[Any] = "resource_rules"
    __table_args__: ClassVar[Any] = (
        key_to("scheduling.resources", "resource_id", ondelete=CASCADE),
        index("resource_id"),
        SCHEDULING,
    )

    resource_id: int = reference()
    day_of_week: int = Field(sa_type=SmallInteger)
    any_weekday: bool = switch(on=False)
    start_time: time = Field(sa_type=Time)
    end_time: time = Field(sa_type=Time)
    effective_from: date | None = optional_day()
    effective_until: date | None = optional_day()
    recurrence: str | None = optional_string(300)
    active: bool = switch()


class ResourceException(Timestamped, BigintKeyed, table=True):
    """A span of time in which the rules of a resource do not apply (W7).

    If `local_start` and `local_end` are given (naive), they decide, on the clock of the facility (T6).
    """

    __tablename__: ClassVar[Any] = "resource_exceptions"
    __table_args__: ClassVar[Any] = (
        key_to("scheduling.resources", "resource_id", ondelete=CASCADE),
        key_to("scheduling.resource_rules", "resource_rule_id", ondelete=CASCADE),
        index("resource_id", "end_at"),
        index("resource_rule_id"),
        SCHEDULING,
    )

    resource_id: int = reference()
    resource_rule_id: int | None = optional_reference()
    start_at: datetime = instant()
    end_at: datetime = instant()
    local_start: datetime | None = optional_wall_time()
    local_end: datetime | None = optional_wall_time()
    type: str = long_text()
    reason: str | None = optional_text()
