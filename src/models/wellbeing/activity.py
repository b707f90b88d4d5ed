"""Wellbeing activity of children: sessions, responses, gardens, stickers, and the alerts that follow from them.

Owns: the rows of sessions, responses, garden items, stickers and alerts.
Holds: rows that refer to a session or a response are about its child, by key.
Must not know: validity of a row (the CHECKs of the migrations), visibility of a row (their policies).
"""

from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import Boolean, Index, Numeric, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Field

from scheduler.models.columns import (
    choice,
    filled_instant,
    long_text,
    optional_instant,
    optional_json_object,
    optional_number,
    optional_number_from,
    optional_text,
    optional_texts,
    optional_uuid_reference,
    uuid_reference,
    written_at,
)
from scheduler.models.constraints import CASCADE, index, key_to, unique
from scheduler.models.mixins import Timestamped, UuidKeyed
from scheduler.models.namespaces import WELLBEING


class WellbeingSession(Timestamped, UuidKeyed, table=True):
    """A check-in of a child."""

    __tablename__: ClassVar[Any] = "wellbeing_sessions"
    __table_args__: ClassVar[Any] = (
        unique("a_session_is_of_one_child", "id", "child_id"),
        key_to("wellbeing.children", "child_id", ondelete=CASCADE),
        Index("wellbeing_sessions_child_id_created_at_idx", "tenant_id", "child_id", text("created_at desc")),
        WELLBEING,
    )

    child_id: UUID = uuid_reference()
    session_type: str = long_text()
    status: str = choice("in_progress")
    started_at: datetime | None = written_at()
    completed_at: datetime | None = optional_instant()
    duration_seconds: int | None = optional_number()
    activities_completed: list[str] | None = optional_texts()
    overall_mood: int | None = optional_number()
    notes: str | None = optional_text()


class WellbeingResponse(Timestamped, UuidKeyed, table=True):
    """An answer of a child in a session."""

    __tablename__: ClassVar[Any] = "wellbeing_responses"
    __table_args__: ClassVar[Any] = (
        unique("a_response_is_of_one_child", "id", "child_id"),
        key_to("wellbeing.wellbeing_sessions", "session_id", "child_id", to=("id", "child_id"), ondelete=CASCADE),
        key_to("wellbeing.children", "child_id", ondelete=CASCADE),
        index("session_id", "child_id"),
        index("child_id"),
        WELLBEING,
    )

    session_id: UUID = uuid_reference()
    child_id: UUID = uuid_reference()
    activity_type: str = long_text()
    question_key: str = long_text()
    question_text: str | None = optional_text()
    response_type: str = long_text()
    response_value: JsonValue = Field(nullable=False, sa_type=JSONB)
    response_score: int | None = optional_number()
    flags: list[str] | None = optional_texts()


class GardenItem(Timestamped, UuidKeyed, table=True):
    """An item in the garden of a child."""

    __tablename__: ClassVar[Any] = "garden_items"
    __table_args__: ClassVar[Any] = (
        key_to("wellbeing.children", "child_id", ondelete=CASCADE),
        index("child_id"),
        WELLBEING,
    )

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
    placed_at: datetime | None = filled_instant("now()", nullable=True)


class StickerEarned(Timestamped, UuidKeyed, table=True):
    """A sticker that a child earned."""

    __tablename__: ClassVar[Any] = "stickers_earned"
    __table_args__: ClassVar[Any] = (
        key_to("wellbeing.children", "child_id", ondelete=CASCADE),
        key_to("wellbeing.wellbeing_sessions", "session_id", "child_id", to=("id", "child_id")),
        index("child_id"),
        index("session_id", "child_id"),
        WELLBEING,
    )

    child_id: UUID = uuid_reference()
    sticker_type: str = long_text()
    sticker_name: str = long_text()
    sticker_description: str | None = optional_text()
    earned_for: str = long_text()
    session_id: UUID | None = optional_uuid_reference()
    earned_at: datetime | None = written_at()


class Alert(Timestamped, UuidKeyed, table=True):
    """A warning that a child may need help; never shown to the child."""

    __tablename__: ClassVar[Any] = "alerts"
    __table_args__: ClassVar[Any] = (
        key_to("wellbeing.children", "child_id", ondelete=CASCADE),
        key_to("wellbeing.wellbeing_sessions", "session_id", "child_id", to=("id", "child_id")),
        key_to("wellbeing.wellbeing_responses", "response_id", "child_id", to=("id", "child_id")),
        key_to("wellbeing.profiles", "acknowledged_by"),
        key_to("wellbeing.profiles", "resolved_by"),
        index("child_id", "status"),
        Index("alerts_severity_created_at_idx", "tenant_id", "severity", text("created_at desc")),
        index("session_id", "child_id"),
        index("response_id", "child_id"),
        index("acknowledged_by"),
        index("resolved_by"),
        WELLBEING,
    )

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
