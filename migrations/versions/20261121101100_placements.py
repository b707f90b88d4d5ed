"""Placements: what is known about a client in care, who adds to it, and who treats the client.

`placement_info` is the large form of one stay of a client: legal standing, health, behaviour, education, contacts,
insurance, plans. A client has one live placement that has not ended; those that ended stay as they were. All that is
said in it is encrypted by the application before it comes here, as are a client's medications and what would tell who
a specialist is. The database sees when, whose and in which state a row is, and no more. It cannot read what it
stores, so it checks the one thing that it can: that what stands in such a column has the shape of an encrypted value.
Clear text that gets there by mistake is refused.

Every encrypted column may be missing. Forms are filled in bit by bit, and to erase a person's health information is to
set it to null. The member number of the insurance is to be found by equality, which encryption prevents: so a keyed
hash of it (a blind index of 32 bytes) stands beside it, and goes when it goes.

`contributors` ties the people who fill in a form to its placement: a user, or somebody from outside (a teacher, a
relative) of whom a name and an e-mail address are kept, encrypted. `form_field_contributions` says which of them
wrote which field when. A contribution is by a contributor of the same placement. Who wrote something cannot be taken
out of the record, but for the whole placement going; so users who contributed are deleted softly. `metadata` says
which forms there are, in which version and state; its details are about the form and never answers.

To delete a client or placement for good, what hangs on it has to be deleted first (restrict) where it is a record of
care: no single statement takes a medical history along. Lists that only say who or which form belongs to a placement
go with it.
"""

from alembic import op

revision = "20261121101100"
down_revision = "20261121101000"
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
TABLES = (
    "form_field_contributions",
    "contributors",
    "metadata",
    "placement_info_specialists",
    "placement_info",
    "medications",
    "specialists",
)


def columns(names: tuple[str, ...]) -> str:
    """Write the encrypted columns of a table."""
    return ",\n        ".join(f"{name} bytea" for name in names)


def sealed(names: tuple[str, ...]) -> str:
    """Write the condition that each of these columns is encrypted or missing."""
    return "\n            and ".join(f"coalesce(identity.is_sealed({name}), true)" for name in names)


