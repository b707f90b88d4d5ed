"""Visits: insurance, the steps of a visit, patients and their appointments.

Owns: the made-up insurers, workflows, resources, patients, booked slots, appointments with their steps, the waitlist.
Must not know: how slots are generated each night (it books some of those that the engine would make).

Every offering has a workflow for everybody and one for the first insurance plan, with a step more. An appointment sits
on a slot that the engine's own `expand` yields, and its steps are those of the engine's own `walk`; so the nightly job
later keeps these slots as booked and adds the open ones around them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import cycle, islice
from typing import Final

import models as rows
from scheduler.core.expansion import expand
from scheduler.core.schedules import Schedule
from scheduler.core.slots import Slot
from scheduler.core.spans import Span
from scheduler.core.walking import walk
from scheduler.core.workflows import StepTemplate, TimedStep, Workflow, WorkflowStep
from scheduler.services.factories import Factory
from scheduler.services.seeding.places import Places
from scheduler.services.seeding.scales import Size
from scheduler.store.schedules import ScheduleKey, load_schedules

_PLANS: Final = (("BASIC", "Basic cover"), ("PLUS", "Plus cover"), ("FAMILY", "Family cover"))
_TEMPLATES: Final = (("Reception", 5), ("Insurance check", 5), ("Treatment", 15))
_WEEKS: Final = timedelta(days=14)
_SPREAD: Final = 3  # of each doctor's slots, every third is booked: buffers then touch nobody
_LANGUAGES: Final = ("en", "de", "hi", None)


@dataclass(frozen=True)
class _Chosen:
    """A workflow as it is stored and as the engine walks it."""

    row: rows.ServiceWorkflow
    steps: Sequence[rows.WorkflowStep]
    workflow: Workflow

    def timed(self, start_at: datetime) -> Iterator[tuple[rows.WorkflowStep, TimedStep]]:
        return zip(self.steps, walk(self.workflow, start_at), strict=True)


def make_visits(factory: Factory, places: Places, size: Size, *, begin: date) -> Sequence[rows.Patient]:
    """Make patients with an appointment each, in the two weeks from `begin`, and what these stand on."""
    plans = _insurance(factory, places, begin=begin)
    rooms = _resources(factory, places)
    chosen = _workflows(factory, places, plans[0])
    patients = _patients(factory, size.patients, plans)
    span = Span(datetime.combine(begin, time(), UTC), datetime.combine(begin, time(), UTC) + _WEEKS)
    booked = list(zip(patients, islice(_free(factory, places, span), len(patients)), strict=False))
    _appointments(factory, booked, chosen, plans[0], rooms)
    _waitlist(factory, patients[: len(patients) // 4], places, begin=begin)
    return patients


def _insurance(factory: Factory, places: Places, *, begin: date) -> list[rows.InsurancePlan]:
    insurers = factory.write(
        factory.build(rows.InsuranceProvider, name=name, website="https://insurer.example.org")
        for name in ("Northern Mutual", "Harbour Health")
    )
    plans = factory.write(
        factory.build(
            rows.InsurancePlan,
            insurance_provider_id=insurer.id,
            plan_code=code,
            name=name,
            effective_from=begin.replace(month=1, day=1),
            effective_to=begin.replace(month=12, day=31),
        )
        for insurer in insurers
        for code, name in _PLANS
    )
    factory.write(
        factory.build(
            rows.FacilityInsurancePlan,
            facility_id=facility.id,
            insurance_plan_id=plan.id,
            enabled=(one + number) % 4 != 3,  # noqa: PLR2004  # a few places do not take a few plans
            accepted_since=begin.replace(month=1, day=1),
        )
        for one, facility in enumerate(places.facilities)
        for number, plan in enumerate(plans)
    )
    return plans


def _resources(factory: Factory, places: Places) -> dict[int, list[rows.Resource]]:
    made = factory.write(
        factory.build(rows.Resource, facility_id=facility.id, kind=kind, name=f"{kind} {number}")
        for facility in places.facilities
        for kind in ("room", "nurse", "device")
        for number in (1, 2)
    )
    return {one.facility_id: [room for room in made if room.facility_id == one.facility_id] for one in made}


def _workflows(factory: Factory, places: Places, plan: rows.InsurancePlan) -> dict[tuple[int, bool], _Chosen]:
    """Return the workflow of each offering, for those who are insured by the plan and for the others."""
    templates = factory.write(
        [factory.build(rows.StepTemplate, name=name, default_duration_minutes=minutes) for name, minutes in _TEMPLATES]
    )
    kinds = [(offering, insured) for offering in places.offerings for insured in (False, True)]
    workflows = factory.write(
        factory.build(
            rows.ServiceWorkflow,
            service_offering_id=offering.id,
            insurance_plan_id=plan.id if insured else None,
            name="insured visit" if insured else "visit",
            total_estimated_minutes=places.lengths[offering.id or 0],
        )
        for offering, insured in kinds
    )
    chosen = {}
    for (offering, insured), workflow in zip(kinds, workflows, strict=True):
        used = [template for template in templates if insured or template.name != "Insurance check"]
        rest = workflow.total_estimated_minutes - sum(template.default_duration_minutes for template in used[:-1])
        steps = [
            factory.build(
                rows.WorkflowStep,
                service_workflow_id=workflow.id,
                step_template_id=template.id,
                position=position,
                duration_minutes=rest if template is used[-1] else None,
                location_type="reception" if position == 1 else "room",
                can_be_skipped=position == 1,
            )
            for position, template in enumerate(used, start=1)
        ]
        chosen[offering.id or 0, insured] = _Chosen(workflow, steps, _walkable(workflow, steps, used))
    factory.write([step for one in chosen.values() for step in one.steps])
    return chosen


def _walkable(
    workflow: rows.ServiceWorkflow, steps: Sequence[rows.WorkflowStep], templates: Sequence[rows.StepTemplate]
) -> Workflow:
    return Workflow(
        workflow.id or 0,
        workflow.name,
        workflow.service_offering_id,
        tuple(
            WorkflowStep(
                step.position,
                StepTemplate(template.id or 0, template.name, timedelta(minutes=template.default_duration_minutes)),
                duration=None if step.duration_minutes is None else timedelta(minutes=step.duration_minutes),
                location_type=step.location_type,
            )
            for step, template in zip(steps, templates, strict=True)
        ),
    )


def _patients(factory: Factory, count: int, plans: Sequence[rows.InsurancePlan]) -> list[rows.Patient]:
    fake = factory.fake
    names = [(fake.first_name(), fake.last_name()) for _ in range(count)]
    users = factory.write(
        factory.build(
            rows.User, name=f"{first} {last}", email=f"patient-{number}@example.org", role=rows.UserRole.PATIENT
        )
        for number, (first, last) in enumerate(names, start=1)
    )
    return factory.write(
        factory.build(
            rows.Patient,
            user_id=user.id,
            first_name=first,
            last_name=last,
            email=user.email,
            phone=fake.numerify("+44 7### ######"),
            dob=_born(factory),
            default_insurance_plan_id=plan.id,
            preferred_language=language,
        )
        for (first, last), user, plan, language in zip(names, users, cycle(plans), cycle(_LANGUAGES), strict=False)
    )


def _born(factory: Factory) -> date:
    return date(1940, 1, 1) + timedelta(days=factory.fake.random_int(0, 30_000))


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
    chosen: Mapping[tuple[int, bool], _Chosen],
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
