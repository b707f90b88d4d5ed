"""The audit log: each change and each read of a row is there once, without what is private, and stays there."""

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
from support.databases import employ, execute
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
BOOKS = ("audit.chain", "audit.retirements")
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
    "scheduling.schedule_states": "the job's checkpoints",
}


class Clinic(NamedTuple):
    """A tenant in which somebody works."""

    database: Database
    tenant: UUID

    def act(self, *statements: str, role: Role = Role.APP, user: UUID | None = USER, **values: Any) -> None:
        """Do something as one transaction."""
        with self.database.unit_of_work(role=role, tenant_id=self.tenant, user_id=user) as session:
            for statement in statements:
                session.execute(text(statement), {"tenant": self.tenant} | values)

    def log(self, name: str = LOGS[0]) -> list[dict[str, Any]]:
        """Return the rows of a log, as the system may see them, in the order of writing."""
        asked = f"select * from {name} where event <> 'insert' or entity <> 'identity.tenants' order by id"
        if name == LOGS[0]:
            asked = f"select * from {name} order by id"
        with self.database.unit_of_work(role=Role.SYSTEM, tenant_id=self.tenant) as session:
            return [dict(row) for row in session.connection().execute(text(asked)).mappings()]


@pytest.fixture
def clinic(database: Database, database_url: str, tenant_id: UUID) -> Clinic:
    employ(database_url, tenant_id, USER)
    return Clinic(database, tenant_id)


@pytest.fixture
def catalogue(database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url) as connection:
        yield connection
        connection.rollback()


def refused(attempt: Callable[[], object]) -> str | None:
    """Return the SQLSTATE with which something is refused."""
    with pytest.raises(StatementError) as refusal:
        attempt()
    return refusal.value.sqlstate


# What is written


def test_an_insert_is_one_row_with_what_is_harmless_shown_and_the_rest_veiled(clinic: Clinic) -> None:
    clinic.act(DOCTOR, "update scheduling.doctors set specialty = 'surgery'")
    inserted = clinic.log()[0]
    assert (inserted["action"], inserted["entity"], inserted["before"]) == ("insert", "scheduling.doctors", None)
    assert inserted["after"].pop("created_at")
    number = inserted["after"].pop("id")
    assert inserted["after"] == {"first_name": "(set)", "last_name": "(set)", "display_name": "(set)"}
    assert inserted["entity_key"] == str(number)


def test_an_update_is_one_row_with_what_changed_before_and_after(clinic: Clinic) -> None:
    clinic.act(DOCTOR)
    clinic.act("update scheduling.doctors set specialty = 'surgery', npi = '12', first_name = 'Z', last_name = 'B'")
    (_, changed) = clinic.log()
    assert changed["action"] == "update"
    assert changed["before"] == {"specialty": None, "npi": None, "first_name": "(changed)"}
    assert changed["after"] == {"specialty": "surgery", "npi": "(changed)", "first_name": "(changed)"}


@pytest.mark.parametrize(("table", "to"), [("appointments", "checked_in"), ("appointment_steps", "in_progress")])
def test_l3_a_move_is_in_the_log_with_who_when_before_and_after(
    database: Database, database_url: str, table: str, to: str
) -> None:
    clinic = Clinic(database, uuid4())
    with psycopg.connect(database_url) as connection:
        connection.execute(MONTHS)
        for name, row in all_rows(clinic.tenant).items():
            if not name.startswith("audit."):
                insert(connection, name, row)
    employ(database_url, clinic.tenant, USER)
    before = len(clinic.log())
    clinic.act(f"update scheduling.{table} set status = '{to}'")
    (moved,) = clinic.log()[before:]
    assert (moved["user_id"], moved["entity"], moved["entity_key"]) == (USER, f"scheduling.{table}", "1")
    assert (moved["before"], moved["after"]) == ({"status": "scheduled"}, {"status": to})
    assert moved["occurred_at"].tzinfo is not None


def test_a_delete_is_one_row_with_what_was_there(clinic: Clinic) -> None:
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
    one, other = (row for row in clinic.log() if row["action"] == "update")
    assert {(one["before"] is None, one["after"] is None), (other["before"] is None, other["after"] is None)} == {
        (True, False),
        (False, True),
    }


def test_what_is_rolled_back_is_not_written(clinic: Clinic) -> None:
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


