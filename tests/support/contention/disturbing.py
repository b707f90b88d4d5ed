"""Disturbances: connections that break while workers use them.

Owns: who is cut off, and when.
Must not know: what the connections are for.
"""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Final

import psycopg

_KILL: Final = """
select pg_terminate_backend(pid) from pg_stat_activity
where datname = current_database() and pid <> pg_backend_pid() and state in ('active', 'idle in transaction')
order by random() limit 1
"""


@contextmanager
def killed_now_and_then(url: str, *, pause: float) -> Iterator[None]:
    """End a busy connection of the database after each pause of random length, while the block runs."""
    over = Event()

    def kill() -> None:
        with psycopg.connect(url, autocommit=True) as connection:
            while not over.wait(random.random() * 2 * pause):  # noqa: S311
                connection.execute(_KILL)

    thread = Thread(target=kill)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
