"""Parked schedules: those that failed in so many runs in a row that the nightly job leaves them out.

Owns: the number of failures that park a schedule, and the condition in SQL.
Holds: R4 (a schedule that keeps failing stops no other, and is left out).
Must not know: why a schedule failed, runs.

A parked schedule is tried again after a change of it, which sets its count to zero (`scheduling.mark_as_stale`), by an
engine or with time zone data of another version, or if a run asks for all schedules or for its facility. Its bookings
stay, as those of each schedule that fails.
"""

from typing import Final

FAILURES_THAT_PARK: Final = 3

IS_PARKED: Final = f"failures_in_a_row >= {FAILURES_THAT_PARK}"
"""The condition of a parked schedule, on a row of `scheduling.schedule_states`."""
