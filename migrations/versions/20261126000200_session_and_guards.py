"""Session and guards: how the database knows for whom it works, and the protection that every table gets.

A transaction names its tenant in `app.tenant_id` and its user in `app.user_id`. Both settings are local to the
transaction. A missing or empty tenant (an ended transaction leaves '' behind, not null) means no tenant and so no
rows; a text that is no uuid is an error. Policies read the settings as `(select identity.current_tenant_id())`, which
PostgreSQL evaluates once a statement, not once a row.

`identity.secure_table` comes before every table, and each revision calls it for each of its tables. It enables and
forces row security, lets a tenant see its own rows, keeps `updated_at`, grants the rights that the roles need, and has
the audit log watch the table. Two kinds of table cannot use it: `identity.tenants`, which has no `tenant_id`, and the
audit log itself. The rights of a table end where its revision takes some back: `scheduler_app` deletes no row of a
table with `deleted_at` for good, since a soft delete keeps the row that the audit log speaks of, and a cascade asks no
policy.

**Access to all of the tenant** (`identity.has_tenant_access`) is for work that is done for no one person (an import,
a job), for the system and the job whoever the user is, and for a user who works for the tenant: active, not deleted,
with the role admin, staff, doctor, specialist or practitioner, and no child of the wellbeing part. Everybody else is
refused by the same policy as a stranger, and reaches their own rows by a second policy, for reading only. Since the
guard gives the first policy to each table, a table of which nobody thought is closed to the people cared for.

A table on which the wellbeing roles decide more says `by_role`: then the policy of the tenant is restrictive, so that
no later policy can let the row of another tenant through, and its own policies say which role sees which rows.

`identity.set_definer_owner` makes `scheduler_definer` the owner of a function; the migrating role is its member for
that moment only. The two functions here look up the user at work in `identity.users` and `wellbeing.profiles`. These
tables come later: a PL/pgSQL body is bound when it runs.

Two trigger functions serve several schemas. `wellbeing.system_only_columns` refuses a change of the columns that its
trigger names. `identity.refuse_additions_to_deleted` refuses a row that refers to a soft-deleted row, which a foreign
key would accept. It asks when a row is written and when its reference changes, so that restoring the row brings back
all that hung on it. It locks the referenced row until the transaction ends; two writers do not wait for one another.
Rows that the writer cannot see it leaves to the keys, which carry the tenant, and to row security.

An encrypted value is stored as `bytea` in one shape, which `identity.is_ciphertext` recognises: plaintext cannot get
into such a column by mistake.
"""

from alembic import op

