"""Output that cannot be written: a full disk or a closed pipe never stops the work of a command.

Owns: standard output and standard error while a command runs, and the errors of writing to them.
Must not know: what is written; what commands do.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedWriter, FileIO, TextIOWrapper, UnsupportedOperation
from select import PIPE_BUF, select
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


class _SurvivingFile(FileIO):
    """An open file whose errors of writing are recorded instead of raised; the output in question is lost.

    Once `waits` is false, output that a reader does not take at once is lost, too.
    """

    def __init__(self, descriptor: int, errors: list[OSError]) -> None:
        super().__init__(descriptor, "wb", closefd=False)
        self._errors = errors
        self.waits = True

    def write(self, data: "ReadableBuffer", /) -> int:
        view = memoryview(data).cast("B")
        size = view.nbytes
        try:
            if not self.waits:
                ready = select([], [self], [], 0)[1]
                return super().write(view[:PIPE_BUF]) or size if ready else size  # so much fits if any does
            while (written := super().write(data)) is None:  # the file does not block, and its reader is slow
                select([], [self], [])
        except OSError as error:
            self._errors.append(error)
            return size
        return written


@contextmanager
def surviving_output() -> Iterator[list[OSError]]:
    """Let the block write to standard output and error without failing; yield the list of the errors so far.

    A character that the terminal lacks becomes a question mark.
    """
    errors: list[OSError] = []
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (_surviving(stream, errors) for stream in before)
    try:
        yield errors
    finally:
        flush_output()
        sys.stdout, sys.stderr = before


def flush_output() -> None:
    """Write what is still buffered, so that the errors of writing it are known."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:  # the process was started without it
            stream.flush()


def drop_stuck_output() -> None:
    """From now on lose output instead of waiting for its reader: an interrupted command must end."""
    for stream in (sys.stdout, sys.stderr):
        raw = getattr(getattr(stream, "buffer", None), "raw", None)
        if isinstance(raw, _SurvivingFile):
            raw.waits = False


def _surviving(stream: TextIO, errors: list[OSError]) -> TextIO:
    if not isinstance(stream, TextIOWrapper):  # a stream in memory, or None if the process has none
        return stream
    try:
        descriptor = stream.fileno()
    except UnsupportedOperation:  # in memory, too
        return stream
    return TextIOWrapper(
        BufferedWriter(_SurvivingFile(descriptor, errors)),
        stream.encoding,
        errors="replace" if stream.errors == "strict" else stream.errors,
        line_buffering=stream.line_buffering or stream.write_through,
    )
