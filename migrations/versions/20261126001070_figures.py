"""Figures: booked, held, free and blocked time of a day, places of slots, lead times, the third next appointment.

**Days.** A slot, a visit and each use of time count on the local day of their facility on which they begin; blocked
time is divided at local midnights. PostgreSQL reads skipped and repeated wall times otherwise than T3. So
`scheduling.start_of_day` checks the reading of PostgreSQL, and where another instant before it has the same date, it
looks for the first.

**Places and time.** A slot of several places counts with all of them: `places` is the sum of the booked, the held, the
closed and the free. A place is closed if neither a visit nor a hold has it, and still nobody can be booked on it, since
the doctor is elsewhere or another slot is taken that overlaps it. Time counts once, however many visits share it, and
however many slots offer it: booked before held, held before blocked, blocked before free.

**Sums.** `scheduling.doctor_days` and `scheduling.resource_days` read the sums (001060) where there are some, and count
the other days. A count groups more than the default `work_mem` holds, so the functions that count set their own.

**Spans.** A view over days cannot use an index for a condition on the local day. So functions answer for a span of
days, and the views ask them for all days. All views and functions read with the rights of the user who queries them:
figures are for the host, admins and staff, and another user counts what row security shows. Neither has a name or the
id of a patient.
"""

from alembic import op

revision = "20261126001070"
down_revision = "20261126001060"

FUNCTIONS = {
    "start_of_day(date, text)": "The first instant of a local day of a zone; that of the next day if the zone has no"
    " such day.",
    "blocked_days(timestamptz, timestamptz, text, date, date)": "The part of a span on each local day of a zone in"
    " [from_day, until_day).",
    "third_next_available(timestamptz)": "The third next available appointment of each doctor at each facility, as of"
    " an instant: each of the three begins after the one before it.",
    "days_to_count(date, date)": "The local days in [from_day, until_day) that have no sums, or whose rows have changed"
    " since.",
    "count_doctor_days(date, date)": "Counts what scheduling.doctor_days returns, without sums.",
    "count_resource_days(date, date)": "Counts what scheduling.resource_days returns, without sums.",
    "doctor_days(date, date)": "Places of slots, booked, held, blocked and free time, and visits, of each doctor,"
    " facility and local day in [from_day, until_day).",
    "resource_days(date, date)": "Booked, held and blocked time of each resource and local day in"
    " [from_day, until_day).",
}
COUNTED_BY_THE_JOB = (
    "start_of_day(date, text)",
    "blocked_days(timestamptz, timestamptz, text, date, date)",
    "count_doctor_days(date, date)",
    "count_resource_days(date, date)",
)
VIEWS = {
    "visit_figures": "Each visit with its local day, state and lead time, and nothing about the patient.",
    "doctor_figures": "Places, time and visits of each doctor, facility and local day; scheduling.doctor_days has a"
    " span.",
    "resource_figures": "Time of each resource and local day; scheduling.resource_days has a span.",
}
# The columns of a counted day, which the sums have, too.
DOCTOR_DAY = (
    "tenant_id uuid, facility_id bigint, doctor_id bigint, day date, places bigint, booked_places bigint,"
    " held_places bigint, closed_places bigint, free_places bigint, booked interval, held interval, blocked interval,"
    " free interval, visits bigint, cancelled bigint, no_shows bigint, timed_visits bigint, lead_time interval"
)
RESOURCE_DAY = (
    "tenant_id uuid, facility_id bigint, resource_id bigint, day date, booked interval, held interval, blocked interval"
)
READERS = "scheduler_app, scheduler_system"


