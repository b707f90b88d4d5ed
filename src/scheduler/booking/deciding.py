"""Deciding: whether the visit of an offer can be had at its times, as the tables are now.

Owns: the locks of a visit, and the decision by search.
Holds: Q1 (the visit of an offer is decided as the search found it), W1 (the workflow of an offer is still the payer's).
Must not know: how a visit is written.

The doctor is locked first, so the schedule cannot change until the end of the transaction: whoever changes a schedule
through the library holds this lock.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import text
from sqlmodel import Session

from scheduler.booking.candidates import Sought
from scheduler.booking.errors import NotOfferedError, PatientBusyError, SlotTakenError
from scheduler.booking.loading import Without
from scheduler.booking.refusing import SEARCHED, not_offered
from scheduler.booking.searching import Search
from scheduler.core.offers import VisitOffer, WantedVisit
from scheduler.core.spans import Span
from scheduler.core.zones import MICROSECOND

_WORKFLOW: Final = text("""
select workflow.insurance_plan_id, offering.doctor_id, array(
    select step.position from scheduling.workflow_steps step
    where step.tenant_id = workflow.tenant_id and step.service_workflow_id = workflow.id
)
from scheduling.service_workflows workflow
join scheduling.service_offerings offering
    on offering.tenant_id = workflow.tenant_id and offering.id = workflow.service_offering_id
where workflow.tenant_id = (select identity.current_tenant_id())
  and workflow.id = :workflow and workflow.service_offering_id = :offering
""")
_BUSY: Final = text("""
select id from scheduling.appointments
where tenant_id = (select identity.current_tenant_id()) and patient_id = :patient
  and status in ('scheduled', 'checked_in', 'in_progress') and start_at < :end and end_at > :begin
  and id is distinct from cast(:visit as bigint)
order by start_at limit 1
""")
_LOCK: Final = text("""
select scheduling.lock_for_visits(
    cast(:patients as bigint[]), cast(:doctors as bigint[]), cast(:resources as bigint[]), cast(:slots as bigint[]),
    cast(:slot_starts as timestamptz[]))
""")


class Locked(NamedTuple):
    """What visits concern, to be locked in one order."""

    patients: Iterable[int] = ()
    doctors: Iterable[int] = ()
    resources: Iterable[int] = ()
    slots: Iterable[tuple[int, datetime]] = ()


_NO_OTHER: Final = Without()
_NOTHING: Final = Locked()


def lock(session: Session, locked: Locked) -> None:
    """Wait for the locks of what visits concern, and hold them until the transaction ends."""
    slots = list(locked.slots)
    values = {
        "patients": list(locked.patients),
        "doctors": list(locked.doctors),
        "resources": list(locked.resources),
        "slots": [id_ for id_, _ in slots],
        "slot_starts": [start_at for _, start_at in slots],
    }
    session.connection().execute(_LOCK, values)


def decide(  # noqa: PLR0913  # what decides
    session: Session,
    wanted: WantedVisit,
    *,
    now: datetime,
    channel: str,
    patient_id: int | None = None,
    without: Without = _NO_OTHER,
    also: Locked = _NOTHING,
) -> VisitOffer:
    """Lock what a visit concerns, and return it at its times with free resources.

    `without` names a hold or a visit that is about to be replaced, `also` what else is locked with it. Whether the slot
    is stored shows when the visit is written.

    Raises:
        NotOfferedError: the offering has no such visit, or its workflow is not the payer's any more.
        SlotTakenError: it has, but somebody else has the place, the doctor or a resource.
        PatientBusyError: the patient has another visit at this time.
        WorkflowNotFoundError, InvalidWorkflowError, NoSuchNeedError: the offering cannot serve it any more.
    """
    of = {"workflow": wanted.workflow_id, "offering": wanted.offering_id}
    row = session.connection().execute(_WORKFLOW, of).one_or_none()
    if row is None:
        raise NotOfferedError(f"offering {wanted.offering_id} has no workflow {wanted.workflow_id}")
    plan_id, doctor_id, positions = row
    patients = [*also.patients] if patient_id is None else [*also.patients, patient_id]
    resources: list[Any] = [*wanted.resources, *also.resources]
    lock(session, Locked(patients, [doctor_id, *also.doctors], resources, also.slots))
    sought = Sought(
        offering_id=int(wanted.offering_id),
        plan_id=plan_id,
        skip=frozenset(positions).difference(wanted.starts),
        channel=channel,
    )
    start_at = min(wanted.starts.values())
    if start_at < now:
        raise not_offered(session, sought, start_at, now=now)
    search = Search(session, sought, Span(start_at, start_at + MICROSECOND), without=without)
    possible = search.still(wanted)
    if possible is None:
        if search.is_offered(wanted):
            raise taken(session, sought, start_at)
        if any(fit.workflow.id != wanted.workflow_id for fit in search.fits):
            raise NotOfferedError(f"workflow {wanted.workflow_id} is not in use any more: find the visit again")
        raise not_offered(session, sought, start_at, now=now, without=without)
    if patient_id is not None:
        refuse_second_visit(session, patient_id, Span(possible.start_at, possible.end_at), without=without)
    return possible


def refuse_second_visit(session: Session, patient_id: int, span: Span, *, without: Without) -> None:
    """Refuse a visit of a patient who has another one at the time.

    Raises:
        PatientBusyError: there is one.
    """
    wanted = {"patient": patient_id, "begin": span.start, "end": span.end, "visit": without.visit_id}
    found = session.connection().execute(_BUSY, wanted).first()
    if found is not None:
        raise PatientBusyError(f"the patient has visit {found.id} at this time: move or cancel it first", found.id)


def taken(session: Session, sought: Sought, start_at: datetime) -> SlotTakenError:
    """Return the error for a visit whose place, doctor or resource somebody else has, with the next start."""
    following = next(Search(session, sought, Span(start_at, start_at + SEARCHED)).offers(), None)
    message = f"the visit at {start_at.isoformat()} of offering {sought.offering_id} was given to somebody else"
    return SlotTakenError(message, None if following is None else following.start_at)
