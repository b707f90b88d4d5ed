"""Allocations: the time that visits and holds take of doctors and resources, and the places that they take of slots.

Two exclusion constraints refuse a second use of a doctor or of a resource at any isolation level (B1). Visits that
share a slot whose capacity is above 1 share its doctor, and no resource. Buffers of the offering lie before the first
use of the doctor and after the last one. Preparation takes the doctor or the resource of its step, too.

**Who writes them.** Nobody but triggers: allocations, `booked_count` and `status` of a slot follow from appointments,
steps and holds, whoever writes these. So a host that writes one appointment knows neither table, and what is taken
cannot contradict what is booked. An appointment without steps takes its doctor from start to end; with steps, while a
step needs the doctor. A cancelled appointment and a no-show take nothing, a completed one keeps the doctor's time as
history. Undoing takes the time again or raises. A step that is over frees its resource, also early (W5).

The exclusion constraints are deferrable. A host that writes an appointment and its steps in two statements may collide
in between with a visit that uses the doctor during a later step: `set constraints all deferred` moves the check to the
end of the transaction.

**Deleted slots.** Allocations and holds remember their slots without a foreign key, since months are detached and slots
retired. An appointment whose slot is gone goes on sharing its time while it stays within it.

**Places.** An appointment whose override names places (B8) is admitted to a slot whose places are booked, and shares
the doctor with the others, also where the slot has one place. `booked_count` counts the places of the slot that are
taken, so at most its capacity: one of the visits may go, and the slot stays booked. A live hold refuses it, since the
holder has been promised the place. A no-show among them had a place, and takes it again when it is undone.

**Locks.** A trigger locks, before an appointment takes time, its patient, doctor, resources and slots in this order,
`for no key update`, which lets foreign keys be checked. Otherwise two inserts would each wait for the other in the
exclusion constraint, a deadlock. Places are counted under the lock of the slot, so no count is lost. Freeing time locks
the slot alone, before the row changes: whoever takes the time holds the slot and may wait for the row.

**Holds.** A hold (B2) takes what its visit will need until it ends, by `scheduling.clock()`. Nobody has to sweep: a
writer that needs the time deletes ended holds in its own transaction, after the locks. Live holds are counted beside
the booked places when a place is taken; no stored count has them, so that a hold ends without a write.

A person may be both a doctor and a resource (`resources.doctor_id`): whoever uses the resource takes the doctor, too.

Allocations and holds are not audited: each allocation follows from changes that are, and a hold becomes a visit or
ends.
"""

from alembic import op

revision = "20261126000950"
down_revision = "20261126000940"

# Table -> the columns that the triggers read, which run as scheduler_definer.
READ = {
    "appointments": "tenant_id, id, doctor_id, service_offering_id, availability_slot_id, slot_start_at, start_at,"
    " end_at, status, override_rules",
    "appointment_steps": "tenant_id, id, appointment_id, workflow_step_id, scheduled_start_at, scheduled_end_at,"
    " status",
    "appointment_step_resources": "tenant_id, appointment_step_id, resource_id",
    "workflow_steps": "tenant_id, id, requires_preparation, meta",
    "workflow_step_needs": "tenant_id, workflow_step_id, kind",
    "service_offerings": "tenant_id, id, buffer_before_minutes, buffer_after_minutes",
    "patients": "tenant_id, id",
    "doctors": "tenant_id, id",
    "resources": "tenant_id, id, doctor_id",
}
# Table -> a column that they may write, since a row can be locked only by who may update it.
LOCKED = {
    "appointments": "updated_at",
    "patients": "updated_at",
    "doctors": "updated_at",
    "resources": "updated_at",
}

CALLED_BY_THE_TRIGGERS = (
    "takes_time(text)",
    "preparation_of(boolean, jsonb)",
    "lock_doctors_and_resources(uuid, bigint, bigint[])",
    "steps_that_take_time(uuid, bigint, boolean)",
    "allocate(uuid, bigint, boolean)",
    "count_places(uuid, bigint, timestamptz, boolean, boolean)",
)

DEFINERS = (
    "lock_what_is_taken",
    "follow_appointment",
    "follow_steps",
    "follow_step_resources",
    "lock_visit_of_step",
    "refuse_another_person",
    "refuse_steps_beyond_their_visit",
    "lock_what_is_held",
    "follow_hold",
    "follow_capacity",
)

# Kind of change -> the names of the changed rows in the trigger.
KINDS = {
    "insert": "new table as changed_rows",
    "update": "old table as old_rows new table as changed_rows",
    "delete": "old table as changed_rows",
}


