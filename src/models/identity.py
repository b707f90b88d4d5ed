"""Tables of the schema `identity`: tenants, users, addresses, families and data keys.

Owns: the rows of these tables.
Must not know: validity of a row (the CHECKs of the migrations), the use cases.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import Enum, Index, LargeBinary, UniqueConstraint, text
from sqlmodel import Field

from scheduler.models.columns import (
    choice,
    long_text,
    optional_instant,
    optional_string,
    optional_text,
    optional_uuid_reference,
    string,
    switch,
    texts,
    uuid_key,
    uuid_part_of_key,
)
from scheduler.models.constraints import CASCADE, SET_NULL, index, key_to, of_tenant, unique_among_live, unique_where
from scheduler.models.mixins import SoftDeletable, TenantOwned, Timestamped, UuidKeyed
from scheduler.models.namespaces import IDENTITY


class UserRole(StrEnum):
    """Role of a user in a tenant."""

    ADMIN = "admin"
    STAFF = "staff"
    DOCTOR = "doctor"
    SPECIALIST = "specialist"
    PRACTITIONER = "practitioner"
    PARENT = "parent"
    STUDENT = "student"
    PATIENT = "patient"
    CHILD = "child"


class UserStatus(StrEnum):
    """Status of a user; only an active one acts."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    PENDING = "pending"
    SUSPENDED = "suspended"


_USER_ROLE = Enum(
    UserRole, name="user_role_enum", schema="identity", values_callable=lambda roles: [*roles], validate_strings=True
)


class Tenant(SoftDeletable, Timestamped, table=True):
    """An organisation that owns its rows; no other tenant sees them."""

    __tablename__: ClassVar[Any] = "tenants"
    __table_args__: ClassVar[Any] = (
        Index("live_tenants_have_their_own_slug", "slug", unique=True, postgresql_where=text("deleted_at is null")),
        IDENTITY,
    )

    id: UUID | None = uuid_key()
    slug: str = string()
    name: str = string()
    status: str = choice("active")


class User(SoftDeletable, Timestamped, UuidKeyed, table=True):
    """A person, with or without a sign-in; an e-mail address is in lower case."""

    __tablename__: ClassVar[Any] = "users"
    __table_args__: ClassVar[Any] = (
        of_tenant(),
        Index(
            "live_users_have_their_own_sign_in",
            "supertokens_user_id",
            unique=True,
            postgresql_where=text("deleted_at is null"),
        ),
        UniqueConstraint("id", name="a_person_of_two_tenants_has_two_users"),
        unique_among_live("live_users_have_their_own_email", "email"),
        index("status"),
        IDENTITY,
    )

    supertokens_user_id: str | None = optional_text()
    email: str | None = optional_text()
    name: str = long_text()
    phone: str | None = optional_string(50)
    role: UserRole = Field(sa_type=_USER_ROLE)
    status: str = choice("active")


class Address(SoftDeletable, Timestamped, UuidKeyed, table=True):
    """A postal address; its owner holds its key."""

    __tablename__: ClassVar[Any] = "addresses"
    __table_args__: ClassVar[Any] = (of_tenant(), IDENTITY)

    line_1: str = long_text()
    line_2: str | None = optional_text()
    city: str | None = optional_text()
    region: str | None = optional_text()
    postcode: str | None = optional_string(20)
    country: str | None = optional_string(2)


class Family(SoftDeletable, Timestamped, UuidKeyed, table=True):
    """People who belong together: parents and their students."""

    __tablename__: ClassVar[Any] = "families"
    __table_args__: ClassVar[Any] = (
        of_tenant(),
        key_to("identity.addresses", "address_id", ondelete=SET_NULL),
        key_to("identity.users", "created_by", ondelete=SET_NULL),
        key_to("identity.users", "modified_by", ondelete=SET_NULL),
        index("status"),
        index("address_id"),
        index("created_by"),
        index("modified_by"),
        IDENTITY,
    )

    family_name: str = long_text()
    address_id: UUID | None = optional_uuid_reference()
    preferred_programs: list[str] = texts()
    status: str = choice("active")
    created_by: UUID | None = optional_uuid_reference()
    modified_by: UUID | None = optional_uuid_reference()


class FamilyMember(Timestamped, TenantOwned, table=True):
    """A membership of a user in a family as parent or student; the only record of both directions."""

    __tablename__: ClassVar[Any] = "family_members"
    __table_args__: ClassVar[Any] = (
        key_to("identity.families", "family_id", ondelete=CASCADE),
        key_to("identity.users", "user_id", ondelete=CASCADE),
        index("user_id"),
        IDENTITY,
    )

    family_id: UUID = uuid_part_of_key()
    user_id: UUID = uuid_part_of_key()
    role: str = long_text()
    is_primary_contact: bool = switch(on=False)
    is_emergency_contact: bool = switch(on=False)


class DataKey(Timestamped, UuidKeyed, table=True):
    """A tenant's key for encrypted values or for blind indexes, wrapped by a master key, never stored in plaintext."""

    __tablename__: ClassVar[Any] = "data_keys"
    __table_args__: ClassVar[Any] = (
        of_tenant(),
        unique_where("superseded_at is null", "a_tenant_has_one_current_key_for_a_purpose", "purpose"),
        IDENTITY,
    )

    purpose: str = long_text()
    wrapped_key: bytes = Field(sa_type=LargeBinary, repr=False)
    master_key_id: str = long_text()
    superseded_at: datetime | None = optional_instant()
    retired_at: datetime | None = optional_instant()
