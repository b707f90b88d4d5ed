"""Reconciliation: the plan that makes stored slots equal to desired slots.

Owns: the stored slot as a value, and the plan.
Holds: R1 (a pure plan; applied, nothing is left to do), R2 (a booked or held slot is never deleted or moved), A5
(`blocked` leaves bookings standing, `emergency` displaces them), A6 (an emergency of one rule displaces its bookings).
Must not know: how slots are stored or how a plan is written.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from scheduler.core.errors import InvalidInputError
from scheduler.core.lifecycle import SlotStatus
from scheduler.core.schedules import AvailabilityException, ExceptionType
from scheduler.core.slots import Id, Slot, SlotIdentity
from scheduler.core.spans import utc


@dataclass(frozen=True, slots=True)
class StoredSlot:
    """A generated slot as it is stored, with its bookings and hold. Instants are in UTC.

    Raises:
        InvalidInputError: the number of booked places is negative or above the capacity.
        InvalidSpanError: `reserved_until` is naive.
    """

    id: Id
    slot: Slot
    status: SlotStatus = SlotStatus.OPEN
    booked_count: int = 0
    reserved_until: datetime | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.booked_count <= self.slot.capacity:
            raise InvalidInputError(
                f"slot {self.id}: {self.booked_count} booked places do not fit a capacity of {self.slot.capacity}"
            )
        if self.reserved_until is not None:
            object.__setattr__(self, "reserved_until", utc(self.reserved_until, name=f"slot {self.id}: reserved_until"))

    def is_held(self, now: datetime | None) -> bool:
        """Tell whether a hold on the slot is in force at `now`; without `now` every hold is (B2)."""
        if self.status is not SlotStatus.RESERVED:
            return False
        return now is None or self.reserved_until is None or self.reserved_until > utc(now)

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
    """

    create: tuple[Slot, ...] = ()
    update: tuple[SlotUpdate, ...] = ()
    retire: tuple[StoredSlot, ...] = ()
    keep: tuple[StoredSlot, ...] = ()
    conflict: tuple[StoredSlot, ...] = ()
    displaced: tuple[StoredSlot, ...] = ()

    @property
    def is_noop(self) -> bool:
        """Tell whether nothing is left to change."""
        return not (self.create or self.update or self.retire)


def reconcile(
    desired: Iterable[Slot],
    stored: Iterable[StoredSlot],
    *,
    exceptions: Iterable[AvailabilityException] = (),
    now: datetime | None = None,
) -> Plan:
    """Plan how the stored slots become the desired ones, both of the same span and schedule.

    The emergencies among the schedule's `exceptions` tell displaced bookings from conflicting ones. A hold that has
    ended by `now` counts as open; without `now` every hold is in force.

    Raises:
        InvalidInputError: two stored or two desired slots have the same identity.
    """
    wanted: dict[SlotIdentity, Slot] = {}
    for slot in desired:
        identity = slot.identity
        if identity in wanted:
            raise InvalidInputError(f"two desired slots have the same identity: {_description(slot)}")
        wanted[identity] = slot
    emergencies = [exception for exception in exceptions if exception.type is ExceptionType.EMERGENCY]
    update: list[SlotUpdate] = []
    retire: list[StoredSlot] = []
    keep: list[StoredSlot] = []
    conflict: list[StoredSlot] = []
    displaced: list[StoredSlot] = []
    seen: set[SlotIdentity] = set()
    for existing in sorted(stored, key=lambda existing: existing.slot.start_at):
        identity = existing.slot.identity
        if identity in seen:
            raise InvalidInputError(f"two stored slots have the same identity: {_description(existing.slot)}")
        seen.add(identity)
        target = wanted.pop(identity, None)
        if target is not None:
            # A capacity never falls below the number of booked places.
            target = target._replace(capacity=max(target.capacity, existing.booked_count))
            if target == existing.slot or existing.status is SlotStatus.CANCELLED:
                keep.append(existing)
            else:
                update.append(SlotUpdate(existing.id, target))
        elif existing.is_booked and any(_removes(emergency, existing.slot) for emergency in emergencies):
            displaced.append(existing)
        elif existing.is_booked or existing.is_held(now):
            conflict.append(existing)
        elif existing.status is SlotStatus.CANCELLED:
            keep.append(existing)
        else:
            retire.append(existing)
    return Plan(tuple(wanted.values()), tuple(update), tuple(retire), tuple(keep), tuple(conflict), tuple(displaced))


def _removes(exception: AvailabilityException, slot: Slot) -> bool:
    return exception.concerns(slot.rule_id) and exception.overlaps(slot.start_at, slot.end_at)


def _description(slot: Slot) -> str:
    return f"{slot.start_at.isoformat()} to {slot.end_at.isoformat()}, offering {slot.service_offering_id}"
