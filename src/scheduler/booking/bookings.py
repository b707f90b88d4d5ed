"""Bookings: a visit is booked, confirmed from a hold, moved or cancelled.

Owns: what each of these acts locks, decides and writes, in this order.
Holds: B1 (locks before the decision), B2 (a hold becomes a visit once), B4 (a moved visit keeps its id; both or
nothing), B5 (a cancelled visit takes nothing), L1-L3 through `progress`.
Must not know: keys of requests, sessions as other roles.
"""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final, NamedTuple

from sqlalchemy import text
from sqlmodel import Session

from scheduler.booking.caps import refuse_beyond_caps
from scheduler.booking.deciding import Locked, decide, lock, resources_of
from scheduler.booking.holds import HeldVisit, take_hold
from scheduler.booking.loading import Without
from scheduler.booking.overriding import decide_with
from scheduler.booking.people import Person
from scheduler.booking.visit_rows import move_visit, planned_visit, write_visit
from scheduler.booking.visits import Visit
from scheduler.core.errors import NotFoundError, TransitionRefusedError
from scheduler.core.lifecycle import AppointmentStatus
from scheduler.core.offers import WantedVisit
from scheduler.core.overrides import Override

# The visit first: any UPDATE locks it before its triggers lock the others.
_OF_VISIT: Final = text("""
select visit.status, visit.patient_id, visit.doctor_id, visit.service_offering_id, visit.availability_slot_id,
    visit.slot_start_at, 'hours' = any(visit.override_rules) as breaks_hours, array(
    select distinct used.resource_id
    from scheduling.appointment_steps step
    join scheduling.appointment_step_resources used
        on used.tenant_id = step.tenant_id and used.appointment_step_id = step.id
    where step.tenant_id = visit.tenant_id and step.appointment_id = visit.id
) as resources
from scheduling.appointments visit
where visit.tenant_id = (select identity.current_tenant_id()) and visit.id = :visit
for no key update of visit
""")


_DOCTORS: Final = text("""
select distinct doctor_id from scheduling.service_offerings
where tenant_id = (select identity.current_tenant_id()) and id = any(cast(:offerings as bigint[]))
""")


class Concerned(NamedTuple):
    """A visit as far as a change concerns it: its status, patient and locks, and whether it breaks hours."""

    status: AppointmentStatus
    patient_id: int
    locked: Locked
    breaks_hours: bool


def book(  # noqa: PLR0913  # what is booked
    session: Session,
    wanted: WantedVisit,
    *,
    patient_id: int,
    notes: str | None,
    by: Person,
    channel: str,
    now: datetime,
    careful: bool,
    override: Override | None = None,
) -> Visit:
    """Book a visit on a channel for a patient; with an override it may break the rules that it names.

    Raises:
        NotOfferedError, SlotTakenError, CapReachedError, PatientBusyError: as in `decide`.
        OverrideNotNeededError: the visit breaks none of the rules.
    """
    decision = partial(
        decide,
        session,
        wanted,
        now=now,
        channel=channel,
        names=by.is_staff,
        patient_id=patient_id,
        careful=careful or override is not None,
    )
    decided = decide_with(override, decision)
    careful = careful or override is not None
    planned = planned_visit(decided.offer, careful=careful, broken=decided.broken, reason=decided.reason)
    return write_visit(session, planned, patient_id=patient_id, notes=notes, user_id=by.user_id)


