"""Booked visits: what is written, for whom, from which offers; and visits that are moved (B1, B4)."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import Any

import pytest

from scheduler.booking.errors import (
    BookingError,
    HoldEndedError,
    NotOfferedError,
    PatientBusyError,
    SlotTakenError,
    UnknownHoldError,
)
from scheduler.booking.visits import Visit
from scheduler.core.errors import (
    InvalidInputError,
    InvalidWorkflowError,
    NotFoundError,
    SchedulerError,
    TransitionRefusedError,
    WorkflowNotFoundError,
)
from scheduler.core.ids import PatientId
from scheduler.core.lifecycle import AppointmentStatus
from scheduler.core.offers import VisitOffer
from scheduler.core.reasons import ReasonCode
from scheduler.core.releases import Release
from scheduler.core.spans import Span
from scheduler.core.weekdays import Weekday
from scheduler.core.workflows import WorkflowStep
from scheduler.front_door.visit_booking import Booking
from scheduler.front_door.work import Work
from scheduler.postgres.errors import NotAllowedError
from support.concurrency import after_waiting
from support.databases import execute
from support.desks import (
    HALF_HOUR,
    MINUTE,
    NOW,
    Desk,
    all_rows,
    database_clock,
    left_alone,
    on,
    open_desk,
    rows,
)

pytestmark = pytest.mark.database

WRITTEN = """
select patient_id, facility_id, doctor_id, service_offering_id, service_workflow_id, start_at, end_at, local_start,
    zone, status, notes, booked_by, slot_start_at
