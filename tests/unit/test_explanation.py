"""Explanations by example: one for every reason code, and the rest of an explanation (Q3)."""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from scheduler.core.bookings import BookingContext
from scheduler.core.errors import InvalidInputError, InvalidRecurrenceError, InvalidSpanError, WallClockError
from scheduler.core.expansion import expand
from scheduler.core.explanation import explain
from scheduler.core.lifecycle import SlotStatus
from scheduler.core.reasons import Reason, ReasonCode
from scheduler.core.reconciliation import StoredSlot
from scheduler.core.schedules import AvailabilityException, AvailabilityRule, Closure, ExceptionType, Schedule
from scheduler.core.slot_reasons import starting_slots
from scheduler.core.slots import Slot, Slots
from scheduler.core.spans import Span
from scheduler.core.uses import Use

TWENTY = timedelta(minutes=20)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
MONDAY = date(2027, 3, 1)
NINE = datetime(2027, 3, 1, 9, tzinfo=UTC)
TEN = datetime(2027, 3, 1, 10, tzinfo=UTC)
MONDAYS = AvailabilityRule(1, 1, time(9), time(10), TWENTY)
CLINIC = Schedule(7, 5, "Europe/London", [MONDAYS])
NO_BOOKINGS = BookingContext()
FIRST = Slot(NINE, NINE + TWENTY, 7, 5, None, 1, 1)


def clinic(*exceptions: AvailabilityException, **fields: Any) -> Schedule:
    return replace(CLINIC, rules=[replace(MONDAYS, **fields)], exceptions=exceptions)


def exception(kind: ExceptionType, *, exception_id: int = 3, **fields: Any) -> AvailabilityException:
    return AvailabilityException(exception_id, kind, fields.pop("start_at", NINE), fields.pop("end_at", TEN), **fields)


def visit(slot: Slot = FIRST, *, visit_id: int = 4) -> Use:
    return Use(Span(slot.start_at, slot.end_at), slot.identity, visit_id, facility_id=slot.facility_id)


def bookings(status: SlotStatus, booked_count: int = 0, *, capacity: int = 1, **fields: Any) -> BookingContext:
    return BookingContext([StoredSlot(4, FIRST._replace(capacity=capacity), status, booked_count, **fields)])


@dataclass(frozen=True)
class Example:
    """An instant with a single reason."""

    text: str
    schedule: Schedule = CLINIC
    at: datetime = NINE
    bookings: BookingContext = NO_BOOKINGS
    cause_id: int | None = None
    rule_id: int | None = 1


EXAMPLES = {
    ReasonCode.HORIZON: Example(
        "it starts after the booking horizon of 7 days, 0:00:00",
        bookings=BookingContext(now=NINE - timedelta(days=8), horizon=timedelta(days=7)),
    ),
    ReasonCode.NOTICE: Example(
        "it starts within the minimum notice of 2:00:00",
        bookings=BookingContext(now=NINE - timedelta(hours=1), notice=timedelta(hours=2)),
    ),
    ReasonCode.EMERGENCY: Example(
        "emergency exception 3 takes this time", clinic(exception(ExceptionType.EMERGENCY)), cause_id=3
    ),
    ReasonCode.BLOCKED: Example(
        "blocked exception 3 takes this time", clinic(exception(ExceptionType.BLOCKED)), cause_id=3
    ),
    ReasonCode.BOOKED: Example("visit 4 takes the doctor", bookings=BookingContext(uses=[visit()]), cause_id=4),
    ReasonCode.CAPACITY: Example(
        "all 2 places are booked", clinic(capacity=2), bookings=bookings(SlotStatus.OPEN, 2, capacity=2), cause_id=4
    ),
    ReasonCode.HELD: Example(
        "slot 4 is held until 2027-03-01T10:00:00+00:00",
        bookings=bookings(SlotStatus.RESERVED, reserved_until=TEN),
        cause_id=4,
    ),
    ReasonCode.CANCELLED: Example("slot 4 was cancelled by hand", bookings=bookings(SlotStatus.CANCELLED), cause_id=4),
    ReasonCode.OVERRIDE: Example(
        "override 3 replaces rule 1 on this day",
        clinic(exception(ExceptionType.OVERRIDE, start_at=TEN, end_at=TEN + TWENTY)),
        cause_id=3,
    ),
    ReasonCode.OVERRIDE_WITHOUT_SLOTS: Example(
        "override 3 has neither a rule in force nor a slot duration of its own",
        replace(CLINIC, rules=[], exceptions=[exception(ExceptionType.OVERRIDE)]),
        cause_id=3,
        rule_id=None,
    ),
    ReasonCode.CLOSURE: Example(
        "the facility is closed on this day (closure 6)", replace(CLINIC, closures=[Closure(6, MONDAY)]), cause_id=6
    ),
    # Apia's clock went from Thursday 2011-12-29 to Saturday; Friday's night window would reach into Saturday.
    ReasonCode.MISSING_DAY: Example(
        "the clocks of Pacific/Apia skipped this day",
        replace(clinic(day_of_week=5, start_time=time(22), end_time=time(6)), zone=ZoneInfo("Pacific/Apia")),
        datetime(2011, 12, 30, 10, tzinfo=UTC),
    ),
    ReasonCode.NOT_EFFECTIVE: Example(
        "rule 1 is not in force on this day", clinic(effective_until=MONDAY - timedelta(days=1))
    ),
    ReasonCode.RECURRENCE: Example(
        "the recurrence of rule 1 leaves this day out", clinic(recurrence="FREQ=MONTHLY;BYDAY=2MO")
    ),
    ReasonCode.TOO_SHORT: Example("the open time is shorter than one slot of 0:20:00", clinic(end_time=time(9, 10))),
    ReasonCode.OFF_GRID: Example(
        "it lies in an open time, but no slot starts then", at=NINE + timedelta(minutes=5), rule_id=None
    ),
    ReasonCode.OUTSIDE_RULES: Example("no rule opens this time", at=TEN, rule_id=None),
}


