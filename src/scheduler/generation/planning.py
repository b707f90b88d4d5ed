"""Planning of generation tasks: the spans of a schedule to examine, and its checkpoint afterwards.

Owns: the comparison of a schedule and a request with the checkpoint of the last run.
Holds: R3 (an unchanged schedule: only new days; a changed one: also the days from today on of earlier runs).
Must not know: the stored slots, the database.
"""

from dataclasses import dataclass

from scheduler.core.days import DaySet
from scheduler.core.errors import InvalidInputError
from scheduler.core.fingerprints import fingerprint
from scheduler.core.schedules import Schedule
from scheduler.core.spans import Span
from scheduler.core.zones import local_day
from scheduler.generation.request import GenerationRequest, Scope
from scheduler.postgres.schedules import Checkpoint, LoadedSchedule, ScheduleKey


@dataclass(frozen=True, slots=True)
class ScheduleTask:
    """The work for one schedule: the spans to examine, and those of the request that need no examination (R3)."""

    key: ScheduleKey
    schedule: Schedule
    spans: tuple[Span, ...]
    unexamined: tuple[Span, ...]
    checkpoint: Checkpoint


def plan_task(loaded: LoadedSchedule, request: GenerationRequest) -> ScheduleTask:
    """Choose the spans of a schedule to examine, and its checkpoint afterwards.

    Days before both the request and today leave the checkpoint: nobody generates them again by itself.

    Raises:
        InvalidInputError: the stored schedule is invalid.
    """
    schedule, before = loaded.schedule, loaded.checkpoint
    if isinstance(schedule, InvalidInputError):
        raise schedule
    first = request.first_day(schedule.zone)
    digest, known_digest = (
        fingerprint(schedule, tzdata_version=request.tzdata_version, since=day) for day in (first, before.since)
    )
    requested = DaySet([(request.from_day, request.until_day)])
    generated = before.days.since(first)
    if before.fingerprint == known_digest and request.scope is Scope.CHANGED:
        examined = requested - generated
    else:  # slots of all generated days may follow the schedule before the change
        examined = requested | generated
    return ScheduleTask(
        loaded.key,
        schedule,
        spans=_local(schedule, examined),
        unexamined=_local(schedule, requested - examined),
        checkpoint=Checkpoint(digest, first, requested | generated),
    )


def _local(schedule: Schedule, days: DaySet) -> tuple[Span, ...]:
    """Return local days as spans, without the days that the zone skipped."""
    spans = (local_day(schedule.zone, first, until) for first, until in days.spans)
    return tuple(span for span in spans if span)
