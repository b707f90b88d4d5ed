"""Recurrence parts: the grammar of an RFC 5545 recurrence (3.3.10), with the combinations of parts that it allows.

Owns: reading the text of a recurrence into numbers, and refusing each part that is invalid by itself or beside others.
Holds: A2 (parts that choose times of day are refused, since the window states them).
Must not know: weekday and anchor of a rule, the days that follow (`recurrence`), zones, slots.
"""

import re
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, time
from typing import Final, NamedTuple

from scheduler.core.errors import InvalidRecurrenceError
from scheduler.core.zones import DAY, clock_micros, day_number

DAILY, WEEKLY, MONTHLY, YEARLY = "DAILY", "WEEKLY", "MONTHLY", "YEARLY"
# The longest interval of each frequency is about four years: a longer one is a mistake.
_MAX_INTERVALS: Final = {DAILY: 1461, WEEKLY: 208, MONTHLY: 48, YEARLY: 4}
_MAX_COUNT: Final = 10_000
_MAX_TEXT_LENGTH: Final = 300
_WEEKDAY_CODES: Final = ("SU", "MO", "TU", "WE", "TH", "FR", "SA")
_MOST_OF_A_WEEKDAY: Final = {MONTHLY: 5, YEARLY: 53}


class _Numbers(NamedTuple):
    """The values that a part may list, and the frequencies that it may have."""

    highest: int
    negative: bool
    frequencies: tuple[str, ...]


# RFC 5545 3.3.10; its parts with times of day are not among them.
_NUMBERS: Final = {
    "BYMONTH": _Numbers(12, negative=False, frequencies=(DAILY, WEEKLY, MONTHLY, YEARLY)),
    "BYWEEKNO": _Numbers(53, negative=True, frequencies=(YEARLY,)),
    "BYYEARDAY": _Numbers(366, negative=True, frequencies=(YEARLY,)),
    "BYMONTHDAY": _Numbers(31, negative=True, frequencies=(DAILY, MONTHLY, YEARLY)),
    "BYSETPOS": _Numbers(366, negative=True, frequencies=(DAILY, WEEKLY, MONTHLY, YEARLY)),
}
_PARTS: Final = frozenset({"FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYDAY", *_NUMBERS})


