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
from scheduler.generation.planning import Work
from scheduler.generation.report import Tally
from scheduler.generation.request import Mode, Order
from scheduler.postgres.schedules import ScheduleKey
from scheduler.postgres.slots import Written, apply_plan, count_slots, insert_slots, stored_slots


def carry_out(session: Session, works: Sequence[Work], order: Order) -> tuple[Tally, set[ScheduleKey]]:
    """Compare what should be with what is stored, and write the difference unless the run is dry.

    Returns also the schedules that are not yet as they should be, since people have slots of theirs in hand.
    """
    tally = Tally(schedules=len(works), unchanged=sum(not work.spans for work in works))
    unsettled: set[ScheduleKey] = set()
    new: list[Slots] = []
    for spans, group in groupby(sorted(works, key=lambda work: work.spans), key=lambda work: work.spans):
        alike = list(group)
        found = {}
        if spans:
            keys = [work.key for work in alike]
            found = stored_slots(session, keys, spans[0].start, spans[-1].end)
        for work in alike:
            tally += Tally(kept=_kept_unseen(session, work))
            desired = [expand(work.schedule, span) for span in spans]
            stored = [one for one in found.get(work.key, ()) if any(one.slot.start_at in span for span in spans)]
            if stored:
                done, settled = _reconciled(session, work, chain.from_iterable(desired), stored, order)
                tally += done
                if not settled:
                    unsettled.add(work.key)
            else:  # nothing to compare with: reconciling would create all of them, one value at a time
                new += desired
    created = sum(map(len, new))
    if created and order.mode is Mode.WRITE:
        created = insert_slots(session, new)
    return tally + Tally(created=created), unsettled


def _reconciled(
    session: Session, work: Work, desired: Iterable[Slot], stored: Iterable[StoredSlot], order: Order
) -> tuple[Tally, bool]:
    """Reconcile one schedule; also tell whether its slots are now what they should be."""
    plan = reconcile(desired, stored, exceptions=work.schedule.exceptions, now=order.now)
    planned = written = Written(len(plan.create), len(plan.update), len(plan.retire))
    if order.mode is Mode.WRITE:
        written = apply_plan(session, plan, now=order.now)
    tally = Tally(
        created=written.created,
        updated=written.updated,
        retired=written.retired,
        kept=len(plan.keep) + planned.updated - written.updated + planned.retired - written.retired,
        conflicting=plan.conflict,
        displaced=plan.displaced,
    )
    return tally, written == planned and not plan.conflict and not plan.displaced


def _kept_unseen(session: Session, work: Work) -> int:
    """Count the stored slots of the time asked for that are left alone without a look."""
    if work.asked is None or work.asked in work.spans:
        return 0
    seen = sum(count_slots(session, work.key, span.start, span.end) for span in work.spans)
    return count_slots(session, work.key, work.asked.start, work.asked.end) - seen
