"""Organisations and profiles: who belongs where in the wellbeing part, and as what.

An organisation is a tenant with what the wellbeing part knows of it: its `id` *is* the tenant's. So a tenant has one
organisation at most, whoever belongs to the organisation belongs to the tenant, and "of my organisation" can be asked
of every row by its tenant. `tenant_id` is generated from `id`, for the keys that carry it.

A profile is a user (`identity.users`) with a role in the wellbeing part: an Account looks after the whole platform, a
GroupContact after an organisation, a Practitioner after children, and a Child is one. A person has one profile,
whatever the tenant, so that the role of who asks is one answer.

Policies ask for that role with `identity.current_role_name()`, and for the organisation with
`identity.current_organisation_id()`. Both look into `profiles`, on which policies ask for them: they do so with the
rights of `scheduler_definer`, for whom `profiles` has one policy of its own that asks for neither. (A policy that
selected from its own table would be refused as infinite recursion; a function of the tables' owner, with row security
forced, would recurse without end.) Only an active profile has a role: who is suspended, pending or deleted has none.
It counts in its own tenant, but for an Account's, which counts wherever a tenant is named.

A tenant's rows stay with the tenant, also here, with one exception: an Account sees the profiles and manages the
organisations of all tenants. The system works for one tenant, whoever is the user it works for.

A person changes their own profile, but not what decides on rights: a trigger refuses that to everyone but the system.
Row security could not: a policy sees a row before a change, or after it, but not both. Nor does anybody but the system
change by which sign-in a user is known, or the role of a user: on `identity.users` no role decides who may write, and
whoever signs in as a practitioner is one.

A deleted organisation or profile keeps its row for as long as the law wants it (`deleted_at`).
"""

from alembic import op

