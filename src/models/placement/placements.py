"""Placements: a client's stay in care, its health information, and the specialists who treat the client.

Owns: the rows of placements and of their specialists.
Holds: every reference carries the tenant; health information is `Encrypted`, and its columns take nothing else.
Must not know: keys, validity of a row (the CHECKs of the migrations), the use cases.
"""

from datetime import date
from typing import Any, ClassVar
from uuid import UUID

from scheduler.models.columns import (
    blind_index,
    choice,
    encrypted,
    optional_day,
    optional_reference,
    uuid_part_of_key,
    uuid_reference,
)
from scheduler.models.constraints import CASCADE, RESTRICT, SET_NULL, index, key_to, unique_among_live
from scheduler.models.encrypted import Encrypted
from scheduler.models.mixins import SoftDeletable, TenantOwned, Timestamped, UuidKeyed
from scheduler.models.namespaces import PLACEMENT


class PlacementInfo(SoftDeletable, Timestamped, UuidKeyed, table=True):
    """A stay of a client in care; all but the days and the status is encrypted.

    In JSON, which has no bytes, the blind index is base64, as encrypted values are.
    """

    model_config: ClassVar[Any] = {"ser_json_bytes": "base64"}
    __tablename__: ClassVar[Any] = "placement_info"
    __table_args__: ClassVar[Any] = (
        key_to("placement.clients", "client_id", ondelete=RESTRICT),
        key_to("scheduling.facilities", "facility_id", ondelete=SET_NULL),
        unique_among_live("a_client_has_one_live_placement", "client_id", also="ended_on is null and "),
        index("client_id"),
        index("facility_id"),
        index("status"),
        index("insurance_member_id_index"),
        PLACEMENT,
    )

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


class PlacementInfoSpecialist(Timestamped, TenantOwned, table=True):
    """A specialist's treatment of the client of a placement."""

    __tablename__: ClassVar[Any] = "placement_info_specialists"
    __table_args__: ClassVar[Any] = (
        key_to("placement.placement_info", "placement_info_id", ondelete=CASCADE),
        key_to("placement.specialists", "specialist_id", ondelete=RESTRICT),
        index("specialist_id"),
        PLACEMENT,
    )

    placement_info_id: UUID = uuid_part_of_key()
    specialist_id: UUID = uuid_part_of_key()
