"""Openings: a file that says who works where and when, one place a line.

Owns: reading the format of `docs/openings.md` into places. A broken line becomes a fault with its number and a
one-line reason; the other lines are read all the same.
One code is one place, and one person.
Must not know: the database, the command line, the clock. It reads the one file that it is given.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Final

from scheduler.core.errors import InvalidInputError, NotFoundError, SchedulerError
from scheduler.openings.format.hours import Offer
from scheduler.openings.format.json_fields import parse_json, shown
from scheduler.openings.format.lines import place_of
from scheduler.openings.places import Place

_LONGEST_LINE: Final = 1_000_000
_LARGEST_FILE: Final = 256 * _LONGEST_LINE
_LONGEST_REASON: Final = 300


@dataclass(frozen=True, slots=True)
class LineError:
    """A line that says nothing, and why. Lines count from 1."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class OpeningsFile:
    """What a file says: its places, and the faults of the lines that say nothing."""

    places: tuple[Place, ...]
    faults: tuple[LineError, ...]


class BadLines(StrEnum):
    """What to do with a file that has broken lines."""

    REFUSE = "refuse"
    SKIP = "skip"


class InvalidOpeningsError(InvalidInputError):
    """A file with broken lines, which nobody allowed to skip. `faults` lists them all."""

    def __init__(self, faults: tuple[LineError, ...]) -> None:
        self.faults = faults
        lines = "1 line is" if len(faults) == 1 else f"{len(faults)} lines are"
        super().__init__(f"{lines} broken, first line {faults[0].line}: {faults[0].reason}")


def places_to_import(file: OpeningsFile, *, bad_lines: BadLines = BadLines.REFUSE) -> tuple[Place, ...]:
    """Return the places of a file, if it is whole or its broken lines may be skipped.

    Raises:
        InvalidOpeningsError: it has broken lines, and they are not to be skipped.
    """
    if file.faults and bad_lines is BadLines.REFUSE:
        raise InvalidOpeningsError(file.faults)
    return file.places


def read_openings(path: str | Path, *, slot_duration: timedelta = timedelta(minutes=20)) -> OpeningsFile:
    """Read a file of openings: JSON lines in UTF-8, one place a line, blank lines skipped.

    `slot_duration` is a whole number of minutes; it holds where a line does not say `slot_minutes`. Times are wall
    clock of each place's own zone.

    Raises:
        NotFoundError: there is no such file.
        InvalidInputError: the file cannot be read or is too large, or the slot duration is not 1 to 1440 minutes.
    """
    minutes, left = divmod(slot_duration, timedelta(minutes=1))
    if left or not 1 <= minutes <= 1440:  # noqa: PLR2004  # a day
        raise InvalidInputError(f"slot duration {slot_duration} is not a whole number of minutes from 1 to 1440")
    reader = _Reader(Offer(slot_duration))
    for number, line in enumerate(_lines(path), start=1):
        reader.read(number, line)
    return OpeningsFile(tuple(reader.places), tuple(reader.faults))


def _lines(path: str | Path) -> Iterator[bytes | None]:
    """Yield the file's lines, or None for one that is longer than any place needs."""
    size, inside = 0, False
    for piece in _pieces(path):
        size += len(piece)
        if size > _LARGEST_FILE:
            raise InvalidInputError(f"{shown(str(path))} is larger than {_LARGEST_FILE:,} bytes")
        if not inside:
            yield piece if len(piece) <= _LONGEST_LINE else None
        inside = len(piece) > _LONGEST_LINE and not piece.endswith(b"\n")


def _pieces(path: str | Path) -> Iterator[bytes]:
    try:
        with Path(path).open("rb") as file:
            yield from iter(lambda: file.readline(_LONGEST_LINE + 1), b"")
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {shown(str(path))}") from None
    except OSError as error:
        raise InvalidInputError(f"{shown(str(path))} cannot be read: {error.strerror}") from None
    except ValueError as error:  # a NUL in the path
        raise InvalidInputError(f"{shown(str(path))} cannot be read: {error}") from None


class _Reader:
    """Reads line after line, and remembers what the next ones must not repeat or contradict."""

    def __init__(self, offer: Offer) -> None:
        self.places: list[Place] = []
        self.faults: list[LineError] = []
        self._offer = offer
        self._lines: dict[str, int] = {}
        self._names: dict[str, tuple[int, str]] = {}

    def read(self, number: int, line: bytes | None) -> None:
        try:
            if line is None:
                raise InvalidInputError(f"the line is longer than {_LONGEST_LINE:,} bytes")
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            except UnicodeDecodeError as error:
                raise InvalidInputError(f"byte {error.start + 1} is not UTF-8") from None
            if text:
                self._keep(number, place_of(parse_json(text), self._offer))
        except SchedulerError as error:
            reason = " ".join(str(error).split())
            cut = reason if len(reason) <= _LONGEST_REASON else f"{reason[: _LONGEST_REASON - 3]}..."
            self.faults.append(LineError(number, cut))

    def _keep(self, number: int, place: Place) -> None:
        if place.slug in self._lines:
            raise InvalidInputError(f"code {place.slug!r} is also that of line {self._lines[place.slug]}")
        for doctor in place.doctors:
            line, name = self._names.get(doctor.code, (number, doctor.display_name))
            if name != doctor.display_name:
                raise InvalidInputError(
                    f"doctor {doctor.code!r} is {shown(doctor.display_name)} here and {shown(name)} on line {line}"
                )
        self._lines[place.slug] = number
        for doctor in place.doctors:
            self._names.setdefault(doctor.code, (number, doctor.display_name))
        self.places.append(place)
