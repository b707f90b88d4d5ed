"""Tenants: who owns the rows, and how the database knows for whom it works.

Every other table carries a tenant, and row security shows a session only the rows of the tenant that the transaction
names in `app.tenant_id`. The setting is local to the transaction; a missing or empty one (an ended transaction leaves
'' behind, not null) means no tenant and so no rows, and one that is no uuid is an error. Policies read it
as `(select identity.current_tenant_id())`, which PostgreSQL evaluates once a statement, not once a row.

A tenant sees itself. The nightly job sees the list of tenants, since it has to know for whom to work.

Nothing deletes a tenant that still has rows: every table's way to `tenants` is on delete restrict.

The tenant core specification expects databases that hold a part of its tables already. Such a table is taken as it is
(`if not exists`), with its rows; what is around it is made anew. So the table may be a look-alike that lacks a
constraint or has a column of another type: `scheduler migrate` ends with a comparison that names every such thing.
"""

from alembic import op

revision = "20261121080100"
down_revision = "20261121080000"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""
    create function identity.current_tenant_id() returns uuid
    language sql stable parallel safe
    return nullif(current_setting('app.tenant_id', true), '')::uuid;

    comment on function identity.current_tenant_id() is
        'The tenant that this transaction works for; null, and so no rows, when none is set.';

    create function identity.keep_updated_at() returns trigger
    language plpgsql set search_path = pg_catalog, pg_temp
    as $$ begin
        new.updated_at := now();
        return new;
    end $$;

    comment on function identity.keep_updated_at() is 'Keeps updated_at true whatever an UPDATE says.';
    """)
    op.execute("""
    create table if not exists identity.tenants (
        id uuid not null default gen_random_uuid(),
        slug varchar(255) not null,
        name varchar(255) not null,
        status text not null default 'active',
        created_at timestamptz not null default now(),
        updated_at timestamptz not null default now(),
        deleted_at timestamptz,
        constraint a_tenant_has_one_id primary key (id),
        -- stops a status that no code knows
        constraint a_tenant_is_active_suspended_or_closed check (status in ('active', 'suspended', 'closed'))
    );

    comment on table identity.tenants is 'An organisation that owns its rows; no other tenant sees them.';

    -- stops two live tenants from answering to one name; a deleted one gives its name back
    create unique index if not exists live_tenants_have_their_own_slug on identity.tenants (slug)
        where deleted_at is null;

    create or replace trigger updated_at_is_kept before update on identity.tenants
        for each row execute function identity.keep_updated_at();

    alter table identity.tenants enable row level security;
    alter table identity.tenants force row level security;

    drop policy if exists a_tenant_sees_itself on identity.tenants;
    create policy a_tenant_sees_itself on identity.tenants
        using (id = (select identity.current_tenant_id()))
        with check (id = (select identity.current_tenant_id()));
    drop policy if exists the_job_sees_for_whom_to_work on identity.tenants;
    create policy the_job_sees_for_whom_to_work on identity.tenants
        for select to scheduler_job using (true);

    grant select on identity.tenants to scheduler_app, scheduler_job;
    """)


def downgrade() -> None:
    op.execute("""
    drop table identity.tenants;
    drop function identity.keep_updated_at();
    drop function identity.current_tenant_id();
    """)
