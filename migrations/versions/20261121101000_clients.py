"""Clients: the people cared for, and the staff of the places that care for them.

A client is known by name, day of birth and e-mail address. These stay in clear, since staff look people up by them;
row security, the grants and an audit log that shows none of them guard them. What is known about a client's health
and circumstances is encrypted, in the tables of the next migration.

Names are looked up in two ways. A list in the order of names goes by (tenant, last name, first name), live clients
only. A part of a name, or a name with a typing mistake, goes by the trigrams of the full name. That index cannot
begin with the tenant, and row security does not let a query use it: comparing by trigrams is not known to keep
secrets. So the search is a function of its own, which takes the tenant from the transaction.

A client may sign in, as one user; a user is one live client at most. A facility, an address or a user may go, and the
client stays. Whoever is discharged is so since a day, and not before the day of admission.

`facility_staff` says who works where, as what and from when until when: one live row a person and place. One place may
be somebody's primary one, among those where the work has no end yet. Deleting the place or the person takes the row
along.
"""

from alembic import op

revision = "20261121101000"
down_revision = "20261121100900"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
    create table if not exists placement.clients (
        tenant_id uuid not null,
        id uuid not null default gen_random_uuid(),
        first_name text not null,
        last_name text not null,
        preferred_name text,
        date_of_birth date,
        email text,
        facility_id bigint,
        user_id uuid,
        address_id uuid,
        status text not null default 'active',
        admitted_on date,
        discharged_on date,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        deleted_at timestamptz,
        constraint a_client_has_one_key_in_its_tenant primary key (tenant_id, id),
        -- stops a client of nobody, and deleting a tenant that still has one
        constraint a_client_belongs_to_a_tenant foreign key (tenant_id)
            references identity.tenants (id) on delete restrict,
        -- these three stop a client at a place or address, or signing in as a user, of another tenant
        constraint a_client_may_be_at_a_facility foreign key (tenant_id, facility_id)
            references scheduling.facilities (tenant_id, id) on delete set null (facility_id),
        constraint a_client_may_sign_in foreign key (tenant_id, user_id)
            references identity.users (tenant_id, id) on delete set null (user_id),
        constraint a_client_may_have_an_address foreign key (tenant_id, address_id)
            references identity.addresses (tenant_id, id) on delete set null (address_id),
        -- stops 'nobody', 'a@b@c', two spellings of one address, and letters that look like others
        constraint a_clients_email_is_an_address_in_lower_case check (identity.is_email(email)),
        -- stops a status that no code knows
        constraint a_client_is_waiting_active_inactive_or_discharged
            check (status in ('waiting', 'active', 'inactive', 'discharged')),
        -- stops somebody who leaves before they come, or comes before they are born
        constraint a_client_is_born_admitted_and_discharged_in_order check (
            date_of_birth <= admitted_on and date_of_birth <= discharged_on and admitted_on <= discharged_on
        ),
        -- stops a client who left, nobody knows when
        constraint a_discharged_client_says_since_when check (status <> 'discharged' or discharged_on is not null),
        -- stops 'infinity' and the year 10000
        constraint a_clients_days_are_in_the_calendar check (
            date_of_birth between '0001-01-01' and '9999-12-31'
            and admitted_on between '0001-01-01' and '9999-12-31'
            and discharged_on between '0001-01-01' and '9999-12-31'
        )
    );

    comment on table placement.clients is 'A person cared for; what is known about their health is in placement_info.';

    create index if not exists clients_are_found_by_facility on placement.clients (tenant_id, facility_id);
    create index if not exists live_clients_are_found_by_name
        on placement.clients (tenant_id, last_name, first_name) where deleted_at is null;
    create index if not exists clients_are_found_by_status on placement.clients (tenant_id, status);
    create index if not exists clients_are_found_by_address on placement.clients (tenant_id, address_id);
    create index if not exists clients_are_found_by_user on placement.clients (tenant_id, user_id);
    create index if not exists clients_are_found_by_a_part_of_their_name
        on placement.clients using gin ((lower(first_name || ' ' || last_name)) public.gin_trgm_ops);
    -- stops one user from being two live clients; a deleted one gives the user back
    create unique index if not exists live_clients_have_their_own_user
        on placement.clients (tenant_id, user_id) where deleted_at is null;

    create table if not exists placement.facility_staff (
        tenant_id uuid not null,
        id uuid not null default gen_random_uuid(),
        facility_id bigint not null,
        user_id uuid not null,
        position varchar(255),
        is_primary boolean not null default false,
        started_on date,
        ended_on date,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        deleted_at timestamptz,
        constraint an_assignment_has_one_key_in_its_tenant primary key (tenant_id, id),
        -- these two stop somebody who is not there, or not the tenant's, from working at a place that is neither
        constraint an_assignment_is_at_a_facility foreign key (tenant_id, facility_id)
            references scheduling.facilities (tenant_id, id) on delete cascade,
        constraint an_assignment_is_of_a_user foreign key (tenant_id, user_id)
            references identity.users (tenant_id, id) on delete cascade,
        -- stops work that ends before it starts
        constraint an_assignment_starts_before_it_ends check (started_on <= ended_on),
        -- stops 'infinity' and the year 10000
        constraint an_assignments_days_are_in_the_calendar check (
            started_on between '0001-01-01' and '9999-12-31' and ended_on between '0001-01-01' and '9999-12-31'
        )
    );

    comment on table placement.facility_staff is 'That a user works at a facility, as what, from when until when.';

    -- stops one person from working twice at one place; a deleted row makes room for a new one
    create unique index if not exists a_user_works_at_a_facility_once
        on placement.facility_staff (tenant_id, facility_id, user_id) where deleted_at is null;
    -- stops two primary places of one person
    create unique index if not exists a_user_has_one_primary_facility
        on placement.facility_staff (tenant_id, user_id) where is_primary and ended_on is null and deleted_at is null;
    create index if not exists staff_are_found_by_facility on placement.facility_staff (tenant_id, facility_id);
    create index if not exists facilities_are_found_by_staff on placement.facility_staff (tenant_id, user_id);

    call identity.guard('placement.clients');
    call identity.guard('placement.facility_staff', array['is_primary']);
    """)


def downgrade() -> None:
    op.execute("""
    drop table placement.facility_staff;
    drop table placement.clients;
    """)
