"""Figures: booked, held, free and blocked time of a day, places of slots, lead times, the third next appointment.

**Days.** A slot, a visit and each use of time count on the local day of their facility on which they begin; blocked
time is divided at local midnights. PostgreSQL reads skipped and repeated wall times otherwise than T3. So
`scheduling.start_of_day` checks the reading of PostgreSQL, and where another instant before it has the same date, it
looks for the first.

**Places and time.** A slot of several places counts with all of them: `places` is the sum of the booked, the held, the
closed and the free. A place is closed if neither a visit nor a hold has it, and still nobody can be booked on it, since
the doctor is elsewhere or another slot is taken that overlaps it. Time counts once, however many visits share it, and
however many slots offer it: booked before held, held before blocked, blocked before free.

**Spans.** A view over days cannot use an index for a condition on the local day. So two functions count for a span of
days, and the views ask them for all days. A function groups more than the default `work_mem` holds, so it sets its own.
All views and functions read with the rights of the user who queries them: figures are for the host, admins and staff,
and another user counts what row security shows. Neither has a name or the id of a patient.
"""

from alembic import op

revision = "20261126001070"
down_revision = "20261126001050"

FUNCTIONS = {
    "start_of_day(date, text)": "The first instant of a local day of a zone; that of the next day if the zone has no"
    " such day.",
    "doctor_days(date, date)": "Places of slots, and booked, held, blocked and free time, of each doctor, facility and"
    " local day in [from_day, until_day).",
    "resource_days(date, date)": "Booked, held and blocked time of each resource and local day in"
    " [from_day, until_day).",
    "third_next_available(timestamptz)": "The third next available appointment of each doctor at each facility, as of"
    " an instant: each of the three begins after the one before it.",
}
VIEWS = {
    "visit_figures": "Each visit with its local day, state and lead time, and nothing about the patient.",
    "doctor_figures": "Places and time of each doctor, facility and local day; scheduling.doctor_days has a span.",
    "resource_figures": "Time of each resource and local day; scheduling.resource_days has a span.",
}
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
    for view, comment in VIEWS.items():
        op.execute(f"""
        comment on view scheduling.{view} is '{comment}';
        grant select on scheduling.{view} to {READERS};
        """)


