"""Audit log: one entry for each change and each read of a row, without private values, never altered."""

import re
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import text

from scheduler.core.errors import InvalidInputError
from scheduler.postgres.audit.log import ensure_log_months, entries, record_event, record_read, record_system
from scheduler.postgres.database import Database, Request, Role
from scheduler.postgres.errors import StatementError, StoreError
from support.databases import employ, execute, undone
from support.roles import become
from support.rows import insert
from support.rows.all_domains import MONTHS, all_rows

pytestmark = pytest.mark.database

CANARY = "zq-canary-4711"
USER = uuid4()
DOCTOR = (
    "insert into scheduling.doctors (tenant_id, first_name, last_name, display_name) values (:tenant, 'A', 'B', 'C')"
)
PLACE = (
    "insert into scheduling.facilities (tenant_id, name, slug, timezone) values (:tenant, 'P', 'p', 'Europe/London')"
)
LOGS = ("audit.user_action_audit_log", "audit.system_audit_log")
WATCHED = (
    "identity.tenants",
    "scheduling.facilities",
    "scheduling.doctors",
    "scheduling.services",
    "scheduling.facility_doctors",
    "scheduling.service_offerings",
    "scheduling.availability_rules",
    "scheduling.availability_exceptions",
    "scheduling.facility_closures",
    "scheduling.generation_runs",
)
UNWATCHED = {
    "scheduling.allocations": "triggers write them from appointments and steps, which are logged, and from holds",
    "scheduling.booking_requests": "ids of the answer to a request; what it changed is logged",
    "scheduling.doctor_figure_sums": "counted from rows that are logged",
    "scheduling.event_counters": "the database counts what it numbers and deletes",
    "scheduling.events": "triggers write them from appointments, which are logged",
    "scheduling.figure_changes": "triggers write them from rows that are logged",
    "scheduling.figure_states": "the job's checkpoints",
    "scheduling.holds": "a hold becomes a visit, which is logged, or ends",
    "scheduling.resource_figure_sums": "counted from rows that are logged",
    "scheduling.schedule_states": "the job's checkpoints",
}


class Clinic(NamedTuple):
    """A tenant with a user who works for it."""

    database: Database
    tenant: UUID

    def act(self, *statements: str, role: Role = Role.APP, user: UUID | None = USER, **values: Any) -> None:
        """Run a function as one transaction."""
        with self.database.unit_of_work(role=role, tenant_id=self.tenant, user_id=user) as session:
            for statement in statements:
                session.execute(text(statement), {"tenant": self.tenant} | values)

    def log(self, name: str = LOGS[0]) -> list[dict[str, Any]]:
        """Return the rows of a log, as the system sees them, in the order of writing."""
        query = f"select * from {name} where event <> 'insert' or entity <> 'identity.tenants' order by id"
        if name == LOGS[0]:
            query = f"select * from {name} order by id"
        with self.database.unit_of_work(role=Role.SYSTEM, tenant_id=self.tenant) as session:
            return [dict(row) for row in session.connection().execute(text(query)).mappings()]


@pytest.fixture
def clinic(database: Database, database_url: str, tenant_id: UUID) -> Clinic:
    employ(database_url, tenant_id, USER)
    return Clinic(database, tenant_id)


@pytest.fixture
def connection(database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url) as connection:
        yield connection
        connection.rollback()


def refused(attempt: Callable[[], object]) -> str | None:
    """Return the SQLSTATE of a refusal."""
    with pytest.raises(StatementError) as refusal:
        attempt()
    return refusal.value.sqlstate


# Recorded changes


def test_an_insert_has_one_entry_that_shows_only_harmless_values(clinic: Clinic) -> None:
    clinic.act(DOCTOR, "update scheduling.doctors set specialty = 'surgery'")
    inserted = clinic.log()[0]
    assert (inserted["action"], inserted["entity"], inserted["before"]) == ("insert", "scheduling.doctors", None)
    assert inserted["after"].pop("created_at")
    number = inserted["after"].pop("id")
    assert inserted["after"] == {"first_name": "(set)", "last_name": "(set)", "display_name": "(set)"}
    assert inserted["entity_key"] == str(number)


def test_an_update_has_one_entry_with_the_changes_before_and_after(clinic: Clinic) -> None:
    clinic.act(DOCTOR)
    clinic.act("update scheduling.doctors set specialty = 'surgery', npi = '12', first_name = 'Z', last_name = 'B'")
    (_, changed) = clinic.log()
    assert changed["action"] == "update"
    assert changed["before"] == {"specialty": None, "npi": None, "first_name": "(changed)"}
    assert changed["after"] == {"specialty": "surgery", "npi": "(changed)", "first_name": "(changed)"}


