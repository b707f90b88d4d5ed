"""Front door: what hosts write about schedules takes effect at once, or is refused as a whole."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time, timedelta
from itertools import count
from typing import Any, NamedTuple, TypeVar

import pytest
from sqlalchemy import text

from scheduler import models
from scheduler.core.errors import InvalidInputError, InvalidRecurrenceError, InvalidScheduleError, NotFoundError
from scheduler.core.ids import ClosureId, DoctorId, ExceptionId, FacilityId, RuleId
from scheduler.core.schedules import AvailabilityRule
from scheduler.core.slots import Slot
from scheduler.core.spans import Span
from scheduler.core.weekdays import Weekday
from scheduler.front_door.schedule_changes import ScheduleChange
from scheduler.front_door.scheduler import Scheduler
from scheduler.front_door.work import Work
from scheduler.generation import applying, refreshing
from scheduler.generation.request import Mode, Scope
from scheduler.postgres.acting import Role, act_as
from support.concurrency import after_waiting
from support.databases import undone

pytestmark = pytest.mark.database

NOW = datetime(2027, 2, 28, 12, tzinfo=UTC)
MONDAY = date(2027, 3, 1)
HALF_HOUR = timedelta(minutes=30)
_NUMBERS = count(1)
T = TypeVar("T")


def at(hour: int, minute: int = 0, *, day: int = 1) -> datetime:
    """Return a time of March 2027, in UTC, which is London's until the 28th."""
    return datetime(2027, 3, day, hour, minute, tzinfo=UTC)


class Clinic(NamedTuple):
    scheduler: Scheduler
    slug: str
    place: FacilityId
    anna: DoctorId
    ben: DoctorId
    mondays: AvailabilityRule

    def tenant(self) -> Any:
        return self.scheduler.tenant(self.slug)

    def open(self, doctor: DoctorId, day: date = MONDAY) -> list[str]:
        """Return the times of open slots on a day, as `09:00`."""
        with self.tenant() as work:
            return [f"{slot.start_at:%H:%M}" for slot in work.slots.open(doctor, day=day)]

    def generate(self, *, scope: Scope = Scope.CHANGED, mode: Mode = Mode.WRITE) -> dict[str, int]:
        result = self.scheduler.generate(self.slug, from_day=MONDAY, days=28, scope=scope, mode=mode)
        return result.counts()

    def drift(self) -> dict[str, int]:
        """Return the changes that a run over all schedules would still make."""
        counts = self.generate(scope=Scope.ALL, mode=Mode.DRY)
        return {name: counts[name] for name in ("slots_created", "slots_updated", "slots_retired") if counts[name]}

    def book(self, work: Work, starts: datetime) -> None:
        """Set the slot of Anna's that starts then to booked, which no role of the library may."""
        act_as(work.session, Role.OWNER)
        work.session.connection().execute(
            text(
                "update scheduling.availability_slots set status = 'booked', booked_count = 1"
                " where tenant_id = :tenant_id and doctor_id = :doctor_id and start_at = :starts"
            ),
            {"tenant_id": work.tenant_id, "doctor_id": int(self.anna), "starts": starts},
        )
        act_as(work.session, Role.APP)


@pytest.fixture(scope="module")
def scheduler(database_url: str) -> Iterator[Scheduler]:
    with Scheduler(database_url, clock=lambda: NOW) as opened:
        yield opened


@pytest.fixture
def clinic(scheduler: Scheduler) -> Clinic:
    """A clinic of two doctors with Monday mornings, generated for four weeks."""
    return new_clinic(scheduler)


@pytest.fixture(scope="module")
def unchanged(scheduler: Scheduler) -> Clinic:
    """A clinic like that, for tests whose changes are all refused."""
    return new_clinic(scheduler)


def new_clinic(scheduler: Scheduler) -> Clinic:
    slug = f"clinic-{next(_NUMBERS)}"
    scheduler.add_tenant(slug, name="A clinic")
    with scheduler.tenant(slug) as work:
        place = work.facilities.add("main", name="Main Street", zone="Europe/London")
        anna, ben = (work.doctors.add(name, "Ray", at=[place]) for name in ("Anna", "Ben"))
        hours: dict[str, Any] = {
            "at": place,
            "on": Weekday.MONDAY,
            "start": time(9),
            "end": time(11),
            "slot_duration": HALF_HOUR,
        }
        (mondays,) = work.rules.add(anna, **hours)
        work.rules.add(ben, **hours)
    made = Clinic(scheduler, slug, place, anna, ben, mondays)
    assert made.generate()["slots_created"] == 32
    return made