from scheduling.appointments where id = %s
"""
STEPS = """
select position, scheduled_start_at, scheduled_end_at, status, location, array(
    select resource_id from scheduling.appointment_step_resources used
    where used.appointment_step_id = step.id order by 1
)
from scheduling.appointment_steps step where appointment_id = %s order by position
"""
ALLOCATIONS = "select count(*) from scheduling.allocations where appointment_id = %s"
SLOT = "select status, booked_count from scheduling.availability_slots where doctor_id = %s and start_at = %s"


@pytest.fixture(scope="module")
def desk(database_url: str) -> Iterator[Desk]:
    with open_desk(database_url) as opened:
        yield opened


@pytest.fixture(scope="module")
def offer(desk: Desk) -> VisitOffer:
    """A visit with Cara of which no test books the time for good."""
    with desk.work() as work:
        return desk.offer(work, on(desk.day(), 8, 50), desk.with_cara)


def nurses(visit: Visit) -> list[Any]:
    return [step.resources.get("nurse") for step in visit.steps]


def test_b1_a_booked_visit_is_written_with_its_steps_and_resources(desk: Desk) -> None:
    day = desk.day()
    with desk.work(desk.staff) as work:
        patient = desk.patient(work)
        offer = desk.offer(work, on(day, 8, 50), desk.with_cara)
        visit = work.visits.book(offer, patient=patient, notes="  needs a chair ")
    start_at, end_at, talk_at, nina = on(day, 8, 50), on(day, 9, 30), on(day, 9), desk.nurses[0]
    place, local = desk.clinic.facility, start_at.replace(tzinfo=None)
    ids = (patient, place, desk.cara, desk.with_cara, offer.workflow_id)
    assert all_rows(desk.url, WRITTEN, visit.id) == [
        (*ids, start_at, end_at, local, "Europe/London", "scheduled", "needs a chair", desk.staff, talk_at)
    ]
    assert all_rows(desk.url, STEPS, visit.id) == [
        (1, start_at, talk_at, "scheduled", "lab", [nina]),
        (2, talk_at, on(day, 9, 20), "scheduled", "office", []),
        (3, on(day, 9, 20), end_at, "scheduled", None, [nina, desk.room]),
    ]
    assert all_rows(desk.url, SLOT, desk.cara, talk_at) == [("booked", 1)]
    with desk.work() as work:
        assert work.visits.get(visit) == visit
    assert (visit.local_start, visit.zone, visit.status) == (local, "Europe/London", AppointmentStatus.SCHEDULED)
    assert [(step.position, step.name, step.location) for step in visit.steps] == [
        (1, "sample", "lab"),
        (2, "talk", "office"),
        (3, "sample", None),
    ]


def test_b1_a_visit_is_given_once(desk: Desk) -> None:
    day = desk.day()
    with desk.work() as work:
        offer = desk.offer(work, on(day, 9))
        work.visits.book(offer, patient=desk.patient(work))
    with left_alone(desk.url), desk.work() as work, pytest.raises(SlotTakenError) as refused:
        work.visits.book(offer, patient=work.patients.all()[0])
    assert refused.value.next_start_at == on(day, 9, 30)


def test_b1_a_patient_has_one_visit_at_a_time(desk: Desk) -> None:
    day = desk.day()
    visit = desk.booked(on(day, 8, 50), desk.with_cara)
    with left_alone(desk.url), desk.work() as work, pytest.raises(PatientBusyError) as refused:
        work.visits.book(desk.offer(work, on(day, 9)), patient=visit.patient_id)
    assert refused.value.visit_id == visit.id
    with desk.tried() as work:
        work.visits.cancel(visit, reason="ill")
        work.visits.book(desk.offer(work, on(day, 9)), patient=visit.patient_id)


def test_a_patient_who_is_not_there_is_refused(desk: Desk, offer: VisitOffer) -> None:
    desk.clinic.scheduler.add_tenant("elsewhere", name="Elsewhere")
    with desk.clinic.scheduler.tenant("elsewhere") as work:
        foreign = work.patients.get(work.patients.add("Ada", "Poe", email="ada@example.org"))
        work.session.expunge(foreign)
    with desk.work() as work:
        deleted = desk.patient(work)
        work.patients.delete(deleted)
    with left_alone(desk.url), desk.work() as work:
        for patient in (foreign, deleted, PatientId(2**40)):
            with pytest.raises(NotFoundError, match="patient"):
                work.visits.book(offer, patient=patient)


def test_a_parent_books_moves_and_cancels_for_the_own_child_alone(desk: Desk) -> None:
    day = desk.day()
    other = desk.booked(on(day, 11))
    with desk.work(desk.sarah) as work:
        visit = work.visits.book(desk.offer(work, on(day, 9)), patient=desk.tim)
        offer = desk.offer(work, on(day, 10))
        hold = work.visits.hold(offer)
        assert work.visits.reschedule(visit, to=hold).start_at == on(day, 10)
        assert work.visits.of_patient(desk.tim) == [work.visits.get(visit)]
        assert [one.id for one in work.visits.of_day(desk.clinic.anna, day).visits] == [visit.id]
    with left_alone(desk.url), desk.work(desk.sarah) as work:
        free = desk.offer(work, on(day, 9))
        for call in (
            lambda: work.visits.book(free, patient=other.patient_id),
            lambda: work.visits.book_all([Booking(free, desk.tim), Booking(free, other.patient_id)]),
            lambda: work.visits.reschedule(other, to=free),
            lambda: work.visits.cancel(other, reason="mine"),
            lambda: work.visits.get(other),
            lambda: work.visits.of_patient(other.patient_id),
            lambda: work.visits.check_in(other),
        ):
            with pytest.raises(NotFoundError):
                call()
    with desk.work(desk.sarah) as work:
        assert work.visits.cancel(visit, reason="ill").status is AppointmentStatus.CANCELLED


def test_only_staff_see_a_visit_through(desk: Desk) -> None:
    with desk.work(desk.sarah) as work:
        visit = work.visits.book(desk.offer(work, on(desk.day(), 9)), patient=desk.tim)
    with left_alone(desk.url), desk.work(desk.sarah) as work:
        visits = work.visits
        for call in (visits.check_in, visits.complete, visits.no_show, visits.undo):
            with pytest.raises(NotAllowedError, match="only staff"):
                call(visit)
        for step_call in (visits.begin_step, visits.complete_step, visits.skip_step):
            with pytest.raises(NotAllowedError, match="only staff"):
                step_call(visit, 1)
    with desk.work(desk.staff) as work:
        assert work.visits.check_in(visit).status is AppointmentStatus.CHECKED_IN


def test_only_staff_book_what_is_private(desk: Desk) -> None:
    start_at = on(desk.day(), 9)
    with desk.work(desk.staff) as work:
        offer = desk.offer(work, start_at, desk.private)
    with left_alone(desk.url), desk.work(desk.sarah) as work:
        for call in (
            lambda: desk.offer(work, start_at, desk.private),
            lambda: work.visits.hold(offer),
            lambda: work.visits.book(offer, patient=desk.tim),
        ):
            with pytest.raises((NotOfferedError, NotFoundError)):
                call()
    with desk.work(desk.staff) as work:
        work.visits.book(offer, patient=desk.tim)


RELEASES = "select distinct released_at from scheduling.{} where doctor_id = :doctor and start_at::date = :day"


@pytest.fixture
def released(desk: Desk) -> Iterator[tuple[datetime, datetime]]:
    """Return the start of a visit and the release of its day, for the time of a test."""
    day, now = desk.day(), desk.clock()
    with desk.work() as work:
        rules = work.rules.of(desk.clinic.anna, at=desk.clinic.facility)
        (rule,) = (one for one in rules if one.day_of_week == Weekday.of(day).value)
        work.rules.change(rule, release=Release(1, time(8)))
    yield on(day, 9), on(day, 8) - timedelta(days=1)
    desk.clock.move_to(now)
    with desk.work() as work:
        work.rules.change(rule, release=None)
        slots = rows(work, RELEASES.format("availability_slots"), doctor=desk.clinic.anna, day=day)
    assert slots == [(None,)]


def test_q5_the_release_is_written_to_slots_at_once(desk: Desk, released: tuple[datetime, datetime]) -> None:
    start_at, released_at = released
    anna, day = desk.clinic.anna, start_at.date()
    with desk.work() as work:
        for relation in ("availability_slots", "bookable_slots"):
            assert rows(work, RELEASES.format(relation), doctor=anna, day=day) == [(released_at,)]
        assert {slot.released_at for slot in work.slots.open(anna, day=day)} == {released_at}
        assert {slot.released_at for slot in work.visits.of_day(anna, day).open_slots} == {released_at}


def test_q5_a_release_binds_every_channel_but_the_desk(desk: Desk, released: tuple[datetime, datetime]) -> None:
    start_at, released_at = released
    day, with_anna = Span(start_at, start_at + timedelta(hours=3)), desk.clinic.with_anna
    desk.clock.move_to(released_at - MINUTE)
    with desk.tried() as work:
        assert work.visits.find(with_anna, between=day, channel="web") == []
        offer = desk.offer(work, start_at)
        assert (offer.start_at, offer.slot.released_at) == (start_at, released_at)
        assert work.visits.find(with_anna, between=day)[0] == offer
        work.visits.book(offer, patient=desk.patient(work))
    with left_alone(desk.url), desk.work(desk.sarah) as work:
        assert work.visits.find(with_anna, between=day) == []
        for call in (
            lambda: desk.offer(work, start_at),
            lambda: work.visits.hold(offer),
            lambda: work.visits.book(offer, patient=desk.tim),
            lambda: work.visits.book_all([Booking(offer, desk.tim)]),
        ):
            with pytest.raises(NotOfferedError) as refused:
                call()
            assert [reason.code for reason in refused.value.reasons] == [ReasonCode.RELEASE]
            assert f"released on {released_at:%A %Y-%m-%d} 08:00" in str(refused.value)
            assert refused.value.next_start_at != start_at
    desk.clock.move_to(released_at)
    with desk.tried(desk.sarah) as work:
        assert (
            work.visits.find(with_anna, between=day)[0] == desk.offer(work, start_at) == replace(offer, channel="web")
        )
        assert work.visits.confirm(work.visits.hold(offer), patient=desk.tim).start_at == start_at


def test_w1_a_visit_under_a_plan_that_has_ended_is_refused(desk: Desk) -> None:
    day = desk.day()
    with desk.work() as work:
        provider = work.insurance.add_provider("Mutual")
        plan = work.insurance.add_plan(provider, "BASIC", name="Basic", effective_to=day)
        work.insurance.accept(plan, at=desk.clinic.facility)
        steps = work.workflows.of(desk.clinic.with_anna).steps
        workflow = work.workflows.add(desk.clinic.with_anna, steps=steps, name="basic", plan=plan)
        offer = work.visits.offer_at(desk.clinic.with_anna, on(day, 9), plan=plan)
        assert offer.workflow_id == workflow.id
    with desk.tried() as work:
        assert work.visits.book(offer, patient=desk.patient(work)).workflow_id == workflow.id
    with left_alone(desk.url), desk.work() as work:
        late = moved(offer, timedelta(days=7))
        with pytest.raises((NotOfferedError, WorkflowNotFoundError)):
            work.visits.book(late, patient=work.patients.all()[0])
    with desk.tried() as work:
        work.insurance.plans.change(plan, effective_to=date(2026, 12, 31))
        with pytest.raises(WorkflowNotFoundError, match="in force"):
            work.visits.book(offer, patient=desk.patient(work))


def changed(offer: VisitOffer, **fields: Any) -> VisitOffer:
    """Return an offer with fields of any type."""
    return replace(offer, **fields)


def given(*fields: Any) -> Booking:
    """Return a booking with fields of any type."""
    return Booking(*fields)


def moved(offer: VisitOffer, by: timedelta) -> VisitOffer:
    """Return an offer with its slot and all of its steps moved."""
    slot = offer.slot._replace(start_at=offer.slot.start_at + by, end_at=offer.slot.end_at + by)
    steps = (replace(step, start_at=step.start_at + by, end_at=step.end_at + by) for step in offer.steps)
    return replace(offer, slot=slot, steps=tuple(steps))


def with_step(offer: VisitOffer, place: int, **fields: Any) -> VisitOffer:
    steps = list(offer.steps)
    steps[place] = replace(steps[place], **fields)
    return replace(offer, steps=tuple(steps))


def later(offer: VisitOffer, place: int, by: timedelta) -> VisitOffer:
    step = offer.steps[place]
    return with_step(offer, place, start_at=step.start_at + by, end_at=step.end_at + by)


def with_resources(offer: VisitOffer, **ids: Any) -> VisitOffer:
    return replace(offer, steps=tuple(replace(step, resources=ids) for step in offer.steps))


def one_more(offer: VisitOffer) -> VisitOffer:
    last = offer.steps[-1]
    step = replace(last.step, position=4)
    return replace(
        offer, steps=(*offer.steps, replace(last, step=step, start_at=last.end_at, end_at=last.end_at + MINUTE))
    )


FORGED: dict[str, tuple[Callable[[VisitOffer], VisitOffer], type[SchedulerError]]] = {
    "moved off the grid": (lambda offer: moved(offer, 5 * MINUTE), NotOfferedError),
    "moved into the night": (lambda offer: moved(offer, timedelta(hours=12)), NotOfferedError),
    "moved into the past": (lambda offer: moved(offer, timedelta(days=-70)), NotOfferedError),
    "a step earlier": (lambda offer: later(offer, 0, -5 * MINUTE), NotOfferedError),
    "a step over another": (lambda offer: later(offer, 2, -5 * MINUTE), NotOfferedError),
    "the talk off its slot": (lambda offer: later(offer, 1, 5 * MINUTE), NotOfferedError),
    "a longer wait than allowed": (lambda offer: later(offer, 2, 31 * MINUTE), NotOfferedError),
    "a wait across closing time": (lambda offer: later(moved(offer, 5 * HALF_HOUR), 1, HALF_HOUR), NotOfferedError),
    "a step left out": (lambda offer: replace(offer, steps=offer.steps[:2]), InvalidWorkflowError),
    "a step too many": (one_more, InvalidWorkflowError),
    "another doctor": (
        lambda offer: replace(offer, slot=offer.slot._replace(doctor_id=1)),
        NotOfferedError,
    ),
    "another place": (lambda offer: replace(offer, slot=offer.slot._replace(facility_id=2**40)), NotOfferedError),
    "another workflow": (lambda offer: replace(offer, workflow_id=1), NotOfferedError),
    "no workflow": (lambda offer: replace(offer, workflow_id=2**40), NotOfferedError),
    "another offering": (lambda offer: replace(offer, offering_id=1), NotOfferedError),
    "a longer slot": (
        lambda offer: replace(offer, slot=offer.slot._replace(end_at=offer.slot.end_at + HALF_HOUR)),
        NotOfferedError,
    ),
    "a later slot": (
        lambda offer: replace(offer, slot=moved(offer, HALF_HOUR).slot),
        NotOfferedError,
    ),
    "no steps": (lambda offer: replace(offer, steps=()), InvalidInputError),
    "steps of another kind": (lambda offer: changed(offer, steps=(1,)), InvalidInputError),
    "an id as a text": (lambda offer: changed(offer, offering_id="1"), InvalidInputError),
    "an id as a flag": (lambda offer: replace(offer, workflow_id=True), InvalidInputError),
    "an id beyond all": (lambda offer: replace(offer, workflow_id=2**63), InvalidInputError),
    "no slot": (lambda offer: changed(offer, slot=None), InvalidInputError),
    "a slot at the end of the calendar": (
        lambda offer: moved(offer, datetime(9999, 12, 30, tzinfo=NOW.tzinfo) - offer.start_at),
        InvalidInputError,
    ),
    "a naive start": (
        lambda offer: with_step(offer, 0, start_at=offer.start_at.replace(tzinfo=None)),
        InvalidInputError,
    ),
    "a resource as a text": (lambda offer: with_resources(offer, nurse=("1",)), InvalidInputError),
    "resources in a list": (lambda offer: with_step(offer, 0, resources=[1]), InvalidInputError),
}


@pytest.mark.parametrize("forgery", FORGED)
def test_b2_a_forged_offer_is_refused(desk: Desk, offer: VisitOffer, forgery: str) -> None:
    forge, error = FORGED[forgery]
    forged = forge(offer)
    with left_alone(desk.url), desk.work() as work:
        patient = work.patients.all()[0]
        for call in (
            lambda: work.visits.hold(forged),
            lambda: work.visits.book(forged, patient=patient),
            lambda: work.visits.book_all([Booking(forged, patient)]),
        ):
            with pytest.raises(error):
                call()


HEALED: dict[str, Callable[[VisitOffer], VisitOffer]] = {
    "no resources": with_resources,
    "unknown resources": lambda offer: with_resources(offer, nurse=(2**40,), room=(2**41,)),
    "resources of another kind": lambda offer: with_resources(offer, nurse=(3,), unicorn=(3,)),
    "resources twice": lambda offer: with_resources(offer, nurse=(1, 1)),
    "another capacity and rule": lambda offer: replace(offer, slot=offer.slot._replace(capacity=9, rule_id=1)),
    "another step template": lambda offer: with_step(
        offer, 1, step=WorkflowStep(2, offer.steps[0].step.template, needs=()), end_at=offer.end_at
    ),
}


@pytest.mark.parametrize("forgery", HEALED)
def test_b2_nothing_but_the_times_of_an_offer_counts(desk: Desk, offer: VisitOffer, forgery: str) -> None:
    forged = HEALED[forgery](offer)
    with desk.tried() as work:
        held = work.visits.hold(forged).offer
    with desk.tried() as work:
        visit = work.visits.book(forged, patient=desk.patient(work))
        assert (visit.doctor_id, visit.facility_id) == (desk.cara, desk.clinic.facility)
        assert [(step.start_at, step.end_at, step.resources) for step in visit.steps] == [
            (step.start_at, step.end_at, step.resources) for step in offer.steps
        ]
    assert held == offer


def test_b1_a_visit_that_would_have_begun_is_refused(desk: Desk) -> None:
    start_at = on(desk.day(), 9)
    with desk.work() as work:
        offer = desk.offer(work, start_at)
    desk.clock.move_to(start_at + MINUTE)
    with left_alone(desk.url), desk.work() as work, pytest.raises(NotOfferedError) as refused:
        work.visits.hold(offer)
    desk.clock.move_to(NOW)
    assert [reason.code for reason in refused.value.reasons] == [ReasonCode.NOTICE]
    assert refused.value.next_start_at == start_at + HALF_HOUR


def test_w3_a_step_that_may_be_skipped_is_left_out(desk: Desk, offer: VisitOffer) -> None:
    with desk.tried() as work:
        visit = work.visits.book(replace(offer, steps=offer.steps[1:]), patient=desk.patient(work))
    assert [step.position for step in visit.steps] == [2, 3]


def test_w2_a_wait_that_the_workflow_allows_is_kept(desk: Desk, offer: VisitOffer) -> None:
    with desk.tried() as work:
        visit = work.visits.book(later(offer, 2, 20 * MINUTE), patient=desk.patient(work))
    assert visit.steps[2].start_at - visit.steps[1].end_at == 20 * MINUTE


def test_b1_a_resource_that_was_taken_is_replaced(desk: Desk) -> None:
    day = desk.day()
    nina, noor = desk.nurses
    with desk.work() as work:
        early, late = (desk.offer(work, on(day, *at), desk.with_cara) for at in ((8, 50), (9, 20)))
        work.visits.book(early, patient=desk.patient(work))
        visit = work.visits.book(late, patient=desk.patient(work))
    assert nurses(visit) == [(noor,), None, (nina,)]
    with desk.tried() as work:
        work.resources.change(noor, active=False)
        work.visits.cancel(visit, reason="moved")
        with pytest.raises(SlotTakenError):
            work.visits.book(late, patient=desk.patient(work))


def test_b1_several_visits_are_booked_all_or_none(desk: Desk) -> None:
    day = desk.day()
    with desk.work() as work:
        patients = [desk.patient(work), desk.patient(work)]
        late, early = (desk.offer(work, on(day, hour)) for hour in (11, 9))
        dora = desk.offer(work, on(day, 9), desk.with_dora)
        assert work.visits.book_all([]) == []
    with left_alone(desk.url), desk.work() as work:
        for second, error in (
            (Booking(late, patients[1]), SlotTakenError),
            (Booking(dora, patients[0]), PatientBusyError),
            (Booking(moved(late, MINUTE), patients[1]), NotOfferedError),
            (Booking(early, PatientId(2**40)), NotFoundError),
        ):
            with pytest.raises(error):
                work.visits.book_all([Booking(late, patients[1]), Booking(early, patients[0]), second])
    with desk.work() as work:
        visits = work.visits.book_all([Booking(late, patients[0], "second"), Booking(early, patients[1])])
    assert [(visit.start_at, visit.patient_id, visit.notes) for visit in visits] == [
        (on(day, 11), patients[0], "second"),
        (on(day, 9), patients[1], None),
    ]


def test_b4_a_moved_visit_keeps_its_id_patient_and_notes(desk: Desk) -> None:
    day = desk.day()
    visit = desk.booked(on(day, 9))
    with desk.work(desk.staff) as work:
        offer = desk.offer(work, on(day, 9, 50), desk.with_cara)
        after = work.visits.reschedule(visit, to=offer)
        assert after == work.visits.get(visit.id)
        assert desk.offer(work, on(day, 9)).start_at == visit.start_at  # free again
    assert (after.id, after.patient_id, after.notes) == (visit.id, visit.patient_id, "allergic")
    assert (after.doctor_id, after.start_at, len(after.steps)) == (desk.cara, on(day, 9, 50), 3)
    assert after.local_start == on(day, 9, 50).replace(tzinfo=None)
    assert all_rows(desk.url, SLOT, desk.clinic.anna, on(day, 9)) == [("open", 0)]
    assert all_rows(desk.url, SLOT, desk.cara, on(day, 10)) == [("booked", 1)]
    assert all_rows(desk.url, ALLOCATIONS, visit.id) == [(4,)]


def test_b4_a_visit_moves_onto_its_own_time(desk: Desk) -> None:
    day = desk.day()
    with desk.work() as work:
        early, late = (desk.offer(work, on(day, *at), desk.with_cara) for at in ((8, 50), (9, 20)))
        work.resources.change(desk.nurses[1], active=False)
        visit = work.visits.book(early, patient=desk.patient(work))
        same = work.visits.reschedule(visit, to=early)
        after = work.visits.reschedule(visit, to=late)
        back = work.visits.reschedule(visit, to=early)
        work.resources.change(desk.nurses[1], active=True)
    assert (same.start_at, nurses(same)) == (visit.start_at, nurses(visit))
    assert (after.start_at, nurses(after)) == (on(day, 9, 20), nurses(visit))
    assert (back.id, back.start_at, nurses(back)) == (visit.id, on(day, 8, 50), nurses(visit))


def test_b4_a_visit_moves_within_a_shared_slot(desk: Desk) -> None:
    start_at = on(desk.day(), 9)
    first, second = (desk.booked(start_at, desk.with_dora) for _ in range(2))
    with desk.work() as work:
        offer = replace(desk.offer(work, start_at + HALF_HOUR, desk.with_dora))
        assert work.visits.reschedule(first, to=moved(offer, -HALF_HOUR)).start_at == start_at
        assert work.visits.reschedule(second, to=offer).start_at == start_at + HALF_HOUR
    assert all_rows(desk.url, SLOT, desk.dora, start_at) == [("open", 1)]


@pytest.mark.parametrize("by", ["hold", "token"])
def test_b4_a_visit_moves_to_a_hold(desk: Desk, by: str) -> None:
    day = desk.day()
    visit = desk.booked(on(day, 9))
    with desk.work() as work:
        hold = work.visits.hold(desk.offer(work, on(day, 10)))
        after = work.visits.reschedule(visit, to=hold if by == "hold" else hold.token)
        assert after.start_at == on(day, 10)
        with pytest.raises(UnknownHoldError):
            work.visits.release(hold)


def test_b4_a_refused_move_leaves_the_visit_as_it_was(desk: Desk) -> None:
    day = desk.day()
    visit = desk.booked(on(day, 8, 50), desk.with_cara)
    desk.booked(on(day, 9))
    with desk.work() as work:
        ended = work.visits.hold(desk.offer(work, on(day, 10)), lasts=MINUTE)
        taken = moved(ended.offer, -2 * HALF_HOUR)
        beside = work.visits.book(desk.offer(work, on(day, 11), desk.with_dora), patient=visit.patient_id)
        busy = desk.offer(work, on(day, 11))
    with left_alone(desk.url), database_clock(desk.url, ahead=MINUTE), desk.work() as work:
        targets: list[tuple[Any, type[BookingError]]] = [
            (taken, SlotTakenError),
            (moved(taken, MINUTE), NotOfferedError),
            (busy, PatientBusyError),
            (ended, HoldEndedError),
            ("0", UnknownHoldError),
        ]
        for to, error in targets:
            with pytest.raises(error) as refused:
                work.visits.reschedule(visit, to=to)
            if isinstance(refused.value, PatientBusyError):
                assert refused.value.visit_id == beside.id
        assert work.visits.get(visit) == visit


def test_b4_a_visit_that_began_or_is_over_stays(desk: Desk) -> None:
    day = desk.day()
    visit = desk.booked(on(day, 9))
    with desk.work() as work:
        offer = desk.offer(work, on(day, 10))
    changes: list[Callable[[Work], object]] = [
        lambda work: work.visits.check_in(visit),
        lambda work: work.visits.no_show(visit),
        lambda work: work.visits.cancel(visit, reason="ill"),
    ]
    for change in changes:
        with desk.tried() as work:
            change(work)
            with pytest.raises(TransitionRefusedError, match="only a scheduled visit is moved"):
                work.visits.reschedule(visit, to=offer)


def test_b4_crossing_moves_do_not_deadlock(desk: Desk) -> None:
    day = desk.day()
    with_anna, with_cara = desk.booked(on(day, 9)), desk.booked(on(day, 8, 50), desk.with_cara)
    with desk.work() as work:
        to_cara, to_anna = (
            desk.offer(work, on(day, 9, 50), desk.with_cara),
            desk.offer(work, on(day, 10)),
        )

    def first(work: Work) -> None:
        work.visits.reschedule(with_anna, to=to_cara)

    after = after_waiting(desk.work, first, lambda work: work.visits.reschedule(with_cara, to=to_anna))
    assert (after.doctor_id, after.start_at) == (desk.clinic.anna, on(day, 10))


def test_b4_a_visit_moves_away_from_one_that_lies_within_it(desk: Desk) -> None:
    day = desk.day()
    with desk.work() as work:
        early, late = (desk.offer(work, on(day, *at), desk.with_cara) for at in ((8, 50), (9, 20)))
        free = desk.offer(work, on(day, 10, 50), desk.with_cara)
        long = work.visits.book(later(early, 2, 20 * MINUTE), patient=desk.patient(work))
        within = work.visits.book(late, patient=desk.patient(work))
        assert within.steps[1].start_at < long.end_at  # the talk of one, while the other waits for its sample
        assert work.visits.reschedule(long, to=free).start_at == on(day, 10, 50)


def test_b4_the_time_that_a_move_frees_goes_to_the_next(desk: Desk) -> None:
    day = desk.day()
    one, other = desk.booked(on(day, 9)), desk.booked(on(day, 9, 30))
    with desk.work() as work:
        free = desk.offer(work, on(day, 10))

    def first(work: Work) -> None:
        work.visits.reschedule(one, to=free)

    after = after_waiting(desk.work, first, lambda work: work.visits.reschedule(other, to=moved(free, -2 * HALF_HOUR)))
    assert after.start_at == on(day, 9)


def test_b4_a_move_leaves_what_the_host_defers_deferred(desk: Desk) -> None:
    day = desk.day()
    visit = desk.booked(on(day, 9))
    execute(
        desk.url,
        "create table public.orders (id int primary key,"
        " former int references public.orders deferrable initially deferred)",
        "grant select, insert, update on public.orders to scheduler_app",
    )
    with desk.work() as work:
        rows(work, "insert into public.orders values (1, 2) returning id")
        assert work.visits.reschedule(visit, to=desk.offer(work, on(day, 10))).start_at == on(day, 10)
        rows(work, "update public.orders set former = null returning id")


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda visits, offer: visits.book(offer.to_json(), patient=1), "book: offer"),
        (lambda visits, offer: visits.book(offer, patient=None), "patient"),
        (lambda visits, offer: visits.book(offer, patient=1, notes=b"x"), "visit: notes"),
        (lambda visits, offer: visits.book(offer, patient=1, key=""), "key"),
        (lambda visits, offer: visits.book_all(offer), "book_all: bookings"),
        (lambda visits, offer: visits.book_all([offer]), "book_all: bookings"),
        (lambda visits, _: visits.book_all([given(None, 1)]), "book_all: offer"),
        (lambda visits, offer: visits.book_all([given(offer, None)]), "patient"),
        (lambda visits, offer: visits.book_all([given(offer, 1, 7)]), "visit: notes"),
        (lambda visits, offer: visits.reschedule("1", to=offer), "visit"),
        (lambda visits, offer: visits.reschedule(2**70, to=offer), "visit"),
        (
            lambda visits, _: visits.reschedule(1, to=NOW),
            "reschedule: to must be a VisitOffer, a Hold or a token, not datetime",
        ),
        (lambda visits, offer: visits.reschedule(1, to=replace(offer, steps=())), "reschedule: to"),
    ],
)
def test_a_wrong_argument_of_a_booking_is_named(desk: Desk, offer: VisitOffer, call: Any, field: str) -> None:
    with desk.tried() as work, pytest.raises(InvalidInputError, match=field):
        call(work.visits, offer)
