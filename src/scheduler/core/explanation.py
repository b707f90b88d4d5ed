"""Explanations: why a time is not offered, and what is offered instead.

Owns: the reasons for a local day or an instant, and the nearest slot that is offered.
Holds: Q3, on the code path that decides: windows are `timetable`'s, what is taken away is `expansion`'s, what people
did is `bookings`'. Nothing is decided here.
Must not know: how reasons are shown; rooms and other people's calendars (the search for visits knows them).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import overload

from scheduler.core.bookings import BookingContext
from scheduler.core.errors import InvalidInputError
from scheduler.core.expansion import days_reaching, expand
from scheduler.core.reasons import Reason, ReasonCode
from scheduler.core.schedules import ExceptionType, Schedule
from scheduler.core.slots import Id, Slot, Slots
from scheduler.core.spans import Span, difference, utc
from scheduler.core.timetable import SuppressedWindow, Timetable, Window
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

_STRENGTH = {code: place for place, code in enumerate(ReasonCode)}
_TEXTS = {
    ReasonCode.MISSING_DAY: "the clocks of {zone} left this day out",
    ReasonCode.NOT_EFFECTIVE: "rule {rule} is not in force on this day",
    ReasonCode.RECURRENCE: "the recurrence of rule {rule} leaves this day out",
    ReasonCode.OVERRIDE: "override {cause} replaces rule {rule} on this day",
    ReasonCode.OVERRIDE_WITHOUT_SLOTS: "override {cause} has neither a rule in force nor a slot duration of its own",
    ReasonCode.CLOSURE: "the facility is closed on this day (closure {cause})",
}
_TAKES = {ExceptionType.EMERGENCY: ReasonCode.EMERGENCY, ExceptionType.BLOCKED: ReasonCode.BLOCKED}


@dataclass(frozen=True, slots=True)
class Explanation(Sequence[Reason]):
    """The reasons why starts in `[start_at, end_at)` are not offered, by time and then from strong to weak.

    It is a sequence of its reasons. `offered` are the slots that are to be had; `nearest` is the closest one, there
    or elsewhere. Instants are in UTC; for one instant, `start_at` is `end_at`.
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
        return tuple(sorted({reason.code for reason in self.reasons}, key=_STRENGTH.__getitem__))


