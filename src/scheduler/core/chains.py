"""Chains: the times at which steps can follow one another, as sets of whole numbers.

Owns: sets of starts as disjoint half-open ranges in order, and the earliest and latest times along a chain of them.
Holds: Q1 (exact search by interval sets: no start is tried).
Must not know: what the numbers mean, or who is free.

A range of starts `[low, high)` has whole numbers only, so that `high - 1` is its last start. The link from one step to
the next is a pair: the shortest distance between their starts, and how much longer it may be.
"""

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final, NamedTuple

from scheduler.core.intervals import merge

Ranges = Sequence[tuple[int, int]]
"""Disjoint ranges `[low, high)` in order."""

_FAR: Final = 1 << 62
EVERYWHERE: Final[Ranges] = ((-_FAR, _FAR),)
"""All starts: the set of a step that needs nothing."""


class Link(NamedTuple):
    """The time between the starts of two steps: at least `distance`, and at most `slack` more."""

    distance: int
    slack: int


def starts_within(free: Ranges, before: int, after: int) -> list[tuple[int, int]]:
    """Return the starts `t` for which `[t - before, t + after)` lies within one range of free time."""
    return [(low + before, high - after + 1) for low, high in free if low + before <= high - after]


def at_least(sets: Sequence[Ranges], quantity: int) -> Ranges:
    """Return the numbers that lie in so many of the sets."""
    if quantity == 1:
        return merge(part for ranges in sets for part in ranges)
    edges = sorted(edge for ranges in sets for low, high in ranges for edge in ((low, 1), (high, -1)))
    found = []
    depth = begin = 0
    for at, change in edges:  # at one number, ranges end before others begin: they touch, and are merged below
        if depth + change >= quantity > depth:
            begin = at
        elif depth >= quantity > depth + change and begin < at:
            found.append((begin, at))
        depth += change
    return merge(found)


def contains(ranges: Ranges, number: int) -> bool:
    """Tell whether a number lies in the set."""
    place = bisect_right(ranges, (number, _FAR)) - 1
    return place >= 0 and number < ranges[place][1]


def between(ranges: Ranges, low: int, high: int) -> list[tuple[int, int]]:
    """Return the part of a set in `[low, high)`."""
    place = max(bisect_right(ranges, (low, _FAR)) - 1, 0)
    found = []
    while place < len(ranges) and ranges[place][0] < high:
        first, last = max(low, ranges[place][0]), min(high, ranges[place][1])
        if first < last:
            found.append((first, last))
        place += 1
    return found


def earliest(start: int, links: Sequence[Link], sets: Sequence[Ranges], latest: Sequence[int]) -> list[int] | None:
    """Return the earliest starts of the steps that follow a step, or None if one of them cannot follow.

    Each start is the earliest of all chains: an earlier start of a step never makes a later step later. `sets` and
    `latest` have the starts of each following step, and the last one that it may have.
    """
    return _along(start, links, sets, [-_FAR] * len(sets), latest, forward=True)


def latest(start: int, links: Sequence[Link], sets: Sequence[Ranges], earliest: Sequence[int]) -> list[int] | None:
    """Return the latest starts of the steps before a step, the nearest first, or None if one cannot precede it."""
    return _along(start, links, sets, earliest, [_FAR - 1] * len(sets), forward=False)


def _along(
    start: int,
    links: Sequence[Link],
    sets: Sequence[Ranges],
    lowest: Sequence[int],
    highest: Sequence[int],
    *,
    forward: bool,
) -> list[int] | None:
    reached: list[Ranges] = [((start, start + 1),)]
    for link, starts, low, high in zip(links, sets, lowest, highest, strict=True):
        parts: list[tuple[int, int]] = []
        for first, stop in reached[-1]:
            if forward:
                near, far = first + link.distance, stop + link.distance + link.slack
            else:
                near, far = first - link.distance - link.slack, stop - link.distance
            parts += between(starts, max(near, low), min(far, high + 1))
        if not parts:
            return None
        reached.append(merge(parts) if len(parts) > 1 else parts)
    times = [reached[-1][0][0] if forward else reached[-1][-1][1] - 1]
    for link, starts in zip(reversed(links), reversed(reached[:-1]), strict=True):
        at = times[-1]
        if forward:
            times.append(between(starts, at - link.distance - link.slack, at - link.distance + 1)[0][0])
        else:
            times.append(between(starts, at + link.distance, at + link.distance + link.slack + 1)[-1][1] - 1)
    return times[-2::-1]
