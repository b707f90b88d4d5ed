"""Views of the wellbeing part: how a child gets on, and what an organisation uses.

The specification joins a child with its sessions, stickers and alerts at once, so that a child with three sessions and
four stickers would have twelve of each. Here each table is counted by itself first. It also names a table
`organizations` that is called `organisations`; the name of the view stays as it is written there.

A view shows what the one who asks may see of the tables below it (`security_invoker`): a practitioner counts the
children of the organisation, a parent none. Deleted children, practitioners and organisations are not counted.
"""

from alembic import op

revision = "20261121101600"
down_revision = "20261121101500"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
    create view wellbeing.child_progress_summary with (security_invoker) as
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
    where child.deleted_at is null;

    comment on view wellbeing.child_progress_summary is 'How a child gets on: sessions, mood, stickers, alerts.';

    create view wellbeing.organization_usage_stats with (security_invoker) as
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

    comment on view wellbeing.organization_usage_stats is 'What an organisation uses this month (UTC).';

    grant select on wellbeing.child_progress_summary, wellbeing.organization_usage_stats
        to scheduler_app, scheduler_system;
    """)


def downgrade() -> None:
    op.execute("""
    drop view wellbeing.organization_usage_stats;
    drop view wellbeing.child_progress_summary;
    """)
