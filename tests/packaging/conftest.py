"""Fixtures of the packaging tests: the wheel, built once from the sdist, and one environment for each list."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from support.environments import ROOT, Environment, MakeEnvironment, build_sdist, build_wheel, empty_environment


@pytest.fixture(scope="session")
def session_folder() -> Iterator[Path]:
    """A folder that the system user of the embedded server may pass through, unlike those of pytest."""
    with TemporaryDirectory(prefix="slotsmith-") as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def wheel(session_folder: Path) -> Path:
    return build_wheel(build_sdist(session_folder / "sdist"), session_folder / "wheel")


@pytest.fixture(scope="session")
def environment_of(wheel: Path, session_folder: Path) -> MakeEnvironment:
    """A function that makes, once, the environment of a list below `requirements/`, with the wheel in it."""
    environments: dict[str, Environment] = {}

    def make(name: str) -> Environment:
        if name not in environments:
            environments[name] = empty_environment(session_folder / name)
            environments[name].install("--require-hashes", "--requirement", str(ROOT / "requirements" / f"{name}.txt"))
            environments[name].install(str(wheel))
            environments[name].check()
        return environments[name]

    return make