@pytest.mark.parametrize(("table", "to"), [("appointments", "checked_in"), ("appointment_steps", "in_progress")])
def test_l3_a_transition_is_in_the_log_with_user_time_and_values(
    database: Database, database_url: str, table: str, to: str
) -> None:
    clinic = Clinic(database, uuid4())
    with psycopg.connect(database_url) as connection:
        connection.execute(MONTHS)
        for name, row in all_rows(clinic.tenant).items():
            if not name.startswith("audit."):
                live = {"status": "scheduled"} if name == "scheduling.appointments" else {}
                insert(connection, name, row | live)
    employ(database_url, clinic.tenant, USER)
    before = len(clinic.log())
    clinic.act(f"update scheduling.{table} set status = '{to}'")
    (moved,) = clinic.log()[before:]
    assert (moved["user_id"], moved["entity"], moved["entity_key"]) == (USER, f"scheduling.{table}", "1")
    assert (moved["before"], moved["after"]) == ({"status": "scheduled"}, {"status": to})
    assert moved["occurred_at"].tzinfo is not None


def test_a_delete_has_one_entry_with_the_values_before(clinic: Clinic) -> None:
    clinic.act(DOCTOR, "update scheduling.doctors set specialty = 'surgery'")
    clinic.act("delete from scheduling.doctors", role=Role.SYSTEM)
    deleted = clinic.log()[-1]
    assert (deleted["action"], deleted["after"], deleted["before"]["specialty"]) == ("delete", None, "surgery")
    assert deleted["entity_key"] == str(deleted["before"]["id"])


def test_each_row_of_a_statement_is_one_row_of_the_log(clinic: Clinic) -> None:
    clinic.act(f"{DOCTOR}, (:tenant, 'D', 'E', 'F'), (:tenant, 'G', 'H', 'I')")
    clinic.act("update scheduling.doctors set specialty = 'all' where first_name <> 'A'")
    clinic.act("delete from scheduling.doctors", role=Role.SYSTEM)
    assert [row["action"] for row in clinic.log()] == ["insert"] * 3 + ["update"] * 2 + ["delete"] * 3
    assert len({row["entity_key"] for row in clinic.log()}) == 3


def test_an_update_that_changes_nothing_is_not_written(clinic: Clinic) -> None:
    clinic.act(DOCTOR)
    clinic.act("update scheduling.doctors set first_name = 'A', updated_at = now()")
    assert [row["action"] for row in clinic.log()] == ["insert"]


def test_a_row_whose_key_changes_is_written_under_both_keys(clinic: Clinic) -> None:
    clinic.act(DOCTOR)
    clinic.act("update scheduling.doctors set id = id + 1000000")
    first, second = (row for row in clinic.log() if row["action"] == "update")
    assert {(first["before"] is None, first["after"] is None), (second["before"] is None, second["after"] is None)} == {
        (True, False),
        (False, True),
    }


def test_a_change_that_is_rolled_back_has_no_entry(clinic: Clinic) -> None:
    with pytest.raises(StatementError):
        clinic.act(DOCTOR, "select 1 / 0")
    assert clinic.log() == []


def test_a_conflict_that_becomes_an_update_is_written_as_one(clinic: Clinic) -> None:
    clinic.act(DOCTOR)
    clinic.act(
        "insert into scheduling.doctors (tenant_id, id, first_name, last_name, display_name)"
        " select tenant_id, id, 'X', 'Y', 'Z' from scheduling.doctors"
        " on conflict (tenant_id, id) do update set specialty = 'new'"
    )
    assert [row["action"] for row in clinic.log()] == ["insert", "update"]


def test_each_row_deleted_by_a_cascade_has_an_entry(clinic: Clinic) -> None:
    clinic.act(
        PLACE,
        "insert into scheduling.facility_closures (tenant_id, facility_id, day)"
        " select tenant_id, id, '2027-03-26' from scheduling.facilities",
    )
    clinic.act("delete from scheduling.facilities", role=Role.SYSTEM)
    assert {(row["action"], row["entity"]) for row in clinic.log()[2:]} == {
        ("delete", "scheduling.facilities"),
        ("delete", "scheduling.facility_closures"),
    }


def test_a_row_that_one_statement_changes_twice_has_two_true_entries(clinic: Clinic) -> None:
    """A statement of its own sets each key to the deleted user to null; every entry is true."""
    user_id = uuid4()
    clinic.act(
        "insert into identity.users (tenant_id, id, email, name, role)"
        " values (:tenant, :user_id, 'gone@example.org', 'Gone', 'parent')",
        "insert into identity.families (tenant_id, family_name, created_by, modified_by)"
        " values (:tenant, 'F', :user_id, :user_id)",
        user_id=user_id,
    )
    clinic.act("delete from identity.users where id = :user_id", role=Role.SYSTEM, user_id=user_id)
    changes = [row["after"] for row in clinic.log() if row["entity"] == "identity.families" and row["before"]]
    assert changes == [{"created_by": None}, {"modified_by": None}]


def test_an_entry_names_the_user_and_the_request(clinic: Clinic) -> None:
    request = Request(id="r-17", client_address="2001:db8::7", user_agent="Browser/1")
    with clinic.database.unit_of_work(role=Role.APP, tenant_id=clinic.tenant, user_id=USER, request=request) as session:
        session.execute(text(DOCTOR), {"tenant": clinic.tenant})
    (row,) = clinic.log()
    assert (row["user_id"], row["db_role"], row["request_id"], str(row["client_address"]), row["user_agent"]) == (
        USER,
        "scheduler_app",
        "r-17",
        "2001:db8::7",
        "Browser/1",
    )


