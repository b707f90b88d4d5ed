"""Sample visits: appointments of the patients, with their steps and booked slots.

Owns: the invented resources with their hours, booked slots, appointments with steps, and the waitlist.
Must not know: the nightly job.

The booked slots come from the engine's own `expand`, the steps from its `walk`; so the nightly job later keeps these
slots and adds the open ones around them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import cycle, islice, zip_longest
from typing import Final

import scheduler.models as rows
from scheduler.core.expansion import expand
from scheduler.core.schedules import Schedule
from scheduler.core.slots import Slot
from scheduler.core.spans import Span
from scheduler.core.visits import walk
from scheduler.core.workflows import TimedStep
from scheduler.postgres.schedules import ScheduleKey, load_schedules
from scheduler.postgres.workflows import appointment_steps
from scheduler.sample_data.factories import Factory
from scheduler.sample_data.insurance import make_insurance
from scheduler.sample_data.patients import make_patients
from scheduler.sample_data.places import Places
from scheduler.sample_data.scales import Size
from scheduler.sample_data.workflows import WalkableWorkflow, make_workflows

_BOOKED_PERIOD: Final = timedelta(days=14)
_BOOKED_EVERY: Final = 3  # every third slot of a doctor is booked, so that buffers never overlap


def make_visits(factory: Factory, places: Places, size: Size, *, begin: date) -> None:
    """Make patients with an appointment each in the two weeks from `begin`, with insurance and workflows."""
    plans = make_insurance(factory, places, begin=begin)
    resources = _resources(factory, places)
    _hours(factory, [resource for of_one in resources.values() for resource in of_one], begin=begin)
    workflows = make_workflows(factory, places, plans[0])
    patients = make_patients(factory, size.patients, plans)
    start = datetime.combine(begin, time(), UTC)
    span = Span(start, start + _BOOKED_PERIOD)
    booked = list(zip(patients, islice(_slots_to_book(factory, places, span), len(patients)), strict=False))
    _appointments(factory, booked, workflows, plans[0], resources)
    _waitlist(factory, patients[: len(patients) // 4], places, begin=begin)
    factory.write(
        factory.build(rows.BookingCap, most=40, period="day", doctor_id=doctor.id) for doctor in places.doctors
    )


def _resources(factory: Factory, places: Places) -> dict[int, list[rows.Resource]]:
    resources = factory.write(
        factory.build(rows.Resource, facility_id=facility.id, kind=kind, name=f"{kind} {number}")
        for facility in places.facilities
        for kind in ("room", "nurse", "device")
        for number in (1, 2)
    )
    return {
        facility_id: [resource for resource in resources if resource.facility_id == facility_id]
        for facility_id in {resource.facility_id for resource in resources}
    }


def _hours(factory: Factory, resources: Sequence[rows.Resource], *, begin: date) -> None:
    """Make the hours of the nurses, and the maintenance of the devices; rooms are open whenever they are asked for."""
    factory.write(
        factory.build(
            rows.ResourceRule, resource_id=nurse.id, day_of_week=weekday, start_time=time(7, 30), end_time=time(21)
        )
        for nurse in resources
        if nurse.kind == "nurse"
        for weekday in range(1, 6)
    )
    serviced_at = datetime.combine(begin, time(6), UTC)
    factory.write(
        factory.build(
            rows.ResourceException,
            resource_id=device.id,
            type="blocked",
            reason="maintenance",
            start_at=serviced_at,
            end_at=serviced_at + timedelta(hours=2),
        )
        for device in resources
        if device.kind == "device"
    )


def _slots_to_book(factory: Factory, places: Places, span: Span) -> Iterator[Slot]:
    """Yield slots to book, from all doctors in turn.

    An override may have slots that are too short for the visits of the offering.
    """
    keys = [ScheduleKey(offering.doctor_id, offering.facility_id) for offering in places.offerings]
    loaded = load_schedules(factory.session, keys[: len(places.doctors)], lock=False)
    schedules = [row.schedule for row in loaded if isinstance(row.schedule, Schedule)]
    turns = zip_longest(*(expand(schedule, span)[::_BOOKED_EVERY] for schedule in schedules))
    for slot in (slot for turn in turns for slot in turn if slot is not None):
        if slot.duration >= timedelta(minutes=places.lengths[int(slot.service_offering_id or 0)]):
            yield slot


def _appointments(
    factory: Factory,
    booked: Sequence[tuple[rows.Patient, Slot]],
    workflows: Mapping[tuple[int, bool], WalkableWorkflow],
    plan: rows.InsurancePlan,
    resources: Mapping[int, Sequence[rows.Resource]],
) -> None:
    stored = factory.write(
        factory.build(
            rows.AvailabilitySlot,
            doctor_id=slot.doctor_id,
            facility_id=slot.facility_id,
            service_offering_id=slot.service_offering_id,
            start_at=slot.start_at,
            end_at=slot.end_at,
            created_from_rule_id=slot.rule_id,
        )
        for _, slot in booked
    )
    chosen = [
        workflows[int(slot.service_offering_id or 0), patient.default_insurance_plan_id == plan.id]
        for patient, slot in booked
    ]
    appointments = factory.write(
        factory.build(
            rows.Appointment,
            patient_id=patient.id,
            doctor_id=slot.doctor_id,
            facility_id=slot.facility_id,
            service_offering_id=slot.service_offering_id,
            availability_slot_id=slot.id,
            slot_start_at=slot.start_at,
            service_workflow_id=workflow.workflow.id,
            start_at=slot.start_at,
            end_at=slot.end_at,
            booked_by=patient.user_id,
            language=patient.preferred_language,
        )
        for (patient, _), slot, workflow in zip(booked, stored, chosen, strict=True)
    )
    visits = sorted(zip(appointments, chosen, strict=True), key=lambda pair: pair[0].start_at)
    _steps(factory, visits, resources)


def _steps(
    factory: Factory,
    visits: Iterable[tuple[rows.Appointment, WalkableWorkflow]],
    resources: Mapping[int, Sequence[rows.Resource]],
) -> None:
    """Write the steps of visits; those that need a room reserve one."""
    free_from: dict[int | None, datetime] = {}
    rooms: list[int | None] = []
    steps: list[rows.AppointmentStep] = []
    for appointment, workflow in visits:
        timed_steps = walk(workflow.workflow, appointment.start_at)
        steps += appointment_steps(
            timed_steps, workflow.step_ids, tenant_id=appointment.tenant_id, appointment_id=appointment.id or 0
        )
        for timed in timed_steps:
            needs_room = any(need.kind == "room" for need in timed.step.all_needs)
            rooms.append(_room(resources[appointment.facility_id], timed, free_from) if needs_room else None)
    factory.write(
        rows.AppointmentStepResource(tenant_id=step.tenant_id, appointment_step_id=step.id or 0, resource_id=room)
        for step, room in zip(factory.write(steps), rooms, strict=True)
        if room is not None
    )


def _room(resources: Sequence[rows.Resource], step: TimedStep, free_from: dict[int | None, datetime]) -> int | None:
    """Reserve a free room for a step, if there is one; appointments come in order of time."""
    for resource in resources:
        is_free = resource.id not in free_from or free_from[resource.id] <= step.start_at - step.step.lead
        if resource.kind == "room" and is_free:
            free_from[resource.id] = step.end_at
            return resource.id
    return None


def _waitlist(factory: Factory, patients: Sequence[rows.Patient], places: Places, *, begin: date) -> None:
    factory.write(
        factory.build(
            rows.WaitlistEntry,
            patient_id=patient.id,
            service_id=offering.service_id,
            facility_id=offering.facility_id,
            earliest_day=begin,
            latest_day=begin + timedelta(days=60),
        )
        for patient, offering in zip(patients, cycle(places.offerings), strict=False)
    )
