"""Guards: what every table of this schema gets, said once.

`identity.guard` is called by each migration for each of its tables. It enables and forces row security, lets a tenant
see its own rows, keeps `updated_at`, grants what the roles need, and has the audit log watch the table. A table on
which people's roles decide more (the wellbeing ones) says `by_role`: then the tenant's policy is restrictive, so that
no later policy can let another tenant's row through, and its own policies say who sees what within the tenant.

Two roles come with it. `scheduler_system` does what the library does by itself for a tenant but for no user: it
awards stickers, raises alerts, admits the invited, rotates keys, seals the audit log. `scheduler_definer` owns the few
functions that look where their caller may not (who is this user? write this to the audit log); nobody may act as it,
it bypasses nothing, and it sees what the policies written for it by name let it see. With a function of the tables'
owner instead, forced row security would apply the policy inside the policy, without end. `identity.give_to_definer`
gives it a function; whoever migrates is its member for that moment only.

What is encrypted is stored as `bytea` in one shape (version 1, key id, nonce, ciphertext, tag), which
`identity.is_sealed` recognises: so clear text cannot get into such a column by mistake.

Two extensions come with PostgreSQL itself and are trusted: btree_gist (a constraint against overlapping appointments)
and pg_trgm (search of names by their parts).
"""

from alembic import op

revision = "20261121100000"
down_revision = "20261121080600"
branch_labels = None
depends_on = None

ROLES = ("scheduler_system", "scheduler_definer")
SCHEMAS = ("audit", "placement", "wellbeing")
EXTENSIONS = ("btree_gist", "pg_trgm")
TABLES = (
    "facilities",
    "doctors",
    "facility_doctors",
    "services",
    "service_offerings",
    "availability_rules",
    "availability_exceptions",
    "facility_closures",
    "availability_slots",
    "generation_runs",
    "schedule_states",
)