def explain(
    schedule: Schedule,
    at: date | datetime,
    *,
    bookings: BookingContext | None = None,
    search: timedelta = timedelta(days=35),
) -> Explanation:
    """Explain why times of a local day (a date of the facility) or one instant (aware) are not offered.

    `bookings` adds bookings, holds, notice and horizon to what the schedule says. `search` is how far from `at` (from
    the beginning of the day) the nearest offered slot is looked for, both ways; of two equally near the later one is
    taken.

    Raises:
        InvalidInputError: `search` is negative, `at` is neither a date nor a datetime, or the schedule something else.
        InvalidSpanError: the instant is naive.
        WallClockError: the time lies in the first or last days of the calendar.
    """
    if not isinstance(schedule, Schedule):
        raise InvalidInputError(f"schedule must be a Schedule, not {type(schedule).__name__}")
    if not isinstance(at, date):  # which a datetime is, too
        raise InvalidInputError(f"at must be a date or a datetime, not {type(at).__name__}")
    if search < timedelta(0):
        raise InvalidInputError(f"search must not be negative, not {search}")
    context = BookingContext() if bookings is None else bookings
    if isinstance(at, datetime):
        moment = utc(at)
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
    """The windows that reach into `[begin, end)`, the slots to be had there, and what is against the others."""

    def __init__(self, schedule: Schedule, day: int, bookings: BookingContext, begin: int, end: int) -> None:
        self.schedule, self.begin, self.end = schedule, begin, end
        self.windows: list[Window] = []
        self.suppressed: list[SuppressedWindow] = []
        days = days_reaching(schedule, Span(instant(begin), instant(max(end, begin + 1))))
        timetable = Timetable(schedule, days.start, days.stop - 1)
        for each in days:
            open_windows, suppressed = timetable.windows(each)
            # A window of the day asked for counts even if the clocks left nothing of it.
            self.windows += (one for one in open_windows if each == day or self._reaches(one))
            self.suppressed += (hidden for hidden in suppressed if each == day or self._reaches(hidden.window))
        scheduled = expand(schedule, Span(instant(begin), instant(end))) if begin < end else ()
        reasons_by_slot = {slot.identity: tuple(bookings.reasons_against(slot)) for slot in scheduled}
        self.offered = tuple(slot for slot in scheduled if not reasons_by_slot[slot.identity])
        self.reasons_against = [reason for reasons in reasons_by_slot.values() for reason in reasons]
        for window in self.windows:
            for slot in self._starting_here(window):
                if slot.identity not in reasons_by_slot:
                    self.reasons_against += self._taken_by(slot.rule_id, slot.start_at, slot.end_at, (slot.start_at,))
        for hidden in self.suppressed:
            for slot in self._starting_here(hidden.window):
                if slot.identity not in reasons_by_slot:
                    self.reasons_against.append(
                        self._suppressed_reason(hidden, slot.start_at, slot.end_at, (slot.start_at,))
                    )
        # Where one slot is to be had, nothing is to be explained: its alternatives (S3) are not asked for.
        starts = {slot.start_at for slot in self.offered}
        self.reasons_against = [
            reason for reason in dict.fromkeys(self.reasons_against) if reason.start_at not in starts
        ]

    def reasons_of_day(self) -> list[Reason]:
        """Return the reasons for every start of the day that is not offered, and for the time that has no starts."""
        reasons = list(_joined(self.reasons_against))
        reasons += self._windows_without_slots()
        if self.begin < self.end:
            day = [Span(instant(self.begin), instant(self.end))]
            windows = [*self.windows, *(hidden.window for hidden in self.suppressed)]
            known = [Span(instant(one.start), instant(one.end)) for one in windows if one.start < one.end]
            for span in difference(day, known):
                reasons.append(Reason(ReasonCode.OUTSIDE_RULES, span.start, span.end, "no rule opens this time"))
        elif not reasons:
            text = _TEXTS[ReasonCode.MISSING_DAY].format(zone=self.schedule.zone.key)
            reasons.append(Reason(ReasonCode.MISSING_DAY, instant(self.begin), instant(self.end), text))
        return sorted(reasons, key=lambda reason: (reason.start_at, _STRENGTH[reason.code]))

    def reasons_at(self, at: datetime) -> list[Reason]:
        """Return the reasons why no slot is offered at an instant; none if one is."""
        if self.offered or self.reasons_against:
            return sorted(self.reasons_against, key=lambda reason: _STRENGTH[reason.code])
        reasons = [reason for reason in self._windows_without_slots() if reason.start_at <= at < reason.end_at]
        reasons += (
            self._suppressed_reason(hidden, at, instant(hidden.window.end))
            for hidden in self.suppressed
            if hidden.window.slots.size and hidden.window.start <= self.begin < hidden.window.end
        )
        covering = [window for window in self.windows if window.slots.size and window.start <= self.begin < window.end]
        for window in covering:
            reasons += self._taken_by(window.slots.kind.rule_id, at, at + MICROSECOND)
        if covering:
            text = "it lies in an open time, but no slot starts then"
            reasons.append(Reason(ReasonCode.OFF_GRID, at, at, text))
        elif not reasons:
            reasons.append(Reason(ReasonCode.OUTSIDE_RULES, at, at, "no rule opens this time"))
        return sorted(reasons, key=lambda reason: _STRENGTH[reason.code])

    def _reaches(self, window: Window) -> bool:
        return window.start < self.end and self.begin < window.end

    def _starting_here(self, window: Window) -> Iterator[Slot]:
        """Yield the slots of a window's grid that start in the time asked for, before anything is taken away."""
        grid = Slots(self.schedule.doctor_id, self.schedule.facility_id, [window.slots])
        return (slot for slot in grid if self.begin <= micros(slot.start_at) < self.end)

    def _taken_by(
        self, rule_id: Id | None, start_at: datetime, end_at: datetime, starts: tuple[datetime, ...] = ()
    ) -> Iterator[Reason]:
        """Yield the blocks and emergencies that take a time of a rule away."""
        for one in self.schedule.exceptions:
            if one.type in _TAKES and one.concerns(rule_id) and one.overlaps(start_at, end_at):
                text = f"{one.type} exception {one.id} takes this time"
                yield Reason(_TAKES[one.type], start_at, end_at, text, starts, rule_id, one.id)

    def _suppressed_reason(
        self,
        hidden: SuppressedWindow,
        start_at: datetime,
        end_at: datetime,
        starts: tuple[datetime, ...] = (),
    ) -> Reason:
        rule_id = hidden.window.slots.kind.rule_id
        text = _TEXTS[hidden.code].format(zone=self.schedule.zone.key, rule=rule_id, cause=hidden.cause_id)
        return Reason(hidden.code, start_at, end_at, text, starts, rule_id, hidden.cause_id)

    def _windows_without_slots(self) -> Iterator[Reason]:
        """Yield why windows without a slot have none."""
        for window in self.windows:
            if not window.slots.size:
                length = window.slots.duration * MICROSECOND
                text = f"the open time is shorter than one slot of {length}"
                start_at, end_at = instant(window.start), instant(window.end)
                yield Reason(ReasonCode.TOO_SHORT, start_at, end_at, text, rule_id=window.slots.kind.rule_id)
        for hidden in self.suppressed:
            if not hidden.window.slots.size:
                yield self._suppressed_reason(hidden, instant(hidden.window.start), instant(hidden.window.end))


def _joined(reasons: Iterable[Reason]) -> Iterator[Reason]:
    """Join reasons of neighbouring starts that say the same."""
    by_saying = sorted(
        reasons, key=lambda one: (_STRENGTH[one.code], str(one.cause_id), str(one.rule_id), one.start_at)
    )
    for _, group in groupby(by_saying, key=lambda one: (one.code, one.text, one.cause_id, one.rule_id)):
        same = list(group)
        starts = tuple(sorted({start for one in same for start in one.starts}))
        yield replace(same[0], end_at=max(one.end_at for one in same), starts=starts)


def _nearest(schedule: Schedule, begin: int, bookings: BookingContext, search: timedelta) -> Slot | None:
    reach = search // MICROSECOND
    at = instant(begin)
    around = Span(instant(max(begin - reach, FIRST_INSTANT)), instant(min(begin + reach + 1, LAST_INSTANT)))
    by_distance = sorted(expand(schedule, around), key=lambda slot: (abs(slot.start_at - at), slot.start_at < at))
    return next((slot for slot in by_distance if not any(bookings.reasons_against(slot))), None)
