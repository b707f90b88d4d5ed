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
from scheduler.core.spans import Span
from scheduler.generation.observing import traced
from scheduler.generation.planning import ScheduleTask
from scheduler.generation.report import RunResult
from scheduler.generation.request import Examination, Mode
from scheduler.postgres.schedules import ScheduleKey
from scheduler.postgres.slots import PlanResult, apply_plan, count_slots, insert_slots, stored_slots


def apply(session: Session, tasks: Sequence[ScheduleTask], request: Examination) -> tuple[RunResult, set[ScheduleKey]]:
    """Compare desired with stored slots, and write the difference unless the run is dry.

    Returns also the pending schedules: some of their slots are booked, held, displaced or changed meanwhile.
    """
    result = RunResult(schedules=len(tasks), schedules_unchanged=sum(not task.spans for task in tasks))
    pending: set[ScheduleKey] = set()
    new: list[Slots] = []
    for (spans, beside), group in groupby(sorted(tasks, key=_read_spans), key=_read_spans):
        same_spans = list(group)
        keys = [task.key for task in same_spans]
        with traced("load"):
            stored_by_span = [stored_slots(session, keys, span.start, span.end) for span in spans]
            stored_beside = [stored_slots(session, keys, span.start, span.end) for span in beside]
        for task in same_spans:
            kept = sum(count_slots(session, task.key, span.start, span.end) for span in task.unexamined)
            result += RunResult(slots_kept=kept)
            with traced("expand"):
                desired = [expand(task.schedule, span) for span in spans]
            stored = [slot for slots_by_key in stored_by_span for slot in slots_by_key.get(task.key, ())]
            others = [slot for slots_by_key in stored_beside for slot in slots_by_key.get(task.key, ())]
            if stored or others:
                wanted = chain(*desired, _yielded(task, others))
                changes, is_complete = _reconciled(session, task, wanted, stored + others, request)
                result += changes
                if not is_complete:
                    pending.add(task.key)
            else:  # reconciling with nothing would create the same slots, one value at a time
                new += desired
    created = sum(map(len, new))
    if created and request.mode is Mode.WRITE:
        with traced("write"):
            created = insert_slots(session, new)
    return result + RunResult(slots_created=created), pending


def _read_spans(task: ScheduleTask) -> tuple[tuple[Span, ...], tuple[Span, ...]]:
    """Return the spans whose stored slots are read: schedules that share them are read together."""
    return task.spans, task.beside


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
    with traced("compare"):
        plan = reconcile(desired, stored, exceptions=task.schedule.exceptions, now=request.now)
    planned = written = PlanResult(len(plan.create), len(plan.update), len(plan.retire))
    if request.mode is Mode.WRITE:
        with traced("write"):
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
