"""Reports: what a run of the nightly job did.

Owns: the counts, the slots that people have to look at, the schedules that failed or were left to another run.
Must not know: how a report is shown, or how any of it came about.
"""

from dataclasses import dataclass, field, fields
from typing import Self

from scheduler.core.reconciliation import StoredSlot
from scheduler.models.scheduling.generation import RUN_COUNTS
from scheduler.postgres.schedules import ScheduleKey


@dataclass(frozen=True, slots=True)
class Failure:
    """A schedule that could not be generated, and why in one line."""

    key: ScheduleKey
    reason: str


@dataclass(frozen=True, slots=True)
class RunResult:
    """The result of a run or of a part of one; results add up.

    The names are those of the columns of `generation_runs`; slots and schedules that people have to look at are listed
    and not only counted. `left` are schedules that another run was working on.
    """

    schedules: int = 0
    schedules_unchanged: int = 0
    slots_created: int = 0
    slots_updated: int = 0
    slots_retired: int = 0
    slots_kept: int = 0
    slots_conflicting: tuple[StoredSlot, ...] = ()
    slots_displaced: tuple[StoredSlot, ...] = ()
    schedules_failed: tuple[Failure, ...] = ()
    left: tuple[ScheduleKey, ...] = ()

    def __add__(self, other: Self) -> Self:
        return type(self)(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))

    def counts(self) -> dict[str, int]:
        """Return the counts by their columns in `generation_runs`."""
        values = {name: getattr(self, name) for name in RUN_COUNTS}
        return {name: value if isinstance(value, int) else len(value) for name, value in values.items()}


@dataclass(frozen=True, slots=True)
class Report:
    """What a run did. `facilities` counts places, `result.schedules` doctors at places."""

    run_id: int | None
    facilities: int
    result: RunResult = field(default_factory=RunResult)
