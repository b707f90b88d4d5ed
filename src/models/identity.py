"""The tables of the schema `identity`: who owns what, who signs in, and who belongs together.

Owns: the rows of tenants, users, addresses and families.
Must not know: what is valid in a row (the CHECKs of the migrations), what is done with one (store, services).
"""

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import Enum, Index, LargeBinary, Uuid, text
from sqlmodel import Field

from scheduler.models.columns import (
    CASCADE,
    choice,
    key_to,
    long_text,
    of_tenant,
    optional_instant,
    optional_string,
    optional_text,
    optional_uuid_reference,
    set_null,
    string,
    switch,
    tenant_key,
    texts,
    unique_among_live,
    uuid_key,
    uuid_part_of_key,
    written_at,
)
from scheduler.models.registry import Table

_HERE: dict[str, str] = {"schema": "identity"}


class UserRole(StrEnum):
    """What a user is to a tenant."""

    ADMIN = "admin"
    STAFF = "staff"
    DOCTOR = "doctor"
    SPECIALIST = "specialist"
    PRACTITIONER = "practitioner"
    PARENT = "parent"
    STUDENT = "student"
    PATIENT = "patient"
    CHILD = "child"


_USER_ROLE = Enum(
    UserRole, name="user_role_enum", schema="identity", values_callable=lambda roles: [*roles], validate_strings=True
)


class Tenant(Table, table=True):
    """An organisation that owns its rows; no other tenant sees them."""

    __tablename__ = "tenants"
    __table_args__: ClassVar[Any] = (
        Index("live_tenants_have_their_own_slug", "slug", unique=True, postgresql_where=text("deleted_at is null")),
        _HERE,
    )

    id: UUID | None = Field(
        default=None,
        primary_key=True,
        nullable=False,
        sa_type=Uuid,
        sa_column_kwargs={"server_default": text("gen_random_uuid()")},
    )
    slug: str = string()
    name: str = string()
    status: str = choice("active")
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()
    deleted_at: datetime | None = optional_instant()


class User(Table, table=True):
    """A person: who signs in, and who is only spoken of; an e-mail address is in lower case."""

    __tablename__ = "users"
    __table_args__: ClassVar[Any] = (
        of_tenant("users_tenant_id_fkey"),
        Index(
            "live_users_have_their_own_sign_in",
            "supertokens_user_id",
            unique=True,
            postgresql_where=text("deleted_at is null"),
        ),
        unique_among_live("live_users_have_their_own_email", "email"),
        Index("users_status_idx", "tenant_id", "status"),
        _HERE,
    )

    tenant_id: UUID = tenant_key()
    id: UUID | None = uuid_key()
    supertokens_user_id: str | None = optional_text()
    email: str | None = optional_text()
    name: str = long_text()
    phone: str | None = optional_string(50)
    role: UserRole = Field(sa_type=_USER_ROLE)
    status: str = choice("active")
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()
    deleted_at: datetime | None = optional_instant()


class Address(Table, table=True):
    """A postal address; its owner holds its key."""

    __tablename__ = "addresses"
    __table_args__: ClassVar[Any] = (of_tenant("addresses_tenant_id_fkey"), _HERE)

    tenant_id: UUID = tenant_key()
    id: UUID | None = uuid_key()
    line_1: str = long_text()
    line_2: str | None = optional_text()
    city: str | None = optional_text()
    region: str | None = optional_text()
    postcode: str | None = optional_string(20)
    country: str | None = optional_string(2)
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()
    deleted_at: datetime | None = optional_instant()


class Family(Table, table=True):
    """People who belong together: parents and their students."""

    __tablename__ = "families"
    __table_args__: ClassVar[Any] = (
        of_tenant("families_tenant_id_fkey"),
        key_to("identity.addresses", "address_id", name="families_address_id_fkey", ondelete=set_null("address_id")),
        key_to("identity.users", "created_by", name="families_created_by_fkey", ondelete=set_null("created_by")),
        key_to("identity.users", "modified_by", name="families_modified_by_fkey", ondelete=set_null("modified_by")),
        Index("families_status_idx", "tenant_id", "status"),
        Index("families_address_id_idx", "tenant_id", "address_id"),
        Index("families_created_by_idx", "tenant_id", "created_by"),
        Index("families_modified_by_idx", "tenant_id", "modified_by"),
        _HERE,
    )

    tenant_id: UUID = tenant_key()
    id: UUID | None = uuid_key()
    family_name: str = long_text()
    address_id: UUID | None = optional_uuid_reference()
    preferred_programs: list[str] = texts()
    status: str = choice("active")
    created_by: UUID | None = optional_uuid_reference()
    modified_by: UUID | None = optional_uuid_reference()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()
    deleted_at: datetime | None = optional_instant()


class FamilyMember(Table, table=True):
    """That a user is a parent or a student of a family; the one place that says so, for both directions."""

    __tablename__ = "family_members"
    __table_args__: ClassVar[Any] = (
        key_to("identity.families", "family_id", name="family_members_family_id_fkey", ondelete=CASCADE),
        key_to("identity.users", "user_id", name="family_members_user_id_fkey", ondelete=CASCADE),
        Index("family_members_user_id_idx", "tenant_id", "user_id"),
        _HERE,
    )

    tenant_id: UUID = tenant_key()
    family_id: UUID = uuid_part_of_key()
    user_id: UUID = uuid_part_of_key()
    role: str = long_text()
    is_primary_contact: bool = switch(on=False)
    is_emergency_contact: bool = switch(on=False)
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()


class DataKey(Table, table=True):
    """A tenant's key for encrypted values or for blind indexes, wrapped by a master key; nowhere is it in clear."""

    __tablename__ = "data_keys"
    __table_args__: ClassVar[Any] = (
        of_tenant("data_keys_tenant_id_fkey"),
        Index(
            "a_tenant_has_one_current_key_for_a_purpose",
            "tenant_id",
            "purpose",
            unique=True,
            postgresql_where=text("superseded_at is null"),
        ),
        _HERE,
    )

    tenant_id: UUID = tenant_key()
    id: UUID | None = uuid_key()
    purpose: str = long_text()
    wrapped_key: bytes = Field(sa_type=LargeBinary, repr=False)
    master_key_id: str = long_text()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()
    superseded_at: datetime | None = optional_instant()
    retired_at: datetime | None = optional_instant()
