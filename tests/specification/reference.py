"""Generator of the API reference, `docs/api.md`, run by `make reference`.

Its sources are the docstrings and signatures of the public names, as they are written in the code. A library for this
(griffe2md) follows the modules of a package, and would need five packages more; the page follows `scheduler.__all__`.
"""

import ast
import inspect
import re
from collections.abc import Iterable, Iterator
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from types import ModuleType
from typing import Any, NewType
from uuid import UUID

import scheduler
import scheduler.testing
from scheduler.core.errors import SchedulerError
from scheduler.core.ids import RowId, TenantId
from scheduler.front_door.context import Context
from scheduler.front_door.repository import Repository
from scheduler.front_door.work import Work
from scheduler.generation.report import RunResult
from specification.signatures import (
    Function,
    decorators,
    function_section,
    parameters,
    prose,
    returned,
    signature,
    tree,
)

PAGE = Path(__file__).parents[2] / "docs" / "api.md"
TOP = """# API reference

Made by `make reference` from the docstrings; a test compares them. Sections: the groups of `scheduler.__all__`, then
[the repositories of `work`](#repositories), [results](#results), [`scheduler.testing`](#schedulertesting) and
[all errors](#all-errors). Arguments after `*` are given by name. `models` are the tables, `scheduler.models`, where
`UserRole` and `UserStatus` are, too. `AnyUser` is the id of a user or a value that has it, `AnyFamily` likewise;
`AnyPerson` is a `Person` or `AnyUser`.
`AsyncScheduler` and `AsyncWork` have the methods of `Scheduler` and `Work`, with `await`.
"""


def groups() -> dict[str, list[str]]:
    """Return the names of `scheduler.__all__` by the comments above them."""
    text = inspect.getsource(scheduler)
    body = text[text.index("__all__ = [") :].partition("\n]")[0]
    found: dict[str, list[str]] = {}
    for line in body.splitlines()[1:]:
        if line.strip().startswith("#"):
            found[line.strip("# ")] = []
        else:
            list(found.values())[-1].extend(re.findall(r'"(\w+)"', line))
    return found


def node_of(item: Any) -> ast.AST:
    """Return the syntax tree of a class or function of the library."""
    body: Iterable[ast.AST] = tree(inspect.unwrap(item).__module__).body
    return [node for node in body if getattr(node, "name", None) == item.__name__][-1]


def methods(node: ast.ClassDef) -> list[Function]:
    """Return the public methods of a class with a docstring, without the overloads."""
    functions = [member for member in node.body if isinstance(member, Function)]
    return [
        function
        for function in functions
        if not function.name.startswith("_")
        and ast.get_docstring(function)
        and not decorators(function) & {"overload", "property", "setter"}
    ]


def all_methods(kind: type) -> list[Function]:
    """Return the public methods of a repository with those that it inherits, but for the ones of all repositories."""
    found: dict[str, Function] = {}
    for base in reversed(kind.__mro__):
        if base.__module__.startswith("scheduler.") and base is not Repository:
            node = node_of(base)
            assert isinstance(node, ast.ClassDef)
            found |= {method.name: method for method in methods(node)}
    return list(found.values())


def attributes(node: ast.ClassDef) -> Iterator[str]:
    """Yield the public properties and fields, and the members of an enum, as entries of a list."""
    for member, following in zip(node.body, [*node.body[1:], ast.Pass()], strict=True):
        if isinstance(member, Function) and "property" in decorators(member) and not member.name.startswith("_"):
            docstring = " ".join((ast.get_docstring(member) or "").split())
            yield f"- `{member.name}{returned(member).replace(' ->', ':')}`: {docstring}"
        elif isinstance(member, ast.AnnAssign) and is_given(node):
            yield f"- `{ast.unparse(member.target)}: {ast.unparse(member.annotation)}`"
        elif isinstance(member, ast.Assign) and is_enum(node):
            comment = text_of(following)
            yield f"- `{ast.unparse(member)}`{comment and ': '}{comment}"


