"""JSON Lines: a file with one JSON value a line, read with an error for each broken line.

Owns: the limits of a file and its lines, and line errors with a number and a one-line reason. A broken line does not
stop the reading of the others.
Must not know: the meaning of the values.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scheduler.core.errors import InvalidInputError, NotFoundError, SchedulerError
from scheduler.core.json_fields import Json, parse_json, shown

_MAX_LINE_BYTES: Final = 1_000_000
_MAX_FILE_BYTES: Final = 256 * _MAX_LINE_BYTES
_MAX_REASON_LENGTH: Final = 300


@dataclass(frozen=True, slots=True)
class LineError:
    """A line that cannot be read, with the reason. Lines count from 1."""

    line: int
    reason: str


class BrokenLinesError(InvalidInputError):
    """A file with broken lines. `faults` lists them all."""

    def __init__(self, faults: tuple[LineError, ...]) -> None:
        self.faults = faults
        lines = "1 line is" if len(faults) == 1 else f"{len(faults)} lines are"
        super().__init__(f"{lines} broken, first line {faults[0].line}: {faults[0].reason}")


def read_lines(path: str | Path, read: Callable[[int, Json], None]) -> tuple[LineError, ...]:
    """Call `read` with the number and value of each line in UTF-8; return the errors. Blank lines are skipped.

    `read` raises a `SchedulerError` to refuse its line.

    Raises:
        NotFoundError: there is no such file.
        InvalidInputError: the file cannot be read or is too large.
    """
    return tuple(fault for number, line in enumerate(_lines(path), start=1) for fault in _read(number, line, read))


def _read(number: int, line: bytes | None, read: Callable[[int, Json], None]) -> Iterator[LineError]:
    try:
        if line is None:
            raise InvalidInputError(f"the line is longer than {_MAX_LINE_BYTES:,} bytes")
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        except UnicodeDecodeError as error:
            raise InvalidInputError(f"byte {error.start + 1} is not UTF-8") from None
        if text:
            read(number, parse_json(text))
    except SchedulerError as error:
        reason = " ".join(str(error).split())
        if len(reason) > _MAX_REASON_LENGTH:
            reason = f"{reason[: _MAX_REASON_LENGTH - 3]}..."
        yield LineError(number, reason)


def _lines(path: str | Path) -> Iterator[bytes | None]:
    """Yield the file's lines; None for a line that is too long."""
    size, in_long_line = 0, False
    for piece in _pieces(path):
        size += len(piece)
        if size > _MAX_FILE_BYTES:
            raise InvalidInputError(f"{shown(str(path))} is larger than {_MAX_FILE_BYTES:,} bytes")
        if not in_long_line:
            yield piece if len(piece) <= _MAX_LINE_BYTES else None
        in_long_line = len(piece) > _MAX_LINE_BYTES and not piece.endswith(b"\n")


def _pieces(path: str | Path) -> Iterator[bytes]:
    try:
        with Path(path).open("rb") as file:
            yield from iter(lambda: file.readline(_MAX_LINE_BYTES + 1), b"")
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {shown(str(path))}") from None
    except OSError as error:
        raise InvalidInputError(f"{shown(str(path))} cannot be read: {error.strerror}") from None
    except ValueError as error:  # a NUL in the path
        raise InvalidInputError(f"{shown(str(path))} cannot be read: {error}") from None