def test_an_invalid_client_address_is_left_out(clinic: Clinic) -> None:
    request = Request(client_address="unknown, 10.0.0.1", user_agent="x" * 10_000)
    with clinic.database.unit_of_work(role=Role.APP, tenant_id=clinic.tenant, user_id=USER, request=request) as session:
        session.execute(text(DOCTOR), {"tenant": clinic.tenant})
    (row,) = clinic.log()
    assert (row["client_address"], len(row["user_agent"])) == (None, 500)


@pytest.mark.parametrize("role", [Role.APP, Role.SYSTEM, Role.OWNER])
def test_actions_without_a_user_are_in_the_systems_log_with_the_role(
    clinic: Clinic, connection: psycopg.Connection, role: Role
) -> None:
    """The owner's role is that of the login."""
    clinic.act(DOCTOR, role=role, user=None)
    (row,) = clinic.log(LOGS[1])
    assert (row["event"], row["entity"]) == ("insert", "scheduling.doctors")
    assert row["db_role"] == (connection.info.user if role is Role.OWNER else role.value)
    assert clinic.log() == []


def test_an_entry_belongs_to_the_tenant_of_the_changed_row(clinic: Clinic, database_url: str) -> None:
    execute(database_url, DOCTOR.replace(":tenant", f"'{clinic.tenant}'"))
    assert [row["tenant_id"] for row in clinic.log(LOGS[1])] == [clinic.tenant]


def test_making_a_tenant_is_written_in_that_tenant(clinic: Clinic) -> None:
    with clinic.database.unit_of_work(role=Role.SYSTEM, tenant_id=clinic.tenant) as session:
        logged = entries(session, entity="identity.tenants", most=10)
    assert [(entry.action, entry.key) for entry in logged] == [("insert", str(clinic.tenant))]


def test_rows_of_two_tenants_with_one_number_have_separate_entries(database: Database, database_url: str) -> None:
    clinics = [Clinic(database, uuid4()) for _ in range(2)]
    for clinic in clinics:
        execute(
            database_url,
            f"insert into identity.tenants (id, slug, name) values ('{clinic.tenant}', '{clinic.tenant}', 'T')",
            "insert into scheduling.doctors (tenant_id, id, first_name, last_name, display_name)"
            f" values ('{clinic.tenant}', 77, '{clinic.tenant}', 'B', 'C')",
        )
    execute(database_url, "update scheduling.doctors set specialty = first_name where id = 77")
    for clinic in clinics:
        assert [row["after"] for row in clinic.log(LOGS[1])][1:] == [{"specialty": str(clinic.tenant)}]


# Changes without an entry


def test_no_value_of_a_private_column_gets_into_the_log(clinic: Clinic) -> None:
    secret, secret_json = f"'{CANARY}'", f"to_jsonb(cast('{CANARY}' as text))"
    clinic.act(
        "insert into scheduling.doctors (tenant_id, first_name, last_name, display_name, npi, profile, contact)"
        f" values (:tenant, {secret}, {secret}, {secret}, {secret}, {secret}, {secret_json})",
        "insert into scheduling.facilities (tenant_id, name, slug, timezone, address, phone, meta)"
        f" values (:tenant, {secret}, 's', 'Europe/London', {secret}, {secret}, {secret_json})",
        "insert into scheduling.availability_exceptions"
        " (tenant_id, facility_id, doctor_id, start_at, end_at, type, reason)"
        f" select f.tenant_id, f.id, d.id, '2027-01-01', '2027-01-02', 'blocked', {secret}"
        " from scheduling.facilities f join scheduling.doctors d using (tenant_id)",
        "update scheduling.doctors set profile = profile || '2', contact = null",
        "delete from scheduling.doctors",
        role=Role.SYSTEM,
    )
    written = clinic.log()
    assert len(written) == 6
    assert CANARY not in str(written)


def test_a_new_column_is_veiled_and_an_encrypted_one_always(
    connection: psycopg.Connection,
) -> None:
    tenant = uuid4()
    connection.execute(
        "create table public.notes (tenant_id uuid, id bigint, secret bytea, primary key (tenant_id, id))"
    )
    connection.execute("call audit.watch('public.notes', array['secret', 'spoken'])")
    connection.execute("alter table public.notes add later text, add spoken text, add card_id text, add seen_at text")
    connection.execute(
        "insert into public.notes values (%s, 1, %s, %s, 'aloud', %s, %s)",
        (tenant, CANARY.encode(), CANARY, CANARY, CANARY),
    )
    row = connection.execute("select after from audit.system_audit_log where tenant_id = %s", (tenant,)).fetchone()
    veiled = dict.fromkeys(("secret", "later", "card_id", "seen_at"), "(set)")
    assert row == ({"id": 1, "spoken": "aloud"} | veiled,)


