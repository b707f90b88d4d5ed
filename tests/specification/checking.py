"""Whether what a specification lists is there: each element against the listing of a database's catalogue.

The listing is that of `scheduler.store.catalogue`, so that what the check of a schema sees is what is compared here.
"""

import ast
import re
from collections.abc import Iterable
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
        if not keepers and not (element.where == OUTSIDE and element.remark):
            return f"names no module, test, document or object, and is not {OUTSIDE!r} with a reason"
        return f"not there: {', '.join(missing)}" if missing else None
    found = what_is_there(element, listing)
    if not found:
        return f"there is no {element.kind} {element.where}"
    if any(alike(one) != alike(element.holds) for one in found):
        return f"is {' and '.join(found)}, should be {element.holds}"
    return None


def unlisted(elements: Iterable[Element], listing: Listing) -> list[str]:
    """Return the objects of a listing, rights and roles apart, that no element names."""
    named = {thing for element in elements for thing in objects(element, listing)}
    return [thing for thing in listing if thing not in named and not thing.startswith(("grant ", "role ", "schema "))]


def alike(written: str) -> str:
    """Return a definition without what may be written in two ways: case but in texts, space, the schema public."""
    texts = re.sub(r"\s+", " ", written.replace("public.", "")).strip().split("'")
    return "'".join(part if number % 2 else part.casefold() for number, part in enumerate(texts))


def objects(element: Element, listing: Listing) -> Listing:
    """Return the objects that an element names: one; of a view its columns too, of a function all of its name."""
    where = element.where.removesuffix("()")
    begins = element.kind if element.kind in {"primary key", "foreign key", "unique", "check"} else ""
    match element.kind:
        case "rule":
            wanted = set()
        case "primary key":
            wanted = {thing for thing in listing if f"{thing}.".startswith(f"constraint {where}.")}
        case "foreign key" | "unique" | "check" | "index":
            wanted = {f"constraint {where}", f"index {where}"}
        case "function":
            called = f"function {where if '(' in where else f'{where}('}"
            wanted = {thing for thing in listing if thing.startswith(called)}
        case "view" if f"view {where}" in listing:
            wanted = {thing for thing in listing if thing.startswith(f"column {where}.")} | {f"view {where}"}
        case kind:
            wanted = {f"{'type' if kind == 'enum' else kind} {where}"}
    there = {thing: listing[thing] for thing in sorted(wanted) if thing in listing}
    return {thing: what for thing, what in there.items() if what.casefold().startswith(begins)}


def what_is_there(element: Element, listing: Listing) -> list[str]:
    """Return what is in the element's place, as a list writes it; none when nothing of its kind is."""
    there = objects(element, listing)
    found = list(there.values())
    match element.kind:
        case "primary key":
            return [columns(what) for what in found]
        case "index":
            return [
                f"{'unique ' * what.casefold().startswith('unique ')}{columns(what.removeprefix('unique '))}"
                for what in found
            ]
        case "unique":
            return [columns(what.removeprefix("unique ")) for what in found]
        case "foreign key":
            keys = (FOREIGN_KEY.match(what) for what in found)
            return [f"{key[1]} -> {key[2]} ({key[3]}){key[4]}" for key in keys if key]
        case "view" if there:
            held = ", ".join(
                f"{thing.rpartition('.')[2]} {what}" for thing, what in there.items() if not thing.startswith("view ")
            )
            return [f"{there[f'view {element.where}'].partition(', as ')[0]} ({held})"]
        case "function":
            return [what.partition("\n")[0] for what in found]
        case "extension":
            return ["" for _ in found]
        case _:
            return found


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
    """Tell whether a keeper exists: a file, a test in a file, a module, or an object by its whole name.

    A file of tests alone says too little, as does a name without its table, which any table might have.
    """
    path, _, name = keeper.partition("::")
    if name or re.fullmatch(r"tests/.*test_\w+\.py", path):
        return (ROOT / path).is_file() and name in tests_in(ROOT / path)
    module = ROOT / "src" / path.replace(".", "/")
    if (ROOT / path).exists() or module.is_dir() or module.with_suffix(".py").is_file():
        return True
    return path in {re.split(r"\(| to ", thing.partition(" ")[2])[0] for thing in listing}


def tests_in(file: Path) -> set[str]:
    """Return the names of the tests of a module."""
    nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")}
