"""Visits: the appointments of a world's patients.

Owns: the made-up resources, booked slots, appointments with their steps, the waitlist.
Must not know: how slots are generated each night (it books some of those that the engine would make).

An appointment sits on a slot that the engine's own `expand` yields, and its steps are those of the engine's own `walk`;
so the nightly job later keeps these slots as booked and adds the open ones around them.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from itertools import cycle, islice
from typing import Final

import scheduler.models as rows
from scheduler.core.expansion import expand
from scheduler.core.schedules import Schedule
from scheduler.core.slots import Slot
from scheduler.core.spans import Span
from scheduler.core.workflows import TimedStep
from scheduler.postgres.schedules import ScheduleKey, load_schedules
from scheduler.sample_data.factories import Factory
from scheduler.sample_data.insurance import make_insurance
from scheduler.sample_data.patients import make_patients
from scheduler.sample_data.places import Places
from scheduler.sample_data.scales import Size
from scheduler.sample_data.workflows import WalkableWorkflow, make_workflows

_WEEKS: Final = timedelta(days=14)
_SPREAD: Final = 3  # of each doctor's slots, every third is booked: buffers then touch nobody


def make_visits(factory: Factory, places: Places, size: Size, *, begin: date) -> None:
    """Make patients with an appointment each, in the two weeks from `begin`, and what these stand on."""
    plans = make_insurance(factory, places, begin=begin)
    rooms = _resources(factory, places)
    chosen = make_workflows(factory, places, plans[0])
    patients = make_patients(factory, size.patients, plans)
    span = Span(datetime.combine(begin, time(), UTC), datetime.combine(begin, time(), UTC) + _WEEKS)
    booked = list(zip(patients, islice(_free(factory, places, span), len(patients)), strict=False))
    _appointments(factory, booked, chosen, plans[0], rooms)
    _waitlist(factory, patients[: len(patients) // 4], places, begin=begin)


def _resources(factory: Factory, places: Places) -> dict[int, list[rows.Resource]]:
    made = factory.write(
        factory.build(rows.Resource, facility_id=facility.id, kind=kind, name=f"{kind} {number}")
        for facility in places.facilities
        for kind in ("room", "nurse", "device")
        for number in (1, 2)
    )
    return {one.facility_id: [room for room in made if room.facility_id == one.facility_id] for one in made}


def _free(factory: Factory, places: Places, span: Span) -> Iterator[Slot]:
    """Yield slots to book, the doctors taking turns."""
    keys = [ScheduleKey(offering.doctor_id, offering.facility_id) for offering in places.offerings]
    loaded = load_schedules(factory.session, keys[: len(places.doctors)], lock=False)
    ways = [iter(expand(one.schedule, span)[::_SPREAD]) for one in loaded if isinstance(one.schedule, Schedule)]
    while ways:
        for way in list(ways):
            slot = next(way, None)
            if slot is None:
                ways.remove(way)
            else:
                yield slot


def _appointments(
    factory: Factory,
    booked: Sequence[tuple[rows.Patient, Slot]],
    chosen: Mapping[tuple[int, bool], WalkableWorkflow],
    plan: rows.InsurancePlan,
    rooms: Mapping[int, Sequence[rows.Resource]],
) -> None:
    stored = factory.write(
        factory.build(
            rows.AvailabilitySlot,
            doctor_id=slot.doctor_id,
            facility_id=slot.facility_id,
            service_offering_id=slot.service_offering_id,
            start_at=slot.start_at,
            end_at=slot.end_at,
            status="booked",
            booked_count=1,
            created_from_rule_id=slot.rule_id,
        )
        for _, slot in booked
    )
    ways = [
        chosen[int(slot.service_offering_id or 0), patient.default_insurance_plan_id == plan.id]
        for patient, slot in booked
    ]
    made = factory.write(
        factory.build(
            rows.Appointment,
            patient_id=patient.id,
            doctor_id=slot.doctor_id,
            facility_id=slot.facility_id,
            service_offering_id=slot.service_offering_id,
            availability_slot_id=slot.id,
            slot_start_at=slot.start_at,
            service_workflow_id=way.row.id,
            start_at=slot.start_at,
            end_at=slot.end_at,
            occupied_from=slot.start_at,
            occupied_until=slot.end_at + timedelta(minutes=5),
            booked_by=patient.user_id,
            language=patient.preferred_language,
        )
        for (patient, _), slot, way in zip(booked, stored, ways, strict=True)
    )
    taken: dict[int | None, datetime] = {}
    factory.write(
        factory.build(
            rows.AppointmentStep,
            appointment_id=appointment.id,
            workflow_step_id=step.id,
            step_template_id=step.step_template_id,
            position=step.position,
            scheduled_start_at=timed.start_at,
            scheduled_end_at=timed.end_at,
            location=step.location_type,
            resource_id=_room(rooms[appointment.facility_id], timed, taken) if step.location_type == "room" else None,
        )
        for appointment, way in sorted(zip(made, ways, strict=True), key=lambda pair: pair[0].start_at)
        for step, timed in way.timed(appointment.start_at)
    )


def _room(rooms: Sequence[rows.Resource], step: TimedStep, taken: dict[int | None, datetime]) -> int | None:
    """Take a room that is free for a step, if there is one; steps come in the order of their appointments."""
    for room in rooms:
        if room.kind == "room" and (room.id not in taken or taken[room.id] <= step.start_at):
            taken[room.id] = step.end_at
            return room.id
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
