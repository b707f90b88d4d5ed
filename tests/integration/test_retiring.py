"""Retiring of past slots: what nobody references goes, what anybody references stays, and no tenant loses another's."""

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import psycopg
import pytest

from scheduler import models as rows
from scheduler.core.errors import InvalidInputError
from scheduler.core.schedules import AvailabilityRule, Schedule
from scheduler.generation import retiring
from scheduler.generation.request import Mode
from scheduler.generation.retiring import Retired, RetiringRequest, retire
from scheduler.postgres.database import Database, Role
from scheduler.postgres.errors import StatementError
from support.cli import run
from support.databases import as_login, new_tenant
from support.worlds.generation import World, weekly

pytestmark = pytest.mark.database

MARCH, APRIL = date(2026, 3, 1), date(2026, 4, 1)
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
NINE = datetime(2026, 3, 2, 9, tzinfo=UTC)  # a Monday in winter


@pytest.fixture
def world(migrated: str) -> Iterator[World]:
    """A tenant, in a database of its own, with the slots of March 2026 and the first week of April."""
    with Database(migrated) as database:
        world = World(database, new_tenant(database))
        world.write(weekly(1))
        world.run(NINE.date(), 37, now=NOW)
        yield world


def retired(world: World, before: date = APRIL, **request: Any) -> Retired:
    given = {"tenant_id": world.tenant_id} | request
    return retire(world.database, RetiringRequest(before, NOW, **given))


def starts(world: World) -> list[datetime]:
    return [
        row[0]
        for row in world.sql(
            "select start_at from scheduling.availability_slots where tenant_id = :tenant_id order by start_at"
        )
    ]


def months(world: World) -> list[str]:
    return [
        row[0]
        for row in world.sql(
            "select right(relname, 7) from pg_class join pg_inherits on inhrelid = pg_class.oid"
            " where inhparent = 'scheduling.availability_slots'::regclass order by 1"
        )
    ]


def slug_of(world: World) -> str:
    ((slug,),) = world.sql("select slug from identity.tenants where id = :tenant_id")
    return str(slug)


def hold(world: World, start_at: datetime) -> None:
    """Write a hold of the slot of doctor 1, which has ended long ago."""
    world.visit(start_at + timedelta(days=200), number=9)
    world.sql(
        "insert into scheduling.holds (tenant_id, facility_id, doctor_id, service_offering_id, service_workflow_id,"
        " availability_slot_id, slot_start_at, slot_end_at, start_at, end_at, token_digest, ends_at, steps, channel)"
        " select tenant_id, 1, 1, 9, 9, id, start_at, end_at, start_at, end_at, sha256('x'), start_at, '[]', 'desk'"
        " from scheduling.availability_slots where tenant_id = :tenant_id and start_at = :start_at",
        start_at=start_at,
    )


def offer(world: World, start_at: datetime) -> None:
    """Write an offer of the slot of doctor 1 to a waiting patient."""
    ((slot_id,),) = world.sql(
        "select id from scheduling.availability_slots where tenant_id = :tenant_id and start_at = :start_at",
        start_at=start_at,
    )
    key: dict[str, Any] = {"tenant_id": world.tenant_id, "id": 5}
    world.add(
        rows.Service(**key, name="A check-up"),
        rows.Patient(**key, first_name="Bo", last_name="C", email="bo@example.org"),
        rows.WaitlistEntry(
            **key, patient_id=5, service_id=5, status="offered", offered_slot_id=slot_id, offered_slot_start_at=start_at
        ),
    )


def test_past_slots_go_and_a_second_run_finds_nothing(world: World) -> None:
    before = starts(world)
    past = [at for at in before if at < datetime(2026, 3, 31, 23, tzinfo=UTC)]  # midnight in London's summer
    assert retired(world, mode=Mode.DRY).slots == {slug_of(world): (len(past), 0)}
    assert starts(world) == before
    assert retired(world).slots == {slug_of(world): (len(past), 0)}
    assert starts(world) == before[len(past) :]
    assert retired(world).slots == {slug_of(world): (0, 0)}


