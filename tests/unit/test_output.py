"""Output that cannot be written: the command goes on, and knows of the loss."""

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import StringIO, TextIOWrapper
from threading import Thread

import pytest
import typer
from rich.console import Console

from scheduler.cli.output import flush_output, surviving_output


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
