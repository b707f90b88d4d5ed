"""How long an empty database takes to become one with the whole schema, and to be copied from one that has it.

The first is what a new installation waits for; the second is what each module of the tests does instead.
"""

from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter

import psycopg
from rich.table import Table
from sqlalchemy import make_url

from scheduler.postgres.embedded import embedded_server
from scheduler.postgres.schema import migrations


def against_a_copy(*, rounds: int) -> Table:
    """Migrate empty databases, and copy the first of them, in turns."""
    seconds: dict[str, list[float]] = {"migrated": [], "copied": []}
    with TemporaryDirectory(prefix="slotsmith-") as folder, embedded_server(Path(folder) / "postgres") as url:
        for number in range(rounds):
            begun = perf_counter()
            migrations.upgrade(_made(url, f"migrated_{number}", "template0"))
            seconds["migrated"].append(perf_counter() - begun)
            begun = perf_counter()
            copied = _made(url, f"copied_{number}", "migrated_0")
            seconds["copied"].append(perf_counter() - begun)
            if migrations.current(copied) != migrations.head():
                raise SystemExit("the copy has not the whole schema: nothing to compare")
    table = Table(title=f"an empty database, {rounds} rounds, the server as careful as in use", title_justify="left")
    for heading in ("", "best, seconds", "median, seconds", "best, in copies"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, taken in seconds.items():
        ratio = min(taken) / min(seconds["copied"])
        table.add_row(name, f"{min(taken):.2f}", f"{median(taken):.2f}", f"{ratio:.1f}")
    return table


def _made(server: str, name: str, template: str) -> str:
    parsed = make_url(server)
    plain = parsed.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(f"create database {name} template {template}".encode())
    return parsed.set(database=name).render_as_string(hide_password=False)
