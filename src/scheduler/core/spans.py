"""Spans of time and their set algebra.

Owns: the half-open span of UTC instants, and union, intersection and difference of sets of spans (by `intervals`).
Holds: T1 (UTC, half-open; naive, empty and reversed spans are refused; touching spans share nothing).
Must not know: wall clocks, zones, rules.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, Self

from scheduler.core.errors import InvalidSpanError
from scheduler.core.intervals import intersect, merge, subtract
from scheduler.core.validation import Validator

_CHECK: Final = Validator(InvalidSpanError)


def utc(instant: datetime, *, name: str = "instant") -> datetime:
    """Return an aware instant in UTC.

    Raises:
        InvalidSpanError: the instant is not a datetime, is naive, or lies outside the years 1 to 9999 in UTC.
    """
    if not isinstance(instant, datetime):
        raise InvalidSpanError(f"{name} must be a datetime, not {type(instant).__name__}")
    if instant.tzinfo is UTC:
        return instant
    if instant.utcoffset() is None:
        raise InvalidSpanError(f"{name} {instant.isoformat()} is naive: an instant needs a time zone")
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise InvalidSpanError(f"{name} {instant.isoformat()} lies outside the years 1 to 9999 in UTC") from None


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A half-open stretch of time `[start, end)` between two instants, kept in UTC (T1).

    Aware datetimes of any zone are accepted and converted to UTC.

    Raises:
        InvalidSpanError: an instant is naive, or the span is empty or reversed.

    >>> from datetime import UTC, datetime
    >>> nine, ten, eleven = (datetime(2027, 3, 1, hour, tzinfo=UTC) for hour in (9, 10, 11))
    >>> Span(nine, ten).overlaps(Span(ten, eleven))
    False
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        object.__setattr__(self, "start", utc(self.start, name="start"))
        object.__setattr__(self, "end", utc(self.end, name="end"))
        if self.start >= self.end:
            fault = "empty" if self.start == self.end else "reversed"
            raise InvalidSpanError(f"span {self.start.isoformat()} to {self.end.isoformat()} is {fault}")

    @property
    def duration(self) -> timedelta:
        """The real time between start and end."""
        return self.end - self.start

    def overlaps(self, other: Self) -> bool:
        """Tell whether two spans share an instant; touching spans do not."""
        _CHECK.instance("other", other, Span)
        return self.start < other.end and other.start < self.end

    def __contains__(self, instant: datetime) -> bool:
        return self.start <= utc(instant) < self.end


def union(spans: Iterable[Span]) -> tuple[Span, ...]:
    """Return the instants of all spans as disjoint spans in order, with touching spans merged.

    Raises:
        InvalidSpanError: an element is not a `Span`.
    """
    return _spans(merge(_pairs("spans", spans)))


def intersection(first: Iterable[Span], second: Iterable[Span]) -> tuple[Span, ...]:
    """Return the instants that lie in both sets, as disjoint spans in order.

    Raises:
        InvalidSpanError: an element is not a `Span`.
    """
    return _spans(intersect(merge(_pairs("first", first)), merge(_pairs("second", second))))


def difference(first: Iterable[Span], second: Iterable[Span]) -> tuple[Span, ...]:
    """Return the instants of the first set that are not in the second, as disjoint spans in order.

    Raises:
        InvalidSpanError: an element is not a `Span`.
    """
    return _spans(subtract(_pairs("first", first), _pairs("second", second)))


def _pairs(name: str, spans: Iterable[Span]) -> list[tuple[datetime, datetime]]:
    return [(span.start, span.end) for span in _CHECK.sequence(name, spans, Span)]


def _spans(pairs: Iterable[tuple[datetime, datetime]]) -> tuple[Span, ...]:
    return tuple(Span(start, end) for start, end in pairs)
