"""Recurrence: the local days of an RFC 5545 rule.

Owns: the days of a recurrence within a range, and refusing one that lacks an anchor or can never open its rule.
Holds: A2 (a recurrence, anchored at `effective_from`, narrows a rule's weekday, or names the days of a rule without).
Must not know: the text of a recurrence (`recurrence_parts`), ends of windows, zones, slots.

Each part of a recurrence is a set of days of a period (a week, month or year), and the parts intersect. The cost
depends on the range, not on the years since the anchor: periods have numbers, and COUNT is turned into a last day once.
"""

from calendar import isleap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, time
from functools import lru_cache
from itertools import islice
from math import gcd, lcm
from typing import Final

from scheduler.core.errors import InvalidRecurrenceError
from scheduler.core.recurrence_parts import DAILY, MONTHLY, WEEKLY, YEARLY, Parts, read_parts
from scheduler.core.validation import Validator
from scheduler.core.zones import DAY, DAYS_OF_WEEK, EPOCH_DAY, WEEKDAY_OF_DAY_0, clock_micros, day_number, day_of

_CHECK: Final = Validator(InvalidRecurrenceError)
_FIRST_DAY: Final = day_number(date.min)
_LAST_DAY: Final = day_number(date.max)
_MONTHS: Final = range(1, 13)
_COMMON_YEAR: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_LEAP_YEAR: Final = (31, 29, *_COMMON_YEAR[2:])
_CYCLE: Final = 146_097  # the days after which the calendar repeats: 400 years, a whole number of weeks
_PERIODS_OF_CYCLE: Final = {DAILY: _CYCLE, WEEKLY: _CYCLE // 7, MONTHLY: 400 * 12, YEARLY: 400}
_DAYS_OF_PERIOD: Final = {DAILY: 1, WEEKLY: 7}


@dataclass(frozen=True, slots=True)
class Recurrence:
    """A recurrence of a rule, constructed by `recurrence`.

    `last_day` is the last day by COUNT or UNTIL; by an UNTIL in UTC, the last that it may admit in any zone.
    """

    parts: Parts
    anchor: int | None
    last_day: int = _LAST_DAY

    def days(self, first: int, last: int) -> frozenset[int]:
        """Return the day numbers of the recurrence from `first` to `last`, both inclusive."""
        return frozenset(self.walk(first, last))

    def walk(self, first: int, last: int) -> Iterator[int]:
        """Yield the day numbers of the recurrence from `first` to `last`, both inclusive, in order."""
        parts = self.parts
        first = max(first, _FIRST_DAY if self.anchor is None else self.anchor)
        last = min(last, self.last_day)
        if first > last:
            return
        # A daily recurrence has months as its periods, and its interval counts days.
        is_daily = parts.frequency == DAILY
        step = 1 if is_daily else parts.interval
        anchor = first if self.anchor is None else self.anchor
        begin = self._period(first)
        begin += (self._period(anchor) - begin) % step
        for period in range(begin, self._period(last) + 1, step):
            for day in self._days_of(period):
                if first <= day <= last and not (is_daily and (day - anchor) % parts.interval):
                    yield day

    def _period(self, day: int) -> int:
        """Return the number of the week, month or year that has the day."""
        parts = self.parts
        if parts.frequency == WEEKLY:
            return (day + WEEKDAY_OF_DAY_0 - parts.week_start) // 7
        calendar_day = day_of(day)
        if parts.frequency != YEARLY:
            return calendar_day.year * 12 + calendar_day.month - 1
        if not parts.weeks:
            return calendar_day.year
        # Numbered weeks belong to the year that has most of their days.
        return max(
            year
            for year in range(calendar_day.year - 1, calendar_day.year + 2)
            if _first_week(year, parts.week_start) <= day
        )

    def _days_of(self, period: int) -> list[int]:
        """Return the days of a period in order, which may lie before the anchor: BYSETPOS counts them, too."""
        parts = self.parts
        if parts.frequency == WEEKLY:
            days = self._days_of_week(period)
        elif parts.frequency != YEARLY:
            year, month = divmod(period, 12)
            days = self._days_of_months(year, [month + 1] if month + 1 in (parts.months or _MONTHS) else [])
        elif parts.weeks:
            days = self._days_of_numbered_weeks(period)
        else:
            days = self._days_of_months(period, parts.months or _MONTHS)
        ordered = sorted(days)
        if not parts.positions:
            return ordered
        if parts.frequency == DAILY:  # each day is a set of its own
            return ordered if {1, -1} & set(parts.positions) else []
        return sorted({ordered[index] for index in _indexes(parts.positions, len(ordered))})

    def _days_of_week(self, week: int) -> set[int]:
        parts = self.parts
        first = 7 * week - WEEKDAY_OF_DAY_0 + parts.week_start
        days = {first + (weekday - parts.week_start) % 7 for _, weekday in parts.weekdays}
        if parts.months:
            days = {day for day in days if _FIRST_DAY <= day <= _LAST_DAY and day_of(day).month in parts.months}
        return days

    def _days_of_numbered_weeks(self, year: int) -> set[int]:
        week_start = self.parts.week_start
        weeks = range(_first_week(year, week_start), _first_week(year + 1, week_start), 7)
        days = {weeks[index] + day for index in _indexes(self.parts.weeks, len(weeks)) for day in range(7)}
        # The first and the last week may have days of the years beside.
        near = (
            self._days_of_months(near_year, self.parts.months or _MONTHS) for near_year in range(year - 1, year + 2)
        )
        return days.intersection(set().union(*near))

    def _days_of_months(self, year: int, months: Iterable[int]) -> set[int]:
        parts = self.parts
        month_spans = [_month_span(year, month) for month in months]
        if parts.month_days:
            days = {first + index for first, length in month_spans for index in _indexes(parts.month_days, length)}
        else:
            days = {day for first, length in month_spans for day in range(first, first + length)}
        whole_year = _first_of_year(year), sum(_LEAP_YEAR if isleap(year) else _COMMON_YEAR)
        if parts.year_days:
            days &= {whole_year[0] + index for index in _indexes(parts.year_days, whole_year[1])}
        if parts.weekdays:
            # A numbered weekday counts in the year only if nothing says months.
            spans = [whole_year] if parts.frequency == YEARLY and not parts.months else month_spans
            days &= {day for first, length in spans for day in _days_of_weekdays(parts.weekdays, first, length)}
        return days


def _indexes(numbers: Iterable[int], length: int) -> list[int]:
    """Return the indexes in a row of things that numbers from 1, or from -1 for the last, choose."""
    return [number - 1 if number > 0 else length + number for number in numbers if abs(number) <= length]


def _days_of_weekdays(weekdays: Iterable[tuple[int, int]], first: int, length: int) -> Iterator[int]:
    for number, weekday in weekdays:
        days = range(first + (weekday - first - WEEKDAY_OF_DAY_0) % 7, first + length, 7)
        yield from days if number == 0 else (days[index] for index in _indexes([number], len(days)))


def _first_of_year(year: int) -> int:
    """Return the first day of a year, also of the years beside the calendar's first and last."""
    before = year - 1
    return 365 * before + before // 4 - before // 100 + before // 400 + 1 - EPOCH_DAY


def _month_span(year: int, month: int) -> tuple[int, int]:
    """Return the first day and the length of a month."""
    lengths = _LEAP_YEAR if isleap(year) else _COMMON_YEAR
    return _first_of_year(year) + sum(lengths[: month - 1]), lengths[month - 1]


def _first_week(year: int, week_start: int) -> int:
    """Return the first day of the first week of a year: the week that has the fourth of January."""
    fourth = _first_of_year(year) + 3
    return fourth - (fourth + WEEKDAY_OF_DAY_0 - week_start) % 7


def recurrence(text: str, *, weekday: int | None, anchor: date | None, start_time: time = time.min) -> Recurrence:
    """Parse an RFC 5545 recurrence for a rule of this weekday (0 = Sunday), anchored at its first effective day.

    Days are local calendar days. A weekly recurrence without BYDAY means the rule's own weekday. A rule without a
    weekday (None) has all days of its recurrence. UNTIL bounds the starts of windows, which begin at `start_time`.

    Raises:
        InvalidRecurrenceError: the text is invalid, chooses times of day, lacks the anchor it needs, or never opens
            the rule; or another argument is invalid.

    >>> second = recurrence("FREQ=MONTHLY;BYDAY=2TU", weekday=2, anchor=None)
    >>> [str(day_of(day)) for day in second.days(day_number(date(2027, 3, 1)), day_number(date(2027, 3, 31)))]
    ['2027-03-09']
    """
    if not isinstance(text, str):
        raise InvalidRecurrenceError(f"recurrence {str(text)[:60]!r} is not an RFC 5545 rule")
    if weekday is not None:
        _CHECK.day_of_week("weekday", weekday)
    if anchor is not None:
        _CHECK.day("anchor", anchor)
    _CHECK.clock("start_time", start_time)
    return _recurrence(text, weekday, anchor, start_time)


@lru_cache(maxsize=4096)
def _recurrence(text: str, weekday: int | None, anchor: date | None, start_time: time) -> Recurrence:
    parts = _complete(text, read_parts(text), weekday, anchor)
    begin = 0 if anchor is None else day_number(anchor)
    endless = Recurrence(parts, None if anchor is None else begin)
    cycle_end = begin + repeats_after(parts)
    if next(endless.walk(begin, cycle_end), None) is None:
        raise InvalidRecurrenceError(f"recurrence {text!r} never occurs")
    first_opening = next(_of_weekday(endless, weekday, begin, cycle_end), None)
    if first_opening is None:
        name = DAYS_OF_WEEK[weekday or 0]
        raise InvalidRecurrenceError(f"recurrence {text!r} never occurs on a {name}, the weekday of its rule")
    last_day = _LAST_DAY
    if parts.count is not None:
        last_day = next(islice(endless.walk(begin, _LAST_DAY), parts.count - 1, None), _LAST_DAY)
    if parts.until is not None:
        # East of Greenwich, a wall time comes before that time of UTC, but by less than a day.
        last_day = min(_LAST_DAY, (parts.until.at + DAY * parts.until.in_utc - clock_micros(start_time)) // DAY)
    if anchor is not None and last_day < first_opening:
        raise InvalidRecurrenceError(f"recurrence {text!r} ends before it opens its rule for the first time")
    return replace(endless, last_day=last_day)


def repeats_after(parts: Parts) -> int:
    """Return the days after which an endless recurrence repeats: calendar and interval have come round together."""
    interval, frequency = parts.interval, parts.frequency
    if frequency in _DAYS_OF_PERIOD and not parts.months and not parts.month_days:
        return lcm(7, _DAYS_OF_PERIOD[frequency] * interval)  # such parts ask for no more than weekdays
    return _CYCLE * interval // gcd(interval, _PERIODS_OF_CYCLE[frequency])


def _complete(text: str, parts: Parts, weekday: int | None, anchor: date | None) -> Parts:
    """Return the parts with those that RFC 5545 takes from DTSTART: the anchor, but with the weekday of the rule."""
    states_days = parts.frequency == DAILY or bool(parts.weekdays or parts.month_days or parts.year_days)
    takes_weekday = not states_days and (parts.frequency == WEEKLY or bool(parts.weeks))
    if anchor is not None and weekday is None:
        weekday = anchor.isoweekday() % 7
    if takes_weekday and weekday is not None:
        parts, states_days = replace(parts, weekdays=((0, weekday),)), True
    if anchor is None:
        if parts.interval > 1 or parts.count is not None or not states_days:
            raise InvalidRecurrenceError(f"recurrence {text!r} counts from an anchor: set effective_from")
    elif not states_days:
        months = (anchor.month,) if parts.frequency == YEARLY else ()
        parts = replace(parts, month_days=(anchor.day,), months=parts.months or months)
    return parts


def _of_weekday(found: Recurrence, weekday: int | None, first: int, last: int) -> Iterator[int]:
    """Yield the days of a recurrence that are this weekday (None: any)."""
    weekdays = {of_part for _, of_part in found.parts.weekdays}
    if weekday is not None and weekdays and weekday not in weekdays:
        return  # without a search through four hundred years
    yield from (day for day in found.walk(first, last) if weekday in {None, (day + WEEKDAY_OF_DAY_0) % 7})