def test_q3_every_reason_has_an_example() -> None:
    given_by_booking = {ReasonCode.CAP, ReasonCode.RELEASE, ReasonCode.NO_RESOURCE, ReasonCode.NOT_GENERATED}
    assert list(EXAMPLES) == [code for code in ReasonCode if code not in given_by_booking]


@pytest.mark.parametrize("code", EXAMPLES)
def test_q3_an_instant_that_is_not_offered_has_its_reason(code: ReasonCode) -> None:
    example = EXAMPLES[code]
    explanation = explain(example.schedule, example.at, bookings=example.bookings)
    assert [(reason.code, reason.text, reason.cause_id, reason.rule_id) for reason in explanation] == [
        (code, example.text, example.cause_id, example.rule_id)
    ]


@pytest.mark.parametrize("code", [code for code in EXAMPLES if code is not ReasonCode.OFF_GRID])
def test_q3_a_day_has_the_reason_too(code: ReasonCode) -> None:
    """An instant off the grid is left out: the reasons of a day concern its starts."""
    example = EXAMPLES[code]
    day = example.at.astimezone(example.schedule.zone).date()
    assert code in explain(example.schedule, day, bookings=example.bookings).codes


@pytest.mark.parametrize("at", [NINE + TWENTY, NINE + 2 * TWENTY])
def test_q3_a_start_at_a_closed_time_names_the_closure(at: datetime) -> None:
    closed = replace(CLINIC, closures=[Closure(6, MONDAY, time(9, 30), time(9, 50)), Closure(7, MONDAY + DAY)])
    (reason,) = explain(closed, at)
    assert (reason.code, reason.cause_id, reason.rule_id) == (ReasonCode.CLOSURE, 6, 1)
    assert reason.text == "the facility is closed at this time (closure 6)"
    assert explain(closed, MONDAY).offered == explain(closed, NINE).offered == (FIRST,)


def test_q3_of_several_closed_times_the_lowest_id_is_named() -> None:
    """Detail 9."""
    times = [Closure(7, MONDAY, time(9), time(9, 50)), Closure(6, MONDAY, time(9, 30), time(9, 50))]
    closed = replace(CLINIC, closures=times)
    assert [reason.cause_id for reason in explain(closed, NINE)] == [7]
    assert [reason.cause_id for reason in explain(closed, NINE + TWENTY)] == [6]


