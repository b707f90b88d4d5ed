"""Openings file: JSON lines of places, read into values and line errors.

Owns: reading the format of `docs/openings.md` into places. A broken line becomes an error with its number and a
one-line reason; the other lines are read nevertheless. A code belongs to one place, or to one person.
Must not know: the database, the command line, the clock.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path

from scheduler.core.errors import InvalidInputError
from scheduler.core.json_fields import Json, shown
from scheduler.core.json_lines import BrokenLinesError, LineError, read_lines
from scheduler.openings.format.hours import Offer
from scheduler.openings.format.lines import place_of
from scheduler.openings.places import Place


@dataclass(frozen=True, slots=True)
class OpeningsFile:
    """The places of a file, and the errors of its broken lines."""

    places: tuple[Place, ...]
    faults: tuple[LineError, ...]


class BadLines(StrEnum):
    """Whether a file with broken lines is refused, or read without those lines."""

    REFUSE = "refuse"
    SKIP = "skip"


class InvalidOpeningsError(BrokenLinesError):
    """A file with broken lines that may not be skipped. `faults` lists them all."""


def places_to_import(file: OpeningsFile, *, bad_lines: BadLines = BadLines.REFUSE) -> tuple[Place, ...]:
    """Return the places of a file that has no broken lines, or whose broken lines may be skipped.

    Raises:
        InvalidOpeningsError: the file has broken lines, and they may not be skipped.
        InvalidInputError: there is no place, as in an empty file.
    """
    check_readable(len(file.places), file.faults, bad_lines=bad_lines)
    return file.places


def check_readable(places: int, faults: tuple[LineError, ...], *, bad_lines: BadLines = BadLines.REFUSE) -> None:
    """Refuse a file with broken lines, unless they may be skipped, and a file without places.

    Raises:
        InvalidOpeningsError: the file has broken lines, and they may not be skipped.
        InvalidInputError: there is no place, as in an empty file.
    """
    if faults and bad_lines is BadLines.REFUSE:
        raise InvalidOpeningsError(faults)
    if not places:
        raise InvalidInputError("there is no place in the file: nothing to import")


def read_openings(path: str | Path, *, slot_duration: timedelta = timedelta(minutes=20)) -> OpeningsFile:
    """Read an openings file: JSON lines in UTF-8, one place a line; blank lines are skipped.

    `slot_duration` (whole minutes) is used where a line has no `slot_minutes`. Times are wall-clock times of each
    place's own zone.

    Raises:
        NotFoundError: there is no such file.
        InvalidInputError: the file cannot be read or is too large, or the slot duration is not 1 to 1440 minutes.
    """
    places: list[Place] = []
    faults = stream_openings(path, places.append, slot_duration=slot_duration)
    return OpeningsFile(tuple(places), faults)


def stream_openings(
    path: str | Path, take: Callable[[Place], None], *, slot_duration: timedelta = timedelta(minutes=20)
) -> tuple[LineError, ...]:
    """Read an openings file as `read_openings` does, but give each place to `take`, and return the errors.

    Raises:
        NotFoundError: there is no such file.
        InvalidInputError: the file cannot be read or is too large, or the slot duration is not 1 to 1440 minutes.
    """
    minutes, remainder = divmod(slot_duration, timedelta(minutes=1))
    if remainder or not 1 <= minutes <= 1440:  # noqa: PLR2004  # a day
        raise InvalidInputError(f"slot duration {slot_duration} is not a whole number of minutes from 1 to 1440")
    return read_lines(path, _Reader(Offer(slot_duration), take).read)


class _Reader:
    """Reader of lines, which remembers the codes and names that later lines must not repeat or contradict."""

    def __init__(self, offer: Offer, take: Callable[[Place], None]) -> None:
        self._take = take
        self._offer = offer
        self._lines_by_slug: dict[str, int] = {}
        self._names_by_code: dict[str, tuple[int, str]] = {}

    def read(self, number: int, value: Json) -> None:
        place = place_of(value, self._offer)
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
        self._take(place)
