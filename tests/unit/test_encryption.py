"""Encryption: a value decrypts unchanged at its location with the right keys; anything else is refused."""

import pickle
import traceback
from base64 import b64encode
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, select, update
from sqlalchemy.exc import StatementError

from scheduler.core.errors import InvalidInputError
from scheduler.models.encrypted import MIN_BYTES, Encrypted
from scheduler.models.encrypted_column import EncryptedColumn
from scheduler.postgres.encryption.encrypted_tables import encrypted_table, encrypted_tables
from scheduler.postgres.encryption.errors import EncryptionError, KeyUnavailableError, TamperedError
from scheduler.postgres.encryption.key_ring import (
    KeyPart,
    KeyRing,
    Purpose,
    ValueLocation,
    WrappedKey,
    normalised,
    plain_part,
    row_name,
    wrapping_context,
)
from scheduler.postgres.encryption.master_keys import HeldMasterKeys, MasterKeys, new_master_key, read_master_keys
from scheduler.postgres.encryption.phi import Plaintext
from support.worlds.encryption import (
    METADATA,
    Note,
    Remark,
    counted_random_bytes,
    errors_of,
    master_keys,
    written_master_key,
)

TENANT, OTHER_TENANT = UUID(int=1), UUID(int=2)
KEY, INDEX_KEY, NEW_KEY = UUID(int=11), UUID(int=12), UUID(int=13)
ROW = UUID(int=21)
HERE = ValueLocation("placement.test_notes", "diagnosis", (ROW,))
HIDDEN = "Zebrafinch"
CLEAR_KEYS = {KEY: bytes(range(32)), INDEX_KEY: bytes(range(32, 64)), NEW_KEY: bytes(range(64, 96))}


class OpenMasterKeys:
    """A key service for tests that wraps nothing, so that two tenants can have one key."""

    active_id = "open"

    def wrap(self, key: bytes, context: bytes) -> bytes:  # noqa: ARG002
        return key

    def unwrap(self, wrapped: bytes, context: bytes, *, master_key_id: str) -> bytes:  # noqa: ARG002
        return wrapped


def stored(key_id: UUID, purpose: Purpose, *, is_current: bool = True) -> WrappedKey:
    return WrappedKey(key_id, purpose, CLEAR_KEYS[key_id], "open", is_current)


def ring_of(
    tenant: UUID = TENANT,
    *keys: WrappedKey,
    random_bytes: Callable[[int], bytes] | None = None,
    masters: MasterKeys | None = None,
) -> KeyRing:
    given_keys = keys or (stored(KEY, Purpose.ENCRYPTION), stored(INDEX_KEY, Purpose.INDEX))
    return KeyRing(
        tenant, given_keys, masters=masters or OpenMasterKeys(), random_bytes=random_bytes or counted_random_bytes()
    )


RING = ring_of()
DIALECT = create_engine("postgresql+psycopg://").dialect


@given(st.text())
def test_an_encrypted_text_decrypts_to_itself(text: str) -> None:
    assert RING.decrypt(RING.encrypt(text, HERE), HERE) == text


def test_the_format_is_the_one_that_is_stored_in_databases() -> None:
    """A known answer, computed from the description without this code: every byte is that of version 1."""
    ring = ring_of(random_bytes=lambda size: bytes(range(100, 100 + size)))
    expected = (
        "01"  # version
        "0000000000000000000000000000000b"  # key id
        "6465666768696a6b6c6d6e6f"  # nonce
        "0f691ddaba76334d354f997452330759f8df9eb824be20"  # ciphertext and tag
    )
    assert ring.encrypt("Grüße", HERE).hex() == expected


def test_the_wrapping_format_of_a_key_is_the_stored_one() -> None:
    masters = HeldMasterKeys({"main": bytes(range(32))}, random_bytes=lambda size: bytes(range(100, 100 + size)))
    wrapped = masters.wrap(bytes(range(32, 64)), wrapping_context(TENANT, KEY, Purpose.ENCRYPTION))
    expected = (
        "6465666768696a6b6c6d6e6f"  # nonce
        "683afc455dcc70b9164b75c3f64844d272f33439bf59c5459fe89673c79e9b77"  # the key, encrypted
        "4cf27636645b6592d9b8500c7f5c2820"  # tag
    )
    assert wrapped.hex() == expected


def test_the_blind_index_is_the_stored_one() -> None:
    index = RING.blind_index("AB-12", table="placement.test_notes", column="number")
    assert index.hex() == "f0e5ac05eec0a2bf3aa696223d02224ba566dba661e99ab097c7dbb0462b8aa3"


