"""Identity: tenants, users, addresses, families, and the data keys of encrypted columns.

**Tenants.** A tenant is an organisation that owns its rows; a tenant that has rows cannot be deleted. Every other key
is `(tenant_id, id)`, and every reference carries the tenant: a plain foreign key finds rows of another tenant although
its writer cannot see them, and a cascade would delete across tenants. The tenant core specification expects databases
that hold some of its tables. Such a table is kept (`if not exists`) if it has today's columns, and completed by
the statements after it; `scheduler migrate` ends with a comparison that names the remaining differences.

**Users.** The id of a user is one person across tenants: a person who works with two tenants has two users. Otherwise
one tenant could insert a user under the id of another tenant's user, and act for that person or lock them out. A
SuperTokens id is one live user across tenants, too, since a sign-in is looked up before its tenant is known. An e-mail
address is stored in lower case, because under row security an index serves equality but not `lower(email)`. The system
alone changes the sign-in and role of a user, and deletes a user for good: a cascade asks no policy. Only an admin or
the system adds staff and sign-ins, changes their e-mail address, suspends, deletes softly and readmits.

A tenant is open while it is active and not deleted. In another tenant `scheduler_app` reaches nothing, and
`scheduler_job` only the list of tenants; the system still exports, erases and verifies.

**Families.** A membership is one row, so that the lists of both sides cannot disagree. The membership, not the role of
the user, says who is a parent; a parent reads the rows of the students of the family. Deleting a family or user for
good deletes the memberships; a soft delete keeps them.

**Data keys.** The application encrypts health information. Each tenant has a data key for values, and one from which
the keys of blind indexes are derived; a master key outside the database wraps both. The *current* key encrypts new
values, a *superseded* key still decrypts, a *retired* key stays for backups only. A writer calls
`identity.current_data_key`, which holds a shared advisory lock until the transaction ends. The rotation takes that lock
exclusively, so that no value is encrypted with a superseded key; a row lock would need the right to update the key.
"""

from alembic import op

revision = "20261126000400"
down_revision = "20261126000300"

# The instants of each table beside `created_at` and `updated_at`.
INSTANTS = {
    "tenants": ["deleted_at"],
    "users": ["deleted_at"],
    "addresses": ["deleted_at"],
    "families": ["deleted_at"],
    "family_members": [],
    "data_keys": ["superseded_at", "retired_at"],
}


