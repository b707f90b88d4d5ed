"""Documents: programs that run, commands that parse, and links with an existing target."""

import doctest
import re
import shlex
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from scheduler.cli.app import app
from support.documents import (
    PAGES,
    ROOT,
    blocks,
    files,
    name_of,
    needs_database,
    program,
    promised,
    run,
    without_blocks,
)

PROGRAMS = [page for page in PAGES if program(page) and not needs_database(page)]
LINK = re.compile(r"\]\((?!\w+:)([^)\s]+)\)")
HEADING = re.compile(r"^#+ (.*)$", flags=re.MULTILINE)
COMMAND = re.compile(r"(?:^|\s)scheduler ([a-z][^#>\n]*)", flags=re.MULTILINE)
INLINE_COMMAND = re.compile(r"`scheduler ([a-z][^`]*)`")
TARGET = re.compile(r"(?:`|\$ )make ([a-z][a-z0-9-]*)")


@pytest.mark.parametrize("page", PROGRAMS, ids=name_of)
def test_program_of_a_page_prints_its_promised_output(page: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(page)
    printed = iter(capsys.readouterr().out.splitlines())
    assert [line for line in promised(page) if line not in printed] == []


def test_every_page_with_files_of_a_host_has_a_test_that_runs_them() -> None:
    tests = {"beside-your-alembic": "migrations/test_host.py", "nightly-job": "integration/test_nightly_recipes.py"}
    assert {page.stem for page in PAGES if files(page)} == {*tests}
    assert all((ROOT / "tests" / path).exists() for path in tests.values())


def test_every_page_makes_a_tenant_of_its_own() -> None:
    made = re.compile(r"""(?:add_tenant\(|small_clinic\(\w+, slug=)"([\w-]+)\"""")
    slugs = [slug for page in PAGES for slug in sorted(set(made.findall(program(page))))]
    assert len(slugs) >= 9
    assert sorted(slugs) == sorted(set(slugs))  # so that one server runs all pages


def modules_with_examples() -> list[str]:
    """Return the modules whose docstrings have examples."""
    sources = ROOT / "src"
    paths = [path for path in (sources / "scheduler").rglob("*.py") if ">>> " in path.read_text(encoding="utf-8")]
    return sorted(".".join(path.relative_to(sources).with_suffix("").parts).removesuffix(".__init__") for path in paths)


@pytest.mark.parametrize("module", modules_with_examples())
def test_examples_of_docstrings_are_right(module: str) -> None:
    result = doctest.testmod(import_module(module))
    assert result.attempted
    assert not result.failed


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub derives them."""
    return {re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in HEADING.findall(text(page))}


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for link in LINK.findall(text(page)):
        path, _, anchor = link.partition("#")
        target = page if not path else (page.parent / path).resolve()
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_index_links_to_every_page() -> None:
    index = ROOT / "docs" / "index.md"
    linked = {(index.parent / link.partition("#")[0]).resolve() for link in LINK.findall(text(index))}
    assert {page for page in PAGES if index.parent in page.parents} - {index} <= linked


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the words of each command line in the blocks of a page."""
    for block in blocks(page, "console", "text"):
        yield from (shlex.split(line) for line in COMMAND.findall(block))


def parsed(words: list[str]) -> tuple[Any, list[str]]:
    """Return the command that words name, and the words after its name."""
    command: Any = get_command(app)
    context = command.make_context("scheduler", [], resilient_parsing=True)
    rest = list(words)
    while hasattr(command, "resolve_command") and rest:
        _, command, rest = command.resolve_command(context, rest)
        assert command is not None, f"there is no command for {' '.join(words)!r}"
    return command, rest


@pytest.mark.parametrize("page", [page for page in PAGES if list(commands(page))], ids=name_of)
def test_every_command_line_of_a_block_parses(page: Path) -> None:
    for words in commands(page):
        command, rest = parsed(words)
        command.make_context(" ".join(words), rest)


@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "CHANGELOG.md"], ids=name_of)
def test_every_command_in_a_sentence_exists_with_its_options(page: Path) -> None:
    for line in INLINE_COMMAND.findall(without_blocks(page)):
        command, rest = parsed(line.split())
        known = {option for parameter in getattr(command, "params", []) for option in parameter.opts}
        assert {word for word in rest if word.startswith("--")} <= {*known, "--help"}, line


def test_every_make_target_that_a_page_names_exists() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    named = {target for page in PAGES for target in TARGET.findall(text(page))}
    assert named
    assert named - targets == set()


def test_every_module_of_the_glossary_exists() -> None:
    rows = [line for line in text(ROOT / "docs" / "glossary.md").splitlines() if line.startswith("| ")]
    modules = [name for row in rows for name in re.findall(r"`([\w/]+)`", row.rstrip("| ").rpartition("|")[2])]
    paths = [ROOT / "src" / "scheduler" / name for name in modules if "/" in name]
    assert len(paths) > 30
    assert [path for path in paths if not path.is_dir() and not path.with_suffix(".py").is_file()] == []


def test_every_constraint_that_a_page_names_exists() -> None:
    rows = text(ROOT / "docs" / "what-a-booking-writes.md").splitlines()
    named = {name for row in rows for name in re.findall(r"^\| `(an?_\w+|the_\w+)` \|", row)}
    assert len(named) == 14
    assert named - set(re.findall(r"\w+", text(ROOT / "migrations" / "schema.txt"))) == set()


def test_benchmarks_page_states_its_figures() -> None:
    assert re.search(r"columns\(\)`.*\d+\.\d times \(a\)", text(ROOT / "docs" / "benchmarks.md"))
