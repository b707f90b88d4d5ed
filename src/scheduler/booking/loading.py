"""Loading: what is taken in a span of time, of doctors, resources, slots and a patient.

Owns: the statements that read uses, full slots, stored slots, and the visits of a patient; raw rows, since they are
numerous.
Holds: B1 (what takes time), B2 (a hold that has ended takes nothing).
Must not know: offerings, workflows, which visit is sought.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from sqlalchemy import text
from sqlmodel import Session

from scheduler.core.slots import Slot, SlotIdentity
from scheduler.core.spans import Span
from scheduler.core.uses import Use
from scheduler.core.validation import LONGEST_SLOT
from scheduler.core.zones import EARLIEST

LONGEST_USE: Final = timedelta(days=7)
"""A longer use that began before a span is not seen by the search; the constraints of allocations see it."""

# Whether an allocation counts: one place for the holds, which end by themselves.
_USES: Final = text("""
select taken.doctor_id, taken.resource_id, taken.start_at, taken.end_at,
    shared.start_at, shared.end_at, shared.doctor_id, shared.facility_id, shared.service_offering_id
from scheduling.allocations taken
left join scheduling.availability_slots shared
    on shared.tenant_id = taken.tenant_id and shared.id = taken.shared_slot_id
    and shared.start_at = taken.slot_start_at
left join scheduling.holds hold on hold.tenant_id = taken.tenant_id and hold.id = taken.hold_id
where taken.tenant_id = (select identity.current_tenant_id())
  and taken.doctor_id = any(cast(:doctors as bigint[]))
  and taken.start_at >= :earliest and taken.start_at < :end and taken.end_at > :begin
  and (taken.hold_id is null or hold.ends_at > scheduling.clock())
  and taken.appointment_id is distinct from cast(:visit as bigint)
  and taken.hold_id is distinct from cast(:hold as bigint)
union all
select null, taken.resource_id, taken.start_at, taken.end_at, null, null, null, null, null
from scheduling.allocations taken
left join scheduling.holds hold on hold.tenant_id = taken.tenant_id and hold.id = taken.hold_id
where taken.tenant_id = (select identity.current_tenant_id())
  and taken.resource_id = any(cast(:resources as bigint[]))
  and taken.start_at >= :earliest and taken.start_at < :end and taken.end_at > :begin
  and (taken.hold_id is null or hold.ends_at > scheduling.clock())
  and taken.appointment_id is distinct from cast(:visit as bigint)
  and taken.hold_id is distinct from cast(:hold as bigint)
""")
_FULL: Final = text("""
select slot.start_at, slot.end_at, slot.doctor_id, slot.facility_id, slot.service_offering_id, slot.capacity,
    slot.status = 'reserved'
from scheduling.availability_slots slot
left join scheduling.appointments own
    on own.tenant_id = slot.tenant_id and own.id = cast(:visit as bigint)
    and own.availability_slot_id = slot.id and own.slot_start_at = slot.start_at
left join (
    select tenant_id, availability_slot_id, slot_start_at, count(*) as places from scheduling.holds
    where tenant_id = (select identity.current_tenant_id()) and ends_at > scheduling.clock()
      and id is distinct from cast(:hold as bigint)
    group by tenant_id, availability_slot_id, slot_start_at
) held
    on held.tenant_id = slot.tenant_id and held.availability_slot_id = slot.id and held.slot_start_at = slot.start_at
where slot.tenant_id = (select identity.current_tenant_id())
  and slot.doctor_id = any(cast(:doctors as bigint[]))
  and slot.start_at >= :earliest_slot and slot.start_at < :end and slot.end_at > :begin
  and (slot.booked_count - cast(own.id is not null as integer) + coalesce(held.places, 0) >= slot.capacity
    or slot.status = 'cancelled'
    or slot.status = 'reserved' and coalesce(slot.reserved_until > scheduling.clock(), true))
