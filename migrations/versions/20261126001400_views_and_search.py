"""Views and search: directories of families and users, figures of organisations, and four searches.

**Directories.** Two views give the shapes of the families specification (`parentIds`, `studentIds`, `familyIds`) as
arrays, without deleted families and users.

**Figures.** `child_progress_summary` counts each table before the join, so that counts do not multiply.
`organization_usage_stats` (spelled as in the specification) shows the use of an organisation in this month (UTC). Both
views read with the rights of the user who queries them. The figures of an organisation must be the same for all users,
whichever rows row security shows to each. So the function `wellbeing.usage_of_organisation` counts as
`scheduler_definer`, for an Account, for staff of the organisation and for the system in its tenant; for others the view
has no row.

**Search.** Under row security an index serves only leakproof operators: `=` and `<`, but not `%>`, `like`, `@@` or
`@>`. So four functions search as `scheduler_definer`, to whom a policy shows all rows. Each is safe because it

- takes tenant, user and role from the transaction, filters by `tenant_id` (except an Account's search for
  organisations), and returns nothing without a tenant;
- returns keys and a rank only, which the caller joins to the table, where row security decides again;
- only searches, in granted columns, and no role may act as the definer. Time can still be measured: a word that is
  frequent in other tenants takes longer, as with every index that tenants share.

Clients are found by similar words, or by the text itself if it has three letters or digits in a row. The function sets
the similarity threshold in its body, since an owner without superuser rights could not restore a function that declares
it. English stop words are also names (Will): a search for children by stop words only compares the first name.
"""

from alembic import op

revision = "20261126001400"
down_revision = "20261126001300"


def upgrade() -> None:
    op.execute("""
    create view identity.family_directory with (security_invoker = true) as
    select family.tenant_id, family.id as family_id, family.family_name,
        array(
            select member.user_id
            from identity.family_members member
            join identity.users person on person.tenant_id = member.tenant_id and person.id = member.user_id
            where member.tenant_id = family.tenant_id and member.family_id = family.id
                and member.role = 'parent' and person.deleted_at is null
            order by member.created_at, member.user_id
        ) as parent_ids,
        array(
            select member.user_id
            from identity.family_members member
            join identity.users person on person.tenant_id = member.tenant_id and person.id = member.user_id
            where member.tenant_id = family.tenant_id and member.family_id = family.id
                and member.role = 'student' and person.deleted_at is null
            order by member.created_at, member.user_id
        ) as student_ids,
        family.address_id, family.preferred_programs, family.status,
        family.created_at, family.created_by, family.updated_at, family.modified_by
    from identity.families family
    where family.deleted_at is null;

    comment on view identity.family_directory is
        'The live families, each with the ids of its live parents and students in the order of joining.';

    create view identity.user_directory with (security_invoker = true) as
    select person.tenant_id, person.id as user_id, person.email, person.name, person.phone, person.role, person.status,
        membership.family_ids, membership.is_primary_contact, membership.is_emergency_contact,
        person.created_at, person.updated_at
    from identity.users person
    cross join lateral (
        select coalesce(array_agg(member.family_id order by member.created_at, member.family_id), '{}') as family_ids,
            coalesce(bool_or(member.is_primary_contact), false) as is_primary_contact,
            coalesce(bool_or(member.is_emergency_contact), false) as is_emergency_contact
        from identity.family_members member
        join identity.families family on family.tenant_id = member.tenant_id and family.id = member.family_id
        where member.tenant_id = person.tenant_id and member.user_id = person.id and family.deleted_at is null
    ) membership
    where person.deleted_at is null;

    comment on view identity.user_directory is
        'The live users, each with the ids of their live families, and whether they are a contact of any.';

    grant select on identity.family_directory, identity.user_directory to scheduler_app, scheduler_system;
    """)
    make_figures()
    make_searches()


