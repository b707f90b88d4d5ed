"""Openings file: JSON lines of places, read into values and line errors.

Owns: reading the format of `docs/openings.md` into places. A broken line becomes an error with its number and a
one-line reason; the other lines are read nevertheless. A code belongs to one place, or to one person.
Must not know: the database, the command line, the clock.
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

_MAX_LINE_BYTES: Final = 1_000_000
_MAX_FILE_BYTES: Final = 256 * _MAX_LINE_BYTES
_MAX_REASON_LENGTH: Final = 300


@dataclass(frozen=True, slots=True)
class LineError:
    """A line that cannot be read, with the reason. Lines count from 1."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class OpeningsFile:
    """The places of a file, and the errors of its broken lines."""

    places: tuple[Place, ...]
    faults: tuple[LineError, ...]


class BadLines(StrEnum):
    """Whether a file with broken lines is refused, or read without those lines."""

    REFUSE = "refuse"
    SKIP = "skip"


class InvalidOpeningsError(InvalidInputError):
    """A file with broken lines that may not be skipped. `faults` lists them all."""

    def __init__(self, faults: tuple[LineError, ...]) -> None:
        self.faults = faults
        lines = "1 line is" if len(faults) == 1 else f"{len(faults)} lines are"
        super().__init__(f"{lines} broken, first line {faults[0].line}: {faults[0].reason}")


def places_to_import(file: OpeningsFile, *, bad_lines: BadLines = BadLines.REFUSE) -> tuple[Place, ...]:
    """Return the places of a file that has no broken lines, or whose broken lines may be skipped.

    Raises:
        InvalidOpeningsError: the file has broken lines, and they may not be skipped.
        InvalidInputError: there is no place, as in an empty file.
    """
    if file.faults and bad_lines is BadLines.REFUSE:
        raise InvalidOpeningsError(file.faults)
    if not file.places:
        raise InvalidInputError("there is no place in the file: nothing to import")
    return file.places


def read_openings(path: str | Path, *, slot_duration: timedelta = timedelta(minutes=20)) -> OpeningsFile:
    """Read an openings file: JSON lines in UTF-8, one place a line; blank lines are skipped.

    `slot_duration` (whole minutes) is used where a line has no `slot_minutes`. Times are wall-clock times of each
    place's own zone.

    Raises:
        NotFoundError: there is no such file.
        InvalidInputError: the file cannot be read or is too large, or the slot duration is not 1 to 1440 minutes.
    """
    minutes, remainder = divmod(slot_duration, timedelta(minutes=1))
    if remainder or not 1 <= minutes <= 1440:  # noqa: PLR2004  # a day
        raise InvalidInputError(f"slot duration {slot_duration} is not a whole number of minutes from 1 to 1440")
    reader = _Reader(Offer(slot_duration))
    for number, line in enumerate(_lines(path), start=1):
        reader.read(number, line)
    return OpeningsFile(tuple(reader.places), tuple(reader.faults))


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


class _Reader:
    """Reader of lines, which remembers the codes and names that later lines must not repeat or contradict."""

    def __init__(self, offer: Offer) -> None:
        self.places: list[Place] = []
        self.faults: list[LineError] = []
        self._offer = offer
        self._lines_by_slug: dict[str, int] = {}
        self._names_by_code: dict[str, tuple[int, str]] = {}

    def read(self, number: int, line: bytes | None) -> None:
        try:
            if line is None:
                raise InvalidInputError(f"the line is longer than {_MAX_LINE_BYTES:,} bytes")
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
            except UnicodeDecodeError as error:
                raise InvalidInputError(f"byte {error.start + 1} is not UTF-8") from None
            if text:
                self._add(number, place_of(parse_json(text), self._offer))
        except SchedulerError as error:
            reason = " ".join(str(error).split())
            if len(reason) > _MAX_REASON_LENGTH:
                reason = f"{reason[: _MAX_REASON_LENGTH - 3]}..."
            self.faults.append(LineError(number, reason))

    def _add(self, number: int, place: Place) -> None:
        if place.slug in self._lines_by_slug:
            raise InvalidInputError(f"code {place.slug!r} is also that of line {self._lines_by_slug[place.slug]}")
        for doctor in place.doctors:
            line, name = self._names_by_code.get(doctor.code, (number, doctor.display_name))
            if name != doctor.display_name:
                raise InvalidInputError(
                    f"doctor {doctor.code!r} is {shown(doctor.display_name)} here and {shown(name)} on line {line}"
                )
        self._lines_by_slug[place.slug] = number
        for doctor in place.doctors:
            self._names_by_code.setdefault(doctor.code, (number, doctor.display_name))
        self.places.append(place)
