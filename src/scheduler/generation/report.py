"""Reports: what a run of the nightly job did.

Owns: the counts, the slots that people have to look at, the schedules that failed or were left to another run.
Must not know: how a report is shown, or how any of it came about.
"""

from dataclasses import dataclass, field, fields
from typing import Self

from scheduler.core.reconciliation import StoredSlot
from scheduler.postgres.schedules import ScheduleKey


@dataclass(frozen=True, slots=True)
class Failure:
    """A schedule that could not be generated, and why in one line."""

    key: ScheduleKey
    reason: str


@dataclass(frozen=True, slots=True)
class RunResult:
    """What was done, counted; results add up. `left` are schedules that another run was at work on."""

    schedules: int = 0
    unchanged: int = 0
    created: int = 0
    updated: int = 0
    retired: int = 0
    kept: int = 0
    conflicting: tuple[StoredSlot, ...] = ()
    displaced: tuple[StoredSlot, ...] = ()
    failures: tuple[Failure, ...] = ()
    left: tuple[ScheduleKey, ...] = ()

    def __add__(self, other: Self) -> Self:
        return type(self)(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))

    def counts(self) -> dict[str, int]:
        """Return the counts as they stand in `generation_runs`."""
        return {
            "schedules": self.schedules,
            "schedules_failed": len(self.failures),
            "slots_created": self.created,
            "slots_updated": self.updated,
            "slots_retired": self.retired,
            "slots_kept": self.kept,
            "slots_conflicting": len(self.conflicting),
            "slots_displaced": len(self.displaced),
        }


@dataclass(frozen=True, slots=True)
class Report:
    """What a run did. `facilities` counts places, `result.schedules` doctors at places."""

    run_id: int | None
    facilities: int
    result: RunResult = field(default_factory=RunResult)
