"""Recurrence: which local days an RFC 5545 rule names.

Owns: reading a recurrence, refusing what cannot be meant, and its days within a range.
Holds: A2 (a recurrence, anchored at `effective_from`, narrows a rule's weekday).
Must not know: clock times, zones, slots. The days themselves are dateutil's work.

The cost is that of the range asked for, not of the years since the anchor: a rule without COUNT repeats with its
interval, so it is begun at the last whole period before the range.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import lru_cache
from typing import Final

from dateutil.rrule import rrule, rrulestr

from scheduler.core.errors import InvalidRecurrenceError
from scheduler.core.zones import day_number, day_of

_PARTS: Final = frozenset(
    {"FREQ", "INTERVAL", "COUNT", "UNTIL", "WKST", "BYDAY"}
    | {"BYMONTH", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO", "BYSETPOS"}
)
# The longest interval that still is a rule of work: once in four years. It also bounds the search for a first day.
_LONGEST: Final = {"DAILY": 1461, "WEEKLY": 208, "MONTHLY": 48, "YEARLY": 4}
_CODES: Final = ("SU", "MO", "TU", "WE", "TH", "FR", "SA")
_LONGEST_TEXT: Final = 300
_MOST_COUNTED: Final = 10_000
# A recurrence that has no day in the calendar's last forty years has none at all (they hold every leap pattern that
# an interval of up to four years can meet); looking there ends soon, since dateutil stops at the year 9999.
_LAST_YEARS: Final = day_number(date(9959, 1, 1)), day_number(date(9999, 12, 25))


@dataclass(frozen=True, slots=True)
class Recurrence:
    """A read recurrence. Build it with `recurrence`."""

    text: str
    frequency: str
    interval: int
    anchor: date | None
    until: int | None
    counted: bool

    def days(self, first: int, last: int) -> frozenset[int]:
        """Return the numbers of the days from `first` to `last`, both inclusive, that the recurrence names."""
        if self.until is not None:
            last = min(last, self.until)
        if first > last:
            return frozenset()
        begin = self._begin(first)
        rule = rrulestr(self.text, dtstart=datetime.combine(begin, time.min))
        found = rule.between(_midnight(first), _midnight(last), inc=True)
        return frozenset(day_number(day) for day in found)

    def _begin(self, first: int) -> date:
        """Return the last day, not after `first`, from which the rule runs as it does from its anchor."""
        day = day_of(first)
        if self.anchor is None:
            whole = day.replace(day=1, month=1 if self.frequency == "YEARLY" else day.month)
            return date.fromordinal(max(1, whole.toordinal() - 7))
        if self.counted or day <= self.anchor:
            return self.anchor
        match self.frequency:
            case "DAILY" | "WEEKLY":
                step = self.interval * (7 if self.frequency == "WEEKLY" else 1)
                # One step more, since dateutil takes the rest of the week that it begins in for a whole week.
                back = (day - self.anchor).days % step + step
                return date.fromordinal(max(self.anchor.toordinal(), day.toordinal() - back))
            case "MONTHLY":
                months = (day.year - self.anchor.year) * 12 + day.month - self.anchor.month
                months -= months % self.interval
                years, month = divmod(self.anchor.month - 1 + months, 12)
                return self.anchor if months == 0 else date(self.anchor.year + years, month + 1, 1)
            case _:
                years = (day.year - self.anchor.year) // self.interval * self.interval
                return self.anchor if years == 0 else date(self.anchor.year + years, 1, 1)


def _midnight(day: int) -> datetime:
    return datetime.combine(day_of(day), time.min)


def _split(text: str) -> dict[str, str]:
    if not isinstance(text, str) or not text or len(text) > _LONGEST_TEXT or not text.isascii():
        raise InvalidRecurrenceError(f"recurrence {str(text)[:60]!r} is not an RFC 5545 rule")
    parts: dict[str, str] = {}
    for part in text.upper().removeprefix("RRULE:").rstrip(";").split(";"):
        name, equals, value = part.partition("=")
        if name not in _PARTS or not equals or not value:
            raise InvalidRecurrenceError(
                f"recurrence {text!r}: {part!r} is not a part that chooses days ({', '.join(sorted(_PARTS))})"
            )
        if name in parts:
            raise InvalidRecurrenceError(f"recurrence {text!r} says {name} twice")
        parts[name] = value
    return parts


def _number(text: str, parts: Mapping[str, str], name: str, most: int) -> int:
    value = parts.get(name, "1")
    if not value.isdecimal() or not 1 <= int(value) <= most:
        raise InvalidRecurrenceError(f"recurrence {text!r}: {name} must be 1 to {most}")
    return int(value)


def _until(text: str, value: str) -> int:
    match = re.fullmatch(r"(\d{8})(T\d{6}Z?)?", value)
    try:
        return day_number(date.fromisoformat(match[1] if match else ""))
    except ValueError:
        raise InvalidRecurrenceError(f"recurrence {text!r}: UNTIL must be a date such as 20271231") from None


@lru_cache(maxsize=4096)
def recurrence(text: str, *, weekday: int, anchor: date | None) -> Recurrence:
    """Read an RFC 5545 recurrence for a rule of this weekday (0 = Sunday), anchored at its first effective day.

    Days are local calendar days. A weekly recurrence without BYDAY means the rule's own weekday.

    Raises:
        InvalidRecurrenceError: it cannot be read, chooses times of day, needs an anchor that is not there, or never
            occurs.

    >>> second = recurrence("FREQ=MONTHLY;BYDAY=2TU", weekday=2, anchor=None)
    >>> [str(day_of(day)) for day in second.days(day_number(date(2027, 3, 1)), day_number(date(2027, 3, 31)))]
    ['2027-03-09']
    """
    parts = _split(text)
    frequency = parts.get("FREQ", "")
    if frequency not in _LONGEST:
        raise InvalidRecurrenceError(f"recurrence {text!r}: FREQ must be one of {', '.join(_LONGEST)}")
    if "COUNT" in parts and "UNTIL" in parts:
        raise InvalidRecurrenceError(f"recurrence {text!r} says both COUNT and UNTIL")
    if frequency in {"DAILY", "WEEKLY"} and re.search(r"\d", parts.get("BYDAY", "")):
        raise InvalidRecurrenceError(f"recurrence {text!r}: a numbered BYDAY needs a month or a year")
    interval = _number(text, parts, "INTERVAL", _LONGEST[frequency])
    _number(text, parts, "COUNT", _MOST_COUNTED)
    until = _until(text, parts.pop("UNTIL")) if "UNTIL" in parts else None
    places = {"BYDAY", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO"} & parts.keys()
    if anchor is None and (interval > 1 or "COUNT" in parts or (frequency in {"MONTHLY", "YEARLY"} and not places)):
        raise InvalidRecurrenceError(f"recurrence {text!r} counts from an anchor: effective_from must say which")
    if frequency == "WEEKLY" and "BYDAY" not in parts:
        parts["BYDAY"] = _CODES[weekday]
    elif frequency in {"MONTHLY", "YEARLY"} and not places and anchor is not None:
        # What RFC 5545 takes from DTSTART is said here, since the rule is begun at other days than the anchor.
        parts["BYMONTHDAY"] = str(anchor.day)
        if frequency == "YEARLY":
            parts.setdefault("BYMONTH", str(anchor.month))
    plain = ";".join(f"{name}={value}" for name, value in parts.items())
    read = Recurrence(plain, frequency, interval, anchor, until, "COUNT" in parts)
    _refuse_unreadable(text, read)
    return read


def _refuse_unreadable(text: str, read: Recurrence) -> None:
    endless = re.sub(r";COUNT=\d+", "", read.text)
    probe = Recurrence(endless, read.frequency, read.interval, read.anchor, None, counted=False)
    begin = datetime.combine(probe._begin(_LAST_YEARS[0]), time.min)  # noqa: SLF001  # its own module
    try:
        rule = rrulestr(endless, dtstart=begin)
        occurs = isinstance(rule, rrule) and next(iter(rule), None) is not None
    except (ValueError, TypeError, IndexError, KeyError, AttributeError) as error:
        raise InvalidRecurrenceError(f"recurrence {text!r} cannot be read: {error}") from None
    if not occurs:
        raise InvalidRecurrenceError(f"recurrence {text!r} never occurs")
