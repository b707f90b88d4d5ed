"""Marks: which rows an import wrote, and so may change and remove.

Owns: the mark, in the JSON column of a row (`meta`; for a doctor, `contact`).
Must not know: which tables there are.

A closure has no such column: which closures are an import's stands in the `meta` of their facility.
"""

from typing import Any, Final

from sqlalchemy import ColumnElement

SOURCE: Final = "openings"


def imported_by_openings(column: Any) -> ColumnElement[bool]:  # noqa: ANN401  # a JSON column of any table
    """Ask for rows that an import wrote, by the column that holds their mark."""
    return ColumnElement.__eq__(column["source"].astext, SOURCE)