def upgrade() -> None:
    op.execute("""
    create function scheduling.start_of_day(day date, zone text) returns timestamptz
    language sql stable parallel safe set search_path = pg_catalog, pg_temp
    as $$
        select case
            when ((guess - interval '1 microsecond') at time zone zone)::date < day then guess
            else (
                select min(instant)
                from generate_series(guess - interval '1 day', guess, interval '15 minutes') as instant
                where (instant at time zone zone)::date >= day
            )
        end
        from (values (day::timestamp at time zone zone)) as reading (guess)
    $$;

    create function scheduling.blocked_days(
        start_at timestamptz, end_at timestamptz, zone text, from_day date, until_day date)
    returns table (day date, blocked tstzrange)
    language sql stable parallel safe set search_path = pg_catalog, pg_temp
    as $$
        select local.day, tstzrange(greatest(start_at, local.midnight), least(end_at, local.next_midnight))
        from (
            select day::date as day, scheduling.start_of_day(day::date, zone) as midnight,
                scheduling.start_of_day(day::date + 1, zone) as next_midnight
            from generate_series(
                greatest((start_at at time zone zone)::date, from_day)::timestamp,
                least((end_at at time zone zone)::date, until_day - 1)::timestamp,
                interval '1 day'
            ) as day
        ) as local
        where start_at < local.next_midnight and end_at > local.midnight and local.midnight < local.next_midnight
    $$;

    create function scheduling.third_next_available(as_of timestamptz)
    returns table (tenant_id uuid, facility_id bigint, doctor_id bigint, third_start_at timestamptz, days integer)
    language sql stable set search_path = pg_catalog, pg_temp
    as $$
        select works.tenant_id, works.facility_id, works.doctor_id, third.start_at,
            (third.start_at at time zone facility.timezone)::date - (as_of at time zone facility.timezone)::date
        from scheduling.facility_doctors works
        join scheduling.facilities facility
            on facility.tenant_id = works.tenant_id and facility.id = works.facility_id and facility.deleted_at is null
        join scheduling.doctors doctor
            on doctor.tenant_id = works.tenant_id and doctor.id = works.doctor_id and doctor.deleted_at is null
        left join lateral (
            select start_at, end_at from scheduling.bookable_slots
            where tenant_id = works.tenant_id and facility_id = works.facility_id and doctor_id = works.doctor_id
                and start_at >= as_of
            order by start_at, end_at limit 1
        ) first on true
        left join lateral (
            select start_at, end_at from scheduling.bookable_slots
            where tenant_id = works.tenant_id and facility_id = works.facility_id and doctor_id = works.doctor_id
                and start_at >= first.end_at
            order by start_at, end_at limit 1
        ) second on true
        left join lateral (
            select start_at from scheduling.bookable_slots
            where tenant_id = works.tenant_id and facility_id = works.facility_id and doctor_id = works.doctor_id
                and start_at >= second.end_at
            order by start_at, end_at limit 1
        ) third on true
    $$;

    create view scheduling.visit_figures with (security_invoker = true) as
    select visit.tenant_id, visit.id as appointment_id, visit.facility_id, visit.doctor_id, visit.service_offering_id,
        visit.start_at, (visit.start_at at time zone facility.timezone)::date as day, visit.status,
        case when visit.created_at <= visit.start_at then visit.start_at - visit.created_at end as lead_time
    from scheduling.appointments visit
    join scheduling.facilities facility on facility.tenant_id = visit.tenant_id and facility.id = visit.facility_id;
    """)
    count_for_doctors()
    count_for_resources()
    op.execute("""
    create function scheduling.days_to_count(from_day date, until_day date) returns datemultirange
    language sql stable set search_path = pg_catalog, pg_temp
    as $$
        select datemultirange(daterange(from_day, greatest(from_day, until_day))) - (
            coalesce((
                select datemultirange(daterange(state.summed_from, state.summed_until))
                from scheduling.figure_states state
                where state.tenant_id = identity.current_tenant_id()
            ), '{}') - coalesce((
                select range_agg(daterange(change.from_day, change.until_day)) from scheduling.figure_changes change
                where change.tenant_id = identity.current_tenant_id()
            ), '{}')
        )
    $$;
    """)
    op.execute(f"""
    -- These two have their names resolved here, and no settings, so that a query which groups their rows contains them:
    -- otherwise, the rows of a year are written to memory first, which takes longer than to add them.
    create function scheduling.doctor_days(from_day date, until_day date)
    returns table ({DOCTOR_DAY})
    language sql stable
    begin atomic
        with counted as materialized (
            select scheduling.days_to_count(from_day, until_day) as days
        )
        select sums.tenant_id, sums.facility_id, sums.doctor_id, sums.day, sums.places, sums.booked_places, 0::bigint,
            sums.closed_places, sums.places - sums.booked_places - sums.closed_places, sums.booked, interval '0',
            sums.blocked, sums.free, sums.visits, sums.cancelled, sums.no_shows, sums.timed_visits, sums.lead_time
        from scheduling.doctor_figure_sums sums
        where sums.day >= from_day and sums.day < until_day and not sums.day <@ (select days from counted)
        union all
        select figure.* from counted
        cross join unnest(days) as span
        cross join lateral scheduling.count_doctor_days(lower(span), upper(span)) as figure;
    end;

    create function scheduling.resource_days(from_day date, until_day date)
    returns table ({RESOURCE_DAY})
    language sql stable
    begin atomic
        with counted as materialized (
            select scheduling.days_to_count(from_day, until_day) as days
        )
        select sums.tenant_id, resource.facility_id, sums.resource_id, sums.day, sums.booked, interval '0',
            sums.blocked
        from scheduling.resource_figure_sums sums
        join scheduling.resources resource on resource.tenant_id = sums.tenant_id and resource.id = sums.resource_id
        where sums.day >= from_day and sums.day < until_day and not sums.day <@ (select days from counted)
        union all
        select figure.* from counted
        cross join unnest(days) as span
        cross join lateral scheduling.count_resource_days(lower(span), upper(span)) as figure;
    end;

    create view scheduling.doctor_figures with (security_invoker = true) as
    select * from scheduling.doctor_days('0001-01-05', '9999-12-27');

    create view scheduling.resource_figures with (security_invoker = true) as
    select * from scheduling.resource_days('0001-01-05', '9999-12-27');
    """)
    for function, comment in FUNCTIONS.items():
        op.execute(f"""
        comment on function scheduling.{function} is '{comment}';
        revoke all on function scheduling.{function} from public;
        grant execute on function scheduling.{function} to {READERS};
        """)
    for function in COUNTED_BY_THE_JOB:
        op.execute(f"grant execute on function scheduling.{function} to scheduler_job")
    for view, comment in VIEWS.items():
        op.execute(f"""
        comment on view scheduling.{view} is '{comment}';
        grant select on scheduling.{view} to {READERS};
        """)


