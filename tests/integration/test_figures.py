"""Figures of visits: a small world counted by hand, local days across clock changes, and the command."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta

import psycopg
import pytest

from scheduler.booking.figures import VisitReport, visit_report
from scheduler.core.errors import InvalidInputError
from scheduler.core.ids import DoctorId, FacilityId
from scheduler.core.spans import Span
from scheduler.core.weekdays import Weekday
from scheduler.core.workflows import Need, WorkflowStep
from scheduler.core.zones import instant_at, zone_of
from scheduler.front_door.scheduler import Scheduler
from scheduler.postgres.database import Role
from support.cli import run
from support.databases import execute
from support.roles import become
from support.strategies import ODD_ZONES

pytestmark = pytest.mark.database

NOW = datetime(2027, 3, 15, 12, tzinfo=UTC)
SUNDAY, MONDAY, TUESDAY = date(2027, 3, 28), date(2027, 3, 29), date(2027, 3, 30)
"""London springs forward on the Sunday: from Monday on, 09:00 is 08:00 in UTC."""
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
SLUG = "figures"


@dataclass
class Clinic:
    """A doctor with a room; see `clinic`."""

    scheduler: Scheduler
    url: str
    main: FacilityId
    anna: DoctorId

    def report(self, first: date, until: date, as_of: datetime = NOW) -> VisitReport:
        with self.scheduler.tenant(SLUG) as work:
            return visit_report(work.session, first, until, as_of=as_of)


def at(hour: int, minute: int = 0, day: int = 29) -> datetime:
    """Return an instant by London's clock in summer."""
    return datetime(2027, 3, day, hour, minute, tzinfo=UTC) - HOUR


@pytest.fixture(scope="module")
def clinic(database_url: str) -> Iterator[Clinic]:
    """Six slots on Monday morning, one of three places in the afternoon, and two hours after each midnight.

    A visit takes half an hour of the doctor and the room, and then ten minutes of the doctor. One is booked at 09:00,
    one is held at 10:30, one of 11:30 is cancelled. Of the three places at 14:00 one is booked, and one was a no-show.
    """
    with Scheduler(database_url, clock=lambda: NOW) as scheduler:
        scheduler.add_tenant(SLUG, name="Riverside Clinics")
        with scheduler.tenant(SLUG) as work:
            main = work.facilities.add("main", name="Main Street", zone="Europe/London")
            anna = work.doctors.add("Anna", "Ray", at=[main])
            room = work.resources.add("room", "Room 1", at=main)
            step = work.step_templates.add("consultation", duration=30 * MINUTE)
            visit = work.offerings.add(
                work.services.add("visit", duration=30 * MINUTE),
                by=anna,
                at=main,
                buffer_after=10 * MINUTE,
                steps=[WorkflowStep(1, step, needs=(Need("doctor"), Need("room")))],
            )
            talk = work.offerings.add(
                work.services.add("talk", duration=30 * MINUTE), by=anna, at=main, buffer_after=10 * MINUTE
            )
            patients = [work.patients.add("Pat", str(n), email=f"{n}@example.org") for n in range(5)]
            monday = Weekday.MONDAY
            work.rules.add(anna, at=main, on=monday, start=time(9), end=time(12), slot_duration=30 * MINUTE)
            work.rules.add(anna, at=main, on=monday, start=time(14), end=time(15), slot_duration=HOUR, capacity=3)
            work.rules.add(anna, at=main, on=list(Weekday), start=time(0), end=time(2), slot_duration=30 * MINUTE)
        scheduler.generate(SLUG, from_day=SUNDAY, days=3)
        with scheduler.tenant(SLUG) as work:
            work.visits.book(work.visits.offer_at(visit, at(9)), patient=patients[0])
            late = work.visits.book(work.visits.offer_at(visit, at(11, 30)), patient=patients[1])
            work.visits.cancel(late, reason="ill")
            work.visits.hold(work.visits.offer_at(visit, at(10, 30)))
            work.visits.book(work.visits.offer_at(talk, at(14)), patient=patients[2])
            missed = work.visits.book(work.visits.offer_at(talk, at(14)), patient=patients[3])
            work.exceptions.block(anna, at=main, between=Span(at(8, 30), at(9, 10)))
            work.exceptions.block(anna, at=main, between=Span(at(16), at(17)))
            work.exceptions.block(room, at=main, between=Span(at(9, 20), at(10)))
            # from 02:00, to which the clock springs, to midnight
            work.exceptions.block(anna, at=main, between=Span(at(2, day=28), at(0, day=29)))
        booked = NOW.isoformat()
        execute(
            database_url,
            f"update scheduling.appointments set created_at = '{booked}'"
            f" where tenant_id = (select id from identity.tenants where slug = '{SLUG}')",
            f"update scheduling.appointments set status = 'no_show' where id = {missed.id}"
            f" and tenant_id = (select id from identity.tenants where slug = '{SLUG}')",
        )
        yield Clinic(scheduler, database_url, main, anna)


