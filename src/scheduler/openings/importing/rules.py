"""Imported rules and exceptions: when a doctor works at a facility, and when not.

Owns: how rules and exceptions are written as rows, and their names in the file (`meta ->> 'key'`).
Holds: a rule that stays in the file keeps its row, and so its id and the fingerprint of its schedule (R3); an exception
keeps its wall-clock times (T6).
Must not know: the file format, slots.

An import never switches a rule on or off: people set `active` by hand.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Final, TypeAlias
from zoneinfo import ZoneInfo

from scheduler import models as tables
from scheduler.core.schedules import AvailabilityException, AvailabilityRule
from scheduler.core.slots import Id
from scheduler.openings.importing.provenance import SOURCE, imported_by_openings
from scheduler.openings.importing.table_sync import Row, RowCounts, TableSync, any_of
from scheduler.openings.places import Doctor
from scheduler.postgres.schedule_rows import release_columns, weekday_columns
from scheduler.postgres.schedules import ScheduleKey, lock_states

_RULE_FIELDS: Final = (
    "start_time",
    "end_time",
    "slot_duration",
    "slot_interval",
    "slot_alignment",
    "capacity",
    "effective_from",
    "effective_until",
    "recurrence",
)
_EXCEPTION_FIELDS: Final = ("type", "start_at", "end_at", "slot_duration", "slot_interval", "capacity")
_IN_MINUTES: Final = frozenset({"slot_duration", "slot_interval", "slot_alignment"})
"""Durations, whose columns are called `..._minutes`."""

PartKey: TypeAlias = tuple[int, int, Id]
"""A rule or exception: doctor, facility, and its name in the file."""


def sync_rules(
    sync: TableSync, doctors: Mapping[ScheduleKey, Doctor], facility_ids: frozenset[int]
) -> tuple[RowCounts, dict[PartKey, int]]:
    """Synchronise the rules of all doctors at these facilities; return also the ids of the rules."""
    wanted = {
        (*key, rule.id): _key_columns(key, rule.id) | _rule_columns(rule)
        for key, doctor in doctors.items()
        for rule in doctor.schedule.rules
    }
    table = tables.AvailabilityRule
    columns = ["day_of_week", "any_weekday", *release_columns(None), *map(_column, _RULE_FIELDS)]

    def lock(removed: Iterable[PartKey]) -> None:
        lock_states(sync.session, {ScheduleKey(doctor_id, facility_id) for doctor_id, facility_id, _ in removed})

    return sync.sync(table, wanted, lambda: _imported(sync, table, columns, facility_ids), before_removal=lock)


def sync_exceptions(
    sync: TableSync,
    doctors: Mapping[ScheduleKey, Doctor],
    facility_ids: frozenset[int],
    rule_ids: Mapping[PartKey, int],
) -> RowCounts:
    """Synchronise the exceptions of all doctors at these facilities."""
    wanted = {}
    for key, doctor in doctors.items():
        reasons = dict(doctor.reasons)
        for exception in doctor.schedule.exceptions:
            rule_id = None if exception.rule_id is None else rule_ids[*key, exception.rule_id]
            references = {"availability_rule_id": rule_id, "reason": reasons.get(exception.id)}
            row = _key_columns(key, exception.id) | _columns_of(exception, _EXCEPTION_FIELDS) | references
            row |= _wall_times(exception, doctor.schedule.zone)
            wanted[*key, exception.id] = row
    table = tables.AvailabilityException
    columns = ["availability_rule_id", "reason", "local_start", "local_end", *map(_column, _EXCEPTION_FIELDS)]
    counts, _ = sync.sync(table, wanted, lambda: _imported(sync, table, columns, facility_ids))
    return counts


def _key_columns(key: ScheduleKey, name: Id) -> Row:
    return key._asdict() | {"meta": {"source": SOURCE, "key": name}}


def _rule_columns(rule: AvailabilityRule) -> Row:
    return weekday_columns(rule) | release_columns(rule.release) | _columns_of(rule, _RULE_FIELDS)


def _columns_of(part: AvailabilityRule | AvailabilityException, fields: Iterable[str]) -> Row:
    values = ((field, getattr(part, field)) for field in fields)
    return {_column(field): _minutes(value) if field in _IN_MINUTES else value for field, value in values}


def _wall_times(exception: AvailabilityException, zone: ZoneInfo) -> Row:
    """Return the times of an exception on the clock, which follow the zone (T6).

    They are those of the file, except that a time which the clock skips has become the time of the jump (T3).
    """
    start, end = (at.astimezone(zone).replace(tzinfo=None) for at in (exception.start_at, exception.end_at))
    return {"local_start": start, "local_end": end}


def _column(field: str) -> str:
    return f"{field}_minutes" if field in _IN_MINUTES else field


def _minutes(duration: timedelta | None) -> int | None:
    return None if duration is None else duration // timedelta(minutes=1)


def _imported(
    sync: TableSync,
    table: type[tables.AvailabilityRule | tables.AvailabilityException],
    columns: Iterable[str],
    facility_ids: frozenset[int],
) -> dict[PartKey, Row]:
    """Read the rows that an import wrote at these facilities, with the columns to compare."""
    rows = sync.stored(
        table,
        ("doctor_id", "facility_id", "meta", *columns),
        any_of(table.facility_id, facility_ids),
        imported_by_openings(table.meta),
    )
    return {(row.pop("doctor_id"), row.pop("facility_id"), row.pop("meta")["key"]): row for row in rows}
