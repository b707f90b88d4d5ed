"""Caps of bookings: the visits that they count, and which of them are reached.

Owns: the statements that count visits and holds by cap, and the refusal of a visit beyond a cap.
Holds: Q4 (a visit counts on the local day that the patient was told; a hold counts until it ends, but for no patient,
whom it does not know; what is cancelled or a no-show does not count).
Must not know: how caps are locked (`deciding`), which visit is sought.

Counting without the lock of the cap is for those who read; two bookings would both count the last place.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from sqlalchemy import text
from sqlmodel import Session

from scheduler.booking.candidates import Offering
from scheduler.booking.errors import CapReachedError
from scheduler.booking.loading import Without
from scheduler.core.caps import CapTarget, Period, full_spans, text_of
from scheduler.core.spans import Span
from scheduler.core.zones import zone_of

# A week around a local day lies within nine days of each of its instants.
_NEAR: Final = "interval '216 hours'"
_VISITS: Final = f"""
    select visit.local_start from scheduling.appointments visit
    where visit.tenant_id = cap.tenant_id and visit.id is distinct from cast(:visit as bigint)
      and visit.status not in ('cancelled', 'no_show')
      and visit.start_at > cast(:begin as timestamptz) - {_NEAR}
      and visit.start_at < cast(:end as timestamptz) + {_NEAR}
"""  # noqa: S608  # its own texts
# A branch for each column, so that each has its index.
_COUNTED: Final = f"""
cross join lateral (
    {_VISITS} and visit.doctor_id = cap.doctor_id
    union all
    {_VISITS} and visit.service_offering_id = cap.service_offering_id
    union all
    {_VISITS} and visit.patient_id = cap.patient_id
    union all
    {_VISITS} and visit.facility_id = cap.facility_id and visit.service_offering_id in (
        select id from scheduling.service_offerings
        where tenant_id = cap.tenant_id and service_id = cap.service_id
    )
    union all
    select hold.start_at at time zone facility.timezone
    from scheduling.holds hold
    join scheduling.facilities facility on facility.tenant_id = hold.tenant_id and facility.id = hold.facility_id
    join scheduling.service_offerings offering
        on offering.tenant_id = hold.tenant_id and offering.id = hold.service_offering_id
    where hold.tenant_id = cap.tenant_id and hold.id is distinct from cast(:hold as bigint)
      and hold.ends_at > scheduling.clock()
      and hold.start_at > cast(:begin as timestamptz) - {_NEAR}
      and hold.start_at < cast(:end as timestamptz) + {_NEAR}
      and (hold.doctor_id = cap.doctor_id or hold.service_offering_id = cap.service_offering_id
        or hold.facility_id = cap.facility_id and offering.service_id = cap.service_id)
) counted (local_start)
"""  # noqa: S608  # its own texts
_FULL: Final = text(f"""
select cap.doctor_id, cap.service_offering_id, cap.service_id, cap.facility_id, cap.patient_id, cap.period,
    cast(date_trunc(cap.period, counted.local_start) as date)
from scheduling.booking_caps cap
{_COUNTED}
where cap.tenant_id = (select identity.current_tenant_id()) and (
    cap.doctor_id = any(cast(:doctors as bigint[])) or cap.service_offering_id = any(cast(:offerings as bigint[]))
    or cap.service_id = any(cast(:services as bigint[])) and cap.facility_id = any(cast(:facilities as bigint[]))
    or cap.patient_id = cast(:patient as bigint)
)
group by cap.tenant_id, cap.id, 7
having count(*) >= cap.most
""")  # noqa: S608  # its own texts
_REACHED: Final = text(f"""
select cap.id, cap.period, cap.most, cap.doctor_id, cap.service_offering_id, cap.service_id, cap.patient_id, count(*)
from scheduling.service_offerings offering
join scheduling.facilities facility
    on facility.tenant_id = offering.tenant_id and facility.id = offering.facility_id
join scheduling.booking_caps cap on cap.tenant_id = offering.tenant_id and (
    cap.doctor_id = offering.doctor_id or cap.service_offering_id = offering.id
    or cap.service_id = offering.service_id and cap.facility_id = offering.facility_id
    or cap.patient_id = cast(:patient as bigint)
)
{_COUNTED}
where offering.tenant_id = (select identity.current_tenant_id()) and offering.id = :offering
  and date_trunc(cap.period, counted.local_start)
    = date_trunc(cap.period, cast(:begin as timestamptz) at time zone facility.timezone)
group by cap.tenant_id, cap.id
having count(*) >= cap.most
order by cap.id
""")  # noqa: S608  # its own texts
_NO_OTHER: Final = Without()


@dataclass(frozen=True, slots=True)
class ReachedCap:
    """A cap that is reached: its id, how many it counts, and the words for it."""

    id: int
    count: int
    text: str


def caps_reached(
    session: Session,
    offering_id: int,
    start_at: datetime,
    *,
    patient_id: int | None,
    without: Without = _NO_OTHER,
) -> list[ReachedCap]:
    """Return the caps that are reached for one more visit of an offering and a patient; `without` does not count."""
    values: dict[str, object] = {"offering": offering_id, "begin": start_at, "end": start_at, "patient": patient_id}
    values |= {"visit": without.visit_id, "hold": without.hold_id}
    found = []
    for id_, period, most, *targets, count in session.connection().execute(_REACHED, values):
        pairs = zip(CapTarget, targets, strict=True)
        (target,) = (target for target, value in pairs if value is not None)
        found.append(ReachedCap(id_, count, text_of(target, Period(period), most)))
    return found


def refuse_beyond_caps(
    session: Session,
    offering_id: int,
    start_at: datetime,
    *,
    patient_id: int | None,
    without: Without = _NO_OTHER,
) -> None:
    """Refuse one more visit of an offering and a patient where a cap is reached. Its caps are locked.

    Raises:
        CapReachedError: one is.
    """
    for cap in caps_reached(session, offering_id, start_at, patient_id=patient_id, without=without):
        raise CapReachedError(cap.text, cap.id, cap.count)


def capped_times(
    session: Session, offerings: Sequence[Offering], span: Span, *, patient_id: int | None, without: Without
) -> Mapping[int, tuple[Span, ...]]:
    """Return the times around a span that full days and weeks take away, by the id of the offering."""
    values: dict[str, Any] = {
        "doctors": [offering.doctor_id for offering in offerings],
        "offerings": [offering.id for offering in offerings],
        "services": [offering.service_id for offering in offerings],
        "facilities": [offering.facility_id for offering in offerings],
        "patient": patient_id,
        "begin": span.start,
        "end": span.end,
        "visit": without.visit_id,
        "hold": without.hold_id,
    }
    periods: dict[int, list[tuple[Period, date]]] = defaultdict(list)
    for doctor, id_, service, facility, patient, period, first in session.connection().execute(_FULL, values):
        for one in offerings:
            is_of_service = (service, facility) == (one.service_id, one.facility_id)
            if patient is not None or doctor == one.doctor_id or id_ == one.id or is_of_service:
                periods[one.id].append((Period(period), first))
    return {one.id: full_spans(zone_of(one.zone), periods[one.id]) for one in offerings if one.id in periods}
