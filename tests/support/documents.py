"""Documents: the pages of the project, and the blocks of code in them.

Owns: finding pages, blocks and links.
Must not know: what a block needs to run.
"""

import re
from pathlib import Path
from typing import Any

from sqlmodel import SQLModel

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]

_FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```", flags=re.DOTALL | re.MULTILINE)
_PRINTED = re.compile(r"^ *(?:print\(.*)?\)  # (.*)$", flags=re.MULTILINE)


def name_of(page: Path) -> str:
    """Return the path of a page within the project."""
    return page.relative_to(ROOT).as_posix()


def blocks(page: Path, *languages: str) -> list[str]:
    """Return the fenced blocks of a page in any of these languages."""
    return [code for language, code in _FENCE.findall(page.read_text(encoding="utf-8")) if language in languages]


def without_blocks(page: Path) -> str:
    """Return the text of a page outside its fenced blocks."""
    return _FENCE.sub("", page.read_text(encoding="utf-8"))


def program(page: Path) -> str:
    """Return the Python blocks of a page as one program: a later block uses the names of the earlier ones."""
    return "\n".join(blocks(page, "python"))


def files(page: Path) -> dict[str, str]:
    """Return the files of a host on a page by their paths: blocks of `py` below a line `# path`."""
    named = (block.split("\n", 1) for block in blocks(page, "py"))
    return {first.removeprefix("# "): rest.rstrip("\n") for first, rest in named}


def needs_database(page: Path) -> bool:
    """Tell whether the program of a page opens a database."""
    return re.search(r"\.unit_of_work\(|\b(?:Database|Scheduler|AsyncScheduler)\(", program(page)) is not None


def is_for_pytest(page: Path) -> bool:
    """Tell whether the program of a page is a module of fixtures and tests."""
    return "import pytest" in program(page)


def promised(page: Path) -> list[str]:
    """Return the output that the program of a page promises in comments beside its calls of `print`."""
    return _PRINTED.findall(program(page))


def run(page: Path, **given: object) -> dict[str, Any]:
    """Run the program of a page, in which these names exist, and return all names that exist afterwards.

    Its tables leave SQLModel's metadata.
    """
    names: dict[str, Any] = dict(given)
    before = set(SQLModel.metadata.tables.values())
    try:
        exec(compile(program(page), name_of(page), "exec"), names)  # noqa: S102  # our own documents
    finally:
        for table in set(SQLModel.metadata.tables.values()) - before:
            SQLModel.metadata.remove(table)
    return names
