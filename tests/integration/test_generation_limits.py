"""Generation at its limits: long horizons, endless recurrences, many exceptions, unknown zones and a wrong role."""

from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest

from scheduler.core.errors import WallClockError
from scheduler.core.schedules import AvailabilityException, AvailabilityRule, ExceptionType, Schedule
from scheduler.core.zones import zone_of
from scheduler.generation.job import generate
from scheduler.generation.request import GenerationRequest
from scheduler.postgres.database import Database
from scheduler.postgres.errors import RoleRefusedError
from scheduler.postgres.schedules import ScheduleKey
from support.databases import as_login, execute
from support.worlds.generation import MONDAY, NOW, World, expected, weekly

pytestmark = pytest.mark.database

TEN_YEARS = 3653
HALF_HOUR = timedelta(minutes=30)


@pytest.fixture
def world(database: Database, tenant_id: UUID) -> World:
    return World(database, tenant_id)


def test_a_zone_that_the_data_no_longer_knows_fails_its_schedule_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, forgotten = weekly(1), weekly(2, 2, "Asia/Tokyo")
    world.write(known, forgotten)
    world.run()
    before = world.versions()

    def forgetful(zone: ZoneInfo | str) -> ZoneInfo:
        if str(zone) == "Asia/Tokyo":
            raise WallClockError("unknown time zone 'Asia/Tokyo'")
        return zone_of(zone)

    for module in ("core.schedules", "postgres.schedules", "generation.job"):
        monkeypatch.setattr(f"scheduler.{module}.zone_of", forgetful, raising=False)
    report = world.run(MONDAY, 21)
    assert [failure.key for failure in report.result.schedules_failed] == [ScheduleKey(2, 2)]
    assert "Asia/Tokyo" in report.result.schedules_failed[0].reason
    assert report.result.slots_created == len(expected([known], MONDAY, 21)) - len(expected([known], MONDAY, 14))
    assert before.items() <= world.versions().items()


def test_ten_years_are_generated_and_their_months_created(world: World) -> None:
    rule = AvailabilityRule(1, 1, time(9), time(10), HALF_HOUR)
    schedule = Schedule(1, 1, "Europe/London", [rule])
    world.write(schedule)
    report = world.run(MONDAY, TEN_YEARS)
    assert report.result.slots_created == len(expected([schedule], MONDAY, TEN_YEARS)) == 2 * 522
    ((months,),) = world.sql(
        "select count(*) from pg_inherits where inhparent = 'scheduling.availability_slots'::regclass"
    )
    assert months >= 121
    assert world.run(MONDAY, TEN_YEARS).result.slots_created == 0


@pytest.mark.parametrize(
    "recurrence", ["FREQ=DAILY;INTERVAL=2", "FREQ=YEARLY;BYMONTH=4;BYMONTHDAY=5", "FREQ=WEEKLY;INTERVAL=52"]
)
def test_a2_a_recurrence_without_an_end_is_generated_for_the_days_alone(world: World, recurrence: str) -> None:
    """It began nearly two thousand years ago, and its days until now are not walked through."""
    rule = AvailabilityRule(
        1, None, time(9), time(10), HALF_HOUR, effective_from=date(101, 1, 3), recurrence=recurrence
    )
    schedule = Schedule(1, 1, "Europe/London", [rule])
    world.write(schedule)
    world.run(MONDAY, 400)
    assert world.slots() == expected([schedule], MONDAY, 400)
    assert world.slots()


@pytest.mark.parametrize("exceptions", [1000, pytest.param(10_000, marks=pytest.mark.deep)])
def test_thousands_of_exceptions_of_one_doctor_are_all_applied(world: World, exceptions: int) -> None:
    base = weekly(1)
    world.write(base)
    begin = datetime(2027, 3, 22, 9, tzinfo=UTC)
    blocks = [
        AvailabilityException(
            number + 1, ExceptionType.BLOCKED, begin + number * HALF_HOUR, begin + number * HALF_HOUR + HALF_HOUR / 2
        )
        for number in range(0, 2 * exceptions, 2)
    ]
    world.add(*(world.exception_row(base, block) for block in blocks))
    schedule = Schedule(1, 1, "Europe/London", base.rules, blocks)
    world.run(MONDAY, 28)
    assert world.slots() == expected([schedule], MONDAY, 28)
    assert 0 < len(world.slots()) < len(expected([base], MONDAY, 28))


def test_a_login_that_is_not_the_jobs_generates_nothing(world: World, database_url: str) -> None:
    world.write(weekly(1))
    execute(database_url, "drop role if exists not_the_job", "create role not_the_job login in role scheduler_app")
    request = GenerationRequest(world.tenant_id, MONDAY, MONDAY + timedelta(days=7), now=NOW)
    try:
        with (
            Database(as_login(database_url, "not_the_job")) as database,
            pytest.raises(RoleRefusedError, match="grant scheduler_job to not_the_job"),
        ):
            generate(database, request)
    finally:
        execute(database_url, "drop role not_the_job")
    assert world.slots() == set()
