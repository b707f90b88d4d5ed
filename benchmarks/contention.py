"""Ways to prevent double booking: six with bare tables, and the library's, for 16 workers who want the same times.

On one hot slot after another, all workers want the same place at the same moment; one gets it. On overlapping times,
each wants half an hour at a random multiple of five minutes. The first way is wrong, and shows why the others are
needed; the sixth is the fifth over an index of another kind, and wrong too. A double booking is a pair of visits of one
doctor that overlap; an attempt is lost if it was refused and nothing overlaps it in the end.
"""

import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory
from threading import Barrier
from time import perf_counter, sleep
from typing import Final, NamedTuple

import psycopg
from psycopg import IsolationLevel
from rich.table import Table

from booking_world import BEGIN, LENGTH, NOW, BookingWorld, booking_world
from scheduler.booking.errors import SlotTakenError
from scheduler.front_door.scheduler import Scheduler
from scheduler.postgres.embedded import embedded_server
from scheduler.postgres.errors import DeadlockError
from scheduler.postgres.schema import migrations

WORKERS: Final = 16
CELL: Final = timedelta(minutes=5)
STARTS_PER_DAY: Final = 96
ATTEMPTS_PER_DAY: Final = 10
"""How many attempts each worker makes on a day of overlapping times, before all go on to the next one."""
_BEGIN: Final = BEGIN + timedelta(hours=9)
_PATIENCE: Final = 60


class Attempt(NamedTuple):
    """The time that a worker wants of the doctor."""

    start_at: datetime
    end_at: datetime


Book = Callable[[Attempt], bool]
"""Books a time, and returns whether it was free."""


class Way(NamedTuple):
    """A way to book: for each worker a function with a connection of its own."""

    name: str
    open: Callable[[str], AbstractContextManager[Book]]
    visits: str = "contention.visits"
    is_right: bool = True


@dataclass(slots=True)
class Measured:
    """The attempts of one way, and what became of them."""

    seconds: list[float]
    refused: list[Attempt]
    deadlocks: int = 0
    repeats: int = 0


def on_hot_slots(slots: int, workers: int) -> list[list[Attempt]]:
    """Return the attempts of each worker: the same slots one after another."""
    starts = [_BEGIN + number * LENGTH for number in range(slots)]
    return [[Attempt(start, start + LENGTH) for start in starts]] * workers


