"""Session and guards: the tenant and user of a transaction, and the protection that every table gets.

A transaction names its tenant in `app.tenant_id` and its user in `app.user_id`, both local to the transaction. Without
a tenant it sees no rows: an ended transaction leaves '' behind, which counts as none. A text that is not a uuid is an
error. Policies read the settings as `(select identity.current_tenant_id())`, which is evaluated once per statement.

Each revision calls `identity.secure_table` for each of its tables, and revokes afterwards the rights that a table does
not need. Two kinds of tables cannot use it: `identity.tenants`, which has no `tenant_id`, and the audit log itself;
they call `identity.limit_sizes`, which limits each value that could grow, themselves.
With `by_role` the policy of the tenant is restrictive, so that no other policy shows a row of another tenant; further
policies then say which role sees which rows.

`identity.has_tenant_access` decides whether a session sees all rows of a tenant. It is true for work without a user (an
import), for the roles of the job and the system, and for an active user who works for the tenant and is no child of the
wellbeing part. All other users read only their own rows, by a second policy, so a table that nobody thought of is
closed to the people who are cared for. In a tenant that is suspended, closed or deleted nobody but the system has
access, and a user whose profile is suspended, inactive or deleted is not active. A user id names a person only together
with the tenant, so every function compares both. These functions read `identity.tenants`, `identity.users` and
`wellbeing.profiles`, which come later: the body of a PL/pgSQL function is resolved when it runs.

`identity.refuse_additions_to_deleted` refuses a row that references a soft-deleted row, which a foreign key accepts. It
checks when a row is written and when its reference changes, so that restoring the referenced row brings back all rows
below it. It locks the referenced row with `for share`, so two writers do not wait for each other. Rows that the writer
cannot see are left to the foreign keys, which carry the tenant, and to row security.
"""

from alembic import op

revision = "20261126000200"
down_revision = "20261126000100"


