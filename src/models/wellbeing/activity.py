"""What children do: sessions, responses, gardens and stickers, and the alerts that may come of it.

Owns: these rows, as columns, keys and indexes.
Holds: what comes of a session is about the session's child, by key.
Must not know: what is valid in a row (the CHECKs of the migrations), who may see it (their policies).
"""

from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import Boolean, ForeignKeyConstraint, Index, Numeric, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from scheduler.models.columns import (
    CASCADE,
    INSTANT,
    choice,
    key_to,
    long_text,
    optional_instant,
    optional_json_object,
    optional_number,
    optional_number_from,
    optional_text,
    optional_texts,
    optional_uuid_reference,
    tenant_key,
    uuid_key,
    uuid_reference,
    written_at,
)
from scheduler.models.registry import Table

_HERE: dict[str, str] = {"schema": "wellbeing"}
_CHILDREN = "wellbeing.children"


def _of_the_child(what: str, name: str, *, ondelete: str | None = None) -> ForeignKeyConstraint:
    """Return a key to a session or response that has to be of the child of the row."""
    there = [f"wellbeing.wellbeing_{what}s.{column}" for column in ("tenant_id", "id", "child_id")]
    return ForeignKeyConstraint(["tenant_id", f"{what}_id", "child_id"], there, name=name, ondelete=ondelete)


class WellbeingSession(Table, table=True):
    """A check-in of a child."""

    __tablename__ = "wellbeing_sessions"
    __table_args__: ClassVar[Any] = (
        UniqueConstraint("tenant_id", "id", "child_id", name="a_session_is_of_one_child"),
        key_to(_CHILDREN, "child_id", name="wellbeing_sessions_child_id_fkey", ondelete=CASCADE),
        Index("wellbeing_sessions_child_id_created_at_idx", "tenant_id", "child_id", text("created_at desc")),
        _HERE,
    )

    tenant_id: UUID = tenant_key()
    id: UUID | None = uuid_key()
    child_id: UUID = uuid_reference()
    session_type: str = long_text()
    status: str = choice("in_progress")
    started_at: datetime | None = written_at()
    completed_at: datetime | None = optional_instant()
    duration_seconds: int | None = optional_number()
    activities_completed: list[str] | None = optional_texts()
    overall_mood: int | None = optional_number()
    notes: str | None = optional_text()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()


class WellbeingResponse(Table, table=True):
    """What a child answered in a session."""

    __tablename__ = "wellbeing_responses"
    __table_args__: ClassVar[Any] = (
        UniqueConstraint("tenant_id", "id", "child_id", name="a_response_is_of_one_child"),
        _of_the_child("session", "wellbeing_responses_session_id_child_id_fkey", ondelete=CASCADE),
        key_to(_CHILDREN, "child_id", name="wellbeing_responses_child_id_fkey", ondelete=CASCADE),
        Index("wellbeing_responses_session_id_child_id_idx", "tenant_id", "session_id", "child_id"),
        Index("wellbeing_responses_child_id_idx", "tenant_id", "child_id"),
        _HERE,
    )

    tenant_id: UUID = tenant_key()
    id: UUID | None = uuid_key()
    session_id: UUID = uuid_reference()
    child_id: UUID = uuid_reference()
    activity_type: str = long_text()
    question_key: str = long_text()
    question_text: str | None = optional_text()
    response_type: str = long_text()
    response_value: JsonValue = Field(nullable=False, sa_type=JSONB)
    response_score: int | None = optional_number()
    flags: list[str] | None = optional_texts()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()


