"""Cost of holding and confirming: `work.visits`, against bare SQL that writes the same rows under the same constraints.

The bare side knows that the place is free, and who asks: it writes the hold in one transaction, then deletes it and
writes the visit with its step in the next. Triggers, exclusion constraints and the audit log work for both. Each client
has a doctor of its own, so that nobody waits for a lock.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Barrier
from time import perf_counter
from typing import Any, Final

import psycopg
from rich.table import Table

from booking_world import BEGIN, LENGTH, NOW, BookingWorld, booking_world
from scheduler.front_door.scheduler import Scheduler
from scheduler.postgres.embedded import embedded_server
from scheduler.postgres.schema import migrations

CLIENTS: Final = (1, 8)
_PATIENCE: Final = 60

Pair = Callable[[datetime], None]
"""Holds the visit of a doctor at a start, and confirms it."""


def check(world: BookingWorld, url: str, visits: int) -> None:
    """Stop unless each side has booked all its visits, with their steps, and left no hold."""
    with psycopg.connect(url) as connection:
        counts = connection.execute(_COUNTS, {"tenant": world.tenant}).fetchone()
    if counts != (visits, visits, visits, 0):
        raise SystemExit(f"{counts} visits, steps, allocations and holds instead of {visits}: nothing to compare")


def bare(connection: psycopg.Connection[Any], world: BookingWorld, client: int) -> Pair:
    """Return the pair of transactions in SQL."""
    row = connection.execute(_IDS, {"tenant": world.tenant, "offering": world.offerings[client]}).fetchone()
    assert row is not None  # noqa: S101
    doctor, workflow, step, template = row
    slots = dict(connection.execute(_SLOTS, {"tenant": world.tenant, "doctor": doctor}).fetchall())
    connection.commit()
    ids = {"tenant": world.tenant, "facility": world.facility, "doctor": doctor, "step": step, "template": template}
    ids |= {"offering": world.offerings[client], "workflow": workflow, "patient": world.patients[client]}

    def pair(start_at: datetime) -> None:
        given = ids | {"slot": slots[start_at], "start_at": start_at, "end_at": start_at + LENGTH}
        given["digest"] = sha256(f"{client} {start_at}".encode()).digest()
        with connection.transaction():
            connection.execute(_HOLD, given)
        with connection.transaction():
            connection.execute(_TAKE, given)
            connection.execute(_BOOK, given)

    return pair


def through_the_front_door(scheduler: Scheduler, world: BookingWorld, client: int) -> Pair:
    """Return the pair of calls."""

    def pair(start_at: datetime) -> None:
        with scheduler.tenant(world.slug) as work:
            hold = work.visits.hold(world.offer(start_at, client))
        with scheduler.tenant(world.slug) as work:
            work.visits.confirm(hold, patient=world.patients[client])

    return pair


def rate(pairs: Sequence[Pair], starts: Sequence[datetime]) -> float:
    """Let the clients hold and confirm visits at the starts; return how many a second."""
    barrier = Barrier(len(pairs) + 1)

    def work(pair: Pair) -> None:
        barrier.wait(_PATIENCE)
        for start_at in starts:
            pair(start_at)

    with ThreadPoolExecutor(len(pairs)) as threads:
        results = [threads.submit(work, pair) for pair in pairs]
        barrier.wait(_PATIENCE)
        begun = perf_counter()
        for result in results:
            result.result()
        return len(pairs) * len(starts) / (perf_counter() - begun)


def against_bare_sql(*, visits: int, rounds: int = 3, clients: Sequence[int] = CLIENTS) -> Table:
    """Measure both sides in turns, each visit at a start of its own; the best round of each counts."""
    table = Table(title=f"hold and confirm; best of {rounds} rounds of {visits} a client", title_justify="left")
    for heading in ("clients", "bare SQL, a second", "work.visits, a second", "ratio", "goal"):
        table.add_column(heading, justify="right")
    with TemporaryDirectory() as folder, embedded_server(Path(folder) / "postgresql") as url:
        migrations.upgrade(url)
        for count in clients:
            total = 2 * visits * rounds
            days = total * LENGTH // (LENGTH * 48) + 1
            world = booking_world(url, days=days, patients=count, doctors=count, every=LENGTH)
            starts = [BEGIN + number * LENGTH for number in range(total)]
            best = [0.0, 0.0]
            with ExitStack() as stack:
                own = [stack.enter_context(psycopg.connect(url)) for _ in range(count)]
                schedulers = [stack.enter_context(Scheduler(url, clock=lambda: NOW)) for _ in range(count)]
                sides = (
                    [bare(connection, world, client) for client, connection in enumerate(own)],
                    [through_the_front_door(each, world, client) for client, each in enumerate(schedulers)],
                )
                for number in range(2 * rounds):
                    of_round = starts[number * visits : (number + 1) * visits]
                    best[number % 2] = max(best[number % 2], rate(sides[number % 2], of_round))
            check(world, url, total * count)
            table.add_row(str(count), *(f"{each:,.0f}" for each in best), f"{best[1] / best[0]:.2f}", "at least 0.6")
    return table


_IDS: Final = """
select offering.doctor_id, workflow.id, step.id, step.step_template_id
from scheduling.service_offerings offering
join scheduling.service_workflows workflow
    on workflow.tenant_id = offering.tenant_id and workflow.service_offering_id = offering.id
join scheduling.workflow_steps step
    on step.tenant_id = workflow.tenant_id and step.service_workflow_id = workflow.id
where offering.tenant_id = %(tenant)s and offering.id = %(offering)s
"""
_SLOTS: Final = """
select start_at, id from scheduling.availability_slots where tenant_id = %(tenant)s and doctor_id = %(doctor)s
"""
_HOLD: Final = """
insert into scheduling.holds (tenant_id, token_digest, ends_at, facility_id, doctor_id, service_offering_id,
    service_workflow_id, availability_slot_id, slot_start_at, slot_end_at, start_at, end_at, steps, channel)
values (%(tenant)s, %(digest)s, scheduling.clock() + '10 minutes', %(facility)s, %(doctor)s, %(offering)s,
    %(workflow)s, %(slot)s, %(start_at)s, %(end_at)s, %(start_at)s, %(end_at)s, jsonb_build_array(jsonb_build_object(
        'workflow_step_id', %(step)s::bigint, 'start_at', %(start_at)s, 'end_at', %(end_at)s,
        'resources', '[]'::jsonb)), 'desk')
"""
_TAKE: Final = "delete from scheduling.holds where tenant_id = %(tenant)s and token_digest = %(digest)s"
_BOOK: Final = """
with visit as (
    insert into scheduling.appointments (tenant_id, facility_id, doctor_id, service_offering_id, service_workflow_id,
        patient_id, availability_slot_id, slot_start_at, start_at, end_at)
    values (%(tenant)s, %(facility)s, %(doctor)s, %(offering)s, %(workflow)s,
        %(patient)s, %(slot)s, %(start_at)s, %(start_at)s, %(end_at)s)
    returning id
)
insert into scheduling.appointment_steps (tenant_id, appointment_id, workflow_step_id, step_template_id, position,
    scheduled_start_at, scheduled_end_at)
select %(tenant)s, id, %(step)s, %(template)s, 1, %(start_at)s, %(end_at)s from visit
"""
_COUNTS: Final = """
select (select count(*) from scheduling.appointments where tenant_id = %(tenant)s),
    (select count(*) from scheduling.appointment_steps where tenant_id = %(tenant)s),
    (select count(*) from scheduling.allocations where tenant_id = %(tenant)s),
    (select count(*) from scheduling.holds where tenant_id = %(tenant)s)
"""
