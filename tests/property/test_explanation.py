"""Explanations property by property, against expansion and a slow check of bookings (Q3)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

from hypothesis import assume, given
from hypothesis import strategies as st

from scheduler.core.bookings import BookingContext
from scheduler.core.expansion import expand
from scheduler.core.explanation import explain
from scheduler.core.lifecycle import SlotStatus
from scheduler.core.reasons import ReasonCode
from scheduler.core.reconciliation import StoredSlot
from scheduler.core.schedules import Schedule
from scheduler.core.slots import Id, Slot
from scheduler.core.spans import Span
from scheduler.core.uses import Use
from support import strategies

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
SEARCH = timedelta(days=4)
NO_BOOKINGS = BookingContext()
CODES = list(ReasonCode)


@dataclass(frozen=True)
class Question:
    """A schedule, a local day near its windows, and a booking context."""

    schedule: Schedule
    day: date
    bookings: BookingContext = NO_BOOKINGS


@lru_cache(maxsize=256)
def begin_of(day: date, zone: ZoneInfo) -> datetime:
    """Return the first minute at which the wall shows the day's midnight or more (T3)."""
    midnight = datetime.combine(day, time())
    at = midnight.replace(tzinfo=UTC) - 26 * 60 * MINUTE
    while at.astimezone(zone).replace(tzinfo=None) < midnight:
        at += MINUTE
    return at


def scheduled_on(schedule: Schedule, day: date) -> list[Slot]:
    """Return the scheduled slots of a local day, selected from the days around it."""
    begin, end = begin_of(day, schedule.zone), begin_of(day + DAY, schedule.zone)
    around = expand(schedule, Span(begin - 2 * DAY, end + 2 * DAY))
    return [slot for slot in around if begin <= slot.start_at < end]


def bare(schedule: Schedule) -> Schedule:
    """Return the schedule with unlimited rules, without exceptions and closures."""
    rules = [strategies.unlimited(rule) for rule in schedule.rules if rule.active]
    return replace(schedule, rules=rules, exceptions=(), closures=())


def overlap(start_at: datetime, end_at: datetime, slot: Slot) -> bool:
    return max(start_at, slot.start_at) < min(end_at, slot.end_at)


def is_available(slot: Slot, bookings: BookingContext) -> bool:
    """Decide in the slowest way whether a scheduled slot is available."""
    if bookings.now is not None:
        if slot.start_at < bookings.now + bookings.notice:
            return False
        if bookings.horizon is not None and slot.start_at > bookings.now + bookings.horizon:
            return False
    capacity = next((stored.slot.capacity for stored in bookings.stored if stored.slot[:5] == slot[:5]), slot.capacity)
    for use in bookings.uses:
        ended = use.ends_at is not None and bookings.now is not None and bookings.now >= use.ends_at
        shared = capacity > 1 and use.slot is not None and tuple(use.slot) == slot[:5]
        if not ended and not shared and overlap(use.span.start, use.span.end, slot):
            return False
    for stored in bookings.stored:
        reserved = stored.status == "reserved" and (
            bookings.now is None or stored.reserved_until is None or stored.reserved_until > bookings.now
        )
        if reserved and overlap(stored.slot.start_at, stored.slot.end_at, slot):
            return False
        if stored.slot[:5] == slot[:5] and (
            stored.status in {"booked", "cancelled"} or stored.booked_count + stored.held_count >= capacity
        ):
            return False
    return True


def available(slots: Sequence[Slot], bookings: BookingContext) -> list[Slot]:
    return [slot for slot in slots if is_available(slot, bookings)]


@st.composite
def questions(draw: st.DrawFn) -> Question:
    zone = draw(strategies.zones)
    near = draw(strategies.days(zone))
    return Question(draw(strategies.schedules(near, zone)), near + draw(st.sampled_from((0, 0, -1, 1))) * DAY)


