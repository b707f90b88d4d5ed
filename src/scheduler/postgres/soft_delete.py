"""Soft deletion: live rows, deleting a row softly, and restoring it.

Owns: which rows are live (`deleted_at` is null), and the change from live to deleted and back.
Holds: row security ignores soft deletion: a user who may change a row may delete it and still sees it.
Must not know: which tables there are, or which rows refer to a row (a deleted family keeps its members).

A name or an address that is unique among live rows is free once its row is deleted, and another row may use it when
the first is to be restored. Then the first row stays deleted, and the unit of work continues.
"""

from datetime import datetime
from typing import Final, TypeVar

import psycopg
from sqlalchemy import Table, inspect
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm.attributes import set_committed_value
from sqlmodel import Session, SQLModel, select
from sqlmodel.sql.expression import SelectOfScalar

from scheduler.core.errors import InvalidInputError, NotFoundError
from scheduler.core.spans import utc
from scheduler.models.registry import table_of
from scheduler.postgres.errors import DuplicateError
from scheduler.postgres.tracebacks import raise_instead

Row = TypeVar("Row", bound=SQLModel)

_COLUMN: Final = "deleted_at"
_WRITTEN: Final = (_COLUMN, "updated_at")


def live(model: type[Row]) -> SelectOfScalar[Row]:
    """Select the live rows of a model; add conditions with `where`.

    Raises:
        InvalidInputError: rows of this model are not deleted softly.
    """
    return select(model).where(_table(model).c[_COLUMN].is_(None))


def soft_delete(session: Session, row: SQLModel, at: datetime) -> None:
    """Delete a live row softly, as of an instant. The session is flushed first.

    Raises:
        InvalidInputError: rows of this model are not deleted softly, or the instant is naive.
        NotFoundError: the row does not exist, row security hides it, or it is already deleted.
    """
    table = _table(type(row))
    at = utc(at, name="at")
    session.flush()
    if not _set(session, row, at):
        raise NotFoundError(f"no live row of {table.fullname} has the key {_key_of(row)}")


def restore(session: Session, row: SQLModel) -> None:
    """Make a deleted row live again. The session is flushed first.

    Raises:
        InvalidInputError: rows of this model are not deleted softly.
        NotFoundError: the row does not exist, row security hides it, or it is live.
        DuplicateError: a live row uses its unique value; nothing changed, the unit of work continues.
    """
    table = _table(type(row))
    session.flush()
    try:
        with session.begin_nested():
            restored = _set(session, row, None)
    except IntegrityError as error:
        if not isinstance(error.orig, psycopg.errors.UniqueViolation):
            raise
        code, constraint = error.orig.sqlstate, error.orig.diag.constraint_name
        attempt = f"restoring the row of {table.fullname} with the key {_key_of(row)} would violate {constraint}"
        message = f"{attempt}: a live row already uses its value"
        refusal = DuplicateError(message, sqlstate=code, table=table.fullname, constraint=constraint)
        raise_instead(error, refusal)
    if not restored:
        raise NotFoundError(f"no deleted row of {table.fullname} has the key {_key_of(row)}")


def _table(model: type[SQLModel]) -> Table:
    table = table_of(model)
    if _COLUMN not in table.c:
        raise InvalidInputError(f"rows of {table.fullname} are not deleted softly: they have no {_COLUMN}")
    return table


def _key_of(row: SQLModel) -> str:
    return ", ".join(str(part) for part in inspect(type(row)).primary_key_from_instance(row))


def _set(session: Session, row: SQLModel, deleted_at: datetime | None) -> bool:
    """Write `deleted_at` if that changes whether the row is live; return whether it did."""
    table = _table(type(row))
    current = table.c[_COLUMN]
    written = session.connection().execute(
        table.update()
        .where(*(column == getattr(row, column.key) for column in table.primary_key))
        .where(current.is_not(None) if deleted_at is None else current.is_(None))
        .values({_COLUMN: deleted_at})
        .returning(*(table.c[name] for name in _WRITTEN if name in table.c))
    )
    values = written.mappings().one_or_none()
    for name, value in (values or {}).items():
        set_committed_value(row, name, value)
    return values is not None
