"""Placement: clients, the staff of the places that care for them, and the encrypted record of each stay.

**Clients.** A client is known by name, day of birth and e-mail address. These stay in plaintext, since staff look
people up by them; row security, the grants and an audit log that shows none of them guard them. A list in the order of
names goes by (tenant, last name, first name), live clients only. A part of a name, or a name with a typing mistake,
goes by the trigrams of the full name; that search is a function of the last revision. A client may sign in as one user;
a user is one live client at most. A facility, an address or a user may go, and the client stays. `facility_staff` says
which user works where, as what and from when until when: one live row a person and place.

**Placements.** `placement_info` is the large form of one stay of a client: legal standing, health, behaviour,
education, contacts, insurance, plans. A client has one live placement that has not ended; those that ended stay as they
were. The application encrypts all of its contents, the medications of a client and the identity of a specialist. The
database sees the days, the client and the status of a row. It cannot read the values, so it checks that each has the
shape of an encrypted one: plaintext that gets there by mistake is refused.

Every encrypted column may be missing. Forms are filled in bit by bit, and to erase the health information of a person
is to set it to null. The member number of the insurance is searched by equality, which encryption prevents: so a keyed
hash of it (a blind index of 32 bytes) stands beside it, and goes when it goes.

**Contributions.** `contributors` ties the people who fill in a form to its placement: a user, or somebody from outside
(a teacher, a relative) of whom an encrypted name and e-mail address are kept. `form_field_contributions` says which of
them wrote which field when. It is a record: the application adds to it and reads it, and neither changes nor deletes a
row. A contributor stays the person that it was, since all that one wrote would else be another's; the role may change.
Users who contributed are deleted softly. The system alone erases. `metadata` says which forms there are, in which
version and state; its details are about the form and never answers.

To delete a client or placement for good, the records of care that hang on it have to be deleted first (restrict): no
single statement takes a medical history along. Lists that only say who or which form belongs to a placement go with it.
"""

from alembic import op

revision = "20261126001100"
down_revision = "20261126001000"
branch_labels = None
depends_on = None

SPECIALIST = ("name", "phone", "email", "license_number", "notes")
MEDICATION = ("name", "dosage", "frequency", "instructions", "prescriber")
CONTRIBUTOR = ("name", "email")
PLACEMENT = (
    # standing and authority
    "legal_status",
    "custody",
    "court_case_number",
    "court_dates",
    "court_orders",
    "case_worker_name",
    "case_worker_phone",
    "case_worker_email",
    # health
    "diagnosis",
    "secondary_diagnoses",
    "allergies",
    "medical_history",
    "mental_health_history",
    "trauma_history",
    "substance_use_history",
    "immunisations",
    "physical_limitations",
    "primary_care_physician",
    # behaviour
    "behaviour",
    "behaviour_plan",
    "risk_assessment",
    "safety_plan",
    # education
    "education",
    "school_name",
    "school_contact",
    "education_plan",
    # people
    "family_history",
    "siblings",
    "visitation",
    "emergency_contact_name",
    "emergency_contact_relationship",
    "emergency_contact_phone",
    "second_emergency_contact",
    # insurance
    "insurance_provider",
    "insurance_group_number",
    "insurance_member_id",
    # everyday life
    "dietary_needs",
    "religious_preferences",
    "cultural_preferences",
    "languages",
    # the stay
    "placement_reason",
    "previous_placements",
    "treatment_goals",
    "discharge_plan",
    "notes",
)
# Trigger, table, column, and the table that the column refers to.
LIVE = (
    ("a_medication_is_of_a_live_client", "medications", "client_id", "clients"),
    ("a_placement_is_of_a_live_client", "placement_info", "client_id", "clients"),
    ("a_form_is_about_a_live_placement", "metadata", "placement_info_id", "placement_info"),
    ("a_contributor_adds_to_a_live_placement", "contributors", "placement_info_id", "placement_info"),
    ("a_contribution_is_to_a_live_placement", "form_field_contributions", "placement_info_id", "placement_info"),
)


def columns(names: tuple[str, ...]) -> str:
    """Write the encrypted columns of a table."""
    return ",\n        ".join(f"{name} bytea" for name in names)