def upgrade() -> None:
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
        constraint a_specialist_has_one_key_in_its_tenant primary key (tenant_id, id),
        -- stops a specialist of nobody, and deleting a tenant that still has one
        constraint a_specialist_belongs_to_a_tenant foreign key (tenant_id)
            references identity.tenants (id) on delete restrict,
        -- these two stop a specialist from being a user or a doctor of another tenant
        constraint a_specialist_may_sign_in foreign key (tenant_id, user_id)
            references identity.users (tenant_id, id) on delete set null (user_id),
        constraint a_specialist_may_have_a_schedule foreign key (tenant_id, doctor_id)
            references scheduling.doctors (tenant_id, id) on delete set null (doctor_id),
        -- stops clear text
        constraint what_tells_who_a_specialist_is_is_encrypted check (
            {sealed(SPECIALIST)}
        )
    );

    comment on table placement.specialists is 'Somebody who treats clients; who it is, is encrypted.';

    create index if not exists specialists_are_found_by_user on placement.specialists (tenant_id, user_id);
    create index if not exists specialists_are_found_by_doctor on placement.specialists (tenant_id, doctor_id);

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
        constraint a_medication_has_one_key_in_its_tenant primary key (tenant_id, id),
        -- stops a medication of a client who is not there or not the tenant's, and deleting one who still has some
        constraint a_medication_is_of_a_client foreign key (tenant_id, client_id)
            references placement.clients (tenant_id, id) on delete restrict,
        -- stops clear text
        constraint a_medication_is_encrypted check (
            {sealed(MEDICATION)}
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

    create index if not exists medications_are_found_by_client on placement.medications (tenant_id, client_id);
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
        constraint a_placement_has_one_key_in_its_tenant primary key (tenant_id, id),
        -- stops a placement of a client who is not there or not the tenant's, and deleting one who still has some
        constraint a_placement_is_of_a_client foreign key (tenant_id, client_id)
            references placement.clients (tenant_id, id) on delete restrict,
        -- stops a placement at a place of another tenant
        constraint a_placement_may_be_at_a_facility foreign key (tenant_id, facility_id)
            references scheduling.facilities (tenant_id, id) on delete set null (facility_id),
        -- stops clear text
        constraint placement_information_is_encrypted check (
            {sealed(PLACEMENT)}
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
    create index if not exists placements_are_found_by_client on placement.placement_info (tenant_id, client_id);
    create index if not exists placements_are_found_by_facility on placement.placement_info (tenant_id, facility_id);
    create index if not exists placements_are_found_by_status on placement.placement_info (tenant_id, status);
    create index if not exists placements_are_found_by_insurance_member
        on placement.placement_info (tenant_id, insurance_member_id_index);

    create table if not exists placement.placement_info_specialists (
        tenant_id uuid not null,
        placement_info_id uuid not null,
        specialist_id uuid not null,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        -- stops one specialist from being named twice
        constraint a_specialist_treats_in_a_placement_once primary key (tenant_id, placement_info_id, specialist_id),
        -- these two stop a pair of which one is not there or not the tenant's, and deleting who treated somebody
        constraint a_treatment_is_in_a_placement foreign key (tenant_id, placement_info_id)
            references placement.placement_info (tenant_id, id) on delete cascade,
        constraint a_treatment_is_by_a_specialist foreign key (tenant_id, specialist_id)
            references placement.specialists (tenant_id, id) on delete restrict
    );

    comment on table placement.placement_info_specialists is 'That a specialist treats the client of a placement.';

    create index if not exists placements_are_found_by_specialist
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
        constraint a_form_has_one_key_in_its_tenant primary key (tenant_id, id),
        -- stops a form about a placement that is not there or not the tenant's
        constraint a_form_is_about_a_placement foreign key (tenant_id, placement_info_id)
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
    create index if not exists forms_are_found_by_placement on placement.metadata (tenant_id, placement_info_id);
    create index if not exists forms_are_found_by_status on placement.metadata (tenant_id, status);

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
        constraint a_contributor_has_one_key_in_its_tenant primary key (tenant_id, id),
        -- what a contribution refers to, so that it is by a contributor of its own placement
        constraint a_contributor_is_known_within_a_placement unique (tenant_id, placement_info_id, id),
        -- these two stop a contributor to a placement, or who is a user, that is not there or not the tenant's, and
        -- deleting a user who wrote something
        constraint a_contributor_adds_to_a_placement foreign key (tenant_id, placement_info_id)
            references placement.placement_info (tenant_id, id) on delete cascade,
        constraint a_contributor_may_be_a_user foreign key (tenant_id, user_id)
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
            {sealed(CONTRIBUTOR)}
        )
    );

    comment on table placement.contributors is
        'Somebody who fills in the forms of a placement: a user, or a person from outside.';

    -- stops a user from being two live contributors to one placement
    create unique index if not exists a_user_contributes_to_a_placement_as_one
        on placement.contributors (tenant_id, placement_info_id, user_id) where deleted_at is null;
    create index if not exists contributors_are_found_by_user on placement.contributors (tenant_id, user_id);

    create table if not exists placement.form_field_contributions (
        tenant_id uuid not null,
        id uuid not null default gen_random_uuid(),
        placement_info_id uuid not null,
        contributor_id uuid not null,
        field_name varchar(255) not null,
        contributed_at timestamptz not null default now(),
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        constraint a_contribution_has_one_key_in_its_tenant primary key (tenant_id, id),
        -- stops a contribution to a placement that is not there or not the tenant's
        constraint a_contribution_is_to_a_placement foreign key (tenant_id, placement_info_id)
            references placement.placement_info (tenant_id, id) on delete cascade,
        -- stops a contribution by somebody who contributes elsewhere, and taking its writer out of the record; it is
        -- checked at the end of a statement, so that a placement can go with both
        constraint a_contribution_is_by_a_contributor_of_its_placement
            foreign key (tenant_id, placement_info_id, contributor_id)
            references placement.contributors (tenant_id, placement_info_id, id) on delete no action
    );

    comment on table placement.form_field_contributions is 'That a contributor wrote a field of a placement, and when.';

    create index if not exists contributions_are_found_by_field
        on placement.form_field_contributions (tenant_id, placement_info_id, field_name, contributed_at);
    create index if not exists contributions_are_found_by_contributor
        on placement.form_field_contributions (tenant_id, placement_info_id, contributor_id);

    call identity.guard('placement.specialists', array['specialty']);
    call identity.guard('placement.medications');
    call identity.guard('placement.placement_info');
    call identity.guard('placement.placement_info_specialists');
    call identity.guard('placement.metadata', array['form_name', 'version']);
    call identity.guard('placement.contributors', array['kind']);
    call identity.guard('placement.form_field_contributions', array['field_name']);
    """)


def downgrade() -> None:
    for table in TABLES:
        op.execute(f"drop table placement.{table}")
