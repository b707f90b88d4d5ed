"""The page about the schema names every table and no other."""

import re
from pathlib import Path

from sqlmodel import SQLModel

from scheduler.models.registry import METADATA
from scheduler.postgres.schema.migrations import shipped_listing

PAGE = Path(__file__).parents[2] / "docs" / "schema.md"


def test_the_schema_page_lists_the_tables_that_there_are() -> None:
    assert METADATA is not SQLModel.metadata
    listed = re.findall(r"^\| `([a-z_0-9.]+)` \|", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert sorted(listed) == sorted(METADATA.tables)


def test_the_shipped_listing_has_the_tables_that_there_are() -> None:
    tables = {
        thing.removeprefix("table ")
        for thing, what in shipped_listing().items()
        if thing.startswith("table ") and "partition of " not in what
    }
    assert tables == set(METADATA.tables)
