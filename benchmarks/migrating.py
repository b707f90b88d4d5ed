"""Migration of an empty database to the whole schema, against a copy of a migrated database.

A new installation waits for the migration; each test module copies a migrated template instead.
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


def check(url: str) -> None:
    """Stop unless a copied database has the whole schema."""
    if migrations.current(url) != migrations.head():
        raise SystemExit("the copy does not have the whole schema: nothing to compare")


def against_a_copy(*, rounds: int) -> Table:
    """Migrate empty databases, and copy the first of them, in turn."""
    seconds: dict[str, list[float]] = {"migrated": [], "copied": []}
    with TemporaryDirectory(prefix="slotsmith-") as folder, embedded_server(Path(folder) / "postgres") as url:
        for number in range(rounds):
            begun = perf_counter()
            migrations.upgrade(_new_database(url, f"slotsmith_migrated_{number}", "template0"))
            seconds["migrated"].append(perf_counter() - begun)
            begun = perf_counter()
            copied = _new_database(url, f"slotsmith_copied_{number}", "slotsmith_migrated_0")
            seconds["copied"].append(perf_counter() - begun)
            check(copied)
    table = Table(title=f"an empty database, {rounds} rounds, server settings as in production", title_justify="left")
    for heading in ("", "best, seconds", "median, seconds", "best, in copies"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, times in seconds.items():
        ratio = min(times) / min(seconds["copied"])
        table.add_row(name, f"{min(times):.2f}", f"{median(times):.2f}", f"{ratio:.1f}")
    return table


def _new_database(server: str, name: str, template: str) -> str:
    parsed = make_url(server)
    plain = parsed.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(f"create database {name} template {template}".encode())
    return parsed.set(database=name).render_as_string(hide_password=False)
