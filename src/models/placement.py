"""The tables of the schema `placement`: the people cared for, what is known about them, and who wrote it.

Owns: the rows of clients, staff, specialists, medications, placements, forms and contributions.
Holds: every reference carries the tenant; what is health information is `Sealed`, and nothing else gets in.
Must not know: keys, what is valid in a row (the CHECKs of the migrations), what is done with one (store, services).
"""

from datetime import date, datetime
from typing import Any, ClassVar
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import ForeignKeyConstraint, Index, UniqueConstraint, literal_column, text
from sqlmodel import SQLModel

from models.columns import (
    CASCADE,
    RESTRICT,
    blind_index,
    choice,
    key_to,
    long_text,
    number,
    of_tenant,
    optional_day,
    optional_instant,
    optional_json_object,
    optional_reference,
    optional_string,
    optional_text,
    optional_uuid_reference,
    reference,
    sealed,
    set_null,
    string,
    switch,
    tenant_key,
    unique_among_live,
    uuid_key,
    uuid_part_of_key,
    uuid_reference,
    written_at,
)
from models.sealed import Sealed

_HERE: dict[str, str] = {"schema": "placement"}


def _placement(name: str) -> ForeignKeyConstraint:
    """Declare that a row belongs to a placement, and goes with it."""
    return key_to("placement.placement_info", "placement_info_id", name=name, ondelete=CASCADE)


class _Sealing(SQLModel):
    """What rows with encrypted columns share: in JSON, which has no bytes, these are base64."""

    model_config = {"ser_json_bytes": "base64"}


class Client(SQLModel, table=True):
    """A person cared for; what is known about their health is in `PlacementInfo`."""

    __tablename__ = "clients"
    __table_args__: ClassVar[Any] = (
        of_tenant("a_client_belongs_to_a_tenant"),
        key_to(
            "scheduling.facilities",
            "facility_id",
            name="a_client_may_be_at_a_facility",
            ondelete=set_null("facility_id"),
        ),
        key_to("identity.users", "user_id", name="a_client_may_sign_in", ondelete=set_null("user_id")),
        key_to(
            "identity.addresses", "address_id", name="a_client_may_have_an_address", ondelete=set_null("address_id")
        ),
        Index("clients_are_found_by_facility", "tenant_id", "facility_id"),
        Index(
            "live_clients_are_found_by_name",
            "tenant_id",
            "last_name",
            "first_name",
            postgresql_where=text("deleted_at is null"),
        ),
        Index("clients_are_found_by_status", "tenant_id", "status"),
        Index("clients_are_found_by_address", "tenant_id", "address_id"),
        Index("clients_are_found_by_user", "tenant_id", "user_id"),
        Index(
            "clients_are_found_by_a_part_of_their_name",
            literal_column("lower((first_name || ' ') || last_name)").label("full_name"),  # as PostgreSQL writes it
            postgresql_using="gin",
            postgresql_ops={"full_name": "gin_trgm_ops"},
        ),
        unique_among_live("live_clients_have_their_own_user", "user_id"),
        _HERE,
    )

    tenant_id: UUID = tenant_key()
    id: UUID | None = uuid_key()
    first_name: str = long_text()
    last_name: str = long_text()
    preferred_name: str | None = optional_text()
    date_of_birth: date | None = optional_day()
    email: str | None = optional_text()
    facility_id: int | None = optional_reference()
    user_id: UUID | None = optional_uuid_reference()
    address_id: UUID | None = optional_uuid_reference()
    status: str = choice("active")
    admitted_on: date | None = optional_day()
    discharged_on: date | None = optional_day()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()
    deleted_at: datetime | None = optional_instant()


class FacilityStaff(SQLModel, table=True):
    """That a user works at a facility, as what, from when until when."""

    __tablename__ = "facility_staff"
    __table_args__: ClassVar[Any] = (
        key_to("scheduling.facilities", "facility_id", name="an_assignment_is_at_a_facility", ondelete=CASCADE),
        key_to("identity.users", "user_id", name="an_assignment_is_of_a_user", ondelete=CASCADE),
        unique_among_live("a_user_works_at_a_facility_once", "facility_id", "user_id"),
        unique_among_live("a_user_has_one_primary_facility", "user_id", also="is_primary and ended_on is null and "),
        Index("staff_are_found_by_facility", "tenant_id", "facility_id"),
        Index("facilities_are_found_by_staff", "tenant_id", "user_id"),
        _HERE,
    )

    tenant_id: UUID = tenant_key()
    id: UUID | None = uuid_key()
    facility_id: int = reference()
    user_id: UUID = uuid_reference()
    position: str | None = optional_string()
    is_primary: bool = switch(on=False)
    started_on: date | None = optional_day()
    ended_on: date | None = optional_day()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()
    deleted_at: datetime | None = optional_instant()


