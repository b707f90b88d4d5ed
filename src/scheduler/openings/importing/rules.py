"""Rules and exceptions of an import: when a doctor works at a facility, and when not.

Owns: how these are written as rows, and their names: `meta ->> 'key'` is what the file calls them.
Holds: a rule that is still said keeps its row, and so its id and the fingerprint of its schedule (R3).
Must not know: the file format, slots.

An import never switches a rule on or off: `active` belongs to whoever set it by hand.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Final, TypeAlias

from scheduler import models as tables
from scheduler.core.schedules import AvailabilityException, AvailabilityRule
from scheduler.core.slots import Id
from scheduler.openings.importing.provenance import SOURCE, imported_by_openings
from scheduler.openings.importing.table_sync import Row, RowCounts, TableSync, any_of
from scheduler.openings.places import Doctor
from scheduler.postgres.schedules import ScheduleKey

_RULE: Final = (
    "day_of_week",
    "start_time",
    "end_time",
    "slot_duration_minutes",
    "slot_interval_minutes",
    "slot_alignment_minutes",
    "capacity",
    "effective_from",
    "effective_until",
    "recurrence",
)
_EXCEPTION: Final = (
    "availability_rule_id",
    "type",
    "start_at",
    "end_at",
    "reason",
    "slot_duration_minutes",
    "slot_interval_minutes",
    "capacity",
)

Named: TypeAlias = tuple[int, int, Id]
"""A rule or exception of a schedule, by the name that the file gives it."""


def sync_rules(
    sync: TableSync, staff: Mapping[ScheduleKey, Doctor], here: frozenset[int]
) -> tuple[RowCounts, dict[Named, int]]:
    """Synchronise the rules of these schedules and of all others at these facilities; return their ids too, by name."""
    wanted = {
        (*key, rule.id): _own(key, rule.id) | _rule_row(rule)
        for key, doctor in staff.items()
        for rule in doctor.schedule.rules
    }
    table = tables.AvailabilityRule
    return sync.sync(table, wanted, lambda: _imported(sync, table, _RULE, here))


def sync_exceptions(
    sync: TableSync, staff: Mapping[ScheduleKey, Doctor], here: frozenset[int], rule_ids: Mapping[Named, int]
) -> RowCounts:
    """Synchronise the exceptions of these schedules and of all others at these facilities."""
    wanted = {}
    for key, doctor in staff.items():
        reasons = dict(doctor.reasons)
        for one in doctor.schedule.exceptions:
            rule_id = None if one.rule_id is None else rule_ids[*key, one.rule_id]
            row = {"availability_rule_id": rule_id, "reason": reasons.get(one.id)}
            wanted[*key, one.id] = _own(key, one.id) | _exception_row(one) | row
    table = tables.AvailabilityException
    counts, _ = sync.sync(table, wanted, lambda: _imported(sync, table, _EXCEPTION, here))
    return counts


def _own(key: ScheduleKey, name: Id) -> Row:
    return key._asdict() | {"meta": {"source": SOURCE, "key": name}}


def _imported(
    sync: TableSync,
    table: type[tables.AvailabilityRule | tables.AvailabilityException],
    columns: Iterable[str],
    here: frozenset[int],
) -> dict[Named, Row]:
    """Read what an import wrote at these facilities, by schedule and name, with the columns that are compared."""
    found = sync.stored(
        table,
        ("doctor_id", "facility_id", "meta", *columns),
        any_of(table.facility_id, here),
        imported_by_openings(table.meta),
    )
    return {(row.pop("doctor_id"), row.pop("facility_id"), row.pop("meta")["key"]): row for row in found}


def _rule_row(rule: AvailabilityRule) -> Row:
    return {
        "day_of_week": rule.day_of_week,
        "start_time": rule.start_time,
        "end_time": rule.end_time,
        "slot_duration_minutes": _minutes(rule.slot_duration),
        "slot_interval_minutes": _minutes(rule.slot_interval),
        "slot_alignment_minutes": _minutes(rule.slot_alignment),
        "capacity": rule.capacity,
        "effective_from": rule.effective_from,
        "effective_until": rule.effective_until,
        "recurrence": rule.recurrence,
    }


def _exception_row(exception: AvailabilityException) -> Row:
    return {
        "type": exception.type.value,
        "start_at": exception.start_at,
        "end_at": exception.end_at,
        "slot_duration_minutes": _minutes(exception.slot_duration),
        "slot_interval_minutes": _minutes(exception.slot_interval),
        "capacity": exception.capacity,
    }


def _minutes(length: timedelta | None) -> int | None:
    return None if length is None else length // timedelta(minutes=1)
