"""Audit chain: a change that bypasses the triggers is detected and located.

The tamperer is a superuser who switches the triggers off: fewer rights are not enough.
"""

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from time import sleep
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
import pytest
from psycopg.rows import dict_row
from sqlalchemy import make_url, text

from scheduler.core.errors import InvalidInputError
from scheduler.postgres.audit.chain import (
    Broken,
    ChainFault,
    Head,
    Verdict,
    _Seal,
    seal,
    seal_both,
    verify,
)
from scheduler.postgres.audit.log import ensure_log_months, entries, retire
from scheduler.postgres.audit.reads import read_log_of
from scheduler.postgres.audit.row_digest import Log, digest_of_row
from scheduler.postgres.database import Database, Role
from scheduler.postgres.errors import StatementError, StoreError
from support.databases import execute

pytestmark = pytest.mark.database

USERS = "audit.user_action_audit_log"
SYSTEMS = "audit.system_audit_log"
USER = UUID(int=7)
NOTE = "select audit.record_read('placement.clients', array[:key], '{name}', 'treatment')"


class Chained(NamedTuple):
    """A tenant with a log to write, seal, verify and tamper with."""

    database: Database
    url: str
    tenant: UUID

    def write(self, *keys: str) -> None:
        for key in keys:
            with self.database.unit_of_work(role=Role.SYSTEM, tenant_id=self.tenant, user_id=USER) as session:
                session.execute(text(NOTE), {"key": key})

    def seal(self, log: Log = Log.USER_ACTION) -> tuple[int, Head]:
        with self.database.unit_of_work(role=Role.SYSTEM, tenant_id=self.tenant) as session:
            return seal(session, log)

    def verify(self, log: Log = Log.USER_ACTION, known: Head | None = None, keep_years: int = 6) -> Verdict:
        with self.database.unit_of_work(role=Role.SYSTEM, tenant_id=self.tenant) as session:
            return verify(session, log, now=datetime.now(UTC), keep_years=keep_years, known=known)

    def tamper(self, *statements: str, **values: Any) -> None:
        """Bypass the triggers as a superuser; `{ours}` is a condition for this tenant's rows."""
        with psycopg.connect(self.url) as connection:
            connection.execute("set session_replication_role = replica")
            for statement in statements:
                connection.execute(statement.replace("{ours}", f"tenant_id = '{self.tenant}'").encode(), values)

    def ids(self) -> list[int]:
        with self.database.unit_of_work(role=Role.SYSTEM, tenant_id=self.tenant) as session:
            return list(session.scalars(text(f"select id from {USERS} order by id")))

    def broken(self, *, known: Head | None = None) -> Broken | None:
        return self.verify(known=known).broken


@pytest.fixture
def clinic(database: Database, database_url: str, tenant_id: UUID) -> Chained:
    return Chained(database, database_url, tenant_id)


@pytest.fixture
def sealed(clinic: Chained) -> Chained:
    """Five rows in two seals, the second after all earlier transactions on the server have ended."""
    clinic.write("1", "2", "3")
    clinic.seal()
    clinic.write("4", "5")
    with psycopg.connect(clinic.url, autocommit=True) as connection:
        written = connection.execute("select pg_current_xact_id()").fetchone()
        assert written is not None
        for _ in range(600):  # another test's transaction, on a server that tests share
            if connection.execute("select pg_snapshot_xmin(pg_current_snapshot()) > %s", written).fetchone() == (True,):
                break
            sleep(0.1)
    clinic.seal()
    return clinic


def position_of(broken: Broken | None) -> tuple[ChainFault, int | None, int | None]:
    assert broken is not None
    return broken.fault, broken.position, broken.row_id


def test_a_log_that_nobody_touched_verifies_to_its_head(clinic: Chained) -> None:
    clinic.write("1", "2", "3")
    count, head = clinic.seal()
    assert (count, head.position) == (3, 3)
    assert clinic.verify() == Verdict(head)


def test_both_logs_have_a_chain_each(clinic: Chained) -> None:
    clinic.write("1")
    with clinic.database.unit_of_work(role=Role.SYSTEM, tenant_id=clinic.tenant) as session:
        done = seal_both(session)
    assert {log: (count, head.position) for log, (count, head) in done.items()} == {
        Log.USER_ACTION: (1, 1),
        Log.SYSTEM: (1, 1),  # the creation of the tenant
    }
    assert [clinic.verify(log).broken for log in Log] == [None, None]


def test_sealing_both_logs_creates_their_next_months(clinic: Chained) -> None:
    last_month = "select part::text from audit.partitions('system_audit_log') order by begins_at desc limit 1"
    with psycopg.connect(clinic.url) as connection:
        (month,) = connection.execute(last_month).fetchone() or ("none",)
        connection.execute(f"drop table {month}".encode())
    with clinic.database.unit_of_work(role=Role.SYSTEM, tenant_id=clinic.tenant) as session:
        seal_both(session)
        assert session.scalar(text(f"select to_regclass('{month}')::text")) == month


