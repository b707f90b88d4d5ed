"""Booking policies (Q2) at the desk: search and booking follow them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, time, timedelta
from typing import Any

import pytest

from scheduler.booking.errors import KeyReusedError, NotOfferedError, TooLateError, TooManyHoldsError
from scheduler.core.errors import InvalidInputError, NotFoundError
from scheduler.core.ids import OfferingId
from scheduler.core.offers import VisitOffer
from scheduler.core.policies import DaysBefore, Policy
from scheduler.core.policy_rows import Place, PolicyRow
from scheduler.core.spans import Span
from scheduler.front_door.visit_booking import Booking
from scheduler.front_door.work import Work
from scheduler.postgres.errors import NotAllowedError
from support.desks import HALF_HOUR, MINUTE, NOW, Desk, left_alone, on, open_desk, rows

pytestmark = pytest.mark.database

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
_PLACE = ("channel", "facility", "doctor", "offering")


@pytest.fixture(scope="module")
def desk(database_url: str) -> Iterator[Desk]:
    with open_desk(database_url) as opened:
        yield opened


@contextmanager
def policies(desk: Desk, *given: dict[str, Any], now: datetime = NOW) -> Iterator[None]:
    """Let policies hold, and the clock stand at an instant, while the block lasts."""
    with desk.work() as work:
        for fields in given:
            work.policies.set(**fields)
    desk.clock.move_to(now)
    try:
        yield
    finally:
        desk.clock.move_to(NOW)
        with desk.work() as work:
            for fields in given:
                work.policies.set(**{part: fields[part] for part in _PLACE if part in fields})


def test_q2_a_refusal_names_the_next_start_that_the_policy_allows(desk: Desk) -> None:
    day = desk.day()
    given = {"offering": desk.clinic.with_anna, "notice": 3 * HOUR}
    with policies(desk, given, now=on(day, 8)), desk.tried() as work:
        with pytest.raises(NotOfferedError, match=r"within the minimum notice \(3:00:00\)") as refused:
            desk.offer(work, on(day, 9))
        assert refused.value.next_start_at == on(day, 11)


def test_q2_a_hold_lasts_as_long_as_the_policy_says(desk: Desk) -> None:
    day = desk.day()

    def lasts(work: Work, hour: int, **options: Any) -> timedelta:
        offer = desk.offer(work, on(day, hour))
        now = work.session.connection().exec_driver_sql("select clock_timestamp()").scalar_one()
        length: timedelta = work.visits.hold(offer, **options).ends_at - now
        return length

    with policies(desk, {"doctor": desk.clinic.anna, "hold_lasts": 2 * HOUR}), desk.tried() as work:
        assert 2 * HOUR <= lasts(work, 9) < 2 * HOUR + MINUTE
        assert 5 * MINUTE <= lasts(work, 10, lasts=5 * MINUTE) < 6 * MINUTE
    with desk.tried() as work:
        assert 10 * MINUTE <= lasts(work, 9) < 11 * MINUTE


def test_q2_what_was_held_in_time_is_confirmed_and_moved_to_later(desk: Desk) -> None:
    day = desk.day()
    with desk.work() as work:
        visit = work.visits.book(desk.offer(work, on(desk.day(), 9)), patient=desk.tim)
    with policies(desk, {"notice": 3 * HOUR}, now=on(day, 6)):
        with desk.work(desk.sarah) as work:
            hold, other = (work.visits.hold(desk.offer(work, on(day, hour))) for hour in (9, 10))
        desk.clock.move_to(on(day, 8))
        with desk.work() as work:  # so that the visit is decided on again
            block = Span(on(day, 11), on(day, 12))
            work.exceptions.block(desk.clinic.anna, at=desk.clinic.facility, between=block)
        with desk.work(desk.sarah) as work:
            with pytest.raises(NotOfferedError):
                work.visits.hold(hold.offer)
            assert work.visits.confirm(hold, patient=desk.tim).start_at == on(day, 9)
            assert work.visits.reschedule(visit, to=other).start_at == on(day, 10)


@pytest.mark.parametrize("until", [2 * HOUR, DaysBefore(0, time(7))], ids=str)
def test_q2_patients_cancel_and_move_until_the_policy_says(desk: Desk, until: Any) -> None:
    day = desk.day()
    with desk.work() as work:
        visit = work.visits.book(desk.offer(work, on(day, 9)), patient=desk.tim)
        later = desk.offer(work, on(day, 11))
    late = on(day, 7) + timedelta(microseconds=1)
    with policies(desk, {"channel": "web", "cancel_until": until}, now=late):
        with left_alone(desk.url), desk.work(desk.sarah) as work:
            with pytest.raises(TooLateError, match="only staff do now") as refused:
                work.visits.cancel(visit, reason="ill")
            with pytest.raises(TooLateError):
                work.visits.reschedule(visit, to=later)
        assert refused.value.until == on(day, 7)
        with desk.tried(desk.staff) as work:
            assert work.visits.cancel(visit, reason="ill").status == "cancelled"
        desk.clock.move_to(on(day, 7))
        with desk.work(desk.sarah) as work:
            assert work.visits.reschedule(visit, to=later).start_at == on(day, 11)
            work.visits.cancel(visit, reason="ill", key=f"cancel {until}")
        desk.clock.move_to(on(day, 10))
        with desk.work(desk.sarah) as work:
            assert work.visits.cancel(visit, reason="ill", key=f"cancel {until}").status == "cancelled"


def test_b2_a_user_who_is_not_staff_holds_three_visits_at_most(desk: Desk) -> None:
    day = desk.day()
    with desk.tried(desk.sarah) as work:
        holds = [work.visits.hold(desk.offer(work, on(day, hour))) for hour in (9, 10, 11)]
        with pytest.raises(TooManyHoldsError, match="holds 3 visits: confirm or release") as refused:
            work.visits.hold(desk.offer(work, on(day, 9, 30)))
        assert refused.value.most == 3
        work.visits.release(holds[0])
        work.visits.hold(desk.offer(work, on(day, 9, 30)))
    with desk.tried(desk.staff) as work:
        for hour in (9, 10, 11, 12):
            start_at = on(day, hour) if hour < 12 else on(day, 9, 30)
            work.visits.hold(desk.offer(work, start_at))


KIOSK = {"channel": "kiosk", "notice": HOUR}


@pytest.mark.parametrize("person", ["host", "staff", "sarah"])
def test_q2_an_offer_is_booked_on_the_channel_where_it_was_found(desk: Desk, person: str) -> None:
    """Each act follows the policy of the offer's channel, unless the call names another one."""
    user = {"host": None, "staff": desk.staff, "sarah": desk.sarah}[person]
    day, offering = desk.day(), desk.clinic.with_anna
    span, own = Span(on(day, 9), on(day, 12)), "web" if person == "sarah" else "desk"
    with desk.work() as work:
        visit = work.visits.book(desk.offer(work, on(day, 9), desk.with_dora), patient=desk.tim)
    with policies(desk, KIOSK), desk.work(user) as work:
        of_kiosk = work.visits.find(offering, between=span, channel="kiosk")[2]
        of_own = work.visits.find(offering, between=span)[2]
    assert (of_kiosk.channel, of_own.channel, of_kiosk.wanted) == ("kiosk", own, of_own.wanted)
    for closed, offer, opened in (("kiosk", of_kiosk, own), (own, of_own, "kiosk")):
        with policies(desk, KIOSK, {"channel": closed, "notice": 90 * DAY, "horizon": 100}):
            acts: tuple[Any, ...] = (
                lambda visits, offer, **on_: visits.hold(offer, **on_),
                lambda visits, offer, **on_: visits.book(offer, patient=desk.tim, **on_),
                lambda visits, offer, **on_: visits.book_all([Booking(offer, desk.tim)], **on_),
                lambda visits, offer, **on_: visits.reschedule(visit, to=offer, **on_),
            )
            for act in acts:
                with desk.tried(user) as work, pytest.raises(NotOfferedError, match="minimum notice"):
                    act(work.visits, offer)
                with desk.tried(user) as work:
                    act(work.visits, offer, channel=opened)


