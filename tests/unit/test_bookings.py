"""The booking context by example: the reasons against a slot (S3, B2, Q2)."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from scheduler.core.bookings import BookingContext
from scheduler.core.errors import InvalidInputError, InvalidSpanError
from scheduler.core.explanation import explain
from scheduler.core.lifecycle import SlotStatus
from scheduler.core.reasons import Reason, ReasonCode
from scheduler.core.reconciliation import StoredSlot
from scheduler.core.schedules import Schedule
from scheduler.core.slots import Id, Slot
from scheduler.core.spans import Span
from scheduler.core.uses import Use

TWENTY = timedelta(minutes=20)
MICROSECOND = timedelta(microseconds=1)
NINE = datetime(2027, 3, 1, 9, tzinfo=UTC)
SLOT = Slot(NINE, NINE + TWENTY, 7, 5, None, 2, 1)
OTHER_OFFERING = SLOT._replace(service_offering_id=9)


SINGLE = SLOT._replace(capacity=1)


def stored(
    slot: Slot,
    status: SlotStatus = SlotStatus.OPEN,
    booked_count: int = 0,
    held_count: int = 0,
    *,
    until: datetime | None = None,
) -> StoredSlot:
    return StoredSlot(4, slot, status, booked_count, until, held_count)


def use(slot: Slot = SLOT, /, **fields: Any) -> Use:
    """Return the use of a visit that sits on a slot and takes the doctor with it."""
    values: dict[str, Any] = {"slot": slot.identity, "id": 12} | fields
    return Use(Span(slot.start_at, slot.end_at), **values)


def codes(bookings: BookingContext) -> list[ReasonCode]:
    return [reason.code for reason in bookings.reasons_against(SLOT)]


def test_an_empty_context_has_no_reason_against_a_slot() -> None:
    assert codes(BookingContext()) == []


def test_a_reason_names_the_slot_and_its_cause() -> None:
    (reason,) = BookingContext([stored(SLOT, SlotStatus.CANCELLED)]).reasons_against(SLOT)
    text = "slot 4 was cancelled by hand"
    assert reason == Reason(ReasonCode.CANCELLED, NINE, NINE + TWENTY, text, (NINE,), rule_id=1, cause_id=4)


@pytest.mark.parametrize(
    ("stored_slot", "expected"),
    [
        (stored(SLOT), []),
        (stored(SLOT, booked_count=1), []),
        (stored(SLOT, booked_count=2), [ReasonCode.CAPACITY]),
        (stored(SLOT, SlotStatus.BOOKED), [ReasonCode.CAPACITY]),
        (stored(SINGLE, SlotStatus.BOOKED, 1), [ReasonCode.CAPACITY]),
        (stored(SLOT, held_count=1), []),
        (stored(SLOT, booked_count=1, held_count=1), [ReasonCode.CAPACITY]),
        (stored(SINGLE, held_count=1), [ReasonCode.CAPACITY]),
        (stored(SLOT, SlotStatus.RESERVED), [ReasonCode.HELD]),
        (stored(SLOT, SlotStatus.CANCELLED), [ReasonCode.CANCELLED]),
    ],
    ids=[
        "open",
        "one of two",
        "two of two",
        "booked as a whole",
        "booked",
        "one held of two",
        "booked and held",
        "held",
        "reserved",
        "cancelled",
    ],
)
def test_the_reasons_from_the_same_slot(stored_slot: StoredSlot, expected: list[ReasonCode]) -> None:
    assert codes(BookingContext([stored_slot])) == expected


@pytest.mark.parametrize(
    ("stored_slot", "text"),
    [
        (stored(SINGLE, booked_count=1), "its only place is booked"),
        (stored(SLOT, booked_count=2), "all 2 places are booked"),
        (stored(SINGLE, held_count=1), "its only place is held"),
        (stored(SLOT, booked_count=1, held_count=1), "all 2 places are booked or held"),
    ],
)
def test_q3_a_full_slot_says_what_takes_its_places(stored_slot: StoredSlot, text: str) -> None:
    (reason,) = BookingContext([stored_slot]).reasons_against(SLOT)
    assert (reason.text, reason.cause_id) == (text, 4)


@pytest.mark.parametrize(
    ("taken", "text"),
    [
        (use(), "visit 12 takes the doctor"),
        (use(ends_at=NINE), "hold 12, which ends at 2027-03-01T09:00:00+00:00, takes the doctor"),
        (use(id=None), "a visit takes the doctor"),
        (use(id=None, ends_at=NINE), "a hold, which ends at 2027-03-01T09:00:00+00:00, takes the doctor"),
    ],
)
def test_q3_a_reason_names_the_visit_or_hold(taken: Use, text: str) -> None:
    """The slot, whose only place this is, is not named beside it."""
    (reason,) = BookingContext([stored(SINGLE, SlotStatus.BOOKED, 1)], [taken]).reasons_against(SINGLE)
    code = ReasonCode.BOOKED if taken.ends_at is None else ReasonCode.HELD
    assert reason == Reason(code, NINE, NINE + TWENTY, text, (NINE,), 1, taken.id, until=taken.ends_at)


def test_b1_visits_on_one_slot_of_several_places_share_the_doctor() -> None:
    assert codes(BookingContext([stored(SLOT, booked_count=1)], [use()])) == []
    assert codes(BookingContext([stored(SINGLE, booked_count=1)], [use()])) == [ReasonCode.BOOKED]
    assert codes(BookingContext([stored(SLOT)], [use(slot=OTHER_OFFERING.identity)])) == [ReasonCode.BOOKED]
    assert codes(BookingContext([stored(SLOT)], [use(slot=None)])) == [ReasonCode.BOOKED]


def test_b1_a_slot_without_stored_places_is_shared_as_scheduled() -> None:
    context = BookingContext(uses=[use()])
    assert codes(context) == []
    assert [reason.code for reason in context.reasons_against(SINGLE)] == [ReasonCode.BOOKED]


def test_b1_the_place_of_a_visit_without_the_doctor_closes_its_slot_only() -> None:
    nurses = BookingContext([stored(OTHER_OFFERING._replace(capacity=1), SlotStatus.BOOKED, 1)])
    assert codes(nurses) == []


def test_s3_notice_and_horizon_take_no_slot() -> None:
    context = BookingContext([stored(SLOT, SlotStatus.CANCELLED)], now=NINE, notice=TWENTY)
    assert codes(context) == [ReasonCode.NOTICE, ReasonCode.CANCELLED]
    assert [reason.code for reason in context.takers(SLOT)] == [ReasonCode.CANCELLED]


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        (BookingContext([stored(OTHER_OFFERING)]), []),
        (BookingContext(uses=[use(OTHER_OFFERING)]), [ReasonCode.BOOKED]),
        (BookingContext(uses=[use(OTHER_OFFERING, ends_at=NINE)]), [ReasonCode.HELD]),
        (BookingContext([stored(OTHER_OFFERING, SlotStatus.RESERVED)]), [ReasonCode.HELD]),
        (BookingContext([stored(OTHER_OFFERING, SlotStatus.CANCELLED)]), []),
    ],
    ids=["open", "booked", "held", "reserved", "cancelled"],
)
def test_s3_the_reasons_from_an_overlapping_slot(context: BookingContext, expected: list[ReasonCode]) -> None:
    assert codes(context) == expected


@pytest.mark.parametrize(
    ("field", "value"), [("facility_id", 6), ("service_offering_id", 9), ("end_at", NINE + 2 * TWENTY)]
)
def test_s3_a_booking_closes_overlapping_slots_at_every_facility(field: str, value: Id | datetime) -> None:
    other = SLOT._replace(**{field: value})  # type: ignore[arg-type]
    assert codes(BookingContext(uses=[use(other)])) == [ReasonCode.BOOKED]
    assert codes(BookingContext([stored(other, SlotStatus.RESERVED)])) == [ReasonCode.HELD]


@pytest.mark.parametrize("away", [-TWENTY, TWENTY], ids=["before", "after"])
def test_t1_a_booking_that_only_touches_closes_nothing(away: timedelta) -> None:
    neighbour = SLOT._replace(start_at=SLOT.start_at + away, end_at=SLOT.end_at + away)
    # Longer ones that end earlier, so that the search reaches back beyond the neighbour.
    longer = SLOT._replace(start_at=NINE - 9 * TWENTY, end_at=NINE - 2 * TWENTY)
    reserved = [stored(slot, SlotStatus.RESERVED) for slot in (neighbour, longer)]
    assert codes(BookingContext(reserved, [use(neighbour), use(longer)])) == []


@pytest.mark.parametrize("away", [MICROSECOND - TWENTY, TWENTY - MICROSECOND], ids=["before", "after"])
def test_s3_a_booking_that_shares_a_microsecond_closes_the_slot(away: timedelta) -> None:
    neighbour = SLOT._replace(start_at=SLOT.start_at + away, end_at=SLOT.end_at + away)
    assert codes(BookingContext(uses=[use(neighbour)])) == [ReasonCode.BOOKED]
    assert codes(BookingContext([stored(neighbour, SlotStatus.RESERVED)])) == [ReasonCode.HELD]


@pytest.mark.parametrize("slot", [SLOT, OTHER_OFFERING], ids=["itself", "overlapping"])
@pytest.mark.parametrize(
    ("now", "expected"),
    [(NINE - 2 * TWENTY, [ReasonCode.HELD]), (NINE - TWENTY, []), (None, [ReasonCode.HELD])],
    ids=["before its end", "at its end", "no clock"],
)
def test_b2_a_hold_ends_by_itself(slot: Slot, now: datetime | None, expected: list[ReasonCode]) -> None:
    reserved = stored(slot, SlotStatus.RESERVED, until=NINE - TWENTY)
    assert codes(BookingContext([reserved], now=now)) == expected
    assert codes(BookingContext(uses=[use(slot, slot=None, ends_at=NINE - TWENTY)], now=now)) == expected


@pytest.mark.parametrize(
    ("until", "text"),
    [
        (None, "slot 4 is held until released"),
        (NINE.astimezone(timezone(timedelta(hours=2))), "slot 4 is held until 2027-03-01T09:00:00+00:00"),
    ],
    ids=["without an end", "with an end"],
)
def test_b2_a_hold_shows_its_end_in_utc(until: datetime | None, text: str) -> None:
    (reason,) = BookingContext([stored(SLOT, SlotStatus.RESERVED, until=until)]).reasons_against(SLOT)
    assert reason.text == text


@pytest.mark.parametrize(
    ("early", "expected"), [(TWENTY, []), (TWENTY - MICROSECOND, [ReasonCode.NOTICE])], ids=["enough", "too little"]
)
def test_q2_the_minimum_notice_is_counted_from_now(early: timedelta, expected: list[ReasonCode]) -> None:
    assert codes(BookingContext(now=NINE - early, notice=TWENTY)) == expected


def test_q2_a_slot_that_has_begun_is_unavailable_without_a_notice() -> None:
    assert codes(BookingContext(now=NINE + MICROSECOND)) == [ReasonCode.NOTICE]


@pytest.mark.parametrize(
    ("early", "expected"), [(TWENTY, []), (TWENTY + MICROSECOND, [ReasonCode.HORIZON])], ids=["within", "beyond"]
)
def test_q2_the_booking_horizon_is_counted_from_now(early: timedelta, expected: list[ReasonCode]) -> None:
    assert codes(BookingContext(now=NINE - early, horizon=TWENTY)) == expected


def test_q2_without_a_clock_there_is_neither_notice_nor_horizon() -> None:
    assert codes(BookingContext(notice=TWENTY, horizon=TWENTY)) == []


def test_q2_a_horizon_longer_than_the_calendar_closes_no_slot() -> None:
    assert codes(BookingContext(now=NINE, horizon=timedelta.max)) == []


def test_all_reasons_against_a_slot_are_returned() -> None:
    slots = [stored(SLOT, SlotStatus.CANCELLED), stored(OTHER_OFFERING, SlotStatus.RESERVED)]
    bookings = BookingContext(slots, [use(OTHER_OFFERING)], NINE, TWENTY)
    assert codes(bookings) == [ReasonCode.NOTICE, ReasonCode.BOOKED, ReasonCode.HELD, ReasonCode.CANCELLED]


def test_a_context_accepts_an_iterator() -> None:
    bookings = BookingContext(iter([stored(SLOT, SlotStatus.CANCELLED)]))  # type: ignore[arg-type]
    assert codes(bookings) == codes(bookings) == [ReasonCode.CANCELLED]


def test_t1_a_naive_now_is_refused_at_construction() -> None:
    with pytest.raises(InvalidSpanError, match="now 2027-03-01T09:00:00 is naive"):
        BookingContext(now=NINE.replace(tzinfo=None))


def test_q2_a_slot_in_the_past_says_so() -> None:
    (reason,) = BookingContext(now=NINE + MICROSECOND).reasons_against(SLOT)
    assert (reason.code, reason.text) == (ReasonCode.NOTICE, "the slot begins in the past")


def test_q2_a_notice_longer_than_the_horizon_is_refused() -> None:
    with pytest.raises(InvalidInputError, match=r"notice 5 days, 0:00:00 is longer than horizon 2 days, 0:00:00"):
        BookingContext(notice=timedelta(days=5), horizon=timedelta(days=2))


def test_s3_stored_slots_of_two_doctors_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="stored must be slots of one doctor, not of doctors 7 and 8"):
        BookingContext([stored(SLOT), stored(SLOT._replace(doctor_id=8))])


def test_s3_bookings_of_another_doctor_are_refused() -> None:
    bookings = BookingContext([stored(SLOT._replace(doctor_id=8))])
    with pytest.raises(InvalidInputError, match="bookings are of doctor 8, not of doctor 7"):
        bookings.reasons_against(SLOT)
    with pytest.raises(InvalidInputError, match="bookings are of doctor 8, not of doctor 7"):
        explain(Schedule(7, 5, "UTC"), NINE, bookings=bookings)


@pytest.mark.parametrize("field", ["notice", "horizon"])
def test_a_negative_notice_or_horizon_is_refused(field: str) -> None:
    with pytest.raises(InvalidInputError, match=f"{field} must be a timedelta of zero or more, not"):
        BookingContext(**{field: timedelta(days=-1)})  # type: ignore[arg-type]


class CountingSlot(StoredSlot):
    """A stored slot that counts how often its attributes are read."""

    reads = 0

    def __getattribute__(self, name: str) -> object:
        CountingSlot.reads += 1
        return super().__getattribute__(name)


def test_a_context_reads_few_of_many_bookings() -> None:
    """A fixed bug: each slot was compared with every booking, and a full doctor's day took seconds."""
    others = [SLOT._replace(start_at=NINE + step * TWENTY, end_at=NINE + (step + 1) * TWENTY) for step in range(4096)]
    context = BookingContext([CountingSlot(4, slot, SlotStatus.RESERVED) for slot in others])
    CountingSlot.reads = 0
    assert [reason.start_at for reason in context.reasons_against(others[2048]._replace(service_offering_id=9))] == [
        others[2048].start_at
    ]
    assert CountingSlot.reads < 60


