"""Slots in PostgreSQL: reading stored slots, bulk inserts, and applying plans.

Owns: stored slots read as the core's values, new slots written by COPY, updates and deletions of a plan.
Holds: R2 at write (a slot that was touched since the plan was made is neither updated nor deleted).
Must not know: expansion, reconciliation.

PostgreSQL refuses COPY into a table under row security, so rows are copied into a temporary table (`slot_copies`) and
inserted from there, where the policies check each of them.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any, Final, LiteralString, NamedTuple

from psycopg import AsyncConnection, Connection
from psycopg.errors import InvalidParameterValue
from sqlalchemy import TextClause, text
from sqlalchemy.exc import DataError
from sqlalchemy.util import await_only
from sqlmodel import Session

from scheduler.core.errors import InvalidInputError
from scheduler.core.lifecycle import SlotStatus
from scheduler.core.reconciliation import Plan, SlotUpdate, StoredSlot
from scheduler.core.slots import Slot, Slots
from scheduler.core.spans import Span
from scheduler.postgres.schedules import ScheduleKey
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
# Appointments and holds decide what is taken (B1, B2). They are looked up slot by slot, and slots doctor by doctor
# (`lateral ... offset 0`): as joins, both are planned by statistics, which new days do not have.
_STORED: Final = """
select slot.*, least(slot.capacity, greatest(slot.booked_count, (
    select count(*) from scheduling.appointments
    where tenant_id = (select identity.current_tenant_id())
      and availability_slot_id = slot.id and slot_start_at = slot.start_at and status not in ('cancelled', 'no_show')
))) as taken, (
    select count(*) from scheduling.holds
    where tenant_id = (select identity.current_tenant_id())
      and availability_slot_id = slot.id and slot_start_at = slot.start_at and ends_at > scheduling.clock()
) as held
from unnest(
    cast(:doctors as bigint[]), cast(:facilities as bigint[]), cast(:begins as timestamptz[]),
    cast(:ends as timestamptz[])
) as wanted (doctor_id, facility_id, begin_at, end_at)
cross join lateral (
    select doctor_id, facility_id, id, start_at, end_at, service_offering_id, capacity, created_from_rule_id,
        released_at, status, booked_count, reserved_until
    from scheduling.availability_slots
    where tenant_id = (select identity.current_tenant_id()) and {in_the_span}
    offset 0
) slot
"""
# Without statistics of these days a planner expects one row of them, and prefers a smaller index by start to the one by
# doctor and start: whole days of the tenant were read for each batch. `+ 0` and the end as a pair serve no other index.
_OF_SCHEDULES: Final = text(
    _STORED.format(
        in_the_span="doctor_id = wanted.doctor_id and facility_id + 0 = wanted.facility_id"
        " and start_at >= wanted.begin_at and (doctor_id, start_at) < (wanted.doctor_id, wanted.end_at)"
    )
)
_OF_DOCTORS: Final = text(
    _STORED.format(
        in_the_span="doctor_id = wanted.doctor_id"
        " and start_at >= wanted.begin_at and start_at < wanted.end_at and start_at >= :first and start_at < :last"
    )
)
# Bookings, holds and cancellations since the plan was made take precedence over the plan. Whoever makes them locks the
# slot, so the statements that follow this one see them.
_LOCK: Final = text("""
select from scheduling.availability_slots slot
join unnest(cast(:ids as bigint[]), cast(:starts as timestamptz[])) as planned (id, start_at)
    on slot.id = planned.id and slot.start_at = planned.start_at
where slot.tenant_id = (select identity.current_tenant_id()) and slot.start_at between :first and :last
order by slot.start_at, slot.id for update of slot
""")
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


def stored_slots(session: Session, wanted: Iterable[tuple[ScheduleKey, Span]]) -> dict[ScheduleKey, list[StoredSlot]]:
    """Return the stored slots of schedules that start in spans, by schedule. Spans of one schedule share nothing."""
    pairs = list(wanted)
    stored: dict[ScheduleKey, list[StoredSlot]] = defaultdict(list)
    if pairs:
        values = {
            "doctors": [key.doctor_id for key, _ in pairs],
            "facilities": [key.facility_id for key, _ in pairs],
            "begins": [span.start for _, span in pairs],
            "ends": [span.end for _, span in pairs],
        }
        for slot in _read(session, _OF_SCHEDULES, values):
            stored[ScheduleKey(int(slot.slot.doctor_id), int(slot.slot.facility_id))].append(slot)
    return stored


def slots_of_doctors(
    session: Session, doctor_ids: set[int], begin: datetime, end: datetime
) -> dict[int, list[StoredSlot]]:
    """Return the stored slots of doctors that start in `[begin, end)`, at all facilities (S3)."""
    doctors = sorted(doctor_ids)
    count = len(doctors)
    values = {"doctors": doctors, "facilities": [None] * count, "begins": [begin] * count, "ends": [end] * count}
    by_doctor: dict[int, list[StoredSlot]] = defaultdict(list)
    for slot in _read(session, _OF_DOCTORS, values | {"first": begin, "last": end}):
        by_doctor[int(slot.slot.doctor_id)].append(slot)
    return by_doctor


def _read(session: Session, statement: TextClause, values: dict[str, Any]) -> Iterator[StoredSlot]:
    for (
        doctor_id,
        facility_id,
        id_,
        start_at,
        end_at,
        offering,
        capacity,
        rule,
        release,
        status,
        _,
        until,
        taken,
        held,
    ) in session.connection().execute(statement, values):
        slot = Slot(start_at, end_at, doctor_id, facility_id, offering, capacity, rule, release)
        yield StoredSlot(id_, slot, SlotStatus(status), taken, until, held)


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


def _keys(slots: Sequence[StoredSlot | SlotUpdate]) -> dict[str, Any]:
    starts = [stored.slot.start_at for stored in slots]
    return {"ids": [stored.id for stored in slots], "starts": starts, "first": min(starts), "last": max(starts)}
