"""The specifications, element by element, and where each element is in the database.

A file `<number>-<name>.txt` lists one specification, a line an element, `#` begins a comment:

    kind | the element, as the specification writes it | where it is here | what has to hold there

`where` is `schema.table.column`, `schema.table.constraint`, `schema.function` and the like; for a `rule`, which is no
object of the catalogue, the modules, tests (`tests/file.py::test`), documents or objects (by their whole names) that
keep it, or `outside the database` and why. What has to hold is, by kind: for keys and indexes their columns, with
`-> schema.table (columns) on delete ...` and `where (...)`, and before them `unique` if an `index` is; for a `view` its
options and columns; for a `rule` and an `extension` nothing, the cell is a remark; else what `migrations/schema.txt`
says, of a function all but its body. ` -- ` begins a remark.
The list of the library itself has what no specification asks for, so that all lists together have every object.
`checking.py` compares the lines with a database, `page.py` makes the documents out of them.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent
KINDS = {
    "table": "Tables",
    "column": "Columns",
    "primary key": "Primary keys",
    "foreign key": "Foreign keys",
    "unique": "Unique",
    "check": "Checks",
    "index": "Indexes",
    "enum": "Enums",
    "extension": "Extensions",
    "function": "Functions",
    "trigger": "Triggers",
    "view": "Views",
    "policy": "Policies",
    "rule": "Rules",
}


class Element(NamedTuple):
    """An element of a specification: its place in our list, its kind, its words there, where it is, what holds."""

    listed: str
    kind: str
    element: str
    where: str
    holds: str
    remark: str


def specifications() -> dict[str, tuple[Element, ...]]:
    """Return the elements of each specification by its name, such as `tenant core`, in the order of their numbers."""
    return {
        path.stem.partition("-")[2].replace("-", " "): tuple(parse(path.read_text(encoding="utf-8"), path.name))
        for path in sorted(FOLDER.glob("*.txt"))
    }


def parse(text: str, name: str) -> Iterator[Element]:
    """Read the lines of a list.

    Raises:
        ValueError: a line is none, its kind is unknown, or a cell but the last is empty.
    """
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        listed = f"{name}:{number}"
        cells = [cell.strip() for cell in re.split(r"(?<!\|)\|(?!\|)", line, maxsplit=3)]  # `||` joins texts in SQL
        if len(cells) != 4 or not all(cells[:3]):
            raise ValueError(f"{listed}: kind | element | where | what holds are wanted, the first three not empty")
        if cells[0] not in KINDS:
            raise ValueError(f"{listed}: no kind {cells[0]!r}: there are {', '.join(KINDS)}")
        kind, element, where, said = cells
        holds, _, remark = f"{' --' if kind in {'rule', 'extension'} else ''} {said} ".partition(" -- ")
        yield Element(listed, kind, element, where, holds.strip(), remark.strip())
