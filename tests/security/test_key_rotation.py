"""Key rotation: every value gets the new key, none is lost, and people read and write meanwhile."""

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from uuid import UUID, uuid4

import psycopg
import pytest
from sqlalchemy import text

from scheduler.models.encrypted import Encrypted
from scheduler.postgres.audit.log import entries
from scheduler.postgres.database import Database, Role
from scheduler.postgres.encryption import key_rotation, phi
from scheduler.postgres.encryption.errors import KeyUnavailableError
from scheduler.postgres.encryption.key_ring import Purpose
from scheduler.postgres.encryption.key_rotation import Rotation, Start, values_by_key
from scheduler.postgres.encryption.tenant_keys import TenantKeys, data_keys
from support.cli import CommandResult, run
from support.databases import execute, new_tenant
from support.worlds.encryption import (
    CANARY,
    METADATA,
    Note,
    Remark,
    load,
    make_keys,
    master_keys,
    note,
    read_note,
    tenant_keys,
    write_note,
    written_master_key,
)

pytestmark = [pytest.mark.database, pytest.mark.usefixtures("phi_tables")]

NOTES = 7


class _StoppedError(Exception):
    """The interruption of a rotation in a test."""


@pytest.fixture
def notes(database: Database, ours: UUID) -> dict[UUID, str]:
    """Notes with diagnoses; each has a number and a remark, too."""
    written = {
        write_note(database, ours, diagnosis=f"{CANARY} {n}", number=f"AB-{n}"): f"{CANARY} {n}" for n in range(NOTES)
    }
    with database.unit_of_work(role=Role.APP, tenant_id=ours) as session:
        ring = load(database, ours)
        for note_id, diagnosis in written.items():
            phi.write(session, ring, Remark(tenant_id=ours, note_id=note_id, position=1), {"diagnosis": diagnosis})
    return written


def rotate(
    database: Database,
    tenant_id: UUID,
    *,
    keys: TenantKeys | None = None,
    start: Start = Start.CONTINUE,
    batch: int = 2,
    progress: key_rotation.Progress = lambda _done, _of, _reencrypted: None,
) -> Rotation:
    """Rotate the key of a tenant over the tables of the tests."""
    return key_rotation.rotate(
        database, keys or tenant_keys(tenant_id), start=start, metadata=METADATA, batch=batch, progress=progress
    )


def texts(database: Database, tenant_id: UUID, notes: dict[UUID, str]) -> dict[UUID, str | None]:
    """Read all notes as the application does."""
    return {note_id: read_note(database, tenant_id, note_id) for note_id in notes}


