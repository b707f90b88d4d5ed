"""Events of visits: each kind, their order without gaps under concurrency, their readers and their deletion (B10)."""

import json
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from threading import Event as Flag
from uuid import uuid4

import psycopg
import pytest
from examples import reminders

from scheduler import models
from scheduler.booking.events import Event, EventKind, EventsGoneError
from scheduler.core.errors import InvalidInputError
from scheduler.front_door.scheduler import Scheduler
from scheduler.generation.request import Mode
from scheduler.postgres.database import Role
from support.cli import run
from support.roles import become
from support.rows import insert
from support.rows.all_domains import MONTHS, all_rows
from support.worlds.appointments import appointment, clinic

pytestmark = pytest.mark.database

WRITERS = 8
POLL = 7
"""Events in one answer: an odd few, so that readers stop in the middle of every transaction."""


class World:
    """A tenant with doctors and patients 1 to 8, read by its events."""

    def __init__(self, scheduler: Scheduler, url: str) -> None:
        self.scheduler, self.url, self.tenant = scheduler, url, uuid4()
        self.slug = str(self.tenant)
        with psycopg.connect(url) as connection:
            connection.execute(MONTHS)
            clinic(connection, self.tenant)
            connection.execute("delete from scheduling.generation_runs where tenant_id = %s", (self.tenant,))
            for number in range(2, WRITERS + 1):
                doctor = all_rows(self.tenant)["scheduling.doctors"] | {"id": number, "npi": None, "user_id": None}
                insert(connection, "scheduling.doctors", doctor)

    def connect(self) -> psycopg.Connection:
        return psycopg.connect(self.url)

    def book(self, connection: psycopg.Connection, number: int, *, person: int = 1, at: int | None = None) -> None:
        """Write an appointment of the doctor and the patient of this number."""
        minute = 10 * (number if at is None else at)
        row = appointment(person, minute, minute + 10, tenant=self.tenant) | {"id": number, "doctor_id": person}
        insert(connection, "scheduling.appointments", row)

    def sql(self, *statements: str) -> None:
        """Run statements about appointments as a host's own SQL, in one transaction."""
        with self.connect() as connection:
            become(connection, Role.APP, self.tenant)
            for statement in statements:
                connection.execute(statement.encode())

    def events(self, after: int = 0, *, limit: int = 500) -> list[Event]:
        return self.scheduler.events(self.slug, after=after, limit=limit)


@pytest.fixture(scope="module")
def scheduler(database_url: str) -> Iterator[Scheduler]:
    with Scheduler(database_url) as opened:
        yield opened


@pytest.fixture
def world(scheduler: Scheduler, database_url: str) -> World:
    return World(scheduler, database_url)


def positions(events: list[Event]) -> list[int]:
    return [event.position for event in events]


def test_b10_every_change_by_sql_is_an_event_of_its_kind(world: World) -> None:
    with world.connect() as connection:
        world.book(connection, 1)
    change = "update scheduling.appointments set "
    for values in (
        "notes = 'none of its business'",
        "start_at = start_at + interval '1 hour', end_at = end_at + interval '1 hour'",
        "status = 'checked_in'",
        "status = 'scheduled'",
        "status = 'no_show'",
        "status = 'scheduled'",
        "status = 'in_progress'",
        "status = 'completed'",
        "status = 'cancelled', doctor_id = 2",
    ):
        world.sql(change + values)
    world.sql("delete from scheduling.appointments")
    events = world.events()
    assert [(event.kind, event.status_before, event.status) for event in events] == [
        (EventKind.BOOKED, None, "scheduled"),
        (EventKind.MOVED, "scheduled", "scheduled"),
        (EventKind.CHECKED_IN, "scheduled", "checked_in"),
        (EventKind.RESTORED, "checked_in", "scheduled"),
        (EventKind.NO_SHOW, "scheduled", "no_show"),
        (EventKind.RESTORED, "no_show", "scheduled"),
        (EventKind.BEGUN, "scheduled", "in_progress"),
        (EventKind.COMPLETED, "in_progress", "completed"),
        (EventKind.MOVED, "completed", "cancelled"),
        (EventKind.CANCELLED, "completed", "cancelled"),
        (EventKind.DELETED, "cancelled", None),
    ]
    assert positions(events) == list(range(1, len(events) + 1))
    assert {event.kind for event in events} == set(EventKind)
    booked, moved = events[:2]
    at = datetime(2027, 3, 1, 9, 10, tzinfo=UTC)
    assert (booked.visit_id, booked.patient_id, booked.facility_id, booked.offering_id) == (1, 1, 1, 1)
    assert (booked.start_at, booked.end_at, booked.previous_start_at) == (at, at + timedelta(minutes=10), None)
    assert (moved.start_at, moved.previous_start_at) == (at + timedelta(hours=1), at)
    assert (moved.local_start, moved.zone) == (datetime(2027, 3, 1, 6, 40), "America/St_Johns")
    assert [event.doctor_id for event in events[-3:]] == [2, 2, 2]


