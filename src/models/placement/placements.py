"""Placements: a client's stay in care, what is known for it, and the specialists who treat the client in it.

Owns: the rows of placements and treatments, and the key by which other rows belong to a placement.
Holds: every reference carries the tenant; what is health information is `Encrypted`, and nothing else gets in.
Must not know: keys, what is valid in a row (the CHECKs of the migrations), what is done with one (store, services).
"""

from datetime import date, datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import ForeignKeyConstraint, Index

from scheduler.models.columns import (
    CASCADE,
    RESTRICT,
    blind_index,
    choice,
    encrypted,
    key_to,
    optional_day,
    optional_instant,
    optional_reference,
    set_null,
    tenant_key,
    unique_among_live,
    uuid_key,
    uuid_part_of_key,
    uuid_reference,
    written_at,
)
from scheduler.models.encrypted import Encrypted
from scheduler.models.placement.namespace import HERE
from scheduler.models.registry import Table


def key_to_placement(name: str) -> ForeignKeyConstraint:
    """Declare that a row belongs to a placement, and goes with it."""
    return key_to("placement.placement_info", "placement_info_id", name=name, ondelete=CASCADE)


class PlacementInfo(Table, table=True):
    """One stay of a client in care; all but the days and the status is encrypted.

    In JSON, which has no bytes, the blind index is base64, as encrypted values are.
    """

    model_config: ClassVar[Any] = {"ser_json_bytes": "base64"}
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
    legal_status: Encrypted | None = encrypted()
    custody: Encrypted | None = encrypted()
    court_case_number: Encrypted | None = encrypted()
    court_dates: Encrypted | None = encrypted()
    court_orders: Encrypted | None = encrypted()
    case_worker_name: Encrypted | None = encrypted()
    case_worker_phone: Encrypted | None = encrypted()
    case_worker_email: Encrypted | None = encrypted()
    # health
    diagnosis: Encrypted | None = encrypted()
    secondary_diagnoses: Encrypted | None = encrypted()
    allergies: Encrypted | None = encrypted()
    medical_history: Encrypted | None = encrypted()
    mental_health_history: Encrypted | None = encrypted()
    trauma_history: Encrypted | None = encrypted()
    substance_use_history: Encrypted | None = encrypted()
    immunisations: Encrypted | None = encrypted()
    physical_limitations: Encrypted | None = encrypted()
    primary_care_physician: Encrypted | None = encrypted()
    # behaviour
    behaviour: Encrypted | None = encrypted()
    behaviour_plan: Encrypted | None = encrypted()
    risk_assessment: Encrypted | None = encrypted()
    safety_plan: Encrypted | None = encrypted()
    # education
    education: Encrypted | None = encrypted()
    school_name: Encrypted | None = encrypted()
    school_contact: Encrypted | None = encrypted()
    education_plan: Encrypted | None = encrypted()
    # people
    family_history: Encrypted | None = encrypted()
    siblings: Encrypted | None = encrypted()
    visitation: Encrypted | None = encrypted()
    emergency_contact_name: Encrypted | None = encrypted()
    emergency_contact_relationship: Encrypted | None = encrypted()
    emergency_contact_phone: Encrypted | None = encrypted()
    second_emergency_contact: Encrypted | None = encrypted()
    # insurance
    insurance_provider: Encrypted | None = encrypted()
    insurance_group_number: Encrypted | None = encrypted()
    insurance_member_id: Encrypted | None = encrypted()
    # everyday life
    dietary_needs: Encrypted | None = encrypted()
    religious_preferences: Encrypted | None = encrypted()
    cultural_preferences: Encrypted | None = encrypted()
    languages: Encrypted | None = encrypted()
    # the stay
    placement_reason: Encrypted | None = encrypted()
    previous_placements: Encrypted | None = encrypted()
    treatment_goals: Encrypted | None = encrypted()
    discharge_plan: Encrypted | None = encrypted()
    notes: Encrypted | None = encrypted()
    insurance_member_id_index: bytes | None = blind_index()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()
    deleted_at: datetime | None = optional_instant()


class PlacementInfoSpecialist(Table, table=True):
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
