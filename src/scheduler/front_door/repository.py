"""Repository: rows of one table, read and written for the tenant of a unit of work.

Owns: reading a row by its id, listing rows, and writing fields into columns; a refused call undoes itself.
Must not know: any table; each repository names its own, and adds the operations that it allows.
"""

import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Generic, TypeVar

from sqlalchemy import Integer, Select, String
from sqlmodel import select

from scheduler.core.errors import InvalidInputError, NotFoundError
from scheduler.core.ids import AnyId, RowId, read_id
from scheduler.front_door.context import Context
from scheduler.front_door.fields import Field
from scheduler.models.mixins import BigintKeyed, SoftDeletable, TenantOwned
from scheduler.models.registry import table_of
from scheduler.postgres.savepoints import refusable
from scheduler.postgres.soft_delete import soft_delete

Row = TypeVar("Row", bound=BigintKeyed)
Id = TypeVar("Id", bound=RowId)
Which = TypeVar("Which")
Other = TypeVar("Other", bound=BigintKeyed)
_LARGEST: Final = 2**31 - 1


class OfTenant:
    """What one tenant has: ids are read for it."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._session = context.session

    def _id_of(self, field: str, value: object, kind: type[AnyId], *owners: type[Any]) -> AnyId:
        """Return the id of a row of this tenant, as `read_id` does."""
        self._check_tenant(field, value)
        return read_id(field, value, kind, *owners)

    def _check_tenant(self, field: str, value: object) -> None:
        """Refuse a row of another tenant: a row of this one may have the same id."""
        if isinstance(value, TenantOwned) and value.tenant_id not in {None, self._context.tenant_id}:
            raise NotFoundError(f"{field}: the row is another tenant's")


class Repository(OfTenant, Generic[Row, Id, Which]):
    """Rows of one table of the tenant. Get one from `work`. `Which` is all that names a row: its id, or what has it."""

    _model: ClassVar[type[Any]]
    _id: ClassVar[type[Any]]
    _noun: ClassVar[str]
    _fields: ClassVar[Mapping[str, Field]]
    _owners: ClassVar[tuple[type[Any], ...]] = ()
    """Classes besides the model whose objects have the id of a row."""
    _is_switched: ClassVar[bool] = False
    """Whether a row ends by `active`, since visits refer to it. It is then found by `get`, and not listed by `all`."""

    def get(self, which: Which) -> Row:
        """Return a row, given its id. Change it by `change`: a row itself does not validate.

        Raises:
            NotFoundError: there is no such row, it is deleted, or the user does not see it.
        """
        return self._get(which)

    def _get(self, which: Which, *, anew: bool = False) -> Row:
        """Return a row; `anew` reads it again, as after a lock, also if the session knows it."""
        id_ = self._read(which)
        key = self._context.tenant_id, int(id_)
        row: Row | None = self._session.get(self._model, key, populate_existing=anew)
        if row is None or getattr(row, "deleted_at", None) is not None:
            raise NotFoundError(f"no {self._noun} has the id {int(id_)}")
        return row

    def all(self) -> list[Row]:
        """Return the rows that are neither deleted nor switched off, in the order of their ids."""
        return list(self._session.exec(self._live().order_by(self._model.id)).all())  # type: ignore[call-overload]

    def _read(self, which: object) -> Id:
        id_: Id = self._id_of(self._noun, which, self._id, self._model, *self._owners)
        return id_

    def _live(self) -> Select[Any]:
        query: Any = select(self._model)
        if issubclass(self._model, SoftDeletable):
            query = query.where(self._model.deleted_at.is_(None))  # type: ignore[union-attr]
        if self._is_switched:
            query = query.where(self._model.active)
        return query  # type: ignore[no-any-return]

    def _check(self, row: Row) -> None:
        """Build the core's value of a row, which refuses what the core would refuse. Not every table has one."""

    def _referred(self, field: str, model: type[Other], id_: object, *, anew: bool = False) -> Other:
        """Return the row that a field refers to; `anew` reads it again, as in `_get`.

        Raises:
            NotFoundError: there is no such row, or it is deleted: a foreign key alone would accept a deleted one.
        """
        row = self._session.get(model, (self._context.tenant_id, id_), populate_existing=anew)
        if row is None or getattr(row, "deleted_at", None) is not None:
            raise NotFoundError(f"{self._noun}: {field}: no {_words(model)} has the id {id_}")
        return row

    def _columns(self, given: Mapping[str, object]) -> dict[str, Any]:
        """Return the values of the columns, by name.

        Raises:
            InvalidInputError: a field is unknown or its value is invalid; the message names the field.
            NotFoundError: the row that a field refers to does not exist or is deleted.
        """
        columns: dict[str, Any] = {}
        for name, value in given.items():
            field = self._fields.get(name)
            if field is None:
                known = ", ".join(self._fields)
                raise InvalidInputError(f"a {self._noun} has no field {name!r}: there are {known}")
            full_name = f"{self._noun}: {name}"
            self._check_tenant(full_name, value)
            read = field.read(full_name, value)
            fit(full_name, self._model, field.column, read)
            if field.model is not None and read is not None:
                self._referred(name, field.model, read)
            columns[field.column] = read
        return columns

    def _insert(self, **given: object) -> Id:
        """Write a new row and return its id."""
        row = self._write(self._model(tenant_id=self._context.tenant_id, **self._columns(given)))
        id_: Id = self._id(row.id)
        return id_

    def _write(self, row: Any) -> Any:  # noqa: ANN401  # of any model
        with refusable(self._session):
            self._check(row)
            self._session.add(row)
            self._session.flush()
        return row

    def _update(self, which: Which, given: Mapping[str, object]) -> Row:
        """Change fields of a row, and return it.

        Raises:
            InvalidInputError: a field is unknown, fixed, or its value is invalid; the message names the field.
        """
        row, columns = self.get(which), self._columns(given)
        for name in given:
            if self._fields[name].fixed:
                raise InvalidInputError(f"{self._noun}: {name} cannot be changed: add another {self._noun}")
        with refusable(self._session):
            for name, value in columns.items():
                setattr(row, name, value)
            self._check(row)
            self._session.flush()
        return row

    def _delete_softly(self, which: Which) -> Row:
        """Delete a row softly, and return it."""
        row = self.get(which)
        soft_delete(self._session, row, self._context.clock())
        return row

    def _switch_off(self, which: Which) -> Row:
        """Switch a row off, and return it."""
        row = self.get(which)
        with refusable(self._session):
            row.active = False
            self._session.flush()
        return row


def fit(field: str, model: type[Any], column: str, value: object) -> None:
    """Raise unless a column can hold a value: a text of this length, a number of this size.

    Raises:
        InvalidInputError: the value is too long or too large; the message names the field.
    """
    kind = table_of(model).c[column].type
    if isinstance(value, str) and isinstance(kind, String) and kind.length and len(value) > kind.length:
        raise InvalidInputError(f"{field} must have at most {kind.length} characters")
    if type(kind) is Integer and isinstance(value, int) and value > _LARGEST:
        raise InvalidInputError(f"{field} is too large: the column holds whole numbers to {_LARGEST}")


def _words(model: type[Any]) -> str:
    """Return the name of a model in words: InsurancePlan is an insurance plan."""
    return re.sub("(?<=.)(?=[A-Z])", " ", model.__name__).lower()
