"""Caps: at most so many visits a local day or week, also when many book at once (Q4)."""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import date, time, timedelta
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import event

from scheduler.booking.errors import BookingError, CapReachedError, NotOfferedError
from scheduler.core.caps import Period
from scheduler.core.errors import InvalidInputError, NotFoundError
from scheduler.core.ids import CapId, OfferingId, PatientId, UserId
from scheduler.core.reasons import ReasonCode
from scheduler.core.spans import Span
from scheduler.core.weekdays import Weekday
from scheduler.front_door.async_scheduler import AsyncScheduler
from scheduler.front_door.visit_booking import Booking
from scheduler.front_door.work import Work
from support.concurrency import after_waiting
from support.desks import HALF_HOUR, MINUTE, Desk, all_rows, database_clock, left_alone, on, open_desk

pytestmark = pytest.mark.database

DAY = timedelta(days=1)
WORKERS, PLACES = 16, 10


@pytest.fixture(scope="module")
def desk(database_url: str) -> Iterator[Desk]:
    with open_desk(database_url) as opened:
        yield opened


@contextmanager
def capped(desk: Desk, most: int, *, per: Period = Period.DAY, **target: Any) -> Iterator[CapId]:
    """Set a cap while the block lasts: the tests share their doctors."""
    with desk.work() as work:
        cap = work.caps.set(most, per=per, **target)
    try:
        yield cap
    finally:
        with desk.work() as work:
            work.caps.remove(cap)


def starts(desk: Desk, first: date, days: int = 1, user: UserId | None = None, **fields: Any) -> list[str]:
    """Return the starts with Anna that are found in some days, by weekday and clock."""
    with desk.work(user) as work:
        between = Span(on(first, 0), on(first + days * DAY, 0))
        found = work.visits.find(desk.clinic.with_anna, between=between, limit=50, **fields)
    return [f"{offer.start_at:%a %H:%M}" for offer in found]


def assert_reached(call: Callable[[], object], cap: CapId, count: int, text: str) -> None:
    with pytest.raises(CapReachedError) as refused:
        call()
    assert (refused.value.cap, refused.value.count, str(refused.value)) == (cap, count, text)


def of_service(desk: Desk) -> dict[str, Any]:
    return {"service": desk.clinic.service, "facility": desk.clinic.facility}


def str_of(most: int) -> str:
    return f"the doctor's cap of {most} is reached"


TARGETS: dict[str, Callable[[Desk], dict[str, Any]]] = {
    "the doctor's cap of 2": lambda desk: {"doctor": desk.clinic.anna},
    "the offering's cap of 2": lambda desk: {"offering": desk.clinic.with_anna},
    "the service's cap of 2 at the facility": of_service,
}


@pytest.mark.parametrize("name", TARGETS)
def test_q4_no_more_visits_a_day_than_the_cap(desk: Desk, name: str) -> None:
    day, text = desk.day(), f"{name} is reached"
    with desk.work() as work:
        offer = desk.offer(work, on(day, 11))
    with capped(desk, 2, **TARGETS[name](desk)) as cap:
        desk.booked(on(day, 9), desk.clinic.with_anna)
        desk.booked(on(day, 10), desk.with_dora if "service" in name else desk.clinic.with_anna)
        with desk.work() as work, left_alone(desk.url):
            assert_reached(lambda: work.visits.hold(offer), cap, 2, text)
            assert_reached(lambda: work.visits.book(offer, patient=desk.clinic.patient), cap, 2, text)
            with pytest.raises(NotOfferedError) as refused:
                desk.offer(work, on(day, 11))
        assert [(reason.code, reason.text, reason.cause_id) for reason in refused.value.reasons] == [
            (ReasonCode.CAP, text, cap)
        ]
        assert refused.value.next_start_at is not None
        assert refused.value.next_start_at.date() > day
        assert starts(desk, day) == starts(desk, day, user=desk.sarah) == []  # a parent does not see the caps
    assert starts(desk, day, user=desk.sarah)[-1] == f"{day:%a} 11:30"


