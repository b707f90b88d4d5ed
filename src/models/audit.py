"""The tables of the schema `audit`: what was done, sealed so that a change is found.

Owns: the rows of the two logs, their seals and what was retired.
Must not know: who writes a log (triggers and functions of the migrations), how a seal is made (`scheduler.postgres`).

Only the database writes the logs, and nobody changes them: these classes are for reading.
"""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import BigInteger, Index, Text, UniqueConstraint, Uuid, text
from sqlmodel import Field

from scheduler.models.columns import (
    choice,
    digest,
    happened_at,
    identity_key,
    instant,
    long_text,
    optional_address,
    optional_json_object,
    optional_text,
    part_of_key,
    reference,
    tenant_key,
    transaction_id,
)
from scheduler.models.registry import Table

_HERE: dict[str, str] = {"schema": "audit"}
_BY_MONTH: dict[str, str] = _HERE | {"postgresql_partition_by": "range (occurred_at)"}


def _of_details(name: str) -> Index:
    ops, present = {"details": "jsonb_path_ops"}, text("details is not null")
    return Index(name, "details", postgresql_using="gin", postgresql_ops=ops, postgresql_where=present)


class UserActionAuditLog(Table, table=True):
    """What was done for a user: a change or a read of a row, or an event; values only where harmless."""

    __tablename__ = "user_action_audit_log"
    __table_args__: ClassVar[Any] = (
        Index(
            "user_action_audit_log_entity_entity_key_occurred_at_idx",
            "tenant_id",
            "entity",
            "entity_key",
            "occurred_at",
        ),
        Index("user_action_audit_log_user_id_occurred_at_idx", "tenant_id", "user_id", "occurred_at"),
        _of_details("user_action_audit_log_details_idx"),
        _BY_MONTH,
    )

    tenant_id: UUID = tenant_key()
    id: int | None = identity_key()
    occurred_at: datetime | None = happened_at(key=True)
    user_id: UUID = Field(sa_type=Uuid)
    db_role: str = long_text()
    action: str = long_text()
    entity: str = long_text()
    entity_key: str | None = optional_text()
    before: dict[str, JsonValue] | None = optional_json_object()
    after: dict[str, JsonValue] | None = optional_json_object()
    details: dict[str, JsonValue] | None = optional_json_object()
    request_id: str | None = optional_text()
    client_address: str | None = optional_address()
    user_agent: str | None = optional_text()
    transaction_id: int | None = transaction_id()


class SystemAuditLog(Table, table=True):
    """What the library did for no user: changes of rows, and events."""

    __tablename__ = "system_audit_log"
    __table_args__: ClassVar[Any] = (
        Index("system_audit_log_event_occurred_at_idx", "tenant_id", "event", "occurred_at"),
        Index(
            "system_audit_log_entity_entity_key_occurred_at_idx",
            "tenant_id",
            "entity",
            "entity_key",
            "occurred_at",
            postgresql_where=text("entity is not null"),
        ),
        _of_details("system_audit_log_details_idx"),
        _BY_MONTH,
    )

    tenant_id: UUID = tenant_key()
    id: int | None = identity_key()
    occurred_at: datetime | None = happened_at(key=True)
    db_role: str = long_text()
    event: str = long_text()
    severity: str = choice("info")
    entity: str | None = optional_text()
    entity_key: str | None = optional_text()
    before: dict[str, JsonValue] | None = optional_json_object()
    after: dict[str, JsonValue] | None = optional_json_object()
    details: dict[str, JsonValue] | None = optional_json_object()
    request_id: str | None = optional_text()
    transaction_id: int | None = transaction_id()


class AuditSeal(Table, table=True):
    """A place in the chain of a log: the digest of a row, and the digest of this place over the one before."""

    __tablename__ = "chain"
    __table_args__: ClassVar[Any] = (
        UniqueConstraint("tenant_id", "log", "row_occurred_at", "row_id", name="a_row_is_sealed_once"),
        _HERE,
    )

    tenant_id: UUID = tenant_key()
    log: str = Field(primary_key=True, sa_type=Text)
    position: int = part_of_key()
    row_id: int = reference()
    row_occurred_at: datetime = instant()
    row_digest: bytes = digest()
    sealed_at: datetime = instant()
    sealed_below: int = Field(sa_type=BigInteger)
    server: str = long_text()
    digest: bytes = digest()


class AuditRetirement(Table, table=True):
    """That the rows of a month were dropped after their time."""

    __tablename__ = "retirements"
    __table_args__: ClassVar[Any] = (
        Index("retirements_log_retired_before_idx", "tenant_id", "log", "retired_before"),
        _HERE,
    )

    tenant_id: UUID = tenant_key()
    id: int | None = identity_key()
    log: str = long_text()
    retired_before: datetime = instant()
    rows_retired: int = Field(sa_type=BigInteger)
    retired_at: datetime | None = happened_at()