def test_sealing_again_goes_on_where_the_last_seal_ended(sealed: Chained) -> None:
    assert sealed.seal()[0] == 0
    sealed.write("6")
    assert (sealed.seal()[0], sealed.verify().head.position, sealed.broken()) == (1, 6, None)


def test_a_log_without_rows_verifies(clinic: Chained) -> None:
    assert clinic.seal() == (0, Head(Log.USER_ACTION, 0, bytes(32)))
    assert clinic.broken() is None


def test_rows_that_are_not_sealed_yet_are_no_fault(sealed: Chained) -> None:
    sealed.write("6", "7")
    assert sealed.broken() is None


CHANGES = {
    "user_id": "gen_random_uuid()",
    "db_role": "'me'",
    "action": "'insert'",
    "entity": "'placement.others'",
    "entity_key": "'9'",
    "before": "'{}'",
    "after": "'{\"a\": null}'",
    "details": "details - 'reason'",
    "request_id": "'other'",
    "client_address": "'10.0.0.1'",
    "user_agent": "'other'",
    "transaction_id": "transaction_id + 1",
    "occurred_at": "occurred_at + interval '1 microsecond'",
    "id": "id + 1000000",
}


@pytest.mark.parametrize("column", CHANGES)
def test_a_changed_value_is_found_in_whichever_column(sealed: Chained, column: str) -> None:
    third = sealed.ids()[2]
    sealed.tamper(f"update {USERS} set {column} = {CHANGES[column]} where {{ours}} and id = {third}")
    fault = ChainFault.MISSING if column in {"id", "occurred_at"} else ChainFault.CHANGED
    assert position_of(sealed.broken()) == (fault, 3, third)


@pytest.mark.parametrize("log", Log)
@pytest.mark.parametrize("column", ["before", "after", "details"])
def test_a_null_of_json_in_place_of_no_value_is_found(clinic: Chained, log: Log, column: str) -> None:
    clinic.write("1")
    clinic.tamper(f"update audit.{log}_audit_log set {column} = null where {{ours}}")
    clinic.seal(log)
    clinic.tamper(f"update audit.{log}_audit_log set {column} = 'null' where {{ours}}")
    assert position_of(clinic.verify(log).broken)[:2] == (ChainFault.CHANGED, 1)


def test_every_column_of_a_log_is_in_the_digest(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        columns = connection.execute(
            "select attname::text from pg_attribute where attrelid = %s::regclass and attnum > 0", (USERS,)
        ).fetchall()
    assert {name for (name,) in columns} == {*CHANGES, "tenant_id"}


@pytest.mark.parametrize("change", ["event = 'other'", "severity = 'critical'", "after = null", "db_role = 'me'"])
def test_a_changed_event_is_found(clinic: Chained, change: str) -> None:
    clinic.seal(Log.SYSTEM)
    clinic.tamper(f"update {SYSTEMS} set {change} where {{ours}}")
    assert position_of(clinic.verify(Log.SYSTEM).broken)[:2] == (ChainFault.CHANGED, 1)


def test_a_deleted_row_is_found(sealed: Chained) -> None:
    second = sealed.ids()[1]
    sealed.tamper(f"delete from {USERS} where {{ours}} and id = {second}")
    assert position_of(sealed.broken()) == (ChainFault.MISSING, 2, second)


def test_the_first_of_several_faults_is_named(sealed: Chained) -> None:
    ids = sealed.ids()
    sealed.tamper(f"delete from {USERS} where {{ours}} and id in ({ids[4]}, {ids[3]}, {ids[1]})")
    assert position_of(sealed.broken()) == (ChainFault.MISSING, 2, ids[1])


COPY = (
    f"insert into {USERS} (tenant_id, id, occurred_at, user_id, db_role, action, entity, entity_key, transaction_id)"
    f" select tenant_id, 900000, {{at}}, user_id, db_role, action, entity, 'forged', {{xid}} from {USERS}"
    " where {{ours}} order by id limit 1"
)


@pytest.mark.parametrize(
    ("at", "xid"),
    [
        ("occurred_at + interval '1 microsecond'", "transaction_id"),
        ("occurred_at - interval '2 days'", "pg_current_xact_id()::text::bigint"),
    ],
    ids=["as of an old transaction", "as of an old day"],
)
def test_a_row_put_in_after_its_time_is_found_and_never_sealed(sealed: Chained, at: str, xid: str) -> None:
    sealed.tamper(COPY.format(at=at, xid=xid).replace("{{", "{").replace("}}", "}"))
    assert position_of(sealed.broken()) == (ChainFault.INSERTED, None, 900000)
    assert sealed.seal()[0] == 0
    assert position_of(sealed.broken()) == (ChainFault.INSERTED, None, 900000)


def test_two_rows_that_change_places_are_found(sealed: Chained) -> None:
    first, second = sealed.ids()[:2]
    sealed.tamper(
        f"create temp table other on commit drop as select id, entity_key from {USERS} where {{ours}}",
        f"update {USERS} e set entity_key = other.entity_key from other"
        f" where {{ours}} and e.id in ({first}, {second}) and other.id = {first} + {second} - e.id",
    )
    assert position_of(sealed.broken()) == (ChainFault.CHANGED, 1, first)


def test_two_seals_that_change_places_are_found(sealed: Chained) -> None:
    sealed.tamper(
        "update audit.chain set position = 100 where {ours} and position = 2",
        "update audit.chain set position = 2 where {ours} and position = 3",
        "update audit.chain set position = 3 where {ours} and position = 100",
    )
    assert position_of(sealed.broken())[:2] == (ChainFault.SEAL_CHANGED, 2)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("row_digest", "sha256('other')"),
        ("digest", "sha256('other')"),
        ("row_id", "row_id + 1000000"),
        ("row_occurred_at", "row_occurred_at - interval '1 second'"),
        ("sealed_at", "sealed_at - interval '1 year'"),
        ("sealed_below", "0"),
        ("server", "'another'"),
    ],
)
def test_a_changed_seal_is_found_in_whichever_column(sealed: Chained, column: str, value: str) -> None:
    sealed.tamper(f"update audit.chain set {column} = {value} where {{ours}} and position = 3")
    assert position_of(sealed.broken())[:2] == (ChainFault.SEAL_CHANGED, 3)