@pytest.mark.parametrize(
    ("columns", "key"),
    [
        ("tenant_id uuid, id uuid default gen_random_uuid(), primary key (tenant_id, id)", r"[0-9a-f-]{36}"),
        ("tenant_id uuid, b int default 2, a date default '2027-01-04', primary key (tenant_id, a, b)", "2027-01-04,2"),
        ("tenant_id uuid, b int default 2, a text default 'x', primary key (tenant_id, a, b)", "sha256:[0-9a-f]{64},2"),
        ("tenant_id uuid primary key", r"[0-9a-f-]{36}"),
    ],
)
def test_a_key_of_any_kind_names_the_row(connection: psycopg.Connection, columns: str, key: str) -> None:
    connection.execute(f"create table public.notes ({columns})".encode())
    connection.execute("call audit.watch('public.notes')")
    connection.execute("insert into public.notes (tenant_id) values (%s)", (uuid4(),))
    rows = connection.execute(
        "select entity_key ~ %s from audit.system_audit_log where entity = 'public.notes'", (f"^{key}$",)
    )
    assert rows.fetchall() == [(True,)]


@pytest.mark.parametrize("shown", [False, True])
def test_a_key_of_words_is_recorded_as_a_digest_unless_shown(connection: psycopg.Connection, shown: bool) -> None:
    """A person who knows the word finds its rows; a reader of the log does not see the word."""
    tenant = uuid4()
    connection.execute(
        "create table public.notes (tenant_id uuid, word varchar(99), n int, primary key (tenant_id, word))"
    )
    connection.execute("call audit.watch('public.notes', %s::text[])", (["word"] * shown,))
    connection.execute("insert into public.notes values (%s, %s, 1)", (tenant, CANARY))
    connection.execute("update public.notes set n = 2")
    connection.execute("delete from public.notes")
    rows = connection.execute("select event, entity_key from audit.system_audit_log where entity = 'public.notes'")
    key = CANARY if shown else f"sha256:{sha256(f'{tenant} {CANARY}'.encode()).hexdigest()}"
    assert rows.fetchall() == [("insert", key), ("update", key), ("delete", key)]


def test_a_table_without_a_primary_key_is_not_watched(connection: psycopg.Connection) -> None:
    connection.execute("create table public.notes (tenant_id uuid)")
    with pytest.raises(psycopg.errors.RaiseException, match="no primary key"):
        connection.execute("call audit.watch('public.notes')")


def test_every_table_is_watched_or_has_a_reason_not_to_be(connection: psycopg.Connection) -> None:
    rows = connection.execute("""
        select oid::regclass::text, (
            select count(*) from pg_trigger
            where tgrelid = pg_class.oid and tgfoid = 'audit.record_changes'::regproc and tgenabled = 'O'
        ) from pg_class
        where relkind in ('r', 'p') and not relispartition
            and relnamespace::regnamespace::text in ('identity', 'scheduling', 'placement', 'wellbeing')
    """).fetchall()
    assert {table for table, triggers in rows if triggers != 3} == set(UNWATCHED)
    assert set(WATCHED) <= {table for table, _ in rows}


# Slots

SLOT = """
    insert into scheduling.availability_slots (tenant_id, id, facility_id, doctor_id, start_at, end_at)
    select f.tenant_id, 1, f.id, d.id, '2027-03-01 09:00Z', '2027-03-01 09:30Z'
    from scheduling.facilities f join scheduling.doctors d using (tenant_id)
"""


@pytest.fixture
def open_clinic(clinic: Clinic, database_url: str) -> Clinic:
    """A clinic with a slot from the job."""
    execute(database_url, MONTHS)
    clinic.act(PLACE, DOCTOR)
    clinic.act(SLOT, role=Role.JOB, user=None)
    return clinic


def of_slots(clinic: Clinic, name: str = LOGS[0]) -> list[dict[str, Any]]:
    return [row for row in clinic.log(name) if row["entity"] == "scheduling.availability_slots"]


def test_a_change_of_a_slot_by_a_user_has_an_entry(open_clinic: Clinic) -> None:
    open_clinic.act("update scheduling.availability_slots set status = 'cancelled'")
    (row,) = of_slots(open_clinic)
    assert (row["user_id"], row["action"], row["entity_key"]) == (USER, "update", "1")
    assert row["before"] == {"status": "open"}
    assert row["after"] == {"status": "cancelled"}


def test_a_slot_that_goes_with_its_doctor_is_written_too(open_clinic: Clinic) -> None:
    """Only the owner and the system can delete a doctor for good."""
    open_clinic.act("delete from scheduling.doctors where tenant_id = :tenant", role=Role.OWNER)
    assert [(row["action"], row["before"]["start_at"]) for row in of_slots(open_clinic)] == [
        ("delete", "2027-03-01T09:00:00+00:00")
    ]


def test_a_change_of_a_slot_by_the_owner_has_an_entry(open_clinic: Clinic) -> None:
    open_clinic.act("delete from scheduling.availability_slots", role=Role.OWNER, user=None)
    assert [row["event"] for row in of_slots(open_clinic, LOGS[1])] == ["delete"]


@pytest.mark.parametrize("role", [Role.JOB, Role.SYSTEM])
def test_changes_of_slots_by_job_and_system_are_not_logged_row_by_row(open_clinic: Clinic, role: Role) -> None:
    open_clinic.act(
        "update scheduling.availability_slots set capacity = 2",
        "delete from scheduling.availability_slots",
        SLOT,
        role=role,
        user=None,
    )
    assert of_slots(open_clinic) + of_slots(open_clinic, LOGS[1]) == []


# Reads and events