def count_for_doctors() -> None:
    """Create the function that counts the places and the time of doctors."""
    op.execute("""
    create function scheduling.doctor_days(from_day date, until_day date)
    returns table (
        tenant_id uuid, facility_id bigint, doctor_id bigint, day date, places bigint, booked_places bigint,
        held_places bigint, closed_places bigint, free_places bigint, booked interval, held interval,
        blocked interval, free interval)
    language sql stable set search_path = pg_catalog, pg_temp set work_mem = '64MB'
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
            select used.tenant_id, used.doctor_id, touched.day, range_agg(used.time) as times
            from used
            cross join lateral generate_series(
                (lower(used.time) at time zone 'UTC')::date - date '2000-01-01' - 1,
                (upper(used.time) at time zone 'UTC')::date - date '2000-01-01'
            ) as touched (day)
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
        ), slot as (
            select slot.tenant_id, slot.facility_id, slot.doctor_id,
                (slot.start_at at time zone facility.timezone)::date as day, slot.capacity, slot.booked_count,
                tstzrange(slot.start_at, slot.end_at) as time,
                case
                    when slot.status = 'reserved' and slot.reserved_until > (select now from present)
                        then slot.capacity - slot.booked_count
                    else least(coalesce(held_slot.places, 0), slot.capacity - slot.booked_count)
                end as held,
                slot.booked_count < slot.capacity and (
                    tstzrange(slot.start_at, slot.end_at) && reserved.times
                    or case
                        when slot.capacity = 1 then tstzrange(slot.start_at, slot.end_at) && use_of_doctor.times
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
            from scheduling.availability_slots slot
            join scheduling.facilities facility
                on facility.tenant_id = slot.tenant_id and facility.id = slot.facility_id
            left join use_of_doctor
                on use_of_doctor.tenant_id = slot.tenant_id and use_of_doctor.doctor_id = slot.doctor_id
                and use_of_doctor.day = (slot.start_at at time zone 'UTC')::date - date '2000-01-01'
            left join reserved on reserved.tenant_id = slot.tenant_id and reserved.doctor_id = slot.doctor_id
            left join held_slot on held_slot.tenant_id = slot.tenant_id and held_slot.availability_slot_id = slot.id
                and held_slot.slot_start_at = slot.start_at
            where slot.status <> 'cancelled'
                and slot.start_at >= from_day::timestamp at time zone 'UTC' - interval '1 day'
                and slot.start_at < until_day::timestamp at time zone 'UTC' + interval '1 day'
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
                range_agg(tstzrange(
                    greatest(exception.start_at, local.begin_at), least(exception.end_at, local.end_at)
                )) as blocked
            from scheduling.availability_exceptions exception
            join scheduling.facilities facility
                on facility.tenant_id = exception.tenant_id and facility.id = exception.facility_id
            cross join lateral (
                select day::date as day, scheduling.start_of_day(day::date, facility.timezone) as begin_at,
                    scheduling.start_of_day(day::date + 1, facility.timezone) as end_at
                from generate_series(
                    greatest((exception.start_at at time zone facility.timezone)::date, from_day)::timestamp,
                    least((exception.end_at at time zone facility.timezone)::date, until_day - 1)::timestamp,
                    interval '1 day'
                ) as day
            ) as local
            where exception.type in ('blocked', 'emergency')
                and exception.start_at < until_day::timestamp at time zone 'UTC' + interval '1 day'
                and exception.end_at > from_day::timestamp at time zone 'UTC' - interval '1 day'
                and exception.start_at < local.end_at and exception.end_at > local.begin_at
                and local.begin_at < local.end_at
            group by 1, 2, 3, 4
        ), together as (
            select tenant_id, facility_id, doctor_id, day,
                coalesce(offered.places, 0) as places, coalesce(offered.booked, 0) as booked_places,
                coalesce(offered.held, 0) as held_places, coalesce(offered.closed, 0) as closed_places,
                coalesce(taken.booked, '{}') as booked, coalesce(taken.held, '{}') as held,
                coalesce(blocked.blocked, '{}') as blocked, coalesce(offered.free, '{}') as free
            from offered
            full join taken using (tenant_id, facility_id, doctor_id, day)
            full join blocked using (tenant_id, facility_id, doctor_id, day)
        )
        select tenant_id, facility_id, doctor_id, day, places, booked_places, held_places, closed_places,
            places - booked_places - held_places - closed_places,
            (select coalesce(sum(upper(span) - lower(span)), '0') from unnest(booked) span),
            (select coalesce(sum(upper(span) - lower(span)), '0') from unnest(held - booked) span),
            (select coalesce(sum(upper(span) - lower(span)), '0') from unnest(blocked - booked - held) span),
            (select coalesce(sum(upper(span) - lower(span)), '0') from unnest(free - booked - held - blocked) span)
        from together
    $$;
    """)


def count_for_resources() -> None:
    """Create the function that counts the time of resources."""
    op.execute("""
    create function scheduling.resource_days(from_day date, until_day date)
    returns table (
        tenant_id uuid, facility_id bigint, resource_id bigint, day date, booked interval, held interval,
        blocked interval)
    language sql stable set search_path = pg_catalog, pg_temp set work_mem = '64MB'
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
                range_agg(tstzrange(
                    greatest(exception.start_at, local.begin_at), least(exception.end_at, local.end_at)
                )) as blocked
            from scheduling.resource_exceptions exception
            join scheduling.resources resource
                on resource.tenant_id = exception.tenant_id and resource.id = exception.resource_id
            join scheduling.facilities facility
                on facility.tenant_id = resource.tenant_id and facility.id = resource.facility_id
            cross join lateral (
                select day::date as day, scheduling.start_of_day(day::date, facility.timezone) as begin_at,
                    scheduling.start_of_day(day::date + 1, facility.timezone) as end_at
                from generate_series(
                    greatest((exception.start_at at time zone facility.timezone)::date, from_day)::timestamp,
                    least((exception.end_at at time zone facility.timezone)::date, until_day - 1)::timestamp,
                    interval '1 day'
                ) as day
            ) as local
            where exception.type in ('blocked', 'emergency')
                and exception.start_at < until_day::timestamp at time zone 'UTC' + interval '1 day'
                and exception.end_at > from_day::timestamp at time zone 'UTC' - interval '1 day'
                and exception.start_at < local.end_at and exception.end_at > local.begin_at
                and local.begin_at < local.end_at
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
    """)


def downgrade() -> None:
    for view in VIEWS:
        op.execute(f"drop view scheduling.{view}")
    for function in reversed(FUNCTIONS):
        op.execute(f"drop function scheduling.{function}")