def test_equal_texts_are_encrypted_differently() -> None:
    assert RING.encrypt(HIDDEN, HERE) != RING.encrypt(HIDDEN, HERE)


@pytest.mark.parametrize(
    "location",
    [
        HERE._replace(row=(UUID(int=22),)),
        HERE._replace(row=(ROW, 1)),
        HERE._replace(row=()),
        HERE._replace(column="number"),
        HERE._replace(table="placement.test_remarks"),
        ValueLocation("placement.test_notesdiagnosis", "", (ROW,)),
        ValueLocation("placement.test_note", "sdiagnosis", (ROW,)),
    ],
    ids=str,
)
def test_a_value_does_not_decrypt_at_another_location(location: ValueLocation) -> None:
    with pytest.raises(TamperedError, match="does not decrypt"):
        RING.decrypt(RING.encrypt(HIDDEN, HERE), location)


def test_a_value_does_not_decrypt_for_another_tenant_with_the_same_key() -> None:
    with pytest.raises(TamperedError):
        ring_of(OTHER_TENANT).decrypt(RING.encrypt(HIDDEN, HERE), HERE)


@given(
    st.lists(st.one_of(st.text(max_size=3), st.integers(0, 9)), max_size=3),
    st.lists(st.one_of(st.text(max_size=3), st.integers(0, 9)), max_size=3),
)
def test_two_rows_are_never_bound_alike(first: list[KeyPart], second: list[KeyPart]) -> None:
    def binding(row: list[KeyPart]) -> bytes:
        return RING._binding(HERE._replace(row=tuple(row)))

    assert (binding(first) == binding(second)) == (first == second)


@pytest.mark.parametrize("position", range(MIN_BYTES + len(HIDDEN)))
def test_no_byte_of_a_value_can_be_changed(position: int) -> None:
    changed = bytearray(RING.encrypt(HIDDEN, HERE))
    for bit in (0x01, 0x80):
        changed[position] ^= bit
        with pytest.raises(KeyUnavailableError if 1 <= position <= 16 else TamperedError):
            RING.decrypt(Encrypted(changed), HERE)
        changed[position] ^= bit
    assert RING.decrypt(Encrypted(changed), HERE) == HIDDEN


@pytest.mark.parametrize("length", range(MIN_BYTES + len(HIDDEN)))
def test_a_value_that_is_cut_short_does_not_open(length: int) -> None:
    with pytest.raises(TamperedError):
        RING.decrypt(Encrypted(RING.encrypt(HIDDEN, HERE)[:length]), HERE)


@pytest.mark.parametrize("value", [b"text", "text", 5])
def test_a_value_of_another_kind_does_not_open(value: Any) -> None:
    with pytest.raises(TamperedError, match="not an encrypted value"):
        RING.decrypt(value, HERE)


def test_a_value_that_got_longer_does_not_open() -> None:
    with pytest.raises(TamperedError):
        RING.decrypt(Encrypted(RING.encrypt(HIDDEN, HERE) + b"\0"), HERE)


def test_the_current_key_encrypts_and_an_older_one_still_opens() -> None:
    older = RING.encrypt(HIDDEN, HERE)
    rotated = ring_of(TENANT, stored(KEY, Purpose.ENCRYPTION, is_current=False), stored(NEW_KEY, Purpose.ENCRYPTION))
    assert (rotated.encrypt(HIDDEN, HERE).key_id, rotated.decrypt(older, HERE)) == (NEW_KEY, HIDDEN)


def test_a_value_of_an_unknown_key_names_that_key_and_its_location() -> None:
    """A forged value stops every export: the message has to lead to the row."""
    fault = f"^{HERE} does not decrypt: tenant {TENANT} has no encryption key {NEW_KEY}$"
    with pytest.raises(KeyUnavailableError, match=fault):
        RING.decrypt(ring_of(TENANT, stored(NEW_KEY, Purpose.ENCRYPTION)).encrypt(HIDDEN, HERE), HERE)


def test_an_index_key_does_not_encrypt() -> None:
    only_index = ring_of(TENANT, stored(INDEX_KEY, Purpose.INDEX))
    with pytest.raises(KeyUnavailableError, match="has no encryption key"):
        only_index.encrypt(HIDDEN, HERE)
    as_encryption = ring_of(TENANT, stored(INDEX_KEY, Purpose.ENCRYPTION))
    with pytest.raises(KeyUnavailableError):
        only_index.decrypt(as_encryption.encrypt(HIDDEN, HERE), HERE)


