"""Progress: a visit goes through its life cycle.

Owns: reading the state of a visit under its lock, and writing the transitions that follow.
Holds: L1 and L2 (the transitions are those of `core.lifecycle`), L3 (the audit log records each), B5 (cancelling frees,
undoing takes again or is refused).
Must not know: which transitions there are.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlmodel import Session

from scheduler.booking.bookings import concerned_by
from scheduler.booking.caps import refuse_beyond_caps
from scheduler.booking.deciding import lock, refuse_second_visit
from scheduler.booking.errors import NotOfferedError
from scheduler.booking.loading import Without
from scheduler.booking.slotless_visits import conflicting_visits
from scheduler.booking.visits import Visit, visit_of
from scheduler.core.errors import NotFoundError, TransitionRefusedError
from scheduler.core.lifecycle import (
    AppointmentState,
    AppointmentStatus,
    StepState,
    StepStatus,
    SubjectKind,
    TransitionResult,
)
from scheduler.core.spans import Span
from scheduler.postgres.schedules import ScheduleKey

Change = Callable[[AppointmentState, Mapping[int, int]], TransitionResult]
"""Makes the transition of a state, given the ids of its steps by position."""

_STEPS: Final = text("""
select id, position, status from scheduling.appointment_steps
where tenant_id = (select identity.current_tenant_id()) and appointment_id = :visit
order by position
for no key update
""")
_SET_STEPS: Final = text("""
update scheduling.appointment_steps step set status = changed.status
from unnest(cast(:ids as bigint[]), cast(:statuses as text[])) as changed (id, status)
where step.tenant_id = (select identity.current_tenant_id()) and step.id = changed.id
""")
_SET_VISIT: Final = text("""
update scheduling.appointments
set status = :status, cancellation_reason = :reason, updated_by = :user
where tenant_id = (select identity.current_tenant_id()) and id = :visit
""")
_OVER: Final = frozenset({AppointmentStatus.COMPLETED, AppointmentStatus.CANCELLED, AppointmentStatus.NO_SHOW})
_OFF: Final = frozenset({StepStatus.CANCELLED, StepStatus.NO_SHOW})
_HOST: Final = "host"
"""Who acts in a unit of work without a user."""


def cancel(session: Session, visit_id: int, *, reason: str, user_id: UUID | None, now: datetime) -> Visit:
    """Cancel a visit; its steps that have not begun are cancelled, too.

    Raises:
        NotFoundError: there is no such visit.
        TransitionRefusedError: the visit is over or cancelled.
    """
    by = user_id or _HOST
    return _change(
        session,
        visit_id,
        lambda state, _: state.transition(AppointmentStatus.CANCELLED, at=now, by=by),
        user_id=user_id,
        reason=reason,
        now=now,
    )


def advance(session: Session, visit_id: int, to: AppointmentStatus, *, user_id: UUID | None, now: datetime) -> Visit:
    """Change the status of a visit.

    Raises:
        NotFoundError: there is no such visit.
        TransitionRefusedError: the life cycle lacks the transition, or a step is not finished.
        SlotTakenError, PatientBusyError, CapReachedError: a visit that takes its time again, and the time or the last
            place of a cap was given away.
        NotOfferedError: such a visit, whose slot was taken away: its time was closed or blocked.
    """
    by = user_id or _HOST
    return _change(
        session, visit_id, lambda state, _: state.transition(to, at=now, by=by), user_id=user_id, reason=None, now=now
    )


def advance_step(
    session: Session, visit_id: int, position: int, to: StepStatus, *, user_id: UUID | None, now: datetime
) -> Visit:
    """Change the status of a step, and that of its visit with it (L2).

    Raises:
        NotFoundError: there is no such visit, or it has no step at the position.
        TransitionRefusedError: the life cycle lacks the transition of the step or the visit.
    """

    def change(state: AppointmentState, ids: Mapping[int, int]) -> TransitionResult:
        if position not in ids:
            raise NotFoundError(f"visit {visit_id} has no step at position {position}")
        if state.status in _OVER:
            reason = f"visit {visit_id} is {state.status}: its steps stay as they are"
            raise TransitionRefusedError(reason, state.status, to)
        others = [step for step in state.steps if step.id != ids[position]]
        if to is StepStatus.CANCELLED and all(step.status in _OFF for step in others):
            reason = f"step {position} is the last one of visit {visit_id}: cancel the visit"
            raise TransitionRefusedError(reason, StepStatus.SCHEDULED, to)
        return state.transition_step(ids[position], to, at=now, by=user_id or _HOST)

    return _change(session, visit_id, change, user_id=user_id, reason=None, now=now)


def _change(
    session: Session, visit_id: int, change: Change, *, user_id: UUID | None, reason: str | None, now: datetime
) -> Visit:
    concerned = concerned_by(session, visit_id)
    if concerned.status is AppointmentStatus.NO_SHOW:  # it may take its time again
        are_capped = lock(session, concerned.locked)
    connection = session.connection()
    steps = connection.execute(_STEPS, {"visit": visit_id}).all()
    state = AppointmentState(
        visit_id, concerned.status, tuple(StepState(id_, StepStatus(status)) for id_, _, status in steps)
    )
    result = change(state, {position: id_ for id_, position, _ in steps})
    if concerned.status is AppointmentStatus.NO_SHOW:
        visit = visit_of(session, visit_id)
        span = Span(visit.start_at, visit.end_at)
        refuse_second_visit(session, concerned.patient_id, span, without=Without(visit_id))
        if are_capped:
            refuse_beyond_caps(session, visit.offering_id, visit.start_at, patient_id=visit.patient_id)
    if result.state.status is not concerned.status:  # before its steps: what is cancelled takes nothing
        values = {"visit": visit_id, "status": result.state.status.value, "reason": reason, "user": user_id}
        connection.execute(_SET_VISIT, values)
    if concerned.status is AppointmentStatus.NO_SHOW and not concerned.breaks_hours:
        key = ScheduleKey(visit.doctor_id, visit.facility_id)
        if visit_id in conflicting_visits(session, [key], now=now):
            raise NotOfferedError(f"the time of visit {visit_id} was closed or blocked meanwhile: book another visit")
    changed = [one for one in result.transitions if one.subject.kind is SubjectKind.APPOINTMENT_STEP]
    if changed:
        statuses = {"ids": [one.subject.id for one in changed], "statuses": [one.after.value for one in changed]}
        connection.execute(_SET_STEPS, statuses)
    return visit_of(session, visit_id)
