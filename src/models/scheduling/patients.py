"""Patients: the people who have appointments.

Owns: the rows of patients.
Holds: every reference carries the tenant, so that no row refers to another tenant.
Must not know: validity of a row (the CHECKs of the migrations), the use cases.
"""

from datetime import date
from typing import Any, ClassVar
from uuid import UUID

from pydantic import JsonValue

from scheduler.models.columns import (
    optional_day,
    optional_json_object,
    optional_reference,
    optional_string,
    optional_uuid_reference,
    string,
)
from scheduler.models.constraints import SET_NULL, index, key_to, of_tenant
from scheduler.models.mixins import BigintKeyed, SoftDeletable, Timestamped
from scheduler.models.namespaces import SCHEDULING


class Patient(SoftDeletable, Timestamped, BigintKeyed, table=True):
    """A person who has appointments; the e-mail address is in lower case, and several patients may share it."""

    __tablename__: ClassVar[Any] = "patients"
    __table_args__: ClassVar[Any] = (
        of_tenant(),
        key_to("identity.users", "user_id", ondelete=SET_NULL),
        key_to("scheduling.insurance_plans", "default_insurance_plan_id", ondelete=SET_NULL),
        index("email"),
        index("user_id"),
        index("default_insurance_plan_id"),
        SCHEDULING,
    )

    user_id: UUID | None = optional_uuid_reference()
    first_name: str = string()
    last_name: str = string()
    email: str = string()
    phone: str | None = optional_string()
    dob: date | None = optional_day()
    default_insurance_plan_id: int | None = optional_reference()
    preferred_language: str | None = optional_string(10)
    meta: dict[str, JsonValue] | None = optional_json_object()