def test_a_tenant_without_an_index_key_has_no_blind_index() -> None:
    with pytest.raises(KeyUnavailableError, match="has no index key"):
        ring_of(TENANT, stored(KEY, Purpose.ENCRYPTION)).blind_index("a", table="t", column="c")


@pytest.mark.parametrize("row", [(None,), (1.5,), (b"a",)])
def test_a_row_with_an_invalid_key_is_not_encrypted_for(row: tuple[KeyPart, ...]) -> None:
    with pytest.raises(InvalidInputError, match="has an invalid key"):
        RING.encrypt(HIDDEN, HERE._replace(row=row))


def test_half_a_character_is_refused_without_showing_the_text() -> None:
    with pytest.raises(InvalidInputError, match="half a character") as refused:
        RING.encrypt(f"{HIDDEN}\ud800", HERE)
    assert HIDDEN not in "".join(map(repr, errors_of(refused.value)))


# Master keys


def wrapped_by(masters: MasterKeys, *, tenant: UUID = TENANT, key_id: UUID = KEY, master: str = "main") -> WrappedKey:
    wrapped = masters.wrap(CLEAR_KEYS[KEY], wrapping_context(tenant, key_id, Purpose.ENCRYPTION))
    return WrappedKey(KEY, Purpose.ENCRYPTION, wrapped, master, is_current=True)


def test_a_wrapped_key_is_unwrapped_by_the_master_key_that_wrapped_it() -> None:
    masters = master_keys("main")
    assert (
        ring_of(TENANT, wrapped_by(masters), masters=master_keys("new", "main")).decrypt(RING.encrypt("a", HERE), HERE)
        == "a"
    )


def test_without_the_master_key_nothing_opens() -> None:
    ring = ring_of(TENANT, wrapped_by(master_keys("main")), masters=master_keys("other"))
    with pytest.raises(KeyUnavailableError, match="there is no master key 'main'"):
        ring.decrypt(RING.encrypt(HIDDEN, HERE), HERE)


def test_with_another_master_key_of_that_name_nothing_opens() -> None:
    wrong = HeldMasterKeys({"main": bytes(range(32))}, random_bytes=counted_random_bytes())
    ring = ring_of(TENANT, wrapped_by(master_keys("main")), masters=wrong)
    with pytest.raises(KeyUnavailableError, match="'main' did not wrap this key"):
        ring.encrypt(HIDDEN, HERE)


@pytest.mark.parametrize(("tenant", "key_id"), [(OTHER_TENANT, KEY), (TENANT, NEW_KEY)])
def test_a_wrapped_key_is_bound_to_its_tenant_and_id(tenant: UUID, key_id: UUID) -> None:
    masters = master_keys("main")
    with pytest.raises(KeyUnavailableError):
        ring_of(TENANT, wrapped_by(masters, tenant=tenant, key_id=key_id), masters=masters).encrypt(HIDDEN, HERE)


def test_a_wrapped_key_is_bound_to_its_purpose() -> None:
    masters = master_keys("main")
    as_index = wrapped_by(masters)._replace(purpose=Purpose.INDEX)
    with pytest.raises(KeyUnavailableError):
        ring_of(TENANT, as_index, masters=masters).blind_index("a", table="t", column="c")


@pytest.mark.parametrize("cut", [0, 5, 12, 20])
def test_a_wrapped_key_that_is_cut_short_does_not_unwrap(cut: int) -> None:
    masters = master_keys("main")
    key = wrapped_by(masters)
    with pytest.raises(KeyUnavailableError):
        ring_of(TENANT, key._replace(wrapped=key.wrapped[:cut]), masters=masters).encrypt(HIDDEN, HERE)


def test_a_key_service_that_gives_a_short_key_is_not_trusted() -> None:
    short = stored(KEY, Purpose.ENCRYPTION)._replace(wrapped=bytes(range(16)))
    with pytest.raises(KeyUnavailableError, match="wrong length"):
        ring_of(TENANT, short).encrypt(HIDDEN, HERE)