def make_figures() -> None:
    """Create the views with figures, and the functions that count for them."""
    op.execute("""
    create function wellbeing.has_active_profile(person uuid) returns boolean
    language sql stable parallel safe security definer set search_path = pg_catalog, pg_temp
    as $$
        select exists (
            select from wellbeing.profiles
            where tenant_id = identity.current_tenant_id() and id = person and status = 'active' and deleted_at is null
        )
    $$;

    comment on function wellbeing.has_active_profile(uuid) is
        'Whether a person of the tenant has an active profile that is not deleted.';

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
            when pg_has_role(
                coalesce(nullif(current_setting('role'), 'none'), session_user), 'scheduler_system', 'usage'
            ) then organisation = identity.current_tenant_id()
            when identity.current_role_name() = 'Account' then true
            else identity.current_role_name() in ('Practitioner', 'GroupContact')
                and organisation = identity.current_organisation_id()
        end
    $$;

    comment on function wellbeing.usage_of_organisation(uuid) is
        'The use of an organisation this month (UTC), for an Account and for its staff.';

    call identity.set_definer_owner('wellbeing.has_active_profile(uuid)', 'scheduler_app, scheduler_system');
    call identity.set_definer_owner('wellbeing.usage_of_organisation(uuid)', 'scheduler_app, scheduler_system');

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
    where child.deleted_at is null and wellbeing.has_active_profile(child.id);

    comment on view wellbeing.child_progress_summary is 'The progress of a child: sessions, mood, stickers, alerts.';

    create view wellbeing.organization_usage_stats with (security_invoker) as
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

    comment on view wellbeing.organization_usage_stats is 'The use of an organisation this month (UTC).';

    grant select on wellbeing.child_progress_summary, wellbeing.organization_usage_stats
        to scheduler_app, scheduler_system;
    """)


