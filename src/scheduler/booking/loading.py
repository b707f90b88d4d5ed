"""Loading: what is taken in a span of time, of doctors, resources, slots and a patient.

Owns: the statements that read uses, full slots, stored slots, and the visits of a patient.
Holds: B1 (what takes time), B2 (a hold takes it until it ends), S3 (a held slot closes those that overlap it).
Must not know: offerings, workflows, which visit is sought.

Uses and slots are numerous. The server merges those of one doctor or resource and packs their instants into one value,
in the unit of the core's calendars: microseconds since 2000-01-01T00:00Z, which is also PostgreSQL's own.
"""

from array import array
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from sys import byteorder
from typing import Final, NamedTuple

from sqlalchemy import text
from sqlmodel import Session

from scheduler.core.calendars import FullSlot
from scheduler.core.chains import Ranges
from scheduler.core.intervals import merge
from scheduler.core.slots import Slot, SlotIdentity
from scheduler.core.spans import Span
from scheduler.core.uses import Use, times_of
from scheduler.core.validation import LONGEST_SLOT
from scheduler.core.zones import before, instant
from scheduler.postgres.schedules import ScheduleKey

LONGEST_USE: Final = timedelta(days=7)
"""A longer use that began before a span is not seen by the search; the constraints of allocations see it."""

_OF_DOCTORS: Final = "taken.doctor_id = any(cast(:doctors as bigint[]))"
_OF_RESOURCES: Final = "taken.resource_id = any(cast(:resources as bigint[]))"
_LIVE: Final = """
    hold.tenant_id = (select identity.current_tenant_id()) and hold.ends_at > scheduling.clock()
    and hold.id is distinct from cast(:hold as bigint)
"""
_COUNTS: Final = f"""
    taken.tenant_id = (select identity.current_tenant_id())
    and taken.start_at >= :earliest and taken.start_at < :end and taken.end_at > :begin
    and coalesce(taken.appointment_id <> cast(:visit as bigint), true)
    and (taken.hold_id is null or taken.hold_id in (select hold.id from scheduling.holds hold where {_LIVE}))
"""  # noqa: S608  # its own texts
_PACKED: Final = "string_agg(timestamptz_send({start}) || timestamptz_send({end}), '' order by {start})"
_SHARED_SLOT: Final = "case when cast(:exceed as boolean) then taken.slot_id else taken.shared_slot_id end"
_TIMES: Final = text(f"""
select doctor_id, resource_id, {_PACKED.format(start="lower(part)", end="upper(part)")}
from (
    select taken.doctor_id, null::bigint as resource_id, unnest(range_agg(tstzrange(start_at, end_at))) as part
    from scheduling.allocations taken
    where {_COUNTS} and {_OF_DOCTORS} and ({_SHARED_SLOT} is null or not :share)
    group by taken.doctor_id
    union all
    select null, taken.resource_id, unnest(range_agg(tstzrange(start_at, end_at)))
    from scheduling.allocations taken where {_COUNTS} and {_OF_RESOURCES}
    group by taken.resource_id
) merged
group by doctor_id, resource_id
""")  # noqa: S608  # its own texts
_SHARED: Final = text(f"""
select taken.start_at, taken.end_at, taken.doctor_id,
    slot.start_at, slot.end_at, slot.doctor_id, slot.facility_id, slot.service_offering_id
from scheduling.allocations taken
left join scheduling.availability_slots slot
    on slot.tenant_id = taken.tenant_id and slot.id = {_SHARED_SLOT} and slot.start_at = taken.slot_start_at
where {_COUNTS} and {_OF_DOCTORS} and {_SHARED_SLOT} is not null
""")  # noqa: S608  # its own texts
_FULL: Final = text(f"""
select slot.doctor_id, slot.facility_id, slot.service_offering_id, slot.capacity > 1, slot.status = 'reserved',
    slot.status = 'booked' and held.places is null,
    {_PACKED.format(start="slot.start_at", end="slot.end_at")}
from scheduling.availability_slots slot
left join scheduling.appointments own
    on own.tenant_id = slot.tenant_id and own.id = cast(:visit as bigint)
    and own.availability_slot_id = slot.id and own.slot_start_at = slot.start_at
left join (
    select hold.availability_slot_id, hold.slot_start_at, count(*) as places
    from scheduling.holds hold where {_LIVE}
    group by hold.availability_slot_id, hold.slot_start_at
) held on held.availability_slot_id = slot.id and held.slot_start_at = slot.start_at
where slot.tenant_id = (select identity.current_tenant_id())
  and slot.doctor_id = any(cast(:doctors as bigint[]))
  and slot.start_at >= :earliest_slot and slot.start_at < :end and slot.end_at > :begin
  and (coalesce(held.places, 0) + case when own.id is null then slot.booked_count else (
      -- counted, since a slot whose places are exceeded has more visits than its count
      select count(*) from scheduling.appointments other
      where other.tenant_id = slot.tenant_id and other.availability_slot_id = slot.id
        and other.slot_start_at = slot.start_at and other.id <> own.id and other.status not in ('cancelled', 'no_show')
    ) end >= slot.capacity
    or slot.status = 'cancelled'
    or slot.status = 'reserved' and coalesce(slot.reserved_until > scheduling.clock(), true))
group by 1, 2, 3, 4, 5, 6
""")  # noqa: S608  # its own texts
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


