"""A clinic through the front door: services, offerings, workflows, insurance and resources."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from sqlalchemy import event
from sqlmodel import col, func, select

from scheduler import models
from scheduler.core.errors import InvalidInputError, NotFoundError, WorkflowNotFoundError
from scheduler.core.ids import DoctorId, FacilityId, OfferingId, PlanId, ProviderId, ServiceId
from scheduler.core.visits import walk
from scheduler.core.workflows import Need, StepTemplate, Workflow, WorkflowStep
from scheduler.front_door.offerings import Visibility
from scheduler.front_door.scheduler import Scheduler
from scheduler.front_door.services import CodeSystem
from scheduler.front_door.work import Work
from scheduler.postgres.errors import DuplicateError, MissingReferenceError, StatementError
from scheduler.postgres.workflows import active_workflows, appointment_steps, step_ids

pytestmark = pytest.mark.database

NOBODY = 2**40
DAY = date(2027, 3, 1)
NUMBERS = count()


def minutes(length: float) -> timedelta:
    return timedelta(minutes=length)


@dataclass
class Clinic:
    """A unit of work, with the ids of a facility, a doctor, a service, an offering and a plan."""

    work: Work
    place: FacilityId
    doctor: DoctorId
    service: ServiceId
    offering: OfferingId
    plan: PlanId
    provider: ProviderId
    template: StepTemplate

    def another_doctor(self) -> DoctorId:
        """Add a doctor who has no offering."""
        return self.work.doctors.add("Ben", "Low", at=[self.place])

    def workflow(self, **choice: Any) -> Workflow:
        return self.work.workflows.of(self.offering, **choice)


@pytest.fixture(scope="module")
def scheduler(database_url: str) -> Iterator[Scheduler]:
    with Scheduler(database_url, clock=lambda: datetime(2027, 3, 1, 8, tzinfo=UTC)) as opened:
        opened.add_tenant("riverside", name="Riverside Clinics")
        yield opened


@pytest.fixture
def clinic(scheduler: Scheduler) -> Iterator[Clinic]:
    """A clinic of one test. Its unit of work commits at the end of the test."""
    with scheduler.tenant("riverside") as work:
        number = next(NUMBERS)
        place = work.facilities.add(f"place-{number}", name="Main Street", zone="Europe/London")
        doctor = work.doctors.add("Anna", "Ray", at=[place])
        service = work.services.add(f"check-up {number}", duration=minutes(20))
        offering = work.offerings.add(service, by=doctor, at=place)
        provider = work.insurance.add_provider("Northern Mutual")
        plan = work.insurance.add_plan(provider, "BASIC", name="Basic cover")
        template = work.step_templates.add("blood sample", duration=minutes(5))
        yield Clinic(work, place, doctor, service, offering, plan, provider, template)


def rows_of_the_tenant(work: Work) -> list[int]:
    """Count the rows of each table that the repositories write."""
    tables = (
        models.Service, models.ServiceOffering, models.StepTemplate, models.ServiceWorkflow, models.WorkflowStep,
        models.WorkflowStepNeed, models.InsuranceProvider, models.InsurancePlan, models.FacilityInsurancePlan,
        models.Resource,
    )  # fmt: skip
    return [work.session.exec(select(func.count()).select_from(table)).one() for table in tables]


def test_an_offering_has_a_workflow_of_one_step_with_the_doctor(clinic: Clinic) -> None:
    (step,) = clinic.workflow().steps
    name = clinic.work.services.get(clinic.service).name
    assert (clinic.workflow().name, step.template.name, step.length) == ("standard", name, minutes(20))
    assert (step.all_needs, clinic.workflow().estimate_error) == ((Need("doctor"),), None)


def test_an_offering_with_steps_has_these(clinic: Clinic) -> None:
    steps = (WorkflowStep(1, clinic.template), WorkflowStep(2, clinic.template, duration=minutes(15)))
    offering = clinic.work.offerings.add(clinic.service, by=clinic.another_doctor(), at=clinic.place, steps=iter(steps))  # type: ignore[arg-type]  # taken, too
    assert clinic.work.workflows.of(offering).steps == steps


def test_an_offering_without_steps_has_no_workflow(clinic: Clinic) -> None:
    offering = clinic.work.offerings.add(clinic.service, by=clinic.another_doctor(), at=clinic.place, steps=[])
    with pytest.raises(WorkflowNotFoundError):
        clinic.work.workflows.of(offering)


def test_offerings_of_a_service_share_its_step_template(clinic: Clinic) -> None:
    offering = clinic.work.offerings.add(
        clinic.service, by=clinic.another_doctor(), at=clinic.place, duration=minutes(30)
    )
    (own,), (first,) = clinic.work.workflows.of(offering).steps, clinic.workflow().steps
    assert (own.template, own.length) == (first.template, minutes(30))


def test_a_workflow_is_read_back_as_it_was_written(clinic: Clinic) -> None:
    steps = (
        WorkflowStep(
            4, clinic.template, minutes(7), "lab", True, True, minutes(3), minutes(9),
            (Need("room"), Need("nurse", 2, same_as=3), Need("doctor")),
        ),
        WorkflowStep(3, clinic.template, needs=[Need("nurse", 2)]),
        WorkflowStep(2, clinic.template, needs=()),
        WorkflowStep(1, clinic.template),
    )  # fmt: skip
    written = clinic.work.workflows.add(clinic.offering, steps=steps, name="with a test", plan=clinic.plan)
    clinic.work.insurance.accept(clinic.plan, at=clinic.place)
    clinic.work.session.expire_all()
    assert clinic.workflow(plan=clinic.plan) == clinic.work.workflows.value(written) == written
    assert (written.steps, written.name, written.insurance_plan_id) == (steps[::-1], "with a test", clinic.plan)
    assert (written.total_estimated, written.estimate_error) == (minutes(25), None)


def test_the_workflows_of_an_offering_load_in_two_statements(clinic: Clinic) -> None:
    steps = [WorkflowStep(number, clinic.template, needs=[Need("room"), Need("nurse")]) for number in (1, 2)]
    clinic.work.workflows.add(clinic.offering, steps=steps, plan=clinic.plan)
    clinic.work.session.expire_all()
    statements: list[str] = []
    event.listen(
        clinic.work.session.connection(), "before_cursor_execute", lambda *arguments: statements.append(arguments[2])
    )
    workflows = active_workflows(clinic.work.session, clinic.offering)
    assert [len(workflow.steps) for workflow in workflows] == [1, 2]
    assert len(statements) == 2


def test_a_steps_template_counts_as_it_is_stored(clinic: Clinic) -> None:
    stale = StepTemplate(clinic.template.id, "blood sample", minutes(90))
    written = clinic.work.workflows.add(clinic.offering, steps=[WorkflowStep(1, stale)], plan=clinic.plan)
    assert (written.steps[0].length, written.total_estimated) == (minutes(5), minutes(5))


def test_w1_the_workflow_is_that_of_the_plan_where_it_is_accepted(clinic: Clinic) -> None:
    work, step = clinic.work, WorkflowStep(1, clinic.template)
    insured = work.workflows.add(clinic.offering, steps=[step], plan=clinic.plan)
    with pytest.raises(WorkflowNotFoundError, match="no acceptance"):
        clinic.workflow(plan=clinic.plan)
    work.insurance.accept(clinic.plan, at=clinic.place, since=DAY)
    assert clinic.workflow(plan=clinic.plan, day=DAY) == insured != clinic.workflow()
    with pytest.raises(WorkflowNotFoundError, match="accepted since"):
        clinic.workflow(plan=clinic.plan, day=DAY - timedelta(1))
    work.insurance.refuse(clinic.plan, at=clinic.place)
    with pytest.raises(WorkflowNotFoundError, match="disabled"):
        clinic.workflow(plan=clinic.plan)
    work.insurance.accept(clinic.plan, at=clinic.place)
    assert [(answer.enabled, answer.accepted_since) for answer in work.insurance.accepted(clinic.place)] == [
        (True, None)
    ]
    work.insurance.plans.change(clinic.plan, effective_to=DAY - timedelta(1))
    with pytest.raises(WorkflowNotFoundError, match="not in force"):
        clinic.workflow(plan=clinic.plan)


def test_a_replaced_workflow_keeps_its_steps_for_past_visits(clinic: Clinic) -> None:
    former = clinic.workflow()
    new = clinic.work.workflows.replace(former, steps=[WorkflowStep(1, clinic.template)])
    assert clinic.workflow() == new
    assert clinic.work.workflows.value(former).steps == former.steps
    assert not clinic.work.workflows.value(former).active

    step = models.WorkflowStep
    (row,) = clinic.work.session.exec(select(step).where(col(step.service_workflow_id) == former.id))
    row.meta = {"preparation_minutes": "none"}
    clinic.work.session.flush()
    assert clinic.workflow() == new
    with pytest.raises(InvalidInputError, match=r"step 1: meta.preparation_minutes"):
        clinic.work.workflows.value(former)


@pytest.mark.parametrize("what", ["offering", "service"])
def test_a_workflow_of_one_step_follows_another_duration(clinic: Clinic, what: str) -> None:
    work, unlike = clinic.work, WorkflowStep(1, clinic.template)
    work.insurance.accept(clinic.plan, at=clinic.place)
    work.workflows.add(clinic.offering, steps=[unlike], plan=clinic.plan)
    if what == "offering":
        work.offerings.change(clinic.offering, duration=minutes(35))
    else:
        work.services.change(clinic.service, duration=minutes(35))
    assert (clinic.workflow().steps[0].length, clinic.workflow().estimate_error) == (minutes(35), None)
    assert clinic.workflow(plan=clinic.plan).steps == (unlike,)
    work.offerings.change(clinic.offering, duration=minutes(40))
    work.services.change(clinic.service, duration=minutes(40))
    work.services.change(clinic.service, duration=minutes(45))
    assert clinic.workflow().steps[0].length == minutes(40)


def test_what_has_ended_is_not_listed_and_its_visits_stay(clinic: Clinic) -> None:
    work, start = clinic.work, datetime(2027, 3, 1, 9, tzinfo=UTC)
    patient = work.patients.add("Ada", "Poe", email="ada@example.org")
    workflow = clinic.workflow()
    timed = walk(workflow, start)
    visit = models.Appointment(
        tenant_id=work.tenant_id,
        patient_id=patient,
        doctor_id=clinic.doctor,
        facility_id=clinic.place,
        service_offering_id=clinic.offering,
        service_workflow_id=int(workflow.id),
        start_at=start,
        end_at=timed[-1].end_at,
    )
    work.session.add(visit)
    work.session.flush()
    ids = step_ids(work.session, int(workflow.id))
    work.session.add_all(appointment_steps(timed, ids, tenant_id=work.tenant_id, appointment_id=visit.id or 0))
    work.session.flush()

    work.workflows.delete(workflow)
    work.offerings.delete(clinic.offering)
    work.services.delete(clinic.service)
    assert clinic.offering not in [row.id for row in work.offerings.all()]
    assert workflow.id not in [row.id for row in work.workflows.all()]
    assert clinic.service not in [row.id for row in work.services.all()]
    assert not work.offerings.get(clinic.offering).active
    assert not work.workflows.get(workflow).active
    with pytest.raises(NotFoundError, match="no service has the id"):
        work.services.get(clinic.service)

    work.session.expire_all()
    step = models.AppointmentStep
    steps = work.session.exec(select(step.scheduled_end_at).where(col(step.appointment_id) == visit.id)).all()
    assert (steps, visit.status) == ([start + minutes(20)], "scheduled")

    work.offerings.change(clinic.offering, active=True)
    assert clinic.offering in [row.id for row in work.offerings.all()]


def test_a_deleted_service_is_offered_no_longer(clinic: Clinic) -> None:
    clinic.work.services.delete(clinic.service)
    assert not clinic.work.offerings.get(clinic.offering).active
    with pytest.raises(NotFoundError, match="offering: service: no service has the id"):
        clinic.work.offerings.add(clinic.service, by=clinic.doctor, at=clinic.place)


def test_a_resource_is_switched_off_and_on(clinic: Clinic) -> None:
    resources = clinic.work.resources
    room = resources.add("room", "Room 1", at=clinic.place)
    resources.change(room, name="Room 2")
    resources.delete(room)
    assert room not in [row.id for row in resources.all()]
    resources.change(room, active=True)
    (row,) = [row for row in resources.all() if row.id == room]
    assert (row.kind, row.name, row.facility_id) == ("room", "Room 2", clinic.place)


def test_fields_are_written_to_their_columns(clinic: Clinic) -> None:
    work = clinic.work
    work.services.change(clinic.service, name="Visit", duration=minutes(25), code="A1", code_system=CodeSystem.CUSTOM)
    work.offerings.change(
        clinic.offering, buffer_before=minutes(5), buffer_after=minutes(10), visibility=Visibility.PRIVATE
    )
    work.insurance.plans.change(clinic.plan, code="PLUS", name="Plus cover", effective_from=DAY, effective_to=DAY)
    work.insurance.providers.change(clinic.provider, name="Harbour Health", website="https://example.org")
    work.step_templates.change(clinic.template, name="X-ray", duration=minutes(9), requires_location=False)
    work.session.expire_all()
    service, offering = work.services.get(clinic.service), work.offerings.get(clinic.offering)
    assert (service.name, service.default_duration_minutes, service.code, service.code_system) == (
        "Visit", 25, "A1", "Custom",
    )  # fmt: skip
    assert (offering.buffer_before_minutes, offering.buffer_after_minutes, offering.visibility) == (5, 10, "private")
    plan, provider = work.insurance.plans.get(clinic.plan), work.insurance.providers.get(clinic.provider)
    assert (plan.plan_code, plan.name, plan.effective_from, plan.effective_to) == ("PLUS", "Plus cover", DAY, DAY)
    assert (provider.name, provider.website) == ("Harbour Health", "https://example.org")
    assert work.step_templates.of(clinic.template) == StepTemplate(
        clinic.template.id, "X-ray", minutes(9), requires_location=False
    )


def steps(clinic: Clinic, *given: WorkflowStep) -> object:
    return clinic.work.workflows.add(clinic.offering, steps=given, plan=clinic.plan)


Call = Callable[[Any], object]  # so that type checkers let each wrong argument pass
REFUSALS: list[tuple[str, Call, str]] = [
    ("blank name", lambda c: c.work.services.add(" ", duration=minutes(20)), "service: name"),
    ("no length", lambda c: c.work.services.add("Visit", duration=minutes(0)), "service: duration"),
    ("seconds", lambda c: c.work.services.change(c.service, duration=minutes(0.5)), "service: duration"),
    ("too long", lambda c: c.work.services.add("Visit", duration=minutes(2**31)), "service: duration"),
    ("unknown system", lambda c: c.work.services.change(c.service, code_system="SNOMED"), "service: code_system"),
    ("unknown field", lambda c: c.work.services.change(c.service, colour="red"), "no field 'colour'"),
    ("fixed field", lambda c: c.work.offerings.change(c.offering, at=c.place), "offering: at cannot be changed"),
    ("another kind", lambda c: c.work.offerings.change(c.service, active=False), "offering must be of type OfferingId"),
    ("kinds", lambda c: c.work.offerings.add(c.service, by=c.place, at=c.doctor), "offering: by"),
    ("no doctor", lambda c: c.work.offerings.add(c.service, by=DoctorId(NOBODY), at=c.place), "offering: by"),
    ("buffer", lambda c: c.work.offerings.change(c.offering, buffer_after=-minutes(1)), "offering: buffer_after"),
    ("visibility", lambda c: c.work.offerings.change(c.offering, visibility="hidden"), "offering: visibility"),
    ("no steps", steps, "workflow new is active and has no step"),
    ("text", lambda c: c.work.offerings.add(c.service, by=c.another_doctor(), at=c.place, steps=""), "offering: steps"),
    ("a template", lambda c: c.work.workflows.add(c.offering, steps=[c.template], plan=c.plan), "steps"),
    ("one position", lambda c: steps(c, WorkflowStep(1, c.template), WorkflowStep(1, c.template)), "position 1"),
    ("seconds", lambda c: steps(c, WorkflowStep(1, c.template, minutes(0.5))), "step 1: duration"),
    ("kind", lambda c: steps(c, WorkflowStep(1, c.template, needs=[Need("Room")])), "step 1: needs: kind"),
    ("long", lambda c: steps(c, WorkflowStep(1, c.template, needs=[Need("r" * 51)])), "step 1: needs: kind"),
    ("many", lambda c: steps(c, WorkflowStep(1, c.template, needs=[Need("room", 2**31)])), "need of room: quantity"),
    ("place", lambda c: steps(c, WorkflowStep(1, c.template, location_type="x" * 51)), "step 1: location_type"),
    ("wait", lambda c: steps(c, WorkflowStep(1, c.template, max_wait=minutes(0.5))), "step 1: max_wait"),
    ("position", lambda c: steps(c, WorkflowStep(2**31, c.template)), f"step {2**31}: position"),
    ("missing", lambda c: steps(c, WorkflowStep(1, StepTemplate(NOBODY, "x", minutes(1)))), "step 1: template"),
    ("foreign id", lambda c: steps(c, WorkflowStep(1, StepTemplate("x", "x", minutes(1)))), "step 1: template"),
    ("whole", lambda c: steps(c, *(WorkflowStep(n, c.template, minutes(2**30)) for n in (1, 2, 3))), "steps"),
    ("no template", lambda c: c.work.step_templates.change(c.template, duration=None), "step template: duration"),
    ("reversed", lambda c: c.work.insurance.plans.change(
        c.plan, effective_from=DAY, effective_to=DAY - timedelta(1)), "effective_to 2027-02-28 is before"),
    ("instant", lambda c: c.work.insurance.accept(c.plan, at=c.place, since=datetime.now(UTC)), "acceptance: since"),
    ("not accepted", lambda c: c.work.insurance.refuse(c.plan, at=c.place), "not accepted"),
    ("no facility", lambda c: c.work.resources.add("room", "1", at=FacilityId(NOBODY)), "resource: at"),
    ("doctor", lambda c: c.work.resources.add("doctor", "1", at=c.place), "resource: kind"),
]  # fmt: skip
DATABASE_REFUSALS: list[tuple[type[StatementError], Call, str]] = [
    (DuplicateError, lambda c: c.work.offerings.add(c.service, by=c.doctor, at=c.place), "service_offerings"),
    (
        DuplicateError,
        lambda c: c.work.workflows.add(c.offering, steps=[WorkflowStep(1, c.template)]),
        "an_offering_has",
    ),
    (DuplicateError, lambda c: c.work.insurance.add_plan(c.provider, "BASIC", name="B"), "a_provider_uses"),
    (MissingReferenceError, lambda c: c.work.insurance.accept(PlanId(NOBODY), at=c.place), "insurance_plan_id"),
    (
        MissingReferenceError,
        lambda c: c.work.insurance.add_plan(ProviderId(NOBODY), "P", name="P"),
        "insurance_provider",
    ),
]


def test_r4_a_refused_call_names_its_field_and_undoes_itself(clinic: Clinic) -> None:
    before = rows_of_the_tenant(clinic.work)
    for name, call, words in REFUSALS:
        with pytest.raises((InvalidInputError, NotFoundError)) as refused:
            call(clinic)
        assert words in str(refused.value), name
        assert not clinic.work.session.dirty, name
        assert rows_of_the_tenant(clinic.work) == before, name
    for error, call, words in DATABASE_REFUSALS:
        with pytest.raises(error, match=words):
            call(clinic)
        assert rows_of_the_tenant(clinic.work) == before, words
    assert clinic.work.insurance.plans.get(clinic.plan).effective_from is None
    assert clinic.work.resources.add("room", "1", at=clinic.place)


def test_a_refused_workflow_takes_its_offering_back(clinic: Clinic) -> None:
    before = rows_of_the_tenant(clinic.work)
    twice = [WorkflowStep(1, clinic.template), WorkflowStep(1, clinic.template)]
    with pytest.raises(InvalidInputError, match="position 1"):
        clinic.work.offerings.add(clinic.service, by=clinic.another_doctor(), at=clinic.place, steps=twice)
    assert rows_of_the_tenant(clinic.work) == before
    with pytest.raises(InvalidInputError, match="has no step"):
        clinic.work.workflows.replace(clinic.workflow(), steps=[])
    assert clinic.workflow().active
