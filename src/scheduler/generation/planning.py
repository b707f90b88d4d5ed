"""Planning of generation tasks: the spans of a schedule to examine, and its checkpoint afterwards.

Owns: the comparison of a schedule and a request with the checkpoint of the last run; the batches of a run.
Holds: R3 (an unchanged schedule: only new days; a changed one: also the days from today on of earlier runs, and future
slots of another zone beside them).
Must not know: the stored slots, the database.

A schedule is unchanged if its checkpoint has a fingerprint of this engine and time zone data: whatever changes the
schedule takes it away. So the fingerprint of an unchanged schedule is not computed, and of its parts only those are
loaded that decide its new days.
"""

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from scheduler.core.days import DaySet
from scheduler.core.errors import InvalidInputError, WallClockError
from scheduler.core.fingerprints import ENGINE_VERSION, fingerprint
from scheduler.core.schedules import Schedule
from scheduler.core.spans import Span, difference, utc
from scheduler.core.zones import LATEST, local_day, zone_of
from scheduler.generation.request import Examination, Scope, earliest_day
from scheduler.postgres.due_schedules import FoundSchedule
from scheduler.postgres.schedule_parts import NeededDays
from scheduler.postgres.schedules import Checkpoint, LoadedSchedule, ScheduleKey

DAYS_PER_BATCH: Final = 24 * 90
"""One transaction: some 50,000 slots, a few megabytes in memory."""
SCHEDULES_PER_BATCH: Final = 500
"""So many schedules are loaded at once if there is little to do for each."""

FARTHEST_ZONES: Final = timedelta(hours=26)
"""The time between the beginnings of a date in the first zone (UTC+14) and in the last (UTC-12)."""


@dataclass(frozen=True, slots=True)
class ScheduleTask:
    """The work for one schedule: the spans to examine (R3).

    The schedule may lack the parts that decide other days than these. In the spans `beside` the examined ones, stored
    slots may stem from another zone of the facility: those that the schedule does not yield are retired, and none is
    created.
    """

    key: ScheduleKey
    schedule: Schedule
    spans: tuple[Span, ...]
    beside: tuple[Span, ...]
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
    release = request.release_of(schedule.zone)
    changed = _is_changed(before, release, request)
    first = _first_day(today, requested)
    examined, generated = _days(requested, before.days, today, changed=changed)
    spans = _local(schedule.zone, examined)
    digest, since = before.fingerprint, before.since
    if changed or since is None or first < since:
        digest, since = fingerprint(schedule, tzdata_version=release, since=first), first
    return ScheduleTask(
        loaded.key,
        schedule,
        spans=spans,
        beside=_beside(spans, utc(request.now)) if changed and before.days.spans else (),
        checkpoint=Checkpoint(digest, since, ENGINE_VERSION, release, generated, before.may_miss_a_change),
    )


def needed_days(checkpoint: Checkpoint, zone_name: str, request: Examination) -> NeededDays:
    """Return the days that the parts of a schedule have to decide, for `plan_task` to plan a request."""
    earliest, requested = earliest_day(request), request.requested
    try:
        zone = zone_of(zone_name)
        if _is_changed(checkpoint, request.release_of(zone), request) or checkpoint.since is None:
            return NeededDays(earliest)
        today = request.now.astimezone(zone).date()
    except WallClockError:
        return NeededDays(earliest)
    if _first_day(today, requested) < checkpoint.since:  # a fingerprint of earlier days
        return NeededDays(earliest)
    new = _days(requested, checkpoint.days, today, changed=False)[0].spans
    return NeededDays(new[0].first, new[-1].until) if new else NeededDays(earliest, earliest)


def batches_of(schedules: Iterable[FoundSchedule]) -> Iterator[list[ScheduleKey]]:
    """Yield the schedules that are due in batches of about equally many slots, as far as days tell."""
    batch: list[ScheduleKey] = []
    days = 0
    for schedule in schedules:
        if not schedule.is_due:
            continue
        if batch and (days + schedule.days > DAYS_PER_BATCH or len(batch) == SCHEDULES_PER_BATCH):
            yield batch
            batch, days = [], 0
        batch.append(schedule.key)
        days += schedule.days
    if batch:
        yield batch


def _is_changed(before: Checkpoint, release: str, request: Examination) -> bool:
    versions = before.engine_version, before.tzdata_version
    return before.fingerprint is None or versions != (ENGINE_VERSION, release) or request.scope is Scope.ALL


def _first_day(today: date, requested: DaySet) -> date:
    return min([today, *(span.first for span in requested.spans)])


@lru_cache(maxsize=256)  # nearly all schedules of a tenant have the same days
def _days(requested: DaySet, before: DaySet, today: date, *, changed: bool) -> tuple[DaySet, DaySet]:
    """Return the days to examine, and those that are generated afterwards."""
    upcoming = before.since(today)
    # After a change, slots of all generated days may follow the schedule before it.
    return requested | upcoming if changed else requested - before, requested | upcoming


def checkpoints_after(
    tasks: Iterable[ScheduleTask], pending: Container[ScheduleKey]
) -> Iterator[tuple[ScheduleKey, Checkpoint]]:
    """Yield the checkpoints of tasks that are done; those that are pending have no fingerprint.

    So the next run examines these schedules again: the hold may have ended by then. The same holds for checkpoints that
    may miss a change.
    """
    for task in tasks:
        is_done = task.key not in pending and not task.checkpoint.may_miss_a_change
        yield task.key, task.checkpoint if is_done else task.checkpoint._replace(fingerprint=None)


def _beside(spans: Sequence[Span], now: datetime) -> tuple[Span, ...]:
    """Return the time from `now` on that another zone may have counted to the days of the spans."""
    wider = ((max(span.start - FARTHEST_ZONES, now), min(span.end + FARTHEST_ZONES, LATEST)) for span in spans)
    return difference([Span(start, end) for start, end in wider if start < end], spans)


@lru_cache(maxsize=256)  # as above
def _local(zone: ZoneInfo, days: DaySet) -> tuple[Span, ...]:
    """Return local days as spans, without the days that the zone skipped."""
    spans = (local_day(zone, first, until) for first, until in days.spans)
    return tuple(span for span in spans if span)
