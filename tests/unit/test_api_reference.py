"""API reference: equal to the docstrings and signatures, and complete."""

import re

import scheduler
import scheduler.testing
from scheduler.front_door.repository import Repository
from scheduler.front_door.scheduler import Scheduler
from specification.reference import PAGE, page, repositories


def test_the_reference_is_that_of_the_docstrings() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run `make reference`"


def test_the_reference_has_a_section_for_every_public_name() -> None:
    entries = r"^(?:###+ (.+)|- `(\w+)`: `\w+`.*)$"  # an id has a line, everything else a section
    headings = {one or other for one, other in re.findall(entries, PAGE.read_text(encoding="utf-8"), re.MULTILINE)}
    methods = {f"Scheduler.{name}" for name, value in vars(Scheduler).items() if callable(value) and name[0] != "_"}
    assert {*scheduler.__all__, *scheduler.testing.__all__, *methods, "work.rules.add", "work.slots.open"} <= headings


def test_the_reference_has_a_heading_for_every_method_of_work() -> None:
    headings = set(re.findall(r"^#### (\S+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE))
    common = {name for name in dir(Repository) if name[0] != "_"}
    for name, kind in repositories().items():
        methods = {method for method in dir(kind) if method[0] != "_" and callable(getattr(kind, method))}
        if issubclass(kind, Repository):  # `work.X.get` is that of all
            methods -= {method for method in common if getattr(kind, method) is getattr(Repository, method)}
        assert {f"work.{name}.{method}" for method in methods} - headings == set()
    assert {f"work.X.{method}" for method in common} <= headings
