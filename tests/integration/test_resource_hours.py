"""Hours of resources through the front door: what is written is loaded as opening times, or refused as a whole."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import count
from typing import Any

import pytest
from sqlalchemy import event, text

from scheduler import models
from scheduler.core.errors import InvalidInputError, NotFoundError
from scheduler.core.ids import DoctorId, FacilityId, ResourceExceptionId, ResourceId, ResourceRuleId, RuleId
from scheduler.core.resource_hours import spans_outside
from scheduler.core.spans import Span
from scheduler.core.weekdays import Weekday
from scheduler.front_door.scheduler import Scheduler
from scheduler.front_door.work import Work
from scheduler.postgres.resource_schedules import openings_of

pytestmark = pytest.mark.database

NOW = datetime(2027, 2, 28, 12, tzinfo=UTC)
NUMBERS = count()
WEEK: dict[str, Any] = {"on": list(Weekday)[1:6], "start": time(8), "end": time(18)}


def at(hour: int, minute: int = 0, *, day: int = 1) -> datetime:
    """Return a time of March 2027 in UTC, which is London's until the 28th; the 1st is a Monday."""
    return datetime(2027, 3, day, hour, minute, tzinfo=UTC)


@dataclass
class Clinic:
    """A unit of work, with the ids of a facility, a doctor, a room and a nurse."""

    scheduler: Scheduler
    work: Work
    place: FacilityId
    doctor: DoctorId
    room: ResourceId
    nurse: ResourceId

    def is_open(self, start: datetime, end: datetime, *, resource: ResourceId | None = None) -> bool:
        """Tell whether the stored hours of a resource, by default the room, have all of a time."""
        id_ = resource or self.room
        opening = openings_of(self.work.session, [id_]).get(id_)
        return opening is None or spans_outside(opening, [Span(start, end)]) == []


@pytest.fixture(scope="module")
def scheduler(database_url: str) -> Iterator[Scheduler]:
    with Scheduler(database_url, clock=lambda: NOW) as opened:
        opened.add_tenant("riverside", name="Riverside Clinics")
        yield opened


@pytest.fixture
def clinic(scheduler: Scheduler) -> Iterator[Clinic]:
    """A clinic of one test. Its unit of work commits at the end of the test."""
    with scheduler.tenant("riverside") as work:
        place = work.facilities.add(f"place-{next(NUMBERS)}", name="Main Street", zone="Europe/London")
        doctor = work.doctors.add("Anna", "Ray", at=[place])
        room, nurse = (work.resources.add(kind, f"{kind} 1", at=place) for kind in ("room", "nurse"))
        yield Clinic(scheduler, work, place, doctor, room, nurse)


def test_w7_a_resource_is_open_by_its_rules_and_closures(clinic: Clinic) -> None:
    work, place, room = clinic.work, clinic.place, clinic.room
    assert openings_of(work.session, [room, clinic.nurse]) == {}
    rules = work.rules.add(room, at=place, **WEEK)
    assert [(rule.day_of_week, rule.start_time) for rule in rules] == [(day, time(8)) for day in range(1, 6)]
    assert work.rules.of(room, at=place) == rules
    assert work.rules.get(ResourceRuleId(rules[0].id or 0)) is rules[0]
    assert work.rules.of(clinic.doctor, at=place) == ()
    assert clinic.is_open(at(8), at(18))
    assert not clinic.is_open(at(17), at(18, 1))
    assert clinic.is_open(at(20), at(23), resource=clinic.nurse)
    closure = work.closures.add(place, date(2027, 3, 1)).written[0]
    assert not clinic.is_open(at(9), at(10))
    assert not clinic.is_open(at(20), at(23), resource=clinic.nurse)
    work.closures.remove(closure)  # type: ignore[arg-type]
    work.rules.end(rules[0], last_day=date(2027, 2, 28))
    work.rules.change(ResourceRuleId(rules[1].id or 0), start=time(10))
    work.rules.delete(rules[2])
    assert not clinic.is_open(at(9), at(10))
    assert clinic.is_open(at(10, day=2), at(18, day=2))
    assert not clinic.is_open(at(9, day=2), at(11, day=2))
    assert not clinic.is_open(at(9, day=3), at(10, day=3))