@st.composite
def questions_with_bookings(draw: st.DrawFn) -> Question:
    question = draw(questions())
    begin = begin_of(question.day, question.schedule.zone)
    now = draw(st.one_of(st.none(), st.integers(-2880, 2880).map(lambda count: begin + count * MINUTE)))
    slots = expand(question.schedule, Span(begin - DAY, begin + 2 * DAY))
    stored: list[StoredSlot] = []
    for number in range(draw(st.integers(0, 4)) if slots else 0):
        slot = draw(st.sampled_from(slots))._replace(capacity=draw(st.integers(1, 2)))
        if draw(st.booleans()):  # a slot that only overlaps
            slot = slot._replace(service_offering_id=9, start_at=slot.start_at - MINUTE)
        if slot.identity in {row.slot.identity for row in stored}:
            continue
        status, booked_count = draw(st.sampled_from(SlotStatus)), draw(st.integers(0, slot.capacity))
        until = draw(st.one_of(st.none(), st.integers(-60, 60).map(lambda count: (now or begin) + count * MINUTE)))
        stored.append(StoredSlot(number, slot, status, booked_count, until, draw(st.integers(0, 2))))
    taken = []
    for number in range(draw(st.integers(0, 3)) if slots else 0):
        slot = draw(st.sampled_from([*slots, *(row.slot for row in stored)]))
        start_at = slot.start_at + draw(st.one_of(st.just(0), st.integers(-30, 30))) * MINUTE
        end_at = start_at + draw(
            st.one_of(st.just(slot.duration), st.integers(1, 90).map(lambda count: count * MINUTE))
        )
        ends_at = draw(st.one_of(st.none(), st.integers(-60, 60).map(lambda count: (now or begin) + count * MINUTE)))
        on = draw(st.sampled_from((slot.identity, None)))
        taken.append(Use(Span(start_at, end_at), on, 100 + number, ends_at, draw(st.sampled_from((5, 6)))))
    notice = draw(st.integers(0, 1440)) * MINUTE
    horizon = draw(st.one_of(st.none(), st.integers(0, 2880).map(lambda count: notice + count * MINUTE)))
    return replace(question, bookings=BookingContext(stored, taken, now, notice, horizon))


@given(questions())
def test_q3_every_start_of_a_rule_that_is_not_offered_has_a_reason(question: Question) -> None:
    schedule, day = question.schedule, question.day
    offered = {slot.start_at for slot in scheduled_on(schedule, day)}
    starts = {slot.start_at for slot in scheduled_on(bare(schedule), day)} - offered
    assert starts <= {start for reason in explain(schedule, day) for start in reason.starts}


@given(questions())
def test_q3_every_booking_without_a_scheduled_slot_is_a_reason(question: Question) -> None:
    """A doctor who left keeps the visits that are booked: they stay stored (R2)."""
    slots = scheduled_on(question.schedule, question.day)
    assume(slots)
    uses = [
        Use(Span(slot.start_at, slot.end_at), slot.identity, number, facility_id=5) for number, slot in enumerate(slots)
    ]
    left = explain(Schedule(7, 5, question.schedule.zone), question.day, bookings=BookingContext(uses=uses))
    assert [reason.cause_id for reason in left if reason.code is ReasonCode.BOOKED] == [use.id for use in uses]


@given(questions_with_bookings())
def test_q3_every_scheduled_start_that_is_unavailable_has_a_reason(question: Question) -> None:
    slots = scheduled_on(question.schedule, question.day)
    starts = {slot.start_at for slot in slots} - {slot.start_at for slot in available(slots, question.bookings)}
    explanation = explain(question.schedule, question.day, bookings=question.bookings)
    assert starts <= {start for reason in explanation for start in reason.starts}


@given(questions_with_bookings())
def test_q3_no_reason_is_given_against_a_start_that_is_offered(question: Question) -> None:
    explanation = explain(question.schedule, question.day, bookings=question.bookings)
    slots = available(scheduled_on(question.schedule, question.day), question.bookings)
    starts = {start for reason in explanation for start in reason.starts}
    assert starts.isdisjoint(slot.start_at for slot in slots)


@given(questions())
def test_q3_offered_slots_are_the_expansion_of_the_local_day(question: Question) -> None:
    assert list(explain(question.schedule, question.day).offered) == scheduled_on(question.schedule, question.day)


@given(questions_with_bookings())
def test_q3_offered_slots_are_the_available_ones_of_the_expansion(question: Question) -> None:
    explanation = explain(question.schedule, question.day, bookings=question.bookings)
    assert list(explanation.offered) == available(scheduled_on(question.schedule, question.day), question.bookings)


