"""Entity diagrams in the language of Mermaid: the tables of a schema and their references.

Owns: how a table, a column and a foreign key are drawn.
Must not know: where the snapshot comes from.

A tenant is part of every key; its arrow is drawn only if a table refers to nothing else.
"""

import re
from collections.abc import Iterator, Mapping
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
    """The columns of a table that are drawn."""

    COLUMNS = "all"
    KEYS = "those of primary and foreign keys"


class _Reference(NamedTuple):
    columns: tuple[str, ...]
    to: str


class _Table:
    """A table of a schema snapshot."""

    def __init__(self, name: str, snapshot: SchemaSnapshot) -> None:
        self.name = name
        self.columns = _definitions(snapshot, f"column {name}.")
        constraints = _definitions(snapshot, f"constraint {name}.").values()
        keys = {
            (kind, frozenset(columns.split(", ")))
            for definition in constraints
            for kind, columns in _KEY.findall(definition)
            if definition.startswith(kind)
        }
        self.primary = frozenset(column for kind, columns in keys if kind == "PRIMARY KEY" for column in columns)
        self.unique = [columns for _, columns in keys]
        self.references = [
            _Reference(tuple(match[1].split(", ")), match[2])
            for definition in constraints
            if (match := _REFERENCE.match(definition))
        ]
        self.foreign = {column for reference in self.references for column in reference.columns}


def entity_diagram(snapshot: SchemaSnapshot, *, namespace: str | None = None, detail: Detail = Detail.COLUMNS) -> str:
    """Return the diagram of one namespace, or of all.

    A table of another namespace to which a foreign key refers is a box without columns.
    """
    names = [key.removeprefix("table ") for key in snapshot if key.startswith("table ")]
    tables = [_Table(name, snapshot) for name in names if namespace in {None, name.partition(".")[0]}]
    references = [(table, reference) for table in tables for reference in _drawn_references(table)]
    outside = sorted({reference.to for _, reference in references} - {table.name for table in tables})
    lines = [line for table in tables for line in _box(table, namespace, detail)]
    lines += [f'    {_identifier(name)}["{name}"]' for name in outside]
    lines += [_arrow(table, reference) for table, reference in references]
    return "\n".join(["erDiagram", *lines])


def _definitions(snapshot: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {key.rpartition(".")[2]: definition for key, definition in snapshot.items() if key.startswith(prefix)}


def _drawn_references(table: _Table) -> list[_Reference]:
    others = [reference for reference in table.references if reference.columns != ("tenant_id",)]
    return others or table.references


def _box(table: _Table, namespace: str | None, detail: Detail) -> Iterator[str]:
    title = table.name if namespace is None else table.name.partition(".")[2]
    yield f'    {_identifier(table.name)}["{title}"] {{'
    keys = table.primary | table.foreign
    for column in sorted(table.columns, key=lambda name: (name not in table.primary, name not in keys, name)):
        if detail is Detail.COLUMNS or column in keys:
            marks = [mark for mark, columns in (("PK", table.primary), ("FK", table.foreign)) if column in columns]
            yield f"        {_type(table.columns[column])} {column} {', '.join(marks)}".rstrip()
    yield "    }"


def _arrow(table: _Table, reference: _Reference) -> str:
    is_required = all(" not null" in table.columns[column] for column in reference.columns)
    is_unique = any(columns <= set(reference.columns) for columns in table.unique)
    ends = f"{'||' if is_required else '|o'}--{'o|' if is_unique else 'o{'}"
    names = [column.removesuffix("_id").replace("_", " ") for column in reference.columns if column != "tenant_id"]
    label = ", ".join(names) or "tenant"
    return f'    {_identifier(reference.to)} {ends} {_identifier(table.name)} : "{label}"'


def _identifier(name: str) -> str:
    return name.replace(".", "_")


def _type(definition: str) -> str:
    """Return a column's type as one word of letters, digits, underscores and brackets, as Mermaid needs."""
    kind = _END_OF_TYPE.sub("", definition)
    for long, short in _SHORTER.items():
        kind = kind.replace(long, short)
    return re.sub(r"[^\w()\[\]]", "_", kind.rpartition(".")[2])
