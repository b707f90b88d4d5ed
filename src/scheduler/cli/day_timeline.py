"""Timeline of a doctor's day as values: visits with their steps, holds, gaps, and blocked time with its reasons.

Owns: the entries of the timeline, their signs and their words.
Must not know: how a timeline is drawn; the clock and the database.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from scheduler.cli.rendering import between
from scheduler.core.shown_times import has_clock_change, offset_text


class Kind(StrEnum):
    """The kind of an entry, strongest last where two begin together."""

    CLOSED = "closed"
    EMERGENCY = "emergency"
    BLOCKED = "blocked"
    OVERRIDE = "override"
    VISIT = "visit"
    TAKEN = "taken"
    HELD = "held"
    OPEN = "open"
    CANCELLED = "cancelled"


SIGNS: Final = {
    Kind.CLOSED: "·",
    Kind.EMERGENCY: "▓",
    Kind.BLOCKED: "░",
    Kind.OVERRIDE: "≈",
    Kind.VISIT: "●",
    Kind.TAKEN: "◌",
    Kind.HELD: "◐",
    Kind.OPEN: "○",
    Kind.CANCELLED: "✕",
}
_ORDER: Final = {kind: rank for rank, kind in enumerate(Kind)}
_COUNTED: Final = (
    (Kind.VISIT, "visit", "visits"),
    (Kind.HELD, "hold", "holds"),
    (Kind.OPEN, "gap", "gaps"),
    (Kind.CANCELLED, "visit cancelled or missed", "visits cancelled or missed"),
)


class Part(NamedTuple):
    """A step of a visit or a hold, in words, with its time. Instants are aware."""

    start_at: datetime
    end_at: datetime
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry of the timeline, in words. Instants are aware; `zone` is that of the facility.

    The time of blocked entries is cut to the day.
    """

    kind: Kind
    start_at: datetime
    end_at: datetime
    zone: ZoneInfo
    text: str
    parts: tuple[Part, ...] = ()

    @property
    def sign(self) -> str:
        """The sign of its kind."""
        return SIGNS[self.kind]


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeline:
    """A local day of a doctor at all facilities; `entries` in any order."""

    doctor: str
    day: date
    entries: Sequence[Entry]

    @property
    def in_order(self) -> list[Entry]:
        """The entries by start; those that begin together by kind."""
        return sorted(self.entries, key=lambda entry: (entry.start_at, _ORDER[entry.kind], entry.end_at, entry.text))

    @property
    def zones(self) -> list[str]:
        """The zones of the entries, each once."""
        return sorted({entry.zone.key for entry in self.entries})

    @property
    def title(self) -> str:
        """The doctor and the day: `Anna Ray, Monday 11 January 2027`."""
        return f"{self.doctor}, {self.day:%A} {self.day.day} {self.day:%B} {self.day.year:04}"

    @property
    def summary(self) -> str:
        """The day in a sentence: `2 visits, 1 gap. Times of Europe/London.`."""
        counts = Counter(entry.kind for entry in self.entries)
        counted = [
            f"{counts[kind]} {one if counts[kind] == 1 else many}" for kind, one, many in _COUNTED if counts[kind]
        ]
        times = f" Times of {', '.join(self.zones)}." if self.zones else ""
        return f"{', '.join(counted) or 'No visit and no gap'}.{times}"

    def clock(self, entry: Entry, start_at: datetime, end_at: datetime) -> str:
        """Format a span of an entry on its clock: `09:00-09:30`; with dates if it leaves the day.

        On a day on which the clock changes, and for one of several zones, each time says its offset or zone.
        """
        first, last = (at.astimezone(entry.zone) for at in (start_at, end_at))
        if has_clock_change(entry.zone, self.day):
            begin, end = (offset_text(entry.zone, at) for at in (start_at, end_at))
            return f"{first:%H:%M}{begin}-{last:%H:%M}{end}"
        shown = between(start_at, end_at, zone=entry.zone)
        today = f"{self.day:%a %d %b} "
        shown = (
            shown if shown.count(today) != 1 or not shown.startswith(today) or " - " in shown else shown[len(today) :]
        )
        return f"{shown} {first:%Z}" if len(self.zones) > 1 else shown