def test_q3_the_bookings_of_a_day_share_one_expansion(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fixed slowness: the schedule was expanded once for each booking."""
    spans: list[Span] = []

    def counted(schedule: Schedule, span: Span) -> Slots:
        spans.append(span)
        return expand(schedule, span)

    for module in ("explanation", "slot_reasons"):
        monkeypatch.setattr(f"scheduler.core.{module}.expand", counted)
    before_midnight = NINE - timedelta(hours=9, minutes=10)
    slots = [FIRST._replace(start_at=at, end_at=at + TWENTY) for at in (before_midnight, NINE, TEN)]
    taken = BookingContext(uses=[visit(slot, visit_id=number) for number, slot in enumerate(slots)])
    causes = [reason.cause_id for reason in explain(CLINIC, MONDAY, bookings=taken)]
    assert [cause for cause in causes if cause is not None] == [0, 1, 2]
    day = Span(NINE - 9 * HOUR, NINE + 15 * HOUR)
    assert spans == [day, Span(before_midnight, TEN + timedelta(microseconds=1))]


def test_q3_the_starting_slots_of_a_span_have_their_reasons_one_by_one() -> None:
    blocked = exception(ExceptionType.BLOCKED, start_at=NINE + TWENTY, end_at=TEN)
    found = starting_slots(clinic(blocked), Span(NINE, TEN), bookings=BookingContext(uses=[visit()]))
    assert list(found.scheduled) == [FIRST.identity]
    assert [(slot.start_at, reason.code) for slot, reason in found.against] == [
        (NINE, ReasonCode.BOOKED),
        (NINE + TWENTY, ReasonCode.BLOCKED),
        (NINE + 2 * TWENTY, ReasonCode.BLOCKED),
    ]


def test_q3_an_instant_off_the_grid_at_a_closed_time_names_the_closure() -> None:
    closed = replace(CLINIC, closures=[Closure(6, MONDAY, time(9, 30), time(9, 50))])
    assert explain(closed, NINE + timedelta(minutes=35)).codes == (ReasonCode.CLOSURE, ReasonCode.OFF_GRID)
    assert explain(closed, NINE + timedelta(minutes=50)).codes == (ReasonCode.OFF_GRID,)


def test_q3_a_day_lists_the_starts_of_each_reason_once() -> None:
    block = exception(ExceptionType.BLOCKED, start_at=NINE + TWENTY)
    explanation = explain(clinic(block), MONDAY)
    starts = (NINE + TWENTY, NINE + 2 * TWENTY)
    text = "blocked exception 3 takes this time"
    midnight, next_midnight = datetime(2027, 3, 1, tzinfo=UTC), datetime(2027, 3, 2, tzinfo=UTC)
    assert explanation[:] == (
        Reason(ReasonCode.OUTSIDE_RULES, midnight, NINE, "no rule opens this time"),
        Reason(ReasonCode.BLOCKED, starts[0], TEN, text, starts, rule_id=1, cause_id=3),
        Reason(ReasonCode.OUTSIDE_RULES, TEN, next_midnight, "no rule opens this time"),
    )


def test_q3_each_code_is_listed_once_from_strong_to_weak() -> None:
    block, emergency = (
        exception(kind, exception_id=number)
        for number, kind in enumerate((ExceptionType.BLOCKED, ExceptionType.EMERGENCY))
    )
    codes = explain(clinic(block, emergency), MONDAY).codes
    assert codes == (ReasonCode.EMERGENCY, ReasonCode.BLOCKED, ReasonCode.OUTSIDE_RULES)


def test_q3_of_two_reasons_from_one_instant_the_stronger_is_first() -> None:
    nothing = exception(ExceptionType.OVERRIDE, rule_id=2)
    rules = [replace(MONDAYS, end_time=time(9, 10)), replace(MONDAYS, id=2, active=False)]
    explanation = explain(replace(CLINIC, rules=rules, exceptions=[nothing]), MONDAY)
    assert [reason.code for reason in explanation if reason.start_at == NINE] == [
        ReasonCode.OVERRIDE_WITHOUT_SLOTS,
        ReasonCode.TOO_SHORT,
    ]


def test_a3_of_two_overrides_the_lower_id_is_named() -> None:
    nine, ten = (
        exception(ExceptionType.OVERRIDE, exception_id=number, start_at=TEN, end_at=TEN + TWENTY) for number in (9, 10)
    )
    for overrides in ((nine, ten), (ten, nine)):
        assert [reason.cause_id for reason in explain(clinic(*overrides), NINE)] == [9]


def test_a3_of_two_closures_the_lower_id_is_named() -> None:
    nine, ten = Closure(9, MONDAY), Closure(10, MONDAY)
    for closures in ((nine, ten), (ten, nine)):
        assert [reason.cause_id for reason in explain(replace(CLINIC, closures=closures), NINE)] == [9]


def test_a3_the_stronger_exception_is_named_first() -> None:
    both = [exception(kind, exception_id=number) for number, kind in enumerate(ExceptionType) if kind != "override"]
    for exceptions in (both, both[::-1]):
        assert [reason.cause_id for reason in explain(clinic(*exceptions), NINE)] == [2, 1]


def test_s2_a_slot_that_two_rules_yield_is_offered_once() -> None:
    twins = replace(CLINIC, rules=[MONDAYS, replace(MONDAYS, id=2)])
    assert [slot.rule_id for slot in explain(twins, MONDAY).offered] == [1, 1, 1]


def test_s2_a_slot_that_one_of_two_rules_still_yields_has_no_reason() -> None:
    block = exception(ExceptionType.BLOCKED, rule_id=1)
    twins = replace(CLINIC, rules=[MONDAYS, replace(MONDAYS, id=2)], exceptions=[block])
    assert explain(twins, MONDAY).codes == (ReasonCode.OUTSIDE_RULES,)


def test_s3_a_start_at_which_another_service_is_offered_has_no_reason() -> None:
    scans = replace(MONDAYS, id=2, service_offering_id=9, slot_duration=timedelta(minutes=60))
    both = replace(CLINIC, rules=[MONDAYS, scans], exceptions=[exception(ExceptionType.BLOCKED, rule_id=2)])
    assert not explain(both, NINE)
    assert explain(both, MONDAY).codes == (ReasonCode.OUTSIDE_RULES,)


def test_a4_a_start_that_an_override_keeps_is_not_replaced() -> None:
    """The only reason is the booking."""
    replaced = clinic(exception(ExceptionType.OVERRIDE))
    explanation = explain(replaced, NINE, bookings=BookingContext(uses=[visit()]))
    assert [reason.code for reason in explanation] == [ReasonCode.BOOKED]


def replaced_by_an_override(*exceptions: AvailabilityException) -> Schedule:
    """Two rules, of which the first alone yields 9:20 in the override's window, and both did without it."""
    scans = replace(MONDAYS, id=2, start_time=time(8, 50), slot_duration=HOUR / 2, service_offering_id=9)
    rules = [replace(MONDAYS, service_offering_id=8), scans]
    return replace(CLINIC, rules=rules, exceptions=[exception(ExceptionType.OVERRIDE), *exceptions])


def test_a4_a_start_that_an_override_yields_by_another_slot_is_kept() -> None:
    """A fixed defect: the override was a reason, too, if its slot then was not the one that it replaced."""
    at = NINE + TWENTY
    taken = BookingContext(uses=[visit(FIRST._replace(start_at=at, end_at=at + TWENTY))])
    explained = explain(replaced_by_an_override(), at, bookings=taken)
    assert [reason.code for reason in explained] == [ReasonCode.BOOKED]
    gone = explain(replaced_by_an_override(), at - HOUR / 2, bookings=taken)
    assert [reason.code for reason in gone] == [ReasonCode.OVERRIDE]


def test_a4_a_start_of_an_override_that_is_blocked_is_not_replaced() -> None:
    block = exception(ExceptionType.BLOCKED, exception_id=4)
    assert explain(replaced_by_an_override(block), NINE + TWENTY).codes == (ReasonCode.BLOCKED,)


@pytest.mark.parametrize(("offering_id", "codes"), [(8, []), (9, [ReasonCode.OVERRIDE])])
def test_a4_an_override_replaces_a_start_of_an_offering_by_anothers(offering_id: int, codes: list[ReasonCode]) -> None:
    """The start is yielded again only for the offering whose slot the override yields then."""
    at = Span(NINE + TWENTY, NINE + HOUR / 2)
    found = starting_slots(replaced_by_an_override(), at, bookings=NO_BOOKINGS, offering_id=offering_id)
    assert [slot.service_offering_id for slot in found.scheduled.values()] == [8]
    assert [reason.code for _, reason in found.against] == codes


def test_t3_a_missing_day_has_one_reason_and_no_length() -> None:
    explanation = explain(replace(CLINIC, zone=ZoneInfo("Pacific/Apia")), date(2011, 12, 30))
    assert [reason.code for reason in explanation] == [ReasonCode.MISSING_DAY]
    assert explanation.start_at == explanation.end_at


def test_t3_a_rule_of_a_missing_day_is_named_with_its_reason() -> None:
    fridays = replace(clinic(day_of_week=5), zone=ZoneInfo("Pacific/Apia"))
    (reason,) = explain(fridays, date(2011, 12, 30))
    assert (reason.code, reason.rule_id) == (ReasonCode.MISSING_DAY, 1)


def test_t3_a_skipped_window_is_too_short() -> None:
    skipped = clinic(day_of_week=0, start_time=time(1, 0), end_time=time(2, 0))
    jump = datetime(2027, 3, 28, 1, tzinfo=UTC)
    too_short = [reason for reason in explain(skipped, date(2027, 3, 28)) if reason.code is ReasonCode.TOO_SHORT]
    assert [(reason.start_at, reason.end_at) for reason in too_short] == [(jump, jump)]


def test_t2_a_night_window_counts_for_the_next_day_too() -> None:
    nights = clinic(day_of_week=0, start_time=time(22), end_time=time(6))
    offered = explain(nights, MONDAY).offered
    assert (offered[0].start_at.hour, offered[-1].end_at.hour, len(offered)) == (0, 6, 18)


def test_t2_a_block_of_a_nights_morning_explains_that_morning() -> None:
    at_one, at_two = datetime(2027, 3, 1, 1, tzinfo=UTC), datetime(2027, 3, 1, 2, tzinfo=UTC)
    block = exception(ExceptionType.BLOCKED, start_at=at_one, end_at=at_two)
    nights = clinic(block, day_of_week=0, start_time=time(22), end_time=time(6))
    starts = [reason.starts for reason in explain(nights, MONDAY) if reason.code is ReasonCode.BLOCKED]
    assert starts == [(at_one, at_one + TWENTY, at_one + 2 * TWENTY)]
    assert explain(nights, at_two + TWENTY / 2).codes == (ReasonCode.OFF_GRID,)


def test_t3_an_instant_repeated_in_the_day_before_is_explained() -> None:
    """St John's clock went from 00:01 back to 23:01 on 2010-11-07; the window had begun at the first midnight."""
    sundays = replace(clinic(day_of_week=0, start_time=time(0), end_time=time(6)), zone=ZoneInfo("America/St_Johns"))
    repeated = datetime(2010, 11, 7, 2, 50, tzinfo=UTC)
    assert repeated in [slot.start_at for slot in explain(sundays, date(2010, 11, 7)).offered]
    assert not explain(sundays, repeated)


def test_q3_a_day_is_a_local_day_of_the_facility() -> None:
    explanation = explain(replace(CLINIC, zone=ZoneInfo("Asia/Kathmandu")), MONDAY)
    assert explanation.start_at == datetime(2027, 2, 28, 18, 15, tzinfo=UTC)
    assert explanation.end_at == datetime(2027, 3, 1, 18, 15, tzinfo=UTC)


def test_q3_the_nearest_slot_of_a_day_with_slots_is_its_first() -> None:
    assert explain(CLINIC, MONDAY).nearest == FIRST


def test_q3_of_two_equally_near_slots_the_later_is_the_nearest() -> None:
    explanation = explain(CLINIC, NINE + TWENTY / 2)
    assert explanation.nearest is not None
    assert explanation.nearest.start_at == NINE + TWENTY


def test_q3_of_two_slots_with_one_start_the_first_in_order_is_the_nearest() -> None:
    both = replace(CLINIC, rules=[MONDAYS, replace(MONDAYS, id=2, service_offering_id=9)])
    assert explain(both, NINE - TWENTY).nearest == expand(both, Span(NINE, TEN))[0]


@pytest.mark.parametrize(
    ("at", "search", "in_reach"),
    [
        (NINE - TWENTY, TWENTY, True),
        (NINE - TWENTY, TWENTY - timedelta.resolution, False),
        (NINE + 3 * TWENTY, TWENTY, True),
        (NINE + 3 * TWENTY, TWENTY - timedelta.resolution, False),
        (NINE - TWENTY, timedelta(0), False),
    ],
)
def test_q3_the_nearest_slot_lies_within_the_search_distance(
    at: datetime, search: timedelta, *, in_reach: bool
) -> None:
    assert (explain(CLINIC, at, search=search).nearest is not None) is in_reach


def test_q3_the_nearest_slot_is_available() -> None:
    explanation = explain(CLINIC, NINE, bookings=bookings(SlotStatus.BOOKED, 1))
    assert explanation.nearest is not None
    assert explanation.nearest.start_at == NINE + TWENTY


def test_q3_the_search_ends_where_the_calendar_ends() -> None:
    assert explain(Schedule(7, 5, "UTC"), date(1, 1, 4)).nearest is None


def test_a_negative_search_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="search must be a timedelta of zero or more, not"):
        explain(CLINIC, NINE, search=timedelta(days=-1))


