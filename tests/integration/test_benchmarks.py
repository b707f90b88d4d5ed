"""Benchmarks at a tiny size: each still runs, and each checks its result before it reports a time."""

import runpy
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext, redirect_stderr, redirect_stdout
from datetime import timedelta
from importlib import import_module
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import psycopg
import pytest
from rich.table import Table

import contention
import encryption
import expansion
import families
import figures
import front_door
import generation
import holding
import importing
import migrating
import names
import nights
import peers
import row_security
import search
import search_in_tables
import search_starts
import signed_setting
import telemetry
from scheduler.postgres.encryption.key_ring import KeyRing
from support.databases import execute

COMMAND = "from scheduler.cli import main; main()"


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the benchmarks whose result was checked, once for each check."""
    checked: list[str] = []

    def recording(module: ModuleType, check: Callable[..., None]) -> Callable[..., None]:
        def recorded(*args: Any) -> None:
            check(*args)
            checked.append(module.__name__)

        return recorded

    database = (
        contention,
        families,
        figures,
        front_door,
        generation,
        holding,
        importing,
        migrating,
        names,
        nights,
        row_security,
        search_in_tables,
        signed_setting,
        telemetry,
    )
    for module in (encryption, expansion, search, search_starts, *database):
        monkeypatch.setattr(module, "check", recording(module, module.check))
    monkeypatch.delenv("SCHEDULER_TEST_DATABASE_URL", raising=False)  # pgcrypto is not on every server
    return checked


@pytest.fixture
def _one_server(monkeypatch: pytest.MonkeyPatch, migrated: str) -> None:
    """Let the benchmarks use a database of the tests' server, which they need not migrate."""
    for module in (
        contention,
        families,
        figures,
        front_door,
        generation,
        holding,
        importing,
        names,
        nights,
        row_security,
        search_in_tables,
        signed_setting,
        telemetry,
    ):
        monkeypatch.setattr(module, "embedded_server", lambda _: nullcontext(migrated))


@pytest.fixture
def _one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the benchmarks run their commands here: most of the time of a command with few rows is its imports."""
    for module in (generation, importing):
        monkeypatch.setattr(module, "subprocess", SimpleNamespace(run=run_here))


def run_here(command: list[str], *, env: dict[str, str], **_: object) -> "subprocess.CompletedProcess[str]":
    """Run `scheduler ...` or `python -c ...` in the test's process."""
    code, arguments = (command[2], command[3:]) if command[1] == "-c" else (COMMAND, command[1:])
    output, errors = StringIO(), StringIO()
    with pytest.MonkeyPatch.context() as patched, redirect_stdout(output), redirect_stderr(errors):
        patched.setattr(sys, "argv", ["scheduler", *arguments])
        patched.setenv("SCHEDULER_DATABASE_URL", env["SCHEDULER_DATABASE_URL"])
        with pytest.raises(SystemExit) as end:
            exec(code, {})  # noqa: S102  # the code that the benchmark runs in a process
    assert not end.value.code, errors.getvalue()
    return subprocess.CompletedProcess(command, 0, output.getvalue(), errors.getvalue())


def test_expansion_against_its_peers(checks: list[str]) -> None:
    assert expansion.against_peers(2, rounds=1, slow_count=1).row_count == 10
    assert checks == ["expansion"] * 4


def test_expansion_of_many_hours_and_its_growth() -> None:
    assert expansion.of_many_hours(8, rounds=1).row_count == 3
    assert expansion.growth(rounds=1).row_count == 12


def test_search(checks: list[str]) -> None:
    assert search.against_trials(rounds=1, doctors=20, days=10).row_count == 3
    assert checks == ["search"] * 3
    assert (
        search_starts.against_every_start(rounds=1, doctors=5, loads=[0.1], begin=timedelta(hours=8.6)).row_count == 1
    )
    assert checks[3:] == ["search_starts"] * 2


def test_search_against_a_solver(monkeypatch: pytest.MonkeyPatch) -> None:
    """The answers are compared where OR-Tools is installed; elsewhere the run says how to install it."""
    if find_spec("ortools") is not None:
        assert import_module("search_solver").against_cp_sat(queries=3, doctors=2, days=1).row_count == 2
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    monkeypatch.setattr(sys, "argv", ["run.py", "solver"])
    with pytest.raises(SystemExit, match=r"requirements/benchmarks\.txt$"):
        runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "run.py"), run_name="__main__")


@pytest.mark.database
@pytest.mark.usefixtures("_one_server", "_one_process")
def test_nights(checks: list[str]) -> None:
    assert nights.of_sizes(sizes=(3,), days=1).row_count == 4
    assert nights.plainer_ways(schedules=2, days=2, rounds=1).row_count == 4
    assert nights.of_workers(schedules=2, days=1, rounds=1).row_count == 4
    assert nights.of_full_size(schedules=2, days=6, workers=1).row_count == 4
    assert checks == ["nights"] * 16


@pytest.mark.database
@pytest.mark.usefixtures("_one_server")
def test_figures(checks: list[str]) -> None:
    assert figures.of_a_year(rounds=1, doctors=5, spans=(2, 4)).row_count == 2
    assert checks == ["figures"] * 4


