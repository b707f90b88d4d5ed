"""Reconciliation by example (R1, R2, A5)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scheduler.core.errors import InvalidInputError, InvalidSpanError
from scheduler.core.expansion import expand
from scheduler.core.lifecycle import SlotStatus, StepStatus
from scheduler.core.reconciliation import Plan, SlotUpdate, StoredSlot, reconcile
from scheduler.core.schedules import AvailabilityException, ExceptionType, Schedule
from scheduler.core.slots import Slot
from scheduler.core.spans import Span

NINE = datetime(2027, 3, 1, 9, tzinfo=UTC)
NOON = datetime(2027, 3, 1, 12, tzinfo=UTC)
TWENTY = timedelta(minutes=20)
MICROSECOND = timedelta(microseconds=1)


def slot(start_at: datetime = NINE, *, capacity: int = 1, rule_id: int = 1) -> Slot:
    return Slot(start_at, start_at + TWENTY, 7, 5, None, capacity, rule_id)


def emergency(*, rule_id: int | None = None, kind: ExceptionType = ExceptionType.EMERGENCY) -> AvailabilityException:
    return AvailabilityException(1, kind, NINE, NOON, rule_id)


def test_a_desired_slot_that_is_not_stored_is_created() -> None:
    assert reconcile([slot()], []) == Plan(create=(slot(),))


def test_a_desired_slot_that_is_stored_is_kept() -> None:
    stored = StoredSlot(1, slot())
    assert reconcile([slot()], [stored]) == Plan(keep=(stored,))


def test_an_open_slot_that_is_no_longer_desired_is_retired() -> None:
    stored = StoredSlot(1, slot())
    assert reconcile([], [stored]) == Plan(retire=(stored,))


@pytest.mark.parametrize("target", [slot(capacity=3), slot(rule_id=2)], ids=["capacity", "rule"])
def test_r1_another_capacity_or_rule_updates_the_stored_slot(target: Slot) -> None:
    assert reconcile([target], [StoredSlot(1, slot())]) == Plan(update=(SlotUpdate(1, target),))


def test_q5_a_changed_release_updates_the_slot() -> None:
    released = slot()._replace(released_at=NINE - TWENTY)
    for target, stored in ((released, slot()), (slot(), released), (released, released._replace(released_at=NINE))):
        assert reconcile([target], [StoredSlot(1, stored)]) == Plan(update=(SlotUpdate(1, target),))
    assert reconcile([released], [StoredSlot(1, released)]).is_noop


def test_r2_a_capacity_never_falls_below_the_booked_places() -> None:
    stored = StoredSlot(1, slot(capacity=5), booked_count=3)
    assert reconcile([slot(capacity=2)], [stored]).update == (SlotUpdate(1, slot(capacity=3)),)


def test_r2_a_capacity_never_falls_below_the_held_places() -> None:
    stored = StoredSlot(1, slot(capacity=5), booked_count=3, held_count=1)
    assert reconcile([slot(capacity=2)], [stored]).update == (SlotUpdate(1, slot(capacity=4)),)
    drifted = replace(stored, held_count=9)
    assert reconcile([slot(capacity=2)], [drifted]).update == ()


@pytest.mark.parametrize(
    "touched",
    [
        StoredSlot(1, slot(), SlotStatus.BOOKED, 1),
        StoredSlot(1, slot(), SlotStatus.BOOKED),
        StoredSlot(1, slot(capacity=2), SlotStatus.OPEN, 1),
        StoredSlot(1, slot(capacity=2), SlotStatus.CANCELLED, 1),
        StoredSlot(1, slot(), SlotStatus.RESERVED, reserved_until=NOON),
        StoredSlot(1, slot(), SlotStatus.RESERVED),
        StoredSlot(1, slot(), held_count=1),
        StoredSlot(1, slot(), SlotStatus.CANCELLED, held_count=1),
    ],
    ids=[
        "booked",
        "booked uncounted",
        "one of two",
        "cancelled with a booking",
        "reserved",
        "reserved without an end",
        "held",
        "cancelled with a hold",
    ],
)
def test_r2_a_booked_or_held_slot_that_is_no_longer_desired_is_a_conflict(touched: StoredSlot) -> None:
    assert reconcile([], [touched], now=NINE) == Plan(conflict=(touched,), drop=(touched,))


def test_r2_a_hold_without_a_clock_to_end_it_counts() -> None:
    held = StoredSlot(1, slot(), SlotStatus.RESERVED, reserved_until=NINE)
    assert reconcile([], [held]).conflict == (held,)


@pytest.mark.parametrize(("now", "is_held"), [(NOON - MICROSECOND, True), (NOON, False), (NOON + MICROSECOND, False)])
def test_b2_a_hold_has_ended_at_its_end(now: datetime, *, is_held: bool) -> None:
    held = StoredSlot(1, slot(), SlotStatus.RESERVED, reserved_until=NOON)
    assert held.is_held(now) is is_held


def test_only_a_reserved_slot_is_held() -> None:
    assert not StoredSlot(1, slot(), SlotStatus.OPEN, reserved_until=NOON).is_held(NINE)


@pytest.mark.parametrize("desired", [[], [slot()], [slot(capacity=2)]], ids=["undesired", "desired", "changed"])
def test_r2_a_slot_that_a_person_cancelled_is_left_alone(desired: list[Slot]) -> None:
    cancelled = StoredSlot(1, slot(), SlotStatus.CANCELLED)
    assert reconcile(desired, [cancelled]) == Plan(keep=(cancelled,), drop=() if desired else (cancelled,))


def test_s3_a_slot_is_dropped_once_and_restored_once() -> None:
    stays = StoredSlot(1, slot(capacity=2), booked_count=1)
    dropped = replace(stays, is_dropped=True)
    assert reconcile([], [dropped]) == Plan(conflict=(dropped,))
    assert reconcile([slot(capacity=2)], [dropped]) == Plan(keep=(dropped,), restore=(dropped,))
    assert not reconcile([slot(capacity=2)], [dropped]).is_noop
    assert not reconcile([], [stays]).is_noop


def test_a5_an_emergency_displaces_a_booking() -> None:
    booked = StoredSlot(1, slot(), SlotStatus.BOOKED, 1)
    assert reconcile([], [booked], exceptions=[emergency()]) == Plan(displaced=(booked,), drop=(booked,))


def test_a5_a_block_leaves_a_booking_standing() -> None:
    booked = StoredSlot(1, slot(), SlotStatus.BOOKED, 1)
    assert reconcile([], [booked], exceptions=[emergency(kind=ExceptionType.BLOCKED)]).conflict == (booked,)


def test_a5_an_emergency_displaces_no_hold() -> None:
    held = StoredSlot(1, slot(), SlotStatus.RESERVED)
    assert reconcile([], [held], exceptions=[emergency()]) == Plan(conflict=(held,), drop=(held,))


def test_a5_an_emergency_that_only_touches_displaces_nothing() -> None:
    before, after = (StoredSlot(1, slot(at), SlotStatus.BOOKED, 1) for at in (NINE - TWENTY, NOON))
    assert reconcile([], [before, after], exceptions=[emergency()]).conflict == (before, after)


def test_a6_an_emergency_of_one_rule_displaces_only_its_bookings() -> None:
    own = StoredSlot(1, slot(), SlotStatus.BOOKED, 1)
    other = StoredSlot(2, slot(NINE + TWENTY, rule_id=2), SlotStatus.BOOKED, 1)
    plan = reconcile([], [own, other], exceptions=[emergency(rule_id=1)])
    assert plan == Plan(displaced=(own,), conflict=(other,), drop=(own, other))


def test_a_booking_that_another_rule_still_yields_is_not_displaced() -> None:
    booked = StoredSlot(1, slot(), SlotStatus.BOOKED, 1)
    plan = reconcile([slot(rule_id=2)], [booked], exceptions=[emergency(rule_id=1)])
    assert plan == Plan(update=(SlotUpdate(1, slot(rule_id=2)),))


@pytest.mark.parametrize("twin", [slot(), slot(capacity=2)], ids=["the same", "another capacity"])
def test_s2_two_desired_slots_with_one_identity_are_refused(twin: Slot) -> None:
    with pytest.raises(InvalidInputError, match="two desired slots have the same identity: 2027-03-01T09:00"):
        reconcile([slot(), twin], [])


def test_s2_one_desired_slot_given_twice_is_refused() -> None:
    once = slot()
    with pytest.raises(InvalidInputError, match="two desired slots"):
        reconcile([once, once], [])


def test_s2_two_stored_slots_with_one_identity_are_refused() -> None:
    with pytest.raises(InvalidInputError, match="two stored slots have the same identity: 2027-03-01T09:00"):
        reconcile([], [StoredSlot(1, slot()), StoredSlot(2, slot(capacity=2))])


@pytest.mark.parametrize("other", [slot()._replace(doctor_id=8), slot()._replace(facility_id=6)])
def test_a1_slots_of_another_schedule_are_refused(other: Slot) -> None:
    doctor_id, facility_id = other.doctor_id, other.facility_id
    message = f"slots of one schedule, not of doctor 7 at facility 5 and doctor {doctor_id} at facility {facility_id}"
    for desired, stored in (([slot()], [other]), ([other, slot()], []), ([], [slot(), other])):
        with pytest.raises(InvalidInputError, match=message):
            reconcile(desired, [StoredSlot(number, stored_slot) for number, stored_slot in enumerate(stored)])


def test_a1_another_doctors_slots_are_refused_where_no_slot_is_desired() -> None:
    nothing = expand(Schedule(8, 5, "Europe/London"), Span(NINE, NOON))
    with pytest.raises(InvalidInputError, match="not of doctor 7 at facility 5 and doctor 8 at facility 5"):
        reconcile(nothing, [StoredSlot(1, slot())])


@pytest.mark.parametrize("status", ["booked", "reserved"])
def test_r2_a_status_given_as_text_is_read(status: Any) -> None:
    stored = StoredSlot(1, slot(), status)
    assert stored.status is SlotStatus(status)
    assert reconcile([], [stored]) == Plan(conflict=(stored,), drop=(stored,))


@pytest.mark.parametrize("status", ["foo", None, StepStatus.CANCELLED])
def test_r2_an_unknown_status_is_refused(status: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"slot 1: status: .* is not a slot status \(open, reserved, booked"):
        StoredSlot(1, slot(), status)


@pytest.mark.parametrize("count", [-1, 3])
def test_booked_places_that_do_not_fit_the_capacity_are_refused(count: int) -> None:
    with pytest.raises(InvalidInputError, match=f"slot 9: {count} booked places do not fit a capacity of 2"):
        StoredSlot(9, slot(capacity=2), booked_count=count)


def test_t1_a_hold_with_a_naive_end_is_refused_at_construction() -> None:
    with pytest.raises(InvalidSpanError, match="slot 9: reserved_until 2027-03-01T09:00:00 is naive"):
        StoredSlot(9, slot(), SlotStatus.RESERVED, reserved_until=NINE.replace(tzinfo=None))


@pytest.mark.parametrize(
    ("stored", "is_full"),
    [
        (StoredSlot(1, slot(capacity=2)), False),
        (StoredSlot(1, slot(capacity=2), booked_count=1), False),
        (StoredSlot(1, slot(capacity=2), booked_count=2), True),
        (StoredSlot(1, slot(capacity=2), SlotStatus.BOOKED), True),
    ],
    ids=["none", "one of two", "two of two", "booked as a whole"],
)
def test_a_slot_is_full_when_no_place_is_left(stored: StoredSlot, *, is_full: bool) -> None:
    assert stored.is_full is is_full


@pytest.mark.parametrize(
    ("plan", "is_noop"),
    [
        (Plan(), True),
        (Plan(keep=(StoredSlot(1, slot()),), conflict=(StoredSlot(1, slot()),)), True),
        (Plan(displaced=(StoredSlot(1, slot()),)), True),
        (Plan(create=(slot(),)), False),
        (Plan(update=(SlotUpdate(1, slot()),)), False),
        (Plan(retire=(StoredSlot(1, slot()),)), False),
    ],
    ids=["empty", "keep and conflict", "displaced", "create", "update", "retire"],
)
def test_a_plan_is_noop_when_it_changes_nothing(plan: Plan, *, is_noop: bool) -> None:
    assert plan.is_noop is is_noop
