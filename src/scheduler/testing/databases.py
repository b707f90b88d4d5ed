"""Databases for tests: a server, a migrated template, and a fresh copy of it for each module.

Owns: the server and the template of tests.
Must not know: the rows in them.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from shutil import disk_usage
from tempfile import TemporaryDirectory
from typing import Final

from scheduler.postgres.connections import read_url
from scheduler.postgres.embedded import embedded_server
from scheduler.postgres.fresh_databases import execute, fresh_database
from scheduler.postgres.schema.migrations import upgrade

_MEMORY: Final = Path("/dev/shm")  # noqa: S108  # a folder of its own within
_ROOM: Final = 2 * 1024**3
_FASTER_THAN_SAFE: Final = ("fsync", "synchronous_commit", "full_page_writes")


@dataclass(frozen=True, slots=True)
class DatabaseTemplate:
    """A migrated database that is copied for tests. Get it from `database_template`."""

    server: str = field(repr=False)  # may hold a password
    name: str


@contextmanager
def database_server() -> Iterator[str]:
    """Run an embedded PostgreSQL for tests while the block lasts, and yield its URL as a superuser.

    Its files are temporary and lie in memory if the system has 2 GiB to spare there. It needs the extra `embedded`.

    Raises:
        StoreError: the extra is not installed, or the server does not start.
    """
    # Not pytest's own temporary folder: other sessions of pytest clean up there.
    with (
        TemporaryDirectory(prefix="slotsmith-", dir=_in_memory()) as folder,
        embedded_server(Path(folder) / "postgres") as url,
    ):
        execute(url, *(f"alter system set {name} = off" for name in _FASTER_THAN_SAFE), "select pg_reload_conf()")
        yield url


@contextmanager
def database_template(
    server: str | None = None, *, prepare: Callable[[str], object] | None = None
) -> Iterator[DatabaseTemplate]:
    """Create a database, migrate it, and yield it as the template of further ones; drop it after the block.

    `server` is the URL of a database on a server of yours, with a login that may create databases and roles; without
    it, an embedded server runs while the block lasts. `prepare` is called with the URL of the migrated database, to run
    migrations of your own. It has to close its connections, since a database in use cannot be copied.

    Raises:
        InvalidInputError: the URL cannot be read.
        StoreError: no connection, the login lacks a right, or the embedded server does not start.
    """
    given: AbstractContextManager[str] = database_server() if server is None else nullcontext(server)
    with given as on, fresh_database(on) as url:
        upgrade(url)
        if prepare is not None:
            prepare(url)
        yield DatabaseTemplate(on, str(read_url(url).database))


@contextmanager
def migrated_database(template: DatabaseTemplate | None = None) -> Iterator[str]:
    """Create a migrated database, yield its URL, and drop it after the block.

    It is a copy of the template, which takes a fraction of a second. Without a template, an embedded server runs while
    the block lasts.

    Raises:
        StoreError: no connection, the template is in use, or the embedded server does not start.
    """
    if template is None:
        with database_template() as made, migrated_database(made) as url:
            yield url
        return
    with fresh_database(template.server, template=template.name) as url:
        yield url


def _in_memory() -> Path | None:
    """Return the file system in memory if it has room; None is the usual temporary folder.

    Each database is a copy of its template, 13 MB: on a busy disk a copy took ten times as long as in memory.
    """
    with suppress(OSError):
        if disk_usage(_MEMORY).free >= _ROOM and os.access(_MEMORY, os.W_OK):
            return _MEMORY
    return None
