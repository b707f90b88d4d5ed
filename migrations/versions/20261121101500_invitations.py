"""Invitations, and the key-value store that the wellbeing part brings along.

An invitation lets somebody with an e-mail address into an organisation, as a practitioner or a group contact. Its
token is a random secret that only the mail knows: here stands its SHA-256 (64 hexadecimal digits), so that who reads
the table can accept nothing. A token is long and random, so no salt and no slow digest are needed. It opens the door
once, for a week; what is accepted says by whom and when. Accepting makes a profile, and is done by the system: who
accepts has no role yet.

Group contacts invite for their organisation, and accounts see all invitations.

`kv_store_a1855b25` holds settings, flags and cached figures under a key. The specification says that all tables have
row security and forgets this one: it is for accounts only, tenant by tenant.
"""

from alembic import op

revision = "20261121101500"
down_revision = "20261121101400"
branch_labels = None
depends_on = None


def upgrade() -> None:
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
        constraint an_invitation_has_one_key_in_its_tenant primary key (tenant_id, id),
        -- stops an invitation to nowhere; it goes with its organisation
        constraint an_invitation_is_to_an_organisation foreign key (tenant_id, org_id)
            references wellbeing.organisations (tenant_id, id) on delete cascade,
        -- these two stop somebody of another tenant, and deleting who answers for a member
        constraint an_invitation_is_by_somebody foreign key (tenant_id, invited_by)
            references wellbeing.profiles (tenant_id, id),
        constraint an_invitation_may_be_accepted_by_somebody foreign key (tenant_id, accepted_by)
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
            check (status <> 'accepted' or accepted_at is not null and accepted_by is not null)
    );

    comment on table wellbeing.invitations is 'That somebody may join an organisation, once and for some days.';

    create index invitations_are_found_by_organisation on wellbeing.invitations (tenant_id, org_id);
    create index invitations_are_found_by_email_and_status on wellbeing.invitations (tenant_id, email, status);
    create index invitations_are_found_by_who_invited on wellbeing.invitations (tenant_id, invited_by);
    create index invitations_are_found_by_who_accepted on wellbeing.invitations (tenant_id, accepted_by);

    call identity.guard('wellbeing.invitations', by_role => true);

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
        for each row execute function wellbeing.leave_to_the_system(
            'tenant_id', 'id', 'org_id', 'email', 'role', 'invited_by', 'invitation_token', 'expires_at', 'accepted_at',
            'accepted_by', 'created_at');
    -- stops one that was used, revoked or has expired from letting somebody else in
    create trigger a_closed_invitation_stays_closed before update on wellbeing.invitations
        for each row when (old.status <> 'pending' or new.status not in ('pending', 'revoked'))
        execute function wellbeing.leave_to_the_system('status');
    """)
    op.execute("""
    create table wellbeing.kv_store_a1855b25 (
        tenant_id uuid not null,
        key text not null,
        value jsonb,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        constraint a_key_has_one_value_in_its_tenant primary key (tenant_id, key),
        -- stops a value of nobody, and deleting a tenant that still has one
        constraint a_value_belongs_to_a_tenant foreign key (tenant_id)
            references identity.tenants (id) on delete restrict
    );

    comment on table wellbeing.kv_store_a1855b25 is 'Settings, flags and cached figures of a tenant, for accounts.';

    call identity.guard('wellbeing.kv_store_a1855b25', by_role => true);

    create policy accounts_manage_what_is_stored on wellbeing.kv_store_a1855b25
        to scheduler_app using ((select identity.current_role_name()) = 'Account');
    """)


def downgrade() -> None:
    op.execute("""
    drop table wellbeing.kv_store_a1855b25;
    drop table wellbeing.invitations;
    """)
