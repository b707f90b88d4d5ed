"""Booking context: what visits and holds take of a doctor, and the limits that make a scheduled slot unavailable.

Owns: the uses of a doctor, the places and reservations of stored slots, minimum notice, booking horizon, and the
reasons that they give.
Holds: S3 (a booking closes the slots that overlap it), B2 (a hold ends by itself), Q3.
Must not know: rules, exceptions, rooms.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import chain
from typing import Final

from scheduler.core.errors import InvalidInputError
from scheduler.core.lifecycle import SlotStatus
from scheduler.core.reasons import Reason, ReasonCode
from scheduler.core.reconciliation import StoredSlot
from scheduler.core.slots import Id, Slot, SlotIdentity
from scheduler.core.spans import Span, utc
from scheduler.core.uses import Use, Uses
from scheduler.core.validation import Validator
from scheduler.core.zones import micros

_CHECK: Final = Validator(InvalidInputError)


@dataclass(frozen=True, slots=True)
class BookingContext:
    """The stored slots and uses of one doctor at all facilities, and the limits of booking counted from `now` (aware).

    `uses` say when the doctor is taken. `stored` are the slots, with their places, reservations and cancellations; they
    are accepted in any order and kept sorted by start.

    Raises:
        InvalidSpanError: `now` is naive.
        InvalidInputError: a slot is of another doctor, the notice is longer than the horizon or one of them negative,
            or a field is of another kind.
    """

    stored: Sequence[StoredSlot] = ()
    uses: Sequence[Use] = ()
    now: datetime | None = None
    notice: timedelta = timedelta(0)
    horizon: timedelta | None = None
    _longest: timedelta = field(init=False, repr=False, compare=False)
    _ordered: Uses = field(init=False, repr=False, compare=False)

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
        object.__setattr__(self, "uses", _CHECK.sequence("uses", self.uses, Use))
        if self.now is not None:
            object.__setattr__(self, "now", utc(self.now, name="now"))
        object.__setattr__(self, "_ordered", Uses([use for use in self.uses if use.is_in_force(self.now)]))
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
        return chain(self._limits(slot), self._takers(slot))

    def takers(self, slot: Slot) -> Iterator[Reason]:
        """Return each reason but notice and horizon, which are about time: what takes the slot.

        Raises:
            InvalidInputError: the slot is not a `Slot`, or of another doctor.
        """
        _CHECK.instance("slot", slot, Slot)
        self.check_doctor(slot.doctor_id)
        return self._takers(slot)

    def taken_in(self, span: Span, *, facility_id: Id) -> list[tuple[SlotIdentity | None, Reason]]:
        """Return each use and reservation at a facility that overlaps the span, with its slot, if any.

        Raises:
            InvalidInputError: the span is not a `Span`, or the facility's id is not an id.
        """
        _CHECK.instance("span", span, Span)
        _CHECK.id("facility_id", facility_id)
        taken = [
            (use.slot, _use_reason(use, use.span.start, use.span.end))
            for use in self._ordered.overlapping(micros(span.start), micros(span.end))
            if use.facility_id == facility_id
        ]
        for stored in self.stored:
            slot = stored.slot
            overlaps = slot.start_at < span.end and slot.end_at > span.start
            if slot.facility_id == facility_id and overlaps and stored.is_reserved(self.now):
                taken.append((slot.identity, _held_reason(stored, slot)))
        return taken

    def _limits(self, slot: Slot) -> Iterator[Reason]:
        if self.now is not None:
            if self.horizon is not None and slot.start_at - self.now > self.horizon:
                yield _reason(slot, ReasonCode.HORIZON, f"it starts after the booking horizon of {self.horizon}")
            if slot.start_at < self.now:
                yield _reason(slot, ReasonCode.NOTICE, "the slot begins in the past")
            elif slot.start_at - self.now < self.notice:
                yield _reason(slot, ReasonCode.NOTICE, f"it starts within the minimum notice of {self.notice}")

    def _takers(self, slot: Slot) -> Iterator[Reason]:
        near = self._near(slot)
        same = next((stored for stored in near if stored.slot.identity == slot.identity), None)
        is_shared = (slot if same is None else same.slot).capacity > 1
        is_taken = False
        for use in self._ordered.overlapping(micros(slot.start_at), micros(slot.end_at)):
            if not (is_shared and use.slot == slot.identity):
                is_taken = True
                yield _use_reason(use, slot.start_at, slot.end_at, (slot.start_at,), slot.rule_id)
        for stored in near:
            if stored is not same and slot.start_at < stored.slot.end_at and stored.is_reserved(self.now):
                yield _held_reason(stored, slot)
        if same is not None:
            yield from self._reasons_of_same_slot(same, slot, is_taken=is_taken)

    def _near(self, slot: Slot) -> Sequence[StoredSlot]:
        """Return the stored slots that may overlap a slot: they start before its end, and not too early."""

        def ahead(stored: StoredSlot) -> timedelta:  # a difference, since `start_at - longest` may be before year 1
            return stored.slot.start_at - slot.start_at

        first = bisect_right(self.stored, -self._longest, key=ahead)
        return self.stored[first : bisect_left(self.stored, slot.duration, lo=first, key=ahead)]

    def _reasons_of_same_slot(self, stored: StoredSlot, slot: Slot, *, is_taken: bool) -> Iterator[Reason]:
        places = stored.slot.capacity
        if stored.is_full:
            if not is_taken:  # else the visit is named
                text = "its only place is booked" if places == 1 else f"all {places} places are booked"
                yield _reason(slot, ReasonCode.CAPACITY, text, stored)
        elif stored.is_reserved(self.now):
            yield _held_reason(stored, slot)
        elif stored.status is SlotStatus.CANCELLED:
            yield _reason(slot, ReasonCode.CANCELLED, f"slot {stored.id} was cancelled by hand", stored)
        elif stored.taken_count == places and not is_taken:
            text = "its only place is held" if places == 1 else f"all {places} places are booked or held"
            yield _reason(slot, ReasonCode.CAPACITY, text, stored)


def _use_reason(
    use: Use, start_at: datetime, end_at: datetime, starts: tuple[datetime, ...] = (), rule_id: Id | None = None
) -> Reason:
    if use.ends_at is None:
        who = "a visit" if use.id is None else f"visit {use.id}"
        return Reason(ReasonCode.BOOKED, start_at, end_at, f"{who} takes the doctor", starts, rule_id, use.id)
    who = "a hold" if use.id is None else f"hold {use.id}"
    text = f"{who}, which ends at {use.ends_at.isoformat()}, takes the doctor"
    return Reason(ReasonCode.HELD, start_at, end_at, text, starts, rule_id, use.id, use.ends_at)


def _held_reason(stored: StoredSlot, slot: Slot) -> Reason:
    until = "released" if stored.reserved_until is None else stored.reserved_until.isoformat()
    held = _reason(slot, ReasonCode.HELD, f"slot {stored.id} is held until {until}", stored)
    return replace(held, until=stored.reserved_until)


def _reason(slot: Slot, code: ReasonCode, text: str, cause: StoredSlot | None = None) -> Reason:
    cause_id = None if cause is None else cause.id
    return Reason(code, slot.start_at, slot.end_at, text, (slot.start_at,), slot.rule_id, cause_id)
