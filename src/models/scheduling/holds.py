"""Holds: visits that are held, and requests to book that are repeated.

Owns: the rows of holds and booking requests.
Holds: every reference carries the tenant, so that no row refers to another tenant.
Must not know: validity of a row (the CHECKs of the migrations), the use cases.
"""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from pydantic import JsonValue

from scheduler.models.columns import digest as _digest
from scheduler.models.columns import (
    instant,
    json_list,
    optional_json_object,
    optional_reference,
    optional_string,
    optional_text,
    optional_uuid_reference,
    reference,
    string,
)
from scheduler.models.constraints import CASCADE, index, key_to, of_tenant, unique
from scheduler.models.mixins import BigintKeyed, Timestamped
from scheduler.models.namespaces import SCHEDULING


class Hold(Timestamped, BigintKeyed, table=True):
    """A visit that is held for whoever has the token, until `ends_at` (B2)."""

    __tablename__: ClassVar[Any] = "holds"
    __table_args__: ClassVar[Any] = (
        key_to("scheduling.facilities", "facility_id", ondelete=CASCADE),
        key_to("scheduling.doctors", "doctor_id", ondelete=CASCADE),
        key_to("scheduling.service_offerings", "service_offering_id", ondelete=CASCADE),
        key_to("scheduling.service_workflows", "service_workflow_id", ondelete=CASCADE),
        key_to("identity.users", "held_by", ondelete=CASCADE),
        unique("a_token_opens_one_hold", "token_digest"),
        index("facility_id"),
        index("doctor_id"),
        index("service_offering_id"),
        index("service_workflow_id"),
        index("availability_slot_id", "slot_start_at"),
        index("held_by"),
        index("ends_at"),
        SCHEDULING,
    )

    token_digest: bytes = _digest()
    ends_at: datetime = instant()
    facility_id: int = reference()
    doctor_id: int = reference()
    service_offering_id: int = reference()
    service_workflow_id: int = reference()
    availability_slot_id: int = reference()
    slot_start_at: datetime = instant()
    slot_end_at: datetime = instant()
    slot_offering_id: int | None = optional_reference()
    start_at: datetime = instant()
    end_at: datetime = instant()
    steps: list[JsonValue] = json_list()
    schedule_fingerprint: str | None = optional_text()
    channel: str = string(50)
    label: str | None = optional_string()
    held_by: UUID | None = optional_uuid_reference()


class BookingRequest(Timestamped, BigintKeyed, table=True):
    """A request to book with its key, and the ids of its answer (B3)."""

    __tablename__: ClassVar[Any] = "booking_requests"
    __table_args__: ClassVar[Any] = (
        of_tenant(),
        key_to("identity.users", "actor_id", ondelete=CASCADE),
        unique("a_request_of_an_actor_is_answered_once", "actor_id", "key", nulls_not_distinct=True),
        index("created_at"),
        SCHEDULING,
    )

    actor_id: UUID | None = optional_uuid_reference()
    key: str = string()
    digest: bytes = _digest()
    answer: dict[str, JsonValue] | None = optional_json_object()