@pytest.mark.database
@pytest.mark.usefixtures("_one_server")
def test_search_in_tables(checks: list[str]) -> None:
    assert search_in_tables.in_tables(rounds=1, doctors=5, days=9).row_count == 2
    assert checks == ["search_in_tables"] * 2


def test_encryption(checks: list[str]) -> None:
    assert encryption.against_pgcrypto(None, rounds=1).row_count == 3
    assert checks == ["encryption"]


@pytest.mark.database
@pytest.mark.usefixtures("_one_server", "_one_process")
def test_generation(checks: list[str], migrated: str) -> None:
    """The plain COPY is no slower for the audit log: neither side writes to it."""
    assert generation.against_copy(None, None, places=2, days=2, rounds=1).row_count == 4
    assert checks == ["generation"]
    with psycopg.connect(migrated) as connection:
        logged = connection.execute(
            "select count(*) from audit.system_audit_log where entity = %s", (generation.SLOTS,)
        )
        watched = connection.execute("select tgenabled from pg_trigger where tgname = 'inserts_are_logged'")
        assert (logged.fetchone(), {row[0] for row in watched}) == ((0,), {"O"})


@pytest.mark.database
@pytest.mark.usefixtures("_one_server", "_one_process")
def test_telemetry(checks: list[str]) -> None:
    assert telemetry.of_a_run(places=2, rounds=1).row_count == 4
    assert checks == ["telemetry"]


@pytest.mark.database
@pytest.mark.usefixtures("_one_server")
def test_row_security(checks: list[str]) -> None:
    assert row_security.against_none(calls=10, tenants=2).row_count == 4
    assert checks == ["row_security"] * 2


@pytest.mark.database
@pytest.mark.usefixtures("_one_server")
def test_signed_setting(checks: list[str]) -> None:
    assert signed_setting.against_none(calls=10, tenants=2).row_count == 2
    assert checks == ["signed_setting"]


@pytest.mark.database
@pytest.mark.usefixtures("_one_server")
def test_front_door(checks: list[str]) -> None:
    assert front_door.against_none(calls=2).row_count == 3
    assert checks == ["front_door"] * 3


@pytest.mark.database
@pytest.mark.usefixtures("_one_server")
def test_contention(checks: list[str]) -> None:
    tables = list(contention.against_each_other(slots=2, workers=4))
    assert [table.row_count for table in tables] == [7, 7]
    assert checks == ["contention"] * 14


@pytest.mark.database
@pytest.mark.usefixtures("_one_server")
def test_holding(checks: list[str]) -> None:
    assert holding.against_bare_sql(visits=1, rounds=1, clients=[2]).row_count == 2
    assert checks == ["holding"] * 2


@pytest.mark.database
@pytest.mark.usefixtures("_one_server")
def test_families(checks: list[str]) -> None:
    assert families.against_one_by_one(rounds=1, families=1).row_count == 3
    assert checks == ["families"] * 3


@pytest.mark.database
@pytest.mark.usefixtures("_one_server", "_one_process")
def test_importing(checks: list[str]) -> None:
    assert importing.of_two_sizes(places=2).row_count == 4
    assert checks == ["importing"] * 2


@pytest.mark.database
@pytest.mark.usefixtures("_one_server", "_one_process")
def test_names(checks: list[str]) -> None:
    assert names.against_inserts(families=2).row_count == 3
    assert checks == ["names"]


def test_a_command_of_a_benchmark_runs_in_a_process_of_its_own() -> None:
    assert generation.scheduler("--version", url="").stdout.startswith("slotsmith ")


@pytest.mark.deep
def test_a_benchmark_on_a_server_of_its_own_migrated_anew(checks: list[str]) -> None:
    assert names.against_inserts(families=2).row_count == 3
    assert checks == ["names"]


@pytest.mark.database
def test_migrating(checks: list[str], monkeypatch: pytest.MonkeyPatch, server: str) -> None:
    drop = [f"drop database if exists slotsmith_{name}_0 with (force)" for name in ("migrated", "copied")]
    monkeypatch.setattr(migrating, "embedded_server", lambda _: nullcontext(server))
    execute(server, *drop)
    try:
        assert migrating.against_a_copy(rounds=1).row_count == 2
    finally:
        execute(server, *drop)
    assert checks == ["migrating"]


def no_slots(*_: object) -> list[object]:
    return []


@pytest.mark.parametrize(
    ("owner", "name", "wrong", "benchmark"),
    [
        (peers, "careful_loop", no_slots, lambda: expansion.against_peers(1, rounds=1, slow_count=1)),
        (peers, "loop", no_slots, lambda: expansion.of_many_hours(2, rounds=1)),
        (KeyRing, "decrypt", lambda *_: "another text", lambda: encryption.against_pgcrypto(None, rounds=1)),
    ],
    ids=["expansion", "many hours", "encryption"],
)
def test_a_wrong_result_stops_a_benchmark(
    monkeypatch: pytest.MonkeyPatch, owner: object, name: str, wrong: object, benchmark: Callable[[], Table]
) -> None:
    monkeypatch.delenv("SCHEDULER_TEST_DATABASE_URL", raising=False)
    monkeypatch.setattr(owner, name, wrong)
    with pytest.raises(SystemExit, match=r"nothing to (compare|measure)"):
        benchmark()