def test_r6_a_block_takes_its_slots_at_once_and_its_removal_returns_them(clinic: Clinic) -> None:
    with clinic.tenant() as work:
        change = work.exceptions.block(clinic.anna, at=clinic.place, between=Span(at(9, 30), at(10)), reason="training")
    assert (change.slots_made, change.slots_taken) == (0, 1)
    assert clinic.open(clinic.anna) == ["09:00", "10:00", "10:30"]
    assert clinic.open(clinic.ben) == ["09:00", "09:30", "10:00", "10:30"]
    with clinic.tenant() as work:
        assert work.exceptions.remove(change.written[0]).slots_made == 1
    assert len(clinic.open(clinic.anna)) == 4
    assert clinic.drift() == {}


def test_r6_an_override_replaces_the_hours_of_its_day_at_once(clinic: Clinic) -> None:
    with clinic.tenant() as work:
        between = Span(at(13), at(15))
        change = work.exceptions.override(clinic.anna, at=clinic.place, between=between, slot_duration=2 * HALF_HOUR)
    assert (change.slots_made, change.slots_taken) == (2, 4)
    assert clinic.open(clinic.anna) == ["13:00", "14:00"]
    assert clinic.drift() == {}


def test_r2_a_change_lists_the_bookings_that_it_leaves_in_conflict(clinic: Clinic) -> None:
    with clinic.tenant() as work:
        clinic.book(work, at(9))
        closure = work.closures.add(clinic.place, MONDAY, reason="flood")
        assert [stored.slot.start_at for stored in closure.conflicting] == [at(9)]
        assert closure.slots_taken == 7  # of both doctors
        work.closures.remove(closure.written[0])
        emergency = work.exceptions.emergency(clinic.anna, at=clinic.place, between=Span(at(9), at(10)))
        assert [stored.slot.start_at for stored in emergency.displaced] == [at(9)]
    assert clinic.open(clinic.anna) == ["10:00", "10:30"]
    assert clinic.open(clinic.ben) == ["09:00", "09:30", "10:00", "10:30"]
    assert clinic.drift() == {}


def test_r6_a_closure_of_some_hours_takes_the_slots_of_all_doctors(clinic: Clinic) -> None:
    with clinic.tenant() as work:
        change = work.closures.add(clinic.place, MONDAY, start=time(10), end=time(12))
        assert work.closures.of(clinic.place) == change.written
    assert change.slots_taken == 4
    assert clinic.open(clinic.anna) == clinic.open(clinic.ben) == ["09:00", "09:30"]


def test_r6_another_zone_moves_the_hours_at_once(clinic: Clinic) -> None:
    with clinic.tenant() as work:
        change = work.facilities.change(clinic.place, zone="Europe/Paris")
    assert (change.slots_made, change.slots_taken) == (16, 16)
    assert clinic.open(clinic.anna) == ["08:00", "08:30", "09:00", "09:30"]
    assert clinic.drift() == {}


def test_r6_rules_are_added_changed_ended_and_deleted_at_once(clinic: Clinic) -> None:
    with clinic.tenant() as work:
        added = work.rules.add(
            clinic.anna,
            at=clinic.place,
            on=[Weekday.TUESDAY, Weekday.WEDNESDAY],
            start=time(14),
            end=time(15),
            slot_duration=HALF_HOUR,
        )
        assert [rule.day_of_week for rule in added] == [Weekday.TUESDAY, Weekday.WEDNESDAY]
        assert len(work.slots.open(clinic.anna, between=Span(at(0, day=2), at(0, day=4)))) == 4
        longer = work.rules.change(added[0], end=time(16))
        assert longer.slots_made == 8
        ended = work.rules.end(added[0], last_day=date(2027, 3, 9))
        assert ended.slots_taken == 8
        assert work.rules.delete(added[1]).slots_taken == 8
        assert [rule.id for rule in work.rules.of(clinic.anna, at=clinic.place)] == [clinic.mondays.id, added[0].id]
    assert clinic.drift() == {}


