"""Reasons: the codes and values that explain why a time is not offered.

Owns: the reason codes, strongest first, and the reason value.
Holds: Q3 (the codes and texts of an explanation).
Must not know: how a reason is found.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from scheduler.core.slots import Id


class ReasonCode(StrEnum):
    """The kind of reason against a start, from strong to weak."""

    HORIZON = "horizon"
    NOTICE = "notice"
    CAP = "cap"
    RELEASE = "release"
    EMERGENCY = "emergency"
    BLOCKED = "blocked"
    BOOKED = "booked"
    CAPACITY = "capacity"
    HELD = "held"
    CANCELLED = "cancelled"
    NO_RESOURCE = "no_resource"
    OVERRIDE = "override"
    OVERRIDE_WITHOUT_SLOTS = "override_without_slots"
    CLOSURE = "closure"
    MISSING_DAY = "missing_day"
    NOT_GENERATED = "not_generated"
    NOT_EFFECTIVE = "not_effective"
    RECURRENCE = "recurrence"
    TOO_SHORT = "too_short"
    OFF_GRID = "off_grid"
    OUTSIDE_RULES = "outside_rules"


@dataclass(frozen=True, slots=True)
class Reason:
    """A reason why time in `[start_at, end_at)` (UTC) is not offered; `text` is one line for people.

    `starts` are the slot starts that the reason rules out; empty if no slot would start then. `cause_id` names the
    exception, closure, visit, hold, stored slot or cap that is the cause. `until` is when the reason ends by itself.
    """

    code: ReasonCode
    start_at: datetime
    end_at: datetime
    text: str
    starts: tuple[datetime, ...] = ()
    rule_id: Id | None = None
    cause_id: Id | None = None
    until: datetime | None = None