@pytest.mark.parametrize(("removed", "named"), [(1, 2), (3, 4)])
def test_a_missing_seal_is_found(sealed: Chained, removed: int, named: int) -> None:
    sealed.tamper(f"delete from audit.chain where {{ours}} and position = {removed}")
    assert position_of(sealed.broken())[:2] == (ChainFault.SEAL_MISSING, named)


def forge(clinic: Chained, position: int, last: int) -> None:
    """Change the row at a position, and recompute its seal and the following seals up to the last given entry."""
    with psycopg.connect(clinic.url, row_factory=dict_row) as connection:
        connection.execute("set session_replication_role = replica")
        chain = connection.execute(
            "select * from audit.chain where tenant_id = %s and log = 'user_action' order by position", (clinic.tenant,)
        ).fetchall()
        connection.execute(
            f"update {USERS} set entity_key = 'forged' where tenant_id = %s and id = %s".encode(),
            (clinic.tenant, chain[position - 1]["row_id"]),
        )
        head = Head(Log.USER_ACTION, position - 1, chain[position - 2]["digest"])
        for place in chain[position - 1 : last]:
            now = connection.execute(
                f"select {digest_of_row(Log.USER_ACTION)} as digest from {USERS} as entry"
                " where tenant_id = %s and id = %s".encode(),
                (clinic.tenant, place["row_id"]),
            ).fetchone()
            assert now is not None
            at = _Seal(**{name: place[name] for name in _Seal.__slots__})
            head = Head(head.log, at.position, at.digest(head, now["digest"], clinic.tenant))
            connection.execute(
                "update audit.chain set row_digest = %s, digest = %s"
                " where tenant_id = %s and log = %s and position = %s",
                (now["digest"], head.digest, clinic.tenant, head.log, head.position),
            )


@pytest.mark.parametrize("last", [2, 3, 4])
def test_a_row_forged_with_its_seals_is_found_at_the_next_true_seal(sealed: Chained, last: int) -> None:
    """Each forged seal is right by itself; the next seal was made over the original entry."""
    forge(sealed, 2, last)
    assert position_of(sealed.broken())[:2] == (ChainFault.SEAL_CHANGED, last + 1)


def test_a_function_of_the_search_path_does_not_verify_the_log(sealed: Chained) -> None:
    """The owner of a database chooses its path, and so functions in place of PostgreSQL's own."""
    first, name = sealed.ids()[0], make_url(sealed.url).database
    sealed.tamper(
        "create schema elsewhere",
        "grant usage on schema elsewhere to scheduler_system",
        f"create table elsewhere.digests as select row_digest from audit.chain where {{ours}} and row_id = {first}",
        "grant select on elsewhere.digests to scheduler_system",
        "create function elsewhere.sha256(bytea) returns bytea language sql return"
        " (select case when strpos(convert_from($1, 'UTF8'), 'forged') = 0 then pg_catalog.sha256($1)"
        " else row_digest end from elsewhere.digests)",
        f"update {USERS} set entity_key = 'forged' where {{ours}} and id = {first}",
    )
    try:
        execute(sealed.url, f"alter database {name} set search_path = elsewhere, pg_catalog")
        with Database(sealed.url) as database:
            verdict = sealed._replace(database=database).verify()
    finally:
        execute(sealed.url, f"alter database {name} reset search_path", "drop schema elsewhere cascade")
    assert position_of(verdict.broken) == (ChainFault.CHANGED, 1, first)