def test_what_a_cascade_deletes_is_written_too(clinic: Clinic) -> None:
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


def test_a_row_that_one_statement_changes_twice_is_two_rows_of_what_really_was(clinic: Clinic) -> None:
    """Each key to a user who goes is set null on its own; no row tells of a change that never was."""
    gone = uuid4()
    clinic.act(
        "insert into identity.users (tenant_id, id, email, name, role)"
        " values (:tenant, :gone, 'gone@example.org', 'Gone', 'staff')",
        "insert into identity.families (tenant_id, family_name, created_by, modified_by)"
        " values (:tenant, 'F', :gone, :gone)",
        gone=gone,
    )
    clinic.act("delete from identity.users where id = :gone", role=Role.SYSTEM, gone=gone)
    changes = [row["after"] for row in clinic.log() if row["entity"] == "identity.families" and row["before"]]
    assert changes == [{"created_by": None}, {"modified_by": None}]


def test_who_did_it_and_from_where_is_written(clinic: Clinic) -> None:
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


def test_an_address_that_is_none_stops_no_work(clinic: Clinic) -> None:
    request = Request(client_address="unknown, 10.0.0.1", user_agent="x" * 10_000)
    with clinic.database.unit_of_work(role=Role.APP, tenant_id=clinic.tenant, user_id=USER, request=request) as session:
        session.execute(text(DOCTOR), {"tenant": clinic.tenant})
    (row,) = clinic.log()
    assert (row["client_address"], len(row["user_agent"])) == (None, 500)


@pytest.mark.parametrize("role", [Role.APP, Role.SYSTEM, Role.OWNER])
def test_what_no_user_did_is_written_to_the_systems_log_with_the_role(clinic: Clinic, role: Role) -> None:
    clinic.act(DOCTOR, role=role, user=None)
    (row,) = clinic.log(LOGS[1])
    assert (row["event"], row["entity"]) == ("insert", "scheduling.doctors")
    assert row["db_role"] == role.value or role is Role.OWNER
    assert clinic.log() == []


def test_a_row_is_written_for_its_own_tenant_whoever_changes_it(clinic: Clinic, database_url: str) -> None:
    execute(database_url, DOCTOR.replace(":tenant", f"'{clinic.tenant}'"))
    assert [row["tenant_id"] for row in clinic.log(LOGS[1])] == [clinic.tenant]


def test_making_a_tenant_is_written_in_that_tenant(clinic: Clinic) -> None:
    with clinic.database.unit_of_work(role=Role.SYSTEM, tenant_id=clinic.tenant) as session:
        made = entries(session, entity="identity.tenants", most=10)
    assert [(one.action, one.key) for one in made] == [("insert", str(clinic.tenant))]


def test_two_tenants_rows_of_one_number_are_told_apart(database: Database, database_url: str) -> None:
    clinics = [Clinic(database, uuid4()) for _ in range(2)]
    for one in clinics:
        execute(
            database_url,
            f"insert into identity.tenants (id, slug, name) values ('{one.tenant}', '{one.tenant}', 'T')",
            "insert into scheduling.doctors (tenant_id, id, first_name, last_name, display_name)"
            f" values ('{one.tenant}', 77, '{one.tenant}', 'B', 'C')",
        )
    execute(database_url, "update scheduling.doctors set specialty = first_name where id = 77")
    for one in clinics:
        assert [row["after"] for row in one.log(LOGS[1])][1:] == [{"specialty": str(one.tenant)}]


# What is not written


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


def test_a_column_that_comes_later_is_veiled_and_encrypted_ones_are_whatever_is_said(
    catalogue: psycopg.Connection,
) -> None:
    tenant = uuid4()
    catalogue.execute(
        "create table public.notes (tenant_id uuid, id bigint, secret bytea, primary key (tenant_id, id))"
    )
    catalogue.execute("call audit.watch('public.notes', array['secret', 'spoken'])")
    catalogue.execute("alter table public.notes add later text, add spoken text, add card_id text, add seen_at text")
    catalogue.execute(
        "insert into public.notes values (%s, 1, %s, %s, 'aloud', %s, %s)",
        (tenant, CANARY.encode(), CANARY, CANARY, CANARY),
    )
    row = catalogue.execute("select after from audit.system_audit_log where tenant_id = %s", (tenant,)).fetchone()
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
def test_a_key_of_any_kind_names_the_row(catalogue: psycopg.Connection, columns: str, key: str) -> None:
    catalogue.execute(f"create table public.notes ({columns})".encode())
    catalogue.execute("call audit.watch('public.notes')")
    catalogue.execute("insert into public.notes (tenant_id) values (%s)", (uuid4(),))
    found = catalogue.execute(
        "select entity_key ~ %s from audit.system_audit_log where entity = 'public.notes'", (f"^{key}$",)
    )
    assert found.fetchall() == [(True,)]


