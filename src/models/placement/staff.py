"""Staff of facilities, and the specialists who treat clients.

Owns: the rows of assignments and specialists.
Holds: every reference carries the tenant; names and contacts of specialists are `Encrypted`.
Must not know: keys, validity of a row (the CHECKs of the migrations), the use cases.
"""

from datetime import date
from typing import Any, ClassVar
from uuid import UUID

from scheduler.models.columns import (
    encrypted,
    optional_day,
    optional_reference,
    optional_string,
    optional_uuid_reference,
    reference,
    switch,
    uuid_reference,
)
from scheduler.models.constraints import CASCADE, SET_NULL, index, key_to, of_tenant, unique_among_live
from scheduler.models.encrypted import Encrypted
from scheduler.models.mixins import SoftDeletable, Timestamped, UuidKeyed
from scheduler.models.namespaces import PLACEMENT


class FacilityStaff(SoftDeletable, Timestamped, UuidKeyed, table=True):
    """A user's work at a facility: position, first and last day."""

    __tablename__: ClassVar[Any] = "facility_staff"
    __table_args__: ClassVar[Any] = (
        key_to("scheduling.facilities", "facility_id", ondelete=CASCADE),
        key_to("identity.users", "user_id", ondelete=CASCADE),
        unique_among_live("a_user_works_at_a_facility_once", "facility_id", "user_id"),
        unique_among_live("a_user_has_one_primary_facility", "user_id", also="is_primary and ended_on is null and "),
        index("facility_id"),
        index("user_id"),
        PLACEMENT,
    )

    facility_id: int = reference()
    user_id: UUID = uuid_reference()
    position: str | None = optional_string()
    is_primary: bool = switch(on=False)
    started_on: date | None = optional_day()
    ended_on: date | None = optional_day()


class Specialist(SoftDeletable, Timestamped, UuidKeyed, table=True):
    """A person who treats clients; name and contact are encrypted."""

    __tablename__: ClassVar[Any] = "specialists"
    __table_args__: ClassVar[Any] = (
        of_tenant(),
        key_to("identity.users", "user_id", ondelete=SET_NULL),
        key_to("scheduling.doctors", "doctor_id", ondelete=SET_NULL),
        index("user_id"),
        index("doctor_id"),
        PLACEMENT,
    )

    user_id: UUID | None = optional_uuid_reference()
    doctor_id: int | None = optional_reference()
    specialty: str | None = optional_string()
    name: Encrypted | None = encrypted()
    phone: Encrypted | None = encrypted()
    email: Encrypted | None = encrypted()
    license_number: Encrypted | None = encrypted()
    notes: Encrypted | None = encrypted()
