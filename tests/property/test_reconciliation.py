"""Reconciliation property by property, with a plain dictionary as the store (R1, R2, A5).

The dictionary applies a plan as a database would, and refuses to delete or move a booked or held slot.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.core.expansion import expand
from scheduler.core.lifecycle import SlotStatus
from scheduler.core.reconciliation import Plan, StoredSlot, reconcile
from scheduler.core.schedules import AvailabilityException, ExceptionType, Schedule
from scheduler.core.slots import Slot
from scheduler.core.spans import Span
from support import strategies

NOW = datetime(2027, 3, 1, 9, tzinfo=UTC)
TEN = timedelta(minutes=10)
_T = TypeVar("_T")


@dataclass(frozen=True)
class Case:
    """The arguments of `reconcile`."""

    desired: tuple[Slot, ...]
    stored: tuple[StoredSlot, ...]
    exceptions: tuple[AvailabilityException, ...]

    def plan(self) -> Plan:
        return reconcile(self.desired, self.stored, exceptions=self.exceptions, now=NOW)


def booked(row: StoredSlot) -> bool:
    return row.status == "booked" or row.booked_count > 0


def held(row: StoredSlot) -> bool:
    reserved = row.status == "reserved" and (row.reserved_until is None or row.reserved_until > NOW)
    return reserved or row.held_count > 0


def parts(plan: Plan) -> list[Sequence[Any]]:
    return [plan.create, plan.update, plan.retire, plan.keep, plan.conflict, plan.displaced]


def applied(plan: Plan, stored: Sequence[StoredSlot]) -> tuple[StoredSlot, ...]:
    """Apply the plan to a dictionary of rows."""
    rows = {row.id: row for row in stored}
    for row in plan.retire:
        assert not booked(rows[row.id]), "it is booked"
        assert not held(rows[row.id]), "it is held"
        del rows[row.id]
    for change in plan.update:
        assert rows[change.id].slot[:5] == change.slot[:5], "it would move"
        rows[change.id] = replace(rows[change.id], slot=change.slot)
    for row in (*plan.drop, *plan.restore):
        rows[row.id] = replace(rows[row.id], is_dropped=not rows[row.id].is_dropped)
    for number, new in enumerate(plan.create):
        assert new[:5] not in {row.slot[:5] for row in rows.values()}, "it is stored already"
        rows[f"new {number}"] = StoredSlot(f"new {number}", new)
    return tuple(rows.values())


@st.composite
def slots(draw: st.DrawFn) -> Slot:
    """Draw one of a few slots, so that two of them often overlap."""
    start_at = NOW + draw(st.integers(0, 5)) * TEN
    end_at = start_at + draw(st.sampled_from((1, 2))) * TEN
    return Slot(
        start_at,
        end_at,
        7,
        5,
        draw(st.sampled_from((None, 1))),
        draw(st.integers(1, 3)),
        draw(st.sampled_from((None, 1, 2))),
    )


some_slots = st.lists(slots(), min_size=1, max_size=12, unique_by=lambda slot: slot[:5])


@st.composite
def states(draw: st.DrawFn, slot: Slot, number: int) -> StoredSlot:
    """Draw a stored slot with a status, bookings and a hold."""
    return StoredSlot(
        number,
        slot,
        draw(st.sampled_from((*SlotStatus, SlotStatus.RESERVED))),
        draw(st.sampled_from((0, 0, *range(slot.capacity + 1)))),
        draw(st.sampled_from((None, NOW - TEN, NOW, NOW + TEN, NOW + TEN))),
        draw(st.sampled_from((0, 0, 0, 1, 4))),
        draw(st.booleans()),
    )


@st.composite
def exceptions(draw: st.DrawFn) -> AvailabilityException:
    start = NOW + draw(st.integers(-2, 6)) * TEN
    kind = draw(st.sampled_from((ExceptionType.EMERGENCY, ExceptionType.EMERGENCY, ExceptionType.BLOCKED)))
    rule_id = draw(st.sampled_from((None, 1, 2)))
    return AvailabilityException(1, kind, start, start + draw(st.integers(1, 3)) * TEN, rule_id)


@st.composite
def reconciliations(draw: st.DrawFn) -> Case:
    """Draw slots that are desired, stored or both; a stored slot may have another capacity and rule."""
    desired, stored = [], []
    for number, slot in enumerate(draw(some_slots)):
        where = draw(st.sampled_from(("both", "desired", "stored")))
        if where != "stored":
            desired.append(slot)
        if where != "desired":
            once = slot._replace(capacity=draw(st.integers(1, 3)), rule_id=draw(st.sampled_from((slot.rule_id, 1, 2))))
            stored.append(draw(states(once, number)))
    return Case(tuple(desired), tuple(stored), tuple(draw(st.lists(exceptions(), max_size=2))))


@given(reconciliations())
def test_r1_applying_a_plan_and_reconciling_again_plans_nothing(case: Case) -> None:
    rows = applied(case.plan(), case.stored)
    assert replace(case, stored=rows).plan().is_noop


@given(reconciliations())
def test_r1_applying_a_plan_stores_every_desired_slot(case: Case) -> None:
    rows = {row.slot[:5]: row for row in applied(case.plan(), case.stored)}
    for slot in case.desired:
        row = rows[slot[:5]]
        taken = min(row.booked_count + row.held_count, row.slot.capacity)
        wanted = slot._replace(capacity=max(slot.capacity, taken))
        assert row.slot == wanted or row.status == "cancelled"


@given(reconciliations())
def test_r1_every_stored_slot_has_exactly_one_fate(case: Case) -> None:
    fates = [item.id for part in parts(case.plan())[1:] for item in part]
    assert sorted(fates, key=str) == sorted((row.id for row in case.stored), key=str)


@given(reconciliations())
def test_r1_every_desired_slot_is_created_or_stored_already(case: Case) -> None:
    plan = case.plan()
    by_id = {row.id: row.slot[:5] for row in case.stored}
    new = [slot[:5] for slot in plan.create]
    old = [by_id[item.id] for part in (plan.update, plan.keep) for item in part]
    assert set(new).isdisjoint(by_id.values())
    assert {slot[:5] for slot in case.desired} <= {*new, *old}
    assert set(plan.create) <= set(case.desired)


@given(reconciliations(), st.randoms(use_true_random=False))
def test_r1_the_order_of_the_arguments_changes_nothing(case: Case, shuffler: Random) -> None:
    def shuffled(values: Sequence[_T]) -> tuple[_T, ...]:
        return tuple(shuffler.sample(values, len(values)))

    again = Case(shuffled(case.desired), shuffled(case.stored), shuffled(case.exceptions))
    assert [set(part) for part in parts(case.plan())] == [set(part) for part in parts(again.plan())]


@given(reconciliations())
def test_r2_a_booked_or_held_slot_is_never_deleted_or_moved(case: Case) -> None:
    rows = {row.id: row for row in applied(case.plan(), case.stored)}
    for row in case.stored:
        if booked(row) or held(row):
            assert rows[row.id].slot[:5] == row.slot[:5]


@given(reconciliations())
def test_r2_a_cancelled_slot_stays_as_it_is(case: Case) -> None:
    rows = {replace(row, is_dropped=False) for row in applied(case.plan(), case.stored)}
    assert {replace(row, is_dropped=False) for row in case.stored if row.status == "cancelled"} <= rows


@given(reconciliations())
def test_s3_a_stored_slot_is_dropped_if_and_only_if_it_is_not_desired(case: Case) -> None:
    desired = {slot[:5] for slot in case.desired}
    assert all(row.is_dropped is (row.slot[:5] not in desired) for row in applied(case.plan(), case.stored))


@given(reconciliations())
def test_r2_an_untouched_slot_stays_if_and_only_if_it_is_desired(case: Case) -> None:
    plan = case.plan()
    desired = {slot[:5] for slot in case.desired}
    untouched = {row for row in case.stored if row.status != "cancelled" and not booked(row) and not held(row)}
    assert set(plan.retire) == {row for row in untouched if row.slot[:5] not in desired}


@given(reconciliations())
def test_r2_a_hold_that_has_ended_counts_as_open(case: Case) -> None:
    ended = {row.id for row in case.stored if row.status == "reserved" and not held(row)}
    opened = [replace(row, status=SlotStatus.OPEN) if row.id in ended else row for row in case.stored]
    plan, again = case.plan(), replace(case, stored=tuple(opened)).plan()
    assert plan.create == again.create
    assert [[item.id for item in part] for part in parts(plan)[1:]] == [
        [item.id for item in part] for part in parts(again)[1:]
    ]


@given(reconciliations())
def test_a5_displaced_slots_are_undesired_bookings_under_an_emergency(case: Case) -> None:
    desired = {slot[:5] for slot in case.desired}

    def under(row: StoredSlot) -> bool:
        start_at, end_at, rule_id = row.slot.start_at, row.slot.end_at, row.slot.rule_id
        return any(
            emergency.type == "emergency"
            and emergency.rule_id in {None, rule_id}
            and max(emergency.start_at, start_at) < min(emergency.end_at, end_at)
            for emergency in case.exceptions
        )

    plan = case.plan()
    undesired = {row for row in case.stored if row.slot[:5] not in desired and (booked(row) or held(row))}
    assert set(plan.displaced) == {row for row in undesired if booked(row) and under(row)}
    assert set(plan.conflict) == undesired - set(plan.displaced)


@given(reconciliations())
def test_a5_an_emergency_over_all_slots_displaces_no_hold(case: Case) -> None:
    emergency = AvailabilityException(1, ExceptionType.EMERGENCY, NOW - 100 * TEN, NOW + 100 * TEN)
    plan = reconcile([], case.stored, exceptions=[emergency], now=NOW)
    assert set(plan.displaced) == {row for row in case.stored if booked(row)}
    assert set(plan.conflict) == {row for row in case.stored if held(row) and not booked(row)}


@st.composite
def changed_schedules(draw: st.DrawFn) -> tuple[Schedule, Schedule, Span]:
    zone = draw(strategies.zones)
    near = draw(strategies.days(zone))
    before, after = draw(strategies.schedules(near, zone)), draw(strategies.schedules(near, zone))
    return before, after, draw(strategies.spans_near(near, zone))


@given(changed_schedules())
def test_r1_untouched_slots_of_one_schedule_become_those_of_another(change: tuple[Schedule, Schedule, Span]) -> None:
    before, after, span = change
    stored = [StoredSlot(number, slot) for number, slot in enumerate(expand(before, span))]
    rows = applied(reconcile(expand(after, span), stored), stored)
    assert {row.slot for row in rows} == set(expand(after, span))


def test_the_dictionary_refuses_to_delete_a_booked_slot() -> None:
    row = StoredSlot(1, Slot(NOW, NOW + TEN, 7, 5), SlotStatus.BOOKED, 1)
    with pytest.raises(AssertionError, match="it is booked"):
        applied(Plan(retire=(row,)), [row])
