"""Slots in PostgreSQL: bulk writing, and plans carried out.

Owns: stored slots read as the core's values, new slots written by binary COPY, updates and deletions of a plan.
Holds: R2 at write (a slot that anybody touched meanwhile is neither updated nor deleted).
Must not know: expansion, reconciliation.

COPY into a table is refused under row security, so rows are copied into a temporary table and inserted from there,
where the policies see each of them. COPY's binary rows are built column by column: the bytes of one column go into
all rows at once.
"""

from array import array
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from struct import pack
from sys import byteorder
from typing import Any, Final, NamedTuple

from psycopg import Connection, Copy, Cursor
from psycopg.errors import InvalidParameterValue
from sqlalchemy import text
from sqlalchemy.exc import DataError
from sqlmodel import Session

from scheduler.core.errors import InvalidInputError
from scheduler.core.lifecycle import SlotStatus
from scheduler.core.reconciliation import Plan, StoredSlot
from scheduler.core.slots import Slot, Slots
from scheduler.postgres.schedules import ScheduleKey

# PostgreSQL's binary COPY: signature, flags, no header extension; rows; end.
_COPY_BEGIN: Final = b"PGCOPY\n\xff\r\n\0" + pack("!ii", 0, 0)
_COPY_END: Final = pack("!h", -1)
_BIGINT: Final = pack("!iq", 8, 0)
_ROW: Final = pack("!h", 7) + _BIGINT * 7
_FIELD_AT: Final = [2 + 12 * place + 4 for place in range(7)]

_STAGE: Final = """
create temporary table if not exists staged_slots (
    doctor_id bigint, facility_id bigint, offering_id bigint, start_at timestamptz, end_at timestamptz,
    capacity bigint, rule_id bigint
) on commit drop;
truncate staged_slots;  -- an earlier schedule of the same transaction has left its rows
"""
_COPY: Final = "copy staged_slots from stdin"
_BINARY_COPY: Final = f"{_COPY} (format binary)"
_INSERT_STAGED: Final = """
insert into scheduling.availability_slots
    (tenant_id, doctor_id, facility_id, service_offering_id, start_at, end_at, capacity, created_from_rule_id)
select (select identity.current_tenant_id()), doctor_id, facility_id, nullif(offering_id, 0), start_at, end_at,
    capacity::integer, nullif(rule_id, 0)
from staged_slots
"""
_STORED: Final = """
select doctor_id, facility_id, id, start_at, end_at, service_offering_id, capacity, created_from_rule_id, status,
    booked_count, reserved_until
from scheduling.availability_slots
where tenant_id = (select identity.current_tenant_id())
  and doctor_id = any(%s::bigint[]) and start_at >= %s and start_at < %s
"""
_COUNT: Final = """
select count(*) from scheduling.availability_slots
where tenant_id = (select identity.current_tenant_id())
  and doctor_id = %s::bigint and facility_id = %s::bigint and start_at >= %s and start_at < %s
"""
# A slot is touched once it is booked, held or cancelled: what happened since the plan was made wins over the plan.
_UPDATE: Final = """
update scheduling.availability_slots set capacity = %s, created_from_rule_id = %s
where tenant_id = (select identity.current_tenant_id()) and id = %s and start_at = %s
  and booked_count <= %s and status <> 'cancelled'
"""
_RETIRE: Final = """
delete from scheduling.availability_slots slot
using unnest(%s::bigint[], %s::timestamptz[]) as gone (id, start_at)
where slot.tenant_id = (select identity.current_tenant_id()) and slot.id = gone.id and slot.start_at = gone.start_at
  and slot.booked_count = 0 and (slot.status = 'open' or slot.status = 'reserved' and slot.reserved_until <= %s)
"""


def ensure_months(session: Session, begin: datetime, end: datetime) -> None:
    """Make sure that the table has a partition for each month in which a slot of the span may start.

    Raises:
        InvalidInputError: the span is longer than slots are made for, or there would be too many months.
    """
    try:
        session.connection().execute(
            text("select scheduling.ensure_slot_partitions(:begin, :end)"), {"begin": begin, "end": end}
        )
    except DataError as error:
        if not isinstance(error.orig, InvalidParameterValue):
            raise
        raise InvalidInputError(error.orig.diag.message_primary or "no slots are made for that time") from None


def stored_slots(
    session: Session, keys: Iterable[ScheduleKey], begin: datetime, end: datetime
) -> dict[ScheduleKey, list[StoredSlot]]:
    """Return the stored slots of schedules that start in `[begin, end)`, by schedule."""
    wanted = set(keys)
    return _stored(session, {key.doctor_id for key in wanted}, begin, end, wanted)


def slots_of_doctor(session: Session, doctor_id: int, begin: datetime, end: datetime) -> list[StoredSlot]:
    """Return a doctor's stored slots that start in `[begin, end)`, at whichever facility (S3)."""
    found = _stored(session, {doctor_id}, begin, end)
    return [one for of_schedule in found.values() for one in of_schedule]


