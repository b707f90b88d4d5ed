"""Generation: the nightly job's books.

Owns: the rows of runs and of how far each schedule is generated.
Holds: every reference carries the tenant, so that none can point into another.
Must not know: what is valid in a row (the CHECKs of the migrations), what is done with one (store, services).
"""

from datetime import date, datetime
from typing import Any, ClassVar, Final
from uuid import UUID

from sqlalchemy import Index

from scheduler.models.columns import (
    CASCADE,
    choice,
    count,
    day,
    identity_key,
    long_text,
    of_tenant,
    optional_day,
    optional_instant,
    optional_reference,
    optional_text,
    part_of_key,
    set_null,
    tenant_key,
    written_at,
)
from scheduler.models.registry import Table
from scheduler.models.scheduling.namespace import HERE, key


class GenerationRun(Table, table=True):
    """One run of the nightly job for one tenant: what it was asked, what it did. Days are local, half-open."""

    __tablename__ = "generation_runs"
    __table_args__: ClassVar[Any] = (
        of_tenant("generation_runs_tenant_id_fkey"),
        Index("generation_runs_started_at_idx", "tenant_id", "started_at"),
        HERE,
    )

    tenant_id: UUID = tenant_key()
    id: int | None = identity_key()
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
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()


RUN_COUNTS: Final = tuple(name for name in GenerationRun.model_fields if name.startswith(("schedules", "slots_")))
"""Names of the counts of a run, in the order of the columns."""


class ScheduleState(Table, table=True):
    """How far one schedule's slots are generated, and from what (R3). Days are local, half-open."""

    __tablename__ = "schedule_states"
    __table_args__: ClassVar[Any] = (
        key("schedule_states_doctor_id_fkey", "doctor_id", "doctors", CASCADE),
        key("schedule_states_facility_id_fkey", "facility_id", "facilities", CASCADE),
        key("schedule_states_last_run_id_fkey", "last_run_id", "generation_runs", set_null("last_run_id")),
        Index("schedule_states_facility_id_idx", "tenant_id", "facility_id"),
        Index("schedule_states_last_run_id_idx", "tenant_id", "last_run_id"),
        HERE,
    )

    tenant_id: UUID = tenant_key()
    doctor_id: int = part_of_key()
    facility_id: int = part_of_key()
    fingerprint: str | None = optional_text()
    generated_from: date | None = optional_day()
    generated_until: date | None = optional_day()
    generated_at: datetime | None = optional_instant()
    last_run_id: int | None = optional_reference()
    last_error: str | None = optional_text()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()
