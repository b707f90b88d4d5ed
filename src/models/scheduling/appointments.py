"""Appointments: visits, their steps, resources, what visits take of doctors and resources, and the waitlist.

Owns: the rows of appointments, their steps, resources, allocations and waitlist entries.
Holds: every reference carries the tenant, so that no row refers to another tenant.
Must not know: validity of a row (the CHECKs of the migrations), the use cases.
"""

from datetime import date, datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import Index, Integer
from sqlmodel import Field

from scheduler.models.columns import (
    choice,
    filled_text,
    filled_wall_time,
    instant,
    optional_day,
    optional_instant,
    optional_reference,
    optional_string,
    optional_text,
    optional_uuid_reference,
    part_of_key,
    reference,
    string,
    switch,
    texts,
)
from scheduler.models.constraints import CASCADE, SET_NULL, index, key_to, unique, unique_where
from scheduler.models.mixins import BigintKeyed, TenantOwned, Timestamped
from scheduler.models.namespaces import SCHEDULING


class Appointment(Timestamped, BigintKeyed, table=True):
    """A visit of a patient, with or without a slot.

    The database fills in `local_start` and `zone`: the wall-clock time that the patient was told (naive), and the zone
    of that clock.
    """

    __tablename__: ClassVar[Any] = "appointments"
    __table_args__: ClassVar[Any] = (
        key_to("scheduling.patients", "patient_id", ondelete=CASCADE),
        key_to("scheduling.facilities", "facility_id", ondelete=CASCADE),
        key_to("scheduling.doctors", "doctor_id", ondelete=CASCADE),
        key_to("scheduling.service_offerings", "service_offering_id", ondelete=CASCADE),
        key_to("scheduling.service_workflows", "service_workflow_id", ondelete=CASCADE),
        key_to(
            "scheduling.availability_slots",
            "availability_slot_id",
            "slot_start_at",
            to=("id", "start_at"),
            ondelete=SET_NULL,
        ),
        key_to("scheduling.appointments", "rescheduled_from", ondelete=SET_NULL),
        key_to("identity.users", "booked_by", ondelete=SET_NULL),
        key_to("identity.users", "updated_by", ondelete=SET_NULL),
        unique("an_appointment_is_rescheduled_once", "rescheduled_from"),
        index("patient_id"),
        index("doctor_id", "start_at"),
        index("facility_id", "start_at"),
        index("service_offering_id"),
        index("service_workflow_id"),
        index("availability_slot_id", "slot_start_at"),
        index("booked_by"),
        index("updated_by"),
        SCHEDULING,
    )

    patient_id: int = reference()
    facility_id: int = reference()
    doctor_id: int = reference()
    service_offering_id: int = reference()
    availability_slot_id: int | None = optional_reference()
    slot_start_at: datetime | None = optional_instant()
    service_workflow_id: int = reference()
    start_at: datetime = instant()
    end_at: datetime = instant()
    local_start: datetime | None = filled_wall_time()
    zone: str | None = filled_text()
    status: str = choice("scheduled")
    notes: str | None = optional_text()
    language: str | None = optional_string(10)
    locale: str | None = optional_string(10)
    cancellation_reason: str | None = optional_text()
    override_rules: list[str] = texts()
    override_reason: str | None = optional_text()
    rescheduled_from: int | None = optional_reference()
    booked_by: UUID | None = optional_uuid_reference()
    updated_by: UUID | None = optional_uuid_reference()


class AppointmentStep(Timestamped, BigintKeyed, table=True):
    """One step of an appointment with its times."""

    __tablename__: ClassVar[Any] = "appointment_steps"
    __table_args__: ClassVar[Any] = (
        key_to("scheduling.appointments", "appointment_id", ondelete=CASCADE),
        key_to("scheduling.workflow_steps", "workflow_step_id", ondelete=CASCADE),
        key_to("scheduling.step_templates", "step_template_id", ondelete=CASCADE),
        Index("an_appointment_has_one_step_at_a_position", "tenant_id", "appointment_id", "position", unique=True),
        index("workflow_step_id"),
        index("step_template_id"),
        SCHEDULING,
    )

    appointment_id: int = reference()
    workflow_step_id: int = reference()
    step_template_id: int = reference()
    position: int = Field(sa_type=Integer)
    scheduled_start_at: datetime = instant()
    scheduled_end_at: datetime = instant()
    status: str = choice("scheduled")
    notes: str | None = optional_text()
    location: str | None = optional_string()


