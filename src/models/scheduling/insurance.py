"""Insurance: providers, their plans, and the facilities that accept them.

Owns: the rows of insurance providers, plans and acceptances.
Holds: every reference carries the tenant, so that no row refers to another tenant.
Must not know: validity of a row (the CHECKs of the migrations), the use cases.
"""

from datetime import date
from typing import Any, ClassVar

from pydantic import JsonValue

from scheduler.models.columns import (
    optional_day,
    optional_json_object,
    optional_string,
    optional_text,
    reference,
    string,
    switch,
)
from scheduler.models.constraints import CASCADE, index, key_to, of_tenant, unique
from scheduler.models.mixins import BigintKeyed, Timestamped
from scheduler.models.namespaces import SCHEDULING


class InsuranceProvider(Timestamped, BigintKeyed, table=True):
    """A company that insures patients."""

    __tablename__: ClassVar[Any] = "insurance_providers"
    __table_args__: ClassVar[Any] = (of_tenant(), SCHEDULING)

    name: str = string()
    website: str | None = optional_string()
    contact: dict[str, JsonValue] | None = optional_json_object()
    meta: dict[str, JsonValue] | None = optional_json_object()


class InsurancePlan(Timestamped, BigintKeyed, table=True):
    """A plan of an insurance provider, and the days on which it is in force, both inclusive (W1)."""

    __tablename__: ClassVar[Any] = "insurance_plans"
    __table_args__: ClassVar[Any] = (
        key_to("scheduling.insurance_providers", "insurance_provider_id", ondelete=CASCADE),
        unique("a_provider_uses_a_plan_code_once", "insurance_provider_id", "plan_code"),
        SCHEDULING,
    )

    insurance_provider_id: int = reference()
    plan_code: str = string(100)
    name: str = string()
    effective_from: date | None = optional_day()
    effective_to: date | None = optional_day()
    meta: dict[str, JsonValue] | None = optional_json_object()


class FacilityInsurancePlan(Timestamped, BigintKeyed, table=True):
    """An acceptance of an insurance plan by a facility, and its first day (W1)."""

    __tablename__: ClassVar[Any] = "facility_insurance_plans"
    __table_args__: ClassVar[Any] = (
        key_to("scheduling.facilities", "facility_id", ondelete=CASCADE),
        key_to("scheduling.insurance_plans", "insurance_plan_id", ondelete=CASCADE),
        unique("a_facility_accepts_a_plan_once", "facility_id", "insurance_plan_id"),
        index("insurance_plan_id"),
        SCHEDULING,
    )

    facility_id: int = reference()
    insurance_plan_id: int = reference()
    enabled: bool = switch()
    notes: str | None = optional_text()
    accepted_since: date | None = optional_day()
