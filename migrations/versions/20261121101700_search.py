"""Search: clients by a part of their name, children and organisations by words.

Under row security an index answers only what cannot leak. A policy has to be asked before any condition that might
tell what it sees, and PostgreSQL holds that of `%>`, `like` and `@@` (and of `@>` and `&&`), though not of `=` and `<`.
So a GIN index is of no use to `scheduler_app`: its query reads all rows of the tenant, each time.

Three functions ask instead, as `scheduler_definer`, for whom the tables have a policy that hides nothing: there the
condition is nothing but the index's. What keeps tenants apart is then the function's own `where`, which is why it

- takes tenant, user and role from the transaction and never from its caller, says `tenant_id = ...` of every row, and
  answers nothing when there is no tenant (only an Account's search for organisations names more than one tenant);
- returns keys and a rank, never what is in a row: the caller joins them to the table, and row security decides once
  more what is seen. If the `where` were wrong, strangers would learn keys, which open nothing;
- is never more than a search: no role of the library may act as the definer, its other functions ask for one row by
  its key, and its rights end at the columns that are looked at. Of `children` it has more, which `own_child_record`
  shows.

What a caller may still observe is time: a word that other tenants have often takes longer. It is the same with every
index that tenants share.

The tenant's policy of `children` and `organisations` now names the roles that it binds, and not the definer; whom it
does not name sees nothing, but for a policy of its own.

A client is found by the likeness of words to a part of the name (half of their trigrams are enough: a letter may be
missing or wrong), or by the text as it stands, where it has three letters or digits in a row; before that no index
knows it. So one or two letters find names with a word that begins so. Wildcards are text. The threshold is set for
the search alone, since its setting is anybody's, and by hand: a function that is declared with it could not be
restored by an owner who is no superuser.

A child is found by English words of first name and class, as the specification says, by practitioners and group
contacts in their organisation. English leaves out words that are names, Will among them: what consists of such words
only is compared with the first name. An organisation is found by words of its name: by an Account any, by others
their own. The system searches where it works, whoever the user is.

What was done for users is found by the details of its record (`@>`), by the system in its tenant.
"""

from alembic import op

revision = "20261121101700"
down_revision = "20261121101600"
branch_labels = None
depends_on = None

LOGGED = "audit.find_actions"
CALLERS = "scheduler_app, scheduler_system"
BOUND = "scheduler_app, scheduler_job, scheduler_system"
SEARCHES = ("placement.find_clients", "wellbeing.find_children", "wellbeing.find_organisations")
FOUND = "returns table (tenant_id uuid, id uuid, rank real)"
# A plan for each question: that of any word would be a guess. Whether an index helps is a matter of the word.
AS_DEFINER = (
    "language plpgsql stable security definer rows 20"
    " set search_path = pg_catalog, pg_temp set plan_cache_mode = force_custom_plan"
)
REFUSE_NONSENSE = """
        if length(wanted) > 200 or most is null or most not between 1 and 1000 then
            raise exception 'a search is for 200 characters at most, and for 1 to 1000 rows'
                using errcode = 'invalid_parameter_value';
        end if;
"""
WHO_ASKS = """
        tenant constant uuid := identity.current_tenant_id();
        by_system constant boolean := current_setting('role') = 'scheduler_system';
        role_name constant text := identity.current_role_name();
"""


def upgrade() -> None:
    op.execute("""
    grant select (tenant_id, id, first_name, last_name, deleted_at) on placement.clients to scheduler_definer;
    create policy the_definer_searches_all on placement.clients for select to scheduler_definer using (true);

    drop policy the_definer_sees_the_child_who_asks on wellbeing.children;
    create policy the_definer_searches_all on wellbeing.children for select to scheduler_definer using (true);

    grant select (tenant_id, id, name, deleted_at) on wellbeing.organisations to scheduler_definer;
    create policy the_definer_searches_all on wellbeing.organisations for select to scheduler_definer using (true);
    """)
    bind(BOUND)
    search_clients()
    search_children()
    search_organisations()
    search_actions()
    op.execute(f"call identity.give_to_definer('{LOGGED}(jsonb, integer)', 'scheduler_system')")
    for search in SEARCHES:
        op.execute(f"call identity.give_to_definer('{search}(text, integer)', '{CALLERS}')")


def bind(roles: str) -> None:
    """Say whom the tenant's policies of the wellbeing tables that are searched bind."""
    for table in ("children", "organisations"):
        op.execute(f"alter policy a_tenant_sees_its_own_rows on wellbeing.{table} to {roles}")


def search_clients() -> None:
    """Make the search of clients by name."""
    op.execute(rf"""
    create function placement.find_clients(wanted text, most integer) {FOUND} {AS_DEFINER}
    as $$
    declare
        tenant constant uuid := identity.current_tenant_id();
        sought constant text := lower(wanted);
        as_it_stands constant text := case when sought ~ '[[:alnum:]]{{3}}'
            then '%' || regexp_replace(sought, '([\\%_])', '\\\1', 'g') || '%' end;
        threshold_before constant text := current_setting('pg_trgm.word_similarity_threshold', true);
    begin
        {REFUSE_NONSENSE}
        perform set_config('pg_trgm.word_similarity_threshold', '0.5', true);
        return query
            select client.tenant_id, client.id,
                public.word_similarity(sought, lower(client.first_name || ' ' || client.last_name)) as likeness
            from placement.clients as client
            where client.tenant_id = tenant and client.deleted_at is null
                and (lower(client.first_name || ' ' || client.last_name) operator(public.%>) sought
                    or lower(client.first_name || ' ' || client.last_name) like as_it_stands)
            order by likeness desc, client.last_name, client.first_name, client.id
            limit most;
        perform set_config('pg_trgm.word_similarity_threshold', coalesce(threshold_before, '0.6'), true);
    end $$;

    comment on function placement.find_clients(text, integer) is
        'The live clients of the tenant whose name has this text or words like it, the most alike first.';
    """)