revision = "20261121101200"
down_revision = "20261121101100"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
    create table wellbeing.organisations (
        tenant_id uuid not null generated always as (id) stored,
        id uuid not null,
        name text not null,
        type text not null,
        address_line_1 text,
        address_line_2 text,
        city text,
        postcode text,
        country text default 'UK',
        phone text,
        email text,
        website text,
        status text not null default 'active',
        subscription_plan text default 'essential',
        max_children integer default 50,
        max_practitioners integer default 5,
        settings jsonb default '{}',
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        deleted_at timestamptz,
        constraint an_organisation_has_one_key_in_its_tenant primary key (tenant_id, id),
        -- stops an organisation that is no tenant, and deleting the tenant that it is
        constraint an_organisation_is_a_tenant foreign key (tenant_id)
            references identity.tenants (id) on delete restrict,
        -- stops 'nobody', 'a@b@c', two spellings of one address, and letters that look like others
        constraint the_email_of_an_organisation_is_an_address_in_lower_case check (identity.is_email(email)),
        -- stops a type that no code knows
        constraint an_organisation_has_a_known_type check (type in (
            'school-primary', 'school-secondary', 'academy-trust', 'clinic-private', 'nhs-trust', 'hospital',
            'charity', 'other'
        )),
        -- stops a status that no code knows
        constraint an_organisation_has_a_known_status check (status in ('active', 'inactive', 'trial', 'suspended')),
        -- stops a plan that nobody sells
        constraint an_organisation_has_a_known_subscription_plan
            check (subscription_plan in ('essential', 'professional', 'enterprise')),
        -- stops 'at most -1 children'
        constraint the_limits_of_an_organisation_are_not_negative
            check (max_children >= 0 and max_practitioners >= 0)
    );

    comment on table wellbeing.organisations is 'A tenant as the wellbeing part knows it: a school, clinic, charity.';

    create index organisations_are_found_by_words_of_their_name
        on wellbeing.organisations using gin (to_tsvector('english', name));

    create table wellbeing.profiles (
        tenant_id uuid not null,
        id uuid not null,
        email text not null,
        name text not null,
        role text not null,
        org_id uuid,
        status text not null default 'active',
        avatar_url text,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        deleted_at timestamptz,
        constraint a_profile_has_one_key_in_its_tenant primary key (tenant_id, id),
        -- stops one person from having two roles, of which policies would ask for one; also across tenants
        constraint a_person_has_one_profile unique (id),
        -- stops a profile of nobody; it goes with its user
        constraint a_profile_is_of_a_user foreign key (tenant_id, id)
            references identity.users (tenant_id, id) on delete cascade,
        -- stops belonging to an organisation of another tenant; deleting the organisation leaves its people
        constraint a_profile_may_be_of_an_organisation foreign key (tenant_id, org_id)
            references wellbeing.organisations (tenant_id, id) on delete set null (org_id),
        -- stops a role that no policy knows
        constraint a_profile_has_a_known_role check (role in ('Account', 'GroupContact', 'Practitioner', 'Child')),
        -- stops a status that no code knows
        constraint a_profile_has_a_known_status check (status in ('active', 'inactive', 'pending', 'suspended')),
        -- stops 'nobody', 'a@b@c', two spellings of one address, and letters that look like others
        constraint the_email_of_a_profile_is_an_address_in_lower_case check (identity.is_email(email))
    );

    comment on table wellbeing.profiles is 'A user with a role in the wellbeing part.';

    create index profiles_are_found_by_organisation on wellbeing.profiles (tenant_id, org_id);
    create index profiles_are_found_by_role on wellbeing.profiles (tenant_id, role);
    """)
    op.execute("""
    call identity.guard('wellbeing.organisations',
        array['country', 'subscription_plan', 'max_children', 'max_practitioners'], by_role => true);
    call identity.guard('wellbeing.profiles', by_role => true);
    revoke insert, delete on wellbeing.profiles from scheduler_app;
    grant select (tenant_id, id, role, org_id, status, deleted_at) on wellbeing.profiles to scheduler_definer;

    create function identity.current_role_name() returns text
    language sql stable parallel safe security definer set search_path = pg_catalog, pg_temp
    as $$
        select role from wellbeing.profiles
        where id = identity.current_user_id() and status = 'active' and deleted_at is null
            and (tenant_id = identity.current_tenant_id()
                or role = 'Account' and identity.current_tenant_id() is not null)
    $$;

    comment on function identity.current_role_name() is
        'The role of the active profile of the user for whom this transaction works; null when there is none.';

    create function identity.current_organisation_id() returns uuid
    language sql stable parallel safe security definer set search_path = pg_catalog, pg_temp
    as $$
        select org_id from wellbeing.profiles
        where id = identity.current_user_id() and status = 'active' and deleted_at is null
            and (tenant_id = identity.current_tenant_id()
                or role = 'Account' and identity.current_tenant_id() is not null)
    $$;

    comment on function identity.current_organisation_id() is
        'The organisation of the active profile of the user for whom this transaction works; null when there is none.';

    call identity.give_to_definer('identity.current_role_name()', 'scheduler_app, scheduler_system');
    call identity.give_to_definer('identity.current_organisation_id()', 'scheduler_app, scheduler_system');
    """)
    op.execute("""
    alter policy a_tenant_sees_its_own_rows on wellbeing.organisations
        using (tenant_id = (select identity.current_tenant_id())
            or (select identity.current_role_name()) = 'Account')
        with check (tenant_id = (select identity.current_tenant_id())
            or (select identity.current_role_name()) = 'Account');
    alter policy the_system_works_for_its_tenant on wellbeing.organisations
        using (tenant_id = (select identity.current_tenant_id()))
        with check (tenant_id = (select identity.current_tenant_id()));

    create policy people_see_their_own_organisation on wellbeing.organisations
        for select to scheduler_app using (id = (select identity.current_organisation_id()));
    create policy group_contacts_change_their_own_organisation on wellbeing.organisations
        for update to scheduler_app
        using ((select identity.current_role_name()) = 'GroupContact'
            and id = (select identity.current_organisation_id()));
    create policy accounts_manage_all_organisations on wellbeing.organisations
        to scheduler_app using ((select identity.current_role_name()) = 'Account');

    -- Not for the definer: what it sees decides who is an Account.
    alter policy a_tenant_sees_its_own_rows on wellbeing.profiles to scheduler_app, scheduler_system
        using (tenant_id = (select identity.current_tenant_id())
            or (select identity.current_role_name()) = 'Account');
    alter policy the_system_works_for_its_tenant on wellbeing.profiles
        using (tenant_id = (select identity.current_tenant_id()));
    create policy the_definer_sees_who_asks on wellbeing.profiles
        for select to scheduler_definer using (id = (select identity.current_user_id()));

    create policy people_see_their_own_profile on wellbeing.profiles
        for select to scheduler_app using (id = (select identity.current_user_id()));
    create policy people_change_their_own_profile on wellbeing.profiles
        for update to scheduler_app
        using (id = (select identity.current_user_id()) and (select identity.current_role_name()) is not null);
    create policy group_contacts_see_the_profiles_of_their_organisation on wellbeing.profiles
        for select to scheduler_app
        using ((select identity.current_role_name()) = 'GroupContact'
            and org_id = (select identity.current_organisation_id()));
    create policy accounts_see_all_profiles on wellbeing.profiles
        for select to scheduler_app using ((select identity.current_role_name()) = 'Account');
    """)
    op.execute("""
    create function wellbeing.leave_to_the_system() returns trigger
    language plpgsql set search_path = pg_catalog, pg_temp
    as $$
    declare
        kept text;
        before_it constant jsonb := to_jsonb(old);
        after_it constant jsonb := to_jsonb(new);
    begin
        if pg_has_role(current_user, 'scheduler_system', 'usage') then
            return new;
        end if;
        foreach kept in array tg_argv loop
            if after_it -> kept is distinct from before_it -> kept then
                raise exception '% of %.% is changed by the system only', kept, tg_table_schema, tg_table_name using
                    errcode = 'insufficient_privilege', schema = tg_table_schema, table = tg_table_name, column = kept;
            end if;
        end loop;
        return new;
    end $$;

    comment on function wellbeing.leave_to_the_system() is
        'Refuses a change of the columns that its trigger names to everyone but the system.';

    -- stops people from giving themselves a role, an organisation or their rights back
    create trigger nobody_changes_their_own_rights before update on wellbeing.profiles
        for each row execute function
        wellbeing.leave_to_the_system('tenant_id', 'id', 'role', 'org_id', 'status', 'deleted_at');

    -- stops an organisation from lifting its own suspension, and the limits that it pays for; an Account may
    create trigger an_organisation_does_not_set_its_own_limits before update on wellbeing.organisations
        for each row when (identity.current_role_name() is distinct from 'Account')
        execute function wellbeing.leave_to_the_system(
            'id', 'status', 'subscription_plan', 'max_children', 'max_practitioners', 'deleted_at');

    -- stops people from signing in as somebody else, whose role decides what they see, and from becoming an admin
    create trigger nobody_changes_a_sign_in_or_its_role before update on identity.users
        for each row execute function
        wellbeing.leave_to_the_system('tenant_id', 'id', 'supertokens_user_id', 'role');
    """)


def downgrade() -> None:
    op.execute("""
    drop trigger nobody_changes_a_sign_in_or_its_role on identity.users;
    drop policy a_tenant_sees_its_own_rows on wellbeing.profiles;
    drop policy people_change_their_own_profile on wellbeing.profiles;
    drop policy group_contacts_see_the_profiles_of_their_organisation on wellbeing.profiles;
    drop policy accounts_see_all_profiles on wellbeing.profiles;
    drop policy a_tenant_sees_its_own_rows on wellbeing.organisations;
    drop policy people_see_their_own_organisation on wellbeing.organisations;
    drop policy group_contacts_change_their_own_organisation on wellbeing.organisations;
    drop policy accounts_manage_all_organisations on wellbeing.organisations;
    drop trigger an_organisation_does_not_set_its_own_limits on wellbeing.organisations;
    drop function identity.current_organisation_id();
    drop function identity.current_role_name();
    drop table wellbeing.profiles;
    drop table wellbeing.organisations;
    drop function wellbeing.leave_to_the_system();
    """)
