"""The README's example runs and says what it is meant to show."""

import re
from pathlib import Path

import pytest

README = Path(__file__).parents[2] / "README.md"


def test_the_library_example_of_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    exec(compile(example, "README.md", "exec"), {})  # noqa: S102  # our own README
    out = capsys.readouterr().out
    assert out.splitlines()[0] == "41 slots, the first 2027-03-22 09:00:00+00:00"
    assert "closure the facility is closed on this day (closure 1)" in out


def test_every_document_that_the_readme_links_to_is_there() -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", README.read_text(encoding="utf-8"))
    assert len(links) > 5
    assert [link for link in links if not (README.parent / link).is_file()] == []


def test_the_readme_links_to_every_document() -> None:
    text = README.read_text(encoding="utf-8")
    assert [page.name for page in (README.parent / "docs").glob("*.md") if f"](docs/{page.name})" not in text] == []


def test_the_readme_states_its_figures() -> None:
    text = README.read_text(encoding="utf-8")
    assert re.search(r"columns\(\)`.*\d+\.\d times \(a\)", text)
    assert "FIGURES" not in text