def test_a_read_is_one_row_for_each_key(clinic: Clinic) -> None:
    with clinic.database.unit_of_work(role=Role.APP, tenant_id=clinic.tenant, user_id=USER) as session:
        record_read(session, "placement.clients", ["1", "2"], ["diagnosis"], reason="treatment")
    assert [(row["action"], row["entity"], row["entity_key"], row["details"]) for row in clinic.log()] == [
        ("read", "placement.clients", key, {"columns": ["diagnosis"], "reason": "treatment"}) for key in ("1", "2")
    ]


def test_a_read_by_the_system_is_written_to_its_log(clinic: Clinic) -> None:
    with clinic.database.unit_of_work(role=Role.SYSTEM, tenant_id=clinic.tenant) as session:
        record_read(session, "placement.clients", ["1"], ["diagnosis"], reason="rotation of keys")
    assert [(row["event"], row["entity_key"]) for row in clinic.log(LOGS[1])] == [("read", "1")]


@pytest.mark.parametrize(("columns", "reason"), [([], "treatment"), (["diagnosis"], " ")])
def test_a_read_without_columns_or_reason_is_refused(clinic: Clinic, columns: list[str], reason: str) -> None:
    with (
        clinic.database.unit_of_work(role=Role.APP, tenant_id=clinic.tenant, user_id=USER) as session,
        pytest.raises(InvalidInputError),
    ):
        record_read(session, "placement.clients", ["1"], columns, reason=reason)


def test_a_log_that_fails_fails_the_read(clinic: Clinic, database_url: str) -> None:
    """Both are in one transaction: a caller that continues after the failure reads nothing."""
    execute(database_url, "alter table audit.user_action_audit_log rename to elsewhere")
    try:
        with (
            pytest.raises(StoreError),
            clinic.database.unit_of_work(role=Role.APP, tenant_id=clinic.tenant, user_id=USER) as session,
        ):
            record_read(session, "placement.clients", ["1"], ["diagnosis"], reason="treatment")
        with pytest.raises(StoreError):
            clinic.act(DOCTOR)
    finally:
        execute(database_url, "alter table audit.elsewhere rename to user_action_audit_log")


@pytest.mark.parametrize("role", [Role.JOB, Role.SYSTEM, Role.OWNER])
def test_an_event_is_written_with_its_details(clinic: Clinic, role: Role) -> None:
    with clinic.database.unit_of_work(role=role, tenant_id=clinic.tenant) as session:
        record_system(session, "generation.finished", {"slots": 3}, severity="warning")
    (row,) = clinic.log(LOGS[1])
    assert (row["event"], row["severity"], row["details"]) == ("generation.finished", "warning", {"slots": 3})


@pytest.mark.parametrize("event", ["insert", "update", "delete", "read", "audit.retired", "audit.anything"])
@pytest.mark.parametrize("role", [Role.APP, Role.JOB, Role.SYSTEM])
def test_an_event_reserved_for_the_log_is_refused(clinic: Clinic, event: str, role: Role) -> None:
    """Otherwise a user could invent a change, or a reason for missing rows."""
    assert refused(lambda: clinic.act(f"select audit.record_system('{event}', '{{}}')", role=role)) == "42501"
    assert clinic.log(LOGS[1]) == []


@pytest.mark.parametrize(
    ("role", "event"),
    [(Role.APP, "person.erased"), (Role.APP, "generation.finished"), (Role.JOB, "person.erased")],
)
def test_only_the_system_records_what_the_library_did_to_people(clinic: Clinic, role: Role, event: str) -> None:
    """Otherwise a parent could invent that somebody was erased, and a run that never was."""
    assert refused(lambda: clinic.act(f"select audit.record_system('{event}', '{{}}')", role=role)) == "42501"
    assert clinic.log(LOGS[1]) == []


@pytest.mark.parametrize("event", ["insert", "read"])
def test_not_even_the_owner_makes_up_a_change(clinic: Clinic, event: str) -> None:
    assert refused(lambda: clinic.act(f"select audit.record_system('{event}', '{{}}')", role=Role.OWNER)) == "42501"


@pytest.mark.parametrize(
    ("role", "call"),
    [
        (Role.APP, "record_event('list.exported', jsonb_build_object(repeat(e'\\x01', 1048577), 1))"),
        (Role.APP, "record_read('placement.clients', '{x}', '{y}', repeat('a', 1048577))"),
        (Role.APP, "record_read('placement.clients', '{x}', array[repeat('a', 1048577)], 'treatment')"),
        (Role.JOB, "record_system('generation.x', jsonb_build_object('a', repeat(e'\\x01', 1048577)))"),
    ],
)
def test_an_entry_that_no_seal_could_read_is_refused(clinic: Clinic, role: Role, call: str) -> None:
    """JSON writes some characters as six, and a text ends at 1 GB; nobody may remove such an entry."""
    assert refused(lambda: clinic.act(f"select audit.{call}", role=role)) == "22023"
    assert clinic.log() + clinic.log(LOGS[1]) == []


