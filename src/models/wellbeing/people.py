"""Organisations and their people: profiles, children, invitations, and what accounts store for an organisation.

Owns: these rows, as columns, keys and indexes.
Holds: an organisation's id is its tenant's; every reference carries the tenant.
Must not know: what is valid in a row (the CHECKs of the migrations), who may see it (their policies).
"""

from datetime import date, datetime
from enum import StrEnum
from typing import Any, ClassVar
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import Computed, FetchedValue, Index, Integer, Text, UniqueConstraint, Uuid, text
from sqlmodel import Field

from scheduler.models.columns import (
    CASCADE,
    INSTANT,
    RESTRICT,
    choice,
    empty_json_object,
    key_to,
    long_text,
    of_tenant,
    optional_choice,
    optional_day,
    optional_instant,
    optional_json_object,
    optional_number_from,
    optional_text,
    optional_uuid_reference,
    set_null,
    switch,
    tenant_key,
    uuid_key,
    uuid_part_of_key,
    uuid_reference,
    written_at,
)
from scheduler.models.registry import Table

_HERE: dict[str, str] = {"schema": "wellbeing"}


class ProfileRole(StrEnum):
    """What a person is in the wellbeing part."""

    ACCOUNT = "Account"
    """Looks after the platform, across organisations."""
    GROUP_CONTACT = "GroupContact"
    """Looks after an organisation."""
    PRACTITIONER = "Practitioner"
    """Looks after the children of an organisation."""
    CHILD = "Child"


class Organisation(Table, table=True):
    """A tenant as the wellbeing part knows it; `id` is the tenant's, and `tenant_id` follows from it."""

    __tablename__ = "organisations"
    __table_args__: ClassVar[Any] = (
        of_tenant("organisations_tenant_id_fkey"),
        Index(
            "organisations_name_words_idx",
            text("to_tsvector('english', name)"),
            postgresql_using="gin",
        ),
        _HERE,
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
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()
    deleted_at: datetime | None = optional_instant()


class Profile(Table, table=True):
    """A user with a role in the wellbeing part; `id` is the user's."""

    __tablename__ = "profiles"
    __table_args__: ClassVar[Any] = (
        UniqueConstraint("id", name="a_person_has_one_profile"),
        key_to("identity.users", "id", name="profiles_id_fkey", ondelete=CASCADE),
        key_to(
            "wellbeing.organisations",
            "org_id",
            name="profiles_org_id_fkey",
            ondelete=set_null("org_id"),
        ),
        Index("profiles_org_id_idx", "tenant_id", "org_id"),
        Index("profiles_role_idx", "tenant_id", "role"),
        _HERE,
    )

    tenant_id: UUID = tenant_key()
    id: UUID = uuid_part_of_key()
    email: str = long_text()
    name: str = long_text()
    role: str = long_text()
    org_id: UUID | None = optional_uuid_reference()
    status: str = choice("active")
    avatar_url: str | None = optional_text()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()
    deleted_at: datetime | None = optional_instant()


class ChildDisplayCounter(Table, table=True):
    """The last display id that an organisation gave to a child."""

    __tablename__ = "child_display_counters"
    __table_args__: ClassVar[Any] = (
        key_to("wellbeing.organisations", "org_id", name="child_display_counters_org_id_fkey", ondelete=CASCADE),
        _HERE,
    )

    tenant_id: UUID = tenant_key()
    org_id: UUID = uuid_part_of_key()
    last_display_id: int = Field(sa_type=Integer)
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()


class Child(Table, table=True):
    """A child, with what who cares for it has to know; `id` is its profile's, the database counts `display_id`."""

    __tablename__ = "children"
    __table_args__: ClassVar[Any] = (
        key_to("wellbeing.profiles", "id", name="children_id_fkey", ondelete=CASCADE),
        key_to("wellbeing.organisations", "org_id", name="children_org_id_fkey", ondelete=RESTRICT),
        key_to("wellbeing.profiles", "primary_practitioner_id", name="children_primary_practitioner_id_fkey"),
        UniqueConstraint("tenant_id", "org_id", "display_id", name="a_display_id_is_one_child_of_its_organisation"),
        Index("children_primary_practitioner_id_idx", "tenant_id", "primary_practitioner_id"),
        Index(
            "children_first_name_class_name_words_idx",
            text("to_tsvector('english', (first_name || ' ') || coalesce(class_name, ''))"),
            postgresql_using="gin",
        ),
        _HERE,
    )

    tenant_id: UUID = tenant_key()
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
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()
    deleted_at: datetime | None = optional_instant()


class Invitation(Table, table=True):
    """That somebody may join an organisation; `invitation_token` is the SHA-256 of the token, in hexadecimal digits."""

    __tablename__ = "invitations"
    __table_args__: ClassVar[Any] = (
        key_to("wellbeing.organisations", "org_id", name="invitations_org_id_fkey", ondelete=CASCADE),
        key_to("wellbeing.profiles", "invited_by", name="invitations_invited_by_fkey"),
        key_to("wellbeing.profiles", "accepted_by", name="invitations_accepted_by_fkey"),
        UniqueConstraint("invitation_token", name="a_token_is_one_invitation"),
        Index("invitations_org_id_idx", "tenant_id", "org_id"),
        Index("invitations_email_status_idx", "tenant_id", "email", "status"),
        Index("invitations_invited_by_idx", "tenant_id", "invited_by"),
        Index("invitations_accepted_by_idx", "tenant_id", "accepted_by"),
        _HERE,
    )

    tenant_id: UUID = tenant_key()
    id: UUID | None = uuid_key()
    org_id: UUID = uuid_reference()
    email: str = long_text()
    role: str = long_text()
    invited_by: UUID = uuid_reference()
    invitation_token: str = long_text()
    status: str = choice("pending")
    expires_at: datetime | None = Field(
        default=None,
        nullable=False,
        sa_type=INSTANT,
        sa_column_kwargs={"server_default": text("now() + interval '7 days'")},
    )
    accepted_at: datetime | None = optional_instant()
    accepted_by: UUID | None = optional_uuid_reference()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()


class KeyValue(Table, table=True):
    """A setting, flag or cached figure of a tenant, for accounts."""

    __tablename__ = "kv_store_a1855b25"
    __table_args__: ClassVar[Any] = (of_tenant("kv_store_a1855b25_tenant_id_fkey"), _HERE)

    tenant_id: UUID = tenant_key()
    key: str = Field(primary_key=True, sa_type=Text)
    value: JsonValue = optional_json_object()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()
