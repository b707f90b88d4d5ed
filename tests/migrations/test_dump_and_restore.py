"""Dump and restore: the commands of the guide bring back schema and rows, also on a newer release."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

import psycopg
import pytest
from sqlalchemy import make_url

from scheduler.postgres.embedded import embedded_server
from scheduler.postgres.fresh_databases import fresh_database
from support.databases import execute
from support.pg_dump import dump, program_for
from support.rows import insert
from support.rows.all_domains import MONTHS, all_rows

pytestmark = pytest.mark.database

GUIDE = Path(__file__).parents[2] / "docs" / "dump-and-restore.md"
TABLES = """
    select oid::regclass::text from pg_class
    where relkind = 'r' and relnamespace::regnamespace::text = any(array['identity', 'audit', 'scheduling', 'placement',
        'wellbeing'])
"""


def release(url: str) -> int:
    with psycopg.connect(url) as connection:
        return connection.info.server_version // 10_000


def rows(url: str) -> dict[str, int]:
    with psycopg.connect(url) as connection:
        tables = [name for (name,) in connection.execute(TABLES)]
        return {table: len(connection.execute(f"select from {table}".encode()).fetchall()) for table in tables}


def follow_guide(folder: Path, old: str, new: str, *, leave_out: str = "nothing") -> None:
    """Run the commands of the guide with the programs of the newer server."""
    (block,) = re.findall(r"```sh\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    commands = [line for line in block.splitlines() if not line.startswith(leave_out)]
    path = [str(Path(program_for(release(new))).parent), str(Path(sys.executable).parent), os.environ["PATH"]]
    done = subprocess.run(
        ["bash", "-e", "-c", "\n".join(commands)],
        cwd=folder,
        env=os.environ | {"PATH": os.pathsep.join(path), "OLD": old, "NEW": new},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing differs" in done.stdout


@pytest.fixture
def filled(migrated: str) -> str:
    """A database with a row in each table."""
    with psycopg.connect(migrated) as connection:
        connection.execute(MONTHS)
        for table, row in all_rows(uuid4()).items():
            insert(connection, table, row)
    return migrated


def test_a_dump_is_restored_with_the_same_schema_and_all_rows(filled: str, server: str, tmp_path: Path) -> None:
    with fresh_database(server) as restored:
        follow_guide(tmp_path, filled, restored, leave_out="psql")  # the roles are those of the same server
        assert "CREATE ROLE scheduler_app" in (tmp_path / "roles.sql").read_text()
        assert dump(restored) == dump(filled)
        assert rows(restored) == rows(filled)
        assert rows(restored)["scheduling.doctors"] == 1


@pytest.fixture
def newer() -> Iterator[str]:
    """An empty database on the embedded server, if that is newer than the server under test."""
    with TemporaryDirectory(prefix="slotsmith-") as folder, embedded_server(Path(folder) / "postgres") as url:
        yield url


@pytest.mark.skipif("SCHEDULER_TEST_DATABASE_URL" not in os.environ, reason="the server under test is the newest")
def test_a_dump_is_restored_on_a_newer_release(filled: str, newer: str, tmp_path: Path) -> None:
    assert release(filled) < release(newer)
    follow_guide(tmp_path, filled, newer)
    assert rows(newer) == rows(filled)


def test_a_login_that_row_security_binds_is_refused_or_dumps_no_row(filled: str) -> None:
    login = f"slotsmith_test_{uuid4().hex[:8]}"
    execute(filled, f"create role {login} login password '{login}' in role pg_read_all_data, scheduler_app")
    url = make_url(filled).set(username=login, password=login).render_as_string(hide_password=False)
    try:
        command = [program_for(release(filled)), "--data-only", "--inserts", "--table=scheduling.doctors"]
        refused, empty = (
            subprocess.run([*command, *extra, url], capture_output=True, text=True, check=False)
            for extra in ([], ["--enable-row-security"])
        )
    finally:
        execute(filled, f"drop role {login}")
    assert "would be affected by row-level security policy" in refused.stderr
    assert empty.stderr == ""
    assert (empty.returncode, "INSERT INTO" in empty.stdout) == (0, False)