def add_evening(clinic: Clinic, work: Work) -> AvailabilityRule:
    """Add a rule of Ben without a weekday: an evening on every tenth day from 3 March 2027 on."""
    (rule,) = work.rules.add(
        clinic.ben,
        at=clinic.place,
        on=None,
        start=time(20),
        end=time(21),
        slot_duration=HALF_HOUR,
        effective_from=date(2027, 3, 3),
        recurrence="FREQ=DAILY;INTERVAL=10",
    )
    return rule


def test_a_rule_without_a_weekday_follows_its_recurrence(clinic: Clinic) -> None:
    with clinic.tenant() as work:
        add_evening(clinic, work)
        evening = [
            slot for slot in work.slots.open(clinic.ben, between=Span(at(0), at(0, day=31))) if slot.start_at.hour == 20
        ]
    assert [slot.start_at.day for slot in evening] == [3, 3, 13, 13, 23, 23]


def test_r6_doctors_who_leave_a_place_lose_their_open_slots_there(clinic: Clinic) -> None:
    with clinic.tenant() as work:
        branch = work.facilities.add("branch", name="Branch", zone="Europe/London")
        assert work.doctors.change(clinic.anna, at=[branch]).slots_taken == 16
        assert work.slots.open(clinic.anna, day=MONDAY) == []
        assert work.doctors.change(clinic.anna, at=[branch, clinic.place]).slots_made == 16
        assert work.doctors.delete(clinic.ben).slots_taken == 16
        assert work.facilities.delete(clinic.place).slots_taken == 16
        assert [row.slug for row in work.facilities.all()] == ["branch"]
        with pytest.raises(NotFoundError, match="no doctor has the id"):
            work.doctors.get(clinic.ben)


WRONG_RULES: dict[str, dict[str, object]] = {
    "on must be of type Weekday": {"on": MONDAY.weekday()},
    "on must be of type Weekday, such as Weekday.MONDAY, not 'monday'": {"on": "monday"},
    "on must name each weekday once": {"on": []},
    "start_time must be a wall-clock time": {"start": time(9, tzinfo=UTC)},
    "slot_duration must be whole minutes": {"slot_duration": timedelta(seconds=90)},
    "slot_duration must be a timedelta": {"slot_duration": 30},
    "capacity must be a whole number from 1": {"capacity": 0},
    "recurrence 'FREQ=FOO'": {"recurrence": "FREQ=FOO"},
    "effective_until 2027-01-01 is before": {"effective_from": MONDAY, "effective_until": date(2027, 1, 1)},
    "who must be of type DoctorId, not a value of type FacilityId": {"who": FacilityId(1)},
    "needs a recurrence": {"on": None},
}


def test_one_invalid_schedule_does_not_hinder_changes_of_its_facility(clinic: Clinic) -> None:
    """An override of 26 hours, which other SQL may write, was an error of each closure of the facility."""
    with clinic.tenant() as work:
        override = (
            "insert into scheduling.availability_exceptions (tenant_id, doctor_id, facility_id, type, start_at,"
            " end_at) select :tenant, :ben, :place, 'override', '2027-03-01 00:00Z', '2027-03-02 02:00Z'"
        )
        ids = {"tenant": work.tenant_id, "ben": int(clinic.ben), "place": int(clinic.place)}
        work.session.connection().execute(text(override), ids)
        change = work.closures.add(clinic.place, MONDAY)
        assert (change.slots_taken, [failure.key for failure in change.failed]) == (4, [(clinic.ben, clinic.place)])
        with pytest.raises(InvalidScheduleError, match="exception"):
            work.exceptions.block(clinic.ben, at=clinic.place, between=Span(at(9), at(10)))
        (row,) = work.exceptions.of(clinic.ben, at=clinic.place)
        assert work.exceptions.remove(row).slots_taken == 4  # repaired, and the closure now counts