def test_w7_exceptions_of_a_resource_block_override_and_go(clinic: Clinic) -> None:
    work, place, room = clinic.work, clinic.place, clinic.room
    (monday,) = work.rules.add(room, at=place, on=Weekday.MONDAY, start=time(8), end=time(18))
    block = work.exceptions.block(room, at=place, between=Span(at(9), at(10)), reason="paint", rule=monday)
    (row,) = work.exceptions.of(room, at=place)
    assert block.written == (row,)
    assert (row.type, row.reason, row.resource_rule_id) == ("blocked", "paint", monday.id)
    assert not clinic.is_open(at(9), at(9, 1))
    work.exceptions.emergency(room, at=place, between=Span(at(10), at(11)))
    assert not clinic.is_open(at(10), at(10, 1))
    assert clinic.is_open(at(11), at(18))
    override = work.exceptions.override(room, at=place, between=Span(at(20, day=6), at(22, day=6))).written[0]
    assert clinic.is_open(at(20, day=6), at(22, day=6))
    work.exceptions.remove(ResourceExceptionId(row.id or 0))
    work.exceptions.remove(override)  # type: ignore[arg-type]
    assert clinic.is_open(at(8), at(10))
    assert not clinic.is_open(at(20, day=6), at(22, day=6))
    assert work.exceptions.of(clinic.doctor, at=place) == ()


def test_w7_a_change_of_hours_lists_the_visits_outside_of_them(clinic: Clinic) -> None:
    work = clinic.work
    service = work.services.add("check-up", duration=timedelta(minutes=20))
    offering = work.offerings.add(service, by=clinic.doctor, at=clinic.place)
    patient = work.patients.add("Ada", "Poe", email="ada@example.org")
    visits = [
        models.Appointment(
            tenant_id=work.tenant_id,
            patient_id=patient,
            doctor_id=clinic.doctor,
            facility_id=clinic.place,
            service_offering_id=offering,
            service_workflow_id=int(work.workflows.of(offering).id),
            start_at=start,
            end_at=start + timedelta(hours=1),
        )
        for start in (at(9), at(19), at(17, 30, day=2))
    ]
    work.session.add_all(visits)
    work.session.flush()
    connection = work.session.connection()
    connection.execute(text("set local role scheduler_system"))  # as the triggers that write allocations
    for number, visit in enumerate(visits):
        use = "insert into scheduling.allocations (tenant_id, visit_key, resource_id, start_at, end_at, appointment_id)"
        times = {"tenant": work.tenant_id, "room": int(clinic.room), "start": visit.start_at, "end": visit.end_at}
        values = times | {"key": 2**40 + number, "visit": visit.id}
        connection.execute(text(f"{use} values (:tenant, :key, :room, :start, :end, :visit)"), values)
    connection.execute(text("set local role scheduler_app"))
    _, in_the_evening, at_the_end = (visit.id for visit in visits)
    assert work.rules.add(clinic.nurse, at=clinic.place, **WEEK)
    block = work.exceptions.block(clinic.room, at=clinic.place, between=Span(at(19, 30), at(20)))
    assert block.conflicting_visits == (in_the_evening,)
    rules = work.rules.add(clinic.room, at=clinic.place, **WEEK)
    ended = work.rules.end(rules[4], last_day=date(2027, 3, 5))
    assert ended.conflicting_visits == (in_the_evening, at_the_end)
    assert (ended.slots_made, ended.slots_taken, ended.written) == (0, 0, (rules[4],))


