"""Run report: the counts of a run of the nightly job, and the slots and schedules that need attention.

Owns: the counts, conflicting and displaced slots, bookings that would begin at another time than promised, and the
schedules that failed, are parked, were locked by another run, or are left since the run was stopped.
Must not know: how a report is shown, the job.
"""

from dataclasses import dataclass, field, fields
from typing import Self

from scheduler.core.reconciliation import StoredSlot
from scheduler.models.scheduling.generation import RUN_COUNTS
from scheduler.postgres.promised_times import BrokenPromise
from scheduler.postgres.schedules import ScheduleKey


@dataclass(frozen=True, slots=True)
class Failure:
    """A schedule that could not be generated, with the reason in one line.

    `error` is the class of its error, `sqlstate` the code of the database, if there is one.
    """

    key: ScheduleKey
    reason: str
    error: str = field(default="", compare=False)
    sqlstate: str | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class RunResult:
    """The result of a run or a batch; results can be added.

    The names are those of the columns of `generation_runs`; slots and schedules that need attention are listed instead
    of counted. Slots of days that were not examined are not counted. `schedules_locked` lists the schedules that
    another run was working on, `schedules_parked` those that were left out since they failed three runs in a row,
    `broken_promises` the bookings that would begin at another wall-clock time than promised (T6).
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
    schedules_locked: tuple[ScheduleKey, ...] = ()
    schedules_parked: tuple[ScheduleKey, ...] = ()
    broken_promises: tuple[BrokenPromise, ...] = ()

    def __add__(self, other: Self) -> Self:
        return type(self)(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    def counts(self) -> dict[str, int]:
        """Return the counts by their columns in `generation_runs`."""
        values = {name: getattr(self, name) for name in RUN_COUNTS}
        return {name: value if isinstance(value, int) else len(value) for name, value in values.items()}


@dataclass(frozen=True, slots=True)
class Report:
    """The report of a run; a dry run has no id. `result.schedules` counts doctors at facilities.

    `schedules_left` counts the schedules that a stopped run left to the next one.
    """

    run_id: int | None
    facilities: int
    result: RunResult
    schedules_left: int = 0
