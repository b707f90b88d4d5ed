"""Schema snapshot: the objects that a database has, as lines of text, and the differences between two snapshots.

Owns: the snapshot of our schemas (read from a database by `snapshot.sql`, written to a file, read back) and the
comparison of two.
Must not know: the expected objects (`migrations/schema.txt`), the migrations that create them.

An object is one line; the body of a function follows in indented lines, so that a diff of two files shows changes. The
text is the same on every PostgreSQL from 15 on: a NOT NULL is part of its column, although release 18 has constraints
for it, and columns in a view are written without their table, since release 16 leaves the table out where it can.
Three kinds of facts are left out: the partitions that come and go (months of slots and of the audit log), comments and
the order of columns, and the operator's decisions (owners, storage, rights of other roles).
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from inspect import cleandoc
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, text

from scheduler.postgres.connections import SETTINGS, assignments

SchemaSnapshot = Mapping[str, str]
"""Definitions by object: `column identity.tenants.slug` maps to `character varying(255) not null`."""

SCHEMAS: Final = ("identity", "audit", "scheduling", "placement", "wellbeing")
INVALID: Final = "(invalid)"

# Another database of the server, or another application in this database, may have more of these.
_OTHERS_MAY_HAVE_MORE: Final = ("extension ", "role ")
_PARTS_OF_A_RELATION: Final = re.compile(r"\w+ (\w+\.\w+)[. ]")
_MAX_SHOWN_CHARACTERS: Final = 160
_INDENT: Final = "    "

# PostgreSQL qualifies names that are not on the path, and writes instants of a CHECK in the zone of the session.
_UNIFORM_SETTINGS: Final = text(f"select {assignments(SETTINGS)}")

_OBJECTS: Final = text(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))

# Everything before a dot but the schemas: `c.id` and `id` are one column.
_QUALIFIER: Final = re.compile(rf"\b(?!(?:{'|'.join(SCHEMAS)})\.)[a-z_]\w*\.(?=[a-z_\"])")


def read(connection: Connection, schemas: Sequence[str] = SCHEMAS) -> SchemaSnapshot:
    """Read the objects of our schemas, or of some. The transaction gets the settings of every unit of work."""
    connection.execute(_UNIFORM_SETTINGS)
    snapshot: dict[str, str] = {}
    for name, definition in connection.execute(_OBJECTS, {"schemas": list(schemas)}):
        if name.startswith("function "):
            head, _, body = definition.partition("\n")
            lines = (line.rstrip() for line in cleandoc(body).splitlines() if line.strip())
            snapshot[name] = "\n".join([head, *lines])
        else:
            line = _on_one_line(definition)
            snapshot[name] = _QUALIFIER.sub("", line) if name.startswith("view ") else line
    return dict(sorted(snapshot.items()))


def write(snapshot: SchemaSnapshot) -> str:
    """Write a snapshot as the text of a file: `column identity.tenants.slug: character varying(255) not null`."""
    lines = (f"{name}: {definition}".replace("\n", f"\n{_INDENT}") for name, definition in sorted(snapshot.items()))
    return "".join(f"{line}\n" for line in lines)


def parse(text: str) -> SchemaSnapshot:
    """Read back the text of `write`."""
    lines = text.replace(f"\n{_INDENT}", "\0").splitlines()
    return dict(line.replace("\0", "\n").split(": ", 1) for line in lines)


def differences(actual: SchemaSnapshot, expected: SchemaSnapshot) -> Iterator[str]:
    """Yield a line for each object that is missing, unexpected, invalid or different.

    Parts of a table or view that is itself missing or unexpected get no line of their own. White space is ignored.
    """
    actual, expected = (
        {name: _on_one_line(definition) for name, definition in snapshot.items()} for snapshot in (actual, expected)
    )
    relations = (name for name in actual.keys() ^ expected.keys() if name.startswith(("table ", "view ")))
    one_sided = {name.partition(" ")[2] for name in relations}
    for name in sorted(actual.keys() | expected.keys()):
        part = _PARTS_OF_A_RELATION.match(name.replace("(", " "))
        if actual.get(name) == expected.get(name) or (part and part[1] in one_sided):
            continue
        if name not in actual:
            yield f"{name}: is missing, should be {_shortened(expected[name])}"
        elif name not in expected:
            if not name.startswith(_OTHERS_MAY_HAVE_MORE):
                yield f"{name}: is unexpected ({_shortened(actual[name])})"
        elif actual[name].removesuffix(f" {INVALID}") == expected[name]:
            yield f"{name}: is invalid, its creation failed: drop it, remove the rows that it refuses, create it again"
        else:
            yield "{}: is {}, should be {}".format(name, *_around_the_difference(actual[name], expected[name]))


def _on_one_line(definition: str) -> str:
    return " ".join(definition.split())


def _shortened(definition: str) -> str:
    short = f"{definition[: _MAX_SHOWN_CHARACTERS - 4]} ..."
    return definition if len(definition) <= _MAX_SHOWN_CHARACTERS else short


def _around_the_difference(actual: str, expected: str) -> tuple[str, str]:
    """Return both definitions if they are short, else the part of each around their first difference."""
    if max(len(actual), len(expected)) <= _MAX_SHOWN_CHARACTERS:
        return actual, expected
    differing = (index for index, (left, right) in enumerate(zip(actual, expected, strict=False)) if left != right)
    begin = max(0, next(differing, min(len(actual), len(expected))) - _MAX_SHOWN_CHARACTERS // 2)
    dots = "... " if begin else ""
    return f"{dots}{_shortened(actual[begin:])}", f"{dots}{_shortened(expected[begin:])}"
