"""House style of `docs/conventions.md` as far as a program can check it: docstrings, names of tests, retired names."""

import ast
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HIGHEST_SHARE = 0.015
MAX_WORDS = 20
MAX_CHARACTERS = 70


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# A better word has replaced each of these names. Where a name had several meanings, each of them got its own.
RETIRED = words("""
    APPOINTMENT_MOVES BATCH BrokenOpeningsError Clear Depth Fault GivenWay LONGEST Listing MOST Move Moved
    NameTakenError NeededByOthersError NotSealedError OF_A_PERSON Order Post SHOWN SealError Sealed SealedColumn
    SealedTable Settlement Stretch Taken Tally Tangle Written
    _Case _Line _Place _gives_way _settle _startless _untangled
    bears_the_mark carry_out entropy given_way is_sealed is_settled objections rows_about settle_closures settle_doctors
    settle_exceptions settle_facilities settle_posts settle_rules settled_below unsettled work_on
""")
RETIRED_MODULES = words("""
    auditing catalogue checks consent emails entities explaining generating keeping_keys listing live marks
    migrating nightly orders overview personal pictures rekeying runs sealed sealed_tables sealing seeding settling
    showing store walking
""")
RETIRED_FUNCTIONS_OF_SQL = words("""
    give_to_definer guard is_known_here is_sealed leave_to_the_system make_part note_changes own_charges
    reaches_its_tenant remember_slot sign_for_oneself works_here
""")
# Names of retired modules that are also right names of variables. The audit chain has a rule of its own for seals.
WORDS_OF_IDENTIFIERS = words("checks emails live marks migrating runs sealed")
ROOMS_OF_THE_SEALS = (
    "migrations/versions/20261126000300_audit.py",
    "src/models/__init__.py",
    "src/models/audit.py",
    "src/scheduler/cli/audit.py",
    "src/scheduler/postgres/audit/",
    "tests/integration/test_audit_commands.py",
    "tests/security/test_audit.py",
    "tests/security/test_audit_chain.py",
    "tests/support/rows/audit.py",
)
SEALS_ELSEWHERE = {("tests/security/test_canary.py", "seal_both")}

SENTENCE = re.compile(r"(?<=[.!?])[*\"')`]*\s+(?=[A-Z`\"'(*])|\n\s*(?:-|\d+\.) |\n\s*\n")
RELATIVE_CLAUSE = re.compile(r"(?:What|Who|That|Whoever|Whatever)\b")
DOCTEST = re.compile(r"^ *>>>.*?(?=^\s*$|\Z)", flags=re.DOTALL | re.MULTILINE)
FUNCTION_OF_SQL = re.compile(
    rf"\b(?:identity|audit|scheduling|placement|wellbeing)\.(?:{'|'.join(sorted(RETIRED_FUNCTIONS_OF_SQL))})\b"
)
PATH_OF_MODULE = re.compile(rf"\bscheduler[./](?:\w+[./])*(?:{'|'.join(sorted(RETIRED_MODULES))})\b")
# In a text, a name that is also a word counts only as code.
NAME_IN_TEXT = re.compile(
    rf"\b(?:{'|'.join(sorted(name for name in RETIRED if re.search(r'_|[a-z][A-Z]', name)))})\b"
    rf"|`(?:{'|'.join(sorted(RETIRED))})`"
)


def files(*patterns: str) -> list[Path]:
    """Return the files of these patterns but this one, which has all the names, and the changelog, which may."""
    paths = {path for pattern in patterns for path in ROOT.glob(pattern)}
    return sorted(paths - {Path(__file__).resolve(), ROOT / "CHANGELOG.md"})


PYTHON = files(*(f"{folder}/**/*.py" for folder in ("src", "tests", "migrations", "benchmarks", "examples")))
TEXTS = files(
    *("*.md", "docs/**/*.md", "migrations/*.txt", "migrations/**/*.sql", "src/**/*.sql", "tests/**/*.txt"),
    *("Makefile", "pyproject.toml", ".ci/run", "tests/*.sh", "migrations/script.py.mako"),
)


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def listed(places: Iterable[str]) -> str:
    """Return places as the message of a failure."""
    lines = list(places)
    return "\n".join([f"{len(lines)}:", *lines])


@cache
def nodes(path: Path) -> tuple[ast.AST, ...]:
    return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


@cache
def docstrings(path: Path) -> list[tuple[str, str]]:
    """Return the docstrings of a module, each with its place."""
    return [
        (f"{name_of(path)}:{getattr(node, 'lineno', 1)}", docstring)
        for node in nodes(path)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if (docstring := ast.get_docstring(node))
    ]


def sentences(docstring: str) -> list[str]:
    """Return the sentences of a docstring, each in one line, without its doctests."""
    parts = (" ".join(part.split()) for part in SENTENCE.split(DOCTEST.sub("", docstring)))
    return [part.lstrip("*`\"'(") for part in parts if part]


