"""Releasing: which slots a channel may book already.

Owns: the instant by which slots must be released for a channel, and the reason against slots that are not.
Holds: Q5 (a release binds every channel but that of staff, and `now` decides).
Must not know: how a visit is found, or decided on.
"""

from collections.abc import Sequence
from datetime import datetime
from operator import itemgetter

from scheduler.booking.candidates import DESK, Sought
from scheduler.core.expansion import expand
from scheduler.core.reasons import Reason, ReasonCode
from scheduler.core.schedules import Schedule
from scheduler.core.slots import Id, Slot
from scheduler.core.spans import Span
from scheduler.core.zones import MICROSECOND


def released_by(sought: Sought) -> datetime | None:
    """Return the instant by which slots must be released for what is sought; None if any slot will do."""
    return None if sought.channel == DESK else sought.now


def reasons_of_release(
    schedule: Schedule, sought: Sought, offering_id: Id, at: datetime, *, free: Sequence[Slot] = ()
) -> list[Reason]:
    """Return the reason against the slots of an offering that start at an instant, if none of them is released.

    `free` are the slots that start then and can take a visit; without any, all slots count. The reason is that of the
    slot that is released first.
    """
    now = released_by(sought)
    if now is None:
        return []
    slots = free or expand(schedule, Span(at, at + MICROSECOND))
    suitable = [slot for slot in slots if slot.service_offering_id in {None, offering_id}]
    later = [(slot.released_at, slot) for slot in suitable if slot.released_at is not None and slot.released_at > now]
    if not later or len(later) < len(suitable):
        return []
    released_at, slot = min(later, key=itemgetter(0))
    text = f"released on {released_at.astimezone(schedule.zone):%A %Y-%m-%d %H:%M}"
    return [Reason(ReasonCode.RELEASE, slot.start_at, slot.end_at, text, (slot.start_at,), slot.rule_id)]
