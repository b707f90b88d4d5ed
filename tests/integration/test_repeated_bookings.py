"""Repeated bookings: a key gives the answer of the first call, also when its outcome was unknown (B3)."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from scheduler.booking.errors import (
    HoldEndedError,
    KeyReusedError,
    OutcomeUnknownError,
    SlotTakenError,
    UnknownHoldError,
)
from scheduler.core.errors import InvalidInputError, NotFoundError
from scheduler.core.ids import VisitId
from scheduler.core.offers import VisitOffer
from scheduler.front_door.visit_booking import Booking
from scheduler.front_door.work import Work
from scheduler.postgres.errors import DatabaseUnreachableError, NotAllowedError
from support.concurrency import after_waiting
from support.desks import HALF_HOUR, MINUTE, NOW, Desk, all_rows, left_alone, on, open_desk, rows

pytestmark = pytest.mark.database

REQUESTS = "select count(*) from scheduling.booking_requests where key = %s"
LIVE = "select count(*) from scheduling.appointments where start_at = %s and status = 'scheduled'"


@pytest.fixture(scope="module")
def desk(database_url: str) -> Iterator[Desk]:
    with open_desk(database_url) as opened:
        yield opened


def new_key() -> str:
    return str(uuid4())


def test_b3_a_repeated_hold_is_the_same_with_another_token(desk: Desk) -> None:
    key, nina = new_key(), desk.nurses[0]
    with desk.work() as work:
        offer = desk.offer(work, on(desk.day(), 8, 50), desk.with_cara)
        work.resources.change(nina, active=False)
        first = work.visits.hold(offer, label="desk 1", key=key)
        work.resources.change(nina, active=True)
    assert first.offer != offer  # the other nurse was free
    with desk.work() as work:
        again = work.visits.hold(VisitOffer.from_json(offer.to_json()), label="desk 1", key=key)
        assert (again.ends_at, again.offer) == (first.ends_at, first.offer)
        assert again.token != first.token
        with pytest.raises(UnknownHoldError):
            work.visits.release(first)
        work.visits.confirm(again, patient=desk.patient(work))
        with pytest.raises(HoldEndedError):
            work.visits.hold(offer, label="desk 1", key=key)


Call = Callable[[Work, str], Any]


def confirm(desk: Desk) -> Call:
    with desk.work() as work:
        hold, patient = work.visits.hold(desk.offer(work, on(desk.day(), 9))), desk.patient(work)
    return lambda work, key: work.visits.confirm(hold, patient=patient, notes="first", key=key)


def book(desk: Desk) -> Call:
    with desk.work() as work:
        offer, patient = desk.offer(work, on(desk.day(), 9)), desk.patient(work)
    return lambda work, key: work.visits.book(offer, patient=patient, notes="first", key=key)


def book_all(desk: Desk) -> Call:
    day = desk.day()
    with desk.work() as work:
        bookings = [Booking(desk.offer(work, on(day, hour)), desk.patient(work), "first") for hour in (11, 9)]
    return lambda work, key: work.visits.book_all(iter(bookings), key=key)


def reschedule(desk: Desk) -> Call:
    day = desk.day()
    visit = desk.booked(on(day, 9))
    with desk.work() as work:
        offer = desk.offer(work, on(day, 10))
    return lambda work, key: work.visits.reschedule(visit, to=offer, key=key)


def reschedule_to_a_hold(desk: Desk) -> Call:
    day = desk.day()
    visit = desk.booked(on(day, 9))
    with desk.work() as work:
        hold = work.visits.hold(desk.offer(work, on(day, 10)))
    return lambda work, key: work.visits.reschedule(visit.id, to=hold.token, key=key)


def cancel(desk: Desk) -> Call:
    visit = desk.booked(on(desk.day(), 9))
    return lambda work, key: work.visits.cancel(visit, reason="ill", key=key)


@pytest.mark.parametrize("call", [confirm, book, book_all, reschedule, reschedule_to_a_hold, cancel])
def test_b3_a_repeated_call_gives_the_first_answer(desk: Desk, call: Callable[[Desk], Call]) -> None:
    key, do = new_key(), call(desk)
    with desk.work() as work:
        first = do(work, key)
        assert do(work, key) == first
    with left_alone(desk.url), desk.work() as work:
        assert do(work, key) == first
        assert do(work, f" {key} ") == first


def test_b3_a_repeated_call_gets_its_answer_without_its_channel(desk: Desk) -> None:
    """A policy makes the word of a channel; the first answer stays when the policy goes."""
    day, moved = desk.day(), desk.booked(on(desk.day(), 9))
    with desk.tried() as work:
        work.policies.set(channel="kiosk", hold_lasts=HALF_HOUR)
        offers = [replace(desk.offer(work, on(day, hour)), channel="kiosk") for hour in (9, 10, 11)]
        offers.append(replace(desk.offer(work, on(day, 9), desk.with_dora), channel="kiosk"))
        patients, keys = [desk.patient(work) for _ in offers], [new_key() for _ in offers]

        def calls() -> list[Any]:
            return [
                work.visits.hold(offers[0], key=keys[0]).offer,
                work.visits.book(offers[1], patient=patients[1], key=keys[1]),
                work.visits.reschedule(moved, to=offers[2], key=keys[2]),
                work.visits.book_all([Booking(offers[3], patients[3])], key=keys[3]),
            ]

        first = calls()
        work.policies.set(channel="kiosk")
        assert calls() == first
        with pytest.raises(InvalidInputError, match="nobody knows the channel 'kiosk'"):
            work.visits.hold(offers[1], key=new_key())


def test_b3_a_parent_repeats_a_move_also_when_the_visit_has_begun(desk: Desk) -> None:
    key, day = new_key(), desk.day()
    with desk.tried(desk.sarah) as work:
        offer, later = (work.visits.offer_at(desk.clinic.with_anna, on(day, hour)) for hour in (9, 10))
        visit = work.visits.book(offer, patient=desk.tim)
        moved = work.visits.reschedule(visit, to=later, key=key)
        try:
            desk.clock.move_to(later.start_at)
            assert work.visits.reschedule(visit, to=later, key=key) == moved
            with pytest.raises(NotAllowedError):
                work.visits.reschedule(visit, to=offer, key=new_key())
        finally:
            desk.clock.move_to(NOW)


def test_b3_a_repeated_call_shows_the_visit_as_it_is_now(desk: Desk) -> None:
    key, do = new_key(), book(desk)
    with desk.work() as work:
        visit = do(work, key)
        cancelled = work.visits.cancel(visit, reason="ill")
        assert do(work, key) == cancelled


def test_b3_the_key_of_another_request_is_refused(desk: Desk) -> None:
    key, day = new_key(), desk.day()
    with desk.work() as work:
        patient, other = desk.patient(work), desk.patient(work)
        offer, later = (desk.offer(work, on(day, *at), desk.with_cara) for at in ((8, 50), (9, 50)))
        visit = work.visits.book(offer, patient=patient, notes="first", key=key)
        hold = work.visits.hold(later)
    with left_alone(desk.url), desk.work() as work:
        for call in (
            lambda: work.visits.book(later, patient=patient, notes="first", key=key),
            lambda: work.visits.book(offer, patient=other, notes="first", key=key),
            lambda: work.visits.book(offer, patient=patient, notes="second", key=key),
            lambda: work.visits.book(offer, patient=patient, key=key),
            lambda: work.visits.book(replace(offer, steps=offer.steps[1:]), patient=patient, notes="first", key=key),
            lambda: work.visits.book_all([Booking(offer, patient, "first")], key=key),
            lambda: work.visits.hold(offer, key=key),
            lambda: work.visits.confirm(hold, patient=patient, notes="first", key=key),
            lambda: work.visits.reschedule(visit, to=offer, key=key),
            lambda: work.visits.cancel(visit, reason="first", key=key),
        ):
            with pytest.raises(KeyReusedError, match="belongs to another request"):
                call()
        bare = replace(offer, steps=tuple(replace(step, resources={}) for step in offer.steps))
        assert work.visits.book(bare, patient=patient, notes="first", key=key) == visit


def test_b3_each_person_and_tenant_has_keys_of_their_own(desk: Desk) -> None:
    key, day = new_key(), desk.day()
    visits = []
    users = None, desk.staff, desk.sarah
    with desk.work() as work:
        offers = [desk.offer(work, on(day, hour)) for hour in (9, 10, 11)]
    for _ in range(2):
        for user, offer in zip(users, offers, strict=True):
            with desk.work(user) as work:
                visits.append(work.visits.book(offer, patient=desk.tim, key=key))
    assert visits[:3] == visits[3:]
    assert len({visit.id for visit in visits}) == 3
    assert all_rows(desk.url, REQUESTS, key) == [(3,)]


def test_b3_a_refused_call_does_not_keep_its_key(desk: Desk) -> None:
    key, day = new_key(), desk.day()
    with desk.work() as work:
        offer, patient = desk.offer(work, on(day, 9)), desk.patient(work)
        hold = work.visits.hold(offer)
        for _ in range(2):
            with pytest.raises(SlotTakenError):
                work.visits.book(offer, patient=patient, key=key)
        work.visits.release(hold)
    assert all_rows(desk.url, REQUESTS, key) == [(0,)]
    with desk.work() as work:
        assert work.visits.book(offer, patient=patient, key=key).start_at == offer.start_at


def test_b3_a_key_is_kept_as_long_as_the_transaction_that_used_it(desk: Desk) -> None:
    key, do = new_key(), book(desk)
    with desk.tried() as work:
        do(work, key)
    with desk.work() as work:
        visit = do(work, key)
        assert work.visits.get(visit) == visit


@pytest.mark.parametrize("call", [book, book_all, cancel, reschedule_to_a_hold])
def test_b3_of_two_calls_at_once_the_second_gets_the_answer(desk: Desk, call: Callable[[Desk], Call]) -> None:
    key, do = new_key(), call(desk)
    answers: list[Any] = []
    second = after_waiting(desk.work, lambda work: answers.append(do(work, key)), lambda work: do(work, key))
    assert answers == [second]
    assert all_rows(desk.url, REQUESTS, key) == [(1,)]


def test_b3_of_two_holds_at_once_the_second_has_the_token(desk: Desk) -> None:
    key, day = new_key(), desk.day()
    with desk.work() as work:
        offer = desk.offer(work, on(day, 9))
    held: list[Any] = []
    second = after_waiting(
        desk.work,
        lambda work: held.append(work.visits.hold(offer, key=key)),
        lambda work: work.visits.hold(offer, key=key),
    )
    assert second.ends_at == held[0].ends_at
    with desk.work() as work:
        with pytest.raises(UnknownHoldError):
            work.visits.extend(held[0], lasts=MINUTE)
        work.visits.release(second)


def test_b3_what_another_person_answers_is_not_seen_anew(desk: Desk) -> None:
    """The patient is asked for at each call: whoever lost the child reads no visit by an old key."""
    key, day = new_key(), desk.day()
    with desk.work() as work:
        patient = work.patients.add("Kim", "Johnson", email="kim@example.org", user=desk.sarah)
    with desk.work(desk.sarah) as work:
        offer = desk.offer(work, on(day, 9))
        work.visits.book(offer, patient=patient, key=key)
    with desk.work() as work:
        work.patients.change(patient, user=None)
    with desk.work(desk.sarah) as work, pytest.raises(NotFoundError):
        work.visits.book(offer, patient=patient, key=key)


@pytest.mark.parametrize("key", ["", " ", "x" * 256, 7, b"key", "\0", "\ud800"])
def test_b3_a_key_is_a_text_of_up_to_255_characters(desk: Desk, key: Any) -> None:
    with desk.tried() as work:
        offer = desk.offer(work, on(desk.clinic.monday, 9))
        with pytest.raises(InvalidInputError, match="key"):
            work.visits.hold(offer, key=key)
        with pytest.raises(InvalidInputError, match="key"):
            work.visits.cancel(VisitId(1), reason="ill", key=key)
        assert work.visits.hold(offer, key="é" * 255).offer == offer


def kill_before_commit(desk: Desk, call: Callable[[Work], object]) -> None:
    """Call in a unit of work whose connection to the server is lost before the commit."""
    with desk.work() as work:
        call(work)
        ((pid,),) = rows(work, "select pg_backend_pid()")
        all_rows(desk.url, "select pg_terminate_backend(%s, 5000)", pid)


def test_b3_an_outcome_that_is_unknown_is_settled_by_the_key(desk: Desk) -> None:
    key, do = new_key(), book(desk)
    with pytest.raises(OutcomeUnknownError, match="repeat the call with the same key") as lost:
        kill_before_commit(desk, lambda work: do(work, key))
    assert lost.value.key == key
    with desk.work() as work:
        visit = do(work, key)
    with left_alone(desk.url), desk.work() as work:
        assert do(work, key) == visit
    assert all_rows(desk.url, LIVE, visit.start_at) == [(1,)]


def test_b3_without_a_booking_a_lost_connection_is_no_riddle(desk: Desk) -> None:
    with pytest.raises(DatabaseUnreachableError):
        kill_before_commit(desk, lambda work: work.visits.of_patient(desk.tim))


def test_b3_an_outcome_without_a_key_is_unknown_too(desk: Desk) -> None:
    day = desk.day()
    visit = desk.booked(on(day, 9))
    with desk.work() as work:
        hold = work.visits.hold(desk.offer(work, on(day, 10)))
    calls: list[Callable[[Work], object]] = [
        lambda work: work.visits.check_in(visit),
        lambda work: work.visits.no_show(visit),
        lambda work: work.visits.extend(hold, lasts=timedelta(hours=1)),
        lambda work: work.visits.release(hold),
    ]
    for call in calls:
        with pytest.raises(OutcomeUnknownError) as lost:
            kill_before_commit(desk, call)
        assert lost.value.key is None


def test_b3_a_connection_lost_before_the_end_wrote_nothing(desk: Desk) -> None:
    key, do = new_key(), book(desk)

    def twice(work: Work) -> None:
        do(work, key)
        ((pid,),) = rows(work, "select pg_backend_pid()")
        all_rows(desk.url, "select pg_terminate_backend(%s, 5000)", pid)
        do(work, key)

    with left_alone(desk.url), pytest.raises(DatabaseUnreachableError), desk.work() as work:
        twice(work)
