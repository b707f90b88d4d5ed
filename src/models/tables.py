"""Tables and models: from one to the other.

Owns: which table a model describes, and which model describes a table.
Must not know: what stands in any of them.
"""

from functools import cache
from typing import Any

from sqlalchemy import Table, inspect
from sqlmodel import SQLModel

from models.identity import Tenant


def table_of(model: type[SQLModel]) -> Table:
    """Return the table that a model describes."""
    table: Table = inspect(model).local_table
    return table


@cache
def model_of(table: Table) -> type[SQLModel]:
    """Return the model that describes a table."""
    of: dict[Any, type[SQLModel]] = {one.local_table: one.class_ for one in inspect(Tenant).registry.mappers}
    return of[table]