def count_for_doctors() -> None:
    """Create the function that counts the places and the time of doctors."""
    header = f"create function scheduling.count_doctor_days(from_day date, until_day date) returns table ({DOCTOR_DAY})"
    op.execute(
        header
        + """
    language sql stable rows 100 set search_path = pg_catalog, pg_temp set work_mem = '64MB'
    set enable_mergejoin = off
    as $$
        -- the spans are a day longer on both sides, for the zones, and two more for visits around the days
        with present as materialized (
            select scheduling.clock() as now
        ), used as materialized (
            select taken.tenant_id, taken.doctor_id, coalesce(visit.facility_id, hold.facility_id) as facility_id,
                taken.start_at, taken.hold_id is not null as is_held,
                tstzrange(taken.start_at, taken.end_at) as time
            from scheduling.allocations taken
            left join scheduling.appointments visit
                on visit.tenant_id = taken.tenant_id and visit.id = taken.appointment_id
            left join scheduling.holds hold on hold.tenant_id = taken.tenant_id and hold.id = taken.hold_id
            where taken.doctor_id is not null
                and taken.start_at >= from_day::timestamp at time zone 'UTC' - interval '3 days'
                and taken.start_at < until_day::timestamp at time zone 'UTC' + interval '3 days'
                and (taken.hold_id is null or hold.ends_at > (select now from present))
        ), use_of_doctor as materialized (
            -- by the day in UTC of the slots that may overlap: they begin on a day of the use, or the day before
            select used.tenant_id, used.doctor_id, used.day, range_agg(used.time) as times
            from (
                select tenant_id, doctor_id, time, generate_series(
                    (lower(time) at time zone 'UTC')::date - date '2000-01-01' - 1,
                    (upper(time) at time zone 'UTC')::date - date '2000-01-01'
                ) as day from used
            ) as used
            group by 1, 2, 3
        ), reserved as materialized (
            select slot.tenant_id, slot.doctor_id, range_agg(tstzrange(slot.start_at, slot.end_at)) as times
            from scheduling.availability_slots slot
            where slot.status = 'reserved' and slot.reserved_until > (select now from present)
                and slot.start_at >= from_day::timestamp at time zone 'UTC' - interval '2 days'
                and slot.start_at < until_day::timestamp at time zone 'UTC' + interval '2 days'
            group by 1, 2
        ), held_slot as materialized (
            select hold.tenant_id, hold.availability_slot_id, hold.slot_start_at, count(*) as places
            from scheduling.holds hold where hold.ends_at > (select now from present) group by 1, 2, 3
        ), stored as (
            select slot.tenant_id, slot.id, slot.facility_id, slot.doctor_id, slot.start_at, slot.end_at, slot.capacity,
                slot.booked_count, slot.status, slot.reserved_until, slot.is_dropped,
                tstzrange(slot.start_at, slot.end_at) as time,
                (slot.start_at at time zone facility.timezone)::date as day
            from scheduling.facilities facility
            join scheduling.availability_slots slot
                on slot.tenant_id = facility.tenant_id and slot.facility_id = facility.id
            where slot.status <> 'cancelled'
                and slot.start_at >= from_day::timestamp at time zone 'UTC' - interval '1 day'
                and slot.start_at < until_day::timestamp at time zone 'UTC' + interval '1 day'
            offset 0  -- the day is computed once
        ), slot as (
            select slot.tenant_id, slot.facility_id, slot.doctor_id, slot.day, slot.capacity, slot.booked_count,
                slot.time,
                case
                    when slot.status = 'reserved' and slot.reserved_until > (select now from present)
                        then slot.capacity - slot.booked_count
                    else least(coalesce(held_slot.places, 0), slot.capacity - slot.booked_count)
                end as held,
                slot.booked_count < slot.capacity and (
                    slot.is_dropped or slot.time && reserved.times
                    or case
                        when slot.capacity = 1 then slot.time && use_of_doctor.times
                        else exists (
                            -- visits on one slot share the doctor, and its places are counted
                            select from scheduling.allocations taken
                            left join scheduling.holds hold
                                on hold.tenant_id = taken.tenant_id and hold.id = taken.hold_id
                            where taken.tenant_id = slot.tenant_id and taken.doctor_id = slot.doctor_id
                                and taken.start_at > slot.start_at - interval '3 days'
                                and taken.start_at < slot.end_at and taken.end_at > slot.start_at
                                and (taken.slot_id, taken.slot_start_at) is distinct from (slot.id, slot.start_at)
                                and (taken.hold_id is null or hold.ends_at > (select now from present))
                        )
                    end
                ) as is_closed
            from stored slot
            left join use_of_doctor
                on use_of_doctor.tenant_id = slot.tenant_id and use_of_doctor.doctor_id = slot.doctor_id
                and use_of_doctor.day = (slot.start_at at time zone 'UTC')::date - date '2000-01-01'
            left join reserved on reserved.tenant_id = slot.tenant_id and reserved.doctor_id = slot.doctor_id
            left join held_slot on held_slot.tenant_id = slot.tenant_id and held_slot.availability_slot_id = slot.id
                and held_slot.slot_start_at = slot.start_at
            offset 0  -- the uses of the doctor are not carried into the grouping
        ), offered as (
            select slot.tenant_id, slot.facility_id, slot.doctor_id, slot.day, sum(slot.capacity) as places,
                sum(slot.booked_count) as booked, sum(slot.held) as held,
                sum(slot.capacity - slot.booked_count - slot.held)
                    filter (where slot.is_closed is true) as closed,
                range_agg(slot.time) filter (
                    where slot.capacity > slot.booked_count + slot.held and slot.is_closed is not true
                ) as free
            from slot where slot.day >= from_day and slot.day < until_day group by 1, 2, 3, 4
        ), taken as (
            select used.tenant_id, used.facility_id, used.doctor_id, local.day,
                range_agg(used.time) filter (where not used.is_held) as booked,
                range_agg(used.time) filter (where used.is_held) as held
            from used
            join scheduling.facilities facility
                on facility.tenant_id = used.tenant_id and facility.id = used.facility_id
            cross join lateral (values ((used.start_at at time zone facility.timezone)::date)) as local (day)
            where local.day >= from_day and local.day < until_day group by 1, 2, 3, 4
        ), blocked as (
            select exception.tenant_id, exception.facility_id, exception.doctor_id, local.day,
                range_agg(local.blocked) as blocked
            from scheduling.availability_exceptions exception
            join scheduling.facilities facility
                on facility.tenant_id = exception.tenant_id and facility.id = exception.facility_id
            cross join lateral scheduling.blocked_days(
                exception.start_at, exception.end_at, facility.timezone, from_day, until_day
            ) as local
            where exception.type in ('blocked', 'emergency')
                and exception.start_at < until_day::timestamp at time zone 'UTC' + interval '1 day'
                and exception.end_at > from_day::timestamp at time zone 'UTC' - interval '1 day'
            group by 1, 2, 3, 4
        ), visited as (
            select visit.tenant_id, visit.facility_id, visit.doctor_id, visit.day, count(*) as visits,
                count(*) filter (where visit.status = 'cancelled') as cancelled,
                count(*) filter (where visit.status = 'no_show') as no_shows,
                count(visit.lead_time) filter (where visit.status <> 'cancelled') as timed_visits,
                sum(visit.lead_time) filter (where visit.status <> 'cancelled') as lead_time
            from (
                select visit.tenant_id, visit.facility_id, visit.doctor_id, visit.status,
                    (visit.start_at at time zone facility.timezone)::date as day,
                    case when visit.created_at <= visit.start_at then visit.start_at - visit.created_at end
                        as lead_time
                from scheduling.facilities facility
                join scheduling.appointments visit
                    on visit.tenant_id = facility.tenant_id and visit.facility_id = facility.id
                where visit.start_at >= from_day::timestamp at time zone 'UTC' - interval '1 day'
                    and visit.start_at < until_day::timestamp at time zone 'UTC' + interval '1 day'
                offset 0
            ) as visit
            where visit.day >= from_day and visit.day < until_day group by 1, 2, 3, 4
        ), together as (
            select tenant_id, facility_id, doctor_id, day, visited.visits, visited.cancelled, visited.no_shows,
                visited.timed_visits, visited.lead_time,
                coalesce(offered.places, 0) as places, coalesce(offered.booked, 0) as booked_places,
                coalesce(offered.held, 0) as held_places, coalesce(offered.closed, 0) as closed_places,
                coalesce(taken.booked, '{}') as booked, coalesce(taken.held, '{}') as held,
                coalesce(blocked.blocked, '{}') as blocked, coalesce(offered.free, '{}') as free
            from offered
            full join taken using (tenant_id, facility_id, doctor_id, day)
            full join blocked using (tenant_id, facility_id, doctor_id, day)
            full join visited using (tenant_id, facility_id, doctor_id, day)
        )
        select tenant_id, facility_id, doctor_id, day, places, booked_places, held_places, closed_places,
            places - booked_places - held_places - closed_places,
            (select coalesce(sum(upper(span) - lower(span)), '0') from unnest(booked) span),
            (select coalesce(sum(upper(span) - lower(span)), '0') from unnest(held - booked) span),
            (select coalesce(sum(upper(span) - lower(span)), '0') from unnest(blocked - booked - held) span),
            (select coalesce(sum(upper(span) - lower(span)), '0') from unnest(free - booked - held - blocked) span),
            coalesce(visits, 0), coalesce(cancelled, 0), coalesce(no_shows, 0), coalesce(timed_visits, 0),
            coalesce(lead_time, '0')
        from together
    $$;
    """
    )


