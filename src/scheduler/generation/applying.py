"""Applying generation tasks: make the stored slots match their schedules, or only count the changes.

Owns: the comparison of desired with stored slots, and the counts of the changes.
Holds: R1 and R2 on stored slots.
Must not know: SQL; the choice of the spans (`planning`); runs, transactions and checkpoints.
"""

from collections.abc import Iterable, Sequence
from itertools import chain

from sqlmodel import Session

from scheduler.core.expansion import expand
from scheduler.core.reconciliation import StoredSlot, reconcile
from scheduler.core.slots import Slot, Slots
from scheduler.generation.planning import ScheduleTask
from scheduler.generation.report import RunResult
from scheduler.generation.request import Examination, Mode
from scheduler.postgres.schedules import ScheduleKey
from scheduler.postgres.slots import PlanResult, apply_plan, insert_slots, stored_slots


def apply(session: Session, tasks: Sequence[ScheduleTask], request: Examination) -> tuple[RunResult, set[ScheduleKey]]:
    """Compare desired with stored slots, and write the difference unless the run is dry.

    Returns also the pending schedules: some of their slots are booked, held, displaced or changed meanwhile.
    """
    result = RunResult(schedules=len(tasks), schedules_unchanged=sum(not task.spans for task in tasks))
    pending: set[ScheduleKey] = set()
    new: list[Slots] = []
    stored = stored_slots(session, ((task.key, span) for task in tasks for span in task.spans))
    beside = stored_slots(session, ((task.key, span) for task in tasks for span in task.beside))
    for task in tasks:
        desired = [expand(task.schedule, span) for span in task.spans]
        within, others = stored.get(task.key, []), beside.get(task.key, [])
        if within or others:
            wanted = chain(*desired, _yielded(task, others))
            changes, is_complete = _reconciled(session, task, wanted, within + others, request)
            result += changes
            if not is_complete:
                pending.add(task.key)
        else:  # reconciling with nothing would create the same slots, one value at a time
            new += desired
    created = sum(map(len, new))
    if created and request.mode is Mode.WRITE:
        created = insert_slots(session, new)
    return result + RunResult(slots_created=created), pending


def _yielded(task: ScheduleTask, stored: Sequence[StoredSlot]) -> list[Slot]:
    """Return the slots of the schedule beside the examined spans that are stored already; no other is created there."""
    identities = {existing.slot[:5] for existing in stored}
    spans = task.beside if stored else ()
    return [slot for span in spans for slot in expand(task.schedule, span) if slot[:5] in identities]


def _reconciled(
    session: Session,
    task: ScheduleTask,
    desired: Iterable[Slot],
    stored: Iterable[StoredSlot],
    request: Examination,
) -> tuple[RunResult, bool]:
    """Reconcile one schedule; return also whether its stored slots now match it."""
    plan = reconcile(desired, stored, exceptions=task.schedule.exceptions, now=request.now)
    planned = written = PlanResult(len(plan.create), len(plan.update), len(plan.retire))
    if request.mode is Mode.WRITE:
        written = apply_plan(session, plan, now=request.now)
    result = RunResult(
        slots_created=written.created,
        slots_updated=written.updated,
        slots_retired=written.retired,
        slots_kept=len(plan.keep) + planned.updated - written.updated + planned.retired - written.retired,
        slots_conflicting=plan.conflict,
        slots_displaced=plan.displaced,
    )
    return result, written == planned and not plan.conflict and not plan.displaced
