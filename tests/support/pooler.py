"""Pooler: a PgBouncer in transaction mode before the tests' server, where the program is installed.

It runs as the user that owns the server's socket, since it refuses root.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import psycopg
from sqlalchemy import make_url

PROGRAM: Final = shutil.which("pgbouncer", path=f"{os.defpath}:/usr/sbin:{os.environ.get('PATH', '')}")
NEEDED: Final = "pgbouncer is not installed"
START_SECONDS: Final = 10


@contextmanager
def transaction_pooler(url: str, *, connections: int) -> Iterator[str]:
    """Run a PgBouncer with so many connections to a database, and yield the URL of the database there."""
    assert PROGRAM, NEEDED
    parsed = make_url(url)
    with TemporaryDirectory(prefix="slotsmith-pooler-") as name:
        folder = Path(name)
        server = str(parsed.query.get("host") or parsed.host or "localhost")
        owner = (Path(server) if server.startswith("/") else folder).stat()
        root = os.geteuid() == 0
        (folder / "users").write_text(f'"{parsed.username}" "{parsed.password or ""}"\n')
        (folder / "settings").write_text(
            f"[databases]\n* = host={server} port={parsed.query.get('port', parsed.port or 5432)}\n"
            f"[pgbouncer]\npool_mode = transaction\ndefault_pool_size = {connections}\nmax_client_conn = 50\n"
            f"listen_addr =\nunix_socket_dir = {folder}\nauth_type = trust\nauth_file = {folder / 'users'}\n"
        )
        for path in (folder, *folder.iterdir()) if root else ():
            os.chown(path, owner.st_uid, owner.st_gid)
        process = subprocess.Popen(
            [PROGRAM, "-q", str(folder / "settings")],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            user=owner.st_uid if root else None,
            group=owner.st_gid if root else None,
            extra_groups=[] if root else None,
        )
        pooled = parsed.set(host=None, port=None).set(query={"host": str(folder), "port": "6432"})
        try:
            _wait(process, pooled.render_as_string(hide_password=False))
            yield pooled.render_as_string(hide_password=False)
        finally:
            process.terminate()
            process.communicate()


def _wait(process: "subprocess.Popen[bytes]", url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            psycopg.connect(url).close()
        except psycopg.OperationalError:
            assert process.poll() is None, process.communicate()[1].decode()
            assert time.monotonic() < deadline, "pgbouncer does not answer"
            time.sleep(0.05)
        else:
            return
