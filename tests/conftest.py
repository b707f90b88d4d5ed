"""Settings of all tests: time zones, Hypothesis profiles and seed, and the option for large budgets.

Time zones come from the pinned tzdata package, here and in child processes: no test depends on the machine's.
Properties draw new examples in each run. The run prints its seed, and `--hypothesis-seed` repeats the draws: no local
database of earlier examples comes before them.
"""

import os
import zoneinfo
from secrets import randbelow
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

os.environ["PYTHONTZPATH"] = ""
zoneinfo.reset_tzpath()
EVERY_PROFILE: dict[str, Any] = {
    "database": None,
    "deadline": None,  # a busy machine makes any example slow
    "print_blob": True,
    "suppress_health_check": [HealthCheck.too_slow],
}
settings.register_profile("quick", max_examples=30, **EVERY_PROFILE)
settings.register_profile("deep", max_examples=500, **EVERY_PROFILE)
settings.load_profile("quick")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--deep", action="store_true", help="run the tests with large budgets too")
    parser.addoption("--minutes", type=float, default=1, help="how long --deep lets workers contend for places")


@pytest.hookimpl(tryfirst=True)  # before Hypothesis reads its option, and xdist copies the options for its workers
def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("deep" if config.getoption("--deep") else "quick")
    if config.getoption("--hypothesis-seed") is None:
        config.option.hypothesis_seed = str(randbelow(2**32))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    terminalreporter.write_line(f"properties drew with --hypothesis-seed={config.getoption('--hypothesis-seed')}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--deep"):
        return
    for item in items:
        if item.get_closest_marker("deep"):
            item.add_marker(pytest.mark.skip(reason="large budget: use --deep to run it"))
