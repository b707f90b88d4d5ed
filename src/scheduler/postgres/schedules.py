"""Schedules in PostgreSQL: which there are, their parts, locks and checkpoints.

Owns: which schedules there are, loading them in batches, and the checkpoint of each.
Holds: A1 (the parts of a schedule), R3 (the checkpoint: fingerprint and days).
Must not know: expansion, reconciliation, slots; how a row becomes a value (`schedule_rows`).

A row that the core refuses affects only its own schedule, which is then loaded as the error that the row raised.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, NamedTuple, TypeVar

from sqlalchemy import text
from sqlmodel import Session, col, select

from scheduler import models as rows
from scheduler.core.days import DaySet
from scheduler.core.errors import InvalidInputError
from scheduler.core.fingerprints import relevant_from
from scheduler.core.schedules import Closure, Schedule
from scheduler.core.zones import zone_of
from scheduler.postgres.schedule_rows import closure_of, exceptions_of, rule_of


class ScheduleKey(NamedTuple):
    """The key of a schedule: one doctor at one facility."""

    doctor_id: int
    facility_id: int


class Checkpoint(NamedTuple):
    """The local days for which a schedule's slots are generated, and the fingerprint of their source.

    The fingerprint covers what decides slots from the day `since` on; no generated day lies before it.
    """

    fingerprint: str | None = None
    since: date | None = None
    days: DaySet = DaySet()


@dataclass(frozen=True, slots=True)
class LoadedSchedule:
    """A schedule with its checkpoint, or the error that its rows raised."""

    key: ScheduleKey
    checkpoint: Checkpoint
    schedule: Schedule | InvalidInputError


FARTHEST_MOVE: Final = timedelta(days=2)
"""How far an exception in wall-clock time may move with its zone: every zone's offset is less than a day."""

_ANEW: Final = {"populate_existing": True}
"""A session knows rows as they were when it first read them, which may be before the lock."""

_Part = TypeVar("_Part", rows.AvailabilityRule, rows.AvailabilityException)

_REGISTER = text("""
insert into scheduling.schedule_states (tenant_id, doctor_id, facility_id)
select tenant_id, doctor_id, facility_id from scheduling.availability_rules
union
select tenant_id, doctor_id, facility_id from scheduling.availability_exceptions
order by tenant_id, doctor_id, facility_id  -- two runs insert in the same order, so they cannot deadlock
on conflict do nothing
""")
_KEYS = text("""
select doctor_id, facility_id from (
    select tenant_id, doctor_id, facility_id from scheduling.availability_rules
    union
    select tenant_id, doctor_id, facility_id from scheduling.availability_exceptions
    union
    select tenant_id, doctor_id, facility_id from scheduling.schedule_states
) schedule
where (cast(:facility_id as bigint) is null or facility_id = :facility_id) and (
    cast(:slug as text) is null or exists (
        select from scheduling.facilities facility
        where facility.tenant_id = schedule.tenant_id and facility.id = schedule.facility_id
          and facility.slug = :slug and facility.deleted_at is null
    )
)
order by facility_id, doctor_id
""")
_ZONES = text("select id, timezone from scheduling.facilities where id = any(:ids)")
_ENDED = text("""
select schedule.doctor_id, schedule.facility_id
from unnest(cast(:doctors as bigint[]), cast(:facilities as bigint[])) as schedule (doctor_id, facility_id)
where exists (select from scheduling.doctors where id = schedule.doctor_id and deleted_at is not null)
   or exists (select from scheduling.facilities where id = schedule.facility_id and deleted_at is not null)
   or exists (
       select from scheduling.facility_doctors pair
       where pair.doctor_id = schedule.doctor_id and pair.facility_id = schedule.facility_id and not pair.active
   )
""")


