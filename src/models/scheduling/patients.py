"""Patients: the people for whom appointments are made.

Owns: the rows of patients.
Holds: every reference carries the tenant, so that none can point into another.
Must not know: what is valid in a row (the CHECKs of the migrations), what is done with one (store, services).
"""

from datetime import date, datetime
from typing import Any, ClassVar
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import Index

from scheduler.models.columns import (
    identity_key,
    key_to,
    of_tenant,
    optional_day,
    optional_instant,
    optional_json_object,
    optional_reference,
    optional_string,
    optional_uuid_reference,
    set_null,
    string,
    tenant_key,
    written_at,
)
from scheduler.models.registry import Table
from scheduler.models.scheduling.namespace import HERE, key


class Patient(Table, table=True):
    """A person for whom appointments are made; the e-mail address is in lower case, and several may share it."""

    __tablename__ = "patients"
    __table_args__: ClassVar[Any] = (
        of_tenant("patients_tenant_id_fkey"),
        key_to("identity.users", "user_id", name="patients_user_id_fkey", ondelete=set_null("user_id")),
        key(
            "patients_default_insurance_plan_id_fkey",
            "default_insurance_plan_id",
            "insurance_plans",
            set_null("default_insurance_plan_id"),
        ),
        Index("patients_email_idx", "tenant_id", "email"),
        Index("patients_user_id_idx", "tenant_id", "user_id"),
        Index("patients_default_insurance_plan_id_idx", "tenant_id", "default_insurance_plan_id"),
        HERE,
    )

    tenant_id: UUID = tenant_key()
    id: int | None = identity_key()
    user_id: UUID | None = optional_uuid_reference()
    first_name: str = string()
    last_name: str = string()
    email: str = string()
    phone: str | None = optional_string()
    dob: date | None = optional_day()
    default_insurance_plan_id: int | None = optional_reference()
    preferred_language: str | None = optional_string(10)
    meta: dict[str, JsonValue] | None = optional_json_object()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()
    deleted_at: datetime | None = optional_instant()
