"""Clocks of a test database: one runs fast, so that holds end within a test, and one stands still.

Owns: the replacement of `scheduling.clock()`, and the conversion of its instants.
Must not know: holds.
"""

from datetime import datetime
from typing import Final, NamedTuple

import psycopg
from psycopg import sql

SPEED: Final = 300
"""How many seconds of the fast clock pass in one: a minute takes 0.2 seconds."""


class FastClock(NamedTuple):
    """A clock that showed the right time at `since`, and has run so many times as fast since then."""

    since: datetime
    speed: float = SPEED

    def real(self, shown: datetime) -> float:
        """Return when the clock shows an instant, in seconds as of `time.time`."""
        return self.since.timestamp() + (shown - self.since).total_seconds() / self.speed


def run_fast(url: str) -> FastClock:
    """Let the clock of a database run fast from now on."""
    with psycopg.connect(url) as connection:
        row = connection.execute("select clock_timestamp()").fetchone()
        assert row is not None
        _replace(connection, sql.SQL("{0} + (clock_timestamp() - {0}) * {1}").format(row[0], SPEED))
        return FastClock(row[0])


def stop_at(connection: psycopg.Connection, at: datetime) -> None:
    """Let the clock of a database show an instant until it is set again."""
    _replace(connection, sql.SQL("{}").format(at))


def _replace(connection: psycopg.Connection, value: sql.Composed) -> None:
    head = sql.SQL("create or replace function scheduling.clock() returns timestamptz language sql volatile return ")
    connection.execute(head + value)
