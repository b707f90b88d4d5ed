"""Generation: make the stored slots of a tenant what its schedules say, for some days ahead.

Owns: the run: its batches and their transactions, what is told while it goes on.
Holds: R4 (slots, checkpoint and counts of a batch are one transaction).
Must not know: SQL; which slots a schedule should have or has (`work`, `writing`); how results are shown; the clock.

A batch that fails is tried again schedule by schedule, so that one bad schedule stops no other.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Final

from sqlmodel import Session

from scheduler.core.errors import DatabaseUnreachableError, NotFoundError, SchedulerError
from scheduler.core.fingerprints import ENGINE_VERSION
from scheduler.core.zones import DAY, day_number, instant
from scheduler.generation.applying import carry_out
from scheduler.generation.planning import work_on
from scheduler.generation.report import Failure, Report, Tally
from scheduler.generation.request import Mode, Order
from scheduler.postgres.database import Database, Role
from scheduler.postgres.run_history import add_to_run, begin_run, finish_run
from scheduler.postgres.schedules import (
    ScheduleKey,
    load_schedules,
    register_schedules,
    save_checkpoints,
    save_failure,
    schedule_keys,
)
from scheduler.postgres.slots import ensure_months

BATCH: Final = 24
"""Schedules in one transaction: some 50,000 slots of a quarter of a year, a few megabytes in memory."""

Progress = Callable[[int, int, int], None]
"""Told after each batch: schedules done, schedules in all, slots created so far."""


def generate(database: Database, order: Order, *, progress: Progress = lambda *_: None) -> Report:
    """Generate a tenant's slots. Running again with nothing changed writes nothing.

    Any number of runs may be at work at once. A schedule that another run holds is asked for once more at the end; if
    it is still held then, it is left to that run and named in the report.

    Raises:
        NotFoundError: there is no facility with the slug asked for, or it has no schedule.
        InvalidInputError: with these days there would be too many months of slots.
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
            with self._unit_of_work() as session:
                # A local day may begin a day before, or end a day after, the day of the same date in UTC.
                first, last = day_number(order.from_day) - 1, day_number(order.until_day) + 1
                ensure_months(session, instant(first * DAY), instant(last * DAY))
            with self._unit_of_work() as session:
                register_schedules(session)
                days, versions = (order.from_day, order.until_day), (ENGINE_VERSION, order.tzdata_version)
                self.run_id = begin_run(session, days=days, trigger=order.trigger, versions=versions)
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
                work_on(loaded, self.order)
                for loaded in load_schedules(session, keys, lock=self.order.mode is Mode.WRITE)
            ]
            tally, unsettled = carry_out(session, works, self.order)
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
