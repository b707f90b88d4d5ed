"""Planning of generation tasks: the spans of a schedule to examine, and its checkpoint afterwards.

Owns: the comparison of a schedule and a request with the checkpoint of the last run.
Holds: R3 (an unchanged schedule: only new days; a changed one: also the days from today on of earlier runs, and future
slots of another zone beside them).
Must not know: the stored slots, the database.
"""

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from scheduler.core.days import DaySet
from scheduler.core.errors import InvalidInputError
from scheduler.core.fingerprints import fingerprint
from scheduler.core.schedules import Schedule
from scheduler.core.spans import Span, difference, utc
from scheduler.core.zones import LATEST, local_day
from scheduler.generation.request import Examination, Scope
from scheduler.postgres.schedules import Checkpoint, LoadedSchedule, ScheduleKey

FARTHEST_ZONES: Final = timedelta(hours=26)
"""The time between the beginnings of a date in the first zone (UTC+14) and in the last (UTC-12)."""


@dataclass(frozen=True, slots=True)
class ScheduleTask:
    """The work for one schedule: the spans to examine, and those of the request that need no examination (R3).

    In the spans `beside` the examined ones, stored slots may stem from another zone of the facility: those that the
    schedule does not yield are retired, and none is created.
    """

    key: ScheduleKey
    schedule: Schedule
    spans: tuple[Span, ...]
    beside: tuple[Span, ...]
    unexamined: tuple[Span, ...]
    checkpoint: Checkpoint


def plan_task(loaded: LoadedSchedule, request: Examination) -> ScheduleTask:
    """Choose the spans of a schedule to examine, and its checkpoint afterwards.

    Past days leave the checkpoint unless they are requested: nobody generates them again by itself.

    Raises:
        InvalidInputError: the stored schedule is invalid.
    """
    schedule, before = loaded.schedule, loaded.checkpoint
    if isinstance(schedule, InvalidInputError):
        raise schedule
    requested = request.requested
    today = request.now.astimezone(schedule.zone).date()
    first = min([today, *(span.first for span in requested.spans)])
    release = request.release_of(schedule.zone)
    digest, known_digest = (fingerprint(schedule, tzdata_version=release, since=day) for day in (first, before.since))
    upcoming = before.days.since(today)
    changed = before.fingerprint != known_digest or request.scope is Scope.ALL
    # After a change, slots of all generated days may follow the schedule before it.
    examined = requested | upcoming if changed else requested - before.days
    spans = _local(schedule, examined)
    return ScheduleTask(
        loaded.key,
        schedule,
        spans=spans,
        beside=_beside(spans, utc(request.now)) if changed and before.days.spans else (),
        unexamined=_local(schedule, requested - examined),
        checkpoint=Checkpoint(digest, first, requested | upcoming),
    )


def checkpoints_of(
    tasks: Iterable[ScheduleTask], pending: Container[ScheduleKey]
) -> Iterator[tuple[ScheduleKey, Checkpoint]]:
    """Yield the checkpoints of tasks that are done; a pending one has no fingerprint.

    So the next run examines a pending schedule again: the hold may have ended by then.
    """
    for task in tasks:
        yield task.key, task.checkpoint._replace(fingerprint=None) if task.key in pending else task.checkpoint


def _beside(spans: Sequence[Span], now: datetime) -> tuple[Span, ...]:
    """Return the time from `now` on that another zone may have counted to the days of the spans."""
    wider = ((max(span.start - FARTHEST_ZONES, now), min(span.end + FARTHEST_ZONES, LATEST)) for span in spans)
    return difference([Span(start, end) for start, end in wider if start < end], spans)


def _local(schedule: Schedule, days: DaySet) -> tuple[Span, ...]:
    """Return local days as spans, without the days that the zone skipped."""
    spans = (local_day(schedule.zone, first, until) for first, until in days.spans)
    return tuple(span for span in spans if span)
