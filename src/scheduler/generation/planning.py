"""Planning of generation tasks: the spans of a schedule to examine, and its checkpoint afterwards.

Owns: the comparison of a schedule and a request with the checkpoint of the last run.
Holds: R3 (an unchanged schedule: only new days; a changed one: also days beyond the request that an earlier run made).
Must not know: the stored slots, the database.
"""

from dataclasses import dataclass
from datetime import date

from scheduler.core.errors import InvalidInputError
from scheduler.core.fingerprints import fingerprint
from scheduler.core.schedules import Schedule
from scheduler.core.spans import Span
from scheduler.core.zones import local_day
from scheduler.generation.request import GenerationRequest, Scope
from scheduler.postgres.schedules import Checkpoint, LoadedSchedule, ScheduleKey


@dataclass(frozen=True, slots=True)
class ScheduleTask:
    """The work for one schedule: the requested time, and the spans to examine (R3)."""

    key: ScheduleKey
    schedule: Schedule
    requested: Span | None
    spans: tuple[Span, ...]
    checkpoint: Checkpoint


def plan_task(loaded: LoadedSchedule, request: GenerationRequest) -> ScheduleTask:
    """Choose the spans of a schedule to examine, and its checkpoint afterwards.

    Raises:
        InvalidInputError: the stored schedule is invalid.
    """
    schedule, before = loaded.schedule, loaded.checkpoint
    if isinstance(schedule, InvalidInputError):
        raise schedule
    first, last = request.from_day, request.until_day
    digest = fingerprint(schedule, tzdata_version=request.tzdata_version)
    requested = _local(schedule, first, last)
    spans, covered = [requested], (first, last)
    if before.days is not None:
        begun, done = before.days
        adjoining = begun <= last and first <= done
        if adjoining and before.fingerprint == digest and request.scope is Scope.CHANGED:
            spans = [_local(schedule, first, min(last, begun)), _local(schedule, max(first, done), last)]
            covered = min(first, begun), max(last, done)
        elif last < done:
            # An earlier run went further ahead: its slots there follow the schedule before the change.
            spans.append(_local(schedule, max(last, begun), done))
            covered = (first, done) if adjoining else covered
    return ScheduleTask(
        loaded.key, schedule, requested, tuple(span for span in spans if span), Checkpoint(digest, covered)
    )


def _local(schedule: Schedule, first: date, last: date) -> Span | None:
    """Return the local days `[first, last)` as a span; None if they contain no time."""
    if last <= first:
        return None
    return local_day(schedule.zone, first, last)
