"""Audit chain: a hash chain over the audit log, and its verification, which names the first broken row.

Owns: the digest of a seal, verification; sealing, and the check of each new seal.
Must not know: the digest of a row (`row_digest`), which rows may be missing (`retirement`), which objects have to be
as shipped (`tables`); the writers and readers of the logs; where the head of a chain is kept (off this database).

`audit.seal` of the migrations makes the seals, since a role that may insert one could spoil the chain. Verification is
here and not in a function of the database, which a forger of rows could replace. It finds functions in `pg_catalog`
only, as each unit of work does, and refuses tables that are not as shipped. It cannot check the time and server that a
seal states: `seal` compares them at once.

Each tenant and log has one chain. `seal` seals all committed rows without a seal, in the order of ids, and stores the
transaction number below which all transactions had ended. A row that appears later from a transaction below that number
(on the same server: a restored dump counts anew), or that claims to be more than a day older than the last seal, was
inserted after its time: it is never sealed, and `verify` names it. Only the head exposes a forger who rewrites the logs
and recomputes the whole chain: keep it elsewhere.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final, NamedTuple
from uuid import UUID

import psycopg
from sqlalchemy import Connection, RowMapping, TextClause, text
from sqlalchemy.exc import DBAPIError
from sqlmodel import Session

from scheduler.postgres.audit.log import ensure_log_months
from scheduler.postgres.audit.retirement import YEARS_KEPT, Span, kept_since, retired_spans
from scheduler.postgres.audit.row_digest import Log, digest_of_row
from scheduler.postgres.audit.tables import are_tables, first_difference
from scheduler.postgres.errors import StoreError

_SEALS_PER_FETCH: Final = 5000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_ADVANCING: Final = ("sealed_at", "sealed_below")
_UNREADABLE: Final = (psycopg.DataError, psycopg.errors.CardinalityViolation)


class ChainFault(StrEnum):
    """A fault of the log at one position."""

    CHANGED = "was changed after it was sealed"
    MISSING = "is missing though it was sealed"
    INSERTED = "was inserted after its time: it is older than the last seal and has no seal"
    SEAL_CHANGED = "has a seal that does not follow from the previous seal: it was changed or moved"
    SEAL_MISSING = "has a seal, but the previous seal is missing"
    REPLACED = "cannot be verified: the log or its chain is a view or a foreign table, not a table"
    ALTERED = "cannot be verified: the schema is not that of this release"
    UNREADABLE = "or a later one cannot be read: it has a value that no reader can read, or a second row has its key"
    TAIL_CUT = "does not have the digest of the known head: the end of the chain was cut, or the chain was rewritten"


class Head(NamedTuple):
    """The end of a chain: keep it where the database's owner cannot write. Position 0 is a chain without a seal."""

    log: Log
    position: int
    digest: bytes

    def __str__(self) -> str:
        return f"{self.log}:{self.position}:{self.digest.hex()}"


class Broken(NamedTuple):
    """The first fault of a chain. `row_id` and `occurred_at` are those of the log's row, if it is known.

    `detail` names the object of the schema that is not as shipped.
    """

    fault: ChainFault
    position: int | None = None
    row_id: int | None = None
    occurred_at: datetime | None = None
    detail: str | None = None

    def __str__(self) -> str:
        row = None if self.row_id is None else f"row {self.row_id} of {self.occurred_at:%Y-%m-%d %H:%M:%S.%f}"
        place = None if self.position is None else f"position {self.position}"
        detail = "" if self.detail is None else f": {self.detail}"
        return f"{', '.join(part for part in (place, row) if part) or 'the log'} {self.fault}{detail}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """Result of a verification: the last good position, the number of retired rows, and the first fault, if any."""

    head: Head
    retired: int = 0
    broken: Broken | None = None


@dataclass(slots=True)
class _Progress:
    """The part of a chain that was verified so far."""

    head: Head
    retired: int = 0


@dataclass(frozen=True, slots=True)
class _Seal:
    """A position of a chain, without its digests."""

    position: int
    row_id: int
    row_occurred_at: datetime
    sealed_at: datetime
    sealed_below: int
    server: str

    def digest(self, before: Head, row_digest: bytes, tenant_id: UUID) -> bytes:
        """Return the digest over the previous digest, the row's digest, and this seal's position, time and server."""
        at = [(instant - _EPOCH) // _MICROSECOND for instant in (self.row_occurred_at, self.sealed_at)]
        place = (tenant_id, before.log, self.position, self.row_id, *at, self.sealed_below, self.server)
        return sha256(before.digest + row_digest + "|".join(map(str, place)).encode()).digest()


def _for_log(statement: str) -> dict[Log, TextClause]:
    return {
        log: text(statement.format(log=log, table=f"audit.{log}_audit_log", digest=digest_of_row(log))) for log in Log
    }


_SEAL: Final = text("select audit.seal(:log)")
# The tenant is that of the setting: a function of the database could return another one.
_NOW: Final = text("""
select nullif(current_setting('app.tenant_id', true), '')::uuid as tenant_id, clock_timestamp() as sealed_at,
    pg_snapshot_xmin(pg_current_snapshot())::text::bigint as sealed_below,
    (select system_identifier::text from pg_control_system()) as server
