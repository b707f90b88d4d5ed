"""Environment of every migration: one transaction, one migrator at a time, and short waits for locks.

Owns: how Alembic runs the revisions, in the open transaction of a connection that the library passes, or as a script.
Must not know: where the database is, what a revision does.

All revisions of a migration are one transaction, so a database never stays half-way. Two concurrent migrators would
both read the old revision. So the second waits for an advisory lock before it reads the revision, and finds the work
done or gives up after its patience. A migration that does not get a table lock within seconds fails: every reader would
queue behind a waiting `alter table`. Lock and settings end with the transaction, so a pooler that hands out connections
by transaction passes on neither.

Alembic keeps the revision in the schema `scheduler`, which is created before it looks there, and dropped with the last
revision unless it holds other objects.
"""

from collections.abc import Callable
from datetime import timedelta

from alembic import context
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from scheduler.postgres.errors import StoreError
from scheduler.postgres.translation import LOCK_NOT_AVAILABLE

VERSION_TABLE = "revision"
VERSION_SCHEMA = "scheduler"
ONE_MIGRATOR = "select pg_advisory_xact_lock(hashtext('scheduler'), hashtext('migrations'))"
NEED_UTF8 = """
do $$ begin
    if current_setting('server_encoding') <> 'UTF8' then
        raise exception 'its encoding is %, and names need UTF8: create it with "encoding ''UTF8'' template template0"',
            current_setting('server_encoding') using errcode = 'object_not_in_prerequisite_state';
    end if;
end $$
"""
# `create schema if not exists` would need the right to create a schema even if it exists.
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
    null;  -- the schema holds other objects
end $$
"""
PATIENCE_WITH_READERS = "set local lock_timeout = '5s'"


def take_turn(connection: Connection, patience: timedelta) -> None:
    connection.execute(text(f"set local lock_timeout = {max(1, patience // timedelta(milliseconds=1))}"))
    try:
        connection.execute(text(ONE_MIGRATOR))
    except OperationalError as error:
        if getattr(error.orig, "sqlstate", None) != LOCK_NOT_AVAILABLE:
            raise
        raise StoreError(
            f"another migration is running on this database and did not end within {patience}: try again later"
        ) from None


def run(connection: Connection, patience: timedelta, check: Callable[[Connection], None]) -> None:
    """Run the revisions in the open transaction, which the caller ends; the check runs when no other migrator does."""
    connection.execute(text(NEED_UTF8))
    take_turn(connection, patience)
    check(connection)
    connection.execute(text(PATIENCE_WITH_READERS))
    connection.execute(text(MAKE_SCHEMA))
    context.configure(connection=connection, version_table=VERSION_TABLE, version_table_schema=VERSION_SCHEMA)
    with context.begin_transaction():
        context.run_migrations()
    if not context.get_context().get_current_heads():
        connection.execute(text(DROP_SCHEMA))


def write(settings: str) -> None:
    context.configure(
        dialect_name="postgresql",
        dialect_opts={"paramstyle": "named"},  # the style of the driver would double each %
        literal_binds=True,
        version_table=VERSION_TABLE,
        version_table_schema=VERSION_SCHEMA,
    )
    with context.begin_transaction():
        for statement in (settings, NEED_UTF8, ONE_MIGRATOR, PATIENCE_WITH_READERS, MAKE_SCHEMA):
            context.execute(statement)
        context.run_migrations()


given = context.config.attributes
if context.is_offline_mode():
    write(given["settings"])
else:
    run(given["connection"], given["patience"], given["check"])
