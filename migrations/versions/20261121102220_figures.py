"""Figures: the views of the wellbeing part count what is there, and not what the one who asks may see.

`organization_usage_stats` had the rights of who asks and counted what they saw, which was never what it said: no child
for an Account, one practitioner for a practitioner, nothing at all for a child, and no error. A wrong figure is worse
than none. So `wellbeing.usage_of_organisation` counts as `scheduler_definer`, and whom the figures are for is said in
its own `where`: an Account, a group contact or practitioner of the organisation, and the system in its tenant. It
returns sums and nothing of a row. For everybody else the view has no row, as row security has none for what is not
theirs; nulls would look like an organisation of which nothing is known. The view still has the rights of who asks: who
does not see the organisation does not see its figures.

Of a child `active` means what it means of a practitioner: its profile is active and not deleted. The record was asked
for its own deletion only. Both views ask for it now. Practitioners do not see the profiles of children; so
`wellbeing.has_an_active_profile` looks for them, and tells no more than that, of people of the tenant.

A month has an end: a session that says it will be in a later one is not of this one. Sessions are counted of active
children, as the children are.

For the definer the policies that were there for search hide nothing, and so does that of profiles now, which showed it
who asks: what keeps people apart is the `where` of each of its functions, and the columns that it was granted. The
tenant's policy of sessions names whom it binds, and not the definer, which counts for an Account in any tenant.
"""

from alembic import op

revision = "20261121102220"
down_revision = "20261121102210"
branch_labels = None
depends_on = None

PROGRESS = """
    create or replace view wellbeing.child_progress_summary with (security_invoker) as
    select
        child.tenant_id,
        child.id,
        child.first_name,
        child.org_id,
        coalesce(session.total, 0) as total_sessions,
        coalesce(session.completed, 0) as completed_sessions,
        session.average_mood,
        coalesce(sticker.total, 0) as total_stickers,
        session.last_date as last_session_date,
        coalesce(alert.urgent, 0) as urgent_alerts
    from wellbeing.children as child
    left join (
        select tenant_id, child_id, count(*) as total, count(*) filter (where status = 'completed') as completed,
            avg(overall_mood) as average_mood, max(completed_at) as last_date
        from wellbeing.wellbeing_sessions group by tenant_id, child_id
    ) as session on session.tenant_id = child.tenant_id and session.child_id = child.id
    left join (
        select tenant_id, child_id, count(*) as total
        from wellbeing.stickers_earned group by tenant_id, child_id
    ) as sticker on sticker.tenant_id = child.tenant_id and sticker.child_id = child.id
    left join (
        select tenant_id, child_id, count(*) as urgent
        from wellbeing.alerts where severity in ('high', 'urgent') and status = 'unread' group by tenant_id, child_id
    ) as alert on alert.tenant_id = child.tenant_id and alert.child_id = child.id
    where child.deleted_at is null{and_active};
"""
USAGE = """
    create or replace view wellbeing.organization_usage_stats with (security_invoker) as
    select
        organisation.tenant_id,
        organisation.id,
        organisation.name,
        used.active_children,
        used.active_practitioners,
        used.total_sessions_this_month,
        used.average_mood_this_month
    from wellbeing.organisations as organisation
    cross join lateral wellbeing.usage_of_organisation(organisation.id) as used
    where organisation.deleted_at is null;
"""
USAGE_AS_SEEN = """
    create or replace view wellbeing.organization_usage_stats with (security_invoker) as
    select
        organisation.tenant_id,
        organisation.id,
        organisation.name,
        coalesce(child.total, 0) as active_children,
        coalesce(practitioner.total, 0) as active_practitioners,
        coalesce(session.total, 0) as total_sessions_this_month,
        session.average_mood as average_mood_this_month
    from wellbeing.organisations as organisation
    left join (
        select tenant_id, org_id, count(*) as total
        from wellbeing.children where deleted_at is null group by tenant_id, org_id
    ) as child on child.tenant_id = organisation.tenant_id and child.org_id = organisation.id
    left join (
        select tenant_id, org_id, count(*) as total
        from wellbeing.profiles
        where role in ('Practitioner', 'GroupContact') and status = 'active' and deleted_at is null
        group by tenant_id, org_id
    ) as practitioner on practitioner.tenant_id = organisation.tenant_id and practitioner.org_id = organisation.id
    left join (
        select member.tenant_id, member.org_id, count(*) as total, avg(held.overall_mood) as average_mood
        from wellbeing.wellbeing_sessions as held
        join wellbeing.children as member on member.tenant_id = held.tenant_id and member.id = held.child_id
        where held.created_at >= date_trunc('month', now(), 'UTC') and member.deleted_at is null
        group by member.tenant_id, member.org_id
    ) as session on session.tenant_id = organisation.tenant_id and session.org_id = organisation.id
    where organisation.deleted_at is null;
"""


