"""Desks: a small clinic whose visits are booked, with people who book, and the clock by which holds end.

Every test takes days of its own from `Desk.day`, so that all tests of a module share one database. The time of the
clinic is UTC on all of these days.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from itertools import count
from typing import Any, Final

import psycopg
from sqlalchemy import text

from scheduler.booking.visits import Visit
from scheduler.core.ids import DoctorId, OfferingId, PatientId, ResourceId, UserId
from scheduler.core.offers import VisitOffer
from scheduler.core.weekdays import Weekday
from scheduler.core.workflows import Need, WorkflowStep
from scheduler.families.values import Person
from scheduler.front_door.offerings import Visibility
from scheduler.front_door.scheduler import Scheduler
from scheduler.front_door.work import Work
from scheduler.models import UserRole
from scheduler.testing.clinic import SmallClinic, small_clinic
from scheduler.testing.clock import FixedClock
from support.databases import undone

NOW: Final = datetime(2027, 1, 4, 8, tzinfo=UTC)
WEEKS: Final = 11  # to the change of London's clock
MINUTE: Final = timedelta(minutes=1)
HALF_HOUR: Final = timedelta(minutes=30)
WORKDAYS: Final = (Weekday.MONDAY, Weekday.TUESDAY, Weekday.WEDNESDAY, Weekday.THURSDAY, Weekday.FRIDAY)


@dataclass(frozen=True, slots=True)
class Desk:
    """A clinic with three doctors, each with slots of half an hour from 9 to 12 on workdays.

    A visit with Anna is one step. One with Cara is a blood sample (10 minutes, a nurse), a talk (20 minutes, Cara, on
    the slot), and a second sample after at most 30 minutes (a nurse and the room). Dora's slots have two places.
    `private` is an offering of Anna's that staff alone see. Sarah is a parent, Tim her child, who is a patient.
    """

    clinic: SmallClinic
    url: str
    clock: FixedClock
    cara: DoctorId
    dora: DoctorId
    with_cara: OfferingId
    with_dora: OfferingId
    private: OfferingId
    nurses: tuple[ResourceId, ...]
    room: ResourceId
    staff: UserId
    sarah: UserId
    tim: PatientId
    _days: Iterator[date] = field(repr=False)
    _names: Iterator[int] = field(default_factory=count, repr=False)

    def work(self, user: UserId | None = None) -> AbstractContextManager[Work]:
        """Run the block as one transaction for the clinic."""
        return self.clinic.scheduler.tenant(self.clinic.slug, user=user)

    def tried(self, user: UserId | None = None) -> AbstractContextManager[Work]:
        """Run the block as one transaction that is rolled back."""
        return undone(self.work(user))

    def day(self) -> date:
        """Return a workday that no other test has."""
        return next(self._days)

    def patient(self, work: Work) -> PatientId:
        """Add a patient whom no other test has."""
        return work.patients.add("Ada", f"Poe {next(self._names)}", email="ada@example.org")

    def offer(self, work: Work, at: datetime, offering: OfferingId | None = None) -> VisitOffer:
        """Return the visit, by default with Anna, that starts at an instant."""
        return work.visits.offer_at(self.clinic.with_anna if offering is None else offering, at)

    def booked(self, at: datetime, offering: OfferingId | None = None) -> Visit:
        """Book the visit of a new patient, by default with Anna, in a transaction of its own."""
        with self.work() as work:
            return work.visits.book(self.offer(work, at, offering), patient=self.patient(work), notes="allergic")


def on(day: date, hour: int, minute: int = 0) -> datetime:
    """Return a time of a day, in UTC and on the clock of the clinic."""
    return datetime.combine(day, time(hour, minute), UTC)


@contextmanager
def open_desk(url: str) -> Iterator[Desk]:
    """Open the database, make the clinic, and generate its slots."""
    clock = FixedClock(NOW)
    with Scheduler(url, clock=clock) as scheduler:
        clinic = small_clinic(scheduler, weeks=1)
        with clinic.tenant() as work:
            place, service = clinic.facility, clinic.service
            cara, dora = (work.doctors.add(name, "Low", at=[place]) for name in ("Cara", "Dora"))
            nurses = tuple(work.resources.add("nurse", name, at=place) for name in ("Nina", "Noor"))
            room = work.resources.add("room", "1", at=place)
            sample = work.step_templates.add("sample", duration=10 * MINUTE)
            talk = work.step_templates.add("talk", duration=20 * MINUTE)
            steps = [
                WorkflowStep(1, sample, location_type="lab", needs=[Need("nurse")], can_be_skipped=True),
                WorkflowStep(2, talk, location_type="office"),
                WorkflowStep(3, sample, needs=[Need("nurse"), Need("room")], max_wait=HALF_HOUR),
            ]
            with_cara = work.offerings.add(service, by=cara, at=place, steps=steps)
            with_dora = work.offerings.add(service, by=dora, at=place)
            second = work.services.add("second opinion", duration=HALF_HOUR)
            private = work.offerings.add(second, by=clinic.anna, at=place, visibility=Visibility.PRIVATE)
            for doctor, capacity in ((cara, 1), (dora, 2)):
                work.rules.add(
                    doctor,
                    at=place,
                    on=WORKDAYS,
                    start=time(9),
                    end=time(12),
                    slot_duration=HALF_HOUR,
                    capacity=capacity,
                )
            sarah = work.users.add("Sarah", role=UserRole.PARENT, email="sarah@example.org")
            family = work.families.create("Johnson", parents=[sarah], students=[Person("Tim")])
            child = UserId(family.students[0].user_id)
            tim = work.patients.add("Tim", "Johnson", email="tim@example.org", user=child)
        admin = scheduler.add_admin(clinic.slug, "Stella", email="stella@example.org")
        with scheduler.tenant(clinic.slug, user=admin) as work:
            staff = work.users.add("Stan", role=UserRole.STAFF, email="stan@example.org")
        scheduler.generate(clinic.slug, from_day=clinic.monday, days=7 * WEEKS)
        days = (clinic.monday + timedelta(days=number) for number in range(7 * WEEKS) if number % 7 < len(WORKDAYS))
        yield Desk(clinic, url, clock, cara, dora, with_cara, with_dora, private, nurses, room, staff, sarah, tim, days)


def rows(work: Work, statement: str, **values: Any) -> list[tuple[Any, ...]]:
    """Return the rows of a statement of the host's own, as the role of the unit of work."""
    return [tuple(row) for row in work.session.connection().execute(text(statement), values)]


