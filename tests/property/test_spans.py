"""Span algebra against sets of minutes (T1)."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import example, given
from hypothesis import strategies as st

from oracles.minute_sets import instant_of, minutes_of, runs, spans_of
from scheduler.core.spans import Span, difference, intersection, union
from support.strategies import spans, zones

NINE = datetime(2027, 3, 1, 9, tzinfo=UTC)
HOUR = timedelta(hours=1)
tens_of_minutes = st.builds(
    lambda start, length: Span(NINE + start * HOUR / 6, NINE + (start + length) * HOUR / 6),
    st.integers(0, 30),
    st.integers(1, 6),
)
# Every other span is in whole tens of minutes, so that two of them often touch.
some_spans = st.lists(st.one_of(spans(longest=300), tens_of_minutes), max_size=8)


def hours(*edges: int) -> list[Span]:
    """Return spans between pairs of hours after nine."""
    return [Span(NINE + start * HOUR, NINE + end * HOUR) for start, end in zip(edges[::2], edges[1::2], strict=True)]


def test_the_oracle_joins_neighbouring_minutes_only() -> None:
    assert runs([3, 1, 2, 7, 8, 3]) == [[1, 2, 3], [7, 8]]
    assert minutes_of([Span(instant_of(1), instant_of(4))]) == {1, 2, 3}
    assert spans_of({1, 2, 7}) == (
        Span(instant_of(1), instant_of(3)),
        Span(instant_of(7), instant_of(8)),
    )


@given(some_spans)
@example(hours(0, 9, 1, 2, 9, 10, 11, 12))  # one within, one touching, one apart
def test_t1_union_holds_the_minutes_of_any(some: list[Span]) -> None:
    assert union(some) == spans_of(minutes_of(some))


@given(some_spans, some_spans)
@example(hours(0, 2, 3, 9), hours(1, 4, 5, 6, 9, 10))
def test_t1_intersection_holds_the_minutes_of_both(first: list[Span], second: list[Span]) -> None:
    assert intersection(first, second) == spans_of(minutes_of(first) & minutes_of(second))


@given(some_spans, some_spans)
@example(hours(1, 5, 6, 8, 9, 10), hours(0, 1, 2, 3, 4, 7, 9, 10))
def test_t1_difference_holds_the_minutes_of_the_first_alone(first: list[Span], second: list[Span]) -> None:
    assert difference(first, second) == spans_of(minutes_of(first) - minutes_of(second))


@given(spans(longest=60), spans(longest=60))
def test_t1_spans_overlap_where_they_share_a_minute(first: Span, second: Span) -> None:
    assert first.overlaps(second) is bool(minutes_of([first]) & minutes_of([second]))


@given(spans(longest=60), spans(longest=60))
def test_t1_touching_spans_share_nothing(first: Span, second: Span) -> None:
    after = Span(first.end, first.end + second.duration)
    assert not first.overlaps(after)
    assert not after.overlaps(first)
    assert intersection([first], [after]) == ()
    assert union([after, first]) == (Span(first.start, after.end),)


@given(spans(), st.timedeltas(-HOUR, HOUR))
def test_t1_a_span_holds_its_start_and_not_its_end(span: Span, away: timedelta) -> None:
    assert span.start in span
    assert span.end not in span
    assert (span.start + away in span) is (timedelta(0) <= away < span.duration)


@given(zones, st.datetimes(datetime(1973, 1, 1), datetime(2099, 1, 1)), st.integers(0, 1))
@example(ZoneInfo("Europe/London"), datetime(2027, 3, 28, 1, 30), 0)  # skipped
def test_t1_a_span_keeps_utc_whatever_zone_it_was_given(zone: ZoneInfo, wall: datetime, fold: int) -> None:
    start = wall.replace(tzinfo=zone, fold=fold)
    span = Span(start, start.astimezone(UTC) + HOUR)
    assert (span.start.tzinfo, span.start) == (UTC, start.astimezone(UTC))
    assert span.duration == HOUR


@given(some_spans)
def test_spans_sort_by_start_then_end(some: list[Span]) -> None:
    assert sorted(some) == sorted(some, key=lambda span: (span.start, span.end))
