"""Visits without a slot in closed or blocked time, or in an emergency.

Owns: the visits without a slot of schedules, and which of them a person has to be told about.
Holds: A5 (who changes a schedule is told of visits, also where no slot stands for one), B5 (a no-show whose slot was
taken away meanwhile is not undone).
Must not know: what was changed, slots.
"""

from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from sqlalchemy import text
from sqlmodel import Session

from scheduler.core.resource_hours import opening, spans_outside
from scheduler.core.schedules import ExceptionType, Schedule
from scheduler.core.spans import Span
from scheduler.postgres.schedule_parts import NeededDays
from scheduler.postgres.schedules import ScheduleKey, load_schedules

_DAY: Final = timedelta(days=1)
_VISITS: Final = text("""
select doctor_id, facility_id, id, start_at, end_at from scheduling.appointments
where tenant_id = (select identity.current_tenant_id()) and availability_slot_id is null
    and doctor_id = any(cast(:doctors as bigint[])) and facility_id = any(cast(:facilities as bigint[]))
    and status in ('scheduled', 'checked_in', 'in_progress') and end_at > :now
order by start_at, id
""")


def conflicting_visits(session: Session, keys: Sequence[ScheduleKey], *, now: datetime) -> tuple[int, ...]:
    """Return the ids of visits to come, without a slot, in closed or blocked time or an emergency."""
    wanted = {"doctors": [key.doctor_id for key in keys], "facilities": [key.facility_id for key in keys], "now": now}
    visits: dict[ScheduleKey, list[tuple[int, Span]]] = defaultdict(list)
    for doctor_id, facility_id, id_, start_at, end_at in session.connection().execute(_VISITS, wanted):
        visits[ScheduleKey(doctor_id, facility_id)].append((id_, Span(start_at, end_at)))
    concerned = [key for key in keys if key in visits]
    found: list[int] = []
    days = NeededDays(since=now.astimezone(UTC).date() - _DAY)
    for loaded in load_schedules(session, concerned, lock=False, needed=lambda *_: days) if concerned else ():
        if isinstance(loaded.schedule, Schedule):
            outside = spans_outside(_never_removed(loaded.schedule), [span for _, span in visits[loaded.key]])
            found += (id_ for id_, span in visits[loaded.key] if span in outside)
    return tuple(found)


def _never_removed(schedule: Schedule) -> Schedule:
    """Return the schedule that is always open but for what removes the time of all rules: closures and blocks."""
    removing = (one for one in schedule.exceptions if one.type is not ExceptionType.OVERRIDE and one.rule_id is None)
    ids = schedule.doctor_id, schedule.facility_id
    return opening(*ids, schedule.zone, exceptions=removing, closures=schedule.closures)
