"""Fresh environments: each list installs what its extra promises; a missing extra is reported in one line."""

import pytest

from support.environments import MakeEnvironment

pytestmark = pytest.mark.packaging

EXTRAS_OF_LIST = {  # with those that an extra implies; the list of all extras has the host application beside it
    "core": set[str](),
    "postgres": {"postgres"},
    "async": {"postgres", "async"},
    "cli": {"postgres", "cli"},
    "dask": {"postgres", "dask"},
    "embedded": {"postgres", "embedded"},
    "seed": {"postgres", "seed"},
    "telemetry": {"postgres", "telemetry"},
}
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


@pytest.mark.parametrize(("name", "extras"), EXTRAS_OF_LIST.items())
def test_every_module_of_an_extra_imports_in_its_environment(
    name: str, extras: set[str], environment_of: MakeEnvironment
) -> None:
    environment_of(name).import_rooms(extras)


def test_core_expands_a_rule_without_any_extra(environment_of: MakeEnvironment) -> None:
    core = environment_of("core")
    absent = [name for name in ("sqlalchemy", "typer", "rich", "cryptography") if core.has(name)]
    assert (core.python(EXPAND), absent) == ("18\n", [])


def test_core_names_the_extra_of_a_postgresql_name(environment_of: MakeEnvironment) -> None:
    (line,) = environment_of("core").python(REFUSED).splitlines()
    assert "slotsmith[postgres]" in line


@pytest.mark.parametrize(
    ("name", "command", "missing"),
    [
        ("core", "--version", "cli"),
        ("seed", "--version", "cli"),
        ("cli", "migrate", "embedded"),
        ("embedded", "--version", "cli"),
    ],
)
def test_command_without_its_extra_is_one_line(
    name: str, command: str, missing: str, environment_of: MakeEnvironment
) -> None:
    done = environment_of(name).run("scheduler", command)
    assert (done.returncode != 0, done.stdout) == (True, "")
    (line,) = done.stderr.splitlines()
    assert f"slotsmith[{missing}]" in line


def test_seed_without_its_extra_is_one_line(environment_of: MakeEnvironment) -> None:
    """The extra is missing before any database is asked for."""
    done = environment_of("cli").run("scheduler", "seed", SCHEDULER_DATABASE_URL="postgresql://localhost:1/none")
    assert (done.returncode != 0, done.stdout) == (True, "")
    (line,) = done.stderr.splitlines()
    assert "slotsmith[seed]" in line


def test_core_has_help_and_a_star_import_without_the_postgresql_half(environment_of: MakeEnvironment) -> None:
    """Both ask for every published name, so the list leaves out the names whose packages are missing."""
    core = environment_of("core")
    assert core.python("import pydoc, scheduler; print('expand' in pydoc.render_doc(scheduler))") == "True\n"
    assert core.python("from scheduler import *; print(expand.__name__, 'Database' in globals())") == "expand False\n"