@pytest.mark.parametrize("role", [Role.APP, Role.SYSTEM])
def test_an_event_of_a_user_is_recorded_with_user_and_request(clinic: Clinic, role: Role) -> None:
    request = Request(id="r-17", client_address="2001:db8::7", user_agent="Browser/1")
    with clinic.database.unit_of_work(role=role, tenant_id=clinic.tenant, user_id=USER, request=request) as session:
        record_event(session, "list.exported", {"rows": 3, "format": "csv", "all": True})
    (row,) = clinic.log()
    assert (row["user_id"], row["db_role"], row["action"], row["entity"]) == (USER, role, "event", "list.exported")
    assert row["details"] == {"rows": 3, "format": "csv", "all": True}
    assert (row["request_id"], str(row["client_address"]), row["user_agent"]) == ("r-17", "2001:db8::7", "Browser/1")
    assert (row["entity_key"], row["before"], row["after"]) == (None, None, None)
    assert clinic.log(LOGS[1]) == []


def test_an_event_of_a_user_is_found_by_its_name(clinic: Clinic) -> None:
    clinic.act(DOCTOR)
    with clinic.database.unit_of_work(role=Role.APP, tenant_id=clinic.tenant, user_id=USER) as session:
        record_event(session, "session.started", {})
    with clinic.database.unit_of_work(role=Role.SYSTEM, tenant_id=clinic.tenant) as session:
        logged = entries(session, entity="session.started", most=10)
    assert [(entry.user_id, entry.action, entry.key) for entry in logged] == [(USER, "event", None)]


def test_an_event_without_a_user_is_refused(clinic: Clinic) -> None:
    assert refused(lambda: clinic.act("select audit.record_event('a.b', '{}')", user=None)) == "22023"


@pytest.mark.parametrize(
    "name",
    [
        *("read", "delete", "audit.retired", "identity.users", "Ann came late", "a.b; drop"),
        *("person.erased", "tenant.exported", "generation.finished", "key.rotated"),
    ],
)
def test_an_event_of_a_user_has_no_name_of_the_logs_own(clinic: Clinic, name: str) -> None:
    assert refused(lambda: clinic.act("select audit.record_event(:name, '{}')", name=name)) == "23514"
    assert clinic.log() == []


@pytest.mark.parametrize(
    "details",
    [
        '{"note": "Ann feels low"}',
        '{"to": "ann@example.org"}',
        '{"who": ["Ann"]}',
        '{"who": {"name": "Ann"}}',
        '["Ann"]',
        '{"Ann feels low": 1}',
    ],
)
def test_the_details_of_an_event_of_a_user_are_words_and_numbers(clinic: Clinic, details: str) -> None:
    write = "select audit.record_event('a.b', cast(:details as jsonb))"
    assert refused(lambda: clinic.act(write, details=details)) == "22023"


@pytest.mark.parametrize(
    "statement",
    [
        "audit.record_system('a', '{}')",
        "audit.record_read('a', '{1}', '{b}', 'c')",
        "audit.record_event('a.b', '{}')",
    ],
)
def test_an_entry_without_a_tenant_is_refused(clinic: Clinic, statement: str) -> None:
    none = Clinic(clinic.database, None)  # type: ignore[arg-type]
    assert refused(lambda: none.act(f"select {statement}", role=Role.SYSTEM)) == "22023"


@pytest.mark.parametrize("function", ["record_read('a', '{1}', '{b}', 'c')", "record_event('a.b', '{}')"])
def test_the_job_may_record_neither_reads_nor_events_of_users(clinic: Clinic, function: str) -> None:
    statement = f"select audit.{function}"
    assert refused(lambda: clinic.act(statement, role=Role.JOB)) == "42501"


WRITERS = (
    "select audit.record_event('session.started', '{}')",
    "select audit.record_read('placement.clients', '{1}', '{b}', 'treatment')",
)


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize(
    "change",
    [
        "update identity.tenants set status = 'suspended' where id = :tenant",
        "update identity.tenants set deleted_at = now() where id = :tenant",
        "update identity.users set status = 'suspended' where tenant_id = :tenant",
        "update identity.users set deleted_at = now() where tenant_id = :tenant",
    ],
)
def test_people_who_reach_nothing_add_nothing_to_the_log(clinic: Clinic, change: str, write: str) -> None:
    clinic.act(change, role=Role.SYSTEM, user=None)
    assert refused(lambda: clinic.act(write)) == "42501"
    clinic.act(write, role=Role.SYSTEM)
    assert len(clinic.log()) == 1


@pytest.mark.parametrize("write", WRITERS)
def test_nobody_invents_a_tenant_or_a_user_in_the_log(clinic: Clinic, write: str) -> None:
    """Nobody seals the rows of a tenant that does not exist, and a month with an unsealed row never retires."""
    assert refused(lambda: clinic.act(write, user=uuid4())) == "42501"
    nowhere = Clinic(clinic.database, uuid4())
    assert refused(lambda: nowhere.act(write)) == "42501"
    assert (nowhere.log(), nowhere.log(LOGS[1])) == ([], [])


def test_nobody_invents_a_read_without_a_user_in_the_log(clinic: Clinic) -> None:
    assert refused(lambda: Clinic(clinic.database, uuid4()).act(WRITERS[1], user=None)) == "42501"


