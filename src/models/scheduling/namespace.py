"""The namespace: that these tables are of the schema `scheduling`, said once.

Owns: the schema's name, and the key to another table of it.
Must not know: any table.
"""

from typing import Final

from sqlalchemy import ForeignKeyConstraint

from scheduler.models.columns import key_to

HERE: Final[dict[str, str]] = {"schema": "scheduling"}


def key(name: str, column: str, table: str, ondelete: str) -> ForeignKeyConstraint:
    """Declare that a column and the tenant are the key of a row of another table of this schema."""
    return key_to(f"scheduling.{table}", column, name=name, ondelete=ondelete)