def test_hours_need_a_doctor_who_is_there_and_works_at_the_facility(clinic: Clinic) -> None:
    between = Span(at(9), at(10))
    with clinic.tenant() as work:
        branch = work.facilities.add("branch", name="Branch", zone="Europe/London")
        with pytest.raises(InvalidInputError, match="does not work at facility"):
            work.exceptions.block(clinic.anna, at=branch, between=between)
        work.doctors.delete(clinic.ben)
        with pytest.raises(NotFoundError, match="exception: who: no doctor has the id"):
            work.exceptions.block(clinic.ben, at=clinic.place, between=between)
        work.facilities.delete(branch)
        with pytest.raises(NotFoundError, match="closure: facility: no facility has the id"):
            work.closures.add(branch, MONDAY)
        with pytest.raises(NotFoundError, match="doctor: at: no facility has the id"):
            work.doctors.add("Eve", "Ray", at=[branch])


@pytest.mark.parametrize(("message", "wrong"), WRONG_RULES.items(), ids=list(WRONG_RULES))
def test_a_rule_that_the_core_would_refuse_is_refused_when_written(
    unchanged: Clinic, message: str, wrong: dict[str, Any]
) -> None:
    anna, place = unchanged.anna, unchanged.place
    rule = {"who": anna, "at": place, "on": Weekday.FRIDAY, "start": time(9), "end": time(11)}
    given = rule | {"slot_duration": HALF_HOUR} | wrong
    with unchanged.tenant() as work:
        with pytest.raises(InvalidInputError, match=message):
            work.rules.add(given.pop("who"), **given)
        assert len(work.rules.of(anna, at=place)) == 1


def test_r4_a_refused_change_undoes_itself_and_the_work_goes_on(clinic: Clinic) -> None:
    with clinic.tenant() as work:
        with pytest.raises(InvalidRecurrenceError, match="FOO"):
            work.rules.change(clinic.mondays, recurrence="FREQ=FOO")
        with pytest.raises(InvalidInputError, match="a rule has no field 'begin': there are start, end"):
            work.rules.change(clinic.mondays, begin=time(8))
        (bens,) = work.rules.of(clinic.ben, at=clinic.place)
        with pytest.raises(InvalidScheduleError, match="rule_id"):  # a rule of another doctor
            work.exceptions.block(clinic.anna, at=clinic.place, between=Span(at(9), at(10)), rule=bens)
        assert work.exceptions.of(clinic.anna, at=clinic.place) == ()
        with pytest.raises(InvalidInputError, match="between must be of type Span"):
            work.exceptions.block(clinic.anna, at=clinic.place, between=(at(9), at(10)))
        work.exceptions.block(clinic.anna, at=clinic.place, between=Span(at(9), at(9, 30)), rule=clinic.mondays)
    assert clinic.open(clinic.anna) == ["09:30", "10:00", "10:30"]
    assert clinic.drift() == {}


def test_r4_an_error_in_the_block_undoes_all_of_it(clinic: Clinic) -> None:
    with undone(clinic.tenant()) as work:
        assert work.closures.add(clinic.place, MONDAY).slots_taken == 8
    assert len(clinic.open(clinic.anna)) == 4


STALE = {
    "a rule": "update scheduling.availability_rules set end_time = '10:00' where doctor_id = :anna",
    "a new rule": "insert into scheduling.availability_rules (tenant_id, doctor_id, facility_id, day_of_week,"
    " start_time, end_time, slot_duration_minutes) select :tenant, :anna, :place, 2, '9:00', '10:00', 30",
    "a removed rule": "delete from scheduling.availability_rules where doctor_id = :anna",
    "an exception": "insert into scheduling.availability_exceptions (tenant_id, doctor_id, facility_id, type, start_at,"
    " end_at) select :tenant, :anna, :place, 'blocked', '2027-03-01 09:00Z', '2027-03-01 10:00Z'",
    "a closure": "insert into scheduling.facility_closures (tenant_id, facility_id, day)"
    " select :tenant, :place, '2027-03-01'",
    "a zone": "update scheduling.facilities set timezone = 'Europe/Paris' where id = :place",
}


@pytest.mark.parametrize(("kind", "statement"), STALE.items(), ids=list(STALE))
def test_r6_other_sql_marks_its_schedules_as_stale_for_the_next_run(clinic: Clinic, kind: str, statement: str) -> None:
    with clinic.tenant() as work:
        connection = work.session.connection()
        used = {name for name in ("tenant", "anna", "place") if f":{name}" in statement}
        given = {"tenant": work.tenant_id, "anna": int(clinic.anna), "place": int(clinic.place)}
        connection.execute(text(statement), {name: given[name] for name in used})
        query = "select doctor_id from scheduling.schedule_states where is_stale"
        stale = set(connection.scalars(text(query)))
    of_one_doctor = "zone" not in kind and "closure" not in kind
    assert stale == ({clinic.anna} if of_one_doctor else {clinic.anna, clinic.ben})
    counts = clinic.generate()
    assert counts["slots_created"] + counts["slots_retired"] > 0
    assert clinic.drift() == {}