PRIMARY_KEY = "add constraint user_action_audit_log_pkey primary key (tenant_id, occurred_at, id)"
NO_PRIMARY_KEY = "drop constraint user_action_audit_log_pkey"
TRANSACTION = "default (pg_current_xact_id()::text)::bigint"
ALTERED = [
    (f"column {USERS}.db_role: is", "alter db_role type varchar", "alter db_role type text"),
    (
        f"column {USERS}.transaction_id: is",
        "alter transaction_id drop not null, alter transaction_id drop default",
        f"alter transaction_id set not null, alter transaction_id set {TRANSACTION}",
    ),
    (f"constraint {USERS}.user_action_audit_log_pkey: is missing", NO_PRIMARY_KEY, PRIMARY_KEY),
    (
        f"constraint {USERS}.user_action_audit_log_pkey: is invalid",
        f"{NO_PRIMARY_KEY}; alter table only {USERS} {PRIMARY_KEY}",
        f"{NO_PRIMARY_KEY}; alter table {USERS} {PRIMARY_KEY}",
    ),
    (
        f"policy {USERS}.but_not_this_one: is unexpected",
        f"force row level security; create policy but_not_this_one on {USERS} as restrictive using (id <> 3)",
        f"force row level security; drop policy but_not_this_one on {USERS}",
    ),
    (
        "function identity.current_tenant_id(): is",
        "force row level security; alter function identity.current_tenant_id() volatile",
        "force row level security; alter function identity.current_tenant_id() stable",
    ),
]


@pytest.mark.parametrize(("named", "altering", "undoing"), ALTERED)
def test_a_log_whose_schema_is_not_as_shipped_is_a_fault(
    clinic: Chained, named: str, altering: str, undoing: str
) -> None:
    """Behind such a change, the true digests say nothing about what a reader sees, or rows are never sealed."""
    execute(clinic.url, f"alter table {USERS} {altering}")
    try:
        broken = [clinic.verify(log).broken for log in Log]
    finally:
        execute(clinic.url, f"alter table {USERS} {undoing}")
    assert [position_of(each) for each in broken] == [(ChainFault.ALTERED, None, None)] * 2
    assert f"the log cannot be verified: the schema is not that of this release: {named}" in str(broken[0])
    assert clinic.broken() is None


def test_a_value_that_no_reader_can_read_is_a_fault(sealed: Chained) -> None:
    """The catalogue says that the value cannot be there."""
    with psycopg.connect(sealed.url) as connection:
        found = connection.execute(
            "select pg_get_constraintdef(oid) from pg_constraint where conrelid = 'audit.chain'::regclass"
            " and conname = 'its_times_are_in_the_calendar'"
        ).fetchone()
    assert found is not None
    sealed.tamper(
        "alter table audit.chain drop constraint its_times_are_in_the_calendar",
        "update audit.chain set row_occurred_at = 'infinity' where {ours} and position = 3",
        f"alter table audit.chain add constraint its_times_are_in_the_calendar {found[0]} not valid",
        "update pg_constraint set convalidated = true where conrelid = 'audit.chain'::regclass",
    )
    try:
        with sealed.database.unit_of_work(role=Role.SYSTEM, tenant_id=sealed.tenant) as session:
            users, systems = (verify(session, log, now=datetime.now(UTC)).broken for log in Log)
    finally:
        sealed.tamper("delete from audit.chain where {ours}")
    assert (position_of(users)[0], systems) == (ChainFault.UNREADABLE, None)
    assert "or a later one cannot be read" in str(users)


@pytest.mark.parametrize("table", ["audit.chain", USERS])
def test_a_view_in_place_of_a_table_is_found(sealed: Chained, table: str) -> None:
    execute(
        sealed.url,
        f"alter table {table} rename to elsewhere",
        f"create view {table} as select * from audit.elsewhere",
        f"grant select on {table}, audit.elsewhere to scheduler_system",
    )
    try:
        broken = sealed.broken()
    finally:
        execute(sealed.url, f"drop view {table}", f"alter table audit.elsewhere rename to {table.split('.')[1]}")
    assert position_of(broken) == (ChainFault.REPLACED, None, None)
    assert str(broken).startswith("the log cannot be verified")
    assert sealed.broken() is None


def test_a_chain_forged_to_its_end_is_found_only_by_the_head(sealed: Chained) -> None:
    head = sealed.verify().head
    forge(sealed, 2, 5)
    assert sealed.broken() is None
    assert position_of(sealed.broken(known=head)) == (ChainFault.TAIL_CUT, 5, None)


def cut(clinic: Chained, position: int) -> None:
    clinic.tamper(
        f"delete from {USERS} e using audit.chain c where e.tenant_id = '{clinic.tenant}'"
        f" and c.tenant_id = e.tenant_id and c.log = 'user_action' and c.row_id = e.id and c.position > {position}",
        f"delete from audit.chain where {{ours}} and log = 'user_action' and position > {position}",
    )