@given(questions_with_bookings(), st.integers(0, 1439), st.booleans())
def test_q3_an_instant_has_no_reason_if_and_only_if_a_slot_starts_then(
    question: Question, minute: int, at_a_start: bool
) -> None:
    begin = begin_of(question.day, question.schedule.zone)
    slots = expand(question.schedule, Span(begin - 2 * DAY, begin + 3 * DAY))
    at = slots[minute % len(slots)].start_at if at_a_start and slots else begin + minute * MINUTE
    slots_then = available([slot for slot in slots if slot.start_at == at], question.bookings)
    explanation = explain(question.schedule, at, bookings=question.bookings)
    assert list(explanation.offered) == slots_then
    assert (len(explanation) == 0) is bool(slots_then)


@given(questions_with_bookings(), st.one_of(st.none(), st.integers(0, 1439)))
def test_q3_nearest_is_the_nearest_available_slot(question: Question, minute: int | None) -> None:
    begin = begin_of(question.day, question.schedule.zone)
    at = begin if minute is None else begin + minute * MINUTE
    explanation = explain(
        question.schedule, question.day if minute is None else at, bookings=question.bookings, search=SEARCH
    )
    around = available(
        expand(question.schedule, Span(at - SEARCH, at + SEARCH + timedelta.resolution)), question.bookings
    )
    if minute is None:
        in_the_day = [
            slot for slot in around if begin <= slot.start_at < begin_of(question.day + DAY, question.schedule.zone)
        ]
        around = in_the_day[:1] or around
    if explanation.nearest is None:
        assert not around
    else:
        assert explanation.nearest in around
        least = min(abs(slot.start_at - at) for slot in around)
        tied = {slot.start_at for slot in around if abs(slot.start_at - at) == least}
        assert explanation.nearest.start_at == max(tied)


@given(questions_with_bookings())
def test_q3_reasons_are_sorted_by_time_then_from_strong_to_weak(question: Question) -> None:
    explanation = explain(question.schedule, question.day, bookings=question.bookings)
    order = [(reason.start_at, CODES.index(reason.code)) for reason in explanation]
    assert order == sorted(order)


@given(questions_with_bookings())
def test_q3_a_reason_names_a_cause_of_its_kind(question: Question) -> None:
    exceptions: dict[ReasonCode, set[Id | None]] = {
        kind: {exception.id for exception in question.schedule.exceptions if exception.type.value == kind.value}
        for kind in CODES
    }
    stored_ids: set[Id | None] = {stored.id for stored in question.bookings.stored}
    visits = {use.id for use in question.bookings.uses if use.ends_at is None}
    holds = {use.id for use in question.bookings.uses if use.ends_at is not None}
    causes: dict[ReasonCode, set[Id | None]] = {
        ReasonCode.EMERGENCY: exceptions[ReasonCode.EMERGENCY],
        ReasonCode.BLOCKED: exceptions[ReasonCode.BLOCKED],
        ReasonCode.OVERRIDE: exceptions[ReasonCode.OVERRIDE],
        ReasonCode.OVERRIDE_WITHOUT_SLOTS: exceptions[ReasonCode.OVERRIDE],
        ReasonCode.CLOSURE: {*(closure.id for closure in question.schedule.closures)},
        ReasonCode.BOOKED: visits,
        ReasonCode.CAPACITY: stored_ids,
        ReasonCode.HELD: stored_ids | holds,
        ReasonCode.CANCELLED: stored_ids,
    }
    for reason in explain(question.schedule, question.day, bookings=question.bookings):
        assert reason.cause_id in causes.get(reason.code, {None})


@given(questions())
def test_a3_the_order_of_the_schedules_parts_changes_no_explanation(question: Question) -> None:
    schedule = question.schedule
    back = replace(
        schedule, rules=schedule.rules[::-1], exceptions=schedule.exceptions[::-1], closures=schedule.closures[::-1]
    )
    forth, backward = explain(schedule, question.day), explain(back, question.day)
    reasons = [
        {
            (reason.code, reason.start_at, reason.end_at, reason.starts, reason.rule_id, reason.cause_id)
            for reason in explanation
        }
        for explanation in (forth, backward)
    ]
    assert reasons[0] == reasons[1]
    assert forth.nearest == backward.nearest
