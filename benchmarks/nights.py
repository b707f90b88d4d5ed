"""Nights of the job at several sizes, and the first fill against plainer ways to write the same slots.

Each doctor works at one of the facilities, Monday to Friday, 09:00-12:00 and 13:00-17:00 in London, in slots of 20
minutes. The job runs as a command in a process of its own, so that its memory is measured alone. After each night, the
number of slots in the table is compared with the number that the schedules have.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Final
from uuid import UUID, uuid4

import psycopg
from rich.table import Table
from sqlalchemy import text

from generation import SLOTS, save_rows, scheduler, timed_copy
from scheduler import models as rows
from scheduler.core.expansion import expand
from scheduler.core.schedules import Schedule
from scheduler.core.spans import Span
from scheduler.core.zones import local_days
from scheduler.generation.job import generate
from scheduler.generation.request import GenerationRequest
from scheduler.postgres.database import Database, Role
from scheduler.postgres.embedded import embedded_server
from scheduler.postgres.schedules import load_schedules, schedule_keys
from scheduler.postgres.schema import migrations
from scheduler.postgres.slots import ensure_months

FIRST: Final = date(2027, 2, 1)  # a Monday
NOW: Final = datetime(2027, 2, 1, 2, tzinfo=UTC)
DAY: Final = timedelta(days=1)
A_DAY: Final = 21
MORE: Final = 3  # the slots of an hour
DOCTORS_AT_A_PLACE: Final = 5
_WORLD: Final = (
    "insert into identity.tenants (id, slug, name) values (%(tenant)s, %(slug)s, 'Riverside Clinics')",
    """
    insert into scheduling.facilities (tenant_id, id, slug, name, timezone)
    select %(tenant)s, n, 'place-' || n, 'Main Street', 'Europe/London'
    from generate_series(0, %(schedules)s::integer / %(at_a_place)s::integer) as n
    """,
    """
    insert into scheduling.doctors (tenant_id, id, first_name, last_name, display_name)
    select %(tenant)s, n, 'Anna', 'Ray', 'Anna Ray' from generate_series(1, %(schedules)s::integer) as n
    """,
    """
    insert into scheduling.availability_rules
        (tenant_id, id, doctor_id, facility_id, day_of_week, start_time, end_time, slot_duration_minutes)
    select %(tenant)s, n * 10 + half * 5 + day, n, n / %(at_a_place)s::integer, day, opens, closes, 20
    from generate_series(1, %(schedules)s::integer) as n, generate_series(1, 5) as day,
        (values (0, time '09:00', time '12:00'), (1, time '13:00', time '17:00')) as hours (half, opens, closes)
    """,
)
_LATER: Final = """
update scheduling.availability_rules set end_time = end_time + interval '1 hour'
where tenant_id = %(tenant)s and end_time = '17:00' and doctor_id <= %(changed)s
"""
_BY_SERIES: Final = text(f"""
insert into {SLOTS} (tenant_id, facility_id, doctor_id, start_at, end_at, capacity, created_from_rule_id)
select rule.tenant_id, rule.facility_id, rule.doctor_id, start_at, start_at + length, rule.capacity, rule.id
from scheduling.availability_rules rule
join scheduling.facilities facility on facility.tenant_id = rule.tenant_id and facility.id = rule.facility_id
cross join generate_series(cast(:first as date), cast(:last as date), interval '1 day') as day
cross join make_interval(mins => rule.slot_duration_minutes) as length
cross join generate_series(
    (day + rule.start_time) at time zone facility.timezone,
    (day + rule.end_time) at time zone facility.timezone - length, length
) as start_at
where extract(dow from day) = rule.day_of_week
""")


def write(url: str, schedules: int) -> UUID:
    """Write a tenant of its own with so many schedules, and return its id."""
    tenant = uuid4()
    given = {"tenant": tenant, "slug": str(tenant), "schedules": schedules, "at_a_place": DOCTORS_AT_A_PLACE}
    with psycopg.connect(url) as connection:
        connection.execute("set local session_replication_role = replica")  # nobody's changes: no audit, no checks
        for statement in _WORLD:
            connection.execute(statement, given)
    return tenant


def stored(url: str, tenant: UUID) -> int:
    """Return the number of stored slots of a tenant."""
    with psycopg.connect(url) as connection:
        found = connection.execute(f"select count(*) from {SLOTS} where tenant_id = %s".encode(), (tenant,)).fetchone()
    assert found is not None  # noqa: S101  # a count
    return int(found[0])


def check(expected: int, found: int) -> None:
    """Stop unless as many slots are stored as the schedules have."""
    if expected != found:
        raise SystemExit(f"{found} slots are stored, the schedules have {expected}: nothing to compare")


def working_days(first: date, days: int) -> int:
    """Return how many of the days are Monday to Friday."""
    return sum((first + number * DAY).weekday() < 5 for number in range(days))


def night(url: str, tenant: UUID, first: date, *, days: int, workers: int = 1) -> dict[str, Any]:
    """Run the job as a command, and return its summary."""
    arguments = ("--tenant", str(tenant), "--from", str(first), "--days", str(days), "--workers", str(workers))
    summary: dict[str, Any] = json.loads(scheduler("generate", *arguments, "--json", url=url).stdout)
    return summary


def nights(
    url: str, schedules: int, days: int, *, first: date = FIRST, workers: int = 1
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Run a first fill, an ordinary night, a night without changes, and one after 1% of the schedules changed."""
    tenant = write(url, schedules)
    changed = max(1, schedules // 100)
    given: dict[str, Any] = {"days": days, "workers": workers}
    yield "first fill", night(url, tenant, first, **given)
    check(schedules * A_DAY * working_days(first, days), stored(url, tenant))
    yield "one day further", night(url, tenant, first + DAY, **given)
    expected = schedules * A_DAY * working_days(first, days + 1)
    check(expected, stored(url, tenant))
    yield "nothing changed", night(url, tenant, first + DAY, **given)
    check(expected, stored(url, tenant))
    with psycopg.connect(url) as connection:
        connection.execute(_LATER.encode(), {"tenant": tenant, "changed": changed})
    yield f"{changed:,} changed", night(url, tenant, first + DAY, **given)
    check(expected + changed * MORE * working_days(first, days + 1), stored(url, tenant))


def of_workers(*, schedules: int = 3000, days: int = 30, rounds: int = 2) -> Table:
    """Measure first fills by one and by two workers in turn; the best time of each counts.

    Beside them, one and two connections copy the same rows into the same table: what the database can do.
    """
    table = Table(title=f"first fill, {schedules:,} schedules, {days} days; best of {rounds}", title_justify="left")
    for heading in ("", "seconds", "slots a second", "rate of one"):
        table.add_column(heading, justify="right" if heading else "left")
    expected = schedules * A_DAY * working_days(FIRST, days)
    best: dict[tuple[str, int], float] = {}
    with TemporaryDirectory() as folder, embedded_server(Path(folder) / "postgresql") as url:
        migrations.upgrade(url)
        tenant = write(url, schedules)
        night(url, tenant, FIRST, days=1)  # the server is warm, the months and states of the schedules exist
        for count in (1, 2) * rounds:
            empty(url)
            seconds = float(night(url, tenant, FIRST, days=days, workers=count)["seconds"])
            check(expected, stored(url, tenant))
            best["worker", count] = min(best.get(("worker", count), seconds), seconds)
            parts = [Path(folder) / f"part-{part}" for part in range(count)]
            for part, rows in enumerate(parts):
                save_rows(url, rows, part=part, parts=count)
            seconds = timed_copy(url, *parts)
            check(expected, stored(url, tenant))
            best["plain binary COPY", count] = min(best.get(("plain binary COPY", count), seconds), seconds)
    for (kind, count), seconds in sorted(best.items()):
        speed = f"{expected / seconds:,.0f}"
        table.add_row(f"{kind}, {count} at once", f"{seconds:.1f}", speed, f"{best[kind, 1] / seconds:.2f}")
    return table


def of_full_size(*, schedules: int = 10_000, days: int = 90, workers: int = 2) -> Table:
    """Measure the nights of a region.

    The day after the first `days`, which begin on a Tuesday, has to be a working day.
    """
    title = f"nights of the job, {schedules:,} schedules, {days} days, {workers} workers"
    table = Table(title=title, title_justify="left")
    for heading in ("night", "seconds", "slots written", "slots examined", "slots a second"):
        table.add_column(heading, justify="left" if heading == "night" else "right")
    with TemporaryDirectory() as folder, embedded_server(Path(folder) / "postgresql") as url:
        migrations.upgrade(url)
        for name, summary in nights(url, schedules, days, first=FIRST + DAY, workers=workers):
            seconds, created = float(summary["seconds"]), int(summary["slots_created"])
            examined = created + int(summary["slots_kept"])
            table.add_row(name, f"{seconds:.1f}", f"{created:,}", f"{examined:,}", f"{examined / seconds:,.0f}")
    return table


def empty(url: str) -> None:
    """Delete all slots, and what is known of generated days."""
    with psycopg.connect(url) as connection:
        connection.execute(f"truncate {SLOTS} cascade".encode())
        connection.execute("update scheduling.schedule_states set fingerprint = null, generated_days = '{}'")


def of_sizes(*, sizes: Sequence[int] = (100, 1000, 3000, 10_000), days: int = 14) -> Table:
    """Measure the nights of tenants of several sizes, one after another, on one server.

    The day after the first `days`, which begin on a Monday, has to be a working day.
    """
    table = Table(title=f"nights of the job, {days} days ahead", title_justify="left")
    for heading in ("schedules", "night", "seconds", "slots", "slots a second", "of the first fill", "memory"):
        table.add_column(heading, justify="left" if heading == "night" else "right")
    with TemporaryDirectory() as folder, embedded_server(Path(folder) / "postgresql") as url:
        migrations.upgrade(url)
        for schedules in sizes:
            fill = 0.0
            for name, summary in nights(url, schedules, days):
                seconds = float(summary["seconds"])
                slots = int(summary["slots_created"]) + int(summary["slots_kept"])
                fill = fill or seconds
                share = max(1, schedules // 100) / schedules
                if "changed" not in name:
                    rate = slots / seconds / (schedules * A_DAY * working_days(FIRST, days) / fill)
                    compared = f"{rate:.2f} of its rate"
                elif "nothing" in name:
                    compared = f"{seconds / fill:.3f} of its time"
                else:
                    compared = f"{seconds / (fill * share):.1f} times its share"
                memory = f"{summary['peak_memory'] / 2**20:.0f} MiB"
                speed = f"{slots / seconds:,.0f}"
                table.add_row(f"{schedules:,}", name, f"{seconds:.1f}", f"{slots:,}", speed, compared, memory)
    return table


def plainer_ways(*, schedules: int = 400, days: int = 90, rounds: int = 2) -> Table:
    """Write the slots of the same schedules by the job and by plainer ways; the best time of each counts.

    Objects of the ORM are written for a twentieth of the schedules, and their time is multiplied.
    """
    table = Table(title=f"{schedules:,} schedules, {days} days; best of {rounds}", title_justify="left")
    for heading in ("", "seconds", "slots a second", "the job is faster"):
        table.add_column(heading, justify="left" if not heading else "right")
    with TemporaryDirectory() as folder, embedded_server(Path(folder) / "postgresql") as url:
        migrations.upgrade(url)
        tenant = write(url, schedules)
        part = max(1, schedules // 20)
        expected = schedules * A_DAY * working_days(FIRST, days)
        saved = Path(folder) / "rows"
        best: dict[str, float] = {}
        with Database(url) as database:
            with database.unit_of_work(role=Role.JOB, tenant_id=tenant) as session:
                ensure_months(session, NOW, NOW + (days + 1) * DAY)
            ways: dict[str, tuple[int, Callable[[], float]]] = {
                "the job": (expected, lambda: _timed(lambda: _job(database, tenant, days))),
                "plain binary COPY, no row security": (expected, lambda: timed_copy(url, saved)),
                "one insert ... select from generate_series": (
                    expected,
                    lambda: _timed(lambda: _by_series(database, tenant, days)),
                ),
                "session.add_all, a schedule at a time": (
                    expected * part // schedules,
                    lambda: _timed(lambda: _by_objects(database, tenant, days, part)) * schedules / part,
                ),
            }
            for _ in range(rounds):
                for name, (slots, way) in ways.items():
                    empty(url)
                    best[name] = min(best.get(name, float("inf")), way())
                    check(slots, stored(url, tenant))
                    if name == "the job":
                        save_rows(url, saved)
    for name, seconds in best.items():
        faster = "" if name == "the job" else f"{seconds / best['the job']:.1f} times"
        table.add_row(name, f"{seconds:.1f}", f"{expected / seconds:,.0f}", faster)
    return table


def _timed(way: Callable[[], object]) -> float:
    begun = perf_counter()
    way()
    return perf_counter() - begun


def _job(database: Database, tenant: UUID, days: int) -> object:
    return generate(database, GenerationRequest(tenant, FIRST, FIRST + days * DAY, NOW))


def _by_series(database: Database, tenant: UUID, days: int) -> None:
    with database.unit_of_work(role=Role.JOB, tenant_id=tenant) as session:
        session.connection().execute(_BY_SERIES, {"first": FIRST, "last": FIRST + (days - 1) * DAY})


def _by_objects(database: Database, tenant: UUID, days: int, schedules: int) -> None:
    with database.unit_of_work(role=Role.JOB, tenant_id=tenant) as session:
        keys = [key for key in schedule_keys(session) if key.doctor_id <= schedules]
    for key in keys:
        with database.unit_of_work(role=Role.JOB, tenant_id=tenant) as session:
            (loaded,) = load_schedules(session, [key], lock=False)
            assert isinstance(loaded.schedule, Schedule)  # noqa: S101  # its rules are valid
            span = Span(*local_days(loaded.schedule.zone, FIRST, FIRST + days * DAY))
            session.add_all(
                rows.AvailabilitySlot(
                    tenant_id=tenant,
                    doctor_id=key.doctor_id,
                    facility_id=key.facility_id,
                    start_at=slot.start_at,
                    end_at=slot.end_at,
                    capacity=slot.capacity,
                    created_from_rule_id=None if slot.rule_id is None else int(slot.rule_id),
                )
                for slot in expand(loaded.schedule, span)
            )
