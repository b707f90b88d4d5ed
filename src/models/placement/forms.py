"""Forms of a placement: versions and states, contributors, and the fields that each contributor wrote.

Owns: the rows of forms, contributors and contributions; never the content of a form.
Holds: a contribution is by a contributor of its own placement, by key; names of contributors are `Encrypted`.
Must not know: keys, validity of a row (the CHECKs of the migrations), the use cases.
"""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import Index

from scheduler.models.columns import (
    choice,
    encrypted,
    long_text,
    number,
    optional_instant,
    optional_json_object,
    optional_uuid_reference,
    string,
    uuid_reference,
    written_at,
)
from scheduler.models.constraints import CASCADE, RESTRICT, index, key_to, unique, unique_among_live
from scheduler.models.encrypted import Encrypted
from scheduler.models.mixins import SoftDeletable, Timestamped, UuidKeyed
from scheduler.models.namespaces import PLACEMENT


class FormMetadata(SoftDeletable, Timestamped, UuidKeyed, table=True):
    """A form of a placement: its name, version and state, never its content."""

    __tablename__: ClassVar[Any] = "metadata"
    __table_args__: ClassVar[Any] = (
        key_to("placement.placement_info", "placement_info_id", ondelete=CASCADE),
        unique_among_live("live_forms_have_their_own_version", "placement_info_id", "form_name", "version"),
        index("placement_info_id"),
        index("status"),
        PLACEMENT,
    )

    placement_info_id: UUID = uuid_reference()
    form_name: str = string()
    version: int = number(1)
    status: str = choice("draft")
    submitted_at: datetime | None = optional_instant()
    details: dict[str, JsonValue] | None = optional_json_object()


class Contributor(SoftDeletable, Timestamped, UuidKeyed, table=True):
    """An author of the forms of a placement: a user, or a person from outside."""

    __tablename__: ClassVar[Any] = "contributors"
    __table_args__: ClassVar[Any] = (
        key_to("placement.placement_info", "placement_info_id", ondelete=CASCADE),
        key_to("identity.users", "user_id", ondelete=RESTRICT),
        unique("a_contributor_is_known_within_a_placement", "placement_info_id", "id"),
        unique_among_live("a_user_contributes_to_a_placement_as_one", "placement_info_id", "user_id"),
        index("user_id"),
        PLACEMENT,
    )

    placement_info_id: UUID = uuid_reference()
    kind: str = long_text()
    user_id: UUID | None = optional_uuid_reference()
    role: str = choice("author")
    name: Encrypted | None = encrypted()
    email: Encrypted | None = encrypted()


class FormFieldContribution(Timestamped, UuidKeyed, table=True):
    """A field of a placement that a contributor wrote, and when."""

    __tablename__: ClassVar[Any] = "form_field_contributions"
    __table_args__: ClassVar[Any] = (
        key_to("placement.placement_info", "placement_info_id", ondelete=CASCADE),
        key_to("placement.contributors", "placement_info_id", "contributor_id", to=("placement_info_id", "id")),
        Index(
            "form_field_contributions_field_name_contributed_at_idx",
            "tenant_id",
            "placement_info_id",
            "field_name",
            "contributed_at",
        ),
        index("placement_info_id", "contributor_id"),
        PLACEMENT,
    )

    placement_info_id: UUID = uuid_reference()
    contributor_id: UUID = uuid_reference()
    field_name: str = string()
    contributed_at: datetime | None = written_at()
