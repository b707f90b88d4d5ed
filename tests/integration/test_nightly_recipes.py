"""Recipes of `docs/nightly-job.md`: each of them starts the job, or is read by the program that would start it."""

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from celery.contrib.testing.worker import start_worker  # type: ignore[import-untyped]

from scheduler.postgres.database import Database
from support.databases import execute, new_tenant
from support.documents import ROOT, blocks, files
from support.worlds.generation import World, weekly

pytestmark = pytest.mark.database

PAGE = ROOT / "docs" / "nightly-job.md"
RUNS = "select trigger, status, schedules from scheduling.generation_runs where tenant_id = :tenant_id"


@pytest.fixture
def clinic(database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch) -> World:
    """The tenant `clinic`, which the recipes name."""
    world = World(database, new_tenant(database))
    execute(
        database_url,
        "update identity.tenants set slug = id::text where slug = 'clinic'",
        f"update identity.tenants set slug = 'clinic' where id = '{world.tenant_id}'",
    )
    world.write(weekly(1))
    monkeypatch.setenv("SCHEDULER_DATABASE_URL", database_url)
    return world


def module(name: str) -> Any:
    """Return a file of the page as a module."""
    loaded = ModuleType(name)
    exec(compile(files(PAGE)[f"{name}.py"], name, "exec"), loaded.__dict__)  # noqa: S102  # our own document
    return loaded


def test_celery_starts_the_job(clinic: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CELERY_BROKER_URL", "memory://")
    recipe = module("nightly_celery")
    recipe.app.conf.result_backend = "cache+memory://"
    (planned,) = recipe.app.conf.beat_schedule.values()
    with start_worker(recipe.app, pool="solo", perform_ping_check=False):
        counts = recipe.app.send_task(planned["task"], planned["args"]).get(timeout=60)
    assert counts["slots_created"] == len(clinic.slots()) > 0
    assert clinic.sql(RUNS) == [("celery", "succeeded", 1)]


def test_procrastinate_starts_the_job(clinic: World, empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROCRASTINATE_DATABASE_URL", empty_database_url)
    recipe = module("nightly_procrastinate")

    async def a_night() -> None:
        async with recipe.app.open_async():
            await recipe.app.schema_manager.apply_schema_async()
            await recipe.generate_slots.defer_async(timestamp=0)
            await recipe.app.run_worker_async(wait=False, install_signal_handlers=False, listen_notify=False)

    asyncio.run(a_night())
    assert clinic.sql(RUNS) == [("procrastinate", "succeeded", 1)]
    assert clinic.slots()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_reads_the_units(tmp_path: Path) -> None:
    """The command is that of this environment, since systemd looks whether it is there."""
    here = str(Path(sys.executable).with_name("scheduler"))
    for block in blocks(PAGE, "ini"):
        first, rest = block.split("\n", 1)
        (tmp_path / Path(first.removeprefix("# ")).name).write_text(rest.replace("/opt/slotsmith/bin/scheduler", here))
    units = sorted(str(path) for path in tmp_path.iterdir())
    assert [Path(unit).suffix for unit in units] == [".service", ".timer"]
    read = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    assert (read.returncode, [line for line in read.stderr.splitlines() if str(tmp_path) in line]) == (0, [])


def test_kubernetes_gets_the_command_and_its_codes() -> None:
    (job,) = (yaml.safe_load(block) for block in blocks(PAGE, "yaml"))
    spec = job["spec"]["jobTemplate"]["spec"]
    (container,) = spec["template"]["spec"]["containers"]
    policy = spec["podFailurePolicy"]["rules"][0]["onExitCodes"]
    assert policy["containerName"] == container["name"]
    assert {5, 13, 14, 143} & set(policy["values"]) == set()
    assert all(isinstance(word, str) for word in container["command"])
    (unit,) = [block for block in blocks(PAGE, "ini") if "ExecStart" in block]
    assert " ".join(container["command"]) in unit.replace("/opt/slotsmith/bin/", "")
    (line,) = [line for line in unit.splitlines() if line.startswith("RestartPrevent")]
    assert [int(code) for code in line.partition("=")[2].split()] == policy["values"]
