"""Faults of the server in a night: it is stopped at once and restarted, or its disk is full (R4)."""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import psycopg
import pytest

from scheduler.postgres.database import Database
from scheduler.postgres.embedded import embedded_server
from scheduler.postgres.fresh_databases import fresh_database
from scheduler.postgres.schema.migrations import upgrade
from support.databases import execute
from support.nights import Night, gate_at, undisturbed_night, wait_until

pytestmark = pytest.mark.database


@pytest.fixture(scope="module")
def own_server() -> Iterator[Path]:
    """The folder of a server that tests may stop. It keeps what it has committed."""
    with TemporaryDirectory(prefix="slotsmith-", ignore_cleanup_errors=True) as folder:
        yield Path(folder) / "server"


def stop_at(folder: Path, files: Path, point: str, passage: int, *more: str) -> None:
    """Stop the server at once while a job is at a point, and start it again.

    With attempts left, the job goes on; else a next one does the rest.
    """
    with embedded_server(folder) as url, fresh_database(url) as own:
        upgrade(own)
        with Database(own) as database:
            undisturbed = undisturbed_night(Night.of_a_clinic(database, own, files))
            night = Night.of_a_clinic(database, own, files)
        with gate_at(own, point, passage=passage) as gate:
            job = night.start(*more)
            gate.wait(job)
            os.kill(int((folder / "data" / "postmaster.pid").read_text().split()[0]), signal.SIGQUIT)
            wait_until(lambda: not (folder / "data" / "postmaster.pid").exists())
            with embedded_server(folder):
                code = job.end()
        with Database(own) as database:
            night.world.database = database
            if "--attempts" in more:
                assert (code, job.lines()[0].startswith("error: ")) == (5, True)
                night.finish(undisturbed)
            else:
                assert (code, job.lines(), night.statuses()[-1]) == (0, [], "succeeded")
                night.check(undisturbed)


@pytest.mark.deep
@pytest.mark.parametrize(
    ("point", "passage", "more"),
    [
        ("slots created", 1, ()),
        ("checkpoints saved", 2, ()),
        ("commit sent", 3, ()),
        ("slots created", 2, ("--attempts", "1")),
        ("checkpoints saved", 2, ("--workers", "2")),
    ],
)
def test_r4_a_server_that_is_stopped_at_once_loses_no_slot(
    own_server: Path, tmp_path: Path, point: str, passage: int, more: tuple[str, ...]
) -> None:
    stop_at(own_server, tmp_path, point, passage, *more)


@contextmanager
def small_disk(server: str) -> Iterator[tuple[str, Path]]:
    """Mount a file system in memory as a tablespace of the server; yield the tablespace and its folder."""
    with psycopg.connect(server) as connection:
        ((data,),) = connection.execute("show data_directory").fetchall()
    if os.geteuid() or shutil.which("mount") is None or not Path(data).exists():
        pytest.skip("only root mounts a small disk for a server of this machine")
    name = f"small_{uuid4().hex[:12]}"
    with TemporaryDirectory(prefix="slotsmith-") as parent:
        Path(parent).chmod(0o711)
        folder = Path(parent) / "disk"
        folder.mkdir()
        options = f"size=1m,mode=700,uid={Path(data).stat().st_uid}"
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=False)
        if mounted.returncode:
            pytest.skip("this machine lets nobody mount a disk")
        try:
            execute(server, f"create tablespace {name} location '{folder}'")
            try:
                yield name, folder
            finally:
                execute(server, f"drop tablespace {name}")
        finally:
            subprocess.run(["umount", folder], check=True)


@pytest.mark.parametrize("attempts", [pytest.param(1, marks=pytest.mark.deep), 8])
def test_r4_a_full_disk_ends_the_run_and_room_lets_it_end_well(
    server: str, template: str, tmp_path: Path, attempts: int
) -> None:
    """With attempts left, the same run goes on; else the next one does the rest."""
    with (
        small_disk(server) as (tablespace, folder),
        fresh_database(server, template=template) as url,
        Database(url) as database,
    ):
        undisturbed = undisturbed_night(Night.of_a_clinic(database, url, tmp_path))
        night = Night.of_a_clinic(database, url, tmp_path)
        execute(url, f"alter table scheduling.availability_slots_2027_04 set tablespace {tablespace}")
        fill(folder)
        job = night.start("--attempts", str(attempts), "--log", "json")
        wait_until(lambda: '"53100"' in job.err.read_text())
        if attempts == 1:
            assert job.end() == 5
        (folder / "filler").unlink()
        if attempts == 1:
            assert night.statuses()[-1] == "interrupted"
            night.run()
        assert (job.end(), night.statuses()[-1]) == (5 if attempts == 1 else 0, "succeeded")
        night.check(undisturbed)


def fill(folder: Path) -> None:
    """Write a file until the disk is full."""
    with (folder / "filler").open("wb", buffering=0) as filler, suppress(OSError):
        while True:
            filler.write(bytes(4096))
