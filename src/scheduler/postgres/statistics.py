"""Statistics: totals of a tenant, failing schedules, and row counts by table.

Owns: the counting queries of `status` and `seed`.
Must not know: how counts are displayed.
"""

from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from sqlalchemy import func, select, text
from sqlmodel import Session

from scheduler.models.registry import METADATA
from scheduler.postgres.parking import IS_PARKED

_TOTALS = text(
    f"""
with days as (select range_agg(generated_days) as spans from scheduling.schedule_states)
select
    (select count(*) from scheduling.facilities where deleted_at is null),
    (select count(*) from scheduling.schedule_states),
    (select count(*) from scheduling.schedule_states where last_error is not null),
    (select count(*) from scheduling.schedule_states where {IS_PARKED}),
    (select lower(spans) from days),
    (select nullif(upper(first.span), upper(spans)) from days, lateral (
        select span from unnest(spans) span order by span limit 1
    ) first),
    (select upper(spans) from days),
    count(*), count(*) filter (where booked_count > 0 or status = 'booked'),
    count(*) filter (where status = 'reserved'), count(*) filter (where status = 'cancelled')
from scheduling.availability_slots
"""  # noqa: S608  # a constant
)
_FAILING = text(
    f"""
select facility.slug, state.doctor_id, doctor.display_name, state.last_error, state.{IS_PARKED}
from scheduling.schedule_states state
join scheduling.facilities facility on facility.tenant_id = state.tenant_id and facility.id = state.facility_id
join scheduling.doctors doctor on doctor.tenant_id = state.tenant_id and doctor.id = state.doctor_id
where state.last_error is not null
order by facility.slug, state.doctor_id
limit :most
"""  # noqa: S608  # a constant
)


@dataclass(frozen=True, slots=True)
class Totals:
    """Totals of a tenant; `failing` counts schedules that could not be generated, `parked` those of them left out.

    The generated days are local, from `from_day` to before `until_day`. `gap_day` is the first day between them that no
    schedule was generated for, or None.
    """

    facilities: int
    schedules: int
    failing: int
    parked: int
    from_day: date | None
    gap_day: date | None
    until_day: date | None
    slots: int
    booked: int
    held: int
    cancelled: int


def totals(session: Session) -> Totals:
    """Count the tenant's facilities, schedules and slots."""
    return Totals(*session.connection().execute(_TOTALS).one())


class FailingSchedule(NamedTuple):
    """A schedule that could not be generated, by the slug of its facility and its doctor, with the reason.

    The nightly job leaves a parked one out until it changes.
    """

    facility: str
    doctor_id: int
    doctor: str
    reason: str
    parked: bool


def failing_schedules(session: Session, *, most: int) -> list[FailingSchedule]:
    """Return schedules that could not be generated, by facility and doctor."""
    return [FailingSchedule(*row) for row in session.connection().execute(_FAILING, {"most": most})]


def row_counts(session: Session) -> dict[str, int]:
    """Return how many rows the session sees in each table, by `schema.table`. Counting reads every row."""
    return {
        name: session.connection().execute(select(func.count()).select_from(table)).scalar_one()
        for name, table in sorted(METADATA.tables.items())
    }
