"""Gateway to protected health information (PHI): from plaintext to encrypted columns and back, with a record.

Owns: encryption on writing, decryption on reading, and a record of every read.
Must not know: which tables there are, how values are encrypted, the contents of the audit log.

A read is recorded, durably and on another connection, before a value is decrypted (`audit.reads`): if the record cannot
be written, nothing is read. Plaintext is never set on a row, where a cache, a log or an error page could pick it up; it
is returned in a `Plaintext`.

Without a record: a key rotation decrypts in memory (the log has each row that it changes); a search by a blind index
returns no plaintext; and a program that uses the key ring itself needs no gateway, since it has the master key.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

from sqlalchemy import ColumnElement
from sqlmodel import Session, SQLModel

from scheduler.core.errors import InvalidInputError
from scheduler.models.encrypted import Encrypted
from scheduler.models.registry import table_of
from scheduler.postgres.audit.reads import Outcome, ReadLog, read_log_of
from scheduler.postgres.encryption.encrypted_tables import INDEX, EncryptedTable, described_table, encrypted_table
from scheduler.postgres.encryption.errors import EncryptionError, TamperedError
from scheduler.postgres.encryption.key_ring import KeyPart, KeyRing, ValueLocation, normalised, row_name
from scheduler.postgres.encryption.tenant_keys import hold_current_key


class Plaintext:
    """The plaintext of some columns of one row, by column: `plaintext["name"]`. It is not shown, listed or pickled."""

    __slots__ = ("_texts", "row", "table")
    __iter__: None = None  # otherwise Python would try plaintext[0], plaintext[1], ...

    def __init__(self, table: str, row: tuple[KeyPart, ...], texts: Mapping[str, str | None]) -> None:
        self.table: str = table
        self.row: tuple[KeyPart, ...] = row
        self._texts = dict(texts)

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns that were read."""
        return tuple(self._texts)

    def __getitem__(self, column: str) -> str | None:
        """Return the plaintext of a column that was read; None if there is no value."""
        return self._texts[column]

    def __repr__(self) -> str:
        return f"Plaintext({self.table} {row_name(self.row)}: {', '.join(self._texts)})"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a plaintext cannot be pickled")


def write(session: Session, keys: KeyRing, row: SQLModel, plaintexts: Mapping[str, str | None]) -> None:
    """Encrypt texts into encrypted columns of a row, and set their blind indexes.

    The row is added to the session; None clears a column. Values are bound to the row's primary key, so the row needs
    its id before the call.

    Raises:
        InvalidInputError: a column is not encrypted, a value is no text or has a lone surrogate, the row has no id yet
            or is another tenant's. Then nothing of the row is changed.
        KeyUnavailableError: the tenant's key is missing or cannot be unwrapped.
        StaleKeyRingError: the ring's key was replaced: load the ring again.
    """
    table = encrypted_table(type(row))
    if not isinstance(plaintexts, Mapping):
        raise InvalidInputError(f"the texts for {table.name} have to be a mapping from column to text")
    table.check(set(plaintexts))
    key = table.row_key(row, keys.tenant_id)
    hold_current_key(session, keys)
    values: dict[str, bytes | None] = {}
    for column, text in plaintexts.items():
        values[column] = None if text is None else keys.encrypt(text, table.location(column, key))
        if column + INDEX in table.table.columns:
            indexed = text is not None and normalised(text)
            values[column + INDEX] = keys.blind_index(indexed, table=table.name, column=column) if indexed else None
    for column, value in values.items():
        setattr(row, column, value)
    session.add(row)