def test_r3_retired_days_are_not_generated_again_by_themselves(world: World) -> None:
    retired(world)
    left = starts(world)
    assert world.state()["generated_days::text"] == "{[2026-04-01,2026-04-08)}"
    world.run(NOW.date() + timedelta(days=1), 3, now=NOW)
    assert [at for at in starts(world) if at < NOW] == left
    world.run(MARCH, 1, now=NOW)  # requested: 1 March is a Sunday
    world.run(MARCH, 2, now=NOW)
    assert starts(world)[0] == NINE


@pytest.mark.parametrize("status", ["scheduled", "completed", "no_show", "cancelled"])
def test_r2_a_slot_with_a_visit_stays_whatever_its_status(world: World, status: str) -> None:
    world.book(NINE, status=status)
    count = len(starts(world))
    (counts,) = retired(world).slots.values()
    assert (counts[1], starts(world)[0], len(starts(world))) == (1, NINE, count - counts[0])
    assert retired(world, tenant_id=None).months == ()


@pytest.mark.parametrize("reference", [hold, offer])
def test_r2_a_held_or_an_offered_slot_stays_and_so_does_its_month(world: World, reference: Any) -> None:
    reference(world, NINE)
    assert retired(world, tenant_id=None).months == ()
    assert (starts(world)[0], "2026_03" in months(world)) == (NINE, True)


def test_a_month_goes_as_a_whole_when_all_tenants_agree(world: World) -> None:
    other = World(world.database, new_tenant(world.database))
    other.write(weekly(1))
    other.run(NINE.date(), 37, now=NOW)
    assert retired(world, tenant_id=None, kept=frozenset({other.tenant_id})).months == ()
    assert (starts(other)[0], starts(world)[0].date()) == (NINE, APRIL)
    assert retired(world, tenant_id=None, mode=Mode.DRY).months == (MARCH,)
    assert retired(world, tenant_id=None).months == (MARCH,)
    assert "2026_03" not in months(world)
    assert (starts(other)[0].date(), other.state()["generated_days::text"]) == (APRIL, "{[2026-04-01,2026-04-08)}")
    world.run(MARCH, 3, now=NOW)  # a run for the past creates the month again
    assert starts(world)[0] == NINE


def test_a_suspended_tenant_keeps_its_slots_and_their_month(world: World) -> None:
    other = World(world.database, new_tenant(world.database))
    other.write(weekly(1))
    other.run(NINE.date(), 37, now=NOW)
    before = starts(other)
    other.sql("update identity.tenants set status = 'suspended' where id = :tenant_id")
    result = retired(world, tenant_id=None)
    assert (result.months, list(result.slots), starts(other)) == ((), [slug_of(world)], before)


def test_one_tenant_never_deletes_a_slot_of_another(world: World) -> None:
    other = World(world.database, new_tenant(world.database))
    other.write(weekly(1))
    other.run(NINE.date(), 37, now=NOW)
    before = starts(other)
    retired(world)
    assert starts(other) == before


@pytest.mark.parametrize(
    ("before", "why"),
    [
        (date(2026, 6, 3), "not a past day"),
        (date(2026, 6, 2), "has not begun in Europe/London"),
        (date(1, 1, 1), "calendar"),
    ],
)
def test_days_that_are_not_past_are_refused(world: World, before: date, why: str) -> None:
    count = len(starts(world))
    with pytest.raises(InvalidInputError, match=why):
        retired(world, before)
    assert len(starts(world)) == count


def test_r4_an_interrupted_run_leaves_whole_batches(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retiring, "SLOTS_PER_BATCH", 10)
    count = len(starts(world))

    def interrupt(_done: int, _of: int, deleted: int) -> None:
        if deleted == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        retire(world.database, RetiringRequest(APRIL, NOW, tenant_id=world.tenant_id), progress=interrupt)
    assert len(starts(world)) == count - 20
    retired(world)
    assert starts(world)[0].date() == APRIL