def values(url: str, tenant_id: UUID) -> dict[tuple[str, str, UUID], Encrypted]:
    """Return all encrypted values of a tenant as they are stored."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "select 'notes', 'diagnosis', id, diagnosis from placement.test_notes where tenant_id = %(tenant)s"
            " union all select 'notes', 'number', id, number from placement.test_notes where tenant_id = %(tenant)s"
            " union all select 'remarks', 'diagnosis', note_id, diagnosis from placement.test_remarks"
            " where tenant_id = %(tenant)s",
            {"tenant": tenant_id},
        )
        return {(table, column, row): Encrypted(value) for table, column, row, value in rows if value is not None}


def current(database: Database, tenant_id: UUID) -> UUID:
    return load(database, tenant_id).current_id


def states(database: Database, tenant_id: UUID) -> list[tuple[bool, bool]]:
    """Return whether each encryption key is superseded and whether it is retired, oldest first."""
    with database.unit_of_work(role=Role.SYSTEM, tenant_id=tenant_id) as session:
        return [
            (key.superseded_at is not None, key.retired_at is not None)
            for key in data_keys(session, tenant_id)
            if key.purpose == Purpose.ENCRYPTION
        ]


def stopping(after: int, *, random_bytes: Callable[[int], bytes] = os.urandom) -> Callable[[int], bytes]:
    """Return a random source that fails at a given call: there is one call for each value."""
    calls = iter(range(after))

    def draw(size: int) -> bytes:
        if next(calls, None) is None:
            raise _StoppedError
        return random_bytes(size)

    return draw


# A complete rotation


@pytest.mark.parametrize("batch", [1, 2, NOTES, 100])
def test_every_value_of_every_table_gets_the_new_key(
    database: Database, ours: UUID, notes: dict[UUID, str], database_url: str, batch: int
) -> None:
    before, old = values(database_url, ours), current(database, ours)
    done = rotate(database, ours, batch=batch)
    after = values(database_url, ours)
    assert (done.new_key, done.rows, done.reencrypted, done.unopened) == (True, 2 * NOTES, 3 * NOTES, ())
    assert {value.key_id for value in before.values()} == {old}
    assert ({value.key_id for value in after.values()}, after.keys()) == ({current(database, ours)}, before.keys())
    assert texts(database, ours, notes) == notes


def test_a_key_that_no_value_uses_is_retired(database: Database, ours: UUID, notes: dict[UUID, str]) -> None:
    old = current(database, ours)
    assert rotate(database, ours).retired == (old,)
    assert (len(notes), states(database, ours)) == (NOTES, [(True, True), (False, False)])


def test_a_backup_under_a_retired_key_still_decrypts(
    database: Database, ours: UUID, notes: dict[UUID, str], database_url: str
) -> None:
    backup = values(database_url, ours)
    rotate(database, ours)
    for (table, column, row), value in backup.items():
        if (table, column) == ("notes", "diagnosis"):
            with psycopg.connect(database_url) as connection:
                connection.execute("update placement.test_notes set diagnosis = %s where id = %s", (value, row))
    assert texts(database, ours, notes) == notes


def test_another_tenant_is_left_alone(
    database: Database, ours: UUID, notes: dict[UUID, str], database_url: str
) -> None:
    theirs = new_tenant(database)
    make_keys(database, theirs)
    write_note(database, theirs, diagnosis=CANARY)
    before = values(database_url, theirs)
    rotate(database, ours)
    assert (len(notes), values(database_url, theirs), states(database, theirs)) == (NOTES, before, [(False, False)])


def test_a_blind_index_stays_the_same(database: Database, ours: UUID) -> None:
    note_id = write_note(database, ours, number="AB-12")
    with database.unit_of_work(role=Role.APP, tenant_id=ours) as session:
        before = note(session, ours, note_id).number_index
    rotate(database, ours)
    with database.unit_of_work(role=Role.APP, tenant_id=ours) as session:
        assert note(session, ours, note_id).number_index == before


def test_progress_counts_rows_up_to_the_total(database: Database, ours: UUID, notes: dict[UUID, str]) -> None:
    reports: list[tuple[int, int, int]] = []
    rotate(database, ours, batch=3, progress=lambda *numbers: reports.append(numbers))
    total = 2 * len(notes)
    assert [done for done, _, _ in reports] == [3, 6, 7, 10, 13, 14]
    assert {of for _, of, _ in reports} == {total}
    assert reports[-1] == (total, total, 3 * len(notes))


def test_values_are_counted_by_their_key(database: Database, ours: UUID, notes: dict[UUID, str]) -> None:
    with database.unit_of_work(role=Role.SYSTEM, tenant_id=ours) as session:
        assert values_by_key(session, ours, METADATA) == {current(database, ours): 3 * len(notes)}


def test_a_tenant_without_keys_gets_its_first(database: Database, tenant_id: UUID) -> None:
    assert rotate(database, tenant_id)[:3] == (True, 0, 0)
    assert states(database, tenant_id) == [(False, False)]


# Interruptions


@pytest.mark.parametrize("after", [0, 1, 2, 3, 4, 5, 9, 14, 20, 3 * NOTES + 1])
def test_an_interrupted_rotation_loses_nothing_and_continues(
    database: Database, ours: UUID, notes: dict[UUID, str], database_url: str, after: int
) -> None:
    """The random source is called for a key id, a key, and each value: each call is a stop."""
    keys = tenant_keys(ours)
    with pytest.raises(_StoppedError):
        rotate(database, ours, keys=TenantKeys(ours, keys.masters, stopping(after)))
    assert texts(database, ours, notes) == notes
    stopped = values(database_url, ours)
    done = rotate(database, ours)
    ended = values(database_url, ours)
    finished = {place for place, value in stopped.items() if value.key_id == current(database, ours)}
    assert {place for place in finished if ended[place] != stopped[place]} == set()
    assert (done.new_key, done.reencrypted) == (after < 2, 3 * NOTES - len(finished))
    assert {value.key_id for value in ended.values()} == {current(database, ours)}
    assert (texts(database, ours, notes), states(database, ours)) == (notes, [(True, True), (False, False)])


def test_values_encrypted_before_the_stop_stay_encrypted(
    database: Database, ours: UUID, notes: dict[UUID, str], database_url: str
) -> None:
    def stop(done: int, _of: int, _reencrypted: int) -> None:
        if done >= 4:
            raise _StoppedError

    with pytest.raises(_StoppedError):
        rotate(database, ours, batch=2, progress=stop)
    new = [value for value in values(database_url, ours).values() if value.key_id == current(database, ours)]
    assert (len(notes), len(new)) == (NOTES, 8)


def test_without_the_master_key_of_the_old_key_nothing_is_changed(
    database: Database, ours: UUID, notes: dict[UUID, str], database_url: str
) -> None:
    before = values(database_url, ours)
    with pytest.raises(KeyUnavailableError, match="there is no master key 'main'"):
        rotate(database, ours, keys=tenant_keys(ours, "another"))
    assert (len(notes), values(database_url, ours), states(database, ours)) == (NOTES, before, [(False, False)])


# Concurrent reads and writes


def once(act: Callable[[], object], *, at: int) -> Callable[[int], bytes]:
    """Return a random source that acts at the given call, between reading a value and replacing it."""
    calls = iter(range(at + 1))

    def draw(size: int) -> bytes:
        if next(calls, None) == at:
            act()
        return os.urandom(size)

    return draw


FIRST_VALUE = 2  # a rotation draws a key's id and the key first


def first(notes: dict[UUID, str]) -> UUID:
    """Return the note that the rotation examines first."""
    return min(notes)


def test_values_written_during_a_rotation_are_not_overwritten(
    database: Database, ours: UUID, notes: dict[UUID, str]
) -> None:
    def change() -> None:
        with database.unit_of_work(role=Role.APP, tenant_id=ours) as session:
            phi.write(session, load(database, ours), note(session, ours, first(notes)), {"diagnosis": "changed"})

    done = rotate(database, ours, keys=TenantKeys(ours, master_keys("main"), once(change, at=FIRST_VALUE)))
    assert texts(database, ours, notes) == notes | {first(notes): "changed"}
    assert read_note(database, ours, first(notes), "number") is not None
    assert len(done.retired) == 1


def test_a_value_emptied_during_a_rotation_stays_empty(database: Database, ours: UUID, notes: dict[UUID, str]) -> None:
    def empty() -> None:
        with database.unit_of_work(role=Role.APP, tenant_id=ours) as session:
            phi.write(session, load(database, ours), note(session, ours, first(notes)), {"diagnosis": None})

    rotate(database, ours, keys=TenantKeys(ours, master_keys("main"), once(empty, at=FIRST_VALUE)))
    assert texts(database, ours, notes) == notes | {first(notes): None}


def test_rows_deleted_during_a_rotation_stay_deleted(
    database: Database, ours: UUID, notes: dict[UUID, str], database_url: str
) -> None:
    note_id = first(notes)

    def delete() -> None:
        execute(
            database_url,
            f"delete from placement.test_remarks where note_id = '{note_id}'",
            f"delete from placement.test_notes where id = '{note_id}'",
        )

    rotate(database, ours, keys=TenantKeys(ours, master_keys("main"), once(delete, at=FIRST_VALUE)))
    assert {row for _, _, row in values(database_url, ours)} == notes.keys() - {note_id}


def test_a_rotation_waits_for_open_writes_and_encrypts_them_too(
    database: Database, ours: UUID, notes: dict[UUID, str], database_url: str
) -> None:
    """Otherwise a value could get the old key after the rotation has passed, and the key be retired."""
    late = uuid4()
    rotation = threading.Thread(target=rotate, args=(database, ours))
    waiting = "select 1 from pg_locks where locktype = 'advisory' and not granted and database = %s::oid"
    with database.unit_of_work(role=Role.APP, tenant_id=ours) as session:
        phi.write(session, load(database, ours), Note(tenant_id=ours, id=late), {"diagnosis": "late"})
        rotation.start()
        with psycopg.connect(database_url, autocommit=True) as connection:
            until = time.monotonic() + 8
            (oid,) = (
                connection.execute("select oid from pg_database where datname = current_database()").fetchone() or ()
            )
            while connection.execute(waiting, (oid,)).fetchone() is None:
                assert time.monotonic() < until, "the rotation does not wait"
                time.sleep(0.02)
    rotation.join()
    assert {value.key_id for value in values(database_url, ours).values()} == {current(database, ours)}
    assert (read_note(database, ours, late), len(notes)) == ("late", NOTES)


def test_two_rotations_at_once_end_well(
    database: Database, ours: UUID, notes: dict[UUID, str], database_url: str
) -> None:
    begin = threading.Barrier(2)

    def run() -> None:
        begin.wait()
        rotate(database, ours, batch=1)

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert texts(database, ours, notes) == notes
    assert {value.key_id for value in values(database_url, ours).values()} == {current(database, ours)}


# Values that do not decrypt


@pytest.fixture
def broken(notes: dict[UUID, str], database_url: str) -> Iterator[UUID]:
    """A note with a changed ciphertext of its diagnosis."""
    note_id = sorted(notes)[2]
    flipped = "set_byte(diagnosis, 20, get_byte(diagnosis, 20) # 1)"
    execute(database_url, f"update placement.test_notes set diagnosis = {flipped} where id = '{note_id}'")
    yield note_id
    execute(
        database_url,
        "delete from placement.test_remarks",
        "delete from placement.test_notes",
    )


def test_a_value_that_does_not_decrypt_is_reported_and_keeps_its_key(
    database: Database, ours: UUID, broken: UUID, database_url: str
) -> None:
    before, old = values(database_url, ours), current(database, ours)
    done = rotate(database, ours)
    assert [str(place) for place in done.unopened] == [f"placement.test_notes.diagnosis of row {broken}"]
    after = values(database_url, ours)
    assert {place for place, value in after.items() if value.key_id == old} == {("notes", "diagnosis", broken)}
    assert after["notes", "diagnosis", broken] == before["notes", "diagnosis", broken]
    assert (done.retired, states(database, ours)) == ((), [(True, False), (False, False)])
    with database.unit_of_work(role=Role.SYSTEM, tenant_id=ours) as session:
        recorded = [entry for entry in entries(session, key=str(broken), most=9) if entry.action == "read"]
    assert [entry.details for entry in recorded] == [
        {"columns": ["diagnosis"], "reason": "key rotation", "outcome": "tampered"}
    ]


def test_a_value_with_an_unknown_key_does_not_stop_the_rest(
    database: Database, ours: UUID, notes: dict[UUID, str], database_url: str
) -> None:
    note_id = first(notes)
    execute(
        database_url, f"update placement.test_notes set diagnosis = set_byte(diagnosis, 3, 255) where id = '{note_id}'"
    )
    done = rotate(database, ours)
    assert (done.reencrypted, [place.row for place in done.unopened]) == (3 * NOTES - 1, [(note_id,)])


def test_a_rotation_that_is_held_up_can_be_begun_anew(database: Database, ours: UUID, broken: UUID) -> None:
    assert rotate(database, ours).unopened[0].row == (broken,)
    held_up = current(database, ours)
    assert (rotate(database, ours).new_key, current(database, ours)) == (False, held_up)
    again = rotate(database, ours, start=Start.ANEW)
    assert (again.new_key, again.retired, current(database, ours) != held_up) == (True, (held_up,), True)


# Another master key


def rewrap(database: Database, tenant_id: UUID, *names: str) -> int:
    with database.unit_of_work(role=Role.SYSTEM, tenant_id=tenant_id) as session:
        return tenant_keys(tenant_id, *names).rewrap(session)


def test_rewrapped_keys_unwrap_with_the_new_master_key_alone(database: Database, ours: UUID, database_url: str) -> None:
    note_id = write_note(database, ours, diagnosis=CANARY, number="AB-12")
    before = values(database_url, ours)
    rotate(database, ours)
    rotated = values(database_url, ours)
    assert [rewrap(database, ours, "new", "main") for _ in range(2)] == [3, 0]
    assert (values(database_url, ours), rotated == before) == (rotated, False)
    with database.unit_of_work(role=Role.APP, tenant_id=ours, phi=True) as session:
        ring = tenant_keys(ours, "new").load_ring(session)
        (clear,) = phi.read(session, ring, [note(session, ours, note_id)], ["diagnosis"], reason="a test")
        assert clear["diagnosis"] == CANARY
        assert ring.blind_index("AB-12", table="placement.test_notes", column="number") == (
            note(session, ours, note_id).number_index
        )


def test_the_old_master_key_opens_nothing_any_more(database: Database, ours: UUID) -> None:
    rewrap(database, ours, "new", "main")
    with pytest.raises(KeyUnavailableError, match="there is no master key 'new'"):
        write_note(database, ours, diagnosis=CANARY)


def test_without_the_old_master_key_no_key_is_wrapped_anew(database: Database, ours: UUID) -> None:
    with pytest.raises(KeyUnavailableError):
        rewrap(database, ours, "new")
    with database.unit_of_work(role=Role.SYSTEM, tenant_id=ours) as session:
        assert {key.master_key_id for key in data_keys(session, ours)} == {"main"}


# The command line


@pytest.fixture
def command(
    database: Database, ours: UUID, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., CommandResult]:
    """Run `scheduler keys` for a tenant over the tables of the tests."""
    monkeypatch.setattr(key_rotation, "rotate", partial(key_rotation.rotate, metadata=METADATA))
    monkeypatch.setattr(key_rotation, "values_by_key", lambda session, of, _=None: values_by_key(session, of, METADATA))
    with database.unit_of_work(role=Role.OWNER, tenant_id=ours) as session:
        session.execute(text("update identity.tenants set slug = 'clinic' where slug = :slug"), {"slug": str(ours)})

    def run_keys(*arguments: str, masters: str | None = "main") -> CommandResult:
        written = [written_master_key(name) if name.isalpha() else name for name in (masters or "").split(",") if name]
        settings = {"SCHEDULER_MASTER_KEYS": ",".join(written)} if written else {}
        return run(database_url, "keys", *arguments, SCHEDULER_TENANT="clinic", COLUMNS="160", **settings)

    return run_keys


@pytest.fixture(autouse=True)
def slug_is_given_back(database: Database) -> Iterator[None]:
    yield
    with database.unit_of_work(role=Role.OWNER, tenant_id=None) as session:
        session.execute(text("update identity.tenants set slug = id::text where slug = 'clinic'"))


def test_the_command_rotates_and_tells_how_it_goes(
    command: Callable[..., CommandResult], database: Database, ours: UUID, notes: dict[UUID, str]
) -> None:
    result = command("rotate")
    assert result.code == 0
    assert result.out == f"a new key: {3 * NOTES} values of {2 * NOTES} rows re-encrypted, 1 retired\n"
    assert json.loads(result.err.splitlines()[-1]) == {
        "event": "batch",
        "rows_done": 2 * NOTES,
        "rows": 2 * NOTES,
        "reencrypted": 3 * NOTES,
    }
    assert texts(database, ours, notes) == notes


def test_the_command_prints_its_result_as_json(command: Callable[..., CommandResult], notes: dict[UUID, str]) -> None:
    report = json.loads(command("rotate", "--json").out)
    assert (report["new_key"], report["reencrypted"], report["unopened"], len(report["retired"])) == (
        True,
        3 * len(notes),
        [],
        1,
    )


def test_the_command_names_values_that_do_not_decrypt(command: Callable[..., CommandResult], broken: UUID) -> None:
    result = command("rotate")
    assert result.code == 7
    assert f"does not decrypt: placement.test_notes.diagnosis of row {broken}" in result.err.splitlines()
    assert result.err.splitlines()[-1] == "error: 1 values do not decrypt and were left as they are"


@pytest.mark.usefixtures("broken")
def test_the_command_restarts_a_rotation_on_request(command: Callable[..., CommandResult]) -> None:
    assert command("rotate").code == 7
    assert command("rotate").out.startswith("continued with the new key: 0 values")
    assert command("rotate", "--anew").out.startswith("a new key: ")


def test_the_status_shows_each_key_with_its_number_of_values(
    command: Callable[..., CommandResult], database: Database, ours: UUID, notes: dict[UUID, str]
) -> None:
    old = current(database, ours)
    command("rotate")
    report = json.loads(command("status", "--json", masters=None).out)
    shown = {key["key"]: (key["purpose"], key["state"], key["values"]) for key in report["keys"]}
    assert shown[str(old)] == ("encryption", "retired", 0)
    assert shown[str(current(database, ours))] == ("encryption", "current", 3 * len(notes))
    assert ("index", "current", 0) in shown.values()
    assert "superseded" not in command("status", masters=None).out


@pytest.mark.usefixtures("notes")
def test_the_status_needs_no_more_than_80_columns(command: Callable[..., CommandResult]) -> None:
    command("rotate")
    assert max(map(len, command("status", masters=None).out.splitlines())) <= 80


def test_the_status_of_a_tenant_without_keys_gives_advice(
    command: Callable[..., CommandResult], database_url: str, ours: UUID
) -> None:
    execute(database_url, f"delete from identity.data_keys where tenant_id = '{ours}'")
    assert command("status").out == "no keys yet: `scheduler keys rotate --tenant clinic` creates them\n"


def test_the_command_wraps_keys_anew(command: Callable[..., CommandResult]) -> None:
    assert command("rewrap", masters="new,main").out == "2 keys wrapped with the master key new\n"
    assert command("rotate", masters="new").code == 0


def test_a_new_master_key_goes_to_the_output_and_can_be_used(command: Callable[..., CommandResult]) -> None:
    result = command("new-master", "--id", "m2027", masters=None)
    assert (result.code, result.out.count("\n"), result.out.startswith("m2027:")) == (0, 1, True)
    assert command("rewrap", masters=f"{result.out.strip()},main").code == 0


@pytest.mark.parametrize("arguments", [("rotate",), ("rewrap",)])
def test_without_master_keys_the_command_says_which_variable_is_missing(
    command: Callable[..., CommandResult], arguments: tuple[str, ...]
) -> None:
    result = command(*arguments, masters=None)
    assert (result.code, result.err) == (
        7,
        "error: no master key: SCHEDULER_MASTER_KEYS is not set (`scheduler keys new-master` creates one)\n",
    )


def test_master_keys_that_cannot_be_read_are_not_repeated(command: Callable[..., CommandResult]) -> None:
    result = command("rotate", masters="main,k2:Zm9v")
    assert (result.code, result.err) == (2, "error: part 2 of the master keys has a key of 3 bytes: 32 are needed\n")
