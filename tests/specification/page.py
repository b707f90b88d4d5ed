"""Generator of the schema documents, run by `make schema`.

The documents are `migrations/schema.txt` (the objects of a database at the last revision), the part of `docs/schema.md`
below its mark, and `docs/schema-map.md`; their sources are a freshly migrated database and the lists beside this file.
"""

import re
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from scheduler.cli.mermaid import Detail, entity_diagram
from scheduler.postgres.embedded import embedded_server
from scheduler.postgres.schema import migrations, snapshot
from scheduler.postgres.schema.snapshot import SCHEMAS, SchemaSnapshot
from specification import Element, specifications
from specification.checking import is_a_reference

ROOT = Path(__file__).parents[2]
SCHEMA_TEXT = ROOT / "migrations" / "schema.txt"
PAGE = ROOT / "docs" / "schema.md"
MAP = ROOT / "docs" / "schema-map.md"
MARK = "<!-- From here on this page is made by `make schema`. -->\n"
TOP_OF_MAP = """# Tables and rules of the specifications

Made by `make schema` from the lists in `tests/specification`, which have the columns, keys, indexes, checks and
policies of each table, too. A test compares the lists with the database. [schema.md](schema.md) explains how the parts
join, and where they differ from their specification.
"""


def comments(url: str) -> dict[str, str]:
    """Return the comment of each table and view that has one."""
    with psycopg.connect(url) as connection:
        return dict(
            connection.execute(
                "select nspname || '.' || relname, obj_description(pg_class.oid, 'pg_class') from pg_class"
                " join pg_namespace on pg_namespace.oid = relnamespace"
                " where nspname = any(%s) and relkind in ('r', 'p', 'v') and not relispartition"
                " and obj_description(pg_class.oid, 'pg_class') is not null",
                (list(SCHEMAS),),
            ).fetchall()
        )


def relations(schema: SchemaSnapshot) -> dict[str, str]:
    """Return the tables and views of a snapshot, partitions left out, each with its kind."""
    things = [thing.split(" ", 1) for thing, definition in schema.items() if "partition of " not in definition]
    return {name: kind for kind, name in sorted(things) if kind in {"table", "view"}}


def schema_page(page: str, schema: SchemaSnapshot, comments: dict[str, str]) -> str:
    """Return the page about the schema: the manual part, then tables and diagram of each namespace."""
    kinds = relations(schema)
    drawn = {
        thing: definition
        for thing, definition in schema.items()
        if not thing.startswith("table ") or thing.removeprefix("table ") in kinds
    }
    parts = [page.partition(MARK)[0] + MARK]
    for namespace in SCHEMAS:
        rows = [
            f"| {'view ' * (kind == 'view')}`{name}` | {comments.get(name, '')} |"
            for name, kind in kinds.items()
            if name.startswith(f"{namespace}.")
        ]
        if rows:
            picture = entity_diagram(drawn, namespace=namespace, detail=Detail.KEYS)
            table = "\n".join([f"\n## {namespace}", "| table | what |", "|---|---|", *rows])
            parts.append(f"{table}\n\n```mermaid\n{picture}\n```\n")
    return "".join(parts)


def map_page(lists: dict[str, tuple[Element, ...]]) -> str:
    """Return the page that locates each table and rule of the specifications."""
    parts = [TOP_OF_MAP]
    for name, elements in lists.items():
        parts.append(f"\n## {name.capitalize()}\n| in the specification | here | remark |\n|---|---|---|\n")
        parts.extend(
            f"| {cell(element.content)} | {place(element)} | {cell(element.remark)} |\n"
            for element in elements
            if element.kind in {"table", "rule"}
        )
    return "".join(parts)


def cell(text: str) -> str:
    """Return a text as a cell of a Markdown table."""
    return text.replace("|", "\\|").replace("<", "&lt;")


def place(element: Element) -> str:
    """Return the location of an element, with names as code."""
    if element.kind == "table":
        return f"`{element.where}`"
    sentence = re.sub(
        r"[^\s`,;()]+", lambda word: f"`{word[0]}`" if is_a_reference(word[0]) else word[0], element.where
    )
    return cell(sentence.replace("``", "`"))


def main() -> None:
    """Migrate a temporary database, and write all documents that are made from it."""
    with TemporaryDirectory(prefix="slotsmith-") as folder, embedded_server(Path(folder) / "postgres") as url:
        migrations.upgrade(url)
        schema, texts = migrations.read_snapshot(url), comments(url)
    SCHEMA_TEXT.write_text(snapshot.write(schema), encoding="utf-8")
    PAGE.write_text(schema_page(PAGE.read_text(encoding="utf-8"), schema, texts), encoding="utf-8")
    MAP.write_text(map_page(specifications()), encoding="utf-8")


if __name__ == "__main__":
    main()