def test_b10_a_rolled_back_booking_leaves_no_event(world: World) -> None:
    with world.connect() as connection:
        world.book(connection, 1)
        connection.rollback()
        world.book(connection, 2)
    assert [(event.position, event.visit_id) for event in world.events()] == [(1, 2)]


def test_b10_an_event_committed_late_is_not_missed(world: World) -> None:
    """A reader that goes on after the greatest id has passed the event of the slow booking."""

    def by_id(after: int) -> list[int]:
        with world.connect() as connection:
            query = "select id from scheduling.events where tenant_id = %s and id > %s order by id"
            return [id_ for (id_,) in connection.execute(query, (world.tenant, after))]

    with world.connect() as slow:
        world.book(slow, 1, person=1)
        with world.connect() as fast:
            world.book(fast, 2, person=2)
        first, seen = world.events(), by_id(0)
    assert [event.visit_id for event in first] == [2]
    assert by_id(max(seen)) == []
    assert [event.visit_id for event in world.events(1)] == [1]
    assert positions(world.events()) == [1, 2]


def write(world: World, number: int, *, bookings: int) -> set[int]:
    """Book, and at times roll back, as one of several writers; return the visits that were committed."""
    pause, committed = random.Random(number), set[int]()  # noqa: S311  # a moment, not a secret
    with world.connect() as connection, connection.cursor() as cursor:
        for booking in range(bookings):
            visits = {number + WRITERS * (2 * booking + extra) for extra in range(1 + booking % 2)}
            for visit in sorted(visits):
                world.book(connection, visit, person=number)
            cursor.execute("select pg_sleep(%s)", (pause.uniform(0, 0.004),))
            if pause.random() < 0.2:
                connection.rollback()
            else:
                connection.commit()
                committed |= visits
    return committed


def follow(world: World, written: Flag, *, seed: int) -> list[Event]:
    """Poll by position until nothing is left after the last write."""
    pause, seen, position = random.Random(seed), list[Event](), 0  # noqa: S311  # as above
    while True:
        is_last = written.wait(pause.uniform(0, 0.002))
        events = world.events(position, limit=POLL)
        seen += events
        if events:
            position = events[-1].position
        elif is_last:
            return seen


def follow_writers(world: World, *, bookings: int) -> None:
    written = Flag()
    with ThreadPoolExecutor(WRITERS + 3) as threads:
        readers = [threads.submit(follow, world, written, seed=seed) for seed in range(3)]
        writers = [threads.submit(write, world, number, bookings=bookings) for number in range(1, WRITERS + 1)]
        try:
            committed = set[int]().union(*(writer.result() for writer in writers))
        finally:
            written.set()
        answers = [reader.result() for reader in readers]
    for seen in answers:
        while rest := world.events(seen[-1].position if seen else 0):  # what another reader numbered at the end
            seen.extend(rest)
        assert positions(seen) == list(range(1, len(committed) + 1))
        assert sorted(event.visit_id for event in seen) == sorted(committed)


