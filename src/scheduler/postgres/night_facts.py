"""Facts about the coming night: what the tables, the catalogue and the server say before the job runs.

Owns: the questions to the database, and the privileges that the job uses.
Must not know: which answer is a fault (`generation.night_checks`).
"""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Final, NamedTuple

from sqlalchemy import text
from sqlmodel import Session

_AHEAD: Final = text("""
select visit.doctor_id, visit.facility_id, facility.timezone, max(visit.start_at), upper(state.generated_days)
from scheduling.appointments visit
join scheduling.facilities facility on facility.tenant_id = visit.tenant_id and facility.id = visit.facility_id
left join scheduling.schedule_states state on state.tenant_id = visit.tenant_id
    and state.doctor_id = visit.doctor_id and state.facility_id = visit.facility_id
where visit.tenant_id = (select identity.current_tenant_id()) and visit.start_at >= :since
  and visit.status not in ('cancelled', 'no_show')
group by visit.doctor_id, visit.facility_id, facility.timezone, state.generated_days
order by visit.facility_id, visit.doctor_id
""")
_MONTH_TABLES: Final = text("""
select to_date(right(relname, 7), 'YYYY_MM'), exists (
    select from pg_inherits where inhrelid = pg_class.oid and not inhdetachpending
        and inhparent = 'scheduling.availability_slots'::regclass
)
from pg_class
where relnamespace = 'scheduling'::regnamespace and relname ~ '^availability_slots_[0-9]{4}_(0[1-9]|1[0-2])$'
order by 1
""")
_FAILED: Final = text("""
select count(*), min(last_error) from scheduling.schedule_states
where tenant_id = (select identity.current_tenant_id()) and last_error is not null
""")
_ZONES: Final = text("""
select timezone, min(slug) from scheduling.facilities
where tenant_id = (select identity.current_tenant_id()) and deleted_at is null group by timezone order by timezone
""")
_NEW_DAYS: Final = text("""
with schedule as (
    select doctor_id, facility_id from scheduling.availability_rules
    union
    select doctor_id, facility_id from scheduling.schedule_states
)
select coalesce(sum(cast(:until as date) - cast(:first as date) - coalesce((
    select sum(upper(part) - lower(part))
    from unnest(state.generated_days * datemultirange(daterange(cast(:first as date), cast(:until as date)))) as part
), 0)), 0)
from schedule left join scheduling.schedule_states state using (doctor_id, facility_id)
""")
_DATABASE_SIZE: Final = text("select pg_database_size(current_database())")
# The view has no row for a login that may not read the setting. A socket file is of this host.
_DIRECTORY: Final = text("""
select case when inet_server_addr() is null then setting end from pg_settings where name = 'data_directory'
""")

_TABLES: Final[Mapping[str, str]] = {
    "identity.tenants": "select",
    "scheduling.facilities": "select",
    "scheduling.facility_closures": "select",
    "scheduling.facility_doctors": "select",
    "scheduling.doctors": "select",
    "scheduling.availability_rules": "select",
    "scheduling.availability_exceptions": "select",
    "scheduling.availability_slots": "select, insert, update, delete",
    "scheduling.schedule_states": "select, insert, update",
    "scheduling.generation_runs": "select, insert, update",
    "scheduling.figure_states": "select, insert, update, delete",
    "scheduling.figure_changes": "select, insert, delete",
    "scheduling.doctor_figure_sums": "select, insert, delete",
    "scheduling.resource_figure_sums": "select, insert, delete",
    "scheduling.holds": "delete",
    "scheduling.booking_requests": "delete",
}
_FUNCTIONS: Final = (
    "scheduling.ensure_slot_partitions(timestamptz, timestamptz)",
    "scheduling.analyze_grown_tables()",
    "scheduling.delete_events(interval)",
    "scheduling.count_doctor_days(date, date)",
    "scheduling.count_resource_days(date, date)",
    "audit.record_system(text, jsonb, text)",
)
_LACKING: Final = text("""
select privilege || ' on ' || name
from unnest(cast(:tables as text[]), cast(:privileges as text[])) as needed (name, privilege)
where not has_table_privilege(name, privilege)
union all
select 'execute on ' || name from unnest(cast(:functions as text[])) as needed (name)
where not has_function_privilege(name, 'execute')
""")


class BookedAhead(NamedTuple):
    """The latest visit of a doctor at a facility, and the day after the last generated one, if any."""

    doctor_id: int
    facility_id: int
    zone: str
    latest_start: datetime
    generated_until: date | None


def booked_ahead(session: Session, since: datetime) -> list[BookedAhead]:
    """Return the schedules with live visits that start from `since` on."""
    return [BookedAhead(*row) for row in session.connection().execute(_AHEAD, {"since": since})]


def month_tables(session: Session) -> dict[date, bool]:
    """Return the months that a table or another relation is named after, and whether it is attached as one."""
    return {row[0]: row[1] for row in session.connection().execute(_MONTH_TABLES)}


def failed_schedules(session: Session) -> tuple[int, str | None]:
    """Return how many schedules failed when they were last generated, and the reason of one of them."""
    count, reason = session.connection().execute(_FAILED).one()
    return int(count), reason


def zones_in_use(session: Session) -> dict[str, str]:
    """Return the time zones of the facilities, each with the slug of one of them."""
    return {row[0]: row[1] for row in session.connection().execute(_ZONES)}


def lacking_privileges(session: Session) -> list[str]:
    """Return the privileges that the job uses and the role of the session lacks."""
    pairs = [(table, privilege) for table, listed in _TABLES.items() for privilege in listed.split(", ")]
    wanted = {"tables": [pair[0] for pair in pairs], "privileges": [pair[1] for pair in pairs]}
    return list(session.connection().execute(_LACKING, wanted | {"functions": list(_FUNCTIONS)}).scalars())


def new_schedule_days(session: Session, first: date, until: date) -> int:
    """Count the days of all schedules in a half-open span that are not generated yet."""
    return int(session.connection().execute(_NEW_DAYS, {"first": first, "until": until}).scalar_one())


def database_size(session: Session) -> int:
    """Return the size of the database in bytes."""
    return int(session.connection().execute(_DATABASE_SIZE).scalar_one())


def data_directory(session: Session) -> str | None:
    """Return the data directory of a server on this host, if the login may know it."""
    directory = session.connection().execute(_DIRECTORY).scalar_one_or_none()
    return None if directory is None else str(directory)