def upgrade() -> None:
    op.execute("""
    create table if not exists identity.tenants (
        id uuid not null default gen_random_uuid(),
        slug varchar(255) not null,
        name varchar(255) not null,
        status text not null default 'active',
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        deleted_at timestamptz,
        constraint tenants_pkey primary key (id),
        -- stops an unknown status
        constraint a_tenant_is_active_suspended_or_closed check (status in ('active', 'suspended', 'closed'))
    );

    comment on table identity.tenants is 'An organisation that owns its rows; no other tenant sees them.';

    -- stops two live tenants with one slug; a deleted tenant frees its slug
    create unique index if not exists live_tenants_have_their_own_slug on identity.tenants (slug)
        where deleted_at is null;

    create or replace trigger updated_at_is_kept before update on identity.tenants
        for each row execute function identity.keep_updated_at();

    -- By hand: secure_table needs a tenant_id.
    call identity.limit_sizes('identity.tenants');
    alter table identity.tenants enable row level security;
    alter table identity.tenants force row level security;
    drop policy if exists a_tenant_sees_itself on identity.tenants;
    create policy a_tenant_sees_itself on identity.tenants for select to scheduler_app
        using (id = (select identity.current_tenant_id())
            and ((select identity.has_tenant_access()) or (select identity.is_active_user())));
    drop policy if exists the_system_works_for_its_tenant on identity.tenants;
    create policy the_system_works_for_its_tenant on identity.tenants to scheduler_system
        using (id = (select identity.current_tenant_id()))
        with check (id = (select identity.current_tenant_id()));
    drop policy if exists the_job_sees_for_whom_to_work on identity.tenants;
    create policy the_job_sees_for_whom_to_work on identity.tenants for select to scheduler_job using (true);
    -- true, since a slug is looked up before the tenant is known
    drop policy if exists the_definer_finds_a_tenant on identity.tenants;
    create policy the_definer_finds_a_tenant on identity.tenants for select to scheduler_definer using (true);

    grant select on identity.tenants to scheduler_app, scheduler_job;
    grant select (id, slug, status, deleted_at) on identity.tenants to scheduler_definer;
    grant select, update on identity.tenants to scheduler_system;

    -- each role finds the tenant for which it will work, and cannot list the others
    create function identity.tenant_by_slug(wanted text)
    returns table (id uuid, status text, deleted_at timestamptz)
    language plpgsql stable security definer rows 1 set search_path = pg_catalog, pg_temp
    as $$ begin
        return query
            select tenant.id, tenant.status, tenant.deleted_at from identity.tenants as tenant
            where tenant.slug = wanted
            order by tenant.deleted_at desc nulls first, tenant.id limit 1;
    end $$;

    comment on function identity.tenant_by_slug(text) is
        'The tenant with this slug: the live one, else the one that was deleted last.';

    call identity.set_definer_owner('identity.tenant_by_slug(text)',
        'scheduler_app, scheduler_job, scheduler_system, scheduler_desk');
    """)
    op.execute(r"""
    do $$ begin
        create type identity.user_role_enum as enum
            ('admin', 'staff', 'doctor', 'specialist', 'practitioner', 'parent', 'student', 'patient', 'child');
    exception when duplicate_object then
        null;  -- a partial schema may have the type
    end $$;

    -- HTML's definition of an address, in lower case and ASCII: beyond ASCII, servers differ on lower case.
    create or replace function identity.is_email(value text) returns boolean
    language sql immutable parallel safe strict
    return length(value) <= 254
        and value ~ ('^[a-z0-9.!#$%&''*+/=?^_`{|}~-]{1,64}'
            '@[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?([.][a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$');

    comment on function identity.is_email(text) is 'Whether a text is an e-mail address in lower case.';

    create table if not exists identity.users (
        tenant_id uuid not null references identity.tenants (id) on delete restrict,
        id uuid not null default gen_random_uuid(),
        supertokens_user_id text,
        email text,
        name text not null,
        phone varchar(50),
        role identity.user_role_enum not null,
        status text not null default 'active',
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        deleted_at timestamptz,
        constraint users_pkey primary key (tenant_id, id),
        -- stops 'nobody', 'a@b@c', two spellings of one address, and look-alike letters
        constraint an_email_is_an_address_in_lower_case check (identity.is_email(email)),
        -- stops an unknown status
        constraint a_user_is_active_inactive_pending_or_suspended
            check (status in ('active', 'inactive', 'pending', 'suspended'))
    );

    comment on table identity.users is 'A person who signs in, or who is only referred to, such as a child at school.';

    -- stops two live users with one address; a deleted user frees it
    create unique index if not exists live_users_have_their_own_email
        on identity.users (tenant_id, email) where deleted_at is null;
    create index if not exists users_status_idx on identity.users (tenant_id, status);

    -- stops one sign-in of two live users, also across tenants; a deleted user frees it
    create unique index if not exists live_users_have_their_own_sign_in
        on identity.users (supertokens_user_id) where deleted_at is null;

    alter table identity.users
        alter column email drop not null,
        drop constraint if exists a_sign_in_is_one_user,
        -- stops a user under the id of another tenant's user: a person who works with two tenants has two users
        drop constraint if exists a_person_of_two_tenants_has_two_users,
        add constraint a_person_of_two_tenants_has_two_users unique (id),
        -- stops a user who signs in but cannot be reached
        drop constraint if exists who_signs_in_has_an_email,
        add constraint who_signs_in_has_an_email check (supertokens_user_id is null or email is not null),
        -- stops an empty or blank name
        drop constraint if exists a_user_has_a_name,
        add constraint a_user_has_a_name check (name ~ E'\\S');

    create table if not exists identity.addresses (
        tenant_id uuid not null references identity.tenants (id) on delete restrict,
        id uuid not null default gen_random_uuid(),
        line_1 text not null,
        line_2 text,
        city text,
        region text,
        postcode varchar(20),
        country varchar(2),
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        deleted_at timestamptz,
        constraint addresses_pkey primary key (tenant_id, id),
        -- stops 'England' and 'gb'
        constraint the_country_of_an_address_is_two_capital_letters check (country ~ '^[A-Z]{2}$')
    );

    comment on table identity.addresses is 'A postal address, referenced by its owner.';

    call audit.watch('identity.tenants', array['slug']);
    call identity.secure_table('identity.users');
    call identity.secure_table('identity.addresses', array['country']);
    -- stops a child from deleting its alerts by deleting its user: a cascade asks no policy
    revoke delete on identity.users, identity.addresses from scheduler_app;

    -- stops people from taking over a sign-in, and from making themselves an admin
    create trigger nobody_changes_a_sign_in_or_its_role before update on identity.users
        for each row execute function wellbeing.system_only_columns('tenant_id', 'id', 'supertokens_user_id', 'role');

    -- stops staff from adding an admin or a colleague, and from taking the sign-in of somebody who has no user yet
    create policy only_an_admin_adds_staff_and_sign_ins on identity.users as restrictive for insert to scheduler_app
        with check (role in ('parent', 'student', 'patient', 'child') and supertokens_user_id is null
            or (select identity.may_administer()));

    create function identity.refuse_unless_admin() returns trigger
    language plpgsql set search_path = pg_catalog, pg_temp
    as $$ begin
        if identity.may_administer() then
            return new;
        end if;
        raise exception 'cannot change %: only an admin of the tenant may', tg_argv[0]
            using errcode = 'insufficient_privilege', schema = tg_table_schema, table = tg_table_name;
    end $$;

    comment on function identity.refuse_unless_admin() is
        'Lets only an admin of the tenant and the system make the change for which the trigger fires.';

    -- stops staff from lifting a suspension, and from locking an admin out
    create trigger only_an_admin_suspends_and_readmits before update on identity.users
        for each row when ((old.status, old.deleted_at) is distinct from (new.status, new.deleted_at))
        execute function identity.refuse_unless_admin('the status of a user');

    -- stops staff from sending the letters of an admin, such as a new password, to an address of their own
    create trigger only_an_admin_redirects_the_mail_of_staff_and_sign_ins before update on identity.users
        for each row when (old.email is distinct from new.email
            and (old.supertokens_user_id is not null or old.role not in ('parent', 'student', 'patient', 'child')))
        execute function identity.refuse_unless_admin('the e-mail address of staff or of a sign-in');
    """)
    op.execute(r"""
    create table identity.families (
        tenant_id uuid not null references identity.tenants (id) on delete restrict,
        id uuid not null default gen_random_uuid(),
        family_name text not null,
        address_id uuid,
        preferred_programs text[] not null default '{}',
        status text not null default 'active',
        created_by uuid,
        modified_by uuid,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        deleted_at timestamptz,
        constraint families_pkey primary key (tenant_id, id),
        -- stops a family at an address of another tenant
        constraint families_address_id_fkey foreign key (tenant_id, address_id)
            references identity.addresses (tenant_id, id) on delete set null (address_id),
        -- these two stop a user of another tenant; the family outlives the user
        constraint families_created_by_fkey foreign key (tenant_id, created_by)
            references identity.users (tenant_id, id) on delete set null (created_by),
        constraint families_modified_by_fkey foreign key (tenant_id, modified_by)
            references identity.users (tenant_id, id) on delete set null (modified_by),
        -- stops a null or empty programme in the list
        constraint a_preferred_program_has_a_name check (
            array_position(preferred_programs, null) is null and array_position(preferred_programs, '') is null
        ),
        -- stops an unknown status
        constraint a_family_is_active_or_inactive check (status in ('active', 'inactive')),
        -- stops an empty or blank name
        constraint a_family_has_a_name check (family_name ~ E'\\S')
    );

    comment on table identity.families is 'People who belong together: parents and their students.';

    create index families_status_idx on identity.families (tenant_id, status);
    create index families_address_id_idx on identity.families (tenant_id, address_id);
    create index families_created_by_idx on identity.families (tenant_id, created_by);
    create index families_modified_by_idx on identity.families (tenant_id, modified_by);

    create table identity.family_members (
        tenant_id uuid not null,
        family_id uuid not null,
        user_id uuid not null,
        role text not null,
        is_primary_contact boolean not null default false,
        is_emergency_contact boolean not null default false,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        -- stops a second membership of a user in one family, as the same or the other role
        constraint family_members_pkey primary key (tenant_id, family_id, user_id),
        -- these two stop a family or user that is missing or of another tenant
        constraint family_members_family_id_fkey foreign key (tenant_id, family_id)
            references identity.families (tenant_id, id) on delete cascade,
        constraint family_members_user_id_fkey foreign key (tenant_id, user_id)
            references identity.users (tenant_id, id) on delete cascade,
        -- stops a role besides parent and student
        constraint a_member_is_a_parent_or_a_student check (role in ('parent', 'student'))
    );

    comment on table identity.family_members is
        'A membership: a user is a parent or a student of a family. Both directions read this row.';

    create index family_members_user_id_idx on identity.family_members (tenant_id, user_id);

    call identity.secure_table('identity.families');
    call identity.secure_table('identity.family_members', array['is_primary_contact', 'is_emergency_contact']);
    revoke delete on identity.families from scheduler_app;

    -- these two stop a membership in a deleted family, and of a deleted user
    create trigger a_member_joins_a_live_family before insert or update of family_id on identity.family_members
        for each row execute function identity.refuse_additions_to_deleted('family_id', 'identity.families');
    create trigger a_member_is_a_live_user before insert or update of user_id on identity.family_members
        for each row execute function identity.refuse_additions_to_deleted('user_id', 'identity.users');
    """)
    op.execute("""
    create table identity.data_keys (
        tenant_id uuid not null references identity.tenants (id) on delete restrict,
        id uuid not null default gen_random_uuid(),
        purpose text not null,
        wrapped_key bytea not null,
        master_key_id text not null,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        superseded_at timestamptz,
        retired_at timestamptz,
        constraint data_keys_pkey primary key (tenant_id, id),
        -- stops an unknown purpose
        constraint a_data_key_encrypts_or_indexes check (purpose in ('encryption', 'index')),
        -- stops a plaintext key: it has 32 bytes, a wrapped one at least 48
        constraint a_data_key_is_wrapped check (octet_length(wrapped_key) between 48 and 4096),
        -- stops a key whose master key is unknown
        constraint the_master_key_of_a_data_key_has_a_name check (master_key_id ~ '^[!-~]{1,255}$'),
        -- stops retiring the key that encrypts new values
        constraint only_a_superseded_data_key_is_retired check (
            retired_at is null or (superseded_at is not null and superseded_at <= retired_at)
        )
    );

    comment on table identity.data_keys is
        'A key of a tenant, wrapped by a master key: for encrypted values, or for blind indexes.';

    -- stops two current keys for one purpose
    create unique index a_tenant_has_one_current_key_for_a_purpose
        on identity.data_keys (tenant_id, purpose) where superseded_at is null;

    call identity.secure_table('identity.data_keys', array['purpose']);
    revoke insert, update, delete on identity.data_keys from scheduler_app;
    revoke delete on identity.data_keys from scheduler_system;

    -- volatile, so that its query sees rows committed while it waited for the lock
    create function identity.current_data_key(of_tenant uuid) returns uuid
    language plpgsql volatile set search_path = pg_catalog, pg_temp
    as $$ begin
        perform pg_advisory_xact_lock_shared(hashtext('scheduler'), hashtext('data keys ' || of_tenant));
        return (
            select id from identity.data_keys
            where tenant_id = of_tenant and purpose = 'encryption' and superseded_at is null
        );
    end $$;

    comment on function identity.current_data_key(uuid) is
        'The key that encrypts new values; stays current until this transaction ends. Null if there is none.';
    """)
    for table, instants in INSTANTS.items():
        checks = (
            f"{name} >= '0001-01-03 00:00+00' and {name} < '9999-12-29 00:00+00'"
            for name in (*instants, "created_at", "updated_at")
        )
        # stops 'infinity' and the year 10000, which the driver cannot read
        op.execute(f"""
        alter table identity.{table}
            drop constraint if exists its_times_are_in_the_calendar,
            add constraint its_times_are_in_the_calendar check ({" and ".join(checks)});
        """)
    let_people_see_their_own()


