"""The surroundings of every migration: one transaction each, one migrator at a time, no long wait for a lock.

Owns: how Alembic runs the revisions, on a connection that the library hands over, or as a script.
Must not know: where the database is, what a revision does.

Two migrators at once would both see the old revision. So the second waits for an advisory lock before it reads which
revision is there, and finds the work done; when its patience ends first, it says so. A migration that cannot have its
table lock within seconds gives up: behind a waiting `alter table` every reader would wait too.

The revision is kept in a table of the library's own schema, `scheduler`. Both are made before Alembic looks for them,
and are dropped with the last revision; a `scheduler` that holds other objects stays.
"""

from datetime import timedelta

from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from scheduler.postgres.errors import StoreError

VERSION_TABLE = "revision"
VERSION_SCHEMA = "scheduler"
ONE_MIGRATOR = "select pg_advisory_lock(hashtext('scheduler'), hashtext('migrations'))"
# Not `create schema if not exists`, which needs the right to make one although it is there.
MAKE_SCHEMA = """
do $$ begin
    if pg_catalog.to_regnamespace('scheduler') is null then
        create schema scheduler;
    end if;
end $$
"""
DROP_SCHEMA = """
drop table if exists scheduler.revision;
do $$ begin
    drop schema scheduler;
exception when dependent_objects_still_exist then
    null;  -- somebody else's objects live there, too
end $$
"""
PATIENCE_WITH_READERS = "set lock_timeout = '5s'"
LOCK_NOT_AVAILABLE = "55P03"


def take_turn(connection: Connection, patience: timedelta) -> None:
    connection.execute(text(f"set lock_timeout = {max(1, patience // timedelta(milliseconds=1))}"))
    try:
        connection.execute(text(ONE_MIGRATOR))
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) != LOCK_NOT_AVAILABLE:
            raise
        raise StoreError(f"another migration is running on this database, and did not end within {patience}") from None


def run(connection: Connection, patience: timedelta, *, rehearsal: bool) -> None:
    """Run the revisions; for a rehearsal in the one transaction that is open then, which its caller rolls back."""
    take_turn(connection, patience)
    connection.execute(text(PATIENCE_WITH_READERS))
    connection.execute(text(MAKE_SCHEMA))
    if not rehearsal:
        connection.commit()
    context.configure(
        connection=connection,
        version_table=VERSION_TABLE,
        version_table_schema=VERSION_SCHEMA,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()
    if not context.get_context().get_current_heads():
        connection.execute(text(DROP_SCHEMA))
        if not rehearsal:
            connection.commit()


def write() -> None:
    context.configure(
        dialect_name="postgresql",
        dialect_opts={"paramstyle": "named"},  # the driver's own would write each % twice
        literal_binds=True,
        version_table=VERSION_TABLE,
        version_table_schema=VERSION_SCHEMA,
        transaction_per_migration=True,
    )
    context.execute(PATIENCE_WITH_READERS)
    context.execute(MAKE_SCHEMA)
    with context.begin_transaction():
        context.run_migrations()


if context.is_offline_mode():
    write()
else:
    given = context.config.attributes
    run(given["connection"], given["patience"], rehearsal=given["rehearsal"])