def test_w7_another_kind_of_hours_is_refused(clinic: Clinic) -> None:
    work, place, room = clinic.work, clinic.place, clinic.room
    hours: dict[str, Any] = {"at": place, "on": Weekday.MONDAY, "start": time(8), "end": time(18)}
    between = Span(at(9), at(10))
    slots: dict[str, Any] = {"slot_duration": timedelta(minutes=20), "slot_interval": timedelta(minutes=20)}
    slots |= {"alignment": timedelta(minutes=20), "capacity": 2, "offering": 7}
    for name, value in slots.items():
        with pytest.raises(InvalidInputError, match=f"rule: {name} is for doctors: a resource has hours and no slots"):
            work.rules.add(room, **hours, **{name: value})
        if name in {"slot_duration", "slot_interval", "capacity"}:
            with pytest.raises(InvalidInputError, match=f"exception: {name} is for doctors"):
                work.exceptions.override(room, at=place, between=between, **{name: value})
    with pytest.raises(InvalidInputError, match="rule: slot_duration must be given for a doctor"):
        work.rules.add(clinic.doctor, **hours)
    (rule,) = work.rules.add(room, **hours)
    with pytest.raises(InvalidInputError, match="a rule of a resource has no field 'capacity'"):
        work.rules.change(rule, capacity=2)
    with pytest.raises(InvalidInputError, match="rule must be of type RuleId, not a value of type ResourceRule"):
        work.exceptions.block(clinic.doctor, at=place, between=between, rule=rule)
    with pytest.raises(InvalidInputError, match="rule must be of type ResourceRuleId, not a value of type RuleId"):
        work.exceptions.block(room, at=place, between=between, rule=RuleId(1))
    assert len(work.rules.of(room, at=place)) == 1
    assert work.exceptions.of(room, at=place) == ()


def test_r4_refused_hours_of_a_resource_undo_themselves(clinic: Clinic) -> None:
    work, place, room = clinic.work, clinic.place, clinic.room
    branch = work.facilities.add(f"branch-{next(NUMBERS)}", name="Branch", zone="Europe/London")
    (of_the_nurse,) = work.rules.add(clinic.nurse, at=place, on=Weekday.MONDAY, start=time(8), end=time(18))
    hours: dict[str, Any] = {"at": place, "on": Weekday.MONDAY, "start": time(8), "end": time(18)}
    refused: dict[str, dict[str, Any]] = {
        f"resource {int(room)} is of facility {int(place)}, not of {int(branch)}": {"at": branch},
        "rule: on must be of type Weekday": {"on": 1},
        "rule new: start_time": {"start": "8"},
        "rule new: recurrence": {"recurrence": "FREQ=SOMETIMES"},
        "rule: without `on`, the rule needs effective_from": {"on": None, "recurrence": "FREQ=DAILY"},
    }
    for message, wrong in refused.items():
        with pytest.raises(InvalidInputError, match=message):
            work.rules.add(room, **hours | wrong)
    with pytest.raises(NotFoundError, match="rule of a resource: who: no resource has the id"):
        work.rules.add(ResourceId(2**40), **hours)
    with pytest.raises(NotFoundError, match="no rule of a resource has the id"):
        work.rules.end(ResourceRuleId(2**40), last_day=date(2027, 3, 1))
    with pytest.raises(InvalidInputError, match="names no rule of the schedule"):
        work.exceptions.block(room, at=place, between=Span(at(9), at(10)), rule=of_the_nurse)
    with pytest.raises(InvalidInputError, match="an override spans at most one day"):
        work.exceptions.override(room, at=place, between=Span(at(9), at(10, day=2)))
    with pytest.raises(InvalidInputError, match="between must be of type Span"):
        work.exceptions.block(room, at=place, between=(at(9), at(10)))  # type: ignore[arg-type]
    with pytest.raises(InvalidInputError, match="start_time"):
        work.rules.change(of_the_nurse, start="8")  # type: ignore[arg-type]
    assert openings_of(work.session, [room]) == {}
    work.session.expire_all()
    assert work.rules.get(of_the_nurse).start_time == time(8)