RANDOM = b64encode(bytes(range(32))).decode()
BAD_MASTER_KEYS = {
    "nothing": ("", "part 1 .* is not ID:BASE64"),
    "no id": (RANDOM, "part 1 .* is not ID:BASE64"),
    "an empty id": (f":{RANDOM}", "part 1 .* is not ID:BASE64"),
    "an id with a space": (f"a b:{RANDOM}", "part 1 .* is not ID:BASE64"),
    "no base64": (f"a:{RANDOM[:-2]}!!", "part 1 .* not base64"),
    "no padding": (f"a:{RANDOM[:-1]}", "part 1 .* not base64"),
    "letters of another alphabet": (f"a:{RANDOM[:-1]}é", "part 1 .* not base64"),
    "the wrong way round": (f"{RANDOM}:a", "part 1 .* is not ID:BASE64"),
    "16 bytes": (f"a:{b64encode(bytes(range(16))).decode()}", "part 1 .* 16 bytes: 32 are needed"),
    "zeros": (f"a:{b64encode(bytes(32)).decode()}", "part 1 .* not random"),
    "a comma at the end": (f"a:{RANDOM},", "part 2 .* is not ID:BASE64"),
    "an id twice": (f"a:{RANDOM},{written_master_key('a')}", "part 2 .* repeats"),
    "a key twice": (f"a:{RANDOM},b:{RANDOM}", "part 2 .* repeats"),
}


@pytest.mark.parametrize("case", BAD_MASTER_KEYS)
def test_master_keys_that_cannot_be_read_are_refused_by_their_position(case: str) -> None:
    text, message = BAD_MASTER_KEYS[case]
    with pytest.raises(InvalidInputError, match=f"^{message}"):
        read_master_keys(text, random_bytes=counted_random_bytes())


@pytest.mark.parametrize("case", BAD_MASTER_KEYS)
def test_a_refusal_of_master_keys_carries_nothing_of_them(case: str) -> None:
    with pytest.raises(InvalidInputError) as refused:
        read_master_keys(BAD_MASTER_KEYS[case][0], random_bytes=counted_random_bytes())
    assert RANDOM[:8] not in "".join(repr(vars(error)) + repr(error.args) for error in errors_of(refused.value))


def test_a_new_master_key_can_be_read() -> None:
    written = new_master_key("2027", random_bytes=counted_random_bytes())
    assert read_master_keys(f" {written} ", random_bytes=counted_random_bytes()).active_id == "2027"


@pytest.mark.parametrize("key_id", ["", "a:b", "a,b", "ä", "a" * 65])
def test_a_master_key_with_an_invalid_id_is_not_created(key_id: str) -> None:
    with pytest.raises(InvalidInputError, match="the id of a master key"):
        new_master_key(key_id, random_bytes=counted_random_bytes())


# Blind indexes


def index(text: str, *, ring: KeyRing = RING, table: str = "t", column: str = "c") -> bytes:
    return ring.blind_index(text, table=table, column=column)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *(("AB-12", other) for other in ("ab-12", " AB-12 ", "\uff21\uff22\uff0d\uff11\uff12", "AB-12\n")),
        ("tel", "\u2121"),  # a sign that stands for capitals
        ("\u0124\u0331", "\u0125\u0331"),  # a letter with two marks, whose capital is composed otherwise
    ],
)
def test_texts_that_differ_in_case_space_or_width_have_one_blind_index(one: str, other: str) -> None:
    assert index(one) == index(other)


@pytest.mark.parametrize(
    "other",
    [
        index("AB-13"),
        index("AB-12", table="u"),
        index("AB-12", column="d"),
        index("AB-12", table="tc", column=""),
        index("AB-12", ring=ring_of(OTHER_TENANT)),
    ],
    ids=["text", "table", "column", "table and column run together", "tenant"],
)
def test_a_blind_index_differs_by_text_column_table_and_tenant(other: bytes) -> None:
    assert index("AB-12") != other


@pytest.mark.parametrize("blank", ["", " ", "\u3000", "\ud800", None, 5])
def test_a_blank_text_has_no_blind_index(blank: Any) -> None:
    with pytest.raises(InvalidInputError, match=r"the text to look up in t\.c is blank"):
        index(blank)


@given(st.text())
def test_normalising_a_normalised_text_changes_nothing(text: str) -> None:
    assert normalised(normalised(text)) == normalised(text)


# Representations


def shown(value: object) -> str:
    return f"{value!r} {value!s} {value} {[value]} %s {traceback.format_exception_only(ValueError(value))}" % (value,)


