"""Wellbeing activity: sessions of children, their responses, garden items, stickers and alerts.

                the child itself      practitioners, group contacts   the system
  session       all but delete        see                             everything
  response      write and see         see                             everything
  garden item   everything            see                             everything
  sticker       see                   see                             awards
  alert         nothing at all        see and work on                 raises

Accounts see none of this, since they administer the platform. Responses, stickers and alerts carry the child in their
keys to session and response, so that no role can attach them to another child. A child belongs to the organisation that
its tenant is, so policies compare the tenant of a row with the user's organisation. An operation that no policy allows
is not granted either, so that it fails with an error. All rows are deleted with the child; a session that a sticker or
an alert references is kept, as the specification says.

A resolved alert says by whom and when. Users sign in their own name only, and take back only their own signature.
"""

from alembic import op

revision = "20261126001300"
down_revision = "20261126001200"

# The instants of each table beside `created_at` and `updated_at`.
INSTANTS = {
    "wellbeing_sessions": ["started_at", "completed_at"],
    "wellbeing_responses": [],
    "garden_items": ["earned_at", "placed_at"],
    "stickers_earned": ["earned_at"],
    "alerts": ["acknowledged_at", "resolved_at"],
}


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
        -- referenced by responses, stickers and alerts, so that they are about the same child
        constraint a_session_is_of_one_child unique (tenant_id, id, child_id),
        -- stops a session without a child; deleted with the child
        constraint wellbeing_sessions_child_id_fkey foreign key (tenant_id, child_id)
            references wellbeing.children (tenant_id, id) on delete cascade,
        -- stops an unknown type
        constraint a_session_has_a_known_type
            check (session_type in ('daily_checkin', 'weekly_review', 'monthly_assessment')),
        -- stops an unknown status
        constraint a_session_has_a_known_status check (status in ('in_progress', 'completed', 'abandoned')),
        -- stops a session that ends before it begins
        constraint the_duration_of_a_session_is_not_negative check (duration_seconds >= 0),
        -- stops a mood outside the scale
        constraint a_mood_is_from_1_to_5 check (overall_mood between 1 and 5)
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
        -- referenced by alerts, so that they are about the same child
        constraint a_response_is_of_one_child unique (tenant_id, id, child_id),
        -- stops a response without a session, or to the session of another child; deleted with the session
        constraint wellbeing_responses_session_id_child_id_fkey foreign key (tenant_id, session_id, child_id)
            references wellbeing.wellbeing_sessions (tenant_id, id, child_id) on delete cascade,
        -- stops a response without a child; deleted with the child
        constraint wellbeing_responses_child_id_fkey foreign key (tenant_id, child_id)
            references wellbeing.children (tenant_id, id) on delete cascade,
        -- stops an unknown activity
        constraint a_response_is_to_a_known_activity check (activity_type in
            ('mood_wheel', 'emotion_wheel', 'garden_activity', 'reflection_question', 'worry_space')),
        -- stops an unknown type of value
        constraint a_response_has_a_known_type
            check (response_type in ('scale', 'multiple_choice', 'text', 'emoji', 'drawing'))
    );

    comment on table wellbeing.wellbeing_responses is 'An answer of a child in a session.';

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
        -- stops an item without a child; deleted with the child
        constraint garden_items_child_id_fkey foreign key (tenant_id, child_id)
            references wellbeing.children (tenant_id, id) on delete cascade,
        -- stops an item that cannot be drawn
        constraint a_garden_item_has_a_known_type check (item_type in ('flower', 'tree', 'decoration', 'character'))
    );

    comment on table wellbeing.garden_items is 'An item in the garden of a child.';

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
        -- stops a sticker without a child; deleted with the child
        constraint stickers_earned_child_id_fkey foreign key (tenant_id, child_id)
            references wellbeing.children (tenant_id, id) on delete cascade,
        -- stops a session of another child, and deleting a session that earned a sticker
        constraint stickers_earned_session_id_child_id_fkey foreign key (tenant_id, session_id, child_id)
            references wellbeing.wellbeing_sessions (tenant_id, id, child_id)
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
        -- stops an alert without a child; deleted with the child
        constraint alerts_child_id_fkey foreign key (tenant_id, child_id)
            references wellbeing.children (tenant_id, id) on delete cascade,
        -- these two stop a session or response of another child, and deleting one that raised an alert
        constraint alerts_session_id_child_id_fkey foreign key (tenant_id, session_id, child_id)
            references wellbeing.wellbeing_sessions (tenant_id, id, child_id),
        constraint alerts_response_id_child_id_fkey foreign key (tenant_id, response_id, child_id)
            references wellbeing.wellbeing_responses (tenant_id, id, child_id),
        -- these two stop a profile of another tenant, and deleting a profile that signed
        constraint alerts_acknowledged_by_fkey foreign key (tenant_id, acknowledged_by)
            references wellbeing.profiles (tenant_id, id),
        constraint alerts_resolved_by_fkey foreign key (tenant_id, resolved_by)
            references wellbeing.profiles (tenant_id, id),
        -- stops an unknown type
        constraint an_alert_has_a_known_type check (alert_type in
            ('safeguarding', 'wellbeing_decline', 'engagement_drop', 'positive_change')),
        -- stops an unknown severity
        constraint an_alert_has_a_known_severity check (severity in ('low', 'medium', 'high', 'urgent')),
        -- stops an unknown status
        constraint an_alert_has_a_known_status check (status in ('unread', 'acknowledged', 'resolved', 'escalated')),
        -- stops a resolved alert without its signature or instant
        constraint an_alert_that_is_resolved_says_when_and_by_whom
            check (status <> 'resolved' or resolved_at is not null and resolved_by is not null)
    );

    comment on table wellbeing.alerts is 'An alert that a child may need help; never shown to the child.';

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
    -- Deleting a session would delete its responses, and a refusal would tell the child that there is an alert.
    revoke delete on wellbeing.wellbeing_sessions from scheduler_app;
    revoke update, delete on wellbeing.wellbeing_responses from scheduler_app;
    revoke insert, update, delete on wellbeing.stickers_earned from scheduler_app;
    revoke insert, delete on wellbeing.alerts from scheduler_app;

    create policy children_manage_their_own_sessions on wellbeing.wellbeing_sessions to scheduler_app
        using ((select identity.current_role_name()) = 'Child' and child_id = (select identity.current_user_id()));
    create policy children_write_their_own_responses on wellbeing.wellbeing_responses for insert to scheduler_app
        with check ((select identity.current_role_name()) = 'Child' and child_id = (select identity.current_user_id()));
    create policy children_see_their_own_responses on wellbeing.wellbeing_responses for select to scheduler_app
        using ((select identity.current_role_name()) = 'Child' and child_id = (select identity.current_user_id()));
    create policy children_manage_their_own_garden on wellbeing.garden_items to scheduler_app
        using ((select identity.current_role_name()) = 'Child' and child_id = (select identity.current_user_id()));
    create policy children_see_their_own_stickers on wellbeing.stickers_earned for select to scheduler_app
        using ((select identity.current_role_name()) = 'Child' and child_id = (select identity.current_user_id()));

    -- The definer counts the sessions of organisations, for an Account in any tenant.
    alter policy a_tenant_sees_its_own_rows on wellbeing.wellbeing_sessions
        to scheduler_app, scheduler_job, scheduler_system;
    grant select (tenant_id, child_id, created_at, overall_mood) on wellbeing.wellbeing_sessions to scheduler_definer;
    create policy the_definer_counts_all on wellbeing.wellbeing_sessions for select to scheduler_definer using (true);
    """)
    for table, instants in INSTANTS.items():
        checks = (
            f"{name} >= '0001-01-03 00:00+00' and {name} < '9999-12-29 00:00+00'"
            for name in (*instants, "created_at", "updated_at")
        )
        # stops 'infinity' and the year 10000, which the driver cannot read
        op.execute(f"""
        alter table wellbeing.{table} add constraint its_times_are_in_the_calendar check ({" and ".join(checks)});
        create policy practitioners_see_those_of_their_organisation on wellbeing.{table} for select to scheduler_app
            using ((select identity.current_role_name()) in ('Practitioner', 'GroupContact')
                and tenant_id = (select identity.current_organisation_id()));
        """)
    op.execute("""
    create policy practitioners_work_on_those_of_their_organisation on wellbeing.alerts for update to scheduler_app
        using ((select identity.current_role_name()) in ('Practitioner', 'GroupContact')
            and tenant_id = (select identity.current_organisation_id()));

    -- stops rewriting an alert: its workers record their actions only
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
                raise exception 'cannot change %.%.%: sign in your own name, and take back your own signature only',
                    tg_table_schema, tg_table_name, signer_column using errcode = 'insufficient_privilege',
                    schema = tg_table_schema, table = tg_table_name, column = signer_column;
            end if;
        end loop;
        return new;
    end $$;

    comment on function wellbeing.sign_as_self() is
        'Lets users change only their own signature, and sign in their own name only; the system is exempt.';

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