def test_a_cut_off_tail_is_found_only_by_the_head(sealed: Chained) -> None:
    head = sealed.verify().head
    cut(sealed, 3)
    assert sealed.broken() is None
    assert position_of(sealed.broken(known=head)) == (ChainFault.TAIL_CUT, 5, None)


def test_a_tail_that_was_cut_off_and_regrew_is_found_by_the_head(sealed: Chained) -> None:
    head = sealed.verify().head
    cut(sealed, 3)
    sealed.write("6", "7", "8")
    sealed.seal()
    assert sealed.broken() is None
    assert position_of(sealed.broken(known=head)) == (ChainFault.TAIL_CUT, 5, None)


def test_an_old_head_is_accepted_when_the_chain_contains_it(clinic: Chained) -> None:
    clinic.write("1", "2")
    early = clinic.seal()[1]
    clinic.write("3")
    clinic.seal()
    assert clinic.broken(known=early) is None


def test_an_interrupted_sealing_leaves_nothing(clinic: Chained) -> None:
    clinic.write("1", "2")

    def crash() -> None:
        with clinic.database.unit_of_work(role=Role.SYSTEM, tenant_id=clinic.tenant) as session:
            assert seal(session, Log.USER_ACTION)[0] == 2
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        crash()
    assert clinic.verify().head.position == 0
    assert clinic.seal()[0] == 2
    assert clinic.broken() is None


def test_a_second_sealer_waits_for_the_first_and_seals_no_row_again(clinic: Chained) -> None:
    clinic.write("1", "2", "3")
    with ThreadPoolExecutor(1) as pool:
        with clinic.database.unit_of_work(role=Role.SYSTEM, tenant_id=clinic.tenant) as session:
            first, _ = seal(session, Log.USER_ACTION)
            second = pool.submit(clinic.seal)
            wait_for_a_lock(clinic.url, second)
            clinic.write("4")
        assert (first, second.result()[0]) == (3, 1)
    assert clinic.verify().head.position == 4
    assert clinic.broken() is None


def wait_for_a_lock(url: str, waiting: Future[Any]) -> None:
    """Return when a statement in the database waits for a lock, or when the work is done without waiting."""
    query = "select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    with psycopg.connect(url, autocommit=True) as connection:
        while not waiting.done() and connection.execute(query).fetchone() is None:
            sleep(0.01)


def test_a_row_committed_after_a_seal_is_sealed_by_the_next(clinic: Chained) -> None:
    """Its id is lower than that of a sealed row: ids are drawn before the commit."""
    with clinic.database.unit_of_work(role=Role.SYSTEM, tenant_id=clinic.tenant, user_id=USER) as session:
        session.execute(text(NOTE), {"key": "slow"})
        clinic.write("quick")
        assert clinic.seal()[0] == 1
    assert clinic.broken() is None
    assert clinic.seal()[0] == 1
    assert clinic.broken() is None


def test_a_tenant_seals_its_own_rows_only(sealed: Chained, database: Database, database_url: str) -> None:
    stranger = Chained(database, database_url, UUID(int=99))
    assert stranger.seal() == (0, Head(Log.USER_ACTION, 0, bytes(32)))
    assert stranger.verify().head.position == 0
    assert sealed.verify().head.position == 5


@pytest.mark.parametrize(("server_id", "faults"), [("another", 0), ("this one", 1)])
def test_a_restored_dump_counts_transactions_anew(clinic: Chained, server_id: str, faults: int) -> None:
    """Transaction numbers below the last seal's are a fault on the same server, but not on another."""
    clinic.write("1")
    clinic.seal()
    with psycopg.connect(clinic.url, row_factory=dict_row) as connection:
        chain = "audit.chain where tenant_id = %s and log = 'user_action'"
        place = connection.execute(f"select * from {chain}".encode(), (clinic.tenant,)).fetchone()
        assert place is not None
        forged = _Seal(**{name: place[name] for name in _Seal.__slots__} | {"sealed_below": 9_000_000_000})
        forged = replace(forged, server=forged.server if faults else server_id)
        digest = forged.digest(Head(Log.USER_ACTION, 0, bytes(32)), place["row_digest"], clinic.tenant)
        connection.execute("set session_replication_role = replica")
        connection.execute(
            "update audit.chain set sealed_below = %s, server = %s, digest = %s where tenant_id = %s and log = %s",
            (forged.sealed_below, forged.server, digest, clinic.tenant, Log.USER_ACTION),
        )
    clinic.write("2")
    assert (clinic.broken() is not None) == bool(faults)
    assert clinic.seal()[0] == 1 - faults


