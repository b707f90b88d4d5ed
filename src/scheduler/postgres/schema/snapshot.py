"""Catalogue: a listing of the objects that a database really has, and its differences from the one that it should have.

Owns: the listing of our schemas (read from a database by `catalogue.sql`, written to a file, read back) and the
comparison of two.
Must not know: which objects there should be (`migrations/schema.txt` says so), how they get there.

An object is one line; the body of a function follows in indented lines, so that a diff of two listings shows changes.
A listing is the same text on every PostgreSQL from 15 on. So a NOT NULL is part of its column, although release 18 has
constraints for it, and what a view selects is written without the table before the column, which release 16 leaves
out where it may. Left out is what comes and goes at work (the months of slots and of the audit log), what is only
said (comments, the order of columns), and what the operator decides (owners, storage, rights of other roles).
"""

import re
from collections.abc import Iterator, Mapping
from inspect import cleandoc
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, text

Listing = Mapping[str, str]
"""From an object (`column identity.tenants.slug`) to its definition (`character varying(255) not null`)."""

SCHEMAS: Final = ("identity", "audit", "scheduling", "placement", "wellbeing")
INVALID: Final = "(invalid)"

# Another database of the server, or another application in this one, may have more of these.
_OTHERS_MAY_HAVE_MORE: Final = ("extension ", "role ")
_PARTS_OF_A_RELATION: Final = re.compile(r"\w+ (\w+\.\w+)[. ]")
_SHOWN: Final = 160
_INDENT: Final = "    "

# Names are qualified when nothing is on the path; instants in a CHECK are written in the session's zone.
_ALIKE: Final = text("""
    select set_config('search_path', 'pg_catalog', true), set_config('timezone', 'UTC', true),
        set_config('datestyle', 'ISO, YMD', true), set_config('intervalstyle', 'postgres', true),
        set_config('quote_all_identifiers', 'off', true)
""")

_LISTING: Final = text(Path(__file__).with_suffix(".sql").read_text(encoding="utf-8"))

# Everything before a dot but the schemas: `c.id` and `id` are one column.
_QUALIFIER: Final = re.compile(rf"\b(?!(?:{'|'.join(SCHEMAS)})\.)[a-z_]\w*\.(?=[a-z_\"])")


def read(connection: Connection) -> Listing:
    """List what the database has in our schemas. Settings of the transaction change; roll it back afterwards."""
    connection.execute(_ALIKE)
    found: dict[str, str] = {}
    for thing, definition in connection.execute(_LISTING, {"schemas": list(SCHEMAS)}):
        if thing.startswith("function "):
            head, _, body = definition.partition("\n")
            found[thing] = "\n".join([head, *(line.rstrip() for line in cleandoc(body).splitlines() if line.strip())])
        else:
            line = _on_one_line(definition)
            found[thing] = _QUALIFIER.sub("", line) if thing.startswith("view ") else line
    return dict(sorted(found.items()))


def write(listing: Listing) -> str:
    """Write a listing as the text of a file: `column identity.tenants.slug: character varying(255) not null`."""
    lines = (f"{thing}: {definition}".replace("\n", f"\n{_INDENT}") for thing, definition in sorted(listing.items()))
    return "".join(f"{line}\n" for line in lines)


def parse(written: str) -> Listing:
    """Read back the text of `write`."""
    lines = written.replace(f"\n{_INDENT}", "\0").splitlines()
    return dict(line.replace("\0", "\n").split(": ", 1) for line in lines)


def differences(there: Listing, wanted: Listing) -> Iterator[str]:
    """Yield a line for each object that is missing, unexpected, invalid or otherwise; none when all is as wanted.

    Parts of a table or view that is itself missing or unexpected are not named on their own. White space is ignored.
    """
    there, wanted = ({thing: _on_one_line(what) for thing, what in each.items()} for each in (there, wanted))
    relations = (thing for thing in there.keys() ^ wanted.keys() if thing.startswith(("table ", "view ")))
    one_sided = {thing.partition(" ")[2] for thing in relations}
    for thing in sorted(there.keys() | wanted.keys()):
        inside = _PARTS_OF_A_RELATION.match(thing.replace("(", " "))
        if there.get(thing) == wanted.get(thing) or (inside and inside[1] in one_sided):
            continue
        if thing not in there:
            yield f"{thing}: is missing, should be {_shortened(wanted[thing])}"
        elif thing not in wanted:
            if not thing.startswith(_OTHERS_MAY_HAVE_MORE):
                yield f"{thing}: is unexpected ({_shortened(there[thing])})"
        elif there[thing].removesuffix(f" {INVALID}") == wanted[thing]:
            yield f"{thing}: is invalid, its building failed: drop it, remove what it refuses, create it again"
        else:
            yield "{}: is {}, should be {}".format(thing, *_around_the_difference(there[thing], wanted[thing]))


def _on_one_line(definition: str) -> str:
    return " ".join(definition.split())


def _shortened(what: str) -> str:
    return what if len(what) <= _SHOWN else f"{what[: _SHOWN - 4]} ..."


def _around_the_difference(one: str, other: str) -> tuple[str, str]:
    """Return both as they are if they are short, else from a little before the place where they part."""
    if max(len(one), len(other)) <= _SHOWN:
        return one, other
    parted = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    begin = max(0, parted - _SHOWN // 2)
    return tuple(f"{'... ' if begin else ''}{_shortened(each[begin:])}" for each in (one, other))  # type: ignore[return-value]
