"""Public package `scheduler`: cost of its import, its public names, and reports of missing extras."""

import ast
import inspect
import os
import runpy
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

import scheduler
import scheduler.core
import starting
from scheduler.core.errors import MissingExtraError

TREE = ast.parse(inspect.getsource(scheduler))
THIRD_PARTY = "alembic cryptography faker pendulum platformdirs psycopg pydantic rich sqlalchemy sqlmodel"
COMMAND = "import sys; from scheduler.cli import main; sys.argv[0] = 'scheduler'; main()"
COMMANDS = """
    demo with-server migrate stamp preflight import families schema seed generate status show week explain doctors
    find book cancel day events report keys audit export erase
"""
PRINT_MODULES = "import atexit, sys; atexit.register(lambda: print(*{name.partition('.')[0] for name in sys.modules}));"


def python(code: str, *arguments: str, without: str = "") -> "subprocess.CompletedProcess[str]":
    """Run code in a process of its own, as if one package were not installed."""
    hide = f"import sys; sys.modules[{without!r}] = None; " if without else ""
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", f"{hide}{code}", *arguments],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )


def loaded_by(code: str, *arguments: str) -> set[str]:
    done = python(PRINT_MODULES + code, *arguments)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].split())


def lazy_modules() -> dict[str, str]:
    (table,) = [
        node.value
        for node in ast.walk(TREE)
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_MODULES"
    ]
    modules: dict[str, str] = ast.literal_eval(table)
    return modules


def imported_names() -> dict[str, str]:
    """Return the imports of the front door below `if TYPE_CHECKING`: for each name its module."""
    (block,) = [node for node in TREE.body if isinstance(node, ast.If)]
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    return {alias.name: str(node.module) for node in imports for alias in node.names}


def test_import_loads_the_standard_library_only() -> None:
    loaded = loaded_by("import scheduler") - loaded_by("pass") - sys.stdlib_module_names
    assert {name for name in loaded if not name.startswith("_sysconfigdata")} == {"scheduler"}


@pytest.mark.parametrize(("option", "packages"), [("--version", set[str]()), ("--help", {"rich"})])
def test_command_line_loads_no_package_that_only_commands_need(option: str, packages: set[str]) -> None:
    assert loaded_by(COMMAND, option) & set(THIRD_PARTY.split()) == packages


@pytest.mark.parametrize(
    ("command", "helpers"),
    [
        ("show", {"picture_files", "week", "week_calendar", "week_grid", "week_notes", "week_signs"}),
        ("explain", {"picture_files"}),
    ],
)
def test_a_command_loads_its_module_alone(command: str, helpers: set[str]) -> None:
    done = python(f"import atexit, sys; atexit.register(lambda: print(*sys.modules)); {COMMAND}", command, "--help")
    modules = set(done.stdout.splitlines()[-1].split())
    assert {name for name in modules if name.startswith("scheduler.cli.")} == {
        f"scheduler.cli.{name}"
        for name in {"app", "errors", "output", "signals", "terminal", command, "settings", "rendering"} | helpers
    }
    others = {name for name in modules if name.startswith(("scheduler.sample_data", "scheduler.generation"))}
    assert others == {"scheduler.generation", "scheduler.generation.errors"}


def test_star_import_leaves_out_asyncio_without_its_extra() -> None:
    names = "'Scheduler' in globals(), 'AsyncScheduler' in globals()"
    done = python(f"from scheduler import *; print({names})", without="greenlet")
    assert (done.stdout, done.stderr) == ("True False\n", "")


@pytest.mark.parametrize("name", ["AsyncScheduler", "AsyncWork"])
def test_the_asynchronous_front_door_names_its_extra(name: str) -> None:
    code = f"import scheduler\ntry: scheduler.{name}\nexcept scheduler.MissingExtraError as error: print(error)"
    (line,) = python(code, without="greenlet").stdout.splitlines()
    assert line.startswith(f"scheduler.{name} needs the extra `async` (")


