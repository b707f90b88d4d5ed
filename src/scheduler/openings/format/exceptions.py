"""Opening exceptions: altered days and listed exceptions, as exceptions of a schedule.

Owns: what the openings format (`docs/openings.md`) says of days that are not like the others.
Holds: T2 and T3 (a entry of wall-clock time to instants; one that the clock skips is none), A4 to A6 through the
exceptions that it builds.
Must not know: files, places, the database.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from datetime import date, datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from scheduler.core.errors import InvalidInputError
from scheduler.core.schedules import AvailabilityException, AvailabilityRule, ExceptionType
from scheduler.core.zones import instant_at, local_day
from scheduler.openings.format.hours import (
    LONGEST_TEXT,
    MIDNIGHT,
    capacity_of,
    clock_from,
    minutes_of,
    numbered,
    pairs_from,
    shown_clock,
)
from scheduler.openings.format.json_fields import Fields, Json, day_from, list_from, object_from, shown

_LOCAL: Final = re.compile(r"([0-9-]{10})[T ]([0-9:]{5,8})")


class ReasonedException(NamedTuple):
    """An exception and why it is there."""

    exception: AvailabilityException
    reason: str | None


class ParsedException(NamedTuple):
    """An exception before it belongs to a doctor. `day` and `clock` (in seconds) are its start on the wall."""

    type: ExceptionType
    day: date
    clock: int
    start_at: datetime
    end_at: datetime
    clinic: str | None = None
    slot_duration: timedelta | None = None
    slot_interval: timedelta | None = None
    capacity: int | None = None
    reason: str | None = None


def altered_days(alterations: Json, zone: ZoneInfo) -> tuple[ParsedException, ...]:
    """Read the days with other hours than the weekly ones: an override a pair, a blocked day where there is none.

    Raises:
        InvalidInputError: a day or time cannot be read.
    """
    return tuple(_altered(alterations, zone))


def listed_exceptions(listed: Json, zone: ZoneInfo, rules: Iterable[AvailabilityRule]) -> tuple[ParsedException, ...]:
    """Read a list of exceptions; a clinic that one of them names is among the rules.

    Raises:
        InvalidInputError: a time, type, clinic or number cannot be read, or an end is not after its start.
    """
    return tuple(_listed(listed, zone, {str(rule.id) for rule in rules}))


def exceptions_of(
    parsed: Iterable[ParsedException], rules: Iterable[AvailabilityRule]
) -> tuple[ReasonedException, ...]:
    """Build one doctor's exceptions, named by type and local start; those of another doctor's clinic are not theirs.

    Raises:
        InvalidInputError: an exception contradicts itself.
    """
    mine = {None, *(rule.id for rule in rules)}
    found = [entry for entry in parsed if entry.clinic in mine]
    found.sort(key=lambda entry: (entry.day, entry.clock, entry.type, entry.end_at, repr(entry)))
    seen: Counter[str] = Counter()
    return tuple(_exception(entry, seen) for entry in found)


def _exception(entry: ParsedException, seen: Counter[str]) -> ReasonedException:
    exception = AvailabilityException(
        id=numbered(f"{entry.type} {entry.day}T{shown_clock(entry.clock)}", seen),
        type=entry.type,
        start_at=entry.start_at,
        end_at=entry.end_at,
        rule_id=entry.clinic,
        slot_duration=entry.slot_duration,
        slot_interval=entry.slot_interval,
        capacity=entry.capacity,
    )
    return ReasonedException(exception, entry.reason)


def _altered(alterations: Json, zone: ZoneInfo) -> Iterator[ParsedException]:
    for name, pairs in object_from(alterations, where="alterations").items():
        day = day_from(name, where="alterations")
        if pairs is None:
            continue  # unknown, as in the weekly hours
        open_hours = [
            ParsedException(ExceptionType.OVERRIDE, day, opens, start_at, end_at)
            for opens, closes in pairs_from(pairs, where=f"alterations: {name}")
            for start_at, end_at in _between(zone, (day, opens), (day, closes if closes > opens else closes + MIDNIGHT))
        ]
        if open_hours:
            yield from open_hours
        else:  # closed, or open only at hours that the clock skips: either way nothing is offered that day
            whole = local_day(zone, day)
            if whole is not None:
                yield ParsedException(ExceptionType.BLOCKED, day, 0, whole.start, whole.end)


def _listed(listed: Json, zone: ZoneInfo, rules: Collection[str]) -> Iterator[ParsedException]:
    for position, entry in enumerate(list_from(listed, where="exceptions"), start=1):
        where = f"exceptions: number {position}"
        fields = Fields(entry, where=where)
        kind = fields.take("type")
        if not isinstance(kind, str) or kind not in set(ExceptionType):
            fields.refuse(f"type must be one of {', '.join(ExceptionType)}, not {shown(kind)}")
        start = _local(fields.take("start"), where=f"{where}: start")
        end = _local(fields.take("end"), where=f"{where}: end")
        if start >= end:
            fields.refuse(f"it ends at {end[0]} {shown_clock(end[1])}, which is not after its start")
        clinic = fields.code("clinic")
        rule = clinic and f"clinic {clinic}"
        if rule is not None and rule not in rules:
            fields.refuse(f"there is no clinic with the code {shown(clinic)}")
        duration, interval = minutes_of(fields, "slot_minutes"), minutes_of(fields, "interval_minutes")
        capacity = capacity_of(fields)
        reason = fields.text("reason", longest=LONGEST_TEXT)
        fields.end()
        for start_at, end_at in _between(zone, start, end):
            yield ParsedException(
                ExceptionType(kind), *start, start_at, end_at, rule, duration, interval, capacity, reason
            )


def _between(zone: ZoneInfo, start: tuple[date, int], end: tuple[date, int]) -> Iterator[tuple[datetime, datetime]]:
    """Yield the instants of a entry of wall-clock time, or nothing where the clock skips all of it (T3)."""
    start_at, end_at = (instant_at(zone, day, timedelta(seconds=clock)) for day, clock in (start, end))
    if start_at < end_at:
        yield start_at, end_at


def _local(value: Json, *, where: str) -> tuple[date, int]:
    match = _LOCAL.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise InvalidInputError(f"{where}: {shown(value)} is not a local time such as 2027-03-28T09:00")
    return day_from(match[1], where=where), clock_from(match[2], where=where, closing=True)