_PART = """
select part.*
from unnest(cast(:doctors as bigint[]), cast(:facilities as bigint[])) as schedule (doctor_id, facility_id)
join {table} part on part.doctor_id = schedule.doctor_id and part.facility_id = schedule.facility_id
where part.tenant_id = (select identity.current_tenant_id())
"""
_PARTS: Final = {
    rows.AvailabilityRule: text(_PART.format(table="scheduling.availability_rules")),
    rows.AvailabilityException: text(
        _PART.format(table="scheduling.availability_exceptions") + "and part.end_at >= :since"
    ),
}
_STATE: Final = """
select doctor_id, facility_id, fingerprint, fingerprint_since, generated_days from scheduling.schedule_states
where tenant_id = (select identity.current_tenant_id()) and (doctor_id, facility_id) in (
    select * from unnest(cast(:doctors as bigint[]), cast(:facilities as bigint[]))
)
"""
_STATES: Final = text(_STATE)
_STATES_LOCKED: Final = text(_STATE + "for update skip locked")
_LOCK_DOCTORS = text("""
select from scheduling.doctors
where tenant_id = (select identity.current_tenant_id()) and id = any(cast(:doctors as bigint[]))
order by id for no key update
""")
_LOCK = text("""
select from scheduling.schedule_states
where tenant_id = (select identity.current_tenant_id()) and (doctor_id, facility_id) in (
    select * from unnest(cast(:doctors as bigint[]), cast(:facilities as bigint[]))
)
order by doctor_id, facility_id for update
""")
_SAVE = text("""
update scheduling.schedule_states
set fingerprint = :fingerprint, fingerprint_since = :since,
    generated_days = cast(:days as datemultirange), generated_at = now(),
    last_run_id = coalesce(:run_id, last_run_id), last_error = null, failures_in_a_row = 0, is_stale = false
where tenant_id = (select identity.current_tenant_id()) and doctor_id = :doctor_id and facility_id = :facility_id
""")
_FAIL = text("""
update scheduling.schedule_states
set last_error = :reason, last_run_id = :run_id,
    failures_in_a_row = failures_in_a_row + case when :counts then 1 else 0 end
where tenant_id = (select identity.current_tenant_id()) and doctor_id = :doctor_id and facility_id = :facility_id
""")


def register_schedules(session: Session) -> None:
    """Insert the missing checkpoints: one for each doctor and facility with rules or exceptions."""
    session.connection().execute(_REGISTER)


def schedule_keys(
    session: Session, *, facility_slug: str | None = None, facility_id: int | None = None
) -> list[ScheduleKey]:
    """Return the schedules of the tenant by facility and doctor.

    With a slug, only those of the live facility that has it; with an id, only those of that facility, live or deleted.
    """
    wanted = {"slug": facility_slug, "facility_id": facility_id}
    return [ScheduleKey(*pair) for pair in session.connection().execute(_KEYS, wanted)]


def zone_names(session: Session, keys: Iterable[ScheduleKey]) -> dict[int, str]:
    """Return the names of the time zones of the schedules' facilities, by facility."""
    ids = sorted({key.facility_id for key in keys})
    return {row.id: row.timezone for row in session.connection().execute(_ZONES, {"ids": ids})}


def checkpoints_of(
    session: Session, keys: Iterable[ScheduleKey], *, lock: bool = False
) -> dict[ScheduleKey, Checkpoint]:
    """Return the checkpoints of schedules; with `lock`, lock them and skip those that another run has locked."""
    pairs = list(keys)
    wanted = {"doctors": [key.doctor_id for key in pairs], "facilities": [key.facility_id for key in pairs]}
    states = session.connection().execute(_STATES_LOCKED if lock else _STATES, wanted)
    return {ScheduleKey(doctor_id, facility_id): _checkpoint(*rest) for doctor_id, facility_id, *rest in states}


