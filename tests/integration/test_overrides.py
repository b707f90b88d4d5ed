"""Overrides at the desk: staff break rules of booking, each named, for a reason that is kept (B8)."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from typing import Final

import pytest
from sqlalchemy import text

from scheduler.booking.errors import (
    CapReachedError,
    NotOfferedError,
    OverrideNotNeededError,
    PatientBusyError,
    SlotTakenError,
)
from scheduler.core.caps import Period
from scheduler.core.channels import WEB
from scheduler.core.errors import InvalidInputError
from scheduler.core.ids import DoctorId, OfferingId
from scheduler.core.offers import VisitOffer
from scheduler.core.overrides import BookingRule, Override
from scheduler.core.reasons import ReasonCode
from scheduler.core.releases import Release
from scheduler.core.schedules import AvailabilityException
from scheduler.core.spans import Span
from scheduler.core.workflows import Need, WorkflowStep
from scheduler.front_door.work import Work
from scheduler.models import UserRole
from scheduler.postgres.errors import NotAllowedError
from support.desks import HALF_HOUR, NOW, Desk, all_rows, on, open_desk, rows

pytestmark = pytest.mark.database

DAY = timedelta(days=1)
REASON = "the mother works nights"
KEPT = """
select override_rules, override_reason, availability_slot_id is not null from scheduling.appointments where id = :visit
"""
VISITS = "select id from scheduling.appointments where start_at = :start and status = 'scheduled'"
LOGGED = """
select user_id, after->'override_rules', after::text from audit.user_action_audit_log
where entity = 'scheduling.appointments' and after ? 'override_rules' and entity_key = %s
"""


@pytest.fixture(scope="module")
def desk(database_url: str) -> Iterator[Desk]:
    with open_desk(database_url) as opened:
        yield opened


@contextmanager
def broken(desk: Desk, *rules: BookingRule) -> Iterator[tuple[VisitOffer, VisitOffer]]:
    """Offer two visits with Anna, both of which break notice or cap while the block lasts."""
    day = desk.day()
    with desk.work() as work:
        first, second = (desk.offer(work, on(day, 9) + delay) for delay in (0 * HALF_HOUR, HALF_HOUR))
        visit = work.visits.book(second, patient=desk.patient(work)) if BookingRule.CAP in rules else None
        cap = None if visit is None else work.caps.set(1, per=Period.DAY, doctor=desk.clinic.anna)
        if BookingRule.NOTICE in rules:
            work.policies.set(offering=desk.clinic.with_anna, notice=60 * DAY)
    try:
        yield first, second
    finally:
        with desk.work() as work:
            work.policies.set(offering=desk.clinic.with_anna)
            if visit is not None and cap is not None:
                work.caps.remove(cap)
                work.visits.cancel(visit.id, reason="the test is over")


def _at_nine(desk: Desk, work: Work, day: date) -> VisitOffer:
    return desk.offer(work, on(day, 9))


def _without_slot(desk: Desk, work: Work, at: datetime, offering: OfferingId | None = None) -> VisitOffer:
    wanted = desk.clinic.with_anna if offering is None else offering
    return work.visits.offer_at(wanted, at, override=Override(REASON, [BookingRule.HOURS]))


def _within_notice(desk: Desk, work: Work, day: date) -> VisitOffer:
    offer = _at_nine(desk, work, day)
    work.policies.set(offering=desk.clinic.with_anna, notice=60 * DAY)
    return offer


def _beyond_horizon(desk: Desk, work: Work, day: date) -> VisitOffer:
    offer = _at_nine(desk, work, day)
    work.policies.set(offering=desk.clinic.with_anna, horizon=0)
    return offer


def _beyond_cap(desk: Desk, work: Work, day: date) -> VisitOffer:
    offer = _at_nine(desk, work, day)
    work.visits.book(desk.offer(work, on(day, 10)), patient=desk.patient(work))
    work.caps.set(1, per=Period.DAY, doctor=desk.clinic.anna)
    return offer


def _outside_hours(desk: Desk, work: Work, day: date) -> VisitOffer:
    return _without_slot(desk, work, on(day, 14))


def _off_grid(desk: Desk, work: Work, day: date) -> VisitOffer:
    return _without_slot(desk, work, on(day, 9, 10))


def _not_generated(desk: Desk, work: Work, day: date) -> VisitOffer:
    return _without_slot(desk, work, on(day + 52 * 7 * DAY, 10))


def _closed(desk: Desk, work: Work, day: date) -> VisitOffer:
    offer = _at_nine(desk, work, day)
    work.closures.add(desk.clinic.facility, day)
    return offer


def _morning(day: date) -> Span:
    return Span(on(day, 8), on(day, 12))


def _blocked(desk: Desk, work: Work, day: date) -> VisitOffer:
    offer = _at_nine(desk, work, day)
    work.exceptions.block(desk.clinic.anna, at=desk.clinic.facility, between=_morning(day))
    return offer


def _nurses_away(desk: Desk, work: Work, day: date) -> VisitOffer:
    offer = desk.offer(work, on(day, 9, 20), desk.with_cara)
    for nurse in desk.nurses:
        work.exceptions.block(nurse, at=desk.clinic.facility, between=_morning(day))
    return offer


def _unreleased(desk: Desk, work: Work, day: date) -> VisitOffer:
    offer = _at_nine(desk, work, day)
    for rule in work.rules.of(desk.clinic.anna, at=desk.clinic.facility):
        work.rules.change(rule, release=Release(0, time(9)))
    return replace(offer, channel=WEB)


def _full(desk: Desk, work: Work, day: date) -> VisitOffer:
    offer = _at_nine(desk, work, day)
    work.visits.book(offer, patient=desk.patient(work))
    return offer


def _full_of_two(desk: Desk, work: Work, day: date) -> VisitOffer:
    offer = desk.offer(work, on(day, 9), desk.with_dora)
    for _ in range(2):
        work.visits.book(offer, patient=desk.patient(work))
    return offer


def _emergency(desk: Desk, work: Work, day: date) -> VisitOffer:
    offer = _at_nine(desk, work, day)
    work.exceptions.emergency(desk.clinic.anna, at=desk.clinic.facility, between=_morning(day))
    return offer


def _nurses_called_away(desk: Desk, work: Work, day: date) -> VisitOffer:
    offer = desk.offer(work, on(day, 9, 20), desk.with_cara)
    for nurse in desk.nurses:
        work.exceptions.emergency(nurse, at=desk.clinic.facility, between=_morning(day))
    return offer


def _doctor_taken(desk: Desk, work: Work, day: date) -> VisitOffer:
    offer = _at_nine(desk, work, day)
    override = Override(REASON, [BookingRule.HOURS])
    work.visits.book(_without_slot(desk, work, on(day, 9, 10)), patient=desk.patient(work), override=override)
    return offer


def _patient_busy(desk: Desk, work: Work, day: date) -> VisitOffer:
    work.visits.book(desk.offer(work, on(day, 9), desk.with_dora), patient=desk.tim)
    return _at_nine(desk, work, day)


def _nurses_taken(desk: Desk, work: Work, day: date) -> VisitOffer:
    step = WorkflowStep(1, work.step_templates.add("infusion", duration=HALF_HOUR), needs=[Need("nurse", 2)])
    service = work.services.add("infusion", duration=HALF_HOUR)
    infusion = work.offerings.add(service, by=desk.dora, at=desk.clinic.facility, steps=[step])
    offer = desk.offer(work, on(day, 9, 20), desk.with_cara)
    work.visits.book(desk.offer(work, on(day, 9), infusion), patient=desk.patient(work))
    return offer


def _held(desk: Desk, work: Work, day: date) -> VisitOffer:
    offer = _at_nine(desk, work, day)
    work.visits.hold(offer)
    return offer


def _one_of_two_held(desk: Desk, work: Work, day: date) -> VisitOffer:
    offer = desk.offer(work, on(day, 9), desk.with_dora)
    work.visits.book(offer, patient=desk.patient(work))
    work.visits.hold(offer)
    return offer


def _cancelled(desk: Desk, work: Work, day: date) -> VisitOffer:
    offer = _at_nine(desk, work, day)
    cancel = text(
        "update scheduling.availability_slots set status = 'cancelled' where doctor_id = :a and start_at = :s"
    )
    work.session.connection().execute(cancel, {"a": desk.clinic.anna, "s": offer.start_at})
    return offer


def _switched_off(desk: Desk, work: Work, day: date) -> VisitOffer:
    offer = _at_nine(desk, work, day)
    work.offerings.change(desk.clinic.with_anna, active=False)
    return offer


def _past(desk: Desk, work: Work, day: date) -> VisitOffer:
    offer = _at_nine(desk, work, day)
    early = tuple(replace(step, start_at=NOW - DAY, end_at=NOW - DAY + HALF_HOUR) for step in offer.steps)
    return replace(offer, slot=offer.slot._replace(start_at=NOW - DAY, end_at=NOW - DAY + HALF_HOUR), steps=early)


BROKEN_BY: Final[dict[Callable[[Desk, Work, date], VisitOffer], BookingRule | None]] = {
    _within_notice: BookingRule.NOTICE,
    _beyond_horizon: BookingRule.HORIZON,
    _beyond_cap: BookingRule.CAP,
    _outside_hours: BookingRule.HOURS,
    _off_grid: BookingRule.HOURS,
    _not_generated: BookingRule.HOURS,
    _closed: BookingRule.HOURS,
    _blocked: BookingRule.HOURS,
    _nurses_away: BookingRule.HOURS,
    _unreleased: BookingRule.RELEASE,
    _full: BookingRule.PLACES,
    _full_of_two: BookingRule.PLACES,
    _emergency: None,
    _nurses_called_away: None,
    _doctor_taken: None,
    _patient_busy: None,
    _nurses_taken: None,
    _held: None,
    _one_of_two_held: None,
    _cancelled: None,
    _switched_off: None,
    _past: None,
}
"""Each check of a booking, and the rule that an override must name to break it; None where no override does."""


@pytest.mark.parametrize("check", BROKEN_BY, ids=lambda check: check.__name__.strip("_"))
def test_b8_a_broken_rule_refuses_unless_the_override_names_it(
    desk: Desk, check: Callable[[Desk, Work, date], VisitOffer], request: pytest.FixtureRequest
) -> None:
    """All the other rules at once do not lift the check; with `--deep`, nor does each alone."""
    breaks = BROKEN_BY[check]
    with desk.tried() as work:
        offer = check(desk, work, desk.day())
        offering = OfferingId(int(offer.offering_id))
        others = [rule for rule in BookingRule if rule is not breaks]
        alone = [[rule] for rule in others] if request.config.getoption("--deep") else []
        for rules in [[], *alone, others]:
            with pytest.raises((NotOfferedError, SlotTakenError, CapReachedError, PatientBusyError)):
                work.visits.book(offer, patient=desk.tim, override=Override(REASON, rules) if rules else None)
        if breaks is None:
            if check is not _patient_busy:  # an offer is nobody's
                with pytest.raises(NotOfferedError):
                    work.visits.offer_at(offering, offer.start_at, override=Override(REASON, list(BookingRule)))
            return
        assert work.visits.offer_at(offering, offer.start_at, override=Override(REASON, [breaks])).steps == offer.steps
        visit = work.visits.book(offer, patient=desk.tim, override=Override(REASON, list(BookingRule)))
        (kept,) = rows(work, KEPT, visit=visit.id)
        assert kept == ([breaks.value], REASON, breaks is not BookingRule.HOURS)
        assert [step.start_at for step in visit.steps] == [step.start_at for step in offer.steps]


def test_b8_each_of_several_broken_rules_is_named(desk: Desk) -> None:
    notice, cap = BookingRule.NOTICE, BookingRule.CAP
    with broken(desk, cap, notice) as (offer, _), desk.tried() as work:
        for rules, error in (([notice], CapReachedError), ([cap], NotOfferedError)):
            with pytest.raises(error):
                work.visits.book(offer, patient=desk.tim, override=Override(REASON, rules))
        visit = work.visits.book(offer, patient=desk.tim, override=Override(REASON, [notice, cap]))
        assert rows(work, KEPT, visit=visit.id) == [(["cap", "notice"], REASON, True)]


def test_b8_a_refused_visit_without_a_slot_names_the_other_rules(desk: Desk) -> None:
    with broken(desk, BookingRule.CAP, BookingRule.NOTICE) as (offer, _), desk.tried() as work:
        with pytest.raises(NotOfferedError) as refused:
            _without_slot(desk, work, offer.start_at + 10 * HALF_HOUR)
        codes = [reason.code for reason in refused.value.reasons]
        assert codes == [ReasonCode.NOTICE, ReasonCode.CAP, ReasonCode.OUTSIDE_RULES]


def test_b8_an_override_of_rules_that_are_not_broken_is_refused(desk: Desk) -> None:
    with broken(desk) as (offer, _), desk.tried() as work:
        with pytest.raises(OverrideNotNeededError):
            work.visits.book(offer, patient=desk.tim, override=Override(REASON, list(BookingRule)))
        assert rows(work, VISITS, start=offer.start_at) == []


def test_b8_a_moved_visit_loses_its_override_or_gets_another(desk: Desk) -> None:
    override = Override(REASON, [BookingRule.NOTICE])
    with broken(desk, BookingRule.NOTICE) as (first, second), desk.tried() as work:
        visit = work.visits.book(first, patient=desk.tim, override=override)
        again = Override("the doctor agreed", [BookingRule.NOTICE])
        work.visits.reschedule(visit, to=second, override=again)
        assert rows(work, KEPT, visit=visit.id) == [(["notice"], "the doctor agreed", True)]
        work.policies.set(offering=desk.clinic.with_anna)
        work.visits.reschedule(visit, to=first)
        assert rows(work, KEPT, visit=visit.id) == [([], None, True)]


def test_b8_staff_override_and_a_doctor_for_the_own_schedule_only(desk: Desk) -> None:
    override = Override(REASON, [BookingRule.NOTICE])
    admin = desk.clinic.scheduler.add_admin(desk.clinic.slug, "Ada", email="ada@example.org")
    with desk.work(admin) as work:
        anna, ben = (work.users.add(name, role=UserRole.DOCTOR, email=f"{name}@example.org") for name in "ab")
        work.doctors.change(desk.clinic.anna, user=anna)
        work.doctors.change(desk.dora, user=ben)
    with broken(desk, BookingRule.NOTICE) as (offer, _):
        of_dora = replace(offer, slot=offer.slot._replace(doctor_id=desk.dora))
        for rules in ([BookingRule.NOTICE], [BookingRule.NOTICE, BookingRule.HOURS]):
            with desk.tried(ben) as work, pytest.raises(NotOfferedError):
                work.visits.book(of_dora, patient=desk.tim, override=Override(REASON, rules))
        for user in (ben, desk.sarah):
            with desk.tried(user) as work, pytest.raises(NotAllowedError):
                work.visits.book(offer, patient=desk.tim, override=override)
            with desk.tried(user) as work, pytest.raises(NotAllowedError):
                work.visits.offer_at(desk.clinic.with_anna, offer.start_at, override=override)
        for permitted in (anna, desk.staff, None):
            with desk.tried(permitted) as work:
                work.visits.book(offer, patient=desk.tim, override=override)


def test_b8_the_audit_log_names_rules_and_person_without_the_reason(desk: Desk) -> None:
    with broken(desk, BookingRule.NOTICE) as (offer, _):
        with desk.work(desk.staff) as work:
            visit = work.visits.book(
                offer, patient=desk.tim, override=Override(REASON, [BookingRule.NOTICE]), key="a key of the override"
            )
        with desk.work() as work:
            work.visits.cancel(visit.id, reason="the test is over")
    logged = all_rows(desk.url, LOGGED, str(visit.id))
    assert [(row[0], row[1]) for row in logged] == [(desk.staff, ["notice"])]
    assert REASON not in str(logged)


@pytest.mark.parametrize("override", [BookingRule.CAP, "cap", [BookingRule.CAP]])
def test_b8_an_override_of_another_kind_is_refused(desk: Desk, override: Override) -> None:
    with broken(desk) as (offer, _), desk.tried() as work, pytest.raises(InvalidInputError, match="override"):
        work.visits.book(offer, patient=desk.tim, override=override)
    with desk.tried() as work, pytest.raises(InvalidInputError, match="override"):
        work.visits.offer_at(desk.clinic.with_anna, offer.start_at, override=override)


SLOT = """
select status, booked_count, capacity from scheduling.availability_slots where doctor_id = :doctor and start_at = :start
"""
LEFT = """
select coalesce(max(places_left), 0) from scheduling.bookable_slots where doctor_id = :doctor and start_at = :start
"""
FIGURES = """
select places, booked_places, free_places from scheduling.doctor_days(:day, :day + 1) where doctor_id = :doctor
"""


def _slot(work: Work, doctor: DoctorId, start: datetime) -> tuple[str, int, int, int]:
    """Return the status of a slot, its count, its capacity, and the places that are left."""
    ((status, count, capacity),) = rows(work, SLOT, doctor=doctor, start=start)
    ((left,),) = rows(work, LEFT, doctor=doctor, start=start)
    return status, count, capacity, left


def test_b8_an_exceeded_slot_stays_booked_until_its_places_are_free(desk: Desk) -> None:
    day, anna = desk.day(), desk.clinic.anna
    start = on(day, 9)
    with desk.tried() as work:
        offer = _full(desk, work, day)
        extra = work.visits.book(offer, patient=desk.tim, override=Override(REASON, [BookingRule.PLACES]))
        assert _slot(work, anna, start) == ("booked", 1, 1, 0)
        assert rows(work, FIGURES, day=day, doctor=anna) == [(6, 1, 5)]
        reasons = work.visits.explain(desk.clinic.with_anna, day).starts[0].reasons
        assert {reason.cause_id for reason in reasons} > {extra.id}
        plan = work.visits.of_day(anna, day)
        assert [visit.start_at for visit in plan.visits] == [start, start]
        first = next(visit for visit in plan.visits if visit.id != extra.id)
        work.visits.cancel(first.id, reason="a cold")
        assert _slot(work, anna, start) == ("booked", 1, 1, 0)
        with pytest.raises(SlotTakenError):
            work.visits.book(offer, patient=desk.patient(work))
        work.visits.cancel(extra.id, reason="a cold")
        assert _slot(work, anna, start) == ("open", 0, 1, 1)


def test_b8_an_exceeded_slot_is_kept_by_changes_of_its_schedule(desk: Desk) -> None:
    day, dora = desk.day(), desk.dora
    start = on(day, 9)
    with desk.tried() as work:
        work.visits.book(
            _full_of_two(desk, work, day), patient=desk.tim, override=Override(REASON, [BookingRule.PLACES])
        )
        rules = work.rules.of(dora, at=desk.clinic.facility)
        for capacity, expected in ((3, ("booked", 3, 3, 0)), (1, ("booked", 3, 3, 0)), (4, ("open", 3, 4, 1))):
            for rule in rules:
                work.rules.change(rule, capacity=capacity)
            assert _slot(work, dora, start) == expected
        change = work.exceptions.block(dora, at=desk.clinic.facility, between=_morning(day))
        assert [stored.slot.start_at for stored in change.conflicting] == [start]


def test_b8_a_visit_without_a_slot_closes_the_slots_that_it_overlaps(desk: Desk) -> None:
    day, anna = desk.day(), desk.clinic.anna
    override = Override(REASON, [BookingRule.HOURS])
    with desk.tried() as work:
        at_nine = _at_nine(desk, work, day)
        visit = work.visits.book(_without_slot(desk, work, on(day, 8, 50)), patient=desk.tim, override=override)
        assert _slot(work, anna, on(day, 9)) == ("open", 0, 1, 0)
        assert _slot(work, anna, on(day, 9, 30)) == ("open", 0, 1, 1)
        assert rows(work, FIGURES, day=day, doctor=anna) == [(6, 0, 5)]
        start = work.visits.explain(desk.clinic.with_anna, day).starts[0]
        assert [(reason.code, reason.cause_id) for reason in start.reasons] == [(ReasonCode.BOOKED, visit.id)]
        assert [one.id for one in work.visits.of_day(anna, day).visits] == [visit.id]
        moved = work.visits.reschedule(visit, to=at_nine)
        assert rows(work, KEPT, visit=moved.id) == [([], None, True)]
        assert _slot(work, anna, on(day, 9)) == ("booked", 1, 1, 0)
        back = work.visits.reschedule(visit, to=_without_slot(desk, work, on(day, 8, 30)), override=override)
        assert rows(work, KEPT, visit=back.id) == [(["hours"], REASON, False)]
        assert _slot(work, anna, on(day, 9)) == ("open", 0, 1, 1)


def test_b8_a_block_or_an_emergency_reports_visits_without_a_slot(desk: Desk) -> None:
    day, anna, place = desk.day(), desk.clinic.anna, desk.clinic.facility
    with desk.tried() as work:
        offer = _without_slot(desk, work, on(day, 14))
        visit = work.visits.book(offer, patient=desk.tim, override=Override(REASON, [BookingRule.HOURS]))
        elsewhere = work.exceptions.block(anna, at=place, between=Span(on(day, 15), on(day, 16)))
        assert elsewhere.conflicting_visits == ()
        block = work.exceptions.block(anna, at=place, between=Span(on(day, 14, 20), on(day, 15)))
        assert block.conflicting_visits == (visit.id,)
        (written,) = block.written
        assert isinstance(written, AvailabilityException)
        assert work.exceptions.remove(written).conflicting_visits == ()
        assert work.closures.add(place, day).conflicting_visits == (visit.id,)


def test_b8_a_visit_with_steps_has_no_slot_and_waits_for_its_resources(desk: Desk) -> None:
    day = desk.day()
    override = Override(REASON, [BookingRule.HOURS])
    with desk.tried() as work:
        first = work.visits.book(
            _without_slot(desk, work, on(day, 14), desk.with_cara), patient=desk.tim, override=override
        )
        assert [(step.start_at.minute, step.resources) for step in first.steps] == [
            (0, {"nurse": (desk.nurses[0],)}),
            (10, {}),
            (30, {"nurse": (desk.nurses[0],), "room": (desk.room,)}),
        ]


def test_b8_places_are_for_staff_and_named_on_an_open_slot_not_needed(desk: Desk) -> None:
    override = Override(REASON, [BookingRule.HOURS, BookingRule.PLACES])
    with broken(desk) as (offer, _), desk.tried() as work:
        with pytest.raises(OverrideNotNeededError):
            work.visits.book(offer, patient=desk.tim, override=override)
        assert work.visits.offer_at(desk.clinic.with_anna, offer.start_at, override=override) == offer


def test_b8_a_visit_on_an_exceeded_slot_moves_there_by_an_override_only(desk: Desk) -> None:
    places = Override(REASON, [BookingRule.PLACES])
    with desk.tried() as work:
        offer = _full(desk, work, desk.day())
        visit = work.visits.book(offer, patient=desk.tim, override=places)
        with pytest.raises(SlotTakenError):
            work.visits.reschedule(visit, to=offer)
        again = work.visits.reschedule(visit, to=offer, override=places)
        assert rows(work, KEPT, visit=again.id) == [(["places"], REASON, True)]
