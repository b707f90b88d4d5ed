"""The page about the schema names every table and no other."""

import re
from pathlib import Path

from sqlmodel import SQLModel

import models.identity
import models.scheduling

PAGE = Path(__file__).parents[2] / "docs" / "schema.md"


def test_the_schema_page_lists_the_tables_that_there_are() -> None:
    assert models.identity.Tenant.metadata is models.scheduling.Facility.metadata
    listed = re.findall(r"^\| `([a-z_.]+)` \|", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert sorted(listed) == sorted(SQLModel.metadata.tables)
