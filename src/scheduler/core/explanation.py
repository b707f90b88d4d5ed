"""Explanation: the reasons why a time is not offered, and the nearest slot offered instead.

Owns: the reasons for a local day or an instant, and the nearest slot that is offered.
Holds: Q3, on the code path that decides: `timetable` decides about windows, `expansion` about blocked slots and
`bookings` about booked ones.
Must not know: how reasons are shown, rooms, calendars of other people.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import NamedTuple, overload

from scheduler.core.bookings import BookingContext
from scheduler.core.errors import InvalidInputError
from scheduler.core.expansion import days_reaching, expand
from scheduler.core.reasons import Reason, ReasonCode
from scheduler.core.schedules import ExceptionType, Schedule
from scheduler.core.slots import Id, Slot, SlotIdentity, Slots
from scheduler.core.spans import Span, difference, utc
from scheduler.core.timetable import SuppressedWindow, Timetable
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
_TEXTS = {
    ReasonCode.MISSING_DAY: "the clocks of {zone} skipped this day",
    ReasonCode.NOT_EFFECTIVE: "rule {rule} is not in force on this day",
    ReasonCode.RECURRENCE: "the recurrence of rule {rule} leaves this day out",
    ReasonCode.OVERRIDE: "override {cause} replaces rule {rule} on this day",
    ReasonCode.OVERRIDE_WITHOUT_SLOTS: "override {cause} has neither a rule in force nor a slot duration of its own",
    ReasonCode.CLOSURE: "the facility is closed on this day (closure {cause})",
}
_CLOSED_TIME = "the facility is closed at this time (closure {cause})"
_REMOVAL_CODES = {ExceptionType.EMERGENCY: ReasonCode.EMERGENCY, ExceptionType.BLOCKED: ReasonCode.BLOCKED}


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


class StartingSlots(NamedTuple):
    """The slots of a schedule that start in a span, and each reason against one of them.

    A reason may be against a slot that would start there, and does not.
    """

    scheduled: Mapping[SlotIdentity, Slot]
    against: Sequence[tuple[Slot, Reason]]


def starting_slots(
    schedule: Schedule, span: Span, *, bookings: BookingContext, offering_id: Id | None = None
) -> StartingSlots:
    """Return the slots of a schedule that start in a span, and the reasons against them one by one.

    With an offering, only slots that suit it count as those by which an override yields a start again.

    Raises:
        WallClockError: the time lies in the first or last days of the calendar.
    """
    begin, end = micros(span.start), micros(span.end)
    inquiry = _Inquiry(schedule, wall_of(schedule.zone, begin) // DAY, bookings, begin, end, offering_id)
    return StartingSlots(inquiry.scheduled, inquiry.against)


class _Inquiry:
    """The windows that reach into `[begin, end)`, the slots offered there, and the reasons against all others."""

    def __init__(
        self,
        schedule: Schedule,
        day: int,
        bookings: BookingContext,
        begin: int,
        end: int,
        offering_id: Id | None = None,
    ) -> None:
        self.schedule, self.begin, self.end, self.offering_id = schedule, begin, end, offering_id
        self.windows: list[Window] = []
        self.suppressed: list[SuppressedWindow] = []
        days = days_reaching(schedule, Span(instant(begin), instant(max(end, begin + 1))))
        timetable = Timetable(schedule, days.start, days.stop - 1)
        yielded_again: dict[Id | None, set[datetime]] = {}
        for start_day in days:
            windows, suppressed = timetable.windows(start_day)
            # A window of the requested day counts even if the zone skipped its time.
            self.windows += (window for window in windows if start_day == day or self._reaches(window))
            self.suppressed += (item for item in suppressed if start_day == day or self._reaches(item.window))
            overrides = {item.cause_id for item in suppressed if item.code is ReasonCode.OVERRIDE}
            if overrides:
                starts = self._suited_starts(timetable.windows_of_overrides(start_day))
                for id_ in overrides:  # an override may reach over several days
                    yielded_again.setdefault(id_, set()).update(starts)
        scheduled = expand(schedule, Span(instant(begin), instant(end))) if begin < end else ()
        self.scheduled = {slot.identity: slot for slot in scheduled}
        self.against = [(slot, reason) for slot in scheduled for reason in bookings.reasons_against(slot)]
        taken = {slot.identity for slot, _ in self.against}
        self.offered = tuple(slot for slot in scheduled if slot.identity not in taken)
        for window in self.windows:
            for slot in self._grid_slots(window):
                if slot.identity not in self.scheduled:
                    removals = self._removal_reasons(window, slot.start_at, slot.end_at, (slot.start_at,))
                    self.against += ((slot, reason) for reason in removals)
        for item in self.suppressed:
            again = yielded_again.get(item.cause_id, set()) if item.code is ReasonCode.OVERRIDE else set()
            for slot in self._grid_slots(item.window):
                if slot.identity not in self.scheduled and slot.start_at not in again:
                    reason = self._suppression_reason(item, slot.start_at, slot.end_at, (slot.start_at,))
                    self.against.append((slot, reason))
        # A start with an offered slot needs no reasons against its alternatives (S3).
        starts = {slot.start_at for slot in self.offered}
        reasons = dict.fromkeys(reason for _, reason in self.against)
        self.reasons_against = [reason for reason in reasons if reason.start_at not in starts]
        self.unscheduled = tuple(self._reasons_of_unscheduled_slots(bookings))

    def reasons_of_day(self) -> list[Reason]:
        """Return the reasons against each start of the day and against the time without starts."""
        reasons = list(_merge_neighbours(self.reasons_against))
        reasons += self.unscheduled
        reasons += self._reasons_of_windows_without_slots()
        if self.begin < self.end:
            day = [Span(instant(self.begin), instant(self.end))]
            windows = [*self.windows, *(item.window for item in self.suppressed)]
            covered = [
                Span(instant(window.start), instant(window.end)) for window in windows if window.start < window.end
            ]
            for span in difference(day, covered):
                reasons.append(Reason(ReasonCode.OUTSIDE_RULES, span.start, span.end, "no rule opens this time"))
        elif not reasons:
            text = _TEXTS[ReasonCode.MISSING_DAY].format(zone=self.schedule.zone.key)
            reasons.append(Reason(ReasonCode.MISSING_DAY, instant(self.begin), instant(self.end), text))
        return sorted(reasons, key=lambda reason: (reason.start_at, _RANK[reason.code]))

    def reasons_at(self, at: datetime) -> list[Reason]:
        """Return the reasons why no slot is offered at an instant, none if a slot is."""
        if self.offered or self.reasons_against:
            return sorted([*self.reasons_against, *self.unscheduled], key=lambda reason: _RANK[reason.code])
        reasons = [
            reason for reason in self._reasons_of_windows_without_slots() if reason.start_at <= at < reason.end_at
        ]
        reasons += (
            self._suppression_reason(item, at, instant(item.window.end))
            for item in self.suppressed
            if item.window.slots.size and item.window.start <= self.begin < item.window.end
        )
        covering = [window for window in self.windows if window.slots.size and window.start <= self.begin < window.end]
        for window in covering:
            reasons += self._removal_reasons(window, at, at + MICROSECOND)
        if covering:
            text = "it lies in an open time, but no slot starts then"
            reasons.append(Reason(ReasonCode.OFF_GRID, at, at, text))
        elif not reasons:
            reasons.append(Reason(ReasonCode.OUTSIDE_RULES, at, at, "no rule opens this time"))
        reasons += self.unscheduled
        return sorted(reasons, key=lambda reason: _RANK[reason.code])

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

    def _reaches(self, window: Window) -> bool:
        return window.start < self.end and self.begin < window.end

    def _grid_slots(self, window: Window) -> Iterator[Slot]:
        """Yield the slots of a window's grid that start in `[begin, end)`, before blocks remove any."""
        grid = Slots(self.schedule.doctor_id, self.schedule.facility_id, [window.slots])
        return (slot for slot in grid if self.begin <= micros(slot.start_at) < self.end)

    def _suited_starts(self, windows: Iterable[Window]) -> set[datetime]:
        """Return the starts that windows have for the offering that is asked for, or for any if none is."""
        id_ = self.offering_id
        suited = (window for window in windows if id_ is None or window.slots.kind.service_offering_id in {None, id_})
        return {slot.start_at for window in suited for slot in self._grid_slots(window)}

    def _removal_reasons(
        self, window: Window, start_at: datetime, end_at: datetime, starts: tuple[datetime, ...] = ()
    ) -> Iterator[Reason]:
        """Yield the blocks and emergencies that remove a time of a window, and the first closure that does."""
        rule_id = window.slots.kind.rule_id
        for exception in self.schedule.exceptions:
            code = _REMOVAL_CODES.get(exception.type)
            if code is not None and exception.concerns(rule_id) and exception.overlaps(start_at, end_at):
                text = f"{exception.type} exception {exception.id} takes this time"
                yield Reason(code, start_at, end_at, text, starts, rule_id, exception.id)
        for closed in window.closed:
            if closed.start < micros(end_at) and micros(start_at) < closed.end:
                text = _CLOSED_TIME.format(cause=closed.closure_id)
                yield Reason(ReasonCode.CLOSURE, start_at, end_at, text, starts, rule_id, closed.closure_id)
                break  # of several, the one with the lowest id comes first

    def _suppression_reason(
        self, suppressed: SuppressedWindow, start_at: datetime, end_at: datetime, starts: tuple[datetime, ...] = ()
    ) -> Reason:
        code, window, cause_id = suppressed
        rule_id = window.slots.kind.rule_id
        text = _TEXTS[code].format(zone=self.schedule.zone.key, rule=rule_id, cause=cause_id)
        return Reason(code, start_at, end_at, text, starts, rule_id, cause_id)

    def _reasons_of_windows_without_slots(self) -> Iterator[Reason]:
        for window in self.windows:
            if not window.slots.size:
                text = f"the open time is shorter than one slot of {window.slots.duration * MICROSECOND}"
                start_at, end_at = instant(window.start), instant(window.end)
                yield Reason(ReasonCode.TOO_SHORT, start_at, end_at, text, rule_id=window.slots.kind.rule_id)
        for item in self.suppressed:
            if not item.window.slots.size:
                yield self._suppression_reason(item, instant(item.window.start), instant(item.window.end))


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
