"""Canary: an invented personal value appears nowhere that a person's value must not.

Encrypted values are not in the database in plaintext. Values in plaintext, because people are searched by them, are in
their own column and nowhere else: not in the audit log, an error or a log line.
"""

import logging
import subprocess
import traceback
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, NoReturn
from uuid import UUID, uuid4

import psycopg
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from psycopg import sql
from sqlalchemy import text
from sqlmodel import Session, SQLModel, col, select

from scheduler.cli.job_metrics import written_metrics
from scheduler.core.errors import SchedulerError
from scheduler.generation import observing
from scheduler.generation.request import Scope
from scheduler.models import Client, Contributor, Medication, PlacementInfo, Specialist
from scheduler.models.encrypted_column import EncryptedColumn
from scheduler.models.registry import METADATA
from scheduler.postgres.audit.chain import seal_both
from scheduler.postgres.database import Database, Request, Role
from scheduler.postgres.encryption import phi
from scheduler.postgres.errors import StatementError
from support.databases import employ, new_tenant
from support.pg_dump import program_for
from support.rows.all_domains import insert_all
from support.worlds.encryption import tenant_keys
from support.worlds.generation import NOW, World, weekly

pytestmark = pytest.mark.database

CANARY = "Zebrafinch-7391"
SPELLINGS = (CANARY.encode(), CANARY.encode().hex().encode(), b64encode(CANARY.encode()).rstrip(b"="))
ENCRYPTED_MODELS = (Specialist, Medication, PlacementInfo, Contributor)


class Placed(NamedTuple):
    """A tenant with the canary in every encrypted column."""

    tenant_id: UUID
    user_id: UUID
    """Who wrote it, and reads it."""
    rows: tuple[SQLModel, ...]


def encrypted_columns(model: type[SQLModel]) -> list[str]:
    columns = METADATA.tables[f"placement.{model.__tablename__}"].columns
    return [column.name for column in columns if isinstance(column.type, EncryptedColumn)]


