"""What the tables refuse: each CHECK stops the mistake that it is there for, and the right thing passes."""

from datetime import UTC, datetime
from uuid import uuid4

import psycopg
import pytest

from database_fixtures import execute

pytestmark = pytest.mark.database

TENANT = uuid4()
RIGHT: dict[str, dict[str, object]] = {
    "identity.tenants": {"slug": "another", "name": "A"},
    "scheduling.facilities": {"name": "A place", "slug": "another", "timezone": "America/St_Johns"},
    "scheduling.services": {"name": "A check-up"},
    "scheduling.service_offerings": {"service_id": 1, "doctor_id": 1, "facility_id": 1},
    "scheduling.availability_rules": {
        "doctor_id": 1,
        "facility_id": 1,
        "day_of_week": 1,
        "start_time": "22:00",
        "end_time": "06:00",
        "slot_duration_minutes": 20,
    },
    "scheduling.availability_exceptions": {
        "doctor_id": 1,
        "facility_id": 1,
        "start_at": "2027-03-01 09:00Z",
        "end_at": "2027-03-02 11:00Z",
        "type": "override",
    },
    "scheduling.facility_closures": {"facility_id": 1, "day": "2027-03-26"},
    "scheduling.availability_slots": {
        "doctor_id": 1,
        "facility_id": 1,
        "start_at": "2027-03-01 09:00Z",
        "end_at": "2027-03-01 09:20Z",
    },
    "scheduling.generation_runs": {
        "from_day": "2027-03-01",
        "until_day": "2027-03-02",
        "engine_version": "0",
        "tzdata_version": "0",
    },
    "scheduling.schedule_states": {"doctor_id": 1, "facility_id": 1},
}
WRONG: list[tuple[str, dict[str, object], str]] = [
    ("identity.tenants", {"status": "asleep"}, "a_tenant_is_active_suspended_or_closed"),
    ("scheduling.facilities", {"timezone": "Europe/Nowhere"}, "a_facility_has_a_known_time_zone"),
    ("scheduling.facilities", {"timezone": "EST5EDT4,M3.2.0,M11.1.0"}, "a_facility_has_a_known_time_zone"),
    ("scheduling.facilities", {"timezone": "europe/london"}, "a_facility_has_a_known_time_zone"),
    ("scheduling.facilities", {"timezone": ""}, "a_facility_has_a_known_time_zone"),
    ("scheduling.facilities", {"country": "gb"}, "a_country_is_two_capital_letters"),
    ("scheduling.services", {"code_system": "SNOMED"}, "a_code_system_is_a_known_one"),
    ("scheduling.services", {"default_duration_minutes": 0}, "a_service_takes_time"),
    ("scheduling.service_offerings", {"default_duration_minutes": 0}, "an_offering_takes_time"),
    ("scheduling.service_offerings", {"buffer_before_minutes": -1}, "buffers_are_not_negative"),
    ("scheduling.service_offerings", {"buffer_after_minutes": -1}, "buffers_are_not_negative"),
    ("scheduling.service_offerings", {"visibility": "secret"}, "an_offering_is_public_or_private"),
    ("scheduling.availability_rules", {"day_of_week": 7}, "a_weekday_counts_from_sunday"),
    ("scheduling.availability_rules", {"day_of_week": -1}, "a_weekday_counts_from_sunday"),
    ("scheduling.availability_rules", {"end_time": "24:00"}, "midnight_is_written_as_zero"),
    ("scheduling.availability_rules", {"slot_duration_minutes": 0}, "a_rules_slots_take_time"),
    ("scheduling.availability_rules", {"slot_interval_minutes": 0}, "a_rules_slots_advance"),
    ("scheduling.availability_rules", {"slot_alignment_minutes": 0}, "a_rules_slots_advance"),
    ("scheduling.availability_rules", {"capacity": 0}, "a_rules_slots_hold_somebody"),
    (
        "scheduling.availability_rules",
        {"effective_from": "2027-03-02", "effective_until": "2027-03-01"},
        "a_rule_begins_before_it_ends",
    ),
    ("scheduling.availability_rules", {"effective_until": "infinity"}, "a_rules_days_are_in_the_calendar"),
    ("scheduling.availability_rules", {"effective_from": "-infinity"}, "a_rules_days_are_in_the_calendar"),
    (
        "scheduling.availability_exceptions",
        {"type": "holiday"},
        "an_exception_blocks_overrides_or_is_an_emergency",
    ),
    (
        "scheduling.availability_exceptions",
        {"end_at": "2027-03-01 09:00Z"},
        "an_exception_starts_before_it_ends",
    ),
    (
        "scheduling.availability_exceptions",
        {"end_at": "infinity", "type": "blocked"},
        "an_exception_is_in_the_calendar",
    ),
    (
        "scheduling.availability_exceptions",
        {"start_at": "-infinity", "type": "blocked"},
        "an_exception_is_in_the_calendar",
    ),
    (
        "scheduling.availability_exceptions",
        {"end_at": "2027-03-02 11:01Z"},
        "an_override_lasts_a_day_at_most",
    ),
    (
        "scheduling.availability_exceptions",
        {"type": "blocked", "slot_duration_minutes": 20},
        "only_an_override_has_slots_of_its_own",
    ),
    (
        "scheduling.availability_exceptions",
        {"slot_duration_minutes": 0},
        "an_overrides_slots_take_time_and_advance",
    ),
    (
        "scheduling.availability_exceptions",
        {"slot_interval_minutes": 0},
        "an_overrides_slots_take_time_and_advance",
    ),
    ("scheduling.availability_exceptions", {"capacity": 0}, "an_overrides_slots_take_time_and_advance"),
    ("scheduling.facility_closures", {"day": "infinity"}, "a_closure_is_in_the_calendar"),
    ("scheduling.availability_slots", {"end_at": "2027-03-01 09:00Z"}, "a_slot_starts_before_it_ends"),
    ("scheduling.availability_slots", {"end_at": "infinity"}, "a_slot_starts_before_it_ends"),
    ("scheduling.availability_slots", {"status": "free"}, "a_slot_is_open_reserved_booked_or_cancelled"),
    ("scheduling.availability_slots", {"capacity": 0}, "a_slot_is_booked_within_its_capacity"),
    ("scheduling.availability_slots", {"booked_count": -1}, "a_slot_is_booked_within_its_capacity"),
    ("scheduling.availability_slots", {"booked_count": 2}, "a_slot_is_booked_within_its_capacity"),
    ("scheduling.availability_slots", {"status": "reserved"}, "a_reserved_slot_says_until_when"),
    ("scheduling.availability_slots", {"status": "booked"}, "a_booked_slot_has_a_booking"),
    ("scheduling.generation_runs", {"until_day": "2027-03-01"}, "a_run_is_for_a_day_at_least"),
    ("scheduling.generation_runs", {"status": "lost"}, "a_run_is_running_succeeded_or_failed"),
    ("scheduling.generation_runs", {"status": "failed"}, "a_run_that_ended_says_when"),
    ("scheduling.generation_runs", {"finished_at": "2027-03-01 00:00Z"}, "a_run_that_ended_says_when"),
    ("scheduling.generation_runs", {"slots_kept": -1}, "a_runs_counts_are_not_negative"),
    (
        "scheduling.schedule_states",
        {"generated_from": "2027-03-01"},
        "a_state_says_from_which_day_until_which",
    ),
    (
        "scheduling.schedule_states",
        {"generated_from": "2027-03-02", "generated_until": "2027-03-01"},
        "a_state_says_from_which_day_until_which",
    ),
]


