"""Fresh environments: each list installs what its extra promises; a missing extra is reported in one line."""

from pathlib import Path

import pytest

from support.environments import ROOT, Environment, MakeEnvironment, run

pytestmark = pytest.mark.packaging

LISTS = [
    pytest.param(name, marks=pytest.mark.xdist_group(name))
    for name in ("core", "postgres", "cli", "embedded", "seed", "all")
]
IMPLIED = {  # the extras of each list, and those that they imply
    "core": set[str](),
    "postgres": {"postgres"},
    "cli": {"postgres", "cli"},
    "embedded": {"postgres", "embedded"},
    "seed": {"postgres", "seed"},
    "all": {"postgres", "cli", "embedded", "seed"},
}
# Imports each module below the rooms that need no other extras than the given ones.
IMPORT_ROOMS = """
import importlib, pkgutil, sys
import scheduler

extra_of = {"core": "core", "cli": "cli", "sample_data": "seed"}
pure = set(sys.modules)
rooms = [f"scheduler.{module.name}" for module in pkgutil.iter_modules(scheduler.__path__) if module.ispkg]
for room in rooms:
    if extra_of.get(room.removeprefix("scheduler."), "postgres") in {"core", *sys.argv[1:]}:
        package = importlib.import_module(room)
        for module in pkgutil.walk_packages(package.__path__, f"{room}."):
            importlib.import_module(module.name)
print(*sorted(name for name in pure if "." not in name))
"""
EXPAND = """
from datetime import UTC, date, datetime, time, timedelta
from scheduler import AvailabilityRule, Schedule, Span, expand

half_hour, begin, fortnightly = timedelta(minutes=30), date(2027, 3, 1), "FREQ=WEEKLY;INTERVAL=2"
mondays = AvailabilityRule(1, 1, time(9), time(12), half_hour, effective_from=begin, recurrence=fortnightly)
clinic = Schedule(1, 1, "Europe/London", [mondays])
print(len(expand(clinic, Span(datetime(2027, 3, 1, tzinfo=UTC), datetime(2027, 4, 1, tzinfo=UTC)))))
"""
REFUSED = """
import scheduler
try:
    scheduler.Database
except Exception as exception:
    print(exception)
"""


@pytest.mark.parametrize("name", LISTS)
def test_every_module_of_an_extra_imports_in_its_environment(name: str, environment_of: MakeEnvironment) -> None:
    """The front door alone imports none of the packages that only an extra brings."""
    imported = set(environment_of(name).python(IMPORT_ROOMS, *IMPLIED[name]).split())
    assert imported & {"alembic", "cryptography", "psycopg", "pydantic", "rich", "sqlalchemy", "typer"} == set()


@pytest.mark.xdist_group("core")
def test_core_expands_a_rule_without_any_extra(environment_of: MakeEnvironment) -> None:
    core = environment_of("core")
    absent = [name for name in ("sqlalchemy", "typer", "rich", "cryptography") if core.has(name)]
    assert (core.python(EXPAND), absent) == ("18\n", [])


@pytest.mark.xdist_group("core")
def test_core_names_the_extra_of_a_postgresql_name(environment_of: MakeEnvironment) -> None:
    (line,) = environment_of("core").python(REFUSED).splitlines()
    assert "slotsmith[postgres]" in line


@pytest.mark.parametrize(
    ("name", "command", "missing"),
    [
        pytest.param("core", "--version", "cli", marks=pytest.mark.xdist_group("core")),
        pytest.param("seed", "--version", "cli", marks=pytest.mark.xdist_group("seed")),
        pytest.param("cli", "migrate", "embedded", marks=pytest.mark.xdist_group("cli")),
        pytest.param("embedded", "--version", "cli", marks=pytest.mark.xdist_group("embedded")),
    ],
)
def test_command_without_its_extra_is_one_line(
    name: str, command: str, missing: str, environment_of: MakeEnvironment
) -> None:
    done = environment_of(name).run("scheduler", command)
    assert (done.returncode != 0, done.stdout) == (True, "")
    (line,) = done.stderr.splitlines()
    assert f"slotsmith[{missing}]" in line


@pytest.mark.xdist_group("cli")
def test_seed_without_its_extra_is_one_line(environment_of: MakeEnvironment) -> None:
    """The extra is missing before any database is asked for."""
    done = environment_of("cli").run("scheduler", "seed", SCHEDULER_DATABASE_URL="postgresql://localhost:1/none")
    assert (done.returncode != 0, done.stdout) == (True, "")
    (line,) = done.stderr.splitlines()
    assert "slotsmith[seed]" in line


@pytest.mark.xdist_group("dev")
def test_make_builds_the_environment_for_development(session_folder: Path) -> None:
    """`make venv` is what `make demo` and `make test` begin with."""
    folder = session_folder / "dev"
    made = run(["make", "venv", f"VENV={folder}"], cwd=ROOT)
    assert made.returncode == 0, made.stdout + made.stderr
    assert Environment(folder).run("scheduler", "--version").stdout.startswith("slotsmith ")
