"""Holds of visits: a visit is kept for whoever has the token, until it is confirmed, released or ends (B2)."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any

import pytest

from scheduler.booking.calls import at_the_desk
from scheduler.booking.errors import (
    HoldEndedError,
    NotOfferedError,
    PatientBusyError,
    SlotTakenError,
    UnknownHoldError,
)
from scheduler.booking.holds import Hold, held_visit, release_hold
from scheduler.booking.people import Person
from scheduler.booking.stored_offers import held_offer
from scheduler.core.errors import InvalidInputError, NotFoundError
from scheduler.core.ids import PatientId
from scheduler.core.reasons import ReasonCode
from scheduler.core.spans import Span
from scheduler.postgres.database import Database, Role
from scheduler.postgres.old_rows import delete_old_rows
from support.databases import undone
from support.desks import HALF_HOUR, MINUTE, Desk, all_rows, database_clock, left_alone, on, open_desk, rows

pytestmark = pytest.mark.database

OF_HOLD = "select ends_at, held_by, channel, label from scheduling.holds where token_digest = %s"
STATE_OF_SLOT = """
select status, booked_count from scheduling.availability_slots where doctor_id = %s and start_at = %s
"""


@pytest.fixture(scope="module")
def desk(database_url: str) -> Iterator[Desk]:
    with open_desk(database_url) as opened:
        yield opened


def digest(hold: Hold) -> bytes:
    return sha256(hold.token.encode()).digest()


def held(desk: Desk, start_at: datetime, **options: Any) -> Hold:
    """Hold the visit with Anna that starts at an instant, in a transaction of its own."""
    with desk.work() as work:
        return work.visits.hold(desk.offer(work, start_at), **options)


def ends_of_holds(desk: Desk, start_at: datetime) -> list[datetime]:
    return [row[0] for row in all_rows(desk.url, "select ends_at from scheduling.holds where start_at = %s", start_at)]


def test_b2_a_hold_keeps_the_visit_for_its_token(desk: Desk) -> None:
    start_at = on(desk.day(), 9)
    hold = held(desk, start_at, label="front desk")
    with desk.work() as work:
        assert (hold.offer.start_at, hold.offer.slot.doctor_id) == (start_at, desk.clinic.anna)
        ((ends_at, held_by, channel, label),) = all_rows(desk.url, OF_HOLD, digest(hold))
        assert (ends_at, held_by, channel, label) == (hold.ends_at, None, "desk", "front desk")
        assert hold.ends_at.tzinfo is UTC
        assert 9 * MINUTE < hold.ends_at - datetime.now(UTC) <= 10 * MINUTE
        with pytest.raises(SlotTakenError) as refused:
            work.visits.hold(hold.offer)
        assert refused.value.next_start_at == start_at + HALF_HOUR
        with pytest.raises(NotOfferedError) as absent:
            desk.offer(work, start_at)
        assert absent.value.next_start_at == start_at + HALF_HOUR
        visit = work.visits.confirm(hold, patient=desk.patient(work))
    assert (visit.start_at, visit.end_at) == (start_at, start_at + HALF_HOUR)
    assert ends_of_holds(desk, start_at) == []


def test_b2_a_hold_takes_the_resources_of_all_its_steps(desk: Desk) -> None:
    day = desk.day()
    with desk.work() as work:
        hold = work.visits.hold(desk.offer(work, on(day, 8, 50), desk.with_cara))
        taken = """
            select resource_id, a.start_at, a.end_at from scheduling.allocations a
            join scheduling.holds h on h.tenant_id = a.tenant_id and h.id = a.hold_id
            where h.token_digest = %s order by a.start_at, resource_id
        """
    nina = desk.nurses[0]
    assert all_rows(desk.url, taken, digest(hold)) == [
        (nina, on(day, 8, 50), on(day, 9)),
        (None, on(day, 9), on(day, 9, 20)),
        (nina, on(day, 9, 20), on(day, 9, 30)),
        (desk.room, on(day, 9, 20), on(day, 9, 30)),
    ]


def test_b2_only_a_digest_of_the_token_is_kept_or_shown(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    start_at = on(desk.day(), 9)
    caplog.set_level("DEBUG", "sqlalchemy.engine")
    with desk.work() as work:
        hold = work.visits.hold(desk.offer(work, start_at), key=f"hold {start_at}")
        work.visits.confirm(hold, patient=desk.patient(work), key=f"confirm {start_at}")
    assert "insert into scheduling.holds" in caplog.text
    assert len(hold.token) == 64
    assert hold.token not in caplog.text + repr(hold)
    for table in ("holds", "booking_requests"):
        assert hold.token not in str(all_rows(desk.url, f"select x::text from scheduling.{table} x"))


def test_b3_the_night_deletes_old_requests_and_ended_holds(desk: Desk) -> None:
    with desk.work() as work:
        work.visits.hold(desk.offer(work, on(desk.day(), 9)), key="of a week ago")
    kept = "select (select count(*) from scheduling.holds), (select count(*) from scheduling.booking_requests)"
    left = []
    with Database(desk.url) as database:
        for days in (0, 6, 8):
            night = database.unit_of_work(role=Role.JOB, tenant_id=desk.clinic.tenant_id)
            with database_clock(desk.url, ahead=timedelta(days=days)), night as session:
                delete_old_rows(session)
            left.append(all_rows(desk.url, kept)[0])
    (holds, requests), (fewer_holds, all_requests), (_, fewer_requests) = left
    assert (holds > fewer_holds, requests == all_requests > fewer_requests) == (True, True)


@pytest.mark.parametrize("how", ["unknown", "released", "of another user", "of another tenant"])
def test_b2_a_token_that_opens_no_hold_is_unknown(desk: Desk, how: str) -> None:
    start_at = on(desk.day(), 9)
    user = None
    with desk.work(desk.staff if how == "of another user" else None) as work:
        hold = work.visits.hold(desk.offer(work, start_at))
        if how == "released":
            work.visits.release(hold)
        if how == "unknown":
            hold = replace(hold, token="0" * 64)
    slug = desk.clinic.slug
    if how == "of another user":
        user = desk.sarah
    if how == "of another tenant":
        slug = "elsewhere"
        desk.clinic.scheduler.add_tenant(slug, name="Elsewhere")
        with desk.clinic.scheduler.tenant(slug) as work:
            work.patients.add("Ada", "Poe", email="ada@example.org")
    with left_alone(desk.url), desk.clinic.scheduler.tenant(slug, user=user) as work:
        patient = work.patients.all()[0]
        for call in (
            lambda: work.visits.confirm(hold, patient=patient),
            lambda: work.visits.confirm(hold.token, patient=patient),
            lambda: work.visits.extend(hold, lasts=HALF_HOUR),
            lambda: work.visits.release(hold.token),
        ):
            with pytest.raises(UnknownHoldError, match="no hold has this token"):
                call()


def test_b2_whoever_has_the_token_of_the_host_confirms(desk: Desk) -> None:
    hold = held(desk, on(desk.day(), 9))
    with desk.work(desk.sarah) as work:
        assert work.visits.confirm(hold.token, patient=desk.tim).patient_id == desk.tim
    with desk.work(desk.sarah) as work:
        own = work.visits.hold(desk.offer(work, on(desk.day(), 9)))
    with desk.work() as work:  # the host itself opens all
        work.visits.release(own)


def test_b2_an_ended_hold_takes_nothing_and_opens_nothing(desk: Desk) -> None:
    start_at = on(desk.day(), 9)
    hold = held(desk, start_at)
    with database_clock(desk.url, ahead=10 * MINUTE), desk.work() as work:
        patient = desk.patient(work)
        with pytest.raises(HoldEndedError, match="the hold ended at"):
            work.visits.confirm(hold, patient=patient)
        with pytest.raises(HoldEndedError, match="find the visit again"):
            work.visits.extend(hold, lasts=HALF_HOUR)
        visit = work.visits.book(hold.offer, patient=patient)
    assert visit.start_at == start_at
    assert ends_of_holds(desk, start_at) == []  # whoever needed the place swept it


def test_b2_an_ended_hold_is_released_without_harm(desk: Desk) -> None:
    hold = held(desk, on(desk.day(), 9))
    with database_clock(desk.url, ahead=10 * MINUTE), desk.work() as work:
        work.visits.release(hold)
    assert ends_of_holds(desk, hold.offer.start_at) == []


def test_b2_a_hold_ends_during_a_transaction(desk: Desk) -> None:
    start_at = on(desk.day(), 9)
    hold = held(desk, start_at)
    with desk.work() as work:
        patient = desk.patient(work)
        with database_clock(desk.url, ahead=10 * MINUTE), pytest.raises(HoldEndedError):
            work.visits.confirm(hold, patient=patient)


def test_b2_a_hold_is_extended_from_now_on(desk: Desk) -> None:
    hold = held(desk, on(desk.day(), 9), lasts=MINUTE)
    with desk.work() as work:
        longer = work.visits.extend(hold.token, lasts=timedelta(hours=1))
        assert longer.offer == hold.offer
    with database_clock(desk.url, ahead=HALF_HOUR), desk.work() as work:
        work.visits.confirm(longer, patient=desk.patient(work))
    assert longer.token == hold.token
    assert timedelta(minutes=58) < longer.ends_at - hold.ends_at <= timedelta(minutes=60)


def test_b2_a_released_visit_is_free_at_once(desk: Desk) -> None:
    hold = held(desk, on(desk.day(), 9))
    with desk.work() as work:
        work.visits.release(hold)
        assert desk.offer(work, hold.offer.start_at) == hold.offer


def test_b2_a_hold_that_is_gone_since_it_was_read_has_no_offer(desk: Desk) -> None:
    hold = held(desk, on(desk.day(), 9))
    with desk.work() as work, at_the_desk(work.session):
        read = held_visit(work.session, hold.token, by=Person(None, "desk"))
        assert held_offer(work.session, read) == hold.offer
        release_hold(work.session, read)
        with pytest.raises(UnknownHoldError):
            held_offer(work.session, read)


@pytest.mark.parametrize("lasts", [timedelta(0), -MINUTE, timedelta(hours=24, microseconds=1), 600, True])
def test_b2_a_hold_lasts_up_to_24_hours(desk: Desk, lasts: Any) -> None:
    with desk.tried() as work:
        offer = desk.offer(work, on(desk.clinic.monday, 11, 30))
        with pytest.raises(
            InvalidInputError, match="hold: lasts must be a timedelta longer than zero, at most one day"
        ):
            work.visits.hold(offer, lasts=lasts)
        hold = work.visits.hold(offer, lasts=timedelta(hours=24))
        with pytest.raises(
            InvalidInputError, match="hold: lasts must be a timedelta longer than zero, at most one day"
        ):
            work.visits.extend(hold, lasts=lasts)


@pytest.mark.parametrize("cause", ["emergency", "block", "closure"])
def test_b2_a_hold_is_not_confirmed_in_time_that_was_closed(desk: Desk, cause: str) -> None:
    day = desk.day()
    hold = held(desk, on(day, 9))
    where, between = desk.clinic.facility, Span(on(day, 9), on(day, 10))
    with desk.work() as work:
        if cause == "emergency":
            work.exceptions.emergency(desk.clinic.anna, at=where, between=between)
        elif cause == "block":
            work.exceptions.block(desk.clinic.anna, at=where, between=between)
        else:
            work.closures.add(where, day)
    with left_alone(desk.url), desk.work() as work:
        patient = work.patients.all()[0]
        with pytest.raises(NotOfferedError) as refused:
            work.visits.confirm(hold, patient=patient)
    expected = {"emergency": ReasonCode.EMERGENCY, "block": ReasonCode.BLOCKED, "closure": ReasonCode.CLOSURE}
    assert refused.value.reasons[0].code == expected[cause]
    assert refused.value.next_start_at is not None
    assert refused.value.next_start_at > on(day, 9)
    with desk.work() as work:  # the hold lives on until it is released or ends
        work.visits.release(hold)


def test_b2_a_hold_whose_slot_was_deleted_is_not_confirmed(desk: Desk) -> None:
    start_at = on(desk.day(), 9)
    hold = held(desk, start_at)
    with desk.tried() as work:
        deletion = (
            "delete from scheduling.availability_slots where doctor_id = :doctor and start_at = :start returning 1"
        )
        assert rows(work, deletion, doctor=int(desk.clinic.anna), start=start_at) == [(1,)]
        patient = desk.patient(work)
        with pytest.raises(NotOfferedError, match="not generated yet"):
            work.visits.confirm(hold, patient=patient)
        assert work.visits.extend(hold.token, lasts=HALF_HOUR).offer.steps == hold.offer.steps


def test_b2_a_hold_of_a_former_workflow_is_confirmed_as_it_was_held(desk: Desk) -> None:
    with desk.work() as work:
        hold = work.visits.hold(desk.offer(work, on(desk.day(), 8, 50), desk.with_cara))
    with desk.tried() as work:
        former = work.workflows.of(desk.with_cara)
        work.workflows.replace(former, steps=former.steps[1:])
        visit = work.visits.confirm(hold, patient=desk.patient(work))
        assert (visit.workflow_id, len(visit.steps)) == (hold.offer.workflow_id, len(former.steps))


def test_b2_a_hold_takes_one_place_of_a_shared_slot(desk: Desk) -> None:
    start_at = on(desk.day(), 9)
    with desk.work() as work:
        first, second = (work.visits.hold(desk.offer(work, start_at, desk.with_dora)) for _ in range(2))
        with pytest.raises(SlotTakenError):
            work.visits.hold(first.offer)
        work.visits.confirm(first, patient=desk.patient(work))
    assert all_rows(desk.url, STATE_OF_SLOT, desk.dora, start_at) == [("open", 1)]
    with desk.work() as work:
        with pytest.raises(SlotTakenError):
            work.visits.book(first.offer, patient=desk.patient(work))
        work.visits.confirm(second, patient=desk.patient(work))
    assert all_rows(desk.url, STATE_OF_SLOT, desk.dora, start_at) == [("booked", 2)]


def test_b2_a_hold_is_confirmed_for_a_patient_who_is_free(desk: Desk) -> None:
    day = desk.day()
    visit = desk.booked(on(day, 9))
    with desk.work() as work:
        hold = work.visits.hold(desk.offer(work, on(day, 9), desk.with_dora))
    with left_alone(desk.url), desk.work() as work:
        with pytest.raises(PatientBusyError) as refused:
            work.visits.confirm(hold, patient=visit.patient_id)
        with pytest.raises(NotFoundError, match="no patient has the id"):
            work.visits.confirm(hold, patient=PatientId(2**40))
    assert refused.value.visit_id == visit.id


def test_b2_resources_that_were_taken_are_replaced(desk: Desk) -> None:
    day = desk.day()
    with desk.work() as work:
        offer = desk.offer(work, on(day, 8, 50), desk.with_cara)
        nina, noor = desk.nurses
        assert [step.resources.get("nurse") for step in offer.steps] == [(nina,), None, (nina,)]
        forged = replace(offer, steps=tuple(replace(step, resources={}) for step in offer.steps))
        with undone(desk.work()) as other:
            assert other.visits.hold(forged).offer == offer  # none is named: the first free ones
    with desk.work() as work:
        other_day = [step.resources for step in offer.steps]
        work.resources.change(nina, active=False)
        hold = work.visits.hold(offer)
        work.resources.change(nina, active=True)
        assert [step.resources.get("nurse") for step in hold.offer.steps] == [(noor,), None, (noor,)]
        assert [step.start_at for step in hold.offer.steps] == [step.start_at for step in offer.steps]
        visit = work.visits.confirm(hold, patient=desk.patient(work))
        assert [step.resources.get("nurse") for step in visit.steps] == [(noor,), None, (noor,)]
        assert [step.resources for step in offer.steps] == other_day


def test_a_refused_call_leaves_the_unit_of_work_usable(desk: Desk) -> None:
    day = desk.day()
    hold = held(desk, on(day, 9))
    with desk.work(desk.staff) as work:
        patient = desk.patient(work)
        for _ in range(2):
            with pytest.raises(SlotTakenError):
                work.visits.book(hold.offer, patient=patient)
            with pytest.raises(UnknownHoldError):
                work.visits.release("0")
            assert rows(work, "select current_user") == [("scheduler_app",)]
        visit = work.visits.book(desk.offer(work, on(day, 10)), patient=patient)
    with desk.work() as work:
        assert work.visits.get(visit.id) == visit


@pytest.mark.parametrize(
    ("call", "field"),
    [
        (lambda visits, _: visits.hold("offer"), "hold: offer"),
        (lambda visits, _: visits.hold(None), "hold: offer"),
        (lambda visits, offer: visits.hold(offer, label=5), "hold: label"),
        (lambda visits, offer: visits.hold(offer, label=" "), "hold: label"),
        (lambda visits, offer: visits.hold(offer, label="x" * 256), "hold: label"),
        (lambda visits, offer: visits.hold(offer, key=7), "key"),
        (lambda visits, _: visits.extend(None, lasts=MINUTE), "hold must be a Hold or its token, not None"),
        (lambda visits, _: visits.extend(b"0", lasts=MINUTE), "hold must be a Hold or its token, not bytes"),
        (lambda visits, _: visits.release(" "), "hold: token"),
        (lambda visits, _: visits.release(7), "hold must be a Hold or its token, not int"),
        (lambda visits, offer: visits.confirm(offer, patient=1), "hold must be a Hold or its token, not VisitOffer"),
        (lambda visits, _: visits.confirm("\ud800", patient=1), "hold: token"),
        (lambda visits, _: visits.confirm("0", patient="Ada"), "patient"),
        (lambda visits, _: visits.confirm("0", patient=True), "patient"),
        (lambda visits, _: visits.confirm("0", patient=2**70), "patient"),
        (lambda visits, _: visits.confirm("0", patient=1, notes=7), "visit: notes"),
        (lambda visits, _: visits.confirm("0", patient=1, notes="\0"), "visit: notes"),
    ],
)
def test_a_wrong_argument_of_a_hold_is_named(desk: Desk, call: Any, field: str) -> None:
    with desk.tried() as work:
        offer = desk.offer(work, on(desk.clinic.monday, 11))
        with pytest.raises(InvalidInputError, match=field):
            call(work.visits, offer)
        assert work.visits.hold(offer).offer == offer
