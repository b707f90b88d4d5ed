"""Host application beside the library, with its own package `models` and its own Patient and User."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from support.documents import ROOT
from support.environments import Environment, MakeEnvironment, build_wheel

pytestmark = pytest.mark.packaging

HOST = {
    "pyproject.toml": """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "host-application"
version = "1.0"
dependencies = ["slotsmith[all]"]

[tool.hatch.build.targets.wheel]
packages = ["models"]
""",
    "models/__init__.py": """
from models.people import Patient, User

__all__ = ["Patient", "User"]
""",
    "models/people.py": """
from sqlmodel import Field, Relationship, SQLModel


class User(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    name: str
    patients: list["Patient"] = Relationship(back_populates="user")


class Patient(SQLModel, table=True):
    id: int | None = Field(default=None, primary_key=True)
    name: str
    user_id: int | None = Field(default=None, foreign_key="user.id")
    user: User | None = Relationship(back_populates="patients")
""",
}
BESIDE_EACH_OTHER = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)

import models, scheduler.models
from sqlalchemy.orm import configure_mappers
from sqlmodel import Session, SQLModel, create_engine, select

configure_mappers()
assert set(SQLModel.metadata.tables) == {"user", "patient"}, sorted(SQLModel.metadata.tables)
assert not {models.User, models.Patient} & {scheduler.models.User, scheduler.models.Patient}

engine = create_engine("sqlite://")
SQLModel.metadata.create_all(engine)
with Session(engine) as session:
    session.add(models.User(name="Ann", patients=[models.Patient(name="Ben"), models.Patient(name="Cy")]))
    session.commit()
    (ann,) = session.exec(select(models.User))
    print(ann.name, *(f"{patient.name} of {patient.user.name}" for patient in ann.patients))
engine.dispose()

tenant = scheduler.models.Tenant(slug="north", name="North")
print(tenant.name, len(scheduler.models.Tenant.metadata.tables) > 50)
print(str(select(scheduler.models.User.name)).split()[-1])
"""
MIGRATIONS = """
from scheduler.postgres.schema.migrations import location

print(location())
"""


@pytest.fixture(scope="module")
def host(environment_of: MakeEnvironment, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """The environment with all extras, with the host application installed beside the library."""
    folder = tmp_path_factory.mktemp("host")
    for name, text in HOST.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    environment = environment_of("all")
    environment.install(str(build_wheel(folder, folder / "wheel")))
    environment.check()
    return environment


def test_wheel_holds_one_package(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    metadata = f"{'-'.join(wheel.name.split('-')[:2])}.dist-info"
    assert {name.split("/")[0] for name in names} == {"scheduler", metadata}
    assert len(names) == len(set(names))
    assert {"scheduler/models/identity.py", "scheduler/migrations/env.py", "scheduler/region.jsonl"} <= set(names)
    assert f"{metadata}/licenses/LICENSE" in names


@pytest.mark.parametrize("order", [("models", "scheduler.models"), ("scheduler.models", "models")], ids="-".join)
def test_tables_of_host_and_library_live_beside_each_other(order: tuple[str, str], host: Environment) -> None:
    assert host.python(BESIDE_EACH_OTHER, *order).splitlines() == [
        "Ann Ben of Ann Cy of Ann",
        "North True",
        "identity.users",
    ]


def test_every_module_imports_beside_the_host(host: Environment) -> None:
    host.import_rooms(["postgres", "cli", "embedded", "seed"])


def test_command_line_prints_its_version(host: Environment, wheel: Path) -> None:
    assert host.run("scheduler", "--version").stdout == f"slotsmith {wheel.name.split('-')[1]}\n"


def test_migrations_are_found_inside_the_wheel(host: Environment) -> None:
    assert Path(host.python(MIGRATIONS).strip()).relative_to(host.folder).parts[-2:] == ("scheduler", "migrations")
    sql = host.run("scheduler", "migrate", "--sql")
    assert (sql.returncode, "create table" in sql.stdout.lower()) == (0, True), sql.stderr


def test_installed_wheel_runs_the_demo(host: Environment, session_folder: Path) -> None:
    """The shipped region, the migrations and the embedded server come out of the wheel alone."""
    done = host.run("scheduler", "demo", "--days", "3", HOME=str(session_folder), XDG_DATA_HOME=str(session_folder))
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_example_host_has_no_type_error(tmp_path: Path) -> None:
    """Its package `models` is not that of this folder, so it is checked in a run of its own."""
    arguments = ["--strict", "--config-file=", f"--cache-dir={tmp_path}", "."]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *arguments],
        cwd=ROOT / "examples" / "fastapi_host",
        env=os.environ | {"MYPYPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
