"""Openings day by day: the slots of a line of an openings file, computed from its text alone.

Owns: T2-T4, A3-A5 and S1 for places with weekly hours and alterations only, from first principles: JSON, datetime and
zoneinfo. Instants are whole seconds since 1970 (POSIX time).
Must not know: anything of the library that it checks.
"""

import json
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

ONE_DAY = timedelta(days=1)
DAY_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
SLOT = 20 * 60

Seconds = tuple[int, int]


@lru_cache(maxsize=100_000)
def instant(zone: str, day: date, clock: str) -> int:
    """Return the first instant at which the wall clock shows a time of a day or a later one."""
    hours, minutes, *seconds = map(int, clock.split(":"))
    wall = datetime.combine(day, time()) + timedelta(hours=hours, minutes=minutes, seconds=sum(seconds))
    at = wall.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    if at.astimezone(ZoneInfo(zone)).replace(tzinfo=None) != wall:  # skipped: go back to the jump, a second at a time
        while (at - timedelta(seconds=1)).astimezone(ZoneInfo(zone)).replace(tzinfo=None) >= wall:
            at -= timedelta(seconds=1)
    return int(at.timestamp())


def span_of(zone: str, day: date, pair: list[str]) -> Seconds:
    """Return the open time of a pair on a day, which ends on the next day unless it closes later."""
    opens, closes = pair
    closing_day = day if closes[:5] > opens[:5] else day + ONE_DAY
    return instant(zone, day, opens), instant(zone, closing_day, closes)


def merged(spans: list[Seconds]) -> list[Seconds]:
    """Return the spans with overlapping and touching ones merged."""
    disjoint: list[Seconds] = []
    for begin, end in sorted(spans):
        if disjoint and begin <= disjoint[-1][1]:
            disjoint[-1] = disjoint[-1][0], max(disjoint[-1][1], end)
        else:
            disjoint.append((begin, end))
    return disjoint


def slots_of_line(line: str, first: date, days: int) -> tuple[str, list[Seconds]]:
    """Return a place's slug and the sorted slots that start on some local days."""
    place: dict[str, Any] = json.loads(line)
    zone = place["timezone"]
    weekly = {day.lower(): pairs or [] for day, pairs in (place["weekly"] or {}).items()}
    alterations = {date.fromisoformat(day): pairs for day, pairs in (place.get("alterations") or {}).items()}
    works_at_all = any(weekly.values())  # a place without weekly hours has no slot duration
    closed = [
        (instant(zone, day, "00:00"), instant(zone, day + ONE_DAY, "00:00"))
        for day, pairs in alterations.items()
        if pairs == []
    ]
    begin, end = instant(zone, first, "00:00"), instant(zone, first + days * ONE_DAY, "00:00")
    slots: set[Seconds] = set()
    for number in range(-1, days):  # the night before reaches into the first day
        day = first + number * ONE_DAY
        altered = alterations.get(day)
        if altered and works_at_all:
            open_time = merged([span_of(zone, day, pair) for pair in altered])
        elif altered:
            open_time = []
        else:
            open_time = [span_of(zone, day, pair) for pair in weekly.get(DAY_NAMES[day.weekday()], [])]
        for opens, closes in open_time:
            at = opens
            while at + SLOT <= closes:
                if begin <= at < end and not any(at < until and since < at + SLOT for since, until in closed):
                    slots.add((at, at + SLOT))
                at += SLOT
    return place["code"].lower(), sorted(slots)
