"""Migrations: bring a database to the schema that this code works with, and tell whether it is there.

Owns: where the revisions are found, up, down, as a script, the check that a command begins with (is it the right
revision?), and the thorough one (is everything there as the last revision makes it?).
Must not know: what a revision does, or how it is run (the migrations' own `env.py`).
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import StringIO
from pathlib import Path
from threading import Lock
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from scheduler.core.errors import InvalidInputError
from scheduler.postgres.database import CONNECT_SECONDS, NOT_ALLOWED, NOT_MIGRATED, name_of, read_url, translated
from scheduler.postgres.errors import SchemaMismatchError, StatementError
from scheduler.postgres.schema import snapshot

VERSION_TABLE: Final = "scheduler.revision"
PATIENCE: Final = timedelta(minutes=10)

_LOCK_NOT_AVAILABLE: Final = "55P03"
_NOT_AS_NEEDED: Final = "42"  # PostgreSQL, appendix A, class 42: names and types; its messages name objects, no values

# Each column of a table, and whether there are rows, those of a partition being its table's. By size, since the owner
# sees no rows either: row security is forced on it.
_COLUMNS: Final = text("""
    select root, relnamespace::regnamespace || '.' || relname, attnum, atttypid, atttypmod, filled
    from (
        select coalesce(pg_partition_root(oid)::oid, oid) as root, max(pg_relation_size(oid)) > 0 as filled
        from pg_class where relnamespace::regnamespace::text = any(:schemas) and relkind = 'r' group by 1
    ) as found join pg_class on pg_class.oid = root join pg_attribute on attrelid = root
    where attnum > 0 and not attisdropped
""")

# Alembic keeps what it works on in a module, so threads take turns; processes do so by the lock of `env.py`.
_one_in_this_process: Final = Lock()


def location() -> Path:
    """Return the folder of the migrations: inside the installed package, or at the top of a checkout."""
    package = Path(__file__).parents[2]
    installed = package / "migrations"
    return installed if installed.is_dir() else package.parents[1] / "migrations"


def head() -> str:
    """Return the revision that this code works with."""
    revision = _scripts().get_current_head()
    assert revision is not None  # noqa: S101  # the first revision is there since the first release
    return revision


def current(url: str) -> str | None:
    """Return the revision of a database; None before the first migration.

    Raises:
        DatabaseUnreachableError: no connection.
    """
    with _connected(url) as connection:
        return _revision(connection)


def upgrade(url: str, target: str = "head", *, patience: timedelta = PATIENCE) -> None:
    """Migrate a database up to a revision. Each revision is a transaction; a second migrator waits for the first.

    Raises:
        SchemaMismatchError: the database is newer than this code, or something in it has a name that a revision needs.
        InvalidInputError: there is no such revision.
        StoreError: no connection, the other migrator outlasted the patience, or the database refused; what was done
            up to there stays.
    """
    with _connected(url) as connection:
        _refuse_newer(connection)
        with _going_to(target), _explained(connection):
            command.upgrade(_config(connection, patience), target)


def downgrade(url: str, target: str, *, patience: timedelta = PATIENCE) -> None:
    """Migrate a database down to a revision, or to `base`. The rows of dropped tables are lost.

    Raises:
        SchemaMismatchError: the database is newer than this code, or something in it is not as a revision left it.
        InvalidInputError: there is no such revision.
        StoreError: no connection, the other migrator outlasted the patience, or the database refused; what was done
            up to there stays.
    """
    with _connected(url) as connection:
        _refuse_newer(connection)
        with _going_to(target), _explained(connection):
            command.downgrade(_config(connection, patience), target)


def tables_at_risk(url: str, target: str) -> tuple[str, ...]:
    """Return the tables that have or had rows, of which the way down to a revision drops some column or all.

    It goes down and is rolled back; until then it holds the locks that going down takes.

    Raises:
        SchemaMismatchError: the database is newer than this code, or something in it is not as a revision left it.
        InvalidInputError: there is no such revision.
        StoreError: no connection, another migrator is at work, or the database refused.
    """
    with _connected(url) as connection:
        _refuse_newer(connection)
        before = _columns(connection)
        with _going_to(target), _explained(connection):
            command.downgrade(_config(connection, rehearsal=True), target)
        lost = before.keys() - _columns(connection).keys()
        connection.rollback()
    return tuple(sorted({name for column in lost if (name := before[column])}))


def _columns(connection: Connection) -> dict[tuple[object, ...], str | None]:
    """Return the columns that there are, each with its table's name if that has rows, and None if it has not."""
    found = connection.execute(_COLUMNS, {"schemas": list(snapshot.SCHEMAS)})
    return {(root, *column): name if filled else None for root, name, *column, filled in found}


