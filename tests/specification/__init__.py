"""Specification lists: the elements of the four specifications, and their places in the database.

A file `<number>-<name>.txt` lists one specification and nothing else. A section is a table or a view, and its lines
are the columns, keys, indexes, checks, policies and triggers that the specification asks of it, without their names:

    [schema.table] the table, as the specification writes it -- remark
    columns: id bigint not null identity; name varchar(255)
    foreign key: clinic_id -> schema.clinics on delete cascade

A semicolon separates the elements of a line, ` -- ` begins its remark, an indented line continues it, and `#` begins a
comment. A section `[schema.* but schema.a, schema.b]` holds for every such table. A foreign key is written without the
tenant when both sides are `(tenant_id, column)`. `enum`, `extension` and `function` lines belong to no table, and

    rule: the rule, as the specification writes it | keepers | remark

names the methods of `work`, modules, functions and tests (`tests/file.py::test`), documents or objects (by their whole
names) that keep a rule, or `outside the database` and the reason. `checking.py` compares the elements with a database
by content, `page.py` makes the documents.

The library's own objects are in no list: `migrations/schema.txt` has every object of the database, and its test finds
each one that is missing, unexpected or different.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FOLDER = Path(__file__).parent
PARTS = ("columns", "primary key", "foreign key", "unique", "index", "check", "policy", "trigger")
KINDS = ("table", *PARTS, "enum", "extension", "function", "rule")


class Element(NamedTuple):
    """An element of a specification.

    `where` is the table or view, the keepers of a rule, or empty; `content` is the title of a section or rule, else
    the description that the database must have there.
    """

    listed: str
    kind: str
    where: str
    content: str
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
        ValueError: a line is malformed, its kind is unknown, or a part of a table stands outside a section.
    """
    table = ""
    for number, line in lines(text):
        listed = f"{name}:{number}"
        body, _, remark = (part.strip() for part in f"{line} ".partition(" -- "))
        if header := re.fullmatch(r"\[([^]]+)\] (.+)", body):
            table = header[1]
            yield Element(listed, "table", table, header[2], remark)
            continue
        kind, _, content = (part.strip() for part in body.partition(":"))
        if kind not in KINDS or kind == "table" or not content:
            raise ValueError(f"{listed}: expected `[table] element` or `kind: content`, kind one of {', '.join(KINDS)}")
        if kind in PARTS and not table:
            raise ValueError(f"{listed}: a {kind} belongs into the section of a table")
        if kind == "rule":
            cells = [cell.strip() for cell in line.partition(":")[2].split(" | ")]
            if len(cells) not in {2, 3} or not all(cells):
                raise ValueError(f"{listed}: expected `rule: element | keepers | remark`, the remark if there is one")
            yield Element(listed, kind, cells[1], cells[0], "".join(cells[2:]))
            continue
        where = table if kind in PARTS else ""
        yield from (Element(listed, kind, where, part.strip(), remark) for part in content.split(";"))


def lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield each line with its number, joined with the indented lines that continue it; no comment, no empty line."""
    joined: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith(" ") and joined:
            joined[-1] = (joined[-1][0], f"{joined[-1][1]} {line.strip()}")
        elif line.strip() and not line.startswith("#"):
            joined.append((number, line.strip()))
    yield from joined
