"""Headers and the page of invariants name the same rules for the same modules."""

import ast
import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "scheduler"
MODELS = ROOT / "src" / "models"
INVARIANTS = ROOT / "docs" / "invariants.md"
SEMANTICS = ROOT / "docs" / "semantics.md"

RULE = re.compile(r"\b[TASRWQBL][1-9]\b")
HOLDS = re.compile(r"^Holds: (.*?)(?=^\w[\w ]*: |^$|\Z)", flags=re.DOTALL | re.MULTILINE)
ROW = re.compile(r"^\| ([A-Z]\d) \|[^|]*\|([^|]*)\|", flags=re.MULTILINE)


def modules() -> dict[str, Path]:
    """Return every module by its name in the page: without folder in the core, else with its folder."""
    named = {path.relative_to(PACKAGE): path for path in PACKAGE.rglob("*.py") if "models" not in path.parts}
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
    return {name: rules for name, header in headers.items() if (rules := rules_in(header))}


def rows() -> dict[str, set[str]]:
    """Return the modules that the page of invariants names for each rule."""
    return {rule: set(re.findall(r"`([\w/]+)`", cell)) for rule, cell in ROW.findall(INVARIANTS.read_text("utf-8"))}


@pytest.mark.parametrize("rule", rows())
def test_a_rule_is_in_the_headers_of_its_modules_and_no_others(rule: str) -> None:
    named, holding = rows()[rule], {name for name, rules in held().items() if rule in rules}
    assert not named - holding, f"the page names {sorted(named - holding)}, whose headers do not hold {rule}"
    assert not holding - named, f"the headers of {sorted(holding - named)} hold {rule}, the page does not name them"


def test_a_header_names_only_rules_that_exist() -> None:
    known = set(re.findall(r"^- \*\*([A-Z]\d)\*\*", SEMANTICS.read_text(encoding="utf-8"), flags=re.MULTILINE))
    assert {name: rules - known for name, rules in held().items() if rules - known} == {}


@pytest.mark.parametrize(
    ("header", "rules"),
    [
        ("A.\n\nOwns: T1.\nHolds: A1 (this\nor that), A2.\nMust not know: A3.\n\nR1.", {"A1", "A2"}),
        ("A.\n\nHolds: every key carries the tenant.", set()),
        ("A.\n\nOwns: S1.", set()),
    ],
)
def test_rules_are_read_from_the_paragraph_holds(header: str, rules: set[str]) -> None:
    assert rules_in(header) == rules