def test_r6_changes_of_one_doctor_wait_for_each_other(clinic: Clinic) -> None:
    with clinic.tenant() as work:
        work.rules.end(clinic.mondays, last_day=date(2027, 3, 20))
        busy = "select id from scheduling.doctors where id = :anna for no key update skip locked"
        with clinic.tenant() as other:
            assert other.session.connection().execute(text(busy), {"anna": int(clinic.anna)}).all() == []
            assert len(other.session.connection().execute(text(busy), {"anna": int(clinic.ben)}).all()) == 1


def test_a_rule_for_an_offering_of_another_doctor_is_refused(clinic: Clinic) -> None:
    with clinic.tenant() as work:
        service = work.services.add("check-up", duration=HALF_HOUR)
        bens = work.offerings.add(service, by=clinic.ben, at=clinic.place)
        hours: dict[str, Any] = {"start": time(9), "end": time(11), "slot_duration": HALF_HOUR, "offering": bens}
        with pytest.raises(InvalidInputError, match=f"offering {bens} is not one of doctor {clinic.anna} at facility"):
            work.rules.change(clinic.mondays, offering=bens)
        with pytest.raises(InvalidInputError, match=f"offering {bens} is not one of doctor {clinic.anna} at facility"):
            work.rules.add(clinic.anna, at=clinic.place, on=Weekday.FRIDAY, **hours)
        assert work.rules.add(clinic.ben, at=clinic.place, on=Weekday.FRIDAY, **hours)


def test_the_first_day_of_a_rule_without_a_weekday_can_be_changed(clinic: Clinic) -> None:
    with clinic.tenant() as work:
        rule = add_evening(clinic, work)
        work.rules.change(rule, effective_from=date(2027, 3, 4))
        evening = work.slots.open(clinic.ben, between=Span(at(20, day=4), at(21, day=4)))
        assert [slot.start_at.hour for slot in evening] == [20, 20]
        with pytest.raises(InvalidInputError, match="without `on`, the rule needs effective_from"):
            work.rules.change(rule, effective_from=None, recurrence="FREQ=DAILY")


def test_a_slug_that_is_no_text_leaves_the_unit_of_work_usable(clinic: Clinic) -> None:
    wrong: Any
    with clinic.tenant() as work:
        for wrong in (5, "main\0"):
            with pytest.raises(InvalidInputError, match="facility: slug must"):
                work.facilities.by_slug(wrong)
        assert work.facilities.by_slug("main").id == clinic.place


def test_r6_a_booking_made_while_the_change_waited_is_listed(clinic: Clinic) -> None:
    def block(work: Work) -> ScheduleChange:
        return work.exceptions.block(clinic.anna, at=clinic.place, between=Span(at(9), at(10)))

    change = after_waiting(clinic.tenant, lambda work: clinic.book(work, at(9)), block)
    assert change.slots_taken == 1
    assert [stored.slot.start_at for stored in change.conflicting] == [at(9)]


def test_nothing_is_written_for_doctors_and_places_deleted_meanwhile(clinic: Clinic) -> None:
    hours: dict[str, Any] = {"on": Weekday.FRIDAY, "start": time(9), "end": time(11), "slot_duration": HALF_HOUR}
    calls: dict[str, tuple[Callable[[Work], object], Callable[[Work], object]]] = {
        "rule: who: no doctor": (
            lambda work: work.doctors.delete(clinic.ben),
            lambda work: work.rules.add(clinic.ben, at=clinic.place, **hours),
        ),
        "exception: doctor .* does not work at": (
            lambda work: work.doctors.change(clinic.anna, at=[]),
            lambda work: work.exceptions.block(clinic.anna, at=clinic.place, between=Span(at(9), at(10))),
        ),
        "closure: facility: no facility": (
            lambda work: work.facilities.delete(clinic.place),
            lambda work: work.closures.add(clinic.place, MONDAY),
        ),
    }
    for message, (first, second) in calls.items():
        with pytest.raises((InvalidInputError, NotFoundError), match=message):
            after_waiting(clinic.tenant, first, second)


