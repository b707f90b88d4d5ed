"""`scheduler with-server`: run a program on the embedded PostgreSQL, which runs as long as the program does."""

import os
import subprocess
from contextlib import nullcontext
from typing import Annotated

import typer

from scheduler.cli.settings import DatabaseUrl, database_url
from scheduler.core.errors import NotFoundError
from scheduler.postgres.fresh_databases import fresh_database

_SIGNALLED = 128  # as a shell counts


def with_server(
    program: Annotated[
        list[str], typer.Argument(metavar="PROGRAM...", help="The program and its arguments; `--` before options.")
    ],
    url: DatabaseUrl = None,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Give the program an empty database of its own, and drop it afterwards.")
    ] = False,
) -> None:
    """Run a program that finds the address of the database in SCHEDULER_DATABASE_URL.

    Without --database-url, that is your own embedded server, which runs as long as the program does. Rows that the
    program writes stay there, unless --fresh is given. The exit code is that of the program.
    """
    with database_url(url) as server, fresh_database(server) if fresh else nullcontext(server) as address:
        try:
            done = subprocess.run(program, env={**os.environ, "SCHEDULER_DATABASE_URL": address}, check=False)  # noqa: S603  # the user's own
        except OSError as error:
            raise NotFoundError(f"cannot run {program[0]!r}: {error.strerror}") from None
    raise typer.Exit(done.returncode if done.returncode >= 0 else _SIGNALLED - done.returncode)
