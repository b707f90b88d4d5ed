"""Roles and schemas: the database roles of the library, the namespaces of its tables, and two extensions.

- The *owner* runs the migrations, and makes and changes tables.
- `scheduler_app` does all work for a user. It owns nothing, and cannot truncate, since that ignores row security.
- `scheduler_desk` books: it reads what decides a visit, and writes appointments, their steps and holds. A parent may
  not see what decides, so the library asks as the user whether the patient is theirs, and then acts as this role.
- `scheduler_job` is the nightly job: it reads the rows that decide slots, and writes slots.
- `scheduler_system` works for a tenant but for no user: it awards stickers, raises alerts, accepts invitations, rotates
  keys, and seals the audit log.
- `scheduler_definer` owns the few functions that read or write more than their caller may, such as the writers of the
  audit log. No session may act as it, and it sees only the rows that policies show it by name. The owner of the tables
  could not own these functions: row security is forced on it, so a policy would be applied inside itself without end.

No role bypasses row security or may log in. A login role becomes a member of one, and the library assumes that role for
one transaction (`set local role`). Roles belong to the whole server: a role may exist already, another database may be
creating it at this moment, and a downgrade keeps all of them.

The tables live in five schemas, so that they can move into a database that has other tables. An existing schema is used
as it is; a downgrade keeps a schema that holds other objects. `env.py` keeps the revision in a sixth schema,
`scheduler`. Both extensions ship with PostgreSQL and are trusted: exclusion constraints use btree_gist, searches
pg_trgm.
"""

from alembic import op

revision = "20261126000100"
down_revision = None

ROLES = ("scheduler_app", "scheduler_job", "scheduler_system", "scheduler_desk", "scheduler_definer")
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
            null;  -- another database of this server creates the role at the same moment
        end $$
        """)
    # The migrating role acts as these roles in tests and in the quick start; a superuser may anyway.
    for role in ROLES[:-1]:
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
    # Every session first compares the revision of the schema with that of its code.
    op.execute("""
    grant usage on schema scheduler to scheduler_app, scheduler_job, scheduler_system, scheduler_desk;
    grant select on scheduler.revision to scheduler_app, scheduler_job, scheduler_system, scheduler_desk;
    """)


def downgrade() -> None:
    op.execute("""
    revoke all on scheduler.revision from scheduler_app, scheduler_job, scheduler_system, scheduler_desk;
    revoke all on schema scheduler from scheduler_app, scheduler_job, scheduler_system, scheduler_desk;
    """)
    for extension in reversed(EXTENSIONS):
        op.execute(f"""
        do $$ begin
            drop extension if exists {extension};
        exception when dependent_objects_still_exist then
            null;  -- other tables use the extension
        end $$
        """)
    for schema in reversed(SCHEMAS):
        op.execute(f"""
        revoke all on schema {schema} from {", ".join(ROLES)};
        do $$ begin
            drop schema {schema};
        exception when dependent_objects_still_exist then
            null;  -- the schema holds other objects
        end $$
        """)