def confirm(  # noqa: PLR0913  # what is confirmed
    session: Session,
    held: HeldVisit,
    *,
    patient_id: int,
    notes: str | None,
    by: Person,
    now: datetime,
    careful: bool,
) -> Visit:
    """Book the held visit for a patient, at the times of the hold.

    Nobody else has the time of the hold. So it is decided on again only if the schedule may have changed, as by an
    emergency.

    Raises:
        HoldEndedError: it has ended meanwhile.
        NotOfferedError: the schedule has changed since, as by an emergency.
        CapReachedError: a cap of the patient is reached, or one that was set or lowered since.
        PatientBusyError: the patient has another visit at this time.
    """
    again = partial(
        decide,
        session,
        held.wanted,
        now=now,
        channel=held.channel,
        names=by.is_staff,
        careful=careful,
        patient_id=patient_id,
        is_held=True,
    )
    if careful:  # its locks are more, and have an order
        planned = planned_visit(again(without=Without(hold_id=held.id)), careful=careful)
        take_hold(session, held, now=now)
    else:
        doctor_id: Any = held.wanted.slot.doctor_id
        resources: Any = held.wanted.resources
        offering_id: Any = held.wanted.offering_id
        are_capped = lock(session, Locked([patient_id], [doctor_id], resources, offerings=[offering_id]))
        is_unchanged = take_hold(session, held, now=now)
        if are_capped:
            start_at = min(held.wanted.starts.values())
            refuse_beyond_caps(session, offering_id, start_at, patient_id=patient_id)
        planned = held.planned if is_unchanged else planned_visit(again(), careful=careful)
    return write_visit(session, planned, patient_id=patient_id, notes=notes, user_id=by.user_id)


def reschedule(  # noqa: PLR0913  # what is moved
    session: Session,
    visit_id: int,
    to: WantedVisit | HeldVisit,
    *,
    by: Person,
    channel: str,
    now: datetime,
    careful: bool,
    override: Override | None = None,
) -> Visit:
    """Move a visit that has not begun to another offer or hold; it keeps its id, patient and notes.

    An offer is decided on for the channel, a hold for its own.

    Raises:
        NotFoundError: there is no such visit.
        TransitionRefusedError: the visit has begun, is over, or was cancelled.
        HoldEndedError, NotOfferedError, SlotTakenError, CapReachedError, PatientBusyError: as in `confirm` and
        `decide`.
        OverrideNotNeededError: the visit breaks none of the rules of the override.
    """
    concerned = concerned_by(session, visit_id)
    if concerned.status is not AppointmentStatus.SCHEDULED:
        reason = f"visit {visit_id} is {concerned.status}: only a scheduled visit is moved"
        raise TransitionRefusedError(reason, concerned.status, AppointmentStatus.SCHEDULED)
    held = to if isinstance(to, HeldVisit) else None
    careful = careful or override is not None
    decision = partial(
        decide,
        session,
        to.wanted if isinstance(to, HeldVisit) else to,
        now=now,
        channel=channel if held is None else held.channel,
        names=by.is_staff,
        patient_id=concerned.patient_id,
        without=Without(visit_id, None if held is None else held.id),
        also=concerned.locked,
        careful=careful,
        is_held=held is not None,
    )
    decided = decide_with(override, decision)
    if held is not None:
        take_hold(session, held, now=now)
    planned = planned_visit(decided.offer, careful=careful, broken=decided.broken, reason=decided.reason)
    return move_visit(session, visit_id, planned, user_id=by.user_id)


def lock_together(session: Session, wanted: Sequence[WantedVisit], patients: Sequence[int], *, careful: bool) -> None:
    """Lock what several visits concern, before the first of them is booked; with care, all that may be chosen."""
    offerings: dict[str, Any] = {"offerings": [one.offering_id for one in wanted]}
    doctors = [row.doctor_id for row in session.connection().execute(_DOCTORS, offerings)]
    resources: Any = {id_ for one in wanted for id_ in one.resources}
    if careful:
        facilities: Any = {one.slot.facility_id for one in wanted}
        resources |= {id_ for facility_id in facilities for id_ in resources_of(session, facility_id)}
    lock(session, Locked(patients, doctors, resources, offerings=offerings["offerings"]))


def concerned_by(session: Session, visit_id: int) -> Concerned:
    """Lock a visit, and return what it has.

    Raises:
        NotFoundError: there is no such visit.
    """
    row = session.connection().execute(_OF_VISIT, {"visit": visit_id}).one_or_none()
    if row is None:
        raise NotFoundError(f"no visit has the id {visit_id}")
    slots = [] if row.availability_slot_id is None else [(row.availability_slot_id, row.slot_start_at)]
    locked = Locked([row.patient_id], [row.doctor_id], row.resources, slots, [row.service_offering_id])
    return Concerned(AppointmentStatus(row.status), row.patient_id, locked, row.breaks_hours)
