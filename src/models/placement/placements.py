"""Placements: a client's stay in care, what is known for it, and the specialists who treat the client in it.

Owns: the rows of placements and treatments, and the key by which other rows belong to a placement.
Holds: every reference carries the tenant; what is health information is `Sealed`, and nothing else gets in.
Must not know: keys, what is valid in a row (the CHECKs of the migrations), what is done with one (store, services).
"""

from datetime import date, datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index
from sqlmodel import SQLModel

from models.columns import (
    CASCADE,
    RESTRICT,
    blind_index,
    choice,
    key_to,
    optional_day,
    optional_instant,
    optional_reference,
    sealed,
    set_null,
    tenant_key,
    unique_among_live,
    uuid_key,
    uuid_part_of_key,
    uuid_reference,
    written_at,
)
from models.placement.namespace import HERE
from models.sealed import Sealed


def key_to_placement(name: str) -> ForeignKeyConstraint:
    """Declare that a row belongs to a placement, and goes with it."""
    return key_to("placement.placement_info", "placement_info_id", name=name, ondelete=CASCADE)


class PlacementInfo(SQLModel, table=True):
    """One stay of a client in care; all but the days and the status is encrypted.

    In JSON, which has no bytes, the blind index is base64, as sealed values are.
    """

    model_config = {"ser_json_bytes": "base64"}
    __tablename__ = "placement_info"
    __table_args__: ClassVar[Any] = (
        key_to("placement.clients", "client_id", name="placement_info_client_id_fkey", ondelete=RESTRICT),
        key_to(
            "scheduling.facilities",
            "facility_id",
            name="placement_info_facility_id_fkey",
            ondelete=set_null("facility_id"),
        ),
        unique_among_live("a_client_has_one_live_placement", "client_id", also="ended_on is null and "),
        Index("placement_info_client_id_idx", "tenant_id", "client_id"),
        Index("placement_info_facility_id_idx", "tenant_id", "facility_id"),
        Index("placement_info_status_idx", "tenant_id", "status"),
        Index("placement_info_insurance_member_id_index_idx", "tenant_id", "insurance_member_id_index"),
        HERE,
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
        key_to_placement("placement_info_specialists_placement_info_id_fkey"),
        key_to(
            "placement.specialists",
            "specialist_id",
            name="placement_info_specialists_specialist_id_fkey",
            ondelete=RESTRICT,
        ),
        Index("placement_info_specialists_specialist_id_idx", "tenant_id", "specialist_id"),
        HERE,
    )

    tenant_id: UUID = tenant_key()
    placement_info_id: UUID = uuid_part_of_key()
    specialist_id: UUID = uuid_part_of_key()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()
