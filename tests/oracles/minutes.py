"""Expansion minute by minute: a slow oracle for the engine (S5).

Owns: T2-T4, A1-A6, S1, S2, S4 and the releases of Q5 a second time, from first principles. The oracle walks UTC minute
by minute, asks zoneinfo for the wall time, and treats open time as a set of minutes. A wall time is *reached* when the
wall clock first shows it or a later time (T3): a window holds the minutes at which its start has been reached and its
end has not. Times are whole minutes from 1973 on (older offsets have seconds).
Must not know: anything of `scheduler.core` but the value types.
"""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from itertools import accumulate
from typing import NamedTuple
from zoneinfo import ZoneInfo

from oracles.minute_sets import MINUTE, instant_of, minute_of, minutes_of, runs
from oracles.recurrences import recurring_days, started_in_time
from scheduler.core.schedules import AvailabilityException, AvailabilityRule, ExceptionType, Schedule
from scheduler.core.slots import Id, Slot
from scheduler.core.spans import Span

ONE_DAY = timedelta(days=1)
# A window begins at most two local days before its last minute, and local days are at most a day off UTC's.
MARGIN = timedelta(days=3)


class Walk(NamedTuple):
    """The wall time of each minute, and the latest wall time up to then."""

    shown: dict[int, datetime]
    reached: dict[int, datetime]


class Kind(NamedTuple):
    """The fields that the slots of one window share."""

    rule: AvailabilityRule | None
    duration: timedelta
    interval: timedelta
    capacity: int


@dataclass(frozen=True)
class Window:
    """An unbroken row of minutes, the minute at which its grid begins (None: no slot fits), and the closed minutes.

    Its slots are released at an instant, if its rule has a release.
    """

    minutes: list[int]
    grid: int | None
    kind: Kind
    closed: frozenset[int] = frozenset()
    released_at: datetime | None = None


@lru_cache(maxsize=32)
def walk(zone: ZoneInfo, first: int, last: int) -> Walk:
    """Return the wall times of the minutes from `first` to before `last`."""
    shown = {minute: instant_of(minute).astimezone(zone).replace(tzinfo=None) for minute in range(first, last)}
    return Walk(shown, dict(zip(shown, accumulate(shown.values(), max), strict=True)))


def recurs(rule: AvailabilityRule, zone: ZoneInfo, day: date) -> bool:
    """Tell whether a rule has no recurrence, or its recurrence names a day."""
    if rule.recurrence is None:
        return True
    month = day.replace(day=1)
    named = recurring_days(rule.recurrence, rule.effective_from, rule.day_of_week, month, month + 31 * ONE_DAY)
    return day in named and started_in_time(rule.recurrence, datetime.combine(day, rule.start_time), zone)


def effective(rule: AvailabilityRule, day: date) -> bool:
    """Tell whether a rule is active and in force on a day."""
    begun = rule.effective_from is None or rule.effective_from <= day
    over = rule.effective_until is not None and rule.effective_until < day
    return rule.active and begun and not over


def of_date(rule: AvailabilityRule, zone: ZoneInfo, day: date) -> bool:
    """Tell whether a date is one of a rule's: by its weekday, or without one by its recurrence."""
    return recurs(rule, zone, day) if rule.day_of_week is None else rule.day_of_week == day.isoweekday() % 7


def works(rule: AvailabilityRule, zone: ZoneInfo, day: date) -> bool:
    """Tell whether a rule has a window on a local date, without exceptions and closures (A2)."""
    return effective(rule, day) and of_date(rule, zone, day) and recurs(rule, zone, day)


def overrides_on(schedule: Schedule, day: date) -> list[AvailabilityException]:
    """Return the overrides whose start lies on a local date."""
    return [
        exception
        for exception in schedule.exceptions
        if exception.type is ExceptionType.OVERRIDE and exception.start_at.astimezone(schedule.zone).date() == day
    ]


