"""Slots in the table: bulk inserts, applied plans, and slots that people touched meanwhile (R2)."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from scheduler.core.errors import InvalidInputError, NotFoundError
from scheduler.core.expansion import expand
from scheduler.core.lifecycle import SlotStatus
from scheduler.core.reconciliation import Plan, StoredSlot, reconcile
from scheduler.core.schedules import Schedule
from scheduler.core.slots import Slots
from scheduler.core.spans import Span
from scheduler.postgres.database import Database, Role
from scheduler.postgres.errors import StatementError, TenantSuspendedError
from scheduler.postgres.schedules import ScheduleKey
from scheduler.postgres.slots import PlanResult, apply_plan, ensure_months, insert_slots
from scheduler.postgres.stored_slots import stored_slots
from scheduler.postgres.tenants import make_tenant, tenant_id_of
from support.worlds.generation import MONDAY, NOW, World, days, expected, weekly

pytestmark = pytest.mark.database

SPAN = days("Europe/London", MONDAY, 7)
KEY = ScheduleKey(1, 1)
HOUR = timedelta(hours=1)


def week_of(schedule: Schedule) -> Slots:
    return expand(schedule, SPAN)


@pytest.fixture
def world(database: Database, tenant_id: UUID) -> World:
    new_world = World(database, tenant_id)
    new_world.write(weekly(1), weekly(2))
    with new_world.database.unit_of_work(role=Role.JOB, tenant_id=tenant_id) as session:
        ensure_months(session, SPAN.start, SPAN.end)
    return new_world


def insert(world: World, *schedules: Schedule) -> int:
    with world.database.unit_of_work(role=Role.JOB, tenant_id=world.tenant_id) as session:
        return insert_slots(session, map(week_of, schedules))


def apply_plans(world: World, *plans: Plan, now: datetime = NOW) -> list[PlanResult]:
    with world.database.unit_of_work(role=Role.JOB, tenant_id=world.tenant_id) as session:
        return [apply_plan(session, plan, now=now) for plan in plans]


def stored(world: World, key: ScheduleKey = KEY) -> list[StoredSlot]:
    with world.database.unit_of_work(role=Role.JOB, tenant_id=world.tenant_id) as session:
        return stored_slots(session, [(key, SPAN)])[key]


def test_a_span_that_is_too_long_is_refused(world: World) -> None:
    with (
        pytest.raises(InvalidInputError, match=r"^slots can be made for at most twenty years at once, not from 2027"),
        world.database.unit_of_work(role=Role.JOB, tenant_id=world.tenant_id) as session,
    ):
        ensure_months(session, SPAN.start, SPAN.start + timedelta(days=7321))


def test_slots_come_back_as_they_were_inserted(world: World) -> None:
    assert insert(world, weekly(1), weekly(2)) == 60
    assert world.slots() == expected([weekly(1), weekly(2)], MONDAY, 7)
    assert {stored_slot.slot for stored_slot in stored(world)} == set(week_of(weekly(1)))


def test_s2_an_existing_slot_fails_the_whole_insert(world: World) -> None:
    insert(world, weekly(1))
    with pytest.raises(StatementError) as refused:
        insert(world, weekly(2), weekly(1))
    assert refused.value.constraint is not None
    assert refused.value.constraint.startswith("availability_slots_2027_03")
    assert world.slots() == expected([weekly(1)], MONDAY, 7)


def test_two_inserts_of_one_transaction_write_each_slot_once(world: World) -> None:
    """A fixed bug: the second insert found the rows of the first in the temporary table and wrote them again."""
    with world.database.unit_of_work(role=Role.JOB, tenant_id=world.tenant_id) as session:
        assert [insert_slots(session, [week_of(weekly(doctor))]) for doctor in (1, 2)] == [30, 30]
    assert world.slots() == expected([weekly(1), weekly(2)], MONDAY, 7)


def test_two_plans_of_one_transaction_write_each_slot_once(world: World) -> None:
    plans = [Plan(create=tuple(week_of(weekly(doctor)))) for doctor in (1, 2)]
    assert apply_plans(world, *plans) == [PlanResult(created=30)] * 2
    assert world.slots() == expected([weekly(1), weekly(2)], MONDAY, 7)


def test_r1_an_applied_plan_leaves_nothing_to_do(world: World) -> None:
    insert(world, weekly(1))
    desired = [slot._replace(capacity=2) for slot in week_of(weekly(1))][5:]
    plan = reconcile(desired, stored(world), now=NOW)
    assert apply_plans(world, plan) == [PlanResult(0, 25, 5)]
    assert reconcile(desired, stored(world), now=NOW).is_noop


@pytest.mark.parametrize(
    "touch",
    [
        {"status": "booked", "booked_count": 1},
        {"booked_count": 1, "capacity": 2},
        {"status": "cancelled"},
        {"status": "reserved", "reserved_until": NOW + HOUR},
    ],
)
def test_r2_a_slot_touched_since_the_plan_is_not_removed(world: World, touch: dict[str, Any]) -> None:
    insert(world, weekly(1))
    plan = reconcile([], stored(world), now=NOW)
    (first,) = [
        planned for planned in plan.retire if planned.slot.start_at == min(slot.start_at for slot in world.slots())
    ]
    world.touch(first.slot.start_at, **touch)
    assert apply_plans(world, plan) == [PlanResult(retired=29)]
    assert [slot.id for slot in stored(world)] == [first.id]


def test_r2_a_slot_under_a_visit_is_not_removed_whatever_it_counts(world: World) -> None:
    insert(world, weekly(1))
    plan = reconcile([], stored(world), now=NOW)
    world.book(SPAN.start + 9 * HOUR)
    world.touch(SPAN.start + 9 * HOUR, status="open", booked_count=0)
    assert apply_plans(world, plan) == [PlanResult(retired=29)]
    assert [(slot.slot.start_at, slot.booked_count) for slot in stored(world)] == [(SPAN.start + 9 * HOUR, 1)]


@pytest.mark.parametrize(("ends_at", "left"), [("2099-01-01 00:00Z", 1), ("2020-01-01 00:00Z", 0)])
def test_r2_a_slot_under_a_live_hold_is_not_removed(world: World, ends_at: str, left: int) -> None:
    insert(world, weekly(1))
    plan = reconcile([], stored(world), now=NOW)
    world.visit(SPAN.start + 9 * HOUR, status="cancelled")  # with an offering and a workflow
    world.sql(
        "insert into scheduling.holds (tenant_id, token_digest, ends_at, facility_id, doctor_id, service_offering_id,"
        " service_workflow_id, availability_slot_id, slot_start_at, slot_end_at, start_at, end_at, steps, channel)"
        " select tenant_id, sha256('a token'), cast(:ends_at as timestamptz), 1, 1, 1, 1, id, start_at, end_at,"
        " start_at, end_at, '[]', 'desk' from scheduling.availability_slots"
        " where tenant_id = :tenant_id and doctor_id = 1 order by start_at limit 1",
        ends_at=ends_at,
    )
    first, *_ = sorted(stored(world), key=lambda slot: slot.slot.start_at)
    assert (first.held_count, first.is_held(NOW)) == (left, left == 1)
    assert apply_plans(world, plan) == [PlanResult(retired=30 - left)]
    assert reconcile([], stored(world), now=NOW).conflict == (first,) * left


def test_b2_a_slot_whose_hold_has_ended_is_removed(world: World) -> None:
    insert(world, weekly(1))
    world.touch(SPAN.start + 9 * HOUR, status="reserved", reserved_until=NOW)
    assert apply_plans(world, reconcile([], stored(world), now=NOW)) == [PlanResult(retired=30)]


@pytest.mark.parametrize("touch", [{"status": "cancelled"}, {"booked_count": 5, "capacity": 5}])
def test_r2_a_slot_touched_since_the_plan_is_not_updated_below_it(world: World, touch: dict[str, Any]) -> None:
    insert(world, weekly(1))
    plan = reconcile([slot._replace(capacity=2) for slot in week_of(weekly(1))], stored(world), now=NOW)
    world.touch(SPAN.start + 9 * HOUR, **touch)
    assert apply_plans(world, plan) == [PlanResult(updated=29)]


def test_an_update_writes_capacity_and_rule_and_nothing_else(world: World) -> None:
    insert(world, weekly(1))
    world.touch(SPAN.start + 9 * HOUR, status="reserved", reserved_until=NOW + HOUR)
    plan = reconcile([slot._replace(capacity=2) for slot in week_of(weekly(1))], stored(world), now=NOW)
    apply_plans(world, plan)
    assert world.sql(
        "select capacity, status, reserved_until, booked_count from scheduling.availability_slots"
        " where tenant_id = :tenant_id and reserved_until is not null"
    ) == [(2, "reserved", NOW + HOUR, 0)]


def test_bookings_and_holds_are_read(world: World) -> None:
    insert(world, weekly(1))
    world.touch(SPAN.start + 9 * HOUR, status="reserved", reserved_until=NOW)
    (held,) = [slot for slot in stored(world) if slot.status is SlotStatus.RESERVED]
    assert (held.reserved_until, held.booked_count) == (NOW, 0)


def test_t1_a_span_of_stored_slots_is_half_open(world: World) -> None:
    insert(world, weekly(1))
    nine = datetime(2027, 3, 22, 9, tzinfo=UTC)
    with world.database.unit_of_work(role=Role.JOB, tenant_id=world.tenant_id) as session:
        slots = stored_slots(session, [(KEY, Span(nine, nine + HOUR))])[KEY]
        assert sorted(slot.slot.start_at for slot in slots) == [nine, nine + HOUR / 2]


def test_only_the_schedules_asked_for_are_read(world: World) -> None:
    elsewhere = weekly(1, 2)
    world.add(*(row for row in world._rows(elsewhere) if type(row).__name__ == "Facility"))
    insert(world, weekly(1), weekly(2), Schedule(1, 2, "Europe/London", weekly(1).rules))
    with world.database.unit_of_work(role=Role.JOB, tenant_id=world.tenant_id) as session:
        assert set(stored_slots(session, [(KEY, SPAN)])) == {KEY}


def test_another_tenant_sees_and_removes_nothing(world: World) -> None:
    insert(world, weekly(1))
    plan = reconcile([], stored(world), now=NOW)
    with world.database.unit_of_work(role=Role.JOB, tenant_id=uuid4()) as session:
        assert stored_slots(session, [(KEY, SPAN)]) == {}
        assert apply_plan(session, plan, now=NOW) == PlanResult()
    assert len(world.slots()) == 30


def test_months_are_created_once_also_at_the_ends_of_the_calendar(world: World) -> None:
    for begin in (datetime(2030, 1, 31, tzinfo=UTC), datetime(1, 1, 3, tzinfo=UTC), datetime(9999, 12, 20, tzinfo=UTC)):
        for _ in range(2):
            with world.database.unit_of_work(role=Role.JOB, tenant_id=world.tenant_id) as session:
                ensure_months(session, begin, begin + timedelta(days=2))
    partitions = world.sql(
        "select relname from pg_class where relispartition and relkind = 'r'"
        " and relname ~ '_(2030|0001|9999)_' order by relname"
    )
    assert [name.removeprefix("availability_slots_") for (name,) in partitions] == [
        "0001_01",
        "2030_01",
        "2030_02",
        "9999_12",
    ]


def test_a_month_that_was_detached_and_not_dropped_is_named(world: World) -> None:
    begin = datetime(2033, 5, 3, tzinfo=UTC)
    with world.database.unit_of_work(role=Role.OWNER, tenant_id=world.tenant_id) as session:
        ensure_months(session, begin, begin + HOUR)
    world.sql("call scheduling.detach_slot_month('2033-05-01')")
    refusal = r"does not allow this: scheduling\.availability_slots_2033_05 exists"
    with pytest.raises(StatementError, match=refusal):
        world.run(begin.date(), 1)
    world.sql("drop table scheduling.availability_slots_2033_05")


def test_a_tenant_is_found_by_its_slug(database: Database) -> None:
    tenant_id = uuid4()
    with database.unit_of_work(role=Role.OWNER, tenant_id=tenant_id) as session:
        make_tenant(session, "praxis", tenant_id)
    assert {tenant_id_of(database, "praxis", role=role) for role in Role} == {tenant_id}
    with pytest.raises(NotFoundError, match="no tenant 'Praxis'"):
        tenant_id_of(database, "Praxis")


@pytest.mark.parametrize(
    ("state", "change"),
    [("suspended", "status = 'suspended'"), ("closed", "status = 'closed'"), ("deleted", "deleted_at = now()")],
)
def test_a_suspended_tenant_is_named_instead_of_shown_empty(database: Database, state: str, change: str) -> None:
    tenant_id = uuid4()
    with database.unit_of_work(role=Role.OWNER, tenant_id=tenant_id) as session:
        make_tenant(session, f"{state} praxis", tenant_id)
        session.connection().execute(text(f"update identity.tenants set {change} where id = :id"), {"id": tenant_id})
    with pytest.raises(TenantSuspendedError, match=f"'{state} praxis' is {state}: only scheduler_system"):
        tenant_id_of(database, f"{state} praxis", role=Role.JOB)
    assert tenant_id_of(database, f"{state} praxis", role=Role.SYSTEM) == tenant_id


def test_a_live_tenant_is_found_before_deleted_ones_with_its_slug(database: Database) -> None:
    deleted, last_deleted, live = uuid4(), uuid4(), uuid4()
    with database.unit_of_work(role=Role.OWNER, tenant_id=None) as session:
        delete = text("update identity.tenants set deleted_at = now() - make_interval(days => :days) where id = :id")
        for tenant_id, days in ((last_deleted, 1), (deleted, 2)):
            make_tenant(session, "again", tenant_id)
            session.connection().execute(delete, {"days": days, "id": tenant_id})
    assert tenant_id_of(database, "again", role=Role.SYSTEM) == last_deleted
    with database.unit_of_work(role=Role.OWNER, tenant_id=live) as session:
        make_tenant(session, "again", live)
    assert {tenant_id_of(database, "again", role=role) for role in (Role.APP, Role.SYSTEM)} == {live}
