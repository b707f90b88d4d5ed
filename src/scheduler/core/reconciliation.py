"""Reconciliation: the plan that makes stored slots equal to desired slots.

Owns: the stored slot as a value, and the plan.
Holds: A1 (the slots of one schedule), R1 (a pure plan; applied, nothing is left to do), R2 (a booked or held slot is
never deleted or moved), A5 (`blocked` leaves bookings standing, `emergency` displaces them), A6 (an emergency of one
rule displaces its bookings), S3 (a slot that stays when its schedule drops it is marked).
Must not know: how slots are stored or how a plan is written.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from scheduler.core.errors import InvalidInputError
from scheduler.core.lifecycle import SlotStatus
from scheduler.core.schedules import AvailabilityException, ExceptionType
from scheduler.core.slots import Id, Slot, Slots
from scheduler.core.spans import utc
from scheduler.core.validation import Validator

_CHECK: Final = Validator(InvalidInputError)


@dataclass(frozen=True, slots=True)
class StoredSlot:
    """A generated slot as it is stored, with its bookings and holds. Instants are in UTC.

    The status may be given as its text. `held_count` is the number of places that holds take which are in force. A slot
    that stayed when its schedule dropped it `is_dropped`.

    Raises:
        InvalidInputError: a field is invalid, or the number of booked places does not fit the capacity.
        InvalidSpanError: `reserved_until` is naive.
    """

    id: Id
    slot: Slot
    status: SlotStatus = SlotStatus.OPEN
    booked_count: int = 0
    reserved_until: datetime | None = None
    held_count: int = 0
    is_dropped: bool = False

    def __post_init__(self) -> None:
        if type(self.id) is not int:
            _CHECK.id("slot id", self.id)
        if not isinstance(self.slot, Slot):
            _CHECK.instance(f"slot {self.id}: slot", self.slot, Slot)
        if type(self.status) is not SlotStatus:
            object.__setattr__(self, "status", _CHECK.member(f"slot {self.id}: status", self.status, SlotStatus))
        if type(self.booked_count) is not int:
            _CHECK.whole(f"slot {self.id}: booked_count", self.booked_count, lowest=0)
        if not 0 <= self.booked_count <= self.slot.capacity:
            raise InvalidInputError(
                f"slot {self.id}: {self.booked_count} booked places do not fit a capacity of {self.slot.capacity}"
            )
        if self.reserved_until is not None:
            object.__setattr__(self, "reserved_until", utc(self.reserved_until, name=f"slot {self.id}: reserved_until"))
        if type(self.held_count) is not int or self.held_count < 0:
            _CHECK.whole(f"slot {self.id}: held_count", self.held_count, lowest=0)
        if type(self.is_dropped) is not bool:
            _CHECK.flag(f"slot {self.id}: is_dropped", self.is_dropped)

    def is_held(self, now: datetime | None) -> bool:
        """Tell whether a place is held, or the slot is reserved at `now`."""
        return self.is_reserved(now) or self.held_count > 0

    def is_reserved(self, now: datetime | None) -> bool:
        """Tell whether the slot as a whole is reserved at `now`; without `now` every reservation is in force (B2)."""
        at = None if now is None else utc(now, name="now")
        if self.status is not SlotStatus.RESERVED:
            return False
        return at is None or self.reserved_until is None or self.reserved_until > at

    @property
    def taken_count(self) -> int:
        """The number of places that bookings and holds take."""
        return min(self.booked_count + self.held_count, self.slot.capacity)

    @property
    def is_full(self) -> bool:
        """Tell whether every place in the slot is booked."""
        return self.status is SlotStatus.BOOKED or self.booked_count == self.slot.capacity

    @property
    def is_booked(self) -> bool:
        """Tell whether at least one place in the slot is booked."""
        return self.status is SlotStatus.BOOKED or self.booked_count > 0


@dataclass(frozen=True, slots=True)
class SlotUpdate:
    """A stored slot whose capacity or rule is to change; its identity stays."""

    id: Id
    slot: Slot


@dataclass(frozen=True, slots=True)
class Plan:
    """The changes that make stored slots equal to desired slots, and the slots that people have to look at.

    `create`, `update` and `retire` are changes; `keep` needs none. `conflict` is booked or held but no longer
    desired; `displaced` is booked under an emergency, so the booking has to move. Both stay stored (R2).

    Of those that stay, `drop` are no longer desired, and are to be marked as dropped: nobody else may have their other
    places (S3). `restore` are desired again.
    """

    create: tuple[Slot, ...] = ()
    update: tuple[SlotUpdate, ...] = ()
    retire: tuple[StoredSlot, ...] = ()
    keep: tuple[StoredSlot, ...] = ()
    conflict: tuple[StoredSlot, ...] = ()
    displaced: tuple[StoredSlot, ...] = ()
    drop: tuple[StoredSlot, ...] = ()
    restore: tuple[StoredSlot, ...] = ()

    @property
    def is_noop(self) -> bool:
        """Tell whether nothing is left to change."""
        return not (self.create or self.update or self.retire or self.drop or self.restore)


def reconcile(
    desired: Iterable[Slot],
    stored: Iterable[StoredSlot],
    *,
    exceptions: Iterable[AvailabilityException] = (),
    now: datetime | None = None,
) -> Plan:
    """Plan how the stored slots become the desired ones, both of the same span and schedule (A1).

    The emergencies among the schedule's `exceptions` tell displaced bookings from conflicting ones. A hold that has
    ended by `now` counts as open; without `now` every hold is in force.

    Raises:
        InvalidInputError: two stored or two desired slots have the same identity, a slot is of another doctor or
            facility, or an argument is of another kind.
        InvalidSpanError: `now` is naive.
    """
    new, old = _CHECK.sequence("desired", desired, Slot), _CHECK.sequence("stored", stored, StoredSlot)
    listed = _CHECK.sequence("exceptions", exceptions, AvailabilityException)
    at = None if now is None else utc(now, name="now")
    _check_one_schedule(desired, new, old)
    wanted = _by_identity("desired", new)
    _by_identity("stored", (existing.slot for existing in old))
    emergencies = [exception for exception in listed if exception.type is ExceptionType.EMERGENCY]
    update: list[SlotUpdate] = []
    retire: list[StoredSlot] = []
    keep: list[StoredSlot] = []
    conflict: list[StoredSlot] = []
    displaced: list[StoredSlot] = []
    drop: list[StoredSlot] = []
    restore: list[StoredSlot] = []
    for existing in sorted(old, key=lambda existing: existing.slot.start_at):
        target = wanted.pop(existing.slot[:5], None)
        if target is not None:
            if existing.is_dropped:
                restore.append(existing)
            if target.capacity < existing.taken_count:  # a capacity never falls below the places that are taken
                target = target._replace(capacity=existing.taken_count)
            if target == existing.slot or existing.status is SlotStatus.CANCELLED:
                keep.append(existing)
            else:
                update.append(SlotUpdate(existing.id, target))
        elif existing.is_booked and any(_removes(emergency, existing.slot) for emergency in emergencies):
            displaced.append(existing)
        elif existing.is_booked or existing.is_held(at):
            conflict.append(existing)
        elif existing.status is SlotStatus.CANCELLED:
            keep.append(existing)
        else:
            retire.append(existing)
            continue
        if target is None and not existing.is_dropped:
            drop.append(existing)
    return Plan(
        create=tuple(wanted.values()),
        update=tuple(update),
        retire=tuple(retire),
        keep=tuple(keep),
        conflict=tuple(conflict),
        displaced=tuple(displaced),
        drop=tuple(drop),
        restore=tuple(restore),
    )


def _removes(exception: AvailabilityException, slot: Slot) -> bool:
    return exception.concerns(slot.rule_id) and exception.overlaps(slot.start_at, slot.end_at)


def _check_one_schedule(desired: Iterable[Slot], new: Iterable[Slot], old: Iterable[StoredSlot]) -> None:
    """Refuse slots of several schedules: those of another would be retired (A1)."""
    keys = {slot[2:4] for slot in new} | {existing.slot[2:4] for existing in old}
    if isinstance(desired, Slots):
        keys.add((desired.doctor_id, desired.facility_id))
    if len(keys) > 1:
        shown = " and ".join(sorted(f"doctor {doctor} at facility {facility}" for doctor, facility in keys)[:2])
        raise InvalidInputError(f"desired and stored must be slots of one schedule, not of {shown}")


def _by_identity(kind: str, slots: Iterable[Slot]) -> dict[tuple[object, ...], Slot]:
    """Return slots by their first five fields, which are their identity (S2)."""
    by_identity: dict[tuple[object, ...], Slot] = {}
    for slot in slots:
        identity = slot[:5]
        if identity in by_identity:
            raise InvalidInputError(f"two {kind} slots have the same identity: {_description(slot)}")
        by_identity[identity] = slot
    return by_identity


def _description(slot: Slot) -> str:
    return f"{slot.start_at.isoformat()} to {slot.end_at.isoformat()}, offering {slot.service_offering_id}"
