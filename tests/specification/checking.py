"""Whether what a specification lists is there: each element against the listing of a database's catalogue.

The listing is that of `scheduler.store.catalogue`, so that what the check of a schema sees is what is compared here.
"""

import ast
import re
from pathlib import Path

from scheduler.store.catalogue import Listing
from specification import Element

ROOT = Path(__file__).parents[2]
OUTSIDE = "outside the database"
FOREIGN_KEY = re.compile(r"FOREIGN KEY \((.*?)\) REFERENCES ([\w.]+)\((.*?)\)(.*)")
KEY = re.compile(
    r"(?:UNIQUE|PRIMARY KEY|EXCLUDE USING)?(?: (NULLS NOT DISTINCT))? ?(btree|gin|gist|hash|brin)? ?(\(.*?\))"
    r"((?: NULLS NOT DISTINCT)?(?: INCLUDE .*?)?(?: WHERE .*)?(?: DEFERRABLE.*)?)$"
)


def fault(element: Element, listing: Listing) -> str | None:
    """Return what is wrong about an element; None when it is there and holds."""
    if element.kind == "rule":
        keepers = [word for word in words(element.where) if is_a_reference(word)]
        missing = [keeper for keeper in keepers if not is_there(keeper, listing)]
        if not keepers and not (element.where == OUTSIDE and element.holds):
            return f"names no module, test, document or object, and is not {OUTSIDE!r} with a reason"
        return f"not there: {', '.join(missing)}" if missing else None
    found = what_is_there(element, listing)
    if found is None:
        return f"there is no {element.kind} {element.where}"
    if element.kind in {"column", "primary key", "foreign key", "unique", "index", "policy"} and not any(
        alike(one) == alike(element.holds) for one in found
    ):
        return f"is {' or '.join(found)}, should be {element.holds}"
    return None


def alike(written: str) -> str:
    """Return a definition without what may be written in two ways: case, space, the schema of extensions."""
    return re.sub(r"\s+", " ", written.replace("public.", "")).strip().casefold()


def what_is_there(element: Element, listing: Listing) -> list[str] | None:
    """Return what is in the element's place, in all ways to write it; None when nothing of its kind is."""
    where = element.where.removesuffix("()")
    match element.kind:
        case "primary key":
            keys = [what for thing, what in listing.items() if thing.startswith(f"constraint {where}.")]
            keys += [what for thing, what in listing.items() if thing == f"constraint {where}"]
            found = [columns(what) for what in keys if what.startswith("PRIMARY KEY")]
            return found or None
        case "foreign key":
            key = FOREIGN_KEY.match(listing.get(f"constraint {where}", ""))
            return None if key is None else [f"{key[1]} -> {key[2]} ({key[3]}){key[4]}"]
        case "unique":
            constraint, index = listing.get(f"constraint {where}", ""), listing.get(f"index {where}", "")
            if constraint.startswith(("UNIQUE", "PRIMARY KEY")):
                return [columns(constraint)]
            return [columns(index.removeprefix("unique "))] if index.startswith("unique ") else None
        case "index":
            what = listing.get(f"index {where}") or listing.get(f"constraint {where}")
            return None if what is None else [columns(what.removeprefix("unique "))]
        case "check":
            return ["check"] if listing.get(f"constraint {where}", "").startswith("CHECK") else None
        case "column":
            what = listing.get(f"column {where}")
            return None if what is None else [what, re.sub(r" generated .* as .*$", "", what)]
        case "policy":
            what = listing.get(f"policy {where}")
            return None if what is None else re.findall(r"^\w+ for (\w+)", what)
        case "function":
            return [thing for thing in listing if thing.startswith(f"function {where.partition('(')[0]}(")] or None
        case "enum":
            return ["enum"] if f"type {where}" in listing else None
        case kind:
            return [kind] if f"{kind} {where}" in listing else None


def columns(definition: str) -> str:
    """Return `a, b where (...)` of `btree (a, b) WHERE (...)`, `gin (a)` as it is; of a constraint likewise."""
    found = KEY.match(definition)
    if found is None:
        return definition
    nulls, method, inside, rest = found.groups("")
    body = inside[1:-1] if method in {"", "btree"} else f"{method} {inside}"
    return f"{body}{' nulls not distinct' if nulls else ''}{rest}"


def words(where: str) -> list[str]:
    """Return the words of a cell, without what sets them apart."""
    return [word.strip("`,;()") for word in where.split()]


def is_a_reference(word: str) -> bool:
    """Tell whether a word is meant to name something that exists, and is not one of a sentence."""
    return bool(re.search(r"\w[./_]\w", word)) or (bool(word) and (ROOT / word).exists())


def is_there(keeper: str, listing: Listing) -> bool:
    """Tell whether a keeper exists: a file, a test in a file, a module, or an object of the catalogue by its name."""
    path, _, name = keeper.partition("::")
    if name:
        return (ROOT / path).is_file() and name in names_in(ROOT / path)
    module = ROOT / "src" / path.replace(".", "/")
    if (ROOT / path).exists() or module.is_dir() or module.with_suffix(".py").is_file():
        return True
    objects = (re.split(r"\(| to ", thing.partition(" ")[2])[0] for thing in listing)
    return any(one == path or one.endswith(f".{path}") for one in objects)


def names_in(file: Path) -> set[str]:
    """Return the names of the functions and classes of a module."""
    kinds = (ast.FunctionDef, ast.ClassDef, ast.AsyncFunctionDef)
    return {node.name for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))) if isinstance(node, kinds)}