def count_for_resources() -> None:
    """Create the function that counts the time of resources."""
    header = (
        f"create function scheduling.count_resource_days(from_day date, until_day date) returns table ({RESOURCE_DAY})"
    )
    op.execute(
        header
        + """
    language sql stable rows 100 set search_path = pg_catalog, pg_temp set work_mem = '64MB'
    set enable_mergejoin = off
    as $$
        with present as materialized (
            select scheduling.clock() as now
        ), taken as (
            select taken.tenant_id, taken.resource_id, local.day,
                range_agg(tstzrange(taken.start_at, taken.end_at)) filter (where taken.hold_id is null) as booked,
                range_agg(tstzrange(taken.start_at, taken.end_at)) filter (where taken.hold_id is not null) as held
            from scheduling.allocations taken
            join scheduling.resources resource
                on resource.tenant_id = taken.tenant_id and resource.id = taken.resource_id
            join scheduling.facilities facility
                on facility.tenant_id = resource.tenant_id and facility.id = resource.facility_id
            left join scheduling.holds hold on hold.tenant_id = taken.tenant_id and hold.id = taken.hold_id
            cross join lateral (values ((taken.start_at at time zone facility.timezone)::date)) as local (day)
            where taken.resource_id is not null
                and taken.start_at >= from_day::timestamp at time zone 'UTC' - interval '1 day'
                and taken.start_at < until_day::timestamp at time zone 'UTC' + interval '1 day'
                and (taken.hold_id is null or hold.ends_at > (select now from present))
                and local.day >= from_day and local.day < until_day
            group by 1, 2, 3
        ), blocked as (
            select exception.tenant_id, exception.resource_id, local.day,
                range_agg(local.blocked) as blocked
            from scheduling.resource_exceptions exception
            join scheduling.resources resource
                on resource.tenant_id = exception.tenant_id and resource.id = exception.resource_id
            join scheduling.facilities facility
                on facility.tenant_id = resource.tenant_id and facility.id = resource.facility_id
            cross join lateral scheduling.blocked_days(
                exception.start_at, exception.end_at, facility.timezone, from_day, until_day
            ) as local
            where exception.type in ('blocked', 'emergency')
                and exception.start_at < until_day::timestamp at time zone 'UTC' + interval '1 day'
                and exception.end_at > from_day::timestamp at time zone 'UTC' - interval '1 day'
            group by 1, 2, 3
        )
        select tenant_id, resource.facility_id, resource_id, day,
            (select coalesce(sum(upper(span) - lower(span)), '0') from unnest(taken.booked) span),
            (select coalesce(sum(upper(span) - lower(span)), '0')
                from unnest(taken.held - coalesce(taken.booked, '{}')) span),
            (select coalesce(sum(upper(span) - lower(span)), '0')
                from unnest(blocked.blocked - coalesce(taken.booked, '{}') - coalesce(taken.held, '{}')) span)
        from taken
        full join blocked using (tenant_id, resource_id, day)
        join (
            select resource.tenant_id, resource.id as resource_id, resource.facility_id
            from scheduling.resources resource
        ) as resource using (tenant_id, resource_id)
    $$;
    """
    )


def downgrade() -> None:
    for view in VIEWS:
        op.execute(f"drop view scheduling.{view}")
    for function in reversed(FUNCTIONS):
        op.execute(f"drop function scheduling.{function}")
