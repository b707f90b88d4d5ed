"""Settings: database, tenant, master keys, clock and random source of a command.

Owns: the options that commands share, and the only readings of environment, clock and random source.
Must not know: what commands do.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated
from uuid import UUID, uuid4

from platformdirs import user_data_path
from sqlmodel import Session
from typer import Argument, Option

from scheduler.core.errors import InvalidInputError
from scheduler.postgres.database import Database, Role
from scheduler.postgres.embedded import embedded_server
from scheduler.postgres.encryption.errors import KeyUnavailableError
from scheduler.postgres.encryption.master_keys import HeldMasterKeys, new_master_key, read_master_keys
from scheduler.postgres.schema.migrations import check_schema
from scheduler.postgres.tenants import tenant_id_of


def readable(text: str | None) -> str | None:
    """Return a word of the command line if it is text without control characters.

    Raises:
        InvalidInputError: the word has control characters, or bytes that are not UTF-8.
    """
    if text is not None and not text.isprintable():
        raise InvalidInputError(f"{text!r} is not a line of text")
    return text


def secret_address(text: str | None) -> str | None:
    """Return the URL of a database without the line break that ends a file of secrets.

    Raises:
        InvalidInputError: the URL has control characters, or bytes that are not UTF-8. The message does not repeat it,
            since it may hold a password.
    """
    address = text and text.strip()
    if address and not address.isprintable():
        raise InvalidInputError("the database URL is not a line of text")
    return address


DatabaseUrl = Annotated[
    str | None,
    Option(
        "--database-url",
        callback=secret_address,
        envvar="SCHEDULER_DATABASE_URL",
        show_envvar=True,
        metavar="URL",
        help="PostgreSQL to work on, such as postgresql://user@host/name. Without it: your own embedded server.",
    ),
]
Tenant = Annotated[
    str,
    Option(
        "--tenant",
        callback=readable,
        envvar="SCHEDULER_TENANT",
        show_envvar=True,
        metavar="SLUG",
        help="Tenant to work for.",
    ),
]
FacilitySlug = Annotated[str, Argument(metavar="FACILITY", callback=readable, help="The facility's slug.")]
DoctorId = Annotated[
    int | None, Option("--doctor", metavar="ID", help="Only this doctor; `scheduler doctors` lists the ids.")
]
AsJson = Annotated[bool, Option("--json", help="Print one JSON object instead of tables.")]

DEFAULT_TENANT = "default"
MASTER_KEYS = "SCHEDULER_MASTER_KEYS"


def now() -> datetime:
    """Return the current instant in UTC."""
    return datetime.now(UTC)


def new_id() -> UUID:
    """Return a new random id."""
    return uuid4()


def random_bytes(count: int) -> bytes:
    """Return so many random bytes, fit for keys."""
    return os.urandom(count)


def master_keys(url: str | None) -> HeldMasterKeys:
    """Read the master keys from the environment: an option would show them in the list of processes.

    The embedded server has a master key of its own, in a file beside it that only its user can read.

    Raises:
        KeyUnavailableError: there is no master key.
        InvalidInputError: the value of the variable is malformed.
    """
    keys = os.environ.get(MASTER_KEYS, "").strip()
    if not keys and url is None:
        keys = _embedded_master_key()
    if not keys:
        raise KeyUnavailableError(f"no master key: {MASTER_KEYS} is not set (`scheduler keys new-master` creates one)")
    return read_master_keys(keys, random_bytes=random_bytes)


def _embedded_master_key() -> str:
    path = embedded_directory().with_name("master-key")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with open(path, "x", encoding="ascii", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(new_master_key("embedded", random_bytes=random_bytes))
    except FileExistsError:
        pass
    return path.read_text(encoding="ascii").strip()


def embedded_directory() -> Path:
    """Return the folder of the embedded server in the user's data directory."""
    return user_data_path("slotsmith") / "postgresql"


@contextmanager
def database_url(url: str | None) -> Iterator[str]:
    """Yield the given URL, or that of the embedded server, which runs while the block lasts."""
    if url is not None:
        yield url
    else:
        with embedded_server(embedded_directory()) as embedded:
            yield embedded


@contextmanager
def opened(url: str | None) -> Iterator[Database]:
    """Open the database, and check that its schema is that of this release."""
    with database_url(url) as address, Database(address) as database:
        with database.unit_of_work(role=Role.OWNER, tenant_id=None) as session:
            check_schema(session.connection())
        yield database


@contextmanager
def opened_for(
    url: str | None, tenant: str, *, role: Role = Role.SYSTEM, phi: bool = False
) -> Iterator[tuple[Session, UUID]]:
    """Open the database and a unit of work for a tenant; yield its session and the tenant's id."""
    with opened(url) as database:
        tenant_id = tenant_id_of(database, tenant, role=role)
        with database.unit_of_work(role=role, tenant_id=tenant_id, phi=phi) as session:
            yield session, tenant_id


def read_day(text: str | None, *, default: date) -> date:
    """Read a local date: `2027-03-28`, `today`, `tomorrow`, `yesterday`, `+7` or `-90`.

    Raises:
        InvalidInputError: the text is no such date.
    """
    if text is None:
        return default
    today = now().date()
    words = {"today": today, "tomorrow": today + timedelta(days=1), "yesterday": today - timedelta(days=1)}
    if text in words:
        return words[text]
    try:
        if text.startswith(("+", "-")):
            return today + timedelta(days=int(text))
        day = date.fromisoformat(text)
    except (ValueError, OverflowError):
        day = None
    if day is not None and day.isoformat() == text:  # `2027-W13` would silently mean the first day of the week
        return day
    raise InvalidInputError(f"{text!r} is not a day: 2027-03-28, today, tomorrow or +7 are")


def read_days(first: str | None, days: int | None, until: str | None, *, default_days: int) -> tuple[date, date]:
    """Read `--from`, `--days` and `--until` (the last day) as a half-open range of local days.

    Raises:
        InvalidInputError: both --days and --until are given, or the range is empty or outside the calendar.
    """
    begin = read_day(first, default=now().date())
    if days is not None and until is not None:
        raise InvalidInputError("--days and --until exclude each other: give one of them")
    try:
        end = begin + timedelta(days=default_days if days is None else days)
        if until is not None:
            end = read_day(until, default=begin) + timedelta(days=1)
    except OverflowError:
        raise InvalidInputError(f"the days from {begin} on leave the calendar") from None
    if end <= begin:
        raise InvalidInputError(f"no day to work on: {begin} to {end - timedelta(days=1)}")
    return begin, end
