"""Entity diagrams: the tables of a listing and what they refer to, in the language of Mermaid.

Owns: how a table, a column and a foreign key are drawn.
Must not know: where the listing comes from.

A tenant is part of every key; its arrow is drawn only where a table belongs to nothing else.
"""

import re
from collections.abc import Iterator
from enum import Enum
from typing import Final, NamedTuple

from scheduler.postgres.schema.snapshot import SchemaSnapshot

_SHORTER: Final = {
    "character varying": "varchar",
    "timestamp with time zone": "timestamptz",
    "time without time zone": "time",
    "double precision": "double",
}
_REFERENCE: Final = re.compile(r"FOREIGN KEY \((.*?)\) REFERENCES ([\w.]+)\(.*?\)")
_KEY: Final = re.compile(r"(PRIMARY KEY|UNIQUE)(?: NULLS NOT DISTINCT)? \((.*?)\)")
_END_OF_TYPE: Final = re.compile(r" (?:collate|not null|default|generated)\b.*")


class Detail(Enum):
    """Which columns of a table are drawn."""

    COLUMNS = "all"
    KEYS = "only those of primary and foreign keys"


class _Reference(NamedTuple):
    name: str
    columns: tuple[str, ...]
    to: str


class _Table:
    """A table, as a listing has it."""

    def __init__(self, name: str, snapshot: SchemaSnapshot) -> None:
        self.name = name
        self.columns = {
            thing.rpartition(".")[2]: what for thing, what in snapshot.items() if thing.startswith(f"column {name}.")
        }
        constraints = {
            thing.rpartition(".")[2]: what
            for thing, what in snapshot.items()
            if thing.startswith(f"constraint {name}.")
        }
        keys = {
            (kind, frozenset(columns.split(", ")))
            for what in constraints.values()
            for kind, columns in _KEY.findall(what)
            if what.startswith(kind)
        }
        self.primary = frozenset(column for kind, columns in keys if kind == "PRIMARY KEY" for column in columns)
        self.unique = [columns for _, columns in keys]
        self.references = [
            _Reference(constraint, tuple(found[1].split(", ")), found[2])
            for constraint, what in constraints.items()
            if (found := _REFERENCE.match(what))
        ]
        self.foreign = {column for reference in self.references for column in reference.columns}


def entity_diagram(snapshot: SchemaSnapshot, *, namespace: str | None = None, detail: Detail = Detail.COLUMNS) -> str:
    """Return the diagram of one namespace (tables elsewhere that it refers to are boxes without columns), or of all."""
    names = [thing.removeprefix("table ") for thing in snapshot if thing.startswith("table ")]
    tables = [_Table(name, snapshot) for name in names if namespace in {None, name.partition(".")[0]}]
    references = [(table, reference) for table in tables for reference in _drawn(table)]
    drawn = {table.name for table in tables}
    outside = sorted({reference.to for _, reference in references} - drawn)
    lines = [line for table in tables for line in _box(table, namespace, detail)]
    lines += [f'    {_identifier(name)}["{name}"]' for name in outside]
    lines += [_arrow(table, reference) for table, reference in references]
    return "\n".join(["erDiagram", *lines])


def _drawn(table: _Table) -> list[_Reference]:
    others = [reference for reference in table.references if reference.columns != ("tenant_id",)]
    return others or table.references


def _box(table: _Table, namespace: str | None, detail: Detail) -> Iterator[str]:
    shown = table.name if namespace is None else table.name.partition(".")[2]
    yield f'    {_identifier(table.name)}["{shown}"] {{'
    keys = table.primary | table.foreign
    for column in sorted(table.columns, key=lambda name: (name not in table.primary, name not in keys, name)):
        if detail is Detail.COLUMNS or column in keys:
            marks = [mark for mark, those in (("PK", table.primary), ("FK", table.foreign)) if column in those]
            yield f"        {_type(table.columns[column])} {column} {', '.join(marks)}".rstrip()
    yield "    }"


def _arrow(table: _Table, reference: _Reference) -> str:
    always = all(" not null" in table.columns[column] for column in reference.columns)
    once = any(columns <= set(reference.columns) for columns in table.unique)
    ends = f"{'||' if always else '|o'}--{'o|' if once else 'o{'}"
    named = [column.removesuffix("_id").replace("_", " ") for column in reference.columns if column != "tenant_id"]
    words = ", ".join(named) or "tenant"
    return f'    {_identifier(reference.to)} {ends} {_identifier(table.name)} : "{words}"'


def _identifier(name: str) -> str:
    return name.replace(".", "_")


def _type(definition: str) -> str:
    """Return a column's type as one word: Mermaid takes letters, digits, underscores and brackets."""
    kind = _END_OF_TYPE.sub("", definition)
    for long, short in _SHORTER.items():
        kind = kind.replace(long, short)
    return re.sub(r"[^\w()\[\]]", "_", kind.rpartition(".")[2])