def is_replaced(rule: AvailabilityRule, overrides: list[AvailabilityException]) -> bool:
    """Tell whether an override replaces a rule (A4, A6)."""
    return any(override.rule_id in {None, rule.id} for override in overrides)


def between(seen: Walk, day: date, start_time: time, end_time: time) -> list[int]:
    """Return the minutes between two wall times; an end not after the start lies on the next day (T2, T3)."""
    start = datetime.combine(day, start_time)
    end = datetime.combine(day + ONE_DAY if end_time <= start_time else day, end_time)
    walls = list(seen.reached.values())  # the latest wall time never goes back
    return list(seen.reached)[bisect_left(walls, start) : bisect_left(walls, end)]


@lru_cache(maxsize=4096)
def first_shown(zone: ZoneInfo, wall: datetime) -> datetime:
    """Return the first minute at which the wall clock shows a time or a later one (T3)."""

    def shown(instant: datetime) -> datetime:
        return instant.astimezone(zone).replace(tzinfo=None)

    instant = wall.replace(tzinfo=zone).astimezone(UTC)  # of a repeated time the first, of a skipped one a later time
    if shown(instant) != wall:
        while shown(instant - MINUTE) >= wall:
            instant -= MINUTE
    return instant


def release(rule: AvailabilityRule | None, zone: ZoneInfo, day: date) -> datetime | None:
    """Return the instant at which a rule's slots of a local day are released (Q5)."""
    if rule is None or rule.release is None:
        return None
    return first_shown(zone, datetime.combine(day - rule.release.days_before * ONE_DAY, rule.release.at))


def closed_minutes(schedule: Schedule, seen: Walk) -> frozenset[int]:
    """Return the minutes at which the facility is closed for a part of a day (A3)."""
    days = {wall.date() for wall in seen.shown.values()}
    return frozenset(
        minute
        for closure in schedule.closures
        if closure.start_time is not None and closure.end_time is not None and closure.day in days
        for minute in between(seen, closure.day, closure.start_time, closure.end_time)
    )


def rule_windows(schedule: Schedule, seen: Walk, day: date, closed: frozenset[int]) -> Iterator[Window]:
    """Yield the windows of the rules on a local date."""
    if day in {closure.day for closure in schedule.closures if closure.start_time is None}:
        return
    overrides = overrides_on(schedule, day)
    for rule in schedule.rules:
        if not works(rule, schedule.zone, day) or is_replaced(rule, overrides):
            continue
        minutes = between(seen, day, rule.start_time, rule.end_time)
        step = rule.slot_alignment
        grid = next(
            (
                minute
                for minute in minutes
                if step is None or not (seen.shown[minute] - datetime.combine(seen.shown[minute], time.min)) % step
            ),
            None,
        )
        kind = Kind(rule, rule.slot_duration, rule.slot_interval or rule.slot_duration, rule.capacity)
        yield Window(minutes, grid, kind, closed, release(rule, schedule.zone, day))


def bases(schedule: Schedule, override: AvailabilityException, day: date) -> list[AvailabilityRule]:
    """Return the rules that supply the parameters that an override lacks (A4)."""
    if override.rule_id is not None:
        return [rule for rule in schedule.rules if rule.active and rule.id == override.rule_id]
    in_force = [rule for rule in schedule.rules if effective(rule, day)]
    return [rule for rule in in_force if of_date(rule, schedule.zone, day)] or in_force


def kinds(schedule: Schedule, override: AvailabilityException, day: date) -> Iterator[Kind]:
    """Yield the kinds of an override's slots: one for each base rule, or its own (A4)."""
    duration, interval = override.slot_duration, override.slot_interval or override.slot_duration
    base_rules = bases(schedule, override, day)
    for rule in base_rules:
        yield Kind(
            rule,
            duration or rule.slot_duration,
            interval or rule.slot_interval or rule.slot_duration,
            override.capacity or rule.capacity,
        )
    if not base_rules and duration is not None and interval is not None:
        yield Kind(None, duration, interval, override.capacity or 1)


