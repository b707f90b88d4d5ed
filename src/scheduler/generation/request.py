"""Generation request: the days, the mode and the scope of a run of the nightly job.

Owns: the request and its limits.
Holds: T5 (the instant is given, not read).
Must not know: how a request is carried out.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID
from zoneinfo import ZoneInfo

from scheduler.core.errors import InvalidInputError
from scheduler.core.spans import utc
from scheduler.core.zones import check_day
from scheduler.generation.time_zone_release import time_zone_release

MAX_DAYS: Final = 7305
"""Twenty years: the table has a partition for each month."""


class Mode(StrEnum):
    """Whether a run writes its changes."""

    WRITE = "write"
    DRY = "dry"
    """Plan everything, write nothing."""


class Scope(StrEnum):
    """The schedules that a run examines."""

    CHANGED = "changed"
    """Schedules that changed since their checkpoint, and new days of the others (R3)."""
    ALL = "all"
    """All schedules: this also repairs slots that were deleted or edited by hand."""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """A request for the slots of a tenant on local days `[from_day, until_day)` of each facility.

    A hold that ends by `now` (aware) has ended; of days before it, only requested ones are generated. `trigger` is a
    word for the origin of the run, which its row in `generation_runs` keeps. `tzdata_version` replaces the release of
    the time zone data, which is otherwise that of the data in use (`time_zone_release`).

    Raises:
        InvalidInputError: no day, more than `MAX_DAYS` days, days or `now` outside the calendar, or a naive `now`.
    """

    tenant_id: UUID
    from_day: date
    until_day: date
    now: datetime
    facility_slug: str | None = None
    mode: Mode = Mode.WRITE
    scope: Scope = Scope.CHANGED
    trigger: str = "manual"
    tzdata_version: str | None = None

    def __post_init__(self) -> None:
        if self.until_day <= self.from_day:
            raise InvalidInputError(f"no day to generate: {self.until_day} is not after {self.from_day}")
        if (days := (self.until_day - self.from_day).days) > MAX_DAYS:
            raise InvalidInputError(f"{days} days are too many for one run: {MAX_DAYS} at most")
        for day in (self.from_day, self.until_day, utc(self.now, name="now").date()):
            check_day(day)

    def today(self, zone: ZoneInfo) -> date:
        """Return the local day of `now` in this zone."""
        return self.now.astimezone(zone).date()

    def release_of(self, zone: ZoneInfo) -> str:
        """Return the release of the time zone data that fingerprints of schedules in this zone cover (R3)."""
        return time_zone_release(zone) if self.tzdata_version is None else self.tzdata_version

    @property
    def earliest_day(self) -> date:
        """The first day that the run may change in any zone: the last of them is a day behind UTC."""
        return min(self.from_day, self.now.astimezone(UTC).date() - timedelta(days=1))
