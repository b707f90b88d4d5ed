"""Wellbeing people: organisations, profiles, children and invitations, and the roles that policies use.

**Organisations.** An organisation extends a tenant and has its id, so the tenant of a row also names its organisation.
`tenant_id` is generated from `id`, for the keys that carry it.

**Profiles.** A profile is a user with one role: an Account administers the platform, a GroupContact an organisation, a
Practitioner cares for children, and a Child is one. Policies ask `identity.current_role_name()` and
`identity.current_organisation_id()`. A user has a role in the own tenant only, while the tenant, user, profile, the
record of a child and the organisation are live and active; an Account needs no organisation, since it administers
suspended ones. Both functions run as `scheduler_definer`, whose policies show all rows: a policy that selects from its
own table would recurse. Rows stay within their tenant, but an Account, at work in its own, sees the profiles and
manages the organisations and stored values of all tenants. Triggers keep people from changing their own rights, since a
policy sees the old or the new row, never both.

**Children.** `org_id` and `display_id` are used but not declared by the specification. A display id counts from 1 in
each organisation, in a counter row, since `max(display_id) + 1` gives two concurrent inserts one number. Practitioners
and group contacts see and change the children of their organisation; the system alone adds and removes them. A child
reads `own_child_record` without the practitioners' notes, to which the definer has no right.

**Invitations.** The table stores the SHA-256 of a random token that only the mail contains. An invitation is used once,
within a week. The system accepts it, since the invited person has no role yet. A restrictive policy describes a new
invitation: made now by its writer, open, over within a week, and an hour for clocks that differ.

`kv_store_a1855b25` holds settings, flags and cached figures of a tenant, for accounts only.
"""

from alembic import op

revision = "20261126001200"
down_revision = "20261126001100"