_NOTHING: Final = Without()


@dataclass
class TakenTime:
    """The time that is taken: of doctors and of resources by their ids, uses of shared slots, and full slots.

    Full slots are `exceedable` if visits have all their places: an override gives one more (B8).
    """

    doctors: dict[int, Ranges] = field(default_factory=dict)
    resources: dict[int, Ranges] = field(default_factory=dict)
    shared: dict[int, list[Use]] = field(default_factory=lambda: defaultdict(list))
    full: dict[ScheduleKey, list[FullSlot]] = field(default_factory=lambda: defaultdict(list))
    exceedable: dict[ScheduleKey, list[FullSlot]] = field(default_factory=lambda: defaultdict(list))

    def of_resource(self, resource_id: int, doctor_id: int | None = None) -> Ranges:
        """Return the times of a resource; those of a person who is also this doctor are the doctor's, too."""
        times = self.resources.get(resource_id, ())
        if doctor_id is None:
            return times
        shared = (times_of(use) for use in self.shared.get(doctor_id, ()))
        return merge([*times, *self.doctors.get(doctor_id, ()), *shared])

    def add(self, doctor_id: int, times: Ranges) -> None:
        """Add times of a doctor."""
        self.doctors[doctor_id] = merge([*self.doctors.get(doctor_id, ()), *times])


def taken(  # noqa: PLR0913  # what is asked for
    session: Session,
    span: Span,
    *,
    doctors: Collection[int],
    resources: Collection[int],
    share: bool = True,
    exceed: bool = False,
    without: Without = _NOTHING,
) -> TakenTime:
    """Return what is taken in a span. Without `share`, also uses of slots of several places are nobody else's.

    With `exceed`, uses of any slot are shared, since its places may be exceeded.
    """
    share = share or exceed
    found = TakenTime()
    connection = session.connection()
    wanted = {"doctors": list(doctors), "resources": list(resources), "begin": span.start, "end": span.end}
    wanted |= {"earliest": before(span.start, LONGEST_USE), "earliest_slot": before(span.start, LONGEST_SLOT)}
    wanted |= {"share": share, "exceed": exceed, "visit": without.visit_id, "hold": without.hold_id}
    for doctor_id, resource_id, packed in connection.execute(_TIMES, wanted):
        if doctor_id is None:
            found.resources[resource_id] = _unpacked(packed)
        else:
            found.doctors[doctor_id] = _unpacked(packed)
    for start_at, end_at, doctor_id, *slot in connection.execute(_SHARED, wanted) if share else ():
        # An allocation outlives its slot, which nobody else can then share.
        shared = None if slot[0] is None else SlotIdentity(*slot)
        found.shared[doctor_id].append(Use(Span(start_at, end_at), shared))
    for doctor_id, facility_id, offering_id, has_places, is_held, exceedable, packed in connection.execute(
        _FULL, wanted
    ):
        times = _unpacked(packed)
        slots = [(start, end, offering_id) for start, end in times]
        found.full[ScheduleKey(doctor_id, facility_id)] += slots
        if exceedable:
            found.exceedable[ScheduleKey(doctor_id, facility_id)] += slots
        if is_held and not (has_places and share):
            found.add(doctor_id, times)
        elif is_held:
            for start, end in times:
                begin_at, end_at = instant(start), instant(end)
                slot_held = SlotIdentity(begin_at, end_at, doctor_id, facility_id, offering_id)
                found.shared[doctor_id].append(Use(Span(begin_at, end_at), slot_held))
    return found


def _unpacked(packed: bytes) -> list[tuple[int, int]]:
    numbers = array("q", packed)
    if byteorder == "little":
        numbers.byteswap()
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def stored(session: Session, slots: Iterable[Slot]) -> set[SlotIdentity]:
    """Return which of some slots are stored."""
    wanted = {slot.identity for slot in slots}
    if not wanted:
        return set()
    starts = [slot.start_at for slot in wanted]
    values: Mapping[str, object] = {
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
