"""Due schedules: the schedules of a tenant for which a run has something to do, found by one statement.

Owns: which schedules there are for a run, which of them changed or lack days, and the first checkpoint of new ones.
Holds: R3 (the marks on the checkpoints decide, so that an unchanged schedule is not even read).
Must not know: the parts of schedules, their slots.

A checkpoint has a fingerprint unless the schedule was changed, its slots need another look, or it is new. Beside the
marks, only the engine and the time zone data can change what a schedule yields, and the days may be others. A schedule
that failed is tried again, unless it is parked.
"""

from collections.abc import Mapping
from datetime import date
from typing import Final, NamedTuple

from sqlalchemy import text
from sqlmodel import Session

from scheduler.core.days import DaySet
from scheduler.core.fingerprints import ENGINE_VERSION
from scheduler.postgres.parking import IS_PARKED
from scheduler.postgres.schedules import ScheduleKey, multirange

_ALL: Final = """
    select tenant_id, doctor_id, facility_id from scheduling.availability_rules
    union
    select tenant_id, doctor_id, facility_id from scheduling.availability_exceptions
"""
_REGISTER: Final = text(
    "insert into scheduling.schedule_states (tenant_id, doctor_id, facility_id)"  # noqa: S608  # the text above
    f" {_ALL} except select tenant_id, doctor_id, facility_id from scheduling.schedule_states"
    # two runs insert in the same order, so they cannot deadlock
    " order by tenant_id, doctor_id, facility_id on conflict do nothing"
)
_ZONES: Final = text(
    f"""
select distinct facility.timezone
from (
    select distinct tenant_id, facility_id
    from ({_ALL} union select tenant_id, doctor_id, facility_id from scheduling.schedule_states) schedule
    offset 0
) schedule
cross join lateral (
    select slug, timezone from scheduling.facilities
    where tenant_id = schedule.tenant_id and id = schedule.facility_id offset 0
) facility
where cast(:slug as text) is null or facility.slug = :slug
"""  # noqa: S608  # as above
)
_FIND: Final = text(
    f"""
with schedule as materialized (
    {_ALL} union select tenant_id, doctor_id, facility_id from scheduling.schedule_states
), found as (
    select schedule.doctor_id, schedule.facility_id, state.last_error,
        not :is_all and cast(:slug as text) is null and coalesce(state.{IS_PARKED}, false) and exists (
            select from scheduling.generation_runs
            where tenant_id = state.tenant_id and id = state.last_run_id
              and engine_version = :engine_version and tzdata_version = :tzdata_version
        ) as is_parked,
        coalesce(state.generated_days, '{{}}') as days,
        :is_all or state.fingerprint is null or state.is_stale or state.engine_version is distinct from :engine_version
            or state.tzdata_version is distinct from zone.release as is_changed
    from schedule
    cross join lateral (
        select slug, timezone, deleted_at from scheduling.facilities
        where tenant_id = schedule.tenant_id and id = schedule.facility_id offset 0
    ) facility
    left join lateral (
        select * from scheduling.schedule_states
        where tenant_id = schedule.tenant_id and doctor_id = schedule.doctor_id
          and facility_id + 0 = schedule.facility_id
        offset 0
    ) state on true
    left join unnest(cast(:zones as text[]), cast(:releases as text[])) as zone (name, release)
        on zone.name = facility.timezone
    where cast(:slug as text) is null or facility.slug = :slug and facility.deleted_at is null
)
select doctor_id, facility_id, is_parked, is_changed or last_error is not null as is_marked, (
    select coalesce(sum(upper(span) - lower(span)), 0) from unnest(
        case when is_changed then cast(:requested as datemultirange) + days * datemultirange(daterange(:today, null))
        else cast(:requested as datemultirange) - days end
    ) span
) as days
from found order by facility_id, doctor_id
"""  # noqa: S608  # as above
)


class FoundSchedule(NamedTuple):
    """A schedule, and how many local days of it a run has to examine.

    It `is_due` unless there is nothing to do, or it is parked.
    """

    key: ScheduleKey
    days: int
    is_due: bool
    is_parked: bool = False


def register_schedules(session: Session) -> None:
    """Insert the missing checkpoints: one for each doctor and facility with rules or exceptions.

    Statements that change a schedule mark its checkpoint. So a run begins after this is committed: the run's number
    then tells which transactions may have changed a schedule before they could see its checkpoint.
    """
    session.connection().execute(_REGISTER)


def scheduled_zones(session: Session, *, facility_slug: str | None = None) -> list[str]:
    """Return the names of the time zones in which the tenant has schedules, or of the facilities with this slug."""
    return sorted(session.connection().execute(_ZONES, {"slug": facility_slug}).scalars())


def tzdata_version_of(releases: Mapping[str, str]) -> str:
    """Return one text for the releases of the time zone data of some zones, for a run's row."""
    return ", ".join(sorted({*releases.values()})) or "none"


def find_schedules(
    session: Session,
    *,
    requested: DaySet,
    today: date,
    releases: Mapping[str, str],
    everything: bool,
    facility_slug: str | None = None,
) -> list[FoundSchedule]:
    """Return the schedules of the tenant by facility and doctor, and what there is to do for each.

    `releases` are those of the time zone data of each zone that the engine knows, `today` is a day that no zone has
    left behind. With `everything`, unchanged schedules are due as well. With a slug, only those of the live facility
    that has it are returned. Both also make parked schedules due, and so does another version of the engine or of the
    time zone data than that of the run in which they failed.
    """
    wanted = {
        "requested": multirange(requested),
        "today": today,
        "zones": list(releases),
        "releases": list(releases.values()),
        "tzdata_version": tzdata_version_of(releases),
        "engine_version": ENGINE_VERSION,
        "is_all": everything,
        "slug": facility_slug,
    }
    return [
        FoundSchedule(
            ScheduleKey(row.doctor_id, row.facility_id),
            row.days,
            is_due=(row.is_marked or row.days > 0) and not row.is_parked,
            is_parked=row.is_parked,
        )
        for row in session.connection().execute(_FIND, wanted)
    ]
