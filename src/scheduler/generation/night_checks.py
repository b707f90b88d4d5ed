"""Checks before the night: the facts that each rule needs, and a rehearsal of the job that is rolled back.

Owns: the list of checks, the rehearsal, and the facts of this host (time zone data, free disk space).
Must not know: SQL; which facts are a fault (`night_rules`); how checks are shown; the clock.
"""

import shutil
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, NoReturn
from uuid import UUID

from sqlmodel import Session

from scheduler.core.errors import SchedulerError, WallClockError
from scheduler.core.fingerprints import ENGINE_VERSION
from scheduler.core.zones import check_day, zone_of
from scheduler.generation.night_rules import (
    Check,
    Outcome,
    check_disk,
    check_horizon,
    check_months,
    check_privileges,
    check_runs,
    check_schedules,
    check_time_zone_data,
    check_zones,
)
from scheduler.generation.refreshing import Invalid, refresh
from scheduler.generation.time_zone_release import releases_on_host, time_zone_release
from scheduler.postgres.database import Database, Role
from scheduler.postgres.due_schedules import register_schedules
from scheduler.postgres.errors import DatabaseUnreachableError, RoleRefusedError
from scheduler.postgres.figure_sums import sum_figures
from scheduler.postgres.night_facts import (
    booked_ahead,
    data_directory,
    database_size,
    failed_schedules,
    lacking_privileges,
    month_tables,
    new_schedule_days,
    zones_in_use,
)
from scheduler.postgres.old_rows import delete_old_rows
from scheduler.postgres.run_history import RunStatus, begin_run, finish_run, latest_runs
from scheduler.postgres.schedules import ScheduleKey, checkpoints_of, schedule_keys

MAX_RUNS: Final = 20


class _RolledBackError(Exception):
    """Ends a rehearsal, and with it the transaction."""


@dataclass(frozen=True, slots=True)
class Night:
    """The night to check: the days `[first, until)` of a tenant, and the instant at which they are looked at."""

    tenant_id: UUID
    first: date
    until: date
    now: datetime

    def __post_init__(self) -> None:
        for day in (self.first, self.until):
            check_day(day)


def checks_of(database: Database, night: Night) -> tuple[Check, ...]:
    """Return the checks of a night. They write nothing.

    Raises:
        DatabaseUnreachableError: the connection was lost.
    """
    try:
        with database.unit_of_work(role=Role.JOB, tenant_id=night.tenant_id) as session:
            lacking = lacking_privileges(session)
    except RoleRefusedError as error:
        return (Check("privileges", Outcome.WRONG, str(error), "grant the role, or use the login of the job"),)
    if lacking:  # the other questions are refused, too
        return (check_privileges(lacking, None),)
    fault = _rehearsed(database, night)
    with database.unit_of_work(role=Role.JOB, tenant_id=night.tenant_id) as session:
        runs = latest_runs(session, most=MAX_RUNS)
        known, unknown = _zones(zones_in_use(session))
        stored = next((run.tzdata_version.split(", ") for run in runs if run.tzdata_version != "none"), [])
        # A local day may be a day before the same date in UTC.
        since = datetime.combine(night.until, time(), UTC) - timedelta(days=1)
        tables = month_tables(session)
        return (
            check_privileges((), fault),
            check_runs(runs, now=night.now),
            check_schedules(*failed_schedules(session)),
            check_horizon(booked_ahead(session, since), today=night.first, until_day=night.until),
            check_months(tables, first=night.first, until=night.until),
            check_zones(unknown),
            check_time_zone_data(known, stored=stored, on_host=releases_on_host()),
            check_disk(
                free=_free_bytes(database),
                database=database_size(session),
                new_days=new_schedule_days(session, night.first, night.until),
            ),
        )


def _zones(in_use: dict[str, str]) -> tuple[set[str], dict[str, str]]:
    """Return the releases of the known zones, and the unknown zones with a facility each."""
    releases, unknown = set(), {}
    for name, slug in in_use.items():
        try:
            releases.add(time_zone_release(zone_of(name)))
        except WallClockError:
            unknown[name] = slug
    return releases, unknown


def _rehearsed(database: Database, night: Night) -> str | None:
    """Do what the job does, on one schedule, and roll it back; return the fault that a statement had."""
    try:
        with database.unit_of_work(role=Role.JOB, tenant_id=night.tenant_id) as session:
            _rehearse(session, night)
    except _RolledBackError:
        return None
    except DatabaseUnreachableError:
        raise
    except SchedulerError as error:
        return str(error)


def _rehearse(session: Session, night: Night) -> NoReturn:
    register_schedules(session)
    versions = ENGINE_VERSION, "rehearsal"
    run_id = begin_run(session, days=(night.first, night.until), trigger="preflight", versions=versions)
    free: list[ScheduleKey] = list(checkpoints_of(session, schedule_keys(session)[:1], lock=True))
    refresh(session, free, now=night.now, invalid=Invalid.REPORTED)
    delete_old_rows(session)
    sum_figures(session)
    finish_run(session, run_id, RunStatus.SUCCEEDED)
    raise _RolledBackError


def _free_bytes(database: Database) -> int | None:
    """Return the free bytes of the file system of a server on this host, if they can be known."""
    with database.unit_of_work(role=Role.OWNER, tenant_id=None) as session:
        directory = data_directory(session)
    if directory is not None:
        with suppress(OSError):
            return shutil.disk_usage(directory).free
    return None
