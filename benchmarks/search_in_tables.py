"""The search for visits in the tables, on worlds in which the first visits lie early or late.

The same search in values, which are there before, is the check of the result, and its time is the part without reading.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, time, timedelta
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

import psycopg
from rich.table import Table

from measuring import best_times
from scheduler.core.spans import Span
from scheduler.core.weekdays import Weekday
from scheduler.front_door.ids import DoctorId, ServiceId
from scheduler.front_door.scheduler import Scheduler
from scheduler.generation.job import generate
from scheduler.generation.request import GenerationRequest
from scheduler.postgres.database import Database
from scheduler.postgres.embedded import embedded_server
from scheduler.postgres.schema import migrations
from search import BUFFER, FIRST, FOUND, MINUTE, Visit, World, found, visit, world

NUMBERS: Final = count()
ZONE: Final = "UTC"  # no day has an hour in which nothing is taken
FREE_DAYS: Final = {"in the first two weeks": 10, "on day 80": 79}
_COPY: Final = (
    "copy scheduling.allocations (tenant_id, visit_key, doctor_id, resource_id, start_at, end_at, appointment_id)"
    " from stdin"
)


class Written(NamedTuple):
    """A world in the tables."""

    slug: str
    service: ServiceId
    doctors: tuple[DoctorId, ...]
    span: Span


def write(url: str, one: World, *, days: int) -> Written:
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
    rows = [
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
    return Written(slug, service, tuple(doctors), Span(one.span.start, one.span.end))