""")
_STORED: Final = text("""
select slot.start_at, slot.end_at, slot.doctor_id, slot.facility_id, slot.service_offering_id
from unnest(cast(:doctors as bigint[]), cast(:starts as timestamptz[]), cast(:ends as timestamptz[]))
    as wanted (doctor_id, start_at, end_at)
join scheduling.availability_slots slot
    on slot.doctor_id = wanted.doctor_id and slot.start_at = wanted.start_at and slot.end_at = wanted.end_at
where slot.tenant_id = (select identity.current_tenant_id()) and slot.start_at between :first and :last
""")
_VISITS: Final = text("""
select start_at, end_at from scheduling.appointments
where tenant_id = (select identity.current_tenant_id()) and patient_id = :patient
  and status in ('scheduled', 'checked_in', 'in_progress') and start_at < :end and end_at > :begin
""")


class Without(NamedTuple):
    """A visit or a hold that does not count, since it is about to be replaced."""

    visit_id: int | None = None
    hold_id: int | None = None


class Taken(NamedTuple):
    """The uses of doctors and resources by their ids, and the slots that take no other visit, by schedule."""

    doctors: Mapping[int, list[Use]]
    resources: Mapping[int, list[Span]]
    full: Mapping[tuple[int, int], list[SlotIdentity]]


_NOTHING: Final = Without()


def taken(
    session: Session,
    span: Span,
    *,
    doctors: Collection[int],
    resources: Collection[int],
    without: Without = _NOTHING,
) -> Taken:
    """Return what is taken in a span. Slots without a stored row are not known here."""
    of_doctors: dict[int, list[Use]] = defaultdict(list)
    of_resources: dict[int, list[Span]] = defaultdict(list)
    full: dict[tuple[int, int], list[SlotIdentity]] = defaultdict(list)
    connection = session.connection()
    wanted = {"doctors": list(doctors), "begin": span.start, "end": span.end}
    wanted |= {"visit": without.visit_id, "hold": without.hold_id}
    more = {"resources": list(resources), "earliest": before(span.start, LONGEST_USE)}
    for doctor_id, resource_id, start_at, end_at, *shared in connection.execute(_USES, wanted | more):
        used = Span(start_at, end_at)
        if doctor_id is None:
            of_resources[resource_id].append(used)
        else:
            of_doctors[doctor_id].append(Use(used, None if shared[0] is None else SlotIdentity(*shared)))
    limits = {"earliest_slot": before(span.start, LONGEST_SLOT)}
    for *identity, capacity, is_held in connection.execute(_FULL, wanted | limits):
        slot = SlotIdentity(*identity)
        full[slot.doctor_id, slot.facility_id].append(slot)  # type: ignore[index]  # the ids of rows
        if is_held:  # it also closes the slots that overlap it (S3)
            used = Use(Span(slot.start_at, slot.end_at), slot if capacity > 1 else None)
            of_doctors[slot.doctor_id].append(used)  # type: ignore[index]
    return Taken(of_doctors, of_resources, full)


def before(at: datetime, length: timedelta) -> datetime:
    """Return the instant so long before another one, or the first of the calendar."""
    return max(at, EARLIEST + length) - length


def stored(session: Session, slots: Iterable[Slot]) -> set[SlotIdentity]:
    """Return which of some slots are stored."""
    wanted = {slot.identity for slot in slots}
    if not wanted:
        return set()
    starts = [slot.start_at for slot in wanted]
    values = {
        "doctors": [slot.doctor_id for slot in wanted],
        "starts": starts,
        "ends": [slot.end_at for slot in wanted],
        "first": min(starts),
        "last": max(starts),
    }
    return {SlotIdentity(*row) for row in session.connection().execute(_STORED, values)} & wanted


def visits_of(session: Session, patient_id: int, span: Span) -> list[Span]:
    """Return the times of a patient's live visits that overlap a span."""
    wanted = {"patient": patient_id, "begin": span.start, "end": span.end}
    return [Span(*row) for row in session.connection().execute(_VISITS, wanted)]
