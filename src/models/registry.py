"""Registry of the library's tables: their base class, their metadata, and the way between a table and its model.

Owns: one registry and one `MetaData` apart from SQLModel's own, so that a host application's metadata never holds the
library's tables, and two classes of one name do not meet.
Must not know: any single table.
"""

from functools import cache
from typing import Any, Final

from sqlalchemy import MetaData, inspect
from sqlalchemy import Table as SqlTable
from sqlalchemy.orm import registry
from sqlmodel import SQLModel

METADATA: Final = MetaData()
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
