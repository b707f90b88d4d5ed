"""Uses in PostgreSQL: the time that visits and holds take of doctors, and what decides about their slots.

Owns: the uses of doctors read from the allocations, and the booking contexts of doctors.
Holds: S3 (uses at all facilities), B2 (an ended hold takes nothing).
Must not know: schedules, how a slot is shown.
"""

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlmodel import Session

from scheduler.core.bookings import BookingContext
from scheduler.core.slots import SlotIdentity
from scheduler.core.spans import Span
from scheduler.core.uses import Use
from scheduler.core.validation import LONGEST_SLOT
from scheduler.core.zones import after, before
from scheduler.postgres.stored_slots import slots_of_doctors

# A slot that was deleted is shared with nobody.
_USES: Final = text("""
select taken.doctor_id, taken.start_at, taken.end_at, coalesce(visit.id, hold.id), hold.ends_at,
    coalesce(visit.facility_id, hold.facility_id),
    slot.start_at, slot.end_at, slot.doctor_id, slot.facility_id, slot.service_offering_id
from scheduling.allocations taken
left join scheduling.appointments visit on visit.tenant_id = taken.tenant_id and visit.id = taken.appointment_id
left join scheduling.holds hold on hold.tenant_id = taken.tenant_id and hold.id = taken.hold_id
left join scheduling.availability_slots slot
    on slot.tenant_id = taken.tenant_id and slot.id = taken.slot_id and slot.start_at = taken.slot_start_at
where taken.tenant_id = (select identity.current_tenant_id())
  and taken.doctor_id = any(cast(:doctor_ids as bigint[]))
  and tstzrange(taken.start_at, taken.end_at) && tstzrange(:begin, :end)
  and (taken.hold_id is null or hold.ends_at > scheduling.clock())
""")


def uses_of(session: Session, doctor_ids: Iterable[int], span: Span) -> dict[int, list[Use]]:
    """Return the uses in force of doctors that overlap a span, at all facilities."""
    uses: dict[int, list[Use]] = defaultdict(list)
    asked = {"doctor_ids": list(doctor_ids), "begin": span.start, "end": span.end}
    for doctor_id, begin, end, id_, ends_at, facility_id, *of_slot in session.connection().execute(_USES, asked):
        slot = None if of_slot[0] is None else SlotIdentity(*of_slot)
        uses[doctor_id].append(Use(Span(begin, end), slot, id_, ends_at, facility_id))
    return uses


def booking_contexts(
    session: Session, doctor_ids: Iterable[int], begin: datetime, end: datetime, *, now: datetime
) -> dict[int, BookingContext]:
    """Return what decides about the slots of doctors that start in `[begin, end)`."""
    ids = set(doctor_ids)
    since = before(begin, LONGEST_SLOT)  # a slot that began the day before may overlap
    until = after(end, LONGEST_SLOT)
    slots = slots_of_doctors(session, ids, since, until)
    uses = uses_of(session, ids, Span(since, until))
    return {id_: BookingContext(slots.get(id_, ()), uses.get(id_, ()), now) for id_ in ids}
