"""Tables of the rules: the rows of `docs/invariants.md`, and the rules of `docs/semantics.md`."""

import re
from pathlib import Path
from typing import Final, NamedTuple

DOCS: Final = Path(__file__).resolve().parents[2] / "docs"
PAGE: Final = DOCS / "invariants.md"

_RULE: Final = re.compile(r"^- \*\*([A-Z]\d+)\*\*( \*\(later\))?", flags=re.MULTILINE)
_ROW: Final = re.compile(r"^\| *([A-Z]\d+) *\|(.*)\|([^|]*)\|([^|]*)\| *$", flags=re.MULTILINE)


class Row(NamedTuple):
    """A row of the page: the modules that hold a rule, and the tests as (file, name)."""

    modules: list[str]
    tests: list[tuple[str, str]]


def rows(page: str) -> dict[str, Row]:
    """Return the row of each rule; the meaning of a rule may contain the separator of cells."""
    return {
        rule: Row(re.findall(r"`([\w/]+)`", owners), cited_tests(cell)) for rule, _, owners, cell in _ROW.findall(page)
    }


def cited_tests(text: str) -> list[tuple[str, str]]:
    """Return the tests that a text cites, as (file, name)."""
    return re.findall(r"`([\w/]+\.py)::(\w+)`", text)


def rules(semantics: str, *, also_later: bool = False) -> list[str]:
    """Return the rules that are built, or all rules, in their order."""
    return [rule for rule, later in _RULE.findall(semantics) if also_later or not later]


INVARIANTS: Final = rows(PAGE.read_text(encoding="utf-8"))
SEMANTICS: Final = (DOCS / "semantics.md").read_text(encoding="utf-8")
