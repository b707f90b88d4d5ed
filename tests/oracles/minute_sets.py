"""Spans as sets of minutes: the slow definition of span algebra (T1).

Owns: the way from spans to the set of their minutes, and back to the fewest spans of a set. A minute is a count since
2000-01-01T00:00Z and stands for the half-open stretch that it begins.
Must not know: the algebra of `scheduler.core.spans`; only the value is imported.
"""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from scheduler.core.spans import Span

MINUTE = timedelta(minutes=1)
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def minute_of(instant: datetime) -> int:
    """Return the number of the minute that begins at an instant."""
    minute, rest = divmod(instant - EPOCH, MINUTE)
    assert not rest, f"{instant.isoformat()} is not a whole minute"
    return minute


def instant_of(minute: int) -> datetime:
    """Return the instant at which a minute begins."""
    return EPOCH + minute * MINUTE


def minutes_of(spans: Iterable[Span]) -> frozenset[int]:
    """Return every minute of the spans."""
    return frozenset(minute for span in spans for minute in range(minute_of(span.start), minute_of(span.end)))


def runs(minutes: Iterable[int]) -> list[list[int]]:
    """Return the minutes in order, as a list for each unbroken row."""
    rows: list[list[int]] = []
    for minute in sorted(set(minutes)):
        if rows and rows[-1][-1] + 1 == minute:
            rows[-1].append(minute)
        else:
            rows.append([minute])
    return rows


def spans_of(minutes: Iterable[int]) -> tuple[Span, ...]:
    """Return the fewest spans that hold exactly these minutes."""
    return tuple(Span(instant_of(row[0]), instant_of(row[-1] + 1)) for row in runs(minutes))
