"""Explanations: why a time is not offered, and what is offered instead.

Owns: the reasons for a local day or an instant, and the nearest slot that is offered.
Holds: Q3, on the code path that decides: windows are `timetable`'s, what is taken away is `expansion`'s, what people
did is `desk`'s. Nothing is decided here.
Must not know: how reasons are shown; rooms and other people's calendars (the search for visits knows them).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import overload

from scheduler.core.bookings import Desk
from scheduler.core.errors import InvalidInputError
from scheduler.core.expansion import days_reaching, expand
from scheduler.core.reasons import Reason, ReasonCode
from scheduler.core.schedules import ExceptionType, Schedule
from scheduler.core.slots import Id, Slot, Slots
from scheduler.core.spans import Span, difference, utc
from scheduler.core.timetable import GivenWay, Timetable, Window
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
    schedule: Schedule, at: date | datetime, *, desk: Desk | None = None, search: timedelta = timedelta(days=35)
) -> Explanation:
    """Explain why times of a local day (a date of the facility) or one instant (aware) are not offered.

    `desk` adds bookings, holds, notice and horizon to what the schedule says. `search` is how far from `at` (from the
    beginning of the day) the nearest offered slot is looked for, both ways; of two equally near the later one is taken.

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
    counter = Desk() if desk is None else desk
    if isinstance(at, datetime):
        moment = utc(at)
        begin = end = micros(moment)
        check_inside(begin, moment)
        day = wall_of(schedule.zone, begin) // DAY
        case = _Case(schedule, day, counter, begin, begin + 1)
        reasons = case.reasons_at(moment)
    else:
        check_inside(day_number(at) * DAY, at)
        begin, end = day_bounds(schedule.zone, day_number(at))
        case = _Case(schedule, day_number(at), counter, begin, end)
        reasons = case.reasons_of_day()
    nearest = case.offered[0] if case.offered else _nearest(schedule, begin, counter, search)
    return Explanation(instant(begin), instant(end), tuple(reasons), case.offered, nearest)


class _Case:
    """The windows that reach into `[begin, end)`, the slots to be had there, and what is against the others."""

    def __init__(self, schedule: Schedule, day: int, desk: Desk, begin: int, end: int) -> None:
        self.schedule, self.begin, self.end = schedule, begin, end
        self.windows: list[Window] = []
        self.given_way: list[GivenWay] = []
        days = days_reaching(schedule, Span(instant(begin), instant(max(end, begin + 1))))
        timetable = Timetable(schedule, days.start, days.stop - 1)
        for each in days:
            open_windows, given_way = timetable.windows(each)
            # A window of the day asked for counts even if the clocks left nothing of it.
            self.windows += (one for one in open_windows if each == day or self._reaches(one))
            self.given_way += (gone for gone in given_way if each == day or self._reaches(gone.window))
        scheduled = expand(schedule, Span(instant(begin), instant(end))) if begin < end else ()
        objections = {slot.identity: tuple(desk.objections(slot)) for slot in scheduled}
        self.offered = tuple(slot for slot in scheduled if not objections[slot.identity])
        self.against = [reason for against in objections.values() for reason in against]
        for window in self.windows:
            for slot in self._starting_here(window):
                if slot.identity not in objections:
                    self.against += self._taken_by(slot.rule_id, slot.start_at, slot.end_at, (slot.start_at,))
        for gone in self.given_way:
            for slot in self._starting_here(gone.window):
                if slot.identity not in objections:
                    self.against.append(self._gone(gone, slot.start_at, slot.end_at, (slot.start_at,)))
        # Where one slot is to be had, nothing is to be explained: its alternatives (S3) are not asked for.
        starts = {slot.start_at for slot in self.offered}
        self.against = [reason for reason in dict.fromkeys(self.against) if reason.start_at not in starts]

    def reasons_of_day(self) -> list[Reason]:
        """Return the reasons for every start of the day that is not offered, and for the time that has no starts."""
        reasons = list(_joined(self.against))
        reasons += self._startless()
        if self.begin < self.end:
            day = [Span(instant(self.begin), instant(self.end))]
            windows = [*self.windows, *(gone.window for gone in self.given_way)]
            known = [Span(instant(one.start), instant(one.end)) for one in windows if one.start < one.end]
            for span in difference(day, known):
                reasons.append(Reason(ReasonCode.OUTSIDE_RULES, span.start, span.end, "no rule opens this time"))
        elif not reasons:
            text = _TEXTS[ReasonCode.MISSING_DAY].format(zone=self.schedule.zone.key)
            reasons.append(Reason(ReasonCode.MISSING_DAY, instant(self.begin), instant(self.end), text))
        return sorted(reasons, key=lambda reason: (reason.start_at, _STRENGTH[reason.code]))

    def reasons_at(self, at: datetime) -> list[Reason]:
        """Return the reasons why no slot is offered at an instant; none if one is."""
        if self.offered or self.against:
            return sorted(self.against, key=lambda reason: _STRENGTH[reason.code])
        reasons = [reason for reason in self._startless() if reason.start_at <= at < reason.end_at]
        reasons += (
            self._gone(gone, at, instant(gone.window.end))
            for gone in self.given_way
            if gone.window.slots.size and gone.window.start <= self.begin < gone.window.end
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

    def _gone(self, gone: GivenWay, start_at: datetime, end_at: datetime, starts: tuple[datetime, ...] = ()) -> Reason:
        rule_id = gone.window.slots.kind.rule_id
        text = _TEXTS[gone.code].format(zone=self.schedule.zone.key, rule=rule_id, cause=gone.cause_id)
        return Reason(gone.code, start_at, end_at, text, starts, rule_id, gone.cause_id)

    def _startless(self) -> Iterator[Reason]:
        """Yield why windows without a slot have none."""
        for window in self.windows:
            if not window.slots.size:
                length = window.slots.duration * MICROSECOND
                text = f"the open time is shorter than one slot of {length}"
                start_at, end_at = instant(window.start), instant(window.end)
                yield Reason(ReasonCode.TOO_SHORT, start_at, end_at, text, rule_id=window.slots.kind.rule_id)
        for gone in self.given_way:
            if not gone.window.slots.size:
                yield self._gone(gone, instant(gone.window.start), instant(gone.window.end))


def _joined(reasons: Iterable[Reason]) -> Iterator[Reason]:
    """Join reasons of neighbouring starts that say the same."""
    by_saying = sorted(
        reasons, key=lambda one: (_STRENGTH[one.code], str(one.cause_id), str(one.rule_id), one.start_at)
    )
    for _, group in groupby(by_saying, key=lambda one: (one.code, one.text, one.cause_id, one.rule_id)):
        same = list(group)
        starts = tuple(sorted({start for one in same for start in one.starts}))
        yield replace(same[0], end_at=max(one.end_at for one in same), starts=starts)


def _nearest(schedule: Schedule, begin: int, desk: Desk, search: timedelta) -> Slot | None:
    reach = search // MICROSECOND
    at = instant(begin)
    around = Span(instant(max(begin - reach, FIRST_INSTANT)), instant(min(begin + reach + 1, LAST_INSTANT)))
    by_distance = sorted(expand(schedule, around), key=lambda slot: (abs(slot.start_at - at), slot.start_at < at))
    return next((slot for slot in by_distance if not any(desk.objections(slot))), None)