@pytest.mark.parametrize(
    "value",
    [
        RING,
        ring_of(TENANT, wrapped_by(master_keys("main"))),
        master_keys("main"),
        wrapped_by(master_keys("main")),
        stored(KEY, Purpose.ENCRYPTION),
        RING.encrypt(HIDDEN, HERE),
        Plaintext("placement.test_notes", (ROW,), {"diagnosis": HIDDEN}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_representations_show_no_key_and_no_text(value: object) -> None:
    RING.encrypt(HIDDEN, HERE)
    written = shown(value)
    assert [part for part in (HIDDEN, "\\x", "b'", "AESGCM") if part in written] == []


@pytest.mark.parametrize(
    "value", [RING, master_keys("main"), Plaintext("t", (), {"a": HIDDEN})], ids=lambda value: type(value).__name__
)
def test_keys_and_plaintexts_cannot_be_pickled(value: object) -> None:
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(value)


@pytest.mark.parametrize("value", [RING, master_keys("main"), Plaintext("t", (), {"a": HIDDEN})])
def test_keys_and_clear_text_have_no_dictionary_to_dump(value: object) -> None:
    with pytest.raises(TypeError):
        vars(value)


def test_clear_text_is_not_listed() -> None:
    with pytest.raises(TypeError):
        list(Plaintext("t", (), {"a": HIDDEN}))  # type: ignore[call-overload]


def test_an_encrypted_value_stays_one_when_it_is_pickled() -> None:
    encrypted = RING.encrypt(HIDDEN, HERE)
    again = pickle.loads(pickle.dumps(encrypted))  # noqa: S301  # our own
    assert (type(again), again) == (Encrypted, encrypted)


def test_no_error_of_opening_carries_the_value() -> None:
    encrypted = RING.encrypt(HIDDEN, HERE)
    with pytest.raises(EncryptionError) as refused:
        RING.decrypt(encrypted, HERE._replace(column="number"))
    carried = "".join(repr(error.args) for error in errors_of(refused.value))
    assert (HIDDEN in carried, repr(bytes(encrypted))[2:20] in carried) == (False, False)


# The column


@pytest.mark.parametrize(
    "value", [HIDDEN, HIDDEN.encode(), Encrypted(HIDDEN.encode() * 9), Encrypted(), Encrypted(b"\1" * 44), 1]
)
def test_an_encrypted_column_takes_nothing_that_is_not_encrypted(value: object) -> None:
    with pytest.raises(TypeError, match="takes encrypted values only") as refused:
        EncryptedColumn().process_bind_param(value, DIALECT)  # type: ignore[arg-type]
    assert HIDDEN not in str(refused.value)


def test_an_encrypted_column_takes_an_encrypted_value_and_none() -> None:
    encrypted = RING.encrypt(HIDDEN, HERE)
    column = EncryptedColumn()
    assert [column.process_bind_param(value, DIALECT) for value in (encrypted, None)] == [encrypted, None]


def test_clear_text_is_refused_before_a_statement_is_sent() -> None:
    engine = create_engine("sqlite://", hide_parameters=True)
    table = encrypted_table(Note).table
    with engine.connect() as connection:
        for statement in (update(table).values(diagnosis=HIDDEN), select(table).where(table.c.diagnosis == HIDDEN)):
            with pytest.raises(StatementError, match="takes encrypted values only") as refused:
                connection.execute(statement)
            assert HIDDEN not in str(refused.value)


# Which columns are encrypted


def test_encrypted_tables_are_found_in_the_models_with_their_keys() -> None:
    tables = {
        table.name: ([column.name for column in table.key], [column.name for column in table.encrypted])
        for table in encrypted_tables(METADATA)
    }
    assert tables == {
        "placement.test_notes": (["id"], ["diagnosis", "number"]),
        "placement.test_remarks": (["note_id", "position"], ["diagnosis"]),
    }


class Disguised(UUID):
    def __str__(self) -> str:
        return "another row"


class Three(int):
    def __str__(self) -> str:
        return "4"


class Word(str):
    __slots__ = ()

    def __str__(self) -> str:
        return self


def test_the_key_of_a_row_is_that_of_its_tenant_and_complete() -> None:
    remark = Remark(tenant_id=TENANT, note_id=ROW, position=3)
    assert encrypted_table(Remark).row_key(remark, TENANT) == (ROW, 3)
    disguised: Any = Remark(tenant_id=TENANT, note_id=Disguised(bytes=ROW.bytes), position=Three(3))
    plain = encrypted_table(Remark).row_key(disguised, TENANT)
    assert (row_name(plain), [type(part) for part in plain]) == (f"{ROW},3", [UUID, int])
    assert type(plain_part(Word("a"))) is str
    with pytest.raises(InvalidInputError, match="is of tenant"):
        encrypted_table(Remark).row_key(remark, OTHER_TENANT)
    with pytest.raises(InvalidInputError, match="has no primary key yet: set its id"):
        encrypted_table(Note).row_key(Note(tenant_id=TENANT), TENANT)