def upgrade() -> None:
    for role in ROLES:
        op.execute(f"""
        do $$ begin
            if not exists (select from pg_catalog.pg_roles where rolname = '{role}') then
                create role {role} nologin;
            end if;
        exception when duplicate_object or unique_violation then
            null;  -- another database of this server made it in the same moment
        end $$;

        """)
    op.execute("""
    do $$ begin
        if not pg_catalog.pg_has_role(current_user, 'scheduler_system', 'usage') then
            execute pg_catalog.format('grant scheduler_system to %I', current_user);
        end if;
    end $$;
    """)
    for schema in SCHEMAS:
        op.execute(f"""
        create schema if not exists {schema};
        grant usage on schema {schema} to scheduler_app, scheduler_job;
        """)
    for schema in ("identity", "scheduling", *SCHEMAS):
        op.execute(f"grant usage on schema {schema} to scheduler_system, scheduler_definer")
    for extension in EXTENSIONS:
        op.execute(f"create extension if not exists {extension} with schema public")
    op.execute("""
    create function identity.current_user_id() returns uuid
    language sql stable parallel safe
    return nullif(current_setting('app.user_id', true), '')::uuid;

    comment on function identity.current_user_id() is
        'The user for whom this transaction works; null when it works for none.';

    create function identity.is_sealed(value bytea) returns boolean
    language sql immutable parallel safe strict
    return octet_length(value) >= 45 and get_byte(value, 0) = 1;

    comment on function identity.is_sealed(bytea) is
        'Whether a value has the shape of an encrypted one: version 1, key id (16), nonce (12), ciphertext, tag (16).';

    create procedure identity.guard(what regclass, shown text[] default '{}', by_role boolean default false)
    language plpgsql set search_path = pg_catalog, pg_temp
    as $$ begin
        execute format('alter table %s enable row level security', what);
        execute format('alter table %s force row level security', what);
        execute format('drop policy if exists a_tenant_sees_its_own_rows on %s', what);
        execute format('create policy a_tenant_sees_its_own_rows on %s as %s'
            ' using (tenant_id = (select identity.current_tenant_id()))'
            ' with check (tenant_id = (select identity.current_tenant_id()))',
            what, case when by_role then 'restrictive' else 'permissive' end);
        if by_role then
            execute format('drop policy if exists the_system_works_for_its_tenant on %s', what);
            execute format('create policy the_system_works_for_its_tenant on %s to scheduler_system'
                ' using (true) with check (true)', what);
        end if;
        if exists (select from pg_attribute where attrelid = what and attname = 'updated_at' and not attisdropped) then
            execute format('create or replace trigger updated_at_is_kept before update on %s'
                ' for each row execute function identity.keep_updated_at()', what);
        end if;
        execute format('grant select, insert, update, delete on %s to scheduler_app, scheduler_system', what);
        call audit.watch(what, shown);
    end $$;

    comment on procedure identity.guard(regclass, text[], boolean) is
        'Gives a table row security by tenant, a kept updated_at, its grants and its place in the audit log.';

    revoke all on procedure identity.guard(regclass, text[], boolean) from public;

    create procedure identity.give_to_definer(what regprocedure, callers text default null)
    language plpgsql set search_path = pg_catalog, pg_temp
    as $$
    declare
        home constant text := (select pronamespace::regnamespace::text from pg_proc where oid = what);
        -- A superuser is a member of every role. Nobody else stays one: the definer's policies would be theirs, too.
        joins constant boolean := not pg_has_role(current_user, 'scheduler_definer', 'usage');
    begin
        execute format('revoke all on function %s from public', what);
        if callers is not null then
            execute format('grant execute on function %s to %s', what, callers);
        end if;
        if joins then
            execute format('grant scheduler_definer to %I', current_user);
        end if;
        -- Whoever is to own a function has to be allowed to make one there, at that moment.
        execute format('grant create on schema %s to scheduler_definer', home);
        execute format('alter function %s owner to scheduler_definer', what);
        execute format('revoke create on schema %s from scheduler_definer', home);
        if joins then
            if exists (select from pg_proc where oid = what and prorettype = 'trigger'::regtype) then
                execute format('grant execute on function %s to %I', what, current_user);  -- to make its triggers
            end if;
            execute format('revoke scheduler_definer from %I', current_user);
        end if;
    end $$;

    comment on procedure identity.give_to_definer(regprocedure, text) is
        'Makes scheduler_definer the owner of a function that runs with its rights, and says who may call it.';

    revoke all on procedure identity.give_to_definer(regprocedure, text) from public;
    """)
    op.execute("""
    grant select, update on identity.tenants to scheduler_system;
    grant select on public.scheduler_revision to scheduler_system;
    """)
    for table in TABLES:
        op.execute(f"grant select, insert, update, delete on scheduling.{table} to scheduler_system")


def downgrade() -> None:
    for table in reversed(TABLES):
        op.execute(f"revoke all on scheduling.{table} from scheduler_system")
    op.execute("""
    revoke all on public.scheduler_revision from scheduler_system;
    revoke all on identity.tenants from scheduler_system;
    drop procedure identity.give_to_definer(regprocedure, text);
    drop procedure identity.guard(regclass, text[], boolean);
    drop function identity.is_sealed(bytea);
    drop function identity.current_user_id();
    """)
    for extension in reversed(EXTENSIONS):
        op.execute(f"""
        do $$ begin
            drop extension if exists {extension};
        exception when dependent_objects_still_exist then
            null;  -- somebody else's tables use it, too
        end $$;
        """)
    for schema in ("identity", "scheduling"):
        op.execute(f"revoke all on schema {schema} from scheduler_system, scheduler_definer")
    for schema in reversed(SCHEMAS):
        op.execute(f"""
        revoke all on schema {schema} from scheduler_app, scheduler_job, scheduler_system, scheduler_definer;
        do $$ begin
            drop schema {schema};
        exception when dependent_objects_still_exist then
            null;  -- somebody else's tables live there too
        end $$;
        """)
