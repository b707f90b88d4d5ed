"""Releases: when the slots of a rule may be booked at the earliest.

Owns: the release of a rule as a value, and the instant at which the slots of a local day are released.
Holds: Q5 (so many local days before the slot's day, at a time of day; the zone's map makes an instant of it).
Must not know: rules, slots, who may book before.
"""

from dataclasses import dataclass
from datetime import datetime, time
from typing import Final
from zoneinfo import ZoneInfo

from scheduler.core.errors import InvalidInputError
from scheduler.core.validation import Validator
from scheduler.core.zones import DAY, FIRST_INSTANT, clock_micros, instant, instant_of

_CHECK: Final = Validator(InvalidInputError)

MOST_DAYS_BEFORE: Final = 366
"""The most days before a slot's day at which its rule may release it."""


@dataclass(frozen=True, slots=True)
class Release:
    """The release of a rule's slots: so many local days before the day of their window, at a wall-clock time.

    Before it, the channel `desk` alone offers and books them (Q5).

    Raises:
        InvalidInputError: the days are not a whole number from 0 to 366, or `at` is no wall-clock time.

    >>> Release(days_before=7, at=time(8))
    Release(days_before=7, at=datetime.time(8, 0))
    """

    days_before: int
    at: time

    def __post_init__(self) -> None:
        _CHECK.whole("release: days_before", self.days_before, lowest=0)
        if self.days_before > MOST_DAYS_BEFORE:
            raise InvalidInputError(f"release: days_before must be at most {MOST_DAYS_BEFORE}, not {self.days_before}")
        _CHECK.clock("release: at", self.at)


def released_on(release: Release, zone: ZoneInfo, day: int) -> datetime:
    """Return the instant at which the slots of a local day (a day number) are released (T3).

    At the calendar's beginning, it is the first instant of the calendar.
    """
    before = day - release.days_before
    return instant(max(instant_of(zone, before, before * DAY + clock_micros(release.at)), FIRST_INSTANT))