def upgrade() -> None:
    op.execute("""
    create function identity.current_tenant_id() returns uuid
    language sql stable parallel safe
    return nullif(current_setting('app.tenant_id', true), '')::uuid;

    comment on function identity.current_tenant_id() is
        'The tenant of this transaction; null, and so no rows, if none is set.';

    create function identity.current_user_id() returns uuid
    language sql stable parallel safe
    return nullif(current_setting('app.user_id', true), '')::uuid;

    comment on function identity.current_user_id() is 'The user of this transaction; null if it works for no user.';

    create function identity.keep_updated_at() returns trigger
    language plpgsql set search_path = pg_catalog, pg_temp
    as $$ begin
        new.updated_at := now();
        return new;
    end $$;

    comment on function identity.keep_updated_at() is 'Sets updated_at at every update, whatever the UPDATE says.';

    create function identity.is_ciphertext(value bytea) returns boolean
    language sql immutable parallel safe strict
    return octet_length(value) >= 45 and get_byte(value, 0) = 1;

    comment on function identity.is_ciphertext(bytea) is
        'Whether a value has the shape of a ciphertext: version 1, key id (16), nonce (12), ciphertext, tag (16).';

    -- not strict: PostgreSQL then puts the body in place of the call, at a third of the time
    create function identity.is_readable_json(value jsonb) returns boolean
    language sql immutable parallel safe
    return not jsonb_path_exists(value, 'strict $.** ? (@ >= 1e308 || @ <= -1e308)')
        and not jsonb_path_exists(value, 'strict $.**{100}');

    comment on function identity.is_readable_json(jsonb) is
        'Whether Python can read a value: no number beyond a double, and fewer than 100 levels.';

    create procedure identity.limit_sizes(target regclass, most_bytes integer default 1048576)
    language plpgsql set search_path = pg_catalog, pg_temp
    as $$
    declare
        -- The length of JSON is that of its text, which has six characters for one of the value. A value that is too
        -- large already is not made a text: that would fail beyond 1 GB, with an unclear message.
        sizes constant text := (
            select string_agg(format(case
                    when type.oid in ('text'::regtype, 'varchar'::regtype, 'bytea'::regtype) then 'octet_length(%1$I)'
                    else 'case when pg_column_size(%1$I) > %2$s then pg_column_size(%1$I)'
                        ' else octet_length((%1$I)::text) end'
                end, attname, most_bytes), ', ' order by attname)
            from pg_attribute
            join pg_type as declared on declared.oid = atttypid
            join pg_type as type on type.oid = coalesce(nullif(declared.typbasetype, 0), declared.oid)
            where attrelid = target and attnum > 0 and not attisdropped and attgenerated = '' and type.typlen = -1
                -- a declared length limits a text; the others are limited by PostgreSQL
                and not (type.typcategory = 'S' and greatest(atttypmod, declared.typtypmod) > 0)
                and type.oid not in ('numeric'::regtype, 'inet'::regtype, 'cidr'::regtype, 'tsvector'::regtype)
        );
    begin
        if sizes is not null then
            -- stops a value that fails every export, dump and seal for good: their texts end at 1 GB
            execute format('alter table %s drop constraint if exists its_values_are_not_too_large,'
                ' add constraint its_values_are_not_too_large check (greatest(%s) <= %s)', target, sizes, most_bytes);
        end if;
    end $$;

    comment on procedure identity.limit_sizes(regclass, integer) is
        'Limits each value of a table that PostgreSQL would let grow to 1 GB; 1 MB as text if nothing else is said.';

    revoke all on procedure identity.limit_sizes(regclass, integer) from public;

    create procedure identity.set_definer_owner(target regprocedure, callers text default null)
    language plpgsql set search_path = pg_catalog, pg_temp
    as $$
    declare
        schema_name constant text := (select pronamespace::regnamespace::text from pg_proc where oid = target);
        -- A superuser is a member of every role. Another owner must not stay one: the definer's policies would apply.
        must_join constant boolean := not pg_has_role(current_user, 'scheduler_definer', 'usage');
    begin
        execute format('revoke all on function %s from public', target);
        if callers is not null then
            execute format('grant execute on function %s to %s', target, callers);
        end if;
        if must_join then
            execute format('grant scheduler_definer to %I', current_user);
        end if;
        -- The new owner of a function needs the right to create in its schema at that moment.
        execute format('grant create on schema %s to scheduler_definer', schema_name);
        execute format('alter function %s owner to scheduler_definer', target);
        execute format('revoke create on schema %s from scheduler_definer', schema_name);
        if must_join then
            if exists (select from pg_proc where oid = target and prorettype = 'trigger'::regtype) then
                execute format('grant execute on function %s to %I', target, current_user);  -- to create its triggers
            end if;
            execute format('revoke scheduler_definer from %I', current_user);
        end if;
    end $$;

    comment on procedure identity.set_definer_owner(regprocedure, text) is
        'Makes scheduler_definer the owner of a security definer function, and grants it to its callers only.';

    revoke all on procedure identity.set_definer_owner(regprocedure, text) from public;
    """)
    op.execute("""
    create function identity.is_open_tenant() returns boolean
    language plpgsql stable parallel safe security definer set search_path = pg_catalog, pg_temp
    as $$ begin
        return exists (
            select from identity.tenants
            where id = identity.current_tenant_id() and status = 'active' and deleted_at is null
        );
    end $$;

    comment on function identity.is_open_tenant() is
        'Whether the tenant of this transaction is neither suspended nor closed nor deleted.';

    -- Three look-ups by key are faster than one join: each statement of a user asks these functions.
    create function identity.is_active_user() returns boolean
    language plpgsql stable parallel safe security definer set search_path = pg_catalog, pg_temp
    as $$
    declare
        tenant constant uuid := identity.current_tenant_id();
        person constant uuid := identity.current_user_id();
    begin
        return exists (
            select from identity.users
            where tenant_id = tenant and id = person and status = 'active' and deleted_at is null
        ) and exists (
            select from identity.tenants where id = tenant and status = 'active' and deleted_at is null
        ) and not exists (
            select from wellbeing.profiles
            where tenant_id = tenant and id = person
                and (status not in ('active', 'pending') or deleted_at is not null)
        );
    end $$;

    comment on function identity.is_active_user() is
        'Whether the user of this transaction is active in the open tenant, in any role.';

    create function identity.is_staff_member() returns boolean
    language plpgsql stable parallel safe security definer set search_path = pg_catalog, pg_temp
    as $$
    declare
        tenant constant uuid := identity.current_tenant_id();
        person constant uuid := identity.current_user_id();
    begin
        return exists (
            select from identity.users
            where tenant_id = tenant and id = person and status = 'active' and deleted_at is null
                and role in ('admin', 'staff', 'doctor', 'specialist', 'practitioner')
        ) and exists (
            select from identity.tenants where id = tenant and status = 'active' and deleted_at is null
        ) and not exists (
            select from wellbeing.profiles
            where tenant_id = tenant and id = person
                and (role = 'Child' or status not in ('active', 'pending') or deleted_at is not null)
        );
    end $$;

    comment on function identity.is_staff_member() is
        'Whether the user of this transaction is active and works for the open tenant.';

    -- The setting names the role of the session, also inside a security definer function.
    create function identity.may_administer() returns boolean
    language plpgsql stable parallel safe security definer set search_path = pg_catalog, pg_temp
    as $$ begin
        return pg_has_role(coalesce(nullif(current_setting('role'), 'none'), session_user), 'scheduler_system', 'usage')
            or identity.is_staff_member() and exists (
                select from identity.users
                where tenant_id = identity.current_tenant_id() and id = identity.current_user_id() and role = 'admin'
            );
    end $$;

    comment on function identity.may_administer() is
        'Whether the session may add staff, suspend and readmit users: as system, or for an active admin.';

    call identity.set_definer_owner('identity.is_open_tenant()',
        'scheduler_app, scheduler_job, scheduler_system, scheduler_desk');
    call identity.set_definer_owner('identity.is_active_user()',
        'scheduler_app, scheduler_job, scheduler_system, scheduler_desk');
    call identity.set_definer_owner('identity.is_staff_member()',
        'scheduler_app, scheduler_job, scheduler_system, scheduler_desk');
    call identity.set_definer_owner('identity.may_administer()', 'scheduler_app, scheduler_system');

    create function identity.has_tenant_access() returns boolean
    language sql stable parallel safe
    return case
        when pg_has_role(coalesce(nullif(current_setting('role'), 'none'), session_user)::name,
            'scheduler_system', 'usage') then true
        when identity.current_user_id() is null
            or pg_has_role(coalesce(nullif(current_setting('role'), 'none'), session_user)::name,
                'scheduler_job', 'usage') then identity.is_open_tenant()
        when pg_has_role(coalesce(nullif(current_setting('role'), 'none'), session_user)::name,
            'scheduler_desk', 'usage') then identity.is_active_user()
        else identity.is_staff_member()
    end;

    comment on function identity.has_tenant_access() is
        'Whether the session sees all rows of its tenant: as system; if it is open, without a user, as job, as desk for'
        ' an active user, for staff.';
    """)
    op.execute("""
    create procedure identity.secure_table(
        target regclass, visible_columns text[] default '{}', by_role boolean default false)
    language plpgsql set search_path = pg_catalog, pg_temp
    as $$
    declare
        readable constant text := (
            select string_agg(format('identity.is_readable_json(%I)', attname), ' and ' order by attname)
            from pg_attribute
            where attrelid = target and attnum > 0 and not attisdropped and atttypid = 'jsonb'::regtype
        );
    begin
        execute format('alter table %s enable row level security', target);
        execute format('alter table %s force row level security', target);
        execute format('drop policy if exists a_tenant_sees_its_own_rows on %s', target);
        execute format('create policy a_tenant_sees_its_own_rows on %s as %s'
            ' using (tenant_id = (select identity.current_tenant_id())%3$s)'
            ' with check (tenant_id = (select identity.current_tenant_id())%3$s)',
            target, case when by_role then 'restrictive' else 'permissive' end,
            case when by_role then '' else ' and (select identity.has_tenant_access())' end);
        if by_role then
            execute format('drop policy if exists the_system_works_for_its_tenant on %s', target);
            execute format('create policy the_system_works_for_its_tenant on %s to scheduler_system'
                ' using (true) with check (true)', target);
        end if;
        if exists (
            select from pg_attribute where attrelid = target and attname = 'updated_at' and not attisdropped
        ) then
            execute format('create or replace trigger updated_at_is_kept before update on %s'
                ' for each row execute function identity.keep_updated_at()', target);
        end if;
        if readable is not null then
            -- stops a value that fails every reader in Python for good: 1e5000, or 3,000 levels of arrays
            execute format('alter table %s drop constraint if exists its_json_is_readable,'
                ' add constraint its_json_is_readable check (%s)', target, readable);
        end if;
        call identity.limit_sizes(target);
        execute format('grant select, insert, update, delete on %s to scheduler_app, scheduler_system', target);
        call audit.watch(target, visible_columns);
    end $$;

    comment on procedure identity.secure_table(regclass, text[], boolean) is
        'Protects a table: row security by tenant, updated_at, readable and limited values, grants, and audit log.';

    revoke all on procedure identity.secure_table(regclass, text[], boolean) from public;

    -- A statement for each table, whose plan PostgreSQL keeps; a dynamic one takes ten times as long as the insert.
    create function identity.refuse_additions_to_deleted() returns trigger
    language plpgsql set search_path = pg_catalog, pg_temp
    as $$
    declare
        referenced constant uuid := (to_jsonb(new) ->> tg_argv[0])::uuid;
        is_deleted boolean;
    begin
        case tg_argv[1]
            when 'identity.families' then
                select deleted_at is not null into is_deleted from identity.families
                where tenant_id = new.tenant_id and id = referenced for share;
            when 'identity.users' then
                select deleted_at is not null into is_deleted from identity.users
                where tenant_id = new.tenant_id and id = referenced for share;
            when 'placement.clients' then
                select deleted_at is not null into is_deleted from placement.clients
                where tenant_id = new.tenant_id and id = referenced for share;
            when 'placement.placement_info' then
                select deleted_at is not null into is_deleted from placement.placement_info
                where tenant_id = new.tenant_id and id = referenced for share;
        end case;
        if is_deleted then
            raise exception 'cannot write %.%: % references a deleted row of %; restore that row or reference another',
                tg_table_schema, tg_table_name, tg_argv[0], tg_argv[1] using
                errcode = 'check_violation', schema = tg_table_schema, table = tg_table_name, constraint = tg_name;
        end if;
        return new;
    end $$;

    comment on function identity.refuse_additions_to_deleted() is
        'Refuses a row whose column, named by the trigger, references a soft-deleted row.';

    create function wellbeing.system_only_columns() returns trigger
    language plpgsql set search_path = pg_catalog, pg_temp
    as $$
    declare
        column_name text;
        old_row constant jsonb := to_jsonb(old);
        new_row constant jsonb := to_jsonb(new);
    begin
        if pg_has_role(current_user, 'scheduler_system', 'usage') then
            return new;
        end if;
        foreach column_name in array tg_argv loop
            if new_row -> column_name is distinct from old_row -> column_name then
                raise exception 'cannot change %.%.%: only the role scheduler_system may change this column',
                    tg_table_schema, tg_table_name, column_name using errcode = 'insufficient_privilege',
                    schema = tg_table_schema, table = tg_table_name, column = column_name;
            end if;
        end loop;
        return new;
    end $$;

    comment on function wellbeing.system_only_columns() is
        'Lets only the system change the columns that the trigger names.';
    """)


def downgrade() -> None:
    op.execute("""
    drop function wellbeing.system_only_columns();
    drop function identity.refuse_additions_to_deleted();
    drop procedure identity.secure_table(regclass, text[], boolean);
    drop function identity.has_tenant_access();
    drop function identity.may_administer();
    drop function identity.is_staff_member();
    drop function identity.is_active_user();
    drop function identity.is_open_tenant();
    drop procedure identity.set_definer_owner(regprocedure, text);
    drop procedure identity.limit_sizes(regclass, integer);
    drop function identity.is_readable_json(jsonb);
    drop function identity.is_ciphertext(bytea);
    drop function identity.keep_updated_at();
    drop function identity.current_user_id();
    drop function identity.current_tenant_id();
    """)
