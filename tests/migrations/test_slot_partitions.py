"""Monthly partitions of the slots: made when missing, once, and secured before they are visible."""

import threading

import psycopg
import pytest

from scheduler.postgres.database import Role
from support.databases import execute
from support.roles import become

pytestmark = pytest.mark.database

ENSURE = "select scheduling.ensure_slot_partitions(%s, %s)"


def partitions(connection: psycopg.Connection) -> dict[str, str]:
    rows = connection.execute(
        "select oid::regclass::text, pg_get_expr(relpartbound, oid) from pg_class"
        " where relispartition and relkind = 'r' and relnamespace = 'scheduling'::regnamespace"
    )
    return {name.removeprefix("scheduling.availability_slots_"): bound for name, bound in rows}


@pytest.mark.parametrize(
    ("from_at", "until_at", "months"),
    [
        ("2027-01-15 00:00Z", "2027-02-01 00:00Z", {"2027_01"}),
        ("2027-01-15 00:00Z", "2027-02-01 00:00:00.000001Z", {"2027_01", "2027_02"}),
        ("2026-12-31 23:59:59.999999Z", "2027-01-01 00:00Z", {"2026_12"}),
        ("2027-01-31 23:00-02:00", "2027-02-01 00:00-02:00", {"2027_02"}),
        ("2026-11-01 00:00Z", "2027-03-01 00:00Z", {"2026_11", "2026_12", "2027_01", "2027_02"}),
        ("2027-01-15 00:00Z", "2027-01-15 00:00Z", set()),
        ("2027-01-15 00:00Z", "2026-01-15 00:00Z", set()),
    ],
)
def test_the_utc_months_of_a_span_are_made(database_url: str, from_at: str, until_at: str, months: set[str]) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("set timezone = 'Pacific/Apia'")  # the caller's zone changes nothing
        assert connection.execute(ENSURE, (from_at, until_at)).fetchone() == (len(months),)
        assert set(partitions(connection)) == months
        connection.rollback()


def test_months_touch_and_begin_at_utc_midnight(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute(ENSURE, ("2027-03-01", "2027-05-01"))
        assert partitions(connection) == {
            "2027_03": "FOR VALUES FROM ('2027-03-01 00:00:00+00') TO ('2027-04-01 00:00:00+00')",
            "2027_04": "FOR VALUES FROM ('2027-04-01 00:00:00+00') TO ('2027-05-01 00:00:00+00')",
        }
        connection.rollback()


def test_existing_months_are_kept(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(ENSURE, ("2027-03-01", "2027-04-01"))
        assert connection.execute(ENSURE, ("2027-02-01", "2027-05-01")).fetchone() == (2,)
        assert connection.execute(ENSURE, ("2027-02-01", "2027-05-01")).fetchone() == (0,)
        connection.rollback()


def test_a_month_has_each_key_and_index_of_the_whole_table_once(database_url: str) -> None:
    count = "select count(*), count(*) filter (where indnullsnotdistinct) from pg_index where indrelid = %s::regclass"
    with psycopg.connect(database_url) as connection:
        connection.execute(ENSURE, ("2027-03-01", "2027-04-01"))
        whole = connection.execute(count, ("scheduling.availability_slots",)).fetchone()
        assert whole == (4, 1)
        assert connection.execute(count, ("scheduling.availability_slots_2027_03",)).fetchone() == whole
        connection.rollback()


@pytest.mark.parametrize(
    ("from_at", "until_at"),
    [
        ("2027-01-01", "2050-01-01"),
        ("2027-01-01", None),
        ("12027-05-01", "12027-06-01"),
        ("9999-12-01", "10000-01-02"),
        ("0044-03-15 BC", "0044-03-16 BC"),
    ],
)
def test_an_implausible_span_makes_no_month(database_url: str, from_at: str, until_at: str | None) -> None:
    """The table of May 12027 would be that of May 2027, and stop each run for that month."""
    with psycopg.connect(database_url) as connection, pytest.raises(psycopg.errors.InvalidParameterValue):
        connection.execute(ENSURE, (from_at, until_at))


@pytest.mark.deep
def test_the_number_of_months_is_limited(database_url: str) -> None:
    """Without a limit, the job could make a month for every month of the calendar."""
    with psycopg.connect(database_url) as connection:
        for from_year in (2030, 2050):
            assert connection.execute(ENSURE, (f"{from_year}-01-01", f"{from_year + 20}-01-01")).fetchone() == (240,)
        assert connection.execute(ENSURE, ("2070-01-01", "2080-01-01")).fetchone() == (120,)
        assert connection.execute(ENSURE, ("2030-01-01", "2050-01-01")).fetchone() == (0,)
        with pytest.raises(psycopg.errors.InvalidParameterValue, match="too many months of slots: 1 more would exceed"):
            connection.execute(ENSURE, ("2080-01-01", "2080-02-01"))
        connection.rollback()


def test_a_slot_without_its_month_is_refused(database_url: str) -> None:
    with (
        psycopg.connect(database_url) as connection,
        pytest.raises(psycopg.errors.CheckViolation, match="no partition"),
    ):
        connection.execute(
            "insert into scheduling.availability_slots (tenant_id, facility_id, doctor_id, start_at, end_at)"
            " values (gen_random_uuid(), 1, 1, '2035-01-01 09:00Z', '2035-01-01 09:20Z')"
        )


@pytest.mark.parametrize(
    "in_the_way",
    [
        "call scheduling.detach_slot_month('2027-03-01')",
        "alter table scheduling.availability_slots detach partition scheduling.availability_slots_2027_03",
        """call scheduling.detach_slot_month('2027-03-01');
        drop table scheduling.availability_slots_2027_03;
        create view scheduling.availability_slots_2027_03 as select""",
    ],
    ids=["detached", "detached by hand", "another thing"],
)
def test_another_object_with_the_name_of_a_month_is_reported(database_url: str, in_the_way: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(ENSURE, ("2027-03-01", "2027-04-01"))
        connection.execute(in_the_way.encode())
        with pytest.raises(
            psycopg.errors.ObjectNotInPrerequisiteState, match=r"_slots_2027_03 exists but is not attached"
        ):
            connection.execute(ENSURE, ("2027-03-01", "2027-04-01"))
        connection.rollback()


def test_the_job_may_make_months_and_the_app_may_not(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        become(connection, Role.JOB, None)
        assert connection.execute(ENSURE, ("2027-03-01", "2027-04-01")).fetchone() == (1,)
        become(connection, Role.APP, None)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(ENSURE, ("2027-04-01", "2027-05-01"))
        connection.rollback()


def test_workers_that_need_the_same_months_at_once_make_each_once(database_url: str) -> None:
    counts, begin = list[object](), threading.Barrier(4)

    def ensure() -> None:
        with psycopg.connect(database_url) as connection:
            begin.wait()
            counts.append(connection.execute(ENSURE, ("2040-01-01", "2040-07-01")).fetchone())

    threads = [threading.Thread(target=ensure) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for month in range(1, 7):
        part = f"scheduling.availability_slots_2040_{month:02}"
        # Detached first: the appointments' key to slots refers to every attached month.
        execute(database_url, f"call scheduling.detach_slot_month('2040-{month:02}-01')", f"drop table {part}")
    assert sorted(counts, key=str) == [(0,), (0,), (0,), (6,)]
