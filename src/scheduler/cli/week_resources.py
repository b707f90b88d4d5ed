"""Days of resources on the page of a week: open and closed time, and why.

Owns: the entries of a resource's days; reasons are those of the explanation.
Must not know: HTML; how opening times are stored.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

from scheduler.cli.week_page import Entry, Kind, in_order
from scheduler.core.explanation import explain
from scheduler.core.reasons import ReasonCode
from scheduler.core.schedules import Schedule
from scheduler.core.slots import Id
from scheduler.core.spans import Span, difference
from scheduler.core.working_time import WorkingTime
from scheduler.core.zones import instant, micros

Comments = Mapping[tuple[ReasonCode, Id | None], str]


def resource_days(
    opening: Schedule | None, days: Sequence[tuple[datetime, datetime]], taken: Iterable[Entry], comments: Comments
) -> tuple[tuple[Entry, ...], ...]:
    """Return the entries of a resource for each day; without `opening` it is always open."""
    taken = list(taken)
    entries = []
    for begin, end in days:
        found = [entry for entry in taken if entry.overlaps(begin, end)]
        if begin < end:
            day = Span(begin, end)
            opened = [day] if opening is None else _working(opening, day)
            uses = [Span(entry.start_at, entry.end_at) for entry in found]
            found += [Entry(Kind.OPEN, span.start, span.end) for span in difference(opened, uses)]
            if opening is not None:
                found += _closed(opening, day, difference([day], opened), comments)
        entries.append(in_order(found))
    return tuple(entries)


def _working(opening: Schedule, day: Span) -> list[Span]:
    ranges = WorkingTime(opening).within(micros(day.start), micros(day.end))
    return [Span(instant(begin), instant(end)) for begin, end in ranges]


def _closed(opening: Schedule, day: Span, closed: Iterable[Span], comments: Comments) -> Iterator[Entry]:
    """Yield the closed time of a day, cut where its reason may change."""
    causes = [*_working(replace(opening, exceptions=(), closures=()), day)]
    causes += (Span(exception.start_at, exception.end_at) for exception in opening.exceptions)
    edges = {edge for cause in causes for edge in (cause.start, cause.end)}
    for part in closed:
        inside = sorted({part.start, part.end} | {edge for edge in edges if part.start < edge < part.end})
        for start_at, end_at in pairwise(inside):
            reason = explain(opening, start_at, search=timedelta(0)).reasons[0]
            if reason.code is ReasonCode.OUTSIDE_RULES:
                yield Entry(Kind.OUTSIDE, start_at, end_at)
                continue
            comment = comments.get((reason.code, reason.cause_id))
            yield Entry(Kind.BLOCKED, start_at, end_at, f"{reason.code}: {comment}" if comment else reason.text)