@pytest.mark.parametrize("shown", [False, True])
def test_a_key_of_words_is_written_as_a_digest_unless_it_is_shown(catalogue: psycopg.Connection, shown: bool) -> None:
    """Who has the word finds its rows; who reads the log does not read the word."""
    tenant = uuid4()
    catalogue.execute(
        "create table public.notes (tenant_id uuid, word varchar(99), n int, primary key (tenant_id, word))"
    )
    catalogue.execute("call audit.watch('public.notes', %s::text[])", (["word"] * shown,))
    catalogue.execute("insert into public.notes values (%s, %s, 1)", (tenant, CANARY))
    catalogue.execute("update public.notes set n = 2")
    catalogue.execute("delete from public.notes")
    found = catalogue.execute("select event, entity_key from audit.system_audit_log where entity = 'public.notes'")
    key = CANARY if shown else f"sha256:{sha256(f'{tenant} {CANARY}'.encode()).hexdigest()}"
    assert found.fetchall() == [("insert", key), ("update", key), ("delete", key)]


def test_a_table_whose_rows_cannot_be_told_apart_is_not_watched(catalogue: psycopg.Connection) -> None:
    catalogue.execute("create table public.notes (tenant_id uuid)")
    with pytest.raises(psycopg.errors.RaiseException, match="no primary key"):
        catalogue.execute("call audit.watch('public.notes')")


def test_every_table_is_watched_but_for_those_that_say_why_not(catalogue: psycopg.Connection) -> None:
    found = catalogue.execute("""
        select oid::regclass::text, (
            select count(*) from pg_trigger
            where tgrelid = pg_class.oid and tgfoid = 'audit.record_changes'::regproc and tgenabled = 'O'
        ) from pg_class
        where relkind in ('r', 'p') and not relispartition
            and relnamespace::regnamespace::text in ('identity', 'scheduling', 'placement', 'wellbeing')
    """).fetchall()
    assert {table for table, triggers in found if triggers != 3} == set(UNWATCHED)
    assert set(WATCHED) <= {table for table, _ in found}


# Slots

SLOT = """
    insert into scheduling.availability_slots (tenant_id, id, facility_id, doctor_id, start_at, end_at, held_by)
    select f.tenant_id, 1, f.id, d.id, '2027-03-01 09:00Z', '2027-03-01 09:30Z', 'Ann'
    from scheduling.facilities f join scheduling.doctors d using (tenant_id)
"""


@pytest.fixture
def open_clinic(clinic: Clinic, database_url: str) -> Clinic:
    """A clinic whose job has made a slot."""
    execute(database_url, MONTHS)
    clinic.act(PLACE, DOCTOR)
    clinic.act(SLOT, role=Role.JOB, user=None)
    return clinic


def of_slots(clinic: Clinic, name: str = LOGS[0]) -> list[dict[str, Any]]:
    return [row for row in clinic.log(name) if row["entity"] == "scheduling.availability_slots"]


def test_what_a_user_does_to_a_slot_is_written(open_clinic: Clinic) -> None:
    open_clinic.act("update scheduling.availability_slots set status = 'cancelled', held_by = null")
    (row,) = of_slots(open_clinic)
    assert (row["user_id"], row["action"], row["entity_key"]) == (USER, "update", "1")
    assert row["before"] == {"status": "open", "held_by": "(changed)"}
    assert row["after"] == {"status": "cancelled", "held_by": None}


def test_a_slot_that_goes_with_its_doctor_is_written_too(open_clinic: Clinic) -> None:
    """By the owner or the system: nobody else deletes a doctor for good."""
    open_clinic.act("delete from scheduling.doctors where tenant_id = :tenant", role=Role.OWNER)
    assert [(row["action"], row["before"]["start_at"]) for row in of_slots(open_clinic)] == [
        ("delete", "2027-03-01T09:00:00+00:00")
    ]