class AppointmentStepResource(Timestamped, TenantOwned, table=True):
    """A resource that a step of an appointment uses (W7)."""

    __tablename__: ClassVar[Any] = "appointment_step_resources"
    __table_args__: ClassVar[Any] = (
        key_to("scheduling.appointment_steps", "appointment_step_id", ondelete=CASCADE),
        key_to("scheduling.resources", "resource_id", ondelete=CASCADE),
        index("resource_id"),
        SCHEDULING,
    )

    appointment_step_id: int = part_of_key()
    resource_id: int = part_of_key()


class Resource(Timestamped, BigintKeyed, table=True):
    """A room, nurse, device or other resource of a facility, for one step at a time (W7).

    `doctor_id` is the doctor who is this person: uses of the resource take the doctor, too.
    """

    __tablename__: ClassVar[Any] = "resources"
    __table_args__: ClassVar[Any] = (
        key_to("scheduling.facilities", "facility_id", ondelete=CASCADE),
        key_to("scheduling.doctors", "doctor_id", ondelete=SET_NULL),
        unique("a_resource_has_its_own_name_at_its_facility", "facility_id", "kind", "name"),
        Index("a_doctor_is_one_resource_of_a_facility", "tenant_id", "doctor_id", "facility_id", unique=True),
        SCHEDULING,
    )

    facility_id: int = reference()
    kind: str = string(50)
    name: str = string()
    active: bool = switch()
    doctor_id: int | None = optional_reference()


class Allocation(Timestamped, BigintKeyed, table=True):
    """The time for which a visit or a hold takes its doctor or a resource (B1).

    The database writes it from the appointment and its steps, or from the hold. Allocations of one visit have one
    `visit_key`.
    """

    __tablename__: ClassVar[Any] = "allocations"
    __table_args__: ClassVar[Any] = (
        key_to("scheduling.doctors", "doctor_id", ondelete=CASCADE),
        key_to("scheduling.resources", "resource_id", ondelete=CASCADE),
        key_to("scheduling.appointments", "appointment_id", ondelete=CASCADE),
        key_to("scheduling.appointment_steps", "appointment_step_id", ondelete=CASCADE),
        key_to("scheduling.holds", "hold_id", ondelete=CASCADE),
        index("doctor_id", "start_at"),
        index("resource_id", "start_at"),
        index("appointment_id"),
        index("appointment_step_id"),
        index("hold_id"),
        index("slot_id", "slot_start_at"),
        SCHEDULING,
    )

    visit_key: int = reference()
    doctor_id: int | None = optional_reference()
    resource_id: int | None = optional_reference()
    start_at: datetime = instant()
    end_at: datetime = instant()
    appointment_id: int | None = optional_reference()
    appointment_step_id: int | None = optional_reference()
    hold_id: int | None = optional_reference()
    slot_id: int | None = optional_reference()
    slot_start_at: datetime | None = optional_instant()
    shared_slot_id: int | None = optional_reference()


class WaitlistEntry(Timestamped, BigintKeyed, table=True):
    """A patient's wait for a service, and the slot offered; the oldest fitting entry comes first (B6)."""

    __tablename__: ClassVar[Any] = "waitlist_entries"
    __table_args__: ClassVar[Any] = (
        key_to("scheduling.patients", "patient_id", ondelete=CASCADE),
        key_to("scheduling.services", "service_id", ondelete=CASCADE),
        key_to("scheduling.facilities", "facility_id", ondelete=CASCADE),
        key_to("scheduling.doctors", "doctor_id", ondelete=CASCADE),
        key_to(
            "scheduling.availability_slots",
            "offered_slot_id",
            "offered_slot_start_at",
            to=("id", "start_at"),
            ondelete=SET_NULL,
        ),
        unique_where(
            "status in ('waiting', 'offered')",
            "a_patient_waits_for_a_thing_once",
            "patient_id",
            "service_id",
            "facility_id",
            "doctor_id",
            nulls_not_distinct=True,
        ),
        index("service_id", "status", "created_at"),
        index("patient_id"),
        index("facility_id"),
        index("doctor_id"),
        index("offered_slot_id", "offered_slot_start_at"),
        SCHEDULING,
    )

    patient_id: int = reference()
    service_id: int = reference()
    facility_id: int | None = optional_reference()
    doctor_id: int | None = optional_reference()
    earliest_day: date | None = optional_day()
    latest_day: date | None = optional_day()
    status: str = choice("waiting")
    offered_slot_id: int | None = optional_reference()
    offered_slot_start_at: datetime | None = optional_instant()