def test_q4_a_week_is_that_of_monday_to_sunday(desk: Desk) -> None:
    monday = desk.day()
    while monday.weekday():
        monday = desk.day()
    for _ in range(4):
        desk.day()
    before = starts(desk, monday - 3 * DAY, 8)
    with capped(desk, 2, per=Period.WEEK, doctor=desk.clinic.anna) as cap:
        desk.booked(on(monday, 9))
        desk.booked(on(monday + 4 * DAY, 9))
        with desk.work() as work, pytest.raises(NotOfferedError, match="the doctor's weekly cap of 2 is reached"):
            desk.offer(work, on(monday + 2 * DAY, 9))
        found = starts(desk, monday - 3 * DAY, 11)
        assert set(found) <= {*before, *starts(desk, monday + 7 * DAY)}
        assert {start[:3] for start in found} <= {"Fri", "Mon"}
        assert starts(desk, monday, 7) == []
        assert starts(desk, monday + 7 * DAY) != []
        with desk.work() as work:
            assert [row.id for row in work.caps.all()] == [cap]


def test_q4_a_hold_counts_until_it_ends_and_once_when_confirmed(desk: Desk) -> None:
    day = desk.day()
    with desk.work() as work:
        first, second, third = (desk.offer(work, on(day, hour)) for hour in (9, 10, 11))
    with capped(desk, 2, doctor=desk.clinic.anna) as cap:
        with desk.work() as work:
            held, _ = work.visits.hold(first), work.visits.hold(second, lasts=MINUTE)
        with desk.work() as work, left_alone(desk.url):
            assert_reached(lambda: work.visits.hold(third), cap, 2, "the doctor's cap of 2 is reached")
        with database_clock(desk.url, ahead=2 * MINUTE), desk.work() as work:
            assert f"{day:%a} 11:00" in starts(desk, day)
            work.visits.book(third, patient=desk.patient(work))  # the brief hold has ended
            assert_reached(lambda: work.visits.book(second, patient=desk.clinic.patient), cap, 2, str_of(2))
            work.visits.confirm(held, patient=desk.patient(work))
        assert starts(desk, day) == []


def test_q4_a_visit_that_is_moved_does_not_count_twice(desk: Desk) -> None:
    day, other = desk.day(), desk.day()
    with desk.work() as work:
        later, ten = desk.offer(work, on(day, 11)), desk.offer(work, on(day, 10))
    with capped(desk, 1, doctor=desk.clinic.anna) as cap:
        visit = desk.booked(on(day, 9))
        with desk.work() as work:
            held = work.visits.hold(desk.offer(work, on(other, 9)))
        with desk.work() as work:
            assert work.visits.reschedule(visit.id, to=later).start_at == on(day, 11)
            assert work.visits.reschedule(visit.id, to=held).start_at == on(other, 9)
            full = work.visits.book(ten, patient=desk.patient(work))
            assert_reached(lambda: work.visits.reschedule(visit.id, to=later), cap, 1, str_of(1))
            work.visits.cancel(full.id, reason="a cold")
            assert work.visits.reschedule(visit.id, to=later).start_at == on(day, 11)


def test_q4_a_no_show_does_not_count_and_undoing_it_does(desk: Desk) -> None:
    day = desk.day()
    with capped(desk, 1, doctor=desk.clinic.anna) as cap:
        missed = desk.booked(on(day, 9))
        with desk.work() as work:
            work.visits.no_show(missed.id)
        came = desk.booked(on(day, 10))
        with desk.work() as work:
            with left_alone(desk.url):
                assert_reached(lambda: work.visits.undo(missed.id), cap, 1, str_of(1))
            work.visits.cancel(came.id, reason="a cold")
            work.visits.undo(missed.id)