def override_windows(schedule: Schedule, day: date) -> Iterator[Window]:
    """Yield the windows of the overrides of a local date: their union for each kind of slot."""
    opened: dict[Kind, set[int]] = {}
    for override in overrides_on(schedule, day):
        for kind in kinds(schedule, override, day):
            opened.setdefault(kind, set()).update(minutes_of([Span(override.start_at, override.end_at)]))
    for kind, minutes in opened.items():
        for row in runs(minutes):
            yield Window(row, row[0], kind, released_at=release(kind.rule, schedule.zone, day))


def blocked_spans(schedule: Schedule, rule: AvailabilityRule | None) -> list[Span]:
    """Return the spans that blocked and emergency exceptions remove from the windows of a rule (A5, A6)."""
    return [
        Span(exception.start_at, exception.end_at)
        for exception in schedule.exceptions
        if exception.type is not ExceptionType.OVERRIDE and exception.rule_id in {None, rule.id if rule else None}
    ]


def slots_of(schedule: Schedule, window: Window) -> Iterator[Slot]:
    """Yield the slots on a window's grid that no exception or closure removes (S1, A3, A5, A6)."""
    rule, duration, interval, capacity = window.kind
    rule_id = rule.id if rule else None
    blocked = blocked_spans(schedule, rule)
    length, step, open_minutes = duration // MINUTE, interval // MINUTE, set(window.minutes)
    minute = window.grid
    while minute in open_minutes:
        span = Span(instant_of(minute), instant_of(minute + length))
        minutes = range(minute, minute + length)
        removed = any(map(span.overlaps, blocked)) or not window.closed.isdisjoint(minutes)
        if open_minutes.issuperset(minutes) and not removed:
            offering = rule.service_offering_id if rule else None
            ids = schedule.doctor_id, schedule.facility_id, offering
            yield Slot(span.start, span.end, *ids, capacity, rule_id, window.released_at)
        minute += step


def rank(slot: Slot) -> tuple[bool, Id, int, datetime | None]:
    """Return the precedence of a slot among those of the same identity: the first wins (S2)."""
    return slot.rule_id is None, slot.rule_id or 0, slot.capacity, slot.released_at


def all_windows(schedule: Schedule, span: Span) -> list[Window]:
    """Return the windows of a schedule that reach into the span, and some around it."""
    first, last = span.start - MARGIN, span.end + MARGIN
    midnight = time(tzinfo=span.start.tzinfo)
    seen = walk(
        schedule.zone,
        minute_of(datetime.combine(first, midnight)),
        minute_of(datetime.combine(last, midnight)),
    )
    days = sorted({wall.date() for wall in seen.shown.values()})
    closed = closed_minutes(schedule, seen)
    windows: list[Window] = []
    for day in days[1:-1]:  # the first and the last may be incomplete
        windows += rule_windows(schedule, seen, day, closed)
        windows += override_windows(schedule, day)
    return windows


def working_minutes(schedule: Schedule, windows: list[Window]) -> frozenset[int]:
    """Return the minutes of the windows that no closure, blocked or emergency exception removes (A3, A5, A6)."""
    return frozenset().union(
        *(
            frozenset(window.minutes) - window.closed - minutes_of(blocked_spans(schedule, window.kind.rule))
            for window in windows
        )
    )


def slots_of_windows(schedule: Schedule, windows: list[Window], span: Span) -> list[Slot]:
    """Return the sorted slots of the windows that start in the span."""
    slots = [slot for window in windows for slot in slots_of(schedule, window) if slot.start_at in span]
    unique = {slot.identity: slot for slot in sorted(slots, key=rank, reverse=True)}
    return sorted(
        unique.values(),
        key=lambda slot: (
            slot.start_at,
            slot.end_at,
            slot.service_offering_id is not None,
            slot.service_offering_id or 0,
        ),
    )


def expand_by_minutes(schedule: Schedule, span: Span) -> list[Slot]:
    """Return the sorted slots that start in the span."""
    return slots_of_windows(schedule, all_windows(schedule, span), span)