def test_figures_of_a_day_are_those_counted_by_hand(clinic: Clinic) -> None:
    report = clinic.report(MONDAY, TUESDAY)
    total = report.total
    # 4 after midnight, 6 in the morning, 3 in the afternoon; the visit and the hold each close the next slot
    assert (total.places, total.booked_places, total.held_places, total.closed_places, total.free_places) == (
        13,
        2,
        1,
        2,
        8,
    )
    assert total.booked == 80 * MINUTE  # two visits of 30 and 10 minutes
    assert total.held == 40 * MINUTE
    assert total.blocked == 90 * MINUTE  # not the ten minutes that are booked
    assert total.free == (120 + 30 + 30 + 20) * MINUTE  # after midnight, 10:00, 11:30, the rest of the talk
    assert (total.visits, total.cancelled, total.no_shows) == (4, 1, 1)
    assert total.lead_time == at(12, 20) - NOW  # of 09:00, 14:00 and 14:00
    (facility,), (doctor,), (day,) = report.facilities, report.doctors, report.days
    assert replace(facility, facility_id=None) == total
    assert replace(doctor, facility_id=None, doctor_id=None) == replace(day, day=None) == total
    assert (doctor.facility_id, doctor.doctor_id, day.day) == (clinic.main, clinic.anna, MONDAY)
    (room,) = report.resources
    assert (room.booked, room.held, room.blocked) == (30 * MINUTE, 30 * MINUTE, 30 * MINUTE)


def test_figures_are_of_local_days_across_a_clock_change(clinic: Clinic) -> None:
    """On the Sunday, the hour from 01:00 is skipped; the slots after Monday's midnight start on Sunday in UTC."""
    sunday, monday, tuesday = clinic.report(SUNDAY, date(2027, 3, 31)).days
    assert (sunday.places, sunday.free, sunday.blocked) == (2, HOUR, 22 * HOUR)  # blocked from 02:00 on
    assert (monday.places, monday.free_places) == (13, 8)
    assert (tuesday.places, tuesday.free, tuesday.blocked) == (4, 2 * HOUR, 0 * HOUR)
    assert clinic.report(SUNDAY, MONDAY).days == (sunday,)


def test_figures_third_next_available_begins_after_the_second(clinic: Clinic) -> None:
    (first,) = clinic.report(MONDAY, TUESDAY, as_of=at(9)).third_next_available
    assert (first.start_at, first.days) == (at(14), 0)  # after 10:00 and 11:30
    (later,) = clinic.report(MONDAY, TUESDAY, as_of=at(11)).third_next_available
    assert (later.start_at, later.days) == (at(0, day=30), 1)  # after 11:30 and 14:00
    (none,) = clinic.report(MONDAY, TUESDAY, as_of=at(1, day=30)).third_next_available
    assert (none.start_at, none.days) == (None, None)


