"""Oracle for openings: the slots of a line of an openings file, computed day by day from its text.

Owns: T2-T4, A3-A5 and S1 for places that have weekly hours and alterations and nothing else, from first principles.
The oracle uses JSON, datetime and zoneinfo. Instants are POSIX seconds, and days are visited in turn.
Must not know: any part of the library under test.
"""

import json
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

ONE_DAY = timedelta(days=1)
DAY_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
SLOT = 20 * 60

TimeSpan = tuple[int, int]


@lru_cache(maxsize=100_000)
def instant(zone: str, day: date, clock: str) -> int:
    """Return the first instant at which the wall clock shows this time of the day, or a later time."""
    hours, minutes, *seconds = map(int, clock.split(":"))
    wall = datetime.combine(day, time()) + timedelta(hours=hours, minutes=minutes, seconds=sum(seconds))
    at = wall.replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    if at.astimezone(ZoneInfo(zone)).replace(tzinfo=None) != wall:  # skipped: go back to the jump, a second at a time
        while (at - timedelta(seconds=1)).astimezone(ZoneInfo(zone)).replace(tzinfo=None) >= wall:
            at -= timedelta(seconds=1)
    return int(at.timestamp())


def span_of(zone: str, day: date, pair: list[str]) -> TimeSpan:
    """Return the open time of a pair; a pair that closes at or before it opens ends next day."""
    opens, closes = pair
    closing_day = day if closes[:5] > opens[:5] else day + ONE_DAY
    return instant(zone, day, opens), instant(zone, closing_day, closes)


def joined(spans: list[TimeSpan]) -> list[TimeSpan]:
    """Return the same time with overlapping and touching spans merged."""
    merged: list[TimeSpan] = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(merged[-1][1], end)
        else:
            merged.append((begin, end))
    return merged


def slots_of_line(line: str, first: date, days: int) -> tuple[str, list[TimeSpan]]:
    """Return a place's slug, and in order its slots that start on these local days."""
    place: dict[str, Any] = json.loads(line)
    zone = place["timezone"]
    weekly = {day.lower(): pairs or [] for day, pairs in (place["weekly"] or {}).items()}
    alterations = {date.fromisoformat(day): pairs for day, pairs in (place.get("alterations") or {}).items()}
    has_weekly_hours = any(weekly.values())  # without weekly hours there is no slot length either
    closed = [
        (instant(zone, day, "00:00"), instant(zone, day + ONE_DAY, "00:00"))
        for day, pairs in alterations.items()
        if pairs == []
    ]
    begin, end = instant(zone, first, "00:00"), instant(zone, first + days * ONE_DAY, "00:00")
    slots: set[TimeSpan] = set()
    for number in range(-1, days):  # the night before reaches into the first day
        day = first + number * ONE_DAY
        altered = alterations.get(day)
        if altered and has_weekly_hours:
            open_time = joined([span_of(zone, day, pair) for pair in altered])
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