def test_what_the_owner_does_to_a_slot_by_hand_is_written(open_clinic: Clinic) -> None:
    open_clinic.act("delete from scheduling.availability_slots", role=Role.OWNER, user=None)
    assert [row["event"] for row in of_slots(open_clinic, LOGS[1])] == ["delete"]


@pytest.mark.parametrize("role", [Role.JOB, Role.SYSTEM])
def test_what_the_job_and_the_system_do_to_slots_is_not_written_row_by_row(open_clinic: Clinic, role: Role) -> None:
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
    """In one transaction: whoever reads on after the failure reads nothing."""
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


@pytest.mark.parametrize("role", [Role.APP, Role.JOB, Role.SYSTEM, Role.OWNER])
def test_an_event_is_written_with_its_details(clinic: Clinic, role: Role) -> None:
    with clinic.database.unit_of_work(role=role, tenant_id=clinic.tenant) as session:
        record_system(session, "generation.finished", {"slots": 3}, severity="warning")
    (row,) = clinic.log(LOGS[1])
    assert (row["event"], row["severity"], row["details"]) == ("generation.finished", "warning", {"slots": 3})


@pytest.mark.parametrize("event", ["insert", "update", "delete", "read", "audit.retired", "audit.anything"])
@pytest.mark.parametrize("role", [Role.APP, Role.JOB, Role.SYSTEM])
def test_nobody_writes_an_event_that_is_the_logs_own(clinic: Clinic, event: str, role: Role) -> None:
    """Else somebody could make up a change that never was, or why rows are missing."""
    assert refused(lambda: clinic.act(f"select audit.record_system('{event}', '{{}}')", role=role)) == "42501"
    assert clinic.log(LOGS[1]) == []


@pytest.mark.parametrize("event", ["insert", "read"])
def test_not_even_the_owner_makes_up_a_change(clinic: Clinic, event: str) -> None:
    assert refused(lambda: clinic.act(f"select audit.record_system('{event}', '{{}}')", role=Role.OWNER)) == "42501"


@pytest.mark.parametrize("role", [Role.APP, Role.SYSTEM])
def test_an_event_of_a_user_is_written_with_who_it_was_and_from_where(clinic: Clinic, role: Role) -> None:
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
        found = entries(session, entity="session.started", most=10)
    assert [(one.user_id, one.action, one.key) for one in found] == [(USER, "event", None)]


def test_an_event_of_nobody_is_refused(clinic: Clinic) -> None:
    assert refused(lambda: clinic.act("select audit.record_event('a.b', '{}')", user=None)) == "22023"


@pytest.mark.parametrize("name", ["read", "delete", "audit.retired", "identity.users", "Ann came late", "a.b; drop"])
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
def test_what_belongs_to_no_tenant_is_refused(clinic: Clinic, statement: str) -> None:
    none = Clinic(clinic.database, None)  # type: ignore[arg-type]
    assert refused(lambda: none.act(f"select {statement}")) == "22023"


@pytest.mark.parametrize("function", ["record_read('a', '{1}', '{b}', 'c')", "record_event('a.b', '{}')"])
def test_the_job_records_neither_reads_nor_what_users_do(clinic: Clinic, function: str) -> None:
    statement = f"select audit.{function}"
    assert refused(lambda: clinic.act(statement, role=Role.JOB)) == "42501"


# Who sees it


@pytest.mark.parametrize("table", [*LOGS, *BOOKS])
@pytest.mark.parametrize("role", [Role.APP, Role.JOB])
def test_those_who_work_do_not_read_the_log(clinic: Clinic, table: str, role: Role) -> None:
    assert refused(lambda: clinic.act(f"select 1 from {table}", role=role)) == "42501"


@pytest.mark.parametrize("table", LOGS)
def test_the_system_reads_the_log_of_its_tenant_only(clinic: Clinic, table: str) -> None:
    clinic.act(DOCTOR, user=USER if table == LOGS[0] else None)
    assert len(clinic.log(table)) == 1
    assert Clinic(clinic.database, uuid4()).log(table) == []
    assert Clinic(clinic.database, None).log(table) == []  # type: ignore[arg-type]


