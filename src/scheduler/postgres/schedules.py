"""Schedules in PostgreSQL: which there are, their locks and checkpoints, and loading them.

Owns: which schedules there are, loading them in batches, and the checkpoint of each.
Holds: A1 (the parts of a schedule), R3 (the checkpoint: fingerprint and days).
Must not know: expansion, reconciliation, slots; which rows decide which days (`schedule_parts`), how a row becomes a
value (`schedule_rows`), which schedules are due (`due_schedules`).

A row that the core refuses affects only its own schedule, which is then loaded as the error that the row raised.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, Final, NamedTuple

from sqlalchemy import Row, text
from sqlmodel import Session

from scheduler import models as rows
from scheduler.core.days import DaySet
from scheduler.core.errors import InvalidInputError
from scheduler.core.fingerprints import relevant_from
from scheduler.core.schedules import Schedule
from scheduler.core.zones import zone_of
from scheduler.postgres.parking import IS_PARKED
from scheduler.postgres.schedule_parts import NeededDays, closures_of, parts_of
from scheduler.postgres.schedule_rows import exceptions_of, rule_of


class ScheduleKey(NamedTuple):
    """The key of a schedule: one doctor at one facility."""

    doctor_id: int
    facility_id: int


class Checkpoint(NamedTuple):
    """The local days for which a schedule's slots are generated, and the fingerprint of their source.

    The fingerprint covers what decides slots from the day `since` on; no generated day lies before it. It is None if
    the schedule may have changed since: whatever changes it takes the fingerprint away. `engine_version` and
    `tzdata_version` are in the fingerprint, too; no statement changes them. A checkpoint may miss a change while a
    transaction is under way that may have changed the schedule before its checkpoint existed.
    """

    fingerprint: str | None = None
    since: date | None = None
    engine_version: str | None = None
    tzdata_version: str | None = None
    days: DaySet = DaySet()
    may_miss_a_change: bool = False


@dataclass(frozen=True, slots=True)
class LoadedSchedule:
    """A schedule with its checkpoint, or the error that its rows raised."""

    key: ScheduleKey
    checkpoint: Checkpoint
    schedule: Schedule | InvalidInputError


Need = Callable[[Checkpoint, str], NeededDays]
"""Says for a checkpoint, and the name of its facility's zone, which days the parts have to decide."""

_KEYS = text("""
select doctor_id, facility_id from (
    select doctor_id, facility_id from scheduling.availability_rules
    union
    select doctor_id, facility_id from scheduling.availability_exceptions
    union
    select doctor_id, facility_id from scheduling.schedule_states
) schedule
where cast(:facility_id as bigint) is null or facility_id = :facility_id
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


_STATE: Final = """
select state.*
from unnest(cast(:doctors as bigint[]), cast(:facilities as bigint[])) as schedule (doctor_id, facility_id)
cross join lateral (
    select doctor_id, facility_id, case when not is_stale then fingerprint end as fingerprint, fingerprint_since,
        engine_version, tzdata_version, generated_days,
        {may_miss} as may_miss_a_change
    from scheduling.schedule_states
    where tenant_id = (select identity.current_tenant_id())
      and doctor_id = schedule.doctor_id and facility_id + 0 = schedule.facility_id
    {lock}
    offset 0
) state
"""
# A state without a fingerprint may be new to a transaction that writes since before the latest run began.
_MAY_MISS: Final = """
fingerprint is null and coalesce((
    select begun_in > pg_snapshot_xmin(pg_current_snapshot())::text::bigint from scheduling.generation_runs
    where tenant_id = (select identity.current_tenant_id()) order by id desc limit 1
), false)
"""
_STATES: Final = text(_STATE.format(may_miss="false", lock=""))
_STATES_LOCKED: Final = text(_STATE.format(may_miss=_MAY_MISS, lock="for update skip locked"))
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
update scheduling.schedule_states state
set fingerprint = saved.fingerprint, fingerprint_since = saved.since, engine_version = saved.engine_version,
    tzdata_version = saved.tzdata_version, generated_days = cast(saved.days as datemultirange), generated_at = now(),
    last_run_id = coalesce(:run_id, last_run_id), last_error = null, failures_in_a_row = 0,
    is_stale = false
from unnest(
    cast(:doctors as bigint[]), cast(:facilities as bigint[]), cast(:fingerprints as text[]), cast(:since as date[]),
    cast(:engine_versions as text[]), cast(:tzdata_versions as text[]), cast(:days as text[])
) as saved (doctor_id, facility_id, fingerprint, since, engine_version, tzdata_version, days)
where state.tenant_id = (select identity.current_tenant_id())
  and state.doctor_id = saved.doctor_id and state.facility_id = saved.facility_id
""")
# The last run of a parked schedule is that in which it failed by itself: it tells what may be other now.
_FAIL = text(f"""
update scheduling.schedule_states
set last_error = :reason, last_run_id = case when {IS_PARKED} and not :counts then last_run_id else :run_id end,
    failures_in_a_row = failures_in_a_row + case when :counts then 1 else 0 end
where tenant_id = (select identity.current_tenant_id()) and doctor_id = :doctor_id and facility_id = :facility_id
""")  # noqa: S608  # a constant


