"""The migration of families from names, against plain inserts of the same rows, and a second run.

The peer inserts the finished rows as a superuser: without names to find, row security, foreign keys, other triggers and
audit log.
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

import psycopg
from rich.table import Table

from generation import scheduler
from scheduler.front_door.scheduler import Scheduler
from scheduler.postgres.embedded import embedded_server
from scheduler.postgres.schema import migrations

FAMILIES = 10_000
FAMILIES_PER_SHARED_PARENT = 100
SLUG = "school"
TABLES = ("identity.users", "identity.addresses", "identity.families", "identity.family_members")


def written(path: Path, families: int) -> Path:
    """Write families of two parents and two students; every hundredth shares a parent with the family before it."""
    with path.open("w", encoding="utf-8") as output:
        for number in range(families):
            home = number - (number % FAMILIES_PER_SHARED_PARENT == 1)
            line = {
                "familyId": f"family_{number}",
                "familyName": f"Family {number}",
                "parents": [f"Ann Nr {number}", {"name": f"Bob Nr {home}", "person": f"bob-{home}"}],
                "students": [f"Cem Nr {number}", f"Dee Nr {number}"],
                "address": {"line1": f"{number} High Street", "city": "Wells", "country": "GB"},
                "preferredPrograms": ["choir", "art"],
            }
            output.write(json.dumps(line) + "\n")
    return path


def timed_migration(url: str, path: Path) -> tuple[int, float]:
    """Migrate a file with the command; return the number of families written and the seconds of the whole process."""
    begun = perf_counter()
    report = json.loads(scheduler("families", "migrate", str(path), "--tenant", SLUG, "--json", url=url).stdout)
    return report["families"]["written"], perf_counter() - begun


def row_counts(url: str) -> list[int]:
    """Count the rows of each table, and of the audit log."""
    with psycopg.connect(url) as connection:
        return [
            row[0]
            for table in (*TABLES, "audit.system_audit_log")
            for row in connection.execute(f"select count(*) from {table}".encode())
        ]


def timed_inserts(url: str) -> float:
    """Delete the rows, insert them again without triggers and row security, and return the seconds of the inserts."""
    with psycopg.connect(url) as connection:
        connection.execute("set local session_replication_role = replica")
        for table in TABLES:
            copy = table.replace(".", "_")
            connection.execute(f"create temporary table {copy} on commit drop as select * from {table}".encode())
            connection.execute(f"delete from {table}".encode())
        begun = perf_counter()
        for table in TABLES:
            connection.execute(f"insert into {table} select * from {table.replace('.', '_')}".encode())
        connection.commit()
        return perf_counter() - begun


def check(families: int, migrated: int, before: list[int], after: list[int]) -> None:
    """Stop unless all families were migrated, and neither the second run nor the inserts changed a number of rows."""
    if migrated != families or before != after or before[2] != families:
        raise SystemExit(f"{migrated} of {families} families were migrated, rows {before}, {after}: nothing to compare")


def against_inserts(*, families: int = FAMILIES) -> Table:
    """Migrate families from names, migrate them again, and insert the same rows."""
    with TemporaryDirectory() as folder, embedded_server(Path(folder) / "postgresql") as url:
        migrations.upgrade(url)
        with Scheduler(url) as school:
            school.add_tenant(SLUG, name="A School")
        path = written(Path(folder) / "families.jsonl", families)
        migrated, seconds = timed_migration(url, path)
        before = row_counts(url)
        written_again, seconds_again = timed_migration(url, path)
        inserting = timed_inserts(url)
        check(families, migrated + written_again, before, row_counts(url))
    table = Table(title=f"{families:,} families from names, {before[0]:,} users", title_justify="left")
    for heading in ("", "seconds", "of the inserts", "goal"):
        table.add_column(heading, justify="right" if heading else "left")
    table.add_row("plain inserts of the same rows", f"{inserting:.1f}", "1.0 times", "")
    table.add_row("the migration, as a command", f"{seconds:.1f}", f"{seconds / inserting:.1f} times", "under 60 s")
    table.add_row("the migration again", f"{seconds_again:.1f}", f"{written_again} written", "0 written")
    return table
