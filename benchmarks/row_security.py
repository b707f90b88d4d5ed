"""What row security costs a reader: the same rows asked for as the library asks, and past all policies.

Both sides go through `Database.unit_of_work` on one server, in turns, for the same tenants, users, doctors and days.
Each user works for the tenant: so policies look the user up, and find that all of the tenant may be seen. Only the role
differs: `scheduler_app`, which policies bind, and the superuser, whom they do not bind and who therefore has to
name the tenant in the statement. A unit of work is what a caller waits for: begin, settings, statement, commit. The
statement alone is asked of the driver again and again inside one unit of work for each tenant: that is the part of the
whole which policies are in, so its ratio is the harder one.
"""

import gc
import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import groupby
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Final, NamedTuple
from uuid import UUID

import psycopg
from rich.table import Table
from sqlalchemy import text
from sqlmodel import Session

from scheduler.postgres.database import Database, Role
from scheduler.postgres.embedded import embedded_server
from scheduler.postgres.schema import migrations

TENANTS: Final = 100
DOCTORS: Final = 10
DAYS: Final = 10
SLOTS_A_DAY: Final = 24
FIRST: Final = datetime(2027, 3, 1, tzinfo=UTC)
CHECKED: Final = 200
WARM: Final = 50

_LOAD: Final = f"""
select scheduling.ensure_slot_partitions('{FIRST}', '{FIRST + timedelta(days=31)}');
set session_replication_role = replica;  -- these rows are right: neither keys nor triggers have to look at them
insert into identity.tenants (slug, name) select number, 'A tenant' from generate_series(1, {TENANTS}) number;
insert into identity.users (tenant_id, id, email, name, role)
    select id, id, 'a@example.org', 'A nurse', 'staff' from identity.tenants;
insert into scheduling.facilities (tenant_id, id, name, slug, timezone)
    select id, 1, 'A place', 'a', 'Etc/UTC' from identity.tenants;
insert into scheduling.doctors (tenant_id, id, first_name, last_name, display_name)
    select tenant.id, number, 'A', 'B', 'A B' from identity.tenants tenant, generate_series(1, {DOCTORS}) number;
insert into scheduling.availability_slots (tenant_id, facility_id, doctor_id, start_at, end_at)
    select tenant_id, 1, id, start_at, start_at + interval '20 min'
    from scheduling.doctors, generate_series(1, {DAYS}) day, generate_series(1, {SLOTS_A_DAY}) place,
        make_interval(days => day - 1, mins => 20 * place) since, timestamptz(timestamptz '{FIRST}' + since) start_at
    order by start_at, tenant_id, id;
"""
_COLUMNS: Final = "select id, doctor_id, start_at, end_at, status, capacity from scheduling.availability_slots where"
_OF_THE_DAY: Final = "doctor_id = cast(:doctor as bigint) and start_at >= :from_at and start_at < :until_at"
_BY_KEY: Final = f"{_COLUMNS} tenant_id = :tenant and id = cast(:slot as bigint) and start_at = :start_at"
_DAY: Final = f"{_COLUMNS} {_OF_THE_DAY} order by start_at"
_DAY_OF_TENANT: Final = f"{_COLUMNS} tenant_id = :tenant and {_OF_THE_DAY} order by start_at"


class Question(NamedTuple):
    """A slot by its key, and the day of a doctor on which it is; who asks has the id of the tenant."""

    tenant: UUID
    slot: int
    doctor: int
    start_at: datetime
    from_at: datetime
    until_at: datetime


class Side(NamedTuple):
    """Who asks, and how; each side has a connection of its own, and so plans of its own."""

    database: Database
    role: Role
    statement: str


def ask(side: Side, question: Question) -> Sequence[object]:
    """Ask in a unit of work of its own."""
    unit = side.database.unit_of_work(role=side.role, tenant_id=question.tenant, user_id=question.tenant)
    with unit as session:
        return session.execute(text(side.statement), question._asdict()).all()