def upgrade() -> None:
    op.execute("""
    create sequence scheduling.visit_keys;

    comment on sequence scheduling.visit_keys is
        'Keys of what takes time together: one key for all allocations of a visit, another one whenever it moves.';

    create function scheduling.clock() returns timestamptz
    language sql volatile parallel safe
    return clock_timestamp();

    comment on function scheduling.clock() is
        'The instant by which holds end, also within a long transaction. A test database may replace it.';

    create table scheduling.holds (
        tenant_id uuid not null,
        id bigint not null generated by default as identity,
        token_digest bytea not null,
        ends_at timestamptz not null,
        facility_id bigint not null,
        doctor_id bigint not null,
        service_offering_id bigint not null,
        service_workflow_id bigint not null,
        availability_slot_id bigint not null,
        slot_start_at timestamptz not null,
        slot_end_at timestamptz not null,
        slot_offering_id bigint,
        start_at timestamptz not null,
        end_at timestamptz not null,
        steps jsonb not null,
        schedule_fingerprint text,  -- of the schedule on which it was decided
        channel varchar(50) not null,
        label varchar(255),
        held_by uuid,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        constraint holds_pkey primary key (tenant_id, id),
        -- these five stop a reference that is missing or of another tenant
        constraint holds_facility_id_fkey foreign key (tenant_id, facility_id)
            references scheduling.facilities (tenant_id, id) on delete cascade,
        constraint holds_doctor_id_fkey foreign key (tenant_id, doctor_id)
            references scheduling.doctors (tenant_id, id) on delete cascade,
        constraint holds_service_offering_id_fkey foreign key (tenant_id, service_offering_id)
            references scheduling.service_offerings (tenant_id, id) on delete cascade,
        constraint holds_service_workflow_id_fkey foreign key (tenant_id, service_workflow_id)
            references scheduling.service_workflows (tenant_id, id) on delete cascade,
        constraint holds_held_by_fkey foreign key (tenant_id, held_by)
            references identity.users (tenant_id, id) on delete cascade,
        -- stops two holds that one token opens
        constraint a_token_opens_one_hold unique (tenant_id, token_digest),
        -- stops a token in clear text
        constraint a_token_is_kept_as_sha_256 check (octet_length(token_digest) = 32),
        -- stops an empty or reversed range
        constraint a_held_visit_starts_before_it_ends check (start_at < end_at),
        -- stops a text where steps are read
        constraint the_steps_of_a_hold_are_a_list check (jsonb_typeof(steps) = 'array'),
        -- stops 'Web' and 'web ' as two channels
        constraint a_channel_is_a_word check (channel ~ '^[a-z][a-z0-9_]*$'),
        -- stops 'infinity' and the year 10000, which the driver cannot read
        constraint its_times_are_in_the_calendar check (
            ends_at >= '0001-01-03 00:00+00' and ends_at < '9999-12-29 00:00+00'
            and slot_start_at >= '0001-01-03 00:00+00' and slot_start_at < '9999-12-29 00:00+00'
            and slot_end_at >= '0001-01-03 00:00+00' and slot_end_at < '9999-12-29 00:00+00'
            and start_at >= '0001-01-03 00:00+00' and end_at < '9999-12-29 00:00+00'
            and created_at >= '0001-01-03 00:00+00' and created_at < '9999-12-29 00:00+00'
            and updated_at >= '0001-01-03 00:00+00' and updated_at < '9999-12-29 00:00+00'
        )
    );

    comment on table scheduling.holds is
        'A visit that is held for whoever has the token, until it ends; its steps with their times and resources.';

    create index holds_facility_id_idx on scheduling.holds (tenant_id, facility_id);
    create index holds_doctor_id_idx on scheduling.holds (tenant_id, doctor_id);
    create index holds_service_offering_id_idx on scheduling.holds (tenant_id, service_offering_id);
    create index holds_service_workflow_id_idx on scheduling.holds (tenant_id, service_workflow_id);
    create index holds_availability_slot_id_slot_start_at_idx
        on scheduling.holds (tenant_id, availability_slot_id, slot_start_at);
    create index holds_held_by_idx on scheduling.holds (tenant_id, held_by);
    create index holds_ends_at_idx on scheduling.holds (tenant_id, ends_at);

    call identity.secure_table('scheduling.holds');
    drop trigger inserts_are_logged on scheduling.holds;
    drop trigger updates_are_logged on scheduling.holds;
    drop trigger deletes_are_logged on scheduling.holds;
    revoke insert, update, delete on scheduling.holds from scheduler_app;  -- the desk holds

    grant select, update (updated_at), delete on scheduling.holds to scheduler_definer;
    create policy the_definer_ends_holds on scheduling.holds to scheduler_definer using (true) with check (true);

    create table scheduling.allocations (
        tenant_id uuid not null,
        id bigint not null generated by default as identity,
        visit_key bigint not null,
        doctor_id bigint,
        resource_id bigint,
        start_at timestamptz not null,
        end_at timestamptz not null,
        appointment_id bigint,
        appointment_step_id bigint,
        hold_id bigint,
        slot_id bigint,
        slot_start_at timestamptz,
        shared_slot_id bigint,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        constraint allocations_pkey primary key (tenant_id, id),
        -- these five stop a reference that is missing or of another tenant
        constraint allocations_doctor_id_fkey foreign key (tenant_id, doctor_id)
            references scheduling.doctors (tenant_id, id) on delete cascade,
        constraint allocations_resource_id_fkey foreign key (tenant_id, resource_id)
            references scheduling.resources (tenant_id, id) on delete cascade,
        constraint allocations_appointment_id_fkey foreign key (tenant_id, appointment_id)
            references scheduling.appointments (tenant_id, id) on delete cascade,
        constraint allocations_appointment_step_id_fkey foreign key (tenant_id, appointment_step_id)
            references scheduling.appointment_steps (tenant_id, id) on delete cascade,
        constraint allocations_hold_id_fkey foreign key (tenant_id, hold_id)
            references scheduling.holds (tenant_id, id) on delete cascade,
        -- stops an allocation for nothing, and one for two
        constraint an_allocation_is_for_an_appointment_or_a_hold check (num_nulls(appointment_id, hold_id) = 1),
        -- stops an allocation of nobody, and one of two
        constraint an_allocation_is_of_a_doctor_or_a_resource check (num_nulls(doctor_id, resource_id) = 1),
        -- stops an empty or reversed range, which overlaps nothing
        constraint an_allocation_starts_before_it_ends check (start_at < end_at),
        -- stops 'infinity' and the year 10000, which the driver cannot read
        constraint its_times_are_in_the_calendar check (
            start_at >= '0001-01-03 00:00+00' and end_at < '9999-12-29 00:00+00'
            and slot_start_at >= '0001-01-03 00:00+00' and slot_start_at < '9999-12-29 00:00+00'
            and created_at >= '0001-01-03 00:00+00' and created_at < '9999-12-29 00:00+00'
            and updated_at >= '0001-01-03 00:00+00' and updated_at < '9999-12-29 00:00+00'
        ),
        -- stops half a slot, and sharing another one
        constraint the_slot_of_an_allocation_is_named_with_its_start
            check (num_nulls(slot_id, slot_start_at) in (0, 2)
                and (shared_slot_id is null or shared_slot_id is not distinct from slot_id)),
        -- stops a key that could be the id of a shared slot
        constraint the_key_of_a_visit_is_positive check (visit_key > 0 and shared_slot_id > 0),
        -- stops double booking of a doctor (B1)
        constraint a_doctor_is_taken_once_at_a_time exclude using gist (
            tenant_id with =,
            doctor_id with =,
            tstzrange(start_at, end_at) with &&,
            (coalesce(shared_slot_id, -visit_key)) with <>
        ) deferrable initially immediate,
        -- stops double booking of a room, nurse or device (B1, W7)
        constraint a_resource_is_taken_once_at_a_time exclude using gist (
            tenant_id with =,
            resource_id with =,
            tstzrange(start_at, end_at) with &&,
            visit_key with <>
        ) deferrable initially immediate
    );

    comment on table scheduling.allocations is
        'The time for which a visit or a hold takes a doctor or a resource; triggers on these write it.';

    create index allocations_doctor_id_start_at_idx on scheduling.allocations (tenant_id, doctor_id, start_at);
    create index allocations_resource_id_start_at_idx on scheduling.allocations (tenant_id, resource_id, start_at);
    create index allocations_appointment_id_idx on scheduling.allocations (tenant_id, appointment_id);
    create index allocations_appointment_step_id_idx on scheduling.allocations (tenant_id, appointment_step_id);
    create index allocations_hold_id_idx on scheduling.allocations (tenant_id, hold_id);
    create index allocations_slot_id_slot_start_at_idx on scheduling.allocations (tenant_id, slot_id, slot_start_at);

    call identity.secure_table('scheduling.allocations');
    drop trigger inserts_are_logged on scheduling.allocations;
    drop trigger updates_are_logged on scheduling.allocations;
    drop trigger deletes_are_logged on scheduling.allocations;
    revoke insert, update, delete on scheduling.allocations from scheduler_app;  -- the system erases people

    create policy a_person_sees_their_own on scheduling.allocations for select to scheduler_app
        using (tenant_id = (select identity.current_tenant_id())
            and appointment_id = any ((select scheduling.own_appointments())::bigint[]));

    grant usage on sequence scheduling.visit_keys to scheduler_definer;
    grant select, insert, update (slot_id, shared_slot_id), delete on scheduling.allocations to scheduler_definer;
    create policy the_definer_allocates on scheduling.allocations to scheduler_definer
        using (true) with check (true);
    """)
    for table, columns in READ.items():
        op.execute(f"""
        grant select ({columns}) on scheduling.{table} to scheduler_definer;
        create policy the_definer_reads_what_takes_time on scheduling.{table} for select to scheduler_definer
            using (true);
        """)
    for table, columns in LOCKED.items():
        op.execute(f"""
        grant update ({columns}) on scheduling.{table} to scheduler_definer;
        create policy the_definer_locks_what_is_taken on scheduling.{table} for update to scheduler_definer
            using (true) with check (true);
        """)
    op.execute("""
    create function scheduling.takes_time(status text) returns boolean
    language sql immutable parallel safe
    return status not in ('cancelled', 'no_show');

    comment on function scheduling.takes_time(text) is
        'Whether an appointment or a step of this status takes time: any but a cancelled one and a no-show.';

    create function scheduling.preparation_of(requires_preparation boolean, meta jsonb) returns interval
    language sql immutable parallel safe
    return case
        when requires_preparation and jsonb_typeof(meta -> 'preparation_minutes') = 'number'
        then make_interval(mins => least(greatest((meta ->> 'preparation_minutes')::numeric, 0), 1440)::integer)
        else interval '0'
    end;

    comment on function scheduling.preparation_of(boolean, jsonb) is
        'The preparation before a step of a workflow, by its meta; 24 hours at most.';

    create function scheduling.lock_doctors_and_resources(tenant uuid, doctor bigint, used bigint[]) returns void
    language plpgsql set search_path = pg_catalog, pg_temp
    as $$ begin
        perform from scheduling.doctors
        where tenant_id = tenant and (id = doctor or id = any (array(
            select doctor_id from scheduling.resources where tenant_id = tenant and id = any (used)
        )))
        order by id for no key update;
        perform from scheduling.resources where tenant_id = tenant and id = any (used) order by id for no key update;
    end $$;

    comment on function scheduling.lock_doctors_and_resources(uuid, bigint, bigint[]) is
        'Locks a doctor with the doctors among resources, then the resources, each in the order of their ids.';

    create function scheduling.steps_that_take_time(tenant uuid, visit bigint, is_hold boolean)
    returns table (id bigint, workflow_step_id bigint, start_at timestamptz, end_at timestamptz, is_over boolean,
        resources bigint[])
    language plpgsql stable set search_path = pg_catalog, pg_temp
    as $$ begin
        if is_hold then
            return query
            select null::bigint, step.workflow_step_id, step.start_at, step.end_at, false, step.resources
            from scheduling.holds hold
            cross join jsonb_to_recordset(hold.steps) as step(
                workflow_step_id bigint, start_at timestamptz, end_at timestamptz, resources bigint[])
            where hold.tenant_id = tenant and hold.id = visit;
        else
            return query
            select step.id, step.workflow_step_id, step.scheduled_start_at, step.scheduled_end_at,
                step.status = 'completed', array(
                    select used.resource_id from scheduling.appointment_step_resources used
                    where used.tenant_id = tenant and used.appointment_step_id = step.id
                )
            from scheduling.appointment_steps step
            where step.tenant_id = tenant and step.appointment_id = visit and scheduling.takes_time(step.status);
        end if;
    end $$;

    comment on function scheduling.steps_that_take_time(uuid, bigint, boolean) is
        'The steps of an appointment or a hold that take time, with their resources; is_over: the resources are free.';

    create function scheduling.allocate(tenant uuid, visit_id bigint, is_hold boolean) returns void
    language plpgsql set search_path = pg_catalog, pg_temp
    as $$
    declare
        visit record;
        slot_of_visit bigint;
        slot_begin timestamptz;
        slot_end timestamptz;
        is_shared boolean;
        new_key bigint;
        used bigint[];
        doctors bigint[];
        time_of_visit tstzrange;
    begin
        -- Steps change without their appointment, so everything but slots is locked here, too.
        if is_hold then
            select hold.doctor_id, hold.availability_slot_id, hold.slot_start_at, hold.start_at, hold.end_at,
                'scheduled' as status, hold.service_offering_id
            into visit from scheduling.holds hold where hold.tenant_id = tenant and hold.id = visit_id;
        else
            select appointment.doctor_id, appointment.availability_slot_id, appointment.slot_start_at,
                appointment.start_at, appointment.end_at, appointment.status, appointment.service_offering_id
            into visit from scheduling.appointments appointment
            where appointment.tenant_id = tenant and appointment.id = visit_id for no key update;
        end if;
        if not found then
            return;  -- deleted, with its allocations
        end if;
        if visit.availability_slot_id is not null then
            -- of one place, if an override admitted a second visit
            select id, start_at, end_at, capacity > 1 or exists (
                select from scheduling.appointments other
                where other.tenant_id = tenant and other.availability_slot_id = visit.availability_slot_id
                    and other.slot_start_at = visit.slot_start_at and (is_hold or other.id <> visit_id)
                    and scheduling.takes_time(other.status)
            ) into slot_of_visit, slot_begin, slot_end, is_shared
            from scheduling.availability_slots
            where tenant_id = tenant and id = visit.availability_slot_id and start_at = visit.slot_start_at;
        else
            -- The slot was deleted: the appointment shares its former time, and no other.
            select slot_id, slot_start_at, bool_or(shared_slot_id is not null)
                and min(start_at) <= visit.start_at and max(end_at) >= visit.end_at
            into slot_of_visit, slot_begin, is_shared from scheduling.allocations taken
            where tenant_id = tenant and appointment_id = visit_id and slot_id is not null and not exists (
                select from scheduling.availability_slots slot
                where slot.tenant_id = tenant and slot.id = taken.slot_id and slot.start_at = taken.slot_start_at
            )
            group by slot_id, slot_start_at;
        end if;
        if not scheduling.takes_time(visit.status) then
            delete from scheduling.allocations where tenant_id = tenant and appointment_id = visit_id;
            return;
        end if;
        used := array(
            select distinct unnest(resources) from scheduling.steps_that_take_time(tenant, visit_id, is_hold) order by 1
        );
        -- before the deletions, for which the holder of these locks may wait
        perform scheduling.lock_doctors_and_resources(tenant, visit.doctor_id, used);
        doctors := array[visit.doctor_id] || array(
            select doctor_id from scheduling.resources
            where tenant_id = tenant and id = any (used) and doctor_id is not null
        );
        -- a day more, for preparation
        select tstzrange(
            visit.start_at - interval '1 day' - make_interval(mins => buffer_before_minutes),
            visit.end_at + interval '1 day' + make_interval(mins => buffer_after_minutes)
        ) into time_of_visit
        from scheduling.service_offerings where tenant_id = tenant and id = visit.service_offering_id;
        with ended as materialized (
            select hold.id from scheduling.holds hold
            where hold.tenant_id = tenant and hold.ends_at <= scheduling.clock() and hold.id in (
                select hold_id from scheduling.allocations
                where tenant_id = tenant and doctor_id = any (doctors) and hold_id is not null
                    and tstzrange(start_at, end_at) && time_of_visit
                union
                select hold_id from scheduling.allocations
                where tenant_id = tenant and resource_id = any (used) and hold_id is not null
                    and tstzrange(start_at, end_at) && time_of_visit
            )
            order by hold.id for update  -- two that share no doctor may delete the same holds
        )
        delete from scheduling.holds using ended where holds.tenant_id = tenant and holds.id = ended.id;
        if not is_hold then
            delete from scheduling.allocations where tenant_id = tenant and appointment_id = visit_id;
        end if;
        new_key := nextval('scheduling.visit_keys');
        if is_shared and visit.availability_slot_id is not null then
            -- The slot had one place when the others came.
            update scheduling.allocations set shared_slot_id = slot_id
            where tenant_id = tenant and slot_id = slot_of_visit and slot_start_at = slot_begin
                and shared_slot_id is null;
        end if;
        insert into scheduling.allocations (tenant_id, visit_key, doctor_id, resource_id, start_at, end_at,
            appointment_id, appointment_step_id, hold_id, slot_id, slot_start_at, shared_slot_id)
        with buffers as (
            select make_interval(mins => buffer_before_minutes) as before,
                make_interval(mins => buffer_after_minutes) as after
            from scheduling.service_offerings where tenant_id = tenant and id = visit.service_offering_id
        ), step as (
            select step.id, step.resources, step.is_over, step.end_at,
                step.start_at - scheduling.preparation_of(planned.requires_preparation, planned.meta) as start_at,
                coalesce((
                    select bool_or(need.kind = 'doctor') from scheduling.workflow_step_needs need
                    where need.tenant_id = planned.tenant_id and need.workflow_step_id = planned.id
                ), true) as has_doctor
            from scheduling.steps_that_take_time(tenant, visit_id, is_hold) step
            join scheduling.workflow_steps planned
                on planned.tenant_id = tenant and planned.id = step.workflow_step_id
        ), use_of_the_doctor as (
            select step.id, step.start_at, step.end_at from step where has_doctor
            union all
            select null, visit.start_at, visit.end_at
            where not exists (select from step)  -- none was written, or all are off
        ), use_of_a_resource as (
            select step.id, resource.id as resource_id, resource.doctor_id, step.start_at, step.end_at
            from step join scheduling.resources resource
                on resource.tenant_id = tenant and resource.id = any (step.resources)
            where not step.is_over
        ), taken as (
            select visit.doctor_id, null::bigint as resource_id, used.id,
                used.start_at - case when row_number() over (order by used.start_at, used.id) = 1
                    then buffers.before else interval '0' end as start_at,
                used.end_at + case when row_number() over (order by used.end_at desc, used.id desc) = 1
                    then buffers.after else interval '0' end as end_at
            from use_of_the_doctor used cross join buffers
            union all
            select null, resource_id, id, start_at, end_at from use_of_a_resource
            union all
            select doctor_id, null, id, start_at, end_at from use_of_a_resource where doctor_id is not null
        )
        select tenant, new_key, taken.doctor_id, taken.resource_id, taken.start_at, taken.end_at,
            case when not is_hold then visit_id end, taken.id, case when is_hold then visit_id end,
            slot_of_visit, slot_begin, case when is_shared then slot_of_visit end
        from taken;
        -- Slots of two months may have one id.
        if is_shared and exists (
            select from scheduling.allocations own
            join scheduling.allocations other
                on other.tenant_id = tenant and other.doctor_id = own.doctor_id
                and other.shared_slot_id = own.shared_slot_id and other.slot_start_at <> own.slot_start_at
                and tstzrange(other.start_at, other.end_at) && tstzrange(own.start_at, own.end_at)
            where own.tenant_id = tenant and own.visit_key = new_key and own.slot_start_at = slot_begin
        ) then
            raise exception 'another slot of the same id has the doctor then: choose another slot'
                using errcode = 'exclusion_violation', schema = 'scheduling', table = 'allocations',
                    constraint = 'a_doctor_is_taken_once_at_a_time';
        end if;
        -- Those who share a slot share its time only: beyond it, the doctor would be with two at once.
        if is_shared and exists (
            select from scheduling.allocations taken
            join scheduling.service_offerings offering
                on offering.tenant_id = tenant and offering.id = visit.service_offering_id
            where taken.tenant_id = tenant and taken.visit_key = new_key and taken.doctor_id = visit.doctor_id
                and taken.appointment_id is not distinct from case when not is_hold then visit_id end
                and taken.hold_id is not distinct from case when is_hold then visit_id end
                and (taken.start_at < slot_begin - make_interval(mins => offering.buffer_before_minutes)
                    or taken.end_at > slot_end + make_interval(mins => offering.buffer_after_minutes))
        ) then
            raise exception 'an appointment on a slot with several places takes its doctor beyond the slot:'
                ' it must end with the slot' using errcode = 'check_violation', schema = 'scheduling',
                    table = 'appointments', constraint = 'a_doctor_is_shared_within_the_slot';
        end if;
    end $$;

    comment on function scheduling.allocate(uuid, bigint, boolean) is
        'Writes the allocations of an appointment or a hold anew, from itself, its steps and its offering.';

    create function scheduling.count_places(
        tenant uuid, slot_id bigint, slot_start timestamptz, takes boolean, may_exceed boolean)
    returns void
    language plpgsql set search_path = pg_catalog, pg_temp
    as $$
    declare
        slot record;
        places integer;
        held integer;
    begin
        select capacity, booked_count, status into slot from scheduling.availability_slots
        where tenant_id = tenant and id = slot_id and start_at = slot_start for no key update;
        if not found then
            return;  -- the slot is deleted in this transaction
        end if;
        places := count(*) from scheduling.appointments
            where tenant_id = tenant and availability_slot_id = slot_id and slot_start_at = slot_start
                and scheduling.takes_time(status);
        held := count(*) from scheduling.holds
            where tenant_id = tenant and availability_slot_id = slot_id and slot_start_at = slot_start
                and ends_at > scheduling.clock();
        if takes and slot.status = 'cancelled' then
            raise exception 'slot % was cancelled: nobody can be booked on it; choose another slot', slot_id
                using errcode = 'check_violation', schema = 'scheduling', table = 'availability_slots',
                    constraint = 'a_cancelled_slot_takes_no_visit';
        end if;
        if takes and places + held > slot.capacity and (held > 0 or not may_exceed) then
            raise exception 'slot % is full: all its places are booked or held; choose another slot', slot_id
                using errcode = 'check_violation', schema = 'scheduling', table = 'availability_slots',
                    constraint = 'a_slot_is_booked_within_its_capacity';
        end if;
        update scheduling.availability_slots
        set booked_count = least(places, capacity),
            status = case
                when status = 'cancelled' then status
                when places >= capacity then 'booked'
                when status = 'booked' then 'open'
                else status
            end,
            reserved_until = case when places < capacity then reserved_until end
        where tenant_id = tenant and id = slot_id and start_at = slot_start;
    end $$;

    comment on function scheduling.count_places(uuid, bigint, timestamptz, boolean, boolean) is
        'Counts the places that appointments take of a slot, under its lock; when one takes a place, refuses more than'
        ' its capacity, live holds included. One that may exceed it is refused while a hold is live.';

    create function scheduling.lock_what_is_taken() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp
    as $$
    declare
        takes constant boolean := tg_op <> 'DELETE' and scheduling.takes_time(new.status);
        took constant boolean := tg_op <> 'INSERT' and scheduling.takes_time(old.status);
        tenant constant uuid := coalesce(new.tenant_id, old.tenant_id);
    begin
        if takes then
            perform from scheduling.patients where tenant_id = tenant and id = new.patient_id for no key update;
            perform scheduling.lock_doctors_and_resources(tenant, new.doctor_id, array(
                select resource_id from scheduling.appointment_steps step
                join scheduling.appointment_step_resources used
                    on used.tenant_id = step.tenant_id and used.appointment_step_id = step.id
                where step.tenant_id = tenant and step.appointment_id = new.id
            ));
        end if;
        perform from scheduling.availability_slots
        where tenant_id = tenant
            and id in (
                case when takes then new.availability_slot_id end,
                case when took then old.availability_slot_id end
            )
            and start_at in (case when takes then new.slot_start_at end, case when took then old.slot_start_at end)
        order by start_at, id for no key update;
        return coalesce(new, old);
    end $$;

    comment on function scheduling.lock_what_is_taken() is
        'Locks patient, doctor, resources and slots, in this order, before an appointment takes, moves or frees time.';

    create function scheduling.follow_appointment() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp
    as $$
    declare
        takes constant boolean := tg_op <> 'DELETE' and scheduling.takes_time(new.status);
        took constant boolean := tg_op <> 'INSERT' and scheduling.takes_time(old.status);
        is_elsewhere constant boolean := (new.availability_slot_id, new.slot_start_at)
            is distinct from (old.availability_slot_id, old.slot_start_at);
        may_exceed boolean := tg_op <> 'DELETE' and 'places' = any (new.override_rules);
        might_exceed constant boolean := tg_op <> 'INSERT' and 'places' = any (old.override_rules);
    begin
        if took and old.availability_slot_id is not null and (not takes or is_elsewhere) then
            perform scheduling.count_places(
                old.tenant_id, old.availability_slot_id, old.slot_start_at, takes => false, may_exceed => false);
        end if;
        -- One that is restored has its place again, unless a visit took it that does not lie beyond the places.
        if takes and tg_op = 'UPDATE' and not took and not is_elsewhere and not may_exceed then
            select count(other.id) < slot.capacity into may_exceed
            from scheduling.availability_slots slot
            left join scheduling.appointments other
                on other.tenant_id = slot.tenant_id and other.availability_slot_id = slot.id
                and other.slot_start_at = slot.start_at and other.id <> new.id
                and scheduling.takes_time(other.status) and not 'places' = any (other.override_rules)
            where slot.tenant_id = new.tenant_id and slot.id = new.availability_slot_id
                and slot.start_at = new.slot_start_at
            group by slot.capacity;
        end if;
        -- also for one that loses its override
        if takes and new.availability_slot_id is not null
            and (not took or is_elsewhere or might_exceed and not may_exceed)
        then
            perform scheduling.count_places(
                new.tenant_id, new.availability_slot_id, new.slot_start_at, takes => true, may_exceed => may_exceed);
        end if;
        -- A deleted slot changes no allocation.
        if tg_op <> 'DELETE' and (
            takes <> took
            or takes and (new.doctor_id, new.service_offering_id, new.start_at, new.end_at)
                is distinct from (old.doctor_id, old.service_offering_id, old.start_at, old.end_at)
            -- an appointment that is over may forget its slot, so that the month of the slot can be detached
            or takes and is_elsewhere and (
                new.availability_slot_id is not null or new.end_at > scheduling.clock() and exists (
                    select from scheduling.availability_slots
                    where tenant_id = old.tenant_id and id = old.availability_slot_id and start_at = old.slot_start_at
                )
            )
        ) then
            perform scheduling.allocate(new.tenant_id, new.id, is_hold => false);
        end if;
        return null;
    end $$;

    comment on function scheduling.follow_appointment() is
        'Lets the allocations of an appointment and the counts of its slots follow from it.';

    create function scheduling.follow_steps() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp
    as $$
    declare
        visit record;
    begin
        if tg_op = 'UPDATE' then
            -- A step that is over or off frees what it took. Other times stay as they were: buffers and needs that
            -- have changed since the booking would make it impossible to finish a visit.
            delete from scheduling.allocations taken
            using changed_rows changed
            where taken.tenant_id = changed.tenant_id and taken.appointment_step_id = changed.id
                and (changed.status = 'completed' and taken.resource_id is not null
                    or not scheduling.takes_time(changed.status));
            for visit in
                select distinct tenant_id, appointment_id as id from (
                    select tenant_id, id, appointment_id, workflow_step_id, scheduled_start_at, scheduled_end_at
                    from changed_rows where scheduling.takes_time(status)
                    except
                    select tenant_id, id, appointment_id, workflow_step_id, scheduled_start_at, scheduled_end_at
                    from old_rows where scheduling.takes_time(status)
                ) new_use
                union
                select tenant_id, appointment_id from old_rows former
                where scheduling.takes_time(status) and not exists (
                    select from scheduling.appointment_steps step
                    where step.tenant_id = former.tenant_id and step.appointment_id = former.appointment_id
                        and scheduling.takes_time(step.status)
                )
                order by 1, 2
            loop
                perform scheduling.allocate(visit.tenant_id, visit.id, is_hold => false);
            end loop;
        else
            for visit in select distinct tenant_id, appointment_id as id from changed_rows order by 1, 2 loop
                perform scheduling.allocate(visit.tenant_id, visit.id, is_hold => false);
            end loop;
        end if;
        return null;
    end $$;

    comment on function scheduling.follow_steps() is
        'Lets the allocations of appointments follow from their steps, once a statement.';

    create function scheduling.follow_step_resources() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp
    as $$
    declare
        visit record;
    begin
        for visit in
            select distinct step.tenant_id, step.appointment_id as id
            from changed_rows changed join scheduling.appointment_steps step
                on step.tenant_id = changed.tenant_id and step.id = changed.appointment_step_id
            order by 1, 2
        loop
            perform scheduling.allocate(visit.tenant_id, visit.id, is_hold => false);
        end loop;
        return null;
    end $$;

    comment on function scheduling.follow_step_resources() is
        'Lets the allocations of appointments follow from the resources of their steps, once a statement.';

    create function scheduling.refuse_another_person() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp
    as $$ begin
        if exists (
            select from scheduling.allocations
            where tenant_id = new.tenant_id and resource_id = new.id and end_at > scheduling.clock()
        ) then
            raise exception 'cannot change the doctor of a resource while visits or holds use it: add another resource'
                using errcode = 'check_violation', schema = 'scheduling', table = 'resources',
                    constraint = 'a_resource_in_use_stays_the_same_person';
        end if;
        return new;
    end $$;

    comment on function scheduling.refuse_another_person() is
        'Refuses to make a resource another doctor while visits or holds use it, which take the first doctor.';

    create function scheduling.refuse_steps_beyond_their_visit() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp
    as $$
    declare
        row_after constant jsonb := to_jsonb(new);
        visit constant bigint := coalesce(row_after ->> 'appointment_id', row_after ->> 'id')::bigint;
    begin
        if exists (
            select from scheduling.appointments appointment
            join scheduling.appointment_steps step
                on step.tenant_id = appointment.tenant_id and step.appointment_id = appointment.id
            where appointment.tenant_id = new.tenant_id and appointment.id = visit
                and scheduling.takes_time(appointment.status) and scheduling.takes_time(step.status)
                and (step.scheduled_start_at < appointment.start_at or step.scheduled_end_at > appointment.end_at)
        ) then
            raise exception 'a step of an appointment lies beyond it: move the steps in the same transaction'
                using errcode = 'check_violation', schema = 'scheduling', table = 'appointment_steps',
                    constraint = 'the_steps_of_an_appointment_lie_within_it';
        end if;
        return null;
    end $$;

    comment on function scheduling.refuse_steps_beyond_their_visit() is
        'Refuses, at the end of the transaction, an appointment that moved without its steps, which take the doctor.';

    create function scheduling.lock_visit_of_step() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp
    as $$
    declare
        doctor bigint;
    begin
        select doctor_id into doctor from scheduling.appointments
        where tenant_id = old.tenant_id and id = old.appointment_id for no key update;
        if found then  -- else the visit goes, too
            perform scheduling.lock_doctors_and_resources(old.tenant_id, doctor, array(
                select resource_id from scheduling.appointment_steps step
                join scheduling.appointment_step_resources used
                    on used.tenant_id = step.tenant_id and used.appointment_step_id = step.id
                where step.tenant_id = old.tenant_id and step.appointment_id = old.appointment_id
            ));
        end if;
        return old;
    end $$;

    comment on function scheduling.lock_visit_of_step() is
        'Locks a visit, its doctor and its resources before a step goes, with which its allocations go.';

    create function scheduling.refuse_changed_step_resources() returns trigger
    language plpgsql set search_path = pg_catalog, pg_temp
    as $$ begin
        raise exception 'cannot change a resource of a step: delete the row, and insert another'
            using errcode = 'check_violation', schema = 'scheduling', table = 'appointment_step_resources',
                constraint = 'the_resources_of_a_step_are_replaced';
    end $$;

    comment on function scheduling.refuse_changed_step_resources() is
        'Refuses to change which resource a row names: both of its columns are its key.';

    create function scheduling.lock_what_is_held() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp
    as $$ begin
        perform scheduling.lock_doctors_and_resources(new.tenant_id, new.doctor_id, array(
            select distinct unnest(step.resources)
            from jsonb_to_recordset(
                case jsonb_typeof(new.steps) when 'array' then new.steps else '[]' end
            ) as step(resources bigint[])
        ));
        return new;
    end $$;

    comment on function scheduling.lock_what_is_held() is
        'Locks doctors and resources before a hold takes time; its slot is locked when its places are counted.';

    create function scheduling.follow_hold() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp
    as $$ begin
        perform scheduling.count_places(
            new.tenant_id, new.availability_slot_id, new.slot_start_at, takes => true, may_exceed => false);
        if tg_op = 'INSERT' then
            perform scheduling.allocate(new.tenant_id, new.id, is_hold => true);
        end if;
        return null;
    end $$;

    comment on function scheduling.follow_hold() is
        'Lets the allocations of a hold follow from it, and counts its place; a hold changes in nothing but its end.';

    create function scheduling.refuse_changed_hold() returns trigger
    language plpgsql set search_path = pg_catalog, pg_temp
    as $$ begin
        raise exception 'a hold changes in its end and token only: release it, and hold another visit'
            using errcode = 'check_violation', schema = 'scheduling', table = 'holds',
                constraint = 'a_hold_changes_in_its_end_only';
    end $$;

    comment on function scheduling.refuse_changed_hold() is
        'Refuses to change what a hold takes: its allocations were written when it began.';

    create function scheduling.follow_capacity() returns trigger
    language plpgsql security definer set search_path = pg_catalog, pg_temp
    as $$ begin
        if new.capacity > old.capacity then  -- visits that had no place get one
            new.booked_count := least(new.capacity, (
                select count(*) from scheduling.appointments
                where tenant_id = new.tenant_id and availability_slot_id = new.id and slot_start_at = new.start_at
                    and scheduling.takes_time(status)
            ));
        end if;
        if new.status in ('open', 'booked') then
            new.status := case when new.booked_count < new.capacity then 'open' else 'booked' end;
        end if;
        return new;
    end $$;

    comment on function scheduling.follow_capacity() is
        'Counts the visits of a slot that gets more places. Opens or closes a slot, also one that was cancelled, by its'
        ' count.';

    create trigger a_slot_is_booked_up_to_its_capacity before update of capacity, status
        on scheduling.availability_slots for each row when (new.booked_count > 0 and (
            new.capacity <> old.capacity or old.status = 'cancelled' and new.status in ('open', 'booked')
        )) execute function scheduling.follow_capacity();
    """)
    for function in CALLED_BY_THE_TRIGGERS:
        op.execute(f"""
        revoke all on function scheduling.{function} from public;
        grant execute on function scheduling.{function} to scheduler_definer;
        """)
    for function in DEFINERS:
        op.execute(f"call identity.set_definer_owner('scheduling.{function}()')")
    op.execute("""
    -- Also for an update to the same values: a later statement of its transaction, about a step, locks the same, and a
    -- booking of the patient that came between would wait for this row while it holds the doctor.
    create trigger what_an_appointment_takes_is_locked before insert or delete or update of patient_id, doctor_id,
        service_offering_id, start_at, end_at, availability_slot_id, slot_start_at, status, override_rules
        on scheduling.appointments for each row execute function scheduling.lock_what_is_taken();

    create trigger allocations_and_places_follow after insert or update or delete on scheduling.appointments
        for each row execute function scheduling.follow_appointment();

    create trigger a_resource_in_use_stays_the_same_person before update of doctor_id on scheduling.resources
        for each row when (new.doctor_id is distinct from old.doctor_id and new.doctor_id is not null)
        execute function scheduling.refuse_another_person();

    create constraint trigger the_steps_of_an_appointment_lie_within_it
        after update of start_at, end_at on scheduling.appointments deferrable initially deferred
        for each row execute function scheduling.refuse_steps_beyond_their_visit();

    create constraint trigger the_steps_of_an_appointment_lie_within_it
        after insert or update of appointment_id, scheduled_start_at, scheduled_end_at on scheduling.appointment_steps
        deferrable initially deferred
        for each row execute function scheduling.refuse_steps_beyond_their_visit();

    create trigger what_a_step_takes_is_locked before delete on scheduling.appointment_steps
        for each row execute function scheduling.lock_visit_of_step();

    create trigger the_resources_of_a_step_are_replaced before update on scheduling.appointment_step_resources
        for each row when (new.appointment_step_id <> old.appointment_step_id or new.resource_id <> old.resource_id)
        execute function scheduling.refuse_changed_step_resources();

    create trigger a_hold_changes_in_its_end_only before update of facility_id, doctor_id,
        service_offering_id, service_workflow_id, availability_slot_id, slot_start_at, slot_end_at, slot_offering_id,
        start_at, end_at, steps on scheduling.holds for each row execute function scheduling.refuse_changed_hold();

    create trigger what_a_hold_takes_is_locked before insert on scheduling.holds
        for each row execute function scheduling.lock_what_is_held();

    create trigger allocations_and_places_follow after insert or update of ends_at on scheduling.holds
        for each row execute function scheduling.follow_hold();
    """)
    for kind, rows in KINDS.items():
        op.execute(f"""
        create trigger allocations_follow_{kind}s after {kind} on scheduling.appointment_steps referencing {rows}
            for each statement execute function scheduling.follow_steps();
        """)
        if kind != "update":
            op.execute(f"""
            create trigger allocations_follow_{kind}s after {kind} on scheduling.appointment_step_resources
                referencing {rows} for each statement execute function scheduling.follow_step_resources();
            """)


