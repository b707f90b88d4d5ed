"""Encrypting a text through the key ring against pgcrypto's `pgp_sym_encrypt` on a server, value for value.

pgcrypto is measured twice: all values in one statement, so that neither driver nor network is in its time, and a
statement for each value, as an application would send them. AES-256 is what is like for like. How long pgcrypto
stretches a key is drawn by chance for each value, so that its time is a mean over many.

It needs a server that has the extension: the URL that is given, or that of SCHEDULER_TEST_DATABASE_URL.
"""

import os
from collections.abc import Callable
from uuid import UUID

import psycopg
from rich.table import Table
from sqlalchemy import make_url

from measuring import best_times
from scheduler.postgres.encryption.key_ring import KeyRing, Purpose, ValueLocation, WrappedKey, wrapping_context
from scheduler.postgres.encryption.master_keys import HeldMasterKeys

TEXT = "Allergic to penicillin; sees Dr Grey on Mondays. " * 20 + "x" * 44  # 1,024 bytes
VALUES = 500  # of the library in one turn
THERE = 200  # of pgcrypto in one turn
TENANT = UUID(int=1)
LOCATION = ValueLocation("placement.placement_info", "notes", (UUID(int=3),))
SINGLY = "pgp_sym_encrypt, AES-256, a statement each"
WAYS = {
    "pgp_sym_encrypt, as it comes": "",
    "pgp_sym_encrypt, AES-256": "cipher-algo=aes256",
    "pgp_sym_encrypt, no key stretching": "cipher-algo=aes256, s2k-mode=0",
}


def ring() -> KeyRing:
    """Return a ring with a key for each purpose; a key is unwrapped when it is first used, before anything is timed."""
    masters = HeldMasterKeys({"main": os.urandom(32)}, random_bytes=os.urandom)
    keys = []
    for purpose in Purpose:
        key_id = UUID(bytes=os.urandom(16), version=4)
        wrapped = masters.wrap(os.urandom(32), wrapping_context(TENANT, key_id, purpose))
        keys.append(WrappedKey(key_id, purpose, wrapped, "main", is_current=True))
    return KeyRing(TENANT, keys, masters=masters, random_bytes=os.urandom)


def server(url: str | None) -> psycopg.Connection | None:
    """Connect to a server that has pgcrypto, if one is known."""
    given = url or os.environ.get("SCHEDULER_TEST_DATABASE_URL")
    if given is None:
        return None
    plain = make_url(given).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = psycopg.connect(plain)
    try:
        connection.execute("create extension if not exists pgcrypto")  # rolled back at the end
    except psycopg.Error as error:
        raise SystemExit(f"no pgcrypto on this server: {error}") from None
    return connection


def encrypting_singly(connection: psycopg.Connection) -> Callable[[], object]:
    """Return what sends as many texts one after the other; they are checked as those in one statement are."""
    statement = b"select pgp_sym_encrypt(%s, %s, 'cipher-algo=aes256')"
    values = (TEXT, os.urandom(32).hex())
    return lambda: [connection.execute(statement, values, prepare=True).fetchone() for _ in range(THERE)]


def encrypting(connection: psycopg.Connection, options: str) -> Callable[[], object]:
    """Return what encrypts as many texts in one statement, after a look at whether they open again."""
    made = f"pgp_sym_encrypt(%(text)s || number, %(key)s, '{options}')"
    values = {"text": TEXT[:-3], "key": os.urandom(32).hex(), "count": THERE}
    numbers = "from generate_series(100, 99 + %(count)s) as number"
    checked = connection.execute(
        f"select bool_and(pgp_sym_decrypt({made}, %(key)s) = %(text)s || number) {numbers}".encode(), values
    )
    if checked.fetchone() != (True,):
        raise SystemExit("pgcrypto does not open what it encrypted: nothing to compare")
    statement = f"select sum(octet_length({made})) {numbers}".encode()
    return lambda: connection.execute(statement, values).fetchone()


def against_pgcrypto(url: str | None, *, rounds: int) -> Table:
    """Encrypt and open texts of 1 KB, and encrypt the same on a server if there is one."""
    keys = ring()
    encrypted = keys.encrypt(TEXT, LOCATION)
    if keys.decrypt(encrypted, LOCATION) != TEXT or TEXT.encode()[:16] in bytes(encrypted):
        raise SystemExit("what was encrypted does not open: nothing to measure")
    candidates: dict[str, Callable[[], object]] = {
        "KeyRing.encrypt": lambda: [keys.encrypt(TEXT, LOCATION) for _ in range(VALUES)],
        "KeyRing.open": lambda: [keys.decrypt(encrypted, LOCATION) for _ in range(VALUES)],
        "KeyRing.blind_index, of 5 letters": lambda: [
            keys.blind_index("AB-12", table="t", column="c") for _ in range(VALUES)
        ],
    }
    connection = server(url)
    counts = dict.fromkeys(candidates, VALUES)
    if connection is not None:
        candidates |= {name: encrypting(connection, options) for name, options in WAYS.items()}
        candidates[SINGLY] = encrypting_singly(connection)
        counts |= dict.fromkeys((*WAYS, SINGLY), THERE)
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
        ratio = f"{seconds / each['KeyRing.encrypt']:,.1f} times" if counts[name] == THERE else ""
        table.add_row(name, f"{seconds * 1e6:,.1f}", f"{1 / seconds:,.0f}", ratio)
    return table
