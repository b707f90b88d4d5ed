"""Reconciliation: from the slots that should be and those that are to a plan.

Owns: the stored slot as a value, and the plan that makes the stored slots what the schedule says.
Holds: R1 (a pure plan; applied, nothing is left to do), R2 (what a person touched is never deleted or moved), A5
(`blocked` leaves bookings standing, `emergency` displaces them).
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
    """A slot as it is stored: what was generated, and what people did with it. Instants are in UTC.

    Raises:
        InvalidInputError: the booked places are fewer than none or more than the capacity.
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
        """Tell whether somebody holds the slot; a hold that has ended by `now` counts as open (B2)."""
        if self.status is not SlotStatus.RESERVED:
            return False
        return now is None or self.reserved_until is None or self.reserved_until > utc(now)

    @property
    def is_full(self) -> bool:
        """Tell whether no place in it is left."""
        return self.status is SlotStatus.BOOKED or self.booked_count == self.slot.capacity

    @property
    def is_booked(self) -> bool:
        """Tell whether anybody has booked a place in it."""
        return self.status is SlotStatus.BOOKED or self.booked_count > 0


@dataclass(frozen=True, slots=True)
class SlotUpdate:
    """A stored slot whose capacity or origin is to change; its identity does not."""

    id: Id
    slot: Slot


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do so that the stored slots are the desired ones, and what people have to look at.

    `create`, `update` and `retire` are changes. `keep` needs none. `conflict` is booked or held but no longer
    desired; `displaced` is booked under an emergency and goes to the re-booking list. Both stay stored (R2).
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
    """Plan how the stored slots become the desired ones; both concern the same span and schedule.

    `exceptions` are the schedule's: their emergencies tell displaced bookings from conflicting ones. `now` is the
    instant by which holds may have ended; without it every hold counts.

    Raises:
        InvalidInputError: two stored or two desired slots have one identity.
    """
    wanted: dict[SlotIdentity, Slot] = {}
    for slot in desired:
        identity = slot.identity
        if identity in wanted:
            raise InvalidInputError(f"two desired slots have one identity: {_named(slot)}")
        wanted[identity] = slot
    emergencies = [one for one in exceptions if one.type is ExceptionType.EMERGENCY]
    update: list[SlotUpdate] = []
    retire: list[StoredSlot] = []
    keep: list[StoredSlot] = []
    conflict: list[StoredSlot] = []
    displaced: list[StoredSlot] = []
    seen: set[SlotIdentity] = set()
    for one in sorted(stored, key=lambda one: one.slot.start_at):
        identity = one.slot.identity
        if identity in seen:
            raise InvalidInputError(f"two stored slots have one identity: {_named(one.slot)}")
        seen.add(identity)
        aim = wanted.pop(identity, None)
        if aim is not None:
            # A capacity never falls below the places that are booked.
            aim = aim._replace(capacity=max(aim.capacity, one.booked_count))
            if aim == one.slot or one.status is SlotStatus.CANCELLED:
                keep.append(one)
            else:
                update.append(SlotUpdate(one.id, aim))
        elif one.is_booked and any(_hits(emergency, one.slot) for emergency in emergencies):
            displaced.append(one)
        elif one.is_booked or one.is_held(now):
            conflict.append(one)
        elif one.status is SlotStatus.CANCELLED:
            keep.append(one)
        else:
            retire.append(one)
    return Plan(tuple(wanted.values()), tuple(update), tuple(retire), tuple(keep), tuple(conflict), tuple(displaced))


def _hits(exception: AvailabilityException, slot: Slot) -> bool:
    return exception.concerns(slot.rule_id) and exception.overlaps(slot.start_at, slot.end_at)


def _named(slot: Slot) -> str:
    return f"{slot.start_at.isoformat()} to {slot.end_at.isoformat()}, offering {slot.service_offering_id}"
