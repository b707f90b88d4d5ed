"""Generation: make the stored slots of a tenant what its schedules say, for some days ahead.

Owns: the run: its batches, what is left alone because nothing changed, what failed.
Holds: R1-R3 on stored slots, R4 (slots, checkpoint and counts of a batch are one transaction), T5.
Must not know: SQL; how results are shown; the clock.

A batch that fails is tried again schedule by schedule, so that one bad schedule stops no other.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, fields, replace
from datetime import date, datetime
from enum import StrEnum
from itertools import chain, groupby
from typing import Final, Self
from uuid import UUID

from sqlmodel import Session

from scheduler.core.errors import DatabaseUnreachableError, InvalidInputError, NotFoundError, SchedulerError
from scheduler.core.expansion import expand
from scheduler.core.fingerprints import ENGINE_VERSION, fingerprint
from scheduler.core.reconciliation import StoredSlot, reconcile
from scheduler.core.schedules import Schedule
from scheduler.core.slots import Slot, Slots
from scheduler.core.spans import Span
from scheduler.core.zones import DAY, check_inside, day_bounds, day_number, instant
from scheduler.store.database import Database, Role
from scheduler.store.runs import add_to_run, begin_run, finish_run
from scheduler.store.schedules import (
    Checkpoint,
    LoadedSchedule,
    ScheduleKey,
    load_schedules,
    register_schedules,
    save_checkpoints,
    save_failure,
    schedule_keys,
)
from scheduler.store.slots import Written, apply_plan, count_slots, ensure_months, insert_slots, stored_slots

MOST_DAYS: Final = 7305
"""Twenty years. The table has a partition for each month; nobody means more."""
BATCH: Final = 24
"""Schedules in one transaction: some 50,000 slots of a quarter of a year, a few megabytes in memory."""


class Mode(StrEnum):
    """What a run does with what it finds."""

    WRITE = "write"
    DRY = "dry"
    """Plan everything, write nothing."""


class Depth(StrEnum):
    """Which schedules a run looks into."""

    CHANGED = "changed"
    """Those that changed since their checkpoint, and new days of the others (R3)."""
    ALL = "all"
    """All of them: also puts right slots that were deleted or edited by hand."""


@dataclass(frozen=True, slots=True)
class Order:
    """What a run is to do: local days `[from_day, until_day)` of each facility, for one tenant.

    `now` (aware) is the instant by which holds may have ended, `tzdata_version` the release of the tz database in use.

    Raises:
        InvalidInputError: no day, more than `MOST_DAYS`, or days outside the calendar.
    """

    tenant_id: UUID
    from_day: date
    until_day: date
    now: datetime
    tzdata_version: str
    facility_slug: str | None = None
    mode: Mode = Mode.WRITE
    depth: Depth = Depth.CHANGED
    trigger: str = "manual"

    def __post_init__(self) -> None:
        if self.until_day <= self.from_day:
            raise InvalidInputError(f"no day to generate: {self.until_day} is not after {self.from_day}")
        if (days := (self.until_day - self.from_day).days) > MOST_DAYS:
            raise InvalidInputError(f"{days} days are too many for one run: {MOST_DAYS} at most")
        for day in (self.from_day, self.until_day):
            check_inside((day_number(day) - 1) * DAY, day)
            check_inside((day_number(day) + 1) * DAY, day)


@dataclass(frozen=True, slots=True)
class Failure:
    """A schedule that could not be generated, and why in one line."""

    key: ScheduleKey
    reason: str


@dataclass(frozen=True, slots=True)
class Tally:
    """What was done, counted; tallies add up. `left` are schedules that another run was at work on."""

    schedules: int = 0
    unchanged: int = 0
    created: int = 0
    updated: int = 0
    retired: int = 0
    kept: int = 0
    conflicting: tuple[StoredSlot, ...] = ()
    displaced: tuple[StoredSlot, ...] = ()
    failures: tuple[Failure, ...] = ()
    left: tuple[ScheduleKey, ...] = ()

    def __add__(self, other: Self) -> Self:
        return type(self)(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))

    def counts(self) -> dict[str, int]:
        """Return the counts as they stand in `generation_runs`."""
        return {
            "schedules": self.schedules,
            "schedules_failed": len(self.failures),
            "slots_created": self.created,
            "slots_updated": self.updated,
            "slots_retired": self.retired,
            "slots_kept": self.kept,
            "slots_conflicting": len(self.conflicting),
            "slots_displaced": len(self.displaced),
        }


@dataclass(frozen=True, slots=True)
class Report:
    """What a run did. `facilities` counts places, `tally.schedules` doctors at places."""

    run_id: int | None
    facilities: int
    tally: Tally = field(default_factory=Tally)


Progress = Callable[[int, int, int], None]
"""Told after each batch: schedules done, schedules in all, slots created so far."""


def generate(database: Database, order: Order, *, progress: Progress = lambda *_: None) -> Report:
    """Generate a tenant's slots. Running again with nothing changed writes nothing.

    Any number of runs may be at work at once. A schedule that another run holds is asked for once more at the end; if
    it is still held then, it is left to that run and named in the report.

    Raises:
        NotFoundError: there is no facility with the slug asked for, or it has no schedule.
        DatabaseUnreachableError: the connection was lost; whole batches stay, the next run does the rest.
        StoreError: the database refused before the first batch.
    """
    run = _Run(database, order)
    keys = run.begin()
    tally = Tally()
    for start in range(0, len(keys), BATCH):
        tally += run.batch(keys[start : start + BATCH])
        progress(min(start + BATCH, len(keys)), len(keys), tally.created)
    left, tally = tally.left, replace(tally, left=())
    for start in range(0, len(left), BATCH):
        tally += run.batch(left[start : start + BATCH])
    run.finish(failed=bool(tally.failures))
    return Report(run.run_id, len({key.facility_id for key in keys}), tally)


class _Run:
    """One run: it knows the order and its own id in the books."""

    def __init__(self, database: Database, order: Order) -> None:
        self.database, self.order = database, order
        self.run_id: int | None = None

    def begin(self) -> list[ScheduleKey]:
        order = self.order
        with self._unit_of_work() as session:
            keys = schedule_keys(session, facility_slug=order.facility_slug)
            if order.facility_slug is not None and not keys:
                raise NotFoundError(f"no facility {order.facility_slug!r} with a schedule")
            if order.mode is Mode.WRITE:
                register_schedules(session)
                days, versions = (order.from_day, order.until_day), (ENGINE_VERSION, order.tzdata_version)
                self.run_id = begin_run(session, days=days, trigger=order.trigger, versions=versions)
        if order.mode is Mode.WRITE:
            with self._unit_of_work() as session:
                # A local day may begin a day before, or end a day after, the day of the same date in UTC.
                first, last = day_number(order.from_day) - 1, day_number(order.until_day) + 1
                ensure_months(session, instant(first * DAY), instant(last * DAY))
        return keys

    def batch(self, keys: Sequence[ScheduleKey]) -> Tally:
        """Generate a batch in one transaction; if that fails, each of its schedules in one of its own."""
        try:
            return self._in_one_transaction(keys)
        except DatabaseUnreachableError:
            raise
        except SchedulerError as error:
            if len(keys) == 1:
                return self._failed(keys[0], str(error))
        return sum((self.batch([key]) for key in keys), Tally())

    def finish(self, *, failed: bool) -> None:
        if self.run_id is not None:
            with self._unit_of_work() as session:
                finish_run(session, self.run_id, failed=failed)

    def _unit_of_work(self) -> AbstractContextManager[Session]:
        return self.database.unit_of_work(role=Role.JOB, tenant_id=self.order.tenant_id)

    def _failed(self, key: ScheduleKey, reason: str) -> Tally:
        tally = Tally(schedules=1, failures=(Failure(key, reason),))
        if self.run_id is not None:
            with self._unit_of_work() as session:
                save_failure(session, key, reason=reason, run_id=self.run_id)
                add_to_run(session, self.run_id, tally.counts())
        return tally

    def _in_one_transaction(self, keys: Sequence[ScheduleKey]) -> Tally:
        with self._unit_of_work() as session:
            works = [
                _work(loaded, self.order)
                for loaded in load_schedules(session, keys, lock=self.order.mode is Mode.WRITE)
            ]
            tally, unsettled = _carry_out(session, works, self.order)
            if self.run_id is not None:
                # Without a fingerprint the next run looks again: the hold that was in the way may have ended by then.
                checkpoints = (
                    (work.key, work.checkpoint._replace(fingerprint=None) if work.key in unsettled else work.checkpoint)
                    for work in works
                )
                save_checkpoints(session, checkpoints, run_id=self.run_id)
                add_to_run(session, self.run_id, tally.counts())
        done = {work.key for work in works}
        return replace(tally, left=tuple(key for key in keys if key not in done))


@dataclass(frozen=True, slots=True)
class _Work:
    """What is to be done for one schedule.

    `asked` is all the time asked for, `spans` the time to look into: none if nothing has changed (R3), and what an
    earlier run made beyond the time asked for if something has.
    """

    key: ScheduleKey
    schedule: Schedule
    asked: Span | None
    spans: tuple[Span, ...]
    checkpoint: Checkpoint


def _work(loaded: LoadedSchedule, order: Order) -> _Work:
    schedule, before = loaded.schedule, loaded.checkpoint
    if isinstance(schedule, InvalidInputError):
        raise schedule
    first, last = order.from_day, order.until_day
    digest = fingerprint(schedule, tzdata_version=order.tzdata_version)
    asked = _local(schedule, first, last)
    spans, covered = [asked], (first, last)
    if before.days is not None:
        begun, done = before.days
        adjoining = begun <= last and first <= done
        if adjoining and before.fingerprint == digest and order.depth is Depth.CHANGED:
            spans = [_local(schedule, first, min(last, begun)), _local(schedule, max(first, done), last)]
            covered = min(first, begun), max(last, done)
        elif last < done:
            # An earlier run looked further ahead: what it made there follows a schedule that is no longer so.
            spans.append(_local(schedule, max(last, begun), done))
            covered = (first, done) if adjoining else covered
    return _Work(loaded.key, schedule, asked, tuple(span for span in spans if span), Checkpoint(digest, covered))


def _local(schedule: Schedule, first: date, last: date) -> Span | None:
    """Return the local days `[first, last)` as a span; None if there is no time in them."""
    if last <= first:
        return None
    begin, _ = day_bounds(schedule.zone, day_number(first))
    end, _ = day_bounds(schedule.zone, day_number(last))
    return Span(instant(begin), instant(end)) if begin < end else None


def _carry_out(session: Session, works: Sequence[_Work], order: Order) -> tuple[Tally, set[ScheduleKey]]:
    """Compare what should be with what is stored, and write the difference unless the run is dry.

    Returns also the schedules that are not yet as they should be, since people have slots of theirs in hand.
    """
    tally = Tally(schedules=len(works), unchanged=sum(not work.spans for work in works))
    unsettled: set[ScheduleKey] = set()
    new: list[Slots] = []
    for spans, group in groupby(sorted(works, key=lambda work: work.spans), key=lambda work: work.spans):
        alike = list(group)
        found = {}
        if spans:
            keys = [work.key for work in alike]
            found = stored_slots(session, keys, spans[0].start, spans[-1].end)
        for work in alike:
            tally += Tally(kept=_kept_unseen(session, work))
            desired = [expand(work.schedule, span) for span in spans]
            stored = [one for one in found.get(work.key, ()) if any(one.slot.start_at in span for span in spans)]
            if stored:
                done, settled = _reconciled(session, work, chain.from_iterable(desired), stored, order)
                tally += done
                if not settled:
                    unsettled.add(work.key)
            else:  # nothing to compare with: reconciling would create all of them, one value at a time
                new += desired
    created = sum(map(len, new))
    if created and order.mode is Mode.WRITE:
        created = insert_slots(session, new)
    return tally + Tally(created=created), unsettled


def _reconciled(
    session: Session, work: _Work, desired: Iterable[Slot], stored: Iterable[StoredSlot], order: Order
) -> tuple[Tally, bool]:
    """Reconcile one schedule; also tell whether its slots are now what they should be."""
    plan = reconcile(desired, stored, exceptions=work.schedule.exceptions, now=order.now)
    planned = written = Written(len(plan.create), len(plan.update), len(plan.retire))
    if order.mode is Mode.WRITE:
        written = apply_plan(session, plan, now=order.now)
    tally = Tally(
        created=written.created,
        updated=written.updated,
        retired=written.retired,
        kept=len(plan.keep) + planned.updated - written.updated + planned.retired - written.retired,
        conflicting=plan.conflict,
        displaced=plan.displaced,
    )
    return tally, written == planned and not plan.conflict and not plan.displaced


def _kept_unseen(session: Session, work: _Work) -> int:
    """Count the stored slots of the time asked for that are left alone without a look."""
    if work.asked is None or work.asked in work.spans:
        return 0
    seen = sum(count_slots(session, work.key, span.start, span.end) for span in work.spans)
    return count_slots(session, work.key, work.asked.start, work.asked.end) - seen
