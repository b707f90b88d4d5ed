"""Requirement lists: each list below `requirements/` holds exactly the packages that the project asks for.

pip installs the lists with `--no-deps`, so that a younger release on an index cannot break an installation. Therefore
a list must be complete. The requirements of a package come from its installed metadata, for this machine's markers.
"""

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import distribution, version
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]
OF_DEVELOPMENT = [
    *PROJECT["dependencies"],
    *(f"slotsmith[{extra}]" for extra in EXTRAS),
    *PYPROJECT["dependency-groups"]["dev"],
    *PYPROJECT["build-system"]["requires"],  # the editable installation builds without isolation
]
REQUIREMENTS = {
    "dev": OF_DEVELOPMENT,
    "core": PROJECT["dependencies"],
    **{extra: [*PROJECT["dependencies"], f"slotsmith[{extra}]"] for extra in EXTRAS},
}


@dataclass(frozen=True)
class Resolution:
    """The packages that requirements reach in a list, and the requirements that the list does not satisfy."""

    reached: frozenset[str]
    unsatisfied: tuple[str, ...]


def text_of(name: str) -> str:
    return (ROOT / "requirements" / f"{name}.txt").read_text(encoding="utf-8")


def pins_of(text: str) -> dict[str, str]:
    """Return the pinned version of each package that a list holds for this machine."""
    lines = [line.removesuffix("\\") for line in text.splitlines() if not line.startswith(" ")]
    pins = [Requirement(line) for line in lines]
    return {
        canonicalize_name(pin.name): str(pin.specifier).removeprefix("==")
        for pin in pins
        if pin.marker is None or pin.marker.evaluate()
    }


@cache
def requirements_of(name: str, extra: str) -> tuple[Requirement, ...]:
    """Return the requirements of a package (or of this project) that apply here with this extra ("" for none)."""
    if name == "slotsmith":
        return tuple(Requirement(line) for line in (EXTRAS[extra] if extra else PROJECT["dependencies"]))
    requirements = [Requirement(line) for line in distribution(name).requires or ()]
    return tuple(each for each in requirements if each.marker is None or each.marker.evaluate({"extra": extra}))


def resolve(requirements: Iterable[str], pins: Mapping[str, str]) -> Resolution:
    """Follow the requirements from package to package through the pins."""
    waiting = [Requirement(line) for line in requirements]
    followed: set[tuple[str, str]] = set()
    reached: set[str] = set()
    unsatisfied: list[str] = []
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name != "slotsmith":
            pin = pins.get(name)
            if pin is None or not requirement.specifier.contains(pin, prereleases=True):
                unsatisfied.append(f"{requirement}, and the list holds {pin}")
            if pin is None:
                continue
            reached.add(name)
        for extra in {"", *requirement.extras}:
            if (name, extra) not in followed:
                followed.add((name, extra))
                waiting += requirements_of(name, extra)
    return Resolution(frozenset(reached), tuple(unsatisfied))


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_list_holds_every_requirement_in_a_satisfying_version(name: str) -> None:
    assert resolve(REQUIREMENTS[name], pins_of(text_of(name))).unsatisfied == ()


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_list_holds_nothing_that_is_not_required(name: str) -> None:
    pins = pins_of(text_of(name))
    assert set(pins) - resolve(REQUIREMENTS[name], pins).reached == set()


@pytest.mark.parametrize("missing", pins_of(text_of("dev")))
def test_list_without_a_package_is_refused(missing: str) -> None:
    pins = {name: pin for name, pin in pins_of(text_of("dev")).items() if name != missing}
    assert resolve(OF_DEVELOPMENT, pins).unsatisfied


def test_list_with_too_old_a_package_is_refused() -> None:
    pins = pins_of(text_of("dev")) | {"coverage": "4.0"}  # pytest-cov asks for coverage[toml]>=7
    assert [line for line in resolve(OF_DEVELOPMENT, pins).unsatisfied if line.startswith("coverage[toml]")]


def test_environment_holds_the_pinned_versions() -> None:
    """The metadata that these tests read is that of the pinned releases."""
    pins = pins_of(text_of("dev"))
    assert {name: version(name) for name in pins} == pins


@pytest.mark.parametrize("name", [name for name in REQUIREMENTS if name != "dev"])
def test_operator_lists_pin_what_the_development_list_pins(name: str) -> None:
    tested = set(re.split(r"\n(?=\S)", text_of("dev").rstrip()))
    assert set(re.split(r"\n(?=\S)", text_of(name).rstrip())) - tested == set()


@pytest.mark.parametrize("path", sorted((ROOT / "requirements").iterdir()), ids=lambda path: path.name)
def test_every_package_of_a_list_has_hashes_and_no_address(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert "://" not in text
    for package in re.split(r"\n(?=\S)", text.rstrip()):
        assert re.fullmatch(r"\S+==\S+( ; [^\\]+)?( \\\n    --hash=sha256:[0-9a-f]{64})+", package), package


def test_benchmarks_pin_what_the_development_list_pins() -> None:
    """The packages of this list are installed into the environment of the development list."""
    of_development, of_benchmarks = pins_of(text_of("dev")), pins_of(text_of("benchmarks"))
    both = of_development.keys() & of_benchmarks.keys()
    assert both
    assert {name: of_benchmarks[name] for name in both} == {name: of_development[name] for name in both}
    for line in PYPROJECT["dependency-groups"]["benchmarks"]:
        requirement = Requirement(line)
        assert requirement.specifier.contains(of_benchmarks[requirement.name])


def test_every_extra_and_the_core_have_a_list() -> None:
    files = {path.stem for path in (ROOT / "requirements").glob("*.txt")}
    assert files == {*REQUIREMENTS, "benchmarks"}
