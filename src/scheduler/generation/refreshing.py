"""Refreshing: make the generated days of changed schedules anew, in the transaction that changed them.

Owns: the lock, the examination and the checkpoint of schedules that are refreshed.
Holds: R6 (the generated days follow the change), R4 (the change, its slots and the checkpoints are one transaction).
Must not know: SQL, what was changed, runs of the nightly job.

A schedule without generated days stays without slots: the next run generates its first days.
"""

from collections.abc import Iterable
from datetime import datetime

from sqlmodel import Session

from scheduler.generation.applying import apply
from scheduler.generation.planning import plan_task
from scheduler.generation.report import RunResult
from scheduler.generation.request import RefreshRequest, earliest_day
from scheduler.postgres.schedules import ScheduleKey, load_schedules, save_checkpoints


def refresh(session: Session, keys: Iterable[ScheduleKey], *, now: datetime) -> RunResult:
    """Make the generated days from today on match schedules that the caller has locked and changed.

    Raises:
        InvalidInputError: a schedule is now invalid.
    """
    request = RefreshRequest(now)
    loaded = load_schedules(session, sorted(set(keys)), lock=False, since=earliest_day(request))
    tasks = [plan_task(schedule, request) for schedule in loaded]
    result, pending = apply(session, tasks, request)
    checkpoints = (
        (task.key, task.checkpoint._replace(fingerprint=None) if task.key in pending else task.checkpoint)
        for task in tasks
        if task.checkpoint.days.spans  # else a run may generate the first days meanwhile, and its checkpoint stays
    )
    save_checkpoints(session, checkpoints, run_id=None)
    return result
