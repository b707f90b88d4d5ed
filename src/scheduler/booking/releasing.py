"""Releasing: which slots a channel may book already.

Owns: the instant by which slots must be released for a channel, the slots that are not, and the reason against one.
Holds: Q5 (a release binds every channel but that of staff, and `now` decides).
Must not know: how a visit is found, or decided on.
"""

from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from scheduler.booking.sought_visits import Sought
from scheduler.core.channels import DESK
from scheduler.core.expansion import expand
from scheduler.core.overrides import BookingRule
from scheduler.core.reasons import Reason, ReasonCode
from scheduler.core.schedules import Schedule
from scheduler.core.slots import Slot, SlotIdentity
from scheduler.core.spans import Span


def released_by(sought: Sought) -> datetime | None:
    """Return the instant by which slots must be released for what is sought; None if any slot will do."""
    return None if sought.channel == DESK or BookingRule.RELEASE in sought.relaxed else sought.now


def unreleased(schedule: Schedule, span: Span, by: datetime | None) -> Iterator[SlotIdentity]:
    """Yield the slots of a span that are not released by an instant; without an instant, none."""
    if by is not None:
        for slot in expand(schedule, span):
            if slot.released_at is not None and slot.released_at > by:
                yield slot.identity


def reason_of_release(sought: Sought, slot: Slot, zone: ZoneInfo) -> Reason | None:
    """Return the reason against a slot that is not released yet for what is sought, if it is not."""
    by, at = released_by(sought), slot.released_at
    if by is None or at is None or at <= by:
        return None
    text = f"released on {at.astimezone(zone):%A %Y-%m-%d %H:%M}"
    return Reason(ReasonCode.RELEASE, slot.start_at, slot.end_at, text, (slot.start_at,), slot.rule_id, until=at)
