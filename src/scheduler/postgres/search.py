"""Search: clients by part of a name, children and organisations by words, the audit log by details.

Owns: the queries that need a GIN index, and the limits of a search.
Holds: a search finds only rows that row security shows to the user of the unit of work. The functions of the database
return keys and an order; the rows are read like any others.
Must not know: how similar is similar enough, or who may search for what (the migration of the search decides both).
"""

import json
from collections.abc import Mapping
from typing import Any, Final, TypeVar

from pydantic import JsonValue
from sqlalchemy import ColumnElement, Text, Uuid, and_, cast, column, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Session, SQLModel, select

from scheduler.core.errors import InvalidInputError
from scheduler.models import Child, Client, Organisation, UserActionAuditLog
from scheduler.models.columns import INSTANT
from scheduler.models.registry import table_of

MAX_CHARACTERS: Final = 200
MAX_RESULTS: Final = 1000

Row = TypeVar("Row", bound=SQLModel)


def find_clients(session: Session, wanted: str, *, most: int) -> list[Client]:
    """Return the live clients whose full name contains this text, or similar words: the most similar first.

    Letter case does not matter, and one letter of a few may be wrong. One or two letters find the names with a word
    that begins with them; a blank finds nothing. There are no wildcards.

    Raises:
        InvalidInputError: the text has more than `MAX_CHARACTERS` characters, a NUL or a lone surrogate, or `most` is
            not from 1 to `MAX_RESULTS`.
    """
    return _find(session, Client, wanted, most)


def find_children(session: Session, wanted: str, *, most: int) -> list[Child]:
    """Return the live children with these English words in first name and class: the most relevant first.

    Practitioners and group contacts find children of their organisation, the system those of its tenant, others none.
    `"in quotes"` is a phrase, `or` is an alternative, `-word` excludes. Words have to be spelled right.

    Raises:
        InvalidInputError: as for `find_clients`.
    """
    return _find(session, Child, wanted, most)


def find_organisations(session: Session, wanted: str, *, most: int) -> list[Organisation]:
    """Return the live organisations with these English words in their name: the most relevant first.

    An Account finds organisations of all tenants, the system that of its tenant, others their own. The syntax is that
    of `find_children`.

    Raises:
        InvalidInputError: as for `find_clients`.
    """
    return _find(session, Organisation, wanted, most)


def find_actions(session: Session, details: Mapping[str, JsonValue], *, most: int) -> list[UserActionAuditLog]:
    """Return the tenant's log of user actions whose details contain all of these: the latest first.

    Only `Role.SYSTEM` can read the audit log.

    Raises:
        InvalidInputError: the details are empty or no JSON, or `most` is not from 1 to `MAX_RESULTS`.
    """
    if not details:
        raise InvalidInputError("a search of the audit log needs at least one detail")
    try:
        wanted = _checked_text(json.dumps(dict(details), ensure_ascii=False).replace("\\u0000", "\0"))
    except (TypeError, ValueError) as error:
        raise InvalidInputError(f"the details cannot be written as JSON: {error}") from None
    log = table_of(UserActionAuditLog)
    hits = (
        func.audit.find_actions(cast(cast(wanted, Text), JSONB), _checked_limit(most))
        .table_valued(column("tenant_id", Uuid), column("occurred_at", INSTANT), column("id"), name="hits")
        .render_derived()
    )
    same = and_(*(log.c[name] == hits.c[name] for name in ("tenant_id", "occurred_at", "id")))
    ordered = select(UserActionAuditLog).join(hits, same).order_by(log.c.occurred_at.desc(), log.c.id.desc())
    return list(session.exec(ordered))


def _find(session: Session, model: type[Row], wanted: str, most: int) -> list[Row]:
    table = table_of(model)
    search = getattr(getattr(func, str(table.schema)), f"find_{table.name}")
    columns: tuple[ColumnElement[Any], ...] = (column("tenant_id", Uuid), column("id", Uuid), column("rank"))
    hits = (
        search(_checked_text(wanted), _checked_limit(most))
        .table_valued(*columns, with_ordinality="place", name="hits")
        .render_derived()
    )
    same = and_(table.c.tenant_id == hits.c.tenant_id, table.c.id == hits.c.id)
    return list(session.exec(select(model).join(hits, same).order_by(hits.c.place)))


def _checked_text(wanted: str) -> str:
    if len(wanted) > MAX_CHARACTERS:
        raise InvalidInputError(f"a search text has {MAX_CHARACTERS} characters at most, not {len(wanted)}")
    if "\0" in wanted or any("\ud800" <= letter <= "\udfff" for letter in wanted):
        raise InvalidInputError("a search text must not have a NUL or a lone surrogate")
    return wanted.strip()


def _checked_limit(most: int) -> int:
    if not 1 <= most <= MAX_RESULTS:
        raise InvalidInputError(f"a search returns from 1 to {MAX_RESULTS} rows, not {most}")
    return most
