"""ScheduleTask: which time of a schedule has to be looked into, and what its checkpoint says afterwards.

Owns: the comparison of a schedule and a request with the checkpoint of the last run.
Holds: R3 (nothing changed: only new days; something changed: also what an earlier run made beyond the request).
Must not know: what is stored in that time, or the database.
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
    """What is to be done for one schedule.

    `asked` is all the time asked for, `spans` the time to look into: none if nothing has changed (R3), and what an
    earlier run made beyond the time asked for if something has.
    """

    key: ScheduleKey
    schedule: Schedule
    asked: Span | None
    spans: tuple[Span, ...]
    checkpoint: Checkpoint


def plan_task(loaded: LoadedSchedule, request: GenerationRequest) -> ScheduleTask:
    """Decide what is to be done for a schedule.

    Raises:
        InvalidInputError: the stored schedule is not a valid one.
    """
    schedule, before = loaded.schedule, loaded.checkpoint
    if isinstance(schedule, InvalidInputError):
        raise schedule
    first, last = request.from_day, request.until_day
    digest = fingerprint(schedule, tzdata_version=request.tzdata_version)
    asked = _local(schedule, first, last)
    spans, covered = [asked], (first, last)
    if before.days is not None:
        begun, done = before.days
        adjoining = begun <= last and first <= done
        if adjoining and before.fingerprint == digest and request.scope is Scope.CHANGED:
            spans = [_local(schedule, first, min(last, begun)), _local(schedule, max(first, done), last)]
            covered = min(first, begun), max(last, done)
        elif last < done:
            # An earlier run looked further ahead: what it made there follows a schedule that is no longer so.
            spans.append(_local(schedule, max(last, begun), done))
            covered = (first, done) if adjoining else covered
    return ScheduleTask(loaded.key, schedule, asked, tuple(span for span in spans if span), Checkpoint(digest, covered))


def _local(schedule: Schedule, first: date, last: date) -> Span | None:
    """Return the local days `[first, last)` as a span; None if there is no time in them."""
    if last <= first:
        return None
    return local_day(schedule.zone, first, last)