def test_few_sentences_of_docstrings_begin_with_a_relative_clause() -> None:
    paths = [path for path in PYTHON if name_of(path).startswith(("src", "tests", "migrations"))]
    texts = [(place, text) for path in paths for place, docstring in docstrings(path) for text in sentences(docstring)]
    offenders = [f"{place}: {text[:100]}" for place, text in texts if RELATIVE_CLAUSE.match(text)]
    share = len(offenders) / len(texts)
    assert share <= HIGHEST_SHARE, f"{share:.1%} of {len(texts)} sentences, {listed(offenders)}"


def test_a_docstring_begins_with_a_short_sentence() -> None:
    first = [(place, sentences(docstring)[0]) for path in PYTHON for place, docstring in docstrings(path)]
    long = [f"{place}: {len(text.split())} words: {text}" for place, text in first if len(text.split()) > MAX_WORDS]
    assert not long, listed(long)


@cache
def identifiers(path: Path) -> frozenset[tuple[int, str]]:
    """Return the names that a module defines, uses or imports, each with its line."""
    found = set[tuple[int, str]]()
    for node in nodes(path):
        match node:
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name) | ast.keyword(arg=str(name)):
                found.add((node.lineno, name))
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                found.add((node.lineno, name))
            case ast.alias(name=name):
                found.add((node.lineno, name.rpartition(".")[2]))
    return frozenset(found)


@cache
def defined_tests() -> list[tuple[str, str]]:
    """Return the functions and classes that pytest collects, each with its place."""
    return [
        (f"{name_of(path)}:{node.lineno}", node.name)
        for path in files("tests/**/test_*.py")
        for node in nodes(path)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        if node.name.lower().startswith("test")
    ]


def test_a_test_has_a_name_of_at_most_70_characters() -> None:
    assert len(defined_tests()) > 1000
    long = [f"{place}: {len(name)}: {name}" for place, name in defined_tests() if len(name) > MAX_CHARACTERS]
    assert not long, listed(long)


def test_no_retired_identifier_is_left() -> None:
    retired = RETIRED | (RETIRED_MODULES - WORDS_OF_IDENTIFIERS)
    names = [
        f"{name_of(path)}:{line}: {name}" for path in PYTHON for line, name in identifiers(path) if name in retired
    ]
    assert not names, listed(names)


def test_only_the_audit_chain_seals() -> None:
    paths = [path for path in PYTHON if not name_of(path).startswith(ROOMS_OF_THE_SEALS)]
    seals = [
        (name_of(path), line, name) for path in paths for line, name in identifiers(path) if "seal" in name.lower()
    ]
    offenders = [f"{place}:{line}: {name}" for place, line, name in seals if (place, name) not in SEALS_ELSEWHERE]
    assert not offenders, listed(offenders)


def test_no_retired_module_is_left() -> None:
    paths = [name_of(path) for path in files("src/**/*") if path.stem in RETIRED_MODULES]
    assert not paths, listed(paths)


def retired_in(text: str, *, prose: bool) -> list[tuple[int, str]]:
    """Return the retired names of a text, each with its line; in prose, identifiers count, too."""
    patterns = (FUNCTION_OF_SQL, PATH_OF_MODULE, NAME_IN_TEXT) if prose else (FUNCTION_OF_SQL, PATH_OF_MODULE)
    matches = [match for pattern in patterns for match in pattern.finditer(text)]
    return [(text.count("\n", 0, match.start()) + 1, match[0]) for match in matches]


def test_no_retired_name_is_left_in_documents_and_sql() -> None:
    assert {name_of(path) for path in TEXTS} >= {"Makefile", "pyproject.toml", ".ci/run", "migrations/script.py.mako"}
    names = [
        f"{name_of(path)}:{line}: {name}"
        for path in (*TEXTS, *PYTHON)
        for line, name in retired_in(path.read_text(encoding="utf-8"), prose=path.suffix != ".py")
    ]
    assert not names, listed(names)


def test_retired_names_of_a_text_are_found() -> None:
    text = "The `Order` of a\nSealedColumn in scheduler.store.slots, scheduler/nightly and wellbeing.works_here"
    names = ["wellbeing.works_here", "scheduler.store", "scheduler/nightly", "`Order`", "SealedColumn"]
    assert [name for _, name in retired_in(text, prose=True)] == names
    assert [line for line, _ in retired_in(text, prose=True)] == [2, 2, 2, 1, 2]
    assert [name for _, name in retired_in(text, prose=False)] == names[:3]


@pytest.mark.parametrize(
    ("docstring", "expected"),
    [
        ("What there is.", ["What there is."]),
        ("Return rows. Whoever asks\nsees them.\n\nNot more", ["Return rows.", "Whoever asks sees them.", "Not more"]),
        ("**Who.** May be\n\n- read\n- written", ["Who.", "May be", "read", "written"]),
        ("Return `a.b`, e.g. this.\n\n>>> What. That.\n1\n", ["Return `a.b`, e.g. this."]),
    ],
)
def test_a_docstring_is_split_into_sentences(docstring: str, expected: list[str]) -> None:
    assert sentences(docstring) == expected
