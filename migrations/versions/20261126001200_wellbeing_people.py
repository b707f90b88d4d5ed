"""Wellbeing people: organisations, profiles, children and invitations, and the roles that policies ask for.

**Organisations.** An organisation is a tenant with the knowledge of the wellbeing part about it: its `id` *is* that of
the tenant. So a tenant has one organisation at most, each of its members belongs to the tenant, and "of my
organisation" can be asked of every row by its tenant. `tenant_id` is generated from `id`, for the keys that carry it.

**Profiles.** A profile is a user (`identity.users`) with a role in the wellbeing part: an Account looks after the whole
platform, a GroupContact after an organisation, a Practitioner after children, and a Child is one. A person has one
profile, whatever the tenant, so that the role of the user at work is one answer.

**Roles.** Policies ask `identity.current_role_name()` and `identity.current_organisation_id()`. A user has a role if
user and profile are active and not deleted, the record of a child is not deleted, and the organisation is active or on
trial and not deleted. An Account looks after organisations, suspended ones above all, and needs none; its role counts
wherever a tenant is named, that of others in their own tenant. Each function is one query by primary keys, asked once a
statement. Both run with the rights of `scheduler_definer`, on whom the policies of these tables are not binding: a
policy that selected from its own table would be refused as infinite recursion. For the definer the tables have
policies that hide nothing; the `where` of each of its functions and the granted columns keep people apart.

Rows of a tenant stay with the tenant, also here, with one exception: an Account sees the profiles and manages the
organisations of all tenants. The system works for one tenant, whoever is the user it works for. A person changes their
own profile, but not the columns that decide on rights: a trigger refuses that to everyone but the system. Row security
could not: a policy sees a row before a change, or after it, but not both.

**Children.** A child is a profile with the facts that carers have to know: class, guardian, consent, notes. Of its name
only the first is kept. The wellbeing specification leaves out `org_id` and `display_id`, which its own policies, view,
index and trigger use: both are here. A display id is a small number that people say to one another; it counts from 1 in
each organisation, in a row of its own, since `max(display_id) + 1` would give two children that are written at the same
moment one number. Numbers may have gaps. Practitioners and group contacts see and change the children of their
organisation; the system alone adds and removes them. A child reads `own_child_record`, which leaves out the notes of
practitioners: the definer has no right to those two columns, so no mistake in the view can show them.

**Invitations.** An invitation lets somebody with an e-mail address into an organisation, as a practitioner or a group
contact. Its token is a random secret that only the mail knows; the table has its SHA-256, with which nobody can accept
anything. It opens the door once, for a week. The system accepts it, since the invited person has no role yet. A new one
is of its writer, open, made now and over within a week (and an hour, for clocks that differ): a restrictive policy says
so, and the system, which makes sample data, is not bound by it. Group contacts invite for their organisation, and
accounts see all invitations.

`kv_store_a1855b25` holds settings, flags and cached figures under a key, for accounts only, tenant by tenant.
"""

from alembic import op

revision = "20261126001200"
down_revision = "20261126001100"
branch_labels = None
depends_on = None

