"""Tables of the schema `audit`: two logs of actions, sealed so that a change is detected.

Owns: the rows of the logs and their seals.
Must not know: triggers and functions that write a log (the migrations), sealing (`scheduler.postgres.audit`).

Only the database writes the logs, and nobody changes them: these classes are for reading.
"""

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import BigInteger, Index, Text, Uuid, text
from sqlmodel import Field

from scheduler.models.columns import (
    choice,
    digest,
    happened_at,
    instant,
    long_text,
    optional_address,
    optional_json_object,
    optional_text,
    part_of_key,
    reference,
    transaction_id,
)
from scheduler.models.constraints import index, unique
from scheduler.models.mixins import BigintKeyed, TenantOwned
from scheduler.models.namespaces import AUDIT

_BY_MONTH: dict[str, str] = AUDIT | {"postgresql_partition_by": "range (occurred_at)"}


def _index_of_details() -> Index:
    ops, present = {"details": "jsonb_path_ops"}, text("details is not null")
    return Index(None, "details", postgresql_using="gin", postgresql_ops=ops, postgresql_where=present)


class UserActionAuditLog(BigintKeyed, table=True):
    """An action on behalf of a user: change or read of a row, or event; values only where harmless."""

    __tablename__: ClassVar[Any] = "user_action_audit_log"
    __table_args__: ClassVar[Any] = (
        index("entity", "entity_key", "occurred_at"),
        index("user_id", "occurred_at"),
        _index_of_details(),
        _BY_MONTH,
    )

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


class SystemAuditLog(BigintKeyed, table=True):
    """An action of the library on behalf of no user: a change of a row, or an event."""

    __tablename__: ClassVar[Any] = "system_audit_log"
    __table_args__: ClassVar[Any] = (
        index("event", "occurred_at"),
        index("entity", "entity_key", "occurred_at", where="entity is not null"),
        _index_of_details(),
        _BY_MONTH,
    )

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


class AuditSeal(TenantOwned, table=True):
    """A link in the chain of a log: digest of a row, and digest over this and the previous link."""

    __tablename__: ClassVar[Any] = "chain"
    __table_args__: ClassVar[Any] = (unique("a_row_is_sealed_once", "log", "row_occurred_at", "row_id"), AUDIT)

    log: str = Field(primary_key=True, sa_type=Text)
    position: int = part_of_key()
    row_id: int = reference()
    row_occurred_at: datetime = instant()
    row_digest: bytes = digest()
    sealed_at: datetime = instant()
    sealed_below: int = Field(sa_type=BigInteger)
    server: str = long_text()
    digest: bytes = digest()