def test_public_names_are_there() -> None:
    assert [name for name in scheduler.__all__ if not hasattr(scheduler, name)] == []
    assert set(scheduler.__all__) <= set(dir(scheduler))
    assert [name for name in scheduler.core.__all__ if not hasattr(scheduler.core, name)] == []


def test_lazy_names_are_the_same_for_type_checkers() -> None:
    checked = {
        name: f"{module}.{name}" if lazy_modules().get(name, "").endswith(f".{name}") else module
        for name, module in imported_names().items()
    }
    assert checked == lazy_modules()


def test_public_names_are_those_of_the_core_and_the_lazy_ones() -> None:
    public = set(scheduler.__all__)
    assert len(public) == len(scheduler.__all__)
    assert set(lazy_modules()) <= public
    assert public - set(lazy_modules()) <= set(scheduler.core.__all__)


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'scheduler' has no attribute 'Databse'"):
        _ = scheduler.Databse  # type: ignore[attr-defined]


def test_version_is_that_of_the_distribution() -> None:
    done = python(f"import scheduler; print('slotsmith', scheduler.__version__); {COMMAND}", "--version")
    version, printed = done.stdout.splitlines()
    assert version == printed


def test_module_runs_the_command_line() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "scheduler", "--version"],
        env={"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout.split()[0], done.stderr) == (0, "slotsmith", "")


@pytest.mark.parametrize("name", ["Database", "generate", "phi", "upgrade"])
def test_missing_extra_of_a_name_is_one_line(name: str) -> None:
    done = python(f"from scheduler import {name}", without="sqlalchemy")
    line = done.stderr.splitlines()[-1]
    assert done.returncode == 1
    assert line.startswith(f"scheduler.core.errors.MissingExtraError: scheduler.{name} needs the extra `postgres` (")
    assert line.endswith(": pip install 'slotsmith[postgres]'")


def test_missing_extra_is_an_import_error() -> None:
    assert issubclass(MissingExtraError, ImportError)
    assert issubclass(MissingExtraError, scheduler.SchedulerError)


@pytest.mark.parametrize(
    ("missing", "command", "extra"),
    [
        ("typer", ["--version"], "cli"),
        ("sqlalchemy", ["status"], "cli"),
        ("faker", ["seed"], "seed"),
    ],
)
def test_missing_extra_of_a_command_is_one_line(missing: str, command: list[str], extra: str) -> None:
    done = python(COMMAND, *command, without=missing)
    (line,) = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (1, "")
    assert line.startswith("error: ")
    assert line.endswith(f": pip install 'slotsmith[{extra}]'")


def test_missing_module_of_the_library_is_no_missing_extra() -> None:
    done = python("import scheduler; scheduler.Database", without="scheduler.postgres.database")
    assert done.stderr.splitlines()[-1].startswith("ModuleNotFoundError: ")


@pytest.mark.parametrize(
    ("words", "completions"),
    [
        ("scheduler ", COMMANDS),
        ("scheduler s", "stamp schema seed status show"),
        ("scheduler keys re", "rewrap"),
    ],
)
def test_shell_completion_names_commands_and_options(words: str, completions: str) -> None:
    number = len(words.split()) - (not words.endswith(" "))
    variables = {"_SCHEDULER_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(number)}
    assert python(f"import os; os.environ |= {variables}; {COMMAND}").stdout.split() == completions.split()


def test_benchmark_of_starting_compares_every_way(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Run each way once."""

    def once(candidates: Mapping[str, Callable[[], object]], *, rounds: int) -> dict[str, float]:
        for candidate in candidates.values():
            candidate()
        return dict.fromkeys(candidates, float(rounds))

    monkeypatch.setattr(starting, "best_times", once)
    monkeypatch.setattr(sys, "argv", ["run.py", "starting", "--rounds", "1"])
    runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "run.py"), run_name="__main__")
    assert capsys.readouterr().out.count("1.0 times") == 5