def all_rows(url: str, statement: str, *values: object) -> list[tuple[Any, ...]]:
    """Return the rows of a statement as a superuser, whom no row security binds."""
    with psycopg.connect(url) as connection:
        return connection.execute(statement.encode(), values).fetchall()


@contextmanager
def database_clock(url: str, *, ahead: timedelta) -> Iterator[None]:
    """Let the clock by which holds end go ahead while the block lasts."""
    seconds = ahead.total_seconds()
    with psycopg.connect(url, autocommit=True) as connection:
        former = connection.execute("select pg_get_functiondef('scheduling.clock()'::regprocedure)").fetchone()
        assert former is not None
        try:
            connection.execute(
                "create or replace function scheduling.clock() returns timestamptz language sql volatile parallel safe"
                f" return clock_timestamp() + interval '{seconds} seconds'".encode()
            )
            yield
        finally:
            connection.execute(former[0].encode())


@contextmanager
def left_alone(url: str) -> Iterator[None]:
    """Check that the block writes no visit, step, hold, allocation, count or request."""
    before = _all_written(url)
    yield
    assert _all_written(url) == before


def _all_written(url: str) -> list[Any]:
    tables = ("appointments", "appointment_steps", "appointment_step_resources", "holds", "allocations")
    counted = ("booking_requests", "availability_slots")
    return [all_rows(url, f"select x::text from scheduling.{table} x order by 1") for table in (*tables, *counted)]
