"""Audit log: recording reads and events, listing entries, and retention.

Owns: the records of reads and of events, the list of entries, retention.
Must not know: how changes of rows are recorded (triggers of the migrations), how rows are sealed (`chain`), the reads
of encrypted values (`reads`).

A record is written in the caller's transaction: if the log fails, the recorded action fails with it.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from time import sleep
from typing import Any, Final, NamedTuple, TypedDict, Unpack
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import TextClause, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from scheduler.core.errors import InvalidInputError
from scheduler.postgres.audit.reads import write_read
from scheduler.postgres.audit.retirement import YEARS_KEPT, kept_since
from scheduler.postgres.translation import LOCK_NOT_AVAILABLE

MONTHS_AHEAD: Final = 3

_ATTEMPTS: Final = 10
_PAUSE_SECONDS: Final = 0.2
_PATIENCE: Final = text("select set_config('lock_timeout', :patience, true)")
_OLD_PATIENCE: Final = text("select current_setting('lock_timeout')")

_EVENT: Final = text("select audit.record_system(:event, cast(:details as jsonb), :severity)")
_USER_EVENT: Final = text("select audit.record_event(:name, cast(:details as jsonb))")
_MONTHS: Final = text("select audit.ensure_months(:ahead)")
_RETIRE: Final = text("select part, rows_retired from audit.retire(:before)")
_SHOW: Final = text("""
select * from (
    select occurred_at, id, user_id, db_role, action, entity, entity_key, before, after, details
    from audit.user_action_audit_log
    where tenant_id = (select identity.current_tenant_id())
    union all
    select occurred_at, id, null, db_role, event, entity, entity_key, before, after, details
    from audit.system_audit_log
    where tenant_id = (select identity.current_tenant_id())
) as entry
where (cast(:entity as text) is null or entity = :entity)
    and (cast(:key as text) is null or entity_key = :key)
    and (cast(:user_id as uuid) is null or user_id = :user_id)
    and (cast(:event as text) is null or action = :event or action = 'event' and entity = :event)
    and (cast(:since as timestamptz) is null or occurred_at >= :since)
    and (cast(:until as timestamptz) is null or occurred_at <= :until)
order by occurred_at desc, id desc limit :most
""")


class Entry(NamedTuple):
    """One row of a log.

    In the system's log `user_id` is None and `action` is the event's name. An event of a user has the action `event`,
    its name as `entity`, and no key.
    """

    occurred_at: datetime
    id: int
    user_id: UUID | None
    db_role: str
    action: str
    entity: str | None
    key: str | None
    before: Mapping[str, JsonValue] | None
    after: Mapping[str, JsonValue] | None
    details: Mapping[str, JsonValue] | None


class Conditions(TypedDict, total=False):
    """Conditions on entries; None is no condition. `event` is the name of an event, or a kind of change (`update`)."""

    entity: str | None
    key: str | None
    user_id: UUID | None
    event: str | None
    since: datetime | None
    until: datetime | None


class Retired(NamedTuple):
    """A month of a log that was dropped, and how many rows it held."""

    part: str
    rows: int


def record_read(session: Session, entity: str, keys: Sequence[str], columns: Sequence[str], *, reason: str) -> None:
    """Record a read of rows, with an entry for each key. `entity` is `schema.table`; no argument may be personal.

    A rollback of the session's transaction undoes the record: `phi.read` keeps its own records elsewhere (`reads`).

    Raises:
        InvalidInputError: no reason, or no column is given.
        StoreError: the log could not be written; the transaction, and so the read, has failed.
    """
    if not reason.strip() or not columns:
        raise InvalidInputError(f"a read of {entity} needs a reason and the columns that are read")
    write_read(session.connection(), entity, keys, columns, reason=reason)


def record_system(session: Session, event: str, details: Mapping[str, JsonValue], *, severity: str = "info") -> None:
    """Record an event of the tenant. Its name is words and dots (`generation.finished`).

    Raises:
        StoreError: the log could not be written, the name is invalid, or there is no tenant.
    """
    values = {"event": event, "details": json.dumps(dict(details), default=str), "severity": severity}
    session.connection().execute(_EVENT, values)


def record_event(session: Session, name: str, details: Mapping[str, JsonValue]) -> None:
    """Record an action of the unit of work's user that neither changes nor reads a row.

    `name` is two or more words with dots, no table and no event of the library (`session.started`). Keys of `details`
    are words without a space, values also numbers, true, false and None; none may be personal. User and request are
    those of the unit of work.

    Raises:
        StoreError: the log could not be written, name or details are invalid, or there is no user or no tenant.
    """
    values = {"name": name, "details": json.dumps(dict(details), default=str)}
    session.connection().execute(_USER_EVENT, values)


def ensure_log_months(session: Session, *, ahead: int = MONTHS_AHEAD) -> int:
    """Create the logs' missing partitions, of this month and some ahead; return how many."""
    ((created,),) = _with_short_waits(session, _MONTHS, {"ahead": ahead})
    return int(created)


def entries(session: Session, *, most: int, **conditions: Unpack[Conditions]) -> list[Entry]:
    """Return the latest entries of both logs that meet all conditions, newest first."""
    wanted = {**dict.fromkeys(Conditions.__annotations__), **conditions, "most": most}
    return [Entry(*row) for row in session.connection().execute(_SHOW, wanted)]


def retire(session: Session, *, now: datetime, keep_years: int = YEARS_KEPT) -> list[Retired]:
    """Drop the months of the logs, of all tenants, that are entirely older than so many years; as `Role.OWNER`.

    Only sealed months are dropped, and a sealed event records each drop. Under a legal hold, do not call this.

    Raises:
        InvalidInputError: rows have to be kept for more years.
        StoreError: a month has rows without a seal, or lacks sealed rows, or the log is in use: nothing was dropped.
    """
    before = kept_since(now, keep_years)
    return [Retired(*row) for row in _with_short_waits(session, _RETIRE, {"before": before})]


def _with_short_waits(session: Session, statement: TextClause, values: Mapping[str, Any]) -> Sequence[Any]:
    """Execute a statement that locks a whole log; let all locks go and try again where it would wait long.

    Everyone else queues behind its wait. A unit of work that has written to the log and now records a read on its
    second connection would wait so for itself, and PostgreSQL sees no deadlock.
    """
    connection = session.connection()
    patience = connection.execute(_OLD_PATIENCE).scalar_one()
    for attempts_left in reversed(range(_ATTEMPTS)):
        try:
            with connection.begin_nested():
                connection.execute(_PATIENCE, {"patience": "1s"})
                rows = connection.execute(statement, values).all()
                connection.execute(_PATIENCE, {"patience": patience})
                return rows
        except DBAPIError as error:
            if getattr(error.orig, "sqlstate", None) != LOCK_NOT_AVAILABLE or not attempts_left:
                raise
            sleep(_PAUSE_SECONDS)
    raise AssertionError  # the last attempt returns or raises
