"""Medications of clients.

Owns: the rows of medications.
Holds: every reference carries the tenant; health information is `Encrypted`, and its columns take nothing else.
Must not know: keys, validity of a row (the CHECKs of the migrations), the use cases.
"""

from datetime import date
from typing import Any, ClassVar
from uuid import UUID

from scheduler.models.columns import choice, encrypted, optional_day, uuid_reference
from scheduler.models.constraints import RESTRICT, index, key_to
from scheduler.models.encrypted import Encrypted
from scheduler.models.mixins import SoftDeletable, Timestamped, UuidKeyed
from scheduler.models.namespaces import PLACEMENT


class Medication(SoftDeletable, Timestamped, UuidKeyed, table=True):
    """A medication of a client; all but the days and the status is encrypted."""

    __tablename__: ClassVar[Any] = "medications"
    __table_args__: ClassVar[Any] = (
        key_to("placement.clients", "client_id", ondelete=RESTRICT),
        index("client_id"),
        PLACEMENT,
    )

    client_id: UUID = uuid_reference()
    name: Encrypted | None = encrypted()
    dosage: Encrypted | None = encrypted()
    frequency: Encrypted | None = encrypted()
    instructions: Encrypted | None = encrypted()
    prescriber: Encrypted | None = encrypted()
    started_on: date | None = optional_day()
    ended_on: date | None = optional_day()
    status: str = choice("active")
