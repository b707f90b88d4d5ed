"""World with encrypted tables: two tables made only for tests, and a tenant's keys.

The models have a registry of their own, so that they are not among the library's tables. `Note` has a uuid key and a
blind index; `Remark` has a key of two parts.
"""

import hashlib
import os
from base64 import b64encode
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any, ClassVar
from uuid import UUID, uuid4

from sqlalchemy import LargeBinary, Uuid
from sqlalchemy.orm import registry
from sqlmodel import Field, Session, SQLModel

from scheduler.models.columns import encrypted, part_of_key, tenant_key, uuid_key
from scheduler.models.encrypted import Encrypted
from scheduler.postgres.database import Database, Role
from scheduler.postgres.encryption import phi
from scheduler.postgres.encryption.key_ring import KeyRing
from scheduler.postgres.encryption.master_keys import HeldMasterKeys, read_master_keys
from scheduler.postgres.encryption.tenant_keys import TenantKeys
from support.databases import execute

CANARY = "Zebrafinch, allergic to penicillin"


class _Here(SQLModel, registry=registry()):
    """The base of the tables of this file."""


class Note(_Here, table=True):
    __tablename__ = "test_notes"
    __table_args__: ClassVar[Any] = ({"schema": "placement"},)

    tenant_id: UUID = tenant_key()
    id: UUID | None = uuid_key()
    diagnosis: Encrypted | None = encrypted()
    number: Encrypted | None = encrypted()
    number_index: bytes | None = Field(default=None, nullable=True, sa_type=LargeBinary)


class Remark(_Here, table=True):
    __tablename__ = "test_remarks"
    __table_args__: ClassVar[Any] = ({"schema": "placement"},)

    tenant_id: UUID = tenant_key()
    note_id: UUID = Field(primary_key=True, sa_type=Uuid)
    position: int = part_of_key()
    diagnosis: Encrypted | None = encrypted()


METADATA = _Here.metadata
TABLES = (
    """
    create table placement.test_notes (
        tenant_id uuid not null references identity.tenants (id),
        id uuid not null default gen_random_uuid(),
        diagnosis bytea check (identity.is_ciphertext(diagnosis)),
        number bytea check (identity.is_ciphertext(number)),
        number_index bytea check (octet_length(number_index) = 32),
        primary key (tenant_id, id)
    )
    """,
    """
    create table placement.test_remarks (
        tenant_id uuid not null,
        note_id uuid not null,
        position bigint not null,
        diagnosis bytea check (identity.is_ciphertext(diagnosis)),
        primary key (tenant_id, note_id, position),
        foreign key (tenant_id, note_id) references placement.test_notes (tenant_id, id)
    )
    """,
    "call identity.secure_table('placement.test_notes')",
    "call identity.secure_table('placement.test_remarks')",
    # A log that fails for one reason, and for another one if a crash of the server could undo the record.
    """
    create function audit.fail_a_read() returns trigger language plpgsql as $$ begin
        if new.details ->> 'reason' = 'the log is full' then
            raise exception 'the log is full';
        elsif new.details ->> 'reason' = 'to stay' and current_setting('synchronous_commit') = 'off' then
            raise exception 'a crash could undo this record';
        end if;
        return new;
    end $$
    """,
    """
    create trigger a_read_may_fail before insert on audit.system_audit_log
        for each row when (new.event = 'read') execute function audit.fail_a_read()
    """,
)


def make_tables(url: str) -> None:
    """Create the encrypted tables, and an audit log that can fail."""
    execute(url, *TABLES)


def counted_random_bytes(seed: str = "") -> Callable[[int], bytes]:
    """Return a source of bytes that differ at each call, and are the same in each run."""
    numbers = count()
    return lambda size: hashlib.shake_256(f"{seed} {next(numbers)}".encode()).digest(size)


def written_master_key(name: str) -> str:
    """Write a master key that depends only on its name."""
    return f"{name}:{b64encode(hashlib.sha256(name.encode()).digest()).decode()}"


def master_keys(*names: str) -> HeldMasterKeys:
    """Return master keys of these names; the first is the active one."""
    return read_master_keys(",".join(map(written_master_key, names)), random_bytes=os.urandom)


def tenant_keys(tenant_id: UUID, *names: str) -> TenantKeys:
    """Return a tenant's keys, wrapped by the master keys of these names (`main` without any)."""
    return TenantKeys(tenant_id, master_keys(*names or ("main",)), os.urandom)


def make_keys(database: Database, tenant_id: UUID) -> TenantKeys:
    """Give a tenant its first keys."""
    keys = tenant_keys(tenant_id)
    with database.unit_of_work(role=Role.SYSTEM, tenant_id=tenant_id) as session:
        keys.ensure(session)
    return keys


def load(database: Database, tenant_id: UUID) -> KeyRing:
    """Load a tenant's key ring as the application does."""
    with database.unit_of_work(role=Role.APP, tenant_id=tenant_id) as session:
        return tenant_keys(tenant_id).load_ring(session)


def write_note(database: Database, tenant_id: UUID, **clear: str | None) -> UUID:
    """Write a note with these texts; return its id."""
    note_id = uuid4()
    with database.unit_of_work(role=Role.APP, tenant_id=tenant_id) as session:
        keys = tenant_keys(tenant_id).load_ring(session)
        phi.write(session, keys, Note(tenant_id=tenant_id, id=note_id), clear)
    return note_id


def note(session: Session, tenant_id: UUID, note_id: UUID) -> Note:
    """Return a stored note."""
    row = session.get(Note, (tenant_id, note_id))
    assert row is not None
    return row


def read_note(database: Database, tenant_id: UUID, note_id: UUID, column: str = "diagnosis") -> str | None:
    """Decrypt a column of a note."""
    with database.unit_of_work(role=Role.APP, tenant_id=tenant_id, phi=True) as session:
        keys = tenant_keys(tenant_id).load_ring(session)
        (clear,) = phi.read(session, keys, [note(session, tenant_id, note_id)], [column], reason="a test")
    return clear[column]


def errors_of(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and all its causes and contexts."""
    yield error
    for cause in (error.__cause__, error.__context__):
        if cause is not None:
            yield from errors_of(cause)
