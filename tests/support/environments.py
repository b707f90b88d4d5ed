"""Environments: fresh virtual environments, what is installed into them, and programs run in them."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
OWN_SETTINGS = ("COV_", "MAKE", "MFLAGS", "PYTEST", "PYTHON", "SCHEDULER_", "VIRTUAL_ENV")

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
            if "async" in sys.argv or ".async_" not in module.name:
                importlib.import_module(module.name)
print(*sorted(name for name in pure if "." not in name))
"""


class Environment(NamedTuple):
    """A virtual environment of its own, as an operator has one."""

    folder: Path

    def run(self, program: str, *arguments: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        """Run a program of the environment outside the checkout; the caller judges the exit code."""
        return run([str(self.folder / "bin" / program), *arguments], cwd=self.folder, **variables)

    def python(self, code: str, *arguments: str) -> str:
        """Run Python code, in which any warning is an error, and return what the code prints."""
        done = self.run("python", "-I", "-W", "error", "-c", code, *arguments)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def has(self, name: str) -> bool:
        """Return whether a package can be imported there."""
        return self.python(f"from importlib.util import find_spec; print(find_spec({name!r}) is not None)") == "True\n"

    def import_rooms(self, extras: Iterable[str]) -> None:
        """Import each module that needs no other extras, after the front door, which needs none."""
        imported = set(self.python(IMPORT_ROOMS, *extras).split())
        assert imported & {"alembic", "cryptography", "psycopg", "pydantic", "rich", "sqlalchemy", "typer"} == set()

    def install(self, *arguments: str) -> None:
        """Install without resolving anything."""
        pip("--python", str(self.folder / "bin" / "python"), "install", "--no-deps", "--no-compile", *arguments)

    def check(self) -> None:
        """Check that nothing is missing and no versions are in conflict."""
        pip("--python", str(self.folder / "bin" / "python"), "check")


MakeEnvironment = Callable[[str], Environment]


def run(command: list[str], *, cwd: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """Run a command without this process's own settings of Python, make and scheduler."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(OWN_SETTINGS)}
    return subprocess.run(
        command, cwd=cwd, env=inherited | variables, capture_output=True, text=True, check=False, timeout=600
    )


def pip(*arguments: str) -> None:
    """Run the pip of this environment."""
    done = run([sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments], cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


def empty_environment(folder: Path) -> Environment:
    """Make an environment with nothing in it, not even pip."""
    done = run([sys.executable, "-m", "venv", "--without-pip", str(folder)], cwd=folder.parent)
    assert done.returncode == 0, done.stderr
    return Environment(folder)


def build_sdist(folder: Path) -> Path:
    """Build the sdist of this checkout."""
    done = run([sys.executable, "-m", "hatchling", "build", "--target", "sdist", "--directory", str(folder)], cwd=ROOT)
    assert done.returncode == 0, done.stderr
    (sdist,) = folder.iterdir()
    return sdist


def build_wheel(source: Path, folder: Path) -> Path:
    """Build the wheel of an sdist or a source tree with the build tools that are installed here."""
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder), str(source))
    (wheel,) = folder.glob("*.whl")
    return wheel
