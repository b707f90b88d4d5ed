"""Wellbeing activity: the sessions of children, their responses, garden items, stickers and alerts.

A child goes through a session and answers its questions; it plants a garden, earns stickers, and an answer may raise an
alert. The rights of each role:

                the child itself      practitioners, group contacts   the system
  session       all but delete        see                             everything
  response      write and see         see                             everything
  garden item   everything            see                             everything
  sticker       see                   see                             awards
  alert         nothing at all        see and work on                 raises

Accounts look after the platform, not after children: they see none of this. The policies of the specification let
anybody award a sticker, and ask for no role where alerts are read: both is put right here. A response is about the
child of its session, a sticker about the child of its session, an alert about the child of its session and response:
each of these keys carries the child, so that no role whatever can write anything else.

A child is of the organisation that its tenant is, so the tenant of a row says whether it belongs to the organisation of
a practitioner, without a look at the child. An operation that no policy allows to anybody is not granted either: then
it is refused with an error and not with silence.

All of it goes with the child. A session that a sticker or an alert came of stays (the specification says so).

An alert is signed. It names who acknowledged and who resolved it, and when; a resolved alert names both. Nobody but the
system signs for somebody else, takes away the signature of another, or changes its instant. A user may take back the
own signature.
"""

from alembic import op

revision = "20261126001300"
down_revision = "20261126001200"
branch_labels = None
depends_on = None

OF_A_CHILD = ("wellbeing_sessions", "wellbeing_responses", "garden_items", "stickers_earned")


