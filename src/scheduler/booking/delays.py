"""Delays: how late the visits of a doctor's day begin and end, as it looks now.

Owns: the delay as a value, and the chain of a doctor's visits.
Holds: W5 (steps that have not begun move, no step is shortened).
Must not know: how a visit changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import text
from sqlmodel import Session, col, select

from scheduler import models as rows
from scheduler.booking.visits import Visit, visits_by_id
from scheduler.core.lifecycle import StepStatus
from scheduler.core.visits import retime
from scheduler.core.workflows import TimedStep, WorkflowStep
from scheduler.core.zones import zone_of
from scheduler.postgres.workflows import load_workflow

_NO_TIME: Final = timedelta(0)
_LIVE: Final = text("""
select id from scheduling.appointments
where tenant_id = (select identity.current_tenant_id()) and doctor_id = :doctor
  and status in ('scheduled', 'checked_in', 'in_progress')
  and start_at >= :now - interval '36 hours' and start_at < :now + interval '36 hours'
""")


@dataclass(frozen=True, slots=True)
class Delay:
    """A visit that begins or ends later than planned. Instants are in UTC."""

    visit: Visit
    expected_start_at: datetime
    expected_end_at: datetime

    @property
    def length(self) -> timedelta:
        """How much later than planned the visit ends."""
        return self.expected_end_at - self.visit.end_at


def delays_of(session: Session, doctor_id: int, *, now: datetime) -> list[Delay]:
    """Return the delayed visits of a doctor's day, in order.

    A visit waits for its own earlier steps, and for the visits with the doctor before it.
    """
    ids = [row.id for row in session.connection().execute(_LIVE, {"doctor": doctor_id, "now": now})]
    today = [
        visit
        for visit in visits_by_id(session, ids).values()
        if visit.local_start.date() == now.astimezone(zone_of(visit.zone)).date()
    ]
    planned = _planned(session, today)
    delays = []
    free_at = now
    for visit in today:
        steps = retime(_timed(visit, planned[visit.workflow_id]), now)
        with_doctor = [timed for timed in steps if timed.step.has_doctor]
        waiting = [timed for timed in with_doctor if timed.status is StepStatus.SCHEDULED]
        wait = max(free_at - waiting[0].start_at, _NO_TIME) if waiting else _NO_TIME
        begun = [timed for timed in steps if timed.status is not StepStatus.SCHEDULED]
        start_at = visit.start_at if begun else steps[0].start_at + wait
        end_at = steps[-1].end_at + wait
        if with_doctor:
            free_at = max(free_at, with_doctor[-1].end_at + wait)
        if start_at > visit.start_at or end_at > visit.end_at:
            delays.append(Delay(visit, start_at, end_at))
    return delays


def _planned(session: Session, visits: Sequence[Visit]) -> dict[int, dict[int, WorkflowStep]]:
    """Return the steps of the visits' workflows, by workflow and position."""
    workflow = rows.ServiceWorkflow
    wanted = {visit.workflow_id for visit in visits}
    found = session.exec(select(workflow).where(col(workflow.id).in_(wanted))) if wanted else ()
    return {int(row.id or 0): {step.position: step for step in load_workflow(session, row).steps} for row in found}


def _timed(visit: Visit, planned: dict[int, WorkflowStep]) -> list[TimedStep]:
    return [
        TimedStep(planned[step.position], step.start_at, step.end_at, step.status)
        for step in visit.steps
        if step.status not in {StepStatus.CANCELLED, StepStatus.NO_SHOW}
    ]