def load_schedules(
    session: Session, keys: Sequence[ScheduleKey], *, lock: bool, since: date | None = None
) -> list[LoadedSchedule]:
    """Load schedules with their checkpoints; with `lock`, lock them and skip those that another run has locked.

    With `since`, exceptions and closures are left out that decide neither slots from that local day on nor the stored
    fingerprints. A schedule whose doctor or facility is deleted, or whose doctor no longer works there, has no rules.
    """
    checkpoints = checkpoints_of(session, keys, lock=lock)
    if lock:
        keys = [key for key in keys if key in checkpoints]
    zones = zone_names(session, keys)
    ended = _ended(session, keys)
    covered_since = [checkpoint.since for checkpoint in checkpoints.values() if checkpoint.since]
    begin = relevant_from(date.min if since is None else min([since, *covered_since]))
    rules = _by_schedule(session, rows.AvailabilityRule, keys)
    # The end of an exception in wall-clock time may have moved since it was stored.
    stored_since = max(begin, datetime.min.replace(tzinfo=UTC) + FARTHEST_MOVE) - FARTHEST_MOVE
    exceptions = _by_schedule(session, rows.AvailabilityException, keys, stored_since)
    closures = closures_of(session, zones, begin.date())
    loaded = []
    for key in keys:
        schedule: Schedule | InvalidInputError
        try:
            schedule = Schedule(
                *key,
                zones[key.facility_id],
                [rule_of(row) for row in rules[key] if key not in ended],
                list(exceptions_of(exceptions[key], zone_of(zones[key.facility_id]))) if key not in ended else (),
                closures[key.facility_id] if key not in ended else (),
            )
        except InvalidInputError as error:
            schedule = error
        loaded.append(LoadedSchedule(key, checkpoints.get(key, Checkpoint()), schedule))
    return loaded


def closures_of(session: Session, facility_ids: Iterable[int], since: date) -> dict[int, list[Closure]]:
    """Return the closures of facilities from a local day on, by facility."""
    closure = rows.FacilityClosure
    closures = defaultdict(list)
    query = select(closure).where(col(closure.facility_id).in_(facility_ids), closure.day >= since)
    for row in session.exec(query, execution_options=_ANEW):
        closures[row.facility_id].append(closure_of(row))
    return closures


def save_checkpoints(session: Session, saved: Iterable[tuple[ScheduleKey, Checkpoint]], *, run_id: int | None) -> None:
    """Write the checkpoints of generated schedules, and the run that generated them, if a run did."""
    values = []
    for key, checkpoint in saved:
        days = ",".join(f"[{first},{until})" for first, until in checkpoint.days.spans)
        values.append(key._asdict() | checkpoint._asdict() | {"days": f"{{{days}}}", "run_id": run_id})
    if values:
        session.connection().execute(_SAVE, values)


def save_failure(session: Session, key: ScheduleKey, *, reason: str, run_id: int, counts: bool = True) -> None:
    """Record why a schedule could not be generated; its checkpoint does not change.

    A failure that `counts` is one of those that park the schedule (`parking`).
    """
    session.connection().execute(_FAIL, key._asdict() | {"reason": reason, "run_id": run_id, "counts": counts})


def lock_schedules(session: Session, keys: Iterable[ScheduleKey]) -> None:
    """Wait for the locks of doctors and their schedules, and hold them until the transaction ends."""
    doctors, facilities = ([*ids] for ids in zip(*keys, strict=True))
    connection = session.connection()
    connection.execute(_LOCK_DOCTORS, {"doctors": doctors})
    connection.execute(_LOCK, {"doctors": doctors, "facilities": facilities})


def _by_schedule(
    session: Session, part: type[_Part], keys: Sequence[ScheduleKey], since: datetime | None = None
) -> dict[ScheduleKey, list[_Part]]:
    """Return rows with the columns' names: they are many, and objects of the model would cost more than the rest."""
    rows_of: dict[ScheduleKey, list[_Part]] = defaultdict(list)
    session.flush()
    wanted = {"doctors": [key.doctor_id for key in keys], "facilities": [key.facility_id for key in keys]}
    limit = {} if since is None else {"since": since}
    rows_found: Any = session.connection().execute(_PARTS[part], wanted | limit)
    for row in rows_found:
        rows_of[ScheduleKey(row.doctor_id, row.facility_id)].append(row)
    return rows_of


def _ended(session: Session, keys: Sequence[ScheduleKey]) -> set[ScheduleKey]:
    doctors, facilities = [key.doctor_id for key in keys], [key.facility_id for key in keys]
    pairs = session.connection().execute(_ENDED, {"doctors": doctors, "facilities": facilities})
    return {ScheduleKey(*pair) for pair in pairs}


def _checkpoint(fingerprint: str | None, since: date | None, days: Iterable[Any]) -> Checkpoint:
    return Checkpoint(
        fingerprint, since, DaySet((part.lower, part.upper) for part in days if part.lower and part.upper)
    )
