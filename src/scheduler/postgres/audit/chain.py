"""Sealing: a chain of hashes over the audit log, and the walk along it that names the first broken row.

Owns: the digest of a row, the digest of a place in the chain, verifying; when to seal, and whether that was honest.
Must not know: who writes the logs or reads them; where the head of a chain is kept (off this database).

Seals are made by `audit.seal` of the migrations: whoever may insert one could spoil the chain. What verifies is here.

The digest of a row is SHA-256 over its values as one JSON array, written by PostgreSQL from `jsonb`: keys in a fixed
order, numbers as they stand, the instant as microseconds. So it is the same on every server version, in every zone and
locale. The verifier's statement is here and not a function of the database, which whoever can forge a row could
replace. That a seal says when and where it was made, no later walk could tell: so it is compared as soon as it is made.

A chain is one of a tenant and a log. Any row that is committed and has no seal is sealed, in the order of ids; the
seal writes down below which transaction number everything was settled then. Whatever turns up later from a
transaction below that (on the same server: a restored dump counts anew), or claims to be older than the last seal by
more than a day, was not there when it should have been: it is never sealed, and `verify` names it.

Who can rewrite the logs and compute the whole chain anew is found by the head alone: keep it elsewhere.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import RowMapping, TextClause, text
from sqlmodel import Session

from scheduler.postgres.audit.log import ensure_log_months
from scheduler.postgres.errors import StoreError

_IN_PARTS: Final = {"yield_per": 5000}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_SETTLED: Final = "interval '1 day'"  # no transaction lasts longer
_ADVANCING: Final = ("sealed_at", "sealed_below")


class Log(StrEnum):
    """Which of the two logs."""

    USER_ACTION = "user_action"
    SYSTEM = "system"


class ChainFault(StrEnum):
    """What is wrong with the log at a place."""

    CHANGED = "was changed after it was sealed"
    MISSING = "is missing though it was sealed"
    INSERTED = "was put in after its time: it is older than the last seal and has none"
    SEAL_CHANGED = "has a seal that does not follow from the one before: it was changed or moved"
    SEAL_MISSING = "has a seal, but the one before it is missing"
    TAIL_CUT = "is not in the chain with the digest that was written down: the end was cut, or all was written anew"


class Head(NamedTuple):
    """The end of a chain: keep it where the database's owner cannot write. Position 0 is a chain without a seal."""

    log: Log
    position: int
    digest: bytes

    def __str__(self) -> str:
        return f"{self.log}:{self.position}:{self.digest.hex()}"


class Broken(NamedTuple):
    """The first thing that is wrong. `row_id` and `occurred_at` are of the log's row, where one is known."""

    fault: ChainFault
    position: int | None = None
    row_id: int | None = None
    occurred_at: datetime | None = None

    def __str__(self) -> str:
        row = None if self.row_id is None else f"row {self.row_id} of {self.occurred_at:%Y-%m-%d %H:%M:%S.%f}"
        place = None if self.position is None else f"position {self.position}"
        return f"{', '.join(part for part in (place, row) if part)} {self.fault}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a walk along a chain found: how far it got, how many rows had retired, and the first fault, if any."""

    head: Head
    retired: int = 0
    broken: Broken | None = None