def test_a_refused_read_of_a_suspended_user_is_recorded(clinic: Clinic) -> None:
    clinic.act("update identity.users set status = 'suspended' where tenant_id = :tenant", role=Role.SYSTEM, user=None)
    attempt = "select audit.record_read('placement.clients', '{1}', '{b}', 'treatment', 'refused')"
    clinic.act(attempt)
    assert [row["details"]["outcome"] for row in clinic.log()] == ["refused"]
    assert refused(lambda: clinic.act(attempt, user=uuid4())) == "42501"


# Readers of the log


@pytest.mark.parametrize("table", [*LOGS, "audit.chain"])
@pytest.mark.parametrize("role", [Role.APP, Role.JOB])
def test_application_and_job_cannot_read_the_logs(clinic: Clinic, table: str, role: Role) -> None:
    assert refused(lambda: clinic.act(f"select 1 from {table}", role=role)) == "42501"


@pytest.mark.parametrize("table", LOGS)
def test_the_system_reads_the_log_of_its_tenant_only(clinic: Clinic, table: str) -> None:
    clinic.act(DOCTOR, user=USER if table == LOGS[0] else None)
    assert len(clinic.log(table)) == 1
    assert Clinic(clinic.database, uuid4()).log(table) == []
    assert Clinic(clinic.database, None).log(table) == []  # type: ignore[arg-type]


def test_every_partition_is_guarded_like_its_parent(connection: psycopg.Connection) -> None:
    rows = connection.execute("""
        select oid::regclass::text, relrowsecurity and relforcerowsecurity,
            (select count(*) from pg_policy where polrelid = pg_class.oid and polcmd = '*'),
            (select count(*) from pg_trigger where tgrelid = pg_class.oid and tgname = 'what_is_written_stays'),
            (select count(*) from aclexplode(relacl) as acl where acl.grantee <> relowner)
        from pg_class where relispartition and relkind = 'r' and relnamespace = 'audit'::regnamespace
    """).fetchall()
    assert len(rows) == 2 * 5
    assert {tuple(guards) for _, *guards in rows} == {(True, 1, 1, 0)}


# Append-only

ATTEMPTS = ("update {} set tenant_id = tenant_id", "delete from {}", "truncate {}")


@pytest.mark.parametrize("table", [*LOGS, "audit.chain"])
@pytest.mark.parametrize("attempt", ATTEMPTS)
@pytest.mark.parametrize("role", [Role.APP, Role.JOB, Role.SYSTEM, Role.OWNER])
def test_entries_cannot_be_changed_or_deleted(clinic: Clinic, table: str, attempt: str, role: Role) -> None:
    assert refused(lambda: clinic.act(attempt.format(table), role=role)) == "42501"


@pytest.mark.parametrize("table", LOGS)
@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_entries_of_a_partition_cannot_be_changed_by_the_owner(
    connection: psycopg.Connection, table: str, attempt: str
) -> None:
    parts = connection.execute(
        "select inhrelid::regclass::text from pg_inherits where inhparent = %s::regclass", (table,)
    )
    for (part,) in parts.fetchall():
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="the audit log is append-only"):
            connection.execute(attempt.format(part).encode())
        connection.rollback()


@pytest.mark.parametrize("table", LOGS)
@pytest.mark.parametrize("role", [Role.APP, Role.JOB, Role.SYSTEM])
def test_a_log_is_written_through_its_functions_only(clinic: Clinic, table: str, role: Role) -> None:
    named = "event" if table == LOGS[1] else "action, user_id, entity_key, entity"
    values = "'a'" if table == LOGS[1] else "'read', gen_random_uuid(), '1', 'a'"
    forged = f"insert into {table} (tenant_id, db_role, {named}) values (:tenant, 'me', {values})"
    assert refused(lambda: clinic.act(forged, role=role)) == "42501"


@pytest.mark.parametrize(
    "function", ["record_changes()", "retire(now())", "create_partition('a', 'b')", "ensure_months(1)"]
)
def test_the_logs_own_functions_are_not_for_everyone(clinic: Clinic, function: str) -> None:
    verb = "call" if function.startswith("create_partition") else "select"
    assert refused(lambda: clinic.act(f"{verb} audit.{function}")) == "42501"


def test_definer_functions_pin_their_search_path_and_bypass_nothing(
    connection: psycopg.Connection,
) -> None:
    rows = connection.execute("""
        select proname::text, array_to_string(proconfig, ' ') ~ 'search_path=pg_catalog, pg_temp', rolname::text
        from pg_proc join pg_roles on pg_roles.oid = proowner
        where prosecdef and pronamespace = 'audit'::regnamespace and rolname = 'scheduler_definer' order by 1
    """).fetchall()
    names = ("find_actions", "record_changes", "record_event", "record_read", "record_system", "seal")
    assert rows == [(name, True, "scheduler_definer") for name in names]
    assert connection.execute(
        "select rolbypassrls, rolsuper, rolcanlogin, has_schema_privilege(oid, 'audit', 'create')"
        " from pg_roles where rolname = 'scheduler_definer'"
    ).fetchone() == (False, False, False, False)


# Months


