"""Opening times of resources in PostgreSQL, as schedules of the core.

Owns: which column is which field, and loading the opening times of many resources at once.
Holds: W7 (rules, exceptions and closures decide when a resource is open), T6 (an exception in wall-clock time follows
its zone).
Must not know: allocations, the search for visits.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator
from datetime import UTC, date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlmodel import Session, col, select

from scheduler import models as rows
from scheduler.core.errors import InvalidInputError
from scheduler.core.fingerprints import relevant_from
from scheduler.core.resource_hours import exception_without_slots, opening, rule_without_slots
from scheduler.core.schedules import AvailabilityException, AvailabilityRule, ExceptionType, Schedule
from scheduler.core.zones import zone_of
from scheduler.postgres.schedule_parts import FARTHEST_MOVE, closures_of
from scheduler.postgres.schedule_rows import span_of_exception

_ANEW: Final = {"populate_existing": True}
_PLACES = text("""
select resource.id, resource.facility_id, facility.timezone from scheduling.resources resource
join scheduling.facilities facility
    on facility.tenant_id = resource.tenant_id and facility.id = resource.facility_id
where resource.tenant_id = (select identity.current_tenant_id()) and resource.id = any(cast(:ids as bigint[]))
order by resource.id
""")
_LOCK = text("""
select from scheduling.resources
where tenant_id = (select identity.current_tenant_id()) and id = :id for no key update
""")


def lock_resource(session: Session, resource_id: int) -> None:
    """Wait for the lock of a resource, which whoever books it takes, and hold it until the transaction ends."""
    session.connection().execute(_LOCK, {"id": resource_id})


def openings_of(session: Session, resource_ids: Collection[int], *, since: date | None = None) -> dict[int, Schedule]:
    """Load the opening times of resources in four statements; a resource that is always open has none.

    With `since`, exceptions and closures are left out that are over by that local day. A resource with rows that the
    core refuses, as other SQL may leave them, is never open: the hours of the others do not depend on them.
    """
    return {
        id_: Schedule(id_, facility_id, "UTC") if isinstance(loaded, InvalidInputError) else loaded
        for id_, facility_id, loaded in _load(session, resource_ids, since)
    }


def opening_of(session: Session, resource_id: int) -> Schedule | None:
    """Load the opening times of a resource; None if it is always open.

    Raises:
        InvalidInputError: the core refuses a row.
    """
    for _, _, loaded in _load(session, [resource_id], None):
        if isinstance(loaded, InvalidInputError):
            raise loaded
        return loaded
    return None


def _load(
    session: Session, resource_ids: Collection[int], since: date | None
) -> Iterator[tuple[int, int, Schedule | InvalidInputError]]:
    """Yield each resource that is not always open, its facility, and its schedule or the error that its rows raised."""
    ids = sorted(resource_ids)
    places = session.connection().execute(_PLACES, {"ids": ids}).all() if ids else []
    if not places:
        return
    begin = relevant_from(date.min if since is None else since)
    rules = _by_resource(session, rows.ResourceRule, ids)
    # The end of an exception in wall-clock time may have moved since it was stored.
    stored_since = max(begin, datetime.min.replace(tzinfo=UTC) + FARTHEST_MOVE) - FARTHEST_MOVE
    still_relevant = col(rows.ResourceException.end_at) >= stored_since
    exceptions = _by_resource(session, rows.ResourceException, ids, still_relevant)
    closures = closures_of(session, {place.facility_id for place in places}, begin.date())
    for id_, facility_id, zone in places:
        if not (rules[id_] or exceptions[id_] or closures[facility_id]):
            continue
        try:
            yield (
                id_,
                facility_id,
                opening(
                    id_,
                    facility_id,
                    zone,
                    map(rule_of, rules[id_]),
                    _exceptions_of(exceptions[id_], zone_of(zone)),
                    closures[facility_id],
                ),
            )
        except InvalidInputError as error:
            yield id_, facility_id, error


def rule_of(row: rows.ResourceRule) -> AvailabilityRule:
    """Return a stored rule of a resource as the core's value."""
    return rule_without_slots(
        row.id or 0,
        None if row.any_weekday else row.day_of_week,
        row.start_time,
        row.end_time,
        effective_from=row.effective_from,
        effective_until=row.effective_until,
        recurrence=row.recurrence,
        active=row.active,
    )


def _exceptions_of(exceptions: list[rows.ResourceException], zone: ZoneInfo) -> Iterator[AvailabilityException]:
    """Yield stored exceptions as the core's values, without those whose time the clock now skips (T3)."""
    for row in exceptions:
        start_at, end_at = span_of_exception(row, zone)
        if start_at < end_at:
            yield exception_without_slots(row.id or 0, ExceptionType(row.type), start_at, end_at, row.resource_rule_id)


def _by_resource(session: Session, table: Any, ids: list[int], *where: Any) -> dict[int, list[Any]]:  # noqa: ANN401  # a rule or an exception, and conditions
    rows_of = defaultdict(list)
    query = select(table).where(col(table.resource_id).in_(ids), *where).order_by(col(table.id))
    for row in session.exec(query, execution_options=_ANEW):
        rows_of[row.resource_id].append(row)
    return rows_of