def read(
    session: Session, keys: KeyRing, rows: Iterable[SQLModel], columns: Iterable[str], *, reason: str
) -> tuple[Plaintext, ...]:
    """Decrypt columns of rows of one table, after user, rows, columns and reason are recorded for good.

    The session is that of a unit of work with `phi=True`. Its rollback leaves the record as it is. A read that is
    refused, and a value that does not decrypt, are recorded with their outcome.

    Raises:
        InvalidInputError: another session, no reason, no column or an unknown one, rows of several tables or of another
            tenant.
        KeyUnavailableError: a key is missing or cannot be unwrapped.
        TamperedError: a value was changed or moved.
        StoreError: the read could not be recorded.
    """
    log = read_log_of(session)
    chosen, wanted, reason = list(rows), _names(columns), _storable(reason)
    if not all(isinstance(row, SQLModel) for row in chosen):
        raise InvalidInputError("the rows to read have to be a list of rows of a table")
    if not chosen:
        return ()
    try:
        table = _readable_table(log, keys, chosen, wanted, reason)
        by_key = [(table.row_key(row, keys.tenant_id), row) for row in chosen]
    except InvalidInputError:
        _record_refusal(log, chosen, wanted, reason)
        raise
    log.record(table.name, [row_name(key) for key, _ in by_key], wanted, reason=reason)
    return tuple(
        Plaintext(
            table.name,
            key,
            {name: _decrypted(log, keys, table.location(name, key), getattr(row, name), reason) for name in wanted},
        )
        for key, row in by_key
    )


def equals(keys: KeyRing, model: type[SQLModel], column: str, text: str) -> ColumnElement[bool]:
    """Return the condition that an encrypted column equals this text, by its blind index.

    Raises:
        InvalidInputError: the column has no blind index, or the text is blank.
    """
    table = encrypted_table(model)
    table.check({column})
    if column + INDEX not in table.table.columns:
        raise InvalidInputError(f"{table.name}.{column} has no blind index")
    indexed: Any = getattr(model, column + INDEX)
    condition: ColumnElement[bool] = indexed == keys.blind_index(text, table=table.name, column=column)
    return condition


def _names(columns: object) -> list[str]:
    """Return the columns as plain texts, so that the name in a record is the name of the decrypted column."""
    given = columns if isinstance(columns, Iterable) else ()
    names = [str.__str__(name) if isinstance(name, str) else f"({type(name).__name__})" for name in given]
    return list(dict.fromkeys(names))


def _storable(reason: object) -> str:
    """Return a reason that the log can store; it takes neither a NUL nor half a character (a lone surrogate)."""
    plain = str.__str__(reason) if isinstance(reason, str) else ""
    return "" if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in plain) else plain


def _readable_table(
    log: ReadLog, keys: KeyRing, rows: Sequence[SQLModel], columns: Sequence[str], reason: str
) -> EncryptedTable:
    """Return the table of the rows.

    Raises:
        InvalidInputError: the read is not allowed.
    """
    if not reason.strip() or not columns:
        raise InvalidInputError("reading health information needs a reason as text, and the columns that are read")
    if log.tenant_id != keys.tenant_id:
        raise InvalidInputError(f"the unit of work is for tenant {log.tenant_id}, the keys are of {keys.tenant_id}")
    if len({type(row) for row in rows}) > 1:
        raise InvalidInputError("the rows are of several tables: read those of one table at a time")
    table = encrypted_table(type(rows[0]))
    table.check(set(columns))
    return table


def _record_refusal(log: ReadLog, rows: Sequence[SQLModel], columns: Sequence[str], reason: str) -> None:
    """Record that a read of rows was refused, with the columns that their tables have; no tenant has no log."""
    if log.tenant_id is None:
        return
    for model in dict.fromkeys(type(row) for row in rows):
        table = described_table(table_of(model))
        names = [row_name(table.key_values(row)) for row in rows if type(row) is model]
        known = [column for column in columns if column in table.table.columns]
        log.record(table.name, names, known, reason=reason, outcome=Outcome.REFUSED)


def _decrypted(
    log: ReadLog, keys: KeyRing, location: ValueLocation, value: Encrypted | None, reason: str
) -> str | None:
    if value is None:
        return None
    try:
        return keys.decrypt(value, location)
    except EncryptionError as error:
        outcome = Outcome.TAMPERED if isinstance(error, TamperedError) else Outcome.KEY_UNAVAILABLE
        log.record(location.table, [row_name(location.row)], [location.column], reason=reason, outcome=outcome)
        raise
