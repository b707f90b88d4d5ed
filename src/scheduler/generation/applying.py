"""Applying generation tasks: make the stored slots match their schedules, or only count the changes.

Owns: the comparison of desired with stored slots, and the counts of the changes.
Holds: R1 and R2 on stored slots.
Must not know: SQL; the choice of the spans (`planning`); runs, transactions and checkpoints.
"""

from collections.abc import Sequence
from itertools import chain

from sqlmodel import Session

from scheduler.core.expansion import expand
from scheduler.core.reconciliation import Plan, StoredSlot, reconcile
from scheduler.core.slots import Slot, Slots
from scheduler.generation.observing import traced
from scheduler.generation.planning import ScheduleTask
from scheduler.generation.report import RunResult
from scheduler.generation.request import Examination, Mode
from scheduler.postgres.schedules import ScheduleKey
from scheduler.postgres.slots import PlanResult, apply_plan, insert_slots, mark_slots
from scheduler.postgres.stored_slots import stored_slots


def apply(session: Session, tasks: Sequence[ScheduleTask], request: Examination) -> tuple[RunResult, set[ScheduleKey]]:
    """Compare desired with stored slots, and write the difference unless the run is dry.

    Returns also the pending schedules: some of their slots are booked, held, displaced or changed meanwhile.
    """
    result = RunResult(schedules=len(tasks), schedules_unchanged=sum(not task.spans for task in tasks))
    pending: set[ScheduleKey] = set()
    new: list[Slots] = []
    with traced("load"):
        stored = stored_slots(session, ((task.key, span) for task in tasks for span in task.spans))
        beside = stored_slots(session, ((task.key, span) for task in tasks for span in task.beside))
    with traced("expand"):
        desired = [[expand(task.schedule, span) for span in task.spans] for task in tasks]
    plans: list[tuple[ScheduleTask, Plan]] = []
    with traced("compare"):
        for task, slots in zip(tasks, desired, strict=True):
            within, others = stored.get(task.key, []), beside.get(task.key, [])
            if within or others:
                wanted = chain(*slots, _yielded(task, others))
                exceptions = task.schedule.exceptions
                plans.append((task, reconcile(wanted, within + others, exceptions=exceptions, now=request.now)))
            else:  # reconciling with nothing would create the same slots, one value at a time
                new += slots
    with traced("write"):
        dropped: list[StoredSlot] = []
        for task, plan in plans:
            changes, is_complete = _applied(session, plan, request)
            result += changes
            dropped += plan.drop
            if not is_complete:
                pending.add(task.key)
                dropped += plan.retire  # those that are still there were booked or held meanwhile
        if request.mode is Mode.WRITE:
            mark_slots(session, dropped=dropped, restored=[slot for _, plan in plans for slot in plan.restore])
        created = sum(map(len, new))
        if created and request.mode is Mode.WRITE:
            created = insert_slots(session, new)
    return result + RunResult(slots_created=created), pending


def _yielded(task: ScheduleTask, stored: Sequence[StoredSlot]) -> list[Slot]:
    """Return the slots of the schedule beside the examined spans that are stored already; no other is created there."""
    identities = {existing.slot[:5] for existing in stored}
    spans = task.beside if stored else ()
    return [slot for span in spans for slot in expand(task.schedule, span) if slot[:5] in identities]


def _applied(session: Session, plan: Plan, request: Examination) -> tuple[RunResult, bool]:
    """Apply the plan of one schedule; return also whether its stored slots now match it."""
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
