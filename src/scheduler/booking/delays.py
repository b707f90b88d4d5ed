"""Delays: how late the visits of a doctor's day begin and end, as it looks now.

Owns: the delay as a value, and the chain of a doctor's visits.
Holds: W5 (steps that have not begun move, no step is shortened).
Must not know: how a visit changes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import text
from sqlmodel import Session, col, select

from scheduler import models as rows
from scheduler.booking.closings import LateVisit, passed_closings
from scheduler.booking.visits import Visit, VisitStep, visits_by_id
from scheduler.core.lifecycle import AppointmentStatus, StepStatus
from scheduler.core.visits import retime
from scheduler.core.workflows import StepTemplate, TimedStep, WorkflowStep
from scheduler.core.zones import zone_of
from scheduler.postgres.workflows import load_workflow

_NO_TIME: Final = timedelta(0)
_UNKNOWN: Final = timedelta(minutes=1)
"""The length of a step that its workflow lacks: the times of the visit's own step count."""
_LIVE: Final = text("""
select id from scheduling.appointments
where tenant_id = (select identity.current_tenant_id()) and doctor_id = :doctor
  and status in ('scheduled', 'checked_in', 'in_progress')
  and start_at >= :now - interval '36 hours' and start_at < :now + interval '36 hours'
""")


@dataclass(frozen=True, slots=True)
class Delay:
    """A visit that begins or ends later than planned. Instants are in UTC.

    Steps that were left out are not waited for: a visit whose last step was skipped is planned to end before it.
    `closing_at` is the first closing time that a step is expected to pass and was planned to keep: the end of hours of
    the doctor at the facility, or of a resource of the step. It is None if there is none.
    """

    visit: Visit
    expected_start_at: datetime
    expected_end_at: datetime
    closing_at: datetime | None = None

    @property
    def length(self) -> timedelta:
        """How much later than planned the visit ends."""
        return self.expected_end_at - max((step.end_at for step in _left(self.visit)), default=self.visit.end_at)


def delays_of(session: Session, doctor_id: int, *, now: datetime) -> list[Delay]:
    """Return the delayed visits of a doctor's day, in order.

    A visit waits for its own earlier steps, and each of its steps with the doctor for those of other visits that were
    planned to end before it. Nothing is changed.
    """
    ids = [row.id for row in session.connection().execute(_LIVE, {"doctor": doctor_id, "now": now})]
    today = [
        visit
        for visit in visits_by_id(session, ids).values()
        if visit.local_start.date() == now.astimezone(zone_of(visit.zone)).date()
    ]
    known = _planned(session, today)
    planned = [_timed(visit, known.get(visit.workflow_id, {})) for visit in today]
    expected = _expected(planned, now)
    delays, late = [], []
    for visit, before, after in zip(today, planned, expected, strict=True):
        begun = [timed for timed in after if timed.status is not StepStatus.SCHEDULED]
        start_at = visit.start_at if begun else after[0].start_at
        ends = [_end_of(timed, now) for timed in after]
        end_at = max(ends)
        if end_at > before[-1].end_at or after[0].start_at > before[0].start_at:
            delays.append(Delay(visit, start_at, end_at))
            late.append(LateVisit(visit, before, ends))
    closings = passed_closings(session, late)
    return [replace(delay, closing_at=closing_at) for delay, closing_at in zip(delays, closings, strict=True)]


def _expected(planned: Sequence[Sequence[TimedStep]], now: datetime) -> list[Sequence[TimedStep]]:
    """Return the steps of the visits of one doctor as they are expected, given as they are planned.

    The visits of one slot are with the doctor together, so none of them waits for another.
    """
    expected: list[Sequence[TimedStep]] = [retime(steps, now) for steps in planned]
    for _ in range(sum(map(len, planned))):  # steps that a host wrote out of order could wait for each other for ever
        uses = [
            (before.end_at, _end_of(after, now))
            for visit in zip(planned, expected, strict=True)
            for before, after in zip(*visit, strict=True)
            if before.step.has_doctor
        ]
        former = expected
        expected = [
            retime([_after_uses(*pair, uses) for pair in zip(*visit, strict=True)], now)
            for visit in zip(planned, former, strict=True)
        ]
        if expected == former:
            break
    return expected


def _after_uses(before: TimedStep, after: TimedStep, uses: Iterable[tuple[datetime, datetime]]) -> TimedStep:
    """Return a step that waits until the doctor has ended what was planned to end before it."""
    if not before.step.has_doctor or after.status is not StepStatus.SCHEDULED:
        return after
    lead = before.step.lead
    ends = [end_at + lead for planned_end, end_at in uses if planned_end <= before.start_at - lead]
    wait = max(max(ends, default=after.start_at) - after.start_at, _NO_TIME)
    return replace(after, start_at=after.start_at + wait, end_at=after.end_at + wait)


def _end_of(timed: TimedStep, now: datetime) -> datetime:
    """Return when a step ends; one in progress does not end before now."""
    return max(timed.end_at, now) if timed.status is StepStatus.IN_PROGRESS else timed.end_at


def _planned(session: Session, visits: Sequence[Visit]) -> dict[int, dict[int, WorkflowStep]]:
    """Return the steps of the visits' workflows, by workflow and position."""
    workflow = rows.ServiceWorkflow
    wanted = {visit.workflow_id for visit in visits}
    found = session.exec(select(workflow).where(col(workflow.id).in_(wanted))) if wanted else ()
    return {int(row.id or 0): {step.position: step for step in load_workflow(session, row).steps} for row in found}


def _timed(visit: Visit, known: Mapping[int, WorkflowStep]) -> list[TimedStep]:
    """Return the steps that a visit still has; without any, it has the doctor all the time."""
    steps = [
        TimedStep(
            known.get(step.position) or _with_doctor(step.position, step.name), step.start_at, step.end_at, step.status
        )
        for step in _left(visit)
    ]
    if steps:
        return steps
    begun = visit.status is AppointmentStatus.IN_PROGRESS
    status = StepStatus.IN_PROGRESS if begun else StepStatus.SCHEDULED
    return [TimedStep(_with_doctor(1, "visit"), visit.start_at, visit.end_at, status)]


def _with_doctor(position: int, name: str) -> WorkflowStep:
    return WorkflowStep(position, StepTemplate(position, name, default_duration=_UNKNOWN))


def _left(visit: Visit) -> list[VisitStep]:
    return [step for step in visit.steps if step.status not in {StepStatus.CANCELLED, StepStatus.NO_SHOW}]