def ask_driver(session: Session, side: Side, question: Question) -> Sequence[object]:
    """Ask inside a unit of work that is open."""
    driver = session.connection().connection.driver_connection
    assert isinstance(driver, psycopg.Connection)  # noqa: S101  # for the type checker
    statement = re.sub(r":(\w+)", r"%(\1)s", side.statement)
    return driver.execute(statement.encode(), question._asdict()).fetchall()


def load(url: str) -> list[Question]:
    """Fill a new database, and return a question for each of its slots, in an order that is the same each time."""
    migrations.upgrade(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_LOAD)
        connection.execute("vacuum analyze")
        found = connection.execute(
            "select tenant_id, id, doctor_id, start_at, date_trunc('day', start_at, 'UTC'),"
            " date_trunc('day', start_at, 'UTC') + interval '1 day'"
            " from scheduling.availability_slots order by md5(id::text)"
        ).fetchall()
    return [Question(*row) for row in found]


def check(past: Side, under: Side, questions: Sequence[Question]) -> None:
    """Refuse to measure what does not give the same rows."""
    for question in questions:
        expected, answer = ask(past, question), ask(under, question)
        if not expected or answer != expected:
            raise SystemExit(f"{len(answer)} rows under row security, {len(expected)} past it: nothing to compare")


def in_turns(candidates: Sequence[Callable[[Question], object]], questions: Sequence[Question]) -> list[list[float]]:
    """Return the seconds that each candidate took for each question; who is first changes each time."""
    times: list[list[float]] = [[] for _ in candidates]
    for number, question in enumerate(questions):
        for place in range(len(candidates)):
            which = (place + number) % len(candidates)
            begun = perf_counter()
            candidates[which](question)
            times[which].append(perf_counter() - begun)
    return times


def whole_units(past: Side, under: Side, questions: Sequence[Question]) -> list[float]:
    """Return the median seconds of a unit of work, past row security and under it."""
    candidates = (lambda question: ask(past, question), lambda question: ask(under, question))
    return [median(times[WARM:]) for times in in_turns(candidates, questions)]


def statements_alone(past: Side, under: Side, questions: Sequence[Question]) -> list[float]:
    """Return the median seconds of a statement in an open unit of work, past row security and under it."""
    sides = (past, under)
    times: list[list[float]] = [[] for _ in sides]
    for tenant, of_tenant in groupby(sorted(questions), key=lambda question: question.tenant):
        with ExitStack() as units:
            candidates = []
            for side in sides:
                unit = side.database.unit_of_work(role=side.role, tenant_id=tenant, user_id=tenant)
                session = units.enter_context(unit)
                candidates.append(partial(ask_driver, session, side))
            for so_far, more in zip(times, in_turns(candidates, list(of_tenant)), strict=True):
                so_far.extend(more)
    return [median(each[WARM:]) for each in times]


def against_none(*, calls: int) -> Table:
    """Ask for slots by key and for days of doctors, under row security and past it."""
    with TemporaryDirectory() as folder, embedded_server(Path(folder) / "postgresql") as url:
        questions = load(url)
        title = f"row security, {len(questions):,} slots of {TENANTS} tenants; medians of {calls:,} calls a side"
        table = Table(title=title, title_justify="left")
        for heading in ("", "", "past it, µs", "under it, µs", "ratio", "wanted"):
            table.add_column(heading, justify="right" if heading else "left")
        kinds = (
            ("a slot by its key", _BY_KEY, _BY_KEY, 1.5),
            (f"a doctor's day ({SLOTS_A_DAY} slots)", _DAY_OF_TENANT, _DAY, 1.3),
        )
        for kind, named, unnamed, wanted in kinds:
            with Database(url) as one, Database(url) as other:
                past, under = Side(one, Role.OWNER, named), Side(other, Role.APP, unnamed)
                asked = questions[: calls + WARM]
                check(past, under, asked[:CHECKED])
                gc.collect()
                gc.disable()
                for name, measured in (
                    ("a unit of work", whole_units(past, under, asked)),
                    ("its statement alone", statements_alone(past, under, asked)),
                ):
                    without, with_it = measured
                    microseconds = (f"{seconds * 1e6:,.0f}" for seconds in measured)
                    table.add_row(kind, name, *microseconds, f"{with_it / without:.2f}", f"at most {wanted}")
                gc.enable()
    return table
