"""Old slots: the deletion of past slots that nothing references, row by row or a whole month at once.

Owns: which past slots are referenced (a visit of any status, a hold, an offer to a waiting patient), and the statements
that delete the others.
Holds: R2 (a booked or held slot is never deleted).
Must not know: the order of the work, its transactions (`generation.retiring`).

The role of the job deletes rows of its tenant. A month has the slots of all tenants, so only the owner of the table
drops it. Holds have no foreign key to their slot: PostgreSQL would not refuse to drop the month of a held slot.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Final, NamedTuple

from sqlalchemy import text
from sqlmodel import Session

_ZONES: Final = text("select id, timezone from scheduling.facilities order by id")
_MONTHS: Final = text("""
select to_date(right(relname, 7), 'YYYY_MM')
from pg_inherits join pg_class on pg_class.oid = inhrelid
where inhparent = 'scheduling.availability_slots'::regclass and not inhdetachpending
order by 1
""")
_IS_OWNER: Final = text("""
select pg_has_role(current_user, relowner, 'usage')
from pg_class join pg_namespace on pg_namespace.oid = relnamespace
where nspname = 'scheduling' and relname = 'availability_slots'
""")
# in the order of all who lock several states, so that none meets a deadlock
_LOCK_STATES: Final = text("""
select from scheduling.schedule_states
where tenant_id = (select identity.current_tenant_id())
  and generated_days && datemultirange(daterange(null, cast(:day as date)))
order by doctor_id, facility_id for no key update
""")
_FORGET_DAYS: Final = text("""
update scheduling.schedule_states
set generated_days = generated_days - datemultirange(daterange(null, cast(:day as date)))
where tenant_id = (select identity.current_tenant_id())
  and generated_days && datemultirange(daterange(null, cast(:day as date)))
""")
# A visit or a hold is written after its slot was locked, so the statement that deletes sees it.
_LOCK: Final = text("""
select slot.id, slot.start_at from scheduling.availability_slots slot
join unnest(cast(:facilities as bigint[]), cast(:limits as timestamptz[])) as facility (id, begins_at)
    on facility.id = slot.facility_id
where slot.tenant_id = (select identity.current_tenant_id())
  and slot.start_at >= :begin and slot.start_at < :end and slot.start_at >= :after_at
  and (slot.start_at, slot.id) > (:after_at, :after_id)
  and slot.start_at < facility.begins_at and slot.end_at <= :now
order by slot.start_at, slot.id limit :most
for update of slot skip locked
""")
_REFERENCED: Final = """
exists (
    select from scheduling.appointments visit
    where visit.tenant_id = slot.tenant_id and visit.availability_slot_id = slot.id
      and visit.slot_start_at = slot.start_at
) or exists (
    select from scheduling.holds hold
    where hold.tenant_id = slot.tenant_id and hold.availability_slot_id = slot.id
      and hold.slot_start_at = slot.start_at
) or exists (
    select from scheduling.waitlist_entries entry
    where entry.tenant_id = slot.tenant_id and entry.offered_slot_id = slot.id
      and entry.offered_slot_start_at = slot.start_at
)
"""
_DELETE: Final = text(f"""
delete from scheduling.availability_slots slot
using unnest(cast(:ids as bigint[]), cast(:starts as timestamptz[])) as old (id, start_at)
where slot.tenant_id = (select identity.current_tenant_id())
  and slot.id = old.id and slot.start_at = old.start_at and slot.start_at between :first and :last
  and slot.booked_count = 0 and not ({_REFERENCED})
""")  # noqa: S608  # a constant
_COUNT: Final = text(f"""
select count(*) filter (where slot.booked_count = 0 and not ({_REFERENCED})), count(*)
from scheduling.availability_slots slot
join unnest(cast(:facilities as bigint[]), cast(:limits as timestamptz[])) as facility (id, begins_at)
    on facility.id = slot.facility_id
where slot.tenant_id = (select identity.current_tenant_id())
  and slot.start_at >= :begin and slot.start_at < :end
  and slot.start_at < facility.begins_at and slot.end_at <= :now