def test_q2_a_hold_keeps_the_channel_of_its_offer(desk: Desk) -> None:
    day = desk.day()
    span = Span(on(day, 9), on(day, 12))
    with policies(desk, {**KIOSK, "hold_lasts": 3 * MINUTE}), desk.tried(desk.staff) as work:
        offer = work.visits.find(desk.clinic.with_anna, between=span, channel="kiosk")[0]
        hold = work.visits.hold(offer, key="k")
        assert rows(work, "select channel, date_trunc('second', ends_at - created_at) from scheduling.holds") == [
            ("kiosk", 3 * MINUTE)
        ]
        again = work.visits.hold(offer, key="k")
        assert again.offer == hold.offer == offer
        with pytest.raises(KeyReusedError):
            work.visits.hold(offer, channel="desk", key="k")
        assert work.visits.confirm(again, patient=desk.tim).start_at == offer.start_at


def test_q2_a_browser_does_not_choose_the_channel(desk: Desk) -> None:
    """A parent whom the notice of `web` refuses does not come by another channel, but the host may name it."""
    day = desk.day()
    with policies(desk, KIOSK, {"channel": "web", "notice": 90 * DAY, "horizon": 100}), desk.tried(desk.sarah) as work:
        (shown, *_) = work.visits.find(desk.clinic.with_anna, between=Span(on(day, 9), on(day, 12)), channel="kiosk")
        with pytest.raises(NotOfferedError, match="minimum notice"):
            work.visits.book(VisitOffer.from_json(shown.to_json()), patient=desk.tim)
        work.visits.book(VisitOffer.from_json(shown.to_json(), channel="kiosk"), patient=desk.tim)