def upgrade() -> None:
    op.execute("""
    drop policy the_definer_sees_who_asks on wellbeing.profiles;
    create policy the_definer_counts_all on wellbeing.profiles for select to scheduler_definer using (true);

    grant select (tenant_id, child_id, created_at, overall_mood) on wellbeing.wellbeing_sessions to scheduler_definer;
    create policy the_definer_counts_all on wellbeing.wellbeing_sessions
        for select to scheduler_definer using (true);
    alter policy a_tenant_sees_its_own_rows on wellbeing.wellbeing_sessions
        to scheduler_app, scheduler_job, scheduler_system;

    create function wellbeing.has_an_active_profile(person uuid) returns boolean
    language sql stable parallel safe security definer set search_path = pg_catalog, pg_temp
    as $$
        select exists (
            select from wellbeing.profiles
            where tenant_id = identity.current_tenant_id() and id = person and status = 'active' and deleted_at is null
        )
    $$;

    comment on function wellbeing.has_an_active_profile(uuid) is
        'Whether somebody of the tenant has a profile that is active and not deleted.';

    create function wellbeing.usage_of_organisation(organisation uuid)
    returns table (
        active_children bigint, active_practitioners bigint, total_sessions_this_month bigint,
        average_mood_this_month numeric)
    language sql stable parallel safe rows 1 security definer set search_path = pg_catalog, pg_temp
    as $$
        with child as materialized (
            select member.tenant_id, member.id
            from wellbeing.children as member
            join wellbeing.profiles as profile on profile.tenant_id = member.tenant_id and profile.id = member.id
            where member.tenant_id = organisation and member.org_id = organisation and member.deleted_at is null
                and profile.status = 'active' and profile.deleted_at is null
        ), held as (
            select count(*) as total, avg(session.overall_mood) as average_mood
            from child
            join wellbeing.wellbeing_sessions as session
                on session.tenant_id = child.tenant_id and session.child_id = child.id
            where session.created_at >= date_trunc('month', now(), 'UTC')
                and session.created_at
                    < (date_trunc('month', now() at time zone 'UTC') + interval '1 month') at time zone 'UTC'
        )
        select
            (select count(*) from child),
            (select count(*) from wellbeing.profiles
                where tenant_id = organisation and org_id = organisation
                    and role in ('Practitioner', 'GroupContact') and status = 'active' and deleted_at is null),
            held.total,
            held.average_mood
        from held
        where case
            when current_setting('role') = 'scheduler_system' then organisation = identity.current_tenant_id()
            when identity.current_role_name() = 'Account' then true
            else identity.current_role_name() in ('Practitioner', 'GroupContact')
                and organisation = identity.current_organisation_id()
        end
    $$;

    comment on function wellbeing.usage_of_organisation(uuid) is
        'What an organisation uses this month (UTC), for an Account and for those who work there.';

    call identity.give_to_definer('wellbeing.has_an_active_profile(uuid)', 'scheduler_app, scheduler_system');
    call identity.give_to_definer('wellbeing.usage_of_organisation(uuid)', 'scheduler_app, scheduler_system');
    """)
    op.execute(PROGRESS.format(and_active=" and wellbeing.has_an_active_profile(child.id)"))
    op.execute(USAGE)


def downgrade() -> None:
    op.execute(USAGE_AS_SEEN)
    op.execute(PROGRESS.format(and_active=""))
    op.execute("""
    drop function wellbeing.usage_of_organisation(uuid);
    drop function wellbeing.has_an_active_profile(uuid);
    alter policy a_tenant_sees_its_own_rows on wellbeing.wellbeing_sessions to public;
    drop policy the_definer_counts_all on wellbeing.wellbeing_sessions;
    revoke select (tenant_id, child_id, created_at, overall_mood)
        on wellbeing.wellbeing_sessions from scheduler_definer;
    drop policy the_definer_counts_all on wellbeing.profiles;
    create policy the_definer_sees_who_asks on wellbeing.profiles
        for select to scheduler_definer using (id = (select identity.current_user_id()));
    """)