""")  # noqa: S608  # a constant
_NEEDED: Final = text("""
select exists (
    select from scheduling.appointments
    where tenant_id = (select identity.current_tenant_id()) and slot_start_at >= :begin and slot_start_at < :end
) or exists (
    select from scheduling.holds
    where tenant_id = (select identity.current_tenant_id()) and slot_start_at >= :begin and slot_start_at < :end
) or exists (
    select from scheduling.waitlist_entries
    where tenant_id = (select identity.current_tenant_id())
      and offered_slot_start_at >= :begin and offered_slot_start_at < :end
) or exists (
    select from scheduling.availability_slots slot
    left join unnest(cast(:facilities as bigint[]), cast(:limits as timestamptz[])) as facility (id, begins_at)
        on facility.id = slot.facility_id
    where slot.tenant_id = (select identity.current_tenant_id())
      and slot.start_at >= :begin and slot.start_at < :end
      and (facility.id is null or slot.start_at >= facility.begins_at or slot.end_at > :now)
)
""")
_SHORT_WAIT: Final = text("set local lock_timeout = '2s'")
"""While a month waits for the locks of the tables of booking, each booking waits behind it."""


class Old(NamedTuple):
    """The old slots of a tenant: those that start before the given instant of their facility and ended by `now`."""

    limits: Mapping[int, datetime]
    now: datetime

    def parameters(self) -> dict[str, object]:
        """Return the parameters of the statements."""
        return {"facilities": list(self.limits), "limits": list(self.limits.values()), "now": self.now}


def zones_of_facilities(session: Session) -> dict[int, str]:
    """Return the names of the time zones of all facilities, also deleted ones, by id."""
    return {row.id: row.timezone for row in session.connection().execute(_ZONES)}


def attached_months(session: Session) -> list[date]:
    """Return the first days of the UTC months of slots, in order."""
    return list(session.connection().execute(_MONTHS).scalars())


def owns_the_slots(session: Session) -> bool:
    """Tell whether the role of the session may drop months."""
    return bool(session.connection().execute(_IS_OWNER).scalar_one())


def span_of_month(month: date) -> tuple[datetime, datetime]:
    """Return the first instants of a UTC month and of the next one."""
    following = date(month.year + month.month // 12, month.month % 12 + 1, 1)
    return _midnight(month), _midnight(following)


def forget_days(session: Session, until_day: date) -> None:
    """Take the days before a day from the generated days of all schedules: their slots may go from now on."""
    connection = session.connection()
    for statement in (_LOCK_STATES, _FORGET_DAYS):
        connection.execute(statement, {"day": until_day})


def delete_old_slots(
    session: Session, month: date, old: Old, *, after: tuple[datetime, int], most: int
) -> tuple[int, tuple[datetime, int] | None]:
    """Delete the old slots of a month that nothing references, `most` at a time from `after` on.

    Returns the number of deleted slots, and start and id of the last slot that was examined, or None after the last
    of the month. Slots that another transaction has locked stay.
    """
    connection = session.connection()
    begin, end = span_of_month(month)
    examined = {"begin": begin, "end": end, "after_at": after[0], "after_id": after[1], "most": most}
    rows: Sequence[tuple[int, datetime]] = [
        (row.id, row.start_at) for row in connection.execute(_LOCK, examined | old.parameters())
    ]
    if not rows:
        return 0, None
    ids, starts = [row[0] for row in rows], [row[1] for row in rows]
    values = {"ids": ids, "starts": starts, "first": starts[0], "last": starts[-1]}
    deleted = connection.execute(_DELETE, values).rowcount
    return deleted, (starts[-1], ids[-1]) if len(rows) == most else None


def count_old_slots(session: Session, month: date, old: Old) -> tuple[int, int]:
    """Count the old slots of a month that nothing references, and all old slots."""
    begin, end = span_of_month(month)
    deletable, count = session.connection().execute(_COUNT, {"begin": begin, "end": end} | old.parameters()).one()
    return int(deletable), int(count)


def needs_month(session: Session, month: date, old: Old) -> bool:
    """Tell whether a tenant has slots in a month that are not old, or rows that reference its slots."""
    begin, end = span_of_month(month)
    return bool(session.connection().execute(_NEEDED, {"begin": begin, "end": end} | old.parameters()).scalar_one())


def drop_month(session: Session, month: date) -> None:
    """Detach and drop a month, as the owner of the table.

    Raises:
        StatementError: a row references one of its slots, or the tables of booking are in use for two seconds.
    """
    connection = session.connection()
    connection.execute(_SHORT_WAIT)
    connection.execute(text("call scheduling.detach_slot_month(:month)"), {"month": month})
    connection.execute(text(f"drop table scheduling.availability_slots_{month:%Y_%m}"))


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
