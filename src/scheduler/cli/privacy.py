"""`scheduler export` and `scheduler erase`: requests of data subjects, and the export of a tenant."""

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Annotated, TextIO
from uuid import UUID

import typer
from sqlmodel import Session

from scheduler.cli.confirm import confirm_loss
from scheduler.cli.settings import DEFAULT_TENANT, DatabaseUrl, Tenant, master_keys, opened_for, random_bytes, readable
from scheduler.cli.terminal import echo
from scheduler.core.errors import InvalidInputError
from scheduler.postgres.encryption.key_ring import KeyRing
from scheduler.postgres.encryption.tenant_keys import TenantKeys
from scheduler.postgres.privacy.data_subject import Kind, Person, others_under, rows_of_subject
from scheduler.postgres.privacy.erasure import erase_person
from scheduler.postgres.privacy.export import ExportedRow, Keys, export_person, export_tenant

_KINDS = {kind.name.lower(): kind for kind in Kind}
_NUMBERED = {Kind.PATIENT, Kind.DOCTOR}
_MAX_ID = 2**63 - 1

app: typer.Typer = typer.Typer(
    help="Export everything that is stored about a person, or for a tenant.", no_args_is_help=True
)

User = Annotated[
    str | None,
    typer.Option("--user", callback=readable, metavar="ID", help="A person who signs in, with all records of theirs."),
]
KnownAs = Annotated[
    str | None,
    typer.Option(
        "--known-as",
        callback=readable,
        metavar="KIND:ID",
        help=f"A person who may not sign in: {', '.join(name for name in _KINDS if name != 'user')}, and the id.",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="FILE", help="A new file, which only you can read. [default: standard output]"),
]


@app.command("person")
def one_person(
    url: DatabaseUrl = None,
    tenant: Tenant = DEFAULT_TENANT,
    user: User = None,
    known_as: KnownAs = None,
    out: Out = None,
) -> None:
    """Write all rows about a person as JSON: table -> rows. Encrypted values are decrypted, and the audit log says so.

    --user includes each record of the user: a child, a patient, a client, a doctor. Rows about others are left out,
    also if they sign in with the same user, such as the patients of a guardian; standard error names them. But notes
    may speak of others, and some (safeguarding notes, alerts) may have to be withheld from the person: read the export
    before you hand it out. `scheduler audit show --user ID` lists the person's own actions.
    """
    kind, number = _read_person(user, known_as)
    with _target(out) as file, opened_for(url, tenant, phi=True) as (session, tenant_id):
        person = Person(tenant_id, kind, number)
        others = others_under(session, rows_of_subject(session, person))
        _write(file, export_person(session, person, _keys(session, url, tenant_id)).items())
    for other in others:
        name = f"{other.kind.name.lower()}:{other.id}"
        echo(f"left out: {other}, for whom this person signs in (--known-as {name} exports it)", err=True)


@app.command("tenant")
def whole_tenant(url: DatabaseUrl = None, tenant: Tenant = DEFAULT_TENANT, out: Out = None) -> None:
    """Write all rows of a tenant as JSON: table -> rows. Encrypted values are decrypted, and the audit log says so.

    Only its encryption keys are left out. Use --out for more than a small tenant: output for standard output is held in
    memory until the audit log has the entry.
    """
    with _target(out) as file, opened_for(url, tenant, phi=True) as (session, tenant_id):
        _write(file, export_tenant(session, tenant_id, _keys(session, url, tenant_id)))


def erase(
    url: DatabaseUrl = None,
    tenant: Tenant = DEFAULT_TENANT,
    user: User = None,
    known_as: KnownAs = None,
    yes: Annotated[bool, typer.Option("--yes", help="Delete without confirmation.")] = False,
) -> None:
    """Delete all rows about a person for good: those that `scheduler export person` writes.

    You decide whether they may go: records of a treatment have to be kept for years. A family or an address goes with
    its last member. A person whom records of others need, such as a doctor with appointments, is not erased, nor is a
    user who signs in for others, before each of them is (exit code 4). The audit log stays, which has ids but no names
    and no notes; so do backups.
    """
    kind, number = _read_person(user, known_as)
    if not yes:
        confirm_loss(f"everything about {kind.name.lower()} {number} is deleted permanently")
    with opened_for(url, tenant) as (session, tenant_id):
        counts = erase_person(session, Person(tenant_id, kind, number))
    for name, count in counts.items():
        echo(f"{name}: {count} rows deleted")


def _read_person(user: str | None, known_as: str | None) -> tuple[Kind, UUID | int]:
    if (user is None) == (known_as is None):
        raise InvalidInputError("name one person: --user ID, or --known-as KIND:ID")
    name, _, text = (known_as or f"user:{user}").partition(":")
    if name not in _KINDS:
        raise InvalidInputError(f"{name!r} is not one of {', '.join(_KINDS)}")
    kind = _KINDS[name]
    try:
        number = int(text) if kind in _NUMBERED else UUID(text)
    except ValueError:
        raise InvalidInputError(f"{text!r} is not the id of a {name}") from None
    if isinstance(number, int) and not 0 < number <= _MAX_ID:
        raise InvalidInputError(f"{text!r} is not the id of a {name}")
    return kind, number


def _keys(session: Session, url: str | None, tenant_id: UUID) -> Keys:
    @cache
    def load() -> KeyRing:
        return TenantKeys(tenant_id, master_keys(url), random_bytes).load_ring(session)

    return load


@contextmanager
def _target(out: Path | None) -> Iterator[TextIO]:
    """Yield a text file that is published only if the block, and with it the audit log, succeeds."""
    if out is None:
        buffer = StringIO()
        yield buffer
        typer.echo(buffer.getvalue(), nl=False)
        return
    try:
        file = open(out, "x", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600))  # noqa: SIM115
    except FileExistsError:
        raise InvalidInputError(f"{out} exists already: choose another file") from None
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"{out} cannot be written: {error}") from None
    try:
        with file:
            yield file
    except OSError as error:
        out.unlink(missing_ok=True)
        raise InvalidInputError(f"{out} cannot be written: {error}") from None
    except BaseException:
        out.unlink(missing_ok=True)
        raise


def _write(file: TextIO, tables: Iterable[tuple[str, Iterable[ExportedRow]]]) -> None:
    """Write tables as one JSON object, a line for each row; nothing is held longer than its line."""
    before_table = "{"
    for name, rows in tables:
        file.write(f"{before_table}\n{json.dumps(name)}: [")
        before_row = ""
        for row in rows:
            file.write(f"{before_row}\n{_as_line(row)}")
            before_row = ","
        file.write("\n]")
        before_table = ","
    file.write("\n}\n")


def _as_line(row: ExportedRow) -> str:
    """Write a row as JSON; characters that could control a terminal are escaped, so that nothing of them is lost."""
    line = _as_text(row)
    if line.isprintable():
        return line
    return "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in line)


def _as_text(value: object) -> str:
    """Write a value as JSON; a decimal number keeps all its digits, which `json` cannot write."""
    try:
        return json.dumps(value, ensure_ascii=False)
    except TypeError:
        if isinstance(value, Decimal):
            return str(value)
        if isinstance(value, Mapping):
            return f"{{{', '.join(f'{_as_text(name)}: {_as_text(part)}' for name, part in value.items())}}}"
        if isinstance(value, list):
            return f"[{', '.join(map(_as_text, value))}]"
        raise
