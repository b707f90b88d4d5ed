"""Search: clients by a part of their name, children and organisations by words, what was done by its details.

Owns: the questions that only a GIN index answers, and what may be asked.
Holds: what is found is what row security shows to whom the unit of work is for. The functions of the database return
keys and an order; their rows are read as any others are.
Must not know: how alike is alike enough, or who may search for what (the migration of the search says both).
"""

import json
from collections.abc import Mapping
from typing import Final, TypeVar

from pydantic import JsonValue
from sqlalchemy import Text, Uuid, and_, cast, column, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Session, SQLModel, select

from scheduler.core.errors import InvalidInputError
from scheduler.models import Child, Client, Organisation, UserActionAuditLog
from scheduler.models.columns import INSTANT
from scheduler.models.registry import table_of

LONGEST: Final = 200
MOST: Final = 1000

Row = TypeVar("Row", bound=SQLModel)


def find_clients(session: Session, wanted: str, *, most: int) -> list[Client]:
    """Return the live clients whose full name has this text in it, or words like it: the most alike first.

    Letter case does not matter, and one letter of a few may be wrong. One or two letters find the names with a word
    that begins so; a blank finds nothing. What is a wildcard elsewhere is text.

    Raises:
        InvalidInputError: the text has more than `LONGEST` characters or one that no text can have, or `most` is not
            from 1 to `MOST`.
    """
    return _find(session, Client, wanted, most)


def find_children(session: Session, wanted: str, *, most: int) -> list[Child]:
    """Return the live children with these English words in first name and class: the most relevant first.

    Practitioners and group contacts find those of their organisation, the system those of its tenant, others nobody.
    `"in quotes"` is a phrase, `or` is one or the other, `-word` is without it. A wrong letter finds nothing.

    Raises:
        InvalidInputError: as for `find_clients`.
    """
    return _find(session, Child, wanted, most)


def find_organisations(session: Session, wanted: str, *, most: int) -> list[Organisation]:
    """Return the live organisations with these English words in their name: the most relevant first.

    An Account finds those of all tenants, the system that of its tenant, others their own. Words are written as for
    `find_children`.

    Raises:
        InvalidInputError: as for `find_clients`.
    """
    return _find(session, Organisation, wanted, most)


def find_actions(session: Session, details: Mapping[str, JsonValue], *, most: int) -> list[UserActionAuditLog]:
    """Return what was done for users of the tenant whose details say all of this: the latest first.

    It is for `Role.SYSTEM`; nobody else reads the audit log.

    Raises:
        InvalidInputError: the details say nothing or cannot be written as JSON, or `most` is not from 1 to `MOST`.
    """
    if not details:
        raise InvalidInputError("a search of the audit log is for details: there are none")
    try:
        wanted = _text(json.dumps(dict(details), ensure_ascii=False).replace("\\u0000", "\0"))
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"the details cannot be searched for: {error}") from None
    log = table_of(UserActionAuditLog)
    found = (
        func.audit.find_actions(cast(cast(wanted, Text), JSONB), _number(most))
        .table_valued(column("tenant_id", Uuid), column("occurred_at", INSTANT), column("id"), name="found")
        .render_derived()
    )
    same = and_(*(log.c[name] == found.c[name] for name in ("tenant_id", "occurred_at", "id")))
    ordered = select(UserActionAuditLog).join(found, same).order_by(log.c.occurred_at.desc(), log.c.id.desc())
    return list(session.exec(ordered))


def _find(session: Session, model: type[Row], wanted: str, most: int) -> list[Row]:
    table = table_of(model)
    search = getattr(getattr(func, str(table.schema)), f"find_{table.name}")
    found = (
        search(_text(wanted), _number(most))
        .table_valued(
            column("tenant_id", Uuid), column("id", Uuid), column("rank"), with_ordinality="place", name="found"
        )
        .render_derived()
    )
    same = and_(table.c.tenant_id == found.c.tenant_id, table.c.id == found.c.id)
    return list(session.exec(select(model).join(found, same).order_by(found.c.place)))


def _text(wanted: str) -> str:
    if len(wanted) > LONGEST:
        raise InvalidInputError(f"a search is for {LONGEST} characters at most, not for {len(wanted)}")
    if "\0" in wanted or any("\ud800" <= letter <= "\udfff" for letter in wanted):
        raise InvalidInputError("a search is for text: a NUL or a lone surrogate is none")
    return wanted.strip()


def _number(most: int) -> int:
    if not 1 <= most <= MOST:
        raise InvalidInputError(f"a search finds 1 to {MOST} rows at most, not {most}")
    return most
