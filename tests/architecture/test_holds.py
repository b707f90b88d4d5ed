"""Rules held by each module: equal in the module headers and in the page of invariants."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from support.invariants import INVARIANTS, SEMANTICS, rows, rules

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "scheduler"
MODELS = ROOT / "src" / "models"

RULE = re.compile(r"\b[TASRWQBL][1-9]\d?\b")
HOLDS = re.compile(r"^Holds: (.*?)(?=^\w[\w ]*: |^$|\Z)", flags=re.DOTALL | re.MULTILINE)


def modules() -> dict[str, Path]:
    """Return every module by its name in the page: without folder in the core, else with its folder."""
    named = {path.relative_to(PACKAGE): path for path in PACKAGE.rglob("*.py")}
    named = {name: path for name, path in named.items() if name.parts[0] != "models"}
    named |= {Path("models") / path.relative_to(MODELS): path for path in MODELS.rglob("*.py")}
    return {name.with_suffix("").as_posix().removeprefix("core/"): path for name, path in named.items()}


def rules_in(header: str) -> set[str]:
    """Return the rules that the paragraph `Holds:` of a header names."""
    return {rule for paragraph in HOLDS.findall(header) for rule in RULE.findall(paragraph)}


@cache
def held() -> dict[str, set[str]]:
    """Return the rules that the header of each module names, modules without one left out."""
    headers = {
        name: ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "" for name, path in modules().items()
    }
    return {name: named for name, header in headers.items() if (named := rules_in(header))}


def test_the_page_has_a_row_for_each_built_rule() -> None:
    assert list(INVARIANTS) == rules(SEMANTICS) != []


@pytest.mark.parametrize("rule", INVARIANTS)
def test_a_rule_is_in_the_headers_of_its_modules_and_no_others(rule: str) -> None:
    named, holding = set(INVARIANTS[rule].modules), {name for name, held_rules in held().items() if rule in held_rules}
    assert not named - holding, f"the page names {sorted(named - holding)}, whose headers do not hold {rule}"
    assert not holding - named, f"the headers of {sorted(holding - named)} hold {rule}, the page does not name them"


def test_a_header_names_only_rules_that_exist() -> None:
    known = set(rules(SEMANTICS, also_later=True))
    assert {name: held_rules - known for name, held_rules in held().items() if held_rules - known} == {}


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("A.\n\nOwns: T1.\nHolds: A1 (this\nor that), A2.\nMust not know: A3.\n\nR1.", {"A1", "A2"}),
        ("A.\n\nHolds: every key carries the tenant.", set()),
        ("A.\n\nOwns: S1.", set()),
    ],
)
def test_rules_are_read_from_the_paragraph_holds(header: str, expected: set[str]) -> None:
    assert rules_in(header) == expected


def test_a_meaning_with_the_separator_of_cells_keeps_its_row() -> None:
    row = "| T1 | a span is `[a|b)` | `spans`, `models/columns` | `unit/test_spans.py::test_t1` |\n"
    assert rows(row) == {"T1": (["spans", "models/columns"], [("unit/test_spans.py", "test_t1")])}