def test_w7_opening_times_load_in_four_statements(clinic: Clinic) -> None:
    work, rooms = clinic.work, [clinic.room, clinic.nurse]
    rooms += [work.resources.add("room", f"Room {number}", at=clinic.place) for number in range(2, 9)]
    for room in rooms[1:]:
        work.rules.add(room, at=clinic.place, **WEEK)
    statements: list[str] = []
    connection = work.session.connection()
    event.listen(connection, "before_cursor_execute", lambda *given: statements.append(given[2]))
    assert openings_of(work.session, rooms, since=date(2027, 3, 1)).keys() == {*rooms[1:]}
    assert len(statements) == 4


def test_w7_rows_that_the_core_refuses_close_their_resource_alone(clinic: Clinic) -> None:
    work = clinic.work
    for resource in (clinic.room, clinic.nurse):
        work.rules.add(resource, at=clinic.place, **WEEK)
    update = "update scheduling.resource_rules set recurrence = 'FREQ=SOMETIMES' where resource_id = :room"
    work.session.connection().execute(text(update), {"room": int(clinic.room)})
    assert not clinic.is_open(at(9), at(10))
    assert clinic.is_open(at(9), at(10), resource=clinic.nurse)


def test_t6_an_exception_of_a_resource_follows_its_zone(clinic: Clinic) -> None:
    work = clinic.work
    row = models.ResourceException(
        tenant_id=work.tenant_id,
        resource_id=clinic.room,
        type="blocked",
        start_at=at(9),
        end_at=at(10),
        local_start=datetime(2027, 3, 1, 9),
        local_end=datetime(2027, 3, 1, 10),
    )
    work.session.add(row)
    work.session.flush()
    work.facilities.change(clinic.place, zone="Europe/Paris")
    assert clinic.is_open(at(9), at(10))
    assert not clinic.is_open(at(8), at(8, 1))
    row.end_at = at(11)  # instants alone, which decide from now on
    work.session.flush()
    work.session.refresh(row)
    assert (row.local_start, row.local_end) == (None, None)
    assert not clinic.is_open(at(9), at(10))


def test_w7_changes_of_one_resource_wait_for_each_other(scheduler: Scheduler) -> None:
    with scheduler.tenant("riverside") as work:
        place = work.facilities.add("locks", name="Main Street", zone="Europe/London")
        room, another = (work.resources.add("room", name, at=place) for name in ("Room 1", "Room 2"))
    with scheduler.tenant("riverside") as work:
        work.exceptions.block(room, at=place, between=Span(at(9), at(10)))
        free = "select id from scheduling.resources where facility_id = :place for no key update skip locked"
        with scheduler.tenant("riverside") as other:
            assert other.session.connection().execute(text(free), {"place": int(place)}).scalars().all() == [another]


def test_resources_are_listed_by_facility_and_kind(clinic: Clinic) -> None:
    work = clinic.work
    second = work.resources.add("room", "Room 2", at=clinic.place)
    work.resources.delete(work.resources.add("room", "Room 3", at=clinic.place))
    assert [row.id for row in work.resources.of(clinic.place)] == [clinic.room, clinic.nurse, second]
    assert [row.id for row in work.resources.of(clinic.place, kind="room")] == [clinic.room, second]
    assert work.resources.of(clinic.place, kind="device") == []
    for kind in ("doctor", "patient", "Room "):
        with pytest.raises(InvalidInputError, match="resource: kind must"):
            work.resources.of(clinic.place, kind=kind)
        with pytest.raises(InvalidInputError, match="resource: kind must"):
            work.resources.add(kind, "Bay 1", at=clinic.place)


def hours_are_typed(work: Work, place: FacilityId, room: ResourceId, anna: DoctorId) -> None:
    """Each line has a mistake that the type checker finds."""
    between = Span(at(9), at(10))
    work.rules.add(anna, at=place, on=None, start=time(8), end=time(9))  # type: ignore[call-overload]
    work.rules.add(room, at=place, on=None, start=time(8), end=time(9), capacity=2)  # type: ignore[call-overload]
    rules: tuple[models.AvailabilityRule, ...] = work.rules.of(room, at=place)  # type: ignore[assignment]
    work.exceptions.block(place, at=place, rule=rules[0], between=between)  # type: ignore[arg-type]