""")
_LAST_SEAL: Final = text("""
select position, digest, sealed_at, sealed_below, server from audit.chain
where tenant_id = :tenant and log = :log
order by position desc limit 1
""")
# No transaction lasts longer than a day.
_TOO_LATE: Final = _for_log("""
select id, occurred_at from {table} as entry
where tenant_id = :tenant
    and (occurred_at < cast(:since as timestamptz) - interval '1 day' or transaction_id < :floor)
    and not exists (
        select from audit.chain
        where chain.tenant_id = entry.tenant_id and chain.log = '{log}'
            and chain.row_occurred_at = entry.occurred_at and chain.row_id = entry.id
    )
order by occurred_at, id limit 1
""")
_WALK: Final = _for_log("""
select chain.*, (
    select {digest} from {table} as entry
    where entry.tenant_id = chain.tenant_id and entry.occurred_at = chain.row_occurred_at and entry.id = chain.row_id
) as current_digest
from audit.chain
where chain.tenant_id = :tenant and chain.log = '{log}'
order by chain.position
""")


def seal(session: Session, log: Log) -> tuple[int, Head]:
    """Seal the unsealed rows of a log as `Role.SYSTEM`; return how many, and the chain's head.

    A second sealer waits for the first. All of the transaction's seals are stored or none.

    Raises:
        StoreError: a new seal states an earlier time, or another server.
    """
    connection, now = _begin(session)
    count = int(connection.execute(_SEAL, {"log": log}).scalar_one())
    last = connection.execute(_LAST_SEAL, {"tenant": now["tenant_id"], "log": log}).mappings().one_or_none()
    if count and (
        last is None or last["server"] != now["server"] or any(last[name] < now[name] for name in _ADVANCING)
    ):
        fault = f"the new seals of the log {log} state another server or an earlier time"
        raise StoreError(f"{fault}: compare the function audit.seal with the migrations")
    return count, _head(log, last)


def verify(
    session: Session, log: Log, *, now: datetime, keep_years: int = YEARS_KEPT, known: Head | None = None
) -> Verdict:
    """Verify the chain of a log as `Role.SYSTEM` and return its first fault, if any.

    Rows may be missing from months that were retired before `keep_years`. The events that say so are in the system's
    log: verify both logs. `known` is a head that was kept elsewhere: the chain has to contain it.

    Raises:
        InvalidInputError: rows have to be kept for more years.
    """
    kept_since(now, keep_years)
    connection, server = _begin(session)
    if not are_tables(connection):
        return Verdict(_head(log, None), broken=Broken(ChainFault.REPLACED))
    if (difference := first_difference(connection)) is not None:
        return Verdict(_head(log, None), broken=Broken(ChainFault.ALTERED, detail=difference))
    progress = _Progress(_head(log, None))
    try:
        with connection.begin_nested():  # so that after an error in one log the other one can be verified
            months = retired_spans(connection, server["tenant_id"], log, now=now, keep_years=keep_years)
            broken = _first_fault(connection, server, progress, months, known)
    except DBAPIError as error:
        if not isinstance(error.orig, _UNREADABLE):
            raise
        broken = Broken(ChainFault.UNREADABLE, progress.head.position + 1)
    return Verdict(progress.head, progress.retired, broken)


def seal_both(session: Session) -> dict[Log, tuple[int, Head]]:
    """Seal both logs in one transaction, and create the logs' partitions of the next months."""
    ensure_log_months(session)
    return {log: seal(session, log) for log in Log}


def _begin(session: Session) -> tuple[Connection, RowMapping]:
    connection = session.connection()
    return connection, connection.execute(_NOW).mappings().one()


def _head(log: Log, place: RowMapping | None) -> Head:
    return Head(log, 0, bytes(32)) if place is None else Head(log, place["position"], place["digest"])


def _bounds(last: RowMapping | None, server: str) -> dict[str, Any]:
    """Return the oldest time and transaction number that a row without a seal may have."""
    if last is None:
        return {"since": None, "floor": 0}
    return {"since": last["sealed_at"], "floor": last["sealed_below"] if last["server"] == server else 0}


def _first_fault(
    connection: Connection, server: RowMapping, progress: _Progress, months: Sequence[Span], known: Head | None
) -> Broken | None:
    log, last, tenant = progress.head.log, None, {"tenant": server["tenant_id"]}
    with connection.execute(_WALK[log], tenant, execution_options={"yield_per": _SEALS_PER_FETCH}) as chain:
        for place in chain.mappings():
            fault = _fault(place, progress.head, months)
            if fault is not None:
                return Broken(fault, place["position"], place["row_id"], place["row_occurred_at"])
            progress.retired += place["current_digest"] is None
            progress.head, last = _head(log, place), place
            if known is not None and known.position == progress.head.position and known != progress.head:
                return Broken(ChainFault.TAIL_CUT, known.position)
    if known is not None and known.position > progress.head.position:
        return Broken(ChainFault.TAIL_CUT, known.position)
    late = connection.execute(_TOO_LATE[log], tenant | _bounds(last, server["server"])).one_or_none()
    return None if late is None else Broken(ChainFault.INSERTED, None, *late)


def _fault(place: RowMapping, before: Head, retired: Sequence[Span]) -> ChainFault | None:
    if place["position"] != before.position + 1:
        return ChainFault.SEAL_MISSING
    seal = _Seal(**{name: place[name] for name in _Seal.__slots__})
    if place["digest"] != seal.digest(before, place["row_digest"], place["tenant_id"]):
        return ChainFault.SEAL_CHANGED
    if place["current_digest"] is None:
        excused = any(month.begins_at <= place["row_occurred_at"] < month.ends_at for month in retired)
        return None if excused else ChainFault.MISSING
    return None if place["current_digest"] == place["row_digest"] else ChainFault.CHANGED
