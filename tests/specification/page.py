"""What is made out of the schema and the lists: `make schema` runs this.

Makes `migrations/schema.txt` (what a database at the last revision has), the part of `docs/schema.md` below its mark,
and `docs/schema-map.md`, from a freshly migrated database and the lists beside this file.
"""

import re
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg

from scheduler.cli.mermaid import Detail, entity_diagram
from scheduler.postgres.embedded import embedded_server
from scheduler.postgres.schema import migrations, snapshot
from scheduler.postgres.schema.snapshot import SCHEMAS, Listing
from specification import KINDS, Element, specifications
from specification.checking import is_a_reference

ROOT = Path(__file__).parents[2]
LISTING = ROOT / "migrations" / "schema.txt"
PAGE = ROOT / "docs" / "schema.md"
MAP = ROOT / "docs" / "schema-map.md"
OURS = "the library itself"
LONG = {
    "policy": " using | with check ",
    "trigger": " ON ",
    "function": ", (?:plpgsql|sql)",
    "check": "^",
    "table": "^",
}
"""Where what is to be seen at a glance ends, of the kinds of which there is more to say."""
MARK = "<!-- From here on this page is made by `make schema`. -->\n"


def comments(url: str) -> dict[str, str]:
    """Return what each table and view says about itself."""
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


def schema_page(by_hand: str, listing: Listing, said: dict[str, str]) -> str:
    """Return the page about the schema: what is written by hand, then each namespace with its tables and picture."""
    parts = [by_hand.partition(MARK)[0] + MARK]
    for namespace in SCHEMAS:
        rows = [
            f"| `{name}` | {said.get(name, '')} |" if kind == "table" else f"| view `{name}` | {said.get(name, '')} |"
            for kind, name in sorted(thing.split(" ", 1) for thing in listing if thing.startswith(("table ", "view ")))
            if name.startswith(f"{namespace}.") and not is_partition(listing, name)
        ]
        if rows:
            picture = entity_diagram(listing, namespace=namespace, detail=Detail.KEYS)
            parts.append(
                "\n".join([f"\n## {namespace}", "| table | what |", "|---|---|", *rows])
                + f"\n\n```mermaid\n{picture}\n```\n"
            )
    return "".join(parts)


def is_partition(listing: Listing, name: str) -> bool:
    """Tell whether a table is a part of another one."""
    return "partition of " in listing.get(f"table {name}", "")


def map_page(lists: dict[str, tuple[Element, ...]]) -> str:
    """Return the page that says of each element of each specification where it is."""
    parts = [
        "# Where every element of the specifications is\n",
        "\nMade by `make schema` from the lists in `tests/specification`, which a test compares with the database.",
        "\nOf a check, a policy, a trigger and a function the lists have the whole text, this page only the beginning.",
        "\nWhat no specification asks for, such as the triggers of the audit log, is in the last of the lists only.",
        "\nHow the parts join, and why some differ, is told in [schema.md](schema.md).\n",
    ]
    order = list(KINDS)
    for name, elements in lists.items():
        if name == OURS:
            continue
        parts.append(f"\n## The {name} specification\n")
        for kind, same in groupby(sorted(elements, key=lambda one: order.index(one.kind)), key=lambda one: one.kind):
            parts.append(f"\n### {KINDS[kind]}\n| in the specification | here | |\n|---|---|---|\n")
            parts.extend(f"| {cell(one.element)} | {place(one)} | {shown(one)} |\n" for one in same)
    return "".join(parts)


def shown(element: Element) -> str:
    """Return what holds, as far as it is short, and what is remarked: a check is in words already."""
    end = LONG.get(element.kind)
    holds = re.split(end, element.holds, maxsplit=1)[0] if end else element.holds
    return cell("; ".join(part for part in (holds, element.remark) if part))


def cell(written: str) -> str:
    """Return a text as a cell of a Markdown table."""
    return written.replace("|", "\\|").replace("<", "&lt;")


def place(element: Element) -> str:
    """Return where an element is: as code, and in the sentence of a rule only what is named."""
    if element.kind != "rule":
        return f"`{element.where}`"
    said = re.sub(
        r"[^\s`,;()]+", lambda found: f"`{found[0]}`" if is_a_reference(found[0]) else found[0], element.where
    )
    return cell(said.replace("``", "`"))


def main() -> None:
    """Migrate a database that is thrown away, and write everything that is made from it."""
    with TemporaryDirectory(prefix="slotsmith-") as folder, embedded_server(Path(folder) / "postgres") as url:
        migrations.upgrade(url)
        listing, said = migrations.listing(url), comments(url)
    LISTING.write_text(snapshot.write(listing), encoding="utf-8")
    PAGE.write_text(schema_page(PAGE.read_text(encoding="utf-8"), listing, said), encoding="utf-8")
    MAP.write_text(map_page(specifications()), encoding="utf-8")


if __name__ == "__main__":
    main()
