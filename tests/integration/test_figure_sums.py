"""Sums of figures: after any change of the past, reports give what a count gives."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Final
from uuid import UUID, uuid4

import psycopg
import pytest

from scheduler.postgres.database import Database, Role
from scheduler.postgres.figure_sums import sum_figures
from support.roles import become
from support.rows import Row, insert
from support.rows.all_domains import all_rows
from support.worlds.appointments import clinic

pytestmark = pytest.mark.database

# London springs forward on the 30th, Auckland falls back a week later.
FIRST: Final = datetime(2025, 3, 28, tzinfo=UTC)
DAYS: Final = 4
ALL_DAYS: Final = "'2024-01-01', '2029-01-01'"
WAYS: Final = {
    of: tuple(f"select * from scheduling.{way}{of}_days({ALL_DAYS})".encode() for way in ("", "count_"))
    for of in ("doctor", "resource")
}


class World:
    """Two doctors and two rooms at two facilities, whose rows are drawn within four days of the past."""

    def __init__(self, url: str, database: Database, tenant: UUID, seed: int) -> None:
        self.url, self.database, self.tenant, self.random = url, database, tenant, Random(seed)  # noqa: S311  # draws test rows
        self.next_id = 10
        self.not_done = set[str]()
        with psycopg.connect(url) as connection:
            clinic(connection, tenant)
            rows = all_rows(tenant)
            insert(connection, "scheduling.facilities", rows["scheduling.facilities"] | {"id": 2, "slug": "second"})
            insert(connection, "scheduling.doctors", rows["scheduling.doctors"] | {"id": 2, "user_id": None})
            room = {"id": 5, "name": "Another room", "facility_id": 2, "doctor_id": None}
            insert(connection, "scheduling.resources", rows["scheduling.resources"] | room)
            connection.execute(
                "update scheduling.facilities set timezone = case id when 1 then 'Europe/London'"
                " else 'Pacific/Auckland' end where tenant_id = %s",
                (tenant,),
            )

    def instant(self) -> datetime:
        return FIRST + self.random.randrange(DAYS * 144) * timedelta(minutes=10)

    def id(self) -> int:
        self.next_id += 1
        return self.next_id

    def base(self, table: str) -> Row:
        start = self.instant()
        end = start + self.random.choice([10, 20, 60, 600]) * timedelta(minutes=1)
        return all_rows(self.tenant)[f"scheduling.{table}"] | {"id": self.id(), "start_at": start, "end_at": end}

    def pair(self) -> Row:
        return {"doctor_id": self.random.choice([1, 2]), "facility_id": self.random.choice([1, 2])}

    def change(self, act: "Act") -> None:
        """Make a change; the database may refuse it, and then other values are drawn."""
        for _ in range(10):
            try:
                with psycopg.connect(self.url) as connection:
                    become(connection, Role.SYSTEM, self.tenant)
                    if act(self, connection):
                        return
            except psycopg.errors.IntegrityError:
                pass
        self.not_done.add(act.__name__)

    def differences(self) -> list[object]:
        """Return the figures in which the sums differ from a count."""
        with psycopg.connect(self.url) as connection:
            become(connection, Role.APP, self.tenant)
            rows = {of: [set(connection.execute(way)) for way in ways] for of, ways in WAYS.items()}
        return [(of, row) for of, (sums, count) in rows.items() for row in sums ^ count]

    def sum(self) -> None:
        is_left = True
        while is_left:
            with self.database.unit_of_work(role=Role.JOB, tenant_id=self.tenant) as session:
                is_left = sum_figures(session)

    def query(self, query: str) -> tuple[object, ...]:
        with psycopg.connect(self.url) as connection:
            become(connection, Role.APP, self.tenant)
            return connection.execute(query.encode()).fetchone() or ()


Act = Callable[[World, psycopg.Connection], int]


def add_slot(world: World, connection: psycopg.Connection) -> int:
    row = world.base("availability_slots") | world.pair() | {"capacity": world.random.choice([1, 1, 3])}
    insert(connection, "scheduling.availability_slots", row | {"created_from_rule_id": None})
    return 1


def book(world: World, connection: psycopg.Connection) -> int:
    row = world.base("appointments") | world.pair() | {"patient_id": 1, "booked_by": None, "local_start": None}
    row |= {"zone": None, "availability_slot_id": None, "slot_start_at": None}
    row["created_at"] = world.instant() - timedelta(days=1)
    insert(connection, "scheduling.appointments", row)
    return 1


def book_slot(world: World, connection: psycopg.Connection) -> int:
    slot = connection.execute(
        "select facility_id, doctor_id, id, start_at, end_at from scheduling.availability_slots"
        " where end_at - start_at < interval '2 hours' and start_at < '2026-01-01'"
        " order by md5(id::text || %s) limit 1",
        (str(world.random.random()),),
    ).fetchone()
    if slot is None:
        return 0
    row = world.base("appointments") | {"patient_id": 1, "booked_by": None, "local_start": None, "zone": None}
    of_slot = ("facility_id", "doctor_id", "availability_slot_id", "start_at", "end_at")
    row |= dict(zip(of_slot, slot, strict=True)) | {"slot_start_at": slot[3]}
    insert(connection, "scheduling.appointments", row)
    return 1


def block(world: World, connection: psycopg.Connection) -> int:
    row = world.base("availability_exceptions") | world.pair() | {"type": "blocked", "availability_rule_id": None}
    row |= {"local_start": None, "local_end": None}
    row["end_at"] = world.instant() + timedelta(days=DAYS)
    insert(connection, "scheduling.availability_exceptions", row)
    return 1


def block_resource(world: World, connection: psycopg.Connection) -> int:
    row = world.base("resource_exceptions") | {"resource_id": world.random.choice([1, 5]), "type": "emergency"}
    insert(
        connection,
        "scheduling.resource_exceptions",
        row | {"resource_rule_id": None, "local_start": None, "local_end": None},
    )
    return 1


def use_resource(world: World, connection: psycopg.Connection) -> int:
    """Let a visit use a resource, as triggers write it for a step."""
    row = all_rows(world.tenant)["scheduling.allocations"] | {"id": world.id(), "visit_key": world.id()}
    row |= {"resource_id": world.random.choice([1, 5]), "appointment_step_id": None}
    row |= {"slot_id": None, "slot_start_at": None, "start_at": world.instant()}
    row["end_at"] = world.instant() + timedelta(days=DAYS)
    (visit,) = connection.execute("select min(id) from scheduling.appointments").fetchone() or (None,)
    if visit is None:
        return 0
    insert(connection, "scheduling.allocations", row | {"appointment_id": visit})
    return 1


def hold(world: World, connection: psycopg.Connection) -> int:
    row = world.base("holds") | world.pair() | {"held_by": None, "token_digest": uuid4().bytes * 2, "steps": "[]"}
    row |= {"ends_at": datetime(2100, 1, 1, tzinfo=UTC)}
    insert(connection, "scheduling.holds", row)
    return 1


def _statement(name: str, statement: str) -> Act:
    def act(world: World, connection: psycopg.Connection) -> int:
        given = {
            "at": world.instant(),
            "draw": str(world.random.random()),
            "zone": world.random.choice(["Asia/Tokyo", "Europe/London", "America/Lima"]),
        }
        return connection.execute(statement.encode(), given).rowcount

    act.__name__ = name
    return act


ONE: Final = "(select id from scheduling.{} where start_at < '2026-01-01' order by md5(id::text || %(draw)s) limit 1)"
SLOT, VISIT = f"id = {ONE.format('availability_slots')}", f"id = {ONE.format('appointments')}"
EXCEPTION, CLOSED = f"id = {ONE.format('availability_exceptions')}", f"id = {ONE.format('resource_exceptions')}"
STATEMENTS: Final = {
    "cancel a slot": f"update scheduling.availability_slots set status = 'cancelled' where {SLOT}",
    "add a place": f"update scheduling.availability_slots set capacity = capacity + 1 where {SLOT}",
    "reserve a slot": "update scheduling.availability_slots set status = 'reserved', reserved_until = '2100-01-01'"
    f" where status = 'open' and {SLOT}",
    "end a reservation": "update scheduling.availability_slots set status = 'open', reserved_until = null"
    " where status = 'reserved'",
    "delete a slot": f"delete from scheduling.availability_slots where {SLOT}",
    "cancel a visit": f"update scheduling.appointments set status = 'cancelled' where {VISIT}",
    "miss a visit": f"update scheduling.appointments set status = 'no_show' where {VISIT}",
    "restore a visit": f"update scheduling.appointments set status = 'scheduled' where {VISIT}",
    "delete a visit": f"delete from scheduling.appointments where {VISIT}",
    "date a booking": f"update scheduling.appointments set created_at = %(at)s where {VISIT}",
    "move a visit": "update scheduling.appointments set start_at = %(at)s, end_at = %(at)s + (end_at - start_at)"
    f" where availability_slot_id is null and {VISIT}",
    "move a block": f"update scheduling.availability_exceptions set start_at = %(at)s where {EXCEPTION}",
    "delete a block": f"delete from scheduling.availability_exceptions where {EXCEPTION}",
    "make it an emergency": f"update scheduling.availability_exceptions set type = 'emergency' where {EXCEPTION}",
    "open a resource": f"delete from scheduling.resource_exceptions where {CLOSED}",
    "free a resource": "delete from scheduling.allocations where resource_id is not null",
    "change a zone": "update scheduling.facilities set timezone = %(zone)s where id = 1",
    "move a resource": "update scheduling.resources set facility_id = 3 - facility_id where id = 5",
}
ENDING: Final = {
    "end holds": "update scheduling.holds set ends_at = '2025-01-01' where ends_at > '2099-01-01'",
    "delete holds": "delete from scheduling.holds",
}
ADDING: Final[list[Act]] = [add_slot, add_slot, add_slot, book, book, book_slot, book_slot, block, block_resource]
CHANGING: Final = [_statement(*each) for each in STATEMENTS.items()]
# Last, since the days of a hold are counted until it ends.
HOLDING: Final[list[Act]] = [hold, *(_statement(*each) for each in ENDING.items())]
ACTS: Final[list[Act]] = [*ADDING, use_resource, *CHANGING, *HOLDING]


@pytest.fixture(scope="module")
def database(database_url: str) -> Iterator[Database]:
    with Database(database_url) as opened:
        yield opened


@pytest.fixture
def world(database_url: str, database: Database, request: pytest.FixtureRequest) -> World:
    with psycopg.connect(database_url) as connection:
        for month in ("2025-03-01", "2025-04-01", "2027-03-01"):
            connection.execute("select scheduling.ensure_slot_partitions(%s, %s)", (month, month[:-1] + "2"))
    new_world = World(database_url, database, uuid4(), getattr(request, "param", 0))
    new_world.sum()
    return new_world


@pytest.mark.parametrize("world", [0, pytest.param(1, marks=pytest.mark.deep)], indirect=True)
def test_sums_of_figures_are_a_count_after_any_changes(world: World) -> None:
    """After each change, reports count the changed days; the others come from the sums of the night before."""
    for act in ADDING:
        world.change(act)
    for act in ACTS:
        world.change(act)
        assert world.differences() == [], act.__name__
        world.sum()
    assert world.differences() == []
    assert world.query("select count(*) > 0 from scheduling.doctor_figure_sums where visits > 0") == (True,)
    assert len(world.not_done) <= 3, world.not_done


def test_a_change_beside_the_nightly_sum_is_not_lost(world: World) -> None:
    """A change that is committed after the days were summed is counted by reports, then summed."""
    with psycopg.connect(world.url) as connection:
        become(connection, Role.SYSTEM, world.tenant)
        add_slot(world, connection)
        world.sum()
        assert world.query("select count(*) from scheduling.figure_changes") == (0,)
        connection.commit()
    total = "select sum(places) > 0 from scheduling.doctor_days('2025-03-01', '2025-05-01')"
    assert world.query(total) == (True,)
    assert world.differences() == []
    world.sum()
    assert world.query("select count(*) from scheduling.doctor_figure_sums") == (1,)
    assert world.differences() == []


def test_rows_of_the_future_add_no_changes_and_last_days_no_sums(world: World) -> None:
    soon = datetime.now(UTC).replace(second=0, microsecond=0)
    row = all_rows(world.tenant)["scheduling.availability_slots"] | {"created_from_rule_id": None}
    starts = soon + timedelta(hours=1), soon - timedelta(hours=20), soon - timedelta(days=9)
    with psycopg.connect(world.url) as connection:
        connection.execute("select scheduling.ensure_slot_partitions(%s, %s)", (starts[2], soon + timedelta(days=1)))
        for number, start in enumerate(starts):
            times = {"id": 100 + number, "start_at": start, "end_at": start + timedelta(minutes=20)}
            insert(connection, "scheduling.availability_slots", row | times)
    assert world.query("select count(*) from scheduling.figure_changes") == (1,)
    world.sum()
    assert world.query("select count(*) from scheduling.doctor_figure_sums") == (1,)
    (until,) = world.query("select summed_until from scheduling.figure_states")
    assert isinstance(until, date)
    assert soon.date() - until <= timedelta(days=3) <= datetime.now(UTC).date() - until
    assert world.differences() == []


def test_a_transaction_adds_changed_days_once_in_savepoints_too(world: World) -> None:
    row = all_rows(world.tenant)["scheduling.availability_slots"] | {"created_from_rule_id": None}
    with psycopg.connect(world.url) as connection:
        connection.execute("select now()")  # so that the blocks below are savepoints
        for number in range(5):
            start = FIRST + number * timedelta(minutes=20)
            times = {"id": 100 + number, "start_at": start, "end_at": start + timedelta(minutes=20)}
            with connection.transaction():
                insert(connection, "scheduling.availability_slots", row | times)
        with connection.transaction():
            connection.execute("update scheduling.availability_slots set capacity = capacity + 1")
    assert world.query("select count(*) from scheduling.figure_changes") == (1,)


def test_changes_of_all_days_let_all_days_be_summed_anew(world: World) -> None:
    with psycopg.connect(world.url) as connection:
        become(connection, Role.SYSTEM, world.tenant)
        connection.execute("update scheduling.facilities set timezone = 'Asia/Tokyo'")
    world.sum()
    assert world.query("select count(*) from scheduling.figure_states") == (1,)


def test_a_row_of_long_ago_is_counted_and_not_summed(world: World) -> None:
    """A typing error in a year does not let the job sum centuries."""
    long_ago = datetime(1900, 1, 1, tzinfo=UTC)
    row = world.base("availability_exceptions") | {"type": "blocked", "availability_rule_id": None}
    row |= {"local_start": None, "local_end": None, "start_at": long_ago, "end_at": long_ago + timedelta(hours=9)}
    with psycopg.connect(world.url) as connection:
        become(connection, Role.SYSTEM, world.tenant)
        insert(connection, "scheduling.availability_exceptions", row)
        connection.execute("update scheduling.facilities set timezone = 'Asia/Tokyo'")
    with world.database.unit_of_work(role=Role.JOB, tenant_id=world.tenant) as session:
        assert sum_figures(session)
    assert world.query("select summed_until > current_date - 3700 from scheduling.figure_states") == (True,)
    blocked = "select sum(blocked) from scheduling.doctor_days('1899-12-01', '1900-02-01')"
    assert world.query(blocked) == (timedelta(hours=9),)


def test_a_sum_beside_another_run_of_the_tenant_does_nothing(world: World) -> None:
    with (
        world.database.unit_of_work(role=Role.JOB, tenant_id=world.tenant) as other,
        world.database.unit_of_work(role=Role.JOB, tenant_id=world.tenant) as session,
    ):
        sum_figures(other)
        assert not sum_figures(session)
