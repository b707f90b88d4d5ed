"""Repository: rows of one table, read and written for the tenant of a unit of work.

Owns: reading a row by its id, listing rows, and writing fields into columns; a refused call undoes itself.
Must not know: any table; each repository names its own, and adds the operations that it allows.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Generic, TypeVar

from sqlalchemy import Select, String
from sqlmodel import select

from scheduler.core.errors import InvalidInputError, NotFoundError
from scheduler.front_door.context import Context
from scheduler.front_door.fields import Field
from scheduler.front_door.ids import RowId, read_id
from scheduler.models.mixins import BigintKeyed, SoftDeletable
from scheduler.models.registry import table_of
from scheduler.postgres.soft_delete import soft_delete

Row = TypeVar("Row", bound=BigintKeyed)
Id = TypeVar("Id", bound=RowId)


class Repository(Generic[Row, Id]):
    """Rows of one table of the tenant. Get one from `work`."""

    _model: ClassVar[type[Any]]
    _id: ClassVar[type[Any]]
    _noun: ClassVar[str]
    _fields: ClassVar[Mapping[str, Field]]
    _owners: ClassVar[tuple[type[Any], ...]] = ()
    """Classes besides the model whose objects have the id of a row."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._session = context.session

    def get(self, which: Id | Row) -> Row:
        """Return a row, given its id.

        Raises:
            NotFoundError: there is no such row, it is deleted, or the user does not see it.
        """
        return self._get(which)

    def _get(self, which: object) -> Row:
        id_ = self._read(which)
        row: Row | None = self._session.get(self._model, (self._context.tenant_id, int(id_)))
        if row is None or getattr(row, "deleted_at", None) is not None:
            raise NotFoundError(f"no {self._noun} has the id {int(id_)}")
        return row

    def all(self) -> list[Row]:
        """Return the rows that are not deleted, in the order of their ids."""
        return list(self._session.exec(self._live().order_by(self._model.id)).all())  # type: ignore[call-overload]

    def _read(self, which: object) -> Id:
        id_: Id = read_id(self._noun, which, self._id, self._model, *self._owners)
        return id_

    def _live(self) -> Select[Any]:
        query: Any = select(self._model)
        if issubclass(self._model, SoftDeletable):
            query = query.where(self._model.deleted_at.is_(None))  # type: ignore[union-attr]
        return query  # type: ignore[no-any-return]

    def _columns(self, given: Mapping[str, object]) -> dict[str, Any]:
        """Return the values of the columns, by name.

        Raises:
            InvalidInputError: a field is unknown or its value is invalid; the message names the field.
        """
        columns = {}
        types = table_of(self._model).c
        for name, value in given.items():
            field = self._fields.get(name)
            if field is None:
                known = ", ".join(self._fields)
                raise InvalidInputError(f"a {self._noun} has no field {name!r}: there are {known}")
            read = field.read(f"{self._noun}: {name}", value)
            kind = types[field.column].type
            if isinstance(read, str) and isinstance(kind, String) and kind.length and len(read) > kind.length:
                raise InvalidInputError(f"{self._noun}: {name} must have at most {kind.length} characters")
            columns[field.column] = read
        return columns

    def _insert(self, **given: object) -> Id:
        """Write a new row and return its id."""
        row = self._write(self._model(tenant_id=self._context.tenant_id, **self._columns(given)))
        id_: Id = self._id(row.id)
        return id_

    def _write(self, row: Any) -> Any:  # noqa: ANN401  # of any model
        with self._session.begin_nested():
            self._session.add(row)
            self._session.flush()
        return row

    def _update(self, which: object, given: Mapping[str, object]) -> Row:
        """Change fields of a row, and return it."""
        row, columns = self._get(which), self._columns(given)
        with self._session.begin_nested():
            for name, value in columns.items():
                setattr(row, name, value)
            self._session.flush()
        return row

    def _delete_softly(self, which: object) -> Row:
        """Delete a row softly, and return it."""
        row = self._get(which)
        soft_delete(self._session, row, self._context.clock())
        return row
