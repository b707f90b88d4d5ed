"""Sums of figures: the nightly count of local days that are over, which reports read instead of counting again.

Owns: which days are summed, and how changed days are summed again. The clock is the database's.
Must not know: what is counted (the functions of the migrations), how a report is made (`booking.figures`).

In a transaction, changes are read first, then days are counted, then the changes that were read are deleted. A change
that is committed in between is counted, or stays listed, or both. So no change is lost, and nobody waits. Another run
of the tenant that sums at the same time is left alone.
"""

from datetime import date, timedelta
from typing import Final

from sqlalchemy import Connection, text
from sqlmodel import Session

LEFT_TO_REPORTS: Final = timedelta(hours=72)
"""The job leaves the days of so long: a local day ends up to 12 h after its date in UTC, a use of the day after (24 h)
may close its slots, a row is of the past 24 h after its start, and its change is committed within 12 h."""
SUMMED_BACK: Final = timedelta(days=3653)
"""Earlier days are not summed: a single row of the year 202, a typing error, would need sums of 1,800 years."""
DAYS_PER_TRANSACTION: Final = 31
MOST_CHANGED_DAYS: Final = 366
"""If more days have changed, all are summed anew, a transaction for each month."""

_LOCK: Final = text("""
select pg_try_advisory_xact_lock(hashtext('scheduler'), hashtext('figures of ' || identity.current_tenant_id()))
""")
_STATE: Final = text("""
select scheduling.clock(), state.summed_from, state.summed_until
from (select) as always
left join scheduling.figure_states state on state.tenant_id = (select identity.current_tenant_id())
""")
_FIRST_DAY: Final = text("""
select (least(
    (select min(start_at) from scheduling.availability_slots where tenant_id = identity.current_tenant_id()),
    (select min(start_at) from scheduling.appointments where tenant_id = identity.current_tenant_id()),
    (select min(start_at) from scheduling.allocations where tenant_id = identity.current_tenant_id()),
    (select min(start_at) from scheduling.availability_exceptions where tenant_id = identity.current_tenant_id()),
    (select min(start_at) from scheduling.resource_exceptions where tenant_id = identity.current_tenant_id())
) at time zone 'UTC')::date - 1
""")
_CHANGES: Final = text("""
select coalesce(array_agg(id), '{}') from scheduling.figure_changes
where tenant_id = (select identity.current_tenant_id())
""")
_CHANGED_DAYS: Final = text("""
select lower(span), upper(span) from unnest((
    select range_agg(daterange(from_day, until_day)) from scheduling.figure_changes
    where tenant_id = (select identity.current_tenant_id()) and id = any (:changes)
) * datemultirange(daterange(:from_day, :until_day))) as span
order by 1
""")
_WHOLE_TABLES: Final = tuple(
    text(f"delete from scheduling.{table} where tenant_id = (select identity.current_tenant_id())")  # noqa: S608
    for table in ("figure_states", "doctor_figure_sums", "resource_figure_sums")
)
_SUM: Final = tuple(
    text(statement)
    for statement in (
        """
delete from scheduling.doctor_figure_sums
where tenant_id = (select identity.current_tenant_id()) and day >= :from_day and day < :until_day
""",
        """
delete from scheduling.resource_figure_sums
where tenant_id = (select identity.current_tenant_id()) and day >= :from_day and day < :until_day
""",
        """
insert into scheduling.doctor_figure_sums (tenant_id, day, facility_id, doctor_id, places, booked_places,
    closed_places, booked, blocked, free, visits, cancelled, no_shows, timed_visits, lead_time)
select tenant_id, day, facility_id, doctor_id, places, booked_places, closed_places, booked, blocked, free, visits,
    cancelled, no_shows, timed_visits, lead_time
from scheduling.count_doctor_days(:from_day, :until_day)
""",
        """
insert into scheduling.resource_figure_sums (tenant_id, day, resource_id, booked, blocked)
select tenant_id, day, resource_id, booked, blocked from scheduling.count_resource_days(:from_day, :until_day)
""",
    )
)
# A hold or a reservation on a day of the past ends by itself, and no row changes then.
_LEAVE_HELD_DAYS: Final = text("""
insert into scheduling.figure_changes (tenant_id, from_day, until_day)
select distinct tenant_id, (start_at at time zone 'UTC')::date - 2, (end_at at time zone 'UTC')::date + 3 from (
    select taken.tenant_id, taken.start_at, taken.end_at
    from scheduling.holds hold
    join scheduling.allocations taken on taken.tenant_id = hold.tenant_id and taken.hold_id = hold.id
    where hold.ends_at > :now
    union all
    select tenant_id, slot_start_at, slot_start_at from scheduling.holds where ends_at > :now
    union all
    select tenant_id, start_at, end_at from scheduling.availability_slots
    where status = 'reserved' and reserved_until > :now
) as held
where start_at < cast(:until_day as timestamp) at time zone 'UTC' + interval '2 days'
""")
_DELETE_CHANGES: Final = text("""
delete from scheduling.figure_changes where tenant_id = (select identity.current_tenant_id()) and id = any (:changes)
""")
_SUMMED: Final = text("""
insert into scheduling.figure_states (tenant_id, summed_from, summed_until)
values ((select identity.current_tenant_id()), :from_day, :until_day)
on conflict (tenant_id) do update set summed_until = excluded.summed_until
""")


def sum_figures(session: Session) -> bool:
    """Sum the days of a month that are over, and the changed ones; return whether a further month is over.

    Call it again in another transaction while it returns true. It does nothing while another run sums.
    """
    connection = session.connection()
    if not connection.execute(_LOCK).scalar_one():
        return False
    changes: list[int] = connection.execute(_CHANGES).scalar_one()
    now, back, stored = connection.execute(_STATE).one()
    over: date = (now - LEFT_TO_REPORTS).date()
    changed = [] if stored is None else _changed_days(connection, changes, back, stored)
    if sum(((until - first).days for first, until in changed), 0) > MOST_CHANGED_DAYS:
        for statement in _WHOLE_TABLES:
            connection.execute(statement)
        stored, changed = None, []
    summed: date | None = stored
    if summed is None:
        back = over - SUMMED_BACK
        summed = max(back, min(connection.execute(_FIRST_DAY).scalar_one() or over, over))
    until = max(summed, min(over, summed + timedelta(days=DAYS_PER_TRANSACTION)))
    for first, end in [*changed, *([(summed, until)] if summed < until else [])]:
        for statement in _SUM:
            connection.execute(statement, {"from_day": first, "until_day": end})
    connection.execute(_DELETE_CHANGES, {"changes": changes})
    connection.execute(_LEAVE_HELD_DAYS, {"now": now, "until_day": until})
    if until != stored:
        connection.execute(_SUMMED, {"from_day": back, "until_day": until})
    return until < over


def _changed_days(connection: Connection, changes: list[int], back: date, until: date) -> list[tuple[date, date]]:
    given = {"changes": changes, "from_day": back, "until_day": until}
    return [(first, end) for first, end in connection.execute(_CHANGED_DAYS, given)]
