"""Uses: the time that visits and holds take of doctors and resources.

Owns: the use as a value, and uses in order, read day by day.
Holds: B2 (a hold ends by itself).
Must not know: working time, visits.

Times are microseconds since 2000-01-01T00:00Z (see `zones`).
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from scheduler.core.chains import Ranges, between
from scheduler.core.errors import InvalidInputError
from scheduler.core.intervals import merge
from scheduler.core.slots import Id, SlotIdentity
from scheduler.core.spans import Span, utc
from scheduler.core.validation import Validator
from scheduler.core.zones import DAY, FIRST_INSTANT, LAST_INSTANT, instant, micros

_NO_TIME: Final = timedelta(0)
_CHECK: Final = Validator(InvalidInputError)


@dataclass(frozen=True, slots=True)
class Use:
    """Time that a visit or a hold takes of a doctor or a resource, buffers included.

    `slot` is the slot on which the visit sits: on a slot of several places, visits share the doctor. `ends_at` is the
    end of a hold; a visit has none. `id` is that of the visit or hold.

    Raises:
        InvalidInputError: a field is of another kind.
        InvalidSpanError: `ends_at` is naive.
    """

    span: Span
    slot: SlotIdentity | None = None
    id: Id | None = None
    ends_at: datetime | None = None
    facility_id: Id | None = None

    def __post_init__(self) -> None:
        _CHECK.instance("use: span", self.span, Span)
        if self.slot is not None:
            _CHECK.instance("use: slot", self.slot, SlotIdentity)
        _CHECK.optional_id("use: id", self.id)
        if self.ends_at is not None:
            object.__setattr__(self, "ends_at", utc(self.ends_at, name="use: ends_at"))
        _CHECK.optional_id("use: facility_id", self.facility_id)

    def is_in_force(self, now: datetime | None) -> bool:
        """Tell whether the time is taken at `now`: a hold ends by itself (B2); without `now` none has ended."""
        at = None if now is None else utc(now, name="now")
        return at is None or self.ends_at is None or self.ends_at > at


def inside(begin: int, end: int) -> Span | None:
    """Return the part of a time that every zone has a calendar for."""
    begin, end = max(begin, FIRST_INSTANT), min(end, LAST_INSTANT)
    return Span(instant(begin), instant(end)) if begin < end else None


class Uses:
    """Uses in the order of their starts, read day by day, and times of uses that nobody shares."""

    def __init__(self, uses: Sequence[Use], times: Ranges = ()) -> None:
        self._times = times
        self._uses = sorted(uses, key=lambda use: use.span.start)
        self._longest = max((use.span.duration for use in uses), default=_NO_TIME)
        self._days: dict[int, Ranges] = {}

    def taken_beside(self, slot: SlotIdentity, begin: int, end: int) -> list[tuple[int, int]]:
        """Return the time that uses take of `[begin, end)`, without those that share the slot; it may be unordered."""
        others = [times_of(use) for use in self.overlapping(begin, end) if use.slot != slot]
        return others + between(self._times, begin, end)

    def overlapping(self, begin: int, end: int) -> Iterator[Use]:
        """Yield the uses that overlap `[begin, end)`."""
        span = inside(begin, end)
        if span is None:
            return
        place = bisect_left(self._uses, -self._longest, key=lambda use: use.span.start - span.start)
        while place < len(self._uses) and self._uses[place].span.start < span.end:
            if self._uses[place].span.end > span.start:
                yield self._uses[place]
            place += 1

    def taken(self, begin: int, end: int) -> Ranges:
        """Return the time that uses take of `[begin, end)`, perhaps with more of the days around it."""
        if not self._uses:
            return between(self._times, begin, end)
        days = range(begin // DAY, (end - 1) // DAY + 1)
        if len(days) == 1:
            return self._day(days[0])
        return merge(part for day in days for part in self._day(day))

    def _day(self, day: int) -> Ranges:
        if day not in self._days:
            begin, end = day * DAY, (day + 1) * DAY
            uses = [times_of(use) for use in self.overlapping(begin, end)]
            self._days[day] = merge(uses + between(self._times, begin, end))
        return self._days[day]


def times_of(use: Use) -> tuple[int, int]:
    """Return the start and end of a use."""
    return micros(use.span.start), micros(use.span.end)