def months(connection: psycopg.Connection) -> list[str]:
    rows = connection.execute("""
        select replace(part::text, 'audit.user_action_audit_log_', '')
            || ' ' || to_char(ends_at at time zone 'UTC', 'YYYY_MM')
        from audit.partitions('user_action_audit_log')
    """)
    return [name for (name,) in rows]


def test_months_for_now_and_ahead_are_created_once(database: Database) -> None:
    with undone(database.unit_of_work(role=Role.SYSTEM, tenant_id=None)) as session:
        assert ensure_log_months(session, ahead=3) == 0
        assert ensure_log_months(session, ahead=4) == 2


def test_a_log_without_a_month_still_writes_and_is_repaired(connection: psycopg.Connection) -> None:
    """Without seals for months, rows go to the default partition, and later unchanged to their months."""
    whole = months(connection)
    connection.execute("set timezone = 'UTC'")
    for (part,) in connection.execute("select part::text from audit.partitions('user_action_audit_log')").fetchall():
        connection.execute(f"drop table {part}".encode())
    tenant = uuid4()
    become(connection, Role.OWNER, None, USER)
    connection.execute("insert into identity.tenants (id, slug, name) values (%s, %s, 'T')", (tenant, str(tenant)))
    where = "select tableoid::regclass::text, entry.* from audit.user_action_audit_log entry where tenant_id = %s"
    ((rest, *row),) = connection.execute(where, (tenant,)).fetchall()
    assert rest == "audit.user_action_audit_log_rest"
    assert connection.execute("select audit.ensure_months(3)").fetchone() == (4,)
    ((month, *same),) = connection.execute(where, (tenant,)).fetchall()
    assert (month.removeprefix("audit.user_action_audit_log_"), same) == (whole[0].split()[0], row)
    assert months(connection) == whole
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("truncate audit.user_action_audit_log_rest")


def test_rows_of_a_clock_that_ran_behind_do_not_stop_the_months(connection: psycopg.Connection) -> None:
    """A row of the missing month is beside them: no single partition could hold both."""
    tenant, log = uuid4(), "audit.system_audit_log"
    connection.execute("set timezone = 'UTC'")
    connection.execute(
        f"insert into {log} (tenant_id, db_role, event, occurred_at)"
        " select %s, 'somebody', 'clock.wrong', at from audit.partitions('system_audit_log'),"
        " unnest(array['1970-01-01', ends_at]) as at order by ends_at desc limit 2".encode(),
        (tenant,),
    )
    where = f"select e.*, tableoid::regclass::text from {log} e where tenant_id = %s order by occurred_at".encode()
    before = connection.execute(where, (tenant,)).fetchall()
    ahead = "(select count(*)::int from audit.partitions('system_audit_log'))"
    assert connection.execute(f"select audit.ensure_months({ahead})".encode()).fetchone() == (2,)
    after = connection.execute(where, (tenant,)).fetchall()
    assert [row[:-1] for row in after] == [row[:-1] for row in before]
    assert [row[-1] == f"{log}_rest" for row in before + after] == [True, True, True, False]


def test_rows_of_a_clock_that_ran_ahead_do_not_stop_the_months(connection: psycopg.Connection) -> None:
    """Each seal creates months: a refusal here would keep every tenant's log unsealed for good."""
    tenant = uuid4()
    connection.execute("set timezone = 'UTC'")
    connection.execute(
        "insert into audit.system_audit_log (tenant_id, db_role, event, occurred_at)"
        " select %s, 'somebody', 'clock.ahead', max(ends_at) + months * interval '1 month'"
        " from audit.partitions('system_audit_log'), generate_series(0, 1) as months group by months",
        (tenant,),
    )
    where = "select tableoid::regclass::text from audit.system_audit_log where tenant_id = %s"
    assert set(connection.execute(where, (tenant,))) == {("audit.system_audit_log_rest",)}
    ahead = "select count(*)::int + 3 from audit.partitions('system_audit_log')"
    connection.execute(f"select audit.ensure_months(({ahead}))".encode())
    assert ("audit.system_audit_log_rest",) not in set(connection.execute(where, (tenant,)))
    forced = "select count(*) from pg_class where relname ^@ 'system_audit_log' and relkind = 'r' and not {}"
    assert connection.execute(forced.format("relforcerowsecurity").encode()).fetchone() == (0,)


@pytest.mark.parametrize("ahead", ["-1", "121", "null"])
def test_months_too_far_ahead_are_refused(connection: psycopg.Connection, ahead: str) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        connection.execute(f"select audit.ensure_months({ahead})".encode())


def test_an_entry_is_found_by_its_row_under_row_security(clinic: Clinic, database_url: str) -> None:
    """All operators are leakproof and the tenant is first, so the index works under row security."""
    clinic.act("select audit.record_read('a.b', array(select g::text from generate_series(1, 2000) g), '{c}', 'test')")
    execute(database_url, "analyze audit.user_action_audit_log")
    query = "explain select 1 from audit.user_action_audit_log where entity = 'a.b' and entity_key = '7'"
    with clinic.database.unit_of_work(role=Role.SYSTEM, tenant_id=clinic.tenant) as session:
        plan = "\n".join(session.scalars(text(query)))
    assert re.search(r"Index Cond: .*entity = 'a\.b'.*entity_key = '7'", plan)
