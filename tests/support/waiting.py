"""Waiting: of two connections, one waits for the lock of a row that the other has.

Owns: the order of their acts, and the table for whose lock the second waits. Must not know: any table.
"""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import Queue
from time import sleep
from typing import Final, NamedTuple

import psycopg

from support.worlds.appointments import refusal


class Waited(NamedTuple):
    """The lock for which a call waited, and the constraints that refused the calls, if any."""

    table: str | None
    """The table whose row was locked, unless the call had a weaker lock of it."""
    second: str | None
    third: str | None


Act = Callable[[psycopg.Connection], object]
WAITS: Final = """
select (
    select relation::regclass::text from pg_locks
    where pg_locks.pid = %(pid)s and locktype = 'tuple' and granted
) where cardinality(pg_blocking_pids(%(pid)s)) > 0
"""


def after_waiting(url: str, first: Act, second: Act, third: Act = lambda _: None) -> Waited:
    """Do `second` until it waits for the lock of a row that `first` has; then do `third`, and commit."""
    pids: Queue[int] = Queue()

    def later() -> str | None:
        with psycopg.connect(url) as own:
            pids.put(own.info.backend_pid)
            return refusal(own, lambda: second(own))

    with ThreadPoolExecutor(1) as thread, psycopg.connect(url, autocommit=True) as watching:
        with psycopg.connect(url) as own:
            first(own)
            result, pid = thread.submit(later), pids.get(timeout=10)
            for _ in range(1000):
                waits = watching.execute(WAITS, {"pid": pid}).fetchone()
                if waits is not None:
                    break
                assert not result.done(), "the second did not wait for the first"
                sleep(0.01)
            assert waits is not None
            refused = refusal(own, lambda: third(own))
        return Waited(waits[0], result.result(30), refused)
