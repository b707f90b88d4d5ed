"""Sets of local days, such as the days whose slots are generated.

Owns: the half-open span of calendar days, and the set of days, with union, difference and cut.
Must not know: zones, instants, slots.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import NamedTuple, Self

from scheduler.core.spans import Span, difference, union


class DaySpan(NamedTuple):
    """The days `[first, until)`."""

    first: date
    until: date


@dataclass(frozen=True, slots=True)
class DaySet:
    """A set of days, as disjoint spans in order; spans that touch or overlap are merged.

    Raises:
        InvalidSpanError: a span is empty or reversed.

    >>> march = DaySet([(date(2027, 3, 1), date(2027, 4, 1))])
    >>> (march | DaySet([(date(2027, 4, 1), date(2027, 4, 3))])).spans
    (DaySpan(first=datetime.date(2027, 3, 1), until=datetime.date(2027, 4, 3)),)
    """

    spans: tuple[DaySpan, ...]

    def __init__(self, spans: Iterable[tuple[date, date]] = ()) -> None:
        self._set(union(Span(_midnight(first), _midnight(until)) for first, until in spans))

    def __or__(self, other: Self) -> Self:
        return type(self)((*self.spans, *other.spans))

    def __sub__(self, other: Self) -> Self:
        remaining = type(self)()
        remaining._set(difference(self._as_spans(), other._as_spans()))
        return remaining

    def since(self, day: date) -> Self:
        """Return the days from `day` on."""
        return type(self)((max(first, day), until) for first, until in self.spans if day < until)

    def _set(self, spans: Iterable[Span]) -> None:
        days = tuple(DaySpan(span.start.date(), span.end.date()) for span in spans)
        object.__setattr__(self, "spans", days)

    def _as_spans(self) -> list[Span]:
        return [Span(_midnight(first), _midnight(until)) for first, until in self.spans]


def _midnight(day: date) -> datetime:
    """Stand for a day in the set algebra of spans; no zone is meant."""
    return datetime.combine(day, time(), UTC)