class Specialist(_Sealing, table=True):
    """Somebody who treats clients; who it is, is encrypted."""

    __tablename__ = "specialists"
    __table_args__: ClassVar[Any] = (
        of_tenant("a_specialist_belongs_to_a_tenant"),
        key_to("identity.users", "user_id", name="a_specialist_may_sign_in", ondelete=set_null("user_id")),
        key_to(
            "scheduling.doctors", "doctor_id", name="a_specialist_may_have_a_schedule", ondelete=set_null("doctor_id")
        ),
        Index("specialists_are_found_by_user", "tenant_id", "user_id"),
        Index("specialists_are_found_by_doctor", "tenant_id", "doctor_id"),
        _HERE,
    )

    tenant_id: UUID = tenant_key()
    id: UUID | None = uuid_key()
    user_id: UUID | None = optional_uuid_reference()
    doctor_id: int | None = optional_reference()
    specialty: str | None = optional_string()
    name: Sealed | None = sealed()
    phone: Sealed | None = sealed()
    email: Sealed | None = sealed()
    license_number: Sealed | None = sealed()
    notes: Sealed | None = sealed()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()
    deleted_at: datetime | None = optional_instant()


class Medication(_Sealing, table=True):
    """What a client takes; all but the days and the status is encrypted."""

    __tablename__ = "medications"
    __table_args__: ClassVar[Any] = (
        key_to("placement.clients", "client_id", name="a_medication_is_of_a_client", ondelete=RESTRICT),
        Index("medications_are_found_by_client", "tenant_id", "client_id"),
        _HERE,
    )

    tenant_id: UUID = tenant_key()
    id: UUID | None = uuid_key()
    client_id: UUID = uuid_reference()
    name: Sealed | None = sealed()
    dosage: Sealed | None = sealed()
    frequency: Sealed | None = sealed()
    instructions: Sealed | None = sealed()
    prescriber: Sealed | None = sealed()
    started_on: date | None = optional_day()
    ended_on: date | None = optional_day()
    status: str = choice("active")
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()
    deleted_at: datetime | None = optional_instant()


class PlacementInfo(_Sealing, table=True):
    """One stay of a client in care; all but the days and the status is encrypted."""

    __tablename__ = "placement_info"
    __table_args__: ClassVar[Any] = (
        key_to("placement.clients", "client_id", name="a_placement_is_of_a_client", ondelete=RESTRICT),
        key_to(
            "scheduling.facilities",
            "facility_id",
            name="a_placement_may_be_at_a_facility",
            ondelete=set_null("facility_id"),
        ),
        unique_among_live("a_client_has_one_live_placement", "client_id", also="ended_on is null and "),
        Index("placements_are_found_by_client", "tenant_id", "client_id"),
        Index("placements_are_found_by_facility", "tenant_id", "facility_id"),
        Index("placements_are_found_by_status", "tenant_id", "status"),
        Index("placements_are_found_by_insurance_member", "tenant_id", "insurance_member_id_index"),
        _HERE,
    )

    tenant_id: UUID = tenant_key()
    id: UUID | None = uuid_key()
    client_id: UUID = uuid_reference()
    facility_id: int | None = optional_reference()
    status: str = choice("active")
    placed_on: date | None = optional_day()
    expected_end_on: date | None = optional_day()
    ended_on: date | None = optional_day()
    # standing and authority
    legal_status: Sealed | None = sealed()
    custody: Sealed | None = sealed()
    court_case_number: Sealed | None = sealed()
    court_dates: Sealed | None = sealed()
    court_orders: Sealed | None = sealed()
    case_worker_name: Sealed | None = sealed()
    case_worker_phone: Sealed | None = sealed()
    case_worker_email: Sealed | None = sealed()
    # health
    diagnosis: Sealed | None = sealed()
    secondary_diagnoses: Sealed | None = sealed()
    allergies: Sealed | None = sealed()
    medical_history: Sealed | None = sealed()
    mental_health_history: Sealed | None = sealed()
    trauma_history: Sealed | None = sealed()
    substance_use_history: Sealed | None = sealed()
    immunisations: Sealed | None = sealed()
    physical_limitations: Sealed | None = sealed()
    primary_care_physician: Sealed | None = sealed()
    # behaviour
    behaviour: Sealed | None = sealed()
    behaviour_plan: Sealed | None = sealed()
    risk_assessment: Sealed | None = sealed()
    safety_plan: Sealed | None = sealed()
    # education
    education: Sealed | None = sealed()
    school_name: Sealed | None = sealed()
    school_contact: Sealed | None = sealed()
    education_plan: Sealed | None = sealed()
    # people
    family_history: Sealed | None = sealed()
    siblings: Sealed | None = sealed()
    visitation: Sealed | None = sealed()
    emergency_contact_name: Sealed | None = sealed()
    emergency_contact_relationship: Sealed | None = sealed()
    emergency_contact_phone: Sealed | None = sealed()
    second_emergency_contact: Sealed | None = sealed()
    # insurance
    insurance_provider: Sealed | None = sealed()
    insurance_group_number: Sealed | None = sealed()
    insurance_member_id: Sealed | None = sealed()
    # everyday life
    dietary_needs: Sealed | None = sealed()
    religious_preferences: Sealed | None = sealed()
    cultural_preferences: Sealed | None = sealed()
    languages: Sealed | None = sealed()
    # the stay
    placement_reason: Sealed | None = sealed()
    previous_placements: Sealed | None = sealed()
    treatment_goals: Sealed | None = sealed()
    discharge_plan: Sealed | None = sealed()
    notes: Sealed | None = sealed()
    insurance_member_id_index: bytes | None = blind_index()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()
    deleted_at: datetime | None = optional_instant()