@pytest.fixture(scope="module")
def url(database_url: str) -> str:
    execute(
        database_url,
        "select scheduling.ensure_slot_partitions('2027-03-01', '2027-04-01')",
        f"insert into identity.tenants (id, slug, name) values ('{TENANT}', 'a', 'A')",
        "insert into scheduling.facilities (tenant_id, name, slug, timezone)"
        f" values ('{TENANT}', 'A place', 'a', 'UTC')",
        "insert into scheduling.doctors (tenant_id, first_name, last_name, display_name)"
        f" values ('{TENANT}', 'A', 'B', 'A B')",
        f"insert into scheduling.services (tenant_id, name) values ('{TENANT}', 'A check-up')",
    )
    return database_url


def insert(connection: psycopg.Connection, table: str, row: dict[str, object]) -> None:
    row = row if table == "identity.tenants" else {"tenant_id": TENANT} | row
    places = ", ".join(["%s"] * len(row))
    connection.execute(f"insert into {table} ({', '.join(row)}) values ({places})".encode(), list(row.values()))


@pytest.mark.parametrize("table", RIGHT)
def test_a_right_row_passes(url: str, table: str) -> None:
    with psycopg.connect(url) as connection:
        insert(connection, table, RIGHT[table])
        connection.rollback()


@pytest.mark.parametrize(("table", "wrong", "name"), WRONG, ids=lambda value: value if isinstance(value, str) else "")
def test_a_wrong_row_is_refused_by_the_check_that_is_there_for_it(
    url: str, table: str, wrong: dict[str, object], name: str
) -> None:
    with psycopg.connect(url) as connection, pytest.raises(psycopg.errors.CheckViolation) as refused:
        insert(connection, table, RIGHT[table] | wrong)
    assert refused.value.diag.constraint_name == name