def test_open_slots_leave_out_begun_held_and_full_ones(clinic: Clinic, database_url: str) -> None:
    statement = text(
        "update scheduling.availability_slots set status = 'reserved', reserved_until = :until"
        " where doctor_id = :anna and start_at = :starts"
    )
    with clinic.tenant() as work:
        connection = work.session.connection()
        ended = datetime(2020, 1, 1, tzinfo=UTC)  # by the clock of the database
        for starts, until in ((at(9), NOW + HALF_HOUR), (at(9, 30), ended)):
            held = {"until": until, "anna": int(clinic.anna), "starts": starts}
            connection.execute(statement, held)
        clinic.book(work, at(10))
        found = work.slots.open(clinic.anna, day=MONDAY)
        assert [slot.start_at for slot in found] == [at(9, 30), at(10, 30)]  # one hold has ended
        assert all(type(slot) is Slot for slot in found)
        assert work.slots.open(clinic.anna, day=MONDAY, limit=1) == found[:1]
        assert work.slots.open(clinic.anna, day=MONDAY, limit=10**30) == found
        assert work.slots.open(clinic.anna, between=Span(at(10), at(12))) == found[1:]
        with pytest.raises(InvalidInputError, match="either day or between"):
            work.slots.open(clinic.anna)
        with pytest.raises(InvalidInputError, match=r"OfferingId or DoctorId, such as OfferingId\(1\), not int"):
            work.slots.open(int(clinic.anna), day=MONDAY)
        with pytest.raises(NotFoundError, match="no doctor has the id 99"):
            work.slots.open(DoctorId(99), day=MONDAY)
    with Scheduler(database_url, clock=lambda: at(9, 45)) as later, later.tenant(clinic.slug) as work:
        assert [slot.start_at for slot in work.slots.open(clinic.anna, day=MONDAY)] == [at(10, 30)]


def test_a_row_is_found_by_its_id_and_none_of_another_tenant(clinic: Clinic, scheduler: Scheduler) -> None:
    with clinic.tenant() as work:
        assert work.rules.get(clinic.mondays).doctor_id == clinic.anna
        assert work.rules.get(RuleId(int(clinic.mondays.id))) is work.rules.get(clinic.mondays)
        assert work.facilities.by_slug("main").id == clinic.place
        with pytest.raises(NotFoundError, match="no facility has the slug 'lost'"):
            work.facilities.by_slug("lost")
    scheduler.add_tenant(f"{clinic.slug}-b", name="Another clinic")
    with scheduler.tenant(f"{clinic.slug}-b") as work, pytest.raises(NotFoundError, match="no facility has the id"):
        work.facilities.get(clinic.place)


def test_a_row_of_another_tenant_is_refused_also_if_its_id_is_here(clinic: Clinic, scheduler: Scheduler) -> None:
    """Ids are counted for all tenants, but an insert may give one."""
    other_slug = f"{clinic.slug}-b"
    scheduler.add_tenant(other_slug, name="Another clinic")
    with scheduler.tenant(other_slug) as work:
        tenant = work.tenant_id
        place = models.Facility(tenant_id=tenant, id=clinic.place, slug="other", name="Other", timezone="Europe/Paris")
        anna = models.Doctor(
            tenant_id=tenant, id=clinic.anna, first_name="Eve", last_name="Ray", display_name="Eve Ray"
        )
        work.session.add_all([place, anna])
        work.session.flush()
        work.doctors.change(clinic.anna, at=[clinic.place])
    with clinic.tenant() as work:
        place, anna = work.facilities.get(clinic.place), work.doctors.get(clinic.anna)
    with scheduler.tenant(other_slug) as work:
        service = work.services.add("check-up", duration=HALF_HOUR)
        calls: dict[str, Callable[[], object]] = {
            "facility": lambda: work.facilities.change(place, name="Taken"),
            "offering: at": lambda: work.offerings.add(service, by=clinic.anna, at=place),
            "exception: who": lambda: work.exceptions.of(anna, at=clinic.place),
            "rule: at": lambda: work.rules.of(clinic.anna, at=place),
            "doctor: at": lambda: work.doctors.add("Ben", "Ray", at=[place]),
            "closure: facility": lambda: work.closures.add(place, MONDAY),
        }
        for field, call in calls.items():
            with pytest.raises(NotFoundError, match=f"{field}: the row is another tenant's"):
                call()
        assert [row.name for row in work.facilities.all()] == ["Other"]


