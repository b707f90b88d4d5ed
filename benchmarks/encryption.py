"""Encryption through the key ring against pgcrypto's `pgp_sym_encrypt` on a server, value for value.

pgcrypto is measured twice: all values in one statement, which excludes driver and network, and a statement for each
value, as an application would send them. The like-for-like comparison is with AES-256. pgcrypto stretches each key for
a random time, so its time is a mean over many values.

The comparison needs a server with the extension: the given URL, or SCHEDULER_TEST_DATABASE_URL.
"""

import os
from collections.abc import Callable
from uuid import UUID

import psycopg
from rich.table import Table
from sqlalchemy import make_url

from measuring import best_times
from scheduler.models.encrypted import Encrypted
from scheduler.postgres.encryption.key_ring import KeyRing, Purpose, ValueLocation, WrappedKey, wrapping_context
from scheduler.postgres.encryption.master_keys import HeldMasterKeys

TEXT = "Allergic to penicillin; sees Dr Grey on Mondays. " * 20 + "x" * 44  # 1,024 bytes
VALUES_PER_ROUND = 500  # of the library
PGCRYPTO_VALUES_PER_ROUND = 200
TENANT = UUID(int=1)
LOCATION = ValueLocation("placement.placement_info", "notes", (UUID(int=3),))
SINGLY = "pgp_sym_encrypt, AES-256, a statement each"
PGCRYPTO_OPTIONS = {
    "pgp_sym_encrypt, default options": "",
    "pgp_sym_encrypt, AES-256": "cipher-algo=aes256",
    "pgp_sym_encrypt, no key stretching": "cipher-algo=aes256, s2k-mode=0",
}


def ring() -> KeyRing:
    """Return a key ring with a key for each purpose; the check unwraps the keys before the timing."""
    masters = HeldMasterKeys({"main": os.urandom(32)}, random_bytes=os.urandom)
    keys = []
    for purpose in Purpose:
        key_id = UUID(bytes=os.urandom(16), version=4)
        wrapped = masters.wrap(os.urandom(32), wrapping_context(TENANT, key_id, purpose))
        keys.append(WrappedKey(key_id, purpose, wrapped, "main", is_current=True))
    return KeyRing(TENANT, keys, masters=masters, random_bytes=os.urandom)


def server(url: str | None) -> psycopg.Connection | None:
    """Connect to a server with pgcrypto, if its URL is known."""
    server_url = url or os.environ.get("SCHEDULER_TEST_DATABASE_URL")
    if server_url is None:
        return None
    driver_url = make_url(server_url).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = psycopg.connect(driver_url)
    try:
        connection.execute("create extension if not exists pgcrypto")  # rolled back at the end
    except psycopg.Error as error:
        raise SystemExit(f"this server does not have pgcrypto: {error}") from None
    return connection


def encrypting_singly(connection: psycopg.Connection) -> Callable[[], object]:
    """Return a candidate that encrypts the texts with a statement each."""
    statement = b"select pgp_sym_encrypt(%s, %s, 'cipher-algo=aes256')"
    values = (TEXT, os.urandom(32).hex())
    return lambda: [
        connection.execute(statement, values, prepare=True).fetchone() for _ in range(PGCRYPTO_VALUES_PER_ROUND)
    ]


def encrypting(connection: psycopg.Connection, options: str) -> Callable[[], object]:
    """Return a candidate that encrypts the texts in one statement, after a check that they decrypt again."""
    encrypted = f"pgp_sym_encrypt(%(text)s || number, %(key)s, '{options}')"
    values = {"text": TEXT[:-3], "key": os.urandom(32).hex(), "count": PGCRYPTO_VALUES_PER_ROUND}
    numbers = "from generate_series(100, 99 + %(count)s) as number"
    checked = connection.execute(
        f"select bool_and(pgp_sym_decrypt({encrypted}, %(key)s) = %(text)s || number) {numbers}".encode(), values
    )
    if checked.fetchone() != (True,):
        raise SystemExit("pgcrypto does not decrypt its own ciphertext: nothing to compare")
    statement = f"select sum(octet_length({encrypted})) {numbers}".encode()
    return lambda: connection.execute(statement, values).fetchone()


def check(keys: KeyRing, encrypted: Encrypted) -> None:
    """Stop unless a ciphertext hides the text and decrypts to it."""
    if keys.decrypt(encrypted, LOCATION) != TEXT or TEXT.encode()[:16] in bytes(encrypted):
        raise SystemExit("the ciphertext does not decrypt to the text: nothing to measure")


def against_pgcrypto(url: str | None, *, rounds: int) -> Table:
    """Encrypt and decrypt texts of 1 KB, and encrypt the same on a server if there is one."""
    keys = ring()
    encrypted = keys.encrypt(TEXT, LOCATION)
    check(keys, encrypted)
    candidates: dict[str, Callable[[], object]] = {
        "KeyRing.encrypt": lambda: [keys.encrypt(TEXT, LOCATION) for _ in range(VALUES_PER_ROUND)],
        "KeyRing.decrypt": lambda: [keys.decrypt(encrypted, LOCATION) for _ in range(VALUES_PER_ROUND)],
        "KeyRing.blind_index, of 5 letters": lambda: [
            keys.blind_index("AB-12", table="t", column="c") for _ in range(VALUES_PER_ROUND)
        ],
    }
    connection = server(url)
    counts = dict.fromkeys(candidates, VALUES_PER_ROUND)
    if connection is not None:
        candidates |= {name: encrypting(connection, options) for name, options in PGCRYPTO_OPTIONS.items()}
        candidates[SINGLY] = encrypting_singly(connection)
        counts |= dict.fromkeys((*PGCRYPTO_OPTIONS, SINGLY), PGCRYPTO_VALUES_PER_ROUND)
    best = best_times(candidates, rounds=rounds)
    if connection is not None:
        connection.rollback()
        connection.close()
    each = {name: seconds / counts[name] for name, seconds in best.items()}
    title = f"texts of {len(TEXT.encode()):,} bytes, {len(encrypted) - len(TEXT.encode())} bytes more when encrypted"
    if connection is None:
        title += "\nno server with pgcrypto: give --pgcrypto URL or set SCHEDULER_TEST_DATABASE_URL to compare"
    table = Table(title=title, title_justify="left")
    for heading in ("", "microseconds", "values a second", "KeyRing.encrypt is faster"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, seconds in each.items():
        ratio = f"{seconds / each['KeyRing.encrypt']:,.1f} times" if counts[name] == PGCRYPTO_VALUES_PER_ROUND else ""
        table.add_row(name, f"{seconds * 1e6:,.1f}", f"{1 / seconds:,.0f}", ratio)
    return table
