"""Refreshing: make the generated days of changed schedules anew, in the transaction that changed them.

Owns: the lock, the examination and the checkpoint of schedules that are refreshed.
Holds: R6 (the generated days follow the change), R4 (the change, its slots and the checkpoints are one transaction).
Must not know: SQL, what was changed, runs of the nightly job.

A schedule without generated days stays without slots: the next run generates its first days.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from enum import Enum, auto
from functools import partial

from sqlmodel import Session

from scheduler.core.errors import InvalidInputError
from scheduler.generation.applying import apply
from scheduler.generation.planning import ScheduleTask, checkpoints_after, needed_days, plan_task
from scheduler.generation.report import Failure, RunResult
from scheduler.generation.request import RefreshRequest
from scheduler.postgres.schedules import ScheduleKey, load_schedules, save_checkpoints


class Invalid(Enum):
    """The treatment of a schedule that is invalid after the change."""

    REFUSED = auto()
    """The change is of its own parts: refuse it."""
    REPORTED = auto()
    """The change is of a facility or a doctor: leave the schedule stale, and report it, as the nightly job does."""


def refresh(
    session: Session, keys: Sequence[ScheduleKey], *, now: datetime, invalid: Invalid = Invalid.REFUSED
) -> RunResult:
    """Make the generated days from today on match schedules that the caller has locked and changed.

    Raises:
        InvalidInputError: a schedule is invalid, and such a one is refused.
    """
    request = RefreshRequest(now)
    tasks: list[ScheduleTask] = []
    failed: list[Failure] = []
    needed = partial(needed_days, request=request)
    for loaded in load_schedules(session, keys, lock=False, needed=needed):
        if isinstance(loaded.schedule, InvalidInputError) and invalid is Invalid.REPORTED:
            failed.append(Failure(loaded.key, str(loaded.schedule)))
        else:
            tasks.append(plan_task(loaded, request))
    result, pending = apply(session, tasks, request)
    if pending:  # a slot may have been booked while its deletion waited for the booking: the caller has to be told
        again, pending = apply(session, [task for task in tasks if task.key in pending], request)
        result = replace(result, slots_conflicting=(), slots_displaced=())
        result += replace(again, schedules=0, slots_kept=0)  # both are counted already
    # Without generated days there is nothing to cover, and a run may have just generated the first ones.
    covering = [task for task in tasks if task.checkpoint.days.spans]
    save_checkpoints(session, checkpoints_after(covering, pending), run_id=None)
    return replace(result, schedules_failed=tuple(failed))