class Until(NamedTuple):
    """The last time at which a window may start, in microseconds since 2000-01-01T00:00 on the wall or in UTC."""

    at: int
    in_utc: bool


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a recurrence as numbers; an empty tuple stands for a part that the text does not have.

    Weekdays count from 0 = Sunday. A pair of `weekdays` is a weekday's number in its month or year, or 0 for each, and
    the weekday.
    """

    frequency: str
    interval: int
    count: int | None
    until: Until | None
    week_start: int
    months: tuple[int, ...]
    weeks: tuple[int, ...]
    year_days: tuple[int, ...]
    month_days: tuple[int, ...]
    weekdays: tuple[tuple[int, int], ...]
    positions: tuple[int, ...]


def read_parts(text: str) -> Parts:
    """Read the parts of an RFC 5545 recurrence, in capital letters or not, with or without its name.

    Raises:
        InvalidRecurrenceError: the text is invalid or chooses times of day.
    """
    return _Text(text).parts()


class _Text:
    """A recurrence as text, and its values by the names of their parts."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._values: dict[str, str] = {}
        if not text or len(text) > _MAX_TEXT_LENGTH or not text.isascii():
            raise InvalidRecurrenceError(f"recurrence {text[:60]!r} is not an RFC 5545 rule")
        for part in text.upper().removeprefix("RRULE:").rstrip(";").split(";"):
            name, equals, value = part.partition("=")
            if name not in _PARTS or not equals or not value:
                raise self._error(f"{part!r} is not one of the parts that choose days ({', '.join(sorted(_PARTS))})")
            if name in self._values:
                raise self._error(f"{name} is given twice")
            self._values[name] = value
        self._frequency = self._values.get("FREQ", "")

    def parts(self) -> Parts:
        """Return the parts as numbers."""
        values = self._values
        if self._frequency not in _MAX_INTERVALS:
            raise self._error(f"FREQ must be one of {', '.join(_MAX_INTERVALS)}, not {self._frequency!r}")
        if "COUNT" in values and "UNTIL" in values:
            raise self._error("COUNT and UNTIL exclude each other")
        if "BYSETPOS" in values and not any(name != "BYSETPOS" and name.startswith("BY") for name in values):
            raise self._error(f"BYSETPOS={values['BYSETPOS']} needs another BY part to choose from")
        week_start = values.get("WKST", "MO")
        if week_start not in _WEEKDAY_CODES:
            raise self._error(f"WKST must be a weekday such as MO, not {week_start!r}")
        return Parts(
            frequency=self._frequency,
            interval=self._number("INTERVAL", _MAX_INTERVALS[self._frequency]),
            count=self._number("COUNT", _MAX_COUNT) if "COUNT" in values else None,
            until=self._until(),
            week_start=_WEEKDAY_CODES.index(week_start),
            months=self._numbers("BYMONTH"),
            weeks=self._numbers("BYWEEKNO"),
            year_days=self._numbers("BYYEARDAY"),
            month_days=self._numbers("BYMONTHDAY"),
            weekdays=tuple(map(self._weekday, self._listed("BYDAY"))),
            positions=self._numbers("BYSETPOS"),
        )

    def _error(self, reason: str) -> InvalidRecurrenceError:
        return InvalidRecurrenceError(f"recurrence {self._text!r}: {reason}")

    def _listed(self, name: str) -> list[str]:
        return self._values[name].split(",") if name in self._values else []

    def _number(self, name: str, highest: int) -> int:
        value = self._values.get(name, "1")
        if not value.isdecimal() or not 1 <= int(value) <= highest:
            raise self._error(f"{name} must be 1 to {highest}, not {value!r}")
        return int(value)

    def _numbers(self, name: str) -> tuple[int, ...]:
        highest, negative, frequencies = _NUMBERS[name]
        if name in self._values and self._frequency not in frequencies:
            needed = " or ".join(f"FREQ={frequency}" for frequency in frequencies)
            raise self._error(f"{name}={self._values[name]} needs {needed}, not FREQ={self._frequency}")
        numbers = []
        for value in self._listed(name):
            number = int(value) if re.fullmatch(r"[+-]?\d{1,3}" if negative else r"\d{1,2}", value) else 0
            if not 1 <= abs(number) <= highest:
                allowed = f"1 to {highest}" + (f" or -{highest} to -1" if negative else "")
                raise self._error(f"{name} must be {allowed}, not {value!r}")
            numbers.append(number)
        return tuple(numbers)

    def _weekday(self, value: str) -> tuple[int, int]:
        match = re.fullmatch(rf"([+-]?\d{{1,2}})?({'|'.join(_WEEKDAY_CODES)})", value)
        if match is None:
            raise self._error(f"BYDAY must be a weekday such as MO, 2TU or -1FR, not {value!r}")
        weekday = _WEEKDAY_CODES.index(match[2])
        if match[1] is None:
            return 0, weekday
        if self._frequency not in _MOST_OF_A_WEEKDAY:
            raise self._error(f"BYDAY={value}: a number needs FREQ=MONTHLY or FREQ=YEARLY, not FREQ={self._frequency}")
        if "BYWEEKNO" in self._values:
            raise self._error(f"BYDAY={value}: a number cannot stand beside BYWEEKNO")
        scope = MONTHLY if "BYMONTH" in self._values else self._frequency
        if not 1 <= abs(int(match[1])) <= _MOST_OF_A_WEEKDAY[scope]:
            span = "month" if scope == MONTHLY else "year"
            raise self._error(
                f"BYDAY={value}: the number of a weekday in its {span} is 1 to {_MOST_OF_A_WEEKDAY[scope]}"
            )
        return int(match[1]), weekday

    def _until(self) -> Until | None:
        if "UNTIL" not in self._values:
            return None
        value = self._values["UNTIL"]
        match = re.fullmatch(r"(\d{8})(?:T(\d\d)(\d\d)(\d\d)(Z?))?", value)
        if match is not None:
            with suppress(ValueError):
                return _until(*match.groups())
        raise self._error(f"UNTIL must be a date such as 20271231, or a time such as 20271231T235959Z, not {value!r}")


def _until(day: str, hour: str | None, minute: str, second: str, zone: str) -> Until:
    """Return the time of UNTIL; a date means the whole day.

    Raises:
        ValueError: the calendar has no such date, or the day no such time.
    """
    midnight = day_number(date.fromisoformat(day)) * DAY
    if hour is None:
        return Until(midnight + DAY - 1, in_utc=False)
    # RFC 5545 3.3.12: a leap second counts as the second before it.
    clock = time(int(hour), int(minute), 59 if second == "60" else int(second))
    return Until(midnight + clock_micros(clock), in_utc=zone == "Z")