def schedule_keys(session: Session, *, facility_id: int | None = None) -> list[ScheduleKey]:
    """Return the schedules of the tenant, or of one of its facilities, live or deleted, by facility and doctor."""
    return [ScheduleKey(*pair) for pair in session.connection().execute(_KEYS, {"facility_id": facility_id})]


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
    return {ScheduleKey(state.doctor_id, state.facility_id): _checkpoint(state) for state in states}


def load_schedules(
    session: Session, keys: Sequence[ScheduleKey], *, lock: bool, needed: Need | None = None
) -> list[LoadedSchedule]:
    """Load schedules with their checkpoints; with `lock`, lock them and skip those that another run has locked.

    With `needed`, parts are left out that decide no slot of the days that are needed. A schedule whose doctor or
    facility is deleted, or whose doctor no longer works there, has no rules.
    """
    checkpoints = checkpoints_of(session, keys, lock=lock)
    if lock:
        keys = [key for key in keys if key in checkpoints]
    zones = zone_names(session, keys)
    of = {key: checkpoints.get(key, Checkpoint()) for key in keys}
    days = {key: needed(of[key], zones[key.facility_id]) if needed else NeededDays() for key in keys}
    exceptions = parts_of(session, rows.AvailabilityException, days.items())
    # An override may take the hours of any rule, and an exception may name one.
    rules = parts_of(session, rows.AvailabilityRule, (days | dict.fromkeys(exceptions, NeededDays())).items())
    first = min((span.since for span in days.values()), default=date.min)
    closures = closures_of(session, zones, relevant_from(first).date())
    ended = _ended(session, keys)
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
        loaded.append(LoadedSchedule(key, of[key], schedule))
    return loaded


def save_checkpoints(session: Session, saved: Iterable[tuple[ScheduleKey, Checkpoint]], *, run_id: int | None) -> None:
    """Write the checkpoints of generated schedules, and the run that generated them, if a run did."""
    pairs = list(saved)
    checkpoints = [checkpoint for _, checkpoint in pairs]
    if pairs:
        session.connection().execute(
            _SAVE,
            {
                "doctors": [key.doctor_id for key, _ in pairs],
                "facilities": [key.facility_id for key, _ in pairs],
                "fingerprints": [checkpoint.fingerprint for checkpoint in checkpoints],
                "since": [checkpoint.since for checkpoint in checkpoints],
                "engine_versions": [checkpoint.engine_version for checkpoint in checkpoints],
                "tzdata_versions": [checkpoint.tzdata_version for checkpoint in checkpoints],
                "days": [multirange(checkpoint.days) for checkpoint in checkpoints],
                "run_id": run_id,
            },
        )


def multirange(days: DaySet) -> str:
    """Return a set of days as PostgreSQL writes it."""
    return f"{{{','.join(f'[{first},{until})' for first, until in days.spans)}}}"


def save_failure(session: Session, key: ScheduleKey, *, reason: str, run_id: int, counts: bool = True) -> None:
    """Record why a schedule could not be generated; its checkpoint does not change.

    A failure that `counts` is one of those that park the schedule (`parking`).
    """
    session.connection().execute(_FAIL, key._asdict() | {"reason": reason, "run_id": run_id, "counts": counts})


def lock_schedules(session: Session, keys: Iterable[ScheduleKey]) -> None:
    """Wait for the locks of doctors and their schedules, and hold them until the transaction ends."""
    keys = list(keys)
    session.connection().execute(_LOCK_DOCTORS, {"doctors": [key.doctor_id for key in keys]})
    lock_states(session, keys)


def lock_states(session: Session, keys: Iterable[ScheduleKey]) -> None:
    """Wait for the runs at work on schedules, and keep others off until the transaction ends; visits do not wait.

    A run that has a schedule writes slots that refer to its rules. So a transaction that deletes rules first, and then
    waits for the run, meets a deadlock.
    """
    pairs = list(keys)
    wanted = {"doctors": [key.doctor_id for key in pairs], "facilities": [key.facility_id for key in pairs]}
    session.connection().execute(_LOCK, wanted)


def _ended(session: Session, keys: Sequence[ScheduleKey]) -> set[ScheduleKey]:
    doctors, facilities = [key.doctor_id for key in keys], [key.facility_id for key in keys]
    pairs = session.connection().execute(_ENDED, {"doctors": doctors, "facilities": facilities})
    return {ScheduleKey(*pair) for pair in pairs}


def _checkpoint(state: Row[Any]) -> Checkpoint:
    days = DaySet((part.lower, part.upper) for part in state.generated_days if part.lower and part.upper)
    return Checkpoint(
        state.fingerprint,
        state.fingerprint_since,
        state.engine_version,
        state.tzdata_version,
        days,
        may_miss_a_change=state.may_miss_a_change,
    )