FORGED = """
    insert into audit.chain
        (tenant_id, log, position, row_id, row_occurred_at, row_digest, sealed_at, sealed_below, server, digest)
    values (:tenant, 'user_action', 9, 1, now(), sha256('a'), now() + interval '1 year', 1, 'a', sha256('b'))
"""


@pytest.mark.parametrize("role", [Role.APP, Role.JOB, Role.SYSTEM])
def test_a_seal_cannot_be_inserted_by_hand(sealed: Chained, role: Role) -> None:
    """A wrong or future seal would be reported as tampering, or stop sealing, for good."""
    with (
        pytest.raises(StatementError, match=r"permission denied in .*: the role lacks a privilege on table chain"),
        sealed.database.unit_of_work(role=role, tenant_id=sealed.tenant) as session,
    ):
        session.execute(text(FORGED), {"tenant": sealed.tenant})


@pytest.mark.parametrize("role", [Role.APP, Role.JOB])
def test_only_the_system_seals(clinic: Chained, role: Role) -> None:
    with (
        pytest.raises(StatementError, match=r"permission denied in .*: the role lacks a privilege on function seal"),
        clinic.database.unit_of_work(role=role, tenant_id=clinic.tenant) as session,
    ):
        seal(session, Log.USER_ACTION)


@pytest.mark.parametrize("log", ["diary", None])
def test_sealing_an_unknown_log_is_refused(clinic: Chained, log: str | None) -> None:
    with (
        pytest.raises(StatementError, match=r"\(22023\)$"),
        clinic.database.unit_of_work(role=Role.SYSTEM, tenant_id=clinic.tenant) as session,
    ):
        session.execute(text("select audit.seal(:log)"), {"log": log})


def edit_sealing(url: str, before: str, after: str) -> None:
    """Change the function that seals, as only the database's owner can."""
    edited = f"replace(pg_get_functiondef('audit.seal(text)'::regprocedure), $a${before}$a$, $a${after}$a$)"
    execute(url, f"do $$ begin execute {edited}; end $$")


@pytest.mark.parametrize(
    ("honest", "lie"),
    [
        ("now_at := clock_timestamp();", "now_at := clock_timestamp() - interval '3 days';"),
        ("ended_below := pg_snapshot_xmin", "ended_below := 3; perform pg_snapshot_xmin"),
        ("(select system_identifier from", "(select 'elsewhere' from"),
    ],
)
def test_backdated_seals_are_refused_when_they_are_made(clinic: Chained, honest: str, lie: str) -> None:
    """Behind such a seal old rows could be inserted, and no later verification would tell."""
    clinic.write("1")
    edit_sealing(clinic.url, honest, lie)
    try:
        with pytest.raises(StoreError, match="another server or an earlier time"):
            clinic.seal()
    finally:
        edit_sealing(clinic.url, lie, honest)
    assert clinic.seal()[0] == 1


def test_the_digest_of_a_row_is_the_same_on_every_server(clinic: Chained) -> None:
    """A fixed row has a fixed digest on each server version, in each zone and locale."""
    clinic.tamper(
        f"""insert into {USERS} values ('{clinic.tenant}', 12, '2027-03-28 01:30:00.000001+02', '{USER}',
            'scheduler_app', 'update', 'a.b', '1', '{{"b": 1.50, "aa": [null, true, "\u00e9"]}}', null, '{{}}',
            'r', '::1', 'u', 42)"""
    )
    with clinic.database.unit_of_work(role=Role.SYSTEM, tenant_id=clinic.tenant) as session:
        session.execute(text("set local timezone = 'Asia/Kathmandu'"))
        session.execute(text("set local datestyle = 'German'"))
        expression = digest_of_row(Log.USER_ACTION).replace("entry.tenant_id", f"'{UUID(int=1)}'::uuid")
        rows = session.execute(text(f"select encode({expression}, 'hex') from {USERS} as entry where id = 12")).all()
    assert [tuple(row) for row in rows] == [("e08e478539df21e69298028d49c5736e748020ab1e411a3d0ce19c52b7661199",)]


# Retention


WAITING = f"""
    select exists (select from pg_locks where relation = '{USERS}'::regclass and not granted
        and database = (select oid from pg_database where datname = current_database()))
"""


def old_month(clinic: Chained) -> None:
    """Give both logs a month of 2019, with two sealed rows of this tenant in the users' log."""
    execute(
        clinic.url,
        "drop table if exists audit.user_action_audit_log_2019_05",
        "call audit.create_partition('user_action_audit_log', 'user_action_audit_log_2019_05')",
        f"alter table {USERS} attach partition audit.user_action_audit_log_2019_05"
        " for values from ('2019-05-01Z') to ('2019-06-01Z')",
        f"insert into {USERS} (tenant_id, occurred_at, user_id, db_role, action, entity, entity_key)"
        f" select '{clinic.tenant}', '2019-05-02Z', '{USER}', 'scheduler_app', 'read', 'a.b', g::text"
        " from generate_series(1, 2) g",
    )