def make_searches() -> None:
    """Create the search functions, and let the definer read the columns that they search."""
    op.execute(r"""
    grant select (tenant_id, id, first_name, last_name, deleted_at) on placement.clients to scheduler_definer;
    create policy the_definer_searches_all on placement.clients for select to scheduler_definer using (true);

    create function placement.find_clients(search_text text, max_results integer)
    returns table (tenant_id uuid, id uuid, rank real)
    language plpgsql stable security definer rows 20
    set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan
    as $$
    declare
        tenant constant uuid := case when identity.has_tenant_access() then identity.current_tenant_id() end;
        lower_text constant text := lower(search_text);
        like_pattern constant text := case when lower_text ~ '[[:alnum:]]{3}'
            then '%' || regexp_replace(lower_text, E'([\\\\%_])', E'\\\\\\1', 'g') || '%' end;
        previous_threshold constant text := current_setting('pg_trgm.word_similarity_threshold', true);
    begin
        if length(search_text) > 200 or max_results is null or max_results not between 1 and 1000 then
            raise exception 'invalid search: at most 200 characters of text and 1 to 1000 results are allowed'
                using errcode = 'invalid_parameter_value';
        end if;
        perform set_config('pg_trgm.word_similarity_threshold', '0.5', true);
        return query
            select client.tenant_id, client.id,
                public.word_similarity(lower_text, lower(client.first_name || ' ' || client.last_name)) as likeness
            from placement.clients as client
            where client.tenant_id = tenant and client.deleted_at is null
                and (lower(client.first_name || ' ' || client.last_name) operator(public.%>) lower_text
                    or lower(client.first_name || ' ' || client.last_name) like like_pattern)
            order by likeness desc, client.last_name, client.first_name, client.id
            limit max_results;
        perform set_config('pg_trgm.word_similarity_threshold', coalesce(previous_threshold, '0.6'), true);
    end $$;

    comment on function placement.find_clients(text, integer) is
        'The live clients of the tenant whose name contains this text or similar words, best match first.';

    create function wellbeing.find_children(search_text text, max_results integer)
    returns table (tenant_id uuid, id uuid, rank real)
    language plpgsql stable security definer rows 20
    set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan
    as $$
    declare
        tenant constant uuid := identity.current_tenant_id();
        by_system constant boolean :=
            pg_has_role(coalesce(nullif(current_setting('role'), 'none'), session_user), 'scheduler_system', 'usage');
        role_name constant text := identity.current_role_name();
        organisation constant uuid := case
            when by_system then tenant
            when role_name in ('Practitioner', 'GroupContact') then identity.current_organisation_id()
        end;
        words constant tsquery := websearch_to_tsquery('english', search_text);
    begin
        if length(search_text) > 200 or max_results is null or max_results not between 1 and 1000 then
            raise exception 'invalid search: at most 200 characters of text and 1 to 1000 results are allowed'
                using errcode = 'invalid_parameter_value';
        end if;
        if organisation is null then
            return;
        end if;
        return query
            select child.tenant_id, child.id, ts_rank(
                to_tsvector('english', child.first_name || ' ' || coalesce(child.class_name, '')), words) as relevance
            from wellbeing.children as child
            where child.tenant_id = tenant and child.org_id = organisation and child.deleted_at is null
                and (to_tsvector('english', child.first_name || ' ' || coalesce(child.class_name, '')) @@ words
                    or numnode(words) = 0 and lower(child.first_name) = lower(btrim(search_text)))
            order by relevance desc, child.first_name, child.display_id
            limit max_results;
    end $$;

    comment on function wellbeing.find_children(text, integer) is
        'The live children of the user''s organisation whose first name and class contain these words.';

    create function wellbeing.find_organisations(search_text text, max_results integer)
    returns table (tenant_id uuid, id uuid, rank real)
    language plpgsql stable security definer rows 20
    set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan
    as $$
    declare
        tenant constant uuid := identity.current_tenant_id();
        by_system constant boolean :=
            pg_has_role(coalesce(nullif(current_setting('role'), 'none'), session_user), 'scheduler_system', 'usage');
        role_name constant text := identity.current_role_name();
        in_all_tenants constant boolean := not by_system and role_name is not distinct from 'Account';
        own_tenant constant uuid := case when by_system then tenant else identity.current_organisation_id() end;
        words constant tsquery := websearch_to_tsquery('english', search_text);
    begin
        if length(search_text) > 200 or max_results is null or max_results not between 1 and 1000 then
            raise exception 'invalid search: at most 200 characters of text and 1 to 1000 results are allowed'
                using errcode = 'invalid_parameter_value';
        end if;
        return query
            select organisation.tenant_id, organisation.id,
                ts_rank(to_tsvector('english', organisation.name), words) as relevance
            from wellbeing.organisations as organisation
            where (in_all_tenants or organisation.tenant_id = own_tenant) and organisation.deleted_at is null
                and to_tsvector('english', organisation.name) @@ words
            order by relevance desc, organisation.name, organisation.id
            limit max_results;
    end $$;

    comment on function wellbeing.find_organisations(text, integer) is
        'The live organisations whose name contains these words: all for an Account, else the own one.';

    grant select (tenant_id, occurred_at, id, details) on audit.user_action_audit_log to scheduler_definer;
    create policy the_definer_searches_all on audit.user_action_audit_log for select to scheduler_definer using (true);

    create function audit.find_actions(criteria jsonb, max_results integer)
    returns table (tenant_id uuid, occurred_at timestamptz, id bigint)
    language plpgsql stable security definer rows 20
    set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan
    as $$
    declare
        tenant constant uuid := identity.current_tenant_id();
    begin
        if criteria = '{}' or jsonb_typeof(criteria) <> 'object'
            or max_results is null or max_results not between 1 and 1000
        then
            raise exception 'invalid search: a non-empty JSON object and 1 to 1000 results are allowed'
                using errcode = 'invalid_parameter_value';
        end if;
        -- materialized: else the order would choose the index, and read each row of the tenant
        return query
            with found as materialized (
                select action.tenant_id, action.occurred_at, action.id
                from audit.user_action_audit_log as action
                where action.tenant_id = tenant and action.details @> criteria
            )
            select found.tenant_id, found.occurred_at, found.id from found
            order by found.occurred_at desc, found.id desc
            limit max_results;
    end $$;

    comment on function audit.find_actions(jsonb, integer) is
        'The actions of users of the tenant whose details contain these criteria, latest first.';

    call identity.set_definer_owner('placement.find_clients(text, integer)', 'scheduler_app, scheduler_system');
    call identity.set_definer_owner('wellbeing.find_children(text, integer)', 'scheduler_app, scheduler_system');
    call identity.set_definer_owner('wellbeing.find_organisations(text, integer)', 'scheduler_app, scheduler_system');
    call identity.set_definer_owner('audit.find_actions(jsonb, integer)', 'scheduler_system');
    """)


def downgrade() -> None:
    op.execute("""
    drop function audit.find_actions(jsonb, integer);
    drop policy the_definer_searches_all on audit.user_action_audit_log;
    revoke select (tenant_id, occurred_at, id, details) on audit.user_action_audit_log from scheduler_definer;
    drop function wellbeing.find_organisations(text, integer);
    drop function wellbeing.find_children(text, integer);
    drop function placement.find_clients(text, integer);
    drop policy the_definer_searches_all on placement.clients;
    revoke select (tenant_id, id, first_name, last_name, deleted_at) on placement.clients from scheduler_definer;
    drop view wellbeing.organization_usage_stats, wellbeing.child_progress_summary;
    drop function wellbeing.usage_of_organisation(uuid);
    drop function wellbeing.has_active_profile(uuid);
    drop view identity.user_directory, identity.family_directory;
    """)