def test_b10_no_reader_misses_an_event_of_eight_writers(world: World) -> None:
    follow_writers(world, bookings=20)


@pytest.mark.deep
def test_b10_no_reader_misses_an_event_of_eight_busy_writers(world: World) -> None:
    follow_writers(world, bookings=1000)


def test_b10_a_reader_killed_while_numbering_leaves_all_to_the_next(world: World) -> None:
    with world.connect() as connection:
        world.book(connection, 1)
        world.book(connection, 2)
    with suppress(psycopg.OperationalError), world.connect() as killed, world.connect() as killer:
        become(killed, Role.APP, world.tenant)
        killed.execute("select scheduling.number_events()")
        killer.execute("select pg_terminate_backend(%s, 5000)", (killed.info.backend_pid,))
    assert [(event.position, event.visit_id) for event in world.events()] == [(1, 1), (2, 2)]


def test_b10_only_numbering_notifies_and_names_the_tenant_alone(world: World) -> None:
    with psycopg.connect(world.url, autocommit=True) as listener:
        listener.execute("listen scheduler_events")
        with world.connect() as connection:
            world.book(connection, 1)
        assert list(listener.notifies(timeout=0.05)) == []
        world.events()
        (notice,) = listener.notifies(timeout=5, stop_after=1)
        assert notice.payload == str(world.tenant)
        world.events()
        assert list(listener.notifies(timeout=0.05)) == []


def test_b10_events_are_of_one_tenant_with_positions_of_its_own(
    world: World, scheduler: Scheduler, database_url: str
) -> None:
    other = World(scheduler, database_url)
    with world.connect() as connection:
        world.book(connection, 1)
        other.book(connection, 1)
        other.book(connection, 2)
    assert positions(other.events()) == [1, 2]
    assert positions(world.events()) == [1]
    assert [event.visit_id for event in other.events(1)] == [2]


def test_b10_the_log_has_no_column_for_words_about_a_person() -> None:
    ids = {"tenant_id", "id", "position", "appointment_id", "patient_id", "doctor_id", "facility_id"}
    times = {"start_at", "end_at", "previous_start_at", "local_start", "created_at", "updated_at"}
    words = {"kind", "status_before", "status", "zone"}
    assert set(models.Event.model_fields) == {*ids, "service_offering_id", *times, *words}


def test_b10_the_deletion_of_a_patient_is_heard(world: World) -> None:
    with world.connect() as connection:
        world.book(connection, 1)
        connection.execute("delete from scheduling.patients where tenant_id = %s and id = 1", (world.tenant,))
    assert [event.kind for event in world.events()] == [EventKind.BOOKED, EventKind.DELETED]


def age(world: World, *ids: int) -> None:
    """Let the events of these visits be 91 days old."""
    with world.connect() as connection:
        connection.execute(
            "update scheduling.events set created_at = created_at - interval '91 days'"
            " where tenant_id = %s and appointment_id = any(%s)",
            (world.tenant, list(ids)),
        )


def generate(world: World, mode: Mode = Mode.WRITE) -> None:
    world.scheduler.generate(world.slug, from_day=date(2027, 3, 1), days=1, mode=mode)


def test_b10_the_night_deletes_old_events_and_late_readers_notice(world: World) -> None:
    with world.connect() as connection:
        for number in range(1, 6):
            world.book(connection, number)
    age(world, 1, 2, 3, 5)  # 5 has the position after that of 4, which is kept
    generate(world, Mode.DRY)
    assert positions(world.events()) == [1, 2, 3, 4, 5]
    generate(world)
    assert positions(world.events()) == positions(world.events(3)) == [4, 5]
    with pytest.raises(EventsGoneError, match=r"^the events from 3 to 3 are deleted: .* go on after 3$") as gone:
        world.events(2)
    assert (gone.value.after, gone.value.oldest) == (2, 4)
    age(world, 4)
    generate(world)
    assert world.events() == world.events(5) == []
    with world.connect() as connection:
        world.book(connection, 6)
    assert positions(world.events()) == [6]