def test_every_partition_is_guarded_like_its_parent(catalogue: psycopg.Connection) -> None:
    found = catalogue.execute("""
        select oid::regclass::text, relrowsecurity and relforcerowsecurity,
            (select count(*) from pg_policy where polrelid = pg_class.oid and polcmd = '*'),
            (select count(*) from pg_trigger where tgrelid = pg_class.oid and tgname = 'what_is_written_stays'),
            (select count(*) from aclexplode(relacl) as acl where acl.grantee <> relowner)
        from pg_class where relispartition and relkind = 'r' and relnamespace = 'audit'::regnamespace
    """).fetchall()
    assert len(found) == 2 * 5
    assert {tuple(guards) for _, *guards in found} == {(True, 1, 1, 0)}


# Append-only

ATTEMPTS = ("update {} set tenant_id = tenant_id", "delete from {}", "truncate {}")


@pytest.mark.parametrize("table", [*LOGS, *BOOKS])
@pytest.mark.parametrize("attempt", ATTEMPTS)
@pytest.mark.parametrize("role", [Role.APP, Role.JOB, Role.SYSTEM, Role.OWNER])
def test_nobody_changes_what_is_written(clinic: Clinic, table: str, attempt: str, role: Role) -> None:
    assert refused(lambda: clinic.act(attempt.format(table), role=role)) == "42501"


@pytest.mark.parametrize("table", LOGS)
@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_nor_does_the_owner_in_a_partition(catalogue: psycopg.Connection, table: str, attempt: str) -> None:
    parts = catalogue.execute(
        "select inhrelid::regclass::text from pg_inherits where inhparent = %s::regclass", (table,)
    )
    for (part,) in parts.fetchall():
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="only ever added to"):
            catalogue.execute(attempt.format(part).encode())
        catalogue.rollback()


@pytest.mark.parametrize("table", LOGS)
@pytest.mark.parametrize("role", [Role.APP, Role.JOB, Role.SYSTEM])
def test_nobody_writes_to_a_log_but_through_its_functions(clinic: Clinic, table: str, role: Role) -> None:
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


def test_functions_with_their_owners_rights_pin_their_search_path_and_bypass_nothing(
    catalogue: psycopg.Connection,
) -> None:
    found = catalogue.execute("""
        select proname::text, array_to_string(proconfig, ' ') ~ 'search_path=pg_catalog, pg_temp', rolname::text
        from pg_proc join pg_roles on pg_roles.oid = proowner
        where prosecdef and pronamespace = 'audit'::regnamespace and rolname = 'scheduler_definer' order by 1
    """).fetchall()
    names = ("find_actions", "record_changes", "record_event", "record_read", "record_system", "seal")
    assert found == [(name, True, "scheduler_definer") for name in names]
    assert catalogue.execute(
        "select rolbypassrls, rolsuper, rolcanlogin, has_schema_privilege(oid, 'audit', 'create')"
        " from pg_roles where rolname = 'scheduler_definer'"
    ).fetchone() == (False, False, False, False)


# Months


def months(connection: psycopg.Connection) -> list[str]:
    found = connection.execute("""
        select replace(part::text, 'audit.user_action_audit_log_', '')
            || ' ' || to_char(ends_at at time zone 'UTC', 'YYYY_MM')
        from audit.partitions('user_action_audit_log')
    """)
    return [name for (name,) in found]


def test_there_is_a_month_for_now_and_some_ahead_and_making_them_again_makes_none(database: Database) -> None:
    with database.unit_of_work(role=Role.SYSTEM, tenant_id=None) as session:
        assert ensure_log_months(session, ahead=3) == 0
        assert ensure_log_months(session, ahead=4) == 2
        session.connection().execute(text("select 1"))
        session.rollback()


def test_a_log_without_a_month_still_writes_and_the_month_is_mended(catalogue: psycopg.Connection) -> None:
    """Nobody sealed for months: rows go to the rest; then they go to their months, as they are."""
    whole = months(catalogue)
    catalogue.execute("set timezone = 'UTC'")
    for (part,) in catalogue.execute("select part::text from audit.partitions('user_action_audit_log')").fetchall():
        catalogue.execute(f"drop table {part}".encode())
    tenant = uuid4()
    become(catalogue, Role.OWNER, None, USER)
    catalogue.execute("insert into identity.tenants (id, slug, name) values (%s, %s, 'T')", (tenant, str(tenant)))
    where = "select tableoid::regclass::text, one.* from audit.user_action_audit_log one where tenant_id = %s"
    ((rest, *row),) = catalogue.execute(where, (tenant,)).fetchall()
    assert rest == "audit.user_action_audit_log_rest"
    assert catalogue.execute("select audit.ensure_months(3)").fetchone() == (4,)
    ((month, *same),) = catalogue.execute(where, (tenant,)).fetchall()
    assert (month.removeprefix("audit.user_action_audit_log_"), same) == (whole[0].split()[0], row)
    assert months(catalogue) == whole
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        catalogue.execute("truncate audit.user_action_audit_log_rest")


