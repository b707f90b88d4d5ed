"""Figures of a tenant's year, counted and from sums, against a count of the same slots under row security.

Slots, visits and allocations are written by a superuser, without triggers. Three slots of ten are booked. The count
reads the same rows and groups them by doctor only: no report that reads the slots can take less. Then the nightly job
sums the days, and the report is measured again; both give the same.
"""

from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Final
from uuid import UUID

import psycopg
from rich.table import Table
from sqlalchemy import text

from measuring import best_times
from scheduler.booking.figures import VisitReport, visit_report
from scheduler.postgres.database import Database, Role
from scheduler.postgres.embedded import embedded_server
from scheduler.postgres.figure_sums import sum_figures
from scheduler.postgres.schema import migrations

TENANT: Final = UUID(int=0xF1)
FIRST: Final = date(2025, 1, 1)
A_DAY: Final = 28  # slots of a doctor: seven hours of quarters
_COUNT: Final = text("""
select doctor_id, sum(capacity), sum(booked_count) from scheduling.availability_slots
where start_at >= :begin and start_at < :until group by doctor_id
""")


def check(report: VisitReport, days: int, doctors: int) -> None:
    """Stop unless the report has all places, three of ten booked, and the time of each once."""
    total, places = report.total, days * doctors * A_DAY
    booked = sum(number % 10 < 3 for number in range(places))
    expected = (places, booked, places - booked, booked, booked * timedelta(minutes=15), timedelta(days=2))
    answer = (total.places, total.booked_places, total.free_places, total.visits, total.booked, total.lead_time)
    if answer != expected:
        raise SystemExit(f"the report has {answer} instead of {expected}: nothing to compare")


def write(url: str, *, days: int, doctors: int) -> None:
    """Write a tenant with so many doctors, each with 28 slots on so many days."""
    given = {"tenant": TENANT, "days": days, "doctors": doctors, "first": FIRST, "a_day": A_DAY}
    with psycopg.connect(url) as connection:
        connection.execute("set local session_replication_role = replica")
        for statement in _WORLD:
            connection.execute(statement, given)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "vacuum analyze scheduling.availability_slots, scheduling.appointments, scheduling.allocations"
        )


def report(database: Database, days: int) -> VisitReport:
    """Return the report of so many days from the first on."""
    with database.unit_of_work(role=Role.APP, tenant_id=TENANT) as session:
        return visit_report(session, FIRST, FIRST + timedelta(days=days), as_of=datetime(2030, 1, 1, tzinfo=UTC))


def count(database: Database, days: int) -> object:
    """Count the slots of so many days."""
    begin = datetime(FIRST.year, FIRST.month, FIRST.day, tzinfo=UTC)
    with database.unit_of_work(role=Role.APP, tenant_id=TENANT) as session:
        given = {"begin": begin, "until": begin + timedelta(days=days)}
        return session.connection().execute(_COUNT, given).fetchall()


def add_sums(database: Database) -> float:
    """Sum the days as the nightly job does; return the seconds."""
    start, is_left = perf_counter(), True
    while is_left:
        with database.unit_of_work(role=Role.JOB, tenant_id=TENANT) as session:
            is_left = sum_figures(session)
    return perf_counter() - start


def of_a_year(*, rounds: int, doctors: int = 98, spans: tuple[int, ...] = (7, 31, 365)) -> Table:
    """Measure report and count over each span of days, and the report again from sums."""
    slots = spans[-1] * doctors * A_DAY
    table = Table(title=f"report visits, {doctors} doctors, {slots:,} slots; best of {rounds}", title_justify="left")
    for heading in ("days", "slots", "report, counted, ms", "report, ms", "count of slots, ms", "ratio", "goal, ms"):
        table.add_column(heading, justify="right")
    with TemporaryDirectory() as folder, embedded_server(Path(folder) / "postgresql") as url:
        migrations.upgrade(url)
        write(url, days=spans[-1], doctors=doctors)
        with Database(url) as database:
            counted = {}
            for days in spans:
                check(report(database, days), days, doctors)
                counted[days] = best_times({"report": partial(report, database, days)}, rounds=rounds)["report"]
            table.caption = f"The sums of all days take {add_sums(database):,.1f} s."
            for days in spans:
                check(report(database, days), days, doctors)
                best = best_times(
                    {"report": partial(report, database, days), "count": partial(count, database, days)}, rounds=rounds
                )
                table.add_row(
                    str(days),
                    f"{days * doctors * A_DAY:,}",
                    *(f"{seconds * 1000:,.0f}" for seconds in (counted[days], best["report"], best["count"])),
                    f"{best['report'] / best['count']:,.1f}",
                    "200" if days == spans[-1] else "",
                )
    return table


_WORLD: Final = (
    "insert into identity.tenants (id, slug, name) values (%(tenant)s, 'figures-of-a-year', 'Riverside Clinics')",
    """
    insert into scheduling.facilities (tenant_id, id, slug, name, timezone)
    select %(tenant)s, n, 'place-' || n, 'Main Street', 'Europe/London' from generate_series(1, 5) as n
    """,
    """
    insert into scheduling.doctors (tenant_id, id, first_name, last_name, display_name)
    select %(tenant)s, n, 'Anna', 'Ray', 'Anna Ray' from generate_series(1, %(doctors)s::integer) as n
    """,
    """
    select scheduling.ensure_slot_partitions(
        %(first)s::timestamp at time zone 'UTC', (%(first)s::date + %(days)s::integer)::timestamp at time zone 'UTC')
    """,
    """
    insert into scheduling.availability_slots (tenant_id, id, facility_id, doctor_id, start_at, end_at, status,
        booked_count)
    select %(tenant)s, number + 1, 1 + doctor %% 5, doctor, start_at, start_at + interval '15 minutes',
        case when number %% 10 < 3 then 'booked' else 'open' end, (number %% 10 < 3)::integer
    from (
        select doctor, ((day * %(doctors)s::integer + doctor - 1) * %(a_day)s::integer + quarter) as number,
            (%(first)s::timestamp at time zone 'UTC') + day * interval '1 day' + interval '9 hours'
                + quarter * interval '15 minutes' as start_at
        from generate_series(0, %(days)s::integer - 1) as day, generate_series(1, %(doctors)s::integer) as doctor,
            generate_series(0, %(a_day)s::integer - 1) as quarter
    ) as slot
    """,
    """
    insert into scheduling.appointments (tenant_id, id, patient_id, facility_id, doctor_id, service_offering_id,
        availability_slot_id, slot_start_at, service_workflow_id, start_at, end_at, local_start, zone, created_at)
    select tenant_id, id, id, facility_id, doctor_id, 1, id, start_at, 1, start_at, end_at,
        start_at at time zone 'Europe/London', 'Europe/London', start_at - interval '2 days'
    from scheduling.availability_slots where tenant_id = %(tenant)s and status = 'booked'
    """,
    """
    insert into scheduling.allocations (tenant_id, id, visit_key, doctor_id, start_at, end_at, appointment_id, slot_id,
        slot_start_at)
    select tenant_id, id, id, doctor_id, start_at, end_at, id, id, start_at
    from scheduling.appointments where tenant_id = %(tenant)s
    """,
)
