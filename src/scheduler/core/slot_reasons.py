"""Slot reasons: the slots of a schedule that start in a span, and each reason against one of them.

Owns: the windows that reach into a span, its scheduled slots, and the reasons against slots, one by one.
Holds: Q3, on the code path that decides: `timetable` decides about windows, `expansion` about blocked slots and
`bookings` about booked ones.
Must not know: how reasons are merged, ordered or shown; times without a slot (`explanation`).

A reason may be against a slot that would start there, and does not.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from scheduler.core.bookings import BookingContext
from scheduler.core.expansion import days_reaching, expand
from scheduler.core.reasons import Reason, ReasonCode
from scheduler.core.schedules import ExceptionType, Schedule
from scheduler.core.slots import Id, Slot, Slots
from scheduler.core.spans import Span
from scheduler.core.timetable import SuppressedWindow, Timetable
from scheduler.core.windows import Window
from scheduler.core.zones import DAY, instant, micros, wall_of

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


def starting_slots(
    schedule: Schedule, span: Span, *, bookings: BookingContext, offering_id: Id | None = None
) -> "SlotReasons":
    """Return the slots of a schedule that start in a span, and the reasons against them one by one.

    With an offering, only slots that suit it count as those by which an override yields a start again.

    Raises:
        WallClockError: the span reaches into the first or last days of the calendar.
    """
    begin, end = micros(span.start), micros(span.end)
    day = wall_of(schedule.zone, begin) // DAY
    return SlotReasons(schedule, begin, end, day=day, bookings=bookings, offering_id=offering_id)


class SlotReasons:
    """The windows that reach into `[begin, end)`, the slots that start there, and the reasons against them.

    A window of the local day `day` counts even if the zone skipped its time: `begin` and `end` are then equal.
    """

    def __init__(
        self,
        schedule: Schedule,
        begin: int,
        end: int,
        *,
        day: int,
        bookings: BookingContext,
        offering_id: Id | None = None,
    ) -> None:
        self.schedule, self.begin, self.end, self.offering_id = schedule, begin, end, offering_id
        self.windows: list[Window] = []
        self.suppressed: list[SuppressedWindow] = []
        self._yielded_again: dict[Id | None, set[datetime]] = {}
        self._find_windows(day)
        scheduled = expand(schedule, Span(instant(begin), instant(end))) if begin < end else ()
        self.scheduled = {slot.identity: slot for slot in scheduled}
        self.against = [(slot, reason) for slot in scheduled for reason in bookings.reasons_against(slot)]
        self.against += self._removed()
        self.against += self._suppressed()

    def _find_windows(self, day: int) -> None:
        days = days_reaching(self.schedule, Span(instant(self.begin), instant(max(self.end, self.begin + 1))))
        timetable = Timetable(self.schedule, days.start, days.stop - 1)
        for start_day in days:
            windows, suppressed = timetable.windows(start_day)
            self.windows += (window for window in windows if start_day == day or self._reaches(window))
            self.suppressed += (item for item in suppressed if start_day == day or self._reaches(item.window))
            overrides = {item.cause_id for item in suppressed if item.code is ReasonCode.OVERRIDE}
            if overrides:
                starts = self._suited_starts(window for window in windows if window.by_override)
                for id_ in overrides:  # an override may reach over several days
                    self._yielded_again.setdefault(id_, set()).update(starts)

    def _reaches(self, window: Window) -> bool:
        return window.start < self.end and self.begin < window.end

    def _suited_starts(self, windows: Iterable[Window]) -> set[datetime]:
        """Return the starts that windows have for the offering that is asked for, or for any if none is."""
        id_ = self.offering_id
        suited = (window for window in windows if id_ is None or window.slots.kind.service_offering_id in {None, id_})
        return {slot.start_at for window in suited for slot in self._grid_slots(window)}

    def _grid_slots(self, window: Window) -> Iterator[Slot]:
        """Yield the slots of a window's grid that start in `[begin, end)`, before blocks remove any."""
        grid = Slots(self.schedule.doctor_id, self.schedule.facility_id, [window.slots])
        return (slot for slot in grid if self.begin <= micros(slot.start_at) < self.end)

    def _removed(self) -> Iterator[tuple[Slot, Reason]]:
        for window in self.windows:
            for slot in self._grid_slots(window):
                if slot.identity not in self.scheduled:
                    for reason in self.removal_reasons(window, slot.start_at, slot.end_at, (slot.start_at,)):
                        yield slot, reason

    def _suppressed(self) -> Iterator[tuple[Slot, Reason]]:
        for item in self.suppressed:
            again = self._yielded_again.get(item.cause_id, set()) if item.code is ReasonCode.OVERRIDE else set()
            for slot in self._grid_slots(item.window):
                if slot.identity not in self.scheduled and slot.start_at not in again:
                    yield slot, self.suppression_reason(item, slot.start_at, slot.end_at, (slot.start_at,))

    def removal_reasons(
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

    def suppression_reason(
        self, suppressed: SuppressedWindow, start_at: datetime, end_at: datetime, starts: tuple[datetime, ...] = ()
    ) -> Reason:
        """Return why a window is suppressed, as the reason against a time of it."""
        code, window, cause_id = suppressed
        rule_id = window.slots.kind.rule_id
        text = _TEXTS[code].format(zone=self.schedule.zone.key, rule=rule_id, cause=cause_id)
        return Reason(code, start_at, end_at, text, starts, rule_id, cause_id)

    def missing_day(self) -> Reason:
        """Return the reason against a local day that the zone skipped."""
        text = _TEXTS[ReasonCode.MISSING_DAY].format(zone=self.schedule.zone.key)
        return Reason(ReasonCode.MISSING_DAY, instant(self.begin), instant(self.end), text)
