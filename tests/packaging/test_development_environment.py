"""Development environment: built from nothing by the first step of `make demo` and `make test`."""

from pathlib import Path

import pytest

from support.environments import ROOT, Environment, run

pytestmark = pytest.mark.packaging


def test_make_builds_the_environment_for_development(tmp_path: Path) -> None:
    built = run(["make", "venv", f"VENV={tmp_path / 'dev'}"], cwd=ROOT)
    assert built.returncode == 0, built.stdout + built.stderr
    printed = Environment(tmp_path / "dev").run("scheduler", "--version")
    assert printed.stdout.startswith("slotsmith "), printed.stderr
