"""Offsets of shown times: which local times need their offset, since the clock changes, and its text.

Owns: the question whether the clock changes on a local day, or shows a time twice, and the text of an offset.
Must not know: who shows a time, and the text of the time itself.
"""

from datetime import date, datetime
from zoneinfo import ZoneInfo

from scheduler.core.zones import MICROSECOND, local_day


def has_clock_change(zone: ZoneInfo, day: date) -> bool:
    """Tell whether the clock of a zone changes on a local day, so that its times need their offset."""
    span = local_day(zone, day)
    if span is None:
        return False
    return span.start.astimezone(zone).utcoffset() != (span.end - MICROSECOND).astimezone(zone).utcoffset()


def is_shown_twice(zone: ZoneInfo, at: datetime) -> bool:
    """Tell whether the clock of a zone shows the time of an instant a second time."""
    local = at.astimezone(zone)
    return local.replace(fold=0).utcoffset() != local.replace(fold=1).utcoffset()


def offset_text(zone: ZoneInfo, at: datetime) -> str:
    """Return the offset of a zone at an instant, as in ISO 8601: `+01:00`."""
    shown = f"{at.astimezone(zone):%z}"  # of a local mean time with its seconds, which are left out
    return f"{shown[:3]}:{shown[3:5]}"
