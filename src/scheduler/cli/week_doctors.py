"""Days of doctors on the page of a week: open, held, booked and blocked time, and why.

Owns: the entries of a doctor's days; reasons are those of the explanation, and a slot that is not stored is not open.
Must not know: HTML; how slots and visits are stored.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from scheduler.cli.week_page import Entry, Kind, in_order
from scheduler.cli.week_resources import Comments
from scheduler.core.bookings import BookingContext
from scheduler.core.errors import InvalidInputError
from scheduler.core.explanation import explain
from scheduler.core.reasons import Reason, ReasonCode
from scheduler.core.schedules import Schedule
from scheduler.core.slots import Id, Slot

_NO_TIME: Final = timedelta(0)
_KNOWN: Final = (ReasonCode.BOOKED, ReasonCode.HELD)  # `taken` has them, with the time that they really take


def doctor_days(
    schedule: Schedule | InvalidInputError,
    context: BookingContext,
    days: Sequence[tuple[datetime, datetime]],
    taken: Iterable[Entry],
    *,
    comments: Comments,
    zone: ZoneInfo,
) -> tuple[tuple[Entry, ...], ...]:
    """Return the entries of a doctor for each day; `taken` are the doctor's visits and holds.

    A day that is over is explained as of its beginning.
    """
    taken = list(taken)
    entries = []
    for begin, end in days:
        found = [entry for entry in taken if entry.overlaps(begin, end)]
        if isinstance(schedule, InvalidInputError):
            found.append(Entry(Kind.BLOCKED, begin, end, f"the schedule is invalid: {schedule}"))
        elif begin < end:
            is_over = context.now is not None and end <= context.now
            of_day = replace(context, now=begin) if is_over else context
            found += _Day(schedule, of_day, taken, comments, zone).entries(begin, end)
        entries.append(in_order(found))
    return tuple(entries)


class _Day:
    """The schedules, uses and slots that decide about a day of a doctor."""

    def __init__(
        self,
        schedule: Schedule,
        context: BookingContext,
        taken: Sequence[Entry],
        comments: Comments,
        zone: ZoneInfo,
    ) -> None:
        self._schedule, self._context, self._taken = schedule, context, taken
        self._comments, self._zone = comments, zone
        self._stored = {stored.slot.identity: stored for stored in context.stored}
        self._by_id = {stored.id: stored for stored in context.stored}

    def entries(self, begin: datetime, end: datetime) -> Iterator[Entry]:
        """Yield the open and reserved slots, and the reasons against the others."""
        day = begin.astimezone(self._zone).date()
        explanation = explain(self._schedule, day, bookings=self._context, search=_NO_TIME)
        yield from map(self._open, explanation.offered)
        for reason in explanation:
            if reason.code is ReasonCode.CAPACITY:
                yield from self._full(reason.cause_id, reason.text)
            elif reason.code not in _KNOWN:
                yield self._of_reason(reason)
        for stored in self._context.stored:
            slot = stored.slot
            is_here = slot.facility_id == self._schedule.facility_id and begin <= slot.start_at < end
            if is_here and stored.is_reserved(self._context.now):
                until = stored.reserved_until
                what = "reserved" if until is None else f"reserved until {until.astimezone(self._zone):%a %H:%M}"
                yield Entry(Kind.HELD, slot.start_at, slot.end_at, what)

    def _open(self, slot: Slot) -> Entry:
        stored = self._stored.get(slot.identity)
        if stored is None:
            return Entry(Kind.BLOCKED, slot.start_at, slot.end_at, "not generated yet")
        places = stored.slot.capacity
        texts = [f"{places - stored.taken_count} of {places} places"] if places > 1 else []
        released_at, now = slot.released_at, self._context.now
        if released_at is not None and now is not None and released_at > now:
            texts.append(f"released on {released_at.astimezone(self._zone):%a %d %b %H:%M}")
        return Entry(Kind.OPEN, slot.start_at, slot.end_at, ", ".join(texts))

    def _full(self, slot_id: Id | None, why: str) -> Iterator[Entry]:
        """Yield a slot without a place, unless its only place is that of a known visit or hold."""
        stored = None if slot_id is None else self._by_id.get(slot_id)
        if stored is None:
            return
        start_at, end_at = stored.slot.start_at, stored.slot.end_at
        if stored.slot.capacity > 1 or not any(entry.overlaps(start_at, end_at) for entry in self._taken):
            yield Entry(Kind.BOOKED if stored.is_full else Kind.HELD, start_at, end_at, why)

    def _of_reason(self, reason: Reason) -> Entry:
        if reason.code is ReasonCode.OUTSIDE_RULES:
            return Entry(Kind.OUTSIDE, reason.start_at, reason.end_at)
        comment = self._comments.get((reason.code, reason.cause_id))
        why = f"{reason.code.replace('_', ' ')}: {comment}" if comment else reason.text
        return Entry(Kind.BLOCKED, reason.start_at, reason.end_at, why)
