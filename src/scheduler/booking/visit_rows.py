"""Visit rows: an offer becomes a hold or an appointment with its steps and their resources, in one statement.

Owns: the statements that write holds and appointments.
Holds: B4 (a moved visit keeps its id, and its steps are replaced), B8 (a visit keeps the rules that it breaks, and the
reason).
Must not know: who may book, whether the visit is possible (`deciding`).

One statement writes an appointment with all its rows, since an appointment without steps would take its doctor from
start to end until they come.
"""

import re
from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import bindparam, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Session

from scheduler.booking.errors import NotOfferedError, SlotTakenError
from scheduler.booking.visits import Visit, visits_in
from scheduler.core.candidates import LONGEST_BUFFER
from scheduler.core.offers import VisitOffer
from scheduler.core.overrides import BookingRule
from scheduler.core.validation import LONGEST_SLOT
from scheduler.core.zones import after, before

# The slot of the anchor, if the visit has one, and the steps with those of the workflow. Without care, a host may have
# reserved the time, or that of preparation and buffers. Constant bounds spare the planner all other months of slots.
_PLANNED: Final = """
with needed as (
    select cast(:start as timestamptz) - :lead - make_interval(mins => buffer_before_minutes) as start_at,
        cast(:end as timestamptz) + make_interval(mins => buffer_after_minutes) as end_at
    from scheduling.service_offerings
    where tenant_id = (select identity.current_tenant_id()) and id = :offering
), slot as (
    select id, start_at from scheduling.availability_slots
    where not cast(:slotless as boolean)
      and tenant_id = (select identity.current_tenant_id()) and doctor_id = :doctor and facility_id = :facility
      and start_at = :slot_start and end_at = :slot_end
      and service_offering_id is not distinct from cast(:slot_offering as bigint)
      and (cast(:careful as boolean) or not exists (
          select from scheduling.availability_slots reserved
          where reserved.tenant_id = (select identity.current_tenant_id()) and reserved.doctor_id = :doctor
            and reserved.start_at > :earliest and reserved.start_at < :latest
            and reserved.start_at > (select start_at from needed) - interval '1 day'
            and reserved.start_at < (select end_at from needed) and reserved.end_at > (select start_at from needed)
            and reserved.status = 'reserved'
            and (reserved.reserved_until is null or reserved.reserved_until > scheduling.clock())
      ))
    union all
    select null, null where cast(:slotless as boolean)
), planned as (
    select wanted.position, wanted.start_at, wanted.end_at, wanted.resources, step.id as workflow_step_id,
        step.step_template_id, step.location_type
    from jsonb_to_recordset(:steps) as wanted(
        position integer, start_at timestamptz, end_at timestamptz, resources bigint[])
    join scheduling.workflow_steps step
        on step.tenant_id = (select identity.current_tenant_id()) and step.service_workflow_id = :workflow
        and step.position = wanted.position
)
"""
_HOLD: Final = text(
    _PLANNED  # noqa: S608  # its own texts
    + """
insert into scheduling.holds (tenant_id, token_digest, ends_at, facility_id, doctor_id, service_offering_id,
    service_workflow_id, availability_slot_id, slot_start_at, slot_end_at, slot_offering_id, start_at, end_at, steps,
    schedule_fingerprint, channel, label, held_by)
select identity.current_tenant_id(), :digest, scheduling.clock() + :lasts, :facility, :doctor, :offering,
    :workflow, slot.id, slot.start_at, :slot_end, :slot_offering, :start, :end, (
        select jsonb_agg(jsonb_build_object('position', position, 'workflow_step_id', workflow_step_id,
            'start_at', start_at, 'end_at', end_at, 'resources', resources) order by position) from planned
    ), (
        select fingerprint from scheduling.schedule_states
        where tenant_id = (select identity.current_tenant_id()) and doctor_id = :doctor and facility_id = :facility
    ), :channel, :label, :user
from slot
returning id, ends_at
"""
).bindparams(bindparam("steps", type_=JSONB))
_STEPS: Final = """
, step as (
    insert into scheduling.appointment_steps (tenant_id, appointment_id, workflow_step_id, step_template_id, position,
        scheduled_start_at, scheduled_end_at, location)
    select identity.current_tenant_id(), visit.id, planned.workflow_step_id, planned.step_template_id,
        planned.position, planned.start_at, planned.end_at, planned.location_type
    from visit cross join planned
    returning id, position, step_template_id, scheduled_start_at, scheduled_end_at, status, location
), used as (
    insert into scheduling.appointment_step_resources (tenant_id, appointment_step_id, resource_id)
    select identity.current_tenant_id(), step.id, unnest(planned.resources)
    from step join planned using (position)
)
select visit.*, step.id, step.position, template.name, step.scheduled_start_at, step.scheduled_end_at, step.status,
    step.location, resource.kind, resource.id
from visit
left join step on true
left join planned on planned.position = step.position
left join scheduling.step_templates template
    on template.tenant_id = (select identity.current_tenant_id()) and template.id = step.step_template_id
left join scheduling.resources resource
    on resource.tenant_id = (select identity.current_tenant_id()) and resource.id = any(planned.resources)
order by step.position, resource.id
"""
_VISIT: Final = """
    id, status, patient_id, facility_id, doctor_id, service_offering_id, service_workflow_id, start_at, end_at,
        local_start, zone, notes, cancellation_reason
"""
_BOOK: Final = text(
    _PLANNED  # noqa: S608  # its own texts
    + """
, visit as (
    insert into scheduling.appointments (tenant_id, patient_id, facility_id, doctor_id, service_offering_id,
        availability_slot_id, slot_start_at, service_workflow_id, start_at, end_at, notes, override_rules,
        override_reason, booked_by, updated_by)
    select identity.current_tenant_id(), :patient, :facility, :doctor, :offering, slot.id, slot.start_at, :workflow,
        :start, :end, :notes, cast(:rules as text[]), :reason, :user, :user
    from slot
    returning
"""
    + _VISIT
    + ")"
    + _STEPS
).bindparams(bindparam("steps", type_=JSONB))
# By name, since the host may defer constraints of its own until the commit.
_CONSTRAINTS: Final = "scheduling.a_doctor_is_taken_once_at_a_time, scheduling.a_resource_is_taken_once_at_a_time"
_DEFER: Final = text(f"set constraints {_CONSTRAINTS} deferred")
_CHECK: Final = text(f"set constraints {_CONSTRAINTS} immediate")
_CLEAR: Final = text("""
delete from scheduling.appointment_steps
where tenant_id = (select identity.current_tenant_id()) and appointment_id = :visit
""")
_MOVE: Final = text(
    _PLANNED  # noqa: S608  # its own texts
    + """
, visit as (
    update scheduling.appointments moved
    set facility_id = :facility, doctor_id = :doctor, service_offering_id = :offering,
        availability_slot_id = slot.id, slot_start_at = slot.start_at, service_workflow_id = :workflow,
        start_at = :start, end_at = :end, status = 'scheduled', updated_by = :user,
        override_rules = cast(:rules as text[]), override_reason = :reason
    from slot
    where moved.tenant_id = (select identity.current_tenant_id()) and moved.id = :visit
    returning
"""
    + re.sub(r"(\w+)", r"moved.\1", _VISIT)
    + ")"
    + _STEPS
).bindparams(bindparam("steps", type_=JSONB))


