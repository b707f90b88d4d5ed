"""The cost of spans that no SDK records, and of a log that nobody reads, in the nightly job."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any
from unittest.mock import patch

import psycopg
from rich.table import Table

from generation import SLOTS, repeated_region, scheduler
from scheduler.generation import applying, batches, job, observing
from scheduler.generation.request import GenerationRequest
from scheduler.postgres.database import Database, Role
from scheduler.postgres.embedded import embedded_server
from scheduler.postgres.schema import migrations
from scheduler.postgres.tenants import tenant_id_of

PLACES = 100
DAYS = 90
ROUNDS = 3
CALLS = 20_000
FIRST = date(2027, 2, 1)


def emptied(url: str) -> None:
    """Let the next run be a first one."""
    with psycopg.connect(url) as connection:
        connection.execute(f"truncate {SLOTS} cascade")
        connection.execute("update scheduling.schedule_states set fingerprint = null, generated_days = '{}'")


def run(database: Database) -> tuple[int, float]:
    """Run the job; return the number of created slots, and the processor time of this process in seconds."""
    tenant_id = tenant_id_of(database, "default", role=Role.JOB)
    now = datetime(2027, 1, 1, tzinfo=UTC)
    request = GenerationRequest(tenant_id, FIRST, FIRST + timedelta(days=DAYS), now=now)
    begun = process_time()
    report = job.generate(database, request)
    return report.result.slots_created, process_time() - begun


@contextmanager
def counted() -> Iterator[dict[str, int]]:
    """Count the spans and the events of the block."""
    counts = {"spans": 0, "events": 0}

    def counting(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def counted_call(*args: Any, **options: Any) -> Any:  # noqa: ANN401  # of any function
            counts[name] += 1
            return call(*args, **options)

        return counted_call

    traced, logged = counting("spans", observing.traced), counting("events", observing.logged)
    with (
        patch.multiple(job, traced=traced, logged=logged),
        patch.multiple(batches, traced=traced, logged=logged),
        patch.object(applying, "traced", traced),
    ):
        yield counts


def seconds_of(call: Callable[[], object]) -> float:
    """Return the processor time of one call, the best of some rounds."""
    best = float("inf")
    for _ in range(ROUNDS):
        begun = process_time()
        for _ in range(CALLS):
            call()
        best = min(best, (process_time() - begun) / CALLS)
    return best


def a_span() -> None:
    """Open a span as the job does, with counts."""
    with observing.traced("batch", run_id=1) as add:
        add({"schedules": 24, "slots_created": 50_000})


def an_event() -> None:
    """Log an event that nobody reads."""
    observing.logged("batch done", run_id=1, schedules=24, slots_created=50_000)


def check(with_spans: int, without: int) -> None:
    """Stop unless both ways created the same number of slots."""
    if with_spans != without or not without:
        raise SystemExit(f"{with_spans} slots with spans and {without} without: nothing to compare")


def of_a_run(*, places: int = PLACES, rounds: int = ROUNDS) -> Table:
    """Run the job in turn with spans that record nothing and without any; the best processor time of each counts."""
    with TemporaryDirectory() as folder, embedded_server(Path(folder) / "postgresql") as url:
        migrations.upgrade(url)
        scheduler("import", "openings", str(repeated_region(Path(folder), places)), url=url)
        best = {"with": float("inf"), "without": float("inf")}
        slots = dict.fromkeys(best, 0)
        with Database(url) as database:
            for _ in range(rounds):
                for way, tracer in (("without", None), ("with", observing._tracer)):  # noqa: SLF001  # the switch
                    emptied(url)
                    with patch.object(observing, "_tracer", tracer):
                        slots[way], seconds = run(database)
                    best[way] = min(best[way], seconds)
            check(slots["with"], slots["without"])
            emptied(url)
            with counted() as counts:
                run(database)
    spans, events = counts["spans"] * seconds_of(a_span), counts["events"] * seconds_of(an_event)
    title = (
        f"A first run of {slots['with']:,} slots: {counts['spans']} spans, {counts['events']} events, nobody reads them"
    )
    table = Table(title=title, title_justify="left")
    for heading in ("", "processor time of the job", "of the run without"):
        table.add_column(heading, justify="left" if not heading else "right")
    for name, seconds in (
        ("without spans", best["without"]),
        ("with spans that record nothing", best["with"]),
        ("the spans alone, timed by themselves", spans),
        ("the events alone, timed by themselves", events),
    ):
        table.add_row(name, f"{seconds:.4f} s", f"{seconds / best['without']:.2%}")
    return table
