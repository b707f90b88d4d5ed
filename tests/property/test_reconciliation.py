"""Reconciliation against a store that is a plain dictionary (R1, R2).

The dictionary applies a plan as a database would, and refuses what a database must refuse: deleting or moving a slot
that somebody has booked or holds.
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
    """What `reconcile` is given."""

    desired: tuple[Slot, ...]
    stored: tuple[StoredSlot, ...]
    exceptions: tuple[AvailabilityException, ...]

    def plan(self) -> Plan:
        return reconcile(self.desired, self.stored, exceptions=self.exceptions, now=NOW)


def booked(one: StoredSlot) -> bool:
    return one.status == "booked" or one.booked_count > 0


def held(one: StoredSlot) -> bool:
    return one.status == "reserved" and (one.reserved_until is None or one.reserved_until > NOW)


def parts(plan: Plan) -> list[Sequence[Any]]:
    return [plan.create, plan.update, plan.retire, plan.keep, plan.conflict, plan.displaced]


def applied(plan: Plan, stored: Sequence[StoredSlot]) -> tuple[StoredSlot, ...]:
    """Do what the plan says, on a dictionary of rows."""
    rows = {one.id: one for one in stored}
    for one in plan.retire:
        assert not booked(rows[one.id]), "somebody has booked it"
        assert not held(rows[one.id]), "somebody holds it"
        del rows[one.id]
    for change in plan.update:
        assert rows[change.id].slot[:5] == change.slot[:5], "it would move"
        rows[change.id] = replace(rows[change.id], slot=change.slot)
    for number, new in enumerate(plan.create):
        assert new[:5] not in {one.slot[:5] for one in rows.values()}, "it is stored already"
        rows[f"new {number}"] = StoredSlot(f"new {number}", new)
    return tuple(rows.values())


@st.composite
def slots(draw: st.DrawFn) -> Slot:
    """Draw one of few slots, so that they often overlap."""
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


some_slots = st.lists(slots(), min_size=1, max_size=12, unique_by=lambda one: one[:5])


@st.composite
def states(draw: st.DrawFn, slot: Slot, number: int) -> StoredSlot:
    """Draw what people did with a slot."""
    return StoredSlot(
        number,
        slot,
        draw(st.sampled_from(SlotStatus)),
        draw(st.sampled_from((0, 0, *range(slot.capacity + 1)))),
        draw(st.sampled_from((None, NOW - TEN, NOW, NOW + TEN))),
    )


@st.composite
def exceptions(draw: st.DrawFn) -> AvailabilityException:
    start = NOW + draw(st.integers(-2, 6)) * TEN
    kind = draw(st.sampled_from((ExceptionType.EMERGENCY, ExceptionType.EMERGENCY, ExceptionType.BLOCKED)))
    rule_id = draw(st.sampled_from((None, 1, 2)))
    return AvailabilityException(1, kind, start, start + draw(st.integers(1, 3)) * TEN, rule_id)


@st.composite
def reconciliations(draw: st.DrawFn) -> Case:
    """Draw slots that are desired, stored or both; a stored one may have had another capacity and rule."""
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
    rows = {one.slot[:5]: one for one in applied(case.plan(), case.stored)}
    for slot in case.desired:
        row = rows[slot[:5]]
        wanted = slot._replace(capacity=max(slot.capacity, row.booked_count))
        assert row.slot == wanted or row.status == "cancelled"


@given(reconciliations())
def test_r1_every_stored_slot_has_exactly_one_fate(case: Case) -> None:
    fates = [one.id for part in parts(case.plan())[1:] for one in part]
    assert sorted(fates, key=str) == sorted((one.id for one in case.stored), key=str)


@given(reconciliations())
def test_r1_every_desired_slot_is_created_or_stored_already(case: Case) -> None:
    plan = case.plan()
    by_id = {one.id: one.slot[:5] for one in case.stored}
    new = [slot[:5] for slot in plan.create]
    old = [by_id[one.id] for part in (plan.update, plan.keep) for one in part]
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
    rows = {one.id: one for one in applied(case.plan(), case.stored)}
    for one in case.stored:
        if booked(one) or held(one):
            assert rows[one.id].slot[:5] == one.slot[:5]


@given(reconciliations())
def test_r2_a_cancelled_slot_stays_as_it_is(case: Case) -> None:
    rows = applied(case.plan(), case.stored)
    assert {one for one in case.stored if one.status == "cancelled"} <= set(rows)


@given(reconciliations())
def test_r2_an_untouched_slot_stays_if_and_only_if_it_is_desired(case: Case) -> None:
    plan = case.plan()
    desired = {slot[:5] for slot in case.desired}
    untouched = {one for one in case.stored if one.status != "cancelled" and not booked(one) and not held(one)}
    assert set(plan.retire) == {one for one in untouched if one.slot[:5] not in desired}


@given(reconciliations())
def test_r2_a_hold_that_has_ended_counts_as_open(case: Case) -> None:
    ended = {one.id for one in case.stored if one.status == "reserved" and not held(one)}
    opened = [replace(one, status=SlotStatus.OPEN) if one.id in ended else one for one in case.stored]
    plan, again = case.plan(), replace(case, stored=tuple(opened)).plan()
    assert plan.create == again.create
    assert [[one.id for one in part] for part in parts(plan)[1:]] == [
        [one.id for one in part] for part in parts(again)[1:]
    ]


@given(reconciliations())
def test_a5_displaced_slots_are_undesired_bookings_under_an_emergency(case: Case) -> None:
    desired = {slot[:5] for slot in case.desired}

    def under(one: StoredSlot) -> bool:
        start_at, end_at, rule_id = one.slot.start_at, one.slot.end_at, one.slot.rule_id
        return any(
            shut.type == "emergency"
            and shut.rule_id in {None, rule_id}
            and max(shut.start_at, start_at) < min(shut.end_at, end_at)
            for shut in case.exceptions
        )

    plan = case.plan()
    homeless = {one for one in case.stored if one.slot[:5] not in desired and (booked(one) or held(one))}
    assert set(plan.displaced) == {one for one in homeless if booked(one) and under(one)}
    assert set(plan.conflict) == homeless - set(plan.displaced)


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
    assert {one.slot for one in rows} == set(expand(after, span))


def test_the_dictionary_refuses_to_delete_a_booked_slot() -> None:
    one = StoredSlot(1, Slot(NOW, NOW + TEN, 7, 5), SlotStatus.BOOKED, 1)
    with pytest.raises(AssertionError, match="somebody has booked it"):
        applied(Plan(retire=(one,)), [one])