def encrypted(names: tuple[str, ...]) -> str:
    """Write the condition that each of these columns is encrypted or missing."""
    return "\n            and ".join(f"coalesce(identity.is_ciphertext({name}), true)" for name in names)


def upgrade() -> None:
    op.execute(r"""
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
        constraint clients_pkey primary key (tenant_id, id),
        -- stops a client of nobody, and deleting a tenant that still has one
        constraint clients_tenant_id_fkey foreign key (tenant_id)
            references identity.tenants (id) on delete restrict,
        -- these three stop a client at a place or address, or signing in as a user, of another tenant
        constraint clients_facility_id_fkey foreign key (tenant_id, facility_id)
            references scheduling.facilities (tenant_id, id) on delete set null (facility_id),
        constraint clients_user_id_fkey foreign key (tenant_id, user_id)
            references identity.users (tenant_id, id) on delete set null (user_id),
        constraint clients_address_id_fkey foreign key (tenant_id, address_id)
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

    create index if not exists clients_facility_id_idx on placement.clients (tenant_id, facility_id);
    create index if not exists clients_last_name_first_name_idx
        on placement.clients (tenant_id, last_name, first_name) where deleted_at is null;
    create index if not exists clients_status_idx on placement.clients (tenant_id, status);
    create index if not exists clients_address_id_idx on placement.clients (tenant_id, address_id);
    create index if not exists clients_user_id_idx on placement.clients (tenant_id, user_id);
    create index if not exists clients_full_name_trgm_idx
        on placement.clients using gin ((lower(first_name || ' ' || last_name)) public.gin_trgm_ops);
    -- stops one user from being two live clients; a deleted one gives the user back
    create unique index if not exists live_clients_have_their_own_user
        on placement.clients (tenant_id, user_id) where deleted_at is null;

    alter table placement.clients
        -- stops an empty field of a form, and one of spaces
        drop constraint if exists a_client_has_a_first_and_a_last_name,
        add constraint a_client_has_a_first_and_a_last_name check (first_name ~ '\S' and last_name ~ '\S'),
        -- stops 'infinity' and the year 10000, which the driver cannot read
        drop constraint if exists its_times_are_in_the_calendar,
        add constraint its_times_are_in_the_calendar check (
            deleted_at >= '0001-01-03 00:00+00' and deleted_at < '9999-12-29 00:00+00'
            and created_at >= '0001-01-03 00:00+00' and created_at < '9999-12-29 00:00+00'
            and updated_at >= '0001-01-03 00:00+00' and updated_at < '9999-12-29 00:00+00'
        );

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
        constraint facility_staff_pkey primary key (tenant_id, id),
        -- these two stop somebody who is not there, or not the tenant's, from working at a place that is neither
        constraint facility_staff_facility_id_fkey foreign key (tenant_id, facility_id)
            references scheduling.facilities (tenant_id, id) on delete cascade,
        constraint facility_staff_user_id_fkey foreign key (tenant_id, user_id)
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
    create index if not exists facility_staff_facility_id_idx on placement.facility_staff (tenant_id, facility_id);
    create index if not exists facility_staff_user_id_idx on placement.facility_staff (tenant_id, user_id);

    -- stops 'infinity' and the year 10000, which the driver cannot read
    alter table placement.facility_staff
        drop constraint if exists its_times_are_in_the_calendar,
        add constraint its_times_are_in_the_calendar check (
            deleted_at >= '0001-01-03 00:00+00' and deleted_at < '9999-12-29 00:00+00'
            and created_at >= '0001-01-03 00:00+00' and created_at < '9999-12-29 00:00+00'
            and updated_at >= '0001-01-03 00:00+00' and updated_at < '9999-12-29 00:00+00'
        );

    call identity.secure_table('placement.clients');
    call identity.secure_table('placement.facility_staff', array['is_primary']);
    """)
    op.execute(f"""
    create table if not exists placement.specialists (
        tenant_id uuid not null,
        id uuid not null default gen_random_uuid(),
        user_id uuid,
        doctor_id bigint,
        specialty varchar(255),
        {columns(SPECIALIST)},
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        deleted_at timestamptz,
        constraint specialists_pkey primary key (tenant_id, id),
        -- stops a specialist of nobody, and deleting a tenant that still has one
        constraint specialists_tenant_id_fkey foreign key (tenant_id)
            references identity.tenants (id) on delete restrict,
        -- these two stop a specialist from being a user or a doctor of another tenant
        constraint specialists_user_id_fkey foreign key (tenant_id, user_id)
            references identity.users (tenant_id, id) on delete set null (user_id),
        constraint specialists_doctor_id_fkey foreign key (tenant_id, doctor_id)
            references scheduling.doctors (tenant_id, id) on delete set null (doctor_id),
        -- stops clear text
        constraint what_tells_who_a_specialist_is_is_encrypted check (
            {encrypted(SPECIALIST)}
        )
    );

    comment on table placement.specialists is 'Somebody who treats clients; who it is, is encrypted.';

    create index if not exists specialists_user_id_idx on placement.specialists (tenant_id, user_id);
    create index if not exists specialists_doctor_id_idx on placement.specialists (tenant_id, doctor_id);

    -- stops 'infinity' and the year 10000, which the driver cannot read
    alter table placement.specialists
        drop constraint if exists its_times_are_in_the_calendar,
        add constraint its_times_are_in_the_calendar check (
            deleted_at >= '0001-01-03 00:00+00' and deleted_at < '9999-12-29 00:00+00'
            and created_at >= '0001-01-03 00:00+00' and created_at < '9999-12-29 00:00+00'
            and updated_at >= '0001-01-03 00:00+00' and updated_at < '9999-12-29 00:00+00'
        );

    create table if not exists placement.medications (
        tenant_id uuid not null,
        id uuid not null default gen_random_uuid(),
        client_id uuid not null,
        {columns(MEDICATION)},
        started_on date,
        ended_on date,
        status text not null default 'active',
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        deleted_at timestamptz,
        constraint medications_pkey primary key (tenant_id, id),
        -- stops a medication of a client who is not there or not the tenant's, and deleting one who still has some
        constraint medications_client_id_fkey foreign key (tenant_id, client_id)
            references placement.clients (tenant_id, id) on delete restrict,
        -- stops clear text
        constraint a_medication_is_encrypted check (
            {encrypted(MEDICATION)}
        ),
        -- stops a medication that ends before it starts
        constraint a_medication_starts_before_it_ends check (started_on <= ended_on),
        -- stops 'infinity' and the year 10000
        constraint a_medications_days_are_in_the_calendar check (
            started_on between '0001-01-01' and '9999-12-31' and ended_on between '0001-01-01' and '9999-12-31'
        ),
        -- stops a status that no code knows
        constraint a_medication_is_active_paused_completed_or_stopped
            check (status in ('active', 'paused', 'completed', 'stopped'))
    );

    comment on table placement.medications is 'What a client takes; all but the days and the status is encrypted.';

    create index if not exists medications_client_id_idx on placement.medications (tenant_id, client_id);

    -- stops 'infinity' and the year 10000, which the driver cannot read
    alter table placement.medications
        drop constraint if exists its_times_are_in_the_calendar,
        add constraint its_times_are_in_the_calendar check (
            deleted_at >= '0001-01-03 00:00+00' and deleted_at < '9999-12-29 00:00+00'
            and created_at >= '0001-01-03 00:00+00' and created_at < '9999-12-29 00:00+00'
            and updated_at >= '0001-01-03 00:00+00' and updated_at < '9999-12-29 00:00+00'
        );
    """)
    op.execute(f"""
    create table if not exists placement.placement_info (
        tenant_id uuid not null,
        id uuid not null default gen_random_uuid(),
        client_id uuid not null,
        facility_id bigint,
        status text not null default 'active',
        placed_on date,
        expected_end_on date,
        ended_on date,
        {columns(PLACEMENT)},
        insurance_member_id_index bytea,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        deleted_at timestamptz,
        constraint placement_info_pkey primary key (tenant_id, id),
        -- stops a placement of a client who is not there or not the tenant's, and deleting one who still has some
        constraint placement_info_client_id_fkey foreign key (tenant_id, client_id)
            references placement.clients (tenant_id, id) on delete restrict,
        -- stops a placement at a place of another tenant
        constraint placement_info_facility_id_fkey foreign key (tenant_id, facility_id)
            references scheduling.facilities (tenant_id, id) on delete set null (facility_id),
        -- stops clear text
        constraint placement_information_is_encrypted check (
            {encrypted(PLACEMENT)}
        ),
        -- stops a hash that is none, or another one
        constraint a_blind_index_has_32_bytes check (octet_length(insurance_member_id_index) = 32),
        -- stops a trace of a member number that was erased
        constraint a_blind_index_goes_with_its_value
            check (insurance_member_id_index is null or insurance_member_id is not null),
        -- stops a status that no code knows
        constraint a_placement_is_planned_active_or_ended check (status in ('planned', 'active', 'ended')),
        -- stops a placement that ended, nobody knows when, and one that goes on after its end
        constraint a_placement_that_ended_says_when check ((status = 'ended') = (ended_on is not null)),
        -- stops a placement that ends before it begins
        constraint a_placement_begins_before_it_ends check (placed_on <= expected_end_on and placed_on <= ended_on),
        -- stops 'infinity' and the year 10000
        constraint a_placements_days_are_in_the_calendar check (
            placed_on between '0001-01-01' and '9999-12-31'
            and expected_end_on between '0001-01-01' and '9999-12-31'
            and ended_on between '0001-01-01' and '9999-12-31'
        )
    );

    comment on table placement.placement_info is
        'One stay of a client in care; all but the days and the status is encrypted.';

    -- stops two placements of one client at once; one that ended or was deleted makes room for the next
    create unique index if not exists a_client_has_one_live_placement
        on placement.placement_info (tenant_id, client_id) where ended_on is null and deleted_at is null;
    create index if not exists placement_info_client_id_idx on placement.placement_info (tenant_id, client_id);
    create index if not exists placement_info_facility_id_idx on placement.placement_info (tenant_id, facility_id);
    create index if not exists placement_info_status_idx on placement.placement_info (tenant_id, status);
    create index if not exists placement_info_insurance_member_id_index_idx
        on placement.placement_info (tenant_id, insurance_member_id_index);

    -- stops 'infinity' and the year 10000, which the driver cannot read
    alter table placement.placement_info
        drop constraint if exists its_times_are_in_the_calendar,
        add constraint its_times_are_in_the_calendar check (
            deleted_at >= '0001-01-03 00:00+00' and deleted_at < '9999-12-29 00:00+00'
            and created_at >= '0001-01-03 00:00+00' and created_at < '9999-12-29 00:00+00'
            and updated_at >= '0001-01-03 00:00+00' and updated_at < '9999-12-29 00:00+00'
        );

    create table if not exists placement.placement_info_specialists (
        tenant_id uuid not null,
        placement_info_id uuid not null,
        specialist_id uuid not null,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        -- stops one specialist from being named twice
        constraint placement_info_specialists_pkey primary key (tenant_id, placement_info_id, specialist_id),
        -- these two stop a pair of which one is not there or not the tenant's, and deleting who treated somebody
        constraint placement_info_specialists_placement_info_id_fkey foreign key (tenant_id, placement_info_id)
            references placement.placement_info (tenant_id, id) on delete cascade,
        constraint placement_info_specialists_specialist_id_fkey foreign key (tenant_id, specialist_id)
            references placement.specialists (tenant_id, id) on delete restrict
    );

    comment on table placement.placement_info_specialists is 'That a specialist treats the client of a placement.';

    create index if not exists placement_info_specialists_specialist_id_idx
        on placement.placement_info_specialists (tenant_id, specialist_id);

    -- stops 'infinity' and the year 10000, which the driver cannot read
    alter table placement.placement_info_specialists
        drop constraint if exists its_times_are_in_the_calendar,
        add constraint its_times_are_in_the_calendar check (
            created_at >= '0001-01-03 00:00+00' and created_at < '9999-12-29 00:00+00'
            and updated_at >= '0001-01-03 00:00+00' and updated_at < '9999-12-29 00:00+00'
        );
    """)
    op.execute(f"""
    create table if not exists placement.metadata (
        tenant_id uuid not null,
        id uuid not null default gen_random_uuid(),
        placement_info_id uuid not null,
        form_name varchar(255) not null,
        version integer not null default 1,
        status text not null default 'draft',
        submitted_at timestamptz,
        details jsonb,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        deleted_at timestamptz,
        constraint metadata_pkey primary key (tenant_id, id),
        -- stops a form about a placement that is not there or not the tenant's
        constraint metadata_placement_info_id_fkey foreign key (tenant_id, placement_info_id)
            references placement.placement_info (tenant_id, id) on delete cascade,
        -- stops a version before the first
        constraint a_forms_versions_count_from_one check (version >= 1),
        -- stops a status that no code knows
        constraint a_form_is_a_draft_submitted_approved_or_returned
            check (status in ('draft', 'submitted', 'approved', 'returned')),
        -- stops a form that was submitted, nobody knows when, and a draft that was
        constraint a_form_that_was_submitted_says_when check ((status = 'draft') = (submitted_at is null))
    );

    comment on table placement.metadata is
        'A form about a placement: which one, in which version and state. Never what it says: that is encrypted.';

    -- stops two forms from being one version; a deleted one gives it back
    create unique index if not exists live_forms_have_their_own_version
        on placement.metadata (tenant_id, placement_info_id, form_name, version) where deleted_at is null;
    create index if not exists metadata_placement_info_id_idx on placement.metadata (tenant_id, placement_info_id);
    create index if not exists metadata_status_idx on placement.metadata (tenant_id, status);

    -- stops 'infinity' and the year 10000, which the driver cannot read
    alter table placement.metadata
        drop constraint if exists its_times_are_in_the_calendar,
        add constraint its_times_are_in_the_calendar check (
            submitted_at >= '0001-01-03 00:00+00' and submitted_at < '9999-12-29 00:00+00'
            and deleted_at >= '0001-01-03 00:00+00' and deleted_at < '9999-12-29 00:00+00'
            and created_at >= '0001-01-03 00:00+00' and created_at < '9999-12-29 00:00+00'
            and updated_at >= '0001-01-03 00:00+00' and updated_at < '9999-12-29 00:00+00'
        );

    create table if not exists placement.contributors (
        tenant_id uuid not null,
        id uuid not null default gen_random_uuid(),
        placement_info_id uuid not null,
        kind text not null,
        user_id uuid,
        role text not null default 'author',
        {columns(CONTRIBUTOR)},
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        deleted_at timestamptz,
        constraint contributors_pkey primary key (tenant_id, id),
        -- what a contribution refers to, so that it is by a contributor of its own placement
        constraint a_contributor_is_known_within_a_placement unique (tenant_id, placement_info_id, id),
        -- these two stop a contributor to a placement, or who is a user, that is not there or not the tenant's, and
        -- deleting a user who wrote something
        constraint contributors_placement_info_id_fkey foreign key (tenant_id, placement_info_id)
            references placement.placement_info (tenant_id, id) on delete cascade,
        constraint contributors_user_id_fkey foreign key (tenant_id, user_id)
            references identity.users (tenant_id, id) on delete restrict,
        -- stops a user who is none, and somebody from outside who is one
        constraint a_contributor_is_a_user_or_from_outside
            check (kind in ('user', 'outside') and (kind = 'user') = (user_id is not null)),
        -- stops a user whose name is kept twice, and differently
        constraint the_name_of_a_user_is_the_users check (kind = 'outside' or num_nonnulls(name, email) = 0),
        -- stops a role that no code knows
        constraint a_contributor_is_an_author_reviewer_or_approver
            check (role in ('author', 'reviewer', 'approver')),
        -- stops clear text
        constraint what_tells_who_a_contributor_is_is_encrypted check (
            {encrypted(CONTRIBUTOR)}
        )
    );

    comment on table placement.contributors is
        'Somebody who fills in the forms of a placement: a user, or a person from outside.';

    -- stops a user from being two live contributors to one placement
    create unique index if not exists a_user_contributes_to_a_placement_as_one
        on placement.contributors (tenant_id, placement_info_id, user_id) where deleted_at is null;
    create index if not exists contributors_user_id_idx on placement.contributors (tenant_id, user_id);

    -- stops 'infinity' and the year 10000, which the driver cannot read
    alter table placement.contributors
        drop constraint if exists its_times_are_in_the_calendar,
        add constraint its_times_are_in_the_calendar check (
            deleted_at >= '0001-01-03 00:00+00' and deleted_at < '9999-12-29 00:00+00'
            and created_at >= '0001-01-03 00:00+00' and created_at < '9999-12-29 00:00+00'
            and updated_at >= '0001-01-03 00:00+00' and updated_at < '9999-12-29 00:00+00'
        );

    create table if not exists placement.form_field_contributions (
        tenant_id uuid not null,
        id uuid not null default gen_random_uuid(),
        placement_info_id uuid not null,
        contributor_id uuid not null,
        field_name varchar(255) not null,
        contributed_at timestamptz not null default now(),
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        constraint form_field_contributions_pkey primary key (tenant_id, id),
        -- stops a contribution to a placement that is not there or not the tenant's
        constraint form_field_contributions_placement_info_id_fkey foreign key (tenant_id, placement_info_id)
            references placement.placement_info (tenant_id, id) on delete cascade,
        -- stops a contribution by somebody who contributes elsewhere, and taking its writer out of the record; it is
        -- checked at the end of a statement, so that a placement can go with both
        constraint form_field_contributions_placement_info_id_contributor_id_fkey
            foreign key (tenant_id, placement_info_id, contributor_id)
            references placement.contributors (tenant_id, placement_info_id, id) on delete no action
    );

    comment on table placement.form_field_contributions is 'That a contributor wrote a field of a placement, and when.';

    create index if not exists form_field_contributions_field_name_contributed_at_idx
        on placement.form_field_contributions (tenant_id, placement_info_id, field_name, contributed_at);
    create index if not exists form_field_contributions_placement_info_id_contributor_id_idx
        on placement.form_field_contributions (tenant_id, placement_info_id, contributor_id);

    -- stops 'infinity' and the year 10000, which the driver cannot read
    alter table placement.form_field_contributions
        drop constraint if exists its_times_are_in_the_calendar,
        add constraint its_times_are_in_the_calendar check (
            contributed_at >= '0001-01-03 00:00+00' and contributed_at < '9999-12-29 00:00+00'
            and created_at >= '0001-01-03 00:00+00' and created_at < '9999-12-29 00:00+00'
            and updated_at >= '0001-01-03 00:00+00' and updated_at < '9999-12-29 00:00+00'
        );
    """)
    op.execute("""
    call identity.secure_table('placement.specialists', array['specialty']);
    call identity.secure_table('placement.medications');
    call identity.secure_table('placement.placement_info');
    call identity.secure_table('placement.placement_info_specialists');
    call identity.secure_table('placement.metadata', array['form_name', 'version']);
    call identity.secure_table('placement.contributors', array['kind']);
    call identity.secure_table('placement.form_field_contributions', array['field_name']);
    revoke delete on placement.clients, placement.facility_staff, placement.specialists, placement.medications,
        placement.placement_info, placement.metadata, placement.contributors from scheduler_app;
    -- stops another field, writer or time from being put into the record, and a line from being taken out
    revoke update, delete on placement.form_field_contributions from scheduler_app;

    -- stops the words of one contributor from becoming those of another
    create trigger a_contributor_stays_who_it_is before update on placement.contributors
        for each row execute function wellbeing.system_only_columns(
            'tenant_id', 'id', 'placement_info_id', 'kind', 'user_id', 'name', 'email', 'created_at');
    """)
    for name, table, column, target in LIVE:
        # stops a record of a client, or within a placement, that nobody looks at any more
        op.execute(f"""
        create trigger {name} before insert or update of {column} on placement.{table}
            for each row execute function identity.refuse_additions_to_deleted('{column}', 'placement.{target}')
        """)


def downgrade() -> None:
    op.execute("""
    drop table placement.form_field_contributions, placement.contributors, placement.metadata,
        placement.placement_info_specialists, placement.placement_info, placement.medications, placement.specialists,
        placement.facility_staff, placement.clients;
    """)
