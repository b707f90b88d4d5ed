"""Page of a facility's week as values: its doctors and resources, and what each of their days has.

Owns: the values that the page is written from, and runs of equal neighbours.
Must not know: HTML; the clock and the database.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo


class Kind(StrEnum):
    """The state of a time, in the order of the legend."""

    OPEN = "open"
    HELD = "held"
    BOOKED = "booked"
    BLOCKED = "blocked"
    OUTSIDE = "outside hours"


@dataclass(frozen=True, slots=True)
class Entry:
    """A time of a doctor or resource. Instants are aware; `count` is the number of slots that a run has.

    `text` says why it is blocked, or for which service and step it is taken; `patient` is empty unless asked for.
    """

    kind: Kind
    start_at: datetime
    end_at: datetime
    text: str = ""
    patient: str = ""
    count: int = 1

    def overlaps(self, start_at: datetime, end_at: datetime) -> bool:
        """Tell whether the entry shares time with a span."""
        return self.start_at < end_at and start_at < self.end_at


@dataclass(frozen=True, slots=True)
class Lane:
    """A doctor, or a resource with its kind, and the entries of the seven days, in order."""

    name: str
    days: tuple[tuple[Entry, ...], ...]
    resource_kind: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeekPage:
    """Seven local days of a facility from `first_day`, as of `made_at` (aware)."""

    slug: str
    name: str
    zone: ZoneInfo
    first_day: date
    made_at: datetime
    doctors: tuple[Lane, ...] = ()
    resources: tuple[Lane, ...] = ()
    has_names: bool = False

    @property
    def days(self) -> tuple[date, ...]:
        """The seven local days."""
        return tuple(self.first_day + timedelta(days=number) for number in range(7))


def in_order(entries: Iterable[Entry]) -> tuple[Entry, ...]:
    """Return each entry once: by time, then kind and text."""
    kinds = list(Kind)
    return tuple(
        sorted(
            dict.fromkeys(entries),
            key=lambda entry: (entry.start_at, kinds.index(entry.kind), entry.end_at, entry.text, entry.patient),
        )
    )


def runs(entries: Iterable[Entry]) -> list[Entry]:
    """Merge entries of one kind and text that touch or overlap; visits stay apart."""
    merged: list[Entry] = []
    last: dict[tuple[Kind, str], int] = {}
    for entry in entries:
        alike = entry.kind, entry.text
        number = last.get(alike)
        if number is not None and entry.kind is not Kind.BOOKED and entry.start_at <= merged[number].end_at:
            run = merged[number]
            merged[number] = replace(run, end_at=max(run.end_at, entry.end_at), count=run.count + entry.count)
        else:
            last[alike] = len(merged)
            merged.append(entry)
    return merged
