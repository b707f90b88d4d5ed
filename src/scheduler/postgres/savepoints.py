"""Savepoints: a part of a unit of work that undoes itself when it is refused.

Owns: the savepoint around a part, and its errors in the library's classes.
Must not know: which tables there are, what the part does.

PostgreSQL aborts the whole transaction at a refused statement, unless a savepoint precedes it. SAVEPOINT and RELEASE
are two more round trips to the server: use one savepoint for what one call writes, not one for each row.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from sqlmodel import Session

from scheduler.postgres.connections import name_of
from scheduler.postgres.translation import translated


def refusable(session: Session) -> AbstractContextManager[None]:
    """Run the block in a savepoint: an exception undoes the block alone, and the unit of work continues.

    Rows that were added to the session before are written first, outside of the savepoint; rows of the block are
    written at its end. Errors of its statements are those of `Database.unit_of_work`. Blocks may be nested.

    Raises:
        StatementError: the database refused a statement of the block, which is undone.
    """
    connection = session.connection()
    senders = session, connection, connection.connection.driver_connection
    return translated(name_of(connection.engine.url), _nested(session), senders=senders)


@contextmanager
def _nested(session: Session) -> Iterator[None]:
    with session.begin_nested():
        yield
