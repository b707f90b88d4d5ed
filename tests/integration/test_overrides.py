"""Overrides at the desk: staff break rules of booking, each named, for a reason that is kept (B8)."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import Any, Final

import pytest

from scheduler.booking.errors import (
    BookingError,
    CapReachedError,
    NotOfferedError,
    OverrideNotNeededError,
    SlotTakenError,
)
from scheduler.core.caps import Period
from scheduler.core.errors import InvalidInputError
from scheduler.core.offers import VisitOffer
from scheduler.core.overrides import BookingRule, Override
from scheduler.core.reasons import ReasonCode
from scheduler.models import UserRole
from scheduler.postgres.errors import NotAllowedError
from support.desks import HALF_HOUR, Desk, all_rows, on, open_desk, rows

pytestmark = pytest.mark.database

DAY = timedelta(days=1)
REASON = "the mother works nights"
KEPT = "select override_rules, override_reason from scheduling.appointments where id = :visit"
VISITS = "select id from scheduling.appointments where start_at = :start and status = 'scheduled'"
LOGGED = """
select user_id, after->'override_rules', after::text from audit.user_action_audit_log
where entity = 'scheduling.appointments' and action = 'update' and after ? 'override_rules' and entity_key = %s
"""
BREAKS: Final[dict[BookingRule, dict[str, Any] | None]] = {
    BookingRule.NOTICE: {"notice": 60 * DAY},
    BookingRule.HORIZON: {"horizon": 0},
    BookingRule.CAP: None,
}
CODES = {BookingRule.NOTICE: ReasonCode.NOTICE, BookingRule.HORIZON: ReasonCode.HORIZON}


@pytest.fixture(scope="module")
def desk(database_url: str) -> Iterator[Desk]:
    with open_desk(database_url) as opened:
        yield opened


@contextmanager
def broken(desk: Desk, *rules: BookingRule) -> Iterator[tuple[VisitOffer, VisitOffer]]:
    """Offer two visits with Anna, of which the first breaks rules while the block lasts."""
    day = desk.day()
    with desk.work() as work:
        first, second = (desk.offer(work, on(day, 9) + delay) for delay in (0 * HALF_HOUR, HALF_HOUR))
    with ExitStack() as stack:
        for rule in rules:
            stack.enter_context(_breaking(desk, rule, second))
        yield first, second


@contextmanager
def _breaking(desk: Desk, rule: BookingRule, beside: VisitOffer) -> Iterator[None]:
    fields = BREAKS[rule]
    if fields is None:
        with desk.work() as work:
            visit = work.visits.book(beside, patient=desk.patient(work))
            cap = work.caps.set(1, per=Period.DAY, doctor=desk.clinic.anna)
        try:
            yield
        finally:
            with desk.work() as work:
                work.caps.remove(cap)
                work.visits.cancel(visit.id, reason="the test is over")
        return
    with desk.work() as work:
        work.policies.set(offering=desk.clinic.with_anna, **fields)
    try:
        yield
    finally:
        with desk.work() as work:
            work.policies.set(offering=desk.clinic.with_anna)


@pytest.mark.parametrize("rule", list(BREAKS))
@pytest.mark.parametrize("named", [*BookingRule, None])
def test_b8_a_broken_rule_refuses_unless_the_override_names_it(
    desk: Desk, rule: BookingRule, named: BookingRule | None
) -> None:
    override = None if named is None else Override(REASON, [named])
    with broken(desk, rule) as (offer, _), desk.tried(desk.staff) as work:
        if named is rule:
            assert work.visits.offer_at(desk.clinic.with_anna, offer.start_at, override=override) == offer
            visit = work.visits.book(offer, patient=desk.tim, override=override)
            assert rows(work, KEPT, visit=visit.id) == [([rule.value], REASON)]
            return
        with pytest.raises(BookingError) as refused:
            work.visits.book(offer, patient=desk.tim, override=override)
        assert rows(work, VISITS, start=offer.start_at) == []
    if rule is BookingRule.CAP:
        assert isinstance(refused.value, CapReachedError)
    else:
        assert isinstance(refused.value, NotOfferedError)
        assert [reason.code for reason in refused.value.reasons] == [CODES[rule]]


def test_b8_each_of_several_broken_rules_is_named(desk: Desk) -> None:
    notice, cap = BookingRule.NOTICE, BookingRule.CAP
    with broken(desk, cap, notice) as (offer, _), desk.tried() as work:
        for rules, error in (([notice], CapReachedError), ([cap], NotOfferedError)):
            with pytest.raises(error):
                work.visits.book(offer, patient=desk.tim, override=Override(REASON, rules))
        visit = work.visits.book(offer, patient=desk.tim, override=Override(REASON, [notice, cap]))
        assert rows(work, KEPT, visit=visit.id) == [(["cap", "notice"], REASON)]


def test_b8_an_override_of_rules_that_are_not_broken_is_refused(desk: Desk) -> None:
    with broken(desk) as (offer, _), desk.tried() as work:
        with pytest.raises(OverrideNotNeededError):
            work.visits.book(offer, patient=desk.tim, override=Override(REASON, list(BookingRule)))
        assert rows(work, VISITS, start=offer.start_at) == []


def test_b8_a_taken_place_is_not_overridden(desk: Desk) -> None:
    override = Override(REASON, list(BookingRule))
    with broken(desk, BookingRule.NOTICE) as (offer, _), desk.tried() as work:
        work.visits.book(offer, patient=desk.patient(work), override=override)
        with pytest.raises(SlotTakenError):
            work.visits.book(offer, patient=desk.tim, override=override)


def test_b8_a_moved_visit_loses_its_override_or_gets_another(desk: Desk) -> None:
    override = Override(REASON, [BookingRule.NOTICE])
    with broken(desk, BookingRule.NOTICE) as (first, second), desk.tried() as work:
        visit = work.visits.book(first, patient=desk.tim, override=override)
        again = Override("the doctor agreed", [BookingRule.NOTICE])
        work.visits.reschedule(visit, to=second, override=again)
        assert rows(work, KEPT, visit=visit.id) == [(["notice"], "the doctor agreed")]
        work.policies.set(offering=desk.clinic.with_anna)
        work.visits.reschedule(visit, to=first)
        assert rows(work, KEPT, visit=visit.id) == [([], None)]


def test_b8_staff_override_and_a_doctor_for_the_own_schedule_only(desk: Desk) -> None:
    override = Override(REASON, [BookingRule.NOTICE])
    admin = desk.clinic.scheduler.add_admin(desk.clinic.slug, "Ada", email="ada@example.org")
    with desk.work(admin) as work:
        anna, ben = (work.users.add(name, role=UserRole.DOCTOR, email=f"{name}@example.org") for name in "ab")
        work.doctors.change(desk.clinic.anna, user=anna)
    with broken(desk, BookingRule.NOTICE) as (offer, _):
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
