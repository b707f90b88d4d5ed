"""Signatures and docstrings as Markdown, from the syntax trees of the modules: as they are written in the code."""

import ast
import inspect
import re
import sys
from collections.abc import Iterable, Iterator
from functools import cache
from importlib import import_module

MAX_WIDTH = 100
Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(inspect.getsource(import_module(module)))


def prose(docstring: str | None) -> str:
    """Return a docstring as Markdown: sections with entries as lists, examples as blocks."""
    lines: list[str] = []
    is_section = is_example = False
    for line in (docstring or "").splitlines():
        if is_example and not line.strip():
            lines.append("```")
            is_example = False
        if line.startswith(">>> ") and not is_example:
            lines.append("```pycon")
            is_example = True
        if line in {"Raises:", "Attributes:", "Args:"}:
            is_section = True
            lines += [f"**{line.rstrip(':')}**", ""]
        elif is_section and (entry := re.match(r"    (\w+): (.*)", line)):
            lines.append(f"- `{entry[1]}`: {entry[2]}")
        else:
            lines.append(line if is_example else re.sub("^ {2,}", "  ", line) if is_section else line)
    return "\n".join([*lines, "```"] if is_example else lines).strip()


def parameters(function: Function, *, is_method: bool) -> Iterator[str]:
    """Yield the parameters of a function, as they are written, without `self`."""
    given = function.args
    positional = [*given.posonlyargs, *given.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(given.defaults)) + [*given.defaults]
    for parameter, default in list(zip(positional, defaults, strict=True))[is_method:]:
        yield written(parameter, default)
    if given.vararg:
        yield f"*{ast.unparse(given.vararg)}"
    elif given.kwonlyargs:
        yield "*"
    for parameter, default in zip(given.kwonlyargs, given.kw_defaults, strict=True):
        yield written(parameter, default)
    if given.kwarg:
        yield from changeable(given.kwarg)


def changeable(parameter: ast.arg) -> Iterator[str]:
    """Yield the fields that a method takes as `**fields: Unpack[...]`; each may be left out."""
    name = ast.unparse(parameter.annotation or parameter).removeprefix("Unpack[").rstrip("]")
    for module in [name for name in sys.modules if name.startswith("scheduler.front_door.")]:
        for node in tree(module).body:
            if isinstance(node, ast.ClassDef) and node.name == name:
                yield from (
                    "*",
                    *(f"{ast.unparse(field)} = ..." for field in node.body if isinstance(field, ast.AnnAssign)),
                )
                return
    raise AssertionError(f"found no fields {name}")


def written(parameter: ast.arg, default: ast.expr | None) -> str:
    text = ast.unparse(parameter)
    return text if default is None else f"{text} = {ast.unparse(default)}"


def signature(name: str, given: Iterable[str], returned: str = "") -> str:
    """Return a block with a signature, with a line for each parameter if it is long."""
    parts = list(given)
    line = f"{name}({', '.join(parts)}){returned}"
    if len(line) > MAX_WIDTH:
        line = "\n    ".join([f"{name}(", *(f"{part}," for part in parts)]) + f"\n){returned}"
    return f"```pyi\n{line}\n```"


def decorators(function: Function) -> set[str]:
    return {ast.unparse(decorator).partition("(")[0].rpartition(".")[2] for decorator in function.decorator_list}


def returned(function: Function) -> str:
    """Return the annotation of the result; that of a context manager names what its block gets."""
    if function.returns is None:
        return ""
    text = ast.unparse(function.returns)
    if decorators(function) & {"contextmanager", "asynccontextmanager"}:
        text = re.sub(r"^\w*Iterator", "ContextManager", text)
    return f" -> {text}"


def function_section(level: str, name: str, function: Function, *, is_method: bool) -> str:
    """Return the section of a function or method."""
    prefix = "await " if isinstance(function, ast.AsyncFunctionDef) else ""
    call = name if level == "###" or not is_method else name.rpartition(".")[2]
    shown = parameters(function, is_method=is_method and "staticmethod" not in decorators(function))
    parts = [f"{level} {name}", signature(prefix + call, shown, returned(function)), prose(ast.get_docstring(function))]
    return "\n\n".join(filter(None, parts))
