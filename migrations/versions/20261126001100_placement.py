"""Placement: clients, the staff of facilities, and the encrypted record of each stay.

**Clients.** Names, day of birth and e-mail address stay in plaintext, since staff search by them; row security, grants
and an audit log that hides their values protect them. A user is one live client at most. Deleting the facility, the
address or the user keeps the client. `facility_staff` says which user works at which facility, as what and when.

**Placements.** `placement_info` is the form of one stay. A client has one live placement that has not ended. The
application encrypts its contents, the medications of a client and the identity of a specialist; the database checks
that each value has the shape of a ciphertext, so that plaintext is refused. Every encrypted column may be null: forms
are filled in step by step, and erasing health information sets it to null. The member number of the insurance is
searched by a blind index (a keyed hash of 32 bytes), which is deleted with the number.

**Contributions.** A contributor ties a user, or a person from outside with an encrypted name and address, to a
placement. `form_field_contributions` records which contributor wrote which field when; the application can only add to
it. A contributor stays the same person, or the contributions would become another's. `metadata` never has answers.

Records of care restrict the deletion of their client or placement, so no single statement removes a medical history.
Lists that only say which people or forms belong to a placement are deleted with it.
"""

from alembic import op

revision = "20261126001100"
down_revision = "20261126001070"

SPECIALIST = ("name", "phone", "email", "license_number", "notes")
MEDICATION = ("name", "dosage", "frequency", "instructions", "prescriber")
CONTRIBUTOR = ("name", "email")
LEGAL = ("legal_status", "custody", "court_case_number", "court_dates", "court_orders")
CASE_WORKER = ("case_worker_name", "case_worker_phone", "case_worker_email")
DIAGNOSES = ("diagnosis", "secondary_diagnoses", "allergies", "medical_history", "mental_health_history")
HEALTH = ("trauma_history", "substance_use_history", "immunisations", "physical_limitations", "primary_care_physician")
BEHAVIOUR = ("behaviour", "behaviour_plan", "risk_assessment", "safety_plan")
EDUCATION = ("education", "school_name", "school_contact", "education_plan")
FAMILY = ("family_history", "siblings", "visitation")
FIRST_CONTACT = ("emergency_contact_name", "emergency_contact_relationship", "emergency_contact_phone")
INSURANCE = ("insurance_provider", "insurance_group_number", "insurance_member_id")
DAILY_LIFE = ("dietary_needs", "religious_preferences", "cultural_preferences", "languages")
STAY = ("placement_reason", "previous_placements", "treatment_goals", "discharge_plan", "notes")
CONTACTS = (*FAMILY, *FIRST_CONTACT, "second_emergency_contact")
PLACEMENT = LEGAL + CASE_WORKER + DIAGNOSES + HEALTH + BEHAVIOUR + EDUCATION + CONTACTS + INSURANCE + DAILY_LIFE + STAY
# The instants of each table beside `created_at` and `updated_at`.
INSTANTS = {
    "clients": ["deleted_at"],
    "facility_staff": ["deleted_at"],
    "specialists": ["deleted_at"],
    "medications": ["deleted_at"],
    "placement_info": ["deleted_at"],
    "placement_info_specialists": [],
    "metadata": ["submitted_at", "deleted_at"],
    "contributors": ["deleted_at"],
    "form_field_contributions": ["contributed_at"],
}
# Trigger, table, column, and the table that the column references.
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
        tenant_id uuid not null references identity.tenants (id) on delete restrict,
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
        -- these three stop a facility, user or address of another tenant
        constraint clients_facility_id_fkey foreign key (tenant_id, facility_id)
            references scheduling.facilities (tenant_id, id) on delete set null (facility_id),
        constraint clients_user_id_fkey foreign key (tenant_id, user_id)
            references identity.users (tenant_id, id) on delete set null (user_id),
        constraint clients_address_id_fkey foreign key (tenant_id, address_id)
            references identity.addresses (tenant_id, id) on delete set null (address_id),
        -- stops 'nobody', 'a@b@c', two spellings of one address, and look-alike letters
        constraint a_clients_email_is_an_address_in_lower_case check (identity.is_email(email)),
        -- stops an unknown status
        constraint a_client_is_waiting_active_inactive_or_discharged
            check (status in ('waiting', 'active', 'inactive', 'discharged')),
        -- stops a client who leaves before admission, or is admitted before birth
        constraint a_client_is_born_admitted_and_discharged_in_order check (
            date_of_birth <= admitted_on and date_of_birth <= discharged_on and admitted_on <= discharged_on
        ),
        -- stops a discharged client without a day of discharge
        constraint a_discharged_client_says_since_when check (status <> 'discharged' or discharged_on is not null),
        -- stops 'infinity' and the year 10000
        constraint a_clients_days_are_in_the_calendar check (
            date_of_birth >= '0001-01-01' and date_of_birth <= '9999-12-31'
            and admitted_on >= '0001-01-01' and admitted_on <= '9999-12-31'
            and discharged_on >= '0001-01-01' and discharged_on <= '9999-12-31'
        )
    );

    comment on table placement.clients is 'A person who is cared for; placement_info has their health information.';

    create index if not exists clients_facility_id_idx on placement.clients (tenant_id, facility_id);
    create index if not exists clients_last_name_first_name_idx
        on placement.clients (tenant_id, last_name, first_name) where deleted_at is null;
    create index if not exists clients_status_idx on placement.clients (tenant_id, status);
    create index if not exists clients_address_id_idx on placement.clients (tenant_id, address_id);
    create index if not exists clients_user_id_idx on placement.clients (tenant_id, user_id);
    create index if not exists clients_full_name_trgm_idx
        on placement.clients using gin ((lower(first_name || ' ' || last_name)) public.gin_trgm_ops);
    -- stops one user from being two live clients; a deleted client frees the user
    create unique index if not exists live_clients_have_their_own_user
        on placement.clients (tenant_id, user_id) where deleted_at is null;

    alter table placement.clients
        -- stops an empty or blank name
        drop constraint if exists a_client_has_a_first_and_a_last_name,
        add constraint a_client_has_a_first_and_a_last_name check (first_name ~ E'\\S' and last_name ~ E'\\S');

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
        -- these two stop a facility or user that is missing or of another tenant
        constraint facility_staff_facility_id_fkey foreign key (tenant_id, facility_id)
            references scheduling.facilities (tenant_id, id) on delete cascade,
        constraint facility_staff_user_id_fkey foreign key (tenant_id, user_id)
            references identity.users (tenant_id, id) on delete cascade,
        -- stops work that ends before it starts
        constraint an_assignment_starts_before_it_ends check (started_on <= ended_on),
        -- stops 'infinity' and the year 10000
        constraint an_assignments_days_are_in_the_calendar check (
            started_on >= '0001-01-01' and started_on <= '9999-12-31'
            and ended_on >= '0001-01-01' and ended_on <= '9999-12-31'
        )
    );

    comment on table placement.facility_staff is 'A user who works at a facility, with position and days.';

    -- stops a second live row of a user at a facility
    create unique index if not exists a_user_works_at_a_facility_once
        on placement.facility_staff (tenant_id, facility_id, user_id) where deleted_at is null;
    -- stops two primary facilities of one user
    create unique index if not exists a_user_has_one_primary_facility
        on placement.facility_staff (tenant_id, user_id) where is_primary and ended_on is null and deleted_at is null;
    create index if not exists facility_staff_facility_id_idx on placement.facility_staff (tenant_id, facility_id);
    create index if not exists facility_staff_user_id_idx on placement.facility_staff (tenant_id, user_id);

    call identity.secure_table('placement.clients');
    call identity.secure_table('placement.facility_staff', array['is_primary']);
    """)
    op.execute(f"""
    create table if not exists placement.specialists (
        tenant_id uuid not null references identity.tenants (id) on delete restrict,
        id uuid not null default gen_random_uuid(),
        user_id uuid,
        doctor_id bigint,
        specialty varchar(255),
        {columns(SPECIALIST)},
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        deleted_at timestamptz,
        constraint specialists_pkey primary key (tenant_id, id),
        -- these two stop a user or a doctor of another tenant
        constraint specialists_user_id_fkey foreign key (tenant_id, user_id)
            references identity.users (tenant_id, id) on delete set null (user_id),
        constraint specialists_doctor_id_fkey foreign key (tenant_id, doctor_id)
            references scheduling.doctors (tenant_id, id) on delete set null (doctor_id),
        -- stops plaintext
        constraint what_tells_who_a_specialist_is_is_encrypted check (
            {encrypted(SPECIALIST)}
        )
    );

    comment on table placement.specialists is 'A specialist who treats clients; the identity is encrypted.';

    create index if not exists specialists_user_id_idx on placement.specialists (tenant_id, user_id);
    create index if not exists specialists_doctor_id_idx on placement.specialists (tenant_id, doctor_id);

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
        -- stops a client who is missing or of another tenant, and deleting a client with medications
        constraint medications_client_id_fkey foreign key (tenant_id, client_id)
            references placement.clients (tenant_id, id) on delete restrict,
        -- stops plaintext
        constraint a_medication_is_encrypted check (
            {encrypted(MEDICATION)}
        ),
        -- stops a medication that ends before it starts
        constraint a_medication_starts_before_it_ends check (started_on <= ended_on),
        -- stops 'infinity' and the year 10000
        constraint a_medications_days_are_in_the_calendar check (
            started_on >= '0001-01-01' and started_on <= '9999-12-31'
            and ended_on >= '0001-01-01' and ended_on <= '9999-12-31'
        ),
        -- stops an unknown status
        constraint a_medication_is_active_paused_completed_or_stopped
            check (status in ('active', 'paused', 'completed', 'stopped'))
    );

    comment on table placement.medications is 'A medication of a client; all but the days and the status is encrypted.';

    create index if not exists medications_client_id_idx on placement.medications (tenant_id, client_id);
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
        -- stops a client who is missing or of another tenant, and deleting a client with placements
        constraint placement_info_client_id_fkey foreign key (tenant_id, client_id)
            references placement.clients (tenant_id, id) on delete restrict,
        -- stops a facility of another tenant
        constraint placement_info_facility_id_fkey foreign key (tenant_id, facility_id)
            references scheduling.facilities (tenant_id, id) on delete set null (facility_id),
        -- stops plaintext
        constraint placement_information_is_encrypted check (
            {encrypted(PLACEMENT)}
        ),
        -- stops a hash of another algorithm
        constraint a_blind_index_has_32_bytes check (octet_length(insurance_member_id_index) = 32),
        -- stops the trace of an erased member number
        constraint a_blind_index_goes_with_its_value
            check (insurance_member_id_index is null or insurance_member_id is not null),
        -- stops an unknown status
        constraint a_placement_is_planned_active_or_ended check (status in ('planned', 'active', 'ended')),
        -- stops an ended placement without its end, and another one with an end
        constraint a_placement_that_ended_says_when check ((status = 'ended') = (ended_on is not null)),
        -- stops a placement that ends before it begins
        constraint a_placement_begins_before_it_ends check (placed_on <= expected_end_on and placed_on <= ended_on),
        -- stops 'infinity' and the year 10000
        constraint a_placements_days_are_in_the_calendar check (
            placed_on >= '0001-01-01' and placed_on <= '9999-12-31'
            and expected_end_on >= '0001-01-01' and expected_end_on <= '9999-12-31'
            and ended_on >= '0001-01-01' and ended_on <= '9999-12-31'
        )
    );

    comment on table placement.placement_info is
        'One stay of a client in care; all but the days and the status is encrypted.';

    -- stops two live placements of one client that have not ended
    create unique index if not exists a_client_has_one_live_placement
        on placement.placement_info (tenant_id, client_id) where ended_on is null and deleted_at is null;
    create index if not exists placement_info_client_id_idx on placement.placement_info (tenant_id, client_id);
    create index if not exists placement_info_facility_id_idx on placement.placement_info (tenant_id, facility_id);
    create index if not exists placement_info_status_idx on placement.placement_info (tenant_id, status);
    create index if not exists placement_info_insurance_member_id_index_idx
        on placement.placement_info (tenant_id, insurance_member_id_index);

    create table if not exists placement.placement_info_specialists (
        tenant_id uuid not null,
        placement_info_id uuid not null,
        specialist_id uuid not null,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        -- stops naming one specialist twice
        constraint placement_info_specialists_pkey primary key (tenant_id, placement_info_id, specialist_id),
        -- these two stop a reference that is missing or of another tenant, and deleting a specialist with placements
        constraint placement_info_specialists_placement_info_id_fkey foreign key (tenant_id, placement_info_id)
            references placement.placement_info (tenant_id, id) on delete cascade,
        constraint placement_info_specialists_specialist_id_fkey foreign key (tenant_id, specialist_id)
            references placement.specialists (tenant_id, id) on delete restrict
    );

    comment on table placement.placement_info_specialists is 'A specialist who treats the client of a placement.';

    create index if not exists placement_info_specialists_specialist_id_idx
        on placement.placement_info_specialists (tenant_id, specialist_id);
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
        -- stops a placement that is missing or of another tenant
        constraint metadata_placement_info_id_fkey foreign key (tenant_id, placement_info_id)
            references placement.placement_info (tenant_id, id) on delete cascade,
        -- stops a version before the first
        constraint a_forms_versions_count_from_one check (version >= 1),
        -- stops an unknown status
        constraint a_form_is_a_draft_submitted_approved_or_returned
            check (status in ('draft', 'submitted', 'approved', 'returned')),
        -- stops a submitted form without its instant, and a draft with one
        constraint a_form_that_was_submitted_says_when check ((status = 'draft') = (submitted_at is null))
    );

    comment on table placement.metadata is
        'A form of a placement: name, version and state, but never its answers, which are encrypted.';

    -- stops two live forms with one version
    create unique index if not exists live_forms_have_their_own_version
        on placement.metadata (tenant_id, placement_info_id, form_name, version) where deleted_at is null;
    create index if not exists metadata_placement_info_id_idx on placement.metadata (tenant_id, placement_info_id);
    create index if not exists metadata_status_idx on placement.metadata (tenant_id, status);

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
        -- referenced by contributions, so that their contributor is of the same placement
        constraint a_contributor_is_known_within_a_placement unique (tenant_id, placement_info_id, id),
        -- these two stop a reference that is missing or of another tenant, and deleting a user who contributed
        constraint contributors_placement_info_id_fkey foreign key (tenant_id, placement_info_id)
            references placement.placement_info (tenant_id, id) on delete cascade,
        constraint contributors_user_id_fkey foreign key (tenant_id, user_id)
            references identity.users (tenant_id, id) on delete restrict,
        -- stops a user without a user id, and a person from outside with one
        constraint a_contributor_is_a_user_or_from_outside
            check (kind in ('user', 'outside') and (kind = 'user') = (user_id is not null)),
        -- stops a second, different name of a user
        constraint the_name_of_a_user_is_the_users check (kind = 'outside' or num_nonnulls(name, email) = 0),
        -- stops an unknown role
        constraint a_contributor_is_an_author_reviewer_or_approver check (role in ('author', 'reviewer', 'approver')),
        -- stops plaintext
        constraint what_tells_who_a_contributor_is_is_encrypted check (
            {encrypted(CONTRIBUTOR)}
        )
    );

    comment on table placement.contributors is
        'A user, or a person from outside, who fills in the forms of a placement.';

    -- stops a second live row of a user in one placement
    create unique index if not exists a_user_contributes_to_a_placement_as_one
        on placement.contributors (tenant_id, placement_info_id, user_id) where deleted_at is null;
    create index if not exists contributors_user_id_idx on placement.contributors (tenant_id, user_id);

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
        -- stops a placement that is missing or of another tenant
        constraint form_field_contributions_placement_info_id_fkey foreign key (tenant_id, placement_info_id)
            references placement.placement_info (tenant_id, id) on delete cascade,
        -- stops a contributor of another placement, and deleting a contributor who wrote something; checked at the end
        -- of a statement, so that deleting a placement can delete both
        constraint form_field_contributions_placement_info_id_contributor_id_fkey
            foreign key (tenant_id, placement_info_id, contributor_id)
            references placement.contributors (tenant_id, placement_info_id, id) on delete no action
    );

    comment on table placement.form_field_contributions is 'A field of a placement that a contributor wrote, and when.';

    create index if not exists form_field_contributions_field_name_contributed_at_idx
        on placement.form_field_contributions (tenant_id, placement_info_id, field_name, contributed_at);
    create index if not exists form_field_contributions_placement_info_id_contributor_id_idx
        on placement.form_field_contributions (tenant_id, placement_info_id, contributor_id);
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
    -- stops changing and deleting lines of the record
    revoke update, delete on placement.form_field_contributions from scheduler_app;

    -- stops attributing contributions to another person
    create trigger a_contributor_stays_who_it_is before update on placement.contributors
        for each row execute function wellbeing.system_only_columns(
            'tenant_id', 'id', 'placement_info_id', 'kind', 'user_id', 'name', 'email', 'created_at');
    """)
    for name, table, column, target in LIVE:
        # stops a record of a deleted client or placement
        op.execute(f"""
        create trigger {name} before insert or update of {column} on placement.{table}
            for each row execute function identity.refuse_additions_to_deleted('{column}', 'placement.{target}')
        """)
    for table, instants in INSTANTS.items():
        checks = (
            f"{name} >= '0001-01-03 00:00+00' and {name} < '9999-12-29 00:00+00'"
            for name in (*instants, "created_at", "updated_at")
        )
        # stops 'infinity' and the year 10000, which the driver cannot read
        op.execute(f"""
        alter table placement.{table}
            drop constraint if exists its_times_are_in_the_calendar,
            add constraint its_times_are_in_the_calendar check ({" and ".join(checks)});
        """)


def downgrade() -> None:
    op.execute("""
    drop table placement.form_field_contributions, placement.contributors, placement.metadata,
        placement.placement_info_specialists, placement.placement_info, placement.medications, placement.specialists,
        placement.facility_staff, placement.clients;
    """)
