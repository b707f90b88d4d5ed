"""Read log: entries of the audit log about reads of health information, each committed before a value is decrypted.

Owns: the durable record of a read, and the link from a session to its read log.
Must not know: connections and roles (`database`), decryption (`encryption.phi`).

A record in the reader's own transaction would vanish with it: after an exception, a rollback or a savepoint the value
is known and the log is silent. So each record is a transaction on a second connection, with the tenant, user, request
and role of the unit of work. `Database.unit_of_work(..., phi=True)` takes that connection before its own, from a pool
that serves read logs only. Therefore no unit of work waits for a connection that another one holds while it waits.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from uuid import UUID

from sqlalchemy import Connection, text
from sqlmodel import Session

from scheduler.core.errors import InvalidInputError

_READ: Final = text("select audit.record_read(:entity, :keys, :columns, :reason, :outcome)")
_INFO: Final = "scheduler read log"


class Outcome(StrEnum):
    """The reason for which a read showed nothing."""

    REFUSED = "refused"
    """The request was invalid: no reason, an unknown column, rows of several tables or of another tenant."""
    TAMPERED = "tampered"
    """A value was changed or moved."""
    KEY_UNAVAILABLE = "key_unavailable"
    """The key of a value is missing or cannot be unwrapped."""


@dataclass(frozen=True, slots=True)
class ReadLog:
    """The read log of a unit of work; `begin` begins a transaction of its own with the unit's settings."""

    tenant_id: UUID | None
    begin: Callable[[], AbstractContextManager[Connection]]

    def record(
        self, entity: str, keys: Sequence[str], columns: Sequence[str], *, reason: str, outcome: Outcome | None = None
    ) -> None:
        """Record a read of rows for good, with an entry for each key. No argument may be personal.

        Raises:
            StoreError: the log could not be written: nothing may be read.
        """
        with self.begin() as connection:
            write_read(connection, entity, keys, columns, reason=reason, outcome=outcome)


def write_read(
    connection: Connection,
    entity: str,
    keys: Sequence[str],
    columns: Sequence[str],
    *,
    reason: str,
    outcome: Outcome | None = None,
) -> None:
    """Write the entries of a read in the transaction of a connection."""
    values = {"entity": entity, "keys": list(keys), "columns": list(columns), "reason": reason, "outcome": outcome}
    connection.execute(_READ, values)


@contextmanager
def attached(session: Session, log: ReadLog | None) -> Iterator[None]:
    """Give a session its read log while the block lasts."""
    session.info[_INFO] = log
    try:
        yield
    finally:
        del session.info[_INFO]


def read_log_of(session: Session) -> ReadLog:
    """Return the read log of a session.

    Raises:
        InvalidInputError: the session is not that of a current unit of work with `phi=True`.
    """
    log: ReadLog | None = session.info.get(_INFO)
    if log is None:
        raise InvalidInputError(
            "health information is read only in a unit of work that announces it:"
            " use the session of `database.unit_of_work(..., phi=True)`"
        )
    return log
