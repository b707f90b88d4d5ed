"""The gateway to health information: the only way from clear text to encrypted columns and back.

Owns: encrypting what is written, opening what is read, and seeing to it that every reading is recorded.
Must not know: which tables there are, how values are encrypted, what stands in the audit log.

Reading is recorded in the transaction that reads: when the record cannot be written, nothing is read. Plaintext text is
never put on a row, where a cache, a log or an error page could pick it up; it is handed over in a `Plaintext`.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

from sqlalchemy import ColumnElement
from sqlmodel import Session, SQLModel

from scheduler.core.errors import InvalidInputError
from scheduler.models.encrypted import Encrypted
from scheduler.postgres.audit.log import record_read
from scheduler.postgres.encryption.encrypted_tables import INDEX, EncryptedTable, encrypted_table
from scheduler.postgres.encryption.key_ring import KeyPart, KeyRing, normalised, row_name
from scheduler.postgres.encryption.tenant_keys import hold_current_key


class Plaintext:
    """The clear text of some columns of one row, by column: `clear["name"]`. It is not shown, listed or pickled."""

    __slots__ = ("_texts", "row", "table")
    __iter__ = None  # else Python would try clear[0], clear[1], ...

    def __init__(self, table: str, row: tuple[KeyPart, ...], texts: Mapping[str, str | None]) -> None:
        self.table = table
        self.row = row
        self._texts = dict(texts)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns that were read."""
        return tuple(self._texts)

    def __getitem__(self, column: str) -> str | None:
        """Return the clear text of a column that was read; None if there is no value."""
        return self._texts[column]

    def __repr__(self) -> str:
        return f"Plaintext({self.table} {row_name(self.row)}: {', '.join(self._texts)})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("clear text is not pickled")


def write(session: Session, keys: KeyRing, row: SQLModel, clear: Mapping[str, str | None]) -> None:
    """Encrypt texts into encrypted columns of a row, and the blind index beside a column that has one.

    The row is added to the session; None empties a column. Its key has to be there, since values are bound to it:
    whoever makes a row draws its id first.

    Raises:
        InvalidInputError: a column is not an encrypted one, a text cannot be written, the row has no key yet or is
            another tenant's. Then nothing of the row is changed.
        KeyUnavailableError: the tenant's key is not there or cannot be unwrapped.
        StaleKeyRingError: another key has taken the place of the ring's: load it again.
    """
    table = encrypted_table(type(row))
    table.check(set(clear))
    key = table.row_key(row, keys.tenant_id)
    hold_current_key(session, keys)
    wanted: dict[str, bytes | None] = {}
    for column, text in clear.items():
        wanted[column] = None if text is None else keys.encrypt(text, table.location(column, key))
        if column + INDEX in table.table.columns:
            found = text is not None and normalised(text)
            wanted[column + INDEX] = keys.blind_index(found, table=table.name, column=column) if found else None
    for column, value in wanted.items():
        setattr(row, column, value)
    session.add(row)


def read(
    session: Session, keys: KeyRing, rows: Iterable[SQLModel], columns: Iterable[str], *, reason: str
) -> tuple[Plaintext, ...]:
    """Open encrypted columns of rows of one table, and record who reads what and why in the same transaction.

    Raises:
        InvalidInputError: no reason, a column is not an encrypted one, rows of several tables or of another tenant.
        KeyUnavailableError: a key is not there or cannot be unwrapped.
        TamperedError: a value was changed or moved.
        StoreError: the reading could not be recorded.
    """
    if not reason.strip():
        raise InvalidInputError("reading health information needs a reason")
    chosen, wanted = list(rows), list(dict.fromkeys(columns))
    if not chosen:
        return ()
    if len({type(row) for row in chosen}) > 1:
        raise InvalidInputError("rows of several tables are read one table after the other")
    table = encrypted_table(type(chosen[0]))
    table.check(set(wanted))
    by_key = [(table.row_key(row, keys.tenant_id), row) for row in chosen]
    record_read(session, table.name, [row_name(key) for key, _ in by_key], wanted, reason=reason)
    return tuple(
        Plaintext(table.name, key, {name: _opened(keys, table, key, name, getattr(row, name)) for name in wanted})
        for key, row in by_key
    )


def equals(keys: KeyRing, model: type[SQLModel], column: str, text: str) -> ColumnElement[bool]:
    """Ask for the rows whose encrypted column is this text, by its blind index.

    Raises:
        InvalidInputError: the column has no blind index, or the text is blank.
    """
    table = encrypted_table(model)
    table.check({column})
    if column + INDEX not in table.table.columns:
        raise InvalidInputError(f"{table.name}.{column} has no blind index")
    indexed: Any = getattr(model, column + INDEX)
    sought: ColumnElement[bool] = indexed == keys.blind_index(text, table=table.name, column=column)
    return sought


def _opened(
    keys: KeyRing, table: EncryptedTable, row: tuple[KeyPart, ...], column: str, value: Encrypted | None
) -> str | None:
    return None if value is None else keys.decrypt(value, table.location(column, row))
