"""Services for patients: offerings by doctors at facilities, and workflows of steps.

Owns: the rows of services, offerings, step templates, workflows, their steps and what these need.
Holds: every reference carries the tenant, so that no row refers to another tenant.
Must not know: validity of a row (the CHECKs of the migrations), the use cases.
"""

from typing import Any, ClassVar

from pydantic import JsonValue
from sqlalchemy import Integer
from sqlmodel import Field

from scheduler.models.columns import (
    choice,
    number,
    optional_json_object,
    optional_number,
    optional_reference,
    optional_string,
    optional_text,
    part_of_key,
    reference,
    string,
    switch,
    word_of_key,
)
from scheduler.models.constraints import CASCADE, index, key_to, of_tenant, unique, unique_where
from scheduler.models.mixins import BigintKeyed, SoftDeletable, TenantOwned, Timestamped
from scheduler.models.namespaces import SCHEDULING


class Service(SoftDeletable, Timestamped, BigintKeyed, table=True):
    """A service for patients, with its code in a code system."""

    __tablename__: ClassVar[Any] = "services"
    __table_args__: ClassVar[Any] = (of_tenant(), SCHEDULING)

    name: str = string()
    description: str | None = optional_text()
    code: str | None = optional_string(50)
    code_system: str = choice("CPT")
    code_version: str | None = optional_string(50)
    default_duration_minutes: int = number(30)
    category: str | None = optional_string()
    meta: dict[str, JsonValue] | None = optional_json_object()


class ServiceOffering(Timestamped, BigintKeyed, table=True):
    """A service as one doctor offers it at one facility."""

    __tablename__: ClassVar[Any] = "service_offerings"
    __table_args__: ClassVar[Any] = (
        key_to("scheduling.services", "service_id", ondelete=CASCADE),
        key_to("scheduling.doctors", "doctor_id", ondelete=CASCADE),
        key_to("scheduling.facilities", "facility_id", ondelete=CASCADE),
        unique("a_doctor_offers_a_service_once_at_a_facility", "service_id", "doctor_id", "facility_id"),
        index("facility_id", "doctor_id"),
        index("doctor_id"),
        SCHEDULING,
    )

    service_id: int = reference()
    doctor_id: int = reference()
    facility_id: int = reference()
    active: bool = switch()
    default_duration_minutes: int | None = optional_number()
    buffer_before_minutes: int = number(0)
    buffer_after_minutes: int = number(0)
    visibility: str = choice("public")
    meta: dict[str, JsonValue] | None = optional_json_object()


class StepTemplate(Timestamped, BigintKeyed, table=True):
    """A kind of step that workflows share."""

    __tablename__: ClassVar[Any] = "step_templates"
    __table_args__: ClassVar[Any] = (of_tenant(), SCHEDULING)

    name: str = string()
    description: str | None = optional_text()
    default_duration_minutes: int = Field(sa_type=Integer)
    requires_location: bool = switch()
    meta: dict[str, JsonValue] | None = optional_json_object()


class ServiceWorkflow(Timestamped, BigintKeyed, table=True):
    """The steps of an offering for one insurance plan, or for any: one active workflow for each (W1)."""

    __tablename__: ClassVar[Any] = "service_workflows"
    __table_args__: ClassVar[Any] = (
        key_to("scheduling.service_offerings", "service_offering_id", ondelete=CASCADE),
        key_to("scheduling.insurance_plans", "insurance_plan_id", ondelete=CASCADE),
        unique_where(
            "active",
            "an_offering_has_one_active_workflow_for_a_plan",
            "service_offering_id",
            "insurance_plan_id",
            nulls_not_distinct=True,
        ),
        index("service_offering_id"),
        index("insurance_plan_id"),
        SCHEDULING,
    )

    service_offering_id: int = reference()
    insurance_plan_id: int | None = optional_reference()
    name: str = string()
    total_estimated_minutes: int = Field(sa_type=Integer)
    active: bool = switch()
    meta: dict[str, JsonValue] | None = optional_json_object()


class WorkflowStep(Timestamped, BigintKeyed, table=True):
    """A step of a workflow; positions count from 1 (W2)."""

    __tablename__: ClassVar[Any] = "workflow_steps"
    __table_args__: ClassVar[Any] = (
        key_to("scheduling.service_workflows", "service_workflow_id", ondelete=CASCADE),
        key_to("scheduling.step_templates", "step_template_id", ondelete=CASCADE),
        unique("a_workflow_has_one_step_at_a_position", "service_workflow_id", "position"),
        index("step_template_id"),
        SCHEDULING,
    )

    service_workflow_id: int = reference()
    step_template_id: int = reference()
    position: int = Field(sa_type=Integer)
    duration_minutes: int | None = optional_number()
    location_type: str | None = optional_string(50)
    requires_preparation: bool = switch(on=False)
    can_be_skipped: bool = switch(on=False)
    meta: dict[str, JsonValue] | None = optional_json_object()


class WorkflowStepNeed(Timestamped, TenantOwned, table=True):
    """So many resources of a kind that a step needs at once (W7). No row: the doctor; `patient` alone: nobody."""

    __tablename__: ClassVar[Any] = "workflow_step_needs"
    __table_args__: ClassVar[Any] = (
        key_to("scheduling.workflow_steps", "workflow_step_id", ondelete=CASCADE),
        SCHEDULING,
    )

    workflow_step_id: int = part_of_key()
    kind: str = word_of_key(50)
    quantity: int = number(1)
    same_as_position: int | None = optional_number()