revision = "20261126000200"
down_revision = "20261126000100"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
    create function identity.current_tenant_id() returns uuid
    language sql stable parallel safe
    return nullif(current_setting('app.tenant_id', true), '')::uuid;

    comment on function identity.current_tenant_id() is
        'The tenant that this transaction works for; null, and so no rows, when none is set.';

    create function identity.current_user_id() returns uuid
    language sql stable parallel safe
    return nullif(current_setting('app.user_id', true), '')::uuid;

    comment on function identity.current_user_id() is
        'The user for whom this transaction works; null when it works for none.';

    create function identity.keep_updated_at() returns trigger
    language plpgsql set search_path = pg_catalog, pg_temp
    as $$ begin
        new.updated_at := now();
        return new;
    end $$;

    comment on function identity.keep_updated_at() is 'Keeps updated_at true whatever an UPDATE says.';

    create function identity.is_ciphertext(value bytea) returns boolean
    language sql immutable parallel safe strict
    return octet_length(value) >= 45 and get_byte(value, 0) = 1;

    comment on function identity.is_ciphertext(bytea) is
        'Whether a value has the shape of an encrypted one: version 1, key id (16), nonce (12), ciphertext, tag (16).';

    create procedure identity.set_definer_owner(target regprocedure, callers text default null)
    language plpgsql set search_path = pg_catalog, pg_temp
    as $$
    declare
        schema_name constant text := (select pronamespace::regnamespace::text from pg_proc where oid = target);
        -- A superuser is a member of every role. Nobody else stays one: the definer's policies would be theirs, too.
        must_join constant boolean := not pg_has_role(current_user, 'scheduler_definer', 'usage');
    begin
        execute format('revoke all on function %s from public', target);
        if callers is not null then
            execute format('grant execute on function %s to %s', target, callers);
        end if;
        if must_join then
            execute format('grant scheduler_definer to %I', current_user);
        end if;
        -- Whoever is to own a function has to be allowed to make one there, at that moment.
        execute format('grant create on schema %s to scheduler_definer', schema_name);
        execute format('alter function %s owner to scheduler_definer', target);
        execute format('revoke create on schema %s from scheduler_definer', schema_name);
        if must_join then
            if exists (select from pg_proc where oid = target and prorettype = 'trigger'::regtype) then
                execute format('grant execute on function %s to %I', target, current_user);  -- to make its triggers
            end if;
            execute format('revoke scheduler_definer from %I', current_user);
        end if;
    end $$;

    comment on procedure identity.set_definer_owner(regprocedure, text) is
        'Makes scheduler_definer the owner of a function that runs with its rights, and says who may call it.';

    revoke all on procedure identity.set_definer_owner(regprocedure, text) from public;
    """)
    op.execute("""
    create function identity.is_staff_member() returns boolean
    language plpgsql stable parallel safe security definer set search_path = pg_catalog, pg_temp
    as $$ begin
        return exists (
            select from identity.users
            where tenant_id = identity.current_tenant_id() and id = identity.current_user_id()
                and status = 'active' and deleted_at is null
                and role in ('admin', 'staff', 'doctor', 'specialist', 'practitioner')
        ) and not exists (select from wellbeing.profiles where id = identity.current_user_id() and role = 'Child');
    end $$;

    comment on function identity.is_staff_member() is
        'Whether the user for whom this transaction works is active in its tenant and works for it.';

    create function identity.is_active_user() returns boolean
    language plpgsql stable parallel safe security definer set search_path = pg_catalog, pg_temp
    as $$ begin
        return exists (
            select from identity.users
            where tenant_id = identity.current_tenant_id() and id = identity.current_user_id()
                and status = 'active' and deleted_at is null
        );
    end $$;

    comment on function identity.is_active_user() is
        'Whether the user for whom this transaction works is active in its tenant, whatever the role.';

    call identity.set_definer_owner('identity.is_staff_member()', 'scheduler_app, scheduler_job, scheduler_system');
    call identity.set_definer_owner('identity.is_active_user()', 'scheduler_app, scheduler_job, scheduler_system');

    -- The role at work is the one that was taken on, also inside a function that has its owner's rights.
    create function identity.has_tenant_access() returns boolean
    language sql stable parallel safe
    return identity.current_user_id() is null
        or pg_has_role(coalesce(nullif(current_setting('role'), 'none'), session_user)::name,
            'scheduler_system', 'usage')
        or pg_has_role(coalesce(nullif(current_setting('role'), 'none'), session_user)::name,
            'scheduler_job', 'usage')
        or identity.is_staff_member();

    comment on function identity.has_tenant_access() is
        'Whether all rows of the tenant are open: to work for no one person, the system, a job, who works there.';
    """)
    op.execute("""
    create procedure identity.secure_table(
        target regclass, visible_columns text[] default '{}', by_role boolean default false)
    language plpgsql set search_path = pg_catalog, pg_temp
    as $$ begin
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
        execute format('grant select, insert, update, delete on %s to scheduler_app, scheduler_system', target);
        call audit.watch(target, visible_columns);
    end $$;

    comment on procedure identity.secure_table(regclass, text[], boolean) is
        'Gives a table row security by tenant, a kept updated_at, its grants and its place in the audit log.';

    revoke all on procedure identity.secure_table(regclass, text[], boolean) from public;

    create function identity.refuse_additions_to_deleted() returns trigger
    language plpgsql set search_path = pg_catalog, pg_temp
    as $$
    declare
        target constant regclass := tg_argv[1];
        is_deleted boolean;
    begin
        execute format('select deleted_at is not null from %s where tenant_id = $1 and id = $2 for share', target)
            into is_deleted using new.tenant_id, (to_jsonb(new) ->> tg_argv[0])::uuid;
        if is_deleted then
            raise exception 'the row of % that % names is deleted', target, tg_argv[0] using
                errcode = 'check_violation', schema = tg_table_schema, table = tg_table_name, constraint = tg_name;
        end if;
        return new;
    end $$;

    comment on function identity.refuse_additions_to_deleted() is
        'Refuses a row that names, in the column of its trigger, a row that was deleted softly.';

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
                raise exception '% of %.% is changed by the system only', column_name, tg_table_schema, tg_table_name
                    using errcode = 'insufficient_privilege', schema = tg_table_schema, table = tg_table_name,
                        column = column_name;
            end if;
        end loop;
        return new;
    end $$;

    comment on function wellbeing.system_only_columns() is
        'Refuses a change of the columns that its trigger names to everyone but the system.';
    """)


def downgrade() -> None:
    op.execute("""
    drop function wellbeing.system_only_columns();
    drop function identity.refuse_additions_to_deleted();
    drop procedure identity.secure_table(regclass, text[], boolean);
    drop function identity.has_tenant_access();
    drop function identity.is_active_user();
    drop function identity.is_staff_member();
    drop procedure identity.set_definer_owner(regprocedure, text);
    drop function identity.is_ciphertext(bytea);
    drop function identity.keep_updated_at();
    drop function identity.current_user_id();
    drop function identity.current_tenant_id();
    """)
