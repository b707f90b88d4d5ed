"""Writing: make the stored slots of some schedules what these say, or only count what that would change.

Owns: the comparison of what should be with what is stored, and the counts of what came of it.
Holds: R1 and R2 on stored slots.
Must not know: SQL; which time is looked into (`work`); runs, transactions and checkpoints.
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
    """Compare what should be with what is stored, and write the difference unless the run is dry.

    Returns also the schedules that are not yet as they should be, since people have slots of theirs in hand.
    """
    result = RunResult(schedules=len(tasks), unchanged=sum(not task.spans for task in tasks))
    pending: set[ScheduleKey] = set()
    new: list[Slots] = []
    for spans, group in groupby(sorted(tasks, key=lambda task: task.spans), key=lambda task: task.spans):
        alike = list(group)
        found = {}
        if spans:
            keys = [task.key for task in alike]
            found = stored_slots(session, keys, spans[0].start, spans[-1].end)
        for task in alike:
            result += RunResult(kept=_kept_unseen(session, task))
            desired = [expand(task.schedule, span) for span in spans]
            stored = [one for one in found.get(task.key, ()) if any(one.slot.start_at in span for span in spans)]
            if stored:
                done, settled = _reconciled(session, task, chain.from_iterable(desired), stored, request)
                result += done
                if not settled:
                    pending.add(task.key)
            else:  # nothing to compare with: reconciling would create all of them, one value at a time
                new += desired
    created = sum(map(len, new))
    if created and request.mode is Mode.WRITE:
        created = insert_slots(session, new)
    return result + RunResult(created=created), pending


def _reconciled(
    session: Session,
    task: ScheduleTask,
    desired: Iterable[Slot],
    stored: Iterable[StoredSlot],
    request: GenerationRequest,
) -> tuple[RunResult, bool]:
    """Reconcile one schedule; also tell whether its slots are now what they should be."""
    plan = reconcile(desired, stored, exceptions=task.schedule.exceptions, now=request.now)
    planned = written = PlanResult(len(plan.create), len(plan.update), len(plan.retire))
    if request.mode is Mode.WRITE:
        written = apply_plan(session, plan, now=request.now)
    result = RunResult(
        created=written.created,
        updated=written.updated,
        retired=written.retired,
        kept=len(plan.keep) + planned.updated - written.updated + planned.retired - written.retired,
        conflicting=plan.conflict,
        displaced=plan.displaced,
    )
    return result, written == planned and not plan.conflict and not plan.displaced


def _kept_unseen(session: Session, task: ScheduleTask) -> int:
    """Count the stored slots of the time asked for that are left alone without a look."""
    if task.asked is None or task.asked in task.spans:
        return 0
    seen = sum(count_slots(session, task.key, span.start, span.end) for span in task.spans)
    return count_slots(session, task.key, task.asked.start, task.asked.end) - seen