def test_b10_events_that_nobody_reads_are_deleted_too(world: World) -> None:
    with world.connect() as connection:
        world.book(connection, 1)
    age(world, 1)
    generate(world)
    assert world.events() == []
    with pytest.raises(InvalidInputError, match=r"^after is 2, but the last event is 1: "):
        world.events(2)


@pytest.mark.parametrize("call", [{"after": -1}, {"after": 1}, {"after": 2**70}, {"limit": 0}, {"after": "1"}])
def test_b10_a_position_that_no_event_has_is_refused(world: World, call: dict[str, int]) -> None:
    with pytest.raises(InvalidInputError, match=r"^(after|limit) "):
        world.scheduler.events(world.slug, **call)


def test_b10_a_very_large_limit_is_none(world: World) -> None:
    assert world.events(limit=2**70) == []


def test_the_command_prints_events_and_waits_for_more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def lines(*options: str) -> list[tuple[int, str, str]]:
        result = run(world.url, "events", "--tenant", world.slug, *options)
        assert result.code == (0 if "--follow" not in options else 130)
        events = map(json.loads, result.out.splitlines())
        return [(event["position"], event["kind"], event["local_start"]) for event in events]

    def wait(_: float) -> None:
        if len(world.events()) == 3:
            raise KeyboardInterrupt
        with world.connect() as connection:
            world.book(connection, 3)

    monkeypatch.setattr("scheduler.cli.events.sleep", wait)
    assert lines() == []
    with world.connect() as connection:
        world.book(connection, 1)
        world.book(connection, 2)
    second, third = ((number, "visit_booked", f"2027-03-01T{told}:00") for number, told in ((2, "05:50"), (3, "06:00")))
    assert lines("--after", "1") == [second]
    assert lines("--after", "1", "--follow") == [second, third]


class KilledError(BaseException):
    """The process of a reader ends here."""


@pytest.mark.parametrize("killed_at", range(6))
def test_b10_the_example_sends_each_reminder_once_when_killed(world: World, killed_at: int) -> None:
    """Moment 1 is after reading, the others are before and after sending; at 0 nobody kills it.

    A reminder that went out without being written down goes out again with the same key.
    """
    moments, sent = iter(range(1, 100)), list[str]()

    def moment() -> None:
        if next(moments) == killed_at:
            raise KilledError

    def send(key: str, *_: object) -> None:
        moment()
        sent.append(key)
        moment()

    class Clinic(Scheduler):
        def events(self, slug: str, *, after: int = 0, limit: int = 500) -> list[Event]:
            events = super().events(slug, after=after, limit=limit)
            moment()
            return events

    def follow_once() -> None:
        with Clinic(world.url) as scheduler, psycopg.connect(world.url, autocommit=True) as connection:
            connection.execute(reminders.TABLES)
            reminders.read(scheduler, connection, world.slug)
            reminders.send_due(connection, world.slug, send, ahead=timedelta(days=10_000))

    with world.connect() as connection:
        for number in range(1, 4):
            world.book(connection, number)
    world.sql(
        "update scheduling.appointments set status = 'cancelled' where id = 2",
        "update scheduling.appointments set start_at = '2027-03-02 09:00Z', end_at = '2027-03-02 09:10Z' where id = 3",
    )
    for _ in range(3):
        with suppress(KilledError):
            follow_once()
    assert sorted(key.removeprefix(world.slug) for key in set(sent)) == [
        "/1/2027-03-01 09:10:00+00",
        "/3/2027-03-02 09:00:00+00",
    ]
    assert len(sent) - len(set(sent)) == (1 if killed_at in {3, 5} else 0)
