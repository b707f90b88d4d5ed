"""Users: the people who sign in, and addresses.

Who a person is towards the outside is known by SuperTokens; its id is kept here. An e-mail address is written in
lower case (`scheduler.core.emails` does it, the table checks it): then equal addresses are equal texts, and an index
may answer under row security, which it may not for `lower(email)`. It is unique among the live users of a tenant.

`user_role_enum` is what a user is to the tenant. What a profile of the wellbeing part may see is its own role there.

Whoever leaves is deleted softly. For good a user is deleted by the system only: with the user go the profile, the
child and all that was noted and found about it, and a cascade does not ask who may see or delete that.

An address belongs to whatever holds its key: a family, a facility, a client.
"""

from alembic import op

revision = "20261121100200"
down_revision = "20261121100100"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
    do $$ begin
        create type identity.user_role_enum as enum
            ('admin', 'staff', 'doctor', 'specialist', 'practitioner', 'parent', 'student', 'patient', 'child');
    exception when duplicate_object then
        null;  -- a partial schema may have it
    end $$;

    -- HTML's definition of an address, in lower case. ASCII only: beyond it, servers disagree on small letters.
    create or replace function identity.is_email(value text) returns boolean
    language sql immutable parallel safe strict
    return length(value) <= 254
        and value ~ ('^[a-z0-9.!#$%&''*+/=?^_`{|}~-]{1,64}'
            '@[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?([.][a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*$');

    comment on function identity.is_email(text) is 'Whether a text is an e-mail address in lower case.';

    create table if not exists identity.users (
        tenant_id uuid not null,
        id uuid not null default gen_random_uuid(),
        supertokens_user_id text,
        email text not null,
        name text not null,
        phone varchar(50),
        role identity.user_role_enum not null,
        status text not null default 'active',
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        deleted_at timestamptz,
        constraint a_user_has_one_key_in_its_tenant primary key (tenant_id, id),
        -- stops a user of nobody, and deleting a tenant that still has one
        constraint a_user_belongs_to_a_tenant foreign key (tenant_id)
            references identity.tenants (id) on delete restrict,
        -- stops one sign-in from being two people; also across tenants
        constraint a_sign_in_is_one_user unique (supertokens_user_id),
        -- stops 'nobody', 'a@b@c', two spellings of one address, and letters that look like others
        constraint an_email_is_an_address_in_lower_case check (identity.is_email(email)),
        -- stops a status that no code knows
        constraint a_user_is_active_inactive_pending_or_suspended
            check (status in ('active', 'inactive', 'pending', 'suspended'))
    );

    comment on table identity.users is 'A person who signs in.';

    -- stops two live users from having one address; a deleted one gives it back
    create unique index if not exists live_users_have_their_own_email
        on identity.users (tenant_id, email) where deleted_at is null;
    create index if not exists users_are_found_by_status on identity.users (tenant_id, status);

    create table if not exists identity.addresses (
        tenant_id uuid not null,
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
        constraint an_address_has_one_key_in_its_tenant primary key (tenant_id, id),
        -- stops an address of nobody, and deleting a tenant that still has one
        constraint an_address_belongs_to_a_tenant foreign key (tenant_id)
            references identity.tenants (id) on delete restrict,
        -- stops 'England' and 'gb'
        constraint the_country_of_an_address_is_two_capital_letters check (country ~ '^[A-Z]{2}$')
    );

    comment on table identity.addresses is 'A postal address; its owner holds its key.';

    call identity.guard('identity.users');
    call identity.guard('identity.addresses', array['country']);
    -- stops a child from taking its alerts away by way of its user: a cascade asks no policy
    revoke delete on identity.users from scheduler_app;
    """)
    op.execute("""
    alter table scheduling.doctors
        add column user_id uuid,
        -- stops a doctor from signing in as a user of another tenant; deleting the user leaves the doctor
        add constraint a_doctor_may_sign_in foreign key (tenant_id, user_id)
            references identity.users (tenant_id, id) on delete set null (user_id),
        -- stops one user from being two doctors
        add constraint a_user_is_one_doctor unique (tenant_id, user_id);

    alter table scheduling.facilities
        add column address_id uuid,
        -- stops a facility at an address of another tenant
        add constraint a_facility_may_have_an_address foreign key (tenant_id, address_id)
            references identity.addresses (tenant_id, id) on delete set null (address_id);
    create index facilities_are_found_by_address on scheduling.facilities (tenant_id, address_id);
    """)


def downgrade() -> None:
    op.execute("""
    drop index scheduling.facilities_are_found_by_address;
    alter table scheduling.facilities drop constraint a_facility_may_have_an_address, drop column address_id;
    alter table scheduling.doctors
        drop constraint a_user_is_one_doctor, drop constraint a_doctor_may_sign_in, drop column user_id;
    drop table identity.addresses;
    drop table identity.users;
    drop function identity.is_email(text);
    drop type identity.user_role_enum;
    """)
