"""Opening exceptions: altered days and listed exceptions of the openings format, as exceptions of a schedule.

Owns: how the openings format (`docs/openings.md`) writes days that differ from the weekly hours.
Holds: T2, T3 (a wall-clock span becomes instants; a span that the clock skips yields nothing), and A4, A5, A6 through
the exceptions that are built here.
Must not know: files, places, the database.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from scheduler.core.errors import InvalidInputError
from scheduler.core.json_fields import Fields, Json, day_from, list_from, object_from, shown
from scheduler.core.schedules import AvailabilityException, AvailabilityRule, ExceptionType
from scheduler.core.slots import Id
from scheduler.core.zones import instant_at, local_day
from scheduler.openings.format.hours import (
    MAX_TEXT_LENGTH,
    SECONDS_PER_DAY,
    capacity_of,
    clock_from,
    minutes_of,
    numbered,
    pairs_from,
    shown_clock,
)

_LOCAL_TIME: Final = re.compile(r"([0-9-]{10})[T ]([0-9:]{5,8})")


class ParsedException(NamedTuple):
    """An exception as the file states it; `exceptions_of` gives it to a doctor.

    `day` and `clock` (seconds since midnight) are its local start.
    """

    type: ExceptionType
    day: date
    clock: int
    start_at: datetime
    end_at: datetime
    rule_id: str | None = None
    slot_duration: timedelta | None = None
    slot_interval: timedelta | None = None
    capacity: int | None = None
    reason: str | None = None


def altered_days(alterations: Json, zone: ZoneInfo) -> Iterator[ParsedException]:
    """Yield an override for each pair of hours of an altered day, or a blocked day where there is none.

    Raises:
        InvalidInputError: a day or time cannot be read.
    """
    for name, pairs in object_from(alterations, where="alterations").items():
        day = day_from(name, where="alterations")
        if pairs is None:
            continue  # `null` counts as missing: the weekly hours hold on that day
        overrides = [
            ParsedException(ExceptionType.OVERRIDE, day, opens, start_at, end_at)
            for opens, closes in pairs_from(pairs, where=f"alterations: {name}")
            for start_at, end_at in _between(
                zone, (day, opens), (day, closes if closes > opens else closes + SECONDS_PER_DAY)
            )
        ]
        if overrides:
            yield from overrides
        else:  # closed, or open only at hours that the clock skips: either way no slot is offered that day
            whole_day = local_day(zone, day)
            if whole_day is not None:
                yield ParsedException(ExceptionType.BLOCKED, day, 0, whole_day.start, whole_day.end)


def listed_exceptions(listed: Json, zone: ZoneInfo, rules: Iterable[AvailabilityRule]) -> Iterator[ParsedException]:
    """Yield the exceptions of a list; a clinic that an exception names must be among the rules.

    Raises:
        InvalidInputError: a time, type, clinic or number cannot be read, or an end is not after its start.
    """
    rule_ids = {rule.id for rule in rules}
    for position, value in enumerate(list_from(listed, where="exceptions"), start=1):
        where = f"exceptions: number {position}"
        fields = Fields(value, where=where)
        kind = fields.take("type")
        if not isinstance(kind, str) or kind not in set(ExceptionType):
            fields.refuse(f"type must be one of {', '.join(ExceptionType)}, not {shown(kind)}")
        start = _local_time(fields.take("start"), where=f"{where}: start")
        end = _local_time(fields.take("end"), where=f"{where}: end")
        if start >= end:
            fields.refuse(f"end {end[0]} {shown_clock(end[1])} is not after start {start[0]} {shown_clock(start[1])}")
        clinic = fields.code("clinic")
        rule_id = clinic and f"clinic {clinic}"
        if rule_id is not None and rule_id not in rule_ids:
            fields.refuse(f"there is no clinic with the code {shown(clinic)}")
        duration, interval = minutes_of(fields, "slot_minutes"), minutes_of(fields, "interval_minutes")
        capacity = capacity_of(fields)
        reason = fields.text("reason", max_length=MAX_TEXT_LENGTH)
        fields.end()
        for start_at, end_at in _between(zone, start, end):
            yield ParsedException(
                ExceptionType(kind), *start, start_at, end_at, rule_id, duration, interval, capacity, reason
            )


def exceptions_of(
    parsed_exceptions: Iterable[ParsedException], rules: Iterable[AvailabilityRule]
) -> tuple[tuple[AvailabilityException, ...], tuple[tuple[Id, str], ...]]:
    """Build the exceptions of one doctor, and pairs of an exception's id and its reason.

    An id consists of type and local start. Exceptions for a clinic of another doctor are left out.

    Raises:
        InvalidInputError: an exception contradicts itself.
    """
    rule_ids = {None, *(rule.id for rule in rules)}
    own = [parsed for parsed in parsed_exceptions if parsed.rule_id in rule_ids]
    own.sort(key=lambda parsed: (parsed.day, parsed.clock, parsed.type, parsed.end_at, repr(parsed)))
    used_names: Counter[str] = Counter()
    names = [numbered(f"{parsed.type} {parsed.day}T{shown_clock(parsed.clock)}", used_names) for parsed in own]
    exceptions = tuple(
        AvailabilityException(
            id=name,
            type=parsed.type,
            start_at=parsed.start_at,
            end_at=parsed.end_at,
            rule_id=parsed.rule_id,
            slot_duration=parsed.slot_duration,
            slot_interval=parsed.slot_interval,
            capacity=parsed.capacity,
        )
        for name, parsed in zip(names, own, strict=True)
    )
    return exceptions, tuple((name, parsed.reason) for name, parsed in zip(names, own, strict=True) if parsed.reason)


def _between(zone: ZoneInfo, start: tuple[date, int], end: tuple[date, int]) -> Iterator[tuple[datetime, datetime]]:
    """Yield the instants of a wall-clock span, or nothing where the clock skips all of it (T3)."""
    start_at, end_at = (instant_at(zone, day, timedelta(seconds=clock)) for day, clock in (start, end))
    if start_at < end_at:
        yield start_at, end_at


def _local_time(value: Json, *, where: str) -> tuple[date, int]:
    match = _LOCAL_TIME.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise InvalidInputError(f"{where}: {shown(value)} is not a local time such as 2027-03-28T09:00")
    return day_from(match[1], where=where), clock_from(match[2], where=where, closing=True)
