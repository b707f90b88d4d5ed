"""Bookable slots: `show`, `explain`, `work.slots.open`, the view and the constraints agree (S3, Q3, B1, B2).

The oracle tries each slot: the database takes a visit of the slot's length, or refuses.
"""

import random
from datetime import UTC, datetime, time, timedelta
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session

from scheduler import models as rows
from scheduler.cli.explain import explained
from scheduler.cli.show import week_of
from scheduler.core.explanation import Explanation
from scheduler.core.ids import DoctorId, FacilityId
from scheduler.core.schedules import AvailabilityRule, Schedule
from scheduler.core.slots import SlotIdentity
from scheduler.core.spans import Span
from scheduler.front_door.scheduler import Scheduler
from scheduler.postgres.database import Database, Role
from scheduler.postgres.errors import StoreError
from support.databases import undone
from support.worlds.generation import World

pytestmark = pytest.mark.database

NINE = datetime(2027, 3, 1, 9, tzinfo=UTC)
MONDAY = NINE.date()
NOW = datetime(2027, 1, 1, tzinfo=UTC)
LONG_AGO, LATER = datetime(2020, 1, 1, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
OFFERINGS = {1: 1, 2: 2, 3: 1, 4: 2}
"""The facility of each; the last two have buffers."""
VISITS = range(2, 60)
STATUSES = ("scheduled", "scheduled", "scheduled", "completed", "no_show", "cancelled")

_SLOTS = """
select start_at, end_at, doctor_id, facility_id, service_offering_id, id,
    status = 'reserved' and reserved_until > scheduling.clock()
from scheduling.availability_slots where tenant_id = :tenant_id order by start_at, id
"""
_BOOKABLE = """
select start_at, end_at, doctor_id, facility_id, service_offering_id
from scheduling.bookable_slots where tenant_id = :tenant_id
"""
_PLACES = """
select (select sum(places_left) from scheduling.bookable_slots where tenant_id = :tenant_id),
    sum(free_places), sum(places) - sum(booked_places) - sum(held_places) - sum(closed_places)
from scheduling.doctor_days('2027-02-28', '2027-03-03') where tenant_id = :tenant_id
"""
_VISIT = """
insert into scheduling.appointments (tenant_id, id, patient_id, facility_id, doctor_id, service_offering_id,
    service_workflow_id, start_at, end_at, availability_slot_id, slot_start_at, status)
values (:tenant_id, :id, :id, :facility, 1, :offering, :offering, :start_at, :end_at, :slot, :slot_start, :status)
"""
_HOLD = """
insert into scheduling.holds (tenant_id, id, token_digest, ends_at, facility_id, doctor_id, service_offering_id,
    service_workflow_id, availability_slot_id, slot_start_at, start_at, end_at, steps, channel)
values (:tenant_id, :id, :token, :ends_at, :facility, 1, :offering, :offering, :slot, :slot_start, :start_at, :end_at,
    '[]', 'desk')
"""


def rule(number: int, start: int, end: int, minutes: int, **fields: Any) -> AvailabilityRule:
    return AvailabilityRule(number, 1, time(start), time(end), minutes * MINUTE, **fields)


HERE = (rule(1, 9, 12, 30), rule(2, 9, 11, 20, service_offering_id=1), rule(3, 13, 15, 40, capacity=3))
THERE = (rule(4, 10, 14, 60, service_offering_id=2), rule(5, 8, 10, 60, capacity=2))


class Slot(NamedTuple):
    """A stored slot."""

    identity: SlotIdentity
    id: int
    is_reserved: bool

    def overlaps(self, other: "Slot") -> bool:
        return self.identity.start_at < other.identity.end_at and other.identity.start_at < self.identity.end_at


@pytest.fixture
def world(database: Database, tenant_id: UUID, monkeypatch: pytest.MonkeyPatch) -> World:
    """A doctor at two facilities with slots that overlap, and a patient for each visit."""
    for command in ("explain", "show"):
        monkeypatch.setattr(f"scheduler.cli.{command}.now", lambda: NOW)
    world = World(database, tenant_id)
    world.write(Schedule(1, 1, "Europe/London", HERE), Schedule(1, 2, "Europe/London", THERE))
    own: dict[str, Any] = {"tenant_id": tenant_id}
    pair: dict[str, Any] = {"doctor_id": 1, "buffer_before_minutes": 5, "buffer_after_minutes": 15}
    world.add(
        *(rows.Service(**own, id=number, name=f"Service {number}") for number in (3, 4)),
        *(rows.ServiceOffering(**own, **pair, id=n, facility_id=OFFERINGS[n], service_id=n) for n in (3, 4)),
        *(
            rows.ServiceWorkflow(**own, id=n, service_offering_id=n, name="A visit", total_estimated_minutes=30)
            for n in OFFERINGS
        ),
        *(rows.Patient(**own, id=n, first_name="Bo", last_name="C", email="bo@example.org") for n in (1, *VISITS)),
    )
    world.run(MONDAY, 1)
    by_start = {(slot.identity.start_at, slot.identity.facility_id): slot for slot in slots(world)}
    group = by_start[NINE + 240 * MINUTE, 1]
    world.sql(_VISIT, **on(group), id=VISITS[0], status="scheduled")
    world.touch(NINE + 150 * MINUTE, status="cancelled")
    return world


def slots(world: World) -> list[Slot]:
    return [Slot(SlotIdentity(*row[:5]), *row[5:]) for row in world.sql(_SLOTS)]


def on(slot: Slot) -> dict[str, Any]:
    """Return the values of a visit or hold on a slot, of its length."""
    start_at, end_at, _, facility, _ = slot.identity
    where = {"facility": facility, "offering": facility, "slot": slot.id, "slot_start": start_at}
    return where | {"start_at": start_at, "end_at": end_at}


def something_happens(world: World, dice: random.Random, number: int) -> None:
    """Let someone book, hold, reserve, cancel or change something; the database may refuse it."""
    slot = dice.choice(slots(world))
    given = on(slot)
    given["offering"] += dice.choice((0, 2))
    if dice.random() < 0.4:
        given["start_at"] -= dice.choice((0, 10)) * MINUTE
        given["end_at"] += dice.choice((10, 25, 50)) * MINUTE
    of_slot = {"slot": slot.id, "starts": slot.identity.start_at}
    match dice.choice(("visit", "visit", "visit", "visit without a slot", "hold", "hold", "slot", "status")):
        case "visit":
            world.sql(_VISIT, **given, id=number, status=dice.choice(STATUSES))
        case "visit without a slot":
            given |= {"slot": None, "slot_start": None}
            world.sql(_VISIT, **given, id=number, status=dice.choice(STATUSES))
        case "hold":
            token = sha256(bytes([number])).digest()
            world.sql(_HOLD, **given, id=number, token=token, ends_at=dice.choice((LATER, LATER, LONG_AGO)))
        case "slot":
            change = dice.choice(
                ("status = 'cancelled'", "capacity = 2", "status = 'reserved', reserved_until = :until")
            )
            until = {"until": dice.choice((LATER, LONG_AGO))} if "until" in change else {}
            world.sql(
                f"update scheduling.availability_slots set {change}"
                " where tenant_id = :tenant_id and id = :slot and start_at = :starts and booked_count = 0",
                **of_slot,
                **until,
            )
        case "status":
            world.sql(
                "update scheduling.appointments set status = :status where tenant_id = :tenant_id and id = :id",
                status=dice.choice(STATUSES),
                id=dice.choice(range(VISITS[0], number + 1)),
            )


def tries(session: Session, slot: Slot, tenant_id: UUID) -> bool:
    """Tell whether the database takes a visit on a slot, and undo it."""
    values = on(slot) | {"tenant_id": tenant_id, "id": 1, "status": "scheduled"}
    try:
        with undone(session.begin_nested()):
            session.connection().execute(text(_VISIT), values)
    except IntegrityError:
        return False
    return True


def bookable(world: World) -> set[SlotIdentity]:
    """Return the slots on which the database takes a visit, without what a host reserved."""
    stored = slots(world)
    reserved = [slot for slot in stored if slot.is_reserved]
    free = [slot for slot in stored if not any(slot.overlaps(other) for other in reserved)]
    with world.database.unit_of_work(role=Role.OWNER, tenant_id=world.tenant_id) as session:
        return {slot.identity for slot in free if tries(session, slot, world.tenant_id)}


def answers(world: World, scheduler: Scheduler) -> dict[str, set[SlotIdentity]]:
    """Return the slots that each way of asking calls bookable."""
    slug, places = str(world.tenant_id), ((1, "place-1"), (2, "place-2"))
    shown = {
        SlotIdentity(slot.start_at, slot.end_at, 1, facility, slot.service_offering_id)
        for facility, place in places
        for slot in week_of(world.database, place, MONDAY, tenant=slug).slots
        if slot.status == "open"
    }
    offered: set[SlotIdentity] = set()
    for _, place in places:
        (answer,) = explained(world.database, place, str(MONDAY), tenant=slug)
        assert isinstance(answer.explanation, Explanation)
        offered |= {slot.identity for slot in answer.explanation.offered}
    with scheduler.tenant(slug) as work:
        opened = {slot.identity for slot in work.slots.open(DoctorId(1), day=MONDAY)}
    viewed = {SlotIdentity(*row) for row in world.sql(_BOOKABLE)}
    return {"show": shown, "explain": offered, "slots.open": opened, "view": viewed}


@pytest.mark.parametrize("seed", range(2))
def test_s3_all_answers_about_open_slots_agree(world: World, database_url: str, seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311  # dice, no secret
    numbers = iter(VISITS[1:])
    refused = 0
    with Scheduler(database_url, clock=lambda: NOW) as scheduler:
        for _ in range(4):
            for number in (next(numbers) for _ in range(5)):
                try:
                    something_happens(world, dice, number)
                except StoreError:
                    refused += 1
            expected = bookable(world)
            for asked, answer in answers(world, scheduler).items():
                assert answer == expected, asked
            ((places, free, rest),) = world.sql(_PLACES)
            assert places == free == rest, "figures"
            assert 0 < len(expected) < len(slots(world))
    assert refused < 15


def test_s3_nobody_gets_the_other_places_of_a_dropped_slot(world: World, database_url: str) -> None:
    one = NINE + 240 * MINUTE
    group = next(slot.identity for slot in slots(world) if slot.identity[:1] + slot.identity[3:4] == (one, 1))
    with Scheduler(database_url, clock=lambda: NOW) as scheduler:

        def who_offers_it() -> set[str]:
            ((places, free, rest),) = world.sql(_PLACES)
            assert places == free == rest, "figures"
            return {asked for asked, answer in answers(world, scheduler).items() if group in answer}

        assert len(who_offers_it()) == 4
        with scheduler.tenant(str(world.tenant_id)) as work:
            between = Span(one, one + MINUTE)
            change = work.exceptions.block(DoctorId(1), at=FacilityId(1), between=between)
            (away,) = work.exceptions.of(DoctorId(1), at=FacilityId(1))
        assert [stored.slot.identity for stored in change.conflicting] == [group]
        assert who_offers_it() == set()
        world.sql("update scheduling.appointments set status = 'cancelled' where tenant_id = :tenant_id")
        assert who_offers_it() == set()
        world.sql("update scheduling.appointments set status = 'scheduled' where tenant_id = :tenant_id")
        with scheduler.tenant(str(world.tenant_id)) as work:
            work.exceptions.remove(away)
        assert len(who_offers_it()) == 4
