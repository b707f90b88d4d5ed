"""Generation request: the days, the mode and the scope of a run of the nightly job, or of a refresh.

Owns: the request of a run and its limits, and the request to refresh the days that are generated already.
Holds: T5 (the instant is given, not read).
Must not know: how a request is carried out.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Final, Protocol
from uuid import UUID
from zoneinfo import ZoneInfo

from scheduler.core.days import DaySet
from scheduler.core.errors import InvalidInputError
from scheduler.core.spans import utc
from scheduler.core.zones import check_day
from scheduler.generation.time_zone_release import time_zone_release
from scheduler.postgres.acting import Timeouts

MAX_DAYS: Final = 7305
"""Twenty years: the table has a partition for each month."""


JOB_TIMEOUTS: Final = Timeouts(lock=timedelta(seconds=10), statement=timedelta(minutes=10))
"""A statement of a batch takes seconds; one that takes ten minutes waits for something that will not come."""


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


class Examination(Protocol):
    """The part of a request that decides which days of a schedule are examined, and whether changes are written."""

    @property
    def requested(self) -> DaySet:
        """The days that are to be generated, beside those that are already."""

    @property
    def now(self) -> datetime:
        """The instant by which a hold has ended or not."""

    def release_of(self, zone: ZoneInfo) -> str:
        """Return the release of the time zone data that fingerprints of schedules in this zone cover (R3)."""

    @property
    def mode(self) -> Mode:
        """Whether changes are written."""

    @property
    def scope(self) -> Scope:
        """Whether unchanged schedules are examined, too."""


@dataclass(frozen=True, slots=True)
class RefreshRequest:
    """A request to make the generated days of changed schedules anew, and to generate no others."""

    now: datetime
    mode: Mode = Mode.WRITE
    scope: Scope = Scope.CHANGED

    def release_of(self, zone: ZoneInfo) -> str:
        """Return the release of the time zone data in use."""
        return time_zone_release(zone)

    @property
    def requested(self) -> DaySet:
        """No day beside those that are generated already."""
        return DaySet()


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """A request for the slots of a tenant on local days `[from_day, until_day)` of each facility.

    A hold that ends by `now` (aware) has ended; of days before it, only requested ones are generated. `trigger` is a
    word for the origin of the run, which its row in `generation_runs` keeps. `tzdata_version` replaces the release of
    the time zone data, which is otherwise that of the data in use (`time_zone_release`). `timeouts` are those of each
    transaction of the run.

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
    timeouts: Timeouts = JOB_TIMEOUTS

    def __post_init__(self) -> None:
        if self.until_day <= self.from_day:
            raise InvalidInputError(f"no day to generate: {self.until_day} is not after {self.from_day}")
        if (days := (self.until_day - self.from_day).days) > MAX_DAYS:
            raise InvalidInputError(f"{days} days are too many for one run: {MAX_DAYS} at most")
        for day in (self.from_day, self.until_day, utc(self.now, name="now").date()):
            check_day(day)

    def release_of(self, zone: ZoneInfo) -> str:
        """Return the release of the time zone data that fingerprints of schedules in this zone cover (R3)."""
        return time_zone_release(zone) if self.tzdata_version is None else self.tzdata_version

    @property
    def requested(self) -> DaySet:
        """The days of the request."""
        return DaySet([(self.from_day, self.until_day)])


def earliest_day(request: Examination) -> date:
    """Return the first day that a request may change in any zone, the last of which is behind UTC."""
    return min(
        [request.now.astimezone(UTC).date() - timedelta(days=1), *(days.first for days in request.requested.spans)]
    )
