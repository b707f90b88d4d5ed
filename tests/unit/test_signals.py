"""Signals to the command line: one line and the exit code of the signal, whatever error the interruption causes."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from io import TextIOWrapper
from pathlib import Path
from typing import NoReturn

import pytest

from scheduler.cli import app as application
from scheduler.cli.app import run
from scheduler.cli.job_retries import JobRetries
from scheduler.cli.privacy import _target
from scheduler.cli.signals import watched_signals
from scheduler.postgres.errors import DatabaseUnreachableError

LINE = "interrupted: whole batches stay, nothing is half-written\n"


@pytest.fixture(autouse=True)
def handled() -> Iterator[None]:
    """Let an interruption be one, also where a shell started the tests in the background and ignores it for them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def stop(number: int) -> None:
    with suppress(KeyboardInterrupt):
        signal.raise_signal(number)  # for this thread: a signal of the process may reach another one


def hidden_by_the_driver() -> NoReturn:
    """Fail as a driver does that cleans up a connection after an interruption."""
    stop(signal.SIGINT)
    raise DatabaseUnreachableError("no connection to the database: the connection is closed")


def hidden_by_a_fault() -> NoReturn:
    stop(signal.SIGINT)
    raise RuntimeError("generator didn't stop")


def swallowed() -> NoReturn:
    stop(signal.SIGINT)
    sys.exit(0)


def test_an_interruption_is_not_repeated_as_a_lost_connection() -> None:
    calls: list[int] = []

    def work() -> NoReturn:
        calls.append(1)
        hidden_by_the_driver()

    with watched_signals(), pytest.raises(DatabaseUnreachableError):
        JobRetries(attempts=3, first_pause=timedelta(0))(work)
    assert calls == [1]


def exporting(number: int, folder: Path) -> NoReturn:
    with _target(folder / "export.json") as file:
        file.write("decrypted values")
        signal.raise_signal(number)
    sys.exit(0)


@pytest.mark.parametrize(("command", "code"), [(hidden_by_the_driver, 130), (hidden_by_a_fault, 130), (swallowed, 130)])
def test_an_interruption_stays_one_under_another_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: Callable[[], NoReturn], code: int
) -> None:
    monkeypatch.setattr(application, "app", lambda **_: command())
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as end:
        run()
    assert (end.value.code, capsys.readouterr().err) == (code, LINE)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


def test_a_signal_during_the_last_flush_is_an_interruption(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(application, "app", lambda **_: sys.exit(0))
    monkeypatch.setattr(application, "flush_output", lambda: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(SystemExit) as end:
        run()
    assert (end.value.code, capsys.readouterr().err) == (143, LINE)


def test_an_interrupted_command_waits_for_no_reader(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Standard output is a full pipe that nobody reads."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, bytes(1 << 12))
    os.set_blocking(writer, True)

    def command(**_: object) -> NoReturn:
        sys.stdout.write("a line\n")
        stop(signal.SIGTERM)
        sys.exit(0)

    monkeypatch.setattr(application, "app", command)
    monkeypatch.setattr(sys, "stdout", TextIOWrapper(os.fdopen(writer, "wb", closefd=False)))
    with pytest.raises(SystemExit) as end:
        run()
    os.close(reader)
    os.close(writer)
    assert (end.value.code, capsys.readouterr().err) == (143, LINE)


def unhandled(number: int, _: object) -> NoReturn:
    """Fail the test, where the default would end the tests."""
    raise AssertionError(number)


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM])
def test_a_signal_leaves_no_half_written_export(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, number: signal.Signals
) -> None:
    monkeypatch.setattr(application, "app", lambda **_: exporting(number, tmp_path))
    before = signal.signal(number, unhandled)
    try:
        with pytest.raises(SystemExit) as end:
            run()
    finally:
        signal.signal(number, before)
    assert (end.value.code, list(tmp_path.iterdir())) == (128 + number, [])


def test_an_error_without_a_signal_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(**_: object) -> NoReturn:
        raise RuntimeError

    monkeypatch.setattr(application, "app", fail)
    with pytest.raises(RuntimeError):
        run()


def test_an_ignored_signal_stays_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """A job in the background of a shell, or under nohup, is not stopped by Ctrl-C at the terminal."""

    def command(**_: object) -> NoReturn:
        signal.raise_signal(signal.SIGINT)
        sys.exit(0)

    monkeypatch.setattr(application, "app", command)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with pytest.raises(SystemExit) as end:
            run()
    finally:
        signal.signal(signal.SIGINT, before)
    assert end.value.code == 0
