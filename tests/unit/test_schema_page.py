"""Schema page and shipped snapshot: exactly the tables of the models."""

import re

from sqlmodel import SQLModel

from scheduler.models.registry import METADATA
from scheduler.postgres.schema.migrations import shipped_snapshot
from specification.page import PAGE, relations


def test_the_schema_page_lists_every_table_of_the_models() -> None:
    assert METADATA is not SQLModel.metadata
    listed = re.findall(r"^\| `([a-z_0-9.]+)` \|", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert sorted(listed) == sorted(METADATA.tables)


def test_the_shipped_snapshot_has_every_table_of_the_models() -> None:
    tables = {name for name, kind in relations(shipped_snapshot()).items() if kind == "table"}
    assert tables == set(METADATA.tables)
