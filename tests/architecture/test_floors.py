"""Architecture: the import contract, sources of impurity (T5), and modules and tests of every rule.

The import contract in `pyproject.toml` holds the floors. The syntax trees show the rest.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from support.invariants import INVARIANTS, PAGE, cited_tests

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "src"
CORE = SOURCES / "scheduler" / "core"
COMMAND_LINE = SOURCES / "scheduler" / "cli"
PROCESS = SOURCES / "scheduler" / "front_door" / "process.py"
ALLOWED_IN_CORE = sys.stdlib_module_names

# The clock, the environment, the local zone and random sources (T5) by full name; a module stands for its content.
# Setting the search path of time zones would change them for the whole process of a host.
FORBIDDEN = (
    "datetime.datetime.now",
    "datetime.datetime.today",
    "datetime.datetime.utcnow",
    "datetime.date.today",
    "dateutil.tz.tzlocal",
    "os.environ",
    "os.getenv",
    "os.urandom",
    "pendulum.local_timezone",
    "pendulum.now",
    "pendulum.today",
    "pendulum.tomorrow",
    "pendulum.yesterday",
    "random",
    "secrets",
    "time.ctime",
    "time.localtime",
    "time.time",
    "time.time_ns",
    "uuid.uuid1",
    "uuid.uuid4",
    "zoneinfo.reset_tzpath",
)


def modules(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def imported(tree: ast.AST) -> dict[str, str]:
    """Return the names that a module imports, each with its full name."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                if alias.asname is None:
                    names[alias.name.partition(".")[0]] = alias.name.partition(".")[0]
                else:
                    names[alias.asname] = alias.name
        elif isinstance(node, ast.ImportFrom):
            prefix = f"{'.' * node.level}{node.module or ''}"
            names |= {alias.asname or alias.name: f"{prefix}.{alias.name}" for alias in node.names}
    return names


def full_name(node: ast.AST, names: dict[str, str]) -> str | None:
    """Return the full name of an expression such as `datetime.now` that begins with an imported name."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute):
        value = full_name(node.value, names)
        return None if value is None else f"{value}.{node.attr}"
    return None


def impurities(source: str) -> Iterator[str]:
    """Yield the forbidden names that a module imports or uses, with their lines."""
    tree = ast.parse(source)
    names = imported(tree)
    for name in names.values():
        if is_forbidden(name):
            yield f"imports {name}"
    for node in ast.walk(tree):
        used = full_name(node, names)
        if used is not None and is_forbidden(used):
            yield f"line {getattr(node, 'lineno', 0)}: {used}"
        if isinstance(node, ast.Call) and not node.args and not node.keywords:
            called = node.func
            if isinstance(called, ast.Attribute) and called.attr == "astimezone":
                yield f"line {node.lineno}: astimezone() means the local zone of the process"


def is_forbidden(name: str) -> bool:
    return any(name == forbidden or name.startswith(f"{forbidden}.") for forbidden in FORBIDDEN)


def foreign(source: str) -> Iterator[str]:
    """Yield the imports of a core module other than the standard library and the core."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            sources = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            sources = [f"{'.' * node.level}{node.module or ''}"]
        else:
            continue
        for name in sources:
            inside = name == "scheduler.core" or name.startswith("scheduler.core.")
            if not inside and name.partition(".")[0] not in ALLOWED_IN_CORE:
                yield name


@pytest.mark.parametrize("module", modules(CORE), ids=lambda path: path.stem)
def test_the_core_imports_the_standard_library_and_itself(module: Path) -> None:
    assert list(foreign(module.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("import sqlmodel", "sqlmodel"),
        ("from pendulum import duration", "pendulum"),
        ("def late():\n    import psycopg.rows", "psycopg.rows"),
        ("from scheduler.postgres import slots", "scheduler.postgres"),
        ("from scheduler import expand", "scheduler"),
        ("from models import Slot", "models"),
        ("from . import spans", "."),
        ("from ..postgres import slots", "..postgres"),
    ],
)
def test_a_foreign_import_is_found(source: str, name: str) -> None:
    assert list(foreign(source)) == [name]


@pytest.mark.parametrize(
    "module",
    [path for path in modules(SOURCES) if COMMAND_LINE not in path.parents and path != PROCESS],
    ids=lambda path: ".".join(path.relative_to(SOURCES).with_suffix("").parts),
)
def test_t5_only_the_composition_roots_read_clock_environment_or_chance(module: Path) -> None:
    assert list(impurities(module.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(
    "source",
    [
        "from datetime import datetime, UTC\nnow = datetime.now(UTC)",
        "from datetime import datetime\nnow = datetime.utcnow()",
        "from datetime import date\ntoday = date.today()",
        "from datetime import date as day\ntoday = day.today()",
        "import datetime\nnow = datetime.datetime.now()",
        "import datetime as dt\nfactory = dt.datetime.now",
        "import time\nnow = time.time()",
        "from time import time",
        "import os\nhome = os.environ['HOME']",
        "import os\nhome = os.environ.get('HOME')",
        "import os\nhome = os.getenv('HOME')",
        "from os import environ",
        "import os.path\nhome = os.getenv('HOME')",
        "import random",
        "from random import choice",
        "import zoneinfo\nzoneinfo.reset_tzpath(to=())",
        "def late():\n    import random",
        "import secrets",
        "import uuid\nnew = uuid.uuid4()",
        "from uuid import uuid4",
        "import pendulum\nnow = pendulum.now()",
        "def local(at):\n    return at.astimezone()",
    ],
)
def test_t5_a_forbidden_name_is_found(source: str) -> None:
    assert list(impurities(source))


@pytest.mark.parametrize(
    "source",
    [
        "from datetime import time\nnine = time(9)",
        "from datetime import UTC, datetime\nepoch = datetime(2000, 1, 1, tzinfo=UTC)",
        "def until(now):\n    return now.time()",
        "def local(at, zone):\n    return at.astimezone(zone)",
        "from uuid import UUID",
        "import os.path\nname = os.path.basename('a/b')",
    ],
)
def test_t5_an_allowed_name_passes(source: str) -> None:
    assert list(impurities(source)) == []


def test_the_import_contract_is_kept() -> None:
    command = Path(sys.executable).with_name("lint-imports")
    completed = subprocess.run([command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stdout + completed.stderr


@cache  # many rules cite the same few large modules
def defined(module: Path) -> set[str]:
    """Return the names that a module defines at its top level."""
    body = ast.parse(module.read_text(encoding="utf-8")).body
    definitions = {node.name for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    assigned = [target for node in body if isinstance(node, ast.Assign) for target in node.targets]
    return definitions | {target.id for target in assigned if isinstance(target, ast.Name)}


@pytest.mark.parametrize("rule", INVARIANTS)
def test_the_tests_of_a_rule_exist(rule: str) -> None:
    cited = INVARIANTS[rule].tests
    assert cited, f"{rule} has no test"
    for file, name in cited:
        assert name in defined(ROOT / "tests" / file), f"tests/{file} has no {name}"


def test_every_test_that_the_page_of_invariants_names_exists() -> None:
    named = cited_tests(PAGE.read_text(encoding="utf-8"))
    assert [(file, name) for file, name in named if name not in defined(ROOT / "tests" / file)] == []


@pytest.mark.parametrize("rule", INVARIANTS)
def test_the_modules_of_a_rule_exist(rule: str) -> None:
    owners = INVARIANTS[rule].modules
    assert owners, f"{rule} has no module"
    assert {owner for owner in owners if not any((CORE / f"{up}{owner}.py").is_file() for up in ("", "../"))} == set()
