"""Interleavings: of two acts that want one place, the second waits for a lock of the first (B1-B4)."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from scheduler.booking.errors import (
    HoldEndedError,
    NotOfferedError,
    PatientBusyError,
    SlotTakenError,
    TooManyHoldsError,
)
from scheduler.booking.holds import Hold
from scheduler.booking.visits import Visit
from scheduler.core.lifecycle import AppointmentStatus
from scheduler.core.offers import VisitOffer
from scheduler.core.reasons import ReasonCode
from scheduler.core.spans import Span
from scheduler.front_door.schedule_changes import ScheduleChange
from scheduler.front_door.work import Work
from support.concurrency import after_waiting
from support.desks import HALF_HOUR, MINUTE, Desk, database_clock, on, open_desk, rows

pytestmark = pytest.mark.database

MOVE = "update scheduling.appointments set start_at = start_at, doctor_id = doctor_id where id = :id returning id"
MOVE_STEP = """
update scheduling.appointment_steps set scheduled_end_at = scheduled_end_at - interval '1 minute'
where appointment_id = :id returning id
"""


@pytest.fixture(scope="module")
def desk(database_url: str) -> Iterator[Desk]:
    with open_desk(database_url) as opened:
        yield opened


class Wanted:
    """A place of Anna's that is free, and one beside it."""

    def __init__(self, desk: Desk) -> None:
        day = desk.day()
        self.desk, self.start_at = desk, on(day, 9)
        with desk.work() as work:
            self.offer, self.beside = (desk.offer(work, self.start_at + delay) for delay in (0 * MINUTE, HALF_HOUR))
            self.patients = [desk.patient(work) for _ in range(2)]

    def held(self, **options: object) -> Hold:
        with self.desk.work() as work:
            return work.visits.hold(self.offer, **options)  # type: ignore[arg-type]

    def booked(self, offer: VisitOffer) -> Visit:
        with self.desk.work() as work:
            return work.visits.book(offer, patient=self.patients[0])

    def live(self) -> list[tuple[object, object]]:
        """Return the live visits of the two patients: their patient and start."""
        with self.desk.work() as work:
            visits = [visit for patient in self.patients for visit in work.visits.of_patient(patient)]
        return [(v.patient_id, v.start_at) for v in visits if v.status is AppointmentStatus.SCHEDULED]


@pytest.fixture
def wanted(desk: Desk) -> Wanted:
    return Wanted(desk)


@pytest.mark.parametrize("act", ["confirm", "reschedule"])
def test_b2_a_hold_that_ends_while_its_confirmation_waits(desk: Desk, wanted: Wanted, act: str) -> None:
    """The place of the ended hold is given away in between."""
    ann, bob = wanted.patients
    with desk.work() as work:
        elsewhere = work.visits.book(desk.offer(work, wanted.start_at + 4 * HALF_HOUR), patient=ann)
    hold = wanted.held()

    def second(work: Work) -> Visit:
        if act == "confirm":
            return work.visits.confirm(hold, patient=ann)
        return work.visits.reschedule(elsewhere, to=hold)

    with ExitStack() as stack:

        def third(work: Work) -> None:
            stack.enter_context(database_clock(desk.url, ahead=20 * MINUTE))
            work.visits.book(wanted.offer, patient=bob)

        def first(work: Work) -> None:
            work.visits.hold(wanted.beside)

        with pytest.raises(HoldEndedError):
            after_waiting(desk.work, first, second, third)
    assert wanted.live() == [(ann, elsewhere.start_at), (bob, wanted.start_at)]


def test_b2_a_hold_that_is_being_extended_has_not_ended(desk: Desk, wanted: Wanted) -> None:
    """The extension commits after the former end; whoever reads the hold in between awaits it."""
    hold, (ann, _) = wanted.held(), wanted.patients
    with ExitStack() as stack:

        def first(work: Work) -> None:
            work.visits.extend(hold, lasts=40 * MINUTE)
            stack.enter_context(database_clock(desk.url, ahead=20 * MINUTE))

        after_waiting(desk.work, first, lambda work: work.visits.confirm(hold, patient=ann))
    assert wanted.live() == [(ann, wanted.start_at)]


def test_b2_a_repeated_hold_that_is_being_extended_has_not_ended(desk: Desk, wanted: Wanted) -> None:
    """The extension commits after the former end; the call that is repeated with its key awaits it."""
    hold = wanted.held(key="a hold that is extended")
    with ExitStack() as stack:

        def first(work: Work) -> None:
            work.visits.extend(hold, lasts=40 * MINUTE)
            stack.enter_context(database_clock(desk.url, ahead=20 * MINUTE))

        again = after_waiting(
            desk.work, first, lambda work: work.visits.hold(wanted.offer, key="a hold that is extended")
        )
    assert again.ends_at > hold.ends_at + 20 * MINUTE
    assert again.token != hold.token


