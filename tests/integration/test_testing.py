"""`scheduler.testing`, as the tests of a host use it."""

import shutil
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url

from scheduler.core.errors import SchedulerError
from scheduler.front_door.scheduler import Scheduler
from scheduler.postgres.errors import DuplicateError, StoreError
from scheduler.testing import (
    DatabaseTemplate,
    FixedClock,
    SmallClinic,
    database_template,
    migrated_database,
    small_clinic,
)
from scheduler.testing import databases as databases_of_tests

pytestmark = pytest.mark.database

SUNDAY = datetime(2027, 2, 28, 12, tzinfo=UTC)
MONDAY = date(2027, 3, 1)


def databases(server: str) -> set[str]:
    with psycopg.connect(server) as connection:
        return {name for (name,) in connection.execute("select datname from pg_database")}


@pytest.fixture(scope="module")
def clock() -> FixedClock:
    return FixedClock(SUNDAY)


@pytest.fixture(scope="module")
def clinic(server: str, template: str, clock: FixedClock) -> Iterator[SmallClinic]:
    with (
        migrated_database(DatabaseTemplate(server, template)) as url,
        Scheduler(url, clock=clock) as opened,
    ):
        yield small_clinic(opened)


def test_a_small_clinic_has_open_slots_on_its_first_monday(clinic: SmallClinic) -> None:
    assert clinic.monday == MONDAY
    with clinic.tenant() as work:
        assert [f"{slot.start_at:%H:%M}" for slot in work.slots.open(clinic.with_ben, day=MONDAY)] == [
            "14:00",
            "14:30",
            "15:00",
            "15:30",
        ]
        assert len(work.slots.open(clinic.with_anna, day=MONDAY)) == 6
        assert len(work.slots.open(clinic.anna, day=MONDAY + timedelta(days=25))) == 6
        assert work.patients.get(clinic.patient).email == "ada@example.org"
        assert [rule.day_of_week for rule in clinic.rules] == [1, 2, 3, 4, 5, 1]


def test_a_moved_clock_moves_the_now_of_the_clinic(clinic: SmallClinic, clock: FixedClock) -> None:
    clock.move_to(datetime(2027, 3, 1, 14, 5, tzinfo=UTC))
    try:
        with clinic.tenant() as work:
            assert len(work.slots.open(clinic.ben, day=MONDAY)) == 3
            clock.move(timedelta(hours=1))
            assert len(work.slots.open(clinic.ben, day=MONDAY)) == 1
    finally:
        clock.move_to(SUNDAY)


def test_two_small_clinics_have_slugs_of_their_own(clinic: SmallClinic) -> None:
    another = small_clinic(clinic.scheduler, slug="another-clinic", weeks=1)
    assert another.tenant_id != clinic.tenant_id
    with pytest.raises(DuplicateError):
        small_clinic(clinic.scheduler, slug="another-clinic")


def test_a_clock_refuses_a_naive_instant() -> None:
    with pytest.raises(SchedulerError, match="naive"):
        FixedClock(datetime(2027, 3, 1, 9))


def test_a_template_is_prepared_once_and_dropped_with_its_copies(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, str]] = []

    def prepare(url: str) -> None:
        calls.append(("prepare", url))
        with psycopg.connect(url) as connection:
            connection.execute("create table invoices ()")

    # The template of all database tests is migrated by the same function.
    monkeypatch.setattr("scheduler.testing.databases.upgrade", lambda url: calls.append(("upgrade", url)))
    before = databases(server)
    with (
        database_template(server, prepare=prepare) as template,
        migrated_database(template) as one,
        migrated_database(template) as other,
    ):
        assert len(databases(server) - before) == 3
        for url in (one, other):
            with psycopg.connect(url) as connection:
                assert connection.execute("table public.invoices").fetchall() == []
    assert [(name, make_url(url).database) for name, url in calls] == [
        ("upgrade", template.name),
        ("prepare", template.name),
    ]
    assert databases(server) == before


@pytest.mark.deep  # the server waits five seconds for the connection
def test_a_template_in_use_is_refused_in_one_line(server: str, template: str) -> None:
    with (
        psycopg.connect(make_url(server).set(database=template).render_as_string(hide_password=False)),
        pytest.raises(StoreError, match="has open connections"),
        migrated_database(DatabaseTemplate(server, template)),
    ):
        pass


def test_a_server_that_is_not_there_is_a_store_error() -> None:
    with pytest.raises(StoreError, match="no connection"), database_template("postgresql://x@127.0.0.1:1/x"):
        pass


@pytest.mark.deep
def test_without_a_template_a_server_runs_for_the_block() -> None:
    with migrated_database() as url, Scheduler(url, clock=FixedClock(SUNDAY)) as opened:
        assert small_clinic(opened, weeks=1).monday == MONDAY
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(url)


def test_a_server_lies_in_memory_only_where_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def chosen(memory: Path, *, free: int) -> Path | None:
        monkeypatch.setattr(databases_of_tests, "_MEMORY", memory)
        monkeypatch.setattr(databases_of_tests, "disk_usage", lambda path: usage(path)._replace(free=free))
        return databases_of_tests._in_memory()

    usage = shutil.disk_usage
    assert chosen(tmp_path, free=2 * 1024**3) == tmp_path
    assert chosen(tmp_path, free=2 * 1024**3 - 1) is None
    assert chosen(tmp_path / "missing", free=2 * 1024**3) is None
