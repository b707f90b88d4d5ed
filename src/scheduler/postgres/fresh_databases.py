"""Fresh databases: created as a copy of a template, and dropped after their use.

Owns: how such a database is created, copied and dropped.
Must not know: the rows in it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy.pool import NullPool

from scheduler.postgres.connections import name_of, open_engine, read_url
from scheduler.postgres.errors import StatementError, StoreError
from scheduler.postgres.translation import translated

_NEW_NAME: Final = "select 'slotsmith_test_' || left(md5(gen_random_uuid()::text), 16)"
_IN_USE: Final = "55006"  # PostgreSQL, appendix A: object_in_use


@contextmanager
def fresh_database(server: str, *, template: str = "template0") -> Iterator[str]:
    """Create a database as a copy of another one, yield its URL, and drop it after the block.

    Raises:
        StoreError: no connection, the template is in use, or the login may not create databases.
    """
    name = execute(server, _NEW_NAME)
    # Copying files is faster than writing each page to the log, where nothing waits for the disk.
    try:
        execute(server, f"create database {name} template {template} encoding 'UTF8' strategy file_copy")
    except StatementError as error:
        if error.sqlstate != _IN_USE:
            raise
        raise StoreError(f"the template {template} has open connections: close them before it is copied") from None
    try:
        url = read_url(server).set(database=name, drivername="postgresql")
        yield url.render_as_string(hide_password=False)
    finally:
        execute(server, f"drop database {name} with (force)")


def execute(url: str, *statements: str) -> str:
    """Run each statement as a transaction of its own, and return the first value that the last one returns."""
    parsed = read_url(url)
    engine = open_engine(parsed, poolclass=NullPool)
    value = ""
    with translated(name_of(parsed)), engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in statements:
            result = connection.exec_driver_sql(statement)
            value = str(result.scalar()) if result.returns_rows else ""
    return value