PlannedVisit = dict[str, Any]
"""A visit as the statements need it: ids, slot, times, and steps with their resources."""


class HeldRow(NamedTuple):
    """The id of a new hold, and its end by the clock of the database."""

    id: int
    ends_at: datetime


def write_hold(  # noqa: PLR0913  # the columns of a hold
    session: Session,
    planned: PlannedVisit,
    *,
    digest: bytes,
    lasts: timedelta,
    channel: str,
    label: str | None,
    user_id: UUID | None,
) -> HeldRow:
    """Write a hold of a visit."""
    values = {"digest": digest, "lasts": lasts, "channel": channel, "label": label, "user": user_id}
    row = session.connection().execute(_HOLD, _bounded(planned) | values).first()
    if row is None:
        raise _gone(planned)
    return HeldRow(*row)


def write_visit(
    session: Session, planned: PlannedVisit, *, patient_id: int, notes: str | None, user_id: UUID | None
) -> Visit:
    """Write an appointment with its steps and their resources."""
    values = {"patient": patient_id, "notes": notes, "user": user_id}
    return _written(planned, session.connection().execute(_BOOK, _bounded(planned) | values))


def move_visit(session: Session, visit_id: int, planned: PlannedVisit, *, user_id: UUID | None) -> Visit:
    """Move an appointment to another visit: its steps are replaced (B4)."""
    connection = session.connection()
    connection.execute(_DEFER)  # between the statements the doctor would be taken from start to end
    connection.execute(_CLEAR, {"visit": visit_id})
    values = {"visit": visit_id, "user": user_id}
    visit = _written(planned, connection.execute(_MOVE, _bounded(planned) | values))
    connection.execute(_CHECK)
    return visit


def _bounded(planned: PlannedVisit) -> PlannedVisit:
    """Return the values of a statement with bounds of the slots that reach into the visit and its buffers."""
    return planned | {
        "earliest": before(planned["start"], planned["lead"] + LONGEST_BUFFER + LONGEST_SLOT),
        "latest": after(planned["end"], LONGEST_BUFFER),
    }


def planned_visit(
    offer: VisitOffer, *, careful: bool, broken: Collection[BookingRule] = (), reason: str | None = None
) -> PlannedVisit:
    """Return what the statements need of an offer; with `careful`, it was decided on with all that is taken.

    `broken` are the rules that the visit breaks for the reason; one that breaks hours has no slot.
    """
    return {
        "careful": careful,
        "slotless": BookingRule.HOURS in broken,
        "rules": sorted(broken),
        "reason": reason,
        "lead": offer.steps[0].step.lead,
        "doctor": offer.slot.doctor_id,
        "facility": offer.slot.facility_id,
        "offering": offer.offering_id,
        "workflow": offer.workflow_id,
        "slot_start": offer.slot.start_at,
        "slot_end": offer.slot.end_at,
        "slot_offering": offer.slot.service_offering_id,
        "start": offer.start_at,
        "end": offer.end_at,
        "steps": [
            {
                "position": step.step.position,
                "start_at": step.start_at.isoformat(),
                "end_at": step.end_at.isoformat(),
                "resources": [id_ for ids in step.resources.values() for id_ in ids],
            }
            for step in offer.steps
        ],
    }


def _gone(planned: PlannedVisit) -> NotOfferedError | SlotTakenError:
    if not planned["careful"]:
        return SlotTakenError("the slot is gone, or a host has reserved it: decide with care")
    slot = planned["slot_start"].isoformat()
    return NotOfferedError(f"the slot at {slot} or a step of its workflow is not there any more: find a visit again")


def _written(planned: PlannedVisit, rows: Iterable[Any]) -> Visit:
    for visit in visits_in(rows):
        if len(visit.steps) == len(planned["steps"]):  # a step may be gone from the workflow
            return visit
    raise _gone(planned)
