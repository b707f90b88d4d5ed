"""Interval algebra: union, intersection and difference of half-open intervals between numbers, dates or instants.

Owns: the union as disjoint intervals in order, what two sets share, and the rest of a set without another one.
Must not know: what the ends of an interval mean; it is a pair whose start lies before its end.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from typing import TypeVar

_End = TypeVar("_End", int, datetime, date)


def merge(intervals: Iterable[tuple[_End, _End]]) -> list[tuple[_End, _End]]:
    """Return the union of intervals as disjoint intervals in order, with touching intervals merged."""
    merged: list[tuple[_End, _End]] = []
    for start, end in sorted(intervals):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


def subtract(
    intervals: Iterable[tuple[_End, _End]], removed: Iterable[tuple[_End, _End]]
) -> Iterator[tuple[_End, _End]]:
    """Yield the parts of a union of intervals that lie outside of another one, in order."""
    holes = merge(removed)
    place = 0
    for start, end in merge(intervals):
        while place < len(holes) and holes[place][1] <= start:
            place += 1
        begin, ahead = start, place
        while ahead < len(holes) and holes[ahead][0] < end:
            if begin < holes[ahead][0]:
                yield begin, holes[ahead][0]
            begin = max(begin, holes[ahead][1])
            ahead += 1
        if begin < end:
            yield begin, end


def intersect(first: Sequence[tuple[_End, _End]], second: Sequence[tuple[_End, _End]]) -> list[tuple[_End, _End]]:
    """Return the time that lies in both of two sets of disjoint intervals, each in order."""
    shared = []
    place = 0
    for start, end in first:
        while place < len(second) and second[place][1] <= start:
            place += 1
        ahead = place
        while ahead < len(second) and second[ahead][0] < end:
            shared.append((max(start, second[ahead][0]), min(end, second[ahead][1])))
            ahead += 1
    return shared