class GardenItem(Table, table=True):
    """What a child has in its garden."""

    __tablename__ = "garden_items"
    __table_args__: ClassVar[Any] = (
        key_to(_CHILDREN, "child_id", name="garden_items_child_id_fkey", ondelete=CASCADE),
        Index("garden_items_child_id_idx", "tenant_id", "child_id"),
        _HERE,
    )

    tenant_id: UUID = tenant_key()
    id: UUID | None = uuid_key()
    child_id: UUID = uuid_reference()
    item_type: str = long_text()
    item_name: str = long_text()
    item_category: str | None = optional_text()
    position_x: int | None = optional_number_from(0)
    position_y: int | None = optional_number_from(0)
    size_scale: Decimal | None = Field(
        default=None, nullable=True, sa_type=Numeric, sa_column_kwargs={"server_default": text("1.0")}
    )
    rotation: int | None = optional_number_from(0)
    color_scheme: str | None = optional_text()
    is_unlocked: bool | None = Field(
        default=None, nullable=True, sa_type=Boolean, sa_column_kwargs={"server_default": text("true")}
    )
    unlock_condition: str | None = optional_text()
    earned_at: datetime | None = optional_instant()
    placed_at: datetime | None = Field(
        default=None, nullable=True, sa_type=INSTANT, sa_column_kwargs={"server_default": text("now()")}
    )
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()


class StickerEarned(Table, table=True):
    """A sticker that a child earned."""

    __tablename__ = "stickers_earned"
    __table_args__: ClassVar[Any] = (
        key_to(_CHILDREN, "child_id", name="stickers_earned_child_id_fkey", ondelete=CASCADE),
        _of_the_child("session", "stickers_earned_session_id_child_id_fkey"),
        Index("stickers_earned_child_id_idx", "tenant_id", "child_id"),
        Index("stickers_earned_session_id_child_id_idx", "tenant_id", "session_id", "child_id"),
        _HERE,
    )

    tenant_id: UUID = tenant_key()
    id: UUID | None = uuid_key()
    child_id: UUID = uuid_reference()
    sticker_type: str = long_text()
    sticker_name: str = long_text()
    sticker_description: str | None = optional_text()
    earned_for: str = long_text()
    session_id: UUID | None = optional_uuid_reference()
    earned_at: datetime | None = written_at()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()


class Alert(Table, table=True):
    """That a child may need somebody; never shown to the child."""

    __tablename__ = "alerts"
    __table_args__: ClassVar[Any] = (
        key_to(_CHILDREN, "child_id", name="alerts_child_id_fkey", ondelete=CASCADE),
        _of_the_child("session", "alerts_session_id_child_id_fkey"),
        _of_the_child("response", "alerts_response_id_child_id_fkey"),
        key_to("wellbeing.profiles", "acknowledged_by", name="alerts_acknowledged_by_fkey"),
        key_to("wellbeing.profiles", "resolved_by", name="alerts_resolved_by_fkey"),
        Index("alerts_child_id_status_idx", "tenant_id", "child_id", "status"),
        Index("alerts_severity_created_at_idx", "tenant_id", "severity", text("created_at desc")),
        Index("alerts_session_id_child_id_idx", "tenant_id", "session_id", "child_id"),
        Index("alerts_response_id_child_id_idx", "tenant_id", "response_id", "child_id"),
        Index("alerts_acknowledged_by_idx", "tenant_id", "acknowledged_by"),
        Index("alerts_resolved_by_idx", "tenant_id", "resolved_by"),
        _HERE,
    )

    tenant_id: UUID = tenant_key()
    id: UUID | None = uuid_key()
    child_id: UUID = uuid_reference()
    alert_type: str = long_text()
    severity: str = long_text()
    title: str = long_text()
    description: str = long_text()
    trigger_data: dict[str, JsonValue] | None = optional_json_object()
    session_id: UUID | None = optional_uuid_reference()
    response_id: UUID | None = optional_uuid_reference()
    status: str = choice("unread")
    acknowledged_by: UUID | None = optional_uuid_reference()
    acknowledged_at: datetime | None = optional_instant()
    resolved_by: UUID | None = optional_uuid_reference()
    resolved_at: datetime | None = optional_instant()
    resolution_notes: str | None = optional_text()
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()