def search_children() -> None:
    """Make the search of children by words of their name and class."""
    op.execute(f"""
    create function wellbeing.find_children(wanted text, most integer) {FOUND} {AS_DEFINER}
    as $$
    declare
        {WHO_ASKS}
        organisation constant uuid := case
            when by_system then tenant
            when role_name in ('Practitioner', 'GroupContact') then identity.current_organisation_id()
        end;
        words constant tsquery := websearch_to_tsquery('english', wanted);
    begin
        {REFUSE_NONSENSE}
        if organisation is null then
            return;
        end if;
        return query
            select child.tenant_id, child.id, ts_rank(
                to_tsvector('english', child.first_name || ' ' || coalesce(child.class_name, '')), words) as relevance
            from wellbeing.children as child
            where child.tenant_id = tenant and child.org_id = organisation and child.deleted_at is null
                and (to_tsvector('english', child.first_name || ' ' || coalesce(child.class_name, '')) @@ words
                    or numnode(words) = 0 and lower(child.first_name) = lower(btrim(wanted)))
            order by relevance desc, child.first_name, child.display_id
            limit most;
    end $$;

    comment on function wellbeing.find_children(text, integer) is
        'The live children of the organisation of who asks whose first name and class have these words.';
    """)


def search_organisations() -> None:
    """Make the search of organisations by words of their name."""
    op.execute(f"""
    create function wellbeing.find_organisations(wanted text, most integer) {FOUND} {AS_DEFINER}
    as $$
    declare
        {WHO_ASKS}
        of_all constant boolean := not by_system and role_name is not distinct from 'Account';
        own constant uuid := case when by_system then tenant else identity.current_organisation_id() end;
        words constant tsquery := websearch_to_tsquery('english', wanted);
    begin
        {REFUSE_NONSENSE}
        return query
            select organisation.tenant_id, organisation.id,
                ts_rank(to_tsvector('english', organisation.name), words) as relevance
            from wellbeing.organisations as organisation
            where (of_all or organisation.tenant_id = own) and organisation.deleted_at is null
                and to_tsvector('english', organisation.name) @@ words
            order by relevance desc, organisation.name, organisation.id
            limit most;
    end $$;

    comment on function wellbeing.find_organisations(text, integer) is
        'The live organisations whose name has these words: for an Account of all, for others their own.';
    """)


def search_actions() -> None:
    """Make the search of what was done for users."""
    op.execute(f"""
    grant select (tenant_id, occurred_at, id, details) on audit.user_action_audit_log to scheduler_definer;
    create policy the_definer_searches_all on audit.user_action_audit_log
        for select to scheduler_definer using (true);

    create function {LOGGED}(wanted jsonb, most integer)
    returns table (tenant_id uuid, occurred_at timestamptz, id bigint) {AS_DEFINER}
    as $$
    declare
        tenant constant uuid := identity.current_tenant_id();
    begin
        if wanted = '{{}}' or jsonb_typeof(wanted) <> 'object' or most is null or most not between 1 and 1000 then
            raise exception 'a search is for an object that says something, and for 1 to 1000 rows'
                using errcode = 'invalid_parameter_value';
        end if;
        -- found first, ordered then: else the order would choose the index, and each row of the tenant would be read
        return query
            with found as materialized (
                select action.tenant_id, action.occurred_at, action.id
                from audit.user_action_audit_log as action
                where action.tenant_id = tenant and action.details @> wanted
            )
            select found.tenant_id, found.occurred_at, found.id from found
            order by found.occurred_at desc, found.id desc
            limit most;
    end $$;

    comment on function {LOGGED}(jsonb, integer) is
        'What was done for users of the tenant whose details say all of this, the latest first.';
    """)


def downgrade() -> None:
    op.execute(f"""
    drop function {LOGGED}(jsonb, integer);
    drop policy the_definer_searches_all on audit.user_action_audit_log;
    revoke select (tenant_id, occurred_at, id, details) on audit.user_action_audit_log from scheduler_definer;
    """)
    for search in reversed(SEARCHES):
        op.execute(f"drop function {search}(text, integer)")
    bind("public")
    op.execute("""
    drop policy the_definer_searches_all on wellbeing.organisations;
    revoke select (tenant_id, id, name, deleted_at) on wellbeing.organisations from scheduler_definer;

    drop policy the_definer_searches_all on wellbeing.children;
    create policy the_definer_sees_the_child_who_asks on wellbeing.children
        for select to scheduler_definer using (id = (select identity.current_user_id()));

    drop policy the_definer_searches_all on placement.clients;
    revoke select (tenant_id, id, first_name, last_name, deleted_at) on placement.clients from scheduler_definer;
    """)
