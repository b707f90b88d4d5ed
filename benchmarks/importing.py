"""The import of opening times: seconds and peak memory of files of two sizes, the second ten times the first.

The memory of a process that reads and writes a file in batches does not grow with the file.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Final

import psycopg
from rich.table import Table

from generation import repeated_region
from scheduler.postgres.embedded import embedded_server
from scheduler.postgres.schema import migrations

PLACES: Final = 20_000
BYTES_OF_TEXT: Final = 4_000
"""Further text of a place, as a list of services: 20,000 places are a file of 100 MB."""
_IMPORT: Final = """
import sys, time
from scheduler.cli.app import run
from scheduler.cli.generate import peak_memory
try:
    run()
finally:
    print(time.process_time(), peak_memory())
"""


def written(folder: Path, places: int) -> Path:
    """Write the shipped region repeatedly, with further text at each place, and return the path of the file."""
    source, path = repeated_region(folder, places), folder / f"{places}.jsonl"
    with source.open(encoding="utf-8") as lines, path.open("w", encoding="utf-8") as output:
        for line in lines:
            output.write(json.dumps(json.loads(line) | {"services": "walk-in " * (BYTES_OF_TEXT // 8)}) + "\n")
    return path


def timed_import(url: str, path: Path, tenant: str) -> tuple[float, float, int, str]:
    """Import a file in a process of its own; return seconds, processor time, peak memory and summary."""
    begun = perf_counter()
    result = subprocess.run(  # noqa: S603  # our own command
        [sys.executable, "-c", _IMPORT, "import", "openings", str(path), "--tenant", tenant],
        env=os.environ | {"SCHEDULER_DATABASE_URL": url},
        capture_output=True,
        text=True,
        check=True,
    )
    *summary, figures = result.stdout.splitlines()
    processor, memory = figures.split()
    return perf_counter() - begun, float(processor), int(memory), " ".join(summary)


def check(url: str, tenant: str, places: int, again: str) -> None:
    """Stop unless each place of the file was imported, and the second import of the file changed nothing."""
    query = (
        "select count(*) from scheduling.facilities where tenant_id = (select id from identity.tenants where slug = %s)"
    )
    with psycopg.connect(url) as connection:
        imported = connection.execute(query, (tenant,)).fetchone()
    if imported != (places,) or again.count("unchanged") != again.count(":") - 1:
        raise SystemExit(f"{imported} of {places} places were imported, then {again}: nothing to compare")


def of_two_sizes(*, places: int = PLACES) -> Table:
    """Import a tenth of the places, then all of them for another tenant, and both files again."""
    table = Table(title=f"import of openings, {places:,} places", title_justify="left")
    for heading in ("", "MB", "seconds", "of its processor", "peak memory"):
        table.add_column(heading, justify="right" if heading else "left")
    with TemporaryDirectory() as folder, embedded_server(Path(folder) / "postgresql") as url:
        migrations.upgrade(url)
        for count in (max(1, places // 10), places):
            path, tenant = written(Path(folder), count), f"places-{count}"
            for name in (f"{count:,} places", "the same again"):
                seconds, processor, memory, summary = timed_import(url, path, tenant)
                shown = f"{seconds:.1f}", f"{processor:.1f}", f"{memory / 2**20:.0f} MiB"
                table.add_row(name, f"{path.stat().st_size / 1e6:.1f}", *shown)
            check(url, tenant, count, summary)
    return table
