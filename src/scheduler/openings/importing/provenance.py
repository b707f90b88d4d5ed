"""Provenance of rows: a mark on the rows that an import wrote, and so may change and remove.

Owns: the mark, in a JSON column of the row (`meta`; for a doctor, `contact`). A closure has no such column: the `meta`
of its facility lists the imported closures.
Must not know: the tables.
"""

from typing import Any, Final

from sqlalchemy import ColumnElement

SOURCE: Final = "openings"


def imported_by_openings(column: Any) -> ColumnElement[bool]:  # noqa: ANN401  # a JSON column of any table
    """Return the condition that an import wrote the row, from the column that holds the mark."""
    return ColumnElement.__eq__(column["source"].astext, SOURCE)
