"""Sets of local days, such as the days whose slots are generated.

Owns: the half-open span of calendar days, and the set of days, with union, difference and cut.
Must not know: zones, instants, slots.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Final, NamedTuple, Self

from scheduler.core.errors import InvalidSpanError
from scheduler.core.intervals import merge, subtract
from scheduler.core.validation import Validator

_CHECK: Final = Validator(InvalidSpanError)


class DaySpan(NamedTuple):
    """The days `[first, until)`."""

    first: date
    until: date


@dataclass(frozen=True, slots=True)
class DaySet:
    """A set of days, as disjoint spans in order; spans that touch or overlap are merged.

    Raises:
        InvalidSpanError: a span is empty or reversed, or one of its days is not a date.

    >>> march = DaySet([(date(2027, 3, 1), date(2027, 4, 1))])
    >>> (march | DaySet([(date(2027, 4, 1), date(2027, 4, 3))])).spans
    (DaySpan(first=datetime.date(2027, 3, 1), until=datetime.date(2027, 4, 3)),)
    """

    spans: tuple[DaySpan, ...]

    def __init__(self, spans: Iterable[tuple[date, date]] = ()) -> None:
        object.__setattr__(self, "spans", tuple(DaySpan(*pair) for pair in merge(map(_checked, spans))))

    def __or__(self, other: Self) -> Self:
        return type(self)((*self.spans, *other.spans))

    def __sub__(self, other: Self) -> Self:
        return type(self)(subtract(self.spans, other.spans))

    def since(self, day: date) -> Self:
        """Return the days from `day` on."""
        return type(self)((max(first, day), until) for first, until in self.spans if day < until)


def _checked(span: tuple[date, date]) -> tuple[date, date]:
    first, until = span
    _CHECK.day("first", first)
    _CHECK.day("until", until)
    if first >= until:
        fault = "empty" if first == until else "reversed"
        raise InvalidSpanError(f"days {first} to before {until} are {fault}")
    return first, until
