"""Booking context: bookings, holds, notice and horizon that make a scheduled slot unavailable.

Owns: bookings, holds (which end by themselves) and cancelled slots as stored, minimum notice, booking horizon, and the
reasons that they give.
Holds: S3 (booking a slot closes those that overlap it), Q3.
Must not know: rules, exceptions, rooms.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from scheduler.core.errors import InvalidInputError
from scheduler.core.lifecycle import SlotStatus
from scheduler.core.reasons import Reason, ReasonCode
from scheduler.core.reconciliation import StoredSlot
from scheduler.core.slots import Id, Slot
from scheduler.core.spans import Span, utc
from scheduler.core.validation import Validator

_CHECK: Final = Validator(InvalidInputError)


@dataclass(frozen=True, slots=True)
class BookingContext:
    """The stored slots of one doctor at all facilities, and the limits of booking counted from `now` (aware).

    `stored` is accepted in any order and kept sorted by start.

    Raises:
        InvalidSpanError: `now` is naive.
        InvalidInputError: a slot is of another doctor, the notice is longer than the horizon or one of them negative,
            or a field is of another kind.
    """

    stored: Sequence[StoredSlot] = ()
    now: datetime | None = None
    notice: timedelta = timedelta(0)
    horizon: timedelta | None = None
    _longest: timedelta = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        stored = _CHECK.sequence("stored", self.stored, StoredSlot)
        ordered = tuple(sorted(stored, key=lambda stored: stored.slot.start_at))
        doctor_ids = {stored.slot.doctor_id for stored in ordered}
        if len(doctor_ids) > 1:
            shown = " and ".join(sorted(map(str, doctor_ids))[:2])
            raise InvalidInputError(f"stored must be slots of one doctor, not of doctors {shown}")
        object.__setattr__(self, "stored", ordered)
        longest = max((stored.slot.duration for stored in ordered), default=timedelta(0))
        object.__setattr__(self, "_longest", longest)
        if self.now is not None:
            object.__setattr__(self, "now", utc(self.now, name="now"))
        _CHECK.non_negative("notice", self.notice)
        if self.horizon is not None:
            _CHECK.non_negative("horizon", self.horizon)
            if self.notice > self.horizon:
                raise InvalidInputError(
                    f"notice {self.notice} is longer than horizon {self.horizon}: no slot could ever be booked"
                )

    def check_doctor(self, doctor_id: Id) -> None:
        """Refuse another doctor than the one whose slots are stored.

        Raises:
            InvalidInputError: the doctor is another one.
        """
        if self.stored and self.stored[0].slot.doctor_id != doctor_id:
            raise InvalidInputError(
                f"bookings are of doctor {self.stored[0].slot.doctor_id}, not of doctor {doctor_id}"
            )

    def reasons_against(self, slot: Slot) -> Iterator[Reason]:
        """Return each reason that makes a scheduled slot unavailable.

        Raises:
            InvalidInputError: the slot is not a `Slot`, or of another doctor.
        """
        _CHECK.instance("slot", slot, Slot)
        self.check_doctor(slot.doctor_id)
        return self._reasons_against(slot)

    def _reasons_against(self, slot: Slot) -> Iterator[Reason]:
        if self.now is not None:
            if self.horizon is not None and slot.start_at - self.now > self.horizon:
                yield _reason(slot, ReasonCode.HORIZON, f"it starts after the booking horizon of {self.horizon}")
            if slot.start_at < self.now:
                yield _reason(slot, ReasonCode.NOTICE, "the slot begins in the past")
            elif slot.start_at - self.now < self.notice:
                yield _reason(slot, ReasonCode.NOTICE, f"it starts within the minimum notice of {self.notice}")
        for stored in self._candidates(slot):
            if stored.slot.identity == slot.identity:
                yield from self._reasons_of_same_slot(stored, slot)
            elif slot.start_at < stored.slot.end_at:
                if stored.is_booked:
                    text = f"slot {stored.id}, which overlaps it, is booked"
                    yield _reason(slot, ReasonCode.BOOKED, text, stored)
                elif stored.is_held(self.now):
                    yield _held_reason(stored, slot)

    def taken_in(self, span: Span, *, facility_id: Id) -> list[tuple[Slot, Reason]]:
        """Return each booked or held slot of a facility that overlaps the span, with its reason.

        Raises:
            InvalidInputError: the span is not a `Span`, or the facility's id is not an id.
        """
        _CHECK.instance("span", span, Span)
        _CHECK.id("facility_id", facility_id)
        taken = []
        for stored in self.stored:
            slot = stored.slot
            if slot.facility_id != facility_id or slot.start_at >= span.end or slot.end_at <= span.start:
                continue
            if stored.is_booked:
                taken.append((slot, _reason(slot, ReasonCode.BOOKED, f"slot {stored.id} is booked", stored)))
            elif stored.is_held(self.now):
                taken.append((slot, _held_reason(stored, slot)))
        return taken

    def _candidates(self, slot: Slot) -> Sequence[StoredSlot]:
        """Return the stored slots that may overlap a slot: they start before its end, and not too early."""

        def ahead(stored: StoredSlot) -> timedelta:  # a difference, since `start_at - longest` may be before year 1
            return stored.slot.start_at - slot.start_at

        first = bisect_right(self.stored, -self._longest, key=ahead)
        return self.stored[first : bisect_left(self.stored, slot.duration, lo=first, key=ahead)]

    def _reasons_of_same_slot(self, stored: StoredSlot, slot: Slot) -> Iterator[Reason]:
        if stored.is_full:
            if stored.slot.capacity == 1:
                yield _reason(slot, ReasonCode.BOOKED, f"slot {stored.id} is booked", stored)
            else:
                text = f"all {stored.slot.capacity} places are booked"
                yield _reason(slot, ReasonCode.CAPACITY, text, stored)
        elif stored.is_held(self.now):
            yield _held_reason(stored, slot)
        elif stored.status is SlotStatus.CANCELLED:
            yield _reason(slot, ReasonCode.CANCELLED, f"slot {stored.id} was cancelled by hand", stored)


def _held_reason(stored: StoredSlot, slot: Slot) -> Reason:
    until = "released" if stored.reserved_until is None else stored.reserved_until.isoformat()
    return _reason(slot, ReasonCode.HELD, f"slot {stored.id} is held until {until}", stored)


def _reason(slot: Slot, code: ReasonCode, text: str, cause: StoredSlot | None = None) -> Reason:
    cause_id = None if cause is None else cause.id
    return Reason(code, slot.start_at, slot.end_at, text, (slot.start_at,), slot.rule_id, cause_id)
