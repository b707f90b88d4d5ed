"""Changed meanwhile: visits are decided on by what is true when they are booked, held or confirmed (B1, B2, S3)."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from threading import Barrier
from typing import Any

import pytest

from scheduler.booking.errors import BookingError, NotOfferedError, SlotTakenError
from scheduler.booking.visits import Visit  # noqa: TC001
from scheduler.core.errors import TransitionRefusedError
from scheduler.core.ids import ResourceId
from scheduler.core.lifecycle import AppointmentStatus, StepStatus
from scheduler.core.offers import VisitOffer
from scheduler.core.spans import Span
from scheduler.core.workflows import Need, WorkflowStep
from scheduler.front_door.work import Work
from scheduler.postgres.errors import NotAllowedError
from support.desks import HALF_HOUR, MINUTE, Desk, all_rows, on, open_desk, rows

pytestmark = pytest.mark.database


@pytest.fixture(scope="module")
def desk(database_url: str) -> Iterator[Desk]:
    with open_desk(database_url) as opened:
        yield opened


def test_b1_visits_of_one_slot_share_no_resource(desk: Desk) -> None:
    start_at = on(desk.day(), 9)
    with desk.work() as work:
        template = work.step_templates.add("measuring", duration=10 * MINUTE)
        steps = [WorkflowStep(1, template), WorkflowStep(2, template, needs=[Need("nurse")], max_wait=HALF_HOUR)]
        work.workflows.replace(work.workflows.of(desk.with_dora), steps=steps)
        offer = desk.offer(work, start_at, desk.with_dora)
    nurses = []
    for _ in desk.nurses:
        with desk.work() as work:
            nurses.append(work.visits.book(offer, patient=desk.patient(work)).steps[1].resources["nurse"])
    assert sorted(nurses) == [(nurse,) for nurse in desk.nurses]


@pytest.mark.parametrize("call", ["hold", "book"])
def test_s3_time_that_a_host_reserved_is_not_given_away(desk: Desk, call: str) -> None:
    """The offer is older than the reservation of its slot."""
    with desk.work() as work:
        offer = desk.offer(work, on(desk.day(), 9))
        doctor = offer.slot.doctor_id
        work.session.connection().exec_driver_sql(
            "update scheduling.availability_slots set status = 'reserved', reserved_until = '2030-01-01'"
            " where doctor_id = %s and start_at = %s",
            (doctor, offer.slot.start_at),
        )
    calls: dict[str, Callable[[Work], object]] = {
        "hold": lambda work: work.visits.hold(offer),
        "book": lambda work: work.visits.book(offer, patient=desk.patient(work)),
    }
    with desk.work() as work, pytest.raises((NotOfferedError, SlotTakenError)):
        calls[call](work)


@pytest.mark.parametrize("buffer", ["buffer_before", "buffer_after"])
def test_s3_a_buffer_does_not_lie_in_time_that_a_host_reserved(desk: Desk, buffer: str) -> None:
    at = on(desk.day(), 10)
    reserved = at + (HALF_HOUR if buffer == "buffer_after" else -HALF_HOUR)
    with desk.tried() as work:
        lengths: dict[str, Any] = {buffer: 5 * MINUTE}
        work.offerings.change(desk.clinic.with_anna, **lengths)
        offer = desk.offer(work, at)
        work.session.connection().exec_driver_sql(
            "update scheduling.availability_slots set status = 'reserved', reserved_until = '2030-01-01'"
            " where doctor_id = %s and start_at = %s",
            (offer.slot.doctor_id, reserved),
        )
        with pytest.raises(NotOfferedError):
            desk.offer(work, at)
        with pytest.raises(SlotTakenError):
            work.visits.book(offer, patient=desk.patient(work))
        with pytest.raises(SlotTakenError):
            work.visits.hold(offer)


CHANGES: dict[str, Callable[[Desk, Work], object]] = {
    "offering": lambda desk, work: work.offerings.change(desk.with_cara, active=False),
    "room": lambda desk, work: work.resources.change(desk.room, active=False),
    "post": lambda desk, work: rows(
        work,
        "update scheduling.facility_doctors set active = false where doctor_id = :doctor returning 1",
        doctor=desk.cara,
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_b2_a_hold_of_what_is_no_longer_offered_is_not_confirmed(desk: Desk, change: str) -> None:
    with desk.work() as work:
        hold = work.visits.hold(desk.offer(work, on(desk.day(), 8, 50), desk.with_cara))
    with desk.tried() as work:
        CHANGES[change](desk, work)
        with pytest.raises(BookingError):
            work.visits.confirm(hold, patient=desk.patient(work))


def test_b2_a_hold_whose_visit_would_have_begun_is_not_confirmed(desk: Desk) -> None:
    start_at, now = on(desk.day(), 9), desk.clock()
    with desk.work() as work:
        hold = work.visits.hold(desk.offer(work, start_at))
    desk.clock.move(start_at + MINUTE - now)
    try:
        with desk.work() as work, pytest.raises(NotOfferedError):
            work.visits.confirm(hold, patient=desk.patient(work))
    finally:
        desk.clock.move(now - start_at - MINUTE)


@pytest.mark.parametrize("act", ["complete_step", "cancel", "skip_step"])
def test_w5_a_visit_is_finished_whatever_its_buffers_have_become(desk: Desk, act: str) -> None:
    day = desk.day()
    visit = desk.booked(on(day, 8, 50), desk.with_cara)
    desk.booked(on(day, 9, 20), desk.with_cara)
    with desk.tried() as work:
        work.offerings.change(desk.with_cara, buffer_after=15 * MINUTE)
        work.visits.check_in(visit)
        work.visits.complete_step(visit, 1)
        acts: dict[str, Callable[[], Visit]] = {
            "complete_step": lambda: work.visits.complete_step(visit, 2),
            "cancel": lambda: work.visits.cancel(visit, reason="ill"),
            "skip_step": lambda: work.visits.skip_step(visit, 2),
        }
        assert acts[act]().steps[1].status in {StepStatus.COMPLETED, StepStatus.CANCELLED}


def test_l2_the_last_step_is_not_skipped_but_the_visit_cancelled(desk: Desk) -> None:
    visit = desk.booked(on(desk.day(), 9))
    with desk.work() as work, pytest.raises(TransitionRefusedError, match="cancel the visit"):
        work.visits.skip_step(visit, 1)
    with desk.tried() as work:
        work.visits.no_show(visit)
        with pytest.raises(TransitionRefusedError, match="no_show"):
            work.visits.skip_step(visit, 1)


def test_a_parent_changes_no_visit_that_has_begun(desk: Desk) -> None:
    day = desk.day()
    with desk.work() as work:
        visit = work.visits.book(desk.offer(work, on(day, 9)), patient=desk.tim)
        later = desk.offer(work, on(day, 10))
        work.visits.check_in(visit)
    changes: list[Callable[[Work], object]] = [
        lambda work: work.visits.cancel(visit, reason="ill"),
        lambda work: work.visits.reschedule(visit, to=later),
    ]
    for change in changes:
        with desk.work(desk.sarah) as work, pytest.raises(NotAllowedError, match="only staff"):
            change(work)
    with desk.work() as work:
        assert work.visits.get(visit).status is AppointmentStatus.CHECKED_IN


def with_nurse(offer: VisitOffer, nurse: ResourceId) -> VisitOffer:
    first, second = offer.steps
    return replace(offer, steps=(first, replace(second, resources={"nurse": (nurse,)})))


def test_b1_substitutes_for_taken_resources_do_not_deadlock(desk: Desk) -> None:
    """Each of two wants the nurse whom another visit has, so each takes the other's."""
    day = desk.day()
    with desk.work() as work:
        sample = work.step_templates.add("test", duration=10 * MINUTE)
        steps = [WorkflowStep(1, sample), WorkflowStep(2, sample, needs=[Need("nurse")])]
        work.workflows.replace(work.workflows.of(desk.clinic.with_anna), steps=steps)
        offers = [desk.offer(work, on(day, 9)), desk.offer(work, on(day, 10))]
    nina, noor = desk.nurses
    wanted = [with_nurse(offers[0], noor), with_nurse(offers[1], nina)]
    with desk.work() as work:
        work.exceptions.block(nina, at=desk.clinic.facility, between=Span(offers[1].start_at, offers[1].end_at))
        work.exceptions.block(noor, at=desk.clinic.facility, between=Span(offers[0].start_at, offers[0].end_at))
    together = Barrier(2)

    def book(offer: VisitOffer) -> tuple[int, ...]:
        with desk.work() as work:
            patient = desk.patient(work)
        together.wait(10)
        with desk.work() as work:
            nurses: tuple[int, ...] = work.visits.book(offer, patient=patient).steps[1].resources["nurse"]
            return nurses

    with ThreadPoolExecutor(2) as threads:
        assert list(threads.map(book, wanted)) == [(nina,), (noor,)]
    assert (
        all_rows(desk.url, "select 1 from pg_stat_database where datname = current_database() and deadlocks > 0") == []
    )
