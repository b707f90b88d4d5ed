"""Row security's cost for readers: the same queries with and without the policies.

Both sides use `Database.unit_of_work` on one server, in turn, for the same tenants, users, doctors and days. Each user
works for the tenant, so the policies look the user up and allow all rows of the tenant. Only the role differs:
`scheduler_app` is subject to the policies; the superuser is not, and so names the tenant in the statement. A caller
waits for a whole unit of work: begin, settings, statement, commit. The statement alone is repeated within one unit of
work for each tenant; its ratio is the harder goal, since the policies affect only this part.
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
SLOTS_PER_DAY: Final = 24
FIRST: Final = datetime(2027, 3, 1, tzinfo=UTC)
CHECKED_QUESTIONS: Final = 200
WARM_UP_CALLS: Final = 50

_COLUMNS: Final = "select id, doctor_id, start_at, end_at, status, capacity from scheduling.availability_slots where"
_OF_THE_DAY: Final = "doctor_id = cast(:doctor as bigint) and start_at >= :from_at and start_at < :until_at"
_BY_KEY: Final = f"{_COLUMNS} tenant_id = :tenant and id = cast(:slot as bigint) and start_at = :start_at"
_DAY: Final = f"{_COLUMNS} {_OF_THE_DAY} order by start_at"
_DAY_OF_TENANT: Final = f"{_COLUMNS} tenant_id = :tenant and {_OF_THE_DAY} order by start_at"


class Question(NamedTuple):
    """A slot by its key, and the doctor's day with that slot; the user has the id of the tenant."""

    tenant: UUID
    slot: int
    doctor: int
    start_at: datetime
    from_at: datetime
    until_at: datetime


class Side(NamedTuple):
    """A role with its statement; each side has its own connection, and so its own query plans."""

    database: Database
    role: Role
    statement: str


def ask(side: Side, question: Question) -> Sequence[object]:
    """Ask in a new unit of work."""
    unit = side.database.unit_of_work(role=side.role, tenant_id=question.tenant, user_id=question.tenant)
    with unit as session:
        return session.execute(text(side.statement), question._asdict()).all()


def ask_driver(session: Session, side: Side, question: Question) -> Sequence[object]:
    """Ask the driver within an open unit of work."""
    driver = session.connection().connection.driver_connection
    assert isinstance(driver, psycopg.Connection)  # noqa: S101  # for the type checker
    statement = re.sub(r":(\w+)", r"%(\1)s", side.statement)
    return driver.execute(statement.encode(), question._asdict()).fetchall()


def _load_statements(tenants: int) -> str:
    return f"""
select scheduling.ensure_slot_partitions('{FIRST}', '{FIRST + timedelta(days=31)}');
set session_replication_role = replica;  -- the rows are valid: no need for keys and triggers
insert into identity.tenants (slug, name) select number, 'A tenant' from generate_series(1, {tenants}) number;
insert into identity.users (tenant_id, id, email, name, role)
    select id, id, 'a@example.org', 'A nurse', 'staff' from identity.tenants;
insert into scheduling.facilities (tenant_id, id, name, slug, timezone)
    select id, 1, 'A place', 'a', 'Etc/UTC' from identity.tenants;
insert into scheduling.doctors (tenant_id, id, first_name, last_name, display_name)
    select tenant.id, number, 'A', 'B', 'A B' from identity.tenants tenant, generate_series(1, {DOCTORS}) number;
insert into scheduling.availability_slots (tenant_id, facility_id, doctor_id, start_at, end_at)
    select tenant_id, 1, id, start_at, start_at + interval '20 min'
    from scheduling.doctors, generate_series(1, {DAYS}) day, generate_series(1, {SLOTS_PER_DAY}) place,
        make_interval(days => day - 1, mins => 20 * place) since, timestamptz(timestamptz '{FIRST}' + since) start_at
    order by start_at, tenant_id, id;
"""


