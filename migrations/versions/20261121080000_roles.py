"""Who may connect as what: the database roles, and the namespaces they look into.

Three kinds of session work with this schema. The *owner* (whoever runs the migrations) makes and changes tables and
does nothing else. `scheduler_app` does everything that the library does for a user; it owns nothing, bypasses
nothing, and cannot truncate (truncation ignores row security). `scheduler_job` is the nightly job: it reads what
decides slots and writes slots, nothing more. Neither may sign in: a login role is made a member of one, and the
library takes it on for the length of one transaction (`set local role`).

Roles belong to the whole server, not to this database. So they may be there already, another database may be making
them at this moment, and a downgrade leaves them: another database may still use them.

The tables live in the schemas `identity` and `scheduling`, so that they can move into a database that has others.
A schema that is there already is taken as it is, and a downgrade leaves one that still holds something else.
"""

from alembic import op

revision = "20261121080000"
down_revision = None
branch_labels = None
depends_on = None

ROLES = ("scheduler_app", "scheduler_job")
SCHEMAS = ("identity", "scheduling")


def upgrade() -> None:
    for role in ROLES:
        op.execute(f"""
        do $$ begin
            if not exists (select from pg_catalog.pg_roles where rolname = '{role}') then
                create role {role} nologin;
            end if;
        exception when duplicate_object or unique_violation then
            null;  -- another database of this server made it in the same moment
        end $$;

        -- The one who migrates takes these roles on in tests and in the quick start; a superuser may anyway.
        do $$ begin
            if not pg_catalog.pg_has_role(current_user, '{role}', 'usage') then
                execute pg_catalog.format('grant {role} to %I', current_user);
            end if;
        end $$;
        """)
    for schema in SCHEMAS:
        op.execute(f"""
        create schema if not exists {schema};
        grant usage on schema {schema} to scheduler_app, scheduler_job;
        """)
    # Every session first asks whether the schema is the one that its code works with.
    op.execute("grant select on public.scheduler_revision to scheduler_app, scheduler_job")


def downgrade() -> None:
    op.execute("revoke all on public.scheduler_revision from scheduler_app, scheduler_job")
    for schema in reversed(SCHEMAS):
        op.execute(f"""
        revoke all on schema {schema} from scheduler_app, scheduler_job;
        do $$ begin
            drop schema {schema};
        exception when dependent_objects_still_exist then
            null;  -- somebody else's tables live there too
        end $$;
        """)
