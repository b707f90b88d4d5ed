"""Blocks: disjoint spans in whole numbers that remove slots from runs.

Owns: blocks for bisection, and the slots of a run that overlap none of them.
Holds: S1 (a block moves no slot).
Must not know: the parts of a schedule that remove time.

The cost is linear in blocks + ranges: blocks are merged once, found by bisection, and remove whole ranges of a run's
slots by arithmetic.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from scheduler.core.intervals import merge
from scheduler.core.slots import SlotRun


class Blocks(NamedTuple):
    """Disjoint spans in ascending order, as two lists for bisection."""

    starts: Sequence[int]
    ends: Sequence[int]


def blocks_of(spans: Iterable[tuple[int, int]]) -> Blocks:
    """Return the union of spans as blocks."""
    disjoint = merge(spans)
    return Blocks([start for start, _ in disjoint], [end for _, end in disjoint])


def free_ranges(run: SlotRun, low: int, high: int, blocks: Blocks) -> Iterator[tuple[int, int]]:
    """Yield the index ranges of slots from `low` to `high` that overlap no block."""
    first, interval, duration = run.first, run.interval, run.duration
    stop = first + high * interval + duration
    place = bisect_right(blocks.ends, first + low * interval)
    while place < len(blocks.starts) and blocks.starts[place] < stop:
        # A block hits the slots that start before its end and end after its start.
        lowest_hit = (blocks.starts[place] - duration - first) // interval + 1
        highest_hit = -((first - blocks.ends[place]) // interval) - 1
        if low < lowest_hit:
            yield low, lowest_hit - 1
        low = max(low, highest_hit + 1)
        place += 1
    if low <= high:
        yield low, high


def part_of(run: SlotRun, low: int, high: int) -> SlotRun:
    """Return the slots of a run from index `low` to `high`, both inclusive."""
    first, _, interval, duration, kind = run
    return SlotRun(first + low * interval, high - low + 1, interval, duration, kind)
