"""Asynchronous database: a `Database` whose connections are awaited, for code in a greenlet of SQLAlchemy.

Owns: the kinds of engine that are taken, a further engine for another event loop.
Must not know: which greenlet runs its units of work (`front_door.awaiting`).
"""

from sqlalchemy import URL, Engine
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from scheduler.core.errors import InvalidInputError
from scheduler.postgres.connections import (
    DRIVER,
    application_of,
    begin_only_as_told,
    engine_options,
    name_of,
    read_url,
)
from scheduler.postgres.database import Database


def open_async(database: AsyncEngine | URL | str) -> Database:
    """Return a database over a URL, or over the asynchronous engine of a host. Use it in a greenlet only.

    Raises:
        InvalidInputError: the URL cannot be read, or the engine is not an asynchronous one for psycopg.
    """
    if isinstance(database, AsyncEngine):
        return _of_host(database)
    text = database.render_as_string(hide_password=False) if isinstance(database, URL) else database
    url = read_url(text)
    engine = create_async_engine(**engine_options(url)).sync_engine
    begin_only_as_told(engine)
    return _database(engine)


def _of_host(engine: AsyncEngine) -> Database:
    if (engine.dialect.name, engine.dialect.driver) != ("postgresql", "psycopg"):
        raise InvalidInputError(
            f"an asynchronous engine of {DRIVER} is needed, not of {engine.url.drivername}, "
            "which prepares each statement and cannot take the message that commits"
        )
    sync = engine.sync_engine.execution_options()
    begin_only_as_told(sync)
    return _database(sync)


def _database(engine: Engine) -> Database:
    database = Database.__new__(Database)
    database.name = name_of(engine.url)
    database._application = application_of(engine.url)
    database._engine = database._read_engine = engine
    return database


def engine_apart(database: Database) -> AsyncEngine:
    """Return an engine for another event loop, which opens its connections as the database does."""
    engine = database._engine
    return AsyncEngine(Engine(engine.pool.recreate(), engine.dialect, engine.url, hide_parameters=True))