def test_t1_a_naive_instant_is_refused() -> None:
    with pytest.raises(InvalidSpanError, match="is naive"):
        explain(CLINIC, datetime(2027, 3, 1, 9))


@pytest.mark.parametrize("at", ["2027-01-01", None, 7])
def test_explaining_anything_but_a_date_or_datetime_is_refused(at: Any) -> None:
    with pytest.raises(InvalidInputError, match=f"at must be a date or a datetime, not {type(at).__name__}"):
        explain(CLINIC, at)


@pytest.mark.parametrize("schedule", [None, "clinic", [CLINIC]])
def test_explaining_anything_but_a_schedule_is_refused(schedule: Any) -> None:
    with pytest.raises(InvalidInputError, match=f"schedule must be a Schedule, not {type(schedule).__name__}"):
        explain(schedule, MONDAY)


@pytest.mark.parametrize("at", [date(1, 1, 1), date(9999, 12, 31), datetime(9999, 12, 31, tzinfo=UTC)])
def test_a_time_at_the_ends_of_the_calendar_is_refused(at: date | datetime) -> None:
    with pytest.raises(WallClockError, match="leaves the calendar"):
        explain(CLINIC, at)


def test_an_explanation_is_the_sequence_of_its_reasons() -> None:
    explanation = explain(CLINIC, TEN)
    assert explanation[0] == explanation[-1] == next(iter(explanation))
    assert len(explanation) == 1