def everything(url: str) -> bytes:
    """Return the database, with its rows, as `pg_dump` writes it."""
    with psycopg.connect(url) as connection:
        program = program_for(connection.info.server_version // 10_000)
    return subprocess.run([program, "--inserts", url], check=True, capture_output=True).stdout


def found_in(written: bytes) -> list[bytes]:
    return [spelling for spelling in SPELLINGS if spelling in written]


@pytest.fixture(scope="module")
def placed(database: Database, database_url: str) -> Placed:
    """Write the canary through the gateway into every encrypted column of a new row of each table."""
    tenant_id = uuid4()
    keys = tenant_keys(tenant_id)
    with database.unit_of_work(role=Role.OWNER, tenant_id=tenant_id) as session:
        session.execute(text("insert into identity.tenants (id, slug, name) values (:id, :id, 'A')"), {"id": tenant_id})
    with database.unit_of_work(role=Role.SYSTEM, tenant_id=tenant_id) as session:
        keys.ensure(session)
    user_id = employ(database_url, tenant_id)
    with database.unit_of_work(role=Role.APP, tenant_id=tenant_id, user_id=user_id) as session:
        ring = keys.load_ring(session)
        client_id, placement_id = uuid4(), uuid4()
        session.add(Client(tenant_id=tenant_id, id=client_id, first_name="Ann", last_name="Bell"))
        session.flush()
        rows: list[SQLModel] = [
            PlacementInfo(tenant_id=tenant_id, id=placement_id, client_id=client_id),
            Specialist(tenant_id=tenant_id, id=uuid4()),
            Medication(tenant_id=tenant_id, id=uuid4(), client_id=client_id),
            Contributor(tenant_id=tenant_id, id=uuid4(), placement_info_id=placement_id, kind="outside"),
        ]
        for row in rows:
            phi.write(session, ring, row, dict.fromkeys(encrypted_columns(type(row)), CANARY))
            session.flush()
    return Placed(tenant_id, user_id, tuple(rows))


def read_all(session: Session, placed: Placed) -> list[phi.Plaintext]:
    ring = tenant_keys(placed.tenant_id).load_ring(session)
    return [
        clear
        for model in ENCRYPTED_MODELS
        for clear in phi.read(
            session,
            ring,
            session.exec(select(model).where(col(model.tenant_id) == placed.tenant_id)).all(),
            encrypted_columns(model),
            reason="a test",
        )
    ]


def test_the_canary_is_read_back_where_it_was_written(database: Database, placed: Placed) -> None:
    """Otherwise the tests below would find nothing because nothing is stored."""
    with database.unit_of_work(role=Role.APP, tenant_id=placed.tenant_id, user_id=placed.user_id, phi=True) as session:
        opened = read_all(session, placed)
    assert {clear[column] for clear in opened for column in clear.columns} == {CANARY}
    assert sum(len(clear.columns) for clear in opened) > 50


def test_the_canary_is_in_no_dump_after_any_operation(
    database: Database, database_url: str, placed: Placed, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    request = Request("a request", "192.0.2.7", "a browser")
    with database.unit_of_work(
        role=Role.APP, tenant_id=placed.tenant_id, user_id=placed.user_id, request=request, phi=True
    ) as session:
        read_all(session, placed)
        ring = tenant_keys(placed.tenant_id).load_ring(session)
        medication = session.exec(select(Medication).where(col(Medication.tenant_id) == placed.tenant_id)).one()
        phi.write(session, ring, medication, {"name": f"{CANARY} again"})
    with database.unit_of_work(role=Role.SYSTEM, tenant_id=placed.tenant_id) as session:
        seal_both(session)
    written = everything(database_url)
    assert b"placement.medications" in written  # the reads are in the audit log, which is in the dump
    assert found_in(written) == []
    assert CANARY not in caplog.text


@pytest.mark.parametrize("model", ENCRYPTED_MODELS, ids=lambda model: model.__name__)
def test_the_canary_is_in_no_representation_of_rows_and_reads(
    database: Database, placed: Placed, model: type[SQLModel]
) -> None:
    with database.unit_of_work(role=Role.APP, tenant_id=placed.tenant_id, user_id=placed.user_id, phi=True) as session:
        rows: list[Any] = list(session.exec(select(model)).all())
        opened = phi.read(
            session,
            tenant_keys(placed.tenant_id).load_ring(session),
            rows,
            encrypted_columns(model),
            reason="a test",
        )
        shown = f"{rows!r} {opened!r} {[str(text) for text in opened]} {[row.model_dump_json() for row in rows]}"
    assert opened
    assert found_in(shown.encode()) == []


# The words of people, and of staff about people, that a run reads or could read; the rule makes its schedule fail.
WRITTEN_BY_PEOPLE = (
    """update scheduling.doctors set first_name = :canary, last_name = :canary, display_name = :canary
       where tenant_id = :tenant_id""",
    "update scheduling.facilities set name = :canary where tenant_id = :tenant_id",
    "update scheduling.patients set first_name = :canary, last_name = :canary where tenant_id = :tenant_id",
    "update scheduling.availability_rules set recurrence = :canary where tenant_id = :tenant_id and id = 201",
    """insert into scheduling.facility_closures (tenant_id, facility_id, day, reason)
       values (:tenant_id, 1, '2027-03-23', :canary)""",
    """insert into scheduling.availability_exceptions
       (tenant_id, doctor_id, facility_id, type, start_at, end_at, reason)
       values (:tenant_id, 1, 1, 'blocked', '2027-03-22 09:00Z', '2027-03-22 10:00Z', :canary)""",
)


def test_the_canary_is_in_no_log_span_or_metric_of_the_nightly_job(
    database: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A schedule fails in one run; another run ends by an error whose message has the canary."""
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(observing, "_tracer", provider.get_tracer("scheduler"))
    caplog.set_level(logging.DEBUG)
    world = World(database, new_tenant(database))
    world.write(weekly(1), weekly(2))
    world.run()
    world.book(datetime(2027, 3, 22, 9, tzinfo=UTC))
    for statement in WRITTEN_BY_PEOPLE:
        world.sql(statement, canary=CANARY)
    metrics = tmp_path / "slots.prom"
    with written_metrics(metrics, lambda: NOW, tenant=None) as written, written.run_for("a") as measure:
        report = world.run()
        measure(report)
    (failure,) = report.result.schedules_failed
    assert CANARY in failure.reason  # the report is for those who may read the schedule
    assert (len(report.result.slots_conflicting), report.result.slots_retired) == (1, 7)

    def refuse(*_: object, **__: object) -> NoReturn:
        raise StatementError(f"no room for {CANARY}", sqlstate="53100")

    monkeypatch.setattr("scheduler.generation.batches.save_checkpoints", refuse)
    with pytest.raises(StatementError):
        world.run(scope=Scope.ALL)
    spans = "".join(span.to_json() for span in exporter.get_finished_spans())
    fields = [vars(record) for record in caplog.records]
    assert "InvalidRecurrenceError" in caplog.text
    assert "53100" in spans
    assert "slots" in metrics.read_text(encoding="utf-8")
    assert CANARY not in f"{caplog.text} {fields} {spans} {metrics.read_text(encoding='utf-8')}"


def watched_columns(url: str) -> Iterator[tuple[str, str, str]]:
    """Yield each column of a watched table that could hold a person's words, with its type."""
    with psycopg.connect(url) as connection:
        yield from connection.execute("""
            select tgrelid::regclass::text, attname::text, format_type(atttypid, null)
            from pg_trigger join pg_attribute on attrelid = tgrelid
            where tgfoid = 'audit.record_changes()'::regprocedure and tgtype & 16 = 16
                and attnum > 0 and not attisdropped and attgenerated = ''
                and atttypid in ('text'::regtype, 'varchar'::regtype, 'jsonb'::regtype, 'text[]'::regtype)
            order by 1, attnum
        """).fetchall()


HARMLESS = {
    "identity.tenants": {"slug"},
    "identity.addresses": {"country"},
    "identity.data_keys": {"purpose"},
    "placement.contributors": {"kind"},
    "placement.form_field_contributions": {"field_name"},
    "placement.metadata": {"form_name"},
    "placement.specialists": {"specialty"},
    "scheduling.appointments": {"override_rules", "zone"},
    "scheduling.availability_rules": {"recurrence"},
    "scheduling.booking_caps": {"period"},
    "scheduling.booking_policies": {"channel"},
    "scheduling.doctors": {"specialty"},
    "scheduling.generation_runs": {"engine_version", "tzdata_version", "trigger"},
    "scheduling.facilities": {"slug", "timezone", "country", "locale"},
    "scheduling.insurance_plans": {"plan_code"},
    "scheduling.resource_rules": {"recurrence"},
    "scheduling.resources": {"kind"},
    "scheduling.service_offerings": {"visibility"},
    "scheduling.services": {"code", "code_system", "code_version", "category"},
    "scheduling.workflow_step_needs": {"kind"},
    "scheduling.workflow_steps": {"location_type"},
    "wellbeing.children": {"consent_type"},
    "wellbeing.garden_items": {"item_type"},
    "wellbeing.organisations": {"country", "subscription_plan"},
    "wellbeing.stickers_earned": {"sticker_type"},
    "wellbeing.wellbeing_responses": {"activity_type", "response_type"},
    "wellbeing.wellbeing_sessions": {"session_type"},
}
"""The columns with words whose values the audit log shows: none of them is about a person."""
BY_NAME = {"status", "role", "type", "position"}


def test_the_audit_log_shows_only_texts_of_reviewed_columns(database_url: str) -> None:
    """Each column in turn gets the canary, without checks; the log may show it only in a harmless column."""
    tenant_id = uuid4()
    shown: dict[str, set[str]] = {}
    tried = 0
    with psycopg.connect(database_url) as connection:
        insert_all(connection, tenant_id)
        connection.execute("set constraints all immediate")  # a table with pending triggers cannot be altered
        for table, column, kind in watched_columns(database_url):
            value = {"jsonb": f'{{"a": "{CANARY}"}}', "text[]": f"{{{CANARY}}}"}.get(kind, CANARY)
            connection.execute("savepoint before")
            for (check,) in connection.execute(
                "select conname from pg_constraint where conrelid = %s::regclass and contype = 'c'", (table,)
            ).fetchall():
                connection.execute(
                    sql.SQL("alter table {} drop constraint {}").format(
                        sql.Identifier(*table.split(".")), sql.Identifier(check)
                    )
                )
            statement = sql.SQL("update {} set {} = %s").format(
                sql.Identifier(*table.split(".")), sql.Identifier(column)
            )
            try:
                connection.execute(statement, (value,))
                tried += 1
                logged = [
                    connection.execute(
                        sql.SQL(
                            "select string_agg(concat(entity_key, before, after, details), ' ') from {}"
                            " where tenant_id is null or tenant_id = %s"  # other tests log the canary of their tenants
                        ).format(sql.Identifier("audit", log)),
                        (tenant_id,),
                    ).fetchone()
                    for log in ("user_action_audit_log", "system_audit_log")
                ]
                if CANARY in str(logged):
                    shown.setdefault(table, set()).add(column)
            except (psycopg.errors.IntegrityError, psycopg.errors.DataError, psycopg.errors.RaiseException):
                pass  # the column is too short, or a trigger refuses
            finally:
                connection.execute("rollback to savepoint before")
        connection.rollback()
    unlooked_at = {table: columns - BY_NAME - HARMLESS.get(table, set()) for table, columns in shown.items()}
    assert {table: columns for table, columns in unlooked_at.items() if columns} == {}
    assert tried > 100
    assert any(HARMLESS.get(table, set()) & columns for table, columns in shown.items())  # the search finds something


REFUSED = (
    "insert into identity.users (tenant_id, email, name, role) values (:tenant, '{0}', '{0}', 'patient')",
    "insert into identity.users (tenant_id, email, name, role) values (:tenant, 'a@example.org', 'A', '{0}')",
    "insert into placement.clients (tenant_id, first_name, last_name, status) values (:tenant, '{0}', '{0}', '{0}')",
    "insert into placement.clients (tenant_id, first_name, last_name, date_of_birth) values (:tenant, '', '', '{0}')",
    "insert into placement.medications (tenant_id, client_id, name) values (:tenant, :tenant, '{0}')",
    "insert into placement.medications (tenant_id, client_id) values (:tenant, '{0}')",
    "insert into scheduling.patients (tenant_id, first_name, last_name, email) values (:tenant, '{0}', '{0}', '{0}')",
    """insert into identity.families (tenant_id, id, family_name)
       select :tenant, :tenant, '{0}' from generate_series(1, 2)""",
)


@pytest.mark.parametrize("statement", REFUSED)
@pytest.mark.parametrize("role", [Role.APP, Role.SYSTEM])
def test_the_canary_is_in_no_error_message(
    database: Database, placed: Placed, statement: str, role: Role, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    values = {"tenant": placed.tenant_id, "canary": CANARY}
    query = text(statement.replace("'{0}'", ":canary"))
    with (
        pytest.raises(SchedulerError) as refused,
        database.unit_of_work(role=role, tenant_id=placed.tenant_id) as session,
    ):
        session.execute(query, values)
    report = "".join(traceback.format_exception(refused.value))
    assert CANARY not in f"{report} {refused.value!r} {vars(refused.value)} {caplog.text}"
    assert (refused.value.__cause__, refused.value.__context__) == (None, None)  # reporters follow both
    for frame, _ in traceback.walk_tb(refused.value.__traceback__):  # and show the variables of the frames
        if frame.f_code.co_name != "test_the_canary_is_in_no_error_message":
            assert CANARY not in repr(frame.f_locals)