ITS_OWN = (
    ("tenant_id", "uuid"),
    ("id", "uuid"),
    ("org_id", "uuid"),
    ("display_id", "integer"),
    ("first_name", "text"),
    ("date_of_birth", "date"),
    ("year_group", "text"),
    ("class_name", "text"),
    ("primary_practitioner_id", "uuid"),
    ("parent_guardian_name", "text"),
    ("parent_guardian_email", "text"),
    ("parent_guardian_phone", "text"),
    ("consent_given", "boolean"),
    ("consent_date", "timestamptz"),
    ("consent_type", "text"),
    ("avatar_character", "text"),
    ("preferences", "jsonb"),
    ("created_at", "timestamptz"),
    ("updated_at", "timestamptz"),
    ("deleted_at", "timestamptz"),
)


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
        -- stops an organisation that is no tenant, and deleting the tenant that it is
        constraint organisations_tenant_id_fkey foreign key (tenant_id)
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
            check (max_children >= 0 and max_practitioners >= 0),
        -- stops 'infinity' and the year 10000, which the driver cannot read
        constraint its_times_are_in_the_calendar check (
            deleted_at >= '0001-01-03 00:00+00' and deleted_at < '9999-12-29 00:00+00'
            and created_at >= '0001-01-03 00:00+00' and created_at < '9999-12-29 00:00+00'
            and updated_at >= '0001-01-03 00:00+00' and updated_at < '9999-12-29 00:00+00'
        )
    );

    comment on table wellbeing.organisations is 'A tenant as the wellbeing part knows it: a school, clinic, charity.';

    create index organisations_name_words_idx
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
        constraint profiles_pkey primary key (tenant_id, id),
        -- stops one person from having two roles, of which policies would ask for one; also across tenants
        constraint a_person_has_one_profile unique (id),
        -- stops a profile of nobody; it goes with its user
        constraint profiles_id_fkey foreign key (tenant_id, id)
            references identity.users (tenant_id, id) on delete cascade,
        -- stops belonging to an organisation of another tenant; deleting the organisation leaves its people
        constraint profiles_org_id_fkey foreign key (tenant_id, org_id)
            references wellbeing.organisations (tenant_id, id) on delete set null (org_id),
        -- stops a role that no policy knows
        constraint a_profile_has_a_known_role check (role in ('Account', 'GroupContact', 'Practitioner', 'Child')),
        -- stops a status that no code knows
        constraint a_profile_has_a_known_status check (status in ('active', 'inactive', 'pending', 'suspended')),
        -- stops 'nobody', 'a@b@c', two spellings of one address, and letters that look like others
        constraint the_email_of_a_profile_is_an_address_in_lower_case check (identity.is_email(email)),
        -- stops 'infinity' and the year 10000, which the driver cannot read
        constraint its_times_are_in_the_calendar check (
            deleted_at >= '0001-01-03 00:00+00' and deleted_at < '9999-12-29 00:00+00'
            and created_at >= '0001-01-03 00:00+00' and created_at < '9999-12-29 00:00+00'
            and updated_at >= '0001-01-03 00:00+00' and updated_at < '9999-12-29 00:00+00'
        )
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
        -- stops a counter of no organisation; it goes with its organisation
        constraint child_display_counters_org_id_fkey foreign key (tenant_id, org_id)
            references wellbeing.organisations (tenant_id, id) on delete cascade,
        -- stops counting from below the beginning
        constraint a_counter_does_not_count_below_nothing check (last_display_id >= 0),
        -- stops 'infinity' and the year 10000, which the driver cannot read
        constraint its_times_are_in_the_calendar check (
            created_at >= '0001-01-03 00:00+00' and created_at < '9999-12-29 00:00+00'
            and updated_at >= '0001-01-03 00:00+00' and updated_at < '9999-12-29 00:00+00'
        )
    );

    comment on table wellbeing.child_display_counters is 'The last display id that an organisation gave to a child.';

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
        -- stops a child without a profile; it goes with its profile
        constraint children_id_fkey foreign key (tenant_id, id)
            references wellbeing.profiles (tenant_id, id) on delete cascade,
        -- stops a child of no organisation, whom no practitioner would see, and deleting an organisation with children
        constraint children_org_id_fkey foreign key (tenant_id, org_id)
            references wellbeing.organisations (tenant_id, id) on delete restrict,
        -- stops a practitioner of another tenant, and deleting one whom a child still has
        constraint children_primary_practitioner_id_fkey foreign key (tenant_id, primary_practitioner_id)
            references wellbeing.profiles (tenant_id, id),
        -- stops two children of an organisation from answering to one number
        constraint a_display_id_is_one_child_of_its_organisation unique (tenant_id, org_id, display_id),
        -- stops 'nobody', 'a@b@c', two spellings of one address, and letters that look like others
        constraint the_email_of_a_guardian_is_an_address_in_lower_case check (identity.is_email(parent_guardian_email)),
        -- stops a kind of consent that no code knows
        constraint the_consent_for_a_child_is_of_a_known_kind
            check (consent_type in ('verbal', 'written', 'digital')),
        -- stops a consent of which nobody can say since when
        constraint a_consent_that_is_given_has_a_date check (not consent_given or consent_date is not null),
        -- stops a consent of which nobody can say what it was: a word, a paper or a click
        constraint a_consent_that_is_given_is_of_a_kind check (not consent_given or consent_type is not null),
        -- stops 'infinity' and the year 10000, which the driver cannot read
        constraint its_times_are_in_the_calendar check (
            date_of_birth between '0001-01-01' and '9999-12-31'
            and consent_date >= '0001-01-03 00:00+00' and consent_date < '9999-12-29 00:00+00'
            and deleted_at >= '0001-01-03 00:00+00' and deleted_at < '9999-12-29 00:00+00'
            and created_at >= '0001-01-03 00:00+00' and created_at < '9999-12-29 00:00+00'
            and updated_at >= '0001-01-03 00:00+00' and updated_at < '9999-12-29 00:00+00'
        )
    );

    comment on table wellbeing.children is 'A child, with what those who care for it have to know.';

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

    -- stops people from giving themselves a role, an organisation or their rights back
    create trigger nobody_changes_their_own_rights before update on wellbeing.profiles
        for each row execute function
        wellbeing.system_only_columns('tenant_id', 'id', 'role', 'org_id', 'status', 'deleted_at');

    -- stops an organisation from lifting its own suspension, and the limits that it pays for; an Account may
    create trigger an_organisation_does_not_set_its_own_limits before update on wellbeing.organisations
        for each row when (identity.current_role_name() is distinct from 'Account')
        execute function wellbeing.system_only_columns(
            'id', 'status', 'subscription_plan', 'max_children', 'max_practitioners', 'deleted_at');
    """)
    make_children()
    make_invitations()


def make_roles() -> None:
    """Make the functions that say which role and organisation the user at work has."""
    op.execute(f"""
    grant select (tenant_id, id, name, status, deleted_at) on wellbeing.organisations to scheduler_definer;
    grant select (tenant_id, id, role, org_id, status, deleted_at) on wellbeing.profiles to scheduler_definer;
    grant select ({", ".join(name for name, _ in ITS_OWN)}) on wellbeing.children to scheduler_definer;
    create policy the_definer_searches_all on wellbeing.organisations for select to scheduler_definer using (true);
    create policy the_definer_counts_all on wellbeing.profiles for select to scheduler_definer using (true);
    create policy the_definer_searches_all on wellbeing.children for select to scheduler_definer using (true);

    create function identity.current_role_name() returns text
    language sql stable parallel safe security definer set search_path = pg_catalog, pg_temp
    as $$
        select profile.role
        from wellbeing.profiles as profile
        join identity.users as person on person.tenant_id = profile.tenant_id and person.id = profile.id
        left join wellbeing.children as child
            on child.tenant_id = profile.tenant_id and child.id = profile.id and profile.role = 'Child'
        left join wellbeing.organisations as organisation
            on organisation.tenant_id = profile.tenant_id and organisation.id = profile.tenant_id
        where profile.id = identity.current_user_id() and profile.status = 'active' and profile.deleted_at is null
            and person.status = 'active' and person.deleted_at is null
            and child.deleted_at is null
            and case
                when profile.role = 'Account' then identity.current_tenant_id() is not null
                else profile.tenant_id = identity.current_tenant_id() and organisation.deleted_at is null
                    and coalesce(organisation.status in ('active', 'trial'), true)
            end
    $$;

    comment on function identity.current_role_name() is
        'The role of the active profile of the user for whom this transaction works; null when there is none.';

    create function identity.current_organisation_id() returns uuid
    language sql stable parallel safe security definer set search_path = pg_catalog, pg_temp
    as $$
        select profile.org_id
        from wellbeing.profiles as profile
        join identity.users as person on person.tenant_id = profile.tenant_id and person.id = profile.id
        left join wellbeing.children as child
            on child.tenant_id = profile.tenant_id and child.id = profile.id and profile.role = 'Child'
        left join wellbeing.organisations as organisation
            on organisation.tenant_id = profile.tenant_id and organisation.id = profile.tenant_id
        where profile.id = identity.current_user_id() and profile.status = 'active' and profile.deleted_at is null
            and person.status = 'active' and person.deleted_at is null
            and child.deleted_at is null
            and case
                when profile.role = 'Account' then identity.current_tenant_id() is not null
                else profile.tenant_id = identity.current_tenant_id() and organisation.deleted_at is null
                    and coalesce(organisation.status in ('active', 'trial'), true)
            end
    $$;

    comment on function identity.current_organisation_id() is
        'The organisation of the active profile of the user for whom this transaction works; null when there is none.';

    call identity.set_definer_owner('identity.current_role_name()', 'scheduler_app, scheduler_system');
    call identity.set_definer_owner('identity.current_organisation_id()', 'scheduler_app, scheduler_system');
    """)


def make_children() -> None:
    """Number the children, and say which role sees and changes them."""
    op.execute(f"""
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
        'Gives a new child the next display id of its organisation.';

    create trigger set_child_display_id before insert on wellbeing.children
        for each row when (new.org_id is not null) execute function wellbeing.generate_child_display_id();

    alter policy a_tenant_sees_its_own_rows on wellbeing.children to scheduler_app, scheduler_job, scheduler_system;

    -- stops making another child of one, and taking a display id that the counter will give away
    create trigger nobody_makes_another_child_of_one before update on wellbeing.children
        for each row execute function wellbeing.system_only_columns('tenant_id', 'id', 'org_id', 'display_id');

    create policy practitioners_see_the_children_of_their_organisation on wellbeing.children
        for select to scheduler_app
        using ((select identity.current_role_name()) in ('Practitioner', 'GroupContact')
            and org_id = (select identity.current_organisation_id()));
    create policy practitioners_change_the_children_of_their_organisation on wellbeing.children
        for update to scheduler_app
        using ((select identity.current_role_name()) in ('Practitioner', 'GroupContact')
            and org_id = (select identity.current_organisation_id()));

    create function wellbeing.own_child_record() returns table ({", ".join(f"{name} {kind}" for name, kind in ITS_OWN)})
    language sql stable parallel safe security definer set search_path = pg_catalog, pg_temp
    as $$
        select {", ".join(f"child.{name}" for name, _ in ITS_OWN)}
        from wellbeing.children as child
        where child.tenant_id = identity.current_tenant_id() and child.id = identity.current_user_id()
            and identity.current_role_name() = 'Child'
    $$;

    comment on function wellbeing.own_child_record() is
        'The row of the child for whom this transaction works, without the notes of its practitioners.';

    call identity.set_definer_owner('wellbeing.own_child_record()', 'scheduler_app');

    create view wellbeing.own_child_record with (security_invoker, security_barrier) as
        select * from wellbeing.own_child_record();

    comment on view wellbeing.own_child_record is
        'What a child sees of its row: all of it but the notes of its practitioners.';

    grant select on wellbeing.own_child_record to scheduler_app;
    """)


def make_invitations() -> None:
    """Make the invitations, and the key-value store that the wellbeing part brings along."""
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
        -- stops an invitation to nowhere; it goes with its organisation
        constraint invitations_org_id_fkey foreign key (tenant_id, org_id)
            references wellbeing.organisations (tenant_id, id) on delete cascade,
        -- these two stop somebody of another tenant, and deleting who answers for a member
        constraint invitations_invited_by_fkey foreign key (tenant_id, invited_by)
            references wellbeing.profiles (tenant_id, id),
        constraint invitations_accepted_by_fkey foreign key (tenant_id, accepted_by)
            references wellbeing.profiles (tenant_id, id),
        -- stops one token from opening two doors
        constraint a_token_is_one_invitation unique (invitation_token),
        -- stops a token that can be read and used
        constraint the_token_of_an_invitation_is_a_digest check (invitation_token ~ '^[0-9a-f]{64}$'),
        -- stops 'nobody', 'a@b@c', two spellings of one address
        constraint an_invitation_goes_to_an_address_in_lower_case check (identity.is_email(email)),
        -- stops inviting an account, whom an organisation has no power to make, or a child, who is enrolled
        constraint practitioners_and_group_contacts_are_invited check (role in ('Practitioner', 'GroupContact')),
        -- stops a status that no code knows
        constraint an_invitation_has_a_known_status
            check (status in ('pending', 'accepted', 'expired', 'revoked')),
        -- stops a member of whom nobody can say who it is, or since when
        constraint an_accepted_invitation_says_when_and_by_whom
            check (status <> 'accepted' or accepted_at is not null and accepted_by is not null),
        -- stops 'infinity' and the year 10000, which the driver cannot read
        constraint its_times_are_in_the_calendar check (
            expires_at >= '0001-01-03 00:00+00' and expires_at < '9999-12-29 00:00+00'
            and accepted_at >= '0001-01-03 00:00+00' and accepted_at < '9999-12-29 00:00+00'
            and created_at >= '0001-01-03 00:00+00' and created_at < '9999-12-29 00:00+00'
            and updated_at >= '0001-01-03 00:00+00' and updated_at < '9999-12-29 00:00+00'
        )
    );

    comment on table wellbeing.invitations is 'That somebody may join an organisation, once and for some days.';

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
    create policy group_contacts_manage_those_of_their_organisation on wellbeing.invitations
        to scheduler_app
        using ((select identity.current_role_name()) = 'GroupContact'
            and org_id = (select identity.current_organisation_id()));
    create policy accounts_see_all_invitations on wellbeing.invitations
        for select to scheduler_app using ((select identity.current_role_name()) = 'Account');

    -- To manage them is to invite and to revoke: who was let in by which invitation stays written down.
    revoke delete on wellbeing.invitations from scheduler_app;

    create trigger an_invitation_stays_what_it_was before update on wellbeing.invitations
        for each row execute function wellbeing.system_only_columns(
            'tenant_id', 'id', 'org_id', 'email', 'role', 'invited_by', 'invitation_token', 'expires_at', 'accepted_at',
            'accepted_by', 'created_at');
    -- stops one that was used, revoked or has expired from letting somebody else in
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
        tenant_id uuid not null,
        key text not null,
        value jsonb,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        constraint kv_store_a1855b25_pkey primary key (tenant_id, key),
        -- stops a value of nobody, and deleting a tenant that still has one
        constraint kv_store_a1855b25_tenant_id_fkey foreign key (tenant_id)
            references identity.tenants (id) on delete restrict,
        -- stops 'infinity' and the year 10000, which the driver cannot read
        constraint its_times_are_in_the_calendar check (
            created_at >= '0001-01-03 00:00+00' and created_at < '9999-12-29 00:00+00'
            and updated_at >= '0001-01-03 00:00+00' and updated_at < '9999-12-29 00:00+00'
        )
    );

    comment on table wellbeing.kv_store_a1855b25 is 'Settings, flags and cached figures of a tenant, for accounts.';

    call identity.secure_table('wellbeing.kv_store_a1855b25', by_role => true);

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
