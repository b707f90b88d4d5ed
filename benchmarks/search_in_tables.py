"""The search for visits in the tables, on worlds in which the first visits lie early or late.

The same search in values, which are there before, is the check of the result, and its time is the part without reading.
"""

from collections.abc import Callable, Sequence
from datetime import time, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

import psycopg
from rich.table import Table

from measuring import best_times
from scheduler.core.ids import DoctorId, ServiceId
from scheduler.core.spans import Span
from scheduler.core.weekdays import Weekday
from scheduler.front_door.scheduler import Scheduler
from scheduler.generation.job import generate
from scheduler.generation.request import GenerationRequest
from scheduler.postgres.database import Database
from scheduler.postgres.embedded import embedded_server
from scheduler.postgres.schema import migrations
from search import BUFFER, FIRST, FOUND, MINUTE, Visit, World, found, loaded_anew, next_found, visit, world

NUMBERS: Final = count()
ZONE: Final = "UTC"  # no day has an hour in which nothing is taken
_COPY: Final = (
    "copy scheduling.allocations (tenant_id, visit_key, doctor_id, resource_id, start_at, end_at, appointment_id)"
    " from stdin"
)


class TablesOfWorld(NamedTuple):
    """A world in the tables."""

    slug: str
    service: ServiceId
    doctors: tuple[DoctorId, ...]
    span: Span


def write(url: str, one: World, *, days: int) -> TablesOfWorld:
    """Write a world into the tables as a tenant of its own, and generate its slots."""
    slug = f"search-{next(NUMBERS)}"
    with Scheduler(url, clock=lambda: FIRST) as clinic, Database(url) as database:
        tenant = clinic.add_tenant(slug, name="Riverside Clinics")
        with clinic.tenant(slug) as work:
            place = work.facilities.add("main", name="Main Street", zone=ZONE)
            service = work.services.add("visit", duration=20 * MINUTE)
            template = work.step_templates.add("a step", duration=10 * MINUTE)
            steps = [
                type(step)(step.position, template, step.duration, max_wait=step.max_wait, needs=step.needs)
                for step in visit().steps
            ]
            doctors = []
            for _ in one.candidates:
                doctor = work.doctors.add("Anna", "Ray", at=[place])
                work.offerings.add(service, by=doctor, at=place, buffer_after=BUFFER, steps=steps)
                work.rules.add(
                    doctor,
                    at=place,
                    on=[Weekday(day) for day in range(1, 6)],
                    start=time(9),
                    end=time(17),
                    slot_duration=20 * MINUTE,
                )
                doctors.append(doctor)
            resources = [work.resources.add(each.kind, f"{each.kind} {each.id}", at=place) for each in one.resources]
        generate(database, GenerationRequest(tenant, FIRST.date(), FIRST.date() + timedelta(days=days), now=FIRST))
    keys = count(1)
    rows: list[tuple[int, int | None, int | None, Span]] = [
        (next(keys), doctor, None, use.span)
        for doctor, candidate in zip(doctors, one.candidates, strict=True)
        for use in candidate.calendar.uses
    ]
    rows += [
        (next(keys), None, resource, span)
        for resource, each in zip(resources, one.resources, strict=True)
        for span in each.uses
    ]
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        cursor.execute("set local session_replication_role = replica")  # the allocations have no appointments
        with cursor.copy(_COPY) as copy:
            for key, doctor_id, resource_id, span in rows:
                copy.write_row((tenant, key, doctor_id, resource_id, span.start, span.end, key))
        connection.commit()
        connection.autocommit = True
        connection.execute("analyze scheduling.allocations")
        connection.execute("analyze scheduling.availability_slots")
    return TablesOfWorld(slug, service, tuple(doctors), Span(one.span.start, one.span.end))


def check(expected: Sequence[Visit], answer: Sequence[Visit]) -> None:
    """Stop unless the tables give the visits that values give, at least one."""
    if not expected or list(expected) != list(answer):
        raise SystemExit(f"values give {expected}, the tables {answer}: nothing to compare")


def from_tables(clinic: Scheduler, written: TablesOfWorld) -> list[Visit]:
    """Return the first visits of a unit of work of its own."""
    with clinic.tenant(written.slug) as work:
        offers = work.visits.find(written.service, between=written.span, limit=FOUND)
    return [
        (written.doctors.index(offer.slot.doctor_id) + 1, tuple(step.start_at for step in offer.steps))
        for offer in offers
    ]


def in_tables(*, rounds: int, doctors: int = 50, days: int = 90) -> Table:
    """Find the first visits in the tables, and in values of which nothing is loaded."""
    title = f"first {FOUND} visits of four steps from the database, {doctors} doctors, {days} days; best of {rounds}"
    table = Table(title=title, title_justify="left")
    for heading in ("the first visits lie", "from the database, ms", "in values, ms", "goal, ms"):
        table.add_column(heading, justify="left" if not table.columns else "right")
    with TemporaryDirectory() as folder, embedded_server(Path(folder) / "postgresql") as url:
        migrations.upgrade(url)
        with Scheduler(url, clock=lambda: FIRST) as clinic:
            for name, full, goal in (("in the first two weeks", days // 9, 60), ("on day 80", days * 79 // 90, 600)):
                one = world(doctors=doctors, days=days, load=0.3, full_days=full, zone=ZONE)
                written = write(url, one, days=days)
                check(found(one), from_tables(clinic, written))
                copies = iter([loaded_anew(one) for _ in range(rounds)])
                ways: dict[str, Callable[[], object]] = {
                    "tables": partial(from_tables, clinic, written),
                    "values": partial(next_found, copies),
                }
                best = best_times(ways, rounds=rounds, once={"values"})
                table.add_row(name, *(f"{best[way] * 1000:,.0f}" for way in ways), f"{goal}")
    return table
