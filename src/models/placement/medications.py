"""Medications: what clients take.

Owns: the rows of medications.
Holds: every reference carries the tenant; what is health information is `Encrypted`, and nothing else gets in.
Must not know: keys, what is valid in a row (the CHECKs of the migrations), what is done with one (store, services).
"""

from datetime import date, datetime
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import Index

from scheduler.models.columns import (
    RESTRICT,
    choice,
    encrypted,
    key_to,
    optional_day,
    optional_instant,
    tenant_key,
    uuid_key,
    uuid_reference,
    written_at,
)
from scheduler.models.encrypted import Encrypted
from scheduler.models.placement.namespace import HERE
from scheduler.models.registry import Table


class Medication(Table, table=True):
    """What a client takes; all but the days and the status is encrypted."""

    __tablename__ = "medications"
    __table_args__: ClassVar[Any] = (
        key_to("placement.clients", "client_id", name="medications_client_id_fkey", ondelete=RESTRICT),
        Index("medications_client_id_idx", "tenant_id", "client_id"),
        HERE,
    )

    tenant_id: UUID = tenant_key()
    id: UUID | None = uuid_key()
    client_id: UUID = uuid_reference()
    name: Encrypted | None = encrypted()
    dosage: Encrypted | None = encrypted()
    frequency: Encrypted | None = encrypted()
    instructions: Encrypted | None = encrypted()
    prescriber: Encrypted | None = encrypted()
    started_on: date | None = optional_day()
    ended_on: date | None = optional_day()
    status: str = choice("active")
    created_at: datetime | None = written_at()
    updated_at: datetime | None = written_at()
    deleted_at: datetime | None = optional_instant()
