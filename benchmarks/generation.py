"""The nightly job against a plain binary COPY of the same rows into the same table, and its memory."""

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import psycopg
from rich.table import Table

from scheduler.cli.demo import region
from scheduler.postgres.embedded import embedded_server
from scheduler.postgres.schema import migrations

DAYS = 90
PLACES = 800
ROUNDS = 2
BLOCK_BYTES = 1 << 20
COLUMNS = "tenant_id, facility_id, doctor_id, service_offering_id, start_at, end_at, capacity, created_from_rule_id"
SLOTS = "scheduling.availability_slots"


def repeated_region(folder: Path, places: int) -> Path:
    """Write the shipped region repeatedly, under new codes, up to this number of places."""
    lines = region().read_text(encoding="utf-8").splitlines()
    path = folder / "openings.jsonl"
    with path.open("w", encoding="utf-8") as output:
        for number in range(places):
            place = json.loads(lines[number % len(lines)])
            place["code"] = f"{place['code']}-{number}"
            for doctor in place.get("doctors", ()):
                doctor["code"] = f"{doctor['code']}-{number}"
            output.write(json.dumps(place) + "\n")
    return path


def scheduler(*arguments: str, url: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in its own process, so that its memory is measured alone."""
    return subprocess.run(  # noqa: S603  # our own command
        [str(Path(sys.executable).parent / "scheduler"), *arguments],
        env=os.environ | {"SCHEDULER_DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=True,
    )


def save_rows(url: str, rows: Path, *, part: int = 0, parts: int = 1) -> None:
    """Save the rows of a part of the doctors as binary COPY, in the order in which they were written."""
    mine = f"doctor_id % {parts} = {part}"
    statement = f"copy (select {COLUMNS} from {SLOTS} where {mine} order by id) to stdout (format binary)"
    with psycopg.connect(url) as connection, connection.cursor().copy(statement) as copy, rows.open("wb") as output:
        for block in copy:
            output.write(block)


def timed_copy(url: str, *parts: Path) -> float:
    """Copy rows into the empty table as its owner, without row security, and return the seconds.

    Several parts are copied at once. The audit log watches the owner's changes row by row, and not those of the job: it
    is off for the comparison.
    """
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"truncate {SLOTS} cascade".encode())
        connection.execute(f"alter table {SLOTS} disable trigger inserts_are_logged".encode())
        begun = perf_counter()
        with ThreadPoolExecutor(len(parts)) as threads:
            list(threads.map(partial(_copy, url), parts))
        seconds = perf_counter() - begun
        connection.execute(f"alter table {SLOTS} enable trigger inserts_are_logged".encode())
    return seconds


def _copy(url: str, rows: Path) -> None:
    statement = f"copy {SLOTS} ({COLUMNS}) from stdin (format binary)".encode()
    with psycopg.connect(url) as connection, connection.cursor().copy(statement) as copy, rows.open("rb") as source:
        while block := source.read(BLOCK_BYTES):
            copy.write(block)


def check(url: str, created: int) -> None:
    """Stop unless as many rows were copied as slots were created."""
    with psycopg.connect(url) as connection:
        copied = connection.execute(f"select count(*) from {SLOTS}").fetchone()
    if copied != (created,):
        raise SystemExit(f"{copied} rows were copied, {created} slots were created: nothing to compare")


def against_copy(
    openings: Path | None, first: date | None, *, places: int = PLACES, days: int = DAYS, rounds: int = ROUNDS
) -> Table:
    """Generate slots, then copy the same rows into the same table; the best time of each counts."""
    with TemporaryDirectory() as folder, embedded_server(Path(folder) / "postgresql") as url:
        path = openings or repeated_region(Path(folder), places)
        begin = first or date(2027, 2, 1)
        generate = ("generate", "--from", str(begin), "--days", str(days), "--json")
        migrations.upgrade(url)
        scheduler("import", "openings", str(path), url=url)
        rows = Path(folder) / "rows"
        jobs, copies, summary = [], [], {}
        for _ in range(rounds):
            with psycopg.connect(url) as connection:
                connection.execute(f"truncate {SLOTS} cascade")
                connection.execute("update scheduling.schedule_states set fingerprint = null")
            summary = json.loads(scheduler(*generate, url=url).stdout)
            jobs.append(float(summary["seconds"]))
            save_rows(url, rows)
            copies.append(timed_copy(url, rows))
            check(url, summary["slots_created"])
        again = json.loads(scheduler(*generate, url=url).stdout)
    slots, last = int(summary["slots_created"]), begin + timedelta(days=days - 1)
    title = f"{path.name}: {summary['facilities']:,} facilities, {begin} to {last}, {slots:,} slots"
    table = Table(title=title, title_justify="left")
    for heading in ("", "seconds", "slots a second", "of plain COPY"):
        table.add_column(heading, justify="left" if not heading else "right")
    for name, seconds in (("plain binary COPY", min(copies)), ("the nightly job", min(jobs))):
        table.add_row(name, f"{seconds:.1f}", f"{slots / seconds:,.0f}", f"{min(copies) / seconds:.2f}")
    table.add_row("the job again, nothing changed", f"{again['seconds']:.1f}", "", f"{again['slots_created']} created")
    table.add_row("peak memory of the job", "", "", f"{summary['peak_memory'] / 2**20:.0f} MiB")
    return table
