"""Orders: what a run of the nightly job is asked to do.

Owns: the request, with its days, its mode (write or dry) and its scope (what changed, or all).
Holds: T5 (the instant and the release of the tz database are told, not read).
Must not know: how a request is carried out, or where it comes from.
"""

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Final
from uuid import UUID

from scheduler.core.errors import InvalidInputError
from scheduler.core.zones import check_day

MAX_DAYS: Final = 7305
"""Twenty years. The table has a partition for each month; nobody means more."""


class Mode(StrEnum):
    """What a run does with what it finds."""

    WRITE = "write"
    DRY = "dry"
    """Plan everything, write nothing."""


class Scope(StrEnum):
    """Which schedules a run looks into."""

    CHANGED = "changed"
    """Those that changed since their checkpoint, and new days of the others (R3)."""
    ALL = "all"
    """All of them: also puts right slots that were deleted or edited by hand."""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """What a run is to do: local days `[from_day, until_day)` of each facility, for one tenant.

    `now` (aware) is the instant by which holds may have ended, `tzdata_version` the release of the tz database in use.

    Raises:
        InvalidInputError: no day, more than `MAX_DAYS`, or days outside the calendar.
    """

    tenant_id: UUID
    from_day: date
    until_day: date
    now: datetime
    tzdata_version: str
    facility_slug: str | None = None
    mode: Mode = Mode.WRITE
    scope: Scope = Scope.CHANGED
    trigger: str = "manual"

    def __post_init__(self) -> None:
        if self.until_day <= self.from_day:
            raise InvalidInputError(f"no day to generate: {self.until_day} is not after {self.from_day}")
        if (days := (self.until_day - self.from_day).days) > MAX_DAYS:
            raise InvalidInputError(f"{days} days are too many for one run: {MAX_DAYS} at most")
        for day in (self.from_day, self.until_day):
            check_day(day)