def retired(clinic: Chained, *, now: datetime, keep_years: int = 6) -> list[tuple[str, int]]:
    with clinic.database.unit_of_work(role=Role.OWNER, tenant_id=None) as session:
        return [tuple(month) for month in retire(session, now=now, keep_years=keep_years)]  # type: ignore[misc]


def test_a_month_is_retired_when_all_of_it_is_old_and_the_chain_holds(clinic: Chained) -> None:
    old_month(clinic)
    clinic.seal()
    clinic.write("3")
    head = clinic.seal()[1]
    assert retired(clinic, now=datetime(2025, 5, 31, tzinfo=UTC)) == []
    june_in_tonga = datetime(2025, 6, 1, 12, tzinfo=timezone(timedelta(hours=13)))
    assert retired(clinic, now=june_in_tonga) == []  # months are those of UTC, where it is May
    assert retired(clinic, now=datetime(2025, 6, 1, tzinfo=UTC)) == [("audit.user_action_audit_log_2019_05", 2)]
    assert clinic.verify(known=head) == Verdict(head, retired=2)
    assert clinic.verify(Log.SYSTEM).broken is None
    with clinic.database.unit_of_work(role=Role.SYSTEM, tenant_id=clinic.tenant) as session:
        assert "audit.retired" in [entry.action for entry in entries(session, most=5)]


def test_a_month_is_excused_only_behind_the_years_that_are_kept(clinic: Chained) -> None:
    old_month(clinic)
    clinic.seal()
    retired(clinic, now=datetime.now(UTC))
    assert clinic.verify(keep_years=6).broken is None
    assert position_of(clinic.verify(keep_years=60).broken)[:2] == (ChainFault.MISSING, 1)
    with pytest.raises(InvalidInputError, match="at least 6 years"):
        clinic.verify(keep_years=5)


MAY_2019 = """
    select jsonb_build_object('log', 'user_action', 'part', 'audit.user_action_audit_log_2019_05',
        'retired_from', '2019-05-01T00:00:00+00:00', 'retired_before', '2019-06-01T00:00:00+00:00',
        'rows', count(*), 'digest', encode(sha256(string_agg(digest, '' order by position)), 'hex'))
    from audit.chain where {ours} and log = 'user_action' and row_occurred_at < '2020-01-01'
"""


def retire_by_hand(clinic: Chained, change: str, *, details: str, seal: bool) -> None:
    """Change the log as its owner can: past the triggers, with an event of a retirement that looks right."""
    event = (
        "insert into audit.system_audit_log (tenant_id, db_role, event, details)"
        f" select '{clinic.tenant}', 'postgres', 'audit.retired', ({MAY_2019} and {{kept}}) || '{details}'"
    )
    clinic.tamper(
        event.replace(
            "{kept}",
            "row_id in (select min(id) from audit.user_action_audit_log where {ours})"
            if "min(id)" in change
            else "true",
        ),
        change,
    )
    if seal:
        clinic.seal(Log.SYSTEM)


FIRST = f"delete from {USERS} where {{ours}} and id = (select min(id) from {USERS} where {{ours}})"
BOTH = f"delete from {USERS} where {{ours}}"


@pytest.mark.parametrize(
    ("change", "details", "seal", "excused"),
    [
        (BOTH, "{}", True, True),
        (BOTH, "{}", False, False),
        (FIRST, "{}", True, False),
        (BOTH, '{"rows": 1}', True, False),
        (BOTH, '{"digest": "00"}', True, False),
        (BOTH, '{"digest": null}', True, False),
        (BOTH, '{"retired_from": "2019-05-02T12:00:00+00:00"}', True, False),
        (BOTH, '{"retired_before": "2090-06-01T00:00:00+00:00"}', True, False),
        (BOTH, '{"retired_before": "some day"}', True, False),
        (BOTH, '{"retired_before": "2019-06-01T00:00:00"}', True, False),
        (BOTH, '{"log": "system"}', True, False),
    ],
    ids=[
        "as it should be",
        "not sealed",
        "a part of the month",
        "another number",
        "another digest",
        "no digest",
        "another span",
        "within the years that are kept",
        "no time",
        "a time without its zone",
        "another log",
    ],
)
def test_an_invented_retirement_hides_no_deletion(
    clinic: Chained, change: str, details: str, seal: bool, excused: bool
) -> None:
    old_month(clinic)
    clinic.seal()
    retire_by_hand(clinic, change, details=details, seal=seal)
    assert clinic.verify(Log.SYSTEM).broken is None
    fault = clinic.broken()
    assert fault is None if excused else position_of(fault)[:2] == (ChainFault.MISSING, 1)


