"""Applying generation tasks: make the stored slots match their schedules, or only count the changes.

Owns: the comparison of desired with stored slots, and the counts of the changes.
Holds: R1 and R2 on stored slots.
Must not know: SQL; the choice of the spans (`planning`); runs, transactions and checkpoints.
"""

from collections.abc import Iterable, Sequence
from itertools import chain, groupby

from sqlmodel import Session

from scheduler.core.expansion import expand
from scheduler.core.reconciliation import StoredSlot, reconcile
from scheduler.core.slots import Slot, Slots
from scheduler.generation.planning import ScheduleTask
from scheduler.generation.report import RunResult
from scheduler.generation.request import GenerationRequest, Mode
from scheduler.postgres.schedules import ScheduleKey
from scheduler.postgres.slots import PlanResult, apply_plan, count_slots, insert_slots, stored_slots


def apply(
    session: Session, tasks: Sequence[ScheduleTask], request: GenerationRequest
) -> tuple[RunResult, set[ScheduleKey]]:
    """Compare desired with stored slots, and write the difference unless the run is dry.

    Returns also the pending schedules: some of their slots are booked, held, displaced or changed meanwhile.
    """
    result = RunResult(schedules=len(tasks), schedules_unchanged=sum(not task.spans for task in tasks))
    pending: set[ScheduleKey] = set()
    new: list[Slots] = []
    for spans, group in groupby(sorted(tasks, key=lambda task: task.spans), key=lambda task: task.spans):
        same_spans = list(group)
        keys = [task.key for task in same_spans]
        stored_by_span = [stored_slots(session, keys, span.start, span.end) for span in spans]
        for task in same_spans:
            kept = sum(count_slots(session, task.key, span.start, span.end) for span in task.unexamined)
            result += RunResult(slots_kept=kept)
            desired = [expand(task.schedule, span) for span in spans]
            stored = [slot for slots_by_key in stored_by_span for slot in slots_by_key.get(task.key, ())]
            if stored:
                changes, is_complete = _reconciled(session, task, chain.from_iterable(desired), stored, request)
                result += changes
                if not is_complete:
                    pending.add(task.key)
            else:  # reconciling with nothing would create the same slots, one value at a time
                new += desired
    created = sum(map(len, new))
    if created and request.mode is Mode.WRITE:
        created = insert_slots(session, new)
    return result + RunResult(slots_created=created), pending


def _reconciled(
    session: Session,
    task: ScheduleTask,
    desired: Iterable[Slot],
    stored: Iterable[StoredSlot],
    request: GenerationRequest,
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
