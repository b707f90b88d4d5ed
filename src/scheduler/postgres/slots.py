"""Slots in PostgreSQL: bulk inserts, and applying plans.

Owns: new slots written by COPY, updates, deletions and marks of a plan.
Holds: R2 at write (a slot that was touched since the plan was made is neither updated nor deleted).
Must not know: expansion, reconciliation, reading (`stored_slots`).

PostgreSQL refuses COPY into a table under row security, so rows are copied into a temporary table (`slot_copies`) and
inserted from there, where the policies check each of them.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Final, LiteralString, NamedTuple

from psycopg import AsyncConnection, Connection
from psycopg.errors import InvalidParameterValue
from sqlalchemy import text
from sqlalchemy.exc import DataError
from sqlalchemy.util import await_only
from sqlmodel import Session

from scheduler.core.errors import InvalidInputError
from scheduler.core.reconciliation import Plan, SlotUpdate, StoredSlot
from scheduler.core.slots import Slots
from scheduler.postgres.slot_copies import binary_copies, text_copy

_STAGE: Final = text("""
create temporary table if not exists staged_slots (
    doctor_id bigint, facility_id bigint, offering_id bigint, start_at timestamptz, end_at timestamptz,
    capacity bigint, rule_id bigint, released_at timestamptz
) on commit drop;
truncate staged_slots;  -- rows of an earlier insert in the same transaction
""")
_INSERT_STAGED: Final = text("""
insert into scheduling.availability_slots
    (tenant_id, doctor_id, facility_id, service_offering_id, start_at, end_at, capacity, created_from_rule_id,
    released_at)
select (select identity.current_tenant_id()), doctor_id, facility_id, nullif(offering_id, 0), start_at, end_at,
    capacity::integer, nullif(rule_id, 0), nullif(released_at, '-infinity')
from staged_slots
""")
# Bookings, holds and cancellations since the plan was made take precedence over the plan. Whoever makes them locks the
# slot, so the statements that follow this one see them.
_LOCK_SLOTS: Final = """
select from scheduling.availability_slots slot
join unnest(cast(:ids as bigint[]), cast(:starts as timestamptz[])) as planned (id, start_at)
    on slot.id = planned.id and slot.start_at = planned.start_at
where slot.tenant_id = (select identity.current_tenant_id()) and slot.start_at between :first and :last
order by slot.start_at, slot.id for {strength} of slot
"""
_LOCK: Final = text(_LOCK_SLOTS.format(strength="update"))
_LOCK_MARKED: Final = text(_LOCK_SLOTS.format(strength="no key update"))
_UPDATE: Final = text("""
update scheduling.availability_slots slot
set capacity = planned.capacity, created_from_rule_id = planned.rule_id, released_at = planned.released_at
from unnest(
    cast(:ids as bigint[]), cast(:starts as timestamptz[]), cast(:capacities as integer[]), cast(:rules as bigint[]),
    cast(:releases as timestamptz[])
) as planned (id, start_at, capacity, rule_id, released_at)
where slot.tenant_id = (select identity.current_tenant_id())
  and slot.id = planned.id and slot.start_at = planned.start_at
  and slot.start_at between :first and :last  -- reads these months only
  and slot.status <> 'cancelled' and slot.booked_count + (
    select count(*) from scheduling.holds hold
    where hold.tenant_id = slot.tenant_id and hold.availability_slot_id = slot.id
      and hold.slot_start_at = slot.start_at and hold.ends_at > scheduling.clock()
  ) <= planned.capacity
""")
_RETIRE: Final = text("""
delete from scheduling.availability_slots slot
using unnest(cast(:ids as bigint[]), cast(:starts as timestamptz[])) as retired (id, start_at)
where slot.tenant_id = (select identity.current_tenant_id())
  and slot.id = retired.id and slot.start_at = retired.start_at
  and slot.start_at between :first and :last
  and slot.booked_count = 0 and (slot.status = 'open' or slot.status = 'reserved' and slot.reserved_until <= :now)
  and not exists (
    select from scheduling.appointments visit
    where visit.tenant_id = slot.tenant_id and visit.availability_slot_id = slot.id
      and visit.slot_start_at = slot.start_at and visit.status not in ('cancelled', 'no_show')
  )
  and not exists (
    select from scheduling.holds hold
    where hold.tenant_id = slot.tenant_id and hold.availability_slot_id = slot.id
      and hold.slot_start_at = slot.start_at and hold.ends_at > scheduling.clock()
  )
