"""Appointments: visits, their steps, what the steps use, and who waits for a visit.

Owns: the rows of appointments, their steps, resources and waitlist entries.
Holds: every reference carries the tenant, so that none can point into another.
Must not know: what is valid in a row (the CHECKs of the migrations), what is done with one (store, services).
"""

from datetime import date, datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import Index, Integer, UniqueConstraint, text
from sqlmodel import Field

from scheduler.models.columns import (
    CASCADE,
    choice,
    identity_key,
    instant,
    key_to,
    optional_day,
    optional_instant,
    optional_reference,
    optional_string,
    optional_text,
    optional_uuid_reference,
    reference,
    set_null,
    string,
    switch,
    tenant_key,
    written_at,
)
from scheduler.models.registry import Table
from scheduler.models.scheduling.namespace import HERE, key
from scheduler.models.scheduling.slots import key_to_slot


class Appointment(Table, table=True):
    """A visit of a patient, on a slot or on none, and the time in which the doctor is not free (B1).

    `booked_slot_id` is kept by the database: the slot on which it sits, or sat before the slot was deleted.
    """

    __tablename__ = "appointments"
    __table_args__: ClassVar[Any] = (
        key("appointments_patient_id_fkey", "patient_id", "patients", CASCADE),
        key("appointments_facility_id_fkey", "facility_id", "facilities", CASCADE),
        key("appointments_doctor_id_fkey", "doctor_id", "doctors", CASCADE),
        key("appointments_service_offering_id_fkey", "service_offering_id", "service_offerings", CASCADE),
        key("appointments_service_workflow_id_fkey", "service_workflow_id", "service_workflows", CASCADE),
        key_to_slot("appointments_availability_slot_id_slot_start_at_fkey", "availability_slot_id", "slot_start_at"),
        key(
            "appointments_rescheduled_from_fkey",
            "rescheduled_from",
            "appointments",
            set_null("rescheduled_from"),
        ),
        key_to("identity.users", "booked_by", name="appointments_booked_by_fkey", ondelete=set_null("booked_by")),
        key_to(
            "identity.users",
            "updated_by",
            name="appointments_updated_by_fkey",
            ondelete=set_null("updated_by"),
        ),
        UniqueConstraint("tenant_id", "rescheduled_from", name="an_appointment_is_rescheduled_once"),
        Index(
            "a_request_of_an_actor_is_booked_once",
            "tenant_id",
            "booked_by",
            "idempotency_key",
            unique=True,
            postgresql_nulls_not_distinct=True,
            postgresql_where=text("idempotency_key is not null"),
        ),
        Index("appointments_patient_id_idx", "tenant_id", "patient_id"),
        Index("appointments_doctor_id_start_at_idx", "tenant_id", "doctor_id", "start_at"),
        Index("appointments_facility_id_start_at_idx", "tenant_id", "facility_id", "start_at"),
        Index("appointments_service_offering_id_idx", "tenant_id", "service_offering_id"),
        Index("appointments_service_workflow_id_idx", "tenant_id", "service_workflow_id"),
        Index(
            "appointments_availability_slot_id_slot_start_at_idx", "tenant_id", "availability_slot_id", "slot_start_at"
        ),
        Index("appointments_booked_by_idx", "tenant_id", "booked_by"),
        Index("appointments_updated_by_idx", "tenant_id", "updated_by"),
        HERE,
    )

    tenant_id: UUID = tenant_key()
    id: int | None = identity_key()
    patient_id: int = reference()
    facility_id: int = reference()
    doctor_id: int = reference()
    service_offering_id: int = reference()
    availability_slot_id: int | None = optional_reference()
    slot_start_at: datetime | None = optional_instant()
    booked_slot_id: int | None = optional_reference()
    service_workflow_id: int = reference()
    start_at: datetime = instant()
    end_at: datetime = instant()
    occupied_from: datetime = instant()
    occupied_until: datetime = instant()
    status: str = choice("scheduled")
    notes: str | None = optional_text()
    language: str | None = optional_string(10)
    locale: str | None = optional_string(10)
    cancellation_reason: str | None = optional_text()
    rescheduled_from: int | None = optional_reference()
    booked_by: UUID | None = optional_uuid_reference()
    idempotency_key: str | None = optional_text()
    updated_by: UUID | None = optional_uuid_reference()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()