def test_s3_a_long_booking_before_many_short_ones_closes_the_slot() -> None:
    early = NINE - 100 * TWENTY
    short = [SLOT._replace(start_at=early + step * TWENTY, end_at=early + (step + 1) * TWENTY) for step in range(99)]
    long = SLOT._replace(start_at=early - TWENTY, end_at=NINE + MICROSECOND)
    assert codes(BookingContext(uses=[use(slot) for slot in (*short, long)])) == [ReasonCode.BOOKED]
    assert codes(BookingContext([stored(slot, SlotStatus.RESERVED) for slot in (*short, long)])) == [ReasonCode.HELD]


@pytest.mark.parametrize("at", [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC) - TWENTY])
def test_a_booking_at_the_ends_of_the_calendar_closes_only_its_slot(at: datetime) -> None:
    at_the_end = stored(SLOT._replace(start_at=at, end_at=at + TWENTY), SlotStatus.BOOKED)
    assert codes(BookingContext([at_the_end])) == []
    assert [reason.code for reason in BookingContext([stored(SLOT), at_the_end]).reasons_against(at_the_end.slot)] == [
        ReasonCode.CAPACITY
    ]


def test_the_order_of_stored_slots_does_not_change_a_context() -> None:
    first, second = stored(SLOT), stored(SLOT._replace(start_at=NINE + TWENTY, end_at=NINE + 2 * TWENTY))
    assert BookingContext([first, second]) == BookingContext([second, first])