@dataclass(frozen=True, slots=True)
class _Seal:
    """A place in a chain, without its digests."""

    position: int
    row_id: int
    row_occurred_at: datetime
    sealed_at: datetime
    sealed_below: int
    server: str

    def digest(self, before: Head, row_digest: bytes, tenant_id: UUID) -> bytes:
        """Return the digest over the place before, the row's digest, and where and when this place is."""
        at = [(one - _EPOCH) // _MICROSECOND for one in (self.row_occurred_at, self.sealed_at)]
        place = (tenant_id, before.log, self.position, self.row_id, *at, self.sealed_below, self.server)
        return sha256(before.digest + row_digest + "|".join(map(str, place)).encode()).digest()


_COLUMNS: Final = {
    Log.USER_ACTION: "user_id, db_role, action, entity, entity_key, before, after, details, request_id, client_address,"
    " user_agent, transaction_id",
    Log.SYSTEM: "db_role, event, severity, entity, entity_key, before, after, details, request_id, transaction_id",
}


def _digest_of_row(log: Log) -> str:
    columns = f"tenant_id, id, trunc(extract(epoch from occurred_at) * 1000000), {_COLUMNS[log]}"
    return f"sha256(convert_to(jsonb_build_array({columns})::text, 'UTF8'))"


def _for_log(statement: str) -> dict[Log, TextClause]:
    return {
        log: text(statement.format(log=log, table=f"audit.{log}_audit_log", digest=_digest_of_row(log), day=_SETTLED))
        for log in Log
    }


_SEAL: Final = text("select audit.seal(:log)")
_HERE_AND_NOW: Final = text("""
select identity.current_tenant_id() as tenant_id, clock_timestamp() as sealed_at,
    pg_snapshot_xmin(pg_current_snapshot())::text::bigint as sealed_below,
    (select system_identifier::text from pg_control_system()) as server
""")
_LAST: Final = text("""
select position, digest, sealed_at, sealed_below, server from audit.chain
where tenant_id = (select identity.current_tenant_id()) and log = :log
order by position desc limit 1
""")
_TOO_LATE: Final = _for_log("""
select id, occurred_at from {table} as entry
where tenant_id = (select identity.current_tenant_id())
    and (occurred_at < cast(:since as timestamptz) - {day} or transaction_id < :floor)
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
) as found
from audit.chain
where chain.tenant_id = (select identity.current_tenant_id()) and chain.log = '{log}'
order by chain.position
""")
_RETIRED_BEFORE: Final = text("""
select max(retired_before) from audit.retirements
where tenant_id = (select identity.current_tenant_id()) and log = :log
""")


def seal(session: Session, log: Log) -> tuple[int, Head]:
    """Seal the rows of a log that have no seal yet; return how many, and the chain's head. As the system, for a tenant.

    A second sealer waits for the first. All of the transaction's seals are there or none.

    Raises:
        StoreError: what the database sealed says that it was done earlier, or elsewhere.
    """
    connection = session.connection()
    here = connection.execute(_HERE_AND_NOW).mappings().one()
    count = int(connection.execute(_SEAL, {"log": log}).scalar_one())
    last = connection.execute(_LAST, {"log": log}).mappings().one_or_none()
    if count and (last is None or last["server"] != here["server"] or any(last[one] < here[one] for one in _ADVANCING)):
        raise StoreError(
            f"the seals of the log {log} are not of here and now: is audit.seal as the migrations made it?"
        )
    return count, _head(log, last)


def verify(session: Session, log: Log, *, known: Head | None = None) -> Verdict:
    """Walk along the chain of a log and name the first thing that is wrong. As the system, for a tenant.

    `known` is a head that was written down elsewhere: the chain has to go through it.
    """
    connection = session.connection()
    here = connection.execute(_HERE_AND_NOW).mappings().one()
    retired_before = connection.execute(_RETIRED_BEFORE, {"log": log}).scalar_one()
    head, last, retired = _head(log, None), None, 0
    with connection.execute(_WALK[log], execution_options=_IN_PARTS) as chain:
        for place in chain.mappings():
            may_be_gone = retired_before is not None and place["row_occurred_at"] < retired_before
            fault = _fault(place, head, may_be_gone=may_be_gone)
            if fault is not None:
                return Verdict(
                    head, retired, Broken(fault, place["position"], place["row_id"], place["row_occurred_at"])
                )
            retired += place["found"] is None
            head, last = _head(log, place), place
            if known is not None and known.position == head.position and known != head:
                return Verdict(head, retired, Broken(ChainFault.TAIL_CUT, known.position))
    if known is not None and known.position > head.position:
        return Verdict(head, retired, Broken(ChainFault.TAIL_CUT, known.position))
    late = connection.execute(_TOO_LATE[log], _bounds(last, here["server"])).one_or_none()
    return Verdict(head, retired, None if late is None else Broken(ChainFault.INSERTED, None, *late))


def seal_both(session: Session) -> dict[Log, tuple[int, Head]]:
    """Seal both logs in one transaction, and make the months of the logs that come next."""
    ensure_log_months(session)
    return {log: seal(session, log) for log in Log}


def _head(log: Log, place: RowMapping | None) -> Head:
    return Head(log, 0, bytes(32)) if place is None else Head(log, place["position"], place["digest"])


def _bounds(last: RowMapping | None, server: str) -> dict[str, Any]:
    """Return since when, and from which transaction on, a row may still be without a seal."""
    if last is None:
        return {"since": None, "floor": 0}
    return {"since": last["sealed_at"], "floor": last["sealed_below"] if last["server"] == server else 0}


def _fault(place: RowMapping, before: Head, *, may_be_gone: bool) -> ChainFault | None:
    if place["position"] != before.position + 1:
        return ChainFault.SEAL_MISSING
    seal = _Seal(**{name: place[name] for name in _Seal.__slots__})
    if place["digest"] != seal.digest(before, place["row_digest"], place["tenant_id"]):
        return ChainFault.SEAL_CHANGED
    if place["found"] is None:
        return None if may_be_gone else ChainFault.MISSING
    return None if place["found"] == place["row_digest"] else ChainFault.CHANGED