def test_b2_two_holds_at_once_do_not_pass_the_limit_of_a_user(desk: Desk, wanted: Wanted) -> None:
    """The holds have two doctors, so nothing but the limit lets the second wait."""
    with desk.work(desk.sarah) as work:
        third = desk.offer(work, wanted.start_at, desk.with_dora)
        holds = [work.visits.hold(desk.offer(work, wanted.start_at + HALF_HOUR * n, desk.with_dora)) for n in (2, 3)]
    with pytest.raises(TooManyHoldsError):
        after_waiting(
            lambda: desk.work(desk.sarah),
            lambda work: holds.append(work.visits.hold(wanted.offer)),
            lambda work: work.visits.hold(third),
        )
    with desk.work(desk.sarah) as work:
        for hold in holds:  # the third of them, or another test finds the user at the limit
            work.visits.release(hold)


def test_b2_a_confirmation_that_comes_first_keeps_its_place(desk: Desk, wanted: Wanted) -> None:
    """The hold ends before the commit; the visit was booked before."""
    ann, bob = wanted.patients
    hold = wanted.held()
    with ExitStack() as stack:

        def first(work: Work) -> None:
            work.visits.confirm(hold, patient=ann)
            stack.enter_context(database_clock(desk.url, ahead=20 * MINUTE))

        with pytest.raises(SlotTakenError):
            after_waiting(desk.work, first, lambda work: work.visits.book(wanted.offer, patient=bob))
    assert wanted.live() == [(ann, wanted.start_at)]


def block(wanted: Wanted, work: Work) -> ScheduleChange:
    between = Span(wanted.start_at, wanted.start_at + HALF_HOUR)
    return work.exceptions.emergency(wanted.desk.clinic.anna, at=wanted.desk.clinic.facility, between=between)


def test_b2_a_hold_is_not_confirmed_after_an_emergency(desk: Desk, wanted: Wanted) -> None:
    hold = wanted.held()
    with pytest.raises(NotOfferedError) as refused:
        after_waiting(
            desk.work,
            lambda work: block(wanted, work),
            lambda work: work.visits.confirm(hold, patient=wanted.patients[0]),
        )
    assert [reason.code for reason in refused.value.reasons][:1] == [ReasonCode.EMERGENCY]
    assert wanted.live() == []


def test_b2_an_emergency_displaces_what_was_confirmed_before(desk: Desk, wanted: Wanted) -> None:
    hold, (ann, _) = wanted.held(), wanted.patients
    change = after_waiting(
        desk.work, lambda work: work.visits.confirm(hold, patient=ann), lambda work: block(wanted, work)
    )
    assert [stored.slot.start_at for stored in change.displaced] == [wanted.start_at]
    assert wanted.live() == [(ann, wanted.start_at)]


@pytest.mark.parametrize("commits", [True, False])
def test_b1_a_cancelled_place_is_booked_if_the_cancellation_holds(desk: Desk, wanted: Wanted, *, commits: bool) -> None:
    class UndoneError(Exception):
        pass

    visit, (ann, bob) = wanted.booked(wanted.offer), wanted.patients

    def third(work: Work) -> None:  # noqa: ARG001
        if not commits:
            raise UndoneError

    def second(work: Work) -> Visit | None:
        try:
            return work.visits.book(wanted.offer, patient=bob)
        except SlotTakenError:
            return None

    expected = [(bob if commits else ann, wanted.start_at)]
    try:
        after_waiting(desk.work, lambda work: work.visits.cancel(visit, reason="ill"), second, third)
    except UndoneError:
        assert not commits
    assert wanted.live() == expected


def test_b1_a_patient_is_booked_with_one_of_two_doctors(desk: Desk, wanted: Wanted) -> None:
    ann, _ = wanted.patients
    with desk.work() as work:
        with_dora = desk.offer(work, wanted.start_at, desk.with_dora)

    def first(work: Work) -> None:
        work.visits.book(wanted.offer, patient=ann)

    with pytest.raises(PatientBusyError):
        after_waiting(desk.work, first, lambda work: work.visits.book(with_dora, patient=ann))
    assert wanted.live() == [(ann, wanted.start_at)]


def test_b4_two_moves_to_one_place_leave_the_second_where_it_was(desk: Desk, wanted: Wanted) -> None:
    ann, bob = wanted.patients
    one = wanted.booked(wanted.beside)
    with desk.work() as work:
        other = work.visits.book(desk.offer(work, wanted.start_at + 2 * HALF_HOUR), patient=bob)

    def first(work: Work) -> None:
        work.visits.reschedule(one, to=wanted.offer)

    with pytest.raises(SlotTakenError):
        after_waiting(desk.work, first, lambda work: work.visits.reschedule(other, to=wanted.offer))
    assert wanted.live() == [(ann, wanted.start_at), (bob, other.start_at)]


def test_b1_sql_that_moves_a_visit_to_its_own_time_locks_it_like_a_move(desk: Desk, wanted: Wanted) -> None:
    """Without the lock, the first would wait for the doctor of the second, and the second for the first's row."""
    ann, _ = wanted.patients
    with desk.work() as work:
        private = desk.offer(work, wanted.start_at, desk.private)
    visit = wanted.booked(wanted.offer)

    def first(work: Work) -> None:
        rows(work, MOVE, id=visit.id)

    def third(work: Work) -> None:
        rows(work, MOVE_STEP, id=visit.id)

    with pytest.raises(SlotTakenError):
        after_waiting(desk.work, first, lambda work: work.visits.book(private, patient=ann), third)
    assert wanted.live() == [(ann, wanted.start_at)]
