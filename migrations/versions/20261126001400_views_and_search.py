"""Views and search: the directories of families and users, the figures of organisations, and the four searches.

**Directories.** Two views give the shapes of the families specification, `parentIds` and `studentIds` of a family and
`familyIds` of a user, as arrays: one row a live family or user, however many members there are. A deleted family or
user is in neither view, neither as a row nor within a list: a name in the one view is a row of the other.

**Figures.** `child_progress_summary` shows how a child gets on. Each table is counted by itself before the join, so
that a child with three sessions and four stickers has not twelve of each. `organization_usage_stats` (the specification
writes the name with a z) shows the use of an organisation in this month (UTC), counted over active children and staff.
Both views have the rights of the session that asks (`security_invoker`). A figure must not depend on the rows that the
asking user sees: so `wellbeing.usage_of_organisation` counts as `scheduler_definer`, and its own `where` says for whom:
an Account, a group contact or practitioner of the organisation, and the system in its tenant. For others the view has
no row. An active child has a profile that is active and not deleted. Practitioners do not see the profiles of children,
so `wellbeing.has_active_profile` looks for them, in the own tenant, and tells no more than that.

**Search.** Under row security an index answers only conditions that cannot leak. A policy has to be asked before any
condition that might tell what it sees, and PostgreSQL holds that of `%>`, `like` and `@@` (and of `@>` and `&&`),
though not of `=` and `<`. So a GIN index is of no use to `scheduler_app`: its query reads all rows of the tenant.

Four functions ask instead, as `scheduler_definer`, for whom the tables have a policy that hides nothing. The `where` of
the function keeps tenants apart there, which is why each function

- takes tenant, user and role from the transaction and never from its caller, says `tenant_id = ...` of every row, and
  answers nothing when there is no tenant (only an Account's search for organisations names more than one tenant);
- returns keys and a rank, never the contents of a row: the caller joins them to the table, and row security decides
  once more which rows are seen. If the `where` were wrong, strangers would learn keys, which open nothing;
- is never more than a search: no role of the library may act as the definer, its other functions ask for one row by
  its key, and its rights end at the columns that are searched.

A caller may still observe time: a word that other tenants have often takes longer. It is the same with every index that
tenants share.

Clients are found by the likeness of words to a part of the name (half of their trigrams are enough: a letter may be
missing or wrong), or by the text as it stands, where it has three letters or digits in a row; before that no index
knows it. So one or two letters find names with a word that begins so. Wildcards are text. The search answers users who
have access to the whole tenant. It sets the threshold for itself alone, since the setting is anybody's, and by hand: a
function that is declared with it could not be restored by an owner who is no superuser.

Children are found by English words of first name and class, as the specification says, by practitioners and group
contacts in their organisation. English leaves out words that are names, Will among them: a search of such words only is
compared with the first name. Organisations are found by words of their name: by an Account any, by others their own.
The system searches where it works, whoever the user is. Actions of users are found by the details of their record
(`@>`), by the system in its tenant.
"""

from alembic import op

revision = "20261126001400"
down_revision = "20261126001300"
branch_labels = None
depends_on = None

SEARCHES = ("placement.find_clients", "wellbeing.find_children", "wellbeing.find_organisations")


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
        'One row a live family, with the ids of its live parents and students, in the order in which they joined.';

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
        'One row a live user, with the ids of their live families, and whether they are a contact of any of them.';

    grant select on identity.family_directory, identity.user_directory to scheduler_app, scheduler_system;
    """)
    make_figures()
    make_searches()


def make_figures() -> None:
    """Make the views that count, and the functions that count for them."""
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

    comment on view wellbeing.child_progress_summary is 'How a child gets on: sessions, mood, stickers, alerts.';

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

    comment on view wellbeing.organization_usage_stats is 'What an organisation uses this month (UTC).';

    grant select on wellbeing.child_progress_summary, wellbeing.organization_usage_stats
        to scheduler_app, scheduler_system;
    """)


def make_searches() -> None:
    """Make the functions that search, and let the definer see the columns that they look at."""
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
            then '%' || regexp_replace(lower_text, '([\\%_])', '\\\1', 'g') || '%' end;
        previous_threshold constant text := current_setting('pg_trgm.word_similarity_threshold', true);
    begin
        if length(search_text) > 200 or max_results is null or max_results not between 1 and 1000 then
            raise exception 'a search is for 200 characters at most, and for 1 to 1000 rows'
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
        'The live clients of the tenant whose name has this text or words like it, the most alike first.';

    create function wellbeing.find_children(search_text text, max_results integer)
    returns table (tenant_id uuid, id uuid, rank real)
    language plpgsql stable security definer rows 20
    set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan
    as $$
    declare
        tenant constant uuid := identity.current_tenant_id();
        by_system constant boolean := current_setting('role') = 'scheduler_system';
        role_name constant text := identity.current_role_name();

        organisation constant uuid := case
            when by_system then tenant
            when role_name in ('Practitioner', 'GroupContact') then identity.current_organisation_id()
        end;
        words constant tsquery := websearch_to_tsquery('english', search_text);
    begin
        if length(search_text) > 200 or max_results is null or max_results not between 1 and 1000 then
            raise exception 'a search is for 200 characters at most, and for 1 to 1000 rows'
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
        'The live children of the organisation of who asks whose first name and class have these words.';

    create function wellbeing.find_organisations(search_text text, max_results integer)
    returns table (tenant_id uuid, id uuid, rank real)
    language plpgsql stable security definer rows 20
    set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan
    as $$
    declare
        tenant constant uuid := identity.current_tenant_id();
        by_system constant boolean := current_setting('role') = 'scheduler_system';
        role_name constant text := identity.current_role_name();

        in_all_tenants constant boolean := not by_system and role_name is not distinct from 'Account';
        own_tenant constant uuid := case when by_system then tenant else identity.current_organisation_id() end;
        words constant tsquery := websearch_to_tsquery('english', search_text);
    begin
        if length(search_text) > 200 or max_results is null or max_results not between 1 and 1000 then
            raise exception 'a search is for 200 characters at most, and for 1 to 1000 rows'
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
        'The live organisations whose name has these words: for an Account of all, for others their own.';

    grant select (tenant_id, occurred_at, id, details) on audit.user_action_audit_log to scheduler_definer;
    create policy the_definer_searches_all on audit.user_action_audit_log
        for select to scheduler_definer using (true);

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
            raise exception 'a search is for an object that says something, and for 1 to 1000 rows'
                using errcode = 'invalid_parameter_value';
        end if;
        -- found first, ordered then: else the order would choose the index, and each row of the tenant would be read
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
        'What was done for users of the tenant whose details say all of this, the latest first.';

    call identity.set_definer_owner('audit.find_actions(jsonb, integer)', 'scheduler_system');
    """)
    for search in SEARCHES:
        op.execute(f"call identity.set_definer_owner('{search}(text, integer)', 'scheduler_app, scheduler_system')")


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