def text_of(node: ast.AST) -> str:
    """Return the text that a statement consists of, as behind a member of an enum; else an empty one."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return " ".join(node.value.value.split())
    return ""


def is_enum(node: ast.ClassDef) -> bool:
    return any(ast.unparse(base).endswith("Enum") for base in node.bases)


def is_given(node: ast.ClassDef) -> bool:
    """Tell whether the library makes the objects of a class, so that its arguments concern nobody else."""
    return re.search("Get (it|one) from", ast.get_docstring(node) or "") is not None


def construction(name: str, node: ast.ClassDef) -> str | None:
    """Return the block that shows how a class is made: with the arguments of `__init__`, or the fields."""
    made = [member for member in node.body if isinstance(member, Function) and member.name in {"__init__", "__new__"}]
    if made:
        return signature(name, parameters(made[0], is_method=True))
    fields = [member for member in node.body if isinstance(member, ast.AnnAssign)]
    if fields and not is_enum(node):
        shown = [ast.unparse(field) for field in fields if not ast.unparse(field.target).startswith("_")]
        return signature(name, shown)
    return None


def class_section(name: str, node: ast.ClassDef, having: Iterable[Function] | None = None) -> str:
    """Return the section of a class and those of its methods: its own ones, unless others are given."""
    is_made = not is_given(node) and not name.startswith("work.")
    head = [f"### {name}", construction(name, node) if is_made else None, prose(ast.get_docstring(node))]
    shown = methods(node) if having is None else having
    listed = "\n".join(attributes(node))
    if listed and not is_enum(node):
        listed = f"**Properties**\n\n{listed}"
    rest = [function_section("####", f"{name}.{method.name}", method, is_method=True) for method in shown]
    return "\n\n".join(filter(None, [*head, listed, *rest]))


def section(name: str, item: Any) -> str:
    """Return the section of a public name."""
    if isinstance(item, ModuleType):
        module = tree(item.__name__)
        functions = [f for f in module.body if isinstance(f, Function) and not f.name.startswith("_")]
        parts = [f"### {name}", prose((ast.get_docstring(module) or "").partition("\n\n")[0])]
        return "\n\n".join(
            [*parts, *(function_section("####", f"{name}.{f.name}", f, is_method=False) for f in functions)]
        )
    node = node_of(item)
    if isinstance(node, ast.ClassDef):
        is_error = isinstance(item, type) and issubclass(item, SchedulerError)
        shown = f"\n\nAttributes: {facts(item)}." if is_error and facts(item) else ""
        return class_section(name, node) + shown
    assert isinstance(node, Function)
    return function_section("###", name, node, is_method=False)


def is_id(item: Any) -> bool:
    """Tell whether a public name is a class of ids, of which a line says all."""
    return isinstance(item, NewType) or (isinstance(item, type) and issubclass(item, RowId))


def first_line(item: Any) -> str:
    """Return what a class of ids is."""
    if isinstance(item, NewType):
        return f"`{item.__supertype__.__name__}`."
    return f"`int`. {inspect.getdoc(item)}"


def repositories() -> dict[str, type]:
    """Return the repositories of `Work`, by their names there."""
    unused: Any = None
    work = Work(Context(unused, TenantId(UUID(int=0)), None, unused))
    found: dict[str, type] = {}
    waiting = [(name, value) for name, value in vars(work).items() if not name.startswith("_")]
    while waiting:
        name, value = waiting.pop(0)
        found[name] = type(value)
        inner = [
            (f"{name}.{part}", of) for part, of in vars(value).items() if isinstance(of, Repository) and part[0] != "_"
        ]
        waiting = inner + waiting
    return found


def errors() -> dict[type[SchedulerError], int]:
    """Return all errors of the library with their depth in the tree; those of the command line are its own."""
    for module in walk_packages(scheduler.__path__, "scheduler."):
        if not module.name.startswith(("scheduler.cli", "scheduler.__main__", "scheduler.migrations")):
            import_module(module.name)
    found: dict[type[SchedulerError], int] = {}
    waiting = [(SchedulerError, 0)]
    while waiting:
        error, depth = waiting.pop()
        if error not in found and re.match(r"scheduler\.(?!cli\b)", error.__module__):
            found[error] = depth
            below = sorted(error.__subclasses__(), key=lambda kind: kind.__name__, reverse=True)
            waiting += [(kind, depth + 1) for kind in below]
    return found


def facts(error: type[SchedulerError]) -> str:
    """Return the attributes of an error, those of its base classes included."""
    nodes = [node_of(kind) for kind in error.__mro__ if issubclass(kind, SchedulerError)]
    names = dict.fromkeys(name for node in nodes for name in re.findall(r"self\.([a-z]\w*) = ", ast.unparse(node)))
    return ", ".join(f"`{name}`" for name in names)


def error_line(error: type[SchedulerError], depth: int) -> str:
    """Return an error as an entry of a list, below its base class."""
    node = node_of(error)
    assert isinstance(node, ast.ClassDef)
    first = " ".join((ast.get_docstring(node) or "").partition("\n\n")[0].split())
    public = "scheduler" if error.__name__ in scheduler.__all__ else error.__module__
    listed = f" Attributes: {facts(error)}." if "__init__" in vars(error) else ""
    return f"{'  ' * depth}- `{public}.{error.__name__}`: {first}{listed}"


def page() -> str:
    """Return the whole page."""
    parts = [TOP.rstrip()]
    for title, names in groups().items():
        public = {name: getattr(scheduler, name) for name in names}
        ids = [f"- `{name}`: {first_line(item)}" for name, item in public.items() if is_id(item)]
        sections = [section(name, item) for name, item in public.items() if not is_id(item)]
        parts += [f"## {title}", "\n".join(ids), *sections]
    common = node_of(Repository)
    assert isinstance(common, ast.ClassDef)
    inherited = [function_section("####", f"work.X.{m.name}", m, is_method=True) for m in methods(common)]
    links = ", ".join(f"[{name}](#work{name.replace('.', '')})" for name in repositories())
    parts += [
        "## Repositories",
        f"`work` has {links}.\n\nThose of rows have `get` and `all`; users and families have calls of their own.",
    ]
    parts += inherited
    for name, kind in repositories().items():
        node = node_of(kind)
        assert isinstance(node, ast.ClassDef)
        parts.append(class_section(f"work.{name}", node, all_methods(kind)))
    parts += ["## Results", section("RunResult", RunResult), "## scheduler.testing"]
    parts.append(prose((ast.get_docstring(tree("scheduler.testing")) or "").partition("\n\n")[0]))
    parts += [section(name, getattr(scheduler.testing, name)) for name in scheduler.testing.__all__]
    parts += ["## All errors", "\n".join(error_line(error, depth) for error, depth in errors().items())]
    return "\n\n".join(filter(None, parts)) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