def test_r6_a_change_reads_what_another_one_wrote_before_its_lock(clinic: Clinic) -> None:
    with clinic.tenant() as work:
        row = work.rules.get(RuleId(clinic.mondays.id))
        assert row.start_time == time(9)
        with clinic.tenant() as other:
            other.rules.change(clinic.mondays, start=time(8), slot_duration=timedelta(minutes=60))
        work.exceptions.block(clinic.anna, at=clinic.place, between=Span(at(10), at(11)))
    assert clinic.open(clinic.anna) == ["08:00", "09:00"]
    assert clinic.drift() == {}


def test_r6_a_field_is_written_that_another_change_altered_meanwhile(clinic: Clinic) -> None:
    with clinic.tenant() as work:
        row = work.rules.get(RuleId(clinic.mondays.id))
        with clinic.tenant() as other:
            other.rules.change(clinic.mondays, start=time(8))
        change = work.rules.change(row, start=time(9))
    assert change.slots_taken == 8
    assert clinic.open(clinic.anna) == ["09:00", "09:30", "10:00", "10:30"]
    assert clinic.drift() == {}


def test_r6_a_part_that_is_removed_meanwhile_is_not_found(clinic: Clinic) -> None:
    with clinic.tenant() as work:
        exception = work.exceptions.block(clinic.anna, at=clinic.place, between=Span(at(9), at(10))).written[0]
        closure = work.closures.add(clinic.place, date(2027, 3, 8)).written[0]
    calls: tuple[Callable[[Work], Any], ...] = (
        lambda work: work.exceptions.remove(ExceptionId(exception.id)),
        lambda work: work.closures.remove(ClosureId(closure.id)),
        lambda work: work.rules.delete(clinic.mondays),
    )
    for call in calls:
        with clinic.tenant() as work:
            held = work.exceptions.all(), work.closures.all(), work.rules.all()
            with clinic.tenant() as other:
                call(other)
            with pytest.raises(NotFoundError):
                call(work)
            assert held
    assert clinic.drift() == {}


def test_r4_a_change_keeps_the_days_of_a_first_run_beside_it(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    with clinic.tenant() as work:
        new = work.doctors.add("New", "Ray", at=[clinic.place])
        hours: dict[str, Any] = {"at": clinic.place, "start": time(9), "end": time(10), "slot_duration": HALF_HOUR}
        work.rules.add(new, on=Weekday.MONDAY, **hours)
    apply = applying.apply

    def after_a_run(*arguments: Any) -> Any:
        monkeypatch.setattr(refreshing, "apply", apply)
        clinic.generate()
        return apply(*arguments)

    monkeypatch.setattr(refreshing, "apply", after_a_run)
    with clinic.tenant() as work:
        work.rules.add(new, on=Weekday.TUESDAY, **hours)
    with clinic.tenant() as work:
        assert work.exceptions.block(new, at=clinic.place, between=Span(at(9), at(9, 30))).slots_taken == 1
    assert clinic.drift() == {}


@pytest.mark.parametrize(
    "fields",
    [
        {"start": 5},
        {"capacity": "x"},
        {"capacity": 0},
        {"slot_duration": timedelta(days=3)},
        {"effective_until": MONDAY},
    ],
    ids=str,
)
def test_a_changed_field_is_refused_by_the_core_with_its_name(clinic: Clinic, fields: dict[str, Any]) -> None:
    with clinic.tenant() as work:
        work.rules.change(clinic.mondays, effective_from=date(2027, 3, 2))
        with pytest.raises(InvalidScheduleError, match=f"{'start_time' if 'start' in fields else next(iter(fields))}"):
            work.rules.change(clinic.mondays, **fields)
        row = work.rules.get(RuleId(clinic.mondays.id))
        assert (row.start_time, row.capacity, row.effective_until) == (time(9), 1, None)
        work.rules.change(clinic.mondays, capacity=2)
    assert clinic.drift() == {}
