"""Visits: what was booked, as values, and the statements that read them.

Owns: the visit with its steps, the plan of a doctor's day, and the delay of a visit.
Must not know: how a visit is booked or changes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

from sqlalchemy import text
from sqlmodel import Session

from scheduler.core.errors import NotFoundError
from scheduler.core.ids import DoctorId, FacilityId, OfferingId, PatientId, VisitId, WorkflowId
from scheduler.core.lifecycle import AppointmentStatus, StepStatus
from scheduler.core.slots import Slot
from scheduler.core.zones import EARLIEST, LATEST

_READ: Final = """
select visit.id, visit.status, visit.patient_id, visit.facility_id, visit.doctor_id, visit.service_offering_id,
    visit.service_workflow_id, visit.start_at, visit.end_at, visit.local_start, visit.zone, visit.notes,
    visit.cancellation_reason, step.id, step.position, template.name, step.scheduled_start_at, step.scheduled_end_at,
    step.status, step.location, used.kind, used.resource_id
from scheduling.appointments visit
left join scheduling.appointment_steps step
    on step.tenant_id = visit.tenant_id and step.appointment_id = visit.id
left join scheduling.step_templates template
    on template.tenant_id = step.tenant_id and template.id = step.step_template_id
left join lateral (
    select resource.kind, use.resource_id
    from scheduling.appointment_step_resources use
    join scheduling.resources resource on resource.tenant_id = use.tenant_id and resource.id = use.resource_id
    where use.tenant_id = step.tenant_id and use.appointment_step_id = step.id
) used on true
where visit.tenant_id = (select identity.current_tenant_id()) and {condition}
order by visit.start_at, visit.id, step.position, used.resource_id
"""
_ONE: Final = text(_READ.format(condition="visit.id = any(cast(:ids as bigint[]))"))
_OF_DAY: Final = text(
    _READ.format(
        condition="visit.doctor_id = :doctor and visit.start_at >= :begin and visit.start_at < :end"
        " and cast(visit.local_start as date) = :day"
    )
)
_OF_PATIENT: Final = text(
    _READ.format(
        condition="visit.patient_id = :patient and (cast(:begin as timestamptz) is null"
        " or visit.end_at > :begin and visit.start_at < :end)"
    )
)
_OPEN_SLOTS: Final = text("""
select slot.start_at, slot.end_at, slot.doctor_id, slot.facility_id, slot.service_offering_id, slot.capacity,
    slot.created_from_rule_id, slot.released_at
from scheduling.bookable_slots slot
join scheduling.facilities facility on facility.tenant_id = slot.tenant_id and facility.id = slot.facility_id
where slot.tenant_id = (select identity.current_tenant_id()) and slot.doctor_id = :doctor
  and slot.start_at >= :begin and slot.start_at < :end and slot.start_at >= :now
  and cast(slot.start_at at time zone facility.timezone as date) = :day
order by slot.start_at, slot.id
""")
_AROUND: Final = timedelta(hours=36)
"""Every local day lies within so much of its noon in UTC: its clock is at most 24 hours off."""


@dataclass(frozen=True, slots=True)
class VisitStep:
    """A step of a visit: its times `[start_at, end_at)` in UTC, its status, and its resources by kind."""

    id: int
    position: int
    name: str
    start_at: datetime
    end_at: datetime
    status: StepStatus
    location: str | None
    resources: Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Visit:
    """A booked visit with its steps in order. Instants are in UTC.

    `local_start` (naive) on the clock of `zone` is the time that the patient was told.
    """

    id: VisitId
    status: AppointmentStatus
    patient_id: PatientId
    facility_id: FacilityId
    doctor_id: DoctorId
    offering_id: OfferingId
    workflow_id: WorkflowId
    start_at: datetime
    end_at: datetime
    local_start: datetime
    zone: str
    notes: str | None
    cancellation_reason: str | None
    steps: tuple[VisitStep, ...]


@dataclass(frozen=True, slots=True)
class DayPlan:
    """A local day of a doctor at all facilities: all visits, and the slots that are still open."""

    doctor_id: DoctorId
    day: date
    visits: tuple[Visit, ...]
    open_slots: tuple[Slot, ...]


def visit_of(session: Session, id_: int) -> Visit:
    """Return a visit.

    Raises:
        NotFoundError: there is no such visit, or the user does not see it.
    """
    found = visits_by_id(session, [id_])
    if not found:
        raise NotFoundError(f"no visit has the id {id_}")
    return found[id_]


def visits_by_id(session: Session, ids: Sequence[int]) -> dict[int, Visit]:
    """Return the visits with these ids that there are, by id."""
    rows = session.connection().execute(_ONE, {"ids": list(ids)})
    return {visit.id: visit for visit in visits_in(rows)}


def day_of(session: Session, doctor_id: int, day: date, *, now: datetime) -> DayPlan:
    """Return the visits that patients were told for a local day of a doctor, and the open slots."""
    noon = min(max(datetime.combine(day, time(12), UTC), EARLIEST + _AROUND), LATEST - _AROUND)
    wanted = {"doctor": doctor_id, "day": day, "begin": noon - _AROUND, "end": noon + _AROUND}
    connection = session.connection()
    visits = tuple(visits_in(connection.execute(_OF_DAY, wanted)))
    slots = tuple(Slot(*row) for row in connection.execute(_OPEN_SLOTS, wanted | {"now": now}))
    return DayPlan(DoctorId(doctor_id), day, visits, slots)


def visits_of_patient(session: Session, patient_id: int, begin: datetime | None, end: datetime | None) -> list[Visit]:
    """Return the visits of a patient, also cancelled ones, that overlap a span, or all."""
    return list(
        visits_in(session.connection().execute(_OF_PATIENT, {"patient": patient_id, "begin": begin, "end": end}))
    )


def visits_in(rows: Iterable[Any]) -> Iterable[Visit]:
    """Yield visits from their rows: one for each step, or for each of its resources if it has any.

    The columns are those of the statements above.
    """
    heads: dict[int, tuple[Any, ...]] = {}
    steps: dict[int, dict[int, tuple[tuple[Any, ...], dict[str, list[int]]]]] = {}
    for *row, kind, resource_id in rows:
        head, step = tuple(row[:13]), tuple(row[13:])
        heads[head[0]] = head
        if step[0] is None:
            continue
        _, resources = steps.setdefault(head[0], {}).setdefault(step[0], (step, {}))
        if kind is not None:
            resources.setdefault(kind, []).append(resource_id)
    for id_, (_, status, patient_id, facility_id, doctor_id, offering_id, workflow_id, *others) in heads.items():
        start_at, end_at, local_start, zone, notes, reason = others
        yield Visit(
            VisitId(id_),
            AppointmentStatus(status),
            PatientId(patient_id),
            FacilityId(facility_id),
            DoctorId(doctor_id),
            OfferingId(offering_id),
            WorkflowId(workflow_id),
            start_at,
            end_at,
            local_start,
            zone,
            notes,
            reason,
            tuple(map(_step, steps.get(id_, {}).values())),
        )


def _step(row: tuple[tuple[Any, ...], Mapping[str, Sequence[int]]]) -> VisitStep:
    (id_, position, name, start_at, end_at, status, location), resources = row
    by_kind = {kind: tuple(ids) for kind, ids in resources.items()}
    return VisitStep(id_, position, name, start_at, end_at, StepStatus(status), location, by_kind)
