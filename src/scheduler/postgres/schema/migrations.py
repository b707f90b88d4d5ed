"""Migrations: upgrade and downgrade of a database, and the checks that its schema is the one of this code.

Owns: the location of the revisions, upgrade, downgrade, the SQL script, the check of the revision before a command,
the comparison of every object with the last revision, and the new record of a revision whose record is lost.
Must not know: the content of a revision, the running of a revision (the migrations' own `env.py`).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import StringIO
from pathlib import Path
from threading import Lock
from typing import Final

from alembic import command as alembic_command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, event, text
from sqlalchemy.pool import NullPool

from scheduler.core.errors import InvalidInputError
from scheduler.postgres.connections import SETTINGS, assignments, name_of, open_engine, read_url
from scheduler.postgres.errors import SchemaMismatchError
from scheduler.postgres.schema import snapshot
from scheduler.postgres.schema.failures import explained
from scheduler.postgres.schema.obstacles import refuse_obstacles
from scheduler.postgres.schema.record import GRANTS, recorded
from scheduler.postgres.translation import NOT_MIGRATED, translated

PATIENCE: Final = timedelta(minutes=10)

_SETTINGS: Final = f"select {assignments({**SETTINGS, 'statement_timeout': '0'})}"

# Each column of a table, and whether the table has rows, those of its partitions included. The size tells, since forced
# row security hides the rows from the owner, too.
_COLUMNS: Final = text("""
    select root, relnamespace::regnamespace || '.' || relname, attnum, atttypid, atttypmod, filled
    from (
        select coalesce(pg_partition_root(oid)::oid, oid) as root, max(pg_relation_size(oid)) > 0 as filled
        from pg_class where relnamespace::regnamespace::text = any(:schemas) and relkind = 'r' group by 1
    ) as sized join pg_class on pg_class.oid = root join pg_attribute on attrelid = root
    where attnum > 0 and not attisdropped
