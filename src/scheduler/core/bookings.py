"""The desk: what else than the schedule decides whether a slot can be had.

Owns: bookings, holds and cancelled slots as stored, minimum notice and booking horizon, and what each objects to.
Holds: S3 (booking a slot closes those that overlap it), B2 (a hold ends by itself), Q2 (notice, horizon), Q3.
Must not know: rules, exceptions, rooms.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from scheduler.core.errors import InvalidInputError
from scheduler.core.lifecycle import SlotStatus
from scheduler.core.reasons import Reason, ReasonCode
from scheduler.core.reconciliation import StoredSlot
from scheduler.core.slots import Slot
from scheduler.core.spans import utc


@dataclass(frozen=True, slots=True)
class BookingContext:
    """What people did with one doctor's slots, and how early and late may be booked, counted from `now` (aware).

    `stored` are the doctor's slots at all facilities, in any order; they are kept sorted by start.

    Raises:
        InvalidSpanError: `now` is naive.
        InvalidInputError: the notice or the horizon is negative.
    """

    stored: Sequence[StoredSlot] = ()
    now: datetime | None = None
    notice: timedelta = timedelta(0)
    horizon: timedelta | None = None
    _longest: timedelta = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        stored = tuple(sorted(self.stored, key=lambda one: one.slot.start_at))
        object.__setattr__(self, "stored", stored)
        longest = max((one.slot.duration for one in stored), default=timedelta(0))
        object.__setattr__(self, "_longest", longest)
        if self.now is not None:
            object.__setattr__(self, "now", utc(self.now, name="now"))
        for what, length in (("notice", self.notice), ("horizon", self.horizon)):
            if length is not None and length < timedelta(0):
                raise InvalidInputError(f"{what} must not be negative, not {length}")

    def reasons_against(self, slot: Slot) -> Iterator[Reason]:
        """Yield each reason why a slot that the schedule offers cannot be had."""
        if self.now is not None:
            if self.horizon is not None and slot.start_at - self.now > self.horizon:
                yield _about(slot, ReasonCode.HORIZON, f"it starts after the booking horizon of {self.horizon}")
            if slot.start_at - self.now < self.notice:
                yield _about(slot, ReasonCode.NOTICE, f"it starts within the minimum notice of {self.notice}")
        for one in self._near(slot):
            if one.slot.identity == slot.identity:
                yield from self._of_itself(one, slot)
            elif slot.start_at < one.slot.end_at:
                if one.is_booked:
                    yield _about(slot, ReasonCode.BOOKED, f"slot {one.id}, which overlaps it, is booked", one)
                elif one.is_held(self.now):
                    yield _held(one, slot)

    def _near(self, slot: Slot) -> Sequence[StoredSlot]:
        """Return the stored slots that start before the slot's end, but for those too early to reach into it."""

        def ahead(one: StoredSlot) -> timedelta:  # a difference, since an instant less the longest may have no date
            return one.slot.start_at - slot.start_at

        first = bisect_right(self.stored, -self._longest, key=ahead)
        return self.stored[first : bisect_left(self.stored, slot.duration, lo=first, key=ahead)]

    def _of_itself(self, one: StoredSlot, slot: Slot) -> Iterator[Reason]:
        if one.is_full:
            if one.slot.capacity == 1:
                yield _about(slot, ReasonCode.BOOKED, f"slot {one.id} is booked", one)
            else:
                yield _about(slot, ReasonCode.CAPACITY, f"all {one.slot.capacity} places are booked", one)
        elif one.is_held(self.now):
            yield _held(one, slot)
        elif one.status is SlotStatus.CANCELLED:
            yield _about(slot, ReasonCode.CANCELLED, f"slot {one.id} was cancelled by hand", one)


def _held(one: StoredSlot, slot: Slot) -> Reason:
    until = "released" if one.reserved_until is None else one.reserved_until.isoformat()
    return _about(slot, ReasonCode.HELD, f"slot {one.id} is held until {until}", one)


def _about(slot: Slot, code: ReasonCode, text: str, cause: StoredSlot | None = None) -> Reason:
    cause_id = None if cause is None else cause.id
    return Reason(code, slot.start_at, slot.end_at, text, (slot.start_at,), slot.rule_id, cause_id)
