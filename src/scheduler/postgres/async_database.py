"""Asynchronous database: a `Database` whose connections are awaited, for code in a greenlet of SQLAlchemy.

Owns: the kinds of engine that are taken.
Must not know: which greenlet runs its units of work (`front_door.awaiting`).

SQLAlchemy's package for asyncio needs greenlet, so no other module of this package imports it.
"""

from typing import Any

from sqlalchemy import URL, Engine
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from scheduler.core.errors import InvalidInputError
from scheduler.postgres.connections import DRIVER, engine_options, read_url
from scheduler.postgres.database import Database
from scheduler.postgres.pools import HostPool, OwnPool, PoolSettings


def async_database(database: AsyncEngine | URL | str) -> Database:
    """Return a database over a URL, or over the asynchronous engine of a host. Use it in a greenlet only.

    Raises:
        InvalidInputError: the URL cannot be read, or the engine is not an asynchronous one of postgresql+psycopg.
    """
    if isinstance(database, URL | str):
        text = database if isinstance(database, str) else database.render_as_string(hide_password=False)
        return Database.of_pool(OwnPool(read_url(text), PoolSettings(), open_engine=_open_engine))
    named = database.url.drivername if isinstance(database, AsyncEngine | Engine) else type(database).__name__
    if not isinstance(database, AsyncEngine):
        raise InvalidInputError(f"an engine of {DRIVER}, made by create_async_engine, is needed, not {named}")
    if (database.dialect.name, database.dialect.driver) != ("postgresql", "psycopg"):
        raise InvalidInputError(
            f"an engine of {DRIVER} is needed, not of {named}, which prepares each statement: a unit of work ends with"
            " several in one message"
        )
    return Database.of_pool(HostPool(database.sync_engine))


def _open_engine(url: URL, **options: Any) -> Engine:  # noqa: ANN401  # options of SQLAlchemy
    return create_async_engine(**engine_options(url), **options).sync_engine
