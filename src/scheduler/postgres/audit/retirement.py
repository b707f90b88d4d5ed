"""Retired months: the spans of a log whose rows may be missing though they were sealed.

Owns: the retention period, and the proof that a month was retired rightly.
Must not know: how a chain is walked (`chain`), how months are dropped (`audit.retire` of the migrations).

The owner of a database can delete rows, and write an event that says `audit.retired`. So such an event excuses missing
rows only if it is sealed, if the span was older than the retention period when the event was written, if no other row
of the span is left, and if the event has the number and the digest of exactly the seals without a row.
"""

from datetime import UTC, datetime
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import Connection, RowMapping, text

from scheduler.core.errors import InvalidInputError
from scheduler.postgres.audit.row_digest import Log, digest_of_row

YEARS_KEPT: Final = 6
"""The retention period of HIPAA for documentation (45 CFR 164.316(b)(2)(i)), usually applied to logs, too."""

# The values are text: details that a forger wrote may be anything.
_EVENTS: Final = """
select entry.occurred_at, entry.details ->> 'retired_from' as begins_at, entry.details ->> 'retired_before' as ends_at,
    entry.details ->> 'rows' as rows, entry.details ->> 'digest' as digest
from audit.system_audit_log as entry
join audit.chain as seal on seal.tenant_id = entry.tenant_id and seal.log = 'system'
    and seal.row_occurred_at = entry.occurred_at and seal.row_id = entry.id
where entry.tenant_id = :tenant and entry.event = 'audit.retired' and entry.details ->> 'log' = :log
    and seal.row_digest = {digest}
"""
_MISSING: Final = """
select count(*) filter (where entry.id is null)::text as rows,
    encode(sha256(string_agg(seal.digest, '' order by seal.position) filter (where entry.id is null)), 'hex') as digest,
    count(*) filter (where entry.{name} <> 'audit.retired') as left_over
from audit.chain as seal
left join audit.{log}_audit_log as entry on entry.tenant_id = seal.tenant_id
    and entry.occurred_at = seal.row_occurred_at and entry.id = seal.row_id
where seal.tenant_id = :tenant and seal.log = :log
    and seal.row_occurred_at >= :begins_at and seal.row_occurred_at < :ends_at
"""


class Span(NamedTuple):
    """The time between two instants, the first included."""

    begins_at: datetime
    ends_at: datetime


def kept_since(now: datetime, keep_years: int) -> datetime:
    """Return the first instant whose rows have to be kept: whole months, so many years before this one.

    Raises:
        InvalidInputError: rows have to be kept for more years, or the calendar has no such year.
    """
    if keep_years < YEARS_KEPT:
        raise InvalidInputError(f"the audit log has to be kept for at least {YEARS_KEPT} years, not {keep_years}")
    this_month = now.astimezone(UTC)
    if keep_years >= this_month.year:
        raise InvalidInputError(f"{keep_years} years before {this_month.year} is before the calendar")
    return datetime(this_month.year - keep_years, this_month.month, 1, tzinfo=UTC)


def retired_spans(
    connection: Connection, tenant_id: UUID | None, log: Log, *, now: datetime, keep_years: int
) -> list[Span]:
    """Return the spans of a log whose missing rows a sealed event of a retirement explains."""
    query = text(_EVENTS.format(digest=digest_of_row(Log.SYSTEM)))
    events = connection.execute(query, {"tenant": tenant_id, "log": log})
    return [
        span
        for event in events.mappings().all()
        if (span := _span(event)) is not None
        and span.ends_at <= kept_since(min(now, event["occurred_at"]), keep_years)
        and _explains(connection, tenant_id, log, span, event)
    ]


def _span(event: RowMapping) -> Span | None:
    try:
        span = Span(*[datetime.fromisoformat(event[name]) for name in Span._fields])
    except (TypeError, ValueError):
        return None
    return span if span.begins_at.tzinfo is not None and span.ends_at.tzinfo is not None else None


def _explains(connection: Connection, tenant_id: UUID | None, log: Log, span: Span, event: RowMapping) -> bool:
    name = "event" if log is Log.SYSTEM else "action"
    values = {"tenant": tenant_id, "log": log, **span._asdict()}
    missing = connection.execute(text(_MISSING.format(log=log, name=name)), values).mappings().one()
    return not missing["left_over"] and all(missing[name] == event[name] for name in ("rows", "digest"))
