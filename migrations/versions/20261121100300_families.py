"""Families: who belongs together, written once and read from both ends.

The families specification keeps a list of families at each user and two lists of users at each family, and needs a
transaction to write both alike. Here a membership is one row, so the two directions cannot disagree: its key
(tenant, family, user) answers "who is in this family", an index the other way "in which families is this user", each
with one look-up, and whether a user belongs to a family is the key itself.

A user is a parent or a student of a family once. Whether somebody is the primary or an emergency contact is said of
the membership and not of the user: one may be called first for one family and not for another. (That a family has
one primary contact at most is taken back by a later revision, which says why.)

Two views give the shapes of the specification, `parentIds` and `studentIds` of a family and `familyIds` of a user, as
arrays: one row a live family or user, however many members there are, since each list is gathered by itself and no
two are joined with one another. A deleted family or user is in neither view, neither as a row nor within a list: so
what one view names the other one has. The membership stays, and a restored family has its members back.

Deleting a family for good, or a user, takes the memberships along: without either they mean nothing. A family outlives
the user who made or changed it, and then no longer says who that was. The audit log still
says for which user each change was made; whom else these two columns may have named it veils.
"""

from alembic import op

revision = "20261121100300"
down_revision = "20261121100200"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
    create table identity.families (
        tenant_id uuid not null,
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
        constraint a_family_has_one_key_in_its_tenant primary key (tenant_id, id),
        -- stops a family of nobody, and deleting a tenant that still has one
        constraint a_family_belongs_to_a_tenant foreign key (tenant_id)
            references identity.tenants (id) on delete restrict,
        -- stops a family at an address of another tenant
        constraint a_family_may_have_an_address foreign key (tenant_id, address_id)
            references identity.addresses (tenant_id, id) on delete set null (address_id),
        -- these two stop a family made or changed by a user of another tenant; the family outlives the user
        constraint a_family_may_be_made_by_a_user foreign key (tenant_id, created_by)
            references identity.users (tenant_id, id) on delete set null (created_by),
        constraint a_family_may_be_changed_by_a_user foreign key (tenant_id, modified_by)
            references identity.users (tenant_id, id) on delete set null (modified_by),
        -- stops a programme that is null or empty within the list
        constraint a_preferred_program_has_a_name check (
            array_position(preferred_programs, null) is null and array_position(preferred_programs, '') is null
        ),
        -- stops a status that no code knows
        constraint a_family_is_active_or_inactive check (status in ('active', 'inactive'))
    );

    comment on table identity.families is 'People who belong together: parents and their students.';

    create index families_are_found_by_status on identity.families (tenant_id, status);
    create index families_are_found_by_address on identity.families (tenant_id, address_id);
    create index families_are_found_by_who_made_them on identity.families (tenant_id, created_by);
    create index families_are_found_by_who_changed_them on identity.families (tenant_id, modified_by);

    create table identity.family_members (
        tenant_id uuid not null,
        family_id uuid not null,
        user_id uuid not null,
        role text not null,
        is_primary_contact boolean not null default false,
        is_emergency_contact boolean not null default false,
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        -- stops one user from being in one family twice, or a parent and a student of it
        constraint a_user_is_in_a_family_once primary key (tenant_id, family_id, user_id),
        -- these two stop a membership in a family, or of a user, that is not there or not the tenant's
        constraint a_member_is_of_a_family foreign key (tenant_id, family_id)
            references identity.families (tenant_id, id) on delete cascade,
        constraint a_member_is_a_user foreign key (tenant_id, user_id)
            references identity.users (tenant_id, id) on delete cascade,
        -- stops a role that neither list of the family has
        constraint a_member_is_a_parent_or_a_student check (role in ('parent', 'student'))
    );

    comment on table identity.family_members is
        'That a user is a parent or a student of a family; the one place that says so, for both directions.';

    -- stops two from being called first
    create unique index a_family_has_one_primary_contact
        on identity.family_members (tenant_id, family_id) where is_primary_contact;
    create index families_are_found_by_user on identity.family_members (tenant_id, user_id);

    call identity.guard('identity.families');
    call identity.guard('identity.family_members', array['is_primary_contact', 'is_emergency_contact']);
    """)
    op.execute("""
    create view identity.family_directory with (security_invoker = true) as
    select family.tenant_id, family.id as family_id, family.family_name,
        array(
            select member.user_id
            from identity.family_members member
            join identity.users person on person.tenant_id = member.tenant_id and person.id = member.user_id
            where member.tenant_id = family.tenant_id and member.family_id = family.id
                and member.role = 'parent' and person.deleted_at is null
            order by member.created_at, member.user_id
        ) as parent_ids,
        array(
            select member.user_id
            from identity.family_members member
            join identity.users person on person.tenant_id = member.tenant_id and person.id = member.user_id
            where member.tenant_id = family.tenant_id and member.family_id = family.id
                and member.role = 'student' and person.deleted_at is null
            order by member.created_at, member.user_id
        ) as student_ids,
        family.address_id, family.preferred_programs, family.status,
        family.created_at, family.created_by, family.updated_at, family.modified_by
    from identity.families family
    where family.deleted_at is null;

    comment on view identity.family_directory is
        'One row a live family, with the ids of its live parents and students, in the order in which they joined.';

    create view identity.user_directory with (security_invoker = true) as
    select person.tenant_id, person.id as user_id, person.email, person.name, person.phone, person.role, person.status,
        membership.family_ids, membership.is_primary_contact, membership.is_emergency_contact,
        person.created_at, person.updated_at
    from identity.users person
    cross join lateral (
        select coalesce(array_agg(member.family_id order by member.created_at, member.family_id), '{}') as family_ids,
            coalesce(bool_or(member.is_primary_contact), false) as is_primary_contact,
            coalesce(bool_or(member.is_emergency_contact), false) as is_emergency_contact
        from identity.family_members member
        join identity.families family on family.tenant_id = member.tenant_id and family.id = member.family_id
        where member.tenant_id = person.tenant_id and member.user_id = person.id and family.deleted_at is null
    ) membership
    where person.deleted_at is null;

    comment on view identity.user_directory is
        'One row a live user, with the ids of their live families, and whether they are a contact of any of them.';

    grant select on identity.family_directory, identity.user_directory to scheduler_app, scheduler_system;
    """)


def downgrade() -> None:
    op.execute("""
    drop view identity.user_directory;
    drop view identity.family_directory;
    drop table identity.family_members;
    drop table identity.families;
    """)