""")
_MARK: Final = text("""
update scheduling.availability_slots slot set is_dropped = :is_dropped
from unnest(cast(:ids as bigint[]), cast(:starts as timestamptz[])) as marked (id, start_at)
where slot.tenant_id = (select identity.current_tenant_id())
  and slot.id = marked.id and slot.start_at = marked.start_at
  and slot.start_at between :first and :last
""")


def ensure_months(session: Session, begin: datetime, end: datetime) -> None:
    """Create the missing monthly partitions of a span of slots.

    Raises:
        InvalidInputError: the span is too long, or needs too many months.
    """
    ensure = text("select scheduling.ensure_slot_partitions(:begin, :end)")
    try:
        session.connection().execute(ensure, {"begin": begin, "end": end})
    except DataError as error:
        if not isinstance(error.orig, InvalidParameterValue):
            raise
        raise InvalidInputError(error.orig.diag.message_primary or "the span of slots is too long") from None


def analyze_grown_tables(session: Session) -> None:
    """Analyze the tables to which slots refer, if they are new or have grown.

    Their keys are then checked by index. Tables that another session analyzes at the moment are left to it.
    """
    session.connection().execute(text("select scheduling.analyze_grown_tables()"))


def check_keys_by_index(session: Session) -> None:
    """Let the rest of the transaction check the keys of slots by index also in small tables.

    They would else be read as a whole for each slot. It is for the job alone: a host's transactions keep its settings.
    """
    session.connection().execute(text("set local random_page_cost = 1.1"))


def insert_slots(session: Session, many: Iterable[Slots]) -> int:
    """Insert new slots in bulk and return how many. A slot that already exists fails the transaction."""
    return _insert(session, binary_copies(many))


def _insert(session: Session, copies: Iterable[tuple[LiteralString, Iterable[bytes]]]) -> int:
    """Copy rows into the temporary table, insert them from there, and return how many were inserted."""
    connection = session.connection()
    connection.execute(_STAGE)
    driver: Connection | AsyncConnection | None = connection.connection.driver_connection
    assert driver is not None  # noqa: S101  # a unit of work holds its connection
    for statement, blocks in copies:
        if isinstance(driver, AsyncConnection):
            await_only(_copy_awaited(driver, statement, blocks))
        else:
            with driver.cursor() as cursor, cursor.copy(statement) as copy:
                for block in blocks:
                    copy.write(block)
    return connection.execute(_INSERT_STAGED).rowcount


async def _copy_awaited(driver: AsyncConnection, statement: LiteralString, blocks: Iterable[bytes]) -> None:
    async with driver.cursor() as cursor, cursor.copy(statement) as copy:
        for block in blocks:
            await copy.write(block)


class PlanResult(NamedTuple):
    """How many slots a plan changed: fewer than planned if some were touched since it was made."""

    created: int = 0
    updated: int = 0
    retired: int = 0


def apply_plan(session: Session, plan: Plan, *, now: datetime) -> PlanResult:
    """Create, update and retire the slots of a plan. Slots that are booked, or held at `now`, do not change."""
    created = updated = retired = 0
    connection = session.connection()
    changed: list[StoredSlot | SlotUpdate] = [*plan.retire, *plan.update]
    if changed:
        connection.execute(_LOCK, _keys(changed))
    if plan.retire:
        retired = connection.execute(_RETIRE, _keys(plan.retire) | {"now": now}).rowcount
    if plan.update:
        slots = [planned.slot for planned in plan.update]
        values = {
            "capacities": [slot.capacity for slot in slots],
            "rules": [slot.rule_id for slot in slots],
            "releases": [slot.released_at for slot in slots],
        }
        updated = connection.execute(_UPDATE, _keys(plan.update) | values).rowcount
    if plan.create:
        created = _insert(session, [text_copy(plan.create)])
    return PlanResult(created, updated, retired)


def mark_slots(session: Session, *, dropped: Sequence[StoredSlot], restored: Sequence[StoredSlot]) -> None:
    """Mark stored slots as dropped by their schedules, or not any more.

    Their rows are in use by visits: they are locked in the order of all bookings, and those of all schedules at once.
    """
    if dropped or restored:
        connection = session.connection()
        connection.execute(_LOCK_MARKED, _keys([*dropped, *restored]))
        for slots, is_dropped in ((dropped, True), (restored, False)):
            if slots:
                connection.execute(_MARK, _keys(slots) | {"is_dropped": is_dropped})


def _keys(slots: Sequence[StoredSlot | SlotUpdate]) -> dict[str, Any]:
    starts = [stored.slot.start_at for stored in slots]
    return {"ids": [stored.id for stored in slots], "starts": starts, "first": min(starts), "last": max(starts)}
