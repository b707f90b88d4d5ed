"""Forms: the forms about a placement, who contributes to them, and which field each wrote.

Owns: the rows of forms, contributors and contributions; never what a form says.
Holds: a contribution is by a contributor of its own placement, by key; who a contributor is, is `Encrypted`.
Must not know: keys, what is valid in a row (the CHECKs of the migrations), what is done with one (store, services).
"""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import ForeignKeyConstraint, Index, UniqueConstraint

from scheduler.models.columns import (
    RESTRICT,
    choice,
    encrypted,
    key_to,
    long_text,
    number,
    optional_instant,
    optional_json_object,
    optional_uuid_reference,
    string,
    tenant_key,
    unique_among_live,
    uuid_key,
    uuid_reference,
    written_at,
)
from scheduler.models.encrypted import Encrypted
from scheduler.models.placement.namespace import HERE
from scheduler.models.placement.placements import key_to_placement
from scheduler.models.registry import Table


class FormMetadata(Table, table=True):
    """A form about a placement: which one, in which version and state. Never what it says."""

    __tablename__ = "metadata"
    __table_args__: ClassVar[Any] = (
        key_to_placement("metadata_placement_info_id_fkey"),
        unique_among_live("live_forms_have_their_own_version", "placement_info_id", "form_name", "version"),
        Index("metadata_placement_info_id_idx", "tenant_id", "placement_info_id"),
        Index("metadata_status_idx", "tenant_id", "status"),
        HERE,
    )

    tenant_id: UUID = tenant_key()
    id: UUID | None = uuid_key()
    placement_info_id: UUID = uuid_reference()
    form_name: str = string()
    version: int = number(1)
    status: str = choice("draft")
    submitted_at: datetime | None = optional_instant()
    details: dict[str, JsonValue] | None = optional_json_object()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()
    deleted_at: datetime | None = optional_instant()


class Contributor(Table, table=True):
    """Somebody who fills in the forms of a placement: a user, or a person from outside."""

    __tablename__ = "contributors"
    __table_args__: ClassVar[Any] = (
        key_to_placement("contributors_placement_info_id_fkey"),
        key_to("identity.users", "user_id", name="contributors_user_id_fkey", ondelete=RESTRICT),
        UniqueConstraint("tenant_id", "placement_info_id", "id", name="a_contributor_is_known_within_a_placement"),
        unique_among_live("a_user_contributes_to_a_placement_as_one", "placement_info_id", "user_id"),
        Index("contributors_user_id_idx", "tenant_id", "user_id"),
        HERE,
    )

    tenant_id: UUID = tenant_key()
    id: UUID | None = uuid_key()
    placement_info_id: UUID = uuid_reference()
    kind: str = long_text()
    user_id: UUID | None = optional_uuid_reference()
    role: str = choice("author")
    name: Encrypted | None = encrypted()
    email: Encrypted | None = encrypted()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()
    deleted_at: datetime | None = optional_instant()


class FormFieldContribution(Table, table=True):
    """That a contributor wrote a field of a placement, and when."""

    __tablename__ = "form_field_contributions"
    __table_args__: ClassVar[Any] = (
        key_to_placement("form_field_contributions_placement_info_id_fkey"),
        ForeignKeyConstraint(
            ["tenant_id", "placement_info_id", "contributor_id"],
            [f"placement.contributors.{column}" for column in ("tenant_id", "placement_info_id", "id")],
            name="form_field_contributions_placement_info_id_contributor_id_fkey",
            ondelete="NO ACTION",
        ),
        Index(
            "form_field_contributions_field_name_contributed_at_idx",
            "tenant_id",
            "placement_info_id",
            "field_name",
            "contributed_at",
        ),
        Index(
            "form_field_contributions_placement_info_id_contributor_id_idx",
            "tenant_id",
            "placement_info_id",
            "contributor_id",
        ),
        HERE,
    )

    tenant_id: UUID = tenant_key()
    id: UUID | None = uuid_key()
    placement_info_id: UUID = uuid_reference()
    contributor_id: UUID = uuid_reference()
    field_name: str = string()
    contributed_at: datetime | None = written_at()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()