def test_a_retirement_that_was_rewritten_after_its_seal_excuses_nothing(clinic: Chained) -> None:
    """The event once told of another month; its seal tells that it was changed."""
    old_month(clinic)
    clinic.seal()
    retire_by_hand(clinic, BOTH, details='{"log": "system"}', seal=True)
    assert position_of(clinic.broken())[:2] == (ChainFault.MISSING, 1)
    clinic.tamper(
        f'update {SYSTEMS} set details = details || \'{{"log": "user_action"}}\' where {{ours}}'
        " and event = 'audit.retired'"
    )
    assert position_of(clinic.broken())[:2] == (ChainFault.MISSING, 1)
    assert position_of(clinic.verify(Log.SYSTEM).broken)[0] is ChainFault.CHANGED


def test_the_event_of_a_retirement_outlives_its_own_month(clinic: Chained) -> None:
    """Otherwise the months that it explains would be reported as deleted, six years after they were retired."""
    execute(
        clinic.url,
        "drop table if exists audit.user_action_audit_log_2019_05",
        "call audit.create_partition('system_audit_log', 'system_audit_log_2019_05')",
        f"alter table {SYSTEMS} attach partition audit.system_audit_log_2019_05"
        " for values from ('2019-05-01Z') to ('2019-06-01Z')",
        f"insert into {SYSTEMS} (tenant_id, occurred_at, db_role, event, details) values"
        f" ('{clinic.tenant}', '2019-05-02Z', 'postgres', 'generation.finished', '{{}}'),"
        f" ('{clinic.tenant}', '2019-05-03Z', 'postgres', 'audit.retired', '{{\"rows\": 7}}')",
    )
    clinic.seal(Log.SYSTEM)
    assert retired(clinic, now=datetime.now(UTC)) == [("audit.system_audit_log_2019_05", 1)]
    with clinic.database.unit_of_work(role=Role.SYSTEM, tenant_id=clinic.tenant) as session:
        kept = [entry.details for entry in entries(session, most=9) if entry.action == "audit.retired"]
    assert [details and details["rows"] for details in kept] == [1, 7]
    verdict = clinic.verify(Log.SYSTEM)
    assert (verdict.broken, verdict.retired) == (None, 1)


def test_a_month_that_was_dropped_without_a_word_is_found(clinic: Chained) -> None:
    old_month(clinic)
    clinic.seal()
    execute(clinic.url, "drop table audit.user_action_audit_log_2019_05")
    broken = clinic.broken()
    assert position_of(broken)[:2] == (ChainFault.MISSING, 1)


@pytest.mark.parametrize("sealed_before", [True, False])
def test_a_month_that_is_unsealed_or_incomplete_is_not_retired(clinic: Chained, sealed_before: bool) -> None:
    old_month(clinic)
    if sealed_before:
        clinic.seal()
        clinic.tamper(f"delete from {USERS} where {{ours}} and entity_key = '1'")
    with pytest.raises(StoreError):
        retired(clinic, now=datetime(2030, 1, 1, tzinfo=UTC))
    assert len(clinic.ids()) == 2 - sealed_before
    execute(clinic.url, "drop table audit.user_action_audit_log_2019_05")


def test_a_read_of_a_writing_unit_does_not_wait_for_a_retirement(clinic: Chained) -> None:
    """The retirement waits for the unit's end, and its lock before the read: PostgreSQL sees no deadlock."""
    old_month(clinic)
    clinic.seal()
    with ThreadPoolExecutor(1) as thread:
        unit = clinic.database.unit_of_work(role=Role.SYSTEM, tenant_id=clinic.tenant, user_id=USER, phi=True)
        with unit as session, psycopg.connect(clinic.url, autocommit=True) as other:
            session.execute(text(NOTE), {"key": "1"})
            retiring = thread.submit(retired, clinic, now=datetime(2030, 1, 1, tzinfo=UTC))
            while not retiring.done() and other.execute(WAITING).fetchone() != (True,):
                sleep(0.01)
            read_log_of(session).record("a.b", ["2"], ["c"], reason="treatment")
        assert retiring.result() == [("audit.user_action_audit_log_2019_05", 2)]
    with clinic.database.unit_of_work(role=Role.SYSTEM, tenant_id=None) as session:
        ensure_log_months(session)
        assert session.scalar(text("select current_setting('lock_timeout')")) == "10s"


@pytest.mark.parametrize("keep_years", [5, 0, -1, 3000])
def test_a_month_within_the_retention_period_is_not_retired(clinic: Chained, keep_years: int) -> None:
    with pytest.raises(InvalidInputError):
        retired(clinic, now=datetime(2030, 1, 1, tzinfo=UTC), keep_years=keep_years)


def test_only_the_owner_retires_months(clinic: Chained) -> None:
    for role in (Role.APP, Role.JOB, Role.SYSTEM):
        with (
            pytest.raises(StoreError, match="lacks a privilege on function retire"),
            clinic.database.unit_of_work(role=role, tenant_id=clinic.tenant) as session,
        ):
            retire(session, now=datetime(2030, 1, 1, tzinfo=UTC))