def test_q4_the_cap_of_a_patient_counts_visits_of_all_doctors(desk: Desk) -> None:
    day = desk.day()
    with desk.work() as work:
        patient, other = desk.patient(work), desk.patient(work)
        offer, third = desk.offer(work, on(day, 10), desk.with_dora), desk.offer(work, on(day, 11))
        work.visits.book(desk.offer(work, on(day, 9)), patient=patient)
    with capped(desk, 1, patient=patient) as cap:
        text = "the patient's cap of 1 is reached"
        with desk.work() as work:
            held = work.visits.hold(offer)
            assert_reached(lambda: work.visits.confirm(held, patient=patient), cap, 1, text)
            bookings = [Booking(third, other), Booking(third, patient)]
            assert_reached(lambda: work.visits.book_all(reversed(bookings)), cap, 1, text)
            work.visits.confirm(held, patient=other)
        assert starts(desk, day, patient=patient) == []
        assert f"{day:%a} 11:00" in starts(desk, day, patient=other)


def test_q4_a_visit_counts_on_the_local_day_of_its_facility(desk: Desk) -> None:
    """On Kiritimati, 9 o'clock is 19:00 of the day before in UTC, and 15 o'clock is 01:00."""
    with desk.work() as work:
        place = work.facilities.add("island", name="Island", zone="Pacific/Kiritimati")
        eve = work.doctors.add("Eve", "Low", at=[place])
        offering = work.offerings.add(desk.clinic.service, by=eve, at=place)
        for hour in (9, 15):
            work.rules.add(eve, at=place, on=[*Weekday], start=time(hour), end=time(hour, 30), slot_duration=HALF_HOUR)
    desk.clinic.scheduler.generate(desk.clinic.slug, from_day=desk.clinic.monday, days=4, facility=place)
    day = desk.clinic.monday
    early, late = on(day, 19), on(day + DAY, 1)
    with desk.work() as work:
        offers = [desk.offer(work, at, offering) for at in (late - DAY, early, late, early + DAY)]
    with capped(desk, 1, doctor=eve) as cap, desk.work() as work:
        work.visits.book(offers[1], patient=desk.patient(work))
        assert_reached(lambda: work.visits.hold(offers[2]), cap, 1, str_of(1))
        found = work.visits.find(offering, between=Span(offers[0].start_at, offers[3].start_at + MINUTE))
        assert [offer.start_at for offer in found] == [offers[0].start_at, offers[3].start_at]
        work.visits.hold(offers[3])


def test_q4_who_books_waits_for_the_lock_of_the_cap(desk: Desk) -> None:
    """The two visits have no doctor, resource or patient in common."""
    day, service = desk.day(), of_service(desk)
    with desk.work() as work:
        one, other = desk.patient(work), desk.patient(work)
        with_anna, with_dora = desk.offer(work, on(day, 9)), desk.offer(work, on(day, 10), desk.with_dora)
    with capped(desk, 1, **service) as cap:
        assert_reached(
            lambda: after_waiting(
                desk.work,
                lambda work: work.visits.book(with_anna, patient=one),
                lambda work: work.visits.book(with_dora, patient=other),
            ),
            cap,
            1,
            "the service's cap of 1 at the facility is reached",
        )


def test_q4_who_extends_a_hold_locks_its_cap(desk: Desk) -> None:
    """Else another booking finds the hold ended, and counts without it."""
    day, service = desk.day(), of_service(desk)
    with desk.work() as work:
        held = work.visits.hold(desk.offer(work, on(day, 9)), lasts=MINUTE)
        with_dora = desk.offer(work, on(day, 10), desk.with_dora)
    with capped(desk, 1, **service) as cap, ExitStack() as later:

        def extend(work: Work) -> None:
            work.visits.extend(held, lasts=10 * MINUTE)
            later.enter_context(database_clock(desk.url, ahead=2 * MINUTE))

        assert_reached(
            lambda: after_waiting(desk.work, extend, lambda work: work.visits.hold(with_dora)),
            cap,
            1,
            "the service's cap of 1 at the facility is reached",
        )