def upgrade() -> None:
    op.execute("""
    create table wellbeing.wellbeing_sessions (
        tenant_id uuid not null,
        id uuid not null default gen_random_uuid(),
        child_id uuid not null,
        session_type text not null,
        status text not null default 'in_progress',
        started_at timestamptz not null default now(),
        completed_at timestamptz,
        duration_seconds integer,
        activities_completed text[] default '{}',
        overall_mood integer,
        notes text,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        constraint wellbeing_sessions_pkey primary key (tenant_id, id),
        -- what comes of a session points here, and so cannot be about another child
        constraint a_session_is_of_one_child unique (tenant_id, id, child_id),
        -- stops a session of nobody; it goes with its child
        constraint wellbeing_sessions_child_id_fkey foreign key (tenant_id, child_id)
            references wellbeing.children (tenant_id, id) on delete cascade,
        -- stops a type that no code knows
        constraint a_session_has_a_known_type
            check (session_type in ('daily_checkin', 'weekly_review', 'monthly_assessment')),
        -- stops a status that no code knows
        constraint a_session_has_a_known_status check (status in ('in_progress', 'completed', 'abandoned')),
        -- stops a session that ends before it begins
        constraint the_duration_of_a_session_is_not_negative check (duration_seconds >= 0),
        -- stops a mood that is on no scale
        constraint a_mood_is_from_1_to_5 check (overall_mood between 1 and 5),
        -- stops 'infinity' and the year 10000, which the driver cannot read
        constraint its_times_are_in_the_calendar check (
            started_at >= '0001-01-03 00:00+00' and started_at < '9999-12-29 00:00+00'
            and completed_at >= '0001-01-03 00:00+00' and completed_at < '9999-12-29 00:00+00'
            and created_at >= '0001-01-03 00:00+00' and created_at < '9999-12-29 00:00+00'
            and updated_at >= '0001-01-03 00:00+00' and updated_at < '9999-12-29 00:00+00'
        )
    );

    comment on table wellbeing.wellbeing_sessions is 'A check-in of a child.';

    create index wellbeing_sessions_child_id_created_at_idx
        on wellbeing.wellbeing_sessions (tenant_id, child_id, created_at desc);

    create table wellbeing.wellbeing_responses (
        tenant_id uuid not null,
        id uuid not null default gen_random_uuid(),
        session_id uuid not null,
        child_id uuid not null,
        activity_type text not null,
        question_key text not null,
        question_text text,
        response_type text not null,
        response_value jsonb not null,
        response_score integer,
        flags text[] default '{}',
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        constraint wellbeing_responses_pkey primary key (tenant_id, id),
        -- what comes of a response points here, and so cannot be about another child
        constraint a_response_is_of_one_child unique (tenant_id, id, child_id),
        -- stops a response outside a session, and one of another child than the session's; it goes with the session
        constraint wellbeing_responses_session_id_child_id_fkey foreign key (tenant_id, session_id, child_id)
            references wellbeing.wellbeing_sessions (tenant_id, id, child_id) on delete cascade,
        -- stops a response of nobody; it goes with its child
        constraint wellbeing_responses_child_id_fkey foreign key (tenant_id, child_id)
            references wellbeing.children (tenant_id, id) on delete cascade,
        -- stops an activity that no code knows
        constraint a_response_is_to_a_known_activity check (activity_type in
            ('mood_wheel', 'emotion_wheel', 'garden_activity', 'reflection_question', 'worry_space')),
        -- stops a value that no code can read
        constraint a_response_has_a_known_type
            check (response_type in ('scale', 'multiple_choice', 'text', 'emoji', 'drawing')),
        -- stops 'infinity' and the year 10000, which the driver cannot read
        constraint its_times_are_in_the_calendar check (
            created_at >= '0001-01-03 00:00+00' and created_at < '9999-12-29 00:00+00'
            and updated_at >= '0001-01-03 00:00+00' and updated_at < '9999-12-29 00:00+00'
        )
    );

    comment on table wellbeing.wellbeing_responses is 'What a child answered in a session.';

    create index wellbeing_responses_session_id_child_id_idx
        on wellbeing.wellbeing_responses (tenant_id, session_id, child_id);
    create index wellbeing_responses_child_id_idx on wellbeing.wellbeing_responses (tenant_id, child_id);

    create table wellbeing.garden_items (
        tenant_id uuid not null,
        id uuid not null default gen_random_uuid(),
        child_id uuid not null,
        item_type text not null,
        item_name text not null,
        item_category text,
        position_x integer default 0,
        position_y integer default 0,
        size_scale numeric default 1.0,
        rotation integer default 0,
        color_scheme text,
        is_unlocked boolean default true,
        unlock_condition text,
        earned_at timestamptz,
        placed_at timestamptz default now(),
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        constraint garden_items_pkey primary key (tenant_id, id),
        -- stops an item in nobody's garden; it goes with its child
        constraint garden_items_child_id_fkey foreign key (tenant_id, child_id)
            references wellbeing.children (tenant_id, id) on delete cascade,
        -- stops an item that nothing can draw
        constraint a_garden_item_has_a_known_type
            check (item_type in ('flower', 'tree', 'decoration', 'character')),
        -- stops 'infinity' and the year 10000, which the driver cannot read
        constraint its_times_are_in_the_calendar check (
            earned_at >= '0001-01-03 00:00+00' and earned_at < '9999-12-29 00:00+00'
            and placed_at >= '0001-01-03 00:00+00' and placed_at < '9999-12-29 00:00+00'
            and created_at >= '0001-01-03 00:00+00' and created_at < '9999-12-29 00:00+00'
            and updated_at >= '0001-01-03 00:00+00' and updated_at < '9999-12-29 00:00+00'
        )
    );

    comment on table wellbeing.garden_items is 'What a child has in its garden.';

    create index garden_items_child_id_idx on wellbeing.garden_items (tenant_id, child_id);

    create table wellbeing.stickers_earned (
        tenant_id uuid not null,
        id uuid not null default gen_random_uuid(),
        child_id uuid not null,
        sticker_type text not null,
        sticker_name text not null,
        sticker_description text,
        earned_for text not null,
        session_id uuid,
        earned_at timestamptz not null default now(),
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        constraint stickers_earned_pkey primary key (tenant_id, id),
        -- stops a sticker of nobody; it goes with its child
        constraint stickers_earned_child_id_fkey foreign key (tenant_id, child_id)
            references wellbeing.children (tenant_id, id) on delete cascade,
        -- stops a sticker for another child's session, and deleting what a sticker was earned for
        constraint stickers_earned_session_id_child_id_fkey foreign key (tenant_id, session_id, child_id)
            references wellbeing.wellbeing_sessions (tenant_id, id, child_id),
        -- stops 'infinity' and the year 10000, which the driver cannot read
        constraint its_times_are_in_the_calendar check (
            earned_at >= '0001-01-03 00:00+00' and earned_at < '9999-12-29 00:00+00'
            and created_at >= '0001-01-03 00:00+00' and created_at < '9999-12-29 00:00+00'
            and updated_at >= '0001-01-03 00:00+00' and updated_at < '9999-12-29 00:00+00'
        )
    );

    comment on table wellbeing.stickers_earned is 'A sticker that a child earned.';

    create index stickers_earned_child_id_idx on wellbeing.stickers_earned (tenant_id, child_id);
    create index stickers_earned_session_id_child_id_idx on wellbeing.stickers_earned (tenant_id, session_id, child_id);

    create table wellbeing.alerts (
        tenant_id uuid not null,
        id uuid not null default gen_random_uuid(),
        child_id uuid not null,
        alert_type text not null,
        severity text not null,
        title text not null,
        description text not null,
        trigger_data jsonb,
        session_id uuid,
        response_id uuid,
        status text not null default 'unread',
        acknowledged_by uuid,
        acknowledged_at timestamptz,
        resolved_by uuid,
        resolved_at timestamptz,
        resolution_notes text,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        constraint alerts_pkey primary key (tenant_id, id),
        -- stops an alert about nobody; it goes with its child
        constraint alerts_child_id_fkey foreign key (tenant_id, child_id)
            references wellbeing.children (tenant_id, id) on delete cascade,
        -- these two stop an alert about another child's session or answer, and deleting what raised it
        constraint alerts_session_id_child_id_fkey foreign key (tenant_id, session_id, child_id)
            references wellbeing.wellbeing_sessions (tenant_id, id, child_id),
        constraint alerts_response_id_child_id_fkey foreign key (tenant_id, response_id, child_id)
            references wellbeing.wellbeing_responses (tenant_id, id, child_id),
        -- these two stop somebody of another tenant, and deleting who answers for what was done
        constraint alerts_acknowledged_by_fkey foreign key (tenant_id, acknowledged_by)
            references wellbeing.profiles (tenant_id, id),
        constraint alerts_resolved_by_fkey foreign key (tenant_id, resolved_by)
            references wellbeing.profiles (tenant_id, id),
        -- stops a type that no code knows
        constraint an_alert_has_a_known_type check (alert_type in
            ('safeguarding', 'wellbeing_decline', 'engagement_drop', 'positive_change')),
        -- stops a severity that sorts nowhere
        constraint an_alert_has_a_known_severity check (severity in ('low', 'medium', 'high', 'urgent')),
        -- stops a status that no code knows
        constraint an_alert_has_a_known_status
            check (status in ('unread', 'acknowledged', 'resolved', 'escalated')),
        -- stops a worry that is over, and nobody can say who ended it, or when
        constraint an_alert_that_is_resolved_says_when_and_by_whom
            check (status <> 'resolved' or resolved_at is not null and resolved_by is not null),
        -- stops 'infinity' and the year 10000, which the driver cannot read
        constraint its_times_are_in_the_calendar check (
            acknowledged_at >= '0001-01-03 00:00+00' and acknowledged_at < '9999-12-29 00:00+00'
            and resolved_at >= '0001-01-03 00:00+00' and resolved_at < '9999-12-29 00:00+00'
            and created_at >= '0001-01-03 00:00+00' and created_at < '9999-12-29 00:00+00'
            and updated_at >= '0001-01-03 00:00+00' and updated_at < '9999-12-29 00:00+00'
        )
    );

    comment on table wellbeing.alerts is 'That a child may need somebody; never shown to the child.';

    create index alerts_child_id_status_idx on wellbeing.alerts (tenant_id, child_id, status);
    create index alerts_severity_created_at_idx on wellbeing.alerts (tenant_id, severity, created_at desc);
    create index alerts_session_id_child_id_idx on wellbeing.alerts (tenant_id, session_id, child_id);
    create index alerts_response_id_child_id_idx on wellbeing.alerts (tenant_id, response_id, child_id);
    create index alerts_acknowledged_by_idx on wellbeing.alerts (tenant_id, acknowledged_by);
    create index alerts_resolved_by_idx on wellbeing.alerts (tenant_id, resolved_by);
    """)
    op.execute("""
    call identity.secure_table('wellbeing.wellbeing_sessions',
        array['session_type', 'duration_seconds'], by_role => true);
    call identity.secure_table('wellbeing.wellbeing_responses',
        array['activity_type', 'response_type'], by_role => true);
    call identity.secure_table('wellbeing.garden_items',
        array['item_type', 'position_x', 'position_y', 'size_scale', 'rotation', 'is_unlocked'], by_role => true);
    call identity.secure_table('wellbeing.stickers_earned', array['sticker_type'], by_role => true);
    call identity.secure_table('wellbeing.alerts', by_role => true);
    -- What a child told stays told: a session that is deleted would take its answers along, and one that cannot be
    -- deleted would tell the child that there is an alert about it.
    revoke delete on wellbeing.wellbeing_sessions from scheduler_app;
    revoke update, delete on wellbeing.wellbeing_responses from scheduler_app;
    revoke insert, update, delete on wellbeing.stickers_earned from scheduler_app;
    revoke insert, delete on wellbeing.alerts from scheduler_app;

    create policy children_manage_their_own_sessions on wellbeing.wellbeing_sessions
        to scheduler_app
        using ((select identity.current_role_name()) = 'Child' and child_id = (select identity.current_user_id()));
    create policy children_write_their_own_responses on wellbeing.wellbeing_responses
        for insert to scheduler_app
        with check ((select identity.current_role_name()) = 'Child'
            and child_id = (select identity.current_user_id()));
    create policy children_see_their_own_responses on wellbeing.wellbeing_responses
        for select to scheduler_app
        using ((select identity.current_role_name()) = 'Child' and child_id = (select identity.current_user_id()));
    create policy children_manage_their_own_garden on wellbeing.garden_items
        to scheduler_app
        using ((select identity.current_role_name()) = 'Child' and child_id = (select identity.current_user_id()));
    create policy children_see_their_own_stickers on wellbeing.stickers_earned
        for select to scheduler_app
        using ((select identity.current_role_name()) = 'Child' and child_id = (select identity.current_user_id()));

    -- The definer counts the sessions of organisations, for an Account in any tenant.
    alter policy a_tenant_sees_its_own_rows on wellbeing.wellbeing_sessions
        to scheduler_app, scheduler_job, scheduler_system;
    grant select (tenant_id, child_id, created_at, overall_mood) on wellbeing.wellbeing_sessions to scheduler_definer;
    create policy the_definer_counts_all on wellbeing.wellbeing_sessions
        for select to scheduler_definer using (true);
    """)
    for table in (*OF_A_CHILD, "alerts"):
        op.execute(f"""
        create policy practitioners_see_those_of_their_organisation on wellbeing.{table}
            for select to scheduler_app
            using ((select identity.current_role_name()) in ('Practitioner', 'GroupContact')
                and tenant_id = (select identity.current_organisation_id()));
        """)
    op.execute("""
    create policy practitioners_work_on_those_of_their_organisation on wellbeing.alerts
        for update to scheduler_app
        using ((select identity.current_role_name()) in ('Practitioner', 'GroupContact')
            and tenant_id = (select identity.current_organisation_id()));

    -- stops making another alert of one: who works on it says what was done, not what was found
    create trigger nobody_makes_another_alert_of_one before update on wellbeing.alerts
        for each row execute function wellbeing.system_only_columns(
            'tenant_id', 'id', 'child_id', 'alert_type', 'severity', 'title', 'description', 'trigger_data',
            'session_id', 'response_id', 'created_at');

    create trigger a_session_stays_the_childs before update on wellbeing.wellbeing_sessions
        for each row execute function wellbeing.system_only_columns('tenant_id', 'id', 'child_id', 'created_at');

    create function wellbeing.sign_as_self() returns trigger
    language plpgsql set search_path = pg_catalog, pg_temp
    as $$
    declare
        signer_column text;
        time_column text;
        signed_by uuid;
        signed_by_before uuid;
    begin
        if pg_has_role(current_user, 'scheduler_system', 'usage') then
            return new;
        end if;
        foreach signer_column in array tg_argv loop
            time_column := regexp_replace(signer_column, '_by$', '_at');
            signed_by := to_jsonb(new) ->> signer_column;
            signed_by_before := to_jsonb(old) ->> signer_column;
            if (signed_by is distinct from signed_by_before
                    or to_jsonb(new) -> time_column is distinct from to_jsonb(old) -> time_column)
                and (coalesce(signed_by, identity.current_user_id()) is distinct from identity.current_user_id()
                    or coalesce(signed_by_before, identity.current_user_id())
                        is distinct from identity.current_user_id())
            then
                raise exception '% of %.% is who does it', signer_column, tg_table_schema, tg_table_name using
                    errcode = 'insufficient_privilege', schema = tg_table_schema, table = tg_table_name,
                    column = signer_column;
            end if;
        end loop;
        return new;
    end $$;

    comment on function wellbeing.sign_as_self() is
        'Refuses a change of another''s signature, and one in the name of another, to all but the system.';

    -- stops a practitioner from acknowledging or resolving an alert in the name of another
    create trigger an_alert_is_signed_by_who_sees_to_it before update on wellbeing.alerts
        for each row execute function wellbeing.sign_as_self('acknowledged_by', 'resolved_by');
    """)


def downgrade() -> None:
    op.execute("""
    drop table wellbeing.alerts, wellbeing.stickers_earned, wellbeing.garden_items, wellbeing.wellbeing_responses,
        wellbeing.wellbeing_sessions;
    drop function wellbeing.sign_as_self();
    """)
