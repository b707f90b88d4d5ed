"""Settling: bring the rows of one table to what is wanted, writing only the difference.

Owns: reading rows by column, comparing them with wanted ones by a key, and inserting, updating and deleting in bulk.
Must not know: which tables there are, why a row is wanted.
"""

from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Any, NamedTuple, TypeAlias, TypeVar
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, cast, delete, func, insert, select, update
from sqlmodel import Session, SQLModel

Row: TypeAlias = dict[str, Any]
Key = TypeVar("Key")


class RowCounts(NamedTuple):
    """How many rows of one kind were created, changed, removed and found as they should be."""

    created: int = 0
    updated: int = 0
    removed: int = 0
    unchanged: int = 0


def any_of(column: Any, values: Iterable[int | str]) -> ColumnElement[bool]:  # noqa: ANN401  # any column
    """Ask for rows whose column is one of many values, as one parameter however many they are."""
    return ColumnElement.__eq__(column, func.any(cast(list(values), ARRAY(column.type))))


class TableSync:
    """The tables of one tenant within one session; every table has the key `(tenant_id, id)`."""

    def __init__(self, session: Session, tenant_id: UUID) -> None:
        self._session = session
        self._tenant_id = tenant_id

    def stored(self, table: type[SQLModel], columns: Iterable[str], *where: ColumnElement[bool]) -> list[Row]:
        """Return `id` and these columns of the rows that meet all conditions."""
        chosen = [getattr(table, name) for name in ("id", *columns)]
        mine = self._column(table, "tenant_id") == self._tenant_id
        return [dict(row) for row in self._session.execute(select(*chosen).where(mine, *where)).mappings()]

    def sync(
        self, table: type[SQLModel], wanted: Mapping[Key, Row], read: Callable[[], Mapping[Key, Row]]
    ) -> tuple[RowCounts, dict[Key, int]]:
        """Insert, update and delete until the rows that `read` finds are the wanted ones; return their ids too.

        Only the columns that a row is read with are compared and updated; an insert writes all that are wanted.
        """
        stored = read()
        new = [row | {"tenant_id": self._tenant_id} for key, row in wanted.items() if key not in stored]
        gone = [row["id"] for key, row in stored.items() if key not in wanted]
        changes = []
        for key in stored.keys() & wanted.keys():
            compared = {name: wanted[key][name] for name in stored[key] if name in wanted[key]}
            if any(stored[key][name] != value for name, value in compared.items()):
                changes.append(compared | {"tenant_id": self._tenant_id, "id": stored[key]["id"]})
        if gone:
            mine = self._column(table, "tenant_id") == self._tenant_id
            self._session.execute(
                delete(table).where(mine, any_of(self._column(table, "id"), gone)),
                execution_options={"synchronize_session": False},
            )
        if changes:
            self._session.execute(update(table), sorted(changes, key=itemgetter("id")))
        if new:
            # With RETURNING, SQLAlchemy sends many rows in one statement; without, it would send each by itself.
            made = insert(table).returning(self._column(table, "id"))
            self._session.execute(made, new, execution_options={"render_nulls": True}).all()
            stored = read()
        ids = {key: row["id"] for key, row in stored.items() if key in wanted}
        return RowCounts(len(new), len(changes), len(gone), len(wanted) - len(new) - len(changes)), ids

    @staticmethod
    def _column(table: type[SQLModel], name: str) -> Any:  # noqa: ANN401  # a column of any type
        return getattr(table, name)