def test_b9_a_channel_of_an_offer_makes_nobody_staff(desk: Desk) -> None:
    day = desk.day()
    with desk.work() as work:
        private = desk.offer(work, on(day, 9), desk.private)
    for channel in (None, "desk", "web"):
        with desk.tried(desk.sarah) as work, pytest.raises(NotOfferedError):
            work.visits.book(private, patient=desk.tim, channel=channel)
    for user in (None, desk.sarah):
        with desk.tried(user) as work, pytest.raises(InvalidInputError, match="nobody knows the channel 'wbe'"):
            work.visits.book(replace(private, channel="wbe"), patient=desk.tim)
    with desk.tried() as work, pytest.raises(NotOfferedError):
        work.visits.book(private, patient=desk.tim, channel="web")


def test_q2_a_channel_is_one_that_the_library_or_a_policy_knows(desk: Desk) -> None:
    span = Span(NOW, NOW + 9 * DAY)
    offering = desk.clinic.with_anna

    def calls(work: Work, channel: Any) -> tuple[Any, ...]:
        return (
            lambda: work.visits.find(offering, between=span, channel=channel),
            lambda: work.visits.offer_at(offering, on(desk.clinic.monday, 9), channel=channel),
            lambda: work.policies.effective(offering, channel=channel),
        )

    with desk.tried() as work:
        for call in calls(work, "kiosk"):
            with pytest.raises(InvalidInputError, match="nobody knows the channel 'kiosk': there are desk, web; a pol"):
                call()
        for channel in ("Web", "", 7, None, "w" * 51):
            for call in (*calls(work, channel), lambda at=channel: work.policies.set(channel=at or "", horizon=9)):
                with pytest.raises(InvalidInputError, match="channel must be a word of small letters"):
                    call()
        work.policies.set(channel="kiosk", horizon=9)
        for call in calls(work, "kiosk"):
            call()


def test_q2_policies_are_set_replaced_and_removed(desk: Desk) -> None:
    anna, offering = desk.clinic.anna, desk.clinic.with_anna
    with desk.tried() as work:
        assert work.policies.all() == []
        work.policies.set(horizon=90, hold_lasts=HALF_HOUR)
        work.policies.set(channel="web", facility=desk.clinic.facility, doctor=anna, offering=offering, horizon=30)
        work.policies.set(doctor=anna, notice=DaysBefore(1, time(16)), cancel_until=HOUR, offer_lasts=HOUR)
        assert work.policies.all() == [
            PolicyRow(horizon=90, hold_lasts=HALF_HOUR),
            PolicyRow(Place("web", desk.clinic.facility, anna, offering), horizon=30),
            PolicyRow(Place(doctor_id=anna), DaysBefore(1, time(16)), None, None, HOUR, HOUR),
        ]
        general = Policy(DaysBefore(1, time(16)), 90, HALF_HOUR, HOUR, HOUR)
        assert work.policies.effective(offering) == general
        assert work.policies.effective(offering, channel="web").horizon == 30
        assert work.policies.effective(desk.with_cara) == Policy(horizon=90, hold_lasts=HALF_HOUR)
        work.policies.set(doctor=anna, notice=HOUR)
        assert work.policies.effective(offering) == Policy(HOUR, 90, HALF_HOUR)
        work.policies.set(doctor=anna)
        work.policies.set(doctor=desk.cara)
        assert len(work.policies.all()) == 2


def test_q2_a_policy_that_cannot_hold_is_refused_and_undone(desk: Desk) -> None:
    anna, offering = desk.clinic.anna, desk.clinic.with_anna
    with desk.tried() as work:
        work.policies.set(doctor=anna, horizon=2)
        before = work.policies.all()
        refused: list[tuple[dict[str, Any], type[Exception], str]] = [
            ({"offering": offering, "notice": 3 * DAY}, InvalidInputError, "notice .3 days, 0:00:00. is longer than"),
            ({"channel": "web", "notice": DaysBefore(3, time(9))}, InvalidInputError, "is longer than the horizon"),
            ({"horizon": 1, "notice": 2 * DAY}, InvalidInputError, "is longer than the horizon"),
            ({"offering": offering, "doctor": desk.cara, "horizon": 1}, InvalidInputError, "name the offering only"),
            ({"offering": OfferingId(2**40), "horizon": 1}, NotFoundError, f"no offering has the id {2**40}"),
            ({"doctor": desk.clinic.facility, "horizon": 1}, InvalidInputError, "policy: doctor must be of type Doct"),
            ({"horizon": 2**40}, InvalidInputError, "horizon must be at most 3660 days"),
        ]
        for fields, error, message in refused:
            with pytest.raises(error, match=message):
                work.policies.set(**fields)
            assert work.policies.all() == before


def test_q2_staff_alone_write_policies_and_everybody_is_told_theirs(desk: Desk) -> None:
    with policies(desk, {"channel": "web", "cancel_until": HOUR}):
        with desk.tried(desk.sarah) as work:
            assert work.policies.effective(desk.clinic.with_anna, channel="web").cancel_until == HOUR
            assert work.policies.all() == []
            with pytest.raises(NotAllowedError):
                work.policies.set(channel="web", cancel_until=timedelta(0))
        with desk.tried(desk.staff) as work:
            work.policies.set(channel="web", cancel_until=timedelta(0))
            assert len(work.policies.all()) == 1