class PlacementInfoSpecialist(SQLModel, table=True):
    """That a specialist treats the client of a placement."""

    __tablename__ = "placement_info_specialists"
    __table_args__: ClassVar[Any] = (
        _placement("a_treatment_is_in_a_placement"),
        key_to("placement.specialists", "specialist_id", name="a_treatment_is_by_a_specialist", ondelete=RESTRICT),
        Index("placements_are_found_by_specialist", "tenant_id", "specialist_id"),
        _HERE,
    )

    tenant_id: UUID = tenant_key()
    placement_info_id: UUID = uuid_part_of_key()
    specialist_id: UUID = uuid_part_of_key()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()


class FormMetadata(SQLModel, table=True):
    """A form about a placement: which one, in which version and state. Never what it says."""

    __tablename__ = "metadata"
    __table_args__: ClassVar[Any] = (
        _placement("a_form_is_about_a_placement"),
        unique_among_live("live_forms_have_their_own_version", "placement_info_id", "form_name", "version"),
        Index("forms_are_found_by_placement", "tenant_id", "placement_info_id"),
        Index("forms_are_found_by_status", "tenant_id", "status"),
        _HERE,
    )

    tenant_id: UUID = tenant_key()
    id: UUID | None = uuid_key()
    placement_info_id: UUID = uuid_reference()
    form_name: str = string()
    version: int = number(1)
    status: str = choice("draft")
    submitted_at: datetime | None = optional_instant()
    details: dict[str, JsonValue] | None = optional_json_object()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()
    deleted_at: datetime | None = optional_instant()


class Contributor(_Sealing, table=True):
    """Somebody who fills in the forms of a placement: a user, or a person from outside."""

    __tablename__ = "contributors"
    __table_args__: ClassVar[Any] = (
        _placement("a_contributor_adds_to_a_placement"),
        key_to("identity.users", "user_id", name="a_contributor_may_be_a_user", ondelete=RESTRICT),
        UniqueConstraint("tenant_id", "placement_info_id", "id", name="a_contributor_is_known_within_a_placement"),
        unique_among_live("a_user_contributes_to_a_placement_as_one", "placement_info_id", "user_id"),
        Index("contributors_are_found_by_user", "tenant_id", "user_id"),
        _HERE,
    )

    tenant_id: UUID = tenant_key()
    id: UUID | None = uuid_key()
    placement_info_id: UUID = uuid_reference()
    kind: str = long_text()
    user_id: UUID | None = optional_uuid_reference()
    role: str = choice("author")
    name: Sealed | None = sealed()
    email: Sealed | None = sealed()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()
    deleted_at: datetime | None = optional_instant()


class FormFieldContribution(SQLModel, table=True):
    """That a contributor wrote a field of a placement, and when."""

    __tablename__ = "form_field_contributions"
    __table_args__: ClassVar[Any] = (
        _placement("a_contribution_is_to_a_placement"),
        ForeignKeyConstraint(
            ["tenant_id", "placement_info_id", "contributor_id"],
            [f"placement.contributors.{column}" for column in ("tenant_id", "placement_info_id", "id")],
            name="a_contribution_is_by_a_contributor_of_its_placement",
            ondelete="NO ACTION",
        ),
        Index("contributions_are_found_by_field", "tenant_id", "placement_info_id", "field_name", "contributed_at"),
        Index("contributions_are_found_by_contributor", "tenant_id", "placement_info_id", "contributor_id"),
        _HERE,
    )

    tenant_id: UUID = tenant_key()
    id: UUID | None = uuid_key()
    placement_info_id: UUID = uuid_reference()
    contributor_id: UUID = uuid_reference()
    field_name: str = string()
    contributed_at: datetime | None = written_at()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()
