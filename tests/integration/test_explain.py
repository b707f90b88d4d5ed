"""Answers of `explain` with bookings, holds and closures: S3 (two facilities), B2 (ended holds), Q2, Q3."""

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

import pytest
from rich.console import Console

from scheduler.cli.explain import Explained, explained
from scheduler.cli.show import week_of
from scheduler.cli.week_calendar import week_calendar
from scheduler.core.errors import NotFoundError
from scheduler.core.explanation import Explanation
from scheduler.core.reasons import ReasonCode
from scheduler.core.schedules import AvailabilityException, Closure, ExceptionType
from scheduler.models import Facility
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


def answers(world: World, when: date | datetime | str, *, doctor_id: int | None = 1) -> list[Explained]:
    text = when if isinstance(when, str) else when.isoformat()
    return explained(world.database, "place-1", text, tenant=str(world.tenant_id), doctor_id=doctor_id)


def ask(world: World, when: date | datetime | str) -> Explanation:
    (answer,) = answers(world, when)
    assert isinstance(answer.explanation, Explanation)
    return answer.explanation


def picture(answer: Explained) -> str:
    console = Console(width=140)
    with console.capture() as drawn:
        console.print(answer.picture())
    return drawn.get()


def week(world: World, day: date, *, doctor_id: int | None = None) -> str:
    console = Console(width=140)
    with console.capture() as drawn:
        shown = week_of(world.database, "place-1", day, tenant=str(world.tenant_id), doctor_id=doctor_id)
        console.print(week_calendar(shown, columns=140))
    return drawn.get()


def nearest_start(explanation: Explanation) -> datetime:
    assert explanation.nearest is not None
    return explanation.nearest.start_at


def test_s3_a_doctor_who_is_booked_elsewhere_is_not_offered(world: World) -> None:
    rows = world._rows(replace(weekly(1, 2), rules=[replace(weekly(1).rules[0], id=900)]))
    world.add(*(row for row in rows if type(row).__name__ != "Doctor"))
    world.run(MONDAY, 7)
    assert "○ 30 open" in week(world, MONDAY)
    world.book(NINE, facility_id=2, number=4)
    explanation = ask(world, NINE)
    assert [(reason.code, reason.cause_id) for reason in explanation] == [(ReasonCode.BOOKED, 4)]
    assert ask(world, NINE + HALF_HOUR).codes == ()
    assert "○ 29 open  ◐ 0 reserved  ● 0 booked  ◌ 1 taken" in week(world, MONDAY)


def test_q3_a_slot_booked_weeks_ahead_is_not_the_nearest(world: World) -> None:
    """A fixed bug: bookings were read for one week around the instant, slots for five."""
    off = AvailabilityException(1, ExceptionType.BLOCKED, NINE - 40 * DAY, NINE + 28 * DAY - 2 * HALF_HOUR)
    world.add(world.exception_row(weekly(1), off))
    world.run(MONDAY, 60)
    later = datetime(2027, 3, 29, 8, tzinfo=UTC)
    world.book(later)
    assert nearest_start(ask(world, NINE)) == later + HALF_HOUR


def test_q3_a_booked_slot_at_the_end_of_the_search_is_not_the_nearest(world: World) -> None:
    off = AvailabilityException(1, ExceptionType.BLOCKED, NINE - 40 * DAY, NINE + 34 * DAY)
    world.add(world.exception_row(weekly(1), off))
    world.run(MONDAY, 60)
    for number in range(3):
        world.book(datetime(2027, 4, 5, 8, tzinfo=UTC) + number * HALF_HOUR, number=number + 1)
    assert ask(world, NINE).nearest is None


@pytest.mark.parametrize("day", [date(1, 1, 8), date(9999, 12, 20)])
def test_the_search_ends_where_the_calendar_ends(world: World, day: date) -> None:
    assert ask(world, day).nearest is not None