def load(url: str, *, tenants: int) -> list[Question]:
    """Fill a new database, and return a question for each slot, in a fixed order."""
    migrations.upgrade(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_load_statements(tenants).encode())
        connection.execute("vacuum analyze")
        rows = connection.execute(
            "select tenant_id, id, doctor_id, start_at, date_trunc('day', start_at, 'UTC'),"
            " date_trunc('day', start_at, 'UTC') + interval '1 day'"
            " from scheduling.availability_slots order by md5(id::text)"
        ).fetchall()
    return [Question(*row) for row in rows]


def check(without: Side, under: Side, questions: Sequence[Question]) -> None:
    """Stop unless both sides return the same rows."""
    for question in questions:
        expected, answer = ask(without, question), ask(under, question)
        if not expected or answer != expected:
            raise SystemExit(f"{len(answer)} rows under row security, {len(expected)} without: nothing to compare")


def in_turns(candidates: Sequence[Callable[[Question], object]], questions: Sequence[Question]) -> list[list[float]]:
    """Return the seconds of each candidate for each question; the candidates take turns to be first."""
    times: list[list[float]] = [[] for _ in candidates]
    for number, question in enumerate(questions):
        for turn in range(len(candidates)):
            index = (turn + number) % len(candidates)
            begun = perf_counter()
            candidates[index](question)
            times[index].append(perf_counter() - begun)
    return times


def whole_units(without: Side, under: Side, questions: Sequence[Question]) -> list[float]:
    """Return the median seconds of a unit of work, without row security and under it."""
    candidates = (lambda question: ask(without, question), lambda question: ask(under, question))
    return [median(times[WARM_UP_CALLS:]) for times in in_turns(candidates, questions)]


def statements_alone(without: Side, under: Side, questions: Sequence[Question]) -> list[float]:
    """Return the median seconds of a statement in an open unit of work, without row security and under it."""
    sides = (without, under)
    times: list[list[float]] = [[] for _ in sides]
    for tenant, of_tenant in groupby(sorted(questions), key=lambda question: question.tenant):
        with ExitStack() as units:
            candidates = []
            for side in sides:
                unit = side.database.unit_of_work(role=side.role, tenant_id=tenant, user_id=tenant)
                session = units.enter_context(unit)
                candidates.append(partial(ask_driver, session, side))
            for of_side, new in zip(times, in_turns(candidates, list(of_tenant)), strict=True):
                of_side.extend(new)
    return [median(of_side[WARM_UP_CALLS:]) for of_side in times]


def against_none(*, calls: int, tenants: int = TENANTS) -> Table:
    """Ask for slots by key and for days of doctors, under row security and without it."""
    with TemporaryDirectory() as folder, embedded_server(Path(folder) / "postgresql") as url:
        questions = load(url, tenants=tenants)
        title = f"row security, {len(questions):,} slots of {tenants} tenants; medians of {calls:,} calls a side"
        table = Table(title=title, title_justify="left")
        for heading in ("", "", "without, µs", "under it, µs", "ratio", "goal"):
            table.add_column(heading, justify="right" if heading else "left")
        kinds = (
            ("a slot by its key", _BY_KEY, _BY_KEY, 1.5),
            (f"a doctor's day ({SLOTS_PER_DAY} slots)", _DAY_OF_TENANT, _DAY, 1.3),
        )
        for kind, with_tenant, without_tenant, goal in kinds:
            with Database(url) as owner, Database(url) as app:
                without, under = Side(owner, Role.OWNER, with_tenant), Side(app, Role.APP, without_tenant)
                measured_questions = questions[: calls + WARM_UP_CALLS]
                check(without, under, measured_questions[:CHECKED_QUESTIONS])
                gc.collect()
                gc.disable()
                for name, seconds_by_side in (
                    ("a unit of work", whole_units(without, under, measured_questions)),
                    ("its statement alone", statements_alone(without, under, measured_questions)),
                ):
                    microseconds = (f"{seconds * 1e6:,.0f}" for seconds in seconds_by_side)
                    ratio = seconds_by_side[1] / seconds_by_side[0]
                    table.add_row(kind, name, *microseconds, f"{ratio:.2f}", f"at most {goal}")
                gc.enable()
    return table