def script(target: str = "head") -> str:
    """Return the SQL that migrates an empty database up to a revision, for somebody else to run.

    Raises:
        InvalidInputError: there is no such revision.
    """
    config = _config()
    config.output_buffer = StringIO()
    with _going_to(target):
        command.upgrade(config, target, sql=True)
    return config.output_buffer.getvalue()


def check_schema(connection: Connection) -> None:
    """Refuse to work with a database whose schema is not the one that this code works with.

    Raises:
        SchemaMismatchError: not migrated, older or newer than this code.
    """
    name = name_of(connection.engine.url)
    with translated(name):
        _refuse_newer(connection)
        revision = _revision(connection)
        if revision is None:
            raise SchemaMismatchError(f"the database {name} is not migrated: {NOT_MIGRATED}")
        if revision != head():
            raise SchemaMismatchError(
                f"the database {name} is at revision {revision}, this code works with {head()}: {NOT_MIGRATED}"
            )


def listing(url: str) -> snapshot.Listing:
    """Return what a database at the last revision has, object by object.

    Raises:
        SchemaMismatchError: not migrated, older or newer than this code.
        StoreError: no connection.
    """
    with _connected(url) as connection:
        check_schema(connection)
        return snapshot.read(connection)


def shipped_listing() -> snapshot.Listing:
    """Return what a database at the last revision should have: the migrations bring it along."""
    return snapshot.parse((location() / "schema.txt").read_text(encoding="utf-8"))


def differences(url: str) -> tuple[str, ...]:
    """Compare a database at the last revision with what that revision makes: a line for each thing that differs.

    It is not enough that the revision is right: a table that was there before, a statement by hand or a failed
    `create index concurrently` leave something that only looks alike.

    Raises:
        SchemaMismatchError: not migrated, older or newer than this code.
        StoreError: no connection.
    """
    return tuple(snapshot.differences(listing(url), shipped_listing()))


def _config(connection: Connection | None = None, patience: timedelta = PATIENCE, *, rehearsal: bool = False) -> Config:
    config = Config()
    config.set_main_option("script_location", str(location()).replace("%", "%%"))
    config.attributes.update(connection=connection, patience=patience, rehearsal=rehearsal)
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())


def _known() -> set[str]:
    return {script.revision for script in _scripts().walk_revisions()}


def _revision(connection: Connection) -> str | None:
    if connection.scalar(text(f"select to_regclass('{VERSION_TABLE}')")) is None:
        return None
    revision: str | None = connection.scalar(text(f"select version_num from {VERSION_TABLE}"))  # noqa: S608
    return revision


def _refuse_newer(connection: Connection) -> None:
    revision = _revision(connection)
    if revision is not None and revision not in _known():
        raise SchemaMismatchError(
            f"the database {name_of(connection.engine.url)} is at revision {revision}, "
            "which this code does not know: it is newer than this code"
        )


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    parsed = read_url(url)
    connect = {} if "connect_timeout" in parsed.query else {"connect_timeout": CONNECT_SECONDS}
    engine = create_engine(parsed, connect_args=connect, poolclass=NullPool, hide_parameters=True)
    with translated(name_of(parsed)), engine.connect() as connection:
        yield connection


@contextmanager
def _going_to(target: str) -> Iterator[None]:
    if target not in {"head", "base", *_known()}:
        raise InvalidInputError(f"cannot migrate to {target!r}: no such revision, the last one is {head()}")
    try:
        with _one_in_this_process:
            yield
    except CommandError as error:
        raise InvalidInputError(f"cannot migrate to {target!r}: {str(error).splitlines()[0]}") from None


@contextmanager
def _explained(connection: Connection) -> Iterator[None]:
    """Say what stands in a migration's way: `run scheduler migrate` is no help to who is doing so."""
    try:
        yield
    except DBAPIError as error:
        code, diagnosis = getattr(error.orig, "sqlstate", None) or "", getattr(error.orig, "diag", None)
        where, said = name_of(connection.engine.url), diagnosis.message_primary if diagnosis else None
        if code == NOT_ALLOWED or not (code == _LOCK_NOT_AVAILABLE or code.startswith(_NOT_AS_NEEDED)):
            raise
        connection.rollback()
        stays = f"it stays at {_revision(connection) or 'no revision'}"
        if code == _LOCK_NOT_AVAILABLE:
            raise StatementError(
                f"a table of {where} is in use, so the migration gave up: {stays}; try again when less is going on",
                sqlstate=code,
            ) from None
        raise SchemaMismatchError(
            f"something in the database {where} is not as the migration needs it ({said}): {stays}"
        ) from None