def let_people_see_their_own() -> None:
    """Let the definer look up the current user, and let people read their own rows."""
    op.execute("""
    -- The policy of the tenant must not apply to the definer: it would call itself without end.
    alter policy a_tenant_sees_its_own_rows on identity.users
        to scheduler_app, scheduler_job, scheduler_system;
    grant select (tenant_id, id, role, status, deleted_at) on identity.users to scheduler_definer;
    create policy the_definer_sees_who_asks on identity.users
        for select to scheduler_definer
        using (tenant_id = (select identity.current_tenant_id()) and id = (select identity.current_user_id()));
    alter policy a_tenant_sees_its_own_rows on identity.family_members
        to scheduler_app, scheduler_job, scheduler_system;
    grant select (tenant_id, family_id, user_id) on identity.family_members to scheduler_definer;
    create policy the_definer_sees_who_asks on identity.family_members
        for select to scheduler_definer
        using (tenant_id = (select identity.current_tenant_id()) and user_id = (select identity.current_user_id()));
    alter policy a_tenant_sees_its_own_rows on identity.families
        to scheduler_app, scheduler_job, scheduler_system;
    grant select (tenant_id, id, deleted_at) on identity.families to scheduler_definer;
    create policy the_definer_sees_who_asks on identity.families
        for select to scheduler_definer using (tenant_id = (select identity.current_tenant_id()));

    create function identity.own_families() returns uuid[]
    language plpgsql stable parallel safe security definer set search_path = pg_catalog, pg_temp
    as $$ begin
        return array(
            select family.id
            from identity.family_members as member
            join identity.families as family on family.tenant_id = member.tenant_id and family.id = member.family_id
            where member.tenant_id = identity.current_tenant_id() and member.user_id = identity.current_user_id()
                and family.deleted_at is null and identity.is_active_user()
        );
    end $$;

    comment on function identity.own_families() is 'The live families of the user of this transaction.';

    call identity.set_definer_owner('identity.own_families()', 'scheduler_app, scheduler_job, scheduler_system');

    create function identity.own_household() returns uuid[]
    language sql stable parallel safe
    return array(
        select identity.current_user_id() where identity.is_active_user()
        union
        select user_id from identity.family_members
        where tenant_id = identity.current_tenant_id() and family_id = any ((select identity.own_families())::uuid[])
    );

    comment on function identity.own_household() is 'The user of this transaction, and the members of their families.';

    create function identity.own_dependants() returns uuid[]
    language sql stable parallel safe
    return array(
        select identity.current_user_id() where identity.is_active_user()
        union
        select student.user_id
        from identity.family_members as parent
        join identity.family_members as student
            on student.tenant_id = parent.tenant_id and student.family_id = parent.family_id
        where parent.tenant_id = identity.current_tenant_id() and parent.user_id = identity.current_user_id()
            and parent.family_id = any ((select identity.own_families())::uuid[])
            and parent.role = 'parent' and student.role = 'student'
    );

    comment on function identity.own_dependants() is
        'The user of this transaction, and the students of families in which they are a parent.';

    create policy a_person_sees_their_own on identity.users for select to scheduler_app
        using (tenant_id = (select identity.current_tenant_id())
            and id = any ((select identity.own_household())::uuid[]));
    create policy a_person_sees_their_own on identity.families for select to scheduler_app
        using (tenant_id = (select identity.current_tenant_id())
            and id = any ((select identity.own_families())::uuid[]));
    create policy a_person_sees_their_own on identity.family_members for select to scheduler_app
        using (tenant_id = (select identity.current_tenant_id())
            and family_id = any ((select identity.own_families())::uuid[]));
    """)


def downgrade() -> None:
    op.execute("""
    drop policy a_person_sees_their_own on identity.family_members;
    drop policy a_person_sees_their_own on identity.families;
    drop policy a_person_sees_their_own on identity.users;
    drop function identity.own_dependants();
    drop function identity.own_household();
    drop function identity.own_families();
    drop function identity.current_data_key(uuid);
    drop table identity.data_keys, identity.family_members, identity.families, identity.addresses, identity.users;
    drop function identity.refuse_unless_admin();
    drop function identity.tenant_by_slug(text);
    drop function identity.is_email(text);
    drop type identity.user_role_enum;
    drop table identity.tenants;
    """)