def test_q3_between_two_starts_of_a_blocked_hour_blocked_is_first() -> None:
    """A fixed bug: the explanation named an open time for a doctor on leave."""
    leave = exception(ExceptionType.BLOCKED)
    assert explain(clinic(leave), NINE + timedelta(minutes=5)).codes == (ReasonCode.BLOCKED, ReasonCode.OFF_GRID)


@pytest.mark.parametrize(
    ("context", "code"),
    [
        (BookingContext(uses=[visit()]), ReasonCode.BOOKED),
        (BookingContext(uses=[replace(visit(), slot=None)]), ReasonCode.BOOKED),
        (BookingContext(uses=[replace(visit(), ends_at=TEN)]), ReasonCode.HELD),
        (bookings(SlotStatus.RESERVED), ReasonCode.HELD),
    ],
    ids=["a visit", "a visit without a slot", "a hold", "a reserved slot"],
)
@pytest.mark.parametrize("at", [MONDAY, NINE, NINE + timedelta(minutes=5)])
def test_q3_a_booking_on_a_closed_day_is_named_with_the_closure(
    at: date | datetime, context: BookingContext, code: ReasonCode
) -> None:
    closed = replace(CLINIC, closures=[Closure(6, MONDAY)])
    explanation = explain(closed, at, bookings=context)
    assert explanation.codes[:2] == (code, ReasonCode.CLOSURE)
    assert [reason.cause_id for reason in explanation if reason.code is code] == [4]


def test_q3_a_booking_elsewhere_is_no_reason_where_no_slot_is() -> None:
    elsewhere = BookingContext(uses=[visit(FIRST._replace(facility_id=6))])
    for context in (elsewhere, bookings(SlotStatus.OPEN), bookings(SlotStatus.CANCELLED)):
        assert explain(replace(CLINIC, rules=[]), MONDAY, bookings=context).codes == (ReasonCode.OUTSIDE_RULES,)


def test_c1_an_invalid_recurrence_is_named_with_its_rule() -> None:
    with pytest.raises(InvalidRecurrenceError, match=r"rule 1: recurrence 'FREQ=NONSENSE'"):
        clinic(recurrence="FREQ=NONSENSE")
