"""Explanation: the reasons why a time is not offered, and the nearest slot offered instead.

Owns: the reasons for a local day or an instant, and the nearest slot that is offered.
Holds: Q3 for all times, also those without a slot (`slot_reasons` has the reasons against slots).
Must not know: how reasons are shown, rooms, calendars of other people.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import overload

from scheduler.core.bookings import BookingContext
from scheduler.core.errors import InvalidInputError
from scheduler.core.expansion import expand
from scheduler.core.reasons import Reason, ReasonCode
from scheduler.core.schedules import Schedule
from scheduler.core.slot_reasons import SlotReasons
from scheduler.core.slots import Slot
from scheduler.core.spans import Span, difference, utc
from scheduler.core.validation import Validator
from scheduler.core.windows import Window
from scheduler.core.zones import (
    DAY,
    FIRST_INSTANT,
    LAST_INSTANT,
    MICROSECOND,
    check_inside,
    day_bounds,
    day_number,
    instant,
    micros,
    wall_of,
)

_CHECK = Validator(InvalidInputError)
_RANK = {code: rank for rank, code in enumerate(ReasonCode)}


@dataclass(frozen=True, slots=True)
class Explanation(Sequence[Reason]):
    """The reasons why times in `[start_at, end_at)` are not offered: by time, then the strongest first.

    `offered` are the available slots of that time; `nearest` is the available slot closest to it, inside or outside.
    Instants are in UTC. An explanation of one instant has `start_at == end_at`.
    """

    start_at: datetime
    end_at: datetime
    reasons: tuple[Reason, ...]
    offered: tuple[Slot, ...]
    nearest: Slot | None

    @overload
    def __getitem__(self, index: int) -> Reason: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Reason, ...]: ...
    def __getitem__(self, index: int | slice) -> Reason | tuple[Reason, ...]:
        return self.reasons[index]

    def __len__(self) -> int:
        return len(self.reasons)

    @property
    def codes(self) -> tuple[ReasonCode, ...]:
        """The codes of the reasons, each once, from strong to weak."""
        return tuple(sorted({reason.code for reason in self.reasons}, key=_RANK.__getitem__))


def explain(
    schedule: Schedule,
    at: date | datetime,
    *,
    bookings: BookingContext | None = None,
    search: timedelta = timedelta(days=35),
) -> Explanation:
    """Explain why times of a local day (a date of the facility) or one instant (aware) are not offered.

    `bookings` adds bookings, holds, notice and horizon to the schedule. `search` is the greatest distance, both ways,
    of the nearest offered slot from `at` or the beginning of the day; of two equally near slots the later one wins.

    Raises:
        InvalidInputError: `search` is negative, `bookings` are of another doctor, or an argument is of another kind.
        InvalidSpanError: the instant is naive.
        WallClockError: the time lies in the first or last days of the calendar.
    """
    _CHECK.instance("schedule", schedule, Schedule)
    if not isinstance(at, date):  # every datetime is a date
        raise InvalidInputError(f"at must be a date or a datetime, not {type(at).__name__}")
    _CHECK.non_negative("search", search)
    context = BookingContext() if bookings is None else bookings
    _CHECK.instance("bookings", context, BookingContext)
    context.check_doctor(schedule.doctor_id)
    if isinstance(at, datetime):
        moment = utc(at, name="at")
        begin = end = micros(moment)
        check_inside(begin, moment)
        day = wall_of(schedule.zone, begin) // DAY
        inquiry = _Inquiry(schedule, day, context, begin, begin + 1)
        reasons = inquiry.reasons_at(moment)
    else:
        check_inside(day_number(at) * DAY, at)
        begin, end = day_bounds(schedule.zone, day_number(at))
        inquiry = _Inquiry(schedule, day_number(at), context, begin, end)
        reasons = inquiry.reasons_of_day()
    nearest = inquiry.offered[0] if inquiry.offered else _nearest(schedule, begin, context, search)
    return Explanation(instant(begin), instant(end), tuple(reasons), inquiry.offered, nearest)


class _Inquiry:
    """The slots offered in a span, the reasons against all others, and those against times without a slot."""

    def __init__(self, schedule: Schedule, day: int, bookings: BookingContext, begin: int, end: int) -> None:
        self.schedule, self.begin, self.end = schedule, begin, end
        self.slots = SlotReasons(schedule, begin, end, day=day, bookings=bookings)
        taken = {slot.identity for slot, _ in self.slots.against}
        self.offered = tuple(slot for identity, slot in self.slots.scheduled.items() if identity not in taken)
        # A start with an offered slot needs no reasons against its alternatives (S3).
        starts = {slot.start_at for slot in self.offered}
        reasons = dict.fromkeys(reason for _, reason in self.slots.against)
        self.reasons_against = [reason for reason in reasons if reason.start_at not in starts]
        self.unscheduled = tuple(self._reasons_of_unscheduled_slots(bookings))

    def reasons_of_day(self) -> list[Reason]:
        """Return the reasons against each start of the day and against the time without starts."""
        reasons = list(_merge_neighbours(self.reasons_against))
        reasons += self.unscheduled
        reasons += self._reasons_of_windows_without_slots()
        if self.begin < self.end:
            day = [Span(instant(self.begin), instant(self.end))]
            windows = [*self.slots.windows, *(item.window for item in self.slots.suppressed)]
            covered = [
                Span(instant(window.start), instant(window.end)) for window in windows if window.start < window.end
            ]
            for span in difference(day, covered):
                reasons.append(Reason(ReasonCode.OUTSIDE_RULES, span.start, span.end, "no rule opens this time"))
        elif not reasons:
            reasons.append(self.slots.missing_day())
        return sorted(reasons, key=lambda reason: (reason.start_at, _RANK[reason.code]))

    def reasons_at(self, at: datetime) -> list[Reason]:
        """Return the reasons why no slot is offered at an instant, none if a slot is."""
        if self.offered or self.reasons_against:
            return sorted([*self.reasons_against, *self.unscheduled], key=lambda reason: _RANK[reason.code])
        reasons = [
            reason for reason in self._reasons_of_windows_without_slots() if reason.start_at <= at < reason.end_at
        ]
        reasons += (
            self.slots.suppression_reason(item, at, instant(item.window.end))
            for item in self.slots.suppressed
            if self._covers(item.window)
        )
        covering = [window for window in self.slots.windows if self._covers(window)]
        for window in covering:
            reasons += self.slots.removal_reasons(window, at, at + MICROSECOND)
        if covering:
            text = "it lies in an open time, but no slot starts then"
            reasons.append(Reason(ReasonCode.OFF_GRID, at, at, text))
        elif not reasons:
            reasons.append(Reason(ReasonCode.OUTSIDE_RULES, at, at, "no rule opens this time"))
        reasons += self.unscheduled
        return sorted(reasons, key=lambda reason: _RANK[reason.code])

    def _covers(self, window: Window) -> bool:
        """Tell whether the instant that is asked about lies in a window with slots."""
        return window.slots.size > 0 and window.start <= self.begin < window.end

    def _reasons_of_unscheduled_slots(self, bookings: BookingContext) -> Iterator[Reason]:
        """Yield what is booked or held at this time on no slot of the schedule: it stays stored (R2)."""
        if self.begin == self.end:
            return  # a missing day
        span = Span(instant(self.begin), instant(self.end))
        taken = bookings.taken_in(span, facility_id=self.schedule.facility_id)
        starts = [slot.start_at for slot, _ in taken if slot]  # a slot that reaches into this time may start before it
        around = Span(min(starts), max(starts) + MICROSECOND) if starts else None
        scheduled = set() if around is None else {slot.identity for slot in expand(self.schedule, around)}
        for slot, reason in taken:
            if slot not in scheduled and not any(_is_named(reason, named) for named in self.reasons_against):
                yield reason

    def _reasons_of_windows_without_slots(self) -> Iterator[Reason]:
        for window in self.slots.windows:
            if not window.slots.size:
                text = f"the open time is shorter than one slot of {window.slots.duration * MICROSECOND}"
                start_at, end_at = instant(window.start), instant(window.end)
                yield Reason(ReasonCode.TOO_SHORT, start_at, end_at, text, rule_id=window.slots.kind.rule_id)
        for item in self.slots.suppressed:
            if not item.window.slots.size:
                yield self.slots.suppression_reason(item, instant(item.window.start), instant(item.window.end))


def _is_named(reason: Reason, named: Reason) -> bool:
    """Tell whether a reason against a slot names the same cause at the same time."""
    is_same = (reason.code, reason.cause_id) == (named.code, named.cause_id)
    return is_same and reason.start_at < named.end_at and named.start_at < reason.end_at


def _merge_neighbours(reasons: Iterable[Reason]) -> Iterator[Reason]:
    """Merge equal reasons against neighbouring starts."""
    ordered = sorted(
        reasons, key=lambda reason: (_RANK[reason.code], str(reason.cause_id), str(reason.rule_id), reason.start_at)
    )
    for _, group in groupby(ordered, key=lambda reason: (reason.code, reason.text, reason.cause_id, reason.rule_id)):
        equal = list(group)
        starts = tuple(sorted({start for reason in equal for start in reason.starts}))
        yield replace(equal[0], end_at=max(reason.end_at for reason in equal), starts=starts)


def _nearest(schedule: Schedule, begin: int, bookings: BookingContext, search: timedelta) -> Slot | None:
    reach = search // MICROSECOND
    at = instant(begin)
    around = Span(instant(max(begin - reach, FIRST_INSTANT)), instant(min(begin + reach + 1, LAST_INSTANT)))
    by_distance = sorted(expand(schedule, around), key=lambda slot: (abs(slot.start_at - at), slot.start_at < at))
    return next((slot for slot in by_distance if not any(bookings.reasons_against(slot))), None)
