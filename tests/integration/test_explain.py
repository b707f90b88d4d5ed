"""Answers of `explain` with bookings, holds and closures: S3 (two facilities), B2 (ended holds), Q2, Q3."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

import pytest
from rich.console import Console

from scheduler.cli.explain import Explained, explained
from scheduler.core.reasons import ReasonCode
from scheduler.core.schedules import AvailabilityException, Closure, ExceptionType
from scheduler.postgres.database import Database
from support.worlds.generation import World, weekly

pytestmark = pytest.mark.database

NINE = datetime(2027, 3, 1, 9, tzinfo=UTC)
MONDAY = NINE.date()
DAY = timedelta(days=1)
HALF_HOUR = timedelta(minutes=30)


@pytest.fixture
def world(database: Database, tenant_id: UUID) -> World:
    """Doctor 1 works at facility 1; the clock is long before the days in question."""
    world = World(database, tenant_id)
    world.write(weekly(1))
    return world


@pytest.fixture(autouse=True)
def _in_january(monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, datetime(2027, 1, 1, tzinfo=UTC))


def at(monkeypatch: pytest.MonkeyPatch, now: datetime) -> None:
    monkeypatch.setattr("scheduler.cli.explain.now", lambda: now)


def ask(world: World, when: date | datetime | str, *, slug: str = "place-1") -> Explained:
    text = when if isinstance(when, str) else when.isoformat()
    (answer,) = explained(world.database, slug, text, tenant=str(world.tenant_id), doctor_id=1)
    return answer


def nearest_start(answer: Explained) -> datetime:
    assert answer.explanation.nearest is not None
    return answer.explanation.nearest.start_at


def test_s3_a_doctor_who_is_booked_elsewhere_is_not_offered(world: World) -> None:
    rows = world._rows(replace(weekly(1, 2), rules=[replace(weekly(1).rules[0], id=900)]))
    world.add(*(row for row in rows if type(row).__name__ != "Doctor"))
    world.run(MONDAY, 7)
    world.sql(
        "update scheduling.availability_slots set status = 'booked', booked_count = 1"
        " where tenant_id = :tenant_id and facility_id = 2 and start_at = :nine",
        nine=NINE,
    )
    assert ask(world, NINE).explanation.codes == (ReasonCode.BOOKED,)
    assert ask(world, NINE + HALF_HOUR).explanation.codes == ()


def test_q3_a_slot_booked_weeks_ahead_is_not_the_nearest(world: World) -> None:
    """A fixed bug: bookings were read for one week around the instant, slots for five."""
    off = AvailabilityException(1, ExceptionType.BLOCKED, NINE - 40 * DAY, NINE + 28 * DAY - 2 * HALF_HOUR)
    world.add(world.exception_row(weekly(1), off))
    world.run(MONDAY, 60)
    later = datetime(2027, 3, 29, 8, tzinfo=UTC)
    world.touch(later, status="booked", booked_count=1)
    assert nearest_start(ask(world, NINE)) == later + HALF_HOUR


def test_q3_a_booked_slot_at_the_end_of_the_search_is_not_the_nearest(world: World) -> None:
    off = AvailabilityException(1, ExceptionType.BLOCKED, NINE - 40 * DAY, NINE + 34 * DAY)
    world.add(world.exception_row(weekly(1), off))
    world.run(MONDAY, 60)
    for number in range(3):
        world.touch(datetime(2027, 4, 5, 8, tzinfo=UTC) + number * HALF_HOUR, status="booked", booked_count=1)
    assert ask(world, NINE).explanation.nearest is None


@pytest.mark.parametrize("day", [date(1, 1, 8), date(9999, 12, 20)])
def test_the_search_ends_where_the_calendar_ends(world: World, day: date) -> None:
    assert ask(world, day).explanation.nearest is not None


def test_q2_past_slots_of_today_are_not_offered(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, NINE + 2 * HALF_HOUR)
    answer = ask(world, MONDAY).explanation
    assert [slot.start_at for slot in answer.offered] == [NINE + number * HALF_HOUR for number in range(2, 6)]
    assert ReasonCode.NOTICE in answer.codes


def test_b2_a_hold_that_ended_this_morning_takes_no_slot(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.run(MONDAY, 7)
    world.touch(NINE + 2 * HALF_HOUR, status="reserved", held_by="me", reserved_until=NINE - HALF_HOUR)
    at(monkeypatch, NINE)
    assert NINE + 2 * HALF_HOUR in [slot.start_at for slot in ask(world, MONDAY).explanation.offered]


@pytest.mark.parametrize("when", [MONDAY, NINE, "2027-03-01T09:00"])
def test_q3_the_past_is_explained_as_of_then(
    world: World, monkeypatch: pytest.MonkeyPatch, when: date | datetime | str
) -> None:
    world.add(world.closure(weekly(1), Closure(1, MONDAY)))
    at(monkeypatch, datetime(2028, 1, 1, tzinfo=UTC))
    codes = ask(world, when).explanation.codes
    assert ReasonCode.CLOSURE in codes
    assert ReasonCode.NOTICE not in codes


def test_q2_a_day_is_past_after_it_has_ended_at_the_facility(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    midnight = datetime.combine(MONDAY + DAY, time(0), UTC)
    noticed = []
    for now in (midnight - timedelta(microseconds=1), midnight):
        at(monkeypatch, now)
        noticed.append(ReasonCode.NOTICE in ask(world, MONDAY).explanation.codes)
    assert noticed == [True, False]


def test_q3_reasons_of_exceptions_and_closed_days_are_shown(world: World) -> None:
    world.add(
        world.exception_row(weekly(1), AvailabilityException(1, ExceptionType.EMERGENCY, NINE, NINE + HALF_HOUR)),
        world.closure(weekly(1), Closure(1, MONDAY)),
    )
    world.sql("update scheduling.availability_exceptions set reason = 'Burst pipe' where tenant_id = :tenant_id")
    world.sql("update scheduling.facility_closures set reason = 'St David' where tenant_id = :tenant_id")
    console = Console(width=140)
    with console.capture() as drawn:
        console.print(ask(world, MONDAY).picture())
    assert "(closure 1): St David" in drawn.get()
    world.sql("delete from scheduling.facility_closures where tenant_id = :tenant_id")
    with console.capture() as drawn:
        console.print(ask(world, NINE).picture())
    assert "emergency exception 1 takes this time: Burst pipe" in drawn.get()
