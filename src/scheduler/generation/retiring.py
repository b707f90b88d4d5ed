"""Retiring slots: past slots that nobody booked are deleted, and whole months dropped, tenant by tenant.

Owns: the days that may go, the tenants that agree to drop a month, the batches, their transactions and progress.
Holds: R2 (a slot with a visit or a hold stays, whatever their status), R3 (retired days are no longer generated days),
R4 (each batch is one transaction, and another run does the rest).
Must not know: SQL; how results are shown; the clock.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final
from uuid import UUID

from scheduler.core.errors import InvalidInputError, WallClockError
from scheduler.core.zones import EARLIEST, check_day, instant_at, zone_of
from scheduler.generation.request import Mode
from scheduler.postgres.audit.log import record_system
from scheduler.postgres.database import Database, Role
from scheduler.postgres.errors import StatementError
from scheduler.postgres.old_slots import (
    Old,
    attached_months,
    count_old_slots,
    delete_old_slots,
    drop_month,
    forget_days,
    needs_month,
    owns_the_slots,
    span_of_month,
    zones_of_facilities,
)
from scheduler.postgres.tenants import Tenant, all_tenants

SLOTS_PER_BATCH: Final = 10_000
"""One transaction: less than a second."""
FIRST_ZONE: Final = timedelta(hours=14)
"""The first zone in which a day begins is so far ahead of UTC."""
_LEFT: Final = frozenset({"55P03", "23503"})
"""The month is in use, or a row began to reference it: it stays until the next run."""

Progress = Callable[[int, int, int], None]
"""Called after each batch with the months done, all months, and the slots deleted so far."""


@dataclass(frozen=True, slots=True)
class RetiringRequest:
    """A request to retire the slots of local days before the day `before`, which must have begun at each facility.

    Without a tenant, all active tenants but those of `kept` (ids) take part; then months may be dropped, too.
    """

    before: date
    now: datetime
    tenant_id: UUID | None = None
    kept: frozenset[UUID] = frozenset()
    mode: Mode = Mode.WRITE


@dataclass(frozen=True, slots=True)
class Retired:
    """The result of retiring: months that were dropped, and by tenant slug the deleted and the kept old slots.

    `may_drop` is false if the login does not own the table of slots, or the request was for one tenant.
    """

    months: tuple[date, ...]
    may_drop: bool
    slots: Mapping[str, tuple[int, int]]


def retire(database: Database, request: RetiringRequest, *, progress: Progress = lambda *_: None) -> Retired:
    """Delete past slots that nothing references, and drop the months in which no tenant needs a slot.

    A second call finds nothing to do. An interrupted call leaves whole batches, and the next one does the rest.

    Raises:
        InvalidInputError: the day before which slots go has not begun at a facility, or lies outside the calendar.
        DatabaseUnreachableError: the connection was lost; whole batches stay deleted.
    """
    check_day(request.before)
    if request.before > (request.now.astimezone(UTC) + FIRST_ZONE).date():
        raise InvalidInputError(f"slots before {request.before} cannot be retired: it is not a past day")
    with database.unit_of_work(role=Role.JOB, tenant_id=None) as session:
        tenants = all_tenants(session)
        # west of UTC, the evening before the first of a month lies in that month
        months = [month for month in attached_months(session) if month <= request.before]
    taking_part = [tenant for tenant in tenants if _takes_part(tenant, request)]
    old = {tenant.id: _old_slots(database, tenant, request) for tenant in taking_part}
    with database.unit_of_work(role=Role.OWNER, tenant_id=None) as session:
        may_drop = request.tenant_id is None and owns_the_slots(session)
    dropped = _drop_months(database, months, tenants, old, request) if may_drop else ()
    left = [month for month in months if month not in dropped]
    run = _Run(database, request, progress, of=len(left) * len(taking_part))
    slots = {tenant.slug: run.tenant(tenant.id, left, old[tenant.id], dropped) for tenant in taking_part}
    return Retired(dropped, may_drop, slots)


def _takes_part(tenant: Tenant, request: RetiringRequest) -> bool:
    if request.tenant_id is not None:
        return tenant.id == request.tenant_id
    return tenant.is_active and tenant.id not in request.kept


def _old_slots(database: Database, tenant: Tenant, request: RetiringRequest) -> Old:
    """Return the old slots of a tenant: those before the day, on the clock of each facility."""
    with database.unit_of_work(role=Role.JOB, tenant_id=tenant.id) as session:
        zones = zones_of_facilities(session)
    limits = {id_: beginning_of(request.before, name) for id_, name in zones.items()}
    late = [id_ for id_, begins_at in limits.items() if begins_at > request.now]
    if late:
        raise InvalidInputError(
            f"slots before {request.before} cannot be retired:"
            f" this day has not begun in {zones[late[0]]}, the time zone of facility {late[0]} of {tenant.slug!r}"
        )
    return Old(limits, request.now)


def beginning_of(day: date, zone_name: str) -> datetime:
    """Return the first instant of a local day; in an unknown zone, the earliest one that any zone may have."""
    try:
        return instant_at(zone_of(zone_name), day)
    except WallClockError:
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
        return max(midnight - FIRST_ZONE, EARLIEST)


def _drop_months(
    database: Database,
    months: Iterable[date],
    tenants: Sequence[Tenant],
    old: Mapping[UUID, Old],
    request: RetiringRequest,
) -> tuple[date, ...]:
    """Drop the months in which no tenant needs a slot. A tenant that does not take part needs each of its slots."""
    nothing_old = Old({}, request.now)
    dropped = []
    for month in months:
        if span_of_month(month)[1] > request.now:
            continue
        for tenant in tenants:  # as the system, who also sees the rows of suspended tenants
            with database.unit_of_work(role=Role.SYSTEM, tenant_id=tenant.id) as session:
                if needs_month(session, month, old.get(tenant.id, nothing_old)):
                    break
        else:
            if request.mode is Mode.DRY or _dropped(database, month, old, request):
                dropped.append(month)
    return tuple(dropped)


def _dropped(database: Database, month: date, old: Iterable[UUID], request: RetiringRequest) -> bool:
    for tenant_id in old:  # beforehand: no day of the month may count as generated without its slots
        with database.unit_of_work(role=Role.JOB, tenant_id=tenant_id) as session:
            forget_days(session, request.before)
    try:
        with database.unit_of_work(role=Role.OWNER, tenant_id=None) as session:
            drop_month(session, month)
    except StatementError as error:
        if error.sqlstate not in _LEFT:
            raise
        return False
    return True


class _Run:
    """The deletion of rows, tenant by tenant and month by month."""

    def __init__(self, database: Database, request: RetiringRequest, progress: Progress, *, of: int) -> None:
        self.database, self.request, self.progress = database, request, progress
        self.done, self.of, self.deleted = 0, of, 0

    def tenant(self, tenant_id: UUID, months: Sequence[date], old: Old, dropped: Sequence[date]) -> tuple[int, int]:
        """Delete the old slots of a tenant in these months; return how many, and how many stay."""
        if self.request.mode is Mode.WRITE:
            with self.database.unit_of_work(role=Role.JOB, tenant_id=tenant_id) as session:
                forget_days(session, self.request.before)
        deleted = kept = 0
        for month in months:
            counts = self._month(tenant_id, month, old)
            deleted, kept = deleted + counts[0], kept + counts[1]
            self.done += 1
            self.progress(self.done, self.of, self.deleted)
        if self.request.mode is Mode.WRITE and (deleted or dropped):
            names = ", ".join(f"{month:%Y-%m}" for month in dropped)
            with self.database.unit_of_work(role=Role.JOB, tenant_id=tenant_id) as session:
                record_system(
                    session,
                    "generation.retired",
                    {"before": str(self.request.before), "deleted": deleted, "kept": kept, "dropped_months": names},
                )
        return deleted, kept

    def _month(self, tenant_id: UUID, month: date, old: Old) -> tuple[int, int]:
        with self.database.unit_of_work(role=Role.JOB, tenant_id=tenant_id) as session:
            deletable, count = count_old_slots(session, month, old)
        if self.request.mode is Mode.DRY or not deletable:
            self.deleted += deletable
            return deletable, count - deletable
        deleted = 0
        after: tuple[datetime, int] | None = (span_of_month(month)[0], 0)
        while after is not None:
            with self.database.unit_of_work(role=Role.JOB, tenant_id=tenant_id) as session:
                batch, after = delete_old_slots(session, month, old, after=after, most=SLOTS_PER_BATCH)
            deleted += batch
            self.deleted += batch
            self.progress(self.done, self.of, self.deleted)
        return deleted, count - deleted
