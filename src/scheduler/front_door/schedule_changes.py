"""Schedule changes: what is changed takes effect at once, in the same transaction.

Owns: the locks, the refresh of the generated days, and the result that a caller gets.
Holds: R6 (a change takes effect at once), R4 (the change and its slots are one transaction).
Must not know: which rows were changed.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from scheduler import models
from scheduler.booking.slotless_visits import conflicting_visits
from scheduler.core.reconciliation import StoredSlot
from scheduler.core.schedules import AvailabilityException, AvailabilityRule, Closure
from scheduler.front_door.context import Context
from scheduler.generation.refreshing import Invalid, refresh
from scheduler.generation.report import Failure
from scheduler.postgres.savepoints import refusable
from scheduler.postgres.schedules import ScheduleKey, lock_schedules

SchedulePart = AvailabilityRule | AvailabilityException | Closure | models.ResourceRule | models.ResourceException
"""The parts of schedules; those of resources are rows, whose ids differ in type from those of doctors."""


@dataclass(frozen=True, slots=True)
class ScheduleChange:
    """The result of a change of schedules: what was written, and the slots that follow from it.

    The counts are those of slots on days that are generated already; the next run of `generate` makes further days.
    `displaced` lists booked slots in time that an emergency took, `conflicting` those that are booked or held and no
    longer in the schedule: they stay, and people have to be told. `failed` lists invalid schedules, as other SQL may
    leave them: their slots are as they were, until somebody repairs the schedule. A change of a resource's hours makes
    and takes no slots; `conflicting_visits` are then the ids of the appointments that use it outside of its hours. Of a
    doctor, they are the visits without a slot in time that is closed or blocked, or in an emergency.
    """

    written: tuple[SchedulePart, ...] = ()
    slots_made: int = 0
    slots_changed: int = 0
    slots_taken: int = 0
    displaced: tuple[StoredSlot, ...] = ()
    conflicting: tuple[StoredSlot, ...] = ()
    failed: tuple[Failure, ...] = ()
    conflicting_visits: tuple[int, ...] = ()


class Changing:
    """A change of schedules under way: `written` and `change` are filled in before the block ends."""

    def __init__(self) -> None:
        self.written: tuple[SchedulePart, ...] = ()
        self.change: ScheduleChange = ScheduleChange()


@contextmanager
def changing(
    context: Context, keys: Iterable[ScheduleKey], *, invalid: Invalid = Invalid.REPORTED
) -> Iterator[Changing]:
    """Lock schedules, run the block that changes them, and make their generated days anew.

    All of it is one savepoint: if the block or the refresh is refused, both are undone, and the unit of work goes on.
    """
    changed = sorted(set(keys))
    under_way = Changing()
    with refusable(context.session):
        if changed:
            lock_schedules(context.session, changed)
        yield under_way
        context.session.flush()
        if not changed:
            under_way.change = ScheduleChange(under_way.written)
            return
        now = context.clock()
        result = refresh(context.session, changed, now=now, invalid=invalid)
        visits = conflicting_visits(context.session, changed, now=now)
    under_way.change = ScheduleChange(
        under_way.written,
        slots_made=result.slots_created,
        slots_changed=result.slots_updated,
        slots_taken=result.slots_retired,
        displaced=result.slots_displaced,
        conflicting=result.slots_conflicting,
        failed=result.schedules_failed,
        conflicting_visits=visits,
    )