def test_every_check_has_a_row_that_it_refuses(url: str) -> None:
    with psycopg.connect(url) as connection:
        found = connection.execute(
            "select conname::text from pg_constraint where contype = 'c'"
            " and connamespace::regnamespace::text in ('identity', 'scheduling')"
        )
        assert {name for (name,) in found} == {name for _, _, name in WRONG} - {"a_facility_has_a_known_time_zone"}


def test_t2_a_zone_is_checked_when_it_changes_too(url: str) -> None:
    with psycopg.connect(url) as connection, pytest.raises(psycopg.errors.CheckViolation, match="Mars"):
        connection.execute("update scheduling.facilities set timezone = 'Mars/Olympus'")


@pytest.mark.parametrize("offering", [None, 1])
def test_s2_a_slot_is_there_once_with_an_offering_or_without(url: str, offering: int | None) -> None:
    row = RIGHT["scheduling.availability_slots"] | {"service_offering_id": offering}
    with psycopg.connect(url) as connection:
        insert(connection, "scheduling.service_offerings", RIGHT["scheduling.service_offerings"] | {"id": 1})
        insert(connection, "scheduling.availability_slots", row)
        with pytest.raises(psycopg.errors.UniqueViolation):
            insert(connection, "scheduling.availability_slots", row)
        connection.rollback()


def test_a_slot_outlives_its_rule_and_keeps_its_tenant(url: str) -> None:
    with psycopg.connect(url) as connection:
        insert(connection, "scheduling.availability_rules", RIGHT["scheduling.availability_rules"] | {"id": 7})
        slot = RIGHT["scheduling.availability_slots"] | {"created_from_rule_id": 7}
        insert(connection, "scheduling.availability_slots", slot)
        connection.execute("delete from scheduling.availability_rules where id = 7")
        found = connection.execute("select tenant_id, created_from_rule_id from scheduling.availability_slots")
        assert found.fetchall() == [(TENANT, None)]
        connection.rollback()


def test_the_time_of_the_last_change_is_kept_whatever_an_update_says(url: str) -> None:
    long_ago = datetime(2001, 1, 1, tzinfo=UTC)
    with psycopg.connect(url) as connection:
        change = "update scheduling.doctors set updated_at = %s returning updated_at"
        changed = connection.execute(change, (long_ago,)).fetchone()
        assert changed is not None
        assert changed[0] > long_ago
        connection.rollback()


def test_every_table_keeps_the_time_of_the_last_change(url: str) -> None:
    with psycopg.connect(url) as connection:
        without = connection.execute("""
            select oid::regclass::text from pg_class
            where relkind in ('r', 'p') and relnamespace::regnamespace::text in ('identity', 'scheduling')
                and not exists (select from pg_trigger where tgrelid = pg_class.oid and tgname = 'updated_at_is_kept')
        """).fetchall()
    assert without == []


def test_two_places_may_have_one_slug_only_if_one_is_deleted(url: str) -> None:
    row = RIGHT["scheduling.facilities"] | {"slug": "one"}
    with psycopg.connect(url) as connection:
        insert(connection, "scheduling.facilities", row | {"deleted_at": "2027-01-01 00:00Z"})
        insert(connection, "scheduling.facilities", row)
        with pytest.raises(psycopg.errors.UniqueViolation):
            insert(connection, "scheduling.facilities", row)
        connection.rollback()


def test_a_doctor_or_place_that_belongs_together_is_not_deleted(url: str) -> None:
    with psycopg.connect(url) as connection:
        insert(connection, "scheduling.facility_doctors", {"facility_id": 1, "doctor_id": 1})
        with pytest.raises((psycopg.errors.ForeignKeyViolation, psycopg.errors.RestrictViolation)):
            connection.execute("delete from scheduling.doctors where id = 1")
        connection.rollback()