def test_rows_of_a_clock_that_ran_behind_do_not_stop_the_months(catalogue: psycopg.Connection) -> None:
    """Beside a row of the month that is missing: no one partition could hold both."""
    tenant, log = uuid4(), "audit.system_audit_log"
    catalogue.execute("set timezone = 'UTC'")
    catalogue.execute(
        f"insert into {log} (tenant_id, db_role, event, occurred_at)"
        " select %s, 'somebody', 'clock.wrong', at from audit.partitions('system_audit_log'),"
        " unnest(array['1970-01-01', ends_at]) as at order by ends_at desc limit 2".encode(),
        (tenant,),
    )
    where = f"select one.*, tableoid::regclass::text from {log} one where tenant_id = %s order by occurred_at".encode()
    before = catalogue.execute(where, (tenant,)).fetchall()
    ahead = "(select count(*)::int from audit.partitions('system_audit_log'))"
    assert catalogue.execute(f"select audit.ensure_months({ahead})".encode()).fetchone() == (2,)
    after = catalogue.execute(where, (tenant,)).fetchall()
    assert [row[:-1] for row in after] == [row[:-1] for row in before]
    assert [row[-1] == f"{log}_rest" for row in before + after] == [True, True, True, False]


def test_rows_of_a_clock_that_ran_ahead_do_not_stop_the_months(catalogue: psycopg.Connection) -> None:
    """Each seal makes months: were it refused here, no tenant's log would ever be sealed again."""
    tenant = uuid4()
    catalogue.execute("set timezone = 'UTC'")
    catalogue.execute(
        "insert into audit.system_audit_log (tenant_id, db_role, event, occurred_at)"
        " select %s, 'somebody', 'clock.ahead', max(ends_at) + one * interval '1 month'"
        " from audit.partitions('system_audit_log'), generate_series(0, 1) as one group by one",
        (tenant,),
    )
    where = "select tableoid::regclass::text from audit.system_audit_log where tenant_id = %s"
    assert set(catalogue.execute(where, (tenant,))) == {("audit.system_audit_log_rest",)}
    ahead = "select count(*)::int + 3 from audit.partitions('system_audit_log')"
    catalogue.execute(f"select audit.ensure_months(({ahead}))".encode())
    assert ("audit.system_audit_log_rest",) not in set(catalogue.execute(where, (tenant,)))
    forced = "select count(*) from pg_class where relname ^@ 'system_audit_log' and relkind = 'r' and not {}"
    assert catalogue.execute(forced.format("relforcerowsecurity").encode()).fetchone() == (0,)


@pytest.mark.parametrize("ahead", ["-1", "121", "null"])
def test_months_that_cannot_be_meant_are_not_made(catalogue: psycopg.Connection, ahead: str) -> None:
    with pytest.raises(psycopg.errors.InvalidParameterValue):
        catalogue.execute(f"select audit.ensure_months({ahead})".encode())


def test_an_entry_is_found_by_its_row_under_row_security(clinic: Clinic, database_url: str) -> None:
    """Leakproof operators only, and the tenant first: so the index serves those whom row security binds."""
    clinic.act("select audit.record_read('a.b', array(select g::text from generate_series(1, 2000) g), '{c}', 'test')")
    execute(database_url, "analyze audit.user_action_audit_log")
    asked = "explain select 1 from audit.user_action_audit_log where entity = 'a.b' and entity_key = '7'"
    with clinic.database.unit_of_work(role=Role.SYSTEM, tenant_id=clinic.tenant) as session:
        plan = "\n".join(session.scalars(text(asked)))
    assert re.search(r"Index Cond: .*entity = 'a\.b'.*entity_key = '7'", plan)