def _stored(
    session: Session, doctor_ids: set[int], begin: datetime, end: datetime, wanted: set[ScheduleKey] | None = None
) -> dict[ScheduleKey, list[StoredSlot]]:
    found: dict[ScheduleKey, list[StoredSlot]] = defaultdict(list)
    with _cursor(session) as cursor:
        cursor.execute(_STORED, (list(doctor_ids), begin, end))
        for doctor_id, facility_id, id_, start_at, end_at, offering, capacity, rule, status, booked, until in cursor:
            key = ScheduleKey(doctor_id, facility_id)
            if wanted is None or key in wanted:
                slot = Slot(start_at, end_at, doctor_id, facility_id, offering, capacity, rule)
                found[key].append(StoredSlot(id_, slot, SlotStatus(status), booked, until))
    return found


def count_slots(session: Session, key: ScheduleKey, begin: datetime, end: datetime) -> int:
    """Count a schedule's stored slots that start in `[begin, end)`."""
    with _cursor(session) as cursor:
        row = cursor.execute(_COUNT, (key.doctor_id, key.facility_id, begin, end)).fetchone()
        return int(row[0]) if row else 0


def insert_slots(session: Session, many: Iterable[Slots]) -> int:
    """Write new slots in bulk and return how many. A slot that is there already fails the transaction."""

    def rows(copy: Copy) -> None:
        copy.write(_COPY_BEGIN)
        for slots in many:
            copy.write(binary_rows(slots))
        copy.write(_COPY_END)

    return _insert(session, _BINARY_COPY, rows)


def _insert(session: Session, statement: str, rows: Callable[[Copy], None]) -> int:
    """Copy rows into the stage, insert them from there, and return how many they were."""
    with _cursor(session) as cursor:
        cursor.execute(_STAGE)
        with cursor.copy(statement) as copy:
            rows(copy)
        cursor.execute(_INSERT_STAGED)
        return cursor.rowcount


class PlanResult(NamedTuple):
    """How many slots a plan changed; fewer than planned where somebody came first."""

    created: int = 0
    updated: int = 0
    retired: int = 0


def apply_plan(session: Session, plan: Plan, *, now: datetime) -> PlanResult:
    """Carry out a plan: create, update and retire. Slots that were booked, or are held at `now`, stay as they are."""
    created = updated = retired = 0
    with _cursor(session) as cursor:
        if plan.retire:
            ids = [one.id for one in plan.retire]
            cursor.execute(_RETIRE, (ids, [one.slot.start_at for one in plan.retire], now))
            retired = cursor.rowcount
        if plan.update:
            cursor.executemany(
                _UPDATE,
                [
                    (aim.slot.capacity, aim.slot.rule_id, aim.id, aim.slot.start_at, aim.slot.capacity)
                    for aim in plan.update
                ],
            )
            updated = cursor.rowcount
    if plan.create:
        created = _insert_values(session, plan.create)
    return PlanResult(created, updated, retired)


def _insert_values(session: Session, created: Sequence[Slot]) -> int:
    def rows(copy: Copy) -> None:
        for slot in created:
            copy.write_row(
                (
                    slot.doctor_id,
                    slot.facility_id,
                    slot.service_offering_id or 0,
                    slot.start_at,
                    slot.end_at,
                    slot.capacity,
                    slot.rule_id or 0,
                )
            )

    return _insert(session, _COPY, rows)


def binary_rows(slots: Slots) -> bytes:
    """Return slots as rows of PostgreSQL's binary COPY for the staging table; ids must be whole numbers."""
    columns = slots.columns()
    size = len(columns.kind)
    offerings = [kind.service_offering_id or 0 for kind in columns.kinds]
    capacities = [kind.capacity for kind in columns.kinds]
    rules = [kind.rule_id or 0 for kind in columns.kinds]
    out = bytearray(_ROW * size)
    fields = (
        array("q", (int(slots.doctor_id),)) * size,
        array("q", (int(slots.facility_id),)) * size,
        array("q", [int(offerings[kind]) for kind in columns.kind]),
        columns.start_at,
        columns.end_at,
        array("q", [capacities[kind] for kind in columns.kind]),
        array("q", [int(rules[kind]) for kind in columns.kind]),
    )
    for at, field in zip(_FIELD_AT, fields, strict=True):
        if byteorder == "little":
            field.byteswap()
        octets = field.tobytes()
        for place in range(8):
            out[at + place :: len(_ROW)] = octets[place::8]
    return bytes(out)


def _cursor(session: Session) -> Cursor[tuple[Any, ...]]:
    connection: Connection[tuple[Any, ...]] | None = session.connection().connection.driver_connection
    assert connection is not None  # noqa: S101  # a unit of work holds its connection
    return connection.cursor()
