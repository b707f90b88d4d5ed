"""Visits: they are seen through, cancelled, undone and read (B5, L1, L2, W5)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from scheduler.booking.delays import Delay
from scheduler.booking.errors import NotOfferedError, PatientBusyError, SlotTakenError
from scheduler.booking.visits import Visit
from scheduler.core.errors import InvalidInputError, NotFoundError, TransitionRefusedError
from scheduler.core.lifecycle import AppointmentStatus, StepStatus
from scheduler.core.overrides import BookingRule, Override
from scheduler.core.schedules import AvailabilityException
from scheduler.core.spans import Span
from scheduler.core.weekdays import Weekday
from scheduler.front_door.work import Work
from scheduler.postgres.errors import NotAllowedError
from support.desks import HALF_HOUR, MINUTE, NOW, WORKDAYS, Desk, all_rows, left_alone, on, open_desk

pytestmark = pytest.mark.database

TAKEN = """
select coalesce(doctor_id, resource_id), resource_id is not null, start_at, end_at from scheduling.allocations
where appointment_id = %s order by start_at, 2, 1
"""
SLOT = "select status, booked_count from scheduling.availability_slots where doctor_id = %s and start_at = %s"
NOBODY: Any = 2**40


@pytest.fixture(scope="module")
def desk(database_url: str) -> Iterator[Desk]:
    with open_desk(database_url) as opened:
        yield opened


@contextmanager
def clock_at(desk: Desk, at: datetime) -> Iterator[None]:
    """Let the clock of the library stand at an instant while the block lasts."""
    desk.clock.move_to(at)
    try:
        yield
    finally:
        desk.clock.move_to(NOW)


def statuses(visit: Visit) -> tuple[str, list[str]]:
    return visit.status.value, [step.status.value for step in visit.steps]


def test_l2_a_visit_is_seen_through_step_by_step(desk: Desk) -> None:
    visit = desk.booked(on(desk.day(), 8, 50), desk.with_cara)
    with desk.work(desk.staff) as work:
        visits = work.visits
        seen = [
            statuses(visits.check_in(visit)),
            statuses(visits.begin_step(visit, 1)),
            statuses(visits.complete_step(visit.id, 1)),
            statuses(visits.complete_step(visit, 2)),
            statuses(visits.begin_step(visit, 3)),
            statuses(visits.complete_step(visit, 3)),
        ]
        assert statuses(visits.get(visit)) == seen[-1]
    assert seen == [
        ("checked_in", ["scheduled", "scheduled", "scheduled"]),
        ("in_progress", ["in_progress", "scheduled", "scheduled"]),
        ("in_progress", ["completed", "scheduled", "scheduled"]),
        ("in_progress", ["completed", "completed", "scheduled"]),
        ("in_progress", ["completed", "completed", "in_progress"]),
        ("completed", ["completed", "completed", "completed"]),
    ]
    who = "select updated_by from scheduling.appointments where id = %s"
    assert all_rows(desk.url, who, visit.id) == [(desk.staff,)]


def test_w5_a_step_completed_early_frees_its_resources(desk: Desk) -> None:
    day = desk.day()
    visit = desk.booked(on(day, 8, 50), desk.with_cara)
    nina, cara = desk.nurses[0], desk.cara
    first = (nina, True, on(day, 8, 50), on(day, 9))
    talk = (cara, False, on(day, 9), on(day, 9, 20))
    last = [(id_, True, on(day, 9, 20), on(day, 9, 30)) for id_ in (nina, desk.room)]
    assert all_rows(desk.url, TAKEN, visit.id) == [first, talk, *last]
    with desk.work() as work:
        work.visits.check_in(visit)
        work.visits.complete_step(visit, 1)
    assert all_rows(desk.url, TAKEN, visit.id) == [talk, *last]
    with desk.work() as work:
        work.visits.complete_step(visit, 3)
        work.visits.complete_step(visit, 2)
    assert all_rows(desk.url, TAKEN, visit.id) == [talk]  # the doctor's time stays, as history


def test_l2_a_skipped_step_is_cancelled_and_takes_nothing(desk: Desk) -> None:
    day = desk.day()
    visit = desk.booked(on(day, 8, 50), desk.with_cara)
    with desk.work() as work:
        after = work.visits.skip_step(visit, 1)
        assert statuses(after) == ("scheduled", ["cancelled", "scheduled", "scheduled"])
        assert [step.start_at for step in after.steps] == [step.start_at for step in visit.steps]
        work.visits.check_in(visit)
        work.visits.complete_step(visit, 2)
        assert statuses(work.visits.skip_step(visit, 3))[0] == "completed"
    assert all_rows(desk.url, TAKEN, visit.id) == [(desk.cara, False, on(day, 9), on(day, 9, 20))]


def test_b5_a_cancelled_visit_is_free_at_once(desk: Desk) -> None:
    day = desk.day()
    visit = desk.booked(on(day, 8, 50), desk.with_cara)
    with desk.work() as work:
        after = work.visits.cancel(visit, reason=" ill ")
        assert statuses(after) == ("cancelled", ["cancelled"] * 3)
        assert (after.cancellation_reason, after.notes) == ("ill", visit.notes)
        assert work.visits.get(visit) == after
        work.visits.book(desk.offer(work, visit.start_at, desk.with_cara), patient=visit.patient_id)
    assert all_rows(desk.url, TAKEN, visit.id) == []
    assert all_rows(desk.url, SLOT, desk.cara, on(day, 9)) == [("booked", 1)]


def test_b5_cancelling_a_visit_in_progress_keeps_what_was_done(desk: Desk) -> None:
    visit = desk.booked(on(desk.day(), 8, 50), desk.with_cara)
    with desk.work() as work:
        work.visits.check_in(visit)
        work.visits.complete_step(visit, 1)
        after = work.visits.cancel(visit, reason="left")
    assert statuses(after) == ("cancelled", ["completed", "cancelled", "cancelled"])


def test_b5_a_check_in_by_mistake_is_undone(desk: Desk) -> None:
    visit = desk.booked(on(desk.day(), 9))
    with desk.work() as work:
        work.visits.check_in(visit)
        assert work.visits.undo(visit) == visit


def test_b5_a_no_show_frees_and_undoing_takes_again(desk: Desk) -> None:
    day = desk.day()
    visit = desk.booked(on(day, 8, 50), desk.with_cara)
    taken = all_rows(desk.url, TAKEN, visit.id)
    with desk.work() as work:
        assert work.visits.no_show(visit).status is AppointmentStatus.NO_SHOW
    assert all_rows(desk.url, TAKEN, visit.id) == []
    assert all_rows(desk.url, SLOT, desk.cara, on(day, 9)) == [("open", 0)]
    with desk.work() as work:
        assert work.visits.undo(visit).status is AppointmentStatus.SCHEDULED
    assert all_rows(desk.url, TAKEN, visit.id) == taken
    assert all_rows(desk.url, SLOT, desk.cara, on(day, 9)) == [("booked", 1)]


def test_b5_a_no_show_to_come_is_not_undone_in_blocked_time(desk: Desk) -> None:
    day, anna, place = desk.day(), desk.clinic.anna, desk.clinic.facility
    evening = Override("works until five", [BookingRule.HOURS])
    with desk.tried() as work:
        visit = work.visits.book(desk.offer(work, on(day, 9)), patient=desk.patient(work))
        offer = work.visits.offer_at(desk.clinic.with_anna, on(day, 18), override=evening)
        later = work.visits.book(offer, patient=desk.patient(work), override=evening)
        for one in (visit, later):
            work.visits.no_show(one)
        (block,) = work.exceptions.block(anna, at=place, between=Span(on(day, 8), on(day, 19))).written
        assert work.visits.undo(later).status is AppointmentStatus.SCHEDULED
        with pytest.raises(NotOfferedError, match="closed or blocked meanwhile"):
            work.visits.undo(visit)
        assert work.visits.get(visit).status is AppointmentStatus.NO_SHOW
        assert isinstance(block, AvailabilityException)
        work.exceptions.remove(block)
        assert work.visits.undo(visit).status is AppointmentStatus.SCHEDULED


@pytest.mark.parametrize("given", ["booked", "held", "its nurse", "the patient's time"])
def test_b5_a_no_show_is_not_undone_once_given_away(desk: Desk, given: str) -> None:
    day = desk.day()
    visit = desk.booked(on(day, 8, 50), desk.with_cara)
    with desk.work() as work:
        work.visits.no_show(visit)
        offer = desk.offer(work, visit.start_at, desk.with_cara)
        if given == "held":
            work.visits.hold(offer)
        elif given == "the patient's time":
            other = work.visits.book(desk.offer(work, on(day, 9)), patient=visit.patient_id)
        elif given == "its nurse":
            late = work.visits.book(desk.offer(work, on(day, 9, 20), desk.with_cara), patient=desk.patient(work))
            assert late.steps[0].resources == {"nurse": (desk.nurses[0],)}
        else:
            work.visits.book(offer, patient=desk.patient(work))
    with left_alone(desk.url), desk.work() as work:
        if given == "the patient's time":
            with pytest.raises(PatientBusyError) as refused:
                work.visits.undo(visit)
            assert refused.value.visit_id == other.id
        else:
            with pytest.raises(SlotTakenError):
                work.visits.undo(visit)
        assert work.visits.get(visit).status is AppointmentStatus.NO_SHOW


Change = Callable[[Work, Visit], object]
CHANGES: dict[str, Change] = {
    "check_in": lambda work, visit: work.visits.check_in(visit),
    "no_show": lambda work, visit: work.visits.no_show(visit),
    "cancel": lambda work, visit: work.visits.cancel(visit, reason="ill"),
    "undo": lambda work, visit: work.visits.undo(visit),
    "complete": lambda work, visit: work.visits.complete(visit),
    "begin_step": lambda work, visit: work.visits.begin_step(visit, 1),
    "complete_step": lambda work, visit: work.visits.complete_step(visit, 1),
    "skip_step": lambda work, visit: work.visits.skip_step(visit, 1),
}


@pytest.mark.parametrize(
    ("before", "refused"),
    [
        ((), ("undo", "complete", "begin_step", "complete_step")),
        (("check_in",), ("check_in", "complete")),
        (("check_in", "begin_step"), ("check_in", "no_show", "undo", "complete", "begin_step")),
        (("check_in", "complete_step"), ("complete_step", "skip_step", "cancel", "undo")),
        (("cancel",), tuple(CHANGES)),
        (("no_show",), tuple(change for change in CHANGES if change not in {"undo", "skip_step"})),
    ],
)
def test_l1_what_the_life_cycle_lacks_is_refused(desk: Desk, before: tuple[str, ...], refused: tuple[str, ...]) -> None:
    visit = desk.booked(on(desk.day(), 9))
    with desk.work() as work:
        for change in before:
            CHANGES[change](work, visit)
    with left_alone(desk.url), desk.work() as work:
        for change in refused:
            with pytest.raises(TransitionRefusedError):
                CHANGES[change](work, visit)


@pytest.mark.parametrize("change", CHANGES)
def test_a_visit_or_step_that_is_not_there_is_not_found(desk: Desk, change: str) -> None:
    with desk.tried() as work:
        with pytest.raises(NotFoundError, match=f"no visit has the id {NOBODY}"):
            CHANGES[change](work, NOBODY)
        if change.endswith("_step"):
            visit = work.visits.book(desk.offer(work, on(desk.clinic.monday, 9)), patient=desk.patient(work))
            call: Any = getattr(work.visits, change)
            with pytest.raises(NotFoundError, match=f"visit {visit.id} has no step at position 2"):
                call(visit, 2)


def test_a_day_shows_visits_in_order_and_open_slots(desk: Desk) -> None:
    day = desk.day()
    late, early = desk.booked(on(day, 11)), desk.booked(on(day, 9))
    with desk.work() as work:
        cancelled = work.visits.cancel(desk.booked(on(day, 10)), reason="ill")
        work.visits.hold(desk.offer(work, on(day, 10, 30)))
    with clock_at(desk, on(day, 9, 45)), desk.work() as work:
        plan = work.visits.of_day(desk.clinic.anna, day)
        with desk.work(desk.sarah) as hers:
            seen = hers.visits.of_day(desk.clinic.anna, day)
    assert (plan.doctor_id, plan.day, list(plan.visits)) == (desk.clinic.anna, day, [early, cancelled, late])
    assert [slot.start_at for slot in plan.open_slots] == [on(day, 10), on(day, 11, 30)]
    assert (seen.visits, seen.open_slots) == ((), plan.open_slots)


def test_t6_a_day_is_the_one_that_the_patients_were_told(desk: Desk) -> None:
    """Emi works late in London on the day of its clock change, and early in Auckland."""
    sunday = date(2027, 3, 28)
    with desk.work() as work:
        away = work.facilities.add("auckland", name="Queen Street", zone="Pacific/Auckland")
        emi = work.doctors.add("Emi", "Abe", at=[desk.clinic.facility, away])
        here, there = (work.offerings.add(desk.clinic.service, by=emi, at=at) for at in (desk.clinic.facility, away))
        hours: dict[str, Any] = {"on": list(Weekday), "slot_duration": HALF_HOUR}
        work.rules.add(emi, at=desk.clinic.facility, start=time(22, 30), end=time(0, 30), **hours)
        work.rules.add(emi, at=away, start=time(8), end=time(9), **hours)
    for at in (desk.clinic.facility, away):
        desk.clinic.scheduler.generate(desk.clinic.slug, from_day=sunday, days=2, facility=at)
    told = {
        here: [datetime(2027, 3, 28, 22, 30, tzinfo=UTC), datetime(2027, 3, 28, 23, tzinfo=UTC)],
        there: [datetime(2027, 3, 27, 19, tzinfo=UTC), datetime(2027, 3, 28, 19, tzinfo=UTC)],
    }
    with desk.work() as work:
        visits = [
            work.visits.book(desk.offer(work, start_at, offering), patient=desk.patient(work))
            for offering, starts in told.items()
            for start_at in starts
        ]
        days = {day: work.visits.of_day(emi, day) for day in (sunday, sunday + timedelta(days=1))}
    assert [visit.local_start for visit in visits] == [
        datetime(2027, 3, 28, 23, 30),
        datetime(2027, 3, 29),
        datetime(2027, 3, 28, 8),
        datetime(2027, 3, 29, 8),
    ]
    late, next_day, auckland, auckland_next = visits
    assert days[sunday].visits == (auckland, late)
    assert days[sunday + timedelta(days=1)].visits == (auckland_next, next_day)
    assert [slot.start_at for slot in days[sunday].open_slots] == [
        datetime(2027, 3, 27, 19, 30, tzinfo=UTC),
        datetime(2027, 3, 28, 0, tzinfo=UTC),
        datetime(2027, 3, 28, 21, 30, tzinfo=UTC),
        datetime(2027, 3, 28, 22, tzinfo=UTC),
    ]


@pytest.mark.parametrize("day", [date.min, date.max])
def test_a_day_at_the_end_of_the_calendar_is_empty(desk: Desk, day: date) -> None:
    with desk.work() as work:
        plan = work.visits.of_day(desk.clinic.anna, day)
    assert (plan.visits, plan.open_slots) == ((), ())


def test_the_visits_of_a_patient_are_read_in_order(desk: Desk) -> None:
    day = desk.day()
    visit = desk.booked(on(day, 11))
    with desk.work() as work:
        early = work.visits.book(desk.offer(work, on(day, 9)), patient=visit.patient_id)
        early = work.visits.cancel(early, reason="ill")
        assert work.visits.of_patient(visit.patient_id) == [early, visit]
        for span, expected in (
            (Span(on(day, 9, 29), on(day, 11)), [early]),
            (Span(on(day, 9, 30), on(day, 11)), []),
            (Span(on(day, 9, 30), on(day, 11) + timedelta(microseconds=1)), [visit]),
        ):
            assert work.visits.of_patient(visit.patient_id, between=span) == expected


def test_w5_a_late_visit_delays_those_that_follow(desk: Desk) -> None:
    day = desk.day()
    first, second, last = (
        desk.booked(on(day, 9)),
        desk.booked(on(day, 9, 30)),
        desk.booked(on(day, 11)),
    )
    with desk.work() as work:
        work.visits.check_in(first)
        running = work.visits.begin_step(first, 1)
    with clock_at(desk, on(day, 9, 20)), desk.work() as work:
        assert work.visits.delays(desk.clinic.anna) == []
    with clock_at(desk, on(day, 9, 45)), desk.work() as work:
        assert work.visits.delays(desk.clinic.anna) == [
            Delay(running, first.start_at, on(day, 9, 45)),
            Delay(second, on(day, 9, 45), on(day, 10, 15)),
        ]
        work.visits.complete_step(first, 1)
        (delay,) = work.visits.delays(desk.clinic.anna)
        assert (delay.visit, delay.length) == (second, 15 * MINUTE)
    with clock_at(desk, on(day, 11)), desk.work() as work:
        assert work.visits.delays(desk.clinic.anna) == [
            Delay(second, on(day, 11), on(day, 11, 30)),
            Delay(last, on(day, 11, 30), on(day, 12)),
        ]


def test_w5_visits_of_one_slot_do_not_wait_for_each_other(desk: Desk) -> None:
    day = desk.day()
    visits = [desk.booked(on(day, 9), desk.with_dora) for _ in range(2)]
    following = desk.booked(on(day, 9, 30), desk.with_dora)
    with clock_at(desk, on(day, 9)), desk.work() as work:
        assert work.visits.delays(desk.dora) == []
    with clock_at(desk, on(day, 9, 10)), desk.work() as work:
        expected = [Delay(visit, on(day, 9, 10), on(day, 9, 40)) for visit in visits]
        assert work.visits.delays(desk.dora) == [*expected, Delay(following, on(day, 9, 40), on(day, 10, 10))]


def test_w5_what_comes_before_the_doctor_does_not_wait_for_the_doctor(desk: Desk) -> None:
    """The sample of the second visit is taken in time; only its talk waits for the first talk."""
    day = desk.day()
    first = desk.booked(on(day, 8, 50), desk.with_cara)
    second = desk.booked(on(day, 9, 20), desk.with_cara)
    with desk.work() as work:
        work.visits.check_in(first)
        work.visits.complete_step(first, 1)
    with clock_at(desk, on(day, 9, 10)), desk.work() as work:  # the talk may last until 9:30, when the second begins
        assert [delay.visit.id for delay in work.visits.delays(desk.cara)] == [first.id]
        work.visits.begin_step(first, 2)
    with clock_at(desk, on(day, 9, 20)), desk.work() as work:
        assert work.visits.delays(desk.cara) == []
    with clock_at(desk, on(day, 9, 28)), desk.work() as work:
        work.visits.check_in(second)
        work.visits.begin_step(second, 1)
    with clock_at(desk, on(day, 9, 45)), desk.work() as work:
        work.visits.complete_step(second, 1)
        late = work.visits.delays(desk.cara)
    assert [(one.visit.id, one.expected_start_at, one.expected_end_at) for one in late] == [
        (first.id, first.start_at, on(day, 9, 55)),
        (second.id, second.start_at, on(day, 10, 15)),
    ]
    assert [one.length for one in late] == [25 * MINUTE, 15 * MINUTE]


def test_w5_a_delay_keeps_the_times_between_steps(desk: Desk) -> None:
    day = desk.day()
    visit = desk.booked(on(day, 8, 50), desk.with_cara)
    with clock_at(desk, on(day, 9)), desk.work() as work:
        assert work.visits.delays(desk.cara) == [Delay(visit, on(day, 9), on(day, 9, 40))]
        work.visits.skip_step(visit, 1)
        assert work.visits.delays(desk.cara) == []
    with clock_at(desk, on(day, 9, 5)), desk.work() as work:
        work.visits.skip_step(visit, 3)
        (delay,) = work.visits.delays(desk.cara)
        assert (delay.expected_end_at, delay.length) == (on(day, 9, 25), 5 * MINUTE)


def test_w5_a_visit_without_steps_delays_with_its_whole_length(desk: Desk) -> None:
    day = desk.day()
    visit = desk.booked(on(day, 9))
    later = desk.booked(on(day, 9, 30))
    with desk.work() as work:  # as a host writes it by SQL
        work.session.connection().execute(
            text("delete from scheduling.appointment_steps where appointment_id = :visit"), {"visit": visit.id}
        )
    with clock_at(desk, on(day, 9, 10)), desk.work() as work:
        delays = work.visits.delays(desk.clinic.anna)
    assert [(one.visit.id, one.expected_start_at, one.expected_end_at) for one in delays] == [
        (visit.id, on(day, 9, 10), on(day, 9, 40)),
        (later.id, on(day, 9, 40), on(day, 10, 10)),
    ]


def test_w5_a_delay_names_the_closing_time_of_the_doctor(desk: Desk) -> None:
    day = desk.day()
    late, last = desk.booked(on(day, 11)), desk.booked(on(day, 11, 30))
    before_pause = desk.booked(on(day, 9, 30))
    with desk.work() as work:
        work.exceptions.block(desk.clinic.anna, at=desk.clinic.facility, between=Span(on(day, 10), on(day, 10, 30)))
    with clock_at(desk, on(day, 9, 40)), desk.work() as work:
        assert work.visits.delays(desk.clinic.anna) == [
            Delay(before_pause, on(day, 9, 40), on(day, 10, 10), closing_at=on(day, 10))
        ]
        work.visits.no_show(before_pause)
    with clock_at(desk, on(day, 11, 15)), left_alone(desk.url), desk.work(desk.staff) as work:
        assert work.visits.delays(desk.clinic.anna) == [
            Delay(late, on(day, 11, 15), on(day, 11, 45)),
            Delay(last, on(day, 11, 45), on(day, 12, 15), closing_at=on(day, 12)),
        ]


def test_w5_a_delay_names_the_closing_time_of_a_resource(desk: Desk) -> None:
    day = desk.day()
    with desk.tried() as work:
        visit = work.visits.book(desk.offer(work, on(day, 8, 50), desk.with_cara), patient=desk.patient(work))
        for who, start, end in ((desk.room, 9, 10), (desk.nurses[0], 8, 11)):
            work.rules.add(who, at=desk.clinic.facility, on=WORKDAYS, start=time(start), end=time(end))
        for minutes, closing_at in ((30, None), (31, on(day, 10)), (120, on(day, 10))):
            with clock_at(desk, on(day, 8, 50) + minutes * MINUTE):
                (delay,) = work.visits.delays(desk.cara)
            assert (delay.visit, delay.closing_at) == (visit, closing_at)


def test_only_staff_see_the_delays_of_a_doctor(desk: Desk) -> None:
    """Others see their own visits alone, by which no doctor is late."""
    with desk.work(desk.sarah) as work, pytest.raises(NotAllowedError, match="only staff"):
        work.visits.delays(desk.clinic.anna)


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda visits: visits.get("1"), "visit"),
        (lambda visits: visits.get(None), "visit"),
        (lambda visits: visits.check_in(True), "visit"),
        (lambda visits: visits.begin_step(1, 0), "visit: position"),
        (lambda visits: visits.complete_step(1, "1"), "visit: position"),
        (lambda visits: visits.cancel(1, reason=" "), "cancel: reason"),
        (lambda visits: visits.cancel(1, reason=None), "cancel: reason"),
        (lambda visits: visits.of_day("Anna", date(2027, 3, 1)), "doctor"),
        (lambda visits: visits.of_day(1, NOW), "of_day: day"),
        (lambda visits: visits.of_day(1, "2027-03-01"), "of_day: day"),
        (lambda visits: visits.of_patient("Ada"), "patient"),
        (lambda visits: visits.of_patient(1, between=(NOW, NOW)), "of_patient: between"),
        (lambda visits: visits.delays(None), "doctor"),
    ],
)
def test_a_wrong_argument_of_a_visit_is_named(desk: Desk, call: Any, field: str) -> None:
    with desk.tried() as work, pytest.raises(InvalidInputError, match=field):
        call(work.visits)


def test_who_is_not_there_is_not_found(desk: Desk) -> None:
    with desk.tried() as work:
        for call in (
            lambda: work.visits.get(NOBODY),
            lambda: work.visits.of_day(NOBODY, desk.clinic.monday),
            lambda: work.visits.of_patient(NOBODY),
            lambda: work.visits.delays(NOBODY),
        ):
            with pytest.raises(NotFoundError, match=f"has the id {NOBODY}"):
                call()


def test_a_step_in_progress_is_as_its_status_says(desk: Desk) -> None:
    visit = desk.booked(on(desk.day(), 9))
    with desk.work() as work:
        work.visits.check_in(visit)
        (step,) = work.visits.begin_step(visit, 1).steps
        assert (step.status, step.id) == (StepStatus.IN_PROGRESS, visit.steps[0].id)
