"""Roles and schemas: the database roles of the library, the namespaces of its tables, and two extensions.

Five kinds of session work with this schema. The *owner* runs the migrations: it makes and changes tables and does
nothing else. `scheduler_app` does everything that the library does for a user; it owns nothing, bypasses nothing, and
cannot truncate (truncation ignores row security). `scheduler_job` is the nightly job: it reads the rows that decide
slots, writes slots, and does nothing more. `scheduler_system` does the work of the library for a tenant but for no
user: it awards stickers, raises alerts, admits the invited, rotates keys, seals the audit log. `scheduler_definer`
owns the few functions that look where their caller may not (is this user active? write this to the audit log); no
session may act as it, it bypasses nothing, and it sees the rows that the policies written for it by name show it. A
function of the tables' owner would not do instead: row security is forced on the owner, so the policy would be applied
inside the policy, without end.

None of the four roles may sign in. A login role is made a member of one, and the library takes that role on for the
length of one transaction (`set local role`). Roles belong to the whole server, not to this database. A role may
therefore be there already, another database may be making it at this moment, and a downgrade leaves all of them.

The tables live in five schemas of their own, so that they can move into a database that has other tables. A schema
that is there already is taken as it is, and a downgrade leaves a schema that still holds foreign objects. `env.py`
keeps the revision in a sixth, `scheduler`. The extensions come with PostgreSQL and are trusted: btree_gist serves the
constraint against overlapping appointments, pg_trgm the search of names by their parts.
"""

from alembic import op

revision = "20261126000100"
down_revision = None
branch_labels = None
depends_on = None

ROLES = ("scheduler_app", "scheduler_job", "scheduler_system", "scheduler_definer")
SCHEMAS = ("identity", "scheduling", "audit", "placement", "wellbeing")
EXTENSIONS = ("btree_gist", "pg_trgm")


def upgrade() -> None:
    for role in ROLES:
        op.execute(f"""
        do $$ begin
            if not exists (select from pg_catalog.pg_roles where rolname = '{role}') then
                create role {role} nologin;
            end if;
        exception when duplicate_object or unique_violation then
            null;  -- another database of this server made it in the same moment
        end $$
        """)
    # The migrating role takes these roles on in tests and in the quick start; a superuser may anyway.
    for role in ROLES[:3]:
        op.execute(f"""
        do $$ begin
            if not pg_catalog.pg_has_role(current_user, '{role}', 'usage') then
                execute pg_catalog.format('grant {role} to %I', current_user);
            end if;
        end $$
        """)
    for schema in SCHEMAS:
        op.execute(f"""
        create schema if not exists {schema};
        grant usage on schema {schema} to {", ".join(ROLES)};
        """)
    for extension in EXTENSIONS:
        op.execute(f"create extension if not exists {extension} with schema public")
    # Every session first asks whether the schema is the one that its code works with.
    op.execute("""
    grant usage on schema scheduler to scheduler_app, scheduler_job, scheduler_system;
    grant select on scheduler.revision to scheduler_app, scheduler_job, scheduler_system;
    """)


def downgrade() -> None:
    op.execute("""
    revoke all on scheduler.revision from scheduler_app, scheduler_job, scheduler_system;
    revoke all on schema scheduler from scheduler_app, scheduler_job, scheduler_system;
    """)
    for extension in reversed(EXTENSIONS):
        op.execute(f"""
        do $$ begin
            drop extension if exists {extension};
        exception when dependent_objects_still_exist then
            null;  -- tables of somebody else use it, too
        end $$
        """)
    for schema in reversed(SCHEMAS):
        op.execute(f"""
        revoke all on schema {schema} from {", ".join(ROLES)};
        do $$ begin
            drop schema {schema};
        exception when dependent_objects_still_exist then
            null;  -- tables of somebody else live there, too
        end $$
        """)
