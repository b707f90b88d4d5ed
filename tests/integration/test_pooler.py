"""A pooler that hands out connections by transaction: right results, nothing left on the server's connections.

The tests run against a PgBouncer, and are skipped where it is not installed.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from sqlalchemy import make_url, text

from scheduler.postgres.database import Database, Request, Role
from scheduler.postgres.errors import DatabaseUnreachableError
from scheduler.postgres.schema import migrations
from support.cli import run
from support.databases import execute
from support.pooler import NEEDED, PROGRAM, transaction_pooler

pytestmark = [pytest.mark.database, pytest.mark.skipif(PROGRAM is None, reason=NEEDED)]

REGION = Path(__file__).parents[2] / "examples" / "region.jsonl"
LEFT_ON_THE_SERVER = text("""
    select (select count(*) from pg_locks where locktype = 'advisory'), (select count(*) from pg_prepared_statements),
        current_setting('lock_timeout'), current_setting('statement_timeout'), current_setting('search_path')
""")


@pytest.fixture(scope="module")
def pooled_url(database_url: str) -> Iterator[str]:
    """The module's database behind a pooler with one connection, whose encoding is not that of the library."""
    execute(database_url, f"alter database {make_url(database_url).database} set client_encoding = 'LATIN1'")
    with transaction_pooler(database_url, connections=1) as url:
        yield url


def test_units_of_work_that_take_turns_get_their_own_results(pooled_url: str) -> None:
    """Statements are equal in number and place, and differ in their text: a prepared one would be another's."""
    with ExitStack() as opened:
        databases = [opened.enter_context(Database(pooled_url)) for _ in range(3)]
        for turn in range(12):
            for number, database in enumerate(databases):
                with database.unit_of_work(role=Role.APP, tenant_id=None) as session:
                    question = text(f"select 'of {number}', cast(:turn as int) + {number}")
                    assert session.execute(question, {"turn": turn}).one() == (f"of {number}", turn + number)


def test_units_of_work_at_once_get_their_own_results(pooled_url: str) -> None:
    def ask(number: int) -> set[str | None]:
        request = Request(id=str(number), user_agent="\N{BEER MUG}")
        seen = set[str | None]()
        with Database(pooled_url) as database:
            for _ in range(20):
                with database.unit_of_work(role=Role.JOB, tenant_id=None, request=request) as session:
                    seen.add(session.scalar(text(f"select current_setting('app.request_id') || ' of {number}'")))
                    seen.add(session.scalar(text("select current_setting('application_name')")))
                    seen.add(session.scalar(text("select current_setting('app.user_agent')")))
        return seen

    with ThreadPoolExecutor(4) as threads:
        answers = list(threads.map(ask, range(4)))
    assert answers == [{f"{number} of {number}", "slotsmith", "\N{BEER MUG}"} for number in range(4)]


@pytest.mark.parametrize("how", ["a commit", "an exception"])
def test_nothing_of_a_unit_of_work_stays_on_the_servers_connection(pooled_url: str, how: str) -> None:
    with Database(pooled_url) as ours, Database(pooled_url) as theirs:
        with suppress(LookupError), ours.unit_of_work(role=Role.OWNER, tenant_id=None) as session:
            backend = session.scalar(text("select pg_backend_pid()"))
            for statement in ("select pg_advisory_lock(77)", "prepare left_over as select 1", "set work_mem = '1MB'"):
                session.execute(text(statement))
            if how == "an exception":
                raise LookupError
        with theirs._engine.connect() as connection:
            assert connection.scalar(text("select pg_backend_pid()")) == backend
            assert connection.scalar(text("select current_setting('work_mem') = '1MB'")) is False
            assert connection.execute(LEFT_ON_THE_SERVER).one()[:2] == (0, 0)


def test_a_migration_leaves_no_lock_or_setting(empty_database_url: str) -> None:
    with transaction_pooler(empty_database_url, connections=2) as url:
        with ThreadPoolExecutor(2) as threads:
            for migrated in [threads.submit(migrations.upgrade, url) for _ in range(2)]:
                migrated.result()
        assert migrations.differences(url) == ()
        with Database(url) as database, database._engine.connect() as connection:
            assert connection.execute(LEFT_ON_THE_SERVER).one() == (0, 0, "0", "0", '"$user", public')


def test_the_nightly_job_runs_through_a_pooler(pooled_url: str) -> None:

    assert run(pooled_url, "import", "openings", str(REGION)).code == 0
    for _ in range(2):
        assert run(pooled_url, "generate", "--from", "2027-02-01", "--days", "2").code == 0
    status = run(pooled_url, "status", "--json")
    assert status.code == 0
    assert '"failing_schedules": []' in status.out


def test_options_in_the_url_are_refused_by_name(pooled_url: str) -> None:
    """The page on host applications says so."""
    with (
        Database(f"{pooled_url}&options=-cwork_mem%3D1MB") as database,
        pytest.raises(DatabaseUnreachableError, match="unsupported startup parameter"),
        database.unit_of_work(role=Role.APP, tenant_id=None),
    ):
        pass
