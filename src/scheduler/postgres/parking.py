"""Parked schedules: those that failed in so many runs in a row that the nightly job leaves them out.

Owns: the number of failures that park a schedule, and the condition in SQL.
Must not know: why a schedule failed, runs.

A parked schedule is tried again after a change of it, which sets its count to zero (`scheduling.mark_as_stale`), or if
a run asks for all schedules or for its facility. Its bookings stay, as those of each schedule that fails.
"""

from typing import Final

from sqlalchemy import text
from sqlmodel import Session

from scheduler.postgres.schedules import ScheduleKey

FAILURES_THAT_PARK: Final = 3

IS_PARKED: Final = f"failures_in_a_row >= {FAILURES_THAT_PARK}"
"""The condition of a parked schedule, on a row of `scheduling.schedule_states`."""

_PARKED: Final = text(
    "select doctor_id, facility_id from scheduling.schedule_states"  # noqa: S608  # a constant
    f" where tenant_id = (select identity.current_tenant_id()) and {IS_PARKED}"
)


def parked_schedules(session: Session) -> set[ScheduleKey]:
    """Return the parked schedules of the tenant."""
    return {ScheduleKey(*pair) for pair in session.connection().execute(_PARKED)}
