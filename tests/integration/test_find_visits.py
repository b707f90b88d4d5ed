"""Visits found in the tables: the same as in values (Q1, Q2), by the payer's workflow (W1), and bad input."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, time, timedelta
from random import Random
from typing import Any

import psycopg
import pytest
from sqlalchemy import event, text

from scheduler import models
from scheduler.booking.errors import NoSuchNeedError, NotOfferedError
from scheduler.core.calendars import DoctorCalendar, Resource
from scheduler.core.candidates import Candidate
from scheduler.core.errors import (
    InvalidInputError,
    InvalidSpanError,
    InvalidWorkflowError,
    NotFoundError,
    WorkflowNotFoundError,
)
from scheduler.core.ids import DoctorId, FacilityId, OfferingId, PatientId, PlanId, ServiceId
from scheduler.core.offers import VisitOffer
from scheduler.core.reasons import ReasonCode
from scheduler.core.search import find_visits
from scheduler.core.slots import SlotIdentity
from scheduler.core.spans import Span
from scheduler.core.uses import Use
from scheduler.core.weekdays import Weekday
from scheduler.core.workflows import Need, WorkflowStep
from scheduler.front_door.offerings import Visibility
from scheduler.front_door.scheduler import Scheduler
from scheduler.front_door.work import Work
from scheduler.postgres.schedules import ScheduleKey, load_schedules
from support.databases import undone

pytestmark = pytest.mark.database

NOW = datetime(2027, 3, 3, 9, 30, tzinfo=UTC)  # a Wednesday
DAYS = 20
DAY = timedelta(days=1)
EVERY_DAY = Span(NOW - 2 * DAY, NOW + 30 * DAY)
PER_DOCTOR = 60
NOBODY = 2**40
WEEKDAYS = [Weekday(day) for day in range(1, 6)]
MINUTE = timedelta(minutes=1)


@dataclass
class Clinic:
    """The world of the module: three doctors at two facilities who offer a visit of four steps, partly booked."""

    scheduler: Scheduler
    main: FacilityId
    other: FacilityId
    anna: DoctorId
    service: ServiceId
    offerings: Sequence[OfferingId]
    patient: PatientId


def steps(work: Work) -> list[WorkflowStep]:
    template = work.step_templates.add("a step", duration=10 * MINUTE)
    nurse, room = Need("nurse"), Need("room")
    return [
        WorkflowStep(1, template, 5 * MINUTE, needs=()),
        WorkflowStep(2, template, needs=(nurse,), max_wait=15 * MINUTE, can_be_skipped=True),
        WorkflowStep(
            3,
            template,
            20 * MINUTE,
            needs=(Need("doctor"), room),
            max_wait=20 * MINUTE,
        ),
        WorkflowStep(
            5,
            template,
            15 * MINUTE,
            needs=(nurse, Need("room", same_as=3)),
            max_wait=30 * MINUTE,
            requires_preparation=True,
            preparation=5 * MINUTE,
        ),
    ]


@pytest.fixture(scope="module")
def clinic(database_url: str) -> Iterator[Clinic]:
    random = Random(7)  # noqa: S311  # a fixed world, not a secret
    with Scheduler(database_url, clock=lambda: NOW) as scheduler:
        tenant = scheduler.add_tenant("riverside", name="Riverside Clinics")
        with scheduler.tenant("riverside") as work:
            main = work.facilities.add("main", name="Main Street", zone="Europe/London")
            other = work.facilities.add("other", name="Harbour", zone="America/New_York")
            service = work.services.add("infusion", duration=20 * MINUTE)
            doctors, offerings, drawn = [], [], steps(work)
            for number, (places, at) in enumerate((([main], main), ([main, other], main), ([other], other))):
                doctor = work.doctors.add("Anna", "Ray", at=places)
                offering = work.offerings.add(
                    service, by=doctor, at=at, buffer_before=5 * MINUTE, buffer_after=number * 5 * MINUTE, steps=drawn
                )
                capacity = 2 if number == 1 else 1
                work.rules.add(
                    doctor,
                    at=at,
                    on=WEEKDAYS,
                    start=time(9),
                    end=time(14),
                    slot_duration=30 * MINUTE,
                    capacity=capacity,
                )
                doctors.append(doctor)
                offerings.append(offering)
            work.exceptions.block(doctors[0], at=main, between=Span(NOW + 7 * DAY, NOW + 8 * DAY))
            resources = [
                work.resources.add(kind, f"{kind} {number}", at=at)
                for at, count in ((main, 2), (other, 1))
                for kind in ("nurse", "room")
                for number in range(count)
            ]
            patient = work.patients.add("Pat", "Low", email="pat@example.org")
        scheduler.generate("riverside", from_day=NOW.date() - 2 * DAY, days=DAYS)
        with psycopg.connect(database_url) as connection:
            _take_time(connection, random, tenant, doctors, resources)
        yield Clinic(scheduler, main, other, doctors[0], service, offerings, patient)


def _take_time(
    connection: psycopg.Connection, random: Random, tenant: object, doctors: list[DoctorId], resources: list[Any]
) -> None:
    """Take time as appointments would that a test need not write: some of it on shared slots, and some slots."""
    connection.execute("set local session_replication_role = replica")
    key = 0
    for column, ids in (("doctor_id", doctors), ("resource_id", resources)):
        for id_ in ids:
            for _ in range(PER_DOCTOR):
                key += 1
                start = NOW - 2 * DAY + 5 * random.randrange(20 * 24 * 12) * MINUTE
                end = start + random.choice((5, 20, 40, 300)) * MINUTE
                connection.execute(
                    f"insert into scheduling.allocations (tenant_id, visit_key, {column}, start_at, end_at,"
                    " appointment_id) values (%s, %s, %s, %s, %s, %s)",
                    (tenant, key, id_, start, end, key),
                )
    slots = connection.execute(
        "select id, start_at, end_at, doctor_id, capacity from scheduling.availability_slots order by id"
    ).fetchall()
    for id_, start, end, doctor, capacity in slots:
        lot = random.random()
        if capacity > 1 and lot < 0.4:
            key += 1
            connection.execute(
                "insert into scheduling.allocations (tenant_id, visit_key, doctor_id, start_at, end_at, appointment_id,"
                " slot_id, slot_start_at, shared_slot_id) values (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
                (tenant, key, doctor, start, end, key, id_, start, id_),
            )
        elif lot > 0.9:
            change = random.choice(("status = 'cancelled'", "status = 'reserved', reserved_until = '2040-01-01'"))
            connection.execute(f"update scheduling.availability_slots set {change} where id = {id_}".encode())
        elif lot > 0.85:
            connection.execute(f"delete from scheduling.availability_slots where id = {id_}".encode())


@pytest.fixture
def work(clinic: Clinic) -> Iterator[Work]:
    """A unit of work that is undone."""
    with undone(clinic.scheduler.tenant("riverside")) as opened:
        yield opened


def in_values(work: Work, clinic: Clinic, between: Span, **narrowed: Any) -> list[VisitOffer]:
    """Find with the core, from rows that are read in the plainest way."""
    session = work.session
    doctors, facilities = narrowed.pop("doctors", ()), narrowed.pop("facilities", ())
    chosen = [work.offerings.get(offering) for offering in clinic.offerings]
    rows = session.connection().execute(text(
        "select taken.doctor_id, taken.resource_id, taken.start_at, taken.end_at,"
        " slot.start_at, slot.end_at, slot.doctor_id, slot.facility_id, slot.service_offering_id"
        " from scheduling.allocations taken left join scheduling.availability_slots slot on slot.id = shared_slot_id"
    )).all()  # fmt: skip
    slots = session.connection().execute(text(
        "select start_at, end_at, doctor_id, facility_id, service_offering_id, status, capacity"
        " from scheduling.availability_slots"
    )).all()  # fmt: skip
    candidates = []
    for offering in chosen:
        if (doctors and offering.doctor_id not in doctors) or (facilities and offering.facility_id not in facilities):
            continue
        key = ScheduleKey(offering.doctor_id, offering.facility_id)
        (loaded,) = load_schedules(session, [key], lock=False)
        uses = [
            Use(Span(row[2], row[3]), None if row[4] is None else SlotIdentity(*row[4:]))
            for row in rows
            if row[0] == offering.doctor_id
        ]
        held = [row for row in slots if row.status == "reserved" and row.doctor_id == offering.doctor_id]
        uses += [Use(Span(*row[:2]), SlotIdentity(*row[:5]) if row.capacity > 1 else None) for row in held]
        full = [SlotIdentity(*row[:5]) for row in slots if row[2:4] == key and row.status != "open"]
        candidates.append(
            Candidate(
                offering.id or 0,
                work.workflows.of(offering),
                DoctorCalendar(loaded.schedule, uses, full),  # type: ignore[arg-type]  # it is valid
                offering.buffer_before_minutes * MINUTE,
                offering.buffer_after_minutes * MINUTE,
            )
        )
    resources = [
        Resource(
            each.id or 0,
            each.kind,
            each.facility_id,
            uses=[Span(row[2], row[3]) for row in rows if row[1] == each.id],
        )
        for each in work.resources.all()
    ]
    stored = {SlotIdentity(*row[:5]) for row in slots}
    found = find_visits(candidates, resources, Span(max(between.start, NOW), between.end), **narrowed)
    return [offer for offer in found if offer.slot.identity in stored]


SEARCHES: list[dict[str, Any]] = [
    {},
    {"between": Span(NOW + 0.9 * DAY, NOW + 1.3 * DAY)},
    {"between": Span(NOW + 2 * DAY, NOW + 5 * DAY)},
    {"skip": (2,)},
    {"weekdays": [Weekday.FRIDAY], "part_of_day": (time(9), time(10))},
    {"facilities": ["other"], "part_of_day": (time(12), time(8))},
    {"doctors": ["anna"], "skip": iter([2])},
]


def told(offer: VisitOffer) -> str:
    """Tell an offer in a line: its offering, and the starts and resources of its steps."""
    steps = (f"{step.start_at:%d %H:%M} {sorted(step.resources.items())}" for step in offer.steps)
    return f"{offer.offering_id}: {', '.join(steps)}"


@pytest.mark.parametrize("search", SEARCHES, ids=[", ".join(search) or "all" for search in SEARCHES])
def test_q1_the_tables_give_the_visits_that_values_give(work: Work, clinic: Clinic, search: dict[str, Any]) -> None:
    narrowed = {"between": EVERY_DAY} | search
    for field in ("facilities", "doctors"):
        if field in narrowed:
            narrowed[field] = [getattr(clinic, name) for name in narrowed[field]]
    narrowed["skip"] = skip = tuple(narrowed.get("skip", ()))
    expected = in_values(work, clinic, **narrowed)
    found = work.visits.find(clinic.service, limit=10_000, **narrowed | {"skip": iter(skip)})
    assert list(map(told, found)) == list(map(told, expected))
    assert found == expected
    assert found
    assert work.visits.find(clinic.service, limit=3, **narrowed) == expected[:3]


def lacking(work: Work, change: str, **values: Any) -> None:
    """Change rows as the host would by other SQL."""
    work.session.connection().execute(text(change), values)


def first(work: Work, clinic: Clinic, **narrowed: Any) -> VisitOffer:
    (offer,) = work.visits.find(clinic.service, limit=1, **{"between": EVERY_DAY} | narrowed)
    return offer


def test_q1_an_offer_is_offered_at_its_start(work: Work, clinic: Clinic) -> None:
    offer = work.visits.find(clinic.offerings[0], between=EVERY_DAY)[-1]
    assert work.visits.offer_at(clinic.offerings[0], offer.start_at) == offer


def test_q1_a_search_needs_few_statements_whatever_the_number_of_doctors(work: Work, clinic: Clinic) -> None:
    statements: list[str] = []
    event.listen(work.session.connection(), "before_cursor_execute", lambda *arguments: statements.append(arguments[2]))
    for service in (clinic.service, clinic.offerings[0]):
        statements.clear()
        work.visits.find(service, between=Span(NOW, NOW + DAY), limit=1)
        assert len(statements) <= 23
    weeks = 4  # they begin on Saturdays
    statements.clear()
    work.visits.find(clinic.service, between=EVERY_DAY, limit=10_000)
    assert len([each for each in statements if "range_agg" in each]) == weeks


def test_q2_the_patients_own_visits_are_kept_free(work: Work, clinic: Clinic) -> None:
    offer = first(work, clinic)
    assert first(work, clinic, patient=clinic.patient) == offer
    doctor = work.doctors.add("Ben", "Low", at=[clinic.main])
    offering = work.offerings.add(clinic.service, by=doctor, at=clinic.main)
    visit = models.Appointment(
        tenant_id=work.tenant_id,
        patient_id=clinic.patient,
        facility_id=clinic.main,
        doctor_id=doctor,
        service_offering_id=offering,
        service_workflow_id=int(work.workflows.of(offering).id),
        start_at=offer.start_at,
        end_at=offer.end_at,
        status="cancelled",
    )
    work.session.add(visit)
    assert first(work, clinic, patient=clinic.patient) == offer
    visit.status = "scheduled"
    busy = Span(offer.start_at, offer.end_at)
    found = work.visits.find(clinic.service, between=EVERY_DAY, patient=clinic.patient)
    assert not any(busy.overlaps(Span(each.start_at, each.end_at)) for each in found)
    assert found


NOTHING = {
    "the offering is switched off": "update scheduling.service_offerings set active = false",
    "the doctor is deleted": "update scheduling.doctors set deleted_at = now()",
    "the facility is deleted": "update scheduling.facilities set deleted_at = now()",
    "the post has ended": "update scheduling.facility_doctors set active = false",
    "the slots are not generated": "update scheduling.schedule_states set generated_days = '{}'",
    "the slots are deleted": "delete from scheduling.availability_slots",
    "the slots are cancelled": "update scheduling.availability_slots set status = 'cancelled', reserved_until = null",
}


@pytest.mark.parametrize("change", NOTHING.values(), ids=NOTHING)
def test_q1_nothing_is_found_where_nothing_can_be_booked(work: Work, clinic: Clinic, change: str) -> None:
    start_at = first(work, clinic).start_at
    lacking(work, change)
    assert work.visits.find(clinic.service, between=EVERY_DAY) == []
    with pytest.raises(NotOfferedError) as refused:
        work.visits.offer_at(clinic.offerings[0], start_at)
    assert refused.value.next_start_at is None


def test_q1_a_private_offering_is_found_at_the_desk_only(work: Work, clinic: Clinic) -> None:
    for offering in clinic.offerings[1:]:
        work.offerings.change(offering, visibility=Visibility.PRIVATE)
    found = work.visits.find(clinic.service, between=EVERY_DAY, channel="web", limit=10_000)
    assert {offer.offering_id for offer in found} == {clinic.offerings[0]}
    everywhere = work.visits.find(clinic.service, between=EVERY_DAY, limit=10_000)
    assert {offer.offering_id for offer in everywhere} == {*clinic.offerings}
    with pytest.raises(NotOfferedError, match="switched off or private"):
        work.visits.offer_at(clinic.offerings[1], everywhere[0].start_at, channel="web")


def test_w1_the_plan_that_pays_chooses_the_workflow(work: Work, clinic: Clinic) -> None:
    plan = work.insurance.add_plan(
        work.insurance.add_provider("Northern Mutual"),
        "BASIC",
        name="Basic cover",
        effective_from=NOW.date() + 5 * DAY,
        effective_to=NOW.date() + 7 * DAY,
    )
    short = work.workflows.add(clinic.offerings[0], steps=steps(work)[:3], plan=plan)
    work.patients.change(clinic.patient, plan=plan)
    with pytest.raises(WorkflowNotFoundError, match="not accepted"):
        work.visits.find(clinic.service, between=EVERY_DAY, plan=plan)
    work.insurance.accept(plan, at=clinic.main)
    for payer in ({"plan": plan}, {"patient": clinic.patient}):
        found = work.visits.find(clinic.service, between=EVERY_DAY, limit=10_000, **payer)
        assert {offer.offering_id for offer in found} == {*clinic.offerings[:2]}  # the other facility takes no plan
        assert {offer.start_at.date() for offer in found} <= {NOW.date() + n * DAY for n in (5, 6, 7)}
        of_anna = {offer.workflow_id for offer in found if offer.offering_id == clinic.offerings[0]}
        assert of_anna == {short.id}
    with pytest.raises(WorkflowNotFoundError, match="not in force"):
        work.visits.find(clinic.service, between=Span(NOW + 9 * DAY, NOW + 12 * DAY), plan=plan)
    with pytest.raises(NotFoundError, match="no insurance plan"):
        work.visits.find(clinic.service, between=EVERY_DAY, plan=PlanId(NOBODY))


def test_q1_a_need_that_no_facility_has_is_named(work: Work, clinic: Clinic) -> None:
    scanner = [WorkflowStep(1, work.step_templates.add("scan", duration=10 * MINUTE), needs=(Need("scanner"),))]
    workflow = work.workflows.of(clinic.offerings[0])
    work.workflows.replace(workflow, steps=scanner)
    found = work.visits.find(clinic.service, between=EVERY_DAY, limit=10_000)
    assert {offer.offering_id for offer in found} == {*clinic.offerings[1:]}
    for search in (
        lambda: work.visits.find(clinic.offerings[0], between=EVERY_DAY),
        lambda: work.visits.offer_at(clinic.offerings[0], NOW + DAY),
    ):
        with pytest.raises(NoSuchNeedError) as refused:
            search()
        assert (refused.value.kind, refused.value.facility) == ("scanner", clinic.main)


REASONS: dict[str, tuple[Any, ReasonCode]] = {
    "the past": (NOW - timedelta(minutes=30), ReasonCode.NOTICE),
    "the night": (datetime(2027, 3, 5, 3, tzinfo=UTC), ReasonCode.OUTSIDE_RULES),
    "between two slots": (datetime(2027, 3, 5, 9, 2, tzinfo=UTC), ReasonCode.OFF_GRID),
    "a blocked day": (NOW + 7 * DAY + timedelta(minutes=15), ReasonCode.BLOCKED),
    "a day without slots": (datetime(2027, 4, 2, 8, 45, tzinfo=UTC), ReasonCode.NOT_GENERATED),
}


@pytest.mark.parametrize(("start_at", "code"), REASONS.values(), ids=REASONS)
def test_q3_a_start_that_is_not_offered_has_reasons(
    work: Work, clinic: Clinic, start_at: datetime, code: ReasonCode
) -> None:
    with pytest.raises(NotOfferedError) as refused:
        work.visits.offer_at(clinic.offerings[0], start_at)
    assert code in [reason.code for reason in refused.value.reasons]
    following = work.visits.find(clinic.offerings[0], between=Span(start_at + MINUTE, start_at + 30 * DAY), limit=1)
    assert refused.value.next_start_at == (following[0].start_at if following else None)


def test_q3_a_step_without_its_resources_is_named(work: Work, clinic: Clinic) -> None:
    offer = work.visits.find(clinic.offerings[0], between=EVERY_DAY)[-1]
    nurse = next(each for each in work.resources.all() if each.kind == "nurse" and each.facility_id == clinic.main)
    workflow = work.workflows.of(clinic.offerings[0])
    two_nurses = [replace(step, needs=(Need("nurse", 2),)) if step.position == 2 else step for step in workflow.steps]
    work.workflows.replace(workflow, steps=two_nurses)
    doctor = work.offerings.get(clinic.offerings[0]).doctor_id
    work.resources.change(nurse, active=False)
    work.resources.add("nurse", "the doctor", at=clinic.main, doctor=DoctorId(doctor))
    with pytest.raises(NotOfferedError) as refused:
        work.visits.offer_at(clinic.offerings[0], offer.start_at + MINUTE)
    assert refused.value.reasons


BAD: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "a number": ({"what": 1}, InvalidInputError, "the first argument must be of type ServiceId or OfferingId"),
    "an unknown service": ({"what": ServiceId(NOBODY)}, NotFoundError, "no service has the id"),
    "an unknown offering": ({"what": OfferingId(NOBODY)}, NotFoundError, "no offering has the id"),
    "a day for a span": ({"between": NOW.date()}, InvalidInputError, "visits: between must be a Span"),
    "no limit": ({"limit": 0}, InvalidInputError, "visits: limit must be a whole number from 1"),
    "a channel": ({"channel": " "}, InvalidInputError, "visits: channel must be a word of small letters"),
    "an unknown patient": ({"patient": PatientId(NOBODY)}, NotFoundError, "no patient has the id"),
    "a doctor as patient": ({"patient": DoctorId(1)}, InvalidInputError, "patient must be of type PatientId"),
    "one doctor": ({"doctors": DoctorId(1)}, InvalidInputError, "visits: doctors must be a sequence of DoctorId"),
    "a facility as doctor": (
        {"doctors": [FacilityId(1)]},
        InvalidInputError,
        "visits: doctors must be of type DoctorId",
    ),
    "a weekday's name": ({"weekdays": ["monday"]}, InvalidInputError, "visits: weekdays must be a sequence of Weekday"),
    "one clock time": ({"part_of_day": (time(9),)}, InvalidInputError, "part_of_day must be two clock times"),
    "a position's name": ({"skip": ["doctor"]}, InvalidInputError, "visits: skip must be a sequence of int"),
    "an unknown position": ({"skip": [4]}, InvalidWorkflowError, "has no step at position 4"),
    "a step that must not be skipped": ({"skip": [3]}, InvalidWorkflowError, "must not be skipped"),
}


@pytest.mark.parametrize(("argument", "error", "message"), BAD.values(), ids=BAD)
def test_bad_input_of_a_search_is_refused_by_its_name(
    work: Work, clinic: Clinic, argument: dict[str, Any], error: type[Exception], message: str
) -> None:
    arguments: dict[str, Any] = {"what": clinic.service, "between": EVERY_DAY} | argument
    with pytest.raises(error, match=message):
        work.visits.find(arguments.pop("what"), **arguments)
    assert work.visits.find(clinic.service, between=EVERY_DAY)  # the unit of work goes on


@pytest.mark.parametrize(
    ("start_at", "error"),
    [(NOW.replace(tzinfo=None), InvalidSpanError), (NOW.date(), InvalidSpanError), (None, InvalidSpanError)],
)
def test_a_start_that_is_no_instant_is_refused(
    work: Work, clinic: Clinic, start_at: Any, error: type[Exception]
) -> None:
    with pytest.raises(error, match="visits: start_at"):
        work.visits.offer_at(clinic.offerings[0], start_at)


def test_past_and_far_spans_find_nothing(work: Work, clinic: Clinic) -> None:
    assert work.visits.find(clinic.service, between=Span(NOW - 9 * DAY, NOW)) == []
    far = Span(NOW + 3000 * DAY, datetime(9999, 12, 30, tzinfo=UTC))
    assert work.visits.find(clinic.service, between=far) == []