class AppointmentStep(Table, table=True):
    """One step of an appointment with its times, and the resource that it uses (W7)."""

    __tablename__ = "appointment_steps"
    __table_args__: ClassVar[Any] = (
        key("appointment_steps_appointment_id_fkey", "appointment_id", "appointments", CASCADE),
        key("appointment_steps_workflow_step_id_fkey", "workflow_step_id", "workflow_steps", CASCADE),
        key("appointment_steps_step_template_id_fkey", "step_template_id", "step_templates", CASCADE),
        key("appointment_steps_resource_id_fkey", "resource_id", "resources", set_null("resource_id")),
        Index("an_appointment_has_one_step_at_a_position", "tenant_id", "appointment_id", "position", unique=True),
        Index("appointment_steps_workflow_step_id_idx", "tenant_id", "workflow_step_id"),
        Index("appointment_steps_step_template_id_idx", "tenant_id", "step_template_id"),
        Index("appointment_steps_resource_id_scheduled_start_at_idx", "tenant_id", "resource_id", "scheduled_start_at"),
        HERE,
    )

    tenant_id: UUID = tenant_key()
    id: int | None = identity_key()
    appointment_id: int = reference()
    workflow_step_id: int = reference()
    step_template_id: int = reference()
    position: int = Field(sa_type=Integer)
    scheduled_start_at: datetime = instant()
    scheduled_end_at: datetime = instant()
    status: str = choice("scheduled")
    notes: str | None = optional_text()
    location: str | None = optional_string()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()
    resource_id: int | None = optional_reference()


class Resource(Table, table=True):
    """A room, a nurse, a device or another thing of a facility that one step at a time can use (W7)."""

    __tablename__ = "resources"
    __table_args__: ClassVar[Any] = (
        key("resources_facility_id_fkey", "facility_id", "facilities", CASCADE),
        UniqueConstraint(
            "tenant_id", "facility_id", "kind", "name", name="a_resource_has_its_own_name_at_its_facility"
        ),
        HERE,
    )

    tenant_id: UUID = tenant_key()
    id: int | None = identity_key()
    facility_id: int = reference()
    kind: str = string(50)
    name: str = string()
    active: bool = switch()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()


class WaitlistEntry(Table, table=True):
    """That a patient waits for a service, and what was offered; the oldest that fits comes first (B6)."""

    __tablename__ = "waitlist_entries"
    __table_args__: ClassVar[Any] = (
        key("waitlist_entries_patient_id_fkey", "patient_id", "patients", CASCADE),
        key("waitlist_entries_service_id_fkey", "service_id", "services", CASCADE),
        key("waitlist_entries_facility_id_fkey", "facility_id", "facilities", CASCADE),
        key("waitlist_entries_doctor_id_fkey", "doctor_id", "doctors", CASCADE),
        key_to_slot(
            "waitlist_entries_offered_slot_id_offered_slot_start_at_fkey", "offered_slot_id", "offered_slot_start_at"
        ),
        Index(
            "a_patient_waits_for_a_thing_once",
            "tenant_id",
            "patient_id",
            "service_id",
            "facility_id",
            "doctor_id",
            unique=True,
            postgresql_nulls_not_distinct=True,
            postgresql_where=text("status in ('waiting', 'offered')"),
        ),
        Index("waitlist_entries_service_id_status_created_at_idx", "tenant_id", "service_id", "status", "created_at"),
        Index("waitlist_entries_patient_id_idx", "tenant_id", "patient_id"),
        Index("waitlist_entries_facility_id_idx", "tenant_id", "facility_id"),
        Index("waitlist_entries_doctor_id_idx", "tenant_id", "doctor_id"),
        Index(
            "waitlist_entries_offered_slot_id_offered_slot_start_at_idx",
            "tenant_id",
            "offered_slot_id",
            "offered_slot_start_at",
        ),
        HERE,
    )

    tenant_id: UUID = tenant_key()
    id: int | None = identity_key()
    patient_id: int = reference()
    service_id: int = reference()
    facility_id: int | None = optional_reference()
    doctor_id: int | None = optional_reference()
    earliest_day: date | None = optional_day()
    latest_day: date | None = optional_day()
    status: str = choice("waiting")
    offered_slot_id: int | None = optional_reference()
    offered_slot_start_at: datetime | None = optional_instant()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()
