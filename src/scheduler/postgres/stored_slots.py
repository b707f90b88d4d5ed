"""Stored slots in PostgreSQL, read as the core's values.

Owns: the statements that read the slots of schedules and of doctors with what is taken of them.
Must not know: what is done with them, and how slots are written (`slots`).
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, Final

from sqlalchemy import TextClause, text
from sqlmodel import Session

from scheduler.core.lifecycle import SlotStatus
from scheduler.core.reconciliation import StoredSlot
from scheduler.core.slots import Slot
from scheduler.core.spans import Span
from scheduler.postgres.schedules import ScheduleKey

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
        released_at, status, booked_count, reserved_until, is_dropped
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
        is_dropped,
        taken,
        held,
    ) in session.connection().execute(statement, values):
        slot = Slot(start_at, end_at, doctor_id, facility_id, offering, capacity, rule, release)
        yield StoredSlot(id_, slot, SlotStatus(status), taken, until, held, is_dropped)