def test_q2_past_slots_of_today_are_not_offered(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    at(monkeypatch, NINE + 2 * HALF_HOUR)
    answer = ask(world, MONDAY)
    assert [slot.start_at for slot in answer.offered] == [NINE + number * HALF_HOUR for number in range(2, 6)]
    assert ReasonCode.NOTICE in answer.codes


def test_b2_a_hold_that_ended_this_morning_takes_no_slot(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.run(MONDAY, 7)
    world.touch(NINE + 2 * HALF_HOUR, status="reserved", reserved_until=NINE - HALF_HOUR)
    at(monkeypatch, NINE)
    assert NINE + 2 * HALF_HOUR in [slot.start_at for slot in ask(world, MONDAY).offered]


@pytest.mark.parametrize("when", [MONDAY, NINE, "2027-03-01T09:00"])
def test_q3_the_past_is_explained_as_of_then(
    world: World, monkeypatch: pytest.MonkeyPatch, when: date | datetime | str
) -> None:
    world.add(world.closure(weekly(1), Closure(1, MONDAY)))
    at(monkeypatch, datetime(2028, 1, 1, tzinfo=UTC))
    codes = ask(world, when).codes
    assert ReasonCode.CLOSURE in codes
    assert ReasonCode.NOTICE not in codes


def test_q2_a_day_is_past_after_it_has_ended_at_the_facility(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    midnight = datetime.combine(MONDAY + DAY, time(0), UTC)
    noticed = []
    for now in (midnight - timedelta(microseconds=1), midnight):
        at(monkeypatch, now)
        noticed.append(ReasonCode.NOTICE in ask(world, MONDAY).codes)
    assert noticed == [True, False]


def test_q3_reasons_of_exceptions_and_closed_days_are_shown(world: World) -> None:
    world.add(
        world.exception_row(weekly(1), AvailabilityException(1, ExceptionType.EMERGENCY, NINE, NINE + HALF_HOUR)),
        world.closure(weekly(1), Closure(1, MONDAY)),
    )
    world.sql("update scheduling.availability_exceptions set reason = 'Burst pipe' where tenant_id = :tenant_id")
    world.sql("update scheduling.facility_closures set reason = 'St David' where tenant_id = :tenant_id")
    assert "(closure 1): St David" in picture(*answers(world, MONDAY))
    world.sql("delete from scheduling.facility_closures where tenant_id = :tenant_id")
    assert "emergency exception 1 takes this time: Burst pipe" in picture(*answers(world, NINE))


def test_c1_an_invalid_schedule_is_named_and_the_others_explained(world: World) -> None:
    world.add(*(row for row in world._rows(weekly(2)) if not isinstance(row, Facility)))
    world.sql(
        "update scheduling.availability_rules set recurrence = 'FREQ=NONSENSE'"
        " where tenant_id = :tenant_id and id = 203"
    )
    first, second = answers(world, MONDAY, doctor_id=None)
    assert isinstance(first.explanation, Explanation)
    assert len(first.explanation.offered) == 6
    fault = "the schedule of doctor 2 is invalid: rule 203: recurrence 'FREQ=NONSENSE'"
    assert picture(second).startswith("Doctor 2 at A place, 2027-03-01 (Europe/London)\n" + fault)


@pytest.mark.parametrize("left", ["rules", "closed", "deleted"])
def test_c7_a_booking_without_a_schedule_is_shown_and_explained(world: World, left: str) -> None:
    """A doctor who moved away, a closed day, a doctor who was deleted: the patient still comes."""
    world.run(MONDAY, 7)
    world.book(NINE, number=4)
    world.sql("delete from scheduling.availability_slots where tenant_id = :tenant_id and booked_count = 0")
    if left == "closed":
        world.add(world.closure(weekly(1), Closure(1, MONDAY)))
    else:
        world.sql("delete from scheduling.availability_rules where tenant_id = :tenant_id")
    if left == "deleted":
        world.sql("update scheduling.doctors set deleted_at = now() where tenant_id = :tenant_id and id = 1")
    for when in (MONDAY, NINE, NINE + HALF_HOUR / 2):
        explanation = ask(world, when)
        booked = [reason for reason in explanation if reason.code is ReasonCode.BOOKED]
        assert [(reason.start_at, reason.cause_id) for reason in booked] == [(NINE, 4)]
        assert len(explanation) > 1  # and why no slot is offered
    for doctor_id in (1, None):
        assert "● 1 booked" in week(world, MONDAY, doctor_id=doctor_id)


def test_a3_a_closed_time_is_shown_and_explained(world: World) -> None:
    world.add(world.closure(weekly(1), Closure(1, MONDAY, time(10), time(0))))
    world.sql("update scheduling.facility_closures set reason = 'Fair' where tenant_id = :tenant_id")
    world.run(MONDAY, 1)
    assert "○ 2 open" in week(world, MONDAY)
    assert "Mon 01 Mar 10:00-24:00  closed: Fair" in week(world, MONDAY)
    assert ": Fair" in picture(*answers(world, NINE + 2 * HALF_HOUR))


def test_c7_a_visit_without_a_slot_is_shown_until_it_is_cancelled(world: World) -> None:
    world.visit(NINE, status="scheduled")
    assert "● 1 booked" in week(world, MONDAY)
    world.sql("update scheduling.appointments set status = 'cancelled' where tenant_id = :tenant_id")
    assert "● 0 booked" in week(world, MONDAY)


def test_c7_a_doctor_without_schedule_and_slots_is_refused(world: World) -> None:
    with pytest.raises(NotFoundError, match="doctor 9 has no schedule at 'place-1', and no slot at this time"):
        answers(world, MONDAY, doctor_id=9)
