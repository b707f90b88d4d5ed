"""`scheduler export`, `scheduler erase`: what is stored about a person, for that person, and its end."""

import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Annotated, TextIO
from uuid import UUID

import typer
from sqlmodel import Session

from scheduler.cli.confirm import ask_consent
from scheduler.cli.settings import DEFAULT_TENANT, DatabaseUrl, Tenant, master_keys, opened_for, random_bytes, readable
from scheduler.core.errors import InvalidInputError
from scheduler.postgres.encryption.key_ring import KeyRing
from scheduler.postgres.encryption.tenant_keys import TenantKeys
from scheduler.postgres.privacy.data_subject import Kind, Person
from scheduler.postgres.privacy.erasure import erase_person
from scheduler.postgres.privacy.export import ExportedRow, Keys, export_person, export_tenant

_KINDS = {kind.name.lower(): kind for kind in Kind}
_NUMBERED = {Kind.PATIENT, Kind.DOCTOR}
_LARGEST = 2**63 - 1

app = typer.Typer(help="Write out everything that is stored about a person, or for a tenant.", no_args_is_help=True)

User = Annotated[
    str | None,
    typer.Option("--user", callback=readable, metavar="ID", help="Somebody who signs in, with all that this is."),
]
KnownAs = Annotated[
    str | None,
    typer.Option(
        "--known-as",
        callback=readable,
        metavar="KIND:ID",
        help=f"Somebody who may not sign in: {', '.join(name for name in _KINDS if name != 'user')}, and the id.",
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
    """Write all rows about a person as JSON: table -> rows. What is encrypted is opened, which the audit log says.

    With --user comes all that the user is besides: a child, a patient, a client, a doctor. Rows about others are not in
    it. But notes may speak of others, and some (safeguarding notes, alerts) may have to be withheld from the person:
    read it before you hand it out. What the person did is told by `scheduler audit show --user ID`.
    """
    kind, number = _who(user, known_as)
    with _target(out) as file, opened_for(url, tenant) as (session, tenant_id):
        about = export_person(session, Person(tenant_id, kind, number), _keys(session, url, tenant_id))
        _write(file, about.items())


@app.command("tenant")
def whole_tenant(url: DatabaseUrl = None, tenant: Tenant = DEFAULT_TENANT, out: Out = None) -> None:
    """Write all rows of a tenant as JSON: table -> rows. What is encrypted is opened, which the audit log says.

    Only its encryption keys are left out. Take --out for more than a small tenant: what goes to standard output is held
    in memory until the audit log has it.
    """
    with _target(out) as file, opened_for(url, tenant) as (session, tenant_id):
        _write(file, export_tenant(session, tenant_id, _keys(session, url, tenant_id)))


def erase(
    url: DatabaseUrl = None,
    tenant: Tenant = DEFAULT_TENANT,
    user: User = None,
    known_as: KnownAs = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask whether the rows may go.")] = False,
) -> None:
    """Delete all rows about a person for good: those that `scheduler export person` writes.

    Whether they may go is for you to know: records of a treatment have to be kept for years. A family or an address
    goes with the last one who has it. Who is needed by records of others, such as a doctor with appointments, is not
    erased (exit code 4). The audit log stays, which has ids but no names and no notes; so do backups.
    """
    kind, number = _who(user, known_as)
    if not yes:
        ask_consent(f"everything about {kind.name.lower()} {number} goes for good")
    with opened_for(url, tenant) as (session, tenant_id):
        gone = erase_person(session, Person(tenant_id, kind, number))
    for name, count in gone.items():
        typer.echo(f"{name}: {count} rows deleted")


def _who(user: str | None, known_as: str | None) -> tuple[Kind, UUID | int]:
    if (user is None) == (known_as is None):
        raise InvalidInputError("say who: --user ID, or --known-as KIND:ID")
    name, _, written = (known_as or f"user:{user}").partition(":")
    if name not in _KINDS:
        raise InvalidInputError(f"{name!r} is not one of {', '.join(_KINDS)}")
    kind = _KINDS[name]
    try:
        number = int(written) if kind in _NUMBERED else UUID(written)
    except ValueError:
        raise InvalidInputError(f"{written!r} is not the id of a {name}") from None
    if isinstance(number, int) and not 0 < number <= _LARGEST:
        raise InvalidInputError(f"{written!r} is not the id of a {name}")
    return kind, number


def _keys(session: Session, url: str | None, tenant_id: UUID) -> Keys:
    @cache
    def load() -> KeyRing:
        return TenantKeys(tenant_id, master_keys(url), random_bytes).load_ring(session)

    return load


@contextmanager
def _target(out: Path | None) -> Iterator[TextIO]:
    """Yield what to write to. It is handed over when the block has ended well, and so when the audit log knows."""
    if out is None:
        held = StringIO()
        yield held
        typer.echo(held.getvalue(), nl=False)
        return
    try:
        file = open(out, "x", encoding="utf-8", opener=lambda name, flags: os.open(name, flags, 0o600))  # noqa: SIM115
    except FileExistsError:
        raise InvalidInputError(f"{out} is there already: choose another file") from None
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
    after = "{"
    for name, rows in tables:
        file.write(f"{after}\n{json.dumps(name)}: [")
        between = ""
        for row in rows:
            file.write(f"{between}\n{json.dumps(row, ensure_ascii=False)}")
            between = ","
        file.write("\n]")
        after = ","
    file.write("\n}\n")
