"""Recurrence: the local days of an RFC 5545 rule.

Owns: parsing a recurrence, refusing unsupported or contradictory ones, and its days within a range (by dateutil).
Holds: A2 (a recurrence, anchored at `effective_from`, narrows a rule's weekday).
Must not know: clock times, zones, slots.

The cost depends on the range, not on the years since the anchor: a rule without COUNT repeats with its interval, so
that it may start at the last whole period before the range.
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
# The longest interval of each frequency, about four years. It also bounds the search for a first day.
_MAX_INTERVALS: Final = {"DAILY": 1461, "WEEKLY": 208, "MONTHLY": 48, "YEARLY": 4}
_WEEKDAY_CODES: Final = ("SU", "MO", "TU", "WE", "TH", "FR", "SA")
_MAX_TEXT_LENGTH: Final = 300
_MAX_COUNT: Final = 10_000
# A recurrence without a day in the calendar's last forty years has no day: they hold every leap pattern that an
# interval of up to four years can meet. The search there ends soon, since dateutil stops at the year 9999.
_LAST_FORTY_YEARS_BEGIN: Final = day_number(date(9959, 1, 1))


@dataclass(frozen=True, slots=True)
class Recurrence:
    """A parsed recurrence, constructed by `recurrence`."""

    text: str
    frequency: str
    interval: int
    anchor: date | None
    until: int | None
    counted: bool

    def days(self, first: int, last: int) -> frozenset[int]:
        """Return the day numbers of the recurrence from `first` to `last`, both inclusive."""
        if self.until is not None:
            last = min(last, self.until)
        if first > last:
            return frozenset()
        begin = self._begin(first)
        rule = rrulestr(self.text, dtstart=datetime.combine(begin, time.min))
        return frozenset(day_number(day) for day in rule.between(_midnight(first), _midnight(last), inc=True))

    def _begin(self, first: int) -> date:
        """Return the last day up to `first` from which the rule has the same days as from its anchor."""
        day = day_of(first)
        if self.anchor is None:
            whole = day.replace(day=1, month=1 if self.frequency == "YEARLY" else day.month)
            return date.fromordinal(max(1, whole.toordinal() - 7))
        if self.counted or day <= self.anchor:
            return self.anchor
        match self.frequency:
            case "DAILY" | "WEEKLY":
                step = self.interval * (7 if self.frequency == "WEEKLY" else 1)
                # One step more, since dateutil counts the rest of its first week as a whole week.
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
    if not isinstance(text, str) or not text or len(text) > _MAX_TEXT_LENGTH or not text.isascii():
        raise InvalidRecurrenceError(f"recurrence {str(text)[:60]!r} is not an RFC 5545 rule")
    parts: dict[str, str] = {}
    for part in text.upper().removeprefix("RRULE:").rstrip(";").split(";"):
        name, equals, value = part.partition("=")
        if name not in _PARTS or not equals or not value:
            raise InvalidRecurrenceError(
                f"recurrence {text!r}: {part!r} is not one of the parts that choose days ({', '.join(sorted(_PARTS))})"
            )
        if name in parts:
            raise InvalidRecurrenceError(f"recurrence {text!r} has {name} twice")
        parts[name] = value
    return parts


def _number(text: str, parts: Mapping[str, str], name: str, maximum: int) -> int:
    value = parts.get(name, "1")
    if not value.isdecimal() or not 1 <= int(value) <= maximum:
        raise InvalidRecurrenceError(f"recurrence {text!r}: {name} must be 1 to {maximum}, not {value!r}")
    return int(value)


def _until(text: str, value: str) -> int:
    match = re.fullmatch(r"(\d{8})(T\d{6}Z?)?", value)
    try:
        return day_number(date.fromisoformat(match[1] if match else ""))
    except ValueError:
        raise InvalidRecurrenceError(
            f"recurrence {text!r}: UNTIL must be a date such as 20271231, not {value!r}"
        ) from None


@lru_cache(maxsize=4096)
def recurrence(text: str, *, weekday: int, anchor: date | None) -> Recurrence:
    """Parse an RFC 5545 recurrence for a rule of this weekday (0 = Sunday), anchored at its first effective day.

    Days are local calendar days. A weekly recurrence without BYDAY means the rule's own weekday.

    Raises:
        InvalidRecurrenceError: the text is invalid, chooses times of day, lacks the anchor it needs, or never occurs.

    >>> second = recurrence("FREQ=MONTHLY;BYDAY=2TU", weekday=2, anchor=None)
    >>> [str(day_of(day)) for day in second.days(day_number(date(2027, 3, 1)), day_number(date(2027, 3, 31)))]
    ['2027-03-09']
    """
    parts = _split(text)
    frequency = parts.get("FREQ", "")
    if frequency not in _MAX_INTERVALS:
        raise InvalidRecurrenceError(f"recurrence {text!r}: FREQ must be one of {', '.join(_MAX_INTERVALS)}")
    if "COUNT" in parts and "UNTIL" in parts:
        raise InvalidRecurrenceError(f"recurrence {text!r} has both COUNT and UNTIL")
    if frequency in {"DAILY", "WEEKLY"} and re.search(r"\d", parts.get("BYDAY", "")):
        raise InvalidRecurrenceError(f"recurrence {text!r}: a numbered BYDAY needs a month or a year")
    interval = _number(text, parts, "INTERVAL", _MAX_INTERVALS[frequency])
    _number(text, parts, "COUNT", _MAX_COUNT)
    until = _until(text, parts.pop("UNTIL")) if "UNTIL" in parts else None
    by_days = {"BYDAY", "BYMONTHDAY", "BYYEARDAY", "BYWEEKNO"} & parts.keys()
    if anchor is None and (interval > 1 or "COUNT" in parts or (frequency in {"MONTHLY", "YEARLY"} and not by_days)):
        raise InvalidRecurrenceError(f"recurrence {text!r} counts from an anchor: set effective_from")
    if frequency == "WEEKLY" and "BYDAY" not in parts:
        parts["BYDAY"] = _WEEKDAY_CODES[weekday]
    elif frequency in {"MONTHLY", "YEARLY"} and not by_days and anchor is not None:
        # RFC 5545 takes these parts from DTSTART, which is not the anchor here.
        parts["BYMONTHDAY"] = str(anchor.day)
        if frequency == "YEARLY":
            parts.setdefault("BYMONTH", str(anchor.month))
    plain = ";".join(f"{name}={value}" for name, value in parts.items())
    parsed = Recurrence(plain, frequency, interval, anchor, until, "COUNT" in parts)
    _check_occurs(text, parsed)
    return parsed


def _check_occurs(text: str, parsed: Recurrence) -> None:
    endless = re.sub(r";COUNT=\d+", "", parsed.text)
    probe = Recurrence(endless, parsed.frequency, parsed.interval, parsed.anchor, None, counted=False)
    begin = datetime.combine(probe._begin(_LAST_FORTY_YEARS_BEGIN), time.min)  # noqa: SLF001  # its own module
    try:
        rule = rrulestr(endless, dtstart=begin)
        occurs = isinstance(rule, rrule) and next(iter(rule), None) is not None
    except (ValueError, TypeError, IndexError, KeyError, AttributeError) as error:
        raise InvalidRecurrenceError(f"recurrence {text!r} is not an RFC 5545 rule: {error}") from None
    if not occurs:
        raise InvalidRecurrenceError(f"recurrence {text!r} never occurs")