def on_overlapping_times(attempts: int, workers: int) -> list[list[Attempt]]:
    """Return the attempts of each worker: random times of a day, and then of the next."""
    dice = random.Random(12)  # noqa: S311  # not for secrets
    days = [_BEGIN + timedelta(days=number // ATTEMPTS_PER_DAY) for number in range(attempts)]
    starts = [[day + CELL * dice.randrange(STARTS_PER_DAY) for day in days] for _ in range(workers)]
    return [[Attempt(start, start + LENGTH) for start in of_worker] for of_worker in starts]


def check_then_insert(connection: psycopg.Connection, wanted: Attempt) -> bool:
    """Look whether the time is free, then write: two workers look before either writes."""
    with connection.transaction():
        if connection.execute(_OVERLAPPING, wanted).fetchone():
            return False
        connection.execute(_INSERT, wanted)
        return True


def check_then_insert_by_range(connection: psycopg.Connection, wanted: Attempt) -> bool:
    """Look by the operator of ranges, which a GiST index serves, then write."""
    with connection.transaction():
        if connection.execute(_OVERLAPPING_RANGE, wanted).fetchone():
            return False
        connection.execute(_INSERT_RANGE, wanted)
        return True


def count_places(connection: psycopg.Connection, wanted: Attempt) -> bool:
    """Count a place up unless it is taken; the row's lock makes the others wait and look again."""
    with connection.transaction() as transaction:
        counted = connection.execute(_COUNT, wanted)
        if counted.rowcount < LENGTH / CELL:
            raise psycopg.Rollback(transaction)
        connection.execute(_INSERT, wanted)
        return True
    return False


def lock_the_doctor(connection: psycopg.Connection, wanted: Attempt) -> bool:
    """Lock the doctor, look, then write."""
    with connection.transaction():
        connection.execute(_LOCK)
        if connection.execute(_OVERLAPPING, wanted).fetchone():
            return False
        connection.execute(_INSERT, wanted)
        return True


def insert_unless_excluded(connection: psycopg.Connection, wanted: Attempt) -> bool:
    """Write, and let an exclusion constraint skip a row that overlaps."""
    with connection.transaction():
        return connection.execute(_INSERT_OR_SKIP, wanted).rowcount == 1


def on_a_connection(
    book: Callable[[psycopg.Connection, Attempt], bool], level: IsolationLevel = IsolationLevel.READ_COMMITTED
) -> Callable[[str], AbstractContextManager[Book]]:
    """Give each worker a connection for a way."""

    @contextmanager
    def opened(url: str) -> Iterator[Book]:
        with psycopg.connect(url) as connection:
            connection.isolation_level = level
            yield lambda wanted: book(connection, wanted)

    return opened


BARE: Final = (
    Way("(a) check, then insert", on_a_connection(check_then_insert), is_right=False),
    Way("(b) conditional UPDATE", on_a_connection(count_places)),
    Way("(c) SELECT FOR UPDATE", on_a_connection(lock_the_doctor)),
    Way("(d) exclusion, DO NOTHING", on_a_connection(insert_unless_excluded), "contention.exclusive_visits"),
    Way("(e) SERIALIZABLE, retried", on_a_connection(check_then_insert, IsolationLevel.SERIALIZABLE)),
    # PostgreSQL 15 and 18 miss conflicts over a GiST index that has grown beyond a page.
    Way(
        "(f) the same over a GiST index",
        on_a_connection(check_then_insert_by_range, IsolationLevel.SERIALIZABLE),
        "contention.gist_visits",
        is_right=False,
    ),
)


def through_the_front_door(world: BookingWorld) -> Way:
    """Return the way of `work.visits.book`, with a `Scheduler` for each worker.

    Each attempt of a day is for another patient, since nobody has two visits at once.
    """
    workers = count()

    @contextmanager
    def opened(url: str) -> Iterator[Book]:
        own, attempts = next(workers) * ATTEMPTS_PER_DAY, count()
        with Scheduler(url, clock=lambda: NOW) as scheduler:

            def book(wanted: Attempt) -> bool:
                patient = world.patients[own + next(attempts) % ATTEMPTS_PER_DAY]
                try:
                    with scheduler.tenant(world.slug) as work:
                        work.visits.book(world.offer(wanted.start_at), patient=patient)
                except SlotTakenError:
                    return False
                except DeadlockError as deadlock:
                    raise psycopg.errors.DeadlockDetected from deadlock
                return True

            yield book

    visits = f"(select start_at, end_at from scheduling.appointments where tenant_id = '{world.tenant}') visits"
    return Way("work.visits.book", opened, visits)


def check(way: Way, double: int) -> None:
    """Stop if a way that should be right has booked a time twice."""
    if way.is_right and double:
        raise SystemExit(f"{way.name} booked {double} times twice: nothing to compare")


def measure(way: Way, url: str, attempts: Sequence[Sequence[Attempt]], *, together: bool) -> Measured:
    """Let all workers make their attempts: each at the same moment, or all as fast as they can."""
    barrier = Barrier(len(attempts))

    def work(own: Sequence[Attempt]) -> Measured:
        measured = Measured([], [])
        dice = random.Random()  # noqa: S311
        try:
            with way.open(url) as book:
                barrier.wait(_PATIENCE)
                for wanted in own:
                    if together:
                        barrier.wait(_PATIENCE)
                    _attempt(book, wanted, measured, dice)
        except BaseException:
            barrier.abort()
            raise
        return measured

    total = Measured([], [])
    with ThreadPoolExecutor(len(attempts)) as threads:
        for measured in threads.map(work, attempts):
            total.seconds += measured.seconds
            total.refused += measured.refused
            total.deadlocks += measured.deadlocks
            total.repeats += measured.repeats
    return total


def _attempt(book: Book, wanted: Attempt, measured: Measured, dice: random.Random) -> None:
    begun = perf_counter()
    try:
        while True:
            try:
                is_booked = book(wanted)
                break
            except psycopg.errors.SerializationFailure:
                measured.repeats += 1
                sleep(dice.random() / 1000)
    except psycopg.errors.DeadlockDetected:
        measured.deadlocks += 1
        is_booked = False
    measured.seconds.append(perf_counter() - begun)
    if not is_booked:
        measured.refused.append(wanted)


def add_row(table: Table, way: Way, url: str, attempts: Sequence[Sequence[Attempt]], *, together: bool) -> None:
    """Measure a way on empty tables, and add its row to a table of results."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_TABLES)
        connection.execute(_PLACES, (attempts[0][0].start_at, max(own[-1].end_at for own in attempts)))
        measured = measure(way, url, attempts, together=together)
        visits = connection.execute(_VISITS.format(way.visits).encode()).fetchall()
    last, double = _BEGIN, 0
    for start, end in sorted(visits):
        double += start < last
        last = max(last, end)
    check(way, double)
    lost = sum(not any(start < wanted.end_at and wanted.start_at < end for start, end in visits)
               for wanted in measured.refused)  # fmt: skip
    middle, slowest = median(measured.seconds), quantiles(measured.seconds, n=100)[-1]
    times = (f"{middle * 1e3:.1f}", f"{slowest * 1e3:.1f}", f"{slowest / middle:.1f}")
    table.add_row(way.name, *times, *map(str, (len(visits), double, lost, measured.deadlocks, measured.repeats)))


def against_each_other(*, slots: int, workers: int = WORKERS) -> Iterator[Table]:
    """Measure all ways on hot slots and on overlapping times."""
    with TemporaryDirectory() as folder, embedded_server(Path(folder) / "postgresql") as url:
        migrations.upgrade(url)
        for name, attempts, together in (
            (f"one hot slot at a time, {slots:,} of them", on_hot_slots(slots, workers), True),
            (f"overlapping times, {slots:,} attempts each", on_overlapping_times(slots, workers), False),
        ):
            table = Table(title=f"{workers} workers on {name}", title_justify="left")
            headings = ("median, ms", "p99, ms", "ratio", "visits", "double", "lost", "deadlocks", "repeats")
            for heading in ("", *headings):
                table.add_column(heading, justify="right" if heading else "left")
            last_day = max(own[-1].end_at for own in attempts)
            days = (last_day - BEGIN) // timedelta(days=1) + 1
            world = booking_world(
                url, days=days, patients=workers * ATTEMPTS_PER_DAY, every=LENGTH if together else CELL
            )
            for way in (*BARE, through_the_front_door(world)):
                add_row(table, way, url, attempts, together=together)
            yield table


_TABLES: Final = b"""
create extension if not exists btree_gist;
drop schema if exists contention cascade;
create schema contention;
create table contention.doctors (id integer primary key);
insert into contention.doctors values (1);
create table contention.places (start_at timestamptz primary key, is_taken boolean not null default false);
create table contention.visits (
    id bigint primary key generated always as identity, doctor_id integer not null references contention.doctors,
    start_at timestamptz not null, end_at timestamptz not null, check (start_at < end_at)
);
create index on contention.visits (doctor_id, start_at);
create table contention.gist_visits (
    like contention.visits including identity including constraints,
    primary key (id), foreign key (doctor_id) references contention.doctors
);
create index on contention.gist_visits using gist (doctor_id, tstzrange(start_at, end_at));
create table contention.exclusive_visits (
    like contention.visits including identity including constraints,
    primary key (id), foreign key (doctor_id) references contention.doctors,
    exclude using gist (doctor_id with =, tstzrange(start_at, end_at) with &&)
);
"""
_PLACES: Final = "insert into contention.places select generate_series(%s::timestamptz, %s, '5 minutes')"
_VISITS: Final = "select start_at, end_at from {} order by 1, 2"
# No visit is longer than half an hour.
_OVERLAPPING: Final = """
select id from contention.visits
where doctor_id = 1 and start_at > %s::timestamptz - interval '30 minutes' and start_at < %s limit 1
"""
_OVERLAPPING_RANGE: Final = """
select id from contention.gist_visits where doctor_id = 1 and tstzrange(start_at, end_at) && tstzrange(%s, %s) limit 1
"""
_INSERT_RANGE: Final = "insert into contention.gist_visits (doctor_id, start_at, end_at) values (1, %s, %s)"
_COUNT: Final = """
update contention.places set is_taken = true where start_at >= %s and start_at < %s and not is_taken
"""
_LOCK: Final = "select from contention.doctors where id = 1 for no key update"
_INSERT: Final = "insert into contention.visits (doctor_id, start_at, end_at) values (1, %s, %s)"
_INSERT_OR_SKIP: Final = """
insert into contention.exclusive_visits (doctor_id, start_at, end_at) values (1, %s, %s) on conflict do nothing
"""
