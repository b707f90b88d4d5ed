"""Cost of holding and confirming: `work.visits`, against bare SQL that writes the same rows under the same constraints.

The bare side knows that the place is free, and all ids: it writes the hold in one transaction, then deletes it and
writes the visit with its steps in the next. Row security, triggers, exclusion constraints and the audit log work for
both, in the same role. Each client has a doctor and resources of its own, so that nobody waits for a lock.
"""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import datetime
from hashlib import sha256
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Barrier
from time import perf_counter
from typing import Any, Final

import psycopg
from psycopg.types.json import Jsonb
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
    """Stop unless each side has booked all its visits, with their steps and resources, and left no hold."""
    steps = [step for offer in world.first for step in offer.steps]
    used = sum(len(ids) for step in steps for ids in step.resources.values())
    times = sum(step.step.has_doctor for step in steps)
    expected = (visits, *(visits * number // len(world.first) for number in (len(steps), used, times + used)), 0)
    with psycopg.connect(url) as connection:
        counts = connection.execute(_COUNTS, {"tenant": world.tenant}).fetchone()
    if counts != expected:
        raise SystemExit(
            f"{counts} visits, steps, resources, allocations and holds instead of {expected}: nothing to compare"
        )


def bare(connection: psycopg.Connection[Any], world: BookingWorld, client: int) -> Pair:
    """Return the pair of transactions in SQL."""
    offer = world.first[client]
    ids = {"tenant": world.tenant, "facility": offer.slot.facility_id, "doctor": offer.slot.doctor_id}
    ids |= {"offering": offer.offering_id, "workflow": offer.workflow_id, "patient": world.patients[client]}
    steps = {position: (step, template) for position, step, template in connection.execute(_STEPS, ids)}
    slots = dict(connection.execute(_SLOTS, ids).fetchall())
    connection.commit()

    def pair(start_at: datetime) -> None:
        wanted = world.offer(start_at, client)
        given = ids | {"slot": slots[wanted.slot.start_at], "start_at": wanted.start_at, "end_at": wanted.end_at}
        given |= {"slot_start_at": wanted.slot.start_at, "slot_end_at": wanted.slot.end_at}
        given["digest"] = sha256(f"{client} {start_at}".encode()).digest()
        given["steps"] = Jsonb([
            {
                "position": timed.step.position,
                "workflow_step_id": steps[timed.step.position][0],
                "step_template_id": steps[timed.step.position][1],
                "start_at": timed.start_at.isoformat(),
                "end_at": timed.end_at.isoformat(),
                "resources": [id_ for of_kind in timed.resources.values() for id_ in of_kind],
            }
            for timed in wanted.steps
        ])  # fmt: skip
        with connection.transaction():
            connection.execute(_ACT, given)
            connection.execute(_HOLD, given)
        with connection.transaction():
            connection.execute(_ACT, given)
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
    for heading in ("steps", "clients", "bare SQL, a second", "work.visits, a second", "ratio", "goal"):
        table.add_column(heading, justify="right")
    with TemporaryDirectory() as folder, embedded_server(Path(folder) / "postgresql") as url:
        migrations.upgrade(url)
        for in_steps, count in product((False, True), clients):
            total = 2 * visits * rounds
            days = total * LENGTH // (LENGTH * 48) + 1
            world = booking_world(url, days=days, patients=count, doctors=count, every=LENGTH, in_steps=in_steps)
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
            rates = (f"{each:,.0f}" for each in best)
            steps = len(world.first[0].steps)
            table.add_row(str(steps), str(count), *rates, f"{best[1] / best[0]:.2f}", "at least 0.6")
    return table


_STEPS: Final = """
select position, id, step_template_id from scheduling.workflow_steps
where tenant_id = %(tenant)s and service_workflow_id = %(workflow)s
"""
_SLOTS: Final = """
select start_at, id from scheduling.availability_slots where tenant_id = %(tenant)s and doctor_id = %(doctor)s
"""
_ACT: Final = """
select set_config('role', 'scheduler_desk', true), set_config('app.tenant_id', %(tenant)s::text, true)
"""
_HOLD: Final = """
insert into scheduling.holds (tenant_id, token_digest, ends_at, facility_id, doctor_id, service_offering_id,
    service_workflow_id, availability_slot_id, slot_start_at, slot_end_at, start_at, end_at, steps, channel)
values (%(tenant)s, %(digest)s, scheduling.clock() + '10 minutes', %(facility)s, %(doctor)s, %(offering)s,
    %(workflow)s, %(slot)s, %(slot_start_at)s, %(slot_end_at)s, %(start_at)s, %(end_at)s, %(steps)s, 'desk')
"""
_TAKE: Final = "delete from scheduling.holds where tenant_id = %(tenant)s and token_digest = %(digest)s"
_BOOK: Final = """
with wanted as (
    select * from jsonb_to_recordset(%(steps)s) as step (position integer, workflow_step_id bigint,
        step_template_id bigint, start_at timestamptz, end_at timestamptz, resources bigint[])
), visit as (
    insert into scheduling.appointments (tenant_id, facility_id, doctor_id, service_offering_id, service_workflow_id,
        patient_id, availability_slot_id, slot_start_at, start_at, end_at)
    values (%(tenant)s, %(facility)s, %(doctor)s, %(offering)s, %(workflow)s,
        %(patient)s, %(slot)s, %(slot_start_at)s, %(start_at)s, %(end_at)s)
    returning id
), step as (
    insert into scheduling.appointment_steps (tenant_id, appointment_id, workflow_step_id, step_template_id, position,
        scheduled_start_at, scheduled_end_at)
    select %(tenant)s, visit.id, workflow_step_id, step_template_id, position, start_at, end_at from visit, wanted
    returning id, position
)
insert into scheduling.appointment_step_resources (tenant_id, appointment_step_id, resource_id)
select %(tenant)s, step.id, unnest(resources) from step join wanted using (position)
"""
_COUNTS: Final = """
select (select count(*) from scheduling.appointments where tenant_id = %(tenant)s),
    (select count(*) from scheduling.appointment_steps where tenant_id = %(tenant)s),
    (select count(*) from scheduling.appointment_step_resources where tenant_id = %(tenant)s),
    (select count(*) from scheduling.allocations where tenant_id = %(tenant)s),
    (select count(*) from scheduling.holds where tenant_id = %(tenant)s)
"""
