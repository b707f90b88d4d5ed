"""Output that cannot be written: the command goes on, and knows of the loss. Texts that could control a terminal."""

import errno
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from io import StringIO, TextIOWrapper
from pathlib import Path
from threading import Thread
from typing import NoReturn

import pytest
import typer
from rich.console import Console

from scheduler.cli import app as application
from scheduler.cli import keys, privacy, status
from scheduler.cli.app import run
from scheduler.cli.output import flush_output, surviving_output
from scheduler.postgres.statistics import FailingSchedule, Totals


@contextmanager
def standard_output(monkeypatch: pytest.MonkeyPatch, descriptor: int, encoding: str = "utf-8") -> Iterator[None]:
    stream = TextIOWrapper(os.fdopen(descriptor, "wb", closefd=False), encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    yield
    assert sys.stdout is stream


def closed_pipe() -> int:
    reader, writer = os.pipe()
    os.close(reader)
    return writer


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])  # click takes the binary stream below an ASCII one
@pytest.mark.parametrize(
    ("opened", "code"), [(lambda: os.open("/dev/full", os.O_WRONLY), errno.ENOSPC), (closed_pipe, errno.EPIPE)]
)
def test_output_that_cannot_be_written_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, opened: Callable[[], int], code: int, encoding: str
) -> None:
    descriptor = opened()
    with standard_output(monkeypatch, descriptor, encoding), surviving_output() as lost:
        for _ in range(3):
            typer.echo("a line")
            Console().print("a table")
            typer.echo("x" * 100_000)
        flush_output()
        assert {error.errno for error in lost} == {code}
    os.close(descriptor)


def test_output_is_written_whole_to_a_slow_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pipe does not block, as one that a program in another runtime shares."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    parts: list[bytes] = []

    def read() -> None:
        while part := os.read(reader, 1 << 12):
            parts.append(part)

    thread = Thread(target=read)
    with standard_output(monkeypatch, writer), surviving_output() as lost:
        thread.start()
        typer.echo("\u00e4" * 500_000)
        flush_output()
    os.close(writer)
    thread.join()
    os.close(reader)
    assert (lost, b"".join(parts).decode()) == ([], "\u00e4" * 500_000 + "\n")


def test_streams_in_memory_and_missing_ones_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = StringIO()
    monkeypatch.setattr(sys, "stdout", memory)
    monkeypatch.setattr(sys, "stderr", None)
    with surviving_output() as lost:
        typer.echo("a line")
        typer.echo("an error", err=True)
    assert (memory.getvalue(), lost, sys.stderr) == ("a line\n", [], None)


@pytest.mark.parametrize("opened", [lambda: os.open("/dev/full", os.O_WRONLY), closed_pipe])
def test_an_export_that_cannot_be_printed_whole_does_not_exit_with_0(
    monkeypatch: pytest.MonkeyPatch, opened: Callable[[], int]
) -> None:
    def export() -> NoReturn:
        with privacy._target(None) as file:
            file.write("x" * 1_000_000)
        sys.exit(0)

    monkeypatch.setattr(application, "app", lambda **_: export())
    descriptor = opened()
    with standard_output(monkeypatch, descriptor), pytest.raises(SystemExit) as end:
        run()
    os.close(descriptor)
    assert end.value.code == application.OUTPUT_LOST


HOSTILE = "a\x9b31m\u202eb\x1b[2J\nc\U000e0001"
HARMLESS = "a?31m?b?[2J?c?"


def test_status_prints_no_text_of_the_database_that_controls_a_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    failing = FailingSchedule(HOSTILE, 1, HOSTILE, HOSTILE, parked=False)
    monkeypatch.setattr(status, "opened_for", lambda *_, **__: nullcontext((None, None)))
    monkeypatch.setattr(status, "totals", lambda _: Totals(1, 1, 1, 0, None, None, None, 0, 0, 0, 0))
    monkeypatch.setattr(status, "latest_runs", lambda *_, **__: [])
    monkeypatch.setattr(status, "failing_schedules", lambda *_, **__: [failing])
    status.status()
    last = capsys.readouterr().out.split("\n")[-2]
    assert last == f"failing: {HARMLESS} (doctor 1) at {HARMLESS}: {HARMLESS}"


def test_the_list_of_keys_neither_controls_the_terminal_nor_is_markup() -> None:
    out = StringIO()
    row: dict[str, object] = {"key": "k", "purpose": "p", "state": "s", "master_key": f"[red]{HOSTILE}", "at": ""}
    Console(file=out, width=120).print(keys._table([row | {"values": 0}]))
    assert f"[red]{HARMLESS}" in out.getvalue()


def test_an_export_escapes_control_characters_and_loses_none() -> None:
    file = StringIO()
    privacy._write(file, [("t", [{"note": f"M\u00fcller \\{HOSTILE}"}])])
    assert all(line.isprintable() for line in file.getvalue().split("\n"))
    assert "M\u00fcller" in file.getvalue()
    assert json.loads(file.getvalue()) == {"t": [{"note": f"M\u00fcller \\{HOSTILE}"}]}


def test_commands_print_lines_in_one_place_only() -> None:
    """Others: an export and SQL have many lines; the reasons of a file's faults have no control characters."""
    folder = Path(privacy.__file__).parent
    printing = {path.name for path in folder.glob("*.py") if "typer.echo(" in path.read_text()}
    assert printing == {"terminal.py", "privacy.py", "migrate.py"}