# The instants of each table beside `created_at` and `updated_at`.
INSTANTS = {
    "organisations": ["deleted_at"],
    "profiles": ["deleted_at"],
    "child_display_counters": [],
    "invitations": ["expires_at", "accepted_at"],
    "kv_store_a1855b25": [],
}


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
        constraint organisations_pkey primary key (tenant_id, id),
        -- stops an organisation without its tenant, and deleting that tenant
        constraint organisations_tenant_id_fkey foreign key (tenant_id)
            references identity.tenants (id) on delete restrict,
        -- stops 'nobody', 'a@b@c', two spellings of one address, and look-alike letters
        constraint the_email_of_an_organisation_is_an_address_in_lower_case check (identity.is_email(email)),
        -- stops an unknown type
        constraint an_organisation_has_a_known_type check (type in (
            'school-primary', 'school-secondary', 'academy-trust', 'clinic-private', 'nhs-trust', 'hospital',
            'charity', 'other'
        )),
        -- stops an unknown status
        constraint an_organisation_has_a_known_status check (status in ('active', 'inactive', 'trial', 'suspended')),
        -- stops an unknown plan
        constraint an_organisation_has_a_known_subscription_plan
            check (subscription_plan in ('essential', 'professional', 'enterprise')),
        -- stops a negative limit
        constraint the_limits_of_an_organisation_are_not_negative check (max_children >= 0 and max_practitioners >= 0)
    );

    comment on table wellbeing.organisations is 'A tenant in the wellbeing part: a school, clinic or charity.';

    create index organisations_name_words_idx on wellbeing.organisations using gin (to_tsvector('english', name));

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
        constraint profiles_pkey primary key (tenant_id, id),
        -- stops a second role of a person, also across tenants
        constraint a_person_has_one_profile unique (id),
        -- stops a profile without a user; deleted with the user
        constraint profiles_id_fkey foreign key (tenant_id, id)
            references identity.users (tenant_id, id) on delete cascade,
        -- stops an organisation of another tenant; deleting the organisation keeps the profile
        constraint profiles_org_id_fkey foreign key (tenant_id, org_id)
            references wellbeing.organisations (tenant_id, id) on delete set null (org_id),
        -- stops an unknown role
        constraint a_profile_has_a_known_role check (role in ('Account', 'GroupContact', 'Practitioner', 'Child')),
        -- stops an unknown status
        constraint a_profile_has_a_known_status check (status in ('active', 'inactive', 'pending', 'suspended')),
        -- stops 'nobody', 'a@b@c', two spellings of one address, and look-alike letters
        constraint the_email_of_a_profile_is_an_address_in_lower_case check (identity.is_email(email))
    );

    comment on table wellbeing.profiles is 'A user with a role in the wellbeing part.';

    create index profiles_org_id_idx on wellbeing.profiles (tenant_id, org_id);
    create index profiles_role_idx on wellbeing.profiles (tenant_id, role);

    create table wellbeing.child_display_counters (
        tenant_id uuid not null,
        org_id uuid not null,
        last_display_id integer not null,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        constraint child_display_counters_pkey primary key (tenant_id, org_id),
        -- stops a counter without its organisation; deleted with it
        constraint child_display_counters_org_id_fkey foreign key (tenant_id, org_id)
            references wellbeing.organisations (tenant_id, id) on delete cascade,
        -- stops a negative counter
        constraint a_counter_does_not_count_below_nothing check (last_display_id >= 0)
    );

    comment on table wellbeing.child_display_counters is 'The last display id assigned to a child of the organisation.';

    create table wellbeing.children (
        tenant_id uuid not null,
        id uuid not null,
        org_id uuid not null,
        display_id integer not null,
        first_name text not null,
        date_of_birth date,
        year_group text,
        class_name text,
        primary_practitioner_id uuid,
        parent_guardian_name text,
        parent_guardian_email text,
        parent_guardian_phone text,
        consent_given boolean not null default false,
        consent_date timestamptz,
        consent_type text,
        safeguarding_notes text,
        additional_notes text,
        avatar_character text default 'default',
        preferences jsonb default '{}',
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        deleted_at timestamptz,
        constraint children_pkey primary key (tenant_id, id),
        -- stops a child without a profile; deleted with the profile
        constraint children_id_fkey foreign key (tenant_id, id)
            references wellbeing.profiles (tenant_id, id) on delete cascade,
        -- stops an organisation that is missing or of another tenant, and deleting one with children
        constraint children_org_id_fkey foreign key (tenant_id, org_id)
            references wellbeing.organisations (tenant_id, id) on delete restrict,
        -- stops a practitioner of another tenant, and deleting one with children
        constraint children_primary_practitioner_id_fkey foreign key (tenant_id, primary_practitioner_id)
            references wellbeing.profiles (tenant_id, id),
        -- stops two children of an organisation with one number
        constraint a_display_id_is_one_child_of_its_organisation unique (tenant_id, org_id, display_id),
        -- stops 'nobody', 'a@b@c', two spellings of one address, and look-alike letters
        constraint the_email_of_a_guardian_is_an_address_in_lower_case check (identity.is_email(parent_guardian_email)),
        -- stops an unknown kind of consent
        constraint the_consent_for_a_child_is_of_a_known_kind check (consent_type in ('verbal', 'written', 'digital')),
        -- stops a consent without a date
        constraint a_consent_that_is_given_has_a_date check (not consent_given or consent_date is not null),
        -- stops a consent without its kind: verbal, written or digital
        constraint a_consent_that_is_given_is_of_a_kind check (not consent_given or consent_type is not null),
        -- stops 'infinity' and the year 10000, which the driver cannot read
        constraint its_times_are_in_the_calendar check (
            date_of_birth >= '0001-01-01' and date_of_birth <= '9999-12-31'
            and consent_date >= '0001-01-03 00:00+00' and consent_date < '9999-12-29 00:00+00'
            and deleted_at >= '0001-01-03 00:00+00' and deleted_at < '9999-12-29 00:00+00'
            and created_at >= '0001-01-03 00:00+00' and created_at < '9999-12-29 00:00+00'
            and updated_at >= '0001-01-03 00:00+00' and updated_at < '9999-12-29 00:00+00'
        )
    );

    comment on table wellbeing.children is 'A child, with the facts that its carers need.';

    create index children_primary_practitioner_id_idx on wellbeing.children (tenant_id, primary_practitioner_id);
    create index children_first_name_class_name_words_idx
        on wellbeing.children using gin (to_tsvector('english', first_name || ' ' || coalesce(class_name, '')));

    call identity.secure_table('wellbeing.organisations',
        array['country', 'subscription_plan', 'max_children', 'max_practitioners'], by_role => true);
    call identity.secure_table('wellbeing.profiles', by_role => true);
    call identity.secure_table('wellbeing.child_display_counters', by_role => true);
    call identity.secure_table('wellbeing.children', array['consent_given', 'consent_type'], by_role => true);
    revoke delete on wellbeing.organisations from scheduler_app;
    revoke insert, delete on wellbeing.profiles, wellbeing.children from scheduler_app;
    revoke all on wellbeing.child_display_counters from scheduler_app;
    """)
    make_roles()
    op.execute("""
    alter policy a_tenant_sees_its_own_rows on wellbeing.organisations
        to scheduler_app, scheduler_job, scheduler_system
        using (tenant_id = (select identity.current_tenant_id())
            or (select identity.current_role_name()) = 'Account')
        with check (tenant_id = (select identity.current_tenant_id())
            or (select identity.current_role_name()) = 'Account');
    alter policy the_system_works_for_its_tenant on wellbeing.organisations
        using (tenant_id = (select identity.current_tenant_id()))
        with check (tenant_id = (select identity.current_tenant_id()));

    create policy people_see_their_own_organisation on wellbeing.organisations
        for select to scheduler_app using (id = (select identity.current_organisation_id()));
    create policy group_contacts_change_their_own_organisation on wellbeing.organisations for update to scheduler_app
        using ((select identity.current_role_name()) = 'GroupContact'
            and id = (select identity.current_organisation_id()));
    create policy accounts_manage_all_organisations on wellbeing.organisations
        to scheduler_app using ((select identity.current_role_name()) = 'Account');

    -- Not for the definer, whose functions decide who is an Account.
    alter policy a_tenant_sees_its_own_rows on wellbeing.profiles to scheduler_app, scheduler_system
        using (tenant_id = (select identity.current_tenant_id())
            or (select identity.current_role_name()) = 'Account');
    alter policy the_system_works_for_its_tenant on wellbeing.profiles
        using (tenant_id = (select identity.current_tenant_id()));

    create policy people_see_their_own_profile on wellbeing.profiles for select to scheduler_app
        using (id = (select identity.current_user_id()) and (select identity.current_role_name()) is not null);
    create policy people_change_their_own_profile on wellbeing.profiles for update to scheduler_app
        using (id = (select identity.current_user_id()) and (select identity.current_role_name()) is not null);
    create policy group_contacts_see_the_profiles_of_their_organisation on wellbeing.profiles
        for select to scheduler_app
        using ((select identity.current_role_name()) = 'GroupContact'
            and org_id = (select identity.current_organisation_id()));
    create policy accounts_see_all_profiles on wellbeing.profiles
        for select to scheduler_app using ((select identity.current_role_name()) = 'Account');

    -- stops people from changing their own role, organisation or status
    create trigger nobody_changes_their_own_rights before update on wellbeing.profiles
        for each row execute function
        wellbeing.system_only_columns('tenant_id', 'id', 'role', 'org_id', 'status', 'deleted_at');

    -- stops an organisation from lifting its own suspension or limits; an Account may
    create trigger an_organisation_does_not_set_its_own_limits before update on wellbeing.organisations
        for each row when (identity.current_role_name() is distinct from 'Account')
        execute function wellbeing.system_only_columns(
            'id', 'status', 'subscription_plan', 'max_children', 'max_practitioners', 'deleted_at');
    """)
    make_children()
    make_invitations()
    for table, instants in INSTANTS.items():
        checks = (
            f"{name} >= '0001-01-03 00:00+00' and {name} < '9999-12-29 00:00+00'"
            for name in (*instants, "created_at", "updated_at")
        )
        # stops 'infinity' and the year 10000, which the driver cannot read
        op.execute(f"""
        alter table wellbeing.{table} add constraint its_times_are_in_the_calendar check ({" and ".join(checks)});
        """)


def make_roles() -> None:
    """Create the functions that return the role and organisation of the current user."""
    op.execute("""
    grant select (tenant_id, id, name, status, deleted_at) on wellbeing.organisations to scheduler_definer;
    grant select (tenant_id, id, role, org_id, status, deleted_at) on wellbeing.profiles to scheduler_definer;
    -- not the notes of practitioners, which own_child_record must not show
    grant select (tenant_id, id, org_id, display_id, first_name, date_of_birth, year_group, class_name,
        primary_practitioner_id, parent_guardian_name, parent_guardian_email, parent_guardian_phone, consent_given,
        consent_date, consent_type, avatar_character, preferences, created_at, updated_at, deleted_at)
        on wellbeing.children to scheduler_definer;
    create policy the_definer_searches_all on wellbeing.organisations for select to scheduler_definer using (true);
    create policy the_definer_counts_all on wellbeing.profiles for select to scheduler_definer using (true);
    create policy the_definer_searches_all on wellbeing.children for select to scheduler_definer using (true);
    """)
    for function, column, kind, noun in (
        ("current_role_name", "role", "text", "role"),
        ("current_organisation_id", "org_id", "uuid", "organisation"),
    ):
        op.execute(f"""
        create function identity.{function}() returns {kind}
        language sql stable parallel safe security definer set search_path = pg_catalog, pg_temp
        as $$
            select profile.{column}
            from wellbeing.profiles as profile
            join identity.users as person on person.tenant_id = profile.tenant_id and person.id = profile.id
            join identity.tenants as tenant on tenant.id = profile.tenant_id
            left join wellbeing.children as child
                on child.tenant_id = profile.tenant_id and child.id = profile.id and profile.role = 'Child'
            left join wellbeing.organisations as organisation
                on organisation.tenant_id = profile.tenant_id and organisation.id = profile.tenant_id
            where profile.tenant_id = identity.current_tenant_id() and profile.id = identity.current_user_id()
                and profile.status = 'active' and profile.deleted_at is null
                and person.status = 'active' and person.deleted_at is null
                and tenant.status = 'active' and tenant.deleted_at is null
                and child.deleted_at is null
                and (profile.role = 'Account' or organisation.deleted_at is null
                    and coalesce(organisation.status in ('active', 'trial'), true))
        $$;

        comment on function identity.{function}() is
            'The {noun} of the active profile of the user of this transaction; null if there is none.';

        call identity.set_definer_owner('identity.{function}()', 'scheduler_app, scheduler_system');
        """)


def make_children() -> None:
    """Number the children, and let roles see and change them."""
    op.execute("""
    create function wellbeing.generate_child_display_id() returns trigger
    language plpgsql set search_path = pg_catalog, pg_temp
    as $$ begin
        insert into wellbeing.child_display_counters as counter (tenant_id, org_id, last_display_id)
        values (new.tenant_id, new.org_id, 1)
        on conflict (tenant_id, org_id) do update set last_display_id = counter.last_display_id + 1
        returning last_display_id into new.display_id;
        return new;
    end $$;

    comment on function wellbeing.generate_child_display_id() is
        'Assigns the next display id of the organisation to a new child.';

    create trigger set_child_display_id before insert on wellbeing.children
        for each row when (new.org_id is not null) execute function wellbeing.generate_child_display_id();

    alter policy a_tenant_sees_its_own_rows on wellbeing.children to scheduler_app, scheduler_job, scheduler_system;

    -- stops replacing one child by another, taking a display id that the counter will assign, and readmitting a child
    -- whose record was deleted
    create trigger nobody_makes_another_child_of_one before update on wellbeing.children
        for each row execute function wellbeing.system_only_columns(
            'tenant_id', 'id', 'org_id', 'display_id', 'deleted_at');

    create policy practitioners_see_the_children_of_their_organisation on wellbeing.children
        for select to scheduler_app
        using ((select identity.current_role_name()) in ('Practitioner', 'GroupContact')
            and org_id = (select identity.current_organisation_id()));
    create policy practitioners_change_the_children_of_their_organisation on wellbeing.children
        for update to scheduler_app
        using ((select identity.current_role_name()) in ('Practitioner', 'GroupContact')
            and org_id = (select identity.current_organisation_id()));

    create function wellbeing.own_child_record() returns table (
        tenant_id uuid, id uuid, org_id uuid, display_id integer, first_name text, date_of_birth date, year_group text,
        class_name text, primary_practitioner_id uuid, parent_guardian_name text, parent_guardian_email text,
        parent_guardian_phone text, consent_given boolean, consent_date timestamptz, consent_type text,
        avatar_character text, preferences jsonb, created_at timestamptz, updated_at timestamptz,
        deleted_at timestamptz)
    language sql stable parallel safe security definer set search_path = pg_catalog, pg_temp
    as $$
        select child.tenant_id, child.id, child.org_id, child.display_id, child.first_name, child.date_of_birth,
            child.year_group, child.class_name, child.primary_practitioner_id, child.parent_guardian_name,
            child.parent_guardian_email, child.parent_guardian_phone, child.consent_given, child.consent_date,
            child.consent_type, child.avatar_character, child.preferences, child.created_at, child.updated_at,
            child.deleted_at
        from wellbeing.children as child
        where child.tenant_id = identity.current_tenant_id() and child.id = identity.current_user_id()
            and identity.current_role_name() = 'Child'
    $$;

    comment on function wellbeing.own_child_record() is
        'The row of the child that is the user of this transaction, without the notes of practitioners.';

    call identity.set_definer_owner('wellbeing.own_child_record()', 'scheduler_app');

    create view wellbeing.own_child_record with (security_invoker, security_barrier) as
        select * from wellbeing.own_child_record();

    comment on view wellbeing.own_child_record is
        'The row of a child for the child itself, without the notes of practitioners.';

    grant select on wellbeing.own_child_record to scheduler_app;
    """)


def make_invitations() -> None:
    """Create the invitations, and the key-value store of the wellbeing specification."""
    op.execute("""
    create table wellbeing.invitations (
        tenant_id uuid not null,
        id uuid not null default gen_random_uuid(),
        org_id uuid not null,
        email text not null,
        role text not null,
        invited_by uuid not null,
        invitation_token text not null,
        status text not null default 'pending',
        expires_at timestamptz not null default (now() + interval '7 days'),
        accepted_at timestamptz,
        accepted_by uuid,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        constraint invitations_pkey primary key (tenant_id, id),
        -- stops an organisation that is missing or of another tenant; deleted with it
        constraint invitations_org_id_fkey foreign key (tenant_id, org_id)
            references wellbeing.organisations (tenant_id, id) on delete cascade,
        -- these two stop a profile of another tenant, and deleting a profile that invited or joined
        constraint invitations_invited_by_fkey foreign key (tenant_id, invited_by)
            references wellbeing.profiles (tenant_id, id),
        constraint invitations_accepted_by_fkey foreign key (tenant_id, accepted_by)
            references wellbeing.profiles (tenant_id, id),
        -- stops two invitations with one token
        constraint a_token_is_one_invitation unique (invitation_token),
        -- stops a plaintext token
        constraint the_token_of_an_invitation_is_a_digest check (invitation_token ~ '^[0-9a-f]{64}$'),
        -- stops 'nobody', 'a@b@c', and two spellings of one address
        constraint an_invitation_goes_to_an_address_in_lower_case check (identity.is_email(email)),
        -- stops inviting an Account, or a child, who is enrolled instead
        constraint practitioners_and_group_contacts_are_invited check (role in ('Practitioner', 'GroupContact')),
        -- stops an unknown status
        constraint an_invitation_has_a_known_status check (status in ('pending', 'accepted', 'expired', 'revoked')),
        -- stops an accepted invitation without its member or its instant
        constraint an_accepted_invitation_says_when_and_by_whom
            check (status <> 'accepted' or accepted_at is not null and accepted_by is not null)
    );

    comment on table wellbeing.invitations is 'An invitation to join an organisation, valid once and for some days.';

    create index invitations_org_id_idx on wellbeing.invitations (tenant_id, org_id);
    create index invitations_email_status_idx on wellbeing.invitations (tenant_id, email, status);
    create index invitations_invited_by_idx on wellbeing.invitations (tenant_id, invited_by);
    create index invitations_accepted_by_idx on wellbeing.invitations (tenant_id, accepted_by);

    call identity.secure_table('wellbeing.invitations', by_role => true);

    alter policy a_tenant_sees_its_own_rows on wellbeing.invitations
        using (tenant_id = (select identity.current_tenant_id())
            or (select identity.current_role_name()) = 'Account');
    alter policy the_system_works_for_its_tenant on wellbeing.invitations
        using (tenant_id = (select identity.current_tenant_id()));
    create policy group_contacts_manage_those_of_their_organisation on wellbeing.invitations to scheduler_app
        using ((select identity.current_role_name()) = 'GroupContact'
            and org_id = (select identity.current_organisation_id()));
    create policy accounts_see_all_invitations on wellbeing.invitations
        for select to scheduler_app using ((select identity.current_role_name()) = 'Account');

    -- An invitation is revoked, never deleted: it records who joined by it.
    revoke delete on wellbeing.invitations from scheduler_app;

    create trigger an_invitation_stays_what_it_was before update on wellbeing.invitations
        for each row execute function wellbeing.system_only_columns(
            'tenant_id', 'id', 'org_id', 'email', 'role', 'invited_by', 'invitation_token', 'expires_at', 'accepted_at',
            'accepted_by', 'created_at');
    -- stops reopening an invitation that was used, revoked or has expired
    create trigger a_closed_invitation_stays_closed before update on wellbeing.invitations
        for each row when (old.status <> 'pending' or new.status not in ('pending', 'revoked'))
        execute function wellbeing.system_only_columns('status');

    create policy an_invitation_begins_open_and_of_who_makes_it on wellbeing.invitations as restrictive
        for insert to scheduler_app
        with check (invited_by = (select identity.current_user_id())
            and status = 'pending' and accepted_at is null and accepted_by is null
            and created_at = now() and expires_at <= now() + interval '7 days 1 hour');
    """)
    op.execute("""
    create table wellbeing.kv_store_a1855b25 (
        tenant_id uuid not null references identity.tenants (id) on delete restrict,
        key text not null,
        value jsonb,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        constraint kv_store_a1855b25_pkey primary key (tenant_id, key)
    );

    comment on table wellbeing.kv_store_a1855b25 is 'Settings, flags and cached figures of a tenant, for accounts.';

    call identity.secure_table('wellbeing.kv_store_a1855b25', by_role => true);

    alter policy a_tenant_sees_its_own_rows on wellbeing.kv_store_a1855b25
        using (tenant_id = (select identity.current_tenant_id())
            or (select identity.current_role_name()) = 'Account')
        with check (tenant_id = (select identity.current_tenant_id())
            or (select identity.current_role_name()) = 'Account');
    alter policy the_system_works_for_its_tenant on wellbeing.kv_store_a1855b25
        using (tenant_id = (select identity.current_tenant_id()))
        with check (tenant_id = (select identity.current_tenant_id()));
    create policy accounts_manage_what_is_stored on wellbeing.kv_store_a1855b25
        to scheduler_app using ((select identity.current_role_name()) = 'Account');
    """)


def downgrade() -> None:
    op.execute("""
    drop view wellbeing.own_child_record;
    drop function wellbeing.own_child_record();
    drop table wellbeing.kv_store_a1855b25, wellbeing.invitations, wellbeing.children, wellbeing.child_display_counters,
        wellbeing.profiles, wellbeing.organisations;
    drop function wellbeing.generate_child_display_id();
    drop function identity.current_organisation_id();
    drop function identity.current_role_name();
    """)
