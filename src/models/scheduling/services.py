"""Services: what is done for patients, who offers it where, and in which steps.

Owns: the rows of services, offerings, step templates, workflows and their steps.
Holds: every reference carries the tenant, so that none can point into another.
Must not know: what is valid in a row (the CHECKs of the migrations), what is done with one (store, services).
"""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import Index, Integer, UniqueConstraint, text
from sqlmodel import Field

from scheduler.models.columns import (
    CASCADE,
    choice,
    identity_key,
    number,
    of_tenant,
    optional_instant,
    optional_json_object,
    optional_number,
    optional_reference,
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


class Service(Table, table=True):
    """Something that is done for a patient, with its code in a catalogue."""

    __tablename__ = "services"
    __table_args__: ClassVar[Any] = (of_tenant("services_tenant_id_fkey"), HERE)

    tenant_id: UUID = tenant_key()
    id: int | None = identity_key()
    name: str = string()
    description: str | None = optional_text()
    code: str | None = optional_string(50)
    code_system: str = choice("CPT")
    code_version: str | None = optional_string(50)
    default_duration_minutes: int = number(30)
    category: str | None = optional_string()
    meta: dict[str, JsonValue] | None = optional_json_object()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()
    deleted_at: datetime | None = optional_instant()


class ServiceOffering(Table, table=True):
    """A service as one doctor offers it at one facility."""

    __tablename__ = "service_offerings"
    __table_args__: ClassVar[Any] = (
        key("service_offerings_service_id_fkey", "service_id", "services", CASCADE),
        key("service_offerings_doctor_id_fkey", "doctor_id", "doctors", CASCADE),
        key("service_offerings_facility_id_fkey", "facility_id", "facilities", CASCADE),
        UniqueConstraint(
            "tenant_id",
            "service_id",
            "doctor_id",
            "facility_id",
            name="a_doctor_offers_a_service_once_at_a_facility",
        ),
        Index("service_offerings_facility_id_doctor_id_idx", "tenant_id", "facility_id", "doctor_id"),
        Index("service_offerings_doctor_id_idx", "tenant_id", "doctor_id"),
        HERE,
    )

    tenant_id: UUID = tenant_key()
    id: int | None = identity_key()
    service_id: int = reference()
    doctor_id: int = reference()
    facility_id: int = reference()
    active: bool = switch()
    default_duration_minutes: int | None = optional_number()
    buffer_before_minutes: int = number(0)
    buffer_after_minutes: int = number(0)
    visibility: str = choice("public")
    meta: dict[str, JsonValue] | None = optional_json_object()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()


class StepTemplate(Table, table=True):
    """A kind of step that workflows share."""

    __tablename__ = "step_templates"
    __table_args__: ClassVar[Any] = (of_tenant("step_templates_tenant_id_fkey"), HERE)

    tenant_id: UUID = tenant_key()
    id: int | None = identity_key()
    name: str = string()
    description: str | None = optional_text()
    default_duration_minutes: int = Field(sa_type=Integer)
    requires_location: bool = switch()
    meta: dict[str, JsonValue] | None = optional_json_object()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()


class ServiceWorkflow(Table, table=True):
    """What an offering does for the patients of one insurance plan, or of any: one active workflow for each (W1)."""

    __tablename__ = "service_workflows"
    __table_args__: ClassVar[Any] = (
        key("service_workflows_service_offering_id_fkey", "service_offering_id", "service_offerings", CASCADE),
        key("service_workflows_insurance_plan_id_fkey", "insurance_plan_id", "insurance_plans", CASCADE),
        Index(
            "an_offering_has_one_active_workflow_for_a_plan",
            "tenant_id",
            "service_offering_id",
            "insurance_plan_id",
            unique=True,
            postgresql_nulls_not_distinct=True,
            postgresql_where=text("active"),
        ),
        Index("service_workflows_service_offering_id_idx", "tenant_id", "service_offering_id"),
        Index("service_workflows_insurance_plan_id_idx", "tenant_id", "insurance_plan_id"),
        HERE,
    )

    tenant_id: UUID = tenant_key()
    id: int | None = identity_key()
    service_offering_id: int = reference()
    insurance_plan_id: int | None = optional_reference()
    name: str = string()
    total_estimated_minutes: int = Field(sa_type=Integer)
    active: bool = switch()
    meta: dict[str, JsonValue] | None = optional_json_object()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()


class WorkflowStep(Table, table=True):
    """One step of a workflow; positions count from 1 (W2)."""

    __tablename__ = "workflow_steps"
    __table_args__: ClassVar[Any] = (
        key("workflow_steps_service_workflow_id_fkey", "service_workflow_id", "service_workflows", CASCADE),
        key("workflow_steps_step_template_id_fkey", "step_template_id", "step_templates", CASCADE),
        UniqueConstraint("tenant_id", "service_workflow_id", "position", name="a_workflow_has_one_step_at_a_position"),
        Index("workflow_steps_step_template_id_idx", "tenant_id", "step_template_id"),
        HERE,
    )

    tenant_id: UUID = tenant_key()
    id: int | None = identity_key()
    service_workflow_id: int = reference()
    step_template_id: int = reference()
    position: int = Field(sa_type=Integer)
    duration_minutes: int | None = optional_number()
    location_type: str | None = optional_string(50)
    requires_preparation: bool = switch(on=False)
    can_be_skipped: bool = switch(on=False)
    meta: dict[str, JsonValue] | None = optional_json_object()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()
