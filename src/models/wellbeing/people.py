"""Wellbeing organisations and their people: profiles, children, invitations, settings.

Owns: the rows of organisations, profiles, children, display counters, invitations and settings.
Holds: an organisation's id is its tenant's; every reference carries the tenant.
Must not know: validity of a row (the CHECKs of the migrations), visibility of a row (their policies).
"""

from datetime import date, datetime
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import Computed, FetchedValue, Index, Integer, Text, UniqueConstraint, Uuid, text
from sqlmodel import Field

from scheduler.models.columns import (
    choice,
    empty_json_object,
    filled_instant,
    long_text,
    optional_choice,
    optional_day,
    optional_instant,
    optional_json_object,
    optional_number_from,
    optional_text,
    optional_uuid_reference,
    switch,
    uuid_part_of_key,
    uuid_reference,
)
from scheduler.models.constraints import CASCADE, RESTRICT, SET_NULL, index, key_to, of_tenant, unique
from scheduler.models.mixins import SoftDeletable, TenantOwned, Timestamped, UuidKeyed
from scheduler.models.namespaces import WELLBEING


class ProfileRole(StrEnum):
    """Role of a person in the wellbeing part."""

    ACCOUNT = "Account"
    """Looks after the platform, across organisations."""
    GROUP_CONTACT = "GroupContact"
    """Looks after an organisation."""
    PRACTITIONER = "Practitioner"
    """Looks after the children of an organisation."""
    CHILD = "Child"


class Organisation(SoftDeletable, Timestamped, table=True):
    """A tenant as the wellbeing part knows it; `id` is the tenant's, and `tenant_id` follows from it."""

    __tablename__: ClassVar[Any] = "organisations"
    __table_args__: ClassVar[Any] = (
        of_tenant(),
        Index("organisations_name_words_idx", text("to_tsvector('english', name)"), postgresql_using="gin"),
        WELLBEING,
    )

    tenant_id: UUID | None = Field(
        default=None, primary_key=True, nullable=False, sa_type=Uuid, sa_column_args=[Computed("id", persisted=True)]
    )
    id: UUID = uuid_part_of_key()
    name: str = long_text()
    type: str = long_text()
    address_line_1: str | None = optional_text()
    address_line_2: str | None = optional_text()
    city: str | None = optional_text()
    postcode: str | None = optional_text()
    country: str | None = optional_choice("UK")
    phone: str | None = optional_text()
    email: str | None = optional_text()
    website: str | None = optional_text()
    status: str = choice("active")
    subscription_plan: str | None = optional_choice("essential")
    max_children: int | None = optional_number_from(50)
    max_practitioners: int | None = optional_number_from(5)
    settings: dict[str, JsonValue] | None = empty_json_object()


class Profile(SoftDeletable, Timestamped, TenantOwned, table=True):
    """A user with a role in the wellbeing part; `id` is the user's."""

    __tablename__: ClassVar[Any] = "profiles"
    __table_args__: ClassVar[Any] = (
        UniqueConstraint("id", name="a_person_has_one_profile"),
        key_to("identity.users", "id", ondelete=CASCADE),
        key_to("wellbeing.organisations", "org_id", ondelete=SET_NULL),
        index("org_id"),
        index("role"),
        WELLBEING,
    )

    id: UUID = uuid_part_of_key()
    email: str = long_text()
    name: str = long_text()
    role: str = long_text()
    org_id: UUID | None = optional_uuid_reference()
    status: str = choice("active")
    avatar_url: str | None = optional_text()


class ChildDisplayCounter(Timestamped, TenantOwned, table=True):
    """The last display id that an organisation gave to a child."""

    __tablename__: ClassVar[Any] = "child_display_counters"
    __table_args__: ClassVar[Any] = (key_to("wellbeing.organisations", "org_id", ondelete=CASCADE), WELLBEING)

    org_id: UUID = uuid_part_of_key()
    last_display_id: int = Field(sa_type=Integer)


class Child(SoftDeletable, Timestamped, TenantOwned, table=True):
    """A child, with the facts that carers need; `id` is the profile's, the database counts `display_id`."""

    __tablename__: ClassVar[Any] = "children"
    __table_args__: ClassVar[Any] = (
        key_to("wellbeing.profiles", "id", ondelete=CASCADE),
        key_to("wellbeing.organisations", "org_id", ondelete=RESTRICT),
        key_to("wellbeing.profiles", "primary_practitioner_id"),
        unique("a_display_id_is_one_child_of_its_organisation", "org_id", "display_id"),
        index("primary_practitioner_id"),
        Index(
            "children_first_name_class_name_words_idx",
            text("to_tsvector('english', (first_name || ' ') || coalesce(class_name, ''))"),
            postgresql_using="gin",
        ),
        WELLBEING,
    )

    id: UUID = uuid_part_of_key()
    org_id: UUID = uuid_reference()
    display_id: int | None = Field(
        default=None, nullable=False, sa_type=Integer, sa_column_kwargs={"server_default": FetchedValue()}
    )
    first_name: str = long_text()
    date_of_birth: date | None = optional_day()
    year_group: str | None = optional_text()
    class_name: str | None = optional_text()
    primary_practitioner_id: UUID | None = optional_uuid_reference()
    parent_guardian_name: str | None = optional_text()
    parent_guardian_email: str | None = optional_text()
    parent_guardian_phone: str | None = optional_text()
    consent_given: bool = switch(on=False)
    consent_date: datetime | None = optional_instant()
    consent_type: str | None = optional_text()
    safeguarding_notes: str | None = optional_text()
    additional_notes: str | None = optional_text()
    avatar_character: str | None = optional_choice("default")
    preferences: dict[str, JsonValue] | None = empty_json_object()


class Invitation(Timestamped, UuidKeyed, table=True):
    """An invitation to join an organisation; `invitation_token` is the SHA-256 of the token, in hexadecimal digits."""

    __tablename__: ClassVar[Any] = "invitations"
    __table_args__: ClassVar[Any] = (
        key_to("wellbeing.organisations", "org_id", ondelete=CASCADE),
        key_to("wellbeing.profiles", "invited_by"),
        key_to("wellbeing.profiles", "accepted_by"),
        UniqueConstraint("invitation_token", name="a_token_is_one_invitation"),
        index("org_id"),
        index("email", "status"),
        index("invited_by"),
        index("accepted_by"),
        WELLBEING,
    )

    org_id: UUID = uuid_reference()
    email: str = long_text()
    role: str = long_text()
    invited_by: UUID = uuid_reference()
    invitation_token: str = long_text()
    status: str = choice("pending")
    expires_at: datetime | None = filled_instant("now() + interval '7 days'")
    accepted_at: datetime | None = optional_instant()
    accepted_by: UUID | None = optional_uuid_reference()


class KeyValue(Timestamped, TenantOwned, table=True):
    """A setting, flag or cached figure of a tenant, for accounts."""

    __tablename__: ClassVar[Any] = "kv_store_a1855b25"
    __table_args__: ClassVar[Any] = (of_tenant(), WELLBEING)

    key: str = Field(primary_key=True, sa_type=Text)
    value: JsonValue = optional_json_object()
