"""The search for visits, against trying every minute as the start of the visit.

The other way is the obvious loop: it takes each minute of the span in turn, for each doctor, and tries every
combination of waits, minute by minute; a step fits if a scan of the uses finds a free resource of each kind. Of the
starts that lead to one slot it keeps the last, as the search does. It also runs with the one obvious shortcut: it
skips the minutes from which no slot of the doctor is in reach.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from rich.table import Table

from measuring import best_times
from scheduler.core import Span, WorkflowStep, expand
from search import (
    BUFFER,
    FOUND,
    LONGEST_BEFORE,
    MINUTE,
    Visit,
    World,
    by_start,
    check,
    found,
    loaded_anew,
    next_found,
    world,
)

MIDNIGHT: Final = timedelta(0)
_DOCTOR: Final = "doctor"
_SHORTEST_BEFORE: Final = 15 * MINUTE  # the steps before the doctor's, without waits


class Starts:
    """The search by trying every start."""

    def __init__(self, world: World, *, only_in_reach: bool) -> None:
        self._only_in_reach = only_in_reach
        self._steps = world.candidates[0].workflow.steps
        self._begin, self._minutes = world.span.start, world.span.duration // MINUTE
        self._slots = [
            sorted(slot.start_at for slot in expand(one.calendar.schedule, world.span)) for one in world.candidates
        ]
        self._are_slots = [frozenset(starts) for starts in self._slots]
        self._doctors = [sorted(use.span for use in one.calendar.uses) for one in world.candidates]
        kinds = {resource.kind for resource in world.resources}
        self._by_kind = {kind: [sorted(one.uses) for one in world.resources if one.kind == kind] for kind in kinds}

    def first(self) -> list[Visit]:
        """Return the first visits, each with the last start that leads to its slot."""
        of_slot: dict[tuple[int, datetime], Visit] = {}
        for minute in range(self._minutes):
            at = self._begin + minute * MINUTE
            if len(of_slot) >= FOUND:
                visits = sorted(of_slot.values(), key=by_start)[:FOUND]
                if at > visits[-1][1][0] + LONGEST_BEFORE:
                    return visits  # no later start leads to their slots
            for order in range(len(self._slots)):
                if self._only_in_reach and not self._is_in_reach(order, at):
                    continue
                for times in self._times(order, 0, at, at):
                    of_slot[order, times[2]] = (order + 1, times)
        return sorted(of_slot.values(), key=by_start)[:FOUND]

    def _is_in_reach(self, order: int, at: datetime) -> bool:
        slots = self._slots[order]
        place = bisect_left(slots, at + _SHORTEST_BEFORE)
        return place < len(slots) and slots[place] <= at + LONGEST_BEFORE

    def _times(self, order: int, place: int, first: datetime, last: datetime) -> Iterator[tuple[datetime, ...]]:
        """Yield the starts of a step and of those after it, of the last step only the first."""
        step = self._steps[place]
        start = first
        while start <= last:
            if self._fits(order, step, start):
                if place + 1 == len(self._steps):
                    yield (start,)
                    return
                end = start + step.length
                for following in self._times(order, place + 1, end, end + self._steps[place + 1].max_wait):
                    yield (start, *following)
            start += MINUTE

    def _fits(self, order: int, step: WorkflowStep, start: datetime) -> bool:
        end = start + step.length
        if step.has_doctor and (
            start not in self._are_slots[order] or not _is_free(self._doctors[order], start, end + BUFFER)
        ):
            return False
        kinds = [need.kind for need in step.all_needs if need.kind != _DOCTOR]
        return all(any(_is_free(uses, start, end) for uses in self._by_kind[kind]) for kind in kinds)


def _is_free(uses: Sequence[Span], start: datetime, end: datetime) -> bool:
    """Tell whether none of the uses, in their order, overlaps `[start, end)`."""
    for use in uses:
        if use.start >= end:
            return True
        if use.end > start:
            return False
    return True


def every_start(world: World, *, only_in_reach: bool) -> list[Visit]:
    """Return the first visits by trying every start."""
    return Starts(world, only_in_reach=only_in_reach).first()


def against_every_start(
    *,
    rounds: int,
    doctors: int = 50,
    days: int = 90,
    loads: Sequence[float] = (0.3, 0.9),
    begin: timedelta = MIDNIGHT,
) -> Table:
    """Find the first visits from a time of the first day on, by trying every start and by the search."""
    title = f"first {FOUND} visits of four steps, {doctors} doctors, {days} days; best of {rounds} rounds"
    table = Table(title=title, title_justify="left")
    for heading in ("", "every start, ms", "starts in reach, ms", "search, ms", "every, of the search", "in reach"):
        table.add_column(heading, justify="right" if heading else "left")
    for load in loads:
        whole = world(doctors=doctors, days=days, load=load)
        one = whole._replace(span=Span(whole.span.start + begin, whole.span.end))
        ways = {
            "every": partial(every_start, one, only_in_reach=False),
            "in reach": partial(every_start, one, only_in_reach=True),
        }
        for way in ways.values():
            check(way(), found(one))
        copies = iter([loaded_anew(one) for _ in range(rounds)])  # made before, since making is not searching
        best = best_times({**ways, "search": partial(next_found, copies)}, rounds=rounds, once={"search"})
        ratios = (f"{best[way] / best['search']:,.0f}" for way in ways)
        table.add_row(f"{load * 10:.0f} of 10 taken", *(f"{seconds * 1000:,.1f}" for seconds in best.values()), *ratios)
    return table
