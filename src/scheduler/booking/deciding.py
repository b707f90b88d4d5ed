"""Deciding: whether the visit of an offer can be had at its times, as the tables are now.

Owns: the locks of a visit, and the decision by search.
Holds: Q1 (the visit of an offer is decided as the search found it), W1 (the workflow of an offer is still the payer's),
Q4 (the caps of a visit are locked before they are counted).
Must not know: how a visit is written.

The doctor is locked, so the schedule cannot change until the end of the transaction: whoever changes a schedule
through the library holds this lock.
"""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, NamedTuple

from sqlalchemy import text
from sqlmodel import Session

from scheduler.booking.caps import refuse_beyond_caps
from scheduler.booking.errors import PatientBusyError, SlotTakenError
from scheduler.booking.loading import Without, stored
from scheduler.booking.refusing import next_start, not_offered
from scheduler.booking.searching import Search
from scheduler.booking.sought_visits import Sought
from scheduler.core.errors import NotFoundError
from scheduler.core.offers import VisitOffer, WantedVisit
from scheduler.core.overrides import BookingRule
from scheduler.core.spans import Span
from scheduler.core.zones import MICROSECOND

_RESOURCES: Final = text("""
select id from scheduling.resources
where tenant_id = (select identity.current_tenant_id()) and facility_id = :facility and active
""")
_BUSY: Final = text("""
select id from scheduling.appointments
where tenant_id = (select identity.current_tenant_id()) and patient_id = :patient
  and status in ('scheduled', 'checked_in', 'in_progress') and start_at < :end and end_at > :begin
  and id is distinct from cast(:visit as bigint)
order by start_at limit 1
""")
_LOCK: Final = text("""
select caps, scheduling.lock_for_visits(
    cast(:patients as bigint[]), cast(:doctors as bigint[]), cast(:resources as bigint[]), cast(:slots as bigint[]),
    cast(:slot_starts as timestamptz[])) as patients
from scheduling.lock_caps(cast(:offerings as bigint[]), cast(:patients as bigint[])) as caps
""")


class Locked(NamedTuple):
    """Rows that visits concern, to be locked in one order."""

    patients: Iterable[int] = ()
    doctors: Iterable[int] = ()
    resources: Iterable[int] = ()
    slots: Iterable[tuple[int, datetime]] = ()
    offerings: Iterable[int] = ()


_NO_OTHER: Final = Without()
_NOTHING: Final = Locked()


def lock(session: Session, locked: Locked) -> bool:
    """Wait for the locks of what visits concern, hold them until the transaction ends, and tell whether caps are there.

    The caps of patients and offerings come first.

    Raises:
        NotFoundError: there is no such patient, or the patient is deleted.
    """
    slots, patients = list(locked.slots), list(locked.patients)
    values = {
        "patients": patients,
        "doctors": list(locked.doctors),
        "resources": list(locked.resources),
        "slots": [id_ for id_, _ in slots],
        "slot_starts": [start_at for _, start_at in slots],
        "offerings": list(locked.offerings),
    }
    row = session.connection().execute(_LOCK, values).one()
    for id_ in patients:
        if id_ not in row.patients:
            raise NotFoundError(f"no patient has the id {id_}")
    return bool(row.caps)


def resources_of(session: Session, facility_id: Any) -> list[int]:  # noqa: ANN401  # the id of a row
    """Return the ids of all resources of a facility that are not switched off."""
    return [row.id for row in session.connection().execute(_RESOURCES, {"facility": facility_id})]


def decide(  # noqa: PLR0913  # what decides
    session: Session,
    wanted: WantedVisit,
    *,
    now: datetime,
    channel: str,
    names: bool,
    careful: bool,
    patient_id: int | None = None,
    without: Without = _NO_OTHER,
    also: Locked = _NOTHING,
    relaxed: frozenset[BookingRule] = frozenset(),
    is_held: bool = False,
) -> VisitOffer:
    """Lock what a visit concerns, and return it at its times.

    With `careful`, what is taken counts, and resources that are taken are replaced by free ones. Without, the caller
    writes the visit at once, and the constraints say whether it is taken: usually it is not; whether its slot is stored
    shows then, too. `without` names a hold or a visit that is about to be replaced, `also` what else is locked,
    `relaxed` rules that the visit may break. With `names`, a refusal names visits and holds. Of a visit that `is_held`,
    notice and horizon were asked when it was held.

    Raises:
        NotOfferedError: the offering has no such visit, or its workflow is not the payer's any more.
        SlotTakenError: it has, but somebody else has the place, the doctor or a resource.
        CapReachedError: a cap of the day or the week is reached.
        PatientBusyError: the patient has another visit at this time.
        WorkflowNotFoundError, InvalidWorkflowError, NoSuchNeedError: the offering cannot serve it any more.
    """
    patients = [*also.patients] if patient_id is None else [*also.patients, patient_id]
    doctors: list[Any] = [wanted.slot.doctor_id, *also.doctors]
    resources: list[Any] = [*wanted.resources, *also.resources]
    if careful:  # another resource may be chosen: all are locked together, since an order has to be kept
        resources += resources_of(session, wanted.slot.facility_id)
    offerings = [int(wanted.offering_id), *also.offerings]
    are_capped = lock(session, Locked(patients, doctors, resources, also.slots, offerings))
    are_capped = are_capped and BookingRule.CAP not in relaxed
    sought = Sought(
        offering_id=offerings[0],
        wanted=wanted,
        channel=channel,
        relaxed=relaxed,
        names=names,
        now=None if is_held else now,
    )
    start_at = min(wanted.starts.values())
    if start_at < now:
        raise not_offered(session, sought, start_at, now=now)
    if are_capped:
        refuse_beyond_caps(session, offerings[0], start_at, patient_id=patient_id, without=without)
    search = Search(session, sought, Span(start_at, start_at + MICROSECOND), without=without)
    possible = search.still(wanted) if careful else search.by_schedule(wanted)
    if possible is None:
        if careful and search.by_schedule(wanted) is not None:
            raise taken(session, replace(sought, now=now), start_at)
        raise not_offered(session, sought, start_at, now=now, without=without)
    if careful and BookingRule.HOURS not in relaxed and not stored(session, [possible.slot]):
        raise not_offered(session, sought, start_at, now=now, without=without)
    if not careful and not possible.wanted.resources <= {*wanted.resources}:
        raise SlotTakenError("resources that are not locked would be taken: decide with care")
    if careful and patient_id is not None:
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
    message = f"the visit at {start_at.isoformat()} of offering {sought.offering_id} was given to somebody else"
    return SlotTakenError(message, next_start(session, sought, start_at))