def test_q4_of_sixteen_workers_as_many_book_as_the_cap_says(desk: Desk) -> None:
    day, barrier = desk.day(), Barrier(WORKERS)
    service = of_service(desk)
    places = [(desk.clinic.with_anna, 0), (desk.with_dora, 0), (desk.with_dora, 1)]
    with desk.work() as work:
        offers = [
            desk.offer(work, on(day, 9) + number * HALF_HOUR, offering) for number in range(6) for offering, _ in places
        ][:WORKERS]
        patients = [desk.patient(work) for _ in offers]

    def attempt(number: int) -> str:
        barrier.wait()
        try:
            with desk.work() as work:
                work.visits.book(offers[number], patient=patients[number])
        except BookingError as error:
            return str(error)
        return "booked"

    with capped(desk, PLACES, **service), ThreadPoolExecutor(WORKERS) as threads:
        answers = [*threads.map(attempt, range(WORKERS))]
    refused = f"the service's cap of {PLACES} at the facility is reached"
    assert sorted(answers) == ["booked"] * PLACES + [refused] * (WORKERS - PLACES)
    of_day = "select count(*) from scheduling.appointments where cast(local_start as date) = %s"
    assert all_rows(desk.url, of_day, day) == [(PLACES,)]


def test_q4_without_caps_no_statement_counts(desk: Desk) -> None:
    day, statements = desk.day(), list[str]()
    with desk.work() as work:
        connection = work.session.connection()
        event.listen(connection, "before_cursor_execute", lambda *given: statements.append(given[2]))
        patient = desk.patient(work)
        visit = work.visits.book(desk.offer(work, on(day, 9)), patient=patient)
        work.visits.reschedule(visit.id, to=work.visits.hold(desk.offer(work, on(day, 10))))
    counting = ["date_trunc(cap.period" in statement for statement in statements]
    assert len(counting) > 1
    assert not any(counting)


def test_q4_a_cap_that_is_set_again_has_the_new_number(desk: Desk) -> None:
    with desk.tried() as work:
        cap = work.caps.set(3, per=Period.DAY, doctor=desk.clinic.anna)
        other = work.caps.set(4, per="week", doctor=desk.clinic.anna)  # type: ignore[arg-type]  # a word will do
        assert work.caps.set(2, per=Period.DAY, doctor=desk.clinic.anna) == cap
        assert [(row.id, row.most, row.period) for row in work.caps.all()] == [(cap, 2, "day"), (other, 4, "week")]
        work.caps.remove(cap)
        assert [row.id for row in work.caps.all()] == [other]
        with pytest.raises(NotFoundError, match=f"no cap has the id {cap}"):
            work.caps.remove(cap)


WRONG: list[tuple[str, dict[str, Any]]] = [
    ("most must be a whole number from 1, not 0", {"most": 0, "offering": OfferingId(1)}),
    ("most must be a whole number from 1, not -1", {"most": -1, "offering": OfferingId(1)}),
    ("most must be a whole number from 1, not True", {"most": True, "offering": OfferingId(1)}),
    ("most is too large", {"most": 2**31, "offering": OfferingId(1)}),
    ("'month' is not a period", {"per": "month", "offering": OfferingId(1)}),
    ("not none of them", {}),
    ("not offering and patient", {"offering": OfferingId(1), "patient": PatientId(1)}),
    ("give service and facility together", {"service": 1}),
    ("give service and facility together", {"doctor": 1, "facility": 1}),
    ("doctor must be of type DoctorId, not a value of type OfferingId", {"doctor": OfferingId(1)}),
]


@pytest.mark.parametrize(("message", "fields"), WRONG)
def test_q4_a_wrong_cap_is_refused(desk: Desk, message: str, fields: dict[str, Any]) -> None:
    with desk.tried() as work, pytest.raises(InvalidInputError, match=message):
        work.caps.set(**{"most": 1, "per": Period.DAY, **fields})


def test_q4_a_cap_of_nobody_is_refused(desk: Desk) -> None:
    with desk.tried() as work, pytest.raises(NotFoundError, match="cap: patient: no patient has the id 987654"):
        work.caps.set(1, per=Period.DAY, patient=PatientId(987654))


def test_q4_caps_are_set_asynchronously(desk: Desk) -> None:
    async def set_and_remove() -> None:
        async with AsyncScheduler(desk.url) as scheduler, scheduler.tenant(desk.clinic.slug) as work:
            cap = await work.caps.set(1, per=Period.DAY, doctor=desk.clinic.ben)
            assert [row.id for row in await work.caps.all()] == [cap]
            await work.caps.remove(cap)

    asyncio.run(set_and_remove())
