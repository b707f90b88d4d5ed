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
        key("an_appointment_is_of_a_patient", "patient_id", "patients", CASCADE),
        key("an_appointment_is_at_a_facility", "facility_id", "facilities", CASCADE),
        key("an_appointment_is_with_a_doctor", "doctor_id", "doctors", CASCADE),
        key("an_appointment_is_for_an_offering", "service_offering_id", "service_offerings", CASCADE),
        key("an_appointment_follows_a_workflow", "service_workflow_id", "service_workflows", CASCADE),
        key_to_slot("an_appointment_outlives_its_slot", "availability_slot_id", "slot_start_at"),
        key(
            "an_appointment_outlives_what_it_was_rescheduled_from",
            "rescheduled_from",
            "appointments",
            set_null("rescheduled_from"),
        ),
        key_to(
            "identity.users", "booked_by", name="an_appointment_outlives_who_booked_it", ondelete=set_null("booked_by")
        ),
        key_to(
            "identity.users",
            "updated_by",
            name="an_appointment_outlives_who_changed_it",
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
        Index("appointments_are_found_by_patient", "tenant_id", "patient_id"),
        Index("appointments_are_found_by_doctor_and_start", "tenant_id", "doctor_id", "start_at"),
        Index("appointments_are_found_by_facility_and_start", "tenant_id", "facility_id", "start_at"),
        Index("appointments_are_found_by_offering", "tenant_id", "service_offering_id"),
        Index("appointments_are_found_by_workflow", "tenant_id", "service_workflow_id"),
        Index("appointments_are_found_by_slot", "tenant_id", "availability_slot_id", "slot_start_at"),
        Index("appointments_are_found_by_who_booked_them", "tenant_id", "booked_by"),
        Index("appointments_are_found_by_who_changed_them", "tenant_id", "updated_by"),
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
        key("an_appointment_step_is_of_an_appointment", "appointment_id", "appointments", CASCADE),
        key("an_appointment_step_is_of_a_workflow_step", "workflow_step_id", "workflow_steps", CASCADE),
        key("an_appointment_step_is_of_a_kind", "step_template_id", "step_templates", CASCADE),
        key("an_appointment_step_may_use_a_resource", "resource_id", "resources", set_null("resource_id")),
        Index("an_appointment_has_one_step_at_a_position", "tenant_id", "appointment_id", "position", unique=True),
        Index("appointment_steps_are_found_by_workflow_step", "tenant_id", "workflow_step_id"),
        Index("appointment_steps_are_found_by_template", "tenant_id", "step_template_id"),
        Index("appointment_steps_are_found_by_resource_and_start", "tenant_id", "resource_id", "scheduled_start_at"),
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
        key("a_resource_is_at_a_facility", "facility_id", "facilities", CASCADE),
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
        key("a_waitlist_entry_is_of_a_patient", "patient_id", "patients", CASCADE),
        key("a_waitlist_entry_is_for_a_service", "service_id", "services", CASCADE),
        key("a_waitlist_entry_may_be_for_a_facility", "facility_id", "facilities", CASCADE),
        key("a_waitlist_entry_may_be_for_a_doctor", "doctor_id", "doctors", CASCADE),
        key_to_slot("a_waitlist_entry_outlives_what_it_was_offered", "offered_slot_id", "offered_slot_start_at"),
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
        Index("waitlist_entries_are_found_in_order", "tenant_id", "service_id", "status", "created_at"),
        Index("waitlist_entries_are_found_by_patient", "tenant_id", "patient_id"),
        Index("waitlist_entries_are_found_by_facility", "tenant_id", "facility_id"),
        Index("waitlist_entries_are_found_by_doctor", "tenant_id", "doctor_id"),
        Index("waitlist_entries_are_found_by_slot", "tenant_id", "offered_slot_id", "offered_slot_start_at"),
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
