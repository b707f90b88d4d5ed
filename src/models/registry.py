"""Registry of the library's tables: base class, metadata, naming of keys and indexes, mapping between table and model.

Owns: one registry and one `MetaData` apart from SQLModel's own, so that a host application's metadata never holds the
library's tables, and two classes of one name do not meet; the derived names of keys and plain indexes.
Must not know: any single table.

A foreign key or a plain index is named after its table and its columns. `tenant_id` is left out unless it is the only
column: `family_members_user_id_fkey`. Other constraints and unique indexes are named by the model: the name is a
sentence, since an error message shows it.
"""

from functools import cache
from typing import Any, Final

from sqlalchemy import ForeignKeyConstraint, Index, MetaData, inspect
from sqlalchemy import Table as SqlTable
from sqlalchemy.orm import registry
from sqlmodel import SQLModel


def _columns_of(named: ForeignKeyConstraint | Index, _table: SqlTable) -> str:
    """Return the names of the columns, joined; `tenant_id` only if there is no other."""
    names = list(named.column_keys if isinstance(named, ForeignKeyConstraint) else named.columns.keys())
    return "_".join([name for name in names if name != "tenant_id"] or names)


METADATA: Final = MetaData(
    naming_convention={
        "own_columns": _columns_of,
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(own_columns)s_fkey",
        "ix": "%(table_name)s_%(own_columns)s_idx",
    }
)
_REGISTRY: Final = registry(metadata=METADATA)


class Table(SQLModel, registry=_REGISTRY):
    """A table of the library; its rows carry no behaviour."""


def table_of(model: type[SQLModel]) -> SqlTable:
    """Return the table that a model describes."""
    table: SqlTable = inspect(model).local_table
    return table


@cache
def model_of(table: SqlTable) -> type[SQLModel]:
    """Return the model that describes a table."""
    models: dict[Any, type[SQLModel]] = {mapper.local_table: mapper.class_ for mapper in _REGISTRY.mappers}
    return models[table]