def test_figures_third_next_available_counts_overlapping_slots_once(clinic: Clinic) -> None:
    """Each of the three begins when the one before it has ended (S3: slots that overlap are alternatives)."""
    begin = datetime(2027, 4, 7, 9, tzinfo=UTC)
    with clinic.scheduler.tenant(SLUG) as work, psycopg.connect(clinic.url) as connection:
        connection.execute("select scheduling.ensure_slot_partitions('2027-04-01', '2027-04-30')")
        become(connection, Role.SYSTEM, work.tenant_id)
        for minutes in (0, 10, 20, 30, 40, 50, 60):
            connection.execute(
                "insert into scheduling.availability_slots (tenant_id, facility_id, doctor_id, start_at, end_at)"
                " values (%s, %s, %s, %s, %s)",
                (
                    work.tenant_id,
                    clinic.main,
                    clinic.anna,
                    begin + minutes * MINUTE,
                    begin + (minutes + 30) * MINUTE,
                ),
            )
        ((third,),) = connection.execute(
            "select third_start_at from scheduling.third_next_available(%s)", (begin,)
        ).fetchall()
        connection.rollback()
    assert third == begin + HOUR


def test_figures_of_no_day_are_refused_and_of_an_empty_day_zero(clinic: Clinic) -> None:
    with pytest.raises(InvalidInputError, match="no day to report on"):
        clinic.report(MONDAY, MONDAY)
    empty = clinic.report(date(2020, 1, 1), date(2020, 1, 2))
    assert (empty.total.places, empty.total.visits, empty.total.lead_time, empty.days) == (0, 0, None, ())


def test_views_of_figures_have_the_rows_of_the_functions(clinic: Clinic) -> None:
    with clinic.scheduler.tenant(SLUG) as work, psycopg.connect(clinic.url) as connection:
        become(connection, Role.APP, work.tenant_id)
        rows = connection.execute("select day, places, booked from scheduling.doctor_figures order by day").fetchall()
        assert [row[0] for row in rows] == [SUNDAY, MONDAY, TUESDAY]
        assert rows[1][1:] == (13, 80 * MINUTE)
        of_rooms = connection.execute("select day, booked from scheduling.resource_figures").fetchall()
        assert of_rooms == [(MONDAY, 30 * MINUTE)]


def test_start_of_day_is_that_of_the_engine_in_every_zone(clinic: Clinic) -> None:
    """PostgreSQL has time zone data of its own: only days that both know alike are compared, those before 2025."""
    days = [date(2011, 12, 29) + timedelta(days=n) for n in range(4)]
    days += [date(2018, month, day) for month in (2, 3, 4, 10, 11) for day in range(1, 29)]
    with psycopg.connect(clinic.url) as connection:
        connection.execute("set timezone = 'UTC'")
        for zone in ODD_ZONES:
            rows = connection.execute(
                "select day, scheduling.start_of_day(day, %s) from unnest(%s::date[]) as day", (zone, days)
            )
            for day, start in rows:
                assert start == instant_at(zone_of(zone), day), (zone, day)


def test_report_visits_prints_ids_and_names_only_if_asked(clinic: Clinic, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scheduler.cli.report.now", lambda: NOW)
    given = ("report", "visits", "--tenant", SLUG, "--from", "2027-03-29", "--until", "2027-03-29")
    printed = run(clinic.url, *given, "--facility", "main", COLUMNS="80")
    assert printed.code == 0
    assert f"doctor {clinic.anna}" in printed.out
    assert "Ray" not in printed.out
    headings = [line.split() for line in printed.out.splitlines() if line.startswith((" hours", " places", " visits"))]
    assert headings == [
        ["hours", "booked", "held", "blocked", "free"],
        ["places", "all", "booked", "held", "closed", "free"],
        ["visits", "all", "cancelled", "no-show", "lead,", "days"],
    ]
    assert [line.split()[0] for line in printed.out.splitlines() if line.startswith(" main ")] == ["main"] * 3
    assert "Ray" in run(clinic.url, *given, "--names", COLUMNS="80").out
    values = json.loads(run(clinic.url, *given, "--json").out)
    assert (values["total"]["booked"], values["total"]["places"]) == (80, 13)
    assert values["days"][0]["day"] == "2027-03-29"
    assert "names" not in values
    assert list(json.loads(run(clinic.url, *given, "--json", "--names").out)["names"]) == [str(clinic.anna)]
    assert run(clinic.url, *given[:-1], "2027-03-01").code == 2
    assert run(clinic.url, *given, "--facility", "nowhere").code == 3
