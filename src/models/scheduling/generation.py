"""Generation records: the runs of the nightly job, and the progress of each schedule.

Owns: the rows of runs and of schedule states.
Holds: every reference carries the tenant, so that no row refers to another tenant.
Must not know: validity of a row (the CHECKs of the migrations), the use cases.
"""

from datetime import date, datetime
from typing import Any, ClassVar, Final

from sqlalchemy.dialects.postgresql import Range

from scheduler.models.columns import (
    choice,
    count,
    day,
    days,
    long_text,
    optional_day,
    optional_instant,
    optional_reference,
    optional_text,
    part_of_key,
    switch,
    transaction_id,
    written_at,
)
from scheduler.models.constraints import CASCADE, SET_NULL, index, key_to, of_tenant
from scheduler.models.mixins import BigintKeyed, TenantOwned, Timestamped
from scheduler.models.namespaces import SCHEDULING


class GenerationRun(Timestamped, BigintKeyed, table=True):
    """A run of the nightly job for one tenant: its request and its results. Days are local, half-open."""

    __tablename__: ClassVar[Any] = "generation_runs"
    __table_args__: ClassVar[Any] = (of_tenant(), index("started_at"), SCHEDULING)

    started_at: datetime | None = written_at()
    finished_at: datetime | None = optional_instant()
    from_day: date = day()
    until_day: date = day()
    status: str = choice("running")
    trigger: str = choice("manual")
    engine_version: str = long_text()
    tzdata_version: str = long_text()
    schedules: int = count()
    schedules_failed: int = count()
    slots_created: int = count()
    slots_updated: int = count()
    slots_retired: int = count()
    slots_kept: int = count()
    slots_conflicting: int = count()
    slots_displaced: int = count()
    begun_in: int | None = transaction_id()


RUN_COUNTS: Final = tuple(name for name in GenerationRun.model_fields if name.startswith(("schedules", "slots_")))
"""Names of the counts of a run, in the order of the columns."""


class ScheduleState(Timestamped, TenantOwned, table=True):
    """The local days for which a schedule has slots, and the fingerprint of its parts from a day on (R3)."""

    __tablename__: ClassVar[Any] = "schedule_states"
    __table_args__: ClassVar[Any] = (
        key_to("scheduling.doctors", "doctor_id", ondelete=CASCADE),
        key_to("scheduling.facilities", "facility_id", ondelete=CASCADE),
        key_to("scheduling.generation_runs", "last_run_id", ondelete=SET_NULL),
        index("facility_id"),
        index("last_run_id"),
        SCHEDULING,
    )

    doctor_id: int = part_of_key()
    facility_id: int = part_of_key()
    fingerprint: str | None = optional_text()
    fingerprint_since: date | None = optional_day()
    engine_version: str | None = optional_text()
    tzdata_version: str | None = optional_text()
    generated_days: list[Range[date]] = days()
    generated_at: datetime | None = optional_instant()
    last_run_id: int | None = optional_reference()
    last_error: str | None = optional_text()
    failures_in_a_row: int = count()
    is_stale: bool = switch(on=False)