""")

# Alembic keeps its state in a module, so threads take turns; processes take turns by the lock of `env.py`.
_one_thread_at_a_time: Final = Lock()


def location() -> Path:
    """Return the folder of the migrations: inside the installed package, or at the top of a checkout."""
    package = Path(__file__).parents[2]
    installed = package / "migrations"
    return installed if installed.is_dir() else package.parents[1] / "migrations"


def head() -> str:
    """Return the revision that this code works with."""
    revision = _scripts().get_current_head()
    assert revision is not None  # noqa: S101  # the migrations always have a revision
    return revision


def current(url: str) -> str | None:
    """Return the revision of a database; None before the first migration.

    Raises:
        DatabaseUnreachableError: no connection.
    """
    with _connected(url) as connection:
        return recorded(connection)


def upgrade(url: str, target: str = "head", *, patience: timedelta = PATIENCE) -> None:
    """Migrate a database up to a revision, in one transaction; a second migrator waits for the first.

    Raises:
        SchemaMismatchError: the database is newer than this code, or a revision finds another schema than it expects,
            such as a table of others under a name of ours.
        InvalidInputError: there is no such revision.
        StoreError: no connection, another migrator works for longer than `patience`, or the database refused.
    """
    _migrate(url, target, alembic_command.upgrade, patience, _refuse_obstacles)


def downgrade(url: str, target: str, *, patience: timedelta = PATIENCE) -> None:
    """Migrate a database down to a revision, or to `base`. The rows of dropped tables are lost.

    Errors are those of `upgrade`.
    """
    _migrate(url, target, alembic_command.downgrade, patience)


def tables_at_risk(url: str, target: str) -> tuple[str, ...]:
    """Return the tables with present or past rows that a downgrade to a revision drops or deprives of a column.

    The downgrade runs and is rolled back; until then it holds its locks. Errors are those of `upgrade`.
    """
    with _connected(url) as connection:
        _refuse_newer(connection)
        before = _columns(connection)
        with _migrating_to(target), explained(connection):
            alembic_command.downgrade(_config(connection), target)
        lost = before.keys() - _columns(connection).keys()
        connection.rollback()
    return tuple(sorted({name for column in lost if (name := before[column])}))


def _columns(connection: Connection) -> dict[tuple[object, ...], str | None]:
    """Return the columns of all tables, each with the name of its table; None for an empty table."""
    columns = connection.execute(_COLUMNS, {"schemas": list(snapshot.SCHEMAS)})
    return {(root, *column): name if filled else None for root, name, *column, filled in columns}


def script(target: str = "head") -> str:
    """Return the SQL that migrates an empty database up to a revision.

    Raises:
        InvalidInputError: there is no such revision.
    """
    config = _config()
    config.output_buffer = StringIO()
    with _migrating_to(target):
        alembic_command.upgrade(config, target, sql=True)
    return config.output_buffer.getvalue()


def check_schema(connection: Connection) -> None:
    """Refuse a database at another revision than this code.

    Raises:
        SchemaMismatchError: not migrated, older or newer than this code.
    """
    name = name_of(connection.engine.url)
    with translated(name):
        _refuse_newer(connection)
        revision = recorded(connection)
        if revision is None:
            raise SchemaMismatchError(f"the database {name} is not migrated: {NOT_MIGRATED}")
        if revision != head():
            raise SchemaMismatchError(
                f"the database {name} is at revision {revision}, this code works with {head()}: {NOT_MIGRATED}"
            )


def read_snapshot(url: str) -> snapshot.SchemaSnapshot:
    """Read the objects of a database at the last revision.

    Raises:
        SchemaMismatchError: not migrated, older or newer than this code.
        StoreError: no connection.
    """
    with _connected(url) as connection:
        check_schema(connection)
        return snapshot.read(connection)


def shipped_snapshot() -> snapshot.SchemaSnapshot:
    """Return the objects that a database at the last revision should have, from the file beside the migrations."""
    return snapshot.parse((location() / "schema.txt").read_text(encoding="utf-8"))


def differences(url: str, *, is_recorded: bool = True) -> tuple[str, ...]:
    """Compare a database at the last revision with the schema of that revision: one line a difference.

    The right revision is not enough: a table from before the migrations, a manual statement or a failed
    `create index concurrently` leaves an object that only looks alike. Without `is_recorded` the database is one whose
    record of the revision is lost.

    Raises:
        SchemaMismatchError: not migrated, older or newer than this code.
        StoreError: no connection.
    """
    with _connected(url) as connection:
        if is_recorded:
            check_schema(connection)
        return _differences(connection)


def _differences(connection: Connection) -> tuple[str, ...]:
    actual = snapshot.read(connection)
    if not any(name.startswith("table ") for name in actual):
        raise SchemaMismatchError(f"the database {name_of(connection.engine.url)} is not migrated: {NOT_MIGRATED}")
    return tuple(snapshot.differences(actual, shipped_snapshot()))


def stamp(url: str) -> None:
    """Record the last revision in a database whose table `scheduler.revision` is lost, if nothing differs from it.

    Raises:
        SchemaMismatchError: the schema differs (`differences` names all), or another revision is recorded.
        StoreError: no connection, another migrator works for longer than `PATIENCE`, or the database refused.
    """
    with _connected(url) as connection:
        name, revision = name_of(connection.engine.url), recorded(connection)
        if revision == head():
            return
        if revision is not None:
            _refuse_newer(connection)
            raise SchemaMismatchError(f"the record of {name} is not lost: it is revision {revision}: {NOT_MIGRATED}")
        with _migrating_to("head"), explained(connection):
            alembic_command.stamp(_config(connection, check=_refuse_differences), "head")
            connection.execute(GRANTS)
            connection.commit()


def _refuse_differences(connection: Connection) -> None:
    if found := _differences(connection):
        raise SchemaMismatchError(
            f"the schema of {name_of(connection.engine.url)} is not that of revision {head()}, so no revision is"
            f" recorded: {len(found)} things differ, the first: {found[0]}"
        )


def _nothing_to_check(_: Connection) -> None:
    """Check nothing before a migration."""


def _refuse_obstacles(connection: Connection) -> None:
    if recorded(connection) is None:
        refuse_obstacles(connection, shipped_snapshot())


def _migrate(
    url: str,
    target: str,
    command: Callable[[Config, str], None],
    patience: timedelta = PATIENCE,
    check: Callable[[Connection], None] = _nothing_to_check,
) -> None:
    with _connected(url) as connection:
        _refuse_newer(connection)
        with _migrating_to(target), explained(connection):
            command(_config(connection, patience, check), target)
            connection.commit()


def _config(
    connection: Connection | None = None,
    patience: timedelta = PATIENCE,
    check: Callable[[Connection], None] = _nothing_to_check,
) -> Config:
    config = Config()
    config.set_main_option("script_location", str(location()).replace("%", "%%"))
    config.attributes.update(connection=connection, patience=patience, check=check, settings=_SETTINGS)
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _known() -> set[str]:
    return {script.revision for script in _scripts().walk_revisions()}


def _refuse_newer(connection: Connection) -> None:
    revision = recorded(connection)
    if revision is not None and revision not in _known():
        raise SchemaMismatchError(
            f"the database {name_of(connection.engine.url)} is at revision {revision}, "
            "which this code does not know: it is newer than this code"
        )


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    parsed = read_url(url)
    engine = open_engine(parsed, poolclass=NullPool)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(_SETTINGS))
    with translated(name_of(parsed)), engine.connect() as connection:
        yield connection


@contextmanager
def _migrating_to(target: str) -> Iterator[None]:
    if target not in {"head", "base", *_known()}:
        raise InvalidInputError(f"cannot migrate to {target!r}: no such revision, the last one is {head()}")
    try:
        with _one_thread_at_a_time:
            yield
    except CommandError as error:
        raise InvalidInputError(f"cannot migrate to {target!r}: {str(error).splitlines()[0]}") from None
