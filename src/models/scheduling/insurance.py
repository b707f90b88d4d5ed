"""Insurance: providers, their plans, and the facilities that accept them.

Owns: the rows of insurance providers, plans and acceptances.
Holds: every reference carries the tenant, so that none can point into another.
Must not know: what is valid in a row (the CHECKs of the migrations), what is done with one (store, services).
"""

from datetime import date, datetime
from typing import Any, ClassVar
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import Index, UniqueConstraint

from scheduler.models.columns import (
    CASCADE,
    identity_key,
    of_tenant,
    optional_day,
    optional_json_object,
    optional_string,
    optional_text,
    reference,
    string,
    switch,
    tenant_key,
    written_at,
)
from scheduler.models.registry import Table
from scheduler.models.scheduling.namespace import HERE, key


class InsuranceProvider(Table, table=True):
    """Who insures patients."""

    __tablename__ = "insurance_providers"
    __table_args__: ClassVar[Any] = (of_tenant("insurance_providers_tenant_id_fkey"), HERE)

    tenant_id: UUID = tenant_key()
    id: int | None = identity_key()
    name: str = string()
    website: str | None = optional_string()
    contact: dict[str, JsonValue] | None = optional_json_object()
    meta: dict[str, JsonValue] | None = optional_json_object()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()


class InsurancePlan(Table, table=True):
    """A plan of an insurance provider, and the days on which it is in force, both inclusive (W1)."""

    __tablename__ = "insurance_plans"
    __table_args__: ClassVar[Any] = (
        key("insurance_plans_insurance_provider_id_fkey", "insurance_provider_id", "insurance_providers", CASCADE),
        UniqueConstraint("tenant_id", "insurance_provider_id", "plan_code", name="a_provider_uses_a_plan_code_once"),
        HERE,
    )

    tenant_id: UUID = tenant_key()
    id: int | None = identity_key()
    insurance_provider_id: int = reference()
    plan_code: str = string(100)
    name: str = string()
    effective_from: date | None = optional_day()
    effective_to: date | None = optional_day()
    meta: dict[str, JsonValue] | None = optional_json_object()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()


class FacilityInsurancePlan(Table, table=True):
    """That a facility accepts an insurance plan, and since when (W1)."""

    __tablename__ = "facility_insurance_plans"
    __table_args__: ClassVar[Any] = (
        key("facility_insurance_plans_facility_id_fkey", "facility_id", "facilities", CASCADE),
        key("facility_insurance_plans_insurance_plan_id_fkey", "insurance_plan_id", "insurance_plans", CASCADE),
        UniqueConstraint("tenant_id", "facility_id", "insurance_plan_id", name="a_facility_accepts_a_plan_once"),
        Index("facility_insurance_plans_insurance_plan_id_idx", "tenant_id", "insurance_plan_id"),
        HERE,
    )

    tenant_id: UUID = tenant_key()
    id: int | None = identity_key()
    facility_id: int = reference()
    insurance_plan_id: int = reference()
    enabled: bool = switch()
    notes: str | None = optional_text()
    accepted_since: date | None = optional_day()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()