def test_a_slot_that_a_booking_has_locked_stays_for_the_next_run(world: World, migrated: str) -> None:
    with psycopg.connect(migrated) as desk:
        desk.execute("select from scheduling.availability_slots where start_at = %s for update", (NINE,))
        (counts,) = retired(world).slots.values()
        assert (counts[1], starts(world)[0]) == (1, NINE)
        desk.rollback()
    (counts,) = retired(world).slots.values()
    assert counts == (1, 0)


def test_a_month_in_use_stays_for_the_next_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def in_use(*_: Any) -> None:
        raise StatementError("canceling statement due to lock timeout", sqlstate="55P03")

    monkeypatch.setattr(retiring, "drop_month", in_use)
    assert retired(world, tenant_id=None).months == ()
    assert (starts(world)[0].date(), "2026_03" in months(world)) == (APRIL, True)


def test_facilities_begin_their_day_on_their_own_clock(world: World) -> None:
    evening = AvailabilityRule(401, 2, time(20), time(22, 30), timedelta(minutes=30))  # 31 March, in UTC 1 April
    new_york = Schedule(4, 4, "America/New_York", [evening])
    world.write(weekly(2, 2, "Pacific/Kiritimati"), weekly(3, 3, "Pacific/Honolulu"), new_york)
    world.run(NINE.date(), 37, now=NOW)
    retired(world)
    first = dict(
        world.sql(
            "select facility_id, min((start_at at time zone timezone)::date) from scheduling.availability_slots slot"
            " join scheduling.facilities facility on facility.tenant_id = slot.tenant_id and facility.id = facility_id"
            " where slot.tenant_id = :tenant_id group by 1"
        )
    )
    assert first == {1: APRIL, 2: APRIL, 3: APRIL, 4: date(2026, 4, 7)}


def test_the_audit_log_says_what_was_retired_and_keeps_its_rows(world: World) -> None:
    entries = "select event, details from audit.system_audit_log where tenant_id = :tenant_id order by id"
    before = world.sql(entries)
    (counts,) = retired(world).slots.values()
    assert world.sql(entries)[: len(before)] == before
    assert world.sql(entries)[len(before) :] == [
        ("generation.retired", {"before": "2026-04-01", "deleted": counts[0], "kept": 0, "dropped_months": ""})
    ]


def test_the_command_retires_as_the_job_and_drops_no_month_of_an_owner(world: World, migrated: str) -> None:
    command = ("retire", "--before", "2026-04-01")
    result = run(migrated, *command, "--all-tenants", "--dry-run", "--json")
    figures = json.loads(result.out)
    assert (result.code, figures["dropped_months"], figures["dry"]) == (0, ["2026-03"], True)
    assert run(migrated, *command, "--keep", "x").code == 2
    assert run(migrated, *command, "--tenant", "nobody").code == 3
    assert run(migrated, "retire", "--before", "tomorrow", "--all-tenants").code == 2
    with Database(migrated) as database, database.unit_of_work(role=Role.OWNER, tenant_id=None) as session:
        session.connection().exec_driver_sql("drop role if exists nightly_retire")
        session.connection().exec_driver_sql("create role nightly_retire login in role scheduler_job")
    try:
        job = as_login(migrated, "nightly_retire")
        kept = run(job, *command, "--all-tenants", "--keep", slug_of(world))
        assert (kept.code, kept.out, starts(world)[0]) == (0, "", NINE)
        assert run(job, *command, "--all-tenants", "--keep", "nobody").code == 3
        result = run(job, *command, "--all-tenants")
        assert result.out == f"{slug_of(world)}: 132 slots deleted\n"
        assert "no month is dropped: this login does not own the table of slots" in result.err
        assert (starts(world)[0].date(), "2026_03" in months(world)) == (APRIL, True)
        assert run(migrated, *command, "--all-tenants").out.startswith("months dropped: 2026-03\n")
    finally:
        with psycopg.connect(migrated) as connection:
            connection.execute("drop role nightly_retire")
