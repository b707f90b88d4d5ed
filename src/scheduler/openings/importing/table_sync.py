"""Table synchronisation: make the rows of a table match the wanted rows, writing only the difference.

Owns: reading rows by column, comparing them with wanted rows by a key, and inserting, updating and deleting in bulk.
Must not know: the tables, the origin of the wanted rows.
"""

from collections.abc import Callable, Iterable, Mapping
from operator import itemgetter
from typing import Any, NamedTuple, Self, TypeAlias, TypeVar
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, cast, delete, func, insert, select, update
from sqlmodel import Session, SQLModel

Row: TypeAlias = dict[str, Any]
Key = TypeVar("Key")


class RowCounts(NamedTuple):
    """How many rows of one table were created, updated, removed and left unchanged."""

    created: int = 0
    updated: int = 0
    removed: int = 0
    unchanged: int = 0

    def plus(self, other: Self) -> Self:
        """Return the sums of both counts."""
        return type(self)(*map(sum, zip(self, other, strict=True)))


def any_of(column: Any, values: Iterable[int | str]) -> ColumnElement[bool]:  # noqa: ANN401  # any column
    """Return the condition that a column has one of the values, with a single parameter for all of them."""
    return ColumnElement.__eq__(column, func.any(cast(list(values), ARRAY(column.type))))


class TableSync:
    """Synchronisation of a tenant's tables within a session; every table has the key `(tenant_id, id)`."""

    def __init__(self, session: Session, tenant_id: UUID) -> None:
        self.session = session
        self._tenant_id = tenant_id

    def stored(self, table: type[SQLModel], columns: Iterable[str], *where: ColumnElement[bool]) -> list[Row]:
        """Return `id` and these columns of the rows that meet all conditions."""
        selected = [getattr(table, name) for name in ("id", *columns)]
        query = select(*selected).where(self._of_tenant(table), *where)
        return [dict(row) for row in self.session.execute(query).mappings()]

    def sync(
        self,
        table: type[SQLModel],
        wanted: Mapping[Key, Row],
        read: Callable[[], Mapping[Key, Row]],
        *,
        before_removal: Callable[[Iterable[Key]], None] = lambda _: None,
    ) -> tuple[RowCounts, dict[Key, int]]:
        """Synchronise the rows that `read` returns with the wanted rows; return also the ids of the wanted rows.

        Only the columns that `read` returns are compared and updated; an insert writes all wanted columns. Before rows
        are deleted, `before_removal` gets their keys.
        """
        stored = read()
        new = [row | {"tenant_id": self._tenant_id} for key, row in wanted.items() if key not in stored]
        removed_ids = {key: row["id"] for key, row in stored.items() if key not in wanted}
        changes = []
        for key in stored.keys() & wanted.keys():
            compared = {name: wanted[key][name] for name in stored[key] if name in wanted[key]}
            if any(stored[key][name] != value for name, value in compared.items()):
                changes.append(compared | {"tenant_id": self._tenant_id, "id": stored[key]["id"]})
        if removed_ids:
            before_removal(removed_ids)
            self.session.execute(
                delete(table).where(self._of_tenant(table), any_of(self._column(table, "id"), removed_ids.values())),
                execution_options={"synchronize_session": False},
            )
        if changes:
            self.session.execute(update(table), sorted(changes, key=itemgetter("id")))
        if new:
            # With RETURNING, SQLAlchemy inserts many rows per statement; without, it would send a statement per row.
            statement = insert(table).returning(self._column(table, "id"))
            self.session.execute(statement, new, execution_options={"render_nulls": True}).all()
            stored = read()
        ids = {key: row["id"] for key, row in stored.items() if key in wanted}
        return RowCounts(len(new), len(changes), len(removed_ids), len(wanted) - len(new) - len(changes)), ids

    def _of_tenant(self, table: type[SQLModel]) -> ColumnElement[bool]:
        return ColumnElement.__eq__(self._column(table, "tenant_id"), self._tenant_id)

    @staticmethod
    def _column(table: type[SQLModel], name: str) -> Any:  # noqa: ANN401  # a column of any type
        return getattr(table, name)