def downgrade() -> None:
    for kind in KINDS:
        op.execute(f"drop trigger allocations_follow_{kind}s on scheduling.appointment_steps")
        if kind != "update":
            op.execute(f"drop trigger allocations_follow_{kind}s on scheduling.appointment_step_resources")
    op.execute("""
    drop trigger allocations_and_places_follow on scheduling.holds;
    drop trigger what_a_hold_takes_is_locked on scheduling.holds;
    drop trigger a_hold_changes_in_its_end_only on scheduling.holds;
    drop trigger the_resources_of_a_step_are_replaced on scheduling.appointment_step_resources;
    drop trigger what_a_step_takes_is_locked on scheduling.appointment_steps;
    drop trigger the_steps_of_an_appointment_lie_within_it on scheduling.appointment_steps;
    drop trigger the_steps_of_an_appointment_lie_within_it on scheduling.appointments;
    drop trigger a_resource_in_use_stays_the_same_person on scheduling.resources;
    drop function scheduling.refuse_changed_hold();
    drop function scheduling.follow_hold();
    drop function scheduling.lock_what_is_held();
    drop function scheduling.refuse_changed_step_resources();
    drop function scheduling.lock_visit_of_step();
    drop function scheduling.refuse_steps_beyond_their_visit();
    drop function scheduling.refuse_another_person();
    drop function scheduling.follow_step_resources();
    drop trigger allocations_and_places_follow on scheduling.appointments;
    drop trigger what_an_appointment_takes_is_locked on scheduling.appointments;
    drop trigger a_slot_is_booked_up_to_its_capacity on scheduling.availability_slots;
    drop function scheduling.follow_capacity();
    drop function scheduling.follow_steps();
    drop function scheduling.follow_appointment();
    drop function scheduling.lock_what_is_taken();
    drop function scheduling.count_places(uuid, bigint, timestamptz, boolean, boolean);
    drop function scheduling.allocate(uuid, bigint, boolean);
    drop function scheduling.steps_that_take_time(uuid, bigint, boolean);
    drop function scheduling.lock_doctors_and_resources(uuid, bigint, bigint[]);
    drop function scheduling.preparation_of(boolean, jsonb);
    drop function scheduling.takes_time(text);
    """)
    for table, columns in LOCKED.items():
        op.execute(f"""
        drop policy the_definer_locks_what_is_taken on scheduling.{table};
        revoke update ({columns}) on scheduling.{table} from scheduler_definer;
        """)
    for table, columns in READ.items():
        op.execute(f"""
        drop policy the_definer_reads_what_takes_time on scheduling.{table};
        revoke select ({columns}) on scheduling.{table} from scheduler_definer;
        """)
    op.execute("""
    drop table scheduling.allocations, scheduling.holds;
    drop function scheduling.clock();
    drop sequence scheduling.visit_keys;
    """)
